#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/wire/record.h"
#include "replica/core/replica.h"
#include "replica/core/seglog.h"
#include "replica/core/state.h"
#include "tests/unit/frames.h"

enum {
    LOG_START = 32,
    ITEMS_MAX = 64,
    LINK = 5, /* of the broker */
    SLOT = 3,
    GENERATION = 1,
    LEFT_MS = 5000,
};

typedef struct item {
    uint64_t session;
    uint64_t epoch;
    uint64_t seq;
    outcome_t outcome;
    hlc_t clock;
    uint16_t copies;
    char value[64]; /* msgpack */
    size_t size;
} item_t;

/* One replica with what its effects came to. */
typedef struct node {
    replica_t *replica;
    struct node *peer;
    now_t now;
    uint64_t incarnation;
    buf_t log;
    bool is_deaf;      /* PUBLISH does not reach it */
    bool is_slow;      /* its log is not read at once */
    uint32_t key;      /* of the broker's link */
    uint16_t reason;   /* of the last WELCOME */
    uint32_t answered; /* bytes, by all replies */
    unsigned byes;
    unsigned statuses;
    uint8_t status;
    uint64_t serial;
    unsigned pulls;
    unsigned reads;
    unsigned clock_notes;
    unsigned held_notes;
    unsigned lag_notes;
    unsigned conflict_notes;
    char conflict_note[256]; /* the last */
    size_t batch_size;       /* of the last BATCH's records */
    bool is_stopped;
    bool log_first;
    unsigned damaged_notes;
    unsigned gaps;        /* pulls answered so */
    unsigned checkpoints; /* begun */
    bool has_commit;      /* of a checkpoint, which is not on the disk yet */
    buf_t lost;
    uint32_t connect; /* link of the last CONNECT */
    uint32_t read_link;
    uint64_t read_request;
    uint64_t read_position;
    vec_t told; /* the token of the last reply */
    item_t items[ITEMS_MAX];
    size_t items_size;
} node_t;

static void take_reply_frame(node_t *n, const frame_t *frame, slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    assert_int_equal(items, frame->items);
    n->answered += frame->window;
    for (uint32_t i = 0; i < items; i++) {
        reply_t reply;
        assert_true(reply_read(&in, &reply));
        assert_true(n->items_size < ITEMS_MAX);
        item_t *item = &n->items[n->items_size++];
        *item = (item_t){.session = reply.session,
                         .epoch = reply.epoch,
                         .seq = reply.seq,
                         .outcome = reply.outcome,
                         .clock = reply.clock,
                         .copies = reply.copies};
        item->size = reply.value.size < sizeof item->value ? reply.value.size : sizeof item->value;
        memcpy(item->value, reply.value.data, item->size);
        mp_t token = mp_open(reply.token);
        mp_vector(&token, &n->told);
        assert_true(mp_ok(&token));
    }
}

static void take_service(node_t *n, slice_t bytes)
{
    frame_t frame = frames_header(bytes);
    link_status_t status;
    if (frame.kind == FRAME_REPLY) {
        take_reply_frame(n, &frame, frame_body(bytes));
    } else if (frame.kind == FRAME_BYE) {
        n->byes++;
    } else if (frame.kind == FRAME_WELCOME && frame.slot != FRAME_SLOT_LINK) {
        n->reason = frame.reason;
    } else if (link_status_read(frame_body(bytes), &status)) {
        n->key = frame.route;
        n->status = status.status;
        n->serial = status.serial;
        n->statuses++;
    }
}

static void read_log(node_t *n)
{
    size_t from = (size_t)(n->read_position - LOG_START);
    replica_log_bytes(n->replica, n->now, n->read_link, n->read_request, n->read_position,
                      slice_of(n->log.data + from, n->log.size - from));
}

static void carry_out(node_t *n, const replica_effect_t *effect, slice_t bytes)
{
    peer_batch_t batch;
    peer_records_t records;
    switch (effect->kind) {
    case REPLICA_APPEND:
        buf_append_slice(&n->log, bytes);
        break;
    case REPLICA_PUBLISH:
        if (peer_kind(bytes) == PEER_BATCH && peer_batch_read(bytes, &batch))
            n->batch_size = batch.records.size;
        if (n->peer != NULL && !n->peer->is_deaf)
            replica_gossip(n->peer->replica, n->peer->now, bytes);
        break;
    case REPLICA_TO_SERVICE:
        take_service(n, bytes);
        break;
    case REPLICA_TO_PEER:
        n->pulls += peer_kind(bytes) == PEER_PULL;
        if (n->peer != NULL)
            replica_peer_router(n->peer->replica, n->peer->now, effect->link, bytes);
        break;
    case REPLICA_TO_PEER_ROUTER:
        n->gaps += peer_kind(bytes) == PEER_RECORDS && peer_records_read(bytes, &records) &&
                   records.has_gap;
        if (n->peer != NULL)
            replica_peer(n->peer->replica, n->peer->now, effect->link, bytes);
        break;
    case REPLICA_READ:
        n->reads++;
        n->read_link = effect->link;
        n->read_request = effect->request;
        n->read_position = effect->position;
        break;
    case REPLICA_CONNECT:
        n->connect = effect->link;
        break;
    case REPLICA_NOTE:
        n->clock_notes += strncmp((const char *)bytes.data, "[clock] ", 8) == 0;
        n->held_notes += strncmp((const char *)bytes.data, "[held-back] ", 12) == 0;
        n->lag_notes += strncmp((const char *)bytes.data, "[stability-lag] ", 16) == 0;
        if (strncmp((const char *)bytes.data, "[conflict] ", 11) == 0) {
            n->conflict_notes++;
            snprintf(n->conflict_note, sizeof n->conflict_note, "%.*s", (int)bytes.size,
                     (const char *)bytes.data);
        }
        n->damaged_notes += strncmp((const char *)bytes.data, "[damaged] ", 10) == 0;
        break;
    case REPLICA_LOST:
        buf_append_slice(&n->lost, bytes);
        break;
    case REPLICA_CHECKPOINT_BEGIN:
        n->checkpoints++;
        break;
    case REPLICA_CHECKPOINT_COMMIT:
        n->has_commit = true;
        break;
    case REPLICA_STOP:
        n->is_stopped = true;
        break;
    default:
        break;
    }
}

