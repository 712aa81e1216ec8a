/*
 * The update record: what is logged, published and pulled, encoded once by the replica that
 * accepted it and never changed again (docs/protocol.md, "Update record"; Ladin et al. 1992,
 * section 3.1, the log record with its node, timestamp and cid).
 *
 *   [origin, n, deps, hlc, client, seq, floor, result, ops]
 *
 * Operation i has the tag (hlc + i, client, seq).
 */
#ifndef HEARSAY_BUS_WIRE_RECORD_H
#define HEARSAY_BUS_WIRE_RECORD_H

#include "bus/base/hlc.h"
#include "bus/wire/mp.h"

typedef enum op_code {
    OP_SET = 1,    /* key, value */
    OP_DEL = 2,    /* key: of every type */
    OP_INCR = 3,   /* key, amount */
    OP_HSET = 4,   /* key, field, value */
    OP_HDEL = 5,   /* key, field */
    OP_HINCR = 6,  /* key, field, amount */
    OP_SADD = 7,   /* key, field: the element */
    OP_SREM = 8,   /* key, field: the element */
    OP_EXPIRE = 9, /* key, amount: a deadline as an hlc_t, 0 for none any more */
} op_code_t;

enum { OPS_MAX = 1024 }; /* in one record */

/* "set" and so on, as the command that makes it is called; static. */
const char *op_name(uint8_t code);

typedef struct op {
    uint8_t code;
    slice_t key;
    slice_t field;
    slice_t value;
    int64_t amount;
} op_t;

typedef struct record {
    uint64_t origin; /* incarnation of the replica that accepted it */
    uint64_t n;      /* its n-th update, from 1 */
    vec_t deps;      /* what the session had seen that n does not say; no part for origin */
    tag_t tag;       /* of the first operation */
    uint64_t floor;  /* every seq of the client up to it was acknowledged and is covered by deps */
    slice_t result;  /* what the client is answered: one msgpack value */
    slice_t ops;     /* the operations: an array header and that many op values */
} record_t;

/* A record's deps own memory: start from {0}, record_free at the end; reading again reuses it. */
void record_free(record_t *self);

/*
 * Operations and result of an update that came back too late to count (replica/core/transfer.c): an
 * empty array, which is the result of no update; static.
 */
slice_t record_nothing(void);

/* Appends the record. */
void record_put(buf_t *out, const record_t *record);

/* Reads exactly one record from bytes; result and ops borrow from them. False when malformed. */
bool record_read(slice_t bytes, record_t *out);

/* Only who and which, without the rest: for a filter over a log. */
bool record_peek(slice_t bytes, uint64_t *origin, uint64_t *n);

void op_put(buf_t *out, const op_t *op);

/* Reads the operation that is next; false when malformed or of an unknown code. */
bool op_read(mp_t *in, op_t *out);

#endif
