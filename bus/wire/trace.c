#include "bus/wire/trace.h"

#include "bus/wire/fields.h"

enum {
    BATCH_FIELDS = 8,
    ITEM_FIELDS = 9,
};

static const struct {
    const char *name;
    trace_area_t area;
} kinds[TRACE_KINDS] = {
#define TRACE_ROW(id, in_area, its_name) [TRACE_##id] = {its_name, TRACE_##in_area},
    TRACE_TABLE(TRACE_ROW)
#undef TRACE_ROW
};

static const struct {
    const char *name;
    uint8_t topic;
} areas[TRACE_AREAS] = {
    [TRACE_SOCKETS] = {"sockets", 's'},
    [TRACE_REQUESTS] = {"requests", 'r'},
    [TRACE_GOSSIP] = {"gossip", 'g'},
    [TRACE_EVENTS] = {"events", 'e'},
};

const char *trace_kind_name(unsigned kind)
{
    return kind < TRACE_KINDS ? kinds[kind].name : "unknown";
}

trace_area_t trace_kind_area(trace_kind_t kind)
{
    return kinds[kind].area;
}

const char *trace_area_name(trace_area_t area)
{
    return areas[area].name;
}

uint8_t trace_topic(trace_area_t area)
{
    return areas[area].topic;
}

bool trace_area_of(uint8_t topic, trace_area_t *area)
{
    for (unsigned i = 0; i < TRACE_AREAS; i++) {
        if (areas[i].topic != topic)
            continue;
        *area = (trace_area_t)i;
        return true;
    }
    return false;
}

/* ---- items ---- */

static slice_t cut(slice_t bytes, size_t most)
{
    return bytes.size <= most ? bytes : slice_of(bytes.data, most);
}

void trace_item_put(buf_t *out, const trace_item_t *item)
{
    mp_put_array(out, ITEM_FIELDS);
    mp_put_uint(out, (uint64_t)item->wall_us);
    mp_put_uint(out, item->kind);
    mp_put_uint(out, item->link);
    mp_put_uint(out, item->update.incarnation);
    mp_put_uint(out, item->update.count);
    mp_put_uint(out, item->session);
    mp_put_uint(out, item->seq);
    mp_put_bin(out, cut(item->key, TRACE_KEY_MAX));
    mp_put_str(out, cut(item->text, TRACE_TEXT_MAX));
}

bool trace_item_next(mp_t *in, trace_item_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, ITEM_FIELDS);
    out->wall_us = (int64_t)fields_uint(in, INT64_MAX);
    out->kind = fields_u16(in);
    out->link = fields_u32(in);
    out->update.incarnation = mp_uint(in);
    out->update.count = mp_uint(in);
    out->session = mp_uint(in);
    out->seq = mp_uint(in);
    out->key = fields_bytes(in, TRACE_KEY_MAX);
    out->text = fields_bytes(in, TRACE_TEXT_MAX);
    mp_array_end(in, items, ITEM_FIELDS);
    return mp_ok(in);
}

/* ---- messages ---- */

void trace_batch_put(buf_t *out, const trace_batch_t *batch)
{
    buf_append_u8(out, trace_topic(batch->area));
    mp_put_array(out, BATCH_FIELDS);
    mp_put_uint(out, TRACE_VERSION);
    mp_put_uint(out, (uint64_t)batch->program);
    mp_put_uint(out, batch->id);
    mp_put_uint(out, batch->port);
    mp_put_uint(out, batch->incarnation);
    mp_put_uint(out, batch->before);
    mp_put_uint(out, batch->dropped);
    fields_items_put(out, batch->items, batch->items_at);
}

static bool skip_item(mp_t *in)
{
    trace_item_t item;
    return trace_item_next(in, &item);
}

bool trace_batch_read(slice_t message, trace_batch_t *out)
{
    if (message.size == 0 || !trace_area_of(message.data[0], &out->area))
        return false;
    mp_t in = mp_open(slice_of(message.data + 1, message.size - 1));
    uint32_t items = fields_open(&in, BATCH_FIELDS);
    if (mp_uint(&in) != TRACE_VERSION)
        mp_fail(&in);
    out->program = control_program(&in);
    out->id = fields_u16(&in);
    out->port = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->before = mp_uint(&in);
    out->dropped = mp_uint(&in);
    out->items_at = fields_items(&in, TRACE_ITEMS_MAX, skip_item, &out->items);
    return fields_close(&in, items, BATCH_FIELDS);
}