/* One turn; true when there was something to do. */
static bool turn(node_t *n)
{
    replica_effects_t effects = replica_turn(n->replica, n->now);
    for (size_t i = 0; i < effects.size; i++) {
        if (effects.list[i].kind == REPLICA_APPEND)
            n->log_first = i == 0;
        carry_out(n, &effects.list[i], replica_effect_bytes(&effects, &effects.list[i]));
    }
    return effects.size != 0;
}

/* Turns of a node and its peer until both are quiet. */
static void settle(node_t *n)
{
    for (bool busy = true; busy;) {
        busy = turn(n);
        if (n->peer != NULL)
            busy |= turn(n->peer);
        for (node_t *r = n; r != NULL; r = r == n ? n->peer : NULL) {
            if (r->reads == 0 || r->is_slow)
                continue;
            r->reads = 0;
            read_log(r);
            busy = true;
        }
    }
}

static void pass(node_t *n, int64_t ms)
{
    for (node_t *r = n; r != NULL; r = r == n ? n->peer : NULL) {
        r->now.boot_ms += ms;
        r->now.wall_ms += ms;
        replica_tick(r->replica, r->now);
    }
    settle(n);
}

static uint32_t ack = 1; /* of the nodes that are made */
static uint64_t checkpoint_bytes;
static bool sync_always;

static replica_config_t config_of(uint16_t id, uint64_t incarnation)
{
    return (replica_config_t){
        .cluster = frames_cluster,
        .id = id,
        .incarnation = incarnation,
        .seed = incarnation,
        .host = "h",
        .port = (uint16_t)(7710 + 10 * id),
        .gossip_interval_ms = 8000,
        .max_drift_ms = 60000,
        .retry_horizon_ms = 15000,
        .value_max = 1024 * 1024,
        .ack = ack,
        .checkpoint_bytes = checkpoint_bytes,
        .sync_always = sync_always,
    };
}

static node_t *node_new(uint16_t id, uint64_t incarnation)
{
    node_t *n = mem_zero(1, sizeof *n);
    n->now = (now_t){1000000, 5000};
    n->incarnation = incarnation;
    const replica_config_t config = config_of(id, incarnation);
    n->replica = replica_new(&config);
    replica_start(n->replica, n->now, LOG_START);
    turn(n);
    return n;
}

/* The node started again with its log, in another incarnation. */
static node_t *node_replayed(const node_t *old, uint64_t incarnation)
{
    node_t *n = mem_zero(1, sizeof *n);
    const replica_config_t config = config_of(replica_info(old->replica, old->now).id, incarnation);
    slice_t left = buf_slice(&old->log);
    uint64_t position = LOG_START;
    seglog_entry_t entry;
    err_t err;
    n->now = old->now;
    n->incarnation = incarnation;
    n->replica = replica_new(&config);
    for (; seglog_next(left, position, &entry) == SEGLOG_GOOD; position += entry.size) {
        assert_int_equal(replica_replay(n->replica, position, entry.kind, entry.payload, &err), 0);
        left = slice_of(left.data + entry.size, left.size - entry.size);
    }
    assert_int_equal(left.size, 0);
    buf_append_slice(&n->log, buf_slice(&old->log));
    replica_start(n->replica, n->now, position);
    turn(n);
    return n;
}

static void node_free(node_t *n)
{
    replica_destroy(&n->replica);
    buf_free(&n->log);
    buf_free(&n->lost);
    vec_free(&n->told);
    free(n);
}

/* ---- a broker ---- */

static frame_t header(const node_t *n)
{
    return (frame_t){.slot = SLOT, .generation = GENERATION, .route = n->key};
}

static void service(node_t *n, buf_t frame)
{
    replica_service(n->replica, n->now, LINK, buf_slice(&frame));
    buf_free(&frame);
}

static void link_up(node_t *n)
{
    service(n, frames_link_hello(77, 0));
    pass(n, 0);
    assert_int_not_equal(n->statuses, 0);
}

static void hello(node_t *n, uint64_t session, const vec_t *token)
{
    n->reason = 0xFFFF;
    service(n, frames_hello(header(n), session, token, -1, 0));
    settle(n);
}

