/*
 * Fields of message arrays, read with the bounds that they have.
 *
 * A body is an array of a fixed number of leading fields, and of a newer program some more, which
 * are skipped: how messages may grow. What is out of bounds marks the reader as failed, as the
 * functions of mp.h do. Nothing is owned; slices borrow from the message.
 */
#ifndef HEARSAY_BUS_WIRE_FIELDS_H
#define HEARSAY_BUS_WIRE_FIELDS_H

#include "bus/wire/mp.h"

/*
 * Opens an array with at least the needed fields; returns how many it has, for fields_close.
 */
uint32_t fields_open(mp_t *in, uint32_t needed);

/* Skips what is behind the fields that were read; true when the whole message was good. */
bool fields_close(mp_t *in, uint32_t items, uint32_t read);

/* A number of at most so much; 0 for a greater one, which fails. */
uint64_t fields_uint(mp_t *in, uint64_t most);
uint8_t fields_u8(mp_t *in);
uint16_t fields_u16(mp_t *in);
uint32_t fields_u32(mp_t *in);

/* Text or bytes of at most so many. */
slice_t fields_bytes(mp_t *in, size_t most);

/* A vector as its bytes, to be read with mp_vector by who needs it: here it is only an array. */
slice_t fields_vector(mp_t *in);

/* The same, checked as it passes: it may have final counts in it (VEC_WHOLE_MAX). */
slice_t fields_whole_vector(mp_t *in);

/* Reads one item and forgets it; false when it is malformed. */
typedef bool fields_skip_fn(mp_t *in);

/*
 * The items of an array of at most so many as their bytes, and into count how many they are. Each
 * is read once, so that later readers cannot meet a bad one.
 */
slice_t fields_items(mp_t *in, uint32_t most, fields_skip_fn *skip, uint32_t *count);

/* What fields_items reads. */
void fields_items_put(buf_t *out, uint32_t count, slice_t items);

#endif
