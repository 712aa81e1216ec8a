#include "frontend/core/frontend.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "bus/wire/frame.h"
#include "bus/wire/peer.h"

#include <utlist.h>

enum { RETRY_MIN_MS = 250, RETRY_MAX_MS = 2000 };

enum { NOTE_ERROR = 0, NOTE_WARN = 1, NOTE_INFO = 2, NOTE_DEBUG = 3 };

typedef struct route route_t;
typedef struct session session_t;
typedef struct client client_t;

typedef enum replica_state {
    REPLICA_IDLE,    /* to be tried at retry_ms */
    REPLICA_GREETED, /* HELLO sent */
    REPLICA_UP,
} replica_state_t;

typedef struct replica {
    replica_state_t state;
    uint32_t link;
    uint32_t key;   /* to be named in each frame to it */
    bool is_static; /* whoever is at this address, whatever its incarnation; kept for good */
    uint16_t id;
    uint64_t incarnation; /* 0: not known before WELCOME */
    char host[PEER_HOST_MAX + 1];
    uint16_t port;
    uint8_t status;
    uint64_t serial;
    vec_t vector;    /* value timestamp as of its last word */
    uint64_t growth; /* updates that it had more than at the word before */
    uint32_t sessions;
    uint64_t in_flight;
    int64_t heard_ms;
    int64_t pinged_ms;
    int64_t retry_ms;
    int64_t retry_step_ms;
    int64_t seen_ms;
    route_t *routes;
} replica_t;

/* A client connection on one replica. Its number changes whenever it has to be opened anew. */
struct route {
    uint32_t number;
    client_t *client;
    replica_t *replica;
    uint64_t in_flight;
    uint32_t sessions;
    route_t *next_of_client;
    route_t *previous_of_client;
    route_t *next_of_replica;
    route_t *previous_of_replica;
    UT_hash_handle hh;
};

struct session {
    uint64_t id;
    route_t *route;
    bool is_open; /* WELCOME has come */
    session_t *next;
    session_t *previous;
    UT_hash_handle hh;
};

struct client {
    uint32_t connection;
    uint32_t slot;
    uint32_t generation;
    bool is_used;
    bool is_leaving;  /* it has no routes, and its connection may be on its way out */
    int64_t probe_ms; /* silent until then, it is probed */
    uint64_t unread;  /* bytes sent since the PING that it answered last */
    uint64_t marked;  /* of them before the PING that is to be answered; 0: none is under way */
    uint64_t mark;    /* what that PING says */
    route_t *routes;
    session_t *sessions;
    UT_hash_handle hh;
};

struct frontend {
    frontend_config_t config;
    int64_t started_ms;
    now_t now;
    replica_t *replicas[FRONTEND_REPLICAS_MAX];
    size_t replicas_size;
    uint32_t next_link;
    size_t next_choice;
    client_t **slots; /* by slot; entries are reused under another generation */
    uint32_t slots_size;
    uint32_t *free_slots;
    uint32_t free_size;
    client_t *clients; /* by connection */
    route_t *routes;   /* by number */
    uint32_t next_route;
    session_t *sessions; /* by id */
    uint64_t in_flight;
    uint64_t unread;
    uint64_t pings; /* sent to clients */
    int64_t probe_ms;
    vec_t token; /* of the HELLO or STATUS at hand */
    frontend_effect_t *effects;
    size_t effects_size;
    size_t effects_capacity;
    buf_t arena;
    frontend_counts_t counts;
};

/* ---- effects ---- */

static void enter(frontend_t *self, now_t now)
{
    self->now = now;
    self->effects_size = 0;
    buf_reset(&self->arena);
}

static frontend_effect_t *emit(frontend_t *self, frontend_effect_kind_t kind, uint32_t target,
                               size_t offset)
{
    if (self->effects_size == self->effects_capacity)
        self->effects = mem_grow(self->effects, &self->effects_capacity, sizeof *self->effects);
    frontend_effect_t *effect = &self->effects[self->effects_size++];
    *effect = (frontend_effect_t){
        .kind = kind, .target = target, .offset = offset, .size = self->arena.size - offset};
    return effect;
}

__attribute__((format(printf, 3, 4))) static void note(frontend_t *self, uint8_t level,
                                                       const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, text);
    emit(self, FRONTEND_NOTE, 0, offset)->level = level;
}

frontend_effects_t frontend_effects(const frontend_t *self)
{
    return (frontend_effects_t){self->effects, self->effects_size, self->arena.data};
}

static void send_client(frontend_t *self, const client_t *client, const frame_t *frame)
{
    size_t offset = frame_begin(&self->arena, frame);
    emit(self, FRONTEND_SEND_CLIENT, client->connection, offset);
}

/* A frame without a body to a replica; its route is the link's key. */
static void send_replica(frontend_t *self, const replica_t *replica, frame_t frame)
{
    frame.route = replica->key;
    size_t offset = frame_begin(&self->arena, &frame);
    emit(self, FRONTEND_SEND_REPLICA, replica->link, offset);
}

/* ---- life ---- */

frontend_t *frontend_new(const frontend_config_t *config, now_t now)
{
    frontend_t *self = mem_zero(1, sizeof *self);
    self->config = *config;
    if (self->config.replica_window == 0)
        self->config.replica_window = FRONTEND_REPLICA_WINDOW;
    if (self->config.clients_max == 0 || self->config.clients_max > FRONTEND_CLIENTS_MAX)
        self->config.clients_max = FRONTEND_CLIENTS_MAX;
    self->now = now;
    self->started_ms = now.boot_ms;
    self->probe_ms = now.boot_ms + FRONTEND_PROBE_MS;
    self->next_link = 1;
    /* Numbers of an earlier start of this broker must not be taken for ours. */
    self->next_route = (uint32_t)config->incarnation;
    return self;
}

