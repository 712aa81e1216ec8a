/*
 * What a program says of itself while somebody follows it (docs/protocol.md, "Trace"): what happens
 * to its sockets, to requests and to updates, and its events.
 *
 * One PUB message is the topic, a byte that names the area, and a msgpack array: who speaks, how
 * many of the area's things it has said before and how many it had no room for, and some things. A
 * follower counts: what is missing between two messages was lost on the way.
 *
 * Decoded structs borrow from the message; the decoders return false for a malformed one.
 */
#ifndef HEARSAY_BUS_WIRE_TRACE_H
#define HEARSAY_BUS_WIRE_TRACE_H

#include "bus/base/hlc.h"
#include "bus/wire/control.h"

enum {
    TRACE_VERSION = 1,
    TRACE_KEY_MAX = 128,     /* bytes of a key that are told; a longer one is cut */
    TRACE_TEXT_MAX = 160,    /* likewise of a text */
    TRACE_ITEMS_MAX = 65536, /* things in one message */
};

typedef enum trace_area {
    TRACE_SOCKETS,
    TRACE_REQUESTS,
    TRACE_GOSSIP,
    TRACE_EVENTS,
    TRACE_AREAS,
} trace_area_t;

/*
 * What can happen: name in code, area, name for people. Socket events are called as in libzmq.
 * A request goes forwarded, received, (waiting,) replied, returned; an update accepted, logged,
 * published and at each peer (held back,) applied.
 */
#define TRACE_TABLE(X)                                                                             \
    X(LISTENING, SOCKETS, "LISTENING")                                                             \
    X(BIND_FAILED, SOCKETS, "BIND_FAILED")                                                         \
    X(ACCEPTED, SOCKETS, "ACCEPTED")                                                               \
    X(ACCEPT_FAILED, SOCKETS, "ACCEPT_FAILED")                                                     \
    X(CONNECT_DELAYED, SOCKETS, "CONNECT_DELAYED")                                                 \
    X(CONNECT_RETRIED, SOCKETS, "CONNECT_RETRIED")                                                 \
    X(CONNECTED, SOCKETS, "CONNECTED")                                                             \
    X(CLOSED, SOCKETS, "CLOSED")                                                                   \
    X(CLOSE_FAILED, SOCKETS, "CLOSE_FAILED")                                                       \
    X(DISCONNECTED, SOCKETS, "DISCONNECTED")                                                       \
    X(MONITOR_STOPPED, SOCKETS, "MONITOR_STOPPED")                                                 \
    X(HANDSHAKE_SUCCEEDED, SOCKETS, "HANDSHAKE_SUCCEEDED")                                         \
    X(HANDSHAKE_FAILED_NO_DETAIL, SOCKETS, "HANDSHAKE_FAILED_NO_DETAIL")                           \
    X(HANDSHAKE_FAILED_PROTOCOL, SOCKETS, "HANDSHAKE_FAILED_PROTOCOL")                             \
    X(HANDSHAKE_FAILED_AUTH, SOCKETS, "HANDSHAKE_FAILED_AUTH")                                     \
    X(FORWARDED, REQUESTS, "forwarded") /* by a broker to a replica */                             \
    X(RECEIVED, REQUESTS, "received")   /* by a node */                                            \
    X(WAITING, REQUESTS, "waiting")     /* for an update that the session has seen */              \
    X(REPLIED, REQUESTS, "replied")     /* by a node, executed or turned back */                   \
    X(RETURNED, REQUESTS, "returned")   /* the reply, by a broker to the client */                 \
    X(UPDATE_ACCEPTED, GOSSIP, "accepted")                                                         \
    X(UPDATE_LOGGED, GOSSIP, "logged")                                                             \
    X(UPDATE_PUBLISHED, GOSSIP, "published")                                                       \
    X(UPDATE_HELD, GOSSIP, "held back")                                                            \
    X(UPDATE_REFUSED, GOSSIP, "no room") /* to hold it back: it will be pulled again */            \
    X(UPDATE_APPLIED, GOSSIP, "applied")                                                           \
    X(EVENT, EVENTS, "event")

typedef enum trace_kind {
#define TRACE_ENUM(id, area, name) TRACE_##id,
    TRACE_TABLE(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_KINDS,
} trace_kind_t;

/* "held back" and so on, "unknown" for a number of a later version; static. */
const char *trace_kind_name(unsigned kind);
trace_area_t trace_kind_area(trace_kind_t kind);

/* "sockets" and so on; static. */
const char *trace_area_name(trace_area_t area);
/* The byte that messages of the area begin with, and that is subscribed to. */
uint8_t trace_topic(trace_area_t area);
/* False when no area has the topic. */
bool trace_area_of(uint8_t topic, trace_area_t *area);

/* Something that happened. What does not apply is 0 or empty. */
typedef struct trace_item {
    int64_t wall_us; /* microseconds since 1970 by the program's clock */
    unsigned kind;   /* trace_kind_t, or one of a later version */
    uint32_t link;   /* number of a connection in its program */
    vec_part_t update;
    uint64_t session;
    uint64_t seq; /* of the request in its session; of an event its number */
    slice_t key;
    slice_t text; /* which socket and address, why, what came of it */
} trace_item_t;

/* Appends one item; what is too long is cut. */
void trace_item_put(buf_t *out, const trace_item_t *item);
/* The next item, opened with mp_open; false at the end or when malformed. */
bool trace_item_next(mp_t *in, trace_item_t *out);

typedef struct trace_batch {
    trace_area_t area;
    control_kind_t program; /* a node or a broker */
    uint16_t id;            /* of a node */
    uint16_t port;          /* first of its block, as others are told */
    uint64_t incarnation;
    uint64_t before;  /* items of the area told before these */
    uint64_t dropped; /* items of the area that there was no room for, so far */
    uint32_t items;   /* may be 0: somebody has begun to follow */
    slice_t items_at;
} trace_batch_t;

void trace_batch_put(buf_t *out, const trace_batch_t *batch);
bool trace_batch_read(slice_t message, trace_batch_t *out);

#endif
