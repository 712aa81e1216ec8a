#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/backup.h"
#include "bus/wire/inspect.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { ROUNDS = 2000 };

static void put_events(buf_t *out)
{
    const inspect_event_t event = {
        .number = 9,
        .wall_us = 1795407302825123,
        .name = slice_text("join"),
        .text = slice_text("peer joined id=1"),
    };
    buf_t items = {0};
    inspect_event_put(&items, &event);
    inspect_event_put(&items, &event);
    const inspect_events_t document = {.program = CONTROL_BROKER,
                                       .port = 7700,
                                       .incarnation = 42,
                                       .events = 2,
                                       .events_at = buf_slice(&items)};
    inspect_events_put(out, &document);
    buf_free(&items);
}

static void put_key(buf_t *out)
{
    vec_t dots = {0};
    vec_raise(&dots, 42, 7);
    const inspect_key_t key = {
        .id = 3,
        .incarnation = 42,
        .type = slice_text("hash"),
        .size = UINT64_MAX,
        .deadline = 5,
        .tag = 6,
        .updates_waiting = 1,
        .requests_waiting = 2,
    };
    inspect_key_put(out, &key, &dots);
    vec_free(&dots);
}

static void put_sessions(buf_t *out)
{
    const inspect_route_t route = {
        .connection = UINT32_MAX, .replica = 255, .sessions = 3, .in_flight = 1000};
    buf_t items = {0};
    inspect_route_put(&items, &route);
    const inspect_sessions_t document = {.incarnation = 42,
                                         .port = 7700,
                                         .sessions = 3,
                                         .routes = 5000,
                                         .routes_here = 1,
                                         .routes_at = buf_slice(&items)};
    inspect_sessions_put(out, &document);
    buf_free(&items);
}

static bool is_taken(backup_piece_t piece)
{
    buf_t bytes = {0};
    backup_piece_t seen;
    backup_piece_put(&bytes, &piece);
    bool is_taken = backup_piece_read(buf_slice(&bytes), &seen);
    if (is_taken) {
        assert_true(seen.at.transfer == piece.at.transfer && seen.at.part == piece.at.part);
        assert_true(seen.at.offset == piece.at.offset && seen.size == piece.size);
        assert_true(seen.is_last == piece.is_last && slice_equal(seen.bytes, piece.bytes));
    }
    buf_free(&bytes);
    return is_taken;
}

static void test_backup_piece(void **state)
{
    (void)state;
    const slice_t bytes = slice_text("ten bytes.");
    assert_true(is_taken((backup_piece_t){{1, 2, 0}, 10, true, bytes}));
    assert_true(is_taken((backup_piece_t){{UINT64_MAX, 2, 990}, 1000, false, bytes}));
    assert_true(is_taken((backup_piece_t){{1, 2, 0}, 0, true, slice_text("")}));
    assert_false(is_taken((backup_piece_t){{0, 2, 0}, 10, true, bytes}));
    assert_false(is_taken((backup_piece_t){{1, 2, 991}, 1000, true, bytes}));
    assert_false(is_taken((backup_piece_t){{1, 2, UINT64_MAX}, 1000, true, bytes}));
    assert_false(is_taken((backup_piece_t){{1, 2, 5}, 10, true, slice_text("")})); /* for ever */
}

static void test_round_trip(void **state)
{
    (void)state;
    buf_t bytes = {0};
    inspect_events_t events;
    inspect_event_t event;
    inspect_key_t key;
    inspect_sessions_t sessions;
    inspect_route_t route;
    vec_t dots = {0};

    put_events(&bytes);
    assert_true(inspect_events_read(buf_slice(&bytes), &events));
    assert_true(events.program == CONTROL_BROKER && events.port == 7700 && events.events == 2);
    mp_t in = mp_open(events.events_at);
    assert_true(inspect_event_next(&in, &event) && inspect_event_next(&in, &event));
    assert_true(event.number == 9 && event.wall_us == 1795407302825123);
    assert_true(slice_equal(event.name, slice_text("join")));
    assert_false(inspect_event_next(&in, &event));
    buf_reset(&bytes);
    put_key(&bytes);
    assert_true(inspect_key_read(buf_slice(&bytes), &key));
    assert_true(key.id == 3 && key.size == UINT64_MAX && key.deadline == 5 && key.tag == 6);
    assert_true(key.updates_waiting == 1 && key.requests_waiting == 2);
    in = mp_open(key.dots);
    mp_vector(&in, &dots);
    assert_true(mp_done(&in) && vec_get(&dots, 42) == 7);
    buf_reset(&bytes);
    put_sessions(&bytes);
    assert_true(inspect_sessions_read(buf_slice(&bytes), &sessions));
    assert_true(sessions.sessions == 3 && sessions.routes == 5000 && sessions.routes_here == 1);
    in = mp_open(sessions.routes_at);
    assert_true(inspect_route_next(&in, &route));
    assert_true(route.connection == UINT32_MAX && route.replica == 255 && route.in_flight == 1000);
    buf_free(&bytes);
    vec_free(&dots);
}

/* What a reader took can be gone through to its end. */
static void check_damage(random_t *rng)
{
    void (*const put[])(buf_t *) = {put_events, put_key, put_sessions};
    buf_t bytes = {0};
    inspect_events_t events;
    inspect_event_t event;
    inspect_key_t key;
    inspect_sessions_t sessions;
    inspect_route_t route;

    put[random_below(rng, 3)](&bytes);
    slice_t message = mutate(rng, buf_slice(&bytes), 0);
    if (inspect_events_read(message, &events)) {
        mp_t in = mp_open(events.events_at);
        for (uint32_t i = 0; i < events.events; i++)
            assert_true(inspect_event_next(&in, &event));
    }
    if (inspect_sessions_read(message, &sessions)) {
        mp_t in = mp_open(sessions.routes_at);
        for (uint32_t i = 0; i < sessions.routes_here; i++)
            assert_true(inspect_route_next(&in, &route));
    }
    if (inspect_key_read(message, &key)) {
        vec_t dots = {0};
        mp_t in = mp_open(key.dots);
        mp_vector(&in, &dots);
        assert_true(mp_done(&in));
        vec_free(&dots);
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
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_backup_piece),
        property_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
