#include "client/core/client.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "bus/base/random.h"
#include "bus/wire/command.h"
#include "bus/wire/frame.h"
#include "bus/wire/peer.h"
#include "bus/wire/session.h"

#include <utlist.h>

enum {
    RECONNECT_MIN_MS = 20,
    RECONNECT_MAX_MS = 1000,
    REOPEN_MS = 50,         /* a session that found no replica asks again */
    USELESS_MS = 500,       /* then another broker, if this one finds no replica for anybody */
    BUSY_MS = 10,           /* pause after BUSY */
    WINDOW_BYTES = 4 << 20, /* in flight together, as the broker allows for one route */
    ARRAY_HEAD_SIZE = 5,
    WHY_SIZE = 256,
    DENIED_SIZE = 400,
};

typedef struct pending pending_t;

/* One request of a session, from its issue to its end. */
struct pending {
    uint64_t ticket;
    uint64_t seq;
    uint8_t command;
    bool is_update;
    bool is_relaxed;
    bool is_sent;     /* under way in the present epoch */
    bool is_doubtful; /* a transmission went unanswered: it may have been executed */
    vec_t news;       /* what client_session_merge brought and nobody but it, under way, carries */
    uint64_t epoch;   /* in which it was sent last */
    hlc_t hlc;        /* of its tag; 0: to be stamped when it is sent */
    uint64_t message; /* the frame it went with */
    int64_t deadline_ms;
    uint32_t sends;
    uint32_t in_flight; /* bytes, while is_sent */
    uint32_t arguments;
    size_t size;
    pending_t *next;
    pending_t *previous;
    uint8_t bytes[]; /* the arguments */
};

typedef enum session_state {
    SESSION_CLOSED,  /* no replica */
    SESSION_OPENING, /* HELLO sent */
    SESSION_OPEN,
} session_state_t;

struct client_session {
    uint64_t id; /* client id in tags */
    session_state_t state;
    bool wants_reopen;  /* elsewhere, once nothing is under way here */
    bool wants_new_id;  /* once nothing that this id stands for is open */
    uint64_t floor_max; /* what is above it was not acknowledged, or is not covered any more */
    bool is_draining;   /* nothing new before what is under way was answered */
    bool relaxes;       /* MISSING is no end: what is missing is given up */
    bool was_relaxed;   /* that has happened */
    uint64_t epoch;
    uint64_t next_seq;
    uint32_t route;
    int32_t replica;
    uint64_t incarnation;
    int32_t pin;
    uint64_t avoid;
    uint32_t moves;
    int64_t retry_ms;  /* nothing is sent before */
    int64_t opened_ms; /* HELLO was sent */
    client_token_t token;
    vec_t news;      /* what client_session_merge brought, not sent yet */
    hlc_t seen_base; /* greatest tags behind the answers had so far */
    hlc_t seen_any;
    char why[WHY_SIZE];  /* why it could not be opened last time */
    pending_t *requests; /* in order of issue */
    uint32_t sent;       /* of them under way */
    client_session_t *next;
    client_session_t *previous;
    UT_hash_handle hh;
};

typedef struct broker {
    char host[PEER_HOST_MAX + 1];
    uint16_t port;
} broker_t;

/* A REQUEST frame being filled. */
typedef struct batch {
    uint32_t route;
    uint16_t items;
    uint64_t message;
    buf_t bytes;
} batch_t;

struct client {
    client_config_t config;
    random_t random;
    now_t now;
    broker_t brokers[CLIENT_BROKERS_MAX];
    size_t brokers_size;
    size_t next_broker;
    bool is_connected;        /* a connection is there, as far as we know */
    bool is_heard;            /* and the broker has said something */
    bool is_denied;           /* for certain */
    char denied[DENIED_SIZE]; /* why one would not talk to us, since one last did; "": none */
    uint32_t connection;
    int64_t connected_ms;
    int64_t heard_ms;
    int64_t asked_ms; /* since then the broker owes us something; INT64_MAX: nothing */
    int64_t pinged_ms;
    int64_t reconnect_ms;
    int64_t reconnect_step_ms;
    hlc_t clock; /* of the replicas, as of clock_boot_ms */
    int64_t clock_boot_ms;
    hlc_t last_stamp;
    uint64_t next_message;
    uint64_t in_flight; /* bytes */
    size_t pending;
    int64_t expiry_ms; /* no request ends for its deadline before; INT64_MAX: none is there */
    client_session_t *sessions; /* list */
    client_session_t *by_id;
    batch_t batch;
    client_effect_t *effects;
    size_t effects_size;
    size_t effects_capacity;
    size_t effects_given;
    buf_t arena;
    vec_t vector;
};

