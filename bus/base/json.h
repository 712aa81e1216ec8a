/*
 * A JSON writer (RFC 8259) into a buffer: it puts the commas, the quotes and the escapes.
 *
 * The writer is a small value that borrows the buffer; nothing is allocated but the buffer's
 * growth. Each call takes a key: the member's name inside an object, NULL inside an array and on
 * top. The wrong one, too many or missing json_end calls, and nesting over JSON_DEPTH_MAX are our
 * own mistakes and asserted. The output is one line without blanks; who wants a newline appends it.
 *
 * Integers are written in full; a reader that keeps numbers as doubles loses those over 2^53, so
 * ids and counters that can be greater are better given as text.
 */
#ifndef HEARSAY_BUS_BASE_JSON_H
#define HEARSAY_BUS_BASE_JSON_H

#include "bus/base/bytes.h"

enum { JSON_DEPTH_MAX = 16 };

typedef struct json {
    buf_t *out;
    uint32_t depth;
    uint32_t objects; /* bit n: the level n is an object */
    uint32_t filled;  /* bit n: the level n has a member, the next one needs a comma */
} json_t;

/* A writer that appends one value to out, which it borrows until the value is complete. */
json_t json_open(buf_t *out);

/* True when the top value is complete. */
bool json_done(const json_t *self);

void json_object(json_t *self, const char *key);
void json_array(json_t *self, const char *key);
/* Ends the innermost object or array. */
void json_end(json_t *self);

/* A string; bytes that are no UTF-8 become U+FFFD, for texts that people read. */
void json_string(json_t *self, const char *key, slice_t value);
void json_text(json_t *self, const char *key, const char *value);

/*
 * Data of a user, without loss: a string when it is UTF-8, otherwise its base64 under the key with
 * "_b64" behind it; where there is no key, an object of the one member "value_b64".
 */
void json_bytes(json_t *self, const char *key, slice_t value);

void json_int(json_t *self, const char *key, int64_t value);
void json_uint(json_t *self, const char *key, uint64_t value);
/* As text of 16 hexadecimal digits: an id that readers must not take for a number. */
void json_hex64(json_t *self, const char *key, uint64_t value);
void json_bool(json_t *self, const char *key, bool value);
void json_null(json_t *self, const char *key);
/* With six significant digits; null when it is not finite. */
void json_double(json_t *self, const char *key, double value);

/* Appends value in base64 (RFC 4648, section 4, padded). */
void base64_append(buf_t *out, slice_t value);

#endif