static void free_session(frontend_t *self, client_t *client, session_t *session)
{
    session->route->sessions--;
    session->route->replica->sessions--;
    DL_DELETE2(client->sessions, session, previous, next);
    HASH_DELETE(hh, self->sessions, session);
    free(session);
}

static void free_route(frontend_t *self, route_t *route)
{
    client_t *client = route->client;
    session_t *session;
    session_t *following;
    DL_FOREACH_SAFE2(client->sessions, session, following, next)
    {
        if (session->route == route)
            free_session(self, client, session);
    }
    self->in_flight -= route->in_flight;
    route->replica->in_flight -= route->in_flight;
    DL_DELETE2(client->routes, route, previous_of_client, next_of_client);
    DL_DELETE2(route->replica->routes, route, previous_of_replica, next_of_replica);
    HASH_DELETE(hh, self->routes, route);
    free(route);
}

static void free_client(frontend_t *self, client_t *client)
{
    while (client->routes != NULL)
        free_route(self, client->routes);
    HASH_DELETE(hh, self->clients, client);
    self->unread -= client->unread;
    client->is_used = false;
    client->generation++;
    self->free_slots[self->free_size++] = client->slot;
}

void frontend_destroy(frontend_t **self_p)
{
    frontend_t *self = *self_p;
    if (self == NULL)
        return;
    while (self->clients != NULL)
        free_client(self, self->clients);
    for (uint32_t i = 0; i < self->slots_size; i++)
        free(self->slots[i]);
    for (size_t i = 0; i < self->replicas_size; i++) {
        vec_free(&self->replicas[i]->vector);
        free(self->replicas[i]);
    }
    vec_free(&self->token);
    free(self->slots);
    free(self->free_slots);
    free(self->effects);
    buf_free(&self->arena);
    free(self);
    *self_p = NULL;
}

/* ---- handing over ---- */

static uint32_t new_route_number(frontend_t *self)
{
    for (;;) {
        route_t *taken;
        uint32_t number = self->next_route++;
        HASH_FIND(hh, self->routes, &number, sizeof number, taken);
        if (number != 0 && taken == NULL)
            return number;
    }
}

/* Under a new number, so that what the client sent before it knows is turned back as well. */
static void renumber(frontend_t *self, route_t *route)
{
    HASH_DELETE(hh, self->routes, route);
    route->number = new_route_number(self);
    HASH_ADD(hh, self->routes, number, sizeof route->number, route);
}

static void send_bye(frontend_t *self, const client_t *client, const replica_t *replica)
{
    const frame_t bye = {.kind = FRAME_BYE, .slot = client->slot, .generation = client->generation};
    send_replica(self, replica, bye);
}

/* A replica that serves no more is left as soon as nothing is under way there. */
static void leave_if_done(frontend_t *self, route_t *route)
{
    if (status_serves(route->replica->status) || route->in_flight != 0)
        return;
    const session_t *session;
    DL_FOREACH2(route->client->sessions, session, next)
    {
        if (session->route == route && !session->is_open)
            return; /* its WELCOME will say that it is refused */
    }
    self->counts.handed_over += route->sessions;
    send_bye(self, route->client, route->replica);
    free_route(self, route);
}

/*
 * The sessions of a replica that has stopped serving are turned away: nothing more goes there, and
 * what was forwarded is answered or turned back by the replica itself. So every request is either
 * answered or known not to have been executed. The route keeps its number, since the client is to
 * know which one it is when the replica goes before it has answered.
 */
static void hand_over(frontend_t *self, replica_t *replica)
{
    route_t *route;
    route_t *following;
    DL_FOREACH_SAFE2(replica->routes, route, following, next_of_replica)
    {
        const frame_t away = {.kind = FRAME_TURNED_BACK,
                              .reason = OUTCOME_MOVED,
                              .slot = route->number,
                              .window = FRONTEND_WINDOW,
                              .message = UINT64_MAX}; /* none of those that have come so far */
        send_client(self, route->client, &away);
        leave_if_done(self, route);
    }
}

/* ---- replicas ---- */

static replica_t *replica_by_link(const frontend_t *self, uint32_t link)
{
    for (size_t i = 0; i < self->replicas_size; i++)
        if (self->replicas[i]->state != REPLICA_IDLE && self->replicas[i]->link == link)
            return self->replicas[i];
    return NULL;
}

static void greet(frontend_t *self, replica_t *replica)
{
    replica->link = self->next_link++;
    replica->state = REPLICA_GREETED;
    replica->heard_ms = replica->pinged_ms = self->now.boot_ms;
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, replica->host);
    emit(self, FRONTEND_CONNECT, replica->link, offset)->port = replica->port;
}

/* HELLO is repeated with each heartbeat until it is answered: a replica that settles is silent. */
static void send_link_hello(frontend_t *self, const replica_t *replica)
{
    const frame_t frame = {.kind = FRAME_HELLO, .slot = FRAME_SLOT_LINK};
    const link_hello_t hello = {self->config.cluster, self->config.incarnation,
                                replica->is_static ? 0 : replica->incarnation};
    size_t offset = frame_begin(&self->arena, &frame);
    link_hello_put(&self->arena, &hello);
    emit(self, FRONTEND_SEND_REPLICA, replica->link, offset);
}

