/* The msgpack cursor: whatever is read in whatever order, within the message and to an end. */
#include "bus/wire/mp.h"
#include "tests/fuzz/fuzz.h"

/* Reads one value as its type says; false at the end. */
static bool read_one(mp_t *in)
{
    const uint8_t *before = in->at;

    switch (mp_peek(in)) {
    case MP_NIL:
        fuzz_check(mp_nil(in));
        break;
    case MP_BOOL:
        mp_bool(in);
        break;
    case MP_UINT:
        mp_uint(in);
        break;
    case MP_INT:
        mp_int(in);
        break;
    case MP_BYTES:
        fuzz_touch(mp_bytes(in));
        break;
    case MP_ARRAY:
        fuzz_check(mp_array(in, UINT32_MAX) <= (size_t)(in->end - before));
        break;
    case MP_MAP:
        fuzz_check(mp_map(in, UINT32_MAX) <= (size_t)(in->end - before));
        break;
    case MP_OTHER:
        fuzz_touch(mp_skip(in));
        break;
    case MP_END:
        return false;
    }
    fuzz_check(in->at <= in->end);
    fuzz_check(!mp_ok(in) || in->at > before);
    return mp_ok(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mp_t in = mp_open(slice_of(data, size));
    while (read_one(&in))
        continue;
    in = mp_open(slice_of(data, size));
    for (slice_t whole = mp_skip(&in); mp_ok(&in) && whole.size != 0; whole = mp_skip(&in))
        fuzz_touch(whole);
    /* A vector comes back as it was. */
    vec_t first = {0};
    vec_t second = {0};
    in = mp_open(slice_of(data, size));
    mp_vector(&in, &first);
    if (mp_ok(&in)) {
        buf_t out = {0};
        mp_put_vector(&out, &first);
        mp_t again = mp_open(buf_slice(&out));
        mp_vector(&again, &second);
        fuzz_check(mp_done(&again) && vec_equal(&first, &second));
        buf_free(&out);
    }
    vec_free(&first);
    vec_free(&second);
    return 0;
}
