#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/lib/request.h"
#include "client/tool/words.h"

/* What the help shows can be typed, and is sent. */
static void test_examples(void **state)
{
    (void)state;
    size_t count;
    const hearsay_command_t *all = hearsay_commands(&count);
    words_t words = {0};
    buf_t packed = {0};
    err_t err;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < COMMAND_EXAMPLES; k++) {
            assert_int_equal(words_parse(&words, slice_text(all[i].examples[k]), &err), 0);
            const command_t *command = request_pack(&packed, words.list, words.count, &err);
            assert_non_null(command);
            assert_string_equal(command->name, all[i].name);
        }
    words_free(&words);
    buf_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
