#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/state.h"
#include "tests/unit/replica/node_rig.h"

/* The note of a lineage taken over must not get into the WELCOME, or the greeting fails. */
static void test_empty_node_is_greeted(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    node_t *b = node_new(1, 20);
    set(a, 7, 1, "x");
    a->peer = b;
    b->peer = a;
    replica_candidate(a->replica, a->now, 1, 20, slice_text("h"), 7720);
    settle(a);
    for (node_t *n = a; n != NULL; n = n == a ? b : NULL) {
        replica_peer_info_t info;
        assert_true(replica_peer_info(n->replica, 0, &info));
        assert_true(info.is_connected);
    }
    node_free(a);
    node_free(b);
}

static void test_gap_by_batch(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    b->is_deaf = true;
    set(a, 1, 1, "x");
    assert_int_equal(has(b, 10), 0);
    b->is_deaf = false;
    b->pulls = 0;
    set(a, 1, 2, "y");
    assert_int_equal(b->pulls, 1);
    assert_int_equal(has(b, 10), 2);
    assert_true(replica_digest(a->replica, 0) == replica_digest(b->replica, 0));
    node_free(a);
    node_free(b);
}

/* Who applies an update has applied the one before it: what that one names is not named again. */
static void test_deps_are_named_once(void **state)
{
    (void)state;
    record_t record = {0};
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    connect_nodes(a, b);
    set(b, 2, 1, "x");
    const ask_t get = {.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(a, get).outcome, OUTCOME_OK);
    set(a, 1, 2, "y");
    last_logged(a, &record);
    assert_int_equal(vec_get(&record.deps, 20), 1);
    set(a, 1, 3, "z");
    last_logged(a, &record);
    assert_int_equal(record.deps.size, 0);
    set(b, 2, 2, "x");
    const ask_t again = {.session = 1, .seq = 4, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(a, again).outcome, OUTCOME_OK);
    set(a, 1, 5, "z");
    last_logged(a, &record);
    assert_int_equal(vec_get(&record.deps, 20), 2);
    /* The answer of an increment is a read: a retry looks whether it had seen enough. */
    const ask_t add = {.session = 1, .seq = 6, .command = COMMAND_INCR, .a = "n"};
    assert_int_equal(call(a, add).outcome, OUTCOME_OK);
    last_logged(a, &record);
    assert_int_equal(vec_get(&record.deps, 20), 2);
    record_free(&record);
    node_free(a);
    node_free(b);
}

/* What the trace was told: how often of each kind, and what was last held back for. */
typedef struct told {
    unsigned counts[TRACE_KINDS];
    char lacking[TRACE_TEXT_MAX + 1];
} told_t;

static void tell(void *arg, const trace_item_t *item)
{
    told_t *told = arg;
    told->counts[item->kind]++;
    if (item->kind == TRACE_UPDATE_HELD)
        memcpy(told->lacking, item->text.data, item->text.size);
}

static void test_trace(void **state)
{
    (void)state;
    told_t at_a = {0};
    told_t at_b = {0};
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    replica_set_trace(a->replica, tell, &at_a);
    replica_set_trace(b->replica, tell, &at_b);
    b->is_deaf = true;
    set(a, 1, 1, "x");
    b->is_deaf = false;
    set(a, 1, 2, "y"); /* arrives before the first, which is pulled then */
    assert_int_equal(at_a.counts[TRACE_RECEIVED], 2);
    assert_int_equal(at_a.counts[TRACE_UPDATE_ACCEPTED], 2);
    assert_int_equal(at_a.counts[TRACE_REPLIED], 2);
    assert_int_equal(at_a.counts[TRACE_UPDATE_APPLIED], 0);
    assert_int_equal(at_b.counts[TRACE_UPDATE_HELD], 1);
    assert_string_equal(at_b.lacking, "lacks 000000000000000a:1");
    assert_int_equal(at_b.counts[TRACE_UPDATE_APPLIED], 2);
    replica_set_trace(a->replica, NULL, NULL);
    set(a, 1, 3, "z");
    assert_int_equal(at_a.counts[TRACE_RECEIVED], 2);
    node_free(a);
    node_free(b);
}

