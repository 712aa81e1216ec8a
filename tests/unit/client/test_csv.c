#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client/tool/csv.h"

/* The first row of text, its fields with '|' between; *size as csv_take has it. */
static csv_result_t take(const char *text, bool is_last, buf_t *shown, size_t *size)
{
    words_t row = {0};

    *size = 0;
    buf_reset(shown);
    csv_result_t result = csv_take(slice_text(text), is_last, &row, size);
    for (size_t i = 0; result == CSV_ROW && i < row.count; i++) {
        if (i != 0)
            buf_append_u8(shown, '|');
        buf_append(shown, row.list[i].data, row.list[i].size);
    }
    words_free(&row);
    return result;
}

static void check_row(const char *text, bool is_last, const char *expected, size_t expected_size)
{
    buf_t shown = {0};
    size_t size;

    assert_int_equal(take(text, is_last, &shown, &size), CSV_ROW);
    assert_string_equal(buf_text(&shown), expected);
    assert_int_equal(size, expected_size);
    buf_free(&shown);
}

static void check_other(const char *text, bool is_last, csv_result_t expected, size_t expected_size)
{
    buf_t shown = {0};
    size_t size;

    assert_int_equal(take(text, is_last, &shown, &size), expected);
    if (expected == CSV_BAD)
        assert_int_equal(size, expected_size);
    buf_free(&shown);
}

static void test_rows(void **state)
{
    (void)state;
    check_row("a,b\nc", false, "a|b", 4);
    check_row("a,b\r\nc", false, "a|b", 5);
    check_row("a,b", true, "a|b", 3);
    check_row("\"a,\n\"\"b\"\"\",c\n", false, "a,\n\"b\"|c", 13);
    check_row(",,\n", false, "||", 3);
    check_row("\"\"\n", false, "", 3);
    check_row("\n", false, "", 1);
    check_row("\"a\"", true, "a", 3);
    check_row("a\rb,c\n", false, "a\rb|c", 6);
    check_row("it's 5\" long,b\n", false, "it's 5\" long|b", 15);
}

static void test_more(void **state)
{
    (void)state;
    check_other("a,b", false, CSV_MORE, 0);
    check_other("a,b\r", false, CSV_MORE, 0);
    check_other("\"a", false, CSV_MORE, 0);
    check_other("\"a\n", false, CSV_MORE, 0);
    check_other("\"a\"", false, CSV_MORE, 0);
    check_other("\"a\"x", false, CSV_MORE, 0);
}

static void test_bad(void **state)
{
    (void)state;
    check_other("\"a\"x,b\nc,d\n", false, CSV_BAD, 7);
    check_other("\"a\"x", true, CSV_BAD, 4);
    check_other("\"a\nb,c\n", true, CSV_BAD, 7);
}

/* Whatever is put can be taken. */
static void test_put(void **state)
{
    (void)state;
    static const char *const fields[] = {"", "a", "a,b", "\"", "a\nb", "\r\n", " a ", "\xFF"};
    enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };
    buf_t text = {0};
    words_t row = {0};
    size_t size;

    for (size_t i = 0; i < FIELDS; i++) {
        if (i != 0)
            buf_append_u8(&text, ',');
        csv_put(&text, slice_text(fields[i]));
    }
    buf_append_u8(&text, '\n');
    assert_int_equal(csv_take(buf_slice(&text), false, &row, &size), CSV_ROW);
    assert_int_equal(size, text.size);
    assert_int_equal(row.count, FIELDS);
    for (size_t i = 0; i < FIELDS; i++)
        assert_true(
            slice_equal(slice_of(row.list[i].data, row.list[i].size), slice_text(fields[i])));
    words_free(&row);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_more),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_put),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
