#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "client/core/client.h"
#include "tests/unit/frames.h"

enum { SEEN_MAX = 32, ROUTE = 9, INCARNATION = 70, TIMEOUT_MS = 5000 };

/* A request as the broker sees it. */
typedef struct seen_request {
    uint64_t message;
    uint32_t route;
    request_t item; /* its slices are void */
} seen_request_t;

typedef struct done {
    uint64_t ticket;
    outcome_t outcome;
} done_t;

typedef struct rig {
    client_t *client;
    client_session_t *session;
    now_t now;
    uint32_t connection;
    unsigned connects;
    uint16_t port;
    unsigned pings;
    uint64_t pong; /* what the last answer to one says */
    uint64_t bye;  /* session of the last one */
    unsigned hellos;
    uint64_t id; /* of the last HELLO */
    uint64_t avoid;
    seen_request_t requests[SEEN_MAX]; /* since the last look */
    size_t requests_size;
    done_t done[SEEN_MAX];
    size_t done_size;
} rig_t;

static void see_requests(rig_t *rig, const frame_t *frame, slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    assert_int_equal(items, frame->items);
    for (uint32_t i = 0; i < items; i++) {
        assert_true(rig->requests_size < SEEN_MAX);
        seen_request_t *seen = &rig->requests[rig->requests_size++];
        seen->message = frame->message;
        seen->route = frame->route;
        assert_true(request_read(&in, &seen->item));
    }
}

static void see_frame(rig_t *rig, slice_t bytes)
{
    frame_t frame = frames_header(bytes);
    slice_t body = frame_body(bytes);
    session_hello_t hello;
    if (frame.kind == FRAME_HELLO) {
        assert_true(session_hello_read(body, &hello));
        rig->hellos++;
        rig->id = hello.session;
        rig->avoid = hello.avoid;
    } else if (frame.kind == FRAME_REQUEST) {
        see_requests(rig, &frame, body);
    } else if (frame.kind == FRAME_PING) {
        rig->pings += (frame.flags & FRAME_ANSWER) == 0;
        if ((frame.flags & FRAME_ANSWER) != 0)
            rig->pong = frame.message;
    } else if (frame.kind == FRAME_BYE) {
        session_bye_read(body, &rig->bye);
    }
}

/* A turn, looked at: requests and ends are those of this turn alone. */
static void turn(rig_t *rig)
{
    rig->requests_size = rig->done_size = 0;
    client_effects_t effects = client_turn(rig->client, rig->now);
    for (size_t i = 0; i < effects.size; i++) {
        const client_effect_t *effect = &effects.list[i];
        if (effect->kind == CLIENT_CONNECT) {
            rig->connects++;
            rig->connection = effect->connection;
            rig->port = effect->port;
        } else if (effect->kind == CLIENT_SEND) {
            see_frame(rig, slice_of(effects.arena + effect->offset, effect->size));
        } else if (effect->kind == CLIENT_DONE) {
            assert_true(rig->done_size < SEEN_MAX);
            rig->done[rig->done_size++] = (done_t){effect->ticket, effect->outcome};
        }
    }
}

static void pass(rig_t *rig, int64_t ms)
{
    rig->now.boot_ms += ms;
    turn(rig);
}

static void give(rig_t *rig, buf_t frame)
{
    client_frame(rig->client, rig->now, rig->connection, buf_slice(&frame));
    buf_free(&frame);
}

static void welcome(rig_t *rig, uint32_t route)
{
    const session_welcome_t answer = {
        .session = rig->id, .incarnation = INCARNATION, .clock = hlc_at(1000000)};
    give(rig, frames_welcome((frame_t){.route = route}, &answer));
    turn(rig);
}

static rig_t *rig_new(uint32_t window)
{
    rig_t *rig = mem_zero(1, sizeof *rig);
    const client_config_t config = {frames_cluster, 1, window};
    rig->now = (now_t){1000000, 5000};
    rig->client = client_new(&config);
    client_broker(rig->client, rig->now, slice_text("h"), 7700);
    client_broker(rig->client, rig->now, slice_text("h"), 7800);
    rig->session = client_session_open(rig->client, NULL, -1);
    return rig;
}

