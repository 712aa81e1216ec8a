#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/tool/complete.h"

#define assert_argument(arguments, i, expected)                                                    \
    do {                                                                                           \
        slice_t word = complete_argument(arguments, i);                                            \
        assert_int_equal(word.size, strlen(expected));                                             \
        assert_memory_equal(word.data, expected, word.size);                                       \
    } while (0)

static void test_arguments(void **state)
{
    (void)state;
    assert_argument("KEY", 0, "KEY");
    assert_argument("KEY", 1, "");
    assert_argument("KEY [BY]", 1, "BY");
    assert_argument("KEY [BY]", 2, "");
    assert_argument("KEY [KEY …]", 0, "KEY");
    assert_argument("KEY [KEY …]", 7, "KEY");
    assert_argument("KEY VALUE [KEY VALUE …]", 1, "VALUE");
    assert_argument("KEY VALUE [KEY VALUE …]", 4, "KEY");
    assert_argument("KEY VALUE [KEY VALUE …]", 5, "VALUE");
    assert_argument("KEY FIELD VALUE [FIELD VALUE …]", 3, "FIELD");
    assert_argument("KEY FIELD VALUE [FIELD VALUE …]", 6, "VALUE");
    assert_argument("", 0, "");
}

static void check_look(const char *line, complete_kind_t kind, size_t start, const char *word,
                       const char *command)
{
    completion_t at = complete_look(slice_text(line));

    assert_int_equal(at.kind, kind);
    assert_int_equal(at.start, start);
    assert_int_equal(at.word.size, strlen(word));
    assert_string_equal(buf_text(&at.word), word);
    if (command == NULL)
        assert_null(at.command);
    else
        assert_string_equal(at.command->name, command);
    buf_free(&at.word);
}

static void test_look(void **state)
{
    (void)state;
    check_look("", COMPLETE_COMMAND, 0, "", NULL);
    check_look("  hg", COMPLETE_COMMAND, 2, "hg", NULL);
    check_look("get", COMPLETE_COMMAND, 0, "get", "get");
    check_look("get ", COMPLETE_KEY, 4, "", "get");
    check_look("GET gr", COMPLETE_KEY, 4, "gr", "get");
    check_look("get a ", COMPLETE_NOTHING, 6, "", "get");
    check_look("set k v", COMPLETE_NOTHING, 6, "v", "set");
    check_look("mset a 1 ", COMPLETE_KEY, 9, "", "mset");
    check_look("frobnicate k", COMPLETE_NOTHING, 11, "k", NULL);
    check_look("get \"a b", COMPLETE_KEY, 4, "a b", "get");
    check_look("get \"a \\\" b", COMPLETE_KEY, 4, "a \" b", "get");
    check_look("mget \"a b\" c", COMPLETE_KEY, 11, "c", "mget");
    check_look("get \"a\\q", COMPLETE_NOTHING, 4, "", NULL); /* no such escape */
}

static void test_names(void **state)
{
    (void)state;
    complete_names_t names = {0};
    complete_names_t found = {0};

    assert_int_equal(complete_names_common(&names), 0);
    complete_names_add(&names, slice_text("user:8"));
    complete_names_add(&names, slice_text("user:7"));
    complete_names_add(&names, slice_text("visits"));
    complete_names_add(&names, slice_text("user:7"));
    complete_names_add(&names, slice_text(""));
    complete_names_add(&names, slice_of("a\0b", 3));
    assert_int_equal(names.count, 3);
    complete_names_matching(&names, slice_text("us"), &found);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.list[0], "user:7");
    assert_int_equal(complete_names_common(&found), 5);
    complete_names_free(&found);
    complete_names_matching(&names, slice_text("visitsx"), &found);
    assert_int_equal(found.count, 0);
    complete_names_free(&names);
    /* "ä" and "ö" begin with the same byte. */
    complete_names_add(&names, slice_text("x\xC3\xA4"));
    complete_names_add(&names, slice_text("x\xC3\xB6"));
    assert_int_equal(complete_names_common(&names), 1);
    complete_names_free(&names);
}

static void test_names_are_bounded(void **state)
{
    (void)state;
    complete_names_t names = {0};
    char text[16];

    for (int i = 0; i < COMPLETE_NAMES_MAX + 10; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        complete_names_add(&names, slice_text(text));
    }
    assert_int_equal(names.count, COMPLETE_NAMES_MAX);
    complete_names_free(&names);
}

static void test_keys_of_words(void **state)
{
    (void)state;
    const hearsay_word_t mset[] = {{"MSET", 4}, {"a", 1}, {"1", 1}, {"b", 1}, {"2", 1}};
    const hearsay_word_t unknown[] = {{"frobnicate", 10}, {"c", 1}};
    complete_names_t names = {0};

    complete_names_add_keys(&names, mset, 5);
    complete_names_add_keys(&names, unknown, 2);
    complete_names_add_keys(&names, NULL, 0);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.list[0], "a");
    assert_string_equal(names.list[1], "b");
    complete_names_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_look),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_names_are_bounded),
        cmocka_unit_test(test_keys_of_words),
    };
    return cmocka_run_group_tests_name("complete", tests, NULL, NULL);
}
