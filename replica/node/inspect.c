/* What hearsayctl asks a node beside INFO: its events, how a key is there, what all keys show. */
#include <assert.h>
#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/net/notes.h"
#include "bus/net/runtime.h"
#include "bus/wire/inspect.h"
#include "replica/node/internal.h"

enum { DIGESTED_KEYS = 16 * 1024 }; /* in one turn: about 3 ms of the loop */

static_assert((int)COMPARE_BITS_MAX == (int)STORE_BUCKET_BITS_MAX, "both name the same buckets");

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

void node_put_digests(node_t *self, const compare_at_t *at, buf_t *out)
{
    uint64_t *sums = mem_alloc(COMPARE_DIGESTS_MAX * sizeof(*sums));
    const compare_digests_t document = {
        .id = self->settings->id,
        .incarnation = self->incarnation,
        .count = replica_digests(self->replica, at->bits, at->bucket, DIGESTED_KEYS, at->clock,
                                 sums, COMPARE_DIGESTS_MAX),
    };
    compare_digests_put(out, &document, sums);
    free(sums);
}

typedef struct shown {
    buf_t keys;
    uint32_t count;
    bool is_cut;
} shown_t;

static bool take_shown(void *arg, const store_shown_t *key)
{
    shown_t *shown = arg;
    const compare_key_t item = {
        .key = key->key,
        .type = slice_text(store_type_name(key->type)),
        .digest = key->digest,
    };

    shown->is_cut = shown->count == COMPARE_KEYS_MAX;
    if (shown->is_cut)
        return false;
    compare_key_put(&shown->keys, &item, key->dots);
    shown->count++;
    return true;
}

void node_put_shown(node_t *self, const compare_at_t *at, buf_t *out)
{
    shown_t shown = {0};

    replica_each_shown(self->replica, at->bits, at->bucket, at->clock, take_shown, &shown);
    const compare_shown_t document = {
        .id = self->settings->id,
        .incarnation = self->incarnation,
        .is_cut = shown.is_cut,
        .keys = shown.count,
        .keys_at = buf_slice(&shown.keys),
    };
    compare_shown_put(out, &document, replica_info(self->replica, net_now()).vector);
    buf_free(&shown.keys);
}
