#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "frontend/core/frontend.h"
#include "tests/unit/frames.h"

enum { SENT_MAX = 64, CLIENT = 11, OTHER = 12, ITEM_BYTES = 100 };

/* One message that left, in order. */
typedef struct sent {
    bool is_to_client;
    uint32_t target;
    frame_t frame;
    uint64_t session; /* of WELCOME and BYE */
} sent_t;

typedef struct rig {
    frontend_t *frontend;
    now_t now;
    uint32_t links; /* given so far */
    unsigned disconnects;
    uint64_t ping;         /* what the last one to a client says */
    sent_t sent[SENT_MAX]; /* since the last event */
    size_t sent_size;
} rig_t;

static void note_sent(rig_t *rig, bool is_to_client, uint32_t target, slice_t bytes)
{
    assert_true(rig->sent_size < SENT_MAX);
    sent_t *sent = &rig->sent[rig->sent_size++];
    *sent = (sent_t){is_to_client, target, frames_header(bytes), 0};
    if (is_to_client && sent->frame.kind == FRAME_PING)
        rig->ping = sent->frame.message;
    session_welcome_t welcome;
    if (sent->frame.kind == FRAME_WELCOME && session_welcome_read(frame_body(bytes), &welcome))
        sent->session = welcome.session;
    else if (sent->frame.kind == FRAME_BYE)
        session_bye_read(frame_body(bytes), &sent->session);
}

static void carry_out(rig_t *rig)
{
    frontend_effects_t effects = frontend_effects(rig->frontend);
    for (size_t i = 0; i < effects.size; i++) {
        const frontend_effect_t *effect = &effects.list[i];
        if (effect->kind == FRONTEND_CONNECT)
            rig->links = effect->target;
        rig->disconnects += effect->kind == FRONTEND_DISCONNECT;
        if (effect->kind == FRONTEND_SEND_CLIENT || effect->kind == FRONTEND_SEND_REPLICA)
            note_sent(rig, effect->kind == FRONTEND_SEND_CLIENT, effect->target,
                      slice_of(effects.arena + effect->offset, effect->size));
    }
}

static void from_client(rig_t *rig, uint32_t connection, buf_t frame)
{
    rig->sent_size = 0;
    frontend_forward_t way =
        frontend_client(rig->frontend, rig->now, connection, frame.data, frame.size);
    if (way.way == FRONTEND_TO_REPLICA)
        note_sent(rig, false, way.target, buf_slice(&frame));
    buf_free(&frame);
    carry_out(rig);
}

static void from_replica(rig_t *rig, uint32_t link, buf_t frame)
{
    rig->sent_size = 0;
    frontend_forward_t way =
        frontend_replica(rig->frontend, rig->now, link, frame.data, frame.size);
    if (way.way == FRONTEND_TO_CLIENT)
        note_sent(rig, true, way.target, buf_slice(&frame));
    buf_free(&frame);
    carry_out(rig);
}

static void tick(rig_t *rig)
{
    rig->sent_size = 0;
    frontend_tick(rig->frontend, rig->now);
    carry_out(rig);
}

/* The link of replica id is id + 1, its incarnation 100 + id. */
static uint64_t incarnation_of(uint16_t id)
{
    return 100U + id;
}

static void status(rig_t *rig, uint16_t id, uint8_t kind, replica_status_t value, uint64_t serial,
                   const vec_t *vector)
{
    const vec_t nothing = {0};
    const link_status_t body = {
        .id = id, .incarnation = incarnation_of(id), .status = (uint8_t)value, .serial = serial};
    buf_t frame =
        frames_plain((frame_t){.kind = kind, .slot = FRAME_SLOT_LINK, .route = 500U + id});
    link_status_put(&frame, &body, vector != NULL ? vector : &nothing);
    from_replica(rig, id + 1U, frame);
}

static rig_t *rig_new(uint16_t replicas)
{
    rig_t *rig = mem_zero(1, sizeof *rig);
    rig->now = (now_t){1000000, 5000};
    const frontend_config_t config = {
        .cluster = frames_cluster, .incarnation = 7, .secret = {{8, 9}}};
    rig->frontend = frontend_new(&config, rig->now);
    for (uint16_t id = 0; id < replicas; id++) {
        frontend_candidate(rig->frontend, rig->now, id, incarnation_of(id), slice_text("h"),
                           (uint16_t)(7711 + 10 * id));
        carry_out(rig);
        assert_int_equal(rig->links, id + 1U);
        status(rig, id, FRAME_WELCOME, STATUS_ACTIVE, 1, NULL);
    }
    return rig;
}

static void rig_free(rig_t *rig)
{
    frontend_destroy(&rig->frontend);
    free(rig);
}

/* The one message of this kind that left in the last event; NULL: none. */
static const sent_t *find(const rig_t *rig, uint8_t kind, bool is_to_client)
{
    const sent_t *found = NULL;
    for (size_t i = 0; i < rig->sent_size; i++)
        if (rig->sent[i].frame.kind == kind && rig->sent[i].is_to_client == is_to_client) {
            assert_null(found);
            found = &rig->sent[i];
        }
    return found;
}