static void rig_free(rig_t *rig)
{
    client_destroy(&rig->client);
    free(rig);
}

static void submit(rig_t *rig, uint64_t ticket, uint8_t command, int64_t timeout_ms)
{
    uint32_t count;
    buf_t words = frames_words(&count, "k", command == COMMAND_SET ? "v" : NULL, NULL);
    client_submit(rig->client, rig->now, rig->session, ticket, command, buf_slice(&words), count,
                  timeout_ms == INT64_MAX ? INT64_MAX : rig->now.boot_ms + timeout_ms);
    buf_free(&words);
}

/* A session that is open and has these requests under way. */
static rig_t *serving(const uint8_t commands[], size_t count)
{
    rig_t *rig = rig_new(16);
    for (size_t i = 0; i < count; i++)
        submit(rig, i + 1, commands[i], TIMEOUT_MS);
    turn(rig); /* connects, says HELLO */
    assert_int_equal(rig->hellos, 1);
    welcome(rig, ROUTE);
    assert_int_equal(rig->requests_size, count);
    return rig;
}

static buf_t reply_to(const seen_request_t *seen, outcome_t outcome, hlc_t seen_any)
{
    const reply_t reply = {.session = seen->item.session,
                           .epoch = seen->item.epoch,
                           .seq = seen->item.seq,
                           .outcome = outcome,
                           .seen_base = seen_any,
                           .seen_any = seen_any};
    return frames_reply((frame_t){.route = ROUTE}, &reply, NULL);
}

static void answer(rig_t *rig, const seen_request_t *seen, outcome_t outcome)
{
    give(rig, reply_to(seen, outcome, 0));
}

static void assert_done(const rig_t *rig, size_t i, uint64_t ticket, outcome_t outcome)
{
    assert_true(i < rig->done_size);
    assert_int_equal(rig->done[i].ticket, ticket);
    assert_int_equal(rig->done[i].outcome, outcome);
}

static void test_pipelining(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET, COMMAND_GET, COMMAND_SET};
    rig_t *rig = serving(commands, 3);
    const request_t first = rig->requests[0].item;
    const request_t last = rig->requests[2].item;
    assert_int_equal(first.seq, 1);
    assert_int_equal(first.flags, REQUEST_FRESH);
    assert_int_equal(first.epoch, last.epoch);
    assert_int_equal(rig->requests[1].item.hlc, 0);
    assert_true(last.hlc > first.hlc + 1); /* with room for its operations */
    assert_int_equal(last.floor, 0);
    const seen_request_t one = rig->requests[0];
    submit(rig, 4, COMMAND_GET, TIMEOUT_MS);
    answer(rig, &one, OUTCOME_OK);
    turn(rig);
    assert_done(rig, 0, 1, OUTCOME_OK);
    assert_int_equal(rig->requests_size, 1);
    assert_int_equal(rig->requests[0].item.floor, 1);
    rig_free(rig);
}

static void test_retag(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET, COMMAND_GET};
    rig_t *rig = serving(commands, 2);
    const seen_request_t old[] = {rig->requests[0], rig->requests[1]};
    answer(rig, &old[0], OUTCOME_RETAG);
    answer(rig, &old[1], OUTCOME_RETAG); /* of the epoch that is over */
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    assert_int_equal(rig->requests_size, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rig->requests[i].item.epoch, old[i].item.epoch + 1);
        assert_int_equal(rig->requests[i].item.seq, old[i].item.seq);
        assert_int_equal(rig->requests[i].item.flags, REQUEST_FRESH);
    }
    assert_true(rig->requests[0].item.hlc > old[0].item.hlc);
    answer(rig, &old[0], OUTCOME_OK); /* nor is this one listened to */
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    rig_free(rig);
}

