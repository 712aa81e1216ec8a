/*
 * The token as text: what a session has seen, to be kept by its user and given to another session.
 *
 * base64url (RFC 4648, section 5) without padding, of the msgpack array [version, lineage, clock,
 * vector]. Opaque to users; one value has one text.
 */
#ifndef HEARSAY_BUS_WIRE_TOKEN_H
#define HEARSAY_BUS_WIRE_TOKEN_H

#include "bus/base/hlc.h"
#include "bus/wire/mp.h"

enum {
    TOKEN_VERSION = 1,
    TOKEN_TEXT_MAX = 32 * 1024, /* bytes; over what VEC_PARTS_MAX parts take */
};

/* Appends the text. */
void token_put(buf_t *out, uint64_t lineage, hlc_t clock, const vec_t *seen);

/*
 * Reads a text. False when it is none: other characters, a length that no bytes have, another
 * version, too long; seen is then undefined, but the caller's to free as before.
 */
bool token_read(slice_t text, uint64_t *lineage, hlc_t *clock, vec_t *seen);

#endif
