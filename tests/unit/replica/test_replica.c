#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/replica/node_rig.h"

/* ---- intake ---- */

static void test_log_before_reply(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    assert_int_equal(set(n, 1, 1, "x").outcome, OUTCOME_OK);
    assert_true(n->log_first);
    item_t got = call(n, (ask_t){.session = 1, .seq = 2, .command = COMMAND_GET, .a = "k"});
    assert_int_equal(got.outcome, OUTCOME_OK);
    assert_value(&got, "x");
    node_free(n);
}

static void test_retag(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    set(n, 1, 1, "x");
    hlc_t low = clock_of(n) - 100000;
    ask_t ask = {.session = 1,
                 .seq = 2,
                 .command = COMMAND_SET,
                 .a = "k",
                 .b = "y",
                 .hlc = low,
                 .flags = REQUEST_FRESH};
    assert_int_equal(call(n, ask).outcome, OUTCOME_RETAG);
    /* All later ones of the epoch go the same way, the next epoch is served. */
    assert_int_equal(set(n, 1, 3, "z").outcome, OUTCOME_RETAG);
    ask.epoch = 2;
    ask.hlc = 0;
    assert_int_equal(call(n, ask).outcome, OUTCOME_OK);
    /* A retransmission is executed under its tag, whether it shows or not. */
    ask.seq = 3;
    ask.b = "z";
    ask.hlc = low;
    ask.flags = 0;
    assert_int_equal(call(n, ask).outcome, OUTCOME_OK);
    assert_int_equal(replica_info(n->replica, n->now).counts->conflicts, 0); /* both are ours */
    item_t got =
        call(n, (ask_t){.session = 1, .epoch = 2, .seq = 4, .command = COMMAND_GET, .a = "k"});
    assert_value(&got, "y");
    node_free(n);
}

static void test_executed_elsewhere(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    ask_t ask = {.session = 1,
                 .seq = 1,
                 .command = COMMAND_INCR,
                 .a = "n",
                 .hlc = clock_of(a) + 1,
                 .flags = REQUEST_FRESH};
    assert_int_equal(call(a, ask).outcome, OUTCOME_OK);
    hello(b, 1, NULL);
    ask.flags = 0;
    item_t again = call(b, ask);
    assert_int_equal(again.outcome, OUTCOME_OK);
    assert_int_equal(again.value[0], 1);
    assert_int_equal(replica_info(b->replica, b->now).counts->retries, 1);
    ask.hlc++;
    assert_int_equal(call(b, ask).outcome, OUTCOME_CLASH);
    /* Even a token that B does not cover is not asked for: the table comes first. */
    ask_t write = {.session = 1, .seq = 2, .command = COMMAND_SET, .a = "k", .b = "v"};
    write.hlc = ask.hlc;
    assert_int_equal(call(a, write).outcome, OUTCOME_OK);
    vec_t token = vec_one(999, 7);
    hello(b, 1, &token);
    assert_int_equal(call(b, write).outcome, OUTCOME_OK);
    assert_int_equal(replica_info(b->replica, b->now).counts->retries, 2);
    /* The token that it brings holds for what follows all the same. */
    hello(b, 1, NULL);
    write.token = &token;
    assert_int_equal(call(b, write).outcome, OUTCOME_OK);
    b->items_size = 0;
    send(b, (ask_t){.session = 1, .seq = 3, .command = COMMAND_GET, .a = "k"});
    settle(b);
    assert_int_equal(b->items_size, 0);
    vec_free(&token);
    node_free(a);
    node_free(b);
}

/* With --sync always an answer out of the table says that the copy here is synced, too. */
static void test_answer_waits_for_the_disk(void **state)
{
    (void)state;
    sync_always = true;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    ask_t ask = {.session = 1, .seq = 1, .command = COMMAND_INCR, .a = "n", .hlc = clock_of(a) + 1};
    send(a, ask);
    settle(a);
    assert_int_equal(a->items_size, 0);
    assert_int_equal(has(b, 10), 1);
    hello(b, 1, NULL);
    send(b, ask);
    settle(b);
    assert_int_equal(b->items_size, 0);
    replica_synced(b->replica, b->now, LOG_START + b->log.size);
    settle(b);
    assert_int_equal(b->items_size, 1);
    assert_int_equal(b->items[0].outcome, OUTCOME_OK);
    node_free(a);
    node_free(b);
    sync_always = false;
}

