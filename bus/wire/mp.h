/*
 * msgpack, in two halves: a writer over msgpack-c's packer into a buf_t, and a cursor that reads
 * foreign bytes in place.
 *
 * The cursor never allocates, never recurses deeper than MP_DEPTH_MAX and never believes a length
 * that the message has no bytes for, so a hostile message costs no more than its own size. Errors
 * are sticky: after the first one every read answers 0, nil or empty and mp_ok() is false, so a
 * decoder reads all its fields and checks once. What a cursor hands out is borrowed from the
 * message. Unknown trailing fields of an array are skipped by mp_array_end(), which is how versions
 * grow.
 */
#ifndef HEARSAY_BUS_WIRE_MP_H
#define HEARSAY_BUS_WIRE_MP_H

#include "bus/base/bytes.h"
#include "bus/base/vector.h"

enum { MP_DEPTH_MAX = 16 };

/* ---- writing ---- */

void mp_put_array(buf_t *out, uint32_t items);
void mp_put_map(buf_t *out, uint32_t pairs);
void mp_put_nil(buf_t *out);
void mp_put_bool(buf_t *out, bool value);
void mp_put_uint(buf_t *out, uint64_t value);
void mp_put_int(buf_t *out, int64_t value);
/* As bin: bytes of any kind. */
void mp_put_bin(buf_t *out, slice_t value);
/* As str: text. */
void mp_put_str(buf_t *out, slice_t value);
void mp_put_text(buf_t *out, const char *value);
/* A vector as a flat array: incarnation, count, incarnation, count, … in its order. */
void mp_put_vector(buf_t *out, const vec_t *value);

/* ---- reading ---- */

typedef enum mp_type {
    MP_NIL,
    MP_BOOL,
    MP_UINT,  /* an integer >= 0 */
    MP_INT,   /* an integer < 0 */
    MP_BYTES, /* str or bin */
    MP_ARRAY,
    MP_MAP,
    MP_OTHER, /* float, ext: skipped, never used */
    MP_END,   /* nothing left, or an error before */
} mp_type_t;

typedef struct mp {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
} mp_t;

mp_t mp_open(slice_t message);
bool mp_ok(const mp_t *self);
/* Marks the message as malformed; for limits that the decoder checks itself. */
void mp_fail(mp_t *self);
/* True when all bytes were read and none was wrong. */
bool mp_done(const mp_t *self);

/* The type of the next value; reads nothing. */
mp_type_t mp_peek(const mp_t *self);
bool mp_nil(mp_t *self); /* reads a nil if one is next; false: nothing was read */
bool mp_bool(mp_t *self);
uint64_t mp_uint(mp_t *self);
int64_t mp_int(mp_t *self);
slice_t mp_bytes(mp_t *self);
/* The number of items that follow; fails over items_max or when the bytes cannot hold them. */
uint32_t mp_array(mp_t *self, uint32_t items_max);
uint32_t mp_map(mp_t *self, uint32_t pairs_max);
/* Skips what is left of an array: items counted by the header less those read. */
void mp_array_end(mp_t *self, uint32_t items, uint32_t read);
/* Skips one value whole and returns its bytes. */
slice_t mp_skip(mp_t *self);
/*
 * Reads a vector into out (which it resets); fails on wrong order, zero counts or too many parts.
 */
void mp_vector(mp_t *self, vec_t *out);
/* The same with at most that many parts. */
void mp_vector_of(mp_t *self, vec_t *out, uint32_t parts_max);

#endif
