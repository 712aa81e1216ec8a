/*
 * The framing of the update log: segment headers and entries, as pure functions over bytes.
 *
 * The log is one sequence of entries, cut into segments (files). A position is an offset in that
 * sequence: it counts the bytes of entries and not the headers of segments, so it stays the same
 * wherever the segments begin. Numbers are big-endian.
 *
 *   header  magic "HSAYLOG\n", u32 format, u16 node id, u16 0, u64 position of the first entry,
 *           u64 XXH3-64 of the 24 bytes before it
 *   entry   u32 length of the payload, u8 kind, 3 bytes 0, u64 checksum, payload
 *
 * The checksum covers the entry's position, length, kind and payload: the same bytes at another
 * place, as a recycled block of a disk holds them, are no good entry.
 *
 * Torn or damaged. A write that was cut short, by kill -9 or by a power cut, leaves a start of an
 * entry, zeros or a wrong checksum, and nothing after it. Nothing in that tail was acknowledged, so
 * the reader cuts it off and goes on. When a good entry follows, what is before it was complete
 * once and has been damaged since: it is never served and never cut. So a reader for which
 * seglog_next says TORN (with all bytes of the last segment at hand) or DAMAGED asks
 * seglog_find_good. In a segment that is not the last both are damage.
 *
 * Slices that are handed out borrow from the bytes that were given.
 */
#ifndef HEARSAY_REPLICA_CORE_SEGLOG_H
#define HEARSAY_REPLICA_CORE_SEGLOG_H

#include "bus/base/bytes.h"

enum {
    SEGLOG_FORMAT = 1,
    SEGLOG_HEADER_SIZE = 32,
    SEGLOG_ENTRY_OVERHEAD = 16,            /* bytes of an entry besides its payload */
    SEGLOG_PAYLOAD_MAX = 32 * 1024 * 1024, /* bytes; a value of 16 MiB with room to spare */
};

/* What an entry holds. Readers meet other kinds too, those of later versions; 0 is never used. */
typedef enum seglog_kind {
    SEGLOG_KIND_UPDATE = 1,  /* an update record (bus/wire/record.h) */
    SEGLOG_KIND_META = 2,    /* what the log belongs to (seglog_meta_put) */
    SEGLOG_KIND_MEMBERS = 3, /* the rows of members (peer_members_put) */
    SEGLOG_KIND_JOINING = 6, /* a seglog_joining_t: what becomes of the state before it */
    SEGLOG_KIND_ENDED = 5,   /* final counts: a msgpack vector */
    SEGLOG_KIND_FLOOR = 4, /* no update with a tag at or under it is accepted (seglog_floor_put) */
    SEGLOG_KIND_CLOCK = 7, /* a clock that people accepted (seglog_clock_put) */
} seglog_kind_t;

/* ---- segment headers ---- */

typedef struct seglog_header {
    uint32_t format;
    uint16_t node_id;
    uint64_t position; /* of the segment's first entry, in bytes */
} seglog_header_t;

typedef enum seglog_header_state {
    SEGLOG_HEADER_GOOD,
    SEGLOG_HEADER_FOREIGN, /* not a segment of this program */
    SEGLOG_HEADER_NEWER,   /* of a later format; out is filled in */
    SEGLOG_HEADER_DAMAGED, /* cut short or with a wrong checksum */
} seglog_header_state_t;

/* Appends the SEGLOG_HEADER_SIZE bytes of a header in the present format. */
void seglog_header_put(buf_t *out, uint16_t node_id, uint64_t position);

/*
 * Reads the header at the start of bytes. out is filled in for GOOD and NEWER: later formats keep
 * these 32 bytes as they are, whatever they change behind them.
 */
seglog_header_state_t seglog_header_read(slice_t bytes, seglog_header_t *out);

/* ---- entries ---- */

typedef struct seglog_entry {
    uint8_t kind;    /* seglog_kind_t or one of a later version */
    slice_t payload; /* borrowed */
    size_t size;     /* of the whole entry in bytes: what to advance by */
} seglog_entry_t;

typedef enum seglog_state {
    SEGLOG_GOOD,
    SEGLOG_END,     /* no bytes */
    SEGLOG_TORN,    /* the bytes end inside the entry, or all of them are 0 */
    SEGLOG_DAMAGED, /* no entry of this position */
} seglog_state_t;

/* Appends an entry. kind is not 0, payload at most SEGLOG_PAYLOAD_MAX (both asserted). */
void seglog_entry_put(buf_t *out, uint64_t position, uint8_t kind, slice_t payload);

/*
 * Reads the entry at the start of bytes, which is at position in the log. out is filled in for GOOD
 * alone. TORN from a part of a segment means: come back with more of it.
 */
seglog_state_t seglog_next(slice_t bytes, uint64_t position, seglog_entry_t *out);

/*
 * True when a good entry begins in bytes at the offset from or later; position is that of bytes[0].
 *
 * bytes are what is left of the last segment from the entry that would not read, and from is 1. The
 * work is bounded: bytes made so that very many offsets look like entries are taken to hold one,
 * since to call damage a torn tail loses updates and the reverse only asks for a person.
 */
bool seglog_find_good(slice_t bytes, uint64_t position, size_t from);

/*
 * Where in rest, which begins with an entry that would not read, the next good one begins;
 * rest.size when there is none. position is that of rest.
 */
size_t seglog_next_good(slice_t rest, uint64_t position);

/* ---- the payload of a META entry ---- */

/* Appends [lineage]. */
void seglog_meta_put(buf_t *out, uint64_t lineage);

/* Reads it; fields that later versions append are skipped. False when malformed. */
bool seglog_meta_read(slice_t payload, uint64_t *lineage);

typedef enum seglog_joining {
    SEGLOG_JOINING_NOT = 0,
    SEGLOG_JOINING_LEFT = 1,    /* the node has left: it is to be replaced by another's */
    SEGLOG_JOINING_ADOPTED = 2, /* it was, and all of that is in the checkpoint */
    SEGLOG_JOINING_MEMBER = 3,  /* it is to be replaced, the node is a member as before */
    SEGLOG_JOINING_DAMAGED = 4, /* likewise, and what was behind it in the log is not in here */
} seglog_joining_t;

static inline bool seglog_is_joining(seglog_joining_t what)
{
    return what != SEGLOG_JOINING_NOT && what != SEGLOG_JOINING_ADOPTED;
}

/* The payload of a FLOOR or JOINING entry, likewise: [number]. */
void seglog_number_put(buf_t *out, uint64_t number);
bool seglog_number_read(slice_t payload, uint64_t *number);

/* The payload of a CLOCK entry, likewise: [clock, its lead over the machine's clock in ms]. */
void seglog_clock_put(buf_t *out, uint64_t clock, int64_t lead_ms);
bool seglog_clock_read(slice_t payload, uint64_t *clock, int64_t *lead_ms);

#endif