static void test_behind(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET};
    rig_t *rig = serving(commands, 1);
    for (unsigned i = 1; i <= CLIENT_MOVES_MAX; i++) {
        const seen_request_t seen = rig->requests[0];
        assert_int_equal(seen.item.flags & REQUEST_LAST_TRY, 0);
        answer(rig, &seen, OUTCOME_BEHIND);
        turn(rig);
        assert_int_equal(rig->hellos, 1 + i);
        assert_int_equal(rig->avoid, INCARNATION);
        welcome(rig, ROUTE + i);
    }
    assert_int_equal(rig->requests[0].item.flags & REQUEST_LAST_TRY, REQUEST_LAST_TRY);
    const seen_request_t last = rig->requests[0];
    answer(rig, &last, OUTCOME_MISSING);
    turn(rig);
    assert_done(rig, 0, 1, OUTCOME_MISSING);
    rig_free(rig);
}

static void lose_route(rig_t *rig)
{
    give(rig, frames_plain((frame_t){.kind = FRAME_ROUTE_LOST, .route = ROUTE}));
    turn(rig);
}

static void test_retransmission(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET, COMMAND_SET, COMMAND_GET};
    rig_t *rig = serving(commands, 3);
    const request_t before = rig->requests[1].item;
    lose_route(rig);
    assert_int_equal(rig->done_size, 1);
    assert_done(rig, 0, 1, OUTCOME_LOST); /* it would see the session's own future */
    welcome(rig, ROUTE + 1);
    assert_int_equal(rig->requests_size, 2);
    const seen_request_t again = rig->requests[0];
    assert_int_equal(again.item.seq, before.seq);
    assert_true(again.item.hlc == before.hlc);
    assert_true(again.item.epoch > before.epoch);
    assert_int_equal(again.item.flags, 0);
    assert_int_equal(rig->requests[1].item.flags, REQUEST_FRESH);
    /* Turned back it is still one that may have been executed: the same tag again. */
    answer(rig, &again, OUTCOME_BUSY);
    turn(rig);
    pass(rig, 10);
    assert_true(rig->requests[0].item.hlc == before.hlc);
    assert_int_equal(rig->requests[0].item.flags, 0);
    const seen_request_t third = rig->requests[0];
    answer(rig, &third, OUTCOME_WRONGTYPE);
    turn(rig);
    assert_done(rig, 0, 2, OUTCOME_UNKNOWN); /* rule 5 */
    rig_free(rig);
}

/* A tag is above every clock the session was told: what it has seen is below its updates. */
static void test_clock(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET};
    rig_t *rig = serving(commands, 1);
    const seen_request_t read = rig->requests[0];
    const hlc_t told = hlc_at(1800000000000);
    const reply_t reply = {.session = read.item.session,
                           .epoch = read.item.epoch,
                           .seq = read.item.seq,
                           .clock = told};
    give(rig, frames_reply((frame_t){.route = ROUTE}, &reply, NULL));
    submit(rig, 2, COMMAND_SET, TIMEOUT_MS);
    turn(rig);
    assert_int_equal(rig->requests_size, 1);
    assert_true(rig->requests[0].item.hlc > told);
    rig_free(rig);
}