/* ---- effects ---- */

static void enter(client_t *self, now_t now)
{
    self->now = now;
    if (self->effects_given == 0)
        return;
    self->effects_size = self->effects_given = 0;
    buf_reset(&self->arena);
}

static client_effect_t *emit(client_t *self, client_effect_kind_t kind, size_t offset)
{
    if (self->effects_size == self->effects_capacity)
        self->effects = mem_grow(self->effects, &self->effects_capacity, sizeof *self->effects);
    client_effect_t *effect = &self->effects[self->effects_size++];
    *effect = (client_effect_t){
        .kind = kind,
        .connection = self->connection,
        .replica = -1,
        .offset = offset,
        .size = self->arena.size - offset,
    };
    return effect;
}

__attribute__((format(printf, 2, 3))) static void note(client_t *self, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, text);
    emit(self, CLIENT_NOTE, offset);
}

static void send_frame(client_t *self, size_t offset)
{
    emit(self, CLIENT_SEND, offset);
}

/* ---- clock ---- */

static hlc_t clock_now(client_t *self)
{
    /* Before the first event a token may have come, but no time that could have passed since. */
    if (self->clock_boot_ms != 0)
        self->clock = hlc_add_ms(self->clock, self->now.boot_ms - self->clock_boot_ms);
    self->clock_boot_ms = self->now.boot_ms;
    return self->clock;
}

static void clock_raise(client_t *self, hlc_t to)
{
    if (to > clock_now(self))
        self->clock = to;
}

/* A tag above every earlier one and everything seen, with room for the operations of the update. */
static hlc_t stamp(client_t *self, uint32_t operations)
{
    hlc_t hlc = hlc_max(clock_now(self), self->last_stamp) + 1;
    self->last_stamp = hlc + operations;
    return hlc;
}

/* ---- requests ---- */

static void unsend(client_t *self, client_session_t *session, pending_t *request)
{
    if (!request->is_sent)
        return;
    request->is_sent = false;
    session->sent--;
    self->in_flight -= request->in_flight;
    request->in_flight = 0;
    /* The replica need not have looked at what it carried. */
    vec_merge(&session->token.seen, &request->news);
    vec_merge(&session->news, &request->news);
    vec_reset(&request->news);
}

static bool may_be_executed(const pending_t *request)
{
    return request->is_update && (request->is_sent || request->is_doubtful);
}

/* The session goes on under a new id; what still goes out under this one has a floor up to that. */
static void end_id(client_session_t *session, uint64_t floor_max)
{
    session->wants_new_id = true;
    if (session->floor_max > floor_max)
        session->floor_max = floor_max;
}

static void free_request(client_t *self, client_session_t *session, pending_t *request)
{
    unsend(self, session, request);
    DL_DELETE2(session->requests, request, previous, next);
    self->pending--;
    vec_free(&request->news);
    free(request);
}

static void remove_request(client_t *self, client_session_t *session, pending_t *request,
                           outcome_t outcome)
{
    if (outcome_may_be_applied(outcome))
        end_id(session, request->seq - 1);
    free_request(self, session, request);
}

/* Ends a request with an answer of a replica (-1: of ours). value: one msgpack value. */
static void finish(client_t *self, client_session_t *session, pending_t *request, outcome_t outcome,
                   slice_t value, int32_t replica, uint16_t copies)
{
    size_t offset = self->arena.size;
    buf_append_slice(&self->arena, value);
    client_effect_t *done = emit(self, CLIENT_DONE, offset);
    done->ticket = request->ticket;
    done->outcome = outcome;
    done->replica = replica;
    done->copies = copies;
    done->sends = request->sends;
    done->is_relaxed = request->is_relaxed;
    remove_request(self, session, request, outcome);
}

static void finish_with(client_t *self, client_session_t *session, pending_t *request,
                        outcome_t outcome, const char *text)
{
    buf_t value = {0};
    mp_put_text(&value, text);
    finish(self, session, request, outcome, buf_slice(&value), -1, 0);
    buf_free(&value);
}

/* Not executed for certain: it is stamped anew and may be refused with RETAG again. */
static void take_back(client_t *self, client_session_t *session, pending_t *request)
{
    unsend(self, session, request);
    if (!request->is_doubtful)
        request->hlc = 0;
}

/* ---- sessions ---- */