static sent_t expect(const rig_t *rig, uint8_t kind, bool is_to_client)
{
    const sent_t *found = find(rig, kind, is_to_client);
    assert_non_null(found);
    return found != NULL ? *found : (sent_t){0};
}

/* HELLO of a session: the header as the replica gets it, with the link in target. */
static sent_t hello(rig_t *rig, uint32_t connection, uint64_t session)
{
    from_client(rig, connection, frames_hello((frame_t){0}, session, NULL, -1, 0));
    return expect(rig, FRAME_HELLO, false);
}

static sent_t welcome_as(rig_t *rig, const sent_t *hello, uint64_t session, outcome_t reason)
{
    frame_t header = hello->frame;
    header.reason = (uint16_t)reason;
    const session_welcome_t body = {.session = session};
    from_replica(rig, hello->target, frames_welcome(header, &body));
    return expect(rig, FRAME_WELCOME, true);
}

/* The number of the session's route. */
static uint32_t open_session(rig_t *rig, uint32_t connection, uint64_t session, sent_t *at)
{
    *at = hello(rig, connection, session);
    return welcome_as(rig, at, session, OUTCOME_OK).frame.route;
}

static void request(rig_t *rig, uint32_t connection, uint32_t route, uint64_t message, size_t bytes)
{
    buf_t frame = frames_plain(
        (frame_t){.kind = FRAME_REQUEST, .items = 1, .route = route, .message = message});
    mp_put_array(&frame, 1);
    memset(buf_reserve(&frame, bytes), 0xC0, bytes);
    frame.size += bytes;
    from_client(rig, connection, frame);
}

static void reply(rig_t *rig, const sent_t *at, uint32_t bytes)
{
    frame_t header = at->frame;
    header.window = bytes;
    const reply_t body = {.session = 1, .seq = 1};
    from_replica(rig, at->target, frames_reply(header, &body, NULL));
}

/* ---- choosing ---- */

static void test_fewest_sessions(void **state)
{
    (void)state;
    rig_t *rig = rig_new(3);
    unsigned sessions[4] = {0};
    for (uint64_t i = 1; i <= 30; i++)
        sessions[hello(rig, (uint32_t)i, i).target]++;
    for (int link = 1; link <= 3; link++)
        assert_int_equal(sessions[link], 10);
    rig_free(rig);
}

/* Sessions of one connection travel together, up to 1.25 times a fair share. */
static void test_together(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    for (uint64_t i = 1; i <= 40; i++)
        hello(rig, (uint32_t)(100 + i), i);
    unsigned sessions[3] = {0};
    for (uint64_t i = 0; i < 8; i++)
        sessions[hello(rig, CLIENT, 1000 + i).target]++;
    assert_true(sessions[1] == 8 || sessions[2] == 8);
    for (uint64_t i = 8; i < 100; i++)
        sessions[hello(rig, CLIENT, 1000 + i).target]++;
    for (size_t i = 0; i < 2; i++) {
        frontend_replica_info_t info;
        assert_true(frontend_replica_info(rig->frontend, i, &info));
        assert_true(info.sessions <= 140 / 2 * 5 / 4 + 1);
    }
    rig_free(rig);
}

static void test_active_before_overloaded(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    status(rig, 0, FRAME_STATUS, STATUS_OVERLOADED, 2, NULL);
    const sent_t confirmed = expect(rig, FRAME_STATUS, false);
    assert_int_equal(confirmed.frame.flags, FRAME_ANSWER);
    assert_int_equal(confirmed.frame.route, 500); /* names the link */
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(hello(rig, (uint32_t)i, i).target, 2);
    status(rig, 1, FRAME_STATUS, STATUS_OFFLINE, 2, NULL);
    assert_int_equal(hello(rig, 6, 6).target, 1);
    status(rig, 0, FRAME_STATUS, STATUS_OFFLINE, 3, NULL);
    from_client(rig, 7, frames_hello((frame_t){0}, 7, NULL, -1, 0));
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_NOT_REACHED);
    rig_free(rig);
}

static void test_token_pin_avoid(void **state)
{
    (void)state;
    rig_t *rig = rig_new(3);
    vec_t seen = {0};
    vec_raise(&seen, 42, 7);
    status(rig, 2, FRAME_STATUS, STATUS_ACTIVE, 1, &seen);
    assert_null(find(rig, FRAME_STATUS, false)); /* nothing changed, nothing to confirm */
    for (uint64_t i = 1; i <= 4; i++) {
        from_client(rig, (uint32_t)i, frames_hello((frame_t){0}, i, &seen, -1, 0));
        assert_int_equal(expect(rig, FRAME_HELLO, false).target, 3);
        from_client(rig, (uint32_t)i, frames_hello((frame_t){0}, 10 + i, &seen, 1, 0));
        assert_int_equal(expect(rig, FRAME_HELLO, false).target, 2);
        from_client(rig, (uint32_t)i, frames_hello((frame_t){0}, 20 + i, &seen, -1, 102));
        assert_int_not_equal(expect(rig, FRAME_HELLO, false).target, 3);
    }
    from_client(rig, 9, frames_hello((frame_t){0}, 99, &seen, 5, 0));
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_NOT_REACHED);
    vec_free(&seen);
    rig_free(rig);
}

