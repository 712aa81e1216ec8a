#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/trace.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { ROUNDS = 3000 };

static void put_example(buf_t *out)
{
    const trace_item_t items[] = {
        {.wall_us = 1795407302825123,
         .kind = TRACE_RECEIVED,
         .session = UINT64_MAX,
         .seq = 7,
         .key = slice_text("visits"),
         .text = slice_text("incr")},
        {.wall_us = 1795407302825124,
         .kind = TRACE_UPDATE_HELD,
         .link = UINT32_MAX,
         .update = {42, UINT64_MAX},
         .text = slice_text("lacks 000000000000002a:6")},
    };
    buf_t bytes = {0};
    for (size_t i = 0; i < 2; i++)
        trace_item_put(&bytes, &items[i]);
    const trace_batch_t batch = {
        .area = TRACE_GOSSIP,
        .program = CONTROL_NODE,
        .id = 255,
        .port = 7710,
        .incarnation = 42,
        .before = 1000,
        .dropped = 3,
        .items = 2,
        .items_at = buf_slice(&bytes),
    };
    trace_batch_put(out, &batch);
    buf_free(&bytes);
}

static void test_batch(void **state)
{
    (void)state;
    buf_t bytes = {0};
    trace_batch_t batch;
    trace_item_t item;

    put_example(&bytes);
    assert_int_equal(bytes.data[0], trace_topic(TRACE_GOSSIP));
    assert_true(trace_batch_read(buf_slice(&bytes), &batch));
    assert_true(batch.area == TRACE_GOSSIP && batch.program == CONTROL_NODE && batch.id == 255);
    assert_true(batch.port == 7710 && batch.incarnation == 42 && batch.items == 2);
    assert_true(batch.before == 1000 && batch.dropped == 3);
    mp_t in = mp_open(batch.items_at);
    assert_true(trace_item_next(&in, &item));
    assert_true(item.wall_us == 1795407302825123 && item.kind == TRACE_RECEIVED);
    assert_true(item.session == UINT64_MAX && item.seq == 7 && item.update.incarnation == 0);
    assert_true(slice_equal(item.key, slice_text("visits")));
    assert_true(slice_equal(item.text, slice_text("incr")));
    assert_true(trace_item_next(&in, &item));
    assert_true(item.link == UINT32_MAX && item.key.size == 0);
    assert_true(item.update.incarnation == 42 && item.update.count == UINT64_MAX);
    assert_false(trace_item_next(&in, &item));
    assert_true(mp_done(&in));
    buf_free(&bytes);
}

static void test_what_is_too_long_is_cut(void **state)
{
    (void)state;
    char text[TRACE_KEY_MAX + TRACE_TEXT_MAX];
    buf_t bytes = {0};
    trace_item_t item = {.kind = TRACE_EVENT};

    memset(text, 'x', sizeof(text));
    item.key = item.text = slice_of(text, sizeof(text));
    trace_item_put(&bytes, &item);
    mp_t in = mp_open(buf_slice(&bytes));
    assert_true(trace_item_next(&in, &item));
    assert_true(item.key.size == TRACE_KEY_MAX && item.text.size == TRACE_TEXT_MAX);
    buf_free(&bytes);
}

/* A kind of a later version is passed on as its number. */
static void test_names(void **state)
{
    (void)state;
    trace_area_t area;

    for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
        assert_string_not_equal(trace_kind_name(kind), "unknown");
    assert_string_equal(trace_kind_name(TRACE_KINDS), "unknown");
    assert_string_equal(trace_kind_name(TRACE_DISCONNECTED), "DISCONNECTED");
    assert_true(trace_kind_area(TRACE_UPDATE_APPLIED) == TRACE_GOSSIP);
    for (int i = 0; i < TRACE_AREAS; i++) {
        assert_true(trace_area_of(trace_topic((trace_area_t)i), &area));
        assert_int_equal(area, i);
    }
    assert_false(trace_area_of('?', &area));
    assert_false(trace_batch_read(slice_of(NULL, 0), &(trace_batch_t){0}));
}

static void check_damage(random_t *rng)
{
    buf_t bytes = {0};
    trace_batch_t batch;
    trace_item_t item;

    put_example(&bytes);
    slice_t message = mutate(rng, buf_slice(&bytes), 0);
    if (trace_batch_read(message, &batch)) {
        mp_t in = mp_open(batch.items_at);
        for (uint32_t i = 0; i < batch.items; i++)
            assert_true(trace_item_next(&in, &item)); /* they were checked with the batch */
        assert_true(mp_done(&in));
    }
    mutate_free(message);
    buf_free(&bytes);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_what_is_too_long_is_cut),
        cmocka_unit_test(test_names),
        property_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
