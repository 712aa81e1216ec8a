/*
 * The client side of a session as a pure state machine: stamping, pipelining, epochs,
 * retransmission, fail-over (docs/protocol.md, "Sessions"; docs/consistency.md for why the rules
 * are as they are).
 *
 * One client_t is one connection to a broker at a time, with any number of sessions on it. Requests
 * of a session take effect in the order of issue. Only this code sends an update again, always with
 * the same client id, number and tag, so that it takes effect once; what cannot be known is
 * reported as UNKNOWN, and the session then goes on under a new client id.
 *
 * Ladin et al. 1992, section 3.1: the front end's part, with the label of what was seen and a call
 * identifier that a retry keeps. What a session is promised: Terry et al. 1994, Session Guarantees
 * for Weakly Consistent Replicated Data.
 *
 * A caller gives it events, then carries out client_turn()'s effects in order. Effects are valid
 * until the next call that takes a client_t that is not const.
 */
#ifndef HEARSAY_CLIENT_CORE_CLIENT_H
#define HEARSAY_CLIENT_CORE_CLIENT_H

#include "bus/base/hlc.h"
#include "bus/base/outcome.h"
#include "bus/base/vector.h"
#include "bus/wire/mp.h"

typedef struct client client_t;
typedef struct client_session client_session_t;

enum {
    CLIENT_BROKERS_MAX = 64,
    CLIENT_HEARTBEAT_MS = 250,
    CLIENT_SILENCE_MS = 1000, /* a broker silent for so long while it owes an answer is left */
    CLIENT_MOVES_MAX = 2,     /* a session turned back BEHIND so often waits where it is */
    CLIENT_WINDOW_MAX = 4096, /* requests in flight per session: the executed table bounds it */
};

typedef struct client_config {
    uint64_t cluster;
    uint64_t seed;   /* for client ids: from the system's randomness */
    uint32_t window; /* requests in flight per session, 1..CLIENT_WINDOW_MAX */
} client_config_t;

/* What a session carries along: the token. */
typedef struct client_token {
    uint64_t lineage; /* 0: none yet */
    hlc_t clock;
    vec_t seen;
} client_token_t;

typedef enum client_effect_kind {
    CLIENT_CONNECT,    /* a new DEALER to bytes (host) and port, to be known as connection */
    CLIENT_DISCONNECT, /* it away */
    CLIENT_SEND,       /* bytes to the broker */
    CLIENT_DONE,       /* the request of ticket has ended */
    CLIENT_NOTE,       /* bytes: something people may want to see (moved, reconnected) */
} client_effect_kind_t;

typedef struct client_effect {
    client_effect_kind_t kind;
    uint32_t connection;
    uint16_t port;
    outcome_t outcome;
    int32_t replica; /* id of who answered, -1: nobody */
    uint16_t copies;
    uint32_t sends;  /* transmissions it took */
    bool is_relaxed; /* the session gave up, for this one, some of what it had seen */
    uint64_t ticket;
    size_t offset; /* into the arena: for DONE the value, one msgpack value, a text for an error */
    size_t size;
} client_effect_t;

typedef struct client_effects {
    const client_effect_t *list;
    size_t size;
    const uint8_t *arena;
} client_effects_t;

client_t *client_new(const client_config_t *config);
void client_destroy(client_t **self);

/* A broker may be there. Known ones are passed over; over CLIENT_BROKERS_MAX it is ignored. */
void client_broker(client_t *self, now_t now, slice_t host, uint16_t port);

/* How many brokers are known. */
size_t client_brokers(const client_t *self);

/*
 * A new session. token (copied, or NULL): what it is to have seen. pin: a replica id or -1. Owned
 * by the client; ends with client_session_close or the client.
 */
client_session_t *client_session_open(client_t *self, const client_token_t *token, int32_t pin);

/* Ends a session; requests under way end without a CLIENT_DONE. */
void client_session_close(client_t *self, client_session_t *session);

/* What the session has seen so far: borrowed, valid until the next event. */
const client_token_t *client_session_token(const client_t *self, const client_session_t *session);

/* Lets the session know what another one has seen: later requests are causally after it. */
void client_session_merge(client_t *self, client_session_t *session, const client_token_t *token);

/*
 * From now on a request that would end with MISSING goes again, under a new client id, with as much
 * of the session's token as the replica has; or it does not, as at first.
 */
void client_session_relax(client_session_t *session, bool relaxes);

/* True once the session has given something up, whatever became of the request that it was for. */
bool client_session_relaxed(const client_session_t *session);

/*
 * Issues a request. arguments: count msgpack bin values (copied). deadline_ms: in boot time; the
 * request has ended by then. ticket comes back with CLIENT_DONE, exactly once.
 */
void client_submit(client_t *self, now_t now, client_session_t *session, uint64_t ticket,
                   uint8_t command, slice_t arguments, uint32_t count, int64_t deadline_ms);

/*
 * Gives the request of ticket up: it ends now and without a CLIENT_DONE. False when the session has
 * none of this ticket that has not ended. *outcome: UNKNOWN for an update that may have been
 * executed, whereupon the session goes on under a new client id; CANCELLED when nothing came of it.
 */
bool client_cancel(client_t *self, now_t now, client_session_t *session, uint64_t ticket,
                   outcome_t *outcome);

/* Requests that have not ended. */
size_t client_pending(const client_t *self);

/* A frame from the broker of this connection; a connection known to be gone. */
void client_frame(client_t *self, now_t now, uint32_t connection, slice_t frame);
void client_connection_lost(client_t *self, now_t now, uint32_t connection);

/*
 * A broker would not talk to this program, for the reason given. Requests that end while no other
 * has answered end with that reason, and DENIED if it is certain.
 */
void client_denied(client_t *self, now_t now, slice_t why, bool is_certain);

/* Says goodbye to the broker, if there is one; the next turn has the last effects. */
void client_leave(client_t *self, now_t now);

int64_t client_deadline(const client_t *self);
client_effects_t client_turn(client_t *self, now_t now);

#endif