/* ---- routes ---- */

static void test_there_and_back(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    request(rig, CLIENT, route, 2, ITEM_BYTES);
    const sent_t there = expect(rig, FRAME_REQUEST, false);
    assert_int_equal(there.frame.slot, at.frame.slot);
    assert_int_equal(there.frame.route, 500);
    assert_true(frontend_info(rig->frontend, rig->now).in_flight == ITEM_BYTES);
    reply(rig, &at, ITEM_BYTES);
    const sent_t back = expect(rig, FRAME_REPLY, true);
    assert_int_equal(back.target, CLIENT);
    assert_int_equal(back.frame.route, route);
    assert_true(frontend_info(rig->frontend, rig->now).in_flight == 0);
    rig_free(rig);
}

/* Over the window the route gets another name, so that what follows is turned back as well. */
static void test_renumbered(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    request(rig, CLIENT, route, 2, ITEM_BYTES);
    request(rig, CLIENT, route, 3, FRONTEND_WINDOW);
    const sent_t busy = expect(rig, FRAME_TURNED_BACK, true);
    assert_int_equal(busy.frame.reason, OUTCOME_BUSY);
    assert_int_equal(busy.frame.slot, route);
    assert_int_equal(busy.frame.message, 3);
    assert_int_not_equal(busy.frame.route, route);
    request(rig, CLIENT, route, 4, ITEM_BYTES);
    assert_int_equal(expect(rig, FRAME_TURNED_BACK, true).frame.message, 4);
    assert_null(find(rig, FRAME_REQUEST, false));
    reply(rig, &at, ITEM_BYTES);
    request(rig, CLIENT, busy.frame.route, 5, FRONTEND_WINDOW + 1); /* alone it passes */
    assert_non_null(find(rig, FRAME_REQUEST, false));
    status(rig, 0, FRAME_STATUS, STATUS_OFFLINE, 2, NULL);
    request(rig, CLIENT, busy.frame.route, 6, ITEM_BYTES);
    assert_int_equal(expect(rig, FRAME_TURNED_BACK, true).frame.reason, OUTCOME_MOVED);
    rig_free(rig);
}

static void test_strange_route(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    open_session(rig, OTHER, 2, &at);
    request(rig, OTHER, route, 2, ITEM_BYTES);
    assert_null(find(rig, FRAME_REQUEST, false));
    const sent_t back = expect(rig, FRAME_TURNED_BACK, true);
    assert_int_equal(back.target, OTHER);
    assert_int_equal(back.frame.route, 0);
    request(rig, 99, route, 2, ITEM_BYTES); /* never said HELLO */
    assert_int_equal(expect(rig, FRAME_BYE, true).frame.reason, OUTCOME_MOVED);
    rig_free(rig);
}

static void test_replica_lost(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    hello(rig, CLIENT, 2); /* not answered yet */
    request(rig, CLIENT, route, 2, ITEM_BYTES);
    rig->sent_size = 0;
    frontend_replica_lost(rig->frontend, rig->now, 1);
    carry_out(rig);
    assert_int_equal(rig->disconnects, 1);
    assert_int_equal(expect(rig, FRAME_ROUTE_LOST, true).frame.route, route);
    const sent_t failed = expect(rig, FRAME_WELCOME, true);
    assert_int_equal(failed.session, 2);
    assert_int_equal(failed.frame.reason, OUTCOME_NOT_REACHED);
    frontend_info_t info = frontend_info(rig->frontend, rig->now);
    assert_int_equal(info.sessions, 0);
    assert_int_equal(info.routes, 0);
    assert_true(info.in_flight == 0);
    /* What was under way to us is from before. */
    reply(rig, &at, ITEM_BYTES);
    assert_int_equal(rig->sent_size, 0);
    rig_free(rig);
}

static void test_silent_replica(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    open_session(rig, CLIENT, 1, &at);
    for (int i = 0; i < 20 && rig->disconnects == 0; i++) {
        int64_t next_ms = frontend_deadline(rig->frontend);
        assert_true(next_ms > rig->now.boot_ms);
        rig->now.boot_ms = next_ms;
        tick(rig);
    }
    assert_int_equal(rig->disconnects, 1);
    assert_int_equal(rig->now.boot_ms, 5000 + FRONTEND_SILENCE_MS);
    assert_non_null(find(rig, FRAME_ROUTE_LOST, true));
    rig_free(rig);
}

/* ---- sessions ---- */

/* At the same replica the second HELLO begins anew there: a BYE behind it would end the session. */
static void test_hello_twice(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    hello(rig, CLIENT, 1);
    hello(rig, CLIENT, 1);
    assert_null(find(rig, FRAME_BYE, false));
    hello(rig, OTHER, 1); /* by another connection as well */
    assert_null(find(rig, FRAME_BYE, false));
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 1);
    rig_free(rig);
}

