/*
 * What clients, brokers and replicas say to one another: the bodies of frames (docs/protocol.md,
 * "Sessions", "Requests and replies", "Status").
 *
 * Decoded structs borrow from the message. Decoders return false for a malformed body; fields that
 * a newer peer appended are skipped.
 */
#ifndef HEARSAY_BUS_WIRE_SESSION_H
#define HEARSAY_BUS_WIRE_SESSION_H

#include "bus/base/hlc.h"
#include "bus/base/outcome.h"
#include "bus/wire/command.h"
#include "bus/wire/mp.h"

/* ---- opening ---- */

/* A client opens a session. The token is what the session saw so far. */
typedef struct session_hello {
    uint64_t session; /* random; also the client id in tags and in the executed table */
    uint64_t cluster;
    uint64_t lineage; /* of the token; 0: none yet */
    hlc_t clock;      /* of the token */
    slice_t token;    /* a msgpack vector; read with mp_vector */
    int32_t pin;      /* a replica id, or -1 */
    uint64_t avoid;   /* an incarnation that could not serve it, or 0 */
} session_hello_t;

void session_hello_put(buf_t *out, const session_hello_t *hello, const vec_t *token);
bool session_hello_read(slice_t body, session_hello_t *out);

/* The replica's answer to a session (the broker adds route and window in the header). */
typedef struct session_welcome {
    uint64_t session;
    uint16_t id; /* of the replica */
    uint64_t incarnation;
    uint64_t lineage;
    hlc_t clock;
    slice_t text; /* when the header has a reason: why not */
} session_welcome_t;

void session_welcome_put(buf_t *out, const session_welcome_t *welcome);
bool session_welcome_read(slice_t body, session_welcome_t *out);

/* BYE of one session. */
void session_bye_put(buf_t *out, uint64_t session);
bool session_bye_read(slice_t body, uint64_t *session);

/* ---- requests and replies ---- */

enum {
    REQUEST_FRESH = 1,    /* first transmission: may be answered RETAG */
    REQUEST_LAST_TRY = 2, /* the session has moved enough: wait as long as left_ms allows */
};

typedef struct request {
    uint64_t session;
    uint64_t epoch;
    uint64_t seq;
    uint8_t flags;
    uint32_t left_ms; /* until the caller gives up */
    bool has_token;   /* false: nothing beyond what this session's earlier requests brought */
    hlc_t token_clock;
    slice_t token;  /* a msgpack vector */
    hlc_t hlc;      /* of the tag; 0 for a read */
    uint64_t floor; /* every seq up to it was acknowledged and is covered by the token */
    uint8_t command;
    uint32_t arguments;   /* how many follow */
    slice_t arguments_at; /* their bytes: msgpack bin values one behind the other */
    slice_t whole;        /* the item's own bytes */
} request_t;

/* Appends one item. token NULL: none. */
void request_put(buf_t *out, const request_t *request, const vec_t *token);
/* Reads the next item of an opened body. */
bool request_read(mp_t *in, request_t *out);

typedef struct reply {
    uint64_t session;
    uint64_t epoch;
    uint64_t seq;
    outcome_t
        outcome;     /* RETAG, BUSY, BEHIND, MOVED: turned back with all later ones of the epoch */
    slice_t value;   /* one msgpack value; a text that explains when outcome is an error */
    slice_t token;   /* a msgpack vector: what this request saw and wrote beyond the earlier ones */
    hlc_t clock;     /* the replica's */
    uint16_t copies; /* replicas known to have an update; 0 for a read */
    hlc_t seen_base; /* greatest tag of a set or delete behind the answer, 0: none was looked at */
    hlc_t seen_any;  /* the same, increments included */
} reply_t;

enum { REPLY_COPIES_MAX = 127 }; /* one byte on the wire */

/*
 * Appends one item and returns where in out its copies stand: one byte, so that it can be written
 * when they are known. More than REPLY_COPIES_MAX are given as that.
 */
size_t reply_put(buf_t *out, const reply_t *reply, const vec_t *token);
bool reply_read(mp_t *in, reply_t *out);

/* ---- links between brokers and replicas ---- */

typedef struct link_hello {
    uint64_t cluster;
    uint64_t incarnation; /* the broker's own */
    uint64_t wanted;      /* the replica incarnation that the broker means, 0: any */
} link_hello_t;

void link_hello_put(buf_t *out, const link_hello_t *hello);
bool link_hello_read(slice_t body, link_hello_t *out);

/* What a replica tells its brokers: in WELCOME of a link and in STATUS. */
typedef struct link_status {
    uint16_t id;
    uint64_t incarnation;
    uint64_t lineage;
    uint8_t status;  /* replica_status_t */
    uint64_t serial; /* grows with each change of status; echoed to confirm it */
    hlc_t clock;
    slice_t vector; /* the value timestamp, a msgpack vector */
} link_status_t;

void link_status_put(buf_t *out, const link_status_t *status, const vec_t *vector);
bool link_status_read(slice_t body, link_status_t *out);

/* The states of a replica, on the wire and in tables. */
typedef enum replica_status {
    STATUS_ACTIVE = 0,
    STATUS_OVERLOADED = 1,
    STATUS_OFFLINE = 2,
    STATUS_DRAINING = 3, /* takes no session and hands over those it has, but still gossips */
} replica_status_t;

enum { STATUS_LAST = STATUS_DRAINING };

/* True for a status in which sessions and requests are taken. */
bool status_serves(unsigned status);

/* "active" and so on; static. */
const char *status_name(unsigned status);
/* False when the text is no status. */
bool status_parse(const char *text, replica_status_t *out);

#endif
