#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/log.h"
#include "bus/base/options.h"
#include "bus/base/units.h"
#include "tests/unit/property.h"

enum { WORDS_MAX = 80 };

/* The environment of the test under way: name, value, name, value, …, NULL. */
static const char *const *environment;

static char *lookup(const char *name)
{
    static char value[512];
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i += 2) {
        if (strcmp(environment[i], name) == 0) {
            snprintf(value, sizeof value, "%s", environment[i + 1]);
            return value;
        }
    }
    return NULL;
}

/* Parses a line whose words have one blank between; NULL when refused. */
static options_t *parse(unsigned program, const char *line, err_t *err)
{
    static char copy[4096];
    char *argv[WORDS_MAX] = {copy};
    int argc = 1;
    snprintf(copy, sizeof copy, "program %s", line);
    for (char *blank = strchr(copy, ' '); blank != NULL && blank[1] != '\0';
         blank = strchr(blank + 1, ' ')) {
        *blank = '\0';
        assert_true(argc < WORDS_MAX);
        argv[argc++] = blank + 1;
    }
    options_t *options = options_new(program);
    if (options_parse(options, argc, argv, lookup, err) != 0)
        options_destroy(&options);
    return options;
}

static options_t *accept(unsigned program, const char *line)
{
    err_t err = {0};
    options_t *options = parse(program, line, &err);
    if (options == NULL)
        fail_msg("'%s' was refused: %s", line, err.text);
    return options;
}

static void refuse(unsigned program, const char *line, const char *text)
{
    err_t err = {0};
    options_t *options = parse(program, line, &err);
    assert_null(options);
    assert_string_equal(err.text, text);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
}

static int set_up(void **state)
{
    (void)state;
    environment = NULL;
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    size_t count = 1;
    options_t *node = accept(OPTION_NODE, "");
    assert_string_equal(options_text(node, "cluster"), "hearsay");
    assert_string_equal(options_text(node, "interface"), "lo");
    assert_int_equal(options_int(node, "beacon-port"), 7700);
    assert_int_equal(options_ms(node, "gossip-interval"), 8000);
    assert_int_equal(options_ms(node, "max-drift"), 60000);
    assert_int_equal(options_bytes(node, "max-value"), 1 << 20);
    assert_string_equal(options_text(node, "auto"), "load");
    assert_string_equal(options_text(node, "log-level"), "info");
    assert_null(options_text(node, "listen"));
    assert_null(options_list(node, "peer", &count));
    assert_int_equal(count, 0);
    assert_false(options_flag(node, "json"));
    assert_false(options_given(node, "cluster"));
    options_destroy(&node);
    assert_null(node);

    options_t *client = accept(OPTION_CLIENT, "");
    assert_int_equal(options_int(client, "window"), 64);
    assert_int_equal(options_ms(client, "timeout"), 5000);
    assert_int_equal(options_int(client, "replica"), -1);
    assert_false(options_given(client, "replica"));
    options_words(client, &count);
    assert_int_equal(count, 0);
    options_destroy(&client);

    options_t *broker = accept(OPTION_BROKER, "");
    assert_string_equal(options_text(broker, "listen"), "tcp://127.0.0.1:7700");
    options_destroy(&broker);
}

static void test_options_and_words_in_any_order(void **state)
{
    (void)state;
    size_t count;
    options_t *o =
        accept(OPTION_CLIENT, "--json incr --window=8 k -5 - --timeout 0.5s -- --other --");
    const char *const *words = options_words(o, &count);
    assert_int_equal(count, 6);
    static const char *const expected[] = {"incr", "k", "-5", "-", "--other", "--"};
    for (size_t i = 0; i < count; i++)
        assert_string_equal(words[i], expected[i]);
    assert_true(options_flag(o, "json"));
    assert_true(options_given(o, "json"));
    assert_false(options_flag(o, "no-session"));
    assert_int_equal(options_int(o, "window"), 8);
    assert_int_equal(options_ms(o, "timeout"), 500);
    options_destroy(&o);
}

static void test_letters(void **state)
{
    (void)state;
    size_t count;
    options_t *o = accept(OPTION_CLIENT, "bench -c 7 -P 3");
    options_words(o, &count);
    assert_int_equal(count, 1);
    assert_int_equal(options_int(o, "sessions"), 7);
    assert_int_equal(options_int(o, "pipeline"), 3);
    options_destroy(&o);
}

