#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <msgpack.h>
#include <string.h>

#include "bus/wire/mp.h"
#include "tests/unit/property.h"

static void assert_slice(slice_t s, const char *expected)
{
    assert_true(slice_equal(s, slice_text(expected)));
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    buf_t out = {0};
    vec_t vec = {0};
    vec_raise(&vec, 9, 1);
    vec_raise(&vec, 3, UINT64_MAX);
    mp_put_array(&out, 9);
    mp_put_nil(&out);
    mp_put_bool(&out, true);
    mp_put_bool(&out, false);
    mp_put_uint(&out, UINT64_MAX);
    mp_put_int(&out, INT64_MIN);
    mp_put_bin(&out, slice_text("bin"));
    mp_put_str(&out, slice_text("str"));
    mp_put_vector(&out, &vec);
    mp_put_map(&out, 1);
    mp_put_text(&out, "key");
    mp_put_int(&out, 7);

    mp_t in = mp_open(buf_slice(&out));
    vec_t copy = {0};
    assert_int_equal(mp_peek(&in), MP_ARRAY);
    assert_int_equal(mp_array(&in, 9), 9);
    assert_true(mp_nil(&in));
    assert_false(mp_nil(&in));
    assert_true(mp_bool(&in));
    assert_false(mp_bool(&in));
    assert_true(mp_uint(&in) == UINT64_MAX);
    assert_int_equal(mp_peek(&in), MP_INT);
    assert_true(mp_int(&in) == INT64_MIN);
    assert_slice(mp_bytes(&in), "bin");
    assert_slice(mp_bytes(&in), "str");
    mp_vector(&in, &copy);
    assert_true(vec_equal(&vec, &copy));
    assert_int_equal(mp_map(&in, 1), 1);
    assert_slice(mp_bytes(&in), "key");
    assert_false(mp_done(&in));
    assert_int_equal(mp_uint(&in), 7);
    assert_true(mp_done(&in));
    assert_int_equal(mp_peek(&in), MP_END);
    vec_free(&vec);
    vec_free(&copy);
    buf_free(&out);
}

static void check_integers(random_t *rng)
{
    uint64_t value = random_u64(rng) >> random_below(rng, 64);
    int64_t number = random_chance(rng, 500000) ? (int64_t)value : (int64_t)(0 - value);
    buf_t out = {0};
    mp_put_uint(&out, value);
    mp_put_int(&out, number);
    mp_t in = mp_open(buf_slice(&out));
    assert_true(mp_uint(&in) == value);
    assert_int_equal(mp_peek(&in), number < 0 ? MP_INT : MP_UINT);
    assert_true(mp_int(&in) == number);
    assert_true(mp_done(&in));

    in = mp_open(buf_slice(&out)); /* as int64: up to its greatest */
    int64_t as_int = mp_int(&in);
    assert_int_equal(mp_ok(&in), value <= INT64_MAX);
    assert_true(as_int == (value <= INT64_MAX ? (int64_t)value : 0));
    buf_free(&out);
}

static void test_integers_of_all_widths(void **state)
{
    (void)state;
    property_run(check_integers, 10000);
}

static void test_lengths_of_all_widths(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    char *bytes = calloc(1, 65536);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf_t out = {0};
        mp_put_bin(&out, slice_of(bytes, sizes[i]));
        mp_put_str(&out, slice_of(bytes, sizes[i]));
        mp_t in = mp_open(buf_slice(&out));
        assert_int_equal(mp_bytes(&in).size, sizes[i]);
        assert_int_equal(mp_bytes(&in).size, sizes[i]);
        assert_true(mp_done(&in));
        out.size--; /* one byte short: the second one is none */
        in = mp_open(buf_slice(&out));
        mp_bytes(&in);
        assert_true(mp_ok(&in));
        mp_bytes(&in);
        assert_false(mp_ok(&in));
        buf_free(&out);
    }
    free(bytes);
}