static void draw_id(client_t *self, client_session_t *session)
{
    if (session->id != 0)
        HASH_DELETE(hh, self->by_id, session);
    do {
        session->id = random_u64(&self->random);
    } while (session->id == 0);
    session->next_seq = 1;
    session->floor_max = UINT64_MAX;
    pending_t *request;
    DL_FOREACH2(session->requests, request, next)
    {
        request->seq = session->next_seq++;
    }
    HASH_ADD(hh, self->by_id, id, sizeof session->id, session);
}

client_session_t *client_session_open(client_t *self, const client_token_t *token, int32_t pin)
{
    client_session_t *session = mem_zero(1, sizeof *session);
    session->pin = pin;
    session->replica = -1;
    session->epoch = 1;
    draw_id(self, session);
    if (token != NULL) {
        session->token.lineage = token->lineage;
        session->token.clock = token->clock;
        vec_copy(&session->token.seen, &token->seen);
        clock_raise(self, token->clock);
    }
    DL_APPEND2(self->sessions, session, previous, next);
    return session;
}

static void free_session(client_t *self, client_session_t *session)
{
    while (session->requests != NULL)
        free_request(self, session, session->requests);
    DL_DELETE2(self->sessions, session, previous, next);
    HASH_DELETE(hh, self->by_id, session);
    vec_free(&session->token.seen);
    vec_free(&session->news);
    free(session);
}

/* Broker and replica forget the session under its present id; what waits there comes back. */
static void send_session_bye(client_t *self, const client_session_t *session)
{
    const frame_t bye = {.kind = FRAME_BYE, .route = session->route};
    size_t offset = frame_begin(&self->arena, &bye);
    session_bye_put(&self->arena, session->id);
    send_frame(self, offset);
}

static void leave_session(client_t *self, client_session_t *session)
{
    if (self->is_connected && session->state != SESSION_CLOSED)
        send_session_bye(self, session);
    session->state = SESSION_CLOSED;
}

void client_session_close(client_t *self, client_session_t *session)
{
    enter(self, self->now);
    leave_session(self, session);
    free_session(self, session);
}

const client_token_t *client_session_token(const client_t *self, const client_session_t *session)
{
    (void)self;
    return &session->token;
}

void client_session_merge(client_t *self, client_session_t *session, const client_token_t *token)
{
    vec_merge(&session->token.seen, &token->seen);
    session->token.clock = hlc_max(session->token.clock, token->clock);
    if (session->token.lineage == 0)
        session->token.lineage = token->lineage;
    clock_raise(self, token->clock);
    vec_merge(&session->news, &token->seen);
}

void client_submit(client_t *self, now_t now, client_session_t *session, uint64_t ticket,
                   uint8_t command, slice_t arguments, uint32_t count, int64_t deadline_ms)
{
    enter(self, now);
    const command_t *known = command_by_code(command);
    assert(known != NULL);
    pending_t *request = mem_zero(1, sizeof *request + arguments.size);
    request->ticket = ticket;
    request->seq = session->next_seq++;
    request->command = command;
    request->is_update = known->is_update;
    request->deadline_ms = deadline_ms;
    request->arguments = count;
    request->size = arguments.size;
    if (arguments.size != 0)
        memcpy(request->bytes, arguments.data, arguments.size);
    DL_APPEND2(session->requests, request, previous, next);
    self->pending++;
    if (deadline_ms < self->expiry_ms)
        self->expiry_ms = deadline_ms;
}

bool client_cancel(client_t *self, now_t now, client_session_t *session, uint64_t ticket,
                   outcome_t *outcome)
{
    enter(self, now);
    pending_t *request = session->requests;
    while (request != NULL && request->ticket != ticket)
        request = request->next;
    if (request == NULL)
        return false;
    *outcome = may_be_executed(request) ? OUTCOME_UNKNOWN : OUTCOME_CANCELLED;
    remove_request(self, session, request, *outcome);
    return true;
}

size_t client_pending(const client_t *self)
{
    return self->pending;
}

/* ---- a way is lost ---- */

/* An update may be sent again unless it would end up below something the session has seen. */
static bool may_send_again(const client_session_t *session, const pending_t *request)
{
    /* Increments commute with one another: only a set or delete seen since stands in the way. */
    bool adds = request->command == COMMAND_INCR || request->command == COMMAND_DECR ||
                request->command == COMMAND_HINCR;
    return request->hlc > (adds ? session->seen_base : session->seen_any);
}

/*
 * Requests under way have an unknown outcome. Updates are sent again with their tag, unless that
 * would put them below something the session has seen since; a read in front of such an update
 * would see the session's own future, so it is given back.
 */