static void test_the_last_one_holds_and_lists_grow(void **state)
{
    (void)state;
    size_t count;
    options_t *o = accept(OPTION_NODE, "--cluster a --cluster=b=c --peer x --peer y=z");
    assert_string_equal(options_text(o, "cluster"), "b=c");
    const char *const *peers = options_list(o, "peer", &count);
    assert_int_equal(count, 2);
    assert_string_equal(peers[0], "x");
    assert_string_equal(peers[1], "y=z");
    options_destroy(&o);
}

static void test_flag_over_environment_over_default(void **state)
{
    (void)state;
    static const char *const variables[] = {
        "HEARSAY_CLUSTER",
        "env",
        "HEARSAY_GOSSIP_INTERVAL",
        "250ms",
        "HEARSAY_PEER",
        "a,b",
        "HEARSAY_JSON",
        "yes",
        "HEARSAY_INSECURE",
        "0",
        "HEARSAY_INTERFACE",
        "",
        "HEARSAY_BEACON_PORT",
        "junk",
        "HEARSAY_WINDOW",
        "not ours",
        "HEARSAY_VERSION",
        "1.2.3",
        NULL,
    };
    environment = variables;
    size_t count;
    options_t *o = accept(OPTION_NODE, "--cluster flag --beacon-port 1");
    assert_string_equal(options_text(o, "cluster"), "flag");
    assert_int_equal(options_int(o, "beacon-port"), 1);
    assert_int_equal(options_ms(o, "gossip-interval"), 250);
    assert_true(options_given(o, "gossip-interval"));
    assert_true(options_flag(o, "json"));
    assert_false(options_flag(o, "insecure"));
    assert_string_equal(options_text(o, "interface"), "lo");
    assert_false(options_given(o, "interface"));
    assert_string_equal(options_list(o, "peer", &count)[1], "b");
    assert_int_equal(count, 2);
    options_destroy(&o);

    o = accept(OPTION_NODE, "--peer c --beacon-port 2");
    assert_string_equal(options_list(o, "peer", &count)[0], "c");
    assert_int_equal(count, 1);
    options_destroy(&o);

    refuse(OPTION_NODE, "", "HEARSAY_BEACON_PORT: 'junk' is no whole number: give digits alone");
    o = accept(OPTION_NODE, "--help"); /* help is never refused */
    assert_true(options_flag(o, "help"));
    options_destroy(&o);
}

static void test_environment_errors(void **state)
{
    (void)state;
    static const char *const flag[] = {"HEARSAY_JSON", "maybe", NULL};
    environment = flag;
    refuse(OPTION_CLIENT, "", "HEARSAY_JSON: 'maybe' is neither yes nor no: give 1 or 0");
    static const char *const list[] = {"HEARSAY_PEER", "a,", NULL};
    environment = list;
    refuse(OPTION_NODE, "", "HEARSAY_PEER: the value is empty: give an ADDR");
}

static void test_unknown_options(void **state)
{
    (void)state;
    refuse(OPTION_NODE, "--gosip-interval 3s",
           "--gosip-interval is no option: did you mean --gossip-interval? (hearsay-node --help)");
    refuse(OPTION_NODE, "--window=3",
           "--window is an option of hearsay, not of hearsay-node: see hearsay-node --help");
    refuse(OPTION_BROKER, "--windwo=3",
           "--windwo is no option; the nearest one, --window, is of hearsay: see hearsay-broker "
           "--help");
    refuse(OPTION_CLIENT, "--frobnicate", "--frobnicate is no option: see hearsay --help");
    refuse(OPTION_CLIENT, "-h", "-h is no option: did you mean --help? (hearsay --help)");
    refuse(OPTION_CLIENT, "-json", "-json is no option: did you mean --json? (hearsay --help)");
    refuse(OPTION_CLIENT, "--win 3", "--win is no option: did you mean --window? (hearsay --help)");
    refuse(OPTION_CLIENT, "--=3", "-- is no option: see hearsay --help");
    refuse(OPTION_CLIENT, "--x\ny", "--x?y is no option: see hearsay --help");
}