static void test_held_back_for_long(void **state)
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
    for (int i = 0; i < 29; i++)
        pass(b, 1000);
    assert_int_equal(b->held_notes, 0);
    for (int i = 0; i < 20; i++)
        pass(b, 1000);
    assert_int_equal(b->held_notes, 1);
    node_free(a);
    node_free(b);
}

/* What a replica keeps beside the data. */
typedef struct kept {
    uint64_t log_bytes;
    size_t executed;
    size_t unstable;
} kept_t;

static void raise_kept(kept_t *most, const node_t *n)
{
    replica_info_t info = replica_info(n->replica, n->now);
    most->log_bytes = info.log_bytes > most->log_bytes ? info.log_bytes : most->log_bytes;
    most->executed = info.executed > most->executed ? info.executed : most->executed;
    most->unstable = info.unstable > most->unstable ? info.unstable : most->unstable;
}

/* One update of a client that is never heard of again. */
static void update_once(node_t *n, uint64_t session)
{
    hello(n, session, NULL);
    assert_int_equal(set(n, session, 1, "once").outcome, OUTCOME_OK);
}

/* Under a load without end nothing grows: log, executed table, what is to be forgotten. */
static void test_steady_load(void **state)
{
    enum { MINUTES = 20, UPDATES = 5, KEYS = 100 }; /* of each node, in a quarter of a second */
    enum { REMEMBERED_S = 60 };                     /* clients: horizon, and rounds of 8 s */
    (void)state;
    kept_t most = {0};
    uint64_t seq = 0;
    checkpoint_bytes = 64 * 1024;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 2);
    connect_nodes(a, b);
    for (int quarter = 0; quarter < MINUTES * 240; quarter++) {
        for (int i = 0; i < UPDATES; i++) {
            char key[16];
            uint8_t command = ++seq % 3 == 0 ? COMMAND_INCR
                              : seq % 7 == 0 ? COMMAND_DEL
                                             : COMMAND_SET;
            snprintf(key, sizeof key, "%s:%d", seq % 3 == 0 ? "n" : "k", (int)(seq % KEYS));
            for (uint64_t session = 1; session <= 2; session++) {
                const ask_t ask = {.session = session,
                                   .seq = seq,
                                   .command = command,
                                   .a = key,
                                   .b = command == COMMAND_SET ? "value" : NULL,
                                   .flags = REQUEST_FRESH,
                                   .floor = seq - 1};
                assert_int_equal(call(session == 1 ? a : b, ask).outcome, OUTCOME_OK);
            }
        }
        update_once(a, 1000 + (uint64_t)quarter);
        pass_synced(a);
        raise_kept(&most, a);
        raise_kept(&most, b);
    }
    assert_true(a->log.size > 30 * checkpoint_bytes);
    assert_in_range(most.log_bytes, 1, 2 * checkpoint_bytes + checkpoint_bytes / 4);
    assert_in_range(most.executed, 4 * 15, 4 * REMEMBERED_S);
    assert_in_range(most.unstable, 1, 2 * KEYS + 1);
    assert_true(replica_digest(a->replica, 0) == replica_digest(b->replica, 0));
    node_free(a);
    node_free(b);
    checkpoint_bytes = 0;
}

static void test_gap_by_round(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    b->is_deaf = true;
    set(a, 1, 1, "x");
    b->is_deaf = false;
    pass(a, 100); /* the round that closes the burst */
    pass(a, 20);  /* the stream may still bring it */
    assert_int_equal(has(b, 10), 1);
    node_free(a);
    node_free(b);
}