/* What would end up below something seen since is not sent again; then a new client id is taken. */
static void test_unknown(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET, COMMAND_SET, COMMAND_INCR};
    rig_t *rig = serving(commands, 3);
    uint64_t id = rig->id;
    const seen_request_t read = rig->requests[0];
    give(rig, reply_to(&read, OUTCOME_OK, rig->requests[1].item.hlc));
    lose_route(rig);
    assert_int_equal(rig->done_size, 2);
    assert_done(rig, 0, 1, OUTCOME_OK);
    assert_done(rig, 1, 2, OUTCOME_UNKNOWN);
    assert_int_equal(rig->id, id); /* the increment is still to be sent under the old one */
    welcome(rig, ROUTE + 1);
    assert_int_equal(rig->requests_size, 1);
    submit(rig, 4, COMMAND_SET, TIMEOUT_MS);
    const seen_request_t increment = rig->requests[0];
    assert_int_equal(increment.item.floor, 1); /* not the set's: it was not acknowledged */
    turn(rig);
    assert_int_equal(rig->requests_size, 0);
    rig->bye = 0;
    answer(rig, &increment, OUTCOME_OK);
    turn(rig);
    assert_int_not_equal(rig->id, id);
    assert_int_equal(rig->bye, id); /* the old one is not left behind */
    welcome(rig, ROUTE + 2);
    assert_int_equal(rig->requests[0].item.seq, 1);
    assert_int_equal(rig->requests[0].item.flags, REQUEST_FRESH);
    rig_free(rig);
}

static outcome_t cancel(rig_t *rig, uint64_t ticket)
{
    outcome_t outcome = OUTCOME_OK;
    return client_cancel(rig->client, rig->now, rig->session, ticket, &outcome) ? outcome
                                                                                : OUTCOME_OK;
}

/* What was not sent, or is a read, leaves no trace; the session keeps its client id. */
static void test_cancel_harmless(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET, COMMAND_SET};
    rig_t *rig = serving(commands, 2);
    const uint64_t id = rig->id;
    const seen_request_t read = rig->requests[0];
    const seen_request_t set = rig->requests[1];
    submit(rig, 3, COMMAND_SET, TIMEOUT_MS);
    assert_int_equal(cancel(rig, 3), OUTCOME_CANCELLED);
    assert_int_equal(cancel(rig, 1), OUTCOME_CANCELLED);
    assert_int_equal(cancel(rig, 1), OUTCOME_OK); /* there is none any more */
    assert_int_equal(cancel(rig, 77), OUTCOME_OK);
    assert_int_equal(client_pending(rig->client), 1);
    turn(rig);
    assert_int_equal(rig->requests_size, 0);
    answer(rig, &read, OUTCOME_OK);
    answer(rig, &set, OUTCOME_OK);
    turn(rig);
    assert_int_equal(rig->done_size, 1);
    assert_done(rig, 0, 2, OUTCOME_OK);
    submit(rig, 4, COMMAND_SET, TIMEOUT_MS);
    turn(rig);
    assert_int_equal(rig->requests_size, 1);
    assert_int_equal(rig->id, id);
    assert_int_equal(rig->hellos, 1);
    rig_free(rig);
}

/* The replica says but once what a session has seen: also in the answer to what was given up. */
static void test_late_answer_is_learned(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET, COMMAND_GET};
    rig_t *rig = serving(commands, 2);
    const seen_request_t read = rig->requests[0];
    vec_t token = {0};
    vec_raise(&token, 99, 5);
    assert_int_equal(cancel(rig, 1), OUTCOME_CANCELLED);
    const reply_t reply = {.session = read.item.session,
                           .epoch = read.item.epoch,
                           .seq = read.item.seq,
                           .outcome = OUTCOME_OK,
                           .value = slice_of("\xC0", 1)};
    give(rig, frames_reply((frame_t){.route = ROUTE}, &reply, &token));
    assert_true(vec_get(&client_session_token(rig->client, rig->session)->seen, 99) == 5);
    vec_free(&token);
    rig_free(rig);
}

/* The session hears of so many updates of an origin elsewhere. */
static void merge(rig_t *rig, uint64_t origin, uint64_t n)
{
    client_token_t token = {0};
    vec_raise(&token.seen, origin, n);
    client_session_merge(rig->client, rig->session, &token);
    vec_free(&token.seen);
}

static uint64_t has_seen(const rig_t *rig, uint64_t origin)
{
    return vec_get(&client_session_token(rig->client, rig->session)->seen, origin);
}

