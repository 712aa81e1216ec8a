/*
 * The documents with which nodes and brokers answer EVENTS, KEY and SESSIONS of hearsayctl
 * (docs/protocol.md, "Control").
 *
 * Items are appended one by one and then given to the document's writer as their bytes; a reader
 * has checked them when it returns true. Decoded structs borrow from the document.
 */
#ifndef HEARSAY_BUS_WIRE_INSPECT_H
#define HEARSAY_BUS_WIRE_INSPECT_H

#include "bus/wire/control.h"

enum {
    INSPECT_EVENTS_MAX = 1024, /* in one document */
    INSPECT_ROUTES_MAX = 1000, /* likewise */
};

/* ---- EVENTS ---- */

typedef struct inspect_event {
    uint64_t number;
    int64_t wall_us; /* microseconds since 1970 */
    slice_t name;
    slice_t text;
} inspect_event_t;

typedef struct inspect_events {
    control_kind_t program;
    uint16_t id;   /* of a node */
    uint16_t port; /* first of the block, as others are told */
    uint64_t incarnation;
    uint32_t events;
    slice_t events_at;
} inspect_events_t;

void inspect_event_put(buf_t *out, const inspect_event_t *event);
/* The next of events_at, opened with mp_open; false at the end. */
bool inspect_event_next(mp_t *in, inspect_event_t *out);
void inspect_events_put(buf_t *out, const inspect_events_t *events);
bool inspect_events_read(slice_t document, inspect_events_t *out);

/* ---- KEY ---- */

/* A key at one replica. */
typedef struct inspect_key {
    uint16_t id;
    uint64_t incarnation;
    slice_t type;              /* as the command type says it; "none" */
    uint64_t size;             /* bytes of a register; fields or elements */
    hlc_t deadline;            /* 0: none */
    hlc_t tag;                 /* greatest of what makes it as it shows, 0: none */
    slice_t dots;              /* updates that make it as it shows, a msgpack vector */
    uint64_t updates_waiting;  /* held back */
    uint64_t requests_waiting; /* for what their session has seen */
} inspect_key_t;

void inspect_key_put(buf_t *out, const inspect_key_t *key, const vec_t *dots);
bool inspect_key_read(slice_t document, inspect_key_t *out);

/* ---- SESSIONS ---- */

/* Sessions of one client connection at one replica. */
typedef struct inspect_route {
    uint32_t connection;
    uint16_t replica;
    uint64_t sessions;
    uint64_t in_flight; /* bytes */
} inspect_route_t;

typedef struct inspect_sessions {
    uint64_t incarnation; /* of the broker */
    uint16_t port;
    uint64_t sessions;
    uint64_t routes; /* of which so many follow */
    uint32_t routes_here;
    slice_t routes_at;
} inspect_sessions_t;

void inspect_route_put(buf_t *out, const inspect_route_t *route);
bool inspect_route_next(mp_t *in, inspect_route_t *out);
void inspect_sessions_put(buf_t *out, const inspect_sessions_t *sessions);
bool inspect_sessions_read(slice_t document, inspect_sessions_t *out);

#endif
