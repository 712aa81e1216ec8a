#include "bus/wire/record.h"

#include "bus/wire/command.h"

enum { RECORD_FIELDS = 9 };

void record_free(record_t *self)
{
    vec_free(&self->deps);
    *self = (record_t){0};
}

slice_t record_nothing(void)
{
    static const uint8_t empty[] = {0x90};
    return slice_of(empty, sizeof empty);
}

void record_put(buf_t *out, const record_t *record)
{
    mp_put_array(out, RECORD_FIELDS);
    mp_put_uint(out, record->origin);
    mp_put_uint(out, record->n);
    mp_put_vector(out, &record->deps);
    mp_put_uint(out, record->tag.hlc);
    mp_put_uint(out, record->tag.client);
    mp_put_uint(out, record->tag.seq);
    mp_put_uint(out, record->floor);
    buf_append_slice(out, record->result);
    buf_append_slice(out, record->ops);
}

bool record_peek(slice_t bytes, uint64_t *origin, uint64_t *n)
{
    mp_t in = mp_open(bytes);
    if (mp_array(&in, RECORD_FIELDS + 64) < RECORD_FIELDS)
        return false;
    *origin = mp_uint(&in);
    *n = mp_uint(&in);
    return mp_ok(&in);
}

bool record_read(slice_t bytes, record_t *out)
{
    mp_t in = mp_open(bytes);
    uint32_t items = mp_array(&in, RECORD_FIELDS + 64);
    if (items < RECORD_FIELDS)
        return false;
    out->origin = mp_uint(&in);
    out->n = mp_uint(&in);
    mp_vector(&in, &out->deps);
    out->tag.hlc = mp_uint(&in);
    out->tag.client = mp_uint(&in);
    out->tag.seq = mp_uint(&in);
    out->floor = mp_uint(&in);
    out->result = mp_skip(&in);
    out->ops = mp_skip(&in);
    mp_array_end(&in, items, RECORD_FIELDS);
    if (!mp_done(&in) || out->origin == 0 || out->n == 0)
        return false;
    mp_t ops = mp_open(out->ops);
    uint32_t count = mp_array(&ops, OPS_MAX);
    op_t op;
    for (uint32_t i = 0; i < count; i++)
        if (!op_read(&ops, &op))
            return false;
    return mp_done(&ops);
}

/* What follows code and key in an operation. */
static bool has_field(uint64_t code)
{
    return code >= OP_HSET && code <= OP_SREM;
}

static bool has_value(uint64_t code)
{
    return code == OP_SET || code == OP_HSET;
}

static bool has_amount(uint64_t code)
{
    return code == OP_INCR || code == OP_HINCR || code == OP_EXPIRE;
}

const char *op_name(uint8_t code)
{
    static const char *const names[] = {
        [OP_SET] = "set",   [OP_DEL] = "del",   [OP_INCR] = "incr",
        [OP_HSET] = "hset", [OP_HDEL] = "hdel", [OP_HINCR] = "hincr",
        [OP_SADD] = "sadd", [OP_SREM] = "srem", [OP_EXPIRE] = "expire",
    };
    return names[code];
}

void op_put(buf_t *out, const op_t *op)
{
    mp_put_array(out, 2U + has_field(op->code) + has_value(op->code) + has_amount(op->code));
    mp_put_uint(out, op->code);
    mp_put_bin(out, op->key);
    if (has_field(op->code))
        mp_put_bin(out, op->field);
    if (has_value(op->code))
        mp_put_bin(out, op->value);
    if (has_amount(op->code))
        mp_put_int(out, op->amount);
}

bool op_read(mp_t *in, op_t *out)
{
    *out = (op_t){0};
    uint32_t items = mp_array(in, 4);
    uint64_t code = mp_uint(in);
    if (!mp_ok(in) || code < OP_SET || code > OP_EXPIRE)
        return false;
    out->code = (uint8_t)code;
    out->key = mp_bytes(in);
    if (has_field(code))
        out->field = mp_bytes(in);
    if (has_value(code))
        out->value = mp_bytes(in);
    if (has_amount(code))
        out->amount = mp_int(in);
    return mp_ok(in) && items == 2U + has_field(code) + has_value(code) + has_amount(code) &&
           out->key.size <= COMMAND_KEY_MAX && out->field.size <= COMMAND_KEY_MAX &&
           out->value.size <= COMMAND_VALUE_MAX && (code != OP_EXPIRE || out->amount >= 0);
}
