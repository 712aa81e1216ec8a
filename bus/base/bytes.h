/*
 * Bytes: a borrowed slice, an owned growing buffer, and big-endian accessors.
 *
 * A slice never owns; whoever hands one out says until when it is valid. A buffer owns its bytes
 * and is a plain struct that lives inside its user: zero it (or buf_init), buf_free it.
 */
#ifndef HEARSAY_BUS_BASE_BYTES_H
#define HEARSAY_BUS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct slice {
    const uint8_t *data;
    size_t size;
} slice_t;

typedef struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
} buf_t;

/* A slice of size bytes at data, borrowed. */
slice_t slice_of(const void *data, size_t size);

/* A slice of a C string without its NUL, borrowed. */
slice_t slice_text(const char *text);

bool slice_equal(slice_t a, slice_t b);

/* Bytewise order, a prefix before what it begins: <0, 0, >0. */
int slice_compare(slice_t a, slice_t b);

/* True when the slice is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(slice_t s);

/*
 * Reads a decimal int64: an optional '-', digits, nothing else; no leading zeros but "0" itself and
 * no "-0", so that every number has one spelling. False when the text is anything else.
 */
bool slice_to_int64(slice_t s, int64_t *value);

void buf_init(buf_t *self);
void buf_free(buf_t *self);

/* Empties it, keeps the memory. */
void buf_reset(buf_t *self);

/* Makes room for extra bytes more and returns where they go; size does not change. */
uint8_t *buf_reserve(buf_t *self, size_t extra);

/* Appends size bytes. */
void buf_append(buf_t *self, const void *data, size_t size);
void buf_append_slice(buf_t *self, slice_t s);
void buf_append_text(buf_t *self, const char *text);
void buf_append_u8(buf_t *self, uint8_t value);

/* Appends formatted text, as printf. */
__attribute__((format(printf, 2, 3))) void buf_printf(buf_t *self, const char *format, ...);

/* What the buffer holds now; valid until the buffer changes. */
slice_t buf_slice(const buf_t *self);

/*
 * The contents as a C string: puts a NUL behind them that does not count; valid until it changes.
 */
const char *buf_text(buf_t *self);

/* Big-endian accessors; the address needs no alignment. */
uint16_t be16_get(const uint8_t *p);
uint32_t be32_get(const uint8_t *p);
uint64_t be64_get(const uint8_t *p);
void be16_put(uint8_t *p, uint16_t value);
void be32_put(uint8_t *p, uint32_t value);
void be64_put(uint8_t *p, uint64_t value);

#endif
