#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "client/tool/rows.h"

/*
 * What a file gives, fed in pieces of that many bytes: "LINE-END word word ...;" for each row,
 * "LINE!;" for a bad one, and the reason when it is broken.
 */
static void read_file(rows_format_t format, const char *file, size_t piece, buf_t *shown)
{
    rows_t *rows = rows_new(format, "id", "p:");
    slice_t left = slice_text(file);
    row_t row;
    err_t err;
    rows_result_t result;

    buf_reset(shown);
    while ((result = rows_next(rows, &row, &err)) != ROWS_DONE && result != ROWS_BROKEN) {
        if (result == ROWS_MORE) {
            size_t size = left.size < piece ? left.size : piece;
            rows_feed(rows, slice_of(left.data, size));
            left = slice_of(left.data + size, left.size - size);
            if (left.size == 0)
                rows_end(rows);
            continue;
        }
        buf_printf(shown, "%" PRIu64 "%s", row.line, result == ROWS_BAD ? "!" : "");
        if (result == ROWS_ROW)
            buf_printf(shown, "-%" PRIu64, row.end);
        for (size_t i = 0; result == ROWS_ROW && i < row.words->count; i++) {
            buf_append_u8(shown, ' ');
            buf_append(shown, row.words->list[i].data, row.words->list[i].size);
        }
        buf_append_u8(shown, ';');
    }
    if (result == ROWS_BROKEN)
        buf_append_text(shown, err.text);
    rows_destroy(&rows);
}

/* In whatever pieces it comes. */
static void check(rows_format_t format, const char *file, const char *expected)
{
    buf_t shown = {0};

    for (size_t piece = 1; piece < 40; piece++) {
        read_file(format, file, piece, &shown);
        assert_string_equal(buf_text(&shown), expected);
    }
    buf_free(&shown);
}

static void test_csv(void **state)
{
    (void)state;
    check(ROWS_CSV, "id,a,b\n1,x,y\n2,,\"z\nz\"\n\n3,u,v",
          "2-13 hset p:1 a x b y;3-22 hset p:2 a  b z\nz;6-28 hset p:3 a u b v;");
    check(ROWS_CSV,
          "\xEF\xBB\xBF"
          "a,id\r\nx,1\r\n",
          "2-14 hset p:1 a x;");
    check(ROWS_CSV, "id,a\n1\n,x\n2,y,z\n\"3\"3,x\n4,x\n", "2!;3!;4!;5!;6-27 hset p:4 a x;");
    check(ROWS_CSV, "id\n1\n", "2!;");
    check(ROWS_CSV, "id,a\n", "");
    check(ROWS_CSV, "", "");
    check(ROWS_CSV, "id,a\n1,\"open\n2,x\n", "2!;");
}

static void test_csv_header(void **state)
{
    (void)state;
    check(ROWS_CSV, "a,b\n1,2\n",
          "no field is named \"id\" in the first row: say with --key-field which one is the key");
    check(ROWS_CSV, "id,a,a\n1,2,3\n", "fields 2 and 3 have one name");
    check(ROWS_CSV, "id,,a\n1,2,3\n", "field 2 has no name in the first row");
    check(ROWS_CSV, "id,\"a\"b\n1,2\n", "its quotes are wrong");
}

static void test_jsonl(void **state)
{
    (void)state;
    check(ROWS_JSONL,
          "{\"id\":\"1\",\"a\":\"x\\ny\",\"n\":-5,\"t\":true,\"z\":null}\n\n"
          "{\"a\":1.5,\"id\":7}",
          "1-47 hset p:1 a x\ny n -5 t true;3-64 hset p:7 a 1.5;");
    check(ROWS_JSONL,
          "{\"a\":1}\n[1]\nnonsense\n{\"id\":1,\"a\":[]}\n{\"id\":1,\"a\":1,\"a\":2}\n"
          "{\"id\":2}\n{\"id\":3,\"a\":\"\"}\n",
          "1!;2!;3!;4!;5!;6!;7-83 hset p:3 a ;");
}

static void test_too_long(void **state)
{
    (void)state;
    rows_t *rows = rows_new(ROWS_CSV, "id", "");
    static char piece[1024 * 1024];
    row_t row;
    err_t err;

    memset(piece, 'x', sizeof(piece));
    rows_feed(rows, slice_text("id,a\n1,\""));
    assert_int_equal(rows_next(rows, &row, &err), ROWS_MORE);
    for (int i = 0; i < ROWS_ROW_MAX / (int)sizeof(piece); i++)
        rows_feed(rows, slice_of(piece, sizeof(piece)));
    assert_int_equal(rows_next(rows, &row, &err), ROWS_BROKEN);
    assert_int_equal(row.line, 2);
    assert_non_null(strstr(err.text, "is a quote not closed?"));
    rows_destroy(&rows);
    rows_destroy(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_header),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
