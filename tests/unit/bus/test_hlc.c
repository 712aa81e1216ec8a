#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/base/hlc.h"
#include "tests/unit/property.h"

static void test_milliseconds_and_counter(void **state)
{
    (void)state;
    assert_true(hlc_at(0) == 0);
    assert_true(hlc_at(-5) == 0);
    assert_true(hlc_at(1) == 65536);
    assert_int_equal(hlc_ms(hlc_at(1769862896789)), 1769862896789);
    assert_int_equal(hlc_ms(hlc_at(10) + 65535), 10);
    assert_int_equal(hlc_ms(hlc_at(10) + 65536), 11);
    assert_int_equal(hlc_ms(hlc_at((INT64_C(1) << 48) - 1)), (INT64_C(1) << 48) - 1);
}

static void test_adding_stops_at_zero(void **state)
{
    (void)state;
    assert_true(hlc_add_ms(hlc_at(10) + 3, 5) == hlc_at(15) + 3);
    assert_true(hlc_add_ms(hlc_at(10) + 3, -5) == hlc_at(5) + 3);
    assert_true(hlc_add_ms(hlc_at(10), -10) == 0);
    assert_true(hlc_add_ms(hlc_at(10), -11) == 0);
    assert_true(hlc_max(3, 4) == 4);
    assert_true(hlc_max(4, 3) == 4);
}

static tag_t draw(random_t *rng)
{
    return (tag_t){random_below(rng, 3), random_below(rng, 3), random_below(rng, 3)};
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void check_order(random_t *rng)
{
    tag_t a = draw(rng), b = draw(rng), c = draw(rng);
    bool same = a.hlc == b.hlc && a.client == b.client && a.seq == b.seq;
    assert_int_equal(tag_compare(a, b) == 0, same);
    assert_int_equal(sign(tag_compare(a, b)), -sign(tag_compare(b, a)));
    if (tag_compare(a, b) <= 0 && tag_compare(b, c) <= 0)
        assert_true(tag_compare(a, c) <= 0);
    if (a.hlc < b.hlc)
        assert_true(tag_compare(a, b) < 0);
    assert_true(tag_compare(tag_max(a, b), a) >= 0);
    assert_true(tag_compare(tag_max(a, b), b) >= 0);
    assert_int_equal(tag_compare(tag_max(a, b), tag_max(b, a)), 0);
    assert_int_equal(tag_is_zero(a), tag_compare(a, (tag_t){0}) == 0);
}

static void test_tags_are_totally_ordered(void **state)
{
    (void)state;
    property_run(check_order, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_milliseconds_and_counter),
        cmocka_unit_test(test_adding_stops_at_zero),
        property_test(test_tags_are_totally_ordered),
    };
    return cmocka_run_group_tests_name("hlc", tests, NULL, NULL);
}