static void doubt_requests(client_t *self, client_session_t *session)
{
    pending_t *last_doubtful = NULL;
    pending_t *request;
    DL_FOREACH2(session->requests, request, next)
    {
        if (request->is_sent && request->is_update)
            request->is_doubtful = true;
        if (request->is_doubtful)
            last_doubtful = request;
        unsend(self, session, request);
    }
    bool is_before = last_doubtful != NULL;
    pending_t *following;
    DL_FOREACH_SAFE2(session->requests, request, following, next)
    {
        if (request == last_doubtful)
            is_before = false;
        if (request->is_doubtful && !may_send_again(session, request))
            finish_with(self, session, request, OUTCOME_UNKNOWN,
                        "the replica went away before it answered, and the session has seen later "
                        "updates since: it may have been applied");
        else if (is_before && !request->is_update)
            finish_with(self, session, request, OUTCOME_LOST,
                        "the replica went away before it answered; ask again");
    }
}

static void lose_way(client_t *self, client_session_t *session)
{
    session->state = SESSION_CLOSED;
    session->wants_reopen = session->is_draining = false;
    session->epoch++;
    doubt_requests(self, session);
}

static void lose_connection(client_t *self, const char *why)
{
    if (!self->is_connected)
        return;
    if (self->denied[0] == '\0') /* else that was told */
        note(self, "broker lost why=\"%s\"", why);
    emit(self, CLIENT_DISCONNECT, self->arena.size);
    self->is_connected = self->is_heard = false;
    self->asked_ms = INT64_MAX;
    self->next_broker++;
    self->reconnect_ms = self->now.boot_ms + self->reconnect_step_ms;
    self->reconnect_step_ms = self->reconnect_step_ms * 2 < RECONNECT_MAX_MS
                                  ? self->reconnect_step_ms * 2
                                  : RECONNECT_MAX_MS;
    client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        lose_way(self, session);
    }
}

void client_connection_lost(client_t *self, now_t now, uint32_t connection)
{
    enter(self, now);
    if (self->is_connected && connection == self->connection)
        lose_connection(self, "connection closed");
}

void client_denied(client_t *self, now_t now, slice_t why, bool is_certain)
{
    enter(self, now);
    if (self->is_denied && !is_certain)
        return;
    self->is_denied = is_certain;
    snprintf(self->denied, sizeof(self->denied), "%.*s", (int)why.size, (const char *)why.data);
}

/* ---- frames from the broker ---- */

static client_session_t *find_session(const client_t *self, uint64_t id)
{
    client_session_t *session;
    HASH_FIND(hh, self->by_id, &id, sizeof id, session);
    return session;
}

static void fail_all(client_t *self, client_session_t *session, outcome_t outcome, const char *text)
{
    while (session->requests != NULL) {
        pending_t *request = session->requests;
        bool is_unknown = request->is_doubtful;
        finish_with(self, session, request, is_unknown ? OUTCOME_UNKNOWN : outcome, text);
    }
}

/* A broker that is cut off from all replicas is as good as none, when there is another. */
static void leave_useless_broker(client_t *self)
{
    if (self->brokers_size < 2 || self->now.boot_ms - self->connected_ms < USELESS_MS)
        return;
    const client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (session->state != SESSION_CLOSED)
            return;
    }
    lose_connection(self, "it reaches no replica");
}

static void take_welcome(client_t *self, const frame_t *frame, slice_t body)
{
    session_welcome_t welcome;
    if (!session_welcome_read(body, &welcome))
        return;
    client_session_t *session = find_session(self, welcome.session);
    if (session == NULL || session->state != SESSION_OPENING)
        return;
    outcome_t reason = outcome_from_wire(frame->reason);
    if (reason != OUTCOME_OK) {
        session->state = SESSION_CLOSED;
        session->retry_ms = self->now.boot_ms + REOPEN_MS;
        snprintf(session->why, sizeof session->why, "%.*s", (int)welcome.text.size,
                 (const char *)welcome.text.data);
        if (reason == OUTCOME_NOT_REACHED)
            leave_useless_broker(self);
        else if (reason != OUTCOME_BUSY)
            fail_all(self, session, reason, session->why);
        return;
    }
    session->state = SESSION_OPEN;
    session->route = frame->route;
    session->replica = welcome.id;
    session->incarnation = welcome.incarnation;
    session->avoid = 0;
    session->why[0] = '\0';
    if (welcome.lineage != 0)
        session->token.lineage = welcome.lineage;
    clock_raise(self, welcome.clock);
}

