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

/* ---- which they were ---- */

void lost_free(lost_t *self)
{
    vec_free(&self->first);
    vec_free(&self->last);
}

void lost_copy(lost_t *self, const lost_t *other)
{
    vec_copy(&self->first, &other->first);
    vec_copy(&self->last, &other->last);
}

void lost_add(lost_t *self, vec_part_t update)
{
    uint64_t last = vec_get(&self->last, update.incarnation);
    if (last == 0 && self->last.size >= VEC_ENDED_MAX)
        return;
    if (last == 0 || update.count != last + 1)
        vec_set(&self->first, update.incarnation, update.count);
    vec_set(&self->last, update.incarnation, update.count);
}

static bool is_lost(const lost_t *self, vec_part_t part)
{
    return vec_get(&self->last, part.incarnation) >= part.count &&
           vec_get(&self->first, part.incarnation) <= part.count;
}

bool lost_find(const lost_t *self, const vec_t *token, vec_part_t *update)
{
    if (self->last.size == 0)
        return false;
    for (uint32_t i = 0; i < token->size; i++) {
        *update = token->parts[i];
        if (is_lost(self, *update))
            return true;
    }
    return false;
}

void lost_take_out(const lost_t *self, vec_t *token)
{
    vec_part_t update;
    while (lost_find(self, token, &update))
        vec_set(token, update.incarnation, vec_get(&self->first, update.incarnation) - 1);
}
