#include "bus/wire/compare.h"

#include "bus/wire/fields.h"

enum {
    DIGESTS_FIELDS = 3,
    KEY_FIELDS = 4,
    SHOWN_FIELDS = 5,
    DIGEST_SIZE = 8,
    TYPE_MAX = 32, /* bytes of its name */
};

/* ---- DIGESTS ---- */

void compare_digests_put(buf_t *out, const compare_digests_t *digests, const uint64_t *sums)
{
    mp_put_array(out, DIGESTS_FIELDS);
    mp_put_uint(out, digests->id);
    mp_put_uint(out, digests->incarnation);
    buf_t bytes = {0};
    buf_reserve(&bytes, digests->count * DIGEST_SIZE);
    bytes.size = digests->count * DIGEST_SIZE;
    for (uint32_t i = 0; i < digests->count; i++)
        be64_put(bytes.data + (size_t)i * DIGEST_SIZE, sums[i]);
    mp_put_bin(out, buf_slice(&bytes));
    buf_free(&bytes);
}

bool compare_digests_read(slice_t document, compare_digests_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, DIGESTS_FIELDS);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->digests_at = fields_bytes(&in, (size_t)COMPARE_DIGESTS_MAX * DIGEST_SIZE);
    out->count = (uint32_t)(out->digests_at.size / DIGEST_SIZE);
    return fields_close(&in, items, DIGESTS_FIELDS) && out->count != 0 &&
           out->digests_at.size % DIGEST_SIZE == 0;
}

uint64_t compare_digest(const compare_digests_t *digests, uint32_t i)
{
    return be64_get(digests->digests_at.data + (size_t)i * DIGEST_SIZE);
}

/* ---- SHOWN ---- */

void compare_key_put(buf_t *out, const compare_key_t *key, const vec_t *dots)
{
    mp_put_array(out, KEY_FIELDS);
    mp_put_bin(out, key->key);
    mp_put_str(out, key->type);
    mp_put_uint(out, key->digest);
    mp_put_vector(out, dots);
}

bool compare_key_next(mp_t *in, compare_key_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, KEY_FIELDS);
    out->key = fields_bytes(in, COMMAND_KEY_MAX);
    out->type = fields_bytes(in, TYPE_MAX);
    out->digest = mp_uint(in);
    out->dots = fields_whole_vector(in);
    mp_array_end(in, items, KEY_FIELDS);
    return mp_ok(in);
}

void compare_shown_put(buf_t *out, const compare_shown_t *shown, const vec_t *vector)
{
    mp_put_array(out, SHOWN_FIELDS);
    mp_put_uint(out, shown->id);
    mp_put_uint(out, shown->incarnation);
    mp_put_bool(out, shown->is_cut);
    mp_put_vector(out, vector);
    fields_items_put(out, shown->keys, shown->keys_at);
}

static bool skip_key(mp_t *in)
{
    compare_key_t item;
    return compare_key_next(in, &item);
}

bool compare_shown_read(slice_t document, compare_shown_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, SHOWN_FIELDS);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->is_cut = mp_bool(&in);
    out->vector = fields_whole_vector(&in);
    out->keys_at = fields_items(&in, COMPARE_KEYS_MAX, skip_key, &out->keys);
    return fields_close(&in, items, SHOWN_FIELDS);
}
