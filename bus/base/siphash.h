/*
 * Numbers that only who has the key can tell from chance, for cores that get the key from outside.
 *
 * SipHash-2-4 (Aumasson and Bernstein, SipHash: a fast short-input PRF, INDOCRYPT 2012) of one
 * 64-bit word. Where libsodium is at hand: the same as its crypto_shorthash.
 */
#ifndef HEARSAY_BUS_BASE_SIPHASH_H
#define HEARSAY_BUS_BASE_SIPHASH_H

#include <stdint.h>

typedef struct siphash_key {
    uint64_t words[2]; /* random, and nobody else's */
} siphash_key_t;

uint64_t siphash(const siphash_key_t *key, uint64_t word);

#endif
