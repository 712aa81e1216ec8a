/*
 * The documents with which nodes answer DIGESTS and SHOWN, for comparing replicas while they serve
 * (docs/protocol.md, "Control").
 *
 * Keys fall into buckets by the first bits of their hash, which is the same at all nodes of a
 * cluster. Where the digests of a bucket differ its keys are asked for one by one, each with the
 * updates that make it as it shows: with the vector of the node that tells whether both had the
 * same to go by. Decoded structs borrow from the document.
 */
#ifndef HEARSAY_BUS_WIRE_COMPARE_H
#define HEARSAY_BUS_WIRE_COMPARE_H

#include "bus/base/hlc.h"
#include "bus/wire/command.h"
#include "bus/wire/mp.h"

enum {
    COMPARE_BITS_MAX = 16,      /* so there are 65,536 buckets at most */
    COMPARE_DIGESTS_MAX = 8192, /* in one document */
    COMPARE_KEYS_MAX = 4096,    /* likewise */
};

/* What hearsayctl asks about. */
typedef struct compare_at {
    uint8_t bits;    /* 1 << bits buckets */
    uint32_t bucket; /* DIGESTS: the first; SHOWN: the only one */
    hlc_t clock;     /* deadlines at or under it count as passed */
} compare_at_t;

/* ---- DIGESTS ---- */

typedef struct compare_digests {
    uint16_t id;          /* of the node */
    uint64_t incarnation; /* likewise */
    uint32_t count;       /* from the bucket that was asked for on; at least 1 */
    slice_t digests_at;
} compare_digests_t;

void compare_digests_put(buf_t *out, const compare_digests_t *digests, const uint64_t *sums);
bool compare_digests_read(slice_t document, compare_digests_t *out);

/* Of the i-th bucket, i < count. */
uint64_t compare_digest(const compare_digests_t *digests, uint32_t i);

/* ---- SHOWN ---- */

typedef struct compare_key {
    slice_t key;
    slice_t type; /* as the command type says it; "none" */
    uint64_t digest;
    slice_t dots; /* updates that make it as it shows, a msgpack vector */
} compare_key_t;

typedef struct compare_shown {
    uint16_t id;
    uint64_t incarnation;
    bool is_cut;    /* there are more than COMPARE_KEYS_MAX */
    slice_t vector; /* value timestamp, final counts included, a msgpack vector */
    uint32_t keys;
    slice_t keys_at;
} compare_shown_t;

/* One item for keys_at. */
void compare_key_put(buf_t *out, const compare_key_t *key, const vec_t *dots);
/* The next of keys_at, opened with mp_open; false at the end. */
bool compare_key_next(mp_t *in, compare_key_t *out);

void compare_shown_put(buf_t *out, const compare_shown_t *shown, const vec_t *vector);
bool compare_shown_read(slice_t document, compare_shown_t *out);

#endif