static void test_read_only(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    assert_int_equal(set(a, 1, 1, "x").outcome, OUTCOME_OK);
    link_up(b);
    hello(b, 2, NULL);
    replica_set_read_only(b->replica, b->now, "no room: make some");
    assert_string_equal(replica_info(b->replica, b->now).read_only, "no room: make some");
    size_t log_size = b->log.size;
    item_t got = set(b, 2, 1, "y");
    assert_int_equal(got.outcome, OUTCOME_READ_ONLY);
    assert_value(&got, "no room: make some");
    /* What others have is not taken either, by batch or by pull: it would have to be logged. */
    assert_int_equal(set(a, 1, 2, "z").outcome, OUTCOME_OK);
    for (int i = 0; i < 3; i++)
        pass(a, 250);
    assert_int_equal(has(b, 10), 1);
    assert_int_equal(b->log.size, log_size);
    got = call(b, (ask_t){.session = 2, .seq = 2, .command = COMMAND_GET, .a = "k"});
    assert_int_equal(got.outcome, OUTCOME_OK);
    assert_value(&got, "x");
    replica_set_read_only(b->replica, b->now, NULL);
    settle(a);
    assert_int_equal(has(b, 10), 2);
    assert_null(replica_info(b->replica, b->now).read_only);
    const ask_t ask = {
        .session = 2, .seq = 3, .command = COMMAND_SET, .a = "k", .b = "y", .floor = 1};
    assert_int_equal(call(b, ask).outcome, OUTCOME_OK);
    assert_true(replica_digest(a->replica, 0) == replica_digest(b->replica, 0));
    node_free(a);
    node_free(b);
}

/* Gives a row to a replica that has not started. */
static bool load_row(void *replica, uint64_t table, slice_t key, slice_t value)
{
    err_t err;
    return replica_restore(replica, (uint8_t)table, key, value, &err) == 0;
}

