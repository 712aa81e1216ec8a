/*
 * The front end as a pure state machine: which replica serves a session, and the way there and
 * back.
 *
 * Coulouris et al., Distributed Systems, section 18.4.1, "The gossip architecture": a front end
 * finds an active replica for a session, an overloaded one only if there is no active one, and
 * stays with it. What is forwarded by is a route = client connection x replica. Headers are
 * rewritten in place; bodies are opened only for HELLO, WELCOME, BYE and STATUS. No request is kept
 * or sent again: when a replica goes, its clients are told once per route (ROUTE_LOST), after the
 * replies that came before.
 *
 * A caller gives it events as they come. After each it first forwards the message it gave, if told
 * so, then carries out frontend_effects() in order. Effects are valid until the next event.
 */
#ifndef HEARSAY_FRONTEND_CORE_FRONTEND_H
#define HEARSAY_FRONTEND_CORE_FRONTEND_H

#include "bus/base/hlc.h"
#include "bus/base/siphash.h"
#include "bus/base/vector.h"
#include "bus/wire/session.h"

typedef struct frontend frontend_t;

typedef struct frontend_config {
    uint64_t cluster;
    uint64_t incarnation;    /* random, of this start */
    siphash_key_t secret;    /* random; told to nobody, so that answers to PING are not guessed */
    uint32_t replica_window; /* bytes in flight to one replica; 0: FRONTEND_REPLICA_WINDOW */
    uint32_t clients_max;    /* connections; 0, or more than that: FRONTEND_CLIENTS_MAX */
} frontend_config_t;

/* Limits; over them a HELLO or request is answered BUSY and counted. */
enum {
    FRONTEND_REPLICAS_MAX = 64,
    FRONTEND_CLIENTS_MAX = 16384,
    FRONTEND_ROUTES_MAX = 65536,
    FRONTEND_SESSIONS_MAX = 200000,
    FRONTEND_WINDOW = 4 * 1024 * 1024,          /* bytes in flight on one route */
    FRONTEND_REPLICA_WINDOW = 64 * 1024 * 1024, /* bytes in flight to one replica */
    /*
     * Bytes sent to a client that it has not read: over the first its requests are turned back and
     * it opens no session, over the second it is let go: to begin anew, with another connection.
     * It says what it read by answering a PING each FRONTEND_MARK. Over the total, of all clients,
     * whoever has not answered one is turned back.
     */
    FRONTEND_UNREAD_WINDOW = 16 * 1024 * 1024,
    FRONTEND_UNREAD_MAX = 256 * 1024 * 1024,
    FRONTEND_UNREAD_TOTAL = 1024 * 1024 * 1024,
    FRONTEND_MARK = 1024 * 1024,
    FRONTEND_HEARTBEAT_MS = 250,
    FRONTEND_SILENCE_MS = 1000,
    FRONTEND_FORGET_MS = 60000, /* a lost replica that no beacon named for so long is not tried */
    FRONTEND_PROBE_MS = 5000,   /* a client silent for so long is probed: is it still connected? */
    FRONTEND_LEAVE_MS = 250,    /* the same of one that has left before it had read everything */
};

/* What becomes of the message that was given. */
typedef enum frontend_way {
    FRONTEND_DONE,       /* nothing more */
    FRONTEND_TO_CLIENT,  /* forward it to the client connection */
    FRONTEND_TO_REPLICA, /* forward it to the replica link */
} frontend_way_t;

typedef struct frontend_forward {
    frontend_way_t way;
    uint32_t target;
} frontend_forward_t;

typedef enum frontend_effect_kind {
    FRONTEND_SEND_CLIENT,  /* bytes to a client connection */
    FRONTEND_SEND_REPLICA, /* bytes to a replica link */
    FRONTEND_CONNECT,      /* a DEALER to bytes (host) and port, to be known as link */
    FRONTEND_DISCONNECT,   /* it away */
    FRONTEND_NOTE,         /* bytes: a log line */
} frontend_effect_kind_t;

