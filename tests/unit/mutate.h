/*
 * Damage for decoders: a message with a few bytes changed, cut or repeated, in a block of exactly
 * its size, so that a sanitizer sees every byte read beyond its end.
 *
 * To be included behind cmocka.h.
 */
#ifndef HEARSAY_TESTS_UNIT_MUTATE_H
#define HEARSAY_TESTS_UNIT_MUTATE_H

#include <stdlib.h>
#include <string.h>

#include "bus/base/bytes.h"
#include "bus/base/random.h"

/* A copy in a block of its own; the caller frees its data. */
static inline slice_t mutate_exact(slice_t message)
{
    uint8_t *copy = malloc(message.size != 0 ? message.size : 1);
    assert_non_null(copy);
    if (message.size != 0)
        memcpy(copy, message.data, message.size);
    return slice_of(copy, message.size);
}

static inline void mutate_free(slice_t message)
{
    union {
        const uint8_t *constant;
        void *block;
    } address = {message.data};
    free(address.block);
}

/* Heads of msgpack values that promise more than there is, or turn one type into another. */
static inline uint8_t mutate_byte(random_t *rng)
{
    static const uint8_t heads[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1,
                                    0xC4, 0xC5, 0xC6, 0xC7, 0xC9, 0xCB, 0xCC, 0xCF, 0xD0, 0xD3,
                                    0xD8, 0xD9, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xE0, 0xFF};
    return random_chance(rng, RANDOM_PPM / 2) ? heads[random_below(rng, sizeof heads)]
                                              : (uint8_t)random_u64(rng);
}

/* A damaged copy; the bytes before keep stay as they are. The caller frees it with mutate_free. */
static inline slice_t mutate(random_t *rng, slice_t message, size_t keep)
{
    buf_t out = {0};
    buf_append_slice(&out, message);
    for (uint64_t left = 1 + random_below(rng, 3); left > 0 && out.size > keep; left--) {
        size_t at = keep + random_below(rng, out.size - keep);
        switch (random_below(rng, 5)) {
        case 0: /* cut */
            out.size = at;
            break;
        case 1: /* grow */
            buf_append_u8(&out, mutate_byte(rng));
            break;
        case 2: /* take one out */
            memmove(out.data + at, out.data + at + 1, out.size - at - 1);
            out.size--;
            break;
        default:
            out.data[at] = mutate_byte(rng);
            break;
        }
    }
    slice_t exact = mutate_exact(buf_slice(&out));
    buf_free(&out);
    return exact;
}

/* Reads every byte, so that a slice that lies outside of its message is noticed. */
static inline unsigned mutate_touch(slice_t s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.size; i++)
        sum += s.data[i];
    return sum;
}

/* True when inner lies within outer; an empty one lies anywhere. */
static inline bool mutate_within(slice_t inner, slice_t outer)
{
    return inner.size == 0 ||
           (inner.data >= outer.data && inner.data + inner.size <= outer.data + outer.size);
}

#endif