/* This request and all behind it in its epoch were certainly not executed. */
static void turn_back_from(client_t *self, client_session_t *session, pending_t *from,
                           outcome_t why)
{
    session->epoch++;
    for (pending_t *request = from; request != NULL; request = request->next)
        take_back(self, session, request);
    if (why == OUTCOME_BUSY) {
        session->retry_ms = self->now.boot_ms + BUSY_MS;
    } else if (why == OUTCOME_BEHIND) {
        session->avoid = session->incarnation;
        session->moves++;
        session->wants_reopen = true;
    } else if (why == OUTCOME_MOVED) {
        session->wants_reopen = true;
    }
}

static void learn(client_t *self, client_session_t *session, const reply_t *reply)
{
    mp_t token = mp_open(reply->token);
    mp_vector(&token, &self->vector);
    if (mp_ok(&token))
        vec_merge(&session->token.seen, &self->vector);
    clock_raise(self, reply->clock);
    session->token.clock = hlc_max(session->token.clock, reply->clock);
    session->seen_base = hlc_max(session->seen_base, reply->seen_base);
    session->seen_any = hlc_max(session->seen_any, reply->seen_any);
}

static bool is_turned_back(outcome_t outcome)
{
    return outcome == OUTCOME_RETAG || outcome == OUTCOME_BUSY || outcome == OUTCOME_BEHIND ||
           outcome == OUTCOME_MOVED;
}

void client_session_relax(client_session_t *session, bool relaxes)
{
    session->relaxes = relaxes;
}

bool client_session_relaxed(const client_session_t *session)
{
    return session->was_relaxed;
}

/*
 * The replica says how much of the token it has: the session goes on with that, as another client.
 * What it has not been asked for, or not yet, is not given up.
 */
static void relax(client_t *self, client_session_t *session, pending_t *request,
                  const reply_t *reply)
{
    mp_t token = mp_open(reply->token);
    mp_vector(&token, &self->vector);
    if (!mp_ok(&token))
        vec_reset(&self->vector);
    vec_copy(&session->token.seen, &self->vector);
    vec_merge(&session->token.seen, &session->news);
    clock_raise(self, reply->clock);
    request->is_relaxed = session->was_relaxed = true;
    take_back(self, session, request);
    session->moves = 0;
    end_id(session, 0);
    /* It has no time left to let what was issued after it wait on there. */
    if (session->sent != 0)
        send_session_bye(self, session);
    note(self, "session relaxed: what replica %d does not have is given up", session->replica);
}

static void take_reply(client_t *self, const reply_t *reply)
{
    client_session_t *session = find_session(self, reply->session);
    pending_t *request = session != NULL ? session->requests : NULL;
    while (request != NULL && request->seq != reply->seq)
        request = request->next;
    if (request == NULL || !request->is_sent || request->epoch != reply->epoch) {
        /*
         * Given up, or settled otherwise, since it was sent in that epoch. Later answers of the
         * replica do not repeat what this one says of the token.
         */
        if (session != NULL && !is_turned_back(reply->outcome))
            learn(self, session, reply);
        return;
    }
    if (is_turned_back(reply->outcome)) {
        clock_raise(self, reply->clock);
        turn_back_from(self, session, request, reply->outcome);
        return;
    }
    /* The replica has looked at what it brought. */
    if (reply->outcome == OUTCOME_MISSING && session->relaxes && !request->is_doubtful) {
        vec_reset(&request->news);
        relax(self, session, request, reply);
        return;
    }
    vec_merge(&session->token.seen, &request->news); /* another one may have relaxed meanwhile */
    vec_reset(&request->news);
    learn(self, session, reply);
    outcome_t outcome = reply->outcome;
    /* An earlier transmission may have been executed where this one was refused. */
    if (outcome != OUTCOME_OK && request->is_doubtful)
        outcome = OUTCOME_UNKNOWN;
    if (outcome != OUTCOME_MISSING)
        session->moves = 0;
    finish(self, session, request, outcome, reply->value, session->replica, reply->copies);
}

static void take_replies(client_t *self, slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    reply_t reply;
    for (uint32_t i = 0; i < items && reply_read(&in, &reply); i++)
        take_reply(self, &reply);
}

/* The broker did not forward this message, nor what came later on the same route. */
static void take_turned_back(client_t *self, const frame_t *frame)
{
    uint32_t old_route = frame->slot;
    client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (session->state != SESSION_OPEN || session->route != old_route)
            continue;
        if (frame->route != 0)
            session->route = frame->route;
        pending_t *request = session->requests;
        while (request != NULL && (!request->is_sent || request->message < frame->message))
            request = request->next;
        if (request != NULL)
            turn_back_from(self, session, request, outcome_from_wire(frame->reason));
        /* What was forwarded before may yet be turned back by the replica: it goes first again. */
        session->is_draining = session->sent != 0;
        if (frame->reason == OUTCOME_MOVED)
            session->wants_reopen = true;
    }
}