static hlc_t clock_of(const node_t *n)
{
    return replica_info(n->replica, n->now).clock;
}

typedef struct ask {
    uint64_t session;
    uint64_t epoch;
    uint64_t seq;
    uint8_t command;
    const char *a;
    const char *b;
    hlc_t hlc; /* 0: a new one for an update */
    uint8_t flags;
    uint32_t left_ms;
    const vec_t *token;
    uint64_t floor;
} ask_t;

static buf_t ask_frame(const node_t *n, const ask_t *ask)
{
    request_t request = {
        .session = ask->session,
        .epoch = ask->epoch != 0 ? ask->epoch : 1,
        .seq = ask->seq,
        .flags = ask->flags,
        .left_ms = ask->left_ms != 0 ? ask->left_ms : LEFT_MS,
        .hlc = ask->hlc != 0 || ask->command < COMMAND_SET ? ask->hlc : clock_of(n) + ask->seq,
        .floor = ask->floor,
        .command = ask->command,
    };
    buf_t words = frames_words(&request.arguments, ask->a, ask->b, NULL);
    request.arguments_at = buf_slice(&words);
    buf_t frame = frames_request(header(n), &request, ask->token);
    buf_free(&words);
    return frame;
}

static void send(node_t *n, ask_t ask)
{
    service(n, ask_frame(n, &ask));
}

/* Sends it and gives the one reply. */
static item_t call(node_t *n, ask_t ask)
{
    n->items_size = 0;
    send(n, ask);
    settle(n);
    assert_int_equal(n->items_size, 1);
    assert_int_equal(n->items[0].seq, ask.seq);
    return n->items[0];
}

static item_t set(node_t *n, uint64_t session, uint64_t seq, const char *value)
{
    return call(n, (ask_t){.session = session,
                           .seq = seq,
                           .command = COMMAND_SET,
                           .a = "k",
                           .b = value,
                           .flags = REQUEST_FRESH});
}

static node_t *served(uint16_t id, uint64_t incarnation, uint64_t session)
{
    node_t *n = node_new(id, incarnation);
    link_up(n);
    hello(n, session, NULL);
    assert_int_equal(n->reason, OUTCOME_OK);
    return n;
}

static void connect_nodes(node_t *a, node_t *b)
{
    a->peer = b;
    b->peer = a;
    replica_candidate(b->replica, b->now, 0, a->incarnation, slice_text("h"), 7710);
    settle(a);
    replica_peer_info_t info;
    assert_true(replica_peer_info(b->replica, 0, &info));
    assert_true(info.is_connected);
}

/* From now on they talk to one another, and to nobody else. */
static void meet(node_t *a, node_t *b)
{
    a->peer = b;
    b->peer = a;
    const uint16_t id = replica_info(a->replica, a->now).id;
    replica_candidate(b->replica, b->now, id, a->incarnation, slice_text("h"), 7710);
    settle(a);
}

static vec_t vec_one(uint64_t incarnation, uint64_t count)
{
    vec_t v = {0};
    vec_raise(&v, incarnation, count);
    return v;
}

static uint64_t has(const node_t *n, uint64_t incarnation)
{
    return vec_get(replica_info(n->replica, n->now).vector, incarnation);
}

static void assert_value(const item_t *item, const char *text)
{
    mp_t in = mp_open(slice_of(item->value, item->size));
    slice_t value = mp_bytes(&in);
    assert_true(mp_ok(&in));
    assert_true(slice_equal(value, slice_text(text)));
}

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

/* A request whose arguments are parted by blanks. */
static item_t call_request(node_t *n, request_t request, const char *text)
{
    buf_t words = {0};
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        mp_put_bin(&words, slice_of(text, size));
        request.arguments++;
        text += size + (text[size] == ' ');
    }
    request.arguments_at = buf_slice(&words);
    buf_t frame = frames_request(header(n), &request, NULL);
    buf_free(&words);
    n->items_size = 0;
    service(n, frame);
    settle(n);
    assert_int_equal(n->items_size, 1);
    return n->items[0];
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

/* ---- gossip ---- */

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

/* A quarter of a second, in which log and checkpoints have come to the disk. */
static void pass_synced(node_t *n)
{
    pass(n, 250);
    for (node_t *r = n; r != NULL; r = r == n ? n->peer : NULL) {
        replica_synced(r->replica, r->now, LOG_START + r->log.size);
        if (r->has_commit)
            replica_checkpoint_done(r->replica, r->now, true, slice_text(""));
        r->has_commit = false;
        replica_checkpoint_room(r->replica, r->now, 1024 * 1024);
    }
    settle(n);
}

/* Time passes, and what is written is on disk. */
static void pass_on_disk(node_t *n, int64_t ms)
{
    for (; ms > 0; ms -= 250) {
        pass(n, 250);
        replica_synced(n->replica, n->now, LOG_START + n->log.size);
    }
}

static bool has_lost(const node_t *n, const char *text)
{
    slice_t wanted = slice_text(text);
    for (size_t at = 0; at + wanted.size <= n->lost.size; at++)
        if (memcmp(n->lost.data + at, wanted.data, wanted.size) == 0)
            return true;
    return false;
}