/* MISSING: of the token the replica has so much, and nothing else. */
static void missing(rig_t *rig, const seen_request_t *seen, uint64_t origin, uint64_t n)
{
    const reply_t reply = {.session = seen->item.session,
                           .epoch = seen->item.epoch,
                           .seq = seen->item.seq,
                           .outcome = OUTCOME_MISSING,
                           .value = slice_of("\xC0", 1)};
    vec_t has = {0};
    vec_raise(&has, origin, n);
    give(rig, frames_reply((frame_t){.route = ROUTE}, &reply, &has));
    vec_free(&has);
}

/*
 * MISSING is no end for who relaxes: again, under a new id, with what the replica has of the token.
 */
static void test_relax(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET};
    rig_t *rig = serving(commands, 1);
    const uint64_t id = rig->id;
    const seen_request_t first = rig->requests[0];
    client_session_relax(rig->session, true);
    merge(rig, 99, 5);
    submit(rig, 2, COMMAND_SET, TIMEOUT_MS);
    turn(rig);
    const seen_request_t second = rig->requests[0];
    assert_true(second.item.has_token);
    answer(rig, &first, OUTCOME_OK);
    missing(rig, &second, 99, 3);
    turn(rig);
    assert_int_equal(rig->done_size, 1);
    assert_true(rig->id != id);
    assert_true(has_seen(rig, 99) == 3);
    welcome(rig, ROUTE + 1);
    assert_int_equal(rig->requests_size, 1);
    assert_int_equal(rig->requests[0].item.seq, 1);
    rig_free(rig);
}

/* What was issued later has time left when the first one is told MISSING: it does not wait on. */
static void test_relax_in_a_pipeline(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET, COMMAND_SET};
    rig_t *rig = serving(commands, 2);
    const uint64_t id = rig->id;
    const seen_request_t first = rig->requests[0];
    const seen_request_t second = rig->requests[1];
    client_session_relax(rig->session, true);
    missing(rig, &first, 99, 3);
    turn(rig);
    assert_true(rig->bye == id); /* the replica turns back what waits */
    assert_true(rig->id == id);
    answer(rig, &second, OUTCOME_MOVED);
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    assert_true(rig->id != id);
    assert_int_equal(rig->avoid, 0); /* that replica has all that the session has seen now */
    welcome(rig, ROUTE + 1);
    assert_int_equal(rig->requests_size, 2);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(rig->requests[i].item.seq, i + 1);
        assert_int_equal(rig->requests[i].item.flags, REQUEST_FRESH);
    }
    rig_free(rig);
}

/* What is given up is what the replica was asked for and does not have, and nothing else. */
static void test_relax_keeps_news(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_GET};
    rig_t *rig = serving(commands, 1);
    const seen_request_t first = rig->requests[0];
    client_session_relax(rig->session, true);
    for (uint64_t i = 2; i <= 3; i++) {
        merge(rig, 97 + i, 5);
        submit(rig, i, COMMAND_SET, TIMEOUT_MS);
        turn(rig);
        assert_true(rig->requests[0].item.has_token);
    }
    outcome_t outcome;
    assert_true(client_cancel(rig->client, rig->now, rig->session, 3, &outcome));
    const seen_request_t last = rig->requests[0];
    seen_request_t second = last;
    second.item.seq--;
    merge(rig, 101, 7);
    missing(rig, &first, 98, 1);
    answer(rig, &second, OUTCOME_BEHIND);
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    assert_true(has_seen(rig, 98) == 1);
    for (uint64_t origin = 99; origin <= 101; origin++)
        assert_true(has_seen(rig, origin) >= 5);
    rig_free(rig);
}

