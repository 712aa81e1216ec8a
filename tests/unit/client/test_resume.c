#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/tool/resume.h"

static void test_round(void **state)
{
    (void)state;
    char path[] = "/tmp/hearsay-resume-XXXXXX";
    const resume_t stored = {.offset = UINT64_MAX, .rows = 7, .refused = 2};
    resume_t loaded;
    bool is_other;
    err_t err;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(resume_load(path, "1 2 \"a\"", &loaded, &is_other), 0); /* empty */
    assert_false(is_other);
    assert_int_equal(resume_store(path, "1 2 \"a\"", &stored, &err), 0);
    assert_int_equal(resume_load(path, "1 2 \"a\"", &loaded, &is_other), 1);
    assert_memory_equal(&loaded, &stored, sizeof(loaded));
    assert_int_equal(resume_load(path, "1 2 \"b\"", &loaded, &is_other), 0);
    assert_true(is_other);
    assert_int_equal(loaded.offset, 0);
    resume_remove(path);
    assert_int_equal(resume_load(path, "1 2 \"a\"", &loaded, &is_other), 0);
    assert_false(is_other);
}

static void test_damaged(void **state)
{
    (void)state;
    char path[] = "/tmp/hearsay-resume-XXXXXX";
    static const char text[] = "hearsay-import 1 a\n12 x\n";
    resume_t loaded;
    bool is_other;
    err_t err;
    int fd = mkstemp(path);

    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_int_equal(resume_load(path, "a", &loaded, &is_other), 0);
    assert_true(is_other);
    assert_int_equal(loaded.offset, 0);
    resume_remove(path);
    assert_int_equal(resume_store("/nowhere/state", "a", &loaded, &err), -1);
    assert_non_null(strstr(err.text, "cannot write /nowhere/state"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
