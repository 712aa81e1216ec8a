/* What the node tells of updates beyond what the core does: when they are written and sent. */
#include "bus/wire/record.h"
#include "replica/core/seglog.h"
#include "replica/node/internal.h"

static void take_item(void *arg, const trace_item_t *item)
{
    node_t *self = arg;
    trace_put(self->trace, item);
}

void node_trace_turn(node_t *self)
{
    bool is_wanted =
        trace_wants(self->trace, TRACE_REQUESTS) || trace_wants(self->trace, TRACE_GOSSIP);

    replica_set_trace(self->replica, is_wanted ? take_item : NULL, self);
    trace_turn(self->trace);
}

static void tell(node_t *self, trace_kind_t kind, slice_t record)
{
    trace_item_t item = {.kind = kind};

    if (record_peek(record, &item.update.incarnation, &item.update.count))
        trace_put(self->trace, &item);
}

void node_trace_logged(node_t *self, slice_t entries, uint64_t position)
{
    seglog_entry_t entry;

    if (!trace_wants(self->trace, TRACE_GOSSIP))
        return;
    for (; seglog_next(entries, position, &entry) == SEGLOG_GOOD; position += entry.size) {
        if (entry.kind == SEGLOG_KIND_UPDATE)
            tell(self, TRACE_UPDATE_LOGGED, entry.payload);
        entries = slice_of(entries.data + entry.size, entries.size - entry.size);
    }
}

void node_trace_published(node_t *self, slice_t message)
{
    peer_batch_t batch;
    slice_t record;

    if (!trace_wants(self->trace, TRACE_GOSSIP) || !peer_batch_read(message, &batch))
        return; /* a round has no updates */
    mp_t in = mp_open(batch.records);
    while (peer_record_next(&in, &record))
        tell(self, TRACE_UPDATE_PUBLISHED, record);
}
