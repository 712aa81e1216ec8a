/*
 * Random numbers for cores and simulators: a small value that a seed determines wholly.
 *
 * xoshiro256** (Blackman and Vigna, Scrambled Linear Pseudorandom Number Generators, ACM TOMS 47(4)
 * 2021), its state filled from the seed by splitmix64 as its authors advise. The same seed gives
 * the same numbers on every machine. Not for secrets.
 */
#ifndef HEARSAY_BUS_BASE_RANDOM_H
#define HEARSAY_BUS_BASE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* Lives inside its user; random_seed before use. */
typedef struct random_state {
    uint64_t words[4];
} random_t;

enum { RANDOM_PPM = 1000000 };

void random_seed(random_t *self, uint64_t seed);

/* 64 random bits. */
uint64_t random_u64(random_t *self);

/* A number of 0..below-1, all equally likely; below must not be 0. */
uint64_t random_below(random_t *self, uint64_t below);

/* True with a probability of ppm parts per million; always from RANDOM_PPM on, never with 0. */
bool random_chance(random_t *self, uint32_t ppm);

#endif