/* The node started again with so much of its log, and these rows for nodes 0 and 1 behind it. */
static node_t *node_with_rows(const node_t *old, size_t log_size, uint64_t incarnation,
                              const peer_member_t rows[2])
{
    node_t log = {.replica = old->replica, .now = old->now};
    buf_t members = {0};
    buf_append(&log.log, old->log.data, log_size);
    peer_members_put(&members, rows, 2);
    seglog_entry_put(&log.log, LOG_START + log_size, SEGLOG_KIND_MEMBERS, buf_slice(&members));
    node_t *n = node_replayed(&log, incarnation);
    buf_free(&members);
    buf_free(&log.log);
    return n;
}

/* Said once when a member keeps the others from forgetting, and once when that is over. */
static void test_stability_lag(void **state)
{
    enum { HORIZON = 15 * 4, LAG = 60 * 4 }; /* quarters of a second */
    (void)state;
    node_t *a = served(0, 10, 1);
    node_t *b = node_new(1, 20);
    connect_nodes(a, b);
    for (int i = 0; i < 2 * (HORIZON + LAG); i++)
        pass_synced(a); /* with nothing to forget */
    assert_int_equal(a->lag_notes, 0);
    link_up(a);
    hello(a, 1, NULL);
    set(a, 1, 1, "x");
    a->is_deaf = b->is_deaf = true; /* no rounds */
    for (int i = 0; i < HORIZON + LAG - 8; i++)
        pass_synced(a);
    assert_int_equal(a->lag_notes, 0);
    for (int i = 0; i < HORIZON + LAG; i++)
        pass_synced(a);
    assert_int_equal(a->lag_notes, 1);
    a->is_deaf = b->is_deaf = false;
    for (int i = 0; i < 3 * HORIZON; i++)
        pass_synced(a);
    assert_int_equal(a->lag_notes, 2);
    node_free(a);
    node_free(b);
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
    for (int i = 0; i < 2 * QUARTERS; i++)
        pass_synced(a);
    hlc_t floor = replica_info(b->replica, b->now).floor;
    assert_int_equal(replica_info(b->replica, b->now).unstable, 0);
    for (int i = 0; i < QUARTERS; i++)
        pass_synced(a);
    assert_true(replica_info(b->replica, b->now).floor == floor); /* for nobody */
    link_up(a);
    hello(a, 1, NULL);
    b->is_deaf = true;
    set(a, 1, 2, "y");
    b->is_deaf = false;
    a->is_slow = true; /* b does not get it */
    for (int i = 0; i < QUARTERS; i++)
        pass_synced(a);
    assert_int_equal(replica_info(b->replica, b->now).unstable, 0);
    assert_true(replica_info(b->replica, b->now).floor > floor);
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

/* Under a load without end nothing grows: log, executed table, what is to be forgotten. */
static void test_steady_load(void **state)
{
    enum { MINUTES = 20, UPDATES = 5, KEYS = 100 }; /* of each node, in a quarter of a second */
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
        pass_synced(a);
        raise_kept(&most, a);
        raise_kept(&most, b);
    }
    assert_true(a->log.size > 30 * checkpoint_bytes);
    assert_in_range(most.log_bytes, 1, 2 * checkpoint_bytes + checkpoint_bytes / 4);
    assert_in_range(most.executed, 1, 4);
    assert_in_range(most.unstable, 1, 2 * KEYS);
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
    for (int i = 0; i < 20; i++)
        pass_synced(a);
    assert_true(replica_info(c->replica, c->now).is_joining);
    replica_set_read_only(a->replica, a->now, NULL);
    pass(a, 3000); /* written, and not on disk */
    assert_true(replica_info(c->replica, c->now).is_joining);
    for (int i = 0; i < 20; i++)
        pass_synced(a);
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
    for (int i = 0; i < 20; i++)
        pass_synced(a);
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
    for (int i = 0; i < 40; i++)
        pass_synced(c);
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
    for (int i = 0; i < 40; i++)
        pass_synced(c);
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
    node_t *a = served(0, 10, 1);
    node_t *c = served(1, 20, 2);
    connect_nodes(a, c);
    set(a, 1, 1, "x");
    const size_t before = a->log.size;
    set(c, 2, 1, "y");
    assert_int_equal(has(a, 20), 1);

    node_t *b = node_that_left_behind(a, a->log.size, 11, c);
    meet(b, c);
    for (int i = 0; i < 100 && replica_info(c->replica, c->now).counts->transfers < 1; i++)
        pass_synced(c);
    for (int i = 0; i < 20; i++)
        pass_synced(c);
    assert_true(replica_is_ready(c->replica));

    node_t *d = node_that_left_behind(a, before, 12, c);
    meet(d, c);
    for (int i = 0; i < 200 && replica_info(c->replica, c->now).counts->transfers < 2; i++)
        pass_synced(c);
    for (int i = 0; i < 20; i++)
        pass_synced(c);
    assert_int_equal(replica_info(c->replica, c->now).counts->transfers, 2);
    assert_true(replica_is_ready(c->replica));
    assert_int_equal(has(c, 20), 1);
    assert_int_equal(has(d, 20), 1);
    vec_t token = vec_one(20, 1);
    link_up(c);
    hello(c, 3, &token);
    const ask_t get = {.session = 3, .seq = 1, .command = COMMAND_GET, .a = "k"};
    assert_int_equal(call(c, get).outcome, OUTCOME_MISSING);
    hello(c, 2, NULL);
    assert_int_equal(set(c, 2, 5, "z").outcome, OUTCOME_OK);
    for (int i = 0; i < 20 && has(d, 20) < 2; i++)
        pass_synced(c);
    assert_int_equal(has(d, 20), 2);
    vec_free(&token);
    node_free(a);
    node_free(b);
    node_free(c);
    node_free(d);
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

/* ---- backups ---- */

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
    pass(a, 500);
    seglog_entry_t first;
    assert_int_equal(seglog_next(buf_slice(&b->log), LOG_START, &first), SEGLOG_GOOD);
    assert_int_equal(first.kind, SEGLOG_KIND_META);
    assert_int_equal(has(b, 10), 1);
    assert_true(b->log.size > log_size);
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
    connect_nodes(a, b);
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

static buf_t pull(uint64_t request, const vec_t *have)
{
    buf_t bytes = {0};
    const peer_pull_t ask = {.request = request};
    peer_pull_put(&bytes, &ask, have);
    return bytes;
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

/* ---- conflicts ---- */

/*
 * Two nodes with a session each, its id that of the node plus 1. What is issued has a clock greater
 * than all before.
 */
typedef struct pair {
    node_t *a;
    node_t *b;
    hlc_t hlc;
} pair_t;

static pair_t pair_new(void)
{
    pair_t pair = {.a = served(0, 10, 1), .b = served(1, 20, 2)};
    connect_nodes(pair.a, pair.b);
    pair.hlc = clock_of(pair.a) + 1;
    return pair;
}

static void pair_free(pair_t *pair)
{
    node_free(pair->a);
    node_free(pair->b);
}

/* The command is the first word. */
static void issue_as(node_t *n, request_t request, const char *text)
{
    char name[16];
    size_t size = strcspn(text, " ");
    snprintf(name, sizeof name, "%.*s", (int)size, text);
    request.epoch = 1;
    request.left_ms = 1000;
    request.command = command_by_name(name)->code;
    assert_int_equal(call_request(n, request, text + size + 1).outcome, OUTCOME_OK);
}

static void issue(pair_t *pair, node_t *n, const char *text)
{
    static uint64_t seq = 1;
    pair->hlc += 0x100;
    issue_as(n,
             (request_t){.session = replica_info(n->replica, n->now).id + 1U,
                         .seq = seq++,
                         .hlc = pair->hlc,
                         .flags = REQUEST_FRESH},
             text);
}

static void cut(pair_t *pair)
{
    pair->a->is_deaf = pair->b->is_deaf = true;
}

static void heal(pair_t *pair)
{
    pair->a->is_deaf = pair->b->is_deaf = false;
    for (int i = 0; i < 4; i++)
        pass(pair->a, 100); /* the round that closes the burst, then pulls */
    assert_int_equal(has(pair->a, 20), has(pair->b, 20));
    assert_int_equal(has(pair->a, 10), has(pair->b, 10));
    assert_true(replica_digest(pair->a->replica, 0) == replica_digest(pair->b->replica, 0));
}

static uint64_t conflicts(const node_t *n)
{
    return replica_info(n->replica, n->now).counts->conflicts;
}

/* Behind the first one both know, A and B update, B under the greater tag, and hear of it. */
static void test_conflicts(void **state)
{
    (void)state;
    static const char hash[] = "hset k f 1 g 1";
    static const struct {
        const char *before; /* NULL: nothing, as in the next two */
        const char *at_a;
        const char *at_b;
        unsigned a; /* counted */
        unsigned b;
    } cases[] = {
        {NULL, "set k x", "set k y", 0, 1},
        {"set k w", "set k x", "set k y", 0, 1},
        {NULL, "set k x", "set k x", 0, 0},
        {NULL, "set k x", "set l y", 0, 0},
        {"set k x", NULL, "set k y", 0, 0}, /* it had been seen */
        {NULL, "incr k", "incr k", 0, 0},
        {NULL, "incr k", "set k 5", 0, 1},
        {NULL, "set k 5", "incr k", 0, 0},
        {NULL, "set k text", "incr k", 1, 0}, /* no number: the greater tag does not help */
        {"set k 1", "del k", "del k", 0, 0},
        {"set k 1", "del k", "set k 2", 0, 1},
        {"set k 1", "set k 2", "del k", 0, 1},
        {"set k 1", "incr k", "del k", 0, 1},
        {"set k 1", "del k", "incr k", 0, 0},
        {NULL, "set k x", "sadd k e", 0, 1},
        {NULL, "hset k f x", "set k y", 0, 1},
        {NULL, "hset k f x", "hset k f y", 0, 1},
        {NULL, "hset k f x", "hset k g y", 0, 0},
        {hash, "hset k f 2 g 2", "hset k f 3 g 2", 0, 1},
        {hash, "hdel k f", "hset k f 2", 0, 1},
        {hash, "hset k f 2", "hdel k f", 0, 1},
        {hash, "hdel k f", "hdel k f", 0, 0},
        {hash, "hincr k f 1", "hset k f 7", 0, 1},
        {hash, "hincr k f 1", "hincr k f 1", 0, 0},
        {hash, "hdel k f", "del k", 0, 0},
        {hash, "del k", "hdel k f", 0, 0},
        {hash, "del k", "hset k f 2", 0, 1},
        {hash, "hset k f 2", "del k", 0, 1},
        {"sadd k e", "sadd k e", "sadd k e", 0, 0},
        {"sadd k e", "srem k e", "srem k e", 0, 0},
        {"sadd k e", "srem k e", "sadd k e", 0, 1},
        {"sadd k e", "sadd k e", "srem k e", 0, 1},
        {"sadd k e", "sadd k f", "srem k e", 0, 0},
        {"set k 1", "expire k 5", "expire k 9", 0, 0},
        {"set k 1", "expire k 5", "set k 2", 0, 0},
        {NULL, "mset k 1 l 1 m 1", "mset k 2 l 2 n 2", 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pair_t pair = pair_new();
        issue(&pair, pair.a, "set other 1"); /* both are of one lineage */
        if (cases[i].before != NULL)
            issue(&pair, pair.a, cases[i].before);
        cut(&pair);
        if (cases[i].at_a != NULL)
            issue(&pair, pair.a, cases[i].at_a);
        issue(&pair, pair.b, cases[i].at_b);
        heal(&pair);
        if (conflicts(pair.a) != cases[i].a || conflicts(pair.b) != cases[i].b)
            fail_msg("%s, then %s: %u and %u", cases[i].at_a, cases[i].at_b,
                     (unsigned)conflicts(pair.a), (unsigned)conflicts(pair.b));
        pair_free(&pair);
    }
}

/* Who hears of both, and who had them in its log when it started again. */
static void test_conflicts_count_once(void **state)
{
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    cut(&pair);
    issue(&pair, pair.a, "set k x");
    issue(&pair, pair.b, "set k y");
    heal(&pair);
    assert_int_equal(conflicts(pair.b), 1);
    node_t *third = node_new(2, 30);
    node_t *again = node_replayed(pair.b, 21);
    pair.b->peer = NULL;
    connect_nodes(pair.a, third);
    assert_int_equal(has(third, 10), 2);
    assert_int_equal(has(third, 20), 1);
    assert_int_equal(conflicts(third), 0);
    third->peer = NULL;
    connect_nodes(pair.a, again);
    assert_int_equal(has(again, 10), 2);
    assert_int_equal(conflicts(again), 0);
    assert_int_equal(conflicts(pair.a), 0);
    node_free(third);
    node_free(again);
    pair_free(&pair);
}

/* What won is of an incarnation that is over. */
static void test_conflicts_end_with_a_restart(void **state)
{
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    cut(&pair);
    issue(&pair, pair.a, "set k x");
    issue(&pair, pair.b, "set k y");
    node_t *again = node_replayed(pair.b, 21);
    connect_nodes(pair.a, again);
    assert_int_equal(has(again, 10), 2);
    assert_int_equal(conflicts(again), 0);
    node_free(again);
    pair_free(&pair);
}

/* An update that both sides took, since it was sent again, is one; also when it says two things. */
static void test_conflicts_and_copies(void **state)
{
    (void)state;
    static const char *const updates[] = {"set k x", "mset k x k y", "hset k f x"};
    static const char *const later[] = {"set k z", NULL, "del k"};
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        pair_t pair = pair_new();
        request_t request = {.session = 7, .seq = 1, .flags = REQUEST_FRESH};
        issue(&pair, pair.a, "set other 1");
        cut(&pair);
        hello(pair.a, 7, NULL);
        hello(pair.b, 7, NULL);
        request.hlc = pair.hlc += 0x100;
        issue_as(pair.a, request, updates[i]);
        request.flags = 0;
        issue_as(pair.b, request, updates[i]);
        if (later[i] != NULL)
            issue(&pair, pair.b, later[i]);
        heal(&pair);
        assert_int_equal(conflicts(pair.a), 0);
        assert_int_equal(conflicts(pair.b), 0);
        pair_free(&pair);
    }
}

/* Over a text that had expired, an increment begins a number of its own. */
static void test_conflicts_and_deadlines(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        pair_t pair = pair_new();
        issue(&pair, pair.a, "set other 1");
        cut(&pair);
        issue(&pair, pair.a, "set k text");
        issue(&pair, pair.a, "expire k 1");
        pair.hlc = hlc_add_ms(pair.hlc, late == 0 ? 500 : 1500);
        issue(&pair, pair.b, "incr k");
        heal(&pair);
        assert_int_equal(conflicts(pair.a), late == 0 ? 1 : 0);
        assert_int_equal(conflicts(pair.b), 0);
        pair_free(&pair);
    }
}

/* Told at once, then now and then with how many it were; the key cannot break the line. */
static void test_conflicts_are_told(void **state)
{
    enum { MORE = 5, TELL_MS = 10000 };
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    cut(&pair);
    issue(&pair, pair.a, "hset a\"b\\\n f x");
    issue(&pair, pair.b, "set a\"b\\\n y");
    heal(&pair);
    assert_int_equal(pair.a->conflict_notes, 0);
    assert_int_equal(pair.b->conflict_notes, 1);
    assert_string_equal(pair.b->conflict_note,
                        "[conflict] concurrent updates hidden count=1 op=hset id=0 "
                        "incarnation=000000000000000a key=\"a\\x22b\\x5c\\x0a\"");
    cut(&pair);
    for (int i = 0; i < MORE; i++)
        issue(&pair, pair.a, "set 0123456789012345678901234567890123456789012345678901234 x");
    issue(&pair, pair.b, "set 0123456789012345678901234567890123456789012345678901234 y");
    heal(&pair);
    assert_int_equal(conflicts(pair.b), 1 + MORE);
    assert_int_equal(pair.b->conflict_notes, 1);
    pass(pair.b, TELL_MS);
    assert_int_equal(pair.b->conflict_notes, 2);
    assert_string_equal(pair.b->conflict_note,
                        "[conflict] concurrent updates hidden count=5 op=set id=0 "
                        "incarnation=000000000000000a "
                        "key=\"012345678901234567890123456789012345678901234567...\"");
    pair_free(&pair);
}

/* ---- damage ---- */

/*
 * Node 0 started again from the log of one that accepted `updates`, of which the second is damaged:
 * what is before it is replayed, what is behind it was found.
 */
static node_t *damaged(bool salvage, const node_t *before, slice_t members)
{
    node_t *n = mem_zero(1, sizeof *n);
    n->now = before->now;
    n->incarnation = before->incarnation + 1;
    replica_config_t config = config_of(0, n->incarnation);
    config.salvage = salvage;
    n->replica = replica_new(&config);
    slice_t log = buf_slice(&before->log);
    uint64_t position = LOG_START;
    unsigned updates = 0;
    seglog_entry_t entry;
    while (seglog_next(log, position, &entry) == SEGLOG_GOOD) {
        updates += entry.kind == SEGLOG_KIND_UPDATE;
        if (updates < 2) {
            assert_int_equal(replica_replay(n->replica, position, entry.kind, entry.payload, NULL),
                             0);
            buf_append(&n->log, log.data, entry.size);
        } else if (updates > 2) {
            replica_salvage(n->replica, entry.kind, entry.payload);
        }
        if (updates == 2 && entry.kind == SEGLOG_KIND_UPDATE)
            replica_set_damaged(n->replica);
        log = slice_of(log.data + entry.size, log.size - entry.size);
        position += entry.size;
    }
    assert_int_equal(updates, 4);
    if (members.size != 0)
        assert_int_equal(replica_replay(n->replica, LOG_START, SEGLOG_KIND_MEMBERS, members, NULL),
                         0);
    replica_start(n->replica, n->now, LOG_START + n->log.size);
    turn(n);
    return n;
}

static node_t *four_updates(void)
{
    node_t *n = served(0, 10, 1);
    set(n, 1, 1, "first");
    set(n, 1, 2, "second");
    set(n, 1, 3, "third");
    set(n, 1, 4, "fourth");
    return n;
}

static void test_damaged_waits(void **state)
{
    (void)state;
    node_t *before = four_updates();
    node_t *n = damaged(false, before, slice_text(""));
    pass_on_disk(n, 60000);
    assert_false(replica_is_ready(n->replica));
    assert_true(replica_info(n->replica, n->now).is_joining);
    assert_true(replica_info(n->replica, n->now).is_damaged);
    assert_int_equal(n->damaged_notes, 2); /* that it is, and what it waits for, once */
    assert_int_equal(n->lost.size, 0);
    assert_int_equal(has(n, 10), 1);
    node_free(n);
    node_free(before);
}

/* With --salvage it goes on, what does not follow is for people, and nothing of before is taken. */
static void test_damaged_salvage(void **state)
{
    (void)state;
    node_t *before = four_updates();
    node_t *n = damaged(true, before, slice_text(""));
    hlc_t floor = replica_info(n->replica, n->now).floor;
    pass_on_disk(n, 2000);
    assert_false(replica_is_ready(n->replica));
    pass_on_disk(n, 10000);
    assert_true(replica_is_ready(n->replica));
    assert_false(replica_info(n->replica, n->now).is_damaged);
    assert_true(replica_info(n->replica, n->now).floor > floor);
    assert_true(replica_info(n->replica, n->now).floor > clock_of(before));
    assert_false(has_lost(n, "first"));
    assert_true(has_lost(n, "set \"k\" \"third\""));
    assert_true(has_lost(n, "set \"k\" \"fourth\""));
    link_up(n);
    hello(n, 1, NULL);
    item_t got = call(n, (ask_t){.session = 1, .seq = 5, .command = COMMAND_GET, .a = "k"});
    assert_value(&got, "first");
    node_free(n);
    node_free(before);
}

/* It had been left behind, by members that are gone: it goes on as a member. */
static void test_salvaged_after_it_had_left(void **state)
{
    (void)state;
    node_t *before = four_updates();
    const peer_member_t rows[] = {{0, before->incarnation, clock_of(before), MEMBER_LEFT_BEHIND},
                                  {1, 77, clock_of(before), MEMBER_IN}};
    buf_t members = {0};
    peer_members_put(&members, rows, 2);
    node_t *n = damaged(true, before, buf_slice(&members));
    pass_on_disk(n, 12000);
    assert_true(replica_is_ready(n->replica));
    node_t *fresh = node_new(2, 500);
    fresh->now = n->now;
    meet(n, fresh);
    for (int i = 0; i < 100; i++)
        pass_synced(n);
    assert_true(replica_is_ready(n->replica));
    assert_true(replica_is_ready(fresh->replica));
    assert_int_equal(has(fresh, 10), 1);
    buf_free(&members);
    node_free(before);
    node_free(n);
    node_free(fresh);
}

/*
 * A log that is damaged where a peer reads: a gap, at once, and the next checkpoint makes that log
 * void.
 */
static void test_damaged_read(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    const vec_t nothing = {0};
    set(n, 1, 1, "x");
    n->is_slow = true;
    for (unsigned turn = 1; turn < 3; turn++) {
        buf_t asked = pull(5, &nothing);
        replica_peer_router(n->replica, n->now, 5, buf_slice(&asked));
        settle(n);
        if (turn == 1) {
            assert_int_equal(n->reads, 1);
            replica_log_damaged(n->replica, n->now, n->read_link, n->read_request,
                                n->read_position);
            settle(n);
        }
        assert_int_equal(n->gaps, turn); /* the second is not even read */
        assert_int_equal(n->reads, 1);
        buf_free(&asked);
    }
    assert_int_equal(n->damaged_notes, 1);
    assert_int_equal(n->checkpoints, 1);
    /* What comes later is given. */
    set(n, 1, 2, "y");
    vec_t one = vec_one(10, 1);
    buf_t asked = pull(6, &one);
    replica_peer_router(n->replica, n->now, 6, buf_slice(&asked));
    settle(n);
    assert_int_equal(n->reads, 2);
    assert_int_equal(n->gaps, 2);
    assert_true(replica_is_ready(n->replica));
    buf_free(&asked);
    vec_free(&one);
    node_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_waits),
        cmocka_unit_test(test_damaged_salvage),
        cmocka_unit_test(test_salvaged_after_it_had_left),
        cmocka_unit_test(test_damaged_read),
        cmocka_unit_test(test_log_before_reply),
        cmocka_unit_test(test_retag),
        cmocka_unit_test(test_executed_elsewhere),
        cmocka_unit_test(test_answer_waits_for_the_disk),
        cmocka_unit_test(test_answer_of_another_copy),
        cmocka_unit_test(test_answer_and_what_has_ended),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_decr_by_the_least),
        cmocka_unit_test(test_answer_too_large),
        cmocka_unit_test(test_multi),
        cmocka_unit_test(test_key_too_large),
        cmocka_unit_test(test_peer_clock),
        cmocka_unit_test(test_accept_clock),
        cmocka_unit_test(test_refused_clock_ends),
        cmocka_unit_test(test_refused_clock_is_set_right),
        cmocka_unit_test(test_refused_clock_of_other_data),
        cmocka_unit_test(test_accept_clock_read_only),
        cmocka_unit_test(test_accepted_clock_after_restart),
        cmocka_unit_test(test_accepted_clock_is_given_back),
        cmocka_unit_test(test_accept_clock_without_data),
        cmocka_unit_test(test_accepted_clock_in_checkpoint),
        cmocka_unit_test(test_sets_deadlines_scans),
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
        cmocka_unit_test(test_gap_by_batch),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_held_back_for_long),
        cmocka_unit_test(test_stability_lag),
        cmocka_unit_test(test_floor_for_others),
        cmocka_unit_test(test_steady_load),
        cmocka_unit_test(test_gap_by_round),
        cmocka_unit_test(test_lineage_before_records),
        cmocka_unit_test(test_forgotten_while_it_hands_in),
        cmocka_unit_test(test_crash_while_joining),
        cmocka_unit_test(test_forgotten_by_one_another),
        cmocka_unit_test(test_left_out_unawares),
        cmocka_unit_test(test_taken_back_on_disk),
        cmocka_unit_test(test_handed_in_twice),
        cmocka_unit_test(test_both_went_on),
        cmocka_unit_test(test_own_count_never_goes_back),
        cmocka_unit_test(test_lost_is_told),
        cmocka_unit_test(test_starts_do_not_bring_back),
        cmocka_unit_test(test_joining_forgets_nobody),
        cmocka_unit_test(test_held_back_of_one_that_is_over),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_backup),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_read_only_and_a_newcomer),
        cmocka_unit_test(test_great_record_is_announced),
        cmocka_unit_test(test_other_lineage),
        cmocka_unit_test(test_lineages_part),
        cmocka_unit_test(test_no_lineage),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_draining_asks_for_a_copy),
        cmocka_unit_test(test_empty_node_is_greeted),
        cmocka_unit_test(test_too_many_starts),
        cmocka_unit_test(test_id_taken),
        cmocka_unit_test(test_id_taken_together),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_pulls_of_many_links),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_conflicts_count_once),
        cmocka_unit_test(test_conflicts_end_with_a_restart),
        cmocka_unit_test(test_conflicts_and_copies),
        cmocka_unit_test(test_conflicts_and_deadlines),
        cmocka_unit_test(test_conflicts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
