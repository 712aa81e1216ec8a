#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/base/json.h"
#include "bus/base/random.h"
#include "tests/unit/property.h"

static void assert_output(buf_t *out, const char *expected)
{
    assert_string_equal(buf_text(out), expected);
    buf_free(out);
}

static void test_commas_and_nesting(void **state)
{
    (void)state;
    buf_t out = {0};
    json_t json = json_open(&out);
    assert_false(json_done(&json));
    json_object(&json, NULL);
    json_int(&json, "a", INT64_MIN);
    json_uint(&json, "b", UINT64_MAX);
    json_hex64(&json, "c", 0xA1);
    json_array(&json, "list");
    json_array(&json, NULL);
    json_end(&json);
    json_null(&json, NULL);
    json_object(&json, NULL);
    json_end(&json);
    json_bool(&json, NULL, true);
    json_end(&json);
    json_bool(&json, "no", false);
    json_null(&json, "none");
    assert_false(json_done(&json));
    json_end(&json);
    assert_true(json_done(&json));
    assert_output(
        &out, "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":\"00000000000000a1\","
              "\"list\":[[],null,{},true],\"no\":false,\"none\":null}");
}

static void test_depth_up_to_the_limit(void **state)
{
    (void)state;
    buf_t out = {0};
    json_t json = json_open(&out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_array(&json, NULL);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_end(&json);
    assert_true(json_done(&json));
    assert_output(&out, "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
}

static void test_escapes(void **state)
{
    (void)state;
    buf_t out = {0};
    json_t json = json_open(&out);
    json_array(&json, NULL);
    json_text(&json, NULL, "a\"b\\c/d");
    json_text(&json, NULL, "\b\t\n\v\f\r\x1b\x7f");
    json_text(&json, NULL, "\xc3\xa4 \xf0\x9f\x98\x80 \xc2\x85");
    json_string(&json, NULL, slice_of("\0", 1));
    json_string(&json, NULL, slice_of(NULL, 0));
    json_text(&json, NULL, "x\xffy\xe2\x82");
    json_end(&json);
    assert_output(&out, "[\"a\\\"b\\\\c/d\",\"\\b\\t\\n\\u000b\\f\\r\\u001b\\u007f\","
                        "\"\xc3\xa4 \xf0\x9f\x98\x80 \\u0085\",\"\\u0000\",\"\","
                        "\"x\\ufffdy\\ufffd\\ufffd\"]");
}

static void test_bytes_without_loss(void **state)
{
    (void)state;
    buf_t out = {0};
    json_t json = json_open(&out);
    json_object(&json, NULL);
    json_bytes(&json, "value", slice_text("text"));
    json_bytes(&json, "value", slice_text("\xff\xfe"));
    json_array(&json, "values");
    json_bytes(&json, NULL, slice_text("a"));
    json_bytes(&json, NULL, slice_text("\xff"));
    json_end(&json);
    json_end(&json);
    assert_output(&out, "{\"value\":\"text\",\"value_b64\":\"//4=\","
                        "\"values\":[\"a\",{\"value_b64\":\"/w==\"}]}");
}

static void test_doubles(void **state)
{
    (void)state;
    volatile double zero = 0;
    buf_t out = {0};
    json_t json = json_open(&out);
    json_array(&json, NULL);
    json_double(&json, NULL, 0.25);
    json_double(&json, NULL, -3);
    json_double(&json, NULL, 1e300);
    json_double(&json, NULL, 1 / zero);
    json_double(&json, NULL, zero / zero);
    json_end(&json);
    assert_output(&out, "[0.25,-3,1e+300,null,null]");
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        /* RFC 4648, section 10 */
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        buf_t out = {0};
        base64_append(&out, slice_text(vectors[i][0]));
        assert_output(&out, vectors[i][1]);
    }
}

/*
 * Whatever the bytes, a string is UTF-8 without control characters and ends at its one bare quote.
 */
static void check_string(random_t *rng)
{
    uint8_t data[40];
    size_t size = (size_t)random_below(rng, sizeof data);
    property_fill(rng, data, size);
    buf_t out = {0};
    json_t json = json_open(&out);
    json_string(&json, NULL, slice_of(data, size));
    assert_true(json_done(&json));
    assert_true(slice_is_utf8(buf_slice(&out)));
    size_t at = 1;
    for (; out.data[at] != '"'; at++) {
        assert_true(out.data[at] >= 0x20);
        if (out.data[at] != '\\')
            continue;
        at++;
        assert_non_null(memchr("\"\\bfnrtu", out.data[at], 8));
        if (out.data[at] == 'u')
            for (int i = 0; i < 4; i++)
                assert_non_null(memchr("0123456789abcdef", out.data[++at], 16));
    }
    assert_int_equal(at, out.size - 1);
    buf_free(&out);
}

static void test_any_bytes_make_a_valid_string(void **state)
{
    (void)state;
    property_run(check_string, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_and_nesting),
        cmocka_unit_test(test_depth_up_to_the_limit),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_bytes_without_loss),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_base64),
        property_test(test_any_bytes_make_a_valid_string),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
