#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bus/net/notes.h"
#include "tests/unit/property.h"

static int reader;   /* what standard error writes to */
static int terminal; /* the real standard error */

static int capture(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    terminal = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    reader = ends[0];
    logger_open("test", LOG_LEVEL_INFO, true);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    close(reader);
    return 0;
}

/* The line that a note becomes, from its message on; "" when none is written. */
static const char *logged(log_level_t level, slice_t note)
{
    static char line[LOGGER_LINE_MAX + 1];
    struct pollfd item = {.fd = reader, .events = POLLIN};
    buf_t scratch = {0};

    notes_log(&scratch, level, note);
    assert_int_equal(scratch.size, 0);
    buf_free(&scratch);
    if (poll(&item, 1, 0) != 1)
        return "";
    ssize_t size = read(reader, line, sizeof(line) - 1);
    assert_true(size > 0 && line[size - 1] == '\n');
    line[size - 1] = '\0';
    const char *from = strstr(line, "\"message\":");
    assert_non_null(from);
    return from;
}

static const char *info(const char *note)
{
    return logged(LOG_LEVEL_INFO, slice_text(note));
}

static void test_a_message_and_its_values(void **state)
{
    (void)state;
    assert_string_equal(info("peer lost"), "\"message\":\"peer lost\"}");
    assert_string_equal(info("peer lost id=3 why=silence"),
                        "\"message\":\"peer lost\",\"id\":\"3\",\"why\":\"silence\"}");
    assert_string_equal(info("refused text=\"two words\" id=3"),
                        "\"message\":\"refused\",\"text\":\"two words\",\"id\":\"3\"}");
    assert_string_equal(info("none a= b=\"\""), "\"message\":\"none\",\"a\":\"\",\"b\":\"\"}");
}

/* What a peer said stands in quotes, whatever quotes it has itself. */
static void test_quotes_within_a_value(void **state)
{
    (void)state;
    assert_string_equal(info("refused text=\"id \"3\", taken\" id=3"),
                        "\"message\":\"refused\",\"text\":\"id \\\"3\\\", taken\",\"id\":\"3\"}");
    assert_string_equal(info("refused text=\"open"), "\"message\":\"refused\",\"text\":\"open\"}");
}

static void test_what_is_no_pair(void **state)
{
    (void)state;
    assert_string_equal(info("a=b"), "\"message\":\"a=b\"}");
    assert_string_equal(info("say \"a b=c\""), "\"message\":\"say \\\"a b=c\\\"\"}");
    assert_string_equal(info("told id=1 and more"), "\"message\":\"told\",\"id\":\"1\"}");
    assert_string_equal(info("told id=1 Bad=2 c=3"), "\"message\":\"told\",\"id\":\"1\"}");
    assert_string_equal(info(""), "\"message\":\"\"}");
}

static void test_levels(void **state)
{
    (void)state;
    assert_string_equal(logged(LOG_LEVEL_DEBUG, slice_text("quiet")), "");
    assert_string_equal(logged(LOG_LEVEL_WARN, slice_text("loud")), "\"message\":\"loud\"}");
}

/* Any note is one line, whatever a peer put into it. */
static void check_any_note(random_t *rng)
{
    static const char letters[] = "ab =\"\"==  \n\\_-Z\xff";
    uint8_t note[60];
    size_t size = random_below(rng, sizeof(note));

    for (size_t i = 0; i < size; i++)
        note[i] = (uint8_t)letters[random_below(rng, sizeof(letters) - 1)];
    const char *line = logged(LOG_LEVEL_INFO, slice_of(note, size));
    assert_null(strchr(line, '\n'));
}

static void test_any_note(void **state)
{
    (void)state;
    property_run(check_any_note, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_message_and_its_values, capture, restore),
        cmocka_unit_test_setup_teardown(test_quotes_within_a_value, capture, restore),
        cmocka_unit_test_setup_teardown(test_what_is_no_pair, capture, restore),
        cmocka_unit_test_setup_teardown(test_levels, capture, restore),
        cmocka_unit_test_setup_teardown(test_any_note, capture, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