/* A session that moves is ended where it was, also when there is nowhere to go. */
static void test_session_leaves(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    sent_t at;
    open_session(rig, CLIENT, 1, &at);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, -1, 99U + at.target));
    assert_int_not_equal(expect(rig, FRAME_HELLO, false).target, at.target);
    sent_t bye = expect(rig, FRAME_BYE, false);
    assert_int_equal(bye.target, at.target);
    assert_int_equal(bye.session, 1);
    uint32_t present = 3 - at.target;
    status(rig, 0, FRAME_STATUS, STATUS_OFFLINE, 2, NULL);
    status(rig, 1, FRAME_STATUS, STATUS_OFFLINE, 2, NULL);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, -1, 0));
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_NOT_REACHED);
    bye = expect(rig, FRAME_BYE, false);
    assert_int_equal(bye.target, present);
    assert_int_equal(bye.session, 1);
    rig_free(rig);
}

/* A reply of so many bytes that answers a request of ITEM_BYTES. */
static void great_reply(rig_t *rig, const sent_t *at, size_t bytes)
{
    frame_t header = at->frame;
    header.window = ITEM_BYTES;
    const reply_t body = {.session = 1, .seq = 1};
    buf_t frame = frames_reply(header, &body, NULL);
    memset(buf_reserve(&frame, bytes), 0, bytes);
    frame.size += bytes;
    from_replica(rig, at->target, frame);
}

static void pong_saying(rig_t *rig, uint32_t connection, uint64_t message)
{
    from_client(
        rig, connection,
        frames_plain((frame_t){.kind = FRAME_PING, .flags = FRAME_ANSWER, .message = message}));
}

/* The answer to the last PING that went to a client. */
static void pong(rig_t *rig, uint32_t connection)
{
    pong_saying(rig, connection, rig->ping);
}

/* A HELLO that the broker itself answers: BUSY. */
static void refused_hello(rig_t *rig, uint32_t connection, uint64_t session)
{
    from_client(rig, connection, frames_hello((frame_t){0}, session, NULL, -1, 0));
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_BUSY);
    assert_null(find(rig, FRAME_HELLO, false));
}

/* Who does not read is turned back, and let go in the end; who reads says so, and goes on. */
static void test_slow_client(void **state)
{
    (void)state;
    enum { GREAT = 6 * 1024 * 1024 };
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    const frontend_counts_t *counts = frontend_info(rig->frontend, rig->now).counts;
    for (uint64_t i = 1; i <= 3; i++) {
        request(rig, CLIENT, route, i, ITEM_BYTES);
        great_reply(rig, &at, GREAT);
        assert_int_equal(find(rig, FRAME_PING, true) != NULL, i == 1); /* one at a time */
    }
    request(rig, CLIENT, route, 4, ITEM_BYTES);
    const sent_t busy = expect(rig, FRAME_TURNED_BACK, true);
    assert_int_equal(busy.frame.reason, OUTCOME_BUSY);
    assert_int_equal(counts->busy_client, 1);
    pong(rig, CLIENT);
    assert_true(frontend_info(rig->frontend, rig->now).unread < 3 * GREAT);
    request(rig, CLIENT, busy.frame.route, 5, ITEM_BYTES);
    assert_non_null(find(rig, FRAME_REQUEST, false));
    for (int i = 0; counts->slow_clients == 0 && i < FRONTEND_UNREAD_MAX / GREAT + 2; i++)
        great_reply(rig, &at, GREAT);
    assert_int_equal(counts->slow_clients, 1);
    expect(rig, FRAME_BYE, true);
    assert_int_equal(frontend_info(rig->frontend, rig->now).routes, 0);
    assert_true(frontend_info(rig->frontend, rig->now).unread > FRONTEND_UNREAD_MAX);
    refused_hello(rig, CLIENT, 2);
    assert_int_equal(counts->busy_client, 2);
    pong(rig, CLIENT);
    pong(rig, CLIENT);
    assert_int_equal(frontend_info(rig->frontend, rig->now).unread, 0);
    open_session(rig, CLIENT, 2, &at);
    rig_free(rig);
}

/*
 * What came for a client whose queue was full is lost, and what is in the queue counts: it begins
 * anew with another connection.
 */
static void test_queue_of_a_client_is_full(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    great_reply(rig, &at, FRONTEND_MARK);
    const uint64_t unread = frontend_info(rig->frontend, rig->now).unread;
    rig->sent_size = 0;
    frontend_client_full(rig->frontend, rig->now, CLIENT);
    carry_out(rig);
    expect(rig, FRAME_BYE, false);
    frontend_info_t info = frontend_info(rig->frontend, rig->now);
    assert_int_equal(info.routes, 0);
    assert_int_equal(info.unread, unread);
    assert_int_equal(info.counts->client_losses, 1);
    const int64_t deadline_ms = frontend_deadline(rig->frontend);
    frontend_client_full(rig->frontend, rig->now, CLIENT); /* still: it is not asked faster */
    assert_int_equal(frontend_deadline(rig->frontend), deadline_ms);
    assert_int_equal(info.counts->client_losses, 1);
    request(rig, CLIENT, route, 1, ITEM_BYTES);
    assert_int_equal(expect(rig, FRAME_BYE, true).frame.reason, OUTCOME_MOVED);
    from_client(rig, CLIENT, frames_plain((frame_t){.kind = FRAME_PING}));
    assert_int_equal(expect(rig, FRAME_BYE, true).frame.reason, OUTCOME_MOVED);
    open_session(rig, CLIENT, 1, &at);
    expect(rig, FRAME_PING, true); /* the one before may be what the queue did not take */
    great_reply(rig, &at, FRONTEND_UNREAD_WINDOW);
    for (int i = 0; i < 2; i++) {
        frontend_client_full(rig->frontend, rig->now, CLIENT);
        refused_hello(rig, CLIENT, 1);
        expect(rig, FRAME_PING, true);
    }
    pong(rig, CLIENT);
    assert_int_equal(frontend_info(rig->frontend, rig->now).unread, 0);
    open_session(rig, CLIENT, 1, &at);
    rig_free(rig);
}