static void test_missing_values(void **state)
{
    (void)state;
    refuse(OPTION_CLIENT, "--window", "--window lacks its value: give --window N, or --window=N");
    refuse(OPTION_CLIENT, "--session --json",
           "--session lacks its value: give --session NAME, or --session=NAME");
    refuse(OPTION_CLIENT, "--session=", "--session: the value is empty: give a NAME");
    refuse(OPTION_CLIENT, "--json=yes",
           "--json takes no value: give --json alone, or leave it out");
    options_t *o = accept(OPTION_CLIENT, "--session=--json");
    assert_string_equal(options_text(o, "session"), "--json");
    options_destroy(&o);
}

static void test_bad_values(void **state)
{
    (void)state;
    refuse(OPTION_CLIENT, "--window 0", "--window: '0' is out of bounds: give 1 to 4096");
    refuse(OPTION_CLIENT, "--window 4097", "--window: '4097' is out of bounds: give 1 to 4096");
    refuse(OPTION_CLIENT, "--replica -1", "--replica: '-1' is out of bounds: give 0 to 255");
    refuse(OPTION_CLIENT, "--window 1e3", "--window: '1e3' is no whole number: give digits alone");
    refuse(OPTION_NODE, "--gossip-interval 1x",
           "--gossip-interval: '1x' is no duration: give " UNITS_DURATION_FORM);
    refuse(OPTION_NODE, "--gossip-interval 2h",
           "--gossip-interval: '2h' is out of bounds: give 10ms to 1h");
    refuse(OPTION_NODE, "--max-value 1MB", "--max-value: '1MB' is no size: give " UNITS_SIZE_FORM);
    refuse(OPTION_NODE, "--max-value 17MiB",
           "--max-value: '17MiB' is out of bounds: give 1 to 16MiB");
    refuse(OPTION_NODE, "--log-level loud", "--log-level: 'loud' is none of error|warn|info|debug");
    refuse(OPTION_NODE, "--log-level error|warn",
           "--log-level: 'error|warn' is none of error|warn|info|debug");
    refuse(OPTION_NODE, "--interface abcdefghijklmnop",
           "--interface: 'abcdefghijklmnop' is too long, 16 bytes: give 15 at most");
}

static void test_lists_have_an_end(void **state)
{
    (void)state;
    char line[OPTIONS_LIST_MAX * 16] = "";
    for (int i = 0; i < OPTIONS_LIST_MAX; i++)
        strcat(line, "--peer=a ");
    size_t count;
    options_t *o = accept(OPTION_NODE, line);
    options_list(o, "peer", &count);
    assert_int_equal(count, OPTIONS_LIST_MAX);
    options_destroy(&o);
    strcat(line, "--peer=a");
    refuse(OPTION_NODE, line, "--peer: more than 64 values: leave some out");
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } durations[] = {
        {"0", 0},
        {"5", 5000},
        {"5s", 5000},
        {"0.5s", 500},
        {"1.5", 1500},
        {"250ms", 250},
        {"2m", 120000},
        {"1h", 3600000},
        {"0.001s", 1},
        {"0.25h", 900000},
        {"", -1},
        {"s", -1},
        {".5s", -1},
        {"5.s", -1},
        {"-1s", -1},
        {"+1", -1},
        {"1 s", -1},
        {"1S", -1},
        {"1d", -1},
        {"0.5ms", -1},
        {"1.0005s", -1},
        {"1e3", -1},
        {"999999999999999999h", -1},
        {"1.0000000000s", -1},
        {"9999999999999999999", -1},
    };
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        int64_t ms = -1;
        bool read = units_to_ms(slice_text(durations[i].text), &ms);
        assert_int_equal(read, durations[i].ms >= 0);
        assert_int_equal(ms, durations[i].ms);
    }
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {
        {"0", 0},          {"7", 7},
        {"7B", 7},         {"1K", 1024},
        {"1KiB", 1024},    {"1.5M", 1572864},
        {"2MiB", 2097152}, {"1G", 1 << 30},
        {"1GiB", 1 << 30}, {"0.5B", -1},
        {"1KB", -1},       {"1k", -1},
        {"M", -1},         {"99999999999999999G", -1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t bytes = -1;
        bool read = units_to_bytes(slice_text(sizes[i].text), &bytes);
        assert_int_equal(read, sizes[i].bytes >= 0);
        assert_int_equal(bytes, sizes[i].bytes);
    }
}