static void welcome_failure(frontend_t *self, const client_t *client, uint64_t session,
                            outcome_t outcome, const char *text)
{
    const frame_t frame = {.kind = FRAME_WELCOME, .reason = (uint16_t)outcome};
    const session_welcome_t welcome = {.session = session, .text = slice_text(text)};
    size_t offset = frame_begin(&self->arena, &frame);
    session_welcome_put(&self->arena, &welcome);
    emit(self, FRONTEND_SEND_CLIENT, client->connection, offset);
}

/* The replica of a route is gone: the client learns which of its sessions that concerns. */
static void lose_route(frontend_t *self, route_t *route)
{
    client_t *client = route->client;
    session_t *session;
    DL_FOREACH2(client->sessions, session, next)
    {
        if (session->route == route && !session->is_open)
            welcome_failure(self, client, session->id, OUTCOME_NOT_REACHED,
                            "the replica went away");
    }
    const frame_t lost = {.kind = FRAME_ROUTE_LOST, .reason = OUTCOME_LOST, .route = route->number};
    send_client(self, client, &lost);
    self->counts.routes_lost++;
    free_route(self, route);
}

/* Why a replica is lost that may still be there, behind a link that is not. */
static const char silent[] = "silent";

static void lose_replica(frontend_t *self, replica_t *replica, const char *why)
{
    if (replica->state == REPLICA_IDLE)
        return;
    if (replica->state == REPLICA_UP)
        note(self, NOTE_INFO, "[%s] replica lost id=%u incarnation=%016llx why=\"%s\" sessions=%u",
             why == silent ? "suspect" : "leave", replica->id,
             (unsigned long long)replica->incarnation, why, replica->sessions);
    while (replica->routes != NULL)
        lose_route(self, replica->routes);
    emit(self, FRONTEND_DISCONNECT, replica->link, self->arena.size);
    replica->state = REPLICA_IDLE;
    replica->retry_ms = self->now.boot_ms + replica->retry_step_ms;
    replica->retry_step_ms =
        replica->retry_step_ms * 2 < RETRY_MAX_MS ? replica->retry_step_ms * 2 : RETRY_MAX_MS;
}

static void remove_replica(frontend_t *self, size_t i)
{
    replica_t *replica = self->replicas[i];
    lose_replica(self, replica, "replaced");
    vec_free(&replica->vector);
    free(replica);
    self->replicas[i] = self->replicas[--self->replicas_size];
}

/* The place for a new replica; one that is lost makes room when the table is full. */
static replica_t *add_replica(frontend_t *self)
{
    for (size_t i = 0; self->replicas_size == FRONTEND_REPLICAS_MAX && i < FRONTEND_REPLICAS_MAX;
         i++)
        if (self->replicas[i]->state == REPLICA_IDLE && !self->replicas[i]->is_static)
            remove_replica(self, i);
    if (self->replicas_size == FRONTEND_REPLICAS_MAX)
        return NULL;
    replica_t *replica = mem_zero(1, sizeof *replica);
    replica->retry_step_ms = RETRY_MIN_MS;
    self->replicas[self->replicas_size++] = replica;
    return replica;
}

static bool is_at(const replica_t *replica, slice_t host, uint16_t port)
{
    return replica->port == port && slice_equal(slice_text(replica->host), host);
}

/*
 * Another start of the same node: its predecessor is history, unless that still answers. True when
 * a static entry is at the same place, which takes it in.
 */
static bool supersede(frontend_t *self, uint16_t id, slice_t host, uint16_t port)
{
    bool is_taken_in = false;
    for (size_t i = self->replicas_size; i-- > 0;) {
        replica_t *replica = self->replicas[i];
        if (replica->is_static && is_at(replica, host, port)) {
            if (replica->state == REPLICA_IDLE)
                replica->retry_ms = self->now.boot_ms;
            is_taken_in = true;
        } else if (replica->incarnation != 0 && replica->id == id && replica->state != REPLICA_UP) {
            if (replica->is_static)
                replica->incarnation = 0;
            else
                remove_replica(self, i);
        }
    }
    return is_taken_in;
}

static bool is_known(frontend_t *self, uint64_t incarnation, slice_t host, uint16_t port)
{
    for (size_t i = 0; i < self->replicas_size; i++) {
        replica_t *replica = self->replicas[i];
        if (incarnation != 0 ? replica->incarnation == incarnation : is_at(replica, host, port)) {
            replica->is_static |= incarnation == 0;
            replica->seen_ms = self->now.boot_ms;
            return true;
        }
    }
    return false;
}

void frontend_candidate(frontend_t *self, now_t now, uint16_t id, uint64_t incarnation,
                        slice_t host, uint16_t port)
{
    enter(self, now);
    if (host.size == 0 || host.size > PEER_HOST_MAX || is_known(self, incarnation, host, port))
        return;
    if (incarnation != 0 && supersede(self, id, host, port))
        return;
    replica_t *replica = add_replica(self);
    if (replica == NULL)
        return;
    replica->is_static = incarnation == 0;
    replica->id = id;
    replica->incarnation = incarnation;
    memcpy(replica->host, host.data, host.size);
    replica->port = port;
    replica->seen_ms = now.boot_ms;
    greet(self, replica);
    send_link_hello(self, replica);
}

/* A static entry learns who is there; the same replica under another address is let go. */
static void take_identity(frontend_t *self, replica_t *replica, const link_status_t *status)
{
    if (status->incarnation == replica->incarnation)
        return;
    for (size_t i = self->replicas_size; i-- > 0;) {
        replica_t *other = self->replicas[i];
        bool is_same = other->incarnation == status->incarnation;
        bool is_history =
            other->incarnation != 0 && other->id == status->id && other->state != REPLICA_UP;
        if (other != replica && !other->is_static && (is_same || is_history))
            remove_replica(self, i);
    }
    replica->id = status->id;
    replica->incarnation = status->incarnation;
    replica->serial = 0;
    vec_reset(&replica->vector);
}

