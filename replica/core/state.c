#include "replica/core/state.h"

enum { META_FIELDS_LEAST = 10, META_FIELDS = 13, META_FIELDS_MAX = 64 };

void state_meta_free(state_meta_t *self)
{
    vec_free(&self->applied);
    vec_free(&self->dropped);
    vec_free(&self->ended);
    lost_free(&self->lost);
}

void state_meta_put(buf_t *out, const state_meta_t *meta)
{
    mp_put_array(out, META_FIELDS);
    mp_put_uint(out, meta->lineage);
    mp_put_uint(out, meta->position);
    mp_put_uint(out, meta->clock);
    mp_put_uint(out, meta->floor);
    mp_put_uint(out, meta->horizon);
    mp_put_uint(out, meta->keys);
    mp_put_vector(out, &meta->applied);
    mp_put_vector(out, &meta->dropped);
    mp_put_bin(out, meta->members);
    mp_put_vector(out, &meta->ended);
    mp_put_vector(out, &meta->lost.first);
    mp_put_vector(out, &meta->lost.last);
    mp_put_uint(out, (uint64_t)meta->lead_ms);
}

bool state_meta_read(slice_t value, state_meta_t *out)
{
    mp_t in = mp_open(value);
    uint32_t items = mp_array(&in, META_FIELDS_MAX);
    if (items < META_FIELDS_LEAST)
        return false;
    out->lineage = mp_uint(&in);
    out->position = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->floor = mp_uint(&in);
    out->horizon = mp_uint(&in);
    out->keys = mp_uint(&in);
    mp_vector_of(&in, &out->applied, VEC_WHOLE_MAX);
    mp_vector_of(&in, &out->dropped, VEC_WHOLE_MAX);
    out->members = mp_bytes(&in);
    mp_vector_of(&in, &out->ended, VEC_ENDED_MAX);
    uint64_t lead_ms = 0;
    if (items >= META_FIELDS) {
        mp_vector_of(&in, &out->lost.first, VEC_ENDED_MAX);
        mp_vector_of(&in, &out->lost.last, VEC_ENDED_MAX);
        lead_ms = mp_uint(&in);
    }
    out->lead_ms = (int64_t)lead_ms;
    mp_array_end(&in, items, items >= META_FIELDS ? META_FIELDS : META_FIELDS_LEAST);
    return mp_done(&in) && out->lineage != 0 && lead_ms <= HLC_MS_MAX;
}

void state_put_row(buf_t *run, slice_t key, slice_t value)
{
    mp_put_bin(run, key);
    mp_put_bin(run, value);
}

bool state_next_row(mp_t *run, slice_t *key, slice_t *value, bool *is_gone)
{
    if (mp_peek(run) != MP_BYTES)
        return false;
    *key = mp_bytes(run);
    *is_gone = mp_nil(run);
    *value = slice_of(NULL, 0);
    if (!*is_gone)
        *value = mp_bytes(run);
    return mp_ok(run);
}

bool state_each_row(slice_t runs, state_row_fn *fn, void *arg)
{
    mp_t in = mp_open(runs);
    while (mp_peek(&in) == MP_UINT) {
        uint64_t table = mp_uint(&in);
        mp_t run = mp_open(mp_bytes(&in));
        slice_t key;
        slice_t value;
        bool is_gone;
        while (state_next_row(&run, &key, &value, &is_gone))
            if (is_gone || !fn(arg, table, key, value))
                return false;
        if (!mp_done(&run))
            return false;
    }
    return mp_done(&in);
}

slice_t state_number_key(uint64_t number, uint8_t bytes[8])
{
    be64_put(bytes, number);
    return slice_of(bytes, 8);
}

bool state_key_number(slice_t key, uint64_t *number)
{
    if (key.size != 8)
        return false;
    *number = be64_get(key.data);
    return true;
}
