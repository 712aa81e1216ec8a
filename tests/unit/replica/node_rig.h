/*
 * Replica cores for unit tests: one or two nodes that talk to one another, what their effects came
 * to, and a broker that asks one of them.
 *
 * To be included behind cmocka.h. Whoever makes a node frees it with node_free.
 */
#ifndef HEARSAY_TESTS_UNIT_REPLICA_NODE_RIG_H
#define HEARSAY_TESTS_UNIT_REPLICA_NODE_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/wire/record.h"
#include "replica/core/replica.h"
#include "replica/core/seglog.h"
#include "tests/unit/frames.h"

enum {
    LOG_START = 32,
    ITEMS_MAX = 64,
    LINK = 5, /* of the broker */
    SLOT = 3,
    GENERATION = 1,
    LEFT_MS = 5000,
    LINKS_MAX = 4096,
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
    unsigned states;      /* parts of a state given, or promised */
    unsigned checkpoints; /* begun */
    unsigned whole_checkpoints;
    uint64_t truncated; /* the log was, before this position */
    bool has_commit;    /* of a checkpoint, which is not on the disk yet */
    bool asks_for_sync;
    bool syncs_when_asked; /* --sync never */
    buf_t lost;
    uint32_t connect;          /* link of the last CONNECT */
    uint16_t ports[LINKS_MAX]; /* where the links go */
    uint32_t read_link;
    uint64_t read_request;
    uint64_t read_position;
    vec_t told; /* the token of the last reply */
    item_t items[ITEMS_MAX];
    size_t items_size;
} node_t;

static inline void take_reply_frame(node_t *n, const frame_t *frame, slice_t body)
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

static inline void take_service(node_t *n, slice_t bytes)
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

static inline void read_log(node_t *n)
{
    size_t from = (size_t)(n->read_position - LOG_START);
    replica_log_bytes(n->replica, n->now, n->read_link, n->read_request, n->read_position,
                      slice_of(n->log.data + from, n->log.size - from));
}

static inline uint16_t port_of(const node_t *n)
{
    return (uint16_t)(7710 + 10 * replica_info(n->replica, n->now).id);
}

static inline void carry_out(node_t *n, const replica_effect_t *effect, slice_t bytes)
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
        if (n->peer != NULL && n->ports[effect->link % LINKS_MAX] == port_of(n->peer))
            replica_peer_router(n->peer->replica, n->peer->now, effect->link, bytes);
        break;
    case REPLICA_TO_PEER_ROUTER:
        n->gaps += peer_kind(bytes) == PEER_RECORDS && peer_records_read(bytes, &records) &&
                   records.has_gap;
        n->states += peer_kind(bytes) == PEER_STATE;
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
        n->ports[effect->link % LINKS_MAX] = effect->port;
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
    case REPLICA_SYNC:
        n->asks_for_sync = true;
        break;
    case REPLICA_LOST:
        buf_append_slice(&n->lost, bytes);
        break;
    case REPLICA_CHECKPOINT_BEGIN:
        n->checkpoints++;
        n->whole_checkpoints += effect->link != 0;
        break;
    case REPLICA_TRUNCATE:
        n->truncated = effect->position;
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
static inline bool turn(node_t *n)
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
static inline void settle(node_t *n)
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

static inline void pass(node_t *n, int64_t ms)
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
static uint64_t log_max;
static bool sync_always;

static inline replica_config_t config_of(uint16_t id, uint64_t incarnation)
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
        .log_max = log_max,
        .sync_always = sync_always,
    };
}

static inline node_t *node_new(uint16_t id, uint64_t incarnation)
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
static inline node_t *node_replayed(const node_t *old, uint64_t incarnation)
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

/* The last update that it logged; out borrows from the log. */
static inline void last_logged(const node_t *n, record_t *out)
{
    seglog_entry_t entry;
    slice_t update = {0};
    for (size_t at = 0; at < n->log.size; at += entry.size) {
        slice_t rest = slice_of(n->log.data + at, n->log.size - at);
        assert_int_equal(seglog_next(rest, LOG_START + at, &entry), SEGLOG_GOOD);
        if (entry.kind == SEGLOG_KIND_UPDATE)
            update = entry.payload;
    }
    assert_true(record_read(update, out));
}

static inline void node_free(node_t *n)
{
    replica_destroy(&n->replica);
    buf_free(&n->log);
    buf_free(&n->lost);
    vec_free(&n->told);
    free(n);
}

/* ---- a broker ---- */

static inline frame_t header(const node_t *n)
{
    return (frame_t){.slot = SLOT, .generation = GENERATION, .route = n->key};
}

static inline void service(node_t *n, buf_t frame)
{
    replica_service(n->replica, n->now, LINK, buf_slice(&frame));
    buf_free(&frame);
}

static inline void link_up(node_t *n)
{
    service(n, frames_link_hello(77, 0));
    pass(n, 0);
    assert_int_not_equal(n->statuses, 0);
}

static inline void hello(node_t *n, uint64_t session, const vec_t *token)
{
    n->reason = 0xFFFF;
    service(n, frames_hello(header(n), session, token, -1, 0));
    settle(n);
}

