#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bus/base/events.h"

static bool is_text(slice_t s, const char *text)
{
    return slice_equal(s, slice_text(text));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const none[] = {"",
                                       "[",
                                       "[]",
                                       "[] x",
                                       "peer joined",
                                       "[join]x",
                                       "[Join] x",
                                       "[join x",
                                       "[a b] x",
                                       "[join]",
                                       "[abcdefghijklmnopqrstuvwxyz] x"};
    slice_t note = slice_text("[id-clash] id 3 is taken");
    slice_t name;

    assert_true(events_take_name(&note, &name));
    assert_true(is_text(name, "id-clash") && is_text(note, "id 3 is taken"));
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        note = slice_text(none[i]);
        assert_false(events_take_name(&note, &name));
        assert_true(is_text(note, none[i]));
    }
}

static void test_the_oldest_go(void **state)
{
    (void)state;
    events_t *events = events_new();
    event_t event;

    assert_false(events_get(events, 0, &event));
    assert_false(events_get(events, 1, &event));
    for (int i = 1; i <= EVENTS_KEPT + 10; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        assert_true(events_add(events, i, slice_text("join"), slice_text(text)) == (uint64_t)i);
    }
    assert_true(events_last(events) == EVENTS_KEPT + 10);
    assert_false(events_get(events, 10, &event));
    assert_true(events_get(events, 11, &event));
    assert_true(event.number == 11 && event.wall_us == 11 && is_text(event.text, "11"));
    assert_true(events_get(events, EVENTS_KEPT + 10, &event) && is_text(event.text, "266"));
    assert_false(events_get(events, EVENTS_KEPT + 11, &event));
    events_destroy(&events);
    assert_null(events);
}

static void test_counts(void **state)
{
    (void)state;
    events_t *events = events_new();
    const char *name;
    uint64_t count;
    char text[EVENTS_TEXT_MAX + 10];
    event_t event;

    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 3; i++)
        events_add(events, 1, slice_text("join"), slice_of(text, sizeof(text)));
    events_add(events, 1, slice_text("joined"), slice_of(NULL, 0));
    assert_true(events_get(events, 1, &event) && event.text.size == EVENTS_TEXT_MAX);
    assert_true(events_count(events, 0, &name, &count));
    assert_true(strcmp(name, "join") == 0 && count == 3);
    assert_true(events_count(events, 1, &name, &count));
    assert_true(strcmp(name, "joined") == 0 && count == 1);
    assert_false(events_count(events, 2, &name, &count));
    /* Names beyond the limit are kept and not counted. */
    for (int i = 0; i < EVENTS_NAMES_MAX + 5; i++) {
        char other[3] = {'a', (char)('a' + i % 26), (char)('a' + i / 26)};
        events_add(events, 1, slice_of(other, 3), slice_of(NULL, 0));
    }
    assert_true(events_count(events, EVENTS_NAMES_MAX - 1, &name, &count));
    assert_false(events_count(events, EVENTS_NAMES_MAX, &name, &count));
    assert_true(events_last(events) == 4 + EVENTS_NAMES_MAX + 5);
    events_destroy(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_oldest_go),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
