#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/replica/node_rig.h"

/* A log of so many origins that no further one may be added: read, but not written. */
static void test_too_many_starts(void **state)
{
    (void)state;
    node_t *n = mem_zero(1, sizeof *n);
    n->now = (now_t){1000000, 5000};
    n->incarnation = 10;
    const replica_config_t config = config_of(0, 10);
    n->replica = replica_new(&config);
    buf_t ops = {0};
    buf_t bytes = {0};
    const op_t op = {.code = OP_SET, .key = slice_text("k"), .value = slice_text("v")};
    mp_put_array(&ops, 1);
    op_put(&ops, &op);
    for (uint64_t i = 0; i < REPLICA_PARTS_MAX; i++) {
        const uint8_t done = 0xC3;
        record_t record = {.origin = 1000 + i,
                           .n = 1,
                           .tag = {i + 1, 5, i + 1},
                           .result = slice_of(&done, 1),
                           .ops = buf_slice(&ops)};
        err_t err;
        buf_reset(&bytes);
        record_put(&bytes, &record);
        assert_int_equal(replica_replay(n->replica, i, 1, buf_slice(&bytes), &err), 0);
    }
    /* A member that is away, so that none of them can be forgotten. */
    const peer_member_t away = {.id = 9, .incarnation = 99, .stamp = 1, .state = MEMBER_IN};
    err_t err;
    buf_reset(&bytes);
    peer_members_put(&bytes, &away, 1);
    assert_int_equal(
        replica_replay(n->replica, REPLICA_PARTS_MAX, SEGLOG_KIND_MEMBERS, buf_slice(&bytes), &err),
        0);
    buf_free(&ops);
    buf_free(&bytes);
    replica_start(n->replica, n->now, LOG_START);
    turn(n);
    link_up(n);
    hello(n, 7, NULL);
    item_t read = call(n, (ask_t){.session = 7, .seq = 1, .command = COMMAND_GET, .a = "k"});
    assert_int_equal(read.outcome, OUTCOME_OK);
    assert_int_equal(set(n, 7, 2, "w").outcome, OUTCOME_READ_ONLY);
    node_free(n);
}

/* Said once when a member keeps the others from forgetting, and once when that is over. */
static void test_stability_lag(void **state)
{
    enum { HORIZON = 15 * 4, LAG = 60 * 4 }; /* quarters of a second */
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    pass_synced_times(a, 2 * (HORIZON + LAG)); /* with nothing to forget */
    assert_int_equal(a->lag_notes, 0);
    link_up(a);
    hello(a, 1, NULL);
    set(a, 1, 1, "x");
    a->is_deaf = b->is_deaf = true; /* no rounds */
    pass_synced_times(a, HORIZON + LAG - 8);
    assert_int_equal(a->lag_notes, 0);
    pass_synced_times(a, HORIZON + LAG);
    assert_int_equal(a->lag_notes, 1);
    a->is_deaf = b->is_deaf = false;
    pass_synced_times(a, 3 * HORIZON);
    assert_int_equal(a->lag_notes, 2);
    node_free(a);
    node_free(b);
}

/* Time passes for all three, and a talks with both of the others, who do not meet. */
static void pass_between(node_t *a, node_t *b, node_t *c)
{
    a->peer = b;
    b->peer = a;
    c->peer = NULL;
    pass_synced(a);
    a->peer = c;
    c->peer = a;
    b->peer = NULL;
    c->now.boot_ms += 250;
    c->now.wall_ms += 250;
    replica_tick(c->replica, c->now);
    replica_synced(c->replica, c->now, LOG_START + c->log.size);
    settle(a);
}

/*
 * All that is left have an update on disk, and the floors are past it. But one of them does not
 * know yet who has left, and may be giving that one what is to be compared with it.
 */