/* One that may have been executed: what comes later goes under a new id, after what is open. */
static void test_cancel_unknown(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET, COMMAND_SET};
    rig_t *rig = serving(commands, 2);
    const uint64_t id = rig->id;
    const seen_request_t second = rig->requests[1];
    assert_int_equal(cancel(rig, 1), OUTCOME_UNKNOWN);
    submit(rig, 3, COMMAND_SET, TIMEOUT_MS);
    turn(rig);
    assert_int_equal(rig->requests_size, 0);
    answer(rig, &second, OUTCOME_OK);
    turn(rig);
    assert_done(rig, 0, 2, OUTCOME_OK);
    assert_int_equal(rig->hellos, 2);
    assert_true(rig->id != id);
    assert_int_equal(rig->bye, id);
    welcome(rig, ROUTE + 1);
    assert_int_equal(rig->requests_size, 1);
    assert_int_equal(rig->requests[0].item.session, rig->id);
    assert_int_equal(rig->requests[0].item.seq, 1);
    /* Turned back, it is certain again that it was not executed. */
    const seen_request_t third = rig->requests[0];
    answer(rig, &third, OUTCOME_BUSY);
    assert_int_equal(cancel(rig, 3), OUTCOME_CANCELLED);
    rig_free(rig);
}

/* After a lost way an update is not under way, and yet may have been executed. */
static void test_cancel_doubtful(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET, COMMAND_GET};
    rig_t *rig = serving(commands, 2);
    lose_route(rig);
    assert_int_equal(cancel(rig, 2), OUTCOME_CANCELLED);
    assert_int_equal(cancel(rig, 1), OUTCOME_UNKNOWN);
    assert_int_equal(client_pending(rig->client), 0);
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    rig_free(rig);
}

/* What had ended for the session whose token it was is not to be there again. */
static void test_token_comes_with_its_clock(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET};
    rig_t *rig = serving(commands, 1);
    client_token_t token = {.clock = hlc_at(5000000000000)};
    vec_raise(&token.seen, 42, 7);
    client_session_merge(rig->client, rig->session, &token);
    submit(rig, 2, COMMAND_GET, TIMEOUT_MS);
    turn(rig);
    assert_true(rig->requests[0].item.has_token);
    assert_true(rig->requests[0].item.token_clock == token.clock);
    vec_free(&token.seen);
    rig_free(rig);
}

static void test_turned_back_by_the_broker(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET};
    rig_t *rig = serving(commands, 1);
    const seen_request_t first = rig->requests[0];
    vec_t seen = {0};
    vec_raise(&seen, 42, 7);
    const client_token_t token = {.seen = seen};
    client_session_merge(rig->client, rig->session, &token);
    submit(rig, 2, COMMAND_GET, TIMEOUT_MS);
    turn(rig);
    assert_true(rig->requests[0].item.has_token);
    const frame_t back = {.kind = FRAME_TURNED_BACK,
                          .reason = OUTCOME_BUSY,
                          .slot = ROUTE,
                          .route = ROUTE + 5,
                          .message = rig->requests[0].message};
    give(rig, frames_plain(back));
    pass(rig, 10);
    assert_int_equal(rig->requests_size, 0); /* the first one may be turned back yet */
    answer(rig, &first, OUTCOME_OK);
    turn(rig);
    assert_int_equal(rig->requests_size, 1);
    assert_int_equal(rig->requests[0].route, ROUTE + 5);
    assert_true(rig->requests[0].item.has_token); /* nobody has had it yet */
    vec_free(&seen);
    rig_free(rig);
}

static void test_deadlines(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    submit(rig, 1, COMMAND_SET, 100);
    submit(rig, 2, COMMAND_SET, 200);
    submit(rig, 3, COMMAND_GET, 300);
    turn(rig);
    welcome(rig, ROUTE);
    assert_true(client_deadline(rig->client) <= rig->now.boot_ms + 100);
    pass(rig, 100);
    assert_done(rig, 0, 1, OUTCOME_UNKNOWN); /* it was under way */
    pass(rig, 100);
    assert_done(rig, 0, 2, OUTCOME_NOT_REACHED); /* it never was */
    pass(rig, 100);
    assert_done(rig, 0, 3, OUTCOME_NOT_REACHED);
    assert_int_equal(client_pending(rig->client), 0);
    rig_free(rig);
}

