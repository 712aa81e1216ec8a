#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/mp.h"
#include "client/lib/reply.h"
#include "client/tool/output.h"

static buf_t value; /* msgpack, of the reply to be shown */
static buf_t shown;

static const char *show_as(output_style_t style, outcome_t outcome)
{
    const reply_head_t head = {
        .outcome = outcome, .replica = 2, .copies = 1, .sends = 3, .elapsed_us = 1234};
    hearsay_reply_t *reply = reply_new(&head, buf_slice(&value));

    buf_reset(&shown);
    output_reply(&shown, style, reply, "TOKEN");
    hearsay_reply_free(&reply);
    return buf_text(&shown);
}

static const char *show(output_style_t style)
{
    return show_as(style, OUTCOME_OK);
}

static int set_up(void **state)
{
    (void)state;
    buf_reset(&value);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&value);
    buf_free(&shown);
    return 0;
}

#define JSON_REST ",\"replica\":2,\"token\":\"TOKEN\",\"copies\":1,\"sends\":3,\"us\":1234}\n"

static void assert_shown(const char *bare, const char *terminal, const char *line, const char *json)
{
    assert_string_equal(show(OUTPUT_VALUE), bare);
    assert_string_equal(show(OUTPUT_TERMINAL), terminal);
    assert_string_equal(show(OUTPUT_LINE), line);
    buf_t whole = {0};
    buf_printf(&whole, "{\"ok\":true,\"value\":%s" JSON_REST, json);
    assert_string_equal(show(OUTPUT_JSON), buf_text(&whole));
    buf_free(&whole);
}

static void test_simple_values(void **state)
{
    (void)state;
    mp_put_nil(&value);
    assert_shown("(nil)\n", "(nil)\n", "(nil)\n", "null");
    buf_reset(&value);
    mp_put_bool(&value, true);
    assert_shown("OK\n", "OK\n", "OK\n", "true");
    buf_reset(&value);
    mp_put_int(&value, INT64_MIN);
    assert_shown("-9223372036854775808\n", "-9223372036854775808\n", "-9223372036854775808\n",
                 "-9223372036854775808");
}

static void test_text(void **state)
{
    (void)state;
    mp_put_bin(&value, slice_text("Zürich"));
    assert_shown("Zürich\n", "Zürich\n", "Zürich\n", "\"Zürich\"");
    buf_reset(&value);
    mp_put_bin(&value, slice_text(""));
    assert_shown("\n", "\n", "\"\"\n", "\"\"");
    buf_reset(&value);
    mp_put_bin(&value, slice_text("two\nlines"));
    assert_shown("two\nlines\n", "\"two\\nlines\"\n", "\"two\\nlines\"\n", "\"two\\nlines\"");
}

/* What a line of a pipe could be taken for must not be a value that looks like it. */
static void test_values_that_look_like_something_else(void **state)
{
    (void)state;
    mp_put_bin(&value, slice_text("(nil)"));
    assert_string_equal(show(OUTPUT_LINE), "\"(nil)\"\n");
    buf_reset(&value);
    mp_put_bin(&value, slice_text("ERROR LOST"));
    assert_string_equal(show(OUTPUT_LINE), "\"ERROR LOST\"\n");
    buf_reset(&value);
    mp_put_bin(&value, slice_text("\"x"));
    assert_string_equal(show(OUTPUT_LINE), "\"\\\"x\"\n");
}

/* Escape sequences of a terminal are never shown to it. */
static void test_a_terminal_is_not_harmed(void **state)
{
    (void)state;
    mp_put_bin(&value, slice_text("\033[2J"));
    assert_string_equal(show(OUTPUT_TERMINAL), "\"\\x1b[2J\"\n");
    buf_reset(&value);
    mp_put_map(&value, 1);
    mp_put_bin(&value, slice_text("a\033b"));
    mp_put_bin(&value, slice_text("\007"));
    assert_string_equal(show(OUTPUT_TERMINAL), "\"a\\x1bb\"\t\"\\x07\"\n");
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    mp_put_bin(&value, slice_of("\xff\x00z", 3));
    assert_string_equal(show(OUTPUT_TERMINAL), "\"\\xff\\x00z\"\n");
    assert_string_equal(show(OUTPUT_LINE), "\"\\xff\\x00z\"\n");
    show(OUTPUT_VALUE);
    assert_int_equal(shown.size, 4);
    assert_memory_equal(shown.data, "\xff\0z\n", 4);
    assert_string_equal(show(OUTPUT_JSON), "{\"ok\":true,\"value_b64\":\"/wB6\"" JSON_REST);
}

