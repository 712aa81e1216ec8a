#include "bus/wire/fields.h"

enum { NEWER_FIELDS_MAX = 64 };

uint32_t fields_open(mp_t *in, uint32_t needed)
{
    uint32_t items = mp_array(in, needed + NEWER_FIELDS_MAX);
    if (items < needed)
        mp_fail(in);
    return items;
}

bool fields_close(mp_t *in, uint32_t items, uint32_t read)
{
    mp_array_end(in, items, read);
    return mp_done(in);
}

uint64_t fields_uint(mp_t *in, uint64_t most)
{
    uint64_t value = mp_uint(in);
    if (value <= most)
        return value;
    mp_fail(in);
    return 0;
}

uint8_t fields_u8(mp_t *in)
{
    return (uint8_t)fields_uint(in, UINT8_MAX);
}

uint16_t fields_u16(mp_t *in)
{
    return (uint16_t)fields_uint(in, UINT16_MAX);
}

uint32_t fields_u32(mp_t *in)
{
    return (uint32_t)fields_uint(in, UINT32_MAX);
}

slice_t fields_bytes(mp_t *in, size_t most)
{
    slice_t value = mp_bytes(in);
    if (value.size > most)
        mp_fail(in);
    return value;
}

slice_t fields_vector(mp_t *in)
{
    if (mp_peek(in) != MP_ARRAY)
        mp_fail(in);
    return mp_skip(in);
}

slice_t fields_whole_vector(mp_t *in)
{
    const uint8_t *start = in->at;
    vec_t parts = {0};
    mp_vector_of(in, &parts, VEC_WHOLE_MAX);
    vec_free(&parts);
    return slice_of(start, (size_t)(in->at - start));
}

slice_t fields_items(mp_t *in, uint32_t most, fields_skip_fn *skip, uint32_t *count)
{
    *count = mp_array(in, most);
    const uint8_t *start = in->at;
    for (uint32_t i = 0; i < *count; i++)
        if (!skip(in))
            mp_fail(in);
    return slice_of(start, mp_ok(in) ? (size_t)(in->at - start) : 0);
}

void fields_items_put(buf_t *out, uint32_t count, slice_t items)
{
    mp_put_array(out, count);
    buf_append_slice(out, items);
}