static void test_forgets_when_all_agree(void **state)
{
    enum { QUARTERS = 60 * 4 };
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    node_t *c = node_new(2, 30);
    err_t err;
    connect_nodes(a, b);
    b->peer = NULL;
    connect_nodes(a, c);
    set(a, 1, 1, "x");
    pass_between(a, b, c);
    assert_int_equal(has(c, 10), 1);
    c->is_deaf = true;
    a->peer = b;
    b->peer = a;
    set(a, 1, 2, "y");
    for (int i = 0; i < QUARTERS; i++)
        pass_between(a, b, c);
    assert_int_equal(has(b, 10), 2);
    assert_int_equal(has(c, 10), 1);
    assert_true(hlc_ms(replica_info(a->replica, a->now).horizon) > 1000000);
    assert_int_equal(replica_info(a->replica, a->now).unstable, 1);

    a->peer = b->peer = c->peer = NULL;
    assert_int_equal(replica_forget(a->replica, a->now, 2, &err), 0);
    pass_synced_times(a, 8);
    assert_int_equal(replica_info(a->replica, a->now).unstable, 1);
    meet(a, b);
    pass_synced_times(a, QUARTERS);
    assert_int_equal(replica_info(a->replica, a->now).unstable, 0);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* Who has nothing to forget does not keep those from it who have. */
static void test_floor_for_others(void **state)
{
    enum { QUARTERS = 30 * 4 };
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    pass_synced_times(a, 2 * QUARTERS);
    hlc_t floor = replica_info(b->replica, b->now).floor;
    assert_int_equal(replica_info(b->replica, b->now).unstable, 0);
    pass_synced_times(a, QUARTERS);
    assert_true(replica_info(b->replica, b->now).floor == floor); /* for nobody */
    link_up(a);
    hello(a, 1, NULL);
    b->is_deaf = true;
    set(a, 1, 2, "y");
    b->is_deaf = false;
    a->is_slow = true; /* b does not get it */
    pass_synced_times(a, QUARTERS);
    assert_int_equal(replica_info(b->replica, b->now).unstable, 0);
    assert_true(replica_info(b->replica, b->now).floor > floor);
    node_free(a);
    node_free(b);
}

/*
 * What comes of a member that hands in, and is forgotten while that is under way, is not what one
 * who has left hands in: others may have taken it as it is, and do not know yet that it has left.
 */
static void test_forgotten_while_it_hands_in(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    b->is_deaf = true;
    set(a, 1, 2, "y");
    assert_int_equal(has(b, 10), 1);
    a->is_slow = true;
    a->reads = 0;
    vec_t vector = vec_one(10, 2);
    const peer_join_t join = {.id = 0, .incarnation = 10};
    buf_t message = {0};
    peer_join_put(&message, &join, &vector);
    replica_peer_router(b->replica, b->now, LINK, buf_slice(&message));
    settle(b);
    assert_int_equal(a->reads, 1);
    assert_int_equal(replica_forget(b->replica, b->now, 0, &err), 0);
    read_log(a);
    settle(b);
    assert_int_equal(has(b, 10), 1);
    vec_free(&vector);
    buf_free(&message);
    node_free(a);
    node_free(b);
}

/*
 * What is held back of an incarnation that is over may be in no other replica's log: once this one
 * has said that it knows of the new one, it may not be applied any more.
 */
static void test_held_back_of_one_that_is_over(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    b->is_deaf = true;
    set(a, 1, 1, "x");
    b->is_deaf = false;
    a->is_slow = true; /* pulls are not answered */
    set(a, 1, 2, "y");
    assert_int_equal(replica_info(b->replica, b->now).received_lag, 1);
    node_t *c = node_new(0, 11);
    connect_nodes(c, b);
    assert_int_equal(replica_info(b->replica, b->now).received_lag, 0);
    node_free(a);
    node_free(b);
    node_free(c);
}

/*
 * Who was taken back had handed in what it had, which was emptied there; before it has the state it
 * is no member, or others would take the same updates whole.
 */
static void test_crash_while_joining(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    set(a, 1, 1, "x");
    buf_t joins = {0};
    seglog_number_put(&joins, 1);
    seglog_entry_put(&a->log, LOG_START + a->log.size, SEGLOG_KIND_JOINING, buf_slice(&joins));
    node_t *c = node_replayed(a, 11);
    replica_member_info_t own;
    assert_true(replica_member_info(c->replica, c->now, 0, &own));
    assert_true(own.id == 0 && own.incarnation == 11 && own.state == MEMBER_LEFT_BEHIND);
    assert_true(replica_info(c->replica, c->now).is_joining);
    buf_free(&joins);
    node_free(a);
    node_free(c);
}

/* Two that were cut off have forgotten one another: one goes on, the other takes its state over. */
static void test_forgotten_by_one_another(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    a->peer = b->peer = NULL;
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    assert_int_equal(replica_forget(b->replica, b->now, 0, &err), 0);
    settle(a);
    settle(b);
    node_t *c = node_replayed(a, 11);
    node_t *d = node_replayed(b, 21);
    connect_nodes(c, d);
    for (int i = 0; i < 20; i++) {
        pass(c, 100);
        replica_synced(c->replica, c->now, UINT64_MAX);
        replica_synced(d->replica, d->now, UINT64_MAX);
    }
    assert_true(replica_is_ready(c->replica));
    assert_true(replica_info(d->replica, d->now).is_joining);
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/* Who was forgotten while it was up is of no use until it is started again, and changes no more. */
static void test_forgotten_while_it_is_up(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    assert_int_equal(has(b, 10), 1);
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    pass(a, 250);
    set(a, 1, 2, "y");
    for (int i = 0; i < 40; i++)
        pass(a, 250);
    assert_false(replica_is_ready(b->replica));
    assert_int_equal(has(b, 10), 1);
    node_free(a);
    node_free(b);
}

/*
 * What all members have is forgotten without regard to one that was left out: whoever was shown the
 * data since is told who that is, and is not served there as long as it does not know.
 */
static void test_left_out_unawares(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    const ask_t get = {.seq = 9, .command = COMMAND_GET, .a = "k"};
    ask_t ask = get;
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    assert_int_equal(vec_get(&a->told, vec_node(1)), 0);
    a->peer = b->peer = NULL;
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    ask.session = 1;
    call(a, ask);
    vec_t token = {0};
    vec_copy(&token, &a->told);
    assert_int_not_equal(vec_get(&token, vec_node(1)), 0);
    ask.seq++;
    call(a, ask);
    assert_int_equal(a->told.size, 0); /* once is enough */

    ask = get;
    ask.session = 2;
    assert_int_equal(call(b, ask).outcome, OUTCOME_OK);
    hello(b, 3, &token);
    ask.session = 3;
    b->items_size = 0;
    send(b, ask);
    pass(b, REPLICA_HOLD_MS);
    assert_int_equal(b->items[0].outcome, OUTCOME_BEHIND);
    ask.epoch = 2;
    ask.flags = REQUEST_LAST_TRY;
    ask.left_ms = 1000;
    b->items_size = 0;
    send(b, ask);
    pass(b, 900);
    assert_int_equal(b->items_size, 1);
    assert_int_equal(b->items[0].outcome, OUTCOME_MISSING);
    assert_int_equal(vec_get(&b->told, vec_node(1)), 0); /* who relaxes goes on without */
    hello(a, 3, &token);
    ask.epoch = 3;
    assert_int_equal(call(a, ask).outcome, OUTCOME_OK);
    vec_free(&token);
    node_free(a);
    node_free(b);
}

/*
 * Who takes a member back while its disk is full would forget that with its next start: what the
 * other one then wrote would come too late here.
 */
static void test_taken_back_on_disk(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    settle(a);
    node_t *c = node_replayed(b, 21);
    replica_set_read_only(a->replica, a->now, "no room");
    connect_nodes(a, c);
    pass_synced_times(a, 20);
    assert_true(replica_info(c->replica, c->now).is_joining);
    replica_set_read_only(a->replica, a->now, NULL);
    pass(a, 3000); /* written, and not on disk */
    assert_true(replica_info(c->replica, c->now).is_joining);
    pass_synced_times(a, 20);
    assert_false(replica_info(c->replica, c->now).is_joining);
    node_free(a);
    node_free(b);
    node_free(c);
}

/*
 * Who had left hands in an update twice, since the one that took it back is gone before it has the
 * state: for both it counts for nothing, or they would differ; and the second one waits for the
 * first, which may have had it before.
 */
static void test_handed_in_twice(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    node_t *d = node_new(2, 30);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    meet(a, d);
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    pass_synced_times(a, 20);
    b->peer = NULL;
    set(b, 2, 1, "late");

    node_t *c = node_replayed(b, 21);
    c->now = a->now;
    meet(a, c);
    for (int i = 0; i < 20; i++) {
        pass(a, 250);
        replica_synced(c->replica, c->now, UINT64_MAX); /* not a: it gives no state yet */
    }
    assert_true(has_lost(a, "set \"k\" \"late\""));
    assert_int_equal(has(a, 20), 1);
    assert_true(replica_info(c->replica, c->now).is_joining);

    a->peer = d;
    d->peer = a;
    d->now = a->now;
    a->is_slow = true;
    for (int i = 0; i < 40; i++)
        pass(a, 250);
    replica_member_info_t row;
    assert_true(replica_member_info(d->replica, d->now, 1, &row));
    assert_int_equal(row.state, MEMBER_IN);
    assert_int_equal(has(d, 20), 0);

    c->now = d->now;
    meet(d, c);
    pass_synced_times(c, 40);
    assert_int_equal(has(d, 20), 0);
    assert_int_equal(replica_forget(d->replica, d->now, 0, &err), 0);
    for (int i = 0; i < 40 && has(d, 20) == 0; i++)
        pass_synced(c);
    assert_int_equal(has(d, 20), 1);
    assert_true(has_lost(d, "set \"k\" \"late\""));
    assert_true(replica_digest(a->replica, clock_of(a)) == replica_digest(d->replica, clock_of(a)));
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/* A node 0 with that much of a log, to which node 1 has been left behind. */
static node_t *node_that_left_behind(const node_t *old, size_t log_size, uint64_t incarnation,
                                     const node_t *left)
{
    const peer_member_t rows[] = {
        {0, old->incarnation, hlc_add_ms(clock_of(left), 1), MEMBER_IN},
        {1, left->incarnation, hlc_add_ms(clock_of(left), 1), MEMBER_LEFT_BEHIND}};
    node_t *n = node_with_rows(old, log_size, incarnation, rows);
    n->now = left->now;
    return n;
}

/* Each had left as the other saw it, and both have gone on: the one that did so later stays. */
static void test_both_went_on(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    a->peer = b->peer = NULL;
    set(a, 1, 2, "of a");
    set(b, 2, 1, "of b");
    const hlc_t at = hlc_add_ms(clock_of(b), 10);
    const peer_member_t of_a[] = {{0, 10, at + 5, MEMBER_IN}, {1, 20, at, MEMBER_FORGOTTEN}};
    const peer_member_t of_b[] = {{0, 10, at + 1, MEMBER_LEFT_BEHIND}, {1, 20, at + 9, MEMBER_IN}};
    node_t *c = node_with_rows(a, a->log.size, 11, of_a);
    node_t *d = node_with_rows(b, b->log.size, 21, of_b);
    assert_true(replica_is_ready(c->replica) && replica_is_ready(d->replica));
    meet(c, d);
    pass_synced_times(c, 40);
    assert_int_equal(replica_info(c->replica, c->now).counts->transfers, 1);
    assert_int_equal(replica_info(d->replica, d->now).counts->transfers, 0);
    assert_true(replica_is_ready(c->replica) && replica_is_ready(d->replica));
    assert_true(has_lost(d, "of a"));
    assert_true(replica_digest(c->replica, at) == replica_digest(d->replica, at));
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/*
 * A state is taken over that lacks updates of our own incarnation, of which no log tells any more:
 * their counts are never used again, and whoever saw them is told.
 */
static void test_own_count_never_goes_back(void **state)
{
    (void)state;
    err_t err;
    record_t record = {0};
    vec_t seen = vec_one(30, 1);
    node_t *a = served(0, 10, 1);
    node_t *c = served(1, 20, 2);
    node_t *e = served(2, 30, 3);
    connect_nodes(a, c);
    connect_nodes(e, a);
    set(e, 3, 1, "x");
    assert_int_equal(replica_forget(a->replica, a->now, 2, &err), 0); /* so its part is not over */
    settle(a);
    const size_t before = a->log.size;
    a->peer = c;
    for (int i = 0; i < 40 && has(c, 30) == 0; i++)
        pass_synced(a);
    hello(c, 2, &seen);
    set(c, 2, 1, "y");
    last_logged(c, &record);
    assert_int_equal(vec_get(&record.deps, 30), 1);
    assert_int_equal(has(a, 20), 1);

    node_t *b = node_that_left_behind(a, a->log.size, 11, c);
    meet(b, c);
    for (int i = 0; i < 100 && replica_info(c->replica, c->now).counts->transfers < 1; i++)
        pass_synced(c);
    pass_synced_times(c, 20);
    assert_true(replica_is_ready(c->replica));

    node_t *d = node_that_left_behind(a, before, 12, c);
    meet(d, c);
    for (int i = 0; i < 200 && replica_info(c->replica, c->now).counts->transfers < 2; i++)
        pass_synced(c);
    pass_synced_times(c, 20);
    assert_int_equal(replica_info(c->replica, c->now).counts->transfers, 2);
    assert_true(replica_is_ready(c->replica));
    assert_int_equal(has(c, 20), 1);
    assert_int_equal(has(d, 20), 1);
    /* So says the log, also to one that starts before the state is on its disk. */
    node_free(node_replayed(c, 21));
    vec_t token = vec_one(20, 1);
    link_up(c);
    hello(c, 3, &token);
    const ask_t get = {.session = 3, .seq = 1, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(c, get).outcome, OUTCOME_MISSING);
    hello(c, 2, &seen);
    assert_int_equal(set(c, 2, 5, "z").outcome, OUTCOME_OK);
    last_logged(c, &record);
    assert_int_equal(vec_get(&record.deps, 30), 1); /* what had named it is empty now */
    for (int i = 0; i < 20 && has(d, 20) < 2; i++)
        pass_synced(c);
    assert_int_equal(has(d, 20), 2);
    record_free(&record);
    vec_free(&seen);
    vec_free(&token);
    node_free(e);
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/* Who went on alone may have forgotten more than those whose state it takes over: that is void. */
static void test_horizon_is_that_of_the_state(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *c = served(1, 20, 2);
    err_t err;
    connect_nodes(a, c);
    set(a, 1, 1, "x");
    a->peer = c->peer = NULL;
    assert_int_equal(replica_forget(c->replica, c->now, 0, &err), 0);
    set(c, 2, 1, "y");
    pass_synced_times(c, 200);
    const hlc_t alone = replica_info(c->replica, c->now).horizon;
    assert_true(alone > clock_of(a));
    node_t *b = node_that_left_behind(a, a->log.size, 11, c);
    b->now = a->now; /* it has not gone on meanwhile */
    meet(b, c);
    pass_synced_times(c, 20);
    assert_int_equal(replica_info(c->replica, c->now).counts->transfers, 1);
    assert_true(replica_info(c->replica, c->now).horizon < alone);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* Who has seen an update that does not count any more is told so, also after a restart. */
static void test_lost_is_told(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    const ask_t get = {.session = 1, .seq = 2, .command = COMMAND_GET, .a = "k"};
    const ask_t scan = {.session = 1, .seq = 3, .command = COMMAND_SCAN, .a = "0"};
    const record_t emptied = {.origin = 20,
                              .n = 1,
                              .tag = {clock_of(a), 5, 1},
                              .ops = record_nothing(),
                              .result = record_nothing()};
    buf_t raw = {0};
    set(a, 1, 1, "x");
    record_put(&raw, &emptied);
    seglog_entry_put(&a->log, LOG_START + a->log.size, SEGLOG_KIND_UPDATE, buf_slice(&raw));
    node_t *c = node_replayed(a, 11);
    link_up(c);
    vec_t token = vec_one(20, 1);
    vec_raise(&token, 10, 1);
    hello(c, 1, &token);
    assert_int_equal(call(c, get).outcome, OUTCOME_MISSING);
    assert_true(vec_get(&c->told, 10) == 1 && vec_get(&c->told, 20) == 0); /* for --relax */
    hello(c, 1, NULL);
    assert_int_equal(call(c, scan).outcome, OUTCOME_OK);
    assert_true(vec_get(&c->told, 10) == 1 && vec_get(&c->told, 20) == 0);
    assert_int_equal(call(c, get).outcome, OUTCOME_OK);
    vec_free(&token);
    buf_free(&raw);
    node_free(a);
    node_free(c);
}

/*
 * A row that says of a member that it was forgotten stands above many starts of it, each of which
 * stands one tick above the row before, also where the clock is behind that of the member.
 */
static void test_starts_do_not_bring_back(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    const hlc_t later = hlc_add_ms(clock_of(a), 5000);
    const peer_member_t rows[] = {{0, 10, clock_of(a), MEMBER_IN}, {1, 20, later, MEMBER_IN}};
    node_t *c = node_with_rows(a, a->log.size, 11, rows);
    assert_int_equal(replica_forget(c->replica, c->now, 1, &err), 0);
    node_t *d = node_with_rows(b, b->log.size, 21, rows);
    for (uint64_t start = 22; start < 26; start++) {
        node_t *next = node_replayed(d, start);
        node_free(d);
        d = next;
    }
    meet(c, d);
    assert_int_equal(replica_info(c->replica, c->now).members, 1);
    assert_true(replica_info(d->replica, d->now).is_joining);
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/* Put back is a copy of the folder from before the node was left out and taken back. */
static void test_old_folder(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    a->peer = b->peer = NULL;
    set(b, 2, 1, "of b alone");
    assert_int_equal(replica_forget(a->replica, a->now, 1, &err), 0);
    for (uint64_t start = 21; start < 23; start++) {
        node_t *c = node_replayed(b, start);
        c->now = a->now;
        meet(a, c);
        pass_synced_times(a, 40);
        assert_int_equal(replica_info(c->replica, c->now).counts->transfers, 1);
        assert_true(replica_is_ready(c->replica));
        assert_true(replica_digest(a->replica, clock_of(a)) ==
                    replica_digest(c->replica, clock_of(a)));
        node_free(c);
    }
    assert_true(has_lost(a, "of b alone"));
    node_free(a);
    node_free(b);
}

/*
 * An old copy of the folder has an old floor: what was sent long ago would be taken by it, under
 * what the others count on nobody to take any more.
 */
static void test_old_folder_has_an_old_floor(void **state)
{
    (void)state;
    enum { QUARTERS = 100 };
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    pass_synced(a);
    const size_t copied = b->log.size;
    pass_synced_times(a, QUARTERS);
    link_up(a);
    hello(a, 1, NULL);
    set(a, 1, 2, "y");
    pass_synced_times(a, QUARTERS);
    const hlc_t horizon = replica_info(a->replica, a->now).horizon;
    b->log.size = copied;
    node_t *c = node_replayed(b, 21);
    c->now = a->now;
    assert_true(replica_info(c->replica, c->now).floor < horizon);
    meet(a, c);
    assert_true(replica_is_ready(c->replica));
    assert_true(replica_info(c->replica, c->now).floor >= horizon);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* Who has no data is no old folder, whoever had its id before and however late its clock is. */
static void test_new_under_a_used_id(void **state)
{
    (void)state;
    node_t *a = node_new(0, 10);
    node_t *early = node_new(1, 20);
    early->now.wall_ms += 5000;
    buf_reset(&early->log);
    node_t *b = node_replayed(early, 21); /* as new, 5 s later */
    connect_nodes(a, b);
    node_t *c = node_new(1, 22);
    meet(a, c);
    for (int i = 0; i < 20; i++)
        pass(a, 250);
    assert_true(replica_is_ready(c->replica));
    node_free(a);
    node_free(early);
    node_free(b);
    node_free(c);
}

/*
 * A newcomer takes part in nothing before it is on disk elsewhere that it is a member: who forgot
 * it in a power cut would forget, for good, what its updates are to be compared with.
 */
static void test_newcomer_is_known_first(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    const size_t on_disk = a->log.size;
    pass_synced(a);
    connect_nodes(a, b);
    for (int i = 0; i < 20; i++) {
        pass(a, 100);
        replica_synced(b->replica, b->now, LOG_START + b->log.size);
    }
    assert_false(replica_is_ready(b->replica));
    a->log.size = on_disk;
    node_t *again = node_replayed(a, 11);
    assert_int_equal(replica_info(again->replica, again->now).members, 1);
    a->peer = b->peer = NULL;
    pass_on_disk(b, 20000);
    assert_false(replica_is_ready(b->replica));
    join(again, b);
    assert_int_equal(has(b, 10), 1);
    assert_int_equal(replica_info(again->replica, again->now).members, 2);
    node_free(a);
    node_free(b);
    node_free(again);
}

/*
 * Nobody here reckoned with a member, because who took it in is gone, or was left behind: what it
 * accepted may be under the horizon by now.
 */
static void test_taken_in_elsewhere(void **state)
{
    (void)state;
    node_t *before = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(before, 1, 1, "x");
    const size_t on_disk = before->log.size;
    join(before, b);
    before->peer = b->peer = NULL;
    link_up(b);
    hello(b, 2, NULL);
    set(b, 2, 1, "of b");
    before->log.size = on_disk;
    node_t *a = node_replayed(before, 11);
    pass_on_disk(a, 60000);
    assert_true(replica_info(a->replica, a->now).horizon > clock_of(b));
    meet(a, b);
    pass_synced_times(a, 80);
    assert_true(replica_is_ready(a->replica) && replica_is_ready(b->replica));
    assert_int_equal(replica_info(b->replica, b->now).counts->transfers, 2);
    assert_true(has_lost(a, "of b"));
    assert_true(replica_digest(a->replica, 0) == replica_digest(b->replica, 0));
    node_free(a);
    node_free(b);
    node_free(before);
}

/* With --sync never nothing is synced by itself: who waits for it asks. */
static void test_join_asks_for_syncs(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    a->syncs_when_asked = b->syncs_when_asked = true;
    set(a, 1, 1, "x");
    pass_synced(a);
    set(a, 1, 2, "y");
    join(a, b);
    assert_int_equal(has(b, 10), 2);
    node_free(a);
    node_free(b);
}

static int begin_backup(node_t *n)
{
    replica_part_t part;
    err_t err;
    return replica_backup(n->replica, n->now, 0, 0, &part, &err);
}

static uint64_t held_back(node_t *n)
{
    replica_key_info_t info;
    replica_key_info(n->replica, n->now, slice_text("k"), &info);
    return info.updates_waiting;
}

/*
 * What is held back when a state is given is not in it: applied afterwards, it would be in the log
 * of the one and be lacked by the other, who says to have all that its donor had.
 */
static void test_held_back_is_not_given(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    node_t *c = node_new(2, 30);
    connect_nodes(a, b);
    set(b, 2, 1, "x");
    a->peer = NULL;
    assert_int_equal(begin_backup(a), 0); /* c is known, and has to wait */
    meet(a, c);
    pass_synced_times(a, 8);
    a->peer = b;
    a->is_deaf = true;
    set(b, 2, 2, "y");
    a->is_deaf = false;
    b->is_slow = true;
    set(b, 2, 3, "z");
    assert_int_equal(held_back(a), 1);
    meet(a, c);
    pass_until_ready(a, c);
    assert_int_equal(held_back(a), 0);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* As pass_synced, but no checkpoint gets to the disk. */
static void pass_without_commit(node_t *n)
{
    pass(n, 250);
    for (node_t *r = n; r != NULL; r = r == n ? n->peer : NULL) {
        replica_synced(r->replica, r->now, LOG_START + r->log.size);
        replica_checkpoint_room(r->replica, r->now, 1024 * 1024);
    }
    settle(n);
}

/* A new node takes over what the other has, but has not written it yet. */
static void begin_writing(node_t *n, node_t *fresh)
{
    connect_nodes(n, fresh);
    for (int i = 0; i < 20; i++)
        pass_without_commit(n);
    assert_true(fresh->has_commit && !replica_is_ready(fresh->replica));
}

/*
 * A newcomer has nothing to give as long as it waits, or writes what it has got: another one that
 * meets nobody else has nothing either.
 */
static void test_newcomer_meets_another(void **state)
{
    (void)state;
    for (int is_writing = 0; is_writing < 2; is_writing++) {
        node_t *a = served(0, 10, 1);
        node_t *b = node_new(1, 20);
        node_t *c = node_new(2, 30);
        set(a, 1, 1, "x");
        if (is_writing)
            begin_writing(a, b);
        else
            connect_nodes(a, b);
        a->peer = NULL;
        connect_nodes(b, c);
        for (int i = 0; i < 60; i++)
            pass_without_commit(b);
        assert_false(replica_is_ready(b->replica) || replica_is_ready(c->replica));
        if (is_writing) {
            pass_synced_times(b, 60);
            assert_true(replica_is_ready(b->replica) && replica_is_ready(c->replica));
            assert_int_equal(has(c, 10), 1);
        }
        node_free(a);
        node_free(b);
        node_free(c);
    }
}

/* Killed before it has taken over a state, a newcomer has nothing to serve when it starts again. */
static void test_newcomer_started_again(void **state)
{
    (void)state;
    for (int is_writing = 0; is_writing < 2; is_writing++) {
        node_t *a = served(0, 10, 1);
        node_t *b = node_new(1, 20);
        set(a, 1, 1, "x");
        if (is_writing)
            begin_writing(a, b);
        else
            connect_nodes(a, b);
        a->peer = NULL;
        node_t *c = node_replayed(b, 21);
        pass_on_disk(c, 60000);
        assert_false(replica_is_ready(c->replica));
        meet(a, c);
        pass_synced_times(a, 80);
        assert_true(replica_is_ready(c->replica));
        assert_int_equal(has(c, 10), 1);
        assert_int_equal(a->lost.size, 0);
        node_free(a);
        node_free(b);
        node_free(c);
    }
}

/* Two newcomers know of one that has data, which is away: they wait, as one does. */
static void test_two_newcomers_wait(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    node_t *c = node_new(2, 30);
    set(a, 1, 1, "x");
    connect_nodes(a, b);
    b->peer = NULL;
    connect_nodes(a, c);
    a->peer = NULL;
    meet(b, c);
    pass_synced_times(b, 80);
    assert_false(replica_is_ready(b->replica) || replica_is_ready(c->replica));
    assert_int_equal(begin_backup(b), -1); /* of nothing */
    c->peer = NULL;
    meet(a, b);
    pass_synced_times(a, 80);
    assert_true(replica_is_ready(b->replica));
    assert_int_equal(has(b, 10), 1);
    node_free(a);
    node_free(b);
    node_free(c);
}

/*
 * It had left, is a member again, and the one that took it back is away before it gave its state:
 * what it has itself is what it had left with.
 */
static void test_taken_back_and_not_given(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *before = node_new(1, 20);
    node_t *c = node_new(2, 30);
    connect_nodes(a, before);
    set(a, 1, 1, "x");
    const peer_member_t rows[] = {{0, 10, 1, MEMBER_IN},
                                  {1, 20, clock_of(before), MEMBER_LEFT_BEHIND}};
    node_t *b = node_with_rows(before, before->log.size, 21, rows);
    before->peer = NULL;
    meet(a, b);
    for (int i = 0; i < 8; i++) {
        pass(a, 250); /* which does not get to its disk that b is a member again */
        replica_synced(b->replica, b->now, LOG_START + b->log.size);
    }
    assert_int_equal(replica_info(b->replica, b->now).members, 2);
    a->peer = NULL;
    meet(b, c);
    pass_synced_times(b, 60);
    assert_false(replica_is_ready(b->replica) || replica_is_ready(c->replica));
    node_free(a);
    node_free(before);
    node_free(b);
    node_free(c);
}

/* Who cannot write down that another is a member promises nothing: that one asks elsewhere. */
static void test_read_only_donor_is_silent(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    replica_set_read_only(a->replica, a->now, "no room");
    connect_nodes(a, b);
    pass_synced_times(a, 20);
    assert_true(replica_info(b->replica, b->now).is_joining);
    assert_int_equal(a->states, 0);
    replica_set_read_only(a->replica, a->now, NULL);
    pass_synced_times(a, 40);
    assert_true(replica_is_ready(b->replica));
    node_free(a);
    node_free(b);
}

/* It hears that it has left when it has taken over a state, but not written it: it joins again. */
static void test_left_while_writing(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    begin_writing(a, b);
    const hlc_t later = hlc_add_ms(clock_of(b), 1000);
    const peer_member_t rows[] = {{0, 10, later, MEMBER_IN}, {1, 20, later, MEMBER_LEFT_BEHIND}};
    node_t *c = node_with_rows(a, a->log.size, 11, rows);
    a->peer = NULL;
    meet(c, b);
    c->peer = b->peer = NULL;
    pass_synced_times(b, 20);
    assert_false(replica_is_ready(b->replica));
    meet(c, b);
    pass_synced_times(c, 80);
    assert_true(replica_is_ready(b->replica) && replica_is_ready(c->replica));
    node_free(a);
    node_free(b);
    node_free(c);
}

/*
 * The same, and by then one has taken it back that it had asked before: it has left no more, and
 * what it hands in when it cannot follow by the log counts.
 */
static void test_taken_back_while_writing(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    begin_writing(a, b);
    const hlc_t later = hlc_add_ms(clock_of(b), 1000);
    const hlc_t last = hlc_add_ms(later, 1000);
    const peer_member_t left[] = {{0, 11, later, MEMBER_IN}, {1, 20, later, MEMBER_LEFT_BEHIND}};
    const peer_member_t back[] = {{0, 12, last, MEMBER_IN}, {1, 20, last, MEMBER_IN}};
    node_t *c = node_with_rows(a, a->log.size, 11, left);
    node_t *d = node_with_rows(a, a->log.size, 12, back);
    meet(c, b);
    c->peer = NULL;
    meet(d, b);
    pass_synced_times(d, 20);
    assert_true(replica_is_ready(b->replica));
    d->peer = b->peer = NULL;
    link_up(b);
    hello(b, 2, NULL);
    set(b, 2, 1, "of b");
    link_up(d);
    hello(d, 3, NULL);
    set(d, 3, 1, "of d");
    replica_files_damaged(d->replica, d->now, true, false);
    pass_synced_times(d, 8);
    pass_synced_times(b, 8);
    b->is_slow = true; /* nobody has what it has before it joins */
    meet(d, b);
    for (int i = 0; i < 40 && !replica_info(b->replica, b->now).is_joining; i++)
        pass_synced(d);
    b->is_slow = false;
    b->reads = 0;
    pass_synced_times(d, 80);
    assert_true(replica_is_ready(b->replica) && replica_is_ready(d->replica));
    assert_int_equal(replica_info(b->replica, b->now).counts->transfers, 2);
    assert_true(replica_digest(b->replica, 0) == replica_digest(d->replica, 0));
    assert_false(has_lost(d, "of b"));
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
}

/* Its own state is old, and another one's is not on the disk yet: that one is to be waited for. */
static void test_waits_for_who_writes(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    const size_t before = a->log.size;
    set(a, 1, 2, "y");
    begin_writing(a, b);
    const peer_member_t rows[] = {{0, 10, clock_of(b), MEMBER_FORGOTTEN}, {1, 20, 1, MEMBER_IN}};
    node_t *c = node_with_rows(a, before, 11, rows);
    a->peer = NULL;
    meet(b, c);
    for (int i = 0; i < 60; i++)
        pass_without_commit(b);
    assert_false(replica_is_ready(c->replica) || replica_is_ready(b->replica));
    pass_synced_times(b, 60);
    assert_true(replica_is_ready(c->replica) && replica_is_ready(b->replica));
    assert_int_equal(has(c, 10), 2);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* One of three is off, and one joins: what that one will have does not make a majority yet. */
static void test_who_joins_has_no_say(void **state)
{
    (void)state;
    log_max = 2000;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    node_t *c = node_new(2, 30);
    log_max = 0;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    a->peer = b->peer = NULL;
    for (uint64_t seq = 2; a->log.size < 2200; seq++)
        set(a, 1, seq, "x");
    for (int i = 0; i < 8; i++)
        pass(a, 250);
    connect_nodes(a, c);
    for (int i = 0; i < 40; i++)
        pass(a, 250); /* without a sync */
    assert_true(replica_info(c->replica, c->now).is_joining);
    assert_int_equal(replica_info(a->replica, a->now).members, 3);
    pass_synced_times(a, 40);
    assert_true(replica_is_ready(c->replica));
    assert_int_equal(replica_info(a->replica, a->now).members, 2);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* It was left out by members that are gone for good: it waits, and what it has can be had. */
static void test_left_behind_alone(void **state)
{
    (void)state;
    node_t *before = served(0, 10, 1);
    set(before, 1, 1, "x");
    const peer_member_t rows[] = {{0, 10, clock_of(before), MEMBER_LEFT_BEHIND},
                                  {1, 77, clock_of(before), MEMBER_IN}};
    node_t *n = node_with_rows(before, before->log.size, 11, rows);
    pass_on_disk(n, 1000);
    assert_int_equal(begin_backup(n), -1);
    pass_on_disk(n, 11000);
    assert_false(replica_is_ready(n->replica));
    assert_int_equal(begin_backup(n), 0);
    node_free(n);
    node_free(before);
}

/*
 * A host is cut off, and another one is started under its id; the others reckon with that one. What
 * the first one took in meanwhile is not to be compared with anything any more.
 */
static void test_replaced_while_it_was_up(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    node_t *early = node_new(1, 21);
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    assert_int_equal(has(b, 10), 1);
    a->peer = b->peer = NULL;
    link_up(b);
    hello(b, 2, NULL);
    set(b, 2, 1, "of the first");
    early->now.wall_ms += 5000;
    buf_reset(&early->log);
    node_t *c = node_replayed(early, 22); /* as new, 5 s later */
    join(a, c);
    a->peer = NULL;
    pass_on_disk(a, 3000); /* both are silent */
    meet(a, b);
    pass_synced_times(a, 80);
    assert_true(replica_is_ready(a->replica) && replica_is_ready(b->replica));
    assert_int_equal(replica_info(b->replica, b->now).counts->transfers, 1);
    assert_true(has_lost(a, "of the first"));
    assert_true(replica_digest(a->replica, 0) == replica_digest(b->replica, 0));
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(early);
}

/* Who has to take a state over itself may be about to forget the only one that has it. */
static void test_joining_forgets_nobody(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    err_t err;
    connect_nodes(a, b);
    set(a, 1, 1, "x");
    buf_t joins = {0};
    seglog_number_put(&joins, 1);
    seglog_entry_put(&a->log, LOG_START + a->log.size, SEGLOG_KIND_JOINING, buf_slice(&joins));
    node_t *c = node_replayed(a, 11);
    assert_int_equal(replica_forget(c->replica, c->now, 1, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_BUSY);
    buf_free(&joins);
    node_free(a);
    node_free(b);
    node_free(c);
}

/* Who was offline or deaf when the lineage was fixed learns it before it takes records. */
static void test_lineage_before_records(void **state)
{
    (void)state;
    for (int deaf = 0; deaf < 2; deaf++) {
        node_t *a = served(0, 10, 1);
        node_t *b = node_new(1, 20);
        connect_nodes(a, b);
        b->is_deaf = deaf != 0;
        replica_set_status(b->replica, b->now, STATUS_OFFLINE, MODE_MANUAL);
        settle(b);
        set(a, 1, 1, "x");
        assert_int_equal(has(b, 10), 0);
        assert_int_equal(replica_info(b->replica, b->now).lineage != 0, deaf == 0);
        replica_set_status(b->replica, b->now, STATUS_ACTIVE, MODE_MANUAL);
        settle(b);
        assert_int_equal(has(b, 10), deaf == 0);
        b->is_deaf = false;
        pass(a, 200); /* the round after the burst */
        pass(b, 200);
        assert_int_equal(has(b, 10), 1);
        node_free(a);
        node_free(b);
    }
}

/* Who is a member and what lineage it is are logged later, but before all updates. */
static void test_read_only_and_a_newcomer(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    set(a, 1, 1, "x");
    replica_set_read_only(b->replica, b->now, "no room");
    size_t log_size = b->log.size;
    connect_nodes(a, b);
    pass(a, 500);
    assert_int_equal(b->log.size, log_size);
    assert_int_equal(replica_info(b->replica, b->now).members, 2);
    replica_set_read_only(b->replica, b->now, NULL);
    pass_synced_times(a, 10);
    seglog_entry_t first;
    assert_int_equal(seglog_next(buf_slice(&b->log), LOG_START, &first), SEGLOG_GOOD);
    assert_int_equal(first.kind, SEGLOG_KIND_META);
    assert_int_equal(has(b, 10), 1);
    assert_true(b->log.size > log_size);
    node_free(a);
    node_free(b);
}

static void test_other_lineage(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    set(a, 1, 1, "x");
    set(b, 2, 1, "y");
    a->peer = b;
    b->peer = a;
    replica_candidate(b->replica, b->now, 0, 10, slice_text("h"), 7710);
    settle(a);
    replica_peer_info_t info;
    assert_true(replica_peer_info(b->replica, 0, &info));
    assert_false(info.is_connected);
    pass(a, 10000);
    assert_int_equal(has(a, 20), 0);
    assert_int_equal(has(b, 10), 0);
    node_free(a);
    node_free(b);
}

/* Two that were one cluster without data, and then each took a first update of its own. */
static void test_lineages_part(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    connect_nodes(a, b);
    replica_peer_info_t info;
    b->is_deaf = true;
    const peer_batch_t batch = {.cluster = frames_cluster, .lineage = 0xABC, .origin = 33};
    buf_t bytes = {0};
    peer_batch_put(&bytes, &batch);
    replica_gossip(a->replica, a->now, buf_slice(&bytes)); /* A takes over another one's */
    buf_free(&bytes);
    settle(a);
    set(b, 2, 1, "y"); /* its batch is the first that A hears of it */
    assert_int_equal(has(a, 20), 0);
    for (size_t i = 0; replica_peer_info(a->replica, i, &info); i++)
        assert_false(info.is_connected && info.incarnation == 20);
    node_free(a);
    node_free(b);
}

static void test_no_lineage(void **state)
{
    (void)state;
    node_t *n = node_new(0, 10);
    const peer_batch_t batch = {.cluster = frames_cluster, .origin = 33};
    buf_t bytes = {0};
    peer_batch_put(&bytes, &batch);
    replica_gossip(n->replica, n->now, buf_slice(&bytes));
    buf_free(&bytes);
    settle(n);
    assert_int_equal(n->log.size, 0);
    assert_int_equal(replica_info(n->replica, n->now).counts->malformed, 1);
    node_free(n);
}

static void test_id_taken(void **state)
{
    (void)state;
    node_t *old = node_new(0, 10);
    node_t *young = node_new(0, 20);
    old->now.boot_ms += 5000;
    old->peer = young;
    young->peer = old;
    replica_candidate(young->replica, young->now, 0, 10, slice_text("h"), 7710);
    settle(old);
    assert_true(young->is_stopped);
    assert_false(old->is_stopped);
    node_free(old);
    node_free(young);
}

/* Started in the same moment, each a little older by its own clock: one stays, whichever asks. */
static void test_id_taken_together(void **state)
{
    (void)state;
    for (int ask = 0; ask < 2; ask++) {
        node_t *a = node_new(0, 10);
        node_t *b = node_new(0, 20);
        a->now.boot_ms += ask == 0 ? 3 : 0;
        b->now.boot_ms += ask == 0 ? 0 : 3;
        a->peer = b;
        b->peer = a;
        node_t *asks = ask == 0 ? a : b;
        replica_candidate(asks->replica, asks->now, 0, ask == 0 ? 20 : 10, slice_text("h"), 7710);
        settle(asks);
        assert_false(a->is_stopped);
        assert_true(b->is_stopped);
        node_free(a);
        node_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_many_starts),
        cmocka_unit_test(test_stability_lag),
        cmocka_unit_test(test_forgets_when_all_agree),
        cmocka_unit_test(test_floor_for_others),
        cmocka_unit_test(test_forgotten_while_it_hands_in),
        cmocka_unit_test(test_held_back_of_one_that_is_over),
        cmocka_unit_test(test_crash_while_joining),
        cmocka_unit_test(test_forgotten_by_one_another),
        cmocka_unit_test(test_forgotten_while_it_is_up),
        cmocka_unit_test(test_left_out_unawares),
        cmocka_unit_test(test_taken_back_on_disk),
        cmocka_unit_test(test_held_back_is_not_given),
        cmocka_unit_test(test_handed_in_twice),
        cmocka_unit_test(test_both_went_on),
        cmocka_unit_test(test_own_count_never_goes_back),
        cmocka_unit_test(test_horizon_is_that_of_the_state),
        cmocka_unit_test(test_lost_is_told),
        cmocka_unit_test(test_starts_do_not_bring_back),
        cmocka_unit_test(test_old_folder),
        cmocka_unit_test(test_old_folder_has_an_old_floor),
        cmocka_unit_test(test_new_under_a_used_id),
        cmocka_unit_test(test_newcomer_is_known_first),
        cmocka_unit_test(test_taken_in_elsewhere),
        cmocka_unit_test(test_join_asks_for_syncs),
        cmocka_unit_test(test_newcomer_meets_another),
        cmocka_unit_test(test_newcomer_started_again),
        cmocka_unit_test(test_two_newcomers_wait),
        cmocka_unit_test(test_taken_back_and_not_given),
        cmocka_unit_test(test_read_only_donor_is_silent),
        cmocka_unit_test(test_left_while_writing),
        cmocka_unit_test(test_taken_back_while_writing),
        cmocka_unit_test(test_waits_for_who_writes),
        cmocka_unit_test(test_who_joins_has_no_say),
        cmocka_unit_test(test_left_behind_alone),
        cmocka_unit_test(test_replaced_while_it_was_up),
        cmocka_unit_test(test_joining_forgets_nobody),
        cmocka_unit_test(test_lineage_before_records),
        cmocka_unit_test(test_read_only_and_a_newcomer),
        cmocka_unit_test(test_other_lineage),
        cmocka_unit_test(test_lineages_part),
        cmocka_unit_test(test_no_lineage),
        cmocka_unit_test(test_id_taken),
        cmocka_unit_test(test_id_taken_together),
    };
    return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
