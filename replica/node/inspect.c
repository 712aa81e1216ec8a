/* What hearsayctl asks a node beside INFO: its events, and how a key is there. */
#include "bus/wire/inspect.h"
#include "bus/net/notes.h"
#include "bus/net/runtime.h"
#include "replica/node/internal.h"

void node_put_events(node_t *self, buf_t *out)
{
    const inspect_events_t source = {
        .program = CONTROL_NODE,
        .id = self->settings->id,
        .port = self->advertised_port,
        .incarnation = self->incarnation,
    };
    notes_put_events(out, self->events, &source);
}

void node_put_key(node_t *self, slice_t key, buf_t *out)
{
    replica_key_info_t info;

    replica_key_info(self->replica, net_now(), key, &info);
    const inspect_key_t document = {
        .id = self->settings->id,
        .incarnation = self->incarnation,
        .type = slice_text(info.type),
        .size = info.size,
        .deadline = info.deadline,
        .tag = info.tag,
        .updates_waiting = info.updates_waiting,
        .requests_waiting = info.requests_waiting,
    };
    inspect_key_put(out, &document, info.dots);
}