/* Who answers before it was asked says nothing: only who has read the PING knows what it says. */
static void test_forged_answers(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    open_session(rig, CLIENT, 1, &at);
    great_reply(rig, &at, FRONTEND_MARK);
    const uint64_t first = rig->ping;
    great_reply(rig, &at, FRONTEND_MARK);
    const uint64_t unread = frontend_info(rig->frontend, rig->now).unread;
    for (uint64_t guess = 0; guess < 100; guess++)
        pong_saying(rig, CLIENT, guess);
    assert_int_equal(frontend_info(rig->frontend, rig->now).unread, unread);
    pong(rig, CLIENT);
    assert_true(frontend_info(rig->frontend, rig->now).unread < unread);
    assert_int_not_equal(rig->ping, first); /* another one is under way */
    for (uint64_t guess = 0; guess < 100; guess++)
        pong_saying(rig, CLIENT, first + guess);
    assert_int_not_equal(frontend_info(rig->frontend, rig->now).unread, 0);
    pong(rig, CLIENT);
    assert_int_equal(frontend_info(rig->frontend, rig->now).unread, 0);
    rig_free(rig);
}

/* All together are bounded as well: then it is the turn of those who have some part in it. */
static void test_unread_of_all(void **state)
{
    (void)state;
    enum { READER = CLIENT + 1000 };
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = 0;
    uint32_t reader = open_session(rig, READER, READER, &at);
    uint32_t clients = FRONTEND_UNREAD_TOTAL / FRONTEND_UNREAD_WINDOW + 1;
    for (uint32_t i = 0; i < clients; i++) {
        route = open_session(rig, CLIENT + i, CLIENT + i, &at);
        great_reply(rig, &at, FRONTEND_UNREAD_WINDOW - ITEM_BYTES * 10);
        request(rig, CLIENT + i, route, 1, ITEM_BYTES);
        bool is_over = frontend_info(rig->frontend, rig->now).unread > FRONTEND_UNREAD_TOTAL;
        assert_int_equal(is_over, find(rig, FRAME_REQUEST, false) == NULL);
    }
    assert_int_equal(expect(rig, FRAME_TURNED_BACK, true).frame.reason, OUTCOME_BUSY);
    refused_hello(rig, CLIENT, 1);
    request(rig, READER, reader, 1, ITEM_BYTES);
    assert_non_null(find(rig, FRAME_REQUEST, false));
    frontend_client_lost(rig->frontend, rig->now, CLIENT);
    open_session(rig, CLIENT + 1, 1, &at);
    rig_free(rig);
}

/* It is asked, within so long, whether it is still there. */
static void expect_probe(rig_t *rig, uint32_t connection, int64_t wait_ms)
{
    int64_t until_ms = rig->now.boot_ms + wait_ms;
    do {
        rig->now.boot_ms = frontend_deadline(rig->frontend);
        assert_true(rig->now.boot_ms <= until_ms);
        tick(rig);
    } while (find(rig, FRAME_PING, true) == NULL);
    assert_int_equal(expect(rig, FRAME_PING, true).target, connection);
}

/* What is in the queue of a connection does not leave it by a BYE, and counts until it is gone. */
static void test_unread_of_who_leaves(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    for (uint64_t i = 1; i <= 2; i++) {
        open_session(rig, CLIENT, i, &at);
        great_reply(rig, &at, FRONTEND_UNREAD_WINDOW / 2);
        from_client(rig, CLIENT, frames_plain((frame_t){.kind = FRAME_BYE}));
        expect(rig, FRAME_BYE, false);
        great_reply(rig, &at, 1); /* too late */
        assert_int_equal(rig->sent_size, 0);
    }
    refused_hello(rig, CLIENT, 3);
    from_client(rig, CLIENT, frames_plain((frame_t){.kind = FRAME_BYE}));
    rig->now.boot_ms += FRONTEND_LEAVE_MS / 2;
    open_session(rig, OTHER, 4, &at);
    from_client(rig, OTHER, frames_plain((frame_t){.kind = FRAME_BYE}));
    expect_probe(rig, CLIENT, FRONTEND_LEAVE_MS);
    expect_probe(rig, OTHER, 2 * FRONTEND_LEAVE_MS);
    frontend_client_lost(rig->frontend, rig->now, CLIENT);
    frontend_client_lost(rig->frontend, rig->now, OTHER);
    const frontend_info_t info = frontend_info(rig->frontend, rig->now);
    assert_int_equal(info.clients, 0);
    assert_int_equal(info.unread, 0);
    assert_int_equal(info.counts->client_losses, 0);
    rig_free(rig);
}

