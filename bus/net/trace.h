/*
 * The trace of a program: what happens in it, published while somebody follows.
 *
 * The XPUB of the trace port says which areas somebody has subscribed to; trace_wants() is one load
 * of that, and nothing is made or copied for an area that nobody wants. The loop thread writes what
 * it has into the message that goes out at the end of its turn. The monitor's thread, which must
 * never wait, puts socket events into a ring that the loop empties; when it is full they are
 * dropped and counted. What a follower is too slow for is dropped by its queue; it sees the gap.
 *
 * The trace owns its ring and buffers; loop and socket stay the caller's.
 */
#ifndef HEARSAY_BUS_NET_TRACE_H
#define HEARSAY_BUS_NET_TRACE_H

#include "bus/base/err.h"
#include "bus/net/loop.h"
#include "bus/wire/trace.h"

typedef struct trace trace_t;

enum {
    TRACE_RING = 1024,                /* socket events between two turns of the loop */
    TRACE_MESSAGE_TARGET = 60 * 1024, /* bytes; then a message goes out within the turn */
};

/* Who speaks; port 0 until it is bound. */
typedef struct trace_source {
    control_kind_t program;
    uint16_t id;
    uint64_t incarnation;
} trace_source_t;

/* Returns 0, or -1 with err when no descriptor is left. */
int trace_open(trace_t **out, const trace_source_t *source, err_t *err);
void trace_destroy(trace_t **self);

/*
 * Begins to serve followers at an XPUB socket, bound already; port: the first of the program's
 * block, as others are told. Returns 0, or -1 with err when the loop is full. trace_leave() before
 * the socket is closed.
 */
int trace_serve(trace_t *self, loop_t *loop, void *xpub, uint16_t port, err_t *err);
void trace_leave(trace_t *self);

/* True while somebody follows the area. From any thread. */
bool trace_wants(const trace_t *self, trace_area_t area);

/*
 * Tells one thing, whose time is set here; nothing happens unless its area is wanted. For the
 * loop's thread alone.
 */
void trace_put(trace_t *self, const trace_item_t *item);

/* The same for the monitor's thread alone. Never waits. */
void trace_put_socket(trace_t *self, const trace_item_t *item);

/* At the end of each turn of the loop: what was told goes out. */
void trace_turn(trace_t *self);

#endif