static bool take_status(frontend_t *self, replica_t *replica, slice_t body)
{
    link_status_t status;
    if (!link_status_read(body, &status) || status.incarnation == 0)
        return false;
    if (replica->is_static && replica->state == REPLICA_GREETED)
        take_identity(self, replica, &status);
    if (status.incarnation != replica->incarnation)
        return false;
    mp_t vector = mp_open(status.vector);
    mp_vector(&vector, &self->token);
    if (!mp_ok(&vector))
        return false;
    replica->growth = replica->vector.size != 0 ? vec_lag(&replica->vector, &self->token) : 0;
    vec_copy(&replica->vector, &self->token);
    if (status.status != replica->status && replica->state == REPLICA_UP)
        note(self, NOTE_INFO, "[status] replica status id=%u status=%s was=%s", replica->id,
             status_name(status.status), status_name(replica->status));
    bool has_stopped = status_serves(replica->status) && !status_serves(status.status);
    replica->status = status.status;
    if (has_stopped)
        hand_over(self, replica);
    if (status.serial > replica->serial && replica->state == REPLICA_UP) {
        /* Said once the new status is what sessions are chosen by. */
        const frame_t frame = {.kind = FRAME_STATUS,
                               .flags = FRAME_ANSWER,
                               .slot = FRAME_SLOT_LINK,
                               .route = replica->key};
        const vec_t nothing = {0};
        size_t offset = frame_begin(&self->arena, &frame);
        link_status_put(&self->arena, &status, &nothing);
        emit(self, FRONTEND_SEND_REPLICA, replica->link, offset);
    }
    replica->serial = status.serial;
    return true;
}

static void take_link_frame(frontend_t *self, replica_t *replica, const frame_t *frame,
                            slice_t body)
{
    if (frame->kind == FRAME_WELCOME) {
        replica->key = frame->route;
        if (!take_status(self, replica, body)) {
            lose_replica(self, replica, "another incarnation or a malformed WELCOME");
            return;
        }
        if (replica->state != REPLICA_UP)
            note(self, NOTE_INFO,
                 "[join] replica joined id=%u incarnation=%016llx host=%s status=%s", replica->id,
                 (unsigned long long)replica->incarnation, replica->host,
                 status_name(replica->status));
        replica->state = REPLICA_UP;
        replica->retry_step_ms = RETRY_MIN_MS;
    } else if (frame->kind == FRAME_STATUS && replica->state == REPLICA_UP) {
        if (!take_status(self, replica, body))
            self->counts.malformed++;
    } else if (frame->kind == FRAME_BYE) {
        lose_replica(self, replica, "it does not know us or is another incarnation");
    } else if (frame->kind != FRAME_PING) {
        self->counts.malformed++;
    }
}

/* ---- choosing ---- */

static bool may_serve(const replica_t *replica, uint8_t status)
{
    return replica->state == REPLICA_UP && replica->status == status;
}

static route_t *route_of(const client_t *client, const replica_t *replica)
{
    route_t *route;
    DL_FOREACH2(client->routes, route, next_of_client)
    {
        if (route->replica == replica)
            return route;
    }
    return NULL;
}

/*
 * How many updates of the session's token a replica lacks. What we know of it is as old as its last
 * word, so what it may have got since does not count: else all sessions that move at a time would
 * go to the replica that happened to speak last.
 */
static uint64_t lag_of(const frontend_t *self, const replica_t *replica)
{
    uint64_t lag = vec_lag(&replica->vector, &self->token);
    return lag <= 2 * replica->growth ? 0 : lag;
}

/*
 * Among the replicas of one status: the one that lacks least of the session's token, then the one
 * the client already has a route to unless that has more than 1.25 times its share, then the one
 * with the fewest sessions; ties go round.
 */
static replica_t *choose_by_status(frontend_t *self, const client_t *client,
                                   const session_hello_t *hello, uint8_t status)
{
    uint64_t total = 0;
    uint64_t serving = 0;
    for (size_t i = 0; i < self->replicas_size; i++)
        if (may_serve(self->replicas[i], status)) {
            total += self->replicas[i]->sessions;
            serving++;
        }
    replica_t *best = NULL;
    uint64_t best_lag = 0;
    uint64_t best_load = 0;
    self->next_choice++;
    for (size_t k = 0; k < self->replicas_size; k++) {
        replica_t *replica = self->replicas[(self->next_choice + k) % self->replicas_size];
        if (!may_serve(replica, status) || (replica->incarnation == hello->avoid && serving > 1))
            continue;
        uint64_t lag = lag_of(self, replica);
        uint64_t load = 1 + (uint64_t)replica->sessions;
        bool within_share = load * serving * 4 <= (total + 1) * 5 || load == 1;
        if (within_share && route_of(client, replica) != NULL)
            load = 0;
        if (best == NULL || lag < best_lag || (lag == best_lag && load < best_load)) {
            best = replica;
            best_lag = lag;
            best_load = load;
        }
    }
    return best;
}