static inline hlc_t clock_of(const node_t *n)
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
    hlc_t token_clock;
    uint64_t floor;
} ask_t;

static inline buf_t ask_frame(const node_t *n, const ask_t *ask)
{
    request_t request = {
        .session = ask->session,
        .epoch = ask->epoch != 0 ? ask->epoch : 1,
        .seq = ask->seq,
        .flags = ask->flags,
        .left_ms = ask->left_ms != 0 ? ask->left_ms : LEFT_MS,
        .token_clock = ask->token_clock,
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

static inline void send(node_t *n, ask_t ask)
{
    service(n, ask_frame(n, &ask));
}

/* Sends it and gives the one reply. */
static inline item_t call(node_t *n, ask_t ask)
{
    n->items_size = 0;
    send(n, ask);
    settle(n);
    assert_int_equal(n->items_size, 1);
    assert_int_equal(n->items[0].seq, ask.seq);
    return n->items[0];
}

static inline item_t set(node_t *n, uint64_t session, uint64_t seq, const char *value)
{
    return call(n, (ask_t){.session = session,
                           .seq = seq,
                           .command = COMMAND_SET,
                           .a = "k",
                           .b = value,
                           .flags = REQUEST_FRESH});
}

static inline node_t *served(uint16_t id, uint64_t incarnation, uint64_t session)
{
    node_t *n = node_new(id, incarnation);
    link_up(n);
    hello(n, session, NULL);
    assert_int_equal(n->reason, OUTCOME_OK);
    return n;
}

/* From now on they talk to one another, and to nobody else. */
static inline void meet(node_t *a, node_t *b)
{
    a->peer = b;
    b->peer = a;
    const uint16_t id = replica_info(a->replica, a->now).id;
    replica_candidate(b->replica, b->now, id, a->incarnation, slice_text("h"), port_of(a));
    settle(a);
}

static inline void connect_nodes(node_t *a, node_t *b)
{
    replica_peer_info_t info;
    meet(a, b);
    assert_true(replica_peer_info(b->replica, 0, &info));
    assert_true(info.is_connected);
}

static inline vec_t vec_one(uint64_t incarnation, uint64_t count)
{
    vec_t v = {0};
    vec_raise(&v, incarnation, count);
    return v;
}

static inline uint64_t has(const node_t *n, uint64_t incarnation)
{
    return vec_get(replica_info(n->replica, n->now).vector, incarnation);
}

static inline void assert_value(const item_t *item, const char *text)
{
    mp_t in = mp_open(slice_of(item->value, item->size));
    slice_t value = mp_bytes(&in);
    assert_true(mp_ok(&in));
    assert_true(slice_equal(value, slice_text(text)));
}

/* A request whose arguments are parted by blanks. */
static inline item_t call_request(node_t *n, request_t request, const char *text)
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

/* A quarter of a second, in which log and checkpoints have come to the disk. */
static inline void pass_synced(node_t *n)
{
    pass(n, 250);
    for (node_t *r = n; r != NULL; r = r == n ? n->peer : NULL) {
        if (!r->syncs_when_asked || r->asks_for_sync)
            replica_synced(r->replica, r->now, LOG_START + r->log.size);
        r->asks_for_sync = false;
        if (r->has_commit)
            replica_checkpoint_done(r->replica, r->now, true, slice_text(""));
        r->has_commit = false;
        replica_checkpoint_room(r->replica, r->now, 1024 * 1024);
    }
    settle(n);
}

static inline void pass_synced_times(node_t *n, int times)
{
    for (int i = 0; i < times; i++)
        pass_synced(n);
}

static inline void pass_until_ready(node_t *n, const node_t *joiner)
{
    for (int i = 0; i < 40 && !replica_is_ready(joiner->replica); i++)
        pass_synced(n);
    assert_true(replica_is_ready(joiner->replica));
}

/* A new node, which takes over what the other has. */
static inline void join(node_t *n, node_t *fresh)
{
    connect_nodes(n, fresh);
    pass_until_ready(n, fresh);
    pass(n, 250); /* it says so */
}

/* Time passes, and what is written is on disk. */
static inline void pass_on_disk(node_t *n, int64_t ms)
{
    for (; ms > 0; ms -= 250) {
        pass(n, 250);
        replica_synced(n->replica, n->now, LOG_START + n->log.size);
    }
}

static inline bool has_lost(const node_t *n, const char *text)
{
    slice_t wanted = slice_text(text);
    for (size_t at = 0; at + wanted.size <= n->lost.size; at++)
        if (memcmp(n->lost.data + at, wanted.data, wanted.size) == 0)
            return true;
    return false;
}

/* The node started again with so much of its log, and these rows for nodes 0 and 1 behind it. */
static inline node_t *node_with_rows(const node_t *old, size_t log_size, uint64_t incarnation,
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

static inline buf_t pull(uint64_t request, const vec_t *have)
{
    buf_t bytes = {0};
    const peer_pull_t ask = {.request = request};
    peer_pull_put(&bytes, &ask, have);
    return bytes;
}

#endif
