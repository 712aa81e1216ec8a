#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/tool/histfile.h"

static char folder[64];
static char path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/hearsay-history-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    snprintf(path, sizeof(path), "%s/hearsay/history", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

typedef struct seen {
    size_t count;
    buf_t first;
    buf_t last;
} seen_t;

static void see(void *arg, const char *text)
{
    seen_t *self = arg;
    if (self->count++ == 0)
        buf_append_text(&self->first, text);
    buf_reset(&self->last);
    buf_append_text(&self->last, text);
}

/* Opens the file at the usual place, which must go well, and says what was in it. */
static histfile_t *open_usual(seen_t *seen)
{
    err_t err;

    buf_free(&seen->first);
    buf_free(&seen->last);
    *seen = (seen_t){0};
    histfile_t *self = histfile_open(NULL, see, seen, &err);
    assert_non_null(self);
    return self;
}

static void forget(seen_t *seen)
{
    buf_free(&seen->first);
    buf_free(&seen->last);
}

static void add(histfile_t *self, const char *line)
{
    err_t err;
    assert_int_equal(histfile_add(self, slice_text(line), &err), 0);
}

static void test_kept(void **state)
{
    (void)state;
    seen_t seen = {0};
    struct stat status;
    histfile_t *self = open_usual(&seen);

    assert_int_equal(seen.count, 0);
    add(self, "get a");
    add(self, " set password secret");
    add(self, "");
    histfile_t *other = open_usual(&seen); /* at the same time */
    add(other, "get b");
    add(self, "get c");
    histfile_close(&self);
    histfile_close(&other);
    histfile_close(&other);
    self = open_usual(&seen);
    assert_int_equal(seen.count, 3);
    assert_string_equal(buf_text(&seen.first), "get a");
    assert_string_equal(buf_text(&seen.last), "get c");
    histfile_close(&self);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    forget(&seen);
}

static void test_long_lines_are_left_out(void **state)
{
    (void)state;
    static char line[HISTFILE_LINE_MAX + 2];
    seen_t seen = {0};
    histfile_t *self = open_usual(&seen);

    memset(line, 'x', HISTFILE_LINE_MAX + 1);
    add(self, line);
    line[HISTFILE_LINE_MAX] = '\0';
    add(self, line);
    histfile_close(&self);
    self = open_usual(&seen);
    assert_int_equal(seen.count, 1);
    histfile_close(&self);
    forget(&seen);
}

static void test_cut_down(void **state)
{
    (void)state;
    seen_t seen = {0};
    struct stat before;
    struct stat after;
    char line[32];
    histfile_t *self = open_usual(&seen);

    for (int i = 0; i < 2 * HISTFILE_LINES; i++) {
        snprintf(line, sizeof(line), "get k%d", i);
        add(self, line);
    }
    histfile_close(&self);
    assert_int_equal(stat(path, &before), 0);
    self = open_usual(&seen);
    assert_int_equal(seen.count, HISTFILE_LINES);
    assert_string_equal(buf_text(&seen.first), "get k1000");
    assert_string_equal(buf_text(&seen.last), "get k1999");
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size < before.st_size);
    assert_int_equal(after.st_mode & 0777, 0600);
    add(self, "get more");
    histfile_close(&self);
    self = open_usual(&seen);
    assert_string_equal(buf_text(&seen.last), "get more");
    histfile_close(&self);
    forget(&seen);
}

static void test_no_place(void **state)
{
    (void)state;
    seen_t seen = {0};
    err_t err;

    assert_null(histfile_open(folder, see, &seen, &err)); /* a folder */
    assert_non_null(strstr(err.text, "no history is kept: cannot write"));
    snprintf(path, sizeof(path), "%s/none/history", folder);
    assert_null(histfile_open(path, see, &seen, &err));
    assert_non_null(strstr(err.text, path));
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_null(histfile_open(NULL, see, &seen, &err));
    assert_string_equal(err.text, "no history is kept: HOME is not set");
    histfile_t *self = histfile_open("/dev/null", see, &seen, &err);
    assert_non_null(self);
    add(self, "get a");
    histfile_close(&self);
    assert_int_equal(seen.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_lines_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("histfile", tests, NULL, NULL);
}