static replica_t *choose(frontend_t *self, const client_t *client, const session_hello_t *hello,
                         const char **why)
{
    if (hello->pin >= 0) {
        *why = "the replica named by --replica is not there, draining or offline";
        for (size_t i = 0; i < self->replicas_size; i++) {
            replica_t *replica = self->replicas[i];
            if (replica->id == hello->pin && replica->state == REPLICA_UP &&
                status_serves(replica->status))
                return replica;
        }
        return NULL;
    }
    *why = "no replica is active or overloaded: start one, or set one active with hearsayctl";
    replica_t *replica = choose_by_status(self, client, hello, STATUS_ACTIVE);
    return replica != NULL ? replica : choose_by_status(self, client, hello, STATUS_OVERLOADED);
}

/* ---- clients ---- */

static client_t *client_by_connection(const frontend_t *self, uint32_t connection)
{
    client_t *client;
    HASH_FIND(hh, self->clients, &connection, sizeof connection, client);
    return client;
}

static client_t *get_client(frontend_t *self, uint32_t connection)
{
    client_t *client = client_by_connection(self, connection);
    if (client != NULL)
        return client;
    if (self->free_size == 0) {
        if (self->slots_size == self->config.clients_max)
            return NULL;
        uint32_t slot = self->slots_size++;
        self->slots = mem_resize(self->slots, self->slots_size * sizeof(client_t *));
        self->free_slots = mem_resize(self->free_slots, self->slots_size * sizeof(uint32_t));
        self->slots[slot] = mem_zero(1, sizeof(client_t));
        self->slots[slot]->slot = slot;
        self->free_slots[self->free_size++] = slot;
    }
    client = self->slots[self->free_slots[--self->free_size]];
    client->is_used = true;
    client->connection = connection;
    client->is_leaving = false;
    client->unread = client->marked = 0;
    HASH_ADD(hh, self->clients, connection, sizeof client->connection, client);
    return client;
}

static route_t *get_route(frontend_t *self, client_t *client, replica_t *replica)
{
    route_t *route = route_of(client, replica);
    if (route != NULL)
        return route;
    route = mem_zero(1, sizeof *route);
    route->number = new_route_number(self);
    route->client = client;
    route->replica = replica;
    DL_APPEND2(client->routes, route, previous_of_client, next_of_client);
    DL_APPEND2(replica->routes, route, previous_of_replica, next_of_replica);
    HASH_ADD(hh, self->routes, number, sizeof route->number, route);
    return route;
}

static session_t *find_session(const frontend_t *self, uint64_t id)
{
    session_t *session;
    HASH_FIND(hh, self->sessions, &id, sizeof id, session);
    return session;
}

static frontend_forward_t forward(frontend_way_t way, uint32_t target)
{
    return (frontend_forward_t){way, target};
}

static const frontend_forward_t done = {FRONTEND_DONE, 0};

static frontend_forward_t forward_to_replica(const client_t *client, const replica_t *replica,
                                             frame_t *frame, uint8_t *bytes)
{
    frame->slot = client->slot;
    frame->generation = client->generation;
    frame->route = replica->key;
    frame_write(bytes, frame);
    return forward(FRONTEND_TO_REPLICA, replica->link);
}

/* Where a session was, it is over: said only to another replica, which nothing follows to. */
static void leave_session(frontend_t *self, const client_t *client, const replica_t *replica,
                          uint64_t session)
{
    const frame_t bye = {.kind = FRAME_BYE,
                         .slot = client->slot,
                         .generation = client->generation,
                         .route = replica->key};
    size_t offset = frame_begin(&self->arena, &bye);
    session_bye_put(&self->arena, session);
    emit(self, FRONTEND_SEND_REPLICA, replica->link, offset);
}

/* Returns what it says: nobody can answer it who has not read it. */
static uint64_t ping_client(frontend_t *self, const client_t *client)
{
    const frame_t ping = {.kind = FRAME_PING,
                          .message = siphash(&self->config.secret, self->pings++)};
    send_client(self, client, &ping);
    return ping.message;
}

/* Asks about what it was sent, unless it is asked already. */
static void mark_unread(frontend_t *self, client_t *client)
{
    if (client->marked != 0 || client->unread < FRONTEND_MARK)
        return;
    client->mark = ping_client(self, client);
    client->marked = client->unread;
}

/* A client that does not read is to get no more. */
static bool reads_too_slowly(const frontend_t *self, const client_t *client)
{
    return client->unread > FRONTEND_UNREAD_WINDOW ||
           (self->unread > FRONTEND_UNREAD_TOTAL && client->unread >= FRONTEND_MARK);
}

/* Why there is no place for a session of this client, counted; NULL when there is. */
static const char *why_busy(frontend_t *self, const client_t *client)
{
    if (reads_too_slowly(self, client)) {
        self->counts.busy_client++;
        return "this connection has not read what it was sent: read it, or open another one";
    }
    if (HASH_COUNT(self->sessions) >= FRONTEND_SESSIONS_MAX ||
        HASH_COUNT(self->routes) >= FRONTEND_ROUTES_MAX) {
        self->counts.busy_sessions++;
        return "the broker has as many sessions as it takes: try again later";
    }
    return NULL;
}

