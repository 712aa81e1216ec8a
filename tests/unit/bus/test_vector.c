#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/base/vector.h"
#include "tests/unit/property.h"

/* Few incarnations and small counts, so that parts coincide often. */
static void draw(random_t *rng, vec_t *out)
{
    vec_reset(out);
    uint64_t parts = random_below(rng, 7);
    for (uint64_t i = 0; i < parts; i++)
        vec_raise(out, random_below(rng, 6) * 1000, random_below(rng, 4));
}

static void assert_well_formed(const vec_t *vec)
{
    for (uint32_t i = 0; i < vec->size; i++) {
        assert_true(vec->parts[i].count > 0);
        if (i > 0)
            assert_true(vec->parts[i - 1].incarnation < vec->parts[i].incarnation);
    }
}

static void check_merge(random_t *rng)
{
    vec_t a = {0}, b = {0}, c = {0}, left = {0}, right = {0};
    draw(rng, &a);
    draw(rng, &b);
    draw(rng, &c);

    vec_copy(&left, &a); /* commutative */
    bool changed = vec_merge(&left, &b);
    assert_int_equal(changed, !vec_equal(&left, &a));
    vec_copy(&right, &b);
    vec_merge(&right, &a);
    assert_true(vec_equal(&left, &right));
    assert_well_formed(&left);

    assert_true(vec_covers(&left, &a)); /* an upper bound, and the least one */
    assert_true(vec_covers(&left, &b));
    if (vec_covers(&c, &a) && vec_covers(&c, &b))
        assert_true(vec_covers(&c, &left));

    vec_merge(&left, &c); /* associative */
    vec_copy(&right, &b);
    vec_merge(&right, &c);
    vec_merge(&right, &a);
    assert_true(vec_equal(&left, &right));

    assert_false(vec_merge(&left, &left)); /* idempotent, also with itself */
    assert_false(vec_merge(&left, &b));
    vec_free(&a);
    vec_free(&b);
    vec_free(&c);
    vec_free(&left);
    vec_free(&right);
}

static void check_order(random_t *rng)
{
    vec_t a = {0}, b = {0}, c = {0};
    draw(rng, &a);
    draw(rng, &b);
    draw(rng, &c);
    if (random_chance(rng, 300000))
        vec_merge(&b, &a);
    if (random_chance(rng, 300000))
        vec_merge(&c, &b);
    assert_true(vec_covers(&a, &a));
    if (vec_covers(&a, &b) && vec_covers(&b, &a))
        assert_true(vec_equal(&a, &b));
    if (vec_covers(&c, &b) && vec_covers(&b, &a))
        assert_true(vec_covers(&c, &a));

    uint64_t lag = 0; /* and covers and lag part by part */
    bool covers = true;
    for (uint64_t id = 0; id < 6000; id += 1000) {
        uint64_t have = vec_get(&a, id);
        uint64_t want = vec_get(&b, id);
        covers &= have >= want;
        lag += want > have ? want - have : 0;
    }
    assert_int_equal(vec_covers(&a, &b), covers);
    assert_int_equal(vec_lag(&a, &b), lag);
    vec_t rest = {0};
    vec_copy(&rest, &b);
    vec_leave_out(&rest, &a);
    vec_walk_t walk = {0};
    vec_part_t above;
    uint32_t parts = 0;
    for (; vec_next_above(&a, &b, &walk, &above); parts++) {
        assert_true(parts < rest.size && rest.parts[parts].incarnation == above.incarnation);
        assert_true(rest.parts[parts].count == above.count);
        assert_true(vec_get(&a, above.incarnation) < above.count);
    }
    assert_int_equal(parts, rest.size);
    assert_int_equal(parts == 0, covers);
    vec_free(&rest);
    vec_part_t lacking = {0};
    assert_int_equal(vec_covers_or(&a, &b, &lacking), covers);
    if (!covers) {
        assert_int_equal(lacking.count, vec_get(&b, lacking.incarnation));
        assert_true(vec_get(&a, lacking.incarnation) < lacking.count);
    }
    vec_free(&a);
    vec_free(&b);
    vec_free(&c);
}

static void check_parts(random_t *rng)
{
    uint64_t model[32] = {0};
    vec_t vec = {0};
    for (int step = 0; step < 100; step++) {
        uint64_t at = random_below(rng, 32);
        uint64_t count = random_below(rng, 5);
        if (random_chance(rng, 500000)) {
            assert_int_equal(vec_raise(&vec, at, count), count > model[at]);
            model[at] = count > model[at] ? count : model[at];
        } else {
            vec_set(&vec, at, count);
            model[at] = count;
        }
        assert_well_formed(&vec);
    }
    for (uint64_t i = 0; i < 32; i++)
        assert_int_equal(vec_get(&vec, i), model[i]);
    vec_t copy = {0};
    vec_copy(&copy, &vec);
    vec_copy(&copy, &copy);
    assert_true(vec_equal(&copy, &vec));
    vec_reset(&vec);
    assert_int_equal(vec.size, 0);
    assert_true(vec_covers(&copy, &vec));
    vec_free(&vec);
    vec_free(&copy);
}

static void test_merge_is_the_least_upper_bound(void **state)
{
    (void)state;
    property_run(check_merge, 5000);
}

static void test_covers_is_a_partial_order(void **state)
{
    (void)state;
    property_run(check_order, 5000);
}

static void test_nodes_are_no_incarnations(void **state)
{
    (void)state;
    vec_t token = {0}, seen = {0};
    assert_true(vec_node(0) > VEC_INCARNATION_MAX);
    assert_true(vec_node(UINT16_MAX) == UINT64_MAX);
    vec_drop_nodes(&token);
    vec_raise(&token, vec_node(UINT16_MAX), 7);
    vec_raise(&token, VEC_INCARNATION_MAX, 5);
    vec_raise(&token, vec_node(0), 6);
    vec_raise(&seen, VEC_INCARNATION_MAX, 5);
    vec_drop_nodes(&token);
    assert_true(vec_equal(&token, &seen));
    vec_free(&token);
    vec_free(&seen);
}

static void test_parts_are_as_set_and_raised(void **state)
{
    (void)state;
    property_run(check_parts, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_merge_is_the_least_upper_bound),
        property_test(test_covers_is_a_partial_order),
        property_test(test_parts_are_as_set_and_raised),
        cmocka_unit_test(test_nodes_are_no_incarnations),
    };
    return cmocka_run_group_tests_name("vector", tests, NULL, NULL);
}