/* As of its beginning, whatever comes meanwhile; the present part may be asked for again. */
static void test_backup(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    replica_part_t part;
    err_t err;
    assert_int_equal(replica_backup(n->replica, n->now, 0, 0, &part, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_MISSING);
    assert_int_equal(set(n, 1, 1, "before").outcome, OUTCOME_OK);
    uint64_t digest = replica_digest(n->replica, 0);

    const replica_config_t config = config_of(1, 20);
    replica_t *copy = replica_new(&config);
    assert_int_equal(replica_backup(n->replica, n->now, 0, 0, &part, &err), 0);
    uint64_t transfer = part.transfer;
    assert_true(transfer != 0 && part.part == 0 && !part.is_last);
    assert_true(state_each_row(part.rows, load_row, copy));
    assert_int_equal(set(n, 1, 2, "after").outcome, OUTCOME_OK);
    assert_int_equal(replica_backup(n->replica, n->now, transfer, 2, &part, &err), -1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(replica_backup(n->replica, n->now, transfer, 1, &part, &err), 0);
        assert_true(part.transfer == transfer && part.part == 1 && part.is_last);
    }
    assert_true(state_each_row(part.rows, load_row, copy));
    assert_true(replica_digest(copy, 0) == digest && replica_digest(n->replica, 0) != digest);
    replica_destroy(&copy);

    /* Another one ends it, and so does time. */
    assert_int_equal(replica_backup(n->replica, n->now, 0, 0, &part, &err), 0);
    assert_int_equal(replica_backup(n->replica, n->now, transfer, 1, &part, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    transfer = part.transfer;
    pass(n, 9999);
    assert_int_equal(replica_backup(n->replica, n->now, transfer, 0, &part, &err), 0);
    pass(n, 10000);
    assert_int_equal(replica_backup(n->replica, n->now, transfer, 1, &part, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    node_free(n);
}

static void test_full(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    assert_int_equal(set(a, 1, 1, "x").outcome, OUTCOME_OK);
    replica_set_full(a->replica, true);
    replica_set_full(b->replica, true);
    assert_int_equal(set(a, 1, 2, "y").outcome, OUTCOME_FULL);
    const ask_t del = {.session = 1, .seq = 3, .command = COMMAND_DEL, .a = "k", .floor = 2};
    assert_int_equal(call(a, del).outcome, OUTCOME_OK);
    assert_int_equal(has(b, 10), 2); /* replicas become equal all the same */
    replica_set_full(a->replica, false);
    const ask_t ask = {
        .session = 1, .seq = 4, .command = COMMAND_SET, .a = "k", .b = "y", .floor = 3};
    assert_int_equal(call(a, ask).outcome, OUTCOME_OK);
    node_free(a);
    node_free(b);
}

static void test_great_record_is_announced(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    char *text = mem_zero(1, 70001);
    memset(text, 'x', 70000);
    set(a, 1, 1, text);
    assert_int_equal(a->batch_size, 0);
    assert_int_equal(has(b, 10), 1);
    free(text);
    node_free(a);
    node_free(b);
}

/* The broker's part of draining: it confirms, and the last session of the client leaves. */
static void confirm_and_leave(node_t *n, uint64_t incarnation, uint64_t session)
{
    const link_status_t status = {.incarnation = incarnation, .serial = n->serial};
    const vec_t nothing = {0};
    buf_t frame = frames_plain((frame_t){
        .kind = FRAME_STATUS, .flags = FRAME_ANSWER, .slot = FRAME_SLOT_LINK, .route = n->key});
    link_status_put(&frame, &status, &nothing);
    service(n, frame);
    frame_t bye = header(n);
    bye.kind = FRAME_BYE;
    frame = frames_plain(bye);
    session_bye_put(&frame, session);
    service(n, frame);
    settle(n);
}

/* Held replies go out first, later requests are turned back, and what it has is elsewhere. */
static void test_draining(void **state)
{
    (void)state;
    ack = 2;
    node_t *a = served(0, 10, 7);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    b->is_deaf = true;
    a->items_size = 0;
    const ask_t write = {
        .session = 7, .seq = 1, .command = COMMAND_SET, .a = "k", .b = "z", .flags = REQUEST_FRESH};
    send(a, write);
    settle(a);
    assert_false(replica_is_drained(a->replica));
    replica_drain(a->replica, a->now);
    send(a, (ask_t){.session = 7, .seq = 2, .command = COMMAND_GET, .a = "k"});
    settle(a);
    assert_int_equal(a->status, STATUS_DRAINING);
    assert_int_equal(a->items_size, 0); /* the second waits behind the first, which is held */
    pass(a, REPLICA_ACK_MS);
    assert_int_equal(a->items_size, 2);
    assert_int_equal(a->items[0].outcome, OUTCOME_OK);
    assert_int_equal(a->items[1].outcome, OUTCOME_MOVED);
    hello(a, 8, NULL);
    assert_int_equal(a->reason, OUTCOME_NOT_REACHED);
    assert_false(replica_is_drained(a->replica));
    confirm_and_leave(a, 10, 7);
    assert_int_equal(replica_info(a->replica, a->now).sessions, 0);
    assert_false(replica_is_drained(a->replica)); /* b lacks the update */
    b->is_deaf = false;
    pass(a, REPLICA_HEARTBEAT_MS); /* it asks again, and b pulls */
    assert_int_equal(has(b, 10), 1);
    assert_true(replica_is_drained(a->replica));
    node_free(a);
    node_free(b);
    ack = 1;
}

/* With --ack 1 nobody was asked for copies: draining asks. */
static void test_draining_asks_for_a_copy(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 7);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    assert_int_equal(set(a, 7, 1, "x").copies, 1);
    replica_drain(a->replica, a->now);
    settle(a);
    confirm_and_leave(a, 10, 7);
    assert_true(replica_is_drained(a->replica));
    replica_set_status(a->replica, a->now, STATUS_ACTIVE, MODE_AUTO_LOAD);
    settle(a);
    assert_false(replica_is_drained(a->replica));
    hello(a, 7, NULL);
    assert_int_equal(set(a, 7, 2, "y").outcome, OUTCOME_OK);
    node_free(a);
    node_free(b);
}

/* An acknowledgement waits for the second copy, but not for long, and nothing overtakes it. */
static void test_copies(void **state)
{
    (void)state;
    ack = 2;
    node_t *a = served(0, 10, 7);
    node_t *b = node_new(1, 20);
    item_t alone = set(a, 7, 1, "x");
    assert_int_equal(alone.copies, 1);
    join(a, b);
    item_t copied = set(a, 7, 2, "y");
    assert_int_equal(copied.outcome, OUTCOME_OK);
    assert_int_equal(copied.copies, 2);

    b->is_deaf = true;
    a->items_size = 0;
    send(a, (ask_t){.session = 7,
                    .seq = 3,
                    .command = COMMAND_SET,
                    .a = "k",
                    .b = "z",
                    .flags = REQUEST_FRESH});
    send(a, (ask_t){.session = 7, .seq = 4, .command = COMMAND_GET, .a = "k"});
    settle(a);
    assert_int_equal(a->items_size, 0);
    assert_true(replica_deadline(a->replica) <= a->now.boot_ms + REPLICA_ACK_MS);
    pass(a, REPLICA_ACK_MS);
    assert_int_equal(a->items_size, 2);
    assert_int_equal(a->items[0].seq, 3);
    assert_int_equal(a->items[0].copies, 1);
    assert_int_equal(a->items[1].seq, 4);
    assert_int_equal(replica_info(a->replica, a->now).counts->acks_late, 1);

    /* A session that ends has its replies: the broker counts them. */
    send(a, (ask_t){.session = 7,
                    .seq = 5,
                    .command = COMMAND_SET,
                    .a = "k",
                    .b = "w",
                    .flags = REQUEST_FRESH});
    settle(a);
    a->items_size = 0;
    hello(a, 7, NULL);
    assert_int_equal(a->items_size, 1);
    ack = 1;
    node_free(a);
    node_free(b);
}

/* A peer that does not answer is waited for, not asked for all the time. */
static void test_silent_peer(void **state)
{
    (void)state;
    node_t *n = node_new(0, 10);
    replica_candidate(n->replica, n->now, 1, 20, slice_text("h"), 7720);
    settle(n);
    int calls = 0;
    int64_t end_ms = n->now.boot_ms + 1500;
    for (; n->now.boot_ms < end_ms; calls++) {
        int64_t next_ms = replica_deadline(n->replica);
        assert_true(next_ms > n->now.boot_ms);
        pass(n, next_ms - n->now.boot_ms);
    }
    assert_true(calls < 20);
    node_free(n);
}

/* Links come and go for as long as a node lives; pulls of two peers must not get mixed up. */
static void test_pulls_of_many_links(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    const vec_t nothing = {0};
    set(n, 1, 1, "x");
    n->is_slow = true;
    for (uint32_t link = 1; link <= 200; link++) {
        buf_t first = pull(link, &nothing);
        buf_t second = pull(link + 1, &nothing);
        replica_peer_router(n->replica, n->now, link, buf_slice(&first));
        settle(n);
        const node_t read = *n;
        replica_peer_router(n->replica, n->now, 1000 + link, buf_slice(&second));
        settle(n);
        uint64_t served_before = replica_info(n->replica, n->now).counts->pulls_served;
        read_log(n);
        n->read_link = read.read_link;
        n->read_request = read.read_request;
        read_log(n);
        assert_int_equal(replica_info(n->replica, n->now).counts->pulls_served, served_before + 2);
        buf_free(&first);
        buf_free(&second);
    }
    node_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_node_is_greeted),
        cmocka_unit_test(test_deps_are_named_once),
        cmocka_unit_test(test_gap_by_batch),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_held_back_for_long),
        cmocka_unit_test(test_steady_load),
        cmocka_unit_test(test_gap_by_round),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_backup),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_great_record_is_announced),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_draining_asks_for_a_copy),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_pulls_of_many_links),
    };
    return cmocka_run_group_tests_name("gossip", tests, NULL, NULL);
}