static void test_hostile_lengths(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "\xdd\xff\xff\xff\xff",
        "\xdf\xff\xff\xff\xff",
        "\xdf\x80\x00\x00\x00",
        "\xc6\xff\xff\xff\xff",
        "\xdb\xff\xff\xff\xff",
        "\xc9\xff\xff\xff\xff\x01",
        "\xdc\xff",
        "\xdc",
        "\xcf\x01",
        "\x91",
        "\x81\x01",
        "\xc1",
        "\xd8\x01",
        "\xc7\x01\x01",
        "\xa2x",
        "\xcb\x01",
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        size_t size = strlen(messages[i]);
        if (i == 2)
            size = 5; /* has NULs inside */
        mp_t in = mp_open(slice_of(messages[i], size));
        assert_int_equal(mp_peek(&in), MP_END);
        assert_int_equal(mp_skip(&in).size, 0);
        assert_false(mp_ok(&in));
    }
    mp_t in = mp_open(slice_text("\x93\x01\x02\x03"));
    assert_int_equal(mp_array(&in, 2), 0); /* over the decoder's own bound */
    assert_false(mp_ok(&in));
    in = mp_open(slice_of(NULL, 0));
    assert_int_equal(mp_peek(&in), MP_END);
    assert_true(mp_done(&in));
    assert_int_equal(mp_skip(&in).size, 0);
    assert_false(mp_ok(&in));
}

static void test_depth(void **state)
{
    (void)state;
    uint8_t message[MP_DEPTH_MAX + 2];
    memset(message, 0x91, sizeof message);
    for (int depth = 1; depth <= MP_DEPTH_MAX + 1; depth++) {
        message[depth] = 0xC0;
        mp_t in = mp_open(slice_of(message, (size_t)depth + 1));
        size_t skipped = mp_skip(&in).size;
        assert_int_equal(mp_ok(&in), depth <= MP_DEPTH_MAX);
        assert_int_equal(skipped, depth <= MP_DEPTH_MAX ? depth + 1 : 0);
        message[depth] = 0x91;
    }
}

static void test_errors_are_sticky(void **state)
{
    (void)state;
    mp_t in = mp_open(slice_text("\x05\xa1x"));
    vec_t vec = {0};
    assert_int_equal(mp_bytes(&in).size, 0);
    assert_false(mp_ok(&in));
    assert_int_equal(mp_uint(&in), 0);
    assert_int_equal(mp_int(&in), 0);
    assert_int_equal(mp_array(&in, 9), 0);
    assert_int_equal(mp_map(&in, 9), 0);
    assert_false(mp_bool(&in));
    assert_false(mp_nil(&in));
    assert_null(mp_skip(&in).data);
    mp_vector(&in, &vec);
    mp_array_end(&in, 4, 0);
    assert_int_equal(vec.size, 0);
    assert_int_equal(mp_peek(&in), MP_END);
    assert_false(mp_done(&in));
    vec_free(&vec);
}

static void test_unknown_fields_are_skipped(void **state)
{
    (void)state;
    mp_t in =
        mp_open(slice_text("\x94\x01\x92\x02\x03\xcb\x01\x01\x01\x01\x01\x01\x01\x01\xa1x\x07"));
    uint32_t items = mp_array(&in, 8);
    assert_int_equal(mp_uint(&in), 1);
    mp_array_end(&in, items, 1);
    assert_int_equal(mp_uint(&in), 7);
    assert_true(mp_done(&in));
}

static void test_vectors_must_be_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool good;
    } rows[] = {
        {"\x90", true},          {"\x92\x05\x01", true},          {"\x94\x05\x01\x06\x02", true},
        {"\x91\x05", false},     {"\x94\x05\x01\x05\x02", false}, {"\x94\x06\x01\x05\x02", false},
        {"\x92\x05\xff", false}, {"\x92\x05\xa1", false},         {"\x81\x05\x01", false},
    };
    vec_t vec = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mp_t in = mp_open(slice_text(rows[i].bytes));
        mp_vector(&in, &vec);
        assert_int_equal(mp_done(&in), rows[i].good);
    }
    mp_t in = mp_open(slice_of("\x92\x05\x00", 3)); /* a count of 0 has another spelling */
    mp_vector(&in, &vec);
    assert_false(mp_ok(&in));
    vec_free(&vec);
}

