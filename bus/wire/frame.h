/*
 * The frame between client, broker and replica: a header of 32 bytes, rewritten in place on its
 * way, and a msgpack body that brokers do not open (docs/protocol.md, "Frames").
 *
 *   0 u8 magic   1 u8 version   2 u8 kind   3 u8 flags
 *   4 u16 items  6 u16 reason
 *   8 u32 slot  12 u32 generation
 *  16 u32 route 20 u32 window
 *  24 u64 message
 *
 * Big-endian; the bytes need no alignment. The broker owns slot and generation (its return path); a
 * replica echoes them.
 */
#ifndef HEARSAY_BUS_WIRE_FRAME_H
#define HEARSAY_BUS_WIRE_FRAME_H

#include "bus/base/bytes.h"

enum {
    FRAME_HEADER_SIZE = 32,
    FRAME_MAGIC = 0xE5,
    FRAME_VERSION = 1,
    FRAME_ITEMS_MAX = 256,
    FRAME_BODY_TARGET = 64 * 1024, /* a sender closes a frame of several items at this size */
};

/* The slot of what a broker says for itself, not for one of its clients. */
#define FRAME_SLOT_LINK UINT32_MAX

typedef enum frame_kind {
    FRAME_HELLO = 1,   /* opens a session; with FRAME_SLOT_LINK: a broker's link to a replica */
    FRAME_WELCOME = 2, /* answers HELLO; reason 0, or why not */
    FRAME_REQUEST = 3, /* items from a client */
    FRAME_REPLY = 4,   /* items from a replica: exactly one for each request item */
    FRAME_TURNED_BACK =
        5, /* a broker: this message was not forwarded, nor will later ones of its route */
    FRAME_ROUTE_LOST = 6, /* a broker: the replica of this route is gone */
    FRAME_PING = 7,       /* flags 0 asks, FRAME_ANSWER answers */
    FRAME_STATUS = 8,     /* a replica to its brokers; FRAME_ANSWER confirms */
    FRAME_BYE = 9,        /* closes a session, or the whole connection when the body is empty */
} frame_kind_t;

enum { FRAME_ANSWER = 1 };

typedef struct frame {
    uint8_t kind;
    uint8_t flags;
    uint16_t items;
    uint16_t reason; /* an outcome_t */
    uint32_t slot;
    uint32_t generation;
    uint32_t route;
    uint32_t window; /* bytes: allowed in flight (WELCOME), answered by this frame (REPLY) */
    uint64_t message;
} frame_t;

/* Why a frame could not be read. */
typedef enum frame_fault {
    FRAME_GOOD,
    FRAME_NOT_OURS,      /* too short, or another magic */
    FRAME_OTHER_VERSION, /* answer with BYE so that the other end can say so */
} frame_fault_t;

frame_fault_t frame_read(slice_t message, frame_t *out);

/* Writes the header over the first FRAME_HEADER_SIZE bytes at p. */
void frame_write(uint8_t *p, const frame_t *frame);

/* The body behind the header; borrowed from message, which must be a good frame. */
slice_t frame_body(slice_t message);

/* Appends a header to out; the body is appended by the caller. Returns where the header starts. */
size_t frame_begin(buf_t *out, const frame_t *frame);

#endif
