#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/base/nearest.h"

static const char *const names[] = {"get", "set", "status", "gossip-interval", "incr", "interface"};

static const char *near(const char *word)
{
    return nearest(word, names, sizeof names / sizeof names[0]);
}

static void test_typing_errors(void **state)
{
    (void)state;
    assert_string_equal(near("get"), "get");
    assert_string_equal(near("gett"), "get");
    assert_string_equal(near("gte"), "get");
    assert_string_equal(near("stauts"), "status");
    assert_string_equal(near("sttus"), "status");
    assert_string_equal(near("gosip-intervall"), "gossip-interval");
    assert_string_equal(near("gossip"), "gossip-interval");
}

static void test_ties_go_to_the_first(void **state)
{
    (void)state;
    assert_string_equal(near("bet"), "get");
    assert_string_equal(near("aet"), "get");
}

static void test_nothing_near(void **state)
{
    (void)state;
    char longer[NEAREST_WORD_MAX + 2];
    memset(longer, 'g', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(near(""));
    assert_null(near("frobnicate"));
    assert_null(near("x"));
    assert_null(near(longer));
    assert_null(nearest("get", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typing_errors),
        cmocka_unit_test(test_ties_go_to_the_first),
        cmocka_unit_test(test_nothing_near),
    };
    return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