static void take_route_lost(client_t *self, const frame_t *frame)
{
    client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (session->state == SESSION_OPEN && session->route == frame->route) {
            note(self, "replica lost id=%d", session->replica);
            lose_way(self, session);
        }
    }
}

/* The broker has no place for this connection, or had one and forgot it. */
static void take_bye(client_t *self, outcome_t reason)
{
    client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (reason == OUTCOME_BUSY)
            snprintf(session->why, sizeof session->why,
                     "the broker takes no more connections: use another one, or fewer of them");
    }
    lose_connection(self, reason == OUTCOME_BUSY
                              ? "it takes no more connections"
                              : "the broker does not know this connection any more");
}

void client_frame(client_t *self, now_t now, uint32_t connection, slice_t message)
{
    enter(self, now);
    frame_t frame;
    if (!self->is_connected || connection != self->connection ||
        frame_read(message, &frame) != FRAME_GOOD)
        return;
    slice_t body = frame_body(message);
    self->is_heard = true;
    self->is_denied = false;
    self->denied[0] = '\0';
    self->heard_ms = now.boot_ms;
    if (frame.kind != FRAME_BYE) /* a broker that is full is not asked faster and faster */
        self->reconnect_step_ms = RECONNECT_MIN_MS;
    switch (frame.kind) {
    case FRAME_WELCOME:
        take_welcome(self, &frame, body);
        break;
    case FRAME_REPLY:
        take_replies(self, body);
        break;
    case FRAME_TURNED_BACK:
        take_turned_back(self, &frame);
        break;
    case FRAME_ROUTE_LOST:
        take_route_lost(self, &frame);
        break;
    case FRAME_PING:
        if ((frame.flags & FRAME_ANSWER) == 0) {
            const frame_t pong = {
                .kind = FRAME_PING, .flags = FRAME_ANSWER, .message = frame.message};
            send_frame(self, frame_begin(&self->arena, &pong));
        }
        break;
    case FRAME_BYE:
        take_bye(self, outcome_from_wire(frame.reason));
        break;
    default:
        break;
    }
}

/* ---- brokers ---- */

void client_broker(client_t *self, now_t now, slice_t host, uint16_t port)
{
    enter(self, now);
    if (host.size == 0 || host.size > PEER_HOST_MAX || self->brokers_size == CLIENT_BROKERS_MAX)
        return;
    for (size_t i = 0; i < self->brokers_size; i++)
        if (self->brokers[i].port == port && slice_equal(slice_text(self->brokers[i].host), host))
            return;
    broker_t *broker = &self->brokers[self->brokers_size++];
    memcpy(broker->host, host.data, host.size);
    broker->host[host.size] = '\0';
    broker->port = port;
}

size_t client_brokers(const client_t *self)
{
    return self->brokers_size;
}

static void connect_broker(client_t *self)
{
    /* Kept within the list: the next one is then another one, also when the list has grown. */
    self->next_broker %= self->brokers_size;
    const broker_t *broker = &self->brokers[self->next_broker];
    self->connection++;
    self->is_connected = true;
    self->is_heard = false;
    self->connected_ms = self->heard_ms = self->pinged_ms = self->now.boot_ms;
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, broker->host);
    emit(self, CLIENT_CONNECT, offset)->port = broker->port;
}

/* ---- sending ---- */

static void send_hello(client_t *self, client_session_t *session)
{
    const session_hello_t hello = {
        .session = session->id,
        .cluster = self->config.cluster,
        .lineage = session->token.lineage,
        .clock = session->token.clock,
        .pin = session->pin,
        .avoid = session->avoid,
    };
    const frame_t frame = {.kind = FRAME_HELLO, .items = 1, .message = ++self->next_message};
    size_t offset = frame_begin(&self->arena, &frame);
    session_hello_put(&self->arena, &hello, &session->token.seen);
    send_frame(self, offset);
    session->state = SESSION_OPENING;
    session->wants_reopen = false;
    vec_reset(&session->news);
    session->opened_ms = self->now.boot_ms;
}