static frontend_forward_t take_hello(frontend_t *self, client_t *client, frame_t *frame,
                                     uint8_t *bytes, slice_t body)
{
    session_hello_t hello;
    mp_t token = {0};
    self->counts.hellos++;
    if (session_hello_read(body, &hello)) {
        token = mp_open(hello.token);
        mp_vector(&token, &self->token);
        vec_drop_nodes(&self->token);
    } else {
        mp_fail(&token);
        hello.session = 0;
    }
    if (!mp_ok(&token)) {
        self->counts.malformed++;
        welcome_failure(self, client, hello.session, OUTCOME_USAGE, "the HELLO is malformed");
        return done;
    }
    if (hello.cluster != self->config.cluster) {
        welcome_failure(self, client, hello.session, OUTCOME_DENIED,
                        "this broker serves another cluster: see --cluster");
        return done;
    }
    session_t *session = find_session(self, hello.session);
    const client_t *old_client = session != NULL ? session->route->client : NULL;
    const replica_t *old_replica = session != NULL ? session->route->replica : NULL;
    if (session != NULL)
        free_session(self, session->route->client, session);
    const char *why = why_busy(self, client);
    bool is_busy = why != NULL;
    replica_t *replica = is_busy ? NULL : choose(self, client, &hello, &why);
    if (old_replica != NULL && old_replica != replica)
        leave_session(self, old_client, old_replica, hello.session);
    if (is_busy) {
        self->counts.busy++;
        welcome_failure(self, client, hello.session, OUTCOME_BUSY, why);
        mark_unread(self, client);
        return done;
    }
    if (replica == NULL) {
        self->counts.not_reached++;
        welcome_failure(self, client, hello.session, OUTCOME_NOT_REACHED, why);
        return done;
    }
    client->is_leaving = false;
    session = mem_zero(1, sizeof *session);
    session->id = hello.session;
    session->route = get_route(self, client, replica);
    session->route->sessions++;
    replica->sessions++;
    DL_APPEND2(client->sessions, session, previous, next);
    HASH_ADD(hh, self->sessions, id, sizeof session->id, session);
    return forward_to_replica(client, replica, frame, bytes);
}

static void turn_back(frontend_t *self, const client_t *client, const frame_t *frame, outcome_t why,
                      uint32_t new_route)
{
    const frame_t answer = {
        .kind = FRAME_TURNED_BACK,
        .items = frame->items,
        .reason = (uint16_t)why,
        .slot = frame->route, /* the route that is no more */
        .route = new_route,   /* what it is called from now on */
        .window = FRONTEND_WINDOW,
        .message = frame->message,
    };
    send_client(self, client, &answer);
    self->counts.turned_back++;
    self->counts.busy += why == OUTCOME_BUSY;
}

/*
 * The bytes of the items, without the head of the array: what the replica will count as answered.
 */
static size_t item_bytes(slice_t body)
{
    mp_t in = mp_open(body);
    mp_array(&in, FRAME_ITEMS_MAX);
    return mp_ok(&in) ? (size_t)(in.end - in.at) : body.size;
}

static frontend_forward_t take_request(frontend_t *self, client_t *client, frame_t *frame,
                                       uint8_t *bytes, slice_t body)
{
    route_t *route;
    HASH_FIND(hh, self->routes, &frame->route, sizeof frame->route, route);
    if (route == NULL || route->client != client) {
        turn_back(self, client, frame, OUTCOME_MOVED, 0);
        return done;
    }
    replica_t *replica = route->replica;
    if (!status_serves(replica->status)) {
        renumber(self, route);
        turn_back(self, client, frame, OUTCOME_MOVED, route->number);
        return done;
    }
    size_t size = item_bytes(body);
    bool is_over = (route->in_flight != 0 && route->in_flight + size > FRONTEND_WINDOW) ||
                   reads_too_slowly(self, client);
    bool replica_is_over =
        replica->in_flight != 0 && replica->in_flight + size > self->config.replica_window;
    if (is_over || replica_is_over) {
        self->counts.busy_client += is_over;
        self->counts.busy_replica += !is_over;
        renumber(self, route);
        turn_back(self, client, frame, OUTCOME_BUSY, route->number);
        return done;
    }
    route->in_flight += size;
    replica->in_flight += size;
    self->in_flight += size;
    self->counts.requests += frame->items;
    return forward_to_replica(client, replica, frame, bytes);
}

/* What replicas still have for it is not forwarded. */
static void leave_routes(frontend_t *self, client_t *client)
{
    while (client->routes != NULL) {
        send_bye(self, client, client->routes->replica);
        free_route(self, client->routes);
    }
    client->generation++;
}

/*
 * It is to begin anew, or has left. Only the end of its connection ends what is queued for it: who
 * has not read everything is kept in mind until then, or could have any number of queues filled.
 */
static void let_go(frontend_t *self, client_t *client)
{
    leave_routes(self, client);
    if (client->unread == 0) {
        free_client(self, client);
        return;
    }
    client->is_leaving = true;
    client->probe_ms = self->now.boot_ms + FRONTEND_LEAVE_MS;
    self->probe_ms = time_earlier(self->probe_ms, client->probe_ms);
}

/* It has read all that was sent before the PING that it answers. */
static void take_pong(frontend_t *self, client_t *client, uint64_t message)
{
    if (client->marked == 0 || message != client->mark)
        return; /* of a probe: that it came is enough */
    client->unread -= client->marked;
    self->unread -= client->marked;
    client->marked = 0;
    mark_unread(self, client);
}

/* Counts what is forwarded to a client; one that does not read is let go before memory is short. */
static void count_unread(frontend_t *self, client_t *client, size_t size)
{
    client->unread += size;
    self->unread += size;
    if (client->unread > FRONTEND_UNREAD_MAX) {
        self->counts.slow_clients++;
        note(self, NOTE_WARN,
             "[limit] client let go unread=%llu why=\"it does not read its replies\"",
             (unsigned long long)client->unread);
        const frame_t bye = {.kind = FRAME_BYE, .reason = OUTCOME_MOVED};
        send_client(self, client, &bye);
        let_go(self, client);
    } else {
        mark_unread(self, client);
    }
}

