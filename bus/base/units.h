/*
 * Units: durations and sizes as people write them, to numbers and back.
 *
 * Durations are "250ms", "5s", "1.5m", "2h"; a bare number is seconds. Sizes are bytes ("4096",
 * "4096B") or binary multiples: K = KiB = 1024, M = MiB, G = GiB. Fractions are allowed as long as
 * the result is a whole number of milliseconds or bytes: a value is never rounded behind the back
 * of who wrote it.
 */
#ifndef HEARSAY_BUS_BASE_UNITS_H
#define HEARSAY_BUS_BASE_UNITS_H

#include "bus/base/bytes.h"

/* What units_to_ms and units_to_bytes take, for messages about values that they refused. */
#define UNITS_DURATION_FORM "a number with ms, s, m or h, as 250ms or 1.5s"
#define UNITS_SIZE_FORM     "a number of bytes or one with KiB, MiB or GiB, as 64KiB"

/*
 * Reads a duration into *ms; false, and *ms as it was, when the text is none or too long for 64
 * bits.
 */
bool units_to_ms(slice_t text, int64_t *ms);

/* Reads a size into *bytes; false, and *bytes as it was, when the text is none or over 64 bits. */
bool units_to_bytes(slice_t text, int64_t *bytes);

/* Appends ms >= 0 as units_to_ms reads it, in the greatest unit that divides it: "8s", "1500ms". */
void units_put_ms(buf_t *out, int64_t ms);

/* Appends bytes >= 0 as units_to_bytes reads it: "16MiB", "1000". */
void units_put_bytes(buf_t *out, int64_t bytes);

#endif
