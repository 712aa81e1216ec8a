#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/base/err.h"
#include "bus/base/outcome.h"

static void test_names_are_unique(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OUTCOME_COUNT; i++) {
        assert_non_null(outcome_name((outcome_t)i));
        assert_int_equal(outcome_from_wire(i), i);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(outcome_name((outcome_t)i), outcome_name((outcome_t)k));
    }
    assert_string_equal(outcome_name(OUTCOME_WRONGTYPE), "WRONGTYPE");
}

static void test_exit_codes(void **state)
{
    (void)state;
    static const outcome_t refused[] = {
        OUTCOME_WRONGTYPE, OUTCOME_NOT_A_NUMBER, OUTCOME_OVERFLOW, OUTCOME_TOO_LARGE, OUTCOME_BUSY,
        OUTCOME_BEHIND,    OUTCOME_MISSING,      OUTCOME_LOST,     OUTCOME_CLOCK,     OUTCOME_CLASH,
        OUTCOME_DENIED,    OUTCOME_READ_ONLY,    OUTCOME_FULL,     OUTCOME_CANCELLED,
    };
    assert_int_equal(outcome_exit(OUTCOME_OK), EXIT_DONE);
    assert_int_equal(outcome_exit(OUTCOME_USAGE), 2);
    assert_int_equal(outcome_exit(OUTCOME_NOT_REACHED), 3);
    assert_int_equal(outcome_exit(OUTCOME_UNKNOWN), 4);
    assert_int_equal(outcome_exit(OUTCOME_TOO_OLD), 4);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(outcome_exit(refused[i]), 5);
}

static void test_code_4_is_what_may_be_applied(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        assert_int_equal(outcome_may_be_applied((outcome_t)i), outcome_exit((outcome_t)i) == 4);
}

static void test_foreign_numbers_promise_nothing(void **state)
{
    (void)state;
    assert_int_equal(outcome_from_wire(OUTCOME_COUNT), OUTCOME_UNKNOWN);
    assert_int_equal(outcome_from_wire(~0U), OUTCOME_UNKNOWN);
    assert_string_equal(outcome_name((outcome_t)999), "UNKNOWN");
}

static void test_errors_are_cut_not_overrun(void **state)
{
    (void)state;
    char longer[2 * ERR_TEXT_SIZE];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    err_t err;
    assert_int_equal(err_set(&err, OUTCOME_FULL, "%s", longer), -1);
    assert_int_equal(err.outcome, OUTCOME_FULL);
    assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
    assert_int_equal(err_set(NULL, OUTCOME_FULL, "%s", longer), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_code_4_is_what_may_be_applied),
        cmocka_unit_test(test_foreign_numbers_promise_nothing),
        cmocka_unit_test(test_errors_are_cut_not_overrun),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