/* More than the window came behind the PING that is answered: the next one asks about that. */
static void test_unread_behind_a_ping(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    for (int i = 0; i < 3; i++)
        great_reply(rig, &at, FRONTEND_UNREAD_WINDOW);
    request(rig, CLIENT, route, 1, ITEM_BYTES);
    route = expect(rig, FRAME_TURNED_BACK, true).frame.route;
    pong(rig, CLIENT);
    expect(rig, FRAME_PING, true);
    pong(rig, CLIENT);
    assert_null(find(rig, FRAME_PING, true));
    request(rig, CLIENT, route, 2, ITEM_BYTES);
    assert_non_null(find(rig, FRAME_REQUEST, false));
    rig_free(rig);
}

static void test_connections(void **state)
{
    (void)state;
    const frontend_config_t config = {
        .cluster = frames_cluster, .incarnation = 7, .clients_max = 2};
    rig_t *rig = mem_zero(1, sizeof *rig);
    rig->frontend = frontend_new(&config, rig->now);
    for (uint32_t i = 1; i <= 3; i++)
        from_client(rig, i, frames_hello((frame_t){0}, i, NULL, -1, 0));
    assert_int_equal(expect(rig, FRAME_BYE, true).frame.reason, OUTCOME_BUSY);
    frontend_info_t info = frontend_info(rig->frontend, rig->now);
    assert_int_equal(info.clients, 2);
    assert_int_equal(info.counts->busy_connections, 1);
    rig_free(rig);
}

/* Two replicas with the same growth, of which 0 spoke a little earlier; what 1 has is in vector. */
static rig_t *rig_with_old_news(vec_t *vector)
{
    rig_t *rig = rig_new(2);
    for (uint64_t count = 10; count <= 110; count += 100) {
        vec_raise(vector, 5, count);
        for (uint16_t id = 0; id < 2; id++)
            status(rig, id, FRAME_STATUS, STATUS_ACTIVE, 1, vector);
    }
    vec_raise(vector, 5, 160);
    status(rig, 1, FRAME_STATUS, STATUS_ACTIVE, 1, vector);
    return rig;
}

static void expect_spread(rig_t *rig, const vec_t *token)
{
    unsigned sessions[3] = {0};
    for (uint64_t i = 1; i <= 20; i++) {
        from_client(rig, (uint32_t)i, frames_hello((frame_t){0}, i, token, -1, 0));
        sessions[expect(rig, FRAME_HELLO, false).target]++;
    }
    assert_int_equal(sessions[1], 10);
}

/* What a replica may have got since it spoke last is no reason to choose another one. */
static void test_lag_of_old_news(void **state)
{
    (void)state;
    vec_t vector = {0};
    rig_t *rig = rig_with_old_news(&vector);
    expect_spread(rig, &vector);
    vec_raise(&vector, 5, 10000); /* that much it cannot have got meanwhile */
    status(rig, 1, FRAME_STATUS, STATUS_ACTIVE, 1, &vector);
    from_client(rig, 99, frames_hello((frame_t){0}, 99, &vector, -1, 0));
    assert_int_equal(expect(rig, FRAME_HELLO, false).target, 2);
    vec_free(&vector);
    rig_free(rig);
}

/* That a node has left is not something that a replica lacks updates of. */
static void test_lag_is_of_no_node(void **state)
{
    (void)state;
    vec_t token = {0};
    rig_t *rig = rig_with_old_news(&token);
    vec_raise(&token, vec_node(3), 1000000);
    expect_spread(rig, &token);
    vec_free(&token);
    rig_free(rig);
}

/* ---- handing over ---- */

static unsigned count_kind(const rig_t *rig, uint8_t kind)
{
    unsigned count = 0;
    for (size_t i = 0; i < rig->sent_size; i++)
        count += rig->sent[i].frame.kind == kind;
    return count;
}