/*
 * Two replicas that do not hear each other execute the same updates. What the one answered must not
 * be told to a session after what the other did: it would go back in time.
 */
static void test_answer_of_another_copy(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    assert_int_equal(set(a, 1, 1, "x").outcome, OUTCOME_OK);
    a->is_deaf = b->is_deaf = true;
    ask_t first = {.session = 1, .seq = 2, .command = COMMAND_INCR, .a = "n"};
    ask_t second = first;
    ask_t third = {.session = 1, .seq = 4, .command = COMMAND_SET, .a = "k", .b = "y"};
    first.hlc = clock_of(a) + 10;
    second.hlc = first.hlc + 10;
    second.seq = 3;
    third.hlc = first.hlc + 20;
    assert_int_equal(call(a, first).value[0], 1);
    assert_int_equal(call(a, second).value[0], 2);
    assert_int_equal(call(a, third).outcome, OUTCOME_OK);
    const ask_t ten = {.session = 9, .seq = 1, .command = COMMAND_INCR, .a = "n", .b = "10"};
    assert_int_equal(call(b, ten).value[0], 10);
    hello(b, 1, NULL);
    assert_int_equal(call(b, first).value[0], 11);
    a->is_deaf = b->is_deaf = false;
    for (int i = 0; i < 30 && (has(b, 10) < 4 || has(a, 20) < 2); i++)
        pass(a, 1000);
    assert_int_equal(has(b, 10), 4);
    assert_int_equal(has(a, 20), 2);
    link_up(a);
    link_up(b);
    /* A session that has been shown nothing else is told what the first copy was answered. */
    vec_t token = vec_one(10, 2);
    hello(a, 1, &token);
    assert_int_equal(call(a, second).value[0], 2);
    /* This one has seen the answer of the other. */
    vec_set(&token, 10, 0);
    vec_raise(&token, 20, 2);
    for (int i = 0; i < 2; i++) {
        node_t *n = i == 0 ? a : b;
        hello(n, 1, &token);
        assert_int_equal(call(n, second).outcome, OUTCOME_UNKNOWN);
        /* What reads nothing cannot go back. */
        assert_int_equal(call(n, third).outcome, OUTCOME_OK);
    }
    hello(b, 1, &token);
    assert_int_equal(call(b, first).value[0], 11);
    item_t got = call(b, (ask_t){.session = 1, .seq = 5, .command = COMMAND_GET, .a = "n"});
    assert_value(&got, "12");
    vec_free(&token);
    node_free(a);
    node_free(b);
}

/*
 * A record's deps leave out what every member has of incarnations that are over; a client's token
 * need not. The answer is from after that all the same.
 */
static void test_answer_and_what_has_ended(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 30, 9);
    connect_nodes(a, b);
    assert_int_equal(set(b, 9, 1, "x").outcome, OUTCOME_OK);
    ask_t ask = {.session = 1, .seq = 1, .command = COMMAND_INCR, .a = "n", .hlc = clock_of(a) + 1};
    vec_t over = vec_one(30, 1);
    buf_t ended = {0};
    mp_put_vector(&ended, &over);
    assert_int_equal(call(a, ask).value[0], 1);
    seglog_entry_put(&a->log, LOG_START + a->log.size, SEGLOG_KIND_ENDED, buf_slice(&ended));
    node_t *c = node_replayed(a, 11);
    link_up(c);
    hello(c, 1, &over);
    item_t again = call(c, ask);
    assert_int_equal(again.outcome, OUTCOME_OK);
    assert_int_equal(again.value[0], 1);
    vec_free(&over);
    buf_free(&ended);
    node_free(a);
    node_free(b);
    node_free(c);
}

static void test_clock(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    ask_t ask = {.session = 1, .seq = 1, .command = COMMAND_SET, .a = "k", .b = "v"};
    ask.hlc = hlc_add_ms(clock_of(n), 60001);
    assert_int_equal(call(n, ask).outcome, OUTCOME_CLOCK);
    assert_int_equal(call(n, ask).outcome, OUTCOME_CLOCK);
    assert_int_equal(n->clock_notes, 1); /* not for each */
    ask.hlc = hlc_add_ms(clock_of(n), 59999);
    assert_int_equal(call(n, ask).outcome, OUTCOME_OK);
    assert_true(clock_of(n) > ask.hlc);
    node_free(n);
}

