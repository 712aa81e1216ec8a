#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/config/config.h"

static char path[] = "/tmp/hearsay-config-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/hearsay-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("HEARSAY_WINDOW");
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The options of a program with the file of this text, and one more flag; NULL with err. */
static options_t *parse(unsigned program, const char *text, const char *flag, err_t *err)
{
    char name[] = "program";
    char config[] = "--config";
    char more[64] = "";
    char *argv[] = {name, config, path, more};

    write_file(text);
    if (flag != NULL)
        snprintf(more, sizeof(more), "%s", flag);
    options_t *options = options_new(program);
    if (config_parse(options, flag != NULL ? 4 : 3, argv, err) != 0)
        options_destroy(&options);
    return options;
}

static options_t *accept(unsigned program, const char *text, const char *flag)
{
    err_t err;
    options_t *options = parse(program, text, flag, &err);
    if (options == NULL)
        fail_msg("refused: %s", err.text);
    return options;
}

/* expected: what the error says behind the file's name. */
static void refuse(unsigned program, const char *text, const char *expected)
{
    err_t err;
    char said[512];

    assert_null(parse(program, text, NULL, &err));
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    snprintf(said, sizeof(said), "%s:%s", path, expected);
    assert_string_equal(err.text, said);
}

static void test_order(void **state)
{
    (void)state;
    static const char text[] = "# a comment\nwindow = 7\n\ncluster = \"lab # 1\"\n";

    options_t *options = accept(OPTION_CLIENT, text, NULL);
    assert_int_equal(options_int(options, "window"), 7);
    assert_string_equal(options_text(options, "cluster"), "lab # 1");
    assert_string_equal(options_text(options, "interface"), "lo");
    assert_true(options_given(options, "window"));
    options_destroy(&options);

    setenv("HEARSAY_WINDOW", "8", 1);
    options = accept(OPTION_CLIENT, text, NULL);
    assert_int_equal(options_int(options, "window"), 8);
    options_destroy(&options);

    options = accept(OPTION_CLIENT, text, "--window=9");
    assert_int_equal(options_int(options, "window"), 9);
    options_destroy(&options);
}

static void test_sections_and_lists(void **state)
{
    (void)state;
    static const char text[] = "peer = tcp://a:1\n"
                               "hearsay-node\n"
                               "    gossip-interval = 250ms\n"
                               "    peer = tcp://b:2\n"
                               "    peer = 'tcp://c:3'\n"
                               "hearsay\n"
                               "    window = 5\n"
                               "max-value = 2MiB\n"
                               "json = 1\n";
    size_t count;

    options_t *options = accept(OPTION_NODE, text, NULL);
    const char *const *peers = options_list(options, "peer", &count);
    assert_int_equal(count, 2);
    assert_string_equal(peers[0], "tcp://b:2");
    assert_string_equal(peers[1], "tcp://c:3");
    assert_int_equal(options_ms(options, "gossip-interval"), 250);
    assert_int_equal(options_bytes(options, "max-value"), 2 * 1024 * 1024);
    assert_true(options_flag(options, "json"));
    options_destroy(&options);

    options = accept(OPTION_CONTROL, text, NULL); /* others' options are passed over */
    options_list(options, "peer", &count);
    assert_int_equal(count, 1);
    options_destroy(&options);
}

static void test_refused(void **state)
{
    (void)state;
    refuse(OPTION_CLIENT, "# x\n\nwidnow = 3\n", "3: widnow is no option: did you mean window?");
    refuse(OPTION_NODE, "widnow = 3\n", "1: widnow is no option: did you mean window?");
    refuse(OPTION_CLIENT, "cluster = a\nwindow = many\n",
           "2: window: 'many' is no whole number: give digits alone");
    refuse(OPTION_CLIENT, "help = 1\n", "1: help is for the command line alone: take it out");
    refuse(OPTION_CLIENT, "hearsay\n    ack = 3\n",
           "2: ack is an option of hearsay-node, not of hearsay: move it");
    refuse(OPTION_CLIENT, "hearsay-node\n    akc = 3\n", "2: akc is no option: did you mean ack?");
    refuse(OPTION_CLIENT, "cluster = a\n    window = 3\n",
           "2: nothing stands under cluster: only programs have parts");
    refuse(OPTION_CLIENT, "cluster = a\n  window = 3\n",
           " no options, line (2) indent 4 spaces at once");
}

/* Checked although something stronger holds. */
static void test_checked_all_the_same(void **state)
{
    (void)state;
    setenv("HEARSAY_WINDOW", "8", 1);
    refuse(OPTION_CLIENT, "window = 0\n", "1: window: '0' is out of bounds: give 1 to 4096");
}

static void test_no_file(void **state)
{
    (void)state;
    char name[] = "program";
    char config[] = "--config=/nowhere/file";
    char help[] = "--help";
    char *argv[] = {name, config, help};
    err_t err;

    options_t *options = options_new(OPTION_CLIENT);
    assert_int_equal(config_parse(options, 2, argv, &err), -1);
    assert_string_equal(err.text,
                        "cannot read the options in /nowhere/file: No such file or directory");
    options_destroy(&options);
    options = options_new(OPTION_CLIENT);
    assert_int_equal(config_parse(options, 3, argv, &err), 0); /* help is never refused */
    options_destroy(&options);
}

/* What is printed is read back to the same. */
static void test_printed(void **state)
{
    (void)state;
    static const unsigned programs[] = {OPTION_NODE, OPTION_BROKER, OPTION_CLIENT, OPTION_CONTROL};
    buf_t first = {0};
    buf_t second = {0};

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        options_t *options = accept(programs[i],
                                    "cluster = 'say \"x\"'\npeer = tcp://a:1\npeer = tcp://b:2\n"
                                    "json = 1\ntimeout = 1500ms\nmax-value = 3KiB\n",
                                    NULL);
        buf_reset(&first);
        options_print(options, &first);
        options_destroy(&options);
        options = accept(programs[i], buf_text(&first), NULL);
        buf_reset(&second);
        options_print(options, &second);
        options_destroy(&options);
        /* But for the comments, which say where each is from. */
        const char *a = strtok(first.size != 0 ? (char *)first.data : NULL, "\n");
        char *rest = (char *)(uintptr_t)buf_text(&second);
        assert_non_null(strstr(rest, "cluster = 'say \"x\"'\n"));
        assert_non_null(strstr(rest, "json = \"1\"\n"));
        for (; a != NULL; a = strtok(NULL, "\n"))
            if (a[0] != '#')
                assert_non_null(strstr(rest, a));
    }
    buf_free(&first);
    buf_free(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sections_and_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_checked_all_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_printed, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