/* What is under way is answered, what crosses the news is turned back, idle sessions go at once. */
static void test_draining(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t busy;
    sent_t idle;
    uint32_t route = open_session(rig, CLIENT, 1, &busy);
    uint32_t idle_route = open_session(rig, OTHER, 2, &idle);
    request(rig, CLIENT, route, 7, ITEM_BYTES);
    status(rig, 0, FRAME_STATUS, STATUS_DRAINING, 2, NULL);
    assert_int_equal(count_kind(rig, FRAME_TURNED_BACK), 2);
    for (size_t i = 0; i < rig->sent_size; i++) {
        const sent_t *sent = &rig->sent[i];
        if (sent->frame.kind != FRAME_TURNED_BACK)
            continue;
        assert_int_equal(sent->frame.reason, OUTCOME_MOVED);
        assert_int_equal(sent->frame.slot, sent->target == CLIENT ? route : idle_route);
        assert_true(sent->frame.message == UINT64_MAX); /* request 7 stands */
    }
    sent_t bye = expect(rig, FRAME_BYE, false);
    assert_int_equal(bye.frame.slot, idle.frame.slot);
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 1);
    request(rig, CLIENT, route, 8, ITEM_BYTES);
    const sent_t back = expect(rig, FRAME_TURNED_BACK, true);
    assert_int_equal(back.frame.message, 8);
    assert_int_equal(back.frame.slot, route);
    assert_null(find(rig, FRAME_BYE, false));
    reply(rig, &busy, ITEM_BYTES);
    assert_non_null(find(rig, FRAME_REPLY, true));
    bye = expect(rig, FRAME_BYE, false);
    assert_int_equal(bye.frame.slot, busy.frame.slot);
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 0);
    assert_int_equal(frontend_info(rig->frontend, rig->now).routes, 0);
    assert_int_equal(frontend_info(rig->frontend, rig->now).counts->handed_over, 2);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, -1, 0));
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_NOT_REACHED);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, 0, 0)); /* pinned */
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_NOT_REACHED);
    status(rig, 0, FRAME_STATUS, STATUS_ACTIVE, 3, NULL);
    request(rig, CLIENT, open_session(rig, CLIENT, 1, &busy), 9, ITEM_BYTES);
    assert_non_null(find(rig, FRAME_REQUEST, false));
    rig_free(rig);
}

/* A replica that goes before it has answered all: the client knows that route by the old number. */
static void test_lost_while_draining(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    request(rig, CLIENT, route, 7, ITEM_BYTES);
    status(rig, 0, FRAME_STATUS, STATUS_DRAINING, 2, NULL);
    rig->sent_size = 0;
    frontend_replica_lost(rig->frontend, rig->now, 1);
    carry_out(rig);
    assert_int_equal(expect(rig, FRAME_ROUTE_LOST, true).frame.route, route);
    rig_free(rig);
}

/* As it knows it by the new one when something has been turned back since. */
static void test_lost_while_turning_back(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    uint32_t route = open_session(rig, CLIENT, 1, &at);
    request(rig, CLIENT, route, 7, ITEM_BYTES);
    status(rig, 0, FRAME_STATUS, STATUS_DRAINING, 2, NULL);
    request(rig, CLIENT, route, 8, ITEM_BYTES);
    const sent_t back = expect(rig, FRAME_TURNED_BACK, true);
    request(rig, CLIENT, route, 9, ITEM_BYTES);
    assert_int_equal(expect(rig, FRAME_TURNED_BACK, true).frame.message, 9);
    rig->sent_size = 0;
    frontend_replica_lost(rig->frontend, rig->now, 1);
    carry_out(rig);
    assert_int_equal(expect(rig, FRAME_ROUTE_LOST, true).frame.route, back.frame.route);
    rig_free(rig);
}

/* A HELLO that crosses the news is refused by the replica; only then is the route let go. */
static void test_draining_before_welcome(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    const sent_t at = hello(rig, CLIENT, 1);
    status(rig, 0, FRAME_STATUS, STATUS_DRAINING, 2, NULL);
    assert_null(find(rig, FRAME_BYE, false));
    const sent_t refused = welcome_as(rig, &at, 1, OUTCOME_NOT_REACHED);
    assert_int_equal(refused.frame.reason, OUTCOME_NOT_REACHED);
    expect(rig, FRAME_BYE, false);
    assert_int_equal(frontend_info(rig->frontend, rig->now).routes, 0);
    rig_free(rig);
}

/* An answer of the replica that the session has left speaks for nobody. */
static void test_late_welcome(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    const sent_t first = hello(rig, CLIENT, 1);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, -1, 99U + first.target));
    const sent_t second = expect(rig, FRAME_HELLO, false);
    const session_welcome_t body = {.session = 1};
    frame_t header = first.frame;
    header.reason = OUTCOME_BUSY;
    from_replica(rig, first.target, frames_welcome(header, &body));
    assert_int_equal(rig->sent_size, 0);
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 1);
    assert_int_equal(welcome_as(rig, &second, 1, OUTCOME_OK).frame.reason, OUTCOME_OK);
    rig_free(rig);
}

static void test_client_leaves(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    sent_t at;
    open_session(rig, CLIENT, 1, &at);
    from_client(rig, OTHER, frames_bye((frame_t){0}, 1)); /* not its own */
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 1);
    from_client(rig, CLIENT, frames_bye((frame_t){0}, 1));
    assert_int_equal(expect(rig, FRAME_BYE, false).session, 1);
    assert_int_equal(frontend_info(rig->frontend, rig->now).sessions, 0);
    rig->sent_size = 0;
    frontend_client_lost(rig->frontend, rig->now, CLIENT);
    carry_out(rig);
    assert_int_equal(expect(rig, FRAME_BYE, false).session, 0); /* the whole connection */
    assert_int_equal(frontend_info(rig->frontend, rig->now).routes, 0);
    assert_int_equal(frontend_info(rig->frontend, rig->now).counts->client_losses, 1);
    rig_free(rig);
}

