#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/cell.h"
#include "tests/unit/property.h"

/* Examples; test_store holds the laws, through the store. */

static mark_t mark_at(uint64_t clock)
{
    return (mark_t){{clock, 1, clock}, {100 + clock, 1}};
}

static void set(cell_t *cell, uint64_t clock, const char *text)
{
    mark_t mark = mark_at(clock);
    slice_t value = slice_text(text);
    cell_set(cell, &mark, &value);
}

static void clear_at(cell_t *cell, uint64_t clock)
{
    mark_t mark = mark_at(clock);
    cell_set(cell, &mark, NULL);
}

static void add(cell_t *cell, uint64_t clock, int64_t amount)
{
    mark_t mark = mark_at(clock);
    cell_add(cell, &mark, amount);
}

static void assert_text(const cell_t *cell, const char *text)
{
    cell_view_t view = cell_view(cell);
    assert_true(view.is_there && !view.is_number);
    assert_true(slice_equal(view.text, slice_text(text)));
}

static void assert_number(const cell_t *cell, int64_t number)
{
    cell_view_t view = cell_view(cell);
    assert_true(view.is_there && view.is_number);
    assert_true(view.number == number);
}

static void test_greatest_tag_wins(void **state)
{
    (void)state;
    cell_t cell = {0};
    assert_false(cell_view(&cell).is_there);
    set(&cell, 5, "five");
    set(&cell, 3, "three");
    assert_text(&cell, "five");
    clear_at(&cell, 4);
    assert_text(&cell, "five");
    clear_at(&cell, 6);
    assert_false(cell_view(&cell).is_there);
    set(&cell, 7, "");
    assert_text(&cell, "");
    cell_free(&cell);
    assert_false(cell_view(&cell).is_there);
}

static void test_increments(void **state)
{
    (void)state;
    cell_t cell = {0};
    add(&cell, 4, 10);
    assert_number(&cell, 10);
    add(&cell, 2, 1);
    add(&cell, 4, 10); /* a second copy */
    add(&cell, 2, 1);
    assert_number(&cell, 11);
    set(&cell, 3, "100"); /* takes the place of what is under it */
    assert_number(&cell, 110);
    add(&cell, 3, 7);
    add(&cell, 1, 7);
    assert_number(&cell, 110);
    set(&cell, 4, "5"); /* the same tag again: as if it were that increment */
    assert_number(&cell, 5);
    assert_true(slice_equal(cell_view(&cell).text, slice_text("5")));
    clear_at(&cell, 8);
    add(&cell, 9, -1);
    assert_number(&cell, -1);
    cell_free(&cell);
}

/* Increments count when a number comes under them, and wait while a text does. */
static void test_text_under_increments(void **state)
{
    (void)state;
    cell_t cell = {0};
    add(&cell, 9, 2);
    set(&cell, 3, "text");
    assert_text(&cell, "text");
    set(&cell, 5, "40");
    assert_number(&cell, 42);
    set(&cell, 6, "007"); /* no spelling of a number */
    assert_text(&cell, "007");
    cell_free(&cell);
}

static void test_wraps(void **state)
{
    (void)state;
    cell_t cell = {0};
    set(&cell, 1, "9223372036854775807");
    add(&cell, 2, 1);
    assert_number(&cell, INT64_MIN);
    add(&cell, 3, INT64_MIN);
    assert_number(&cell, 0);
    cell_free(&cell);
}

static void test_prune(void **state)
{
    (void)state;
    cell_t cell = {0};
    set(&cell, 2, "10");
    add(&cell, 4, 1);
    add(&cell, 6, 5);
    assert_int_equal(tag_compare(cell_top(&cell), mark_at(6).tag), 0);
    assert_false(cell_prune(&cell, mark_at(1).tag));
    assert_number(&cell, 16);
    assert_false(cell_prune(&cell, mark_at(4).tag));
    assert_number(&cell, 5);
    assert_true(cell_prune(&cell, mark_at(6).tag));
    assert_false(cell_view(&cell).is_there);
    cell_free(&cell);
}

static void test_see(void **state)
{
    (void)state;
    cell_t cell = {0};
    seen_t seen = {0};
    mark_t kill = mark_at(1);
    mark_t none = {0};
    add(&cell, 4, 1);
    cell_see(&cell, &kill, &seen); /* no base: what stands in for it */
    assert_int_equal(vec_get(&seen.dots, 101), 1);
    assert_int_equal(vec_get(&seen.dots, 104), 1);
    assert_true(seen.base == 1 && seen.any == 4);

    seen_reset(&seen);
    cell_see(&cell, &none, &seen);
    assert_int_equal(seen.dots.size, 1);
    assert_true(seen.base == 0 && seen.any == 4);

    seen_reset(&seen);
    set(&cell, 2, "x");
    cell_see(&cell, &kill, &seen); /* the base is enough: it is above the kill */
    assert_int_equal(vec_get(&seen.dots, 101), 0);
    assert_int_equal(vec_get(&seen.dots, 102), 1);
    assert_true(seen.base == 2 && seen.any == 4);
    seen_free(&seen);
    cell_free(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greatest_tag_wins),
        cmocka_unit_test(test_increments),
        cmocka_unit_test(test_text_under_increments),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_see),
    };
    return cmocka_run_group_tests_name("cell", tests, NULL, NULL);
}
