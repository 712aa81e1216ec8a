#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/tool/words.h"
#include "tests/unit/property.h"

/* Parses a line and puts its words in brackets, the bytes as they are; or "error". */
static const char *parsed(const char *line, size_t size)
{
    static buf_t out;
    words_t words = {0};
    err_t err = {0};

    buf_free(&out);
    if (words_parse(&words, slice_of(line, size), &err) != 0) {
        assert_int_equal(err.outcome, OUTCOME_USAGE);
        buf_append_text(&out, "error: ");
        buf_append_text(&out, err.text);
    } else {
        for (size_t i = 0; i < words.count; i++) {
            buf_append_u8(&out, '[');
            buf_append(&out, words.list[i].data, words.list[i].size);
            buf_append_u8(&out, ']');
        }
    }
    words_free(&words);
    return buf_text(&out);
}

#define assert_words(line, expected) assert_string_equal(parsed(line, sizeof(line) - 1), expected)

static void test_words_stand_between_blanks(void **state)
{
    (void)state;
    assert_words("", "");
    assert_words(" \t \r", "");
    assert_words("get k", "[get][k]");
    assert_words("  set\tk  v\r", "[set][k][v]");
    assert_words("get Zürich", "[get][Zürich]");
    assert_words("a\\nb", "[a\\nb]"); /* a backslash means something in quotes alone */
}

static void test_quotes_hold_blanks_and_escapes(void **state)
{
    (void)state;
    assert_words("set k \"hello world\"", "[set][k][hello world]");
    assert_words("\"\" \"\"", "[][]");
    assert_words("a\"b c\"d", "[ab cd]");
    assert_words("\"a\"\"b\"", "[ab]");
    assert_words("\"\\\"\\\\\\n\\r\\t\"", "[\"\\\n\r\t]");
    assert_words("\"\\x41\\x7a\\xfF\"", "[Az\xff]");
    assert_words("\"\\x4a4\"", "[J4]");
}

static void test_a_zero_byte_is_a_byte(void **state)
{
    (void)state;
    words_t words = {0};

    assert_int_equal(words_parse(&words, slice_text("\"a\\x00b\""), NULL), 0);
    assert_int_equal(words.count, 1);
    assert_int_equal(words.list[0].size, 3);
    assert_memory_equal(words.list[0].data, "a\0b", 3);
    words_free(&words);
}

static void test_wrong_quotes_are_said(void **state)
{
    (void)state;
    static const char open[] = "error: a quote is not closed: \" is missing";
    static const char escape[] = "error: what follows \\ in quotes is one of \" \\ n r t xHH";

    assert_words("get \"k", open);
    assert_words("\"", open);
    assert_words("a\"b", open);
    assert_words("\"a\\\"", open);
    assert_words("\"\\q\"", escape);
    assert_words("\"\\", escape);
    assert_words("\"\\x\"", escape);
    assert_words("\"\\x4\"", escape);
    assert_words("\"\\x4g\"", escape);
    assert_words("\"\\x4", escape);
}

static void test_words_are_used_again(void **state)
{
    (void)state;
    words_t words = {0};

    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            words_parse(&words, slice_text("a b c d e f g h i j k l m n o p q r"), NULL), 0);
        assert_int_equal(words.count, 18);
        assert_int_equal(words_parse(&words, slice_text("\"open"), NULL), -1);
        assert_int_equal(words_parse(&words, slice_text("x"), NULL), 0);
        assert_int_equal(words.count, 1);
    }
    words_free(&words);
}

static void test_no_command(void **state)
{
    (void)state;
    assert_true(words_is_empty(slice_text("")));
    assert_true(words_is_empty(slice_text(" \t\r")));
    assert_true(words_is_empty(slice_text("  # set k v")));
    assert_false(words_is_empty(slice_text("get #")));
    assert_false(words_is_empty(slice_text("\"\"")));
}

static void test_quoted(void **state)
{
    (void)state;
    buf_t out = {0};

    words_put_quoted(&out, slice_of("Z\xc3\xbc\"\\\n\r\t\x01\x7f", 10));
    assert_string_equal(buf_text(&out), "\"Zü\\\"\\\\\\n\\r\\t\\x01\\x7f\"");
    buf_reset(&out);
    words_put_quoted(&out, slice_of("Z\xc3\xbc\xff", 4));
    assert_string_equal(buf_text(&out), "\"Z\\xc3\\xbc\\xff\"");
    buf_free(&out);
}

/* Any bytes at all come back from their quotes as one word, and from one line. */
static void check_round_trip(random_t *rng)
{
    uint8_t bytes[64];
    size_t size = random_below(rng, sizeof(bytes));
    words_t words = {0};
    buf_t line = {0};

    property_fill(rng, bytes, size);
    words_put_quoted(&line, slice_of(bytes, size));
    for (size_t i = 0; i < line.size; i++)
        assert_true(line.data[i] >= ' ');
    assert_int_equal(words_parse(&words, buf_slice(&line), NULL), 0);
    assert_int_equal(words.count, 1);
    assert_int_equal(words.list[0].size, size);
    assert_memory_equal(words.list[0].data, bytes, size);
    words_free(&words);
    buf_free(&line);
}

static void test_round_trip(void **state)
{
    (void)state;
    property_run(check_round_trip, 2000);
}

/* Random lines of what matters to the parser are words or an error, never longer than the line. */
static void check_any_line(random_t *rng)
{
    static const char letters[] = "\"\"\\\\xnrt09afG# \t\r";
    uint8_t line[40];
    size_t size = random_below(rng, sizeof(line));
    size_t all = 0;
    words_t words = {0};

    for (size_t i = 0; i < size; i++)
        line[i] = (uint8_t)letters[random_below(rng, sizeof(letters) - 1)];
    if (words_parse(&words, slice_of(line, size), NULL) == 0)
        for (size_t i = 0; i < words.count; i++)
            all += words.list[i].size;
    assert_true(all <= size);
    words_free(&words);
}

static void test_any_line(void **state)
{
    (void)state;
    property_run(check_any_line, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_stand_between_blanks),
        cmocka_unit_test(test_quotes_hold_blanks_and_escapes),
        cmocka_unit_test(test_a_zero_byte_is_a_byte),
        cmocka_unit_test(test_wrong_quotes_are_said),
        cmocka_unit_test(test_words_are_used_again),
        cmocka_unit_test(test_no_command),
        cmocka_unit_test(test_quoted),
        property_test(test_round_trip),
        property_test(test_any_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
