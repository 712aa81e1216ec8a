#include "replica/core/lost.h"

/* In double quotes, with escapes as the pipe of `hearsay` reads them. */
static void put_quoted(buf_t *out, slice_t text)
{
    buf_append_text(out, " \"");
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7F)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_u8(out, c);
    }
    buf_append_text(out, "\"");
}

static void put_op(buf_t *out, const op_t *op)
{
    if (op->code == OP_EXPIRE)
        buf_append_text(out, "# "); /* seconds from when it is read would be wrong */
    buf_append_text(out, op_name(op->code));
    put_quoted(out, op->key);
    if (op->code >= OP_HSET && op->code <= OP_SREM)
        put_quoted(out, op->field);
    if (op->code == OP_SET || op->code == OP_HSET)
        put_quoted(out, op->value);
    if (op->code == OP_INCR || op->code == OP_HINCR)
        buf_printf(out, " %lld", (long long)op->amount);
    if (op->code == OP_EXPIRE)
        buf_printf(out, " at %lld ms since 1970", (long long)hlc_ms((hlc_t)op->amount));
    buf_append_text(out, "\n");
}

void lost_put(buf_t *out, const record_t *record)
{
    mp_t in = mp_open(record->ops);
    uint32_t count = mp_array(&in, OPS_MAX);
    op_t op;
    buf_printf(out, "# update %llu of incarnation %016llx, issued at %lld ms since 1970\n",
               (unsigned long long)record->n, (unsigned long long)record->origin,
               (long long)hlc_ms(record->tag.hlc));
    for (uint32_t i = 0; i < count && op_read(&in, &op); i++)
        put_op(out, &op);
}