static frontend_forward_t take_bye(frontend_t *self, client_t *client, frame_t *frame,
                                   uint8_t *bytes, slice_t body)
{
    uint64_t id;
    if (body.size == 0) {
        let_go(self, client);
        return done;
    }
    if (!session_bye_read(body, &id)) {
        self->counts.malformed++;
        return done;
    }
    session_t *session = find_session(self, id);
    if (session == NULL || session->route->client != client)
        return done;
    replica_t *replica = session->route->replica;
    free_session(self, client, session);
    return forward_to_replica(client, replica, frame, bytes);
}

frontend_forward_t frontend_client(frontend_t *self, now_t now, uint32_t connection, uint8_t *bytes,
                                   size_t size)
{
    enter(self, now);
    frame_t frame;
    frame_fault_t fault = frame_read(slice_of(bytes, size), &frame);
    if (fault != FRAME_GOOD) {
        self->counts.malformed++;
        if (fault == FRAME_OTHER_VERSION) {
            const frame_t bye = {.kind = FRAME_BYE, .reason = OUTCOME_DENIED};
            size_t offset = frame_begin(&self->arena, &bye);
            emit(self, FRONTEND_SEND_CLIENT, connection, offset);
        }
        return done;
    }
    slice_t body = slice_of(bytes + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE);
    client_t *client = frame.kind == FRAME_HELLO || frame.kind == FRAME_PING
                           ? get_client(self, connection)
                           : client_by_connection(self, connection);
    bool is_answer = frame.kind == FRAME_PING && (frame.flags & FRAME_ANSWER) != 0;
    bool is_asking = frame.kind == FRAME_REQUEST || (frame.kind == FRAME_PING && !is_answer);
    if (client == NULL || (client->is_leaving && is_asking)) {
        /* Never heard of it, or let go, or there is no room: it has to begin with HELLO. */
        self->counts.busy += frame.kind == FRAME_HELLO;
        self->counts.busy_connections += frame.kind == FRAME_HELLO;
        const frame_t bye = {.kind = FRAME_BYE,
                             .reason = frame.kind == FRAME_HELLO ? OUTCOME_BUSY : OUTCOME_MOVED};
        size_t offset = frame_begin(&self->arena, &bye);
        if (frame.kind != FRAME_BYE)
            emit(self, FRONTEND_SEND_CLIENT, connection, offset);
        return done;
    }
    client->probe_ms = now.boot_ms + FRONTEND_PROBE_MS;
    switch (frame.kind) {
    case FRAME_HELLO:
        return take_hello(self, client, &frame, bytes, body);
    case FRAME_REQUEST:
        return take_request(self, client, &frame, bytes, body);
    case FRAME_BYE:
        return take_bye(self, client, &frame, bytes, body);
    case FRAME_PING:
        if (is_answer) {
            take_pong(self, client, frame.message);
        } else {
            const frame_t pong = {
                .kind = FRAME_PING, .flags = FRAME_ANSWER, .message = frame.message};
            send_client(self, client, &pong);
        }
        return done;
    default:
        self->counts.malformed++;
        return done;
    }
}

void frontend_client_lost(frontend_t *self, now_t now, uint32_t connection)
{
    enter(self, now);
    client_t *client = client_by_connection(self, connection);
    if (client == NULL)
        return;
    self->counts.client_losses += !client->is_leaving;
    leave_routes(self, client);
    free_client(self, client);
}

void frontend_client_full(frontend_t *self, now_t now, uint32_t connection)
{
    enter(self, now);
    client_t *client = client_by_connection(self, connection);
    if (client == NULL)
        return;
    client->marked = 0; /* the PING may be what was lost: nobody would ever answer it */
    if (client->is_leaving)
        return;
    self->counts.client_losses++;
    let_go(self, client);
}

/* ---- replies ---- */

/* The client a replica's frame is for, NULL when it is gone. */
static client_t *client_of_slot(frontend_t *self, const frame_t *frame)
{
    client_t *client = frame->slot < self->slots_size ? self->slots[frame->slot] : NULL;
    if (client == NULL || !client->is_used || client->generation != frame->generation)
        return NULL;
    return client;
}

/* False when it is not to be forwarded: the client waits for another replica's answer. */
static bool take_welcome(frontend_t *self, const route_t *route, frame_t *frame, slice_t body)
{
    session_welcome_t welcome;
    session_t *session =
        session_welcome_read(body, &welcome) ? find_session(self, welcome.session) : NULL;
    if (session == NULL || session->route->client != route->client) {
        frame->route = 0;
        if (frame->reason == OUTCOME_OK)
            frame->reason = OUTCOME_NOT_REACHED; /* it has gone elsewhere meanwhile */
        return true;
    }
    if (session->route != route)
        return false;
    frame->route = session->route->number;
    frame->window = FRONTEND_WINDOW;
    if (frame->reason == OUTCOME_OK)
        session->is_open = true;
    else
        free_session(self, session->route->client, session);
    return true;
}

static void take_reply(frontend_t *self, route_t *route, frame_t *frame)
{
    uint64_t answered = frame->window < route->in_flight ? frame->window : route->in_flight;
    route->in_flight -= answered;
    route->replica->in_flight -= answered;
    self->in_flight -= answered;
    self->counts.replies += frame->items;
    frame->route = route->number;
    frame->window = FRONTEND_WINDOW;
}