/* A session whose token has this clock. */
static void hello_at(node_t *n, uint64_t session, hlc_t clock)
{
    const session_hello_t hello = {
        .session = session, .cluster = frames_cluster, .clock = clock, .pin = -1};
    frame_t head = header(n);
    head.kind = FRAME_HELLO;
    head.items = 1;
    const vec_t nothing = {0};
    buf_t frame = {0};
    frame_begin(&frame, &head);
    session_hello_put(&frame, &hello, &nothing);
    service(n, frame);
    settle(n);
}

/* What had ended by the clock that a session has seen is not shown to it again. */
static void test_clock_of_a_session(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    assert_int_equal(set(n, 1, 1, "v").outcome, OUTCOME_OK);
    hlc_t seen = hlc_add_ms(clock_of(n), 60500);
    hello_at(n, 2, seen);
    ask_t get = {.session = 2, .seq = 1, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(n, get).outcome, OUTCOME_CLOCK);
    /* A token that came with a request holds for those behind it. */
    const vec_t token = {0};
    get.session = 1;
    get.seq = 2;
    get.token = &token;
    get.token_clock = seen;
    assert_int_equal(call(n, get).outcome, OUTCOME_CLOCK);
    get.seq = 3;
    get.token = NULL;
    assert_int_equal(call(n, get).outcome, OUTCOME_CLOCK);
    n->now.wall_ms += 1000; /* it is set right */
    get.seq = 4;
    assert_int_equal(call(n, get).outcome, OUTCOME_OK);
    assert_true(clock_of(n) >= seen);
    node_free(n);
}

static void test_decr_by_the_least(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    set(n, 1, 1, "5");
    ask_t ask = {.session = 1,
                 .seq = 2,
                 .command = COMMAND_DECR,
                 .a = "k",
                 .b = "-9223372036854775808",
                 .flags = REQUEST_FRESH};
    assert_int_equal(call(n, ask).outcome, OUTCOME_OVERFLOW);
    node_free(n);
}

static item_t call_words(node_t *n, uint64_t seq, uint8_t command, const char *text)
{
    const request_t request = {.session = 1,
                               .epoch = 1,
                               .seq = seq,
                               .left_ms = 1000,
                               .hlc = clock_of(n) + 1,
                               .flags = REQUEST_FRESH,
                               .command = command};
    return call_request(n, request, text);
}

static item_t hset(node_t *n, uint64_t session, uint64_t seq, const char *field, const char *value)
{
    request_t request = {.session = session,
                         .epoch = 1,
                         .seq = seq,
                         .flags = REQUEST_FRESH,
                         .left_ms = LEFT_MS,
                         .hlc = clock_of(n) + seq,
                         .command = COMMAND_HSET};
    buf_t words = frames_words(&request.arguments, "k", field, value);
    request.arguments_at = buf_slice(&words);
    n->items_size = 0;
    service(n, frames_request(header(n), &request, NULL));
    settle(n);
    buf_free(&words);
    assert_int_equal(n->items_size, 1);
    return n->items[0];
}

/*
 * A hash that two nodes have let grow apart is greater than one may be: it is taken over whole, and
 * from then on takes only what makes it no greater.
 */
static void test_key_too_large(void **state)
{
    (void)state;
    enum { FIELDS = 40, MIB = 1024 * 1024 };
    node_t *a = served(0, 10, 7);
    node_t *b = served(1, 20, 8);
    char *mib = mem_zero(1, MIB + 1);
    char field[16];
    memset(mib, 'x', MIB);
    connect_nodes(a, b);
    set(a, 7, 1, "x"); /* the lineage of both */
    call(a, (ask_t){.session = 7, .seq = 2, .command = COMMAND_DEL, .a = "k"});
    pass(a, 0);
    a->peer = b->peer = NULL;
    for (uint64_t i = 0; i < FIELDS; i++) {
        snprintf(field, sizeof field, "f%d", (int)i);
        assert_int_equal(hset(a, 7, 3 + i, field, mib).outcome, OUTCOME_OK);
        field[0] = 'g';
        assert_int_equal(hset(b, 8, 1 + i, field, mib).outcome, OUTCOME_OK);
    }
    a->peer = b;
    b->peer = a;
    for (int i = 0; i < 20; i++)
        pass(a, 500);
    assert_int_equal(has(a, 20), FIELDS);
    assert_int_equal(has(b, 10), FIELDS + 2);

    link_up(a);
    hello(a, 9, NULL);
    assert_int_equal(hset(a, 9, 1, "h", "1").outcome, OUTCOME_TOO_LARGE);
    assert_int_equal(replica_info(a->replica, a->now).counts->outgrown, 1);
    assert_int_equal(hset(a, 9, 2, "f1", "less").outcome, OUTCOME_OK);
    for (uint64_t i = 2; i < FIELDS; i++) {
        snprintf(field, sizeof field, "f%d", (int)i);
        const ask_t hdel = {
            .session = 9, .seq = 1 + i, .command = COMMAND_HDEL, .a = "k", .b = field};
        assert_int_equal(call(a, hdel).outcome, OUTCOME_OK);
    }
    assert_int_equal(hset(a, 9, 1 + FIELDS, "h", "1").outcome, OUTCOME_OK);
    free(mib);
    node_free(a);
    node_free(b);
}