/* Packs a random value, of any format that msgpack-c can write. */
static void pack(random_t *rng, msgpack_packer *packer, int depth)
{
    static const char bytes[300];
    static const uint32_t counts[] = {0, 1, 2, 3, 17};
    uint64_t bits = random_u64(rng) >> random_below(rng, 64);
    size_t size = (size_t)random_below(rng, random_chance(rng, 100000) ? sizeof bytes : 20);
    uint32_t items = counts[random_below(rng, depth > 2 ? 3 : 5)];
    switch (random_below(rng, depth < MP_DEPTH_MAX ? 14 : 9)) {
    case 0:
        msgpack_pack_nil(packer);
        break;
    case 1:
        msgpack_pack_true(packer);
        break;
    case 2:
        msgpack_pack_uint64(packer, bits);
        break;
    case 3:
        msgpack_pack_int64(packer, (int64_t)(0 - bits));
        break;
    case 4:
        msgpack_pack_fix_int32(packer, (int32_t)bits);
        break;
    case 5:
        msgpack_pack_double(packer, (double)bits);
        break;
    case 6:
        msgpack_pack_bin(packer, size);
        msgpack_pack_bin_body(packer, bytes, size);
        break;
    case 7:
        msgpack_pack_ext(packer, size, 5);
        msgpack_pack_ext_body(packer, bytes, size);
        break;
    case 8:
        msgpack_pack_str(packer, size);
        msgpack_pack_str_body(packer, bytes, size);
        break;
    case 9:
    case 10:
        msgpack_pack_map(packer, items);
        for (uint32_t i = 0; i < 2 * items; i++)
            pack(rng, packer, depth + 1);
        break;
    default:
        msgpack_pack_array(packer, items);
        for (uint32_t i = 0; i < items; i++)
            pack(rng, packer, depth + 1);
        break;
    }
}

/* What msgpack-c makes of it: the length of the first value, 0 when there is none. */
static size_t other_opinion(const char *data, size_t size)
{
    msgpack_unpacked result;
    size_t offset = 0;
    msgpack_unpacked_init(&result);
    msgpack_unpack_return code = msgpack_unpack_next(&result, data, size, &offset);
    msgpack_unpacked_destroy(&result);
    return code == MSGPACK_UNPACK_SUCCESS || code == MSGPACK_UNPACK_EXTRA_BYTES ? offset : 0;
}

static size_t skipped(const char *data, size_t size)
{
    mp_t in = mp_open(slice_of(data, size));
    slice_t value = mp_skip(&in);
    assert_int_equal(mp_ok(&in), value.size != 0);
    if (mp_ok(&in))
        assert_ptr_equal(in.at, (const uint8_t *)data + value.size);
    return value.size;
}

static void check_against_msgpack(random_t *rng)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    pack(rng, &packer, 0);
    assert_int_equal(skipped(buffer.data, buffer.size), buffer.size);
    assert_int_equal(other_opinion(buffer.data, buffer.size), buffer.size);
    for (size_t cut = 0; cut < buffer.size && cut < 40; cut++) {
        char *exact = malloc(cut + 1); /* so that a sanitizer sees each byte read too much */
        assert_non_null(exact);
        memcpy(exact, buffer.data, cut);
        char *fitted = realloc(exact, cut != 0 ? cut : 1);
        assert_non_null(fitted);
        assert_int_equal(skipped(fitted, cut), 0);
        free(fitted);
    }
    for (int i = 0; i < 8; i++) {
        buffer.data[random_below(rng, buffer.size)] = (char)random_u64(rng);
        size_t size = skipped(buffer.data, buffer.size);
        if (size != 0)
            assert_int_equal(other_opinion(buffer.data, buffer.size), size);
    }
    msgpack_sbuffer_destroy(&buffer);
}

static void test_agrees_with_msgpack_on_messages(void **state)
{
    (void)state;
    property_run(check_against_msgpack, 5000);
}

static void check_noise(random_t *rng)
{
    uint8_t noise[32];
    size_t size = (size_t)random_below(rng, sizeof noise);
    property_fill(rng, noise, size);
    size_t length = skipped((const char *)noise, size);
    if (length != 0)
        assert_int_equal(other_opinion((const char *)noise, size), length);
}

static void test_agrees_with_msgpack_on_noise(void **state)
{
    (void)state;
    property_run(check_noise, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        property_test(test_integers_of_all_widths),
        cmocka_unit_test(test_lengths_of_all_widths),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_errors_are_sticky),
        cmocka_unit_test(test_unknown_fields_are_skipped),
        cmocka_unit_test(test_vectors_must_be_in_order),
        property_test(test_agrees_with_msgpack_on_messages),
        property_test(test_agrees_with_msgpack_on_noise),
    };
    return cmocka_run_group_tests_name("mp", tests, NULL, NULL);
}