static void flush_batch(client_t *self)
{
    batch_t *batch = &self->batch;
    if (batch->items == 0)
        return;
    const frame_t frame = {.kind = FRAME_REQUEST,
                           .items = batch->items,
                           .route = batch->route,
                           .message = batch->message};
    frame_write(batch->bytes.data, &frame);
    batch->bytes.data[FRAME_HEADER_SIZE] = 0xDD; /* array 32 */
    be32_put(batch->bytes.data + FRAME_HEADER_SIZE + 1, batch->items);
    size_t offset = self->arena.size;
    buf_append_slice(&self->arena, buf_slice(&batch->bytes));
    send_frame(self, offset);
    batch->items = 0;
}

static void open_batch(client_t *self, uint32_t route)
{
    batch_t *batch = &self->batch;
    if (batch->items != 0 && batch->route == route && batch->items < FRAME_ITEMS_MAX &&
        batch->bytes.size < FRAME_BODY_TARGET)
        return;
    flush_batch(self);
    buf_reset(&batch->bytes);
    buf_reserve(&batch->bytes, FRAME_HEADER_SIZE + ARRAY_HEAD_SIZE);
    batch->bytes.size = FRAME_HEADER_SIZE + ARRAY_HEAD_SIZE;
    batch->route = route;
    batch->message = ++self->next_message;
}

static void send_request(client_t *self, client_session_t *session, pending_t *request)
{
    open_batch(self, session->route);
    if (request->is_update && request->hlc == 0)
        request->hlc = stamp(self, request->arguments);
    int64_t left_ms = request->deadline_ms - self->now.boot_ms;
    /* All before the first open request were answered, and the token covers them. */
    uint64_t floor = session->requests->seq - 1;
    const request_t item = {
        .session = session->id,
        .epoch = session->epoch,
        .seq = request->seq,
        .flags = (uint8_t)((request->is_doubtful ? 0 : REQUEST_FRESH) |
                           (session->moves >= CLIENT_MOVES_MAX ? REQUEST_LAST_TRY : 0)),
        .left_ms = left_ms <= 0           ? 0
                   : left_ms < UINT32_MAX ? (uint32_t)left_ms
                                          : UINT32_MAX,
        .token_clock = session->token.clock,
        .hlc = request->hlc,
        .floor = floor < session->floor_max ? floor : session->floor_max,
        .command = request->command,
        .arguments = request->arguments,
        .arguments_at = slice_of(request->bytes, request->size),
    };
    size_t before = self->batch.bytes.size;
    request_put(&self->batch.bytes, &item, session->news.size != 0 ? &session->token.seen : NULL);
    const vec_t empty = request->news;
    request->news = session->news;
    session->news = empty;
    self->batch.items++;
    request->epoch = session->epoch;
    request->message = self->batch.message;
    request->in_flight = (uint32_t)(self->batch.bytes.size - before);
    request->is_sent = true;
    request->sends++;
    session->sent++;
    self->in_flight += request->in_flight;
}

/* Nothing of the old client id is open: only what was never executed may go under a new one. */
static bool may_renew(const client_session_t *session)
{
    const pending_t *first = session->requests;
    return session->sent == 0 && (first == NULL || !first->is_doubtful);
}

static void pump_session(client_t *self, client_session_t *session)
{
    if (session->wants_new_id && may_renew(session)) {
        session->wants_new_id = false;
        leave_session(self, session);
        session->epoch++;
        draw_id(self, session);
    }
    if (session->requests == NULL || self->now.boot_ms < session->retry_ms)
        return;
    bool reopens = session->wants_reopen && session->sent == 0;
    bool is_stuck = session->state == SESSION_OPENING &&
                    self->now.boot_ms - session->opened_ms >= CLIENT_SILENCE_MS;
    if (session->state == SESSION_CLOSED || reopens || is_stuck) {
        send_hello(self, session);
        return;
    }
    session->is_draining = session->is_draining && session->sent != 0;
    if (session->state != SESSION_OPEN || session->wants_reopen || session->is_draining)
        return;
    pending_t *request = session->requests;
    while (request != NULL && request->is_sent)
        request = request->next;
    for (; request != NULL; request = request->next) {
        bool is_full = session->sent >= self->config.window ||
                       (self->in_flight != 0 && self->in_flight + request->size > WINDOW_BYTES);
        if (is_full || (session->wants_new_id && !request->is_doubtful))
            return;
        send_request(self, session, request);
    }
}

/* ---- time ---- */