frontend_forward_t frontend_replica(frontend_t *self, now_t now, uint32_t link, uint8_t *bytes,
                                    size_t size)
{
    enter(self, now);
    replica_t *replica = replica_by_link(self, link);
    frame_t frame;
    if (replica == NULL)
        return done; /* from before we let go of it */
    if (frame_read(slice_of(bytes, size), &frame) != FRAME_GOOD) {
        self->counts.malformed++;
        return done;
    }
    replica->heard_ms = now.boot_ms;
    slice_t body = slice_of(bytes + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE);
    if (frame.slot == FRAME_SLOT_LINK) {
        take_link_frame(self, replica, &frame, body);
        return done;
    }
    client_t *client = client_of_slot(self, &frame);
    route_t *route = client != NULL ? route_of(client, replica) : NULL;
    if (route == NULL) {
        self->counts.dropped++;
        return done;
    }
    uint32_t connection = client->connection;
    if (frame.kind == FRAME_WELCOME) {
        if (!take_welcome(self, route, &frame, body)) {
            self->counts.dropped++;
            return done;
        }
    } else if (frame.kind == FRAME_REPLY) {
        take_reply(self, route, &frame);
    } else if (frame.kind == FRAME_BYE) {
        /* It sent what the replica cannot read: it has to begin anew, there and elsewhere. */
        free_route(self, route);
        let_go(self, client);
    } else {
        self->counts.malformed++;
        return done;
    }
    if (frame.kind != FRAME_BYE) {
        leave_if_done(self, route);
        count_unread(self, client, size);
    }
    frame.slot = frame.generation = 0;
    frame_write(bytes, &frame);
    return forward(FRONTEND_TO_CLIENT, connection);
}

void frontend_replica_lost(frontend_t *self, now_t now, uint32_t link)
{
    enter(self, now);
    replica_t *replica = replica_by_link(self, link);
    if (replica != NULL)
        lose_replica(self, replica, "connection closed");
}

/* ---- time ---- */

static void tick_replica(frontend_t *self, replica_t *replica)
{
    int64_t now_ms = self->now.boot_ms;
    if (replica->state == REPLICA_IDLE) {
        if (now_ms >= replica->retry_ms) {
            greet(self, replica);
            send_link_hello(self, replica);
        }
    } else if (now_ms - replica->heard_ms >= FRONTEND_SILENCE_MS) {
        lose_replica(self, replica, silent);
    } else if (now_ms - replica->pinged_ms >= FRONTEND_HEARTBEAT_MS) {
        replica->pinged_ms = now_ms;
        if (replica->state == REPLICA_GREETED) {
            send_link_hello(self, replica);
        } else {
            const frame_t ping = {.kind = FRAME_PING, .slot = FRAME_SLOT_LINK};
            send_replica(self, replica, ping);
        }
    }
}

/* A client that left without a word shows when a probe cannot be sent to it. */
static void probe_clients(frontend_t *self)
{
    client_t *client;
    client_t *following;
    HASH_ITER(hh, self->clients, client, following)
    {
        if (self->now.boot_ms >= client->probe_ms) {
            client->probe_ms = self->now.boot_ms + FRONTEND_PROBE_MS;
            ping_client(self, client);
        }
        if (client->is_leaving)
            self->probe_ms = time_earlier(self->probe_ms, client->probe_ms);
    }
}

void frontend_tick(frontend_t *self, now_t now)
{
    enter(self, now);
    for (size_t i = self->replicas_size; i-- > 0;) {
        const replica_t *replica = self->replicas[i];
        if (replica->state == REPLICA_IDLE && !replica->is_static &&
            now.boot_ms - replica->seen_ms >= FRONTEND_FORGET_MS)
            remove_replica(self, i);
        else
            tick_replica(self, self->replicas[i]);
    }
    if (now.boot_ms >= self->probe_ms) {
        self->probe_ms = now.boot_ms + FRONTEND_PROBE_MS;
        probe_clients(self);
    }
}

int64_t frontend_deadline(const frontend_t *self)
{
    int64_t deadline = self->probe_ms;
    for (size_t i = 0; i < self->replicas_size; i++) {
        const replica_t *replica = self->replicas[i];
        int64_t next = replica->state == REPLICA_IDLE ? replica->retry_ms
                                                      : replica->pinged_ms + FRONTEND_HEARTBEAT_MS;
        deadline = next < deadline ? next : deadline;
    }
    return deadline;
}

/* ---- looking at it ---- */

frontend_info_t frontend_info(const frontend_t *self, now_t now)
{
    return (frontend_info_t){
        .incarnation = self->config.incarnation,
        .age_ms = now.boot_ms - self->started_ms,
        .clients = HASH_COUNT(self->clients),
        .sessions = HASH_COUNT(self->sessions),
        .routes = HASH_COUNT(self->routes),
        .in_flight = self->in_flight,
        .unread = self->unread,
        .counts = &self->counts,
    };
}

bool frontend_replica_info(const frontend_t *self, size_t i, frontend_replica_info_t *out)
{
    if (i >= self->replicas_size)
        return false;
    const replica_t *replica = self->replicas[i];
    *out = (frontend_replica_info_t){
        .id = replica->id,
        .incarnation = replica->incarnation,
        .host = replica->host,
        .port = replica->port,
        .is_connected = replica->state == REPLICA_UP,
        .status = replica->status,
        .sessions = replica->sessions,
        .vector = &replica->vector,
    };
    return true;
}

size_t frontend_routes(const frontend_t *self, frontend_route_info_t *list, size_t most)
{
    size_t count = 0;

    for (const route_t *route = self->routes; route != NULL && count < most; route = route->hh.next)
        list[count++] = (frontend_route_info_t){
            .connection = route->client->connection,
            .replica = route->replica->id,
            .sessions = route->sessions,
            .in_flight = route->in_flight,
        };
    return count;
}