/* A broker that would not talk to us: for certain it is DENIED, a guess overrules nothing. */
static void test_broker_that_refuses_us(void **state)
{
    (void)state;
    rig_t *rig = rig_new(1);
    const slice_t why = slice_text("no key");

    for (uint64_t ticket = 1; ticket <= 4; ticket++)
        submit(rig, ticket, COMMAND_SET, (int64_t)ticket * 100);
    turn(rig);
    client_denied(rig->client, rig->now, why, false);
    pass(rig, 100);
    assert_done(rig, 0, 1, OUTCOME_NOT_REACHED);
    client_denied(rig->client, rig->now, why, true);
    client_denied(rig->client, rig->now, why, false);
    client_connection_lost(rig->client, rig->now, rig->connection);
    pass(rig, 100);
    assert_done(rig, 0, 2, OUTCOME_DENIED);
    /* Another one answers. */
    pass(rig, 50);
    give(rig, frames_plain((frame_t){.kind = FRAME_PING}));
    pass(rig, 50);
    assert_done(rig, 0, 3, OUTCOME_NOT_REACHED);
    rig_free(rig);
}

/* The broker goes by what comes back: only who has read its PING can say it. */
static void test_answers_to_pings(void **state)
{
    (void)state;
    rig_t *rig = rig_new(16);
    submit(rig, 1, COMMAND_GET, TIMEOUT_MS);
    turn(rig);
    for (uint64_t message = 70; message < 72; message++) {
        give(rig, frames_plain((frame_t){.kind = FRAME_PING, .message = message}));
        turn(rig);
        assert_int_equal(rig->pong, message);
    }
    rig_free(rig);
}

/* Without anything to wait for there is no hurry, whatever is still missing from the broker. */
static void test_no_hurry(void **state)
{
    (void)state;
    rig_t *rig = rig_new(16);
    submit(rig, 1, COMMAND_GET, 500);
    turn(rig);
    for (int i = 0; i < 12; i++) {
        give(rig, frames_plain((frame_t){.kind = FRAME_PING, .flags = FRAME_ANSWER}));
        pass(rig, 200);
        assert_true(client_deadline(rig->client) > rig->now.boot_ms);
    }
    rig_free(rig);
}

static void test_no_deadline(void **state)
{
    (void)state;
    rig_t *rig = rig_new(16);
    submit(rig, 1, COMMAND_GET, INT64_MAX);
    turn(rig);
    welcome(rig, ROUTE);
    assert_true(rig->requests[0].item.left_ms == UINT32_MAX);
    rig_free(rig);
}

static void test_broker_fails_over(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET};
    rig_t *rig = serving(commands, 1);
    uint16_t port = rig->port;
    const request_t before = rig->requests[0].item;
    unsigned connects = rig->connects;
    for (int i = 0; i < 30 && rig->connects == connects; i++)
        pass(rig, 50);
    assert_true(rig->pings >= 2);
    assert_int_equal(rig->connects, connects + 1);
    assert_int_not_equal(rig->port, port);
    assert_int_equal(rig->hellos, 2);
    welcome(rig, ROUTE);
    assert_true(rig->requests[0].item.hlc == before.hlc);
    assert_int_equal(rig->requests[0].item.flags, 0);
    rig_free(rig);
}

/* A broker that was found after the first one is the next one, whatever the list was before. */
static void test_another_broker(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        rig_t rig = {.now = {1000000, 5000}};
        const client_config_t config = {frames_cluster, seed, 1};
        rig.client = client_new(&config);
        rig.session = client_session_open(rig.client, NULL, -1);
        client_broker(rig.client, rig.now, slice_text("h"), 7700);
        submit(&rig, 1, COMMAND_SET, TIMEOUT_MS);
        turn(&rig);
        assert_int_equal(rig.port, 7700);
        client_broker(rig.client, rig.now, slice_text("h"), 7800);
        client_connection_lost(rig.client, rig.now, rig.connection);
        pass(&rig, 1000);
        assert_int_equal(rig.port, 7800);
        client_destroy(&rig.client);
    }
}