static void test_multi(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    item_t item = call_words(n, 1, COMMAND_MULTI, "3 set a 1 2 incr b 3 sadd s x 2 get c");
    assert_int_equal(item.outcome, OUTCOME_OK);
    mp_t in = mp_open(slice_of(item.value, item.size));
    assert_int_equal(mp_array(&in, 4), 4);
    assert_true(mp_bool(&in));
    assert_int_equal(mp_int(&in), 1);
    assert_int_equal(mp_int(&in), 1);
    assert_true(mp_nil(&in));
    assert_true(mp_done(&in));
    assert_int_equal(replica_info(n->replica, n->now).counts->updates, 1); /* one record */
    static const char *const bad[] = {
        "3 set a",           "0 get a",       "x get a",  "2 nonsense a",
        "2 set a",           "3 multi 1 get", "2 scan 0", "3 set a 1 2 incr a",
        "3 set a 1 2 get a", "2 get a 5",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(call_words(n, 2, COMMAND_MULTI, bad[i]).outcome, OUTCOME_USAGE);
    /* All or nothing: the second has the wrong type. */
    item = call_words(n, 3, COMMAND_MULTI, "3 set d 1 4 hset a f v");
    assert_int_equal(item.outcome, OUTCOME_WRONGTYPE);
    item = call_words(n, 4, COMMAND_GET, "d");
    in = mp_open(slice_of(item.value, item.size));
    assert_true(mp_nil(&in));
    item = call_words(n, 5, COMMAND_MULTI, "2 get a 2 incr a");
    assert_int_equal(item.outcome, OUTCOME_OK); /* read before it is changed */
    node_free(n);
}

/* Sets, deadlines and pages of keys, as they are asked for. */
static void test_sets_deadlines_scans(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    assert_int_equal(call_words(n, 1, COMMAND_SADD, "s x y x").value[0], 3);
    assert_int_equal(call_words(n, 2, COMMAND_SADD, "s z x").value[0], 1);
    assert_int_equal(call_words(n, 3, COMMAND_SREM, "s x nothing").value[0], 1);
    item_t item = call_words(n, 4, COMMAND_SMEMBERS, "s");
    mp_t in = mp_open(slice_of(item.value, item.size));
    assert_int_equal(mp_array(&in, 2), 2);
    assert_true(slice_equal(mp_bytes(&in), slice_text("y")));
    assert_true(slice_equal(mp_bytes(&in), slice_text("z")));
    assert_int_equal(call_words(n, 5, COMMAND_SISMEMBER, "s y").value[0], 1);
    assert_int_equal(call_words(n, 6, COMMAND_SISMEMBER, "s x").value[0], 0);
    assert_int_equal(call_words(n, 7, COMMAND_GET, "s").outcome, OUTCOME_WRONGTYPE);
    item = call_words(n, 8, COMMAND_TYPE, "s");
    assert_value(&item, "set");

    assert_int_equal(call_words(n, 9, COMMAND_EXPIRE, "nothing 5").value[0], 0);
    assert_int_equal(call_words(n, 10, COMMAND_EXPIRE, "s 5").value[0], 1);
    assert_int_equal(call_words(n, 11, COMMAND_TTL, "s").value[0], 5);
    assert_int_equal(call_words(n, 12, COMMAND_EXPIRE, "s 0").outcome, OUTCOME_USAGE);
    assert_int_equal(call_words(n, 13, COMMAND_PERSIST, "s").value[0], 1);
    assert_int_equal(call_words(n, 14, COMMAND_TTL, "s").value[0], -1);
    assert_int_equal(call_words(n, 15, COMMAND_EXPIRE, "s 5").value[0], 1);
    n->now.wall_ms += 6000;
    n->now.boot_ms += 900; /* wall clocks jump; links must not be lost meanwhile */
    assert_int_equal(call_words(n, 16, COMMAND_EXISTS, "s").value[0], 0);
    assert_int_equal(call_words(n, 17, COMMAND_TTL, "s").value[0], -2);
    assert_int_equal(call_words(n, 18, COMMAND_SADD, "s new").value[0], 1);
    item = call_words(n, 19, COMMAND_SMEMBERS, "s");
    assert_int_equal((uint8_t)item.value[0],
                     0x91); /* what had expired does not come back with it */

    item = call_words(n, 20, COMMAND_SCAN, "0 s 10");
    in = mp_open(slice_of(item.value, item.size));
    assert_int_equal(mp_array(&in, 2), 2);
    assert_int_equal(mp_uint(&in), 0);
    assert_int_equal(mp_array(&in, 1), 1);
    assert_int_equal(call_words(n, 21, COMMAND_SCAN, "-1").outcome, OUTCOME_USAGE);
    assert_int_equal(call_words(n, 22, COMMAND_SCAN, "0 s 10001").outcome, OUTCOME_USAGE);
    node_free(n);
}

/* An answer that would not fit in a message is refused: sent, it would close the broker's link. */
static void test_answer_too_large(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    char *text = mem_zero(1, 1024 * 1024 + 1);
    memset(text, 'x', 1024 * 1024);
    assert_int_equal(set(n, 1, 1, text).outcome, OUTCOME_OK);
    buf_t words = {0};
    enum { KEYS = 24 };
    for (int i = 0; i < KEYS; i++)
        mp_put_bin(&words, slice_text("k"));
    const request_t request = {.session = 1,
                               .epoch = 1,
                               .seq = 2,
                               .left_ms = LEFT_MS,
                               .command = COMMAND_MGET,
                               .arguments = KEYS,
                               .arguments_at = buf_slice(&words)};
    n->items_size = 0;
    service(n, frames_request(header(n), &request, NULL));
    settle(n);
    assert_int_equal(n->items_size, 1);
    assert_int_equal(n->items[0].outcome, OUTCOME_TOO_LARGE);
    buf_free(&words);
    free(text);
    node_free(n);
}

/* A table full of this client's updates turns back the epoch: nothing behind may be executed. */
static void test_too_many_unacknowledged(void **state)
{
    enum { MOST = 4096 };
    (void)state;
    node_t *n = served(0, 10, 1);
    for (uint64_t seq = 1; seq <= MOST; seq++)
        assert_int_equal(set(n, 1, seq, "v").outcome, OUTCOME_OK);
    assert_int_equal(set(n, 1, MOST + 1, "v").outcome, OUTCOME_BUSY);
    ask_t get = {.session = 1, .seq = MOST + 2, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(n, get).outcome, OUTCOME_BUSY);
    get.epoch = 2;
    assert_int_equal(call(n, get).outcome, OUTCOME_OK);
    node_free(n);
}

/*
 * Who does not hear that an update was refused sends it again, perhaps to a replica that takes it:
 * nothing issued after it may have been executed by then.
 */
static void test_nothing_behind_a_refusal(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    hlc_t far_ahead = hlc_add_ms(clock_of(n), 3600000);
    ask_t first = {.session = 1, .seq = 1, .command = COMMAND_INCR, .a = "n", .hlc = far_ahead};
    ask_t second = first;
    second.seq = 2;
    second.hlc = 0;
    assert_int_equal(call(n, first).outcome, OUTCOME_CLOCK);
    ask_t get = {.session = 1, .seq = 2, .command = COMMAND_GET, .a = "n"};
    assert_int_equal(call(n, get).outcome, OUTCOME_OK);
    assert_int_equal(call(n, second).outcome, OUTCOME_RETAG);
    assert_int_equal(call(n, get).outcome, OUTCOME_RETAG);
    /* Both are sent to another route; one more is refused in the same epoch. */
    first.epoch = second.epoch = 2;
    assert_int_equal(call(n, first).outcome, OUTCOME_CLOCK);
    first.seq = 2;
    assert_int_equal(call(n, first).outcome, OUTCOME_CLOCK);
    /* Who says that it knows of the refusals may go on, and so may the next epoch. */
    second.seq = 3;
    second.floor = 1;
    assert_int_equal(call(n, second).outcome, OUTCOME_RETAG);
    second.epoch = 3;
    assert_int_equal(call(n, second).outcome, OUTCOME_OK);
    first.epoch = 3;
    first.seq = 4;
    assert_int_equal(call(n, first).outcome, OUTCOME_CLOCK);
    second.seq = 5;
    second.floor = 4;
    assert_int_equal(call(n, second).outcome, OUTCOME_OK);
    node_free(n);
}

/* The same when the data refuses a retransmission. */
static void test_nothing_behind_an_undecided_one(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    ask_t persist = {.session = 1, .seq = 1, .command = COMMAND_PERSIST, .a = "k"};
    ask_t incr = {.session = 1, .seq = 2, .command = COMMAND_INCR, .a = "n"};
    assert_int_equal(call(n, persist).outcome, OUTCOME_UNKNOWN);
    assert_int_equal(call(n, incr).outcome, OUTCOME_RETAG);
    /* Sent for the first time, an error of the data is the answer, wherever it is asked for. */
    incr.epoch = persist.epoch = 2;
    incr.flags = persist.flags = REQUEST_FRESH;
    persist.command = COMMAND_INCR;
    persist.b = "no number";
    assert_int_equal(call(n, persist).outcome, OUTCOME_USAGE);
    assert_int_equal(call(n, incr).outcome, OUTCOME_OK);
    node_free(n);
}

/* An update that was refused where a later one was executed is not executed after it. */
static void test_not_after_a_later_one(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    ask_t incr = {.session = 1,
                  .seq = 2,
                  .command = COMMAND_INCR,
                  .a = "n",
                  .hlc = clock_of(a) + 10,
                  .flags = REQUEST_FRESH};
    assert_int_equal(call(a, incr).outcome, OUTCOME_OK);
    hello(b, 1, NULL);
    ask_t before = incr;
    before.seq = 1;
    before.hlc--;
    before.flags = incr.flags = 0;
    assert_int_equal(call(b, before).outcome, OUTCOME_UNKNOWN);
    item_t again = call(b, incr);
    assert_int_equal(again.outcome, OUTCOME_OK);
    assert_int_equal(again.value[0], 1);
    ask_t get = {.session = 1, .seq = 3, .command = COMMAND_GET, .a = "n"};
    item_t got = call(b, get);
    assert_value(&got, "1");
    node_free(a);
    node_free(b);
}

/* ---- waiting ---- */

static void test_behind_then_missing(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    vec_t token = vec_one(999, 3);
    n->items_size = 0;
    send(n, (ask_t){.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k", .token = &token});
    send(n, (ask_t){.session = 1, .seq = 2, .command = COMMAND_GET, .a = "k"});
    settle(n);
    assert_int_equal(n->items_size, 0);
    assert_int_equal(replica_info(n->replica, n->now).waiting, 2);
    /* Nobody can be asked: it is still no reason to come back at once. */
    assert_true(replica_deadline(n->replica) > n->now.boot_ms);
    pass(n, REPLICA_HOLD_MS);
    assert_int_equal(n->items_size, 2);
    assert_int_equal(n->items[0].outcome, OUTCOME_BEHIND);
    assert_int_equal(n->items[1].outcome, OUTCOME_BEHIND);
    n->items_size = 0;
    send(n, (ask_t){.session = 1,
                    .epoch = 2,
                    .seq = 1,
                    .command = COMMAND_GET,
                    .a = "k",
                    .flags = REQUEST_LAST_TRY,
                    .left_ms = 1000});
    pass(n, 899);
    assert_int_equal(n->items_size, 0);
    pass(n, 1);
    assert_int_equal(n->items_size, 1);
    assert_int_equal(n->items[0].outcome, OUTCOME_MISSING);
    vec_free(&token);
    node_free(n);
}

static void test_waiting_is_served(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    vec_t token = vec_one(10, 1);
    b->items_size = 0;
    send(b, (ask_t){.session = 9, .seq = 1, .command = COMMAND_GET, .a = "k", .token = &token});
    settle(b);
    assert_int_equal(b->items_size, 0);
    set(a, 1, 1, "x");
    settle(b);
    assert_int_equal(b->items_size, 1);
    assert_value(&b->items[0], "x");
    vec_free(&token);
    node_free(a);
    node_free(b);
}

/* An update that waited in vain is refused: what is behind it is not executed a moment later. */
static void test_nothing_behind_a_missing_one(void **state)
{
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = served(1, 20, 9);
    connect_nodes(a, b);
    vec_t token = vec_one(10, 1);
    ask_t incr = {.session = 9,
                  .seq = 1,
                  .command = COMMAND_INCR,
                  .a = "n",
                  .flags = REQUEST_FRESH | REQUEST_LAST_TRY,
                  .left_ms = 500,
                  .token = &token};
    b->items_size = 0;
    send(b, incr);
    incr.seq = 2;
    incr.left_ms = LEFT_MS;
    send(b, incr);
    pass(b, 450);
    assert_int_equal(b->items_size, 1);
    assert_int_equal(b->items[0].outcome, OUTCOME_MISSING);
    set(a, 1, 1, "x");
    settle(b);
    assert_int_equal(b->items_size, 2);
    assert_int_equal(b->items[1].outcome, OUTCOME_RETAG);
    vec_free(&token);
    node_free(a);
    node_free(b);
}

/* Each request that came is answered, also when its session ends or is opened again. */
static void test_waiting_ends_with_its_session(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    hello(n, 2, NULL);
    vec_t token = vec_one(999, 3);
    for (int round = 0; round < 2; round++) {
        const ask_t ask = {
            .session = 1, .seq = 1, .command = COMMAND_GET, .a = "k", .token = &token};
        buf_t frame = ask_frame(n, &ask);
        n->items_size = n->answered = 0;
        size_t size = frame.size - FRAME_HEADER_SIZE - 1;
        service(n, frame);
        settle(n);
        assert_int_equal(n->items_size, 0);
        if (round == 0)
            hello(n, 1, NULL);
        else
            service(n, frames_bye(header(n), 1));
        settle(n);
        assert_int_equal(n->items_size, 1);
        assert_int_equal(n->items[0].outcome, OUTCOME_MOVED);
        assert_int_equal(n->answered, size);
        assert_int_equal(replica_info(n->replica, n->now).waiting, 0);
    }
    vec_free(&token);
    node_free(n);
}

static void test_offline(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    vec_t token = vec_one(999, 3);
    n->items_size = 0;
    send(n, (ask_t){.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k", .token = &token});
    settle(n);
    assert_true(replica_status_is_confirmed(n->replica));
    replica_set_status(n->replica, n->now, STATUS_OFFLINE, MODE_MANUAL);
    settle(n);
    assert_int_equal(n->items_size, 1);
    assert_int_equal(n->items[0].outcome, OUTCOME_MOVED);
    assert_int_equal(n->status, STATUS_OFFLINE);
    assert_false(replica_status_is_confirmed(n->replica));
    const link_status_t status = {.incarnation = 10, .status = STATUS_OFFLINE, .serial = n->serial};
    const frame_t confirm = {
        .kind = FRAME_STATUS, .flags = FRAME_ANSWER, .slot = FRAME_SLOT_LINK, .route = n->key};
    const vec_t nothing = {0};
    buf_t frame = frames_plain(confirm);
    link_status_put(&frame, &status, &nothing);
    service(n, frame);
    assert_true(replica_status_is_confirmed(n->replica));
    assert_int_equal(
        call(n, (ask_t){.session = 1, .epoch = 2, .seq = 2, .command = COMMAND_GET, .a = "k"})
            .outcome,
        OUTCOME_MOVED);
    hello(n, 1, NULL);
    assert_int_equal(n->reason, OUTCOME_NOT_REACHED);
    vec_free(&token);
    node_free(n);
}

/* ---- load ---- */

/* A second of this load, after a request or not, and a gossip round. */
static replica_status_t load_for(node_t *n, unsigned seconds, uint32_t busy_permille,
                                 int64_t lag_ms, bool serves)
{
    static uint64_t seq = 100;
    for (unsigned i = 0; i < seconds; i++) {
        if (serves)
            call(n, (ask_t){.session = 1, .seq = seq++, .command = COMMAND_GET, .a = "k"});
        replica_load(n->replica, busy_permille, lag_ms);
        n->now.boot_ms += REPLICA_SILENCE_MS - 1; /* the broker stays */
        replica_tick(n->replica, n->now);
        settle(n);
    }
    return replica_info(n->replica, n->now).status;
}

static void test_auto_load(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    replica_set_status(n->replica, n->now, STATUS_ACTIVE, MODE_AUTO_LOAD);
    assert_int_equal(load_for(n, 1, 1000, 0, true), STATUS_ACTIVE); /* a moment is no overload */
    assert_int_equal(load_for(n, 1, 100, 0, true), STATUS_ACTIVE);
    assert_int_equal(load_for(n, 20, 1000, 0, true), STATUS_OVERLOADED);
    assert_int_equal(load_for(n, 20, 750, 0, true), STATUS_OVERLOADED); /* neither nor */
    assert_int_equal(load_for(n, 20, 300, 0, true), STATUS_ACTIVE);
    assert_int_equal(load_for(n, 20, 750, 0, true), STATUS_ACTIVE);
    assert_int_equal(load_for(n, 20, 300, 400, true), STATUS_OVERLOADED); /* by its latency */
    /* Nothing was asked: the machine is busy, but not with us. */
    assert_int_equal(load_for(n, 20, 1000, 400, false), STATUS_ACTIVE);
    /* Drained by people, and given back. */
    replica_set_status(n->replica, n->now, STATUS_DRAINING, MODE_MANUAL);
    assert_int_equal(load_for(n, 20, 0, 0, false), STATUS_DRAINING);
    replica_set_status(n->replica, n->now, STATUS_DRAINING, MODE_AUTO_LOAD);
    assert_int_equal(load_for(n, 20, 0, 0, false), STATUS_ACTIVE);
    node_free(n);
}

/* ---- connections ---- */

/* A session named by another connection moves there; the first one is told at its next request. */
static void test_session_moves(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    frame_t other = header(n);
    other.slot = SLOT + 1;
    service(n, frames_hello(other, 1, NULL, -1, 0));
    settle(n);
    assert_int_equal(replica_info(n->replica, n->now).sessions, 1);
    assert_int_equal(
        call(n, (ask_t){.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k"}).outcome,
        OUTCOME_MOVED);
    node_free(n);
}

static void test_malformed_request(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    const ask_t ask = {.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k"};
    buf_t frame = ask_frame(n, &ask);
    buf_append_u8(&frame, 0xC0); /* bytes that nothing would count as answered */
    service(n, frame);
    settle(n);
    assert_int_equal(n->byes, 1);
    assert_int_equal(replica_info(n->replica, n->now).sessions, 0);
    node_free(n);
}

static void test_unknown_link(void **state)
{
    (void)state;
    node_t *n = node_new(0, 10);
    n->key = 4711;
    send(n, (ask_t){.session = 1, .seq = 1, .command = COMMAND_GET, .a = "k"});
    settle(n);
    assert_int_equal(n->byes, 1);
    service(n, frames_link_hello(77, 999)); /* it means another incarnation */
    settle(n);
    assert_int_equal(n->byes, 2);
    assert_int_equal(n->statuses, 0);
    node_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_before_reply),
        cmocka_unit_test(test_retag),
        cmocka_unit_test(test_executed_elsewhere),
        cmocka_unit_test(test_answer_waits_for_the_disk),
        cmocka_unit_test(test_answer_of_another_copy),
        cmocka_unit_test(test_answer_and_what_has_ended),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_clock_of_a_session),
        cmocka_unit_test(test_decr_by_the_least),
        cmocka_unit_test(test_key_too_large),
        cmocka_unit_test(test_multi),
        cmocka_unit_test(test_sets_deadlines_scans),
        cmocka_unit_test(test_answer_too_large),
        cmocka_unit_test(test_too_many_unacknowledged),
        cmocka_unit_test(test_nothing_behind_a_refusal),
        cmocka_unit_test(test_nothing_behind_an_undecided_one),
        cmocka_unit_test(test_not_after_a_later_one),
        cmocka_unit_test(test_behind_then_missing),
        cmocka_unit_test(test_waiting_is_served),
        cmocka_unit_test(test_nothing_behind_a_missing_one),
        cmocka_unit_test(test_waiting_ends_with_its_session),
        cmocka_unit_test(test_offline),
        cmocka_unit_test(test_auto_load),
        cmocka_unit_test(test_session_moves),
        cmocka_unit_test(test_malformed_request),
        cmocka_unit_test(test_unknown_link),
    };
    return cmocka_run_group_tests_name("replica", tests, NULL, NULL);
}
