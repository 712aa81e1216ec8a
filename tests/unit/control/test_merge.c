#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/merge.h"

enum { FIRST = 0xA1, SECOND = 0xA2 }; /* incarnations of node 1 and node 2 */

static int64_t us_of(uint64_t incarnation, uint64_t number)
{
    return (int64_t)(number * 10 + incarnation % 10);
}

/* A program's reply: its events from one number to another. */
static void kept(merge_t *merge, uint64_t incarnation, uint64_t from, uint64_t to)
{
    buf_t items = {0};
    buf_t document = {0};
    inspect_events_t events = {
        .program = CONTROL_NODE,
        .id = (uint16_t)(incarnation % 10),
        .port = 7710,
        .incarnation = incarnation,
    };
    for (uint64_t number = from; number <= to; number++, events.events++) {
        const inspect_event_t event = {
            .number = number,
            .wall_us = us_of(incarnation, number),
            .name = slice_text("join"),
            .text = slice_text("peer joined"),
        };
        inspect_event_put(&items, &event);
    }
    events.events_at = buf_slice(&items);
    inspect_events_put(&document, &events);
    assert_true(inspect_events_read(buf_slice(&document), &events));
    merge_take_kept(merge, &events);
    buf_free(&items);
    buf_free(&document);
}

static bool told(merge_t *merge, uint64_t incarnation, uint64_t number)
{
    merge_entry_t entry;
    const follow_stream_t stream = {
        .program = CONTROL_NODE,
        .id = (uint16_t)(incarnation % 10),
        .incarnation = incarnation,
        .name = "node",
    };
    const trace_item_t item = {
        .wall_us = us_of(incarnation, number),
        .seq = number,
        .text = slice_text("[join] peer joined"),
    };
    if (!merge_take_live(merge, &stream, &item, &entry))
        return false;
    assert_true(entry.incarnation == incarnation && entry.number == number);
    assert_string_equal(entry.name, "join");
    assert_string_equal(entry.text, "peer joined");
    return true;
}

/* The list has the events of an incarnation up to number last, each once, all by time. */
static void assert_listed(const merge_t *merge, uint64_t incarnation, uint64_t last)
{
    const merge_entry_t *entry;
    uint64_t number = 0;
    int64_t before_us = 0;

    for (size_t i = 0; (entry = merge_entry(merge, i)) != NULL; i++) {
        assert_true(entry->wall_us >= before_us);
        before_us = entry->wall_us;
        if (entry->incarnation == incarnation)
            assert_int_equal(entry->number, ++number);
    }
    assert_int_equal(number, last);
}

/* The first has replied, the second lets itself be waited for; the first goes on meanwhile. */
static void test_told_while_others_are_waited_for(void **state)
{
    (void)state;
    merge_t *merge = merge_new();
    assert_false(merge_has_heard(merge));
    kept(merge, FIRST, 1, 3);
    assert_true(merge_has_heard(merge));
    assert_false(told(merge, FIRST, 3)); /* was on its way */
    assert_false(told(merge, FIRST, 4));
    assert_false(told(merge, FIRST, 5));
    kept(merge, SECOND, 1, 2);
    merge_end(merge);
    assert_listed(merge, FIRST, 5);
    assert_listed(merge, SECOND, 2);
    assert_false(told(merge, FIRST, 5));
    assert_true(told(merge, FIRST, 6) && told(merge, SECOND, 3));
    merge_destroy(&merge);
}

/* What is told before the reply is in it, and may be behind its end: they come by two ways. */
static void test_told_before_the_reply(void **state)
{
    (void)state;
    merge_t *merge = merge_new();
    assert_false(told(merge, FIRST, 3));
    assert_false(told(merge, FIRST, 4));
    kept(merge, FIRST, 1, 3);
    merge_end(merge);
    assert_listed(merge, FIRST, 4);
    assert_false(told(merge, FIRST, 4));
    assert_true(told(merge, FIRST, 5));
    merge_destroy(&merge);
}

/* Nothing is kept, or no reply comes at all: what is told is shown. */
static void test_told_without_a_list(void **state)
{
    (void)state;
    merge_t *merge = merge_new();
    kept(merge, FIRST, 1, 0);
    assert_true(merge_has_heard(merge) && merge_size(merge) == 0);
    assert_false(told(merge, FIRST, 1));
    assert_false(told(merge, SECOND, 1));
    merge_end(merge);
    assert_listed(merge, FIRST, 1);
    assert_listed(merge, SECOND, 1);
    assert_true(told(merge, SECOND, 2));
    merge_destroy(&merge);
}

static void test_no_event(void **state)
{
    (void)state;
    merge_t *merge = merge_new();
    merge_entry_t entry;
    const follow_stream_t stream = {.incarnation = FIRST};
    const trace_item_t item = {.seq = 1, .text = slice_text("peer joined")};
    merge_end(merge);
    assert_false(merge_take_live(merge, &stream, &item, &entry));
    assert_true(told(merge, FIRST, 1));
    merge_destroy(&merge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_while_others_are_waited_for),
        cmocka_unit_test(test_told_before_the_reply),
        cmocka_unit_test(test_told_without_a_list),
        cmocka_unit_test(test_no_event),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
