#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "bus/base/bytes.h"
#include "tests/unit/property.h"

static slice_t text(const char *s)
{
    return slice_text(s);
}

static void test_slices_compare_bytewise(void **state)
{
    (void)state;
    assert_true(slice_equal(text(""), slice_of(NULL, 0)));
    assert_true(slice_equal(text("ab"), text("ab")));
    assert_false(slice_equal(text("ab"), text("abc")));
    assert_false(slice_equal(text("ab"), text("ac")));
    assert_int_equal(slice_compare(text("a"), text("a")), 0);
    assert_true(slice_compare(text("a"), text("ab")) < 0);
    assert_true(slice_compare(text("ab"), text("a")) > 0);
    assert_true(slice_compare(text("b"), text("ab")) > 0);
    assert_true(slice_compare(text("\xff"), text("a")) > 0);
    assert_true(slice_compare(slice_of(NULL, 0), text("a")) < 0);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\303\244b",
    };
    static const char *const bad[] = {
        "\x80",         "\xc0\xaf",         "\xc1\xbf",         "\xc2",     "\xc2\x41",
        "\xe0\x9f\xbf", "\xed\xa0\x80",     "\xed\xbf\xbf",     "\xe2\x82", "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",     "ok\xfe",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(slice_is_utf8(text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_is_utf8(text(bad[i])));
}

static void test_numbers_have_one_spelling(void **state)
{
    (void)state;
    int64_t value = 7;
    assert_true(slice_to_int64(text("0"), &value));
    assert_int_equal(value, 0);
    assert_true(slice_to_int64(text("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(slice_to_int64(text("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    static const char *const bad[] = {
        "",
        "-",
        "+1",
        "-0",
        "00",
        "01",
        "-01",
        " 1",
        "1 ",
        "1x",
        "0x1",
        "1.0",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_to_int64(text(bad[i]), &value));
}

/* strtoll is the other opinion: same value, and the text is the one that printf makes of it. */
static void check_number(random_t *rng)
{
    static const char letters[] = "0123456789-+ x90";
    char word[24];
    size_t size = (size_t)random_below(rng, 22);
    for (size_t i = 0; i < size; i++)
        word[i] = letters[random_below(rng, i == 0 || random_chance(rng, 30000) ? 16 : 10)];
    word[size] = '\0';
    if (random_chance(rng, 300000))
        snprintf(word, sizeof word, "%" PRId64,
                 (int64_t)(random_u64(rng) >> random_below(rng, 64)));
    char *end;
    errno = 0;
    long long expected = strtoll(word, &end, 10);
    char again[24];
    snprintf(again, sizeof again, "%lld", expected);
    bool valid = errno == 0 && *end == '\0' && strcmp(again, word) == 0;
    int64_t value = 0;
    assert_int_equal(slice_to_int64(text(word), &value), valid);
    if (valid)
        assert_true(value == expected);
}

static void test_numbers_agree_with_strtoll(void **state)
{
    (void)state;
    property_run(check_number, 20000);
}

static void check_buffer(random_t *rng)
{
    uint8_t model[4096];
    size_t size = 0;
    buf_t buf;
    buf_init(&buf);
    for (int step = 0; step < 40; step++) {
        uint8_t piece[64];
        size_t count = (size_t)random_below(rng, sizeof piece + 1);
        property_fill(rng, piece, count);
        buf_append(&buf, piece, count);
        memcpy(model + size, piece, count);
        size += count;
        if (random_chance(rng, 50000)) {
            buf_reset(&buf);
            size = 0;
        }
        assert_int_equal(buf.size, size);
        assert_true(slice_equal(buf_slice(&buf), slice_of(model, size)));
    }
    buf_free(&buf);
    assert_null(buf.data);
}

static void test_buffer_holds_what_was_appended(void **state)
{
    (void)state;
    property_run(check_buffer, 200);
}

static void test_buffer_text(void **state)
{
    (void)state;
    buf_t buf = {0};
    assert_non_null(buf_reserve(&buf, 0));
    assert_string_equal(buf_text(&buf), "");
    buf_append_text(&buf, "a");
    buf_append_u8(&buf, 'b');
    buf_append_slice(&buf, text("cd"));
    buf_printf(&buf, "%s-%d", "", 12);
    buf_printf(&buf, "%s", "");
    assert_string_equal(buf_text(&buf), "abcd-12");
    assert_int_equal(buf.size, 7);
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%05d", i);
    assert_int_equal(buf.size, 507);
    assert_string_equal(buf_text(&buf) + 502, "00099");
    buf_free(&buf);
}

static void check_accessors(random_t *rng)
{
    uint64_t value = random_u64(rng);
    uint8_t bytes[11];
    uint8_t *at = bytes + random_below(rng, 3);
    be64_put(at, value);
    assert_true(be64_get(at) == value);
    assert_int_equal(at[0], value >> 56);
    assert_int_equal(at[7], value & 0xFF);
    be32_put(at, (uint32_t)value);
    assert_true(be32_get(at) == (uint32_t)value);
    assert_int_equal(at[0], value >> 24 & 0xFF);
    be16_put(at, (uint16_t)value);
    assert_int_equal(be16_get(at), value & 0xFFFF);
    assert_int_equal(at[0], value >> 8 & 0xFF);
}

static void test_accessors_are_big_endian(void **state)
{
    (void)state;
    property_run(check_accessors, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices_compare_bytewise),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_numbers_have_one_spelling),
        property_test(test_numbers_agree_with_strtoll),
        property_test(test_buffer_holds_what_was_appended),
        cmocka_unit_test(test_buffer_text),
        property_test(test_accessors_are_big_endian),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
