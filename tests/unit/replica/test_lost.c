#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/lost.h"

static bool has(const lost_t *lost, uint64_t incarnation, uint64_t count)
{
    vec_part_t found = {0};
    vec_t token = {0};
    vec_raise(&token, 5, 100);
    vec_raise(&token, incarnation, count);
    bool is_found = lost_find(lost, &token, &found);
    if (is_found)
        assert_true(found.incarnation == incarnation && found.count == count);
    vec_free(&token);
    return is_found;
}

/* From the first update that was lost to the last one; what came before and comes after counts. */
static void test_span(void **state)
{
    (void)state;
    lost_t lost = {0};
    assert_false(has(&lost, 7, 1));
    for (uint64_t n = 3; n <= 5; n++)
        lost_add(&lost, (vec_part_t){7, n});
    lost_add(&lost, (vec_part_t){9, 1});
    assert_false(has(&lost, 7, 2));
    assert_true(has(&lost, 7, 3));
    assert_true(has(&lost, 7, 5));
    assert_false(has(&lost, 7, 6));
    assert_true(has(&lost, 9, 1));
    lost_t copy = {0};
    lost_copy(&copy, &lost);
    lost_add(&lost, (vec_part_t){7, 9}); /* it had left again */
    assert_false(has(&lost, 7, 5));
    assert_true(has(&lost, 7, 9));
    assert_true(has(&copy, 7, 5));
    lost_free(&copy);
    lost_free(&lost);
}

static void test_take_out(void **state)
{
    (void)state;
    lost_t lost = {0};
    vec_t token = {0};
    vec_part_t part;
    for (uint64_t n = 3; n <= 5; n++)
        lost_add(&lost, (vec_part_t){7, n});
    lost_add(&lost, (vec_part_t){9, 1});
    vec_raise(&token, 7, 4);
    vec_raise(&token, 8, 4);
    vec_raise(&token, 9, 1);
    lost_take_out(&lost, &token);
    assert_false(lost_find(&lost, &token, &part));
    assert_int_equal(token.size, 2);
    assert_true(vec_get(&token, 7) == 2 && vec_get(&token, 8) == 4);
    vec_set(&token, 7, 6);
    lost_take_out(&lost, &token);
    assert_true(vec_get(&token, 7) == 6);
    vec_free(&token);
    lost_free(&lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_take_out),
    };
    return cmocka_run_group_tests_name("lost", tests, NULL, NULL);
}