static void expire(client_t *self, client_session_t *session)
{
    pending_t *request;
    pending_t *following;
    DL_FOREACH_SAFE2(session->requests, request, following, next)
    {
        if (self->now.boot_ms < request->deadline_ms) {
            if (request->deadline_ms < self->expiry_ms)
                self->expiry_ms = request->deadline_ms;
            continue;
        }
        if (may_be_executed(request))
            finish_with(self, session, request, OUTCOME_UNKNOWN,
                        "no answer in time: it may have been applied");
        else if (self->denied[0] != '\0')
            finish_with(self, session, request,
                        self->is_denied ? OUTCOME_DENIED : OUTCOME_NOT_REACHED, self->denied);
        else
            finish_with(self, session, request, OUTCOME_NOT_REACHED,
                        session->why[0] != '\0' ? session->why
                        : !self->is_heard       ? "no broker answered: is hearsay-broker running?"
                                                : "no answer in time");
    }
}

static bool is_owed_something(const client_t *self)
{
    const client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (session->sent != 0 || session->state == SESSION_OPENING)
            return true;
    }
    return false;
}

static void watch_connection(client_t *self)
{
    int64_t now_ms = self->now.boot_ms;
    if (!self->is_connected) {
        if (self->pending != 0 && self->brokers_size != 0 && now_ms >= self->reconnect_ms)
            connect_broker(self);
        return;
    }
    if (!is_owed_something(self)) {
        self->asked_ms = INT64_MAX;
        return;
    }
    if (self->asked_ms == INT64_MAX) {
        self->asked_ms = now_ms;
        self->pinged_ms = now_ms;
    }
    int64_t since_ms = self->heard_ms > self->asked_ms ? self->heard_ms : self->asked_ms;
    if (now_ms - since_ms >= CLIENT_SILENCE_MS) {
        lose_connection(self, "silent");
    } else if (now_ms - since_ms >= CLIENT_HEARTBEAT_MS &&
               now_ms - self->pinged_ms >= CLIENT_HEARTBEAT_MS) {
        self->pinged_ms = now_ms;
        const frame_t ping = {.kind = FRAME_PING};
        send_frame(self, frame_begin(&self->arena, &ping));
    }
}

client_effects_t client_turn(client_t *self, now_t now)
{
    enter(self, now);
    client_session_t *session;
    if (now.boot_ms >= self->expiry_ms) {
        self->expiry_ms = INT64_MAX;
        DL_FOREACH2(self->sessions, session, next)
        {
            expire(self, session);
        }
    }
    watch_connection(self);
    if (self->is_connected) {
        DL_FOREACH2(self->sessions, session, next)
        {
            pump_session(self, session);
        }
        flush_batch(self);
        if (self->asked_ms == INT64_MAX && is_owed_something(self))
            self->asked_ms = self->pinged_ms = now.boot_ms;
    }
    self->effects_given = self->effects_size;
    return (client_effects_t){self->effects, self->effects_size, self->arena.data};
}

int64_t client_deadline(const client_t *self)
{
    int64_t deadline = self->pending != 0 ? self->expiry_ms : INT64_MAX;
    const client_session_t *session;
    DL_FOREACH2(self->sessions, session, next)
    {
        if (session->requests != NULL && session->retry_ms > self->now.boot_ms)
            deadline = time_earlier(deadline, session->retry_ms);
        if (session->requests != NULL && session->state == SESSION_OPENING)
            deadline = time_earlier(deadline, session->opened_ms + CLIENT_SILENCE_MS);
    }
    if (!self->is_connected && self->pending != 0 && self->brokers_size != 0)
        deadline = time_earlier(deadline, self->reconnect_ms);
    if (self->is_connected && self->asked_ms != INT64_MAX)
        deadline = time_earlier(deadline, self->now.boot_ms + CLIENT_HEARTBEAT_MS);
    return deadline;
}

/* ---- life ---- */

client_t *client_new(const client_config_t *config)
{
    client_t *self = mem_zero(1, sizeof *self);
    self->config = *config;
    random_seed(&self->random, config->seed);
    self->next_broker = (size_t)random_below(&self->random, 1024);
    self->asked_ms = INT64_MAX;
    self->expiry_ms = INT64_MAX;
    self->reconnect_step_ms = RECONNECT_MIN_MS;
    return self;
}

void client_leave(client_t *self, now_t now)
{
    enter(self, now);
    if (!self->is_connected)
        return;
    const frame_t bye = {.kind = FRAME_BYE};
    send_frame(self, frame_begin(&self->arena, &bye));
}

void client_destroy(client_t **self_p)
{
    client_t *self = *self_p;
    if (self == NULL)
        return;
    while (self->sessions != NULL)
        free_session(self, self->sessions);
    buf_free(&self->batch.bytes);
    buf_free(&self->arena);
    vec_free(&self->vector);
    free(self->effects);
    free(self);
    *self_p = NULL;
}
