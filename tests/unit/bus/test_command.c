#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/command.h"

static void test_table(void **state)
{
    (void)state;
    size_t count;
    const command_t *all = command_all(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const command_t *c = &all[i];
        assert_ptr_equal(command_by_name(c->name), c); /* so no name and no code stands twice */
        assert_ptr_equal(command_by_code(c->code), c);
        assert_int_equal(c->is_update, c->code >= 16);
        assert_true(c->least <= c->most && c->most <= COMMAND_ARGUMENTS_MAX);
        assert_true(strlen(c->arguments) > 0 && strlen(c->summary) > 0);
        for (size_t k = 0; k < COMMAND_EXAMPLES; k++) {
            assert_int_equal(strncmp(c->examples[k], c->name, strlen(c->name)), 0);
            assert_int_equal(c->examples[k][strlen(c->name)], ' ');
        }
        assert_string_not_equal(c->examples[0], c->examples[1]);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    assert_null(command_by_name("frobnicate"));
    assert_null(command_by_name(""));
    assert_null(command_by_name("GET")); /* names are in small letters */
    assert_null(command_by_code(0));
    assert_null(command_by_code(255));
    assert_null(command_by_code(256 + COMMAND_GET));
}

static void test_takes(void **state)
{
    (void)state;
    const command_t *get = command_by_code(COMMAND_GET);
    assert_false(command_takes(get, 0));
    assert_true(command_takes(get, 1));
    assert_false(command_takes(get, 2));

    const command_t *incr = command_by_code(COMMAND_INCR);
    assert_true(command_takes(incr, 1) && command_takes(incr, 2));
    assert_false(command_takes(incr, 3));

    const command_t *mset = command_by_code(COMMAND_MSET);
    assert_false(command_takes(mset, 1));
    assert_true(command_takes(mset, 2));
    assert_false(command_takes(mset, 3));
    assert_true(command_takes(mset, 4));
    assert_true(command_takes(mset, mset->most));
    assert_false(command_takes(mset, (size_t)mset->most + 2));

    const command_t *hset = command_by_code(COMMAND_HSET);
    assert_true(command_takes(hset, 3));
    assert_false(command_takes(hset, 4));
    assert_true(command_takes(hset, 5));
    assert_true(command_takes(hset, hset->most));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_takes),
    };
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
