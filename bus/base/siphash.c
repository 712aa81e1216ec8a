#include "bus/base/siphash.h"

enum { WORD_SIZE = 8 };

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[2] = rotate_left(v[2], 32);
    }
}

static void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

uint64_t siphash(const siphash_key_t *key, uint64_t word)
{
    /* "somepseudorandomlygeneratedbytes" */
    uint64_t v[4] = {
        key->words[0] ^ UINT64_C(0x736F6D6570736575),
        key->words[1] ^ UINT64_C(0x646F72616E646F6D),
        key->words[0] ^ UINT64_C(0x6C7967656E657261),
        key->words[1] ^ UINT64_C(0x7465646279746573),
    };
    take(v, word);
    take(v, (uint64_t)WORD_SIZE << 56); /* the last block: no bytes, and the size of it all */
    v[2] ^= 0xFF;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