static void test_lists_and_maps(void **state)
{
    (void)state;
    mp_put_array(&value, 3);
    mp_put_bin(&value, slice_text("a b"));
    mp_put_nil(&value);
    mp_put_int(&value, 7);
    assert_shown("a b\n(nil)\n7\n", "a b\n(nil)\n7\n", "[\"a b\",null,7]\n", "[\"a b\",null,7]");
    buf_reset(&value);
    mp_put_map(&value, 2);
    mp_put_bin(&value, slice_text("name"));
    mp_put_bin(&value, slice_text("Ada"));
    mp_put_bin(&value, slice_text("n"));
    mp_put_int(&value, -1);
    assert_shown("name\tAda\nn\t-1\n", "name\tAda\nn\t-1\n", "{\"name\":\"Ada\",\"n\":-1}\n",
                 "{\"name\":\"Ada\",\"n\":-1}");
    buf_reset(&value);
    mp_put_array(&value, 0);
    assert_shown("", "(empty)\n", "[]\n", "[]");
}

/* A field's name that is no text is base64 with _b64 behind it, and so is its value. */
static void test_a_map_of_bytes(void **state)
{
    (void)state;
    mp_put_map(&value, 1);
    mp_put_bin(&value, slice_of("\xff", 1));
    mp_put_bin(&value, slice_text("v"));
    assert_string_equal(show(OUTPUT_LINE), "{\"/w==_b64\":\"v\"}\n");
}

static void test_errors(void **state)
{
    (void)state;
    mp_put_text(&value, "k holds a hash\nof fields");
    assert_string_equal(show_as(OUTPUT_VALUE, OUTCOME_WRONGTYPE),
                        "ERROR WRONGTYPE k holds a hash of fields\n");
    assert_string_equal(show_as(OUTPUT_JSON, OUTCOME_WRONGTYPE),
                        "{\"ok\":false,\"error\":{\"code\":\"WRONGTYPE\",\"message\":"
                        "\"k holds a hash of fields\"}" JSON_REST);
    buf_reset(&shown);
    output_error(&shown, OUTPUT_LINE, "USAGE", "what?", NULL);
    output_error(&shown, OUTPUT_JSON, "USAGE", "\"what\"?", NULL);
    output_error(&shown, OUTPUT_JSON, "USAGE", "what?", "seen");
    assert_string_equal(
        buf_text(&shown),
        "ERROR USAGE what?\n"
        "{\"ok\":false,\"error\":{\"code\":\"USAGE\",\"message\":\"\\\"what\\\"?\"},"
        "\"replica\":null,\"token\":null,\"copies\":0,\"sends\":0,\"us\":0}\n"
        "{\"ok\":false,\"error\":{\"code\":\"USAGE\",\"message\":\"what?\"},"
        "\"replica\":null,\"token\":\"seen\",\"copies\":0,\"sends\":0,\"us\":0}\n");
}

static void test_nobody_answered(void **state)
{
    (void)state;
    hearsay_reply_t *reply = reply_failure(OUTCOME_NOT_REACHED, "nobody");

    buf_reset(&shown);
    output_reply(&shown, OUTPUT_JSON, reply, "");
    hearsay_reply_free(&reply);
    assert_string_equal(buf_text(&shown),
                        "{\"ok\":false,\"error\":{\"code\":\"NOT_REACHED\",\"message\":\"nobody\"},"
                        "\"replica\":null,\"token\":\"\",\"copies\":0,\"sends\":0,\"us\":0}\n");
}

#define test(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_simple_values),
        test(test_text),
        test(test_values_that_look_like_something_else),
        test(test_a_terminal_is_not_harmed),
        test(test_bytes_that_are_no_text),
        test(test_lists_and_maps),
        test(test_a_map_of_bytes),
        test(test_errors),
        test(test_nobody_answered),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
