#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/state.h"
#include "tests/unit/replica/node_rig.h"

/* A peer an hour ahead is not taken in, by either side; both go on serving. */
static void test_peer_clock(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    node_t *b = node_new(1, 20);
    b->now.wall_ms += 3600 * 1000;
    replica_tick(b->replica, b->now);
    a->peer = b;
    b->peer = a;
    replica_candidate(a->replica, a->now, 1, 20, slice_text("h"), 7720);
    settle(a);
    replica_peer_info_t info;
    assert_true(replica_peer_info(a->replica, 0, &info));
    assert_false(info.is_connected);
    assert_int_equal(set(a, 7, 1, "x").outcome, OUTCOME_OK);
    assert_true(hlc_ms(clock_of(a)) < b->now.wall_ms - 3000 * 1000);
    node_free(a);
    node_free(b);
}

enum { HOUR_MS = 3600 * 1000 };

/* A node whose machine's clock is so far ahead, which greets a and is greeted. */
static node_t *ahead_of(node_t *a, uint16_t id, int64_t ms)
{
    node_t *b = mem_zero(1, sizeof *b);
    const replica_config_t config = config_of(id, id * 20);
    b->now = (now_t){a->now.wall_ms + ms, a->now.boot_ms};
    b->incarnation = config.incarnation;
    b->replica = replica_new(&config);
    replica_start(b->replica, b->now, LOG_START);
    turn(b);
    a->peer = b;
    b->peer = a;
    replica_candidate(a->replica, a->now, id, b->incarnation, slice_text("h"), config.port);
    settle(a);
    return b;
}

static bool is_with(const node_t *n, uint64_t incarnation)
{
    replica_peer_info_t info;
    for (size_t i = 0; replica_peer_info(n->replica, i, &info); i++)
        if (info.incarnation == incarnation && info.is_connected)
            return true;
    return false;
}

static int accept_clock(node_t *n, uint16_t id, int64_t *moved_ms)
{
    err_t err;
    return replica_accept_clock(n->replica, n->now, id, moved_ms, &err);
}

/* People accept it: it is taken in at once, in both directions, and its clock is ours. */
static void test_accept_clock(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    replica_refused_info_t refused;
    int64_t moved_ms = 0;
    pass(a, 2000);
    assert_false(is_with(a, 20) || is_with(b, 10));
    assert_true(replica_refused_info(a->replica, a->now, 0, &refused));
    assert_true(refused.id == 1 && refused.incarnation == 20);
    assert_in_range(refused.ahead_ms, HOUR_MS, HOUR_MS + 10);
    assert_false(replica_refused_info(a->replica, a->now, 1, &refused));
    assert_false(replica_refused_info(b->replica, b->now, 0, &refused));
    assert_int_equal(accept_clock(a, 2, &moved_ms), 0);
    assert_int_equal(accept_clock(b, 0, &moved_ms), 0);
    assert_int_equal(accept_clock(a, 1, &moved_ms), 1);
    assert_in_range(moved_ms, HOUR_MS, HOUR_MS + 10);
    assert_true(hlc_ms(clock_of(a)) >= b->now.wall_ms);
    assert_false(replica_refused_info(a->replica, a->now, 0, &refused));
    pass(a, 0);
    assert_true(is_with(a, 20));
    pass(a, 5000);
    assert_true(is_with(b, 10));
    pass_until_ready(a, b);
    link_up(a);
    hello(a, 7, NULL);
    assert_int_equal(set(a, 7, 2, "y").outcome, OUTCOME_OK);
    assert_int_equal(has(b, 10), 2);
    assert_int_equal(accept_clock(a, 1, &moved_ms), 0);
    node_free(a);
    node_free(b);
}

/* Who has not been heard for long, or is ahead no more, is refused no more. */
static void test_refused_clock_ends(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    replica_refused_info_t refused;
    int64_t moved_ms = 0;
    a->peer = NULL;
    a->now.wall_ms += HOUR_MS;
    assert_false(replica_refused_info(a->replica, a->now, 0, &refused));
    a->now.wall_ms -= HOUR_MS;
    pass(a, 10000);
    assert_true(replica_refused_info(a->replica, a->now, 0, &refused));
    pass(a, 10000);
    assert_false(replica_refused_info(a->replica, a->now, 0, &refused));
    assert_int_equal(accept_clock(a, 1, &moved_ms), 0);
    node_free(a);
    node_free(b);
}

/* Who has other data is refused for that: to accept its clock would raise ours for nothing. */
static void test_refused_clock_of_other_data(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    node_t *b = served(1, 20, 8);
    replica_refused_info_t refused;
    set(a, 7, 1, "x");
    set(b, 8, 1, "y");
    b->now.wall_ms += HOUR_MS;
    a->peer = b;
    b->peer = a;
    replica_candidate(a->replica, a->now, 1, 20, slice_text("h"), 7720);
    replica_candidate(b->replica, b->now, 0, 10, slice_text("h"), 7710);
    settle(a);
    assert_false(is_with(a, 20) || is_with(b, 10));
    assert_false(replica_refused_info(a->replica, a->now, 0, &refused));
    node_free(a);
    node_free(b);
}

/* Its machine's clock was set right and it is here again: the clock that it had is not accepted. */
static void test_refused_clock_is_set_right(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    replica_refused_info_t refused;
    int64_t moved_ms = 0;
    assert_true(replica_refused_info(a->replica, a->now, 0, &refused));
    node_free(b);
    b = node_new(1, 21);
    a->peer = b;
    b->peer = a;
    replica_candidate(a->replica, a->now, 1, 21, slice_text("h"), 7720);
    settle(a);
    assert_true(is_with(a, 21));
    assert_false(replica_refused_info(a->replica, a->now, 0, &refused));
    assert_int_equal(accept_clock(a, 1, &moved_ms), 0);
    node_free(a);
    node_free(b);
}

