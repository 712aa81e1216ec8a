/*
 * The input of fuzz_replica: events one behind the other, each an event_kind_t, a number and the
 * size of its bytes (u16), big-endian. What is cut short ends the input.
 */
#ifndef HEARSAY_TESTS_FUZZ_EVENTS_H
#define HEARSAY_TESTS_FUZZ_EVENTS_H

#include "bus/base/bytes.h"

typedef enum event_kind {
    EVENT_SERVICE,      /* bytes: a frame of the link that is the number */
    EVENT_SERVICE_LIVE, /* the same, with the key that the link was given as its route */
    EVENT_SERVICE_LOST,
    EVENT_PEER_ROUTER, /* bytes: a message of the peer that is the number */
    EVENT_PEER,
    EVENT_PEER_LOST,
    EVENT_GOSSIP,
    EVENT_CANDIDATE, /* bytes: a host; the number is the id and gives port and incarnation */
    EVENT_PASS,      /* the number in units of 10 ms */
    EVENT_STATUS,
    EVENT_LOG_READ,      /* what REPLICA_READ asked for, cut by the number of bytes */
    EVENT_CHECKPOINT,    /* the one committed is good if the number is odd; or its room for rows */
    EVENT_FILES_DAMAGED, /* bits of the number: the log, the checkpoint */
    EVENT_KINDS,
} event_kind_t;

enum {
    EVENT_HEAD_SIZE = 4,
    EVENTS_CLUSTER = 0xC1,
    EVENTS_LINEAGE = 0x11,
    EVENTS_INCARNATION = 0xA1, /* of the replica under test */
    EVENTS_PEER = 0xB2,        /* of the other one, in the seeds */
    EVENTS_START = 32,         /* position of the log */
    EVENTS_WALL_MS = 1000000,
    EVENTS_MAX = 1000, /* of one input */
};

static inline void event_put(buf_t *out, event_kind_t kind, uint8_t number, slice_t bytes)
{
    uint8_t size[2];
    be16_put(size, (uint16_t)bytes.size);
    buf_append_u8(out, (uint8_t)kind);
    buf_append_u8(out, number);
    buf_append(out, size, sizeof(size));
    buf_append_slice(out, bytes);
}

#endif