typedef struct frontend_effect {
    frontend_effect_kind_t kind;
    uint32_t target; /* connection or link */
    uint16_t port;
    uint8_t level; /* of a note: 0 error, 1 warn, 2 info, 3 debug */
    size_t offset; /* into the arena */
    size_t size;
} frontend_effect_t;

typedef struct frontend_effects {
    const frontend_effect_t *list;
    size_t size;
    const uint8_t *arena;
} frontend_effects_t;

frontend_t *frontend_new(const frontend_config_t *config, now_t now);
void frontend_destroy(frontend_t **self);

frontend_effects_t frontend_effects(const frontend_t *self);

/*
 * A node may be there: host and its service port. Incarnation 0 (id is then not looked at): whoever
 * is at that address; tried for ever, and a new incarnation there takes the place of the old one.
 */
void frontend_candidate(frontend_t *self, now_t now, uint16_t id, uint64_t incarnation,
                        slice_t host, uint16_t port);

/* A frame from a client or a replica; its header may be rewritten in place. */
frontend_forward_t frontend_client(frontend_t *self, now_t now, uint32_t connection, uint8_t *frame,
                                   size_t size);
frontend_forward_t frontend_replica(frontend_t *self, now_t now, uint32_t link, uint8_t *frame,
                                    size_t size);

/*
 * A connection is known to be gone, or, to a replica, cannot take more. One to a client that cannot
 * take more is there, with all that is queued for it.
 */
void frontend_client_lost(frontend_t *self, now_t now, uint32_t connection);
void frontend_client_full(frontend_t *self, now_t now, uint32_t connection);
void frontend_replica_lost(frontend_t *self, now_t now, uint32_t link);

int64_t frontend_deadline(const frontend_t *self);
void frontend_tick(frontend_t *self, now_t now);

/* ---- looking at it ---- */

typedef struct frontend_counts {
    uint64_t requests; /* items forwarded */
    uint64_t replies;  /* items forwarded */
    uint64_t hellos;
    uint64_t turned_back;   /* messages */
    uint64_t busy;          /* all of the following */
    uint64_t busy_client;   /* in flight on one route, or sent and not read */
    uint64_t busy_replica;  /* in flight to one replica */
    uint64_t busy_sessions; /* sessions or routes */
    uint64_t busy_connections;
    uint64_t slow_clients;  /* let go as they did not read */
    uint64_t client_losses; /* gone without a word, or with a full queue */
    uint64_t routes_lost;
    uint64_t handed_over; /* sessions that left a replica which is draining or offline */
    uint64_t not_reached; /* sessions for which there was no replica */
    uint64_t malformed;
    uint64_t dropped; /* answers whose client or session is gone */
} frontend_counts_t;

typedef struct frontend_info {
    uint64_t incarnation;
    int64_t age_ms;
    size_t clients;
    size_t sessions;
    size_t routes;
    uint64_t in_flight; /* bytes */
    uint64_t unread;    /* bytes sent to clients that have not said that they read them */
    const frontend_counts_t *counts;
} frontend_info_t;

typedef struct frontend_replica_info {
    uint16_t id;
    uint64_t incarnation;
    const char *host;
    uint16_t port;
    bool is_connected;
    uint8_t status;
    uint32_t sessions;
    const vec_t *vector; /* borrowed */
} frontend_replica_info_t;

/* Sessions of one client connection at one replica. */
typedef struct frontend_route_info {
    uint32_t connection;
    uint16_t replica; /* id */
    uint32_t sessions;
    uint64_t in_flight; /* bytes */
} frontend_route_info_t;

frontend_info_t frontend_info(const frontend_t *self, now_t now);
/* Fills in the list with up to most routes, the oldest first; returns how many. */
size_t frontend_routes(const frontend_t *self, frontend_route_info_t *list, size_t most);
/* The i-th replica; false behind the last. */
bool frontend_replica_info(const frontend_t *self, size_t i, frontend_replica_info_t *out);

#endif