static void test_accept_clock_read_only(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    err_t err;
    int64_t moved_ms = 0;
    replica_set_read_only(a->replica, a->now, "the disk is full");
    assert_int_equal(replica_accept_clock(a->replica, a->now, 1, &moved_ms, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
    pass(a, 5000);
    assert_false(is_with(a, 20));
    node_free(a);
    node_free(b);
}

/* A node that accepted the clock of b, and is started again an hour later by all clocks. */
static node_t *restarted(node_t *a, node_t *b)
{
    int64_t moved_ms = 0;
    assert_int_equal(accept_clock(a, 1, &moved_ms), 1);
    settle(a);
    hlc_t accepted = clock_of(a);
    a->now.wall_ms += HOUR_MS;
    b->now.wall_ms += HOUR_MS;
    b->now.boot_ms += HOUR_MS;
    replica_tick(b->replica, b->now);
    turn(b);
    node_t *again = node_replayed(a, 11);
    assert_true(clock_of(again) >= accepted);
    again->peer = b;
    b->peer = again;
    return again;
}

/* The others have gone on meanwhile: what was accepted once is taken in, and no more than that. */
static void test_accepted_clock_after_restart(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    node_t *again = restarted(a, b);
    replica_refused_info_t refused;
    replica_candidate(again->replica, again->now, 1, 20, slice_text("h"), 7720);
    settle(again);
    assert_true(is_with(again, 20));
    assert_true(hlc_ms(clock_of(again)) >= b->now.wall_ms);
    node_free(b);
    b = ahead_of(again, 2, 2 * HOUR_MS);
    assert_true(replica_refused_info(again->replica, again->now, 0, &refused));
    assert_in_range(refused.ahead_ms, HOUR_MS - 1000, HOUR_MS + 1000);
    node_free(a);
    node_free(again);
    node_free(b);
}

/* This machine's clock was the wrong one and is right now: nothing more is allowed for. */
static void test_accepted_clock_is_given_back(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    set(a, 7, 1, "x");
    node_t *b = ahead_of(a, 1, HOUR_MS);
    int64_t moved_ms = 0;
    assert_int_equal(accept_clock(a, 1, &moved_ms), 1);
    settle(a);
    a->now.wall_ms += HOUR_MS;
    node_t *right = node_replayed(a, 11);
    right->peer = b;
    b->peer = right;
    replica_candidate(right->replica, right->now, 1, 20, slice_text("h"), 7720);
    settle(right);
    assert_true(is_with(right, 20));
    node_t *again = node_replayed(right, 12);
    node_free(b);
    b = ahead_of(again, 2, HOUR_MS);
    assert_false(is_with(again, 40));
    node_free(a);
    node_free(right);
    node_free(again);
    node_free(b);
}

/* Nodes without data: it is written down with the first word of a lineage. */
static void test_accept_clock_without_data(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    node_t *b = ahead_of(a, 1, HOUR_MS);
    int64_t moved_ms = 0;
    assert_int_equal(accept_clock(a, 1, &moved_ms), 1);
    settle(a);
    assert_int_equal(a->log.size, 0);
    set(a, 7, 1, "x");
    b->now.wall_ms += HOUR_MS;
    b->now.boot_ms += HOUR_MS;
    a->now.wall_ms += HOUR_MS;
    replica_tick(b->replica, b->now);
    turn(b);
    node_t *again = node_replayed(a, 11);
    again->peer = b;
    b->peer = again;
    replica_candidate(again->replica, again->now, 1, 20, slice_text("h"), 7720);
    settle(again);
    assert_true(is_with(again, 20));
    node_free(a);
    node_free(again);
    node_free(b);
}

/* The same from a checkpoint. */
static void test_accepted_clock_in_checkpoint(void **state)
{
    (void)state;
    const replica_config_t config = config_of(0, 10);
    const uint8_t key[1] = {0};
    buf_t members = {0};
    buf_t row = {0};
    err_t err;
    peer_members_put(&members, NULL, 0);
    const state_meta_t meta = {.lineage = 5,
                               .position = LOG_START,
                               .clock = hlc_at(1000),
                               .lead_ms = HOUR_MS,
                               .members = buf_slice(&members)};
    state_meta_put(&row, &meta);
    node_t *a = mem_zero(1, sizeof *a);
    a->now = (now_t){1000000, 5000};
    a->incarnation = 10;
    a->replica = replica_new(&config);
    assert_int_equal(
        replica_restore(a->replica, STATE_META, slice_of(key, 1), buf_slice(&row), &err), 0);
    replica_restored(a->replica, LOG_START);
    replica_start(a->replica, a->now, LOG_START);
    turn(a);
    node_t *b = ahead_of(a, 1, HOUR_MS);
    assert_true(is_with(a, 20));
    node_free(b);
    b = ahead_of(a, 2, 3 * HOUR_MS);
    assert_false(is_with(a, 40));
    buf_free(&row);
    buf_free(&members);
    node_free(a);
    node_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_clock),
        cmocka_unit_test(test_accept_clock),
        cmocka_unit_test(test_refused_clock_ends),
        cmocka_unit_test(test_refused_clock_of_other_data),
        cmocka_unit_test(test_refused_clock_is_set_right),
        cmocka_unit_test(test_accept_clock_read_only),
        cmocka_unit_test(test_accepted_clock_after_restart),
        cmocka_unit_test(test_accepted_clock_is_given_back),
        cmocka_unit_test(test_accept_clock_without_data),
        cmocka_unit_test(test_accepted_clock_in_checkpoint),
    };
    return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