/* A full broker says so: each time it is left alone for longer, and the request says why. */
static void test_full_broker(void **state)
{
    (void)state;
    rig_t *rig = rig_new(16);
    submit(rig, 1, COMMAND_SET, TIMEOUT_MS);
    turn(rig);
    unsigned connects = 1;
    int64_t last_ms = 0;
    for (int i = 0; i < 5; i++) {
        give(rig, frames_plain((frame_t){.kind = FRAME_BYE, .reason = OUTCOME_BUSY}));
        int64_t waited_ms = 0;
        while (rig->connects == connects) {
            pass(rig, 1);
            waited_ms++;
        }
        assert_int_equal(rig->connects, ++connects);
        assert_true(waited_ms > last_ms);
        last_ms = waited_ms;
    }
    give(rig, frames_plain((frame_t){.kind = FRAME_BYE, .reason = OUTCOME_BUSY}));
    rig->now.boot_ms += TIMEOUT_MS;
    const client_effects_t effects = client_turn(rig->client, rig->now);
    unsigned said = 0;
    for (size_t i = 0; i < effects.size; i++) {
        const client_effect_t *effect = &effects.list[i];
        if (effect->kind != CLIENT_DONE)
            continue;
        assert_int_equal(effect->outcome, OUTCOME_NOT_REACHED);
        char *text = mem_text(effects.arena + effect->offset, effect->size);
        said += strstr(text, "no more connections") != NULL;
        free(text);
    }
    assert_int_equal(said, 1);
    rig_free(rig);
}

static void test_denied(void **state)
{
    (void)state;
    rig_t *rig = rig_new(16);
    submit(rig, 1, COMMAND_GET, TIMEOUT_MS);
    turn(rig);
    const session_welcome_t no = {.session = rig->id, .text = slice_text("why")};
    give(rig, frames_welcome((frame_t){.reason = OUTCOME_NOT_REACHED}, &no));
    turn(rig);
    assert_int_equal(rig->done_size, 0); /* to be tried again */
    pass(rig, 50);
    assert_int_equal(rig->hellos, 2);
    give(rig, frames_welcome((frame_t){.reason = OUTCOME_DENIED}, &no));
    turn(rig);
    assert_done(rig, 0, 1, OUTCOME_DENIED);
    rig_free(rig);
}

/* Frames that make no sense change nothing. */
static void test_nonsense(void **state)
{
    (void)state;
    const uint8_t commands[] = {COMMAND_SET};
    rig_t *rig = serving(commands, 1);
    const seen_request_t seen = rig->requests[0];
    buf_t cut = reply_to(&seen, OUTCOME_OK, 0);
    for (size_t size = 0; size < cut.size; size++)
        client_frame(rig->client, rig->now, rig->connection, slice_of(cut.data, size));
    client_frame(rig->client, rig->now, rig->connection + 1, buf_slice(&cut));
    turn(rig);
    assert_int_equal(rig->done_size, 0);
    give(rig, cut);
    turn(rig);
    assert_done(rig, 0, 1, OUTCOME_OK);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_retag),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_retransmission),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_cancel_harmless),
        cmocka_unit_test(test_late_answer_is_learned),
        cmocka_unit_test(test_relax),
        cmocka_unit_test(test_relax_in_a_pipeline),
        cmocka_unit_test(test_relax_keeps_news),
        cmocka_unit_test(test_cancel_unknown),
        cmocka_unit_test(test_cancel_doubtful),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_token_comes_with_its_clock),
        cmocka_unit_test(test_turned_back_by_the_broker),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_broker_that_refuses_us),
        cmocka_unit_test(test_answers_to_pings),
        cmocka_unit_test(test_no_hurry),
        cmocka_unit_test(test_no_deadline),
        cmocka_unit_test(test_broker_fails_over),
        cmocka_unit_test(test_another_broker),
        cmocka_unit_test(test_full_broker),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