/* A replica that could not read a client's message ends it: the other replicas must know too. */
static void test_client_is_ended(void **state)
{
    (void)state;
    rig_t *rig = rig_new(2);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 1, NULL, 0, 0));
    const sent_t at = expect(rig, FRAME_HELLO, false);
    from_client(rig, CLIENT, frames_hello((frame_t){0}, 2, NULL, 1, 0));
    frame_t bye = at.frame;
    bye.kind = FRAME_BYE;
    bye.reason = OUTCOME_USAGE;
    from_replica(rig, at.target, frames_plain(bye));
    assert_int_equal(expect(rig, FRAME_BYE, true).target, CLIENT);
    const sent_t other = expect(rig, FRAME_BYE, false);
    assert_int_equal(other.target, 2);
    assert_int_equal(other.frame.slot, at.frame.slot);
    assert_int_equal(frontend_info(rig->frontend, rig->now).clients, 0);
    rig_free(rig);
}

static void test_probe(void **state)
{
    (void)state;
    rig_t *rig = rig_new(0);
    from_client(rig, CLIENT, frames_plain((frame_t){.kind = FRAME_PING}));
    assert_int_equal(expect(rig, FRAME_PING, true).frame.flags, FRAME_ANSWER);
    rig->now.boot_ms = frontend_deadline(rig->frontend);
    tick(rig);
    assert_int_equal(expect(rig, FRAME_PING, true).frame.flags, 0);
    rig_free(rig);
}

/* A node that was never there, as a forged beacon or a refused start names it, is forgotten. */
static void test_lost_replica_is_forgotten(void **state)
{
    (void)state;
    rig_t *rig = rig_new(0);
    frontend_candidate(rig->frontend, rig->now, 3, 33, slice_text("h"), 7711);
    carry_out(rig);
    frontend_replica_info_t info;
    assert_true(frontend_replica_info(rig->frontend, 0, &info));
    int64_t until_ms = rig->now.boot_ms + 2 * FRONTEND_FORGET_MS;
    while (rig->now.boot_ms < until_ms && frontend_replica_info(rig->frontend, 0, &info)) {
        rig->now.boot_ms = frontend_deadline(rig->frontend);
        tick(rig);
    }
    assert_false(frontend_replica_info(rig->frontend, 0, &info));
    rig_free(rig);
}

/* One connection too many is told so; those that are there go on, and one that goes makes room. */
static void test_full(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    sent_t at;
    for (uint32_t i = 0; i < FRONTEND_CLIENTS_MAX; i++)
        hello(rig, CLIENT + i, i + 1);
    from_client(rig, CLIENT + FRONTEND_CLIENTS_MAX,
                frames_hello((frame_t){0}, UINT32_MAX, NULL, -1, 0));
    const sent_t bye = expect(rig, FRAME_BYE, true);
    assert_int_equal(bye.target, CLIENT + FRONTEND_CLIENTS_MAX);
    assert_int_equal(bye.frame.reason, OUTCOME_BUSY);
    assert_null(find(rig, FRAME_HELLO, false));
    at = hello(rig, CLIENT, 1);
    assert_int_not_equal(welcome_as(rig, &at, 1, OUTCOME_OK).frame.route, 0);
    frontend_client_lost(rig->frontend, rig->now, CLIENT + 1);
    at = hello(rig, CLIENT + FRONTEND_CLIENTS_MAX, UINT32_MAX);
    assert_int_not_equal(welcome_as(rig, &at, UINT32_MAX, OUTCOME_OK).frame.route, 0);
    rig_free(rig);
}

static void test_nonsense(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    buf_t newer = frames_plain((frame_t){.kind = FRAME_PING});
    newer.data[1] = 9;
    from_client(rig, CLIENT, newer);
    assert_int_equal(expect(rig, FRAME_BYE, true).frame.reason, OUTCOME_DENIED);
    buf_t cut = frames_hello((frame_t){0}, 1, NULL, -1, 0);
    cut.size--;
    from_client(rig, CLIENT, cut);
    assert_int_equal(expect(rig, FRAME_WELCOME, true).frame.reason, OUTCOME_USAGE);
    from_replica(rig, 1, frames_plain((frame_t){.kind = FRAME_REPLY, .slot = 4000}));
    assert_int_equal(rig->sent_size, 0);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fewest_sessions),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_active_before_overloaded),
        cmocka_unit_test(test_token_pin_avoid),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_renumbered),
        cmocka_unit_test(test_strange_route),
        cmocka_unit_test(test_replica_lost),
        cmocka_unit_test(test_silent_replica),
        cmocka_unit_test(test_hello_twice),
        cmocka_unit_test(test_session_leaves),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_unread_behind_a_ping),
        cmocka_unit_test(test_unread_of_who_leaves),
        cmocka_unit_test(test_queue_of_a_client_is_full),
        cmocka_unit_test(test_forged_answers),
        cmocka_unit_test(test_unread_of_all),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_lag_of_old_news),
        cmocka_unit_test(test_lag_is_of_no_node),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_draining_before_welcome),
        cmocka_unit_test(test_lost_while_draining),
        cmocka_unit_test(test_lost_while_turning_back),
        cmocka_unit_test(test_late_welcome),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_client_is_ended),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_lost_replica_is_forgotten),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
