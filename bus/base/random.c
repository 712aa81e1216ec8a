#include "bus/base/random.h"

#include <assert.h>

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

void random_seed(random_t *self, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        self->words[i] = splitmix64(&seed);
}

uint64_t random_u64(random_t *self)
{
    uint64_t *s = self->words;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(random_t *self, uint64_t below)
{
    assert(below != 0);
    /*
     * 2^64 mod below: without that many numbers at the start, each remainder is equally frequent.
     */
    uint64_t surplus = (0 - below) % below;
    uint64_t drawn;
    do {
        drawn = random_u64(self);
    } while (drawn < surplus);
    return drawn % below;
}

bool random_chance(random_t *self, uint32_t ppm)
{
    return random_below(self, RANDOM_PPM) < ppm;
}
