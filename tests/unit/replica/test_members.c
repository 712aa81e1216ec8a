#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/members.h"
#include "tests/unit/property.h"

static vec_t vec_one(uint64_t incarnation, uint64_t count)
{
    vec_t v = {0};
    vec_raise(&v, incarnation, count);
    return v;
}

static void add(members_t *members, uint16_t id, uint64_t incarnation, hlc_t stamp,
                peer_member_state_t state)
{
    const peer_member_t row = {id, incarnation, stamp, (uint8_t)state};
    members_merge(members, &row);
}

static uint64_t view_of(const members_t *members)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(members, &count);
    return members_view(rows, count);
}

static void say(members_t *members, uint16_t id, uint64_t incarnation, uint64_t count, hlc_t floor)
{
    vec_t v = vec_one(7, count);
    members_round(members, id, incarnation, &v, floor, view_of(members));
    vec_free(&v);
}

/* Whatever the order in which rows come, and however often: the same in the end. */
static void check_merge(random_t *rng)
{
    enum { ROWS = 12 };
    peer_member_t rows[ROWS];
    members_t *a = members_new();
    members_t *b = members_new();
    for (int i = 0; i < ROWS; i++)
        rows[i] =
            (peer_member_t){(uint16_t)random_below(rng, 3), 1 + random_below(rng, 3),
                            random_below(rng, 4), (uint8_t)(MEMBER_IN + random_below(rng, 3))};
    for (int i = 0; i < ROWS; i++)
        members_merge(a, &rows[i]);
    for (int i = 0; i < 8 * ROWS; i++)
        members_merge(b, &rows[random_below(rng, ROWS)]);
    for (int i = ROWS; i-- > 0;)
        members_merge(b, &rows[i]);
    assert_true(view_of(a) == view_of(b));
    assert_int_equal(members_count(a), members_count(b));
    for (int i = 0; i < ROWS; i++)
        assert_false(members_merge(a, &rows[i])); /* nothing is news any more */
    members_destroy(&a);
    members_destroy(&b);
}

static void test_merge(void **state)
{
    (void)state;
    property_run(check_merge, 2000);
}

static void test_round_counts_once_it_is_covered(void **state)
{
    (void)state;
    members_t *members = members_new();
    vec_t applied = vec_one(7, 5);
    vec_t known = {0};
    add(members, 0, 10, 1, MEMBER_IN);
    add(members, 1, 20, 1, MEMBER_IN);
    say(members, 0, 10, 5, 100);
    say(members, 1, 20, 6, 90); /* it has one that is not here yet */
    assert_true(members_count_rounds(members, &applied));
    assert_true(members_horizon(members) == 0);
    assert_int_equal(members_last(members)->id, 1);
    members_known(members, &known);
    assert_int_equal(known.size, 0);
    vec_raise(&applied, 7, 6);
    assert_true(members_count_rounds(members, &applied));
    assert_false(members_count_rounds(members, &applied));
    assert_true(members_horizon(members) == 90);
    members_known(members, &known);
    assert_true(vec_get(&known, 7) == 5);
    vec_free(&applied);
    vec_free(&known);
    members_destroy(&members);
}

static void test_another_incarnation_starts_anew(void **state)
{
    (void)state;
    members_t *members = members_new();
    vec_t applied = vec_one(7, 5);
    add(members, 0, 10, 1, MEMBER_IN);
    add(members, 1, 20, 1, MEMBER_IN);
    say(members, 0, 10, 5, 100);
    say(members, 1, 20, 5, 100);
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 100);
    add(members, 1, 21, 2, MEMBER_IN);
    assert_true(members_horizon(members) == 0);
    say(members, 1, 20, 5, 200); /* of the one that is over: void */
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 0);
    /* Member 0 must have heard of the new incarnation before its floor counts. */
    say(members, 1, 21, 5, 200);
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 0);
    say(members, 0, 10, 5, 150);
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 150);
    vec_free(&applied);
    members_destroy(&members);
}

static void test_who_has_left_does_not_count(void **state)
{
    (void)state;
    members_t *members = members_new();
    vec_t applied = vec_one(7, 5);
    vec_t known = {0};
    add(members, 0, 10, 1, MEMBER_IN);
    add(members, 1, 20, 1, MEMBER_IN);
    say(members, 0, 10, 5, 100);
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 0);
    add(members, 1, 20, 2, MEMBER_LEFT_BEHIND);
    assert_int_equal(members_count(members), 1);
    assert_false(members_has(members, 1, 20));
    assert_true(members_horizon(members) == 0); /* member 0 does not know it yet */
    say(members, 0, 10, 5, 120);
    members_count_rounds(members, &applied);
    assert_true(members_horizon(members) == 120);
    members_known(members, &known);
    assert_true(vec_get(&known, 7) == 5);
    /* Of equal stamps who left has left. */
    add(members, 1, 20, 2, MEMBER_IN);
    assert_false(members_has(members, 1, 20));
    add(members, 1, 21, 3, MEMBER_IN);
    assert_true(members_has(members, 1, 21));
    vec_free(&applied);
    vec_free(&known);
    members_destroy(&members);
}

/* Who left, came back and left again has not left as before, though its incarnation is the same. */
static void test_leaving_twice(void **state)
{
    (void)state;
    members_t *members = members_new();
    add(members, 0, 10, 1, MEMBER_IN);
    add(members, 1, 11, 1, MEMBER_IN);
    uint64_t all_in = view_of(members);
    assert_int_equal(members_of(members, 11)->id, 1);
    assert_null(members_of(members, 12));
    add(members, 1, 11, 2, MEMBER_LEFT_BEHIND);
    uint64_t left = view_of(members);
    assert_int_equal(members_of(members, 11)->state, MEMBER_LEFT_BEHIND);
    add(members, 1, 11, 3, MEMBER_IN);
    add(members, 1, 11, 4, MEMBER_LEFT_BEHIND);
    assert_true(view_of(members) != left && left != all_in);
    add(members, 1, 12, 5, MEMBER_IN);
    assert_null(members_of(members, 11));
    assert_int_equal(members_of(members, 12)->id, 1);
    members_destroy(&members);
}

static void test_full(void **state)
{
    (void)state;
    members_t *members = members_new();
    uint32_t count;
    for (uint32_t id = 0; id < MEMBERS_MAX + 10; id++)
        add(members, (uint16_t)id, 1, 1, MEMBER_IN);
    members_rows(members, &count);
    assert_int_equal(count, MEMBERS_MAX);
    members_destroy(&members);
    members_destroy(&members); /* of none: nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_merge),
        cmocka_unit_test(test_round_counts_once_it_is_covered),
        cmocka_unit_test(test_another_incarnation_starts_anew),
        cmocka_unit_test(test_who_has_left_does_not_count),
        cmocka_unit_test(test_leaving_twice),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