static void check_units(random_t *rng)
{
    int64_t value = (int64_t)(random_u64(rng) >> (1 + random_below(rng, 63)));
    int64_t again = -1;
    buf_t out = {0};
    units_put_ms(&out, value % INT64_C(100000000000000000));
    assert_true(units_to_ms(buf_slice(&out), &again));
    assert_int_equal(again, value % INT64_C(100000000000000000));
    buf_reset(&out);
    units_put_bytes(&out, value % INT64_C(100000000000000000));
    assert_true(units_to_bytes(buf_slice(&out), &again));
    assert_int_equal(again, value % INT64_C(100000000000000000));
    buf_free(&out);
}

static void test_units_read_what_they_write(void **state)
{
    (void)state;
    property_run(check_units, 5000);
}

/* Any command line and any values: accepted or refused with one line, never worse. */
static void check_words(random_t *rng)
{
    static const char *const pieces[] = {
        "--",     "-",        "--peer", "--window",    "=",    "1",   "5s",
        "--json", "--data",   "-1",     "--json",      "\x7f", "--=", "get",
        "\n",     "--yes=no", "1MiB",   "--max-value", "%s%n",
    };
    char line[1024] = "";
    for (uint64_t i = random_below(rng, 8); i > 0; i--) {
        strcat(line, pieces[random_below(rng, sizeof pieces / sizeof pieces[0])]);
        if (random_chance(rng, 700000))
            strcat(line, " ");
    }
    err_t err = {0};
    options_t *o = parse(1U << random_below(rng, 4), line, &err);
    assert_int_equal(o == NULL, err.text[0] != '\0');
    assert_null(strchr(err.text, '\n'));
    options_destroy(&o);
}

static void test_any_command_line(void **state)
{
    (void)state;
    property_run(check_words, 5000);
}

static void test_log_levels_are_the_choices(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++) {
        char line[64];
        snprintf(line, sizeof line, "--log-level %s", log_level_name((log_level_t)i));
        options_t *o = accept(OPTION_BROKER, line);
        log_level_t level = LOG_LEVEL_ERROR;
        assert_true(log_level_parse(options_text(o, "log-level"), &level));
        assert_int_equal(level, i);
        options_destroy(&o);
    }
}

static void test_help_is_aligned_and_fits(void **state)
{
    (void)state;
    static const unsigned programs[] = {OPTION_NODE, OPTION_BROKER, OPTION_CLIENT, OPTION_CONTROL};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        options_t *o = options_new(programs[i]);
        buf_t out = {0};
        options_help(o, &out);
        size_t column = 0;
        for (const char *line = buf_text(&out); *line != '\0'; line += strcspn(line, "\n") + 1) {
            assert_true(strcspn(line, "\n") <= 120);
            if (strncmp(line, "  --", 4) != 0)
                continue;
            const char *gap = strstr(line + 4, "  ");
            size_t at = (size_t)(gap - line) + strspn(gap, " ");
            assert_true(column == 0 || at == column);
            column = at;
        }
        assert_non_null(strstr(buf_text(&out), "(error|warn|info|debug, default info)\n"));
        assert_int_equal(strstr(buf_text(&out), "--window") != NULL, programs[i] == OPTION_CLIENT);
        buf_free(&out);
        options_destroy(&o);
    }
    options_t *client = options_new(OPTION_CLIENT);
    buf_t out = {0};
    options_help(client, &out);
    assert_non_null(strstr(buf_text(&out), " (1 to 4096, default 64)\n"));
    buf_free(&out);
    options_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, set_up),
        cmocka_unit_test_setup(test_options_and_words_in_any_order, set_up),
        cmocka_unit_test_setup(test_the_last_one_holds_and_lists_grow, set_up),
        cmocka_unit_test_setup(test_flag_over_environment_over_default, set_up),
        cmocka_unit_test_setup(test_environment_errors, set_up),
        cmocka_unit_test_setup(test_letters, set_up),
        cmocka_unit_test_setup(test_unknown_options, set_up),
        cmocka_unit_test_setup(test_missing_values, set_up),
        cmocka_unit_test_setup(test_bad_values, set_up),
        cmocka_unit_test_setup(test_lists_have_an_end, set_up),
        cmocka_unit_test_setup(test_log_levels_are_the_choices, set_up),
        cmocka_unit_test_setup(test_help_is_aligned_and_fits, set_up),
        cmocka_unit_test_setup_teardown(test_any_command_line, set_up, property_report),
        cmocka_unit_test(test_units),
        property_test(test_units_read_what_they_write),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
