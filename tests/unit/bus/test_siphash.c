#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>

#include "bus/base/siphash.h"
#include "tests/unit/property.h"

/* The paper's vector for the key 00 01 .. 0F and the bytes 00 .. 07. */
static void test_vector(void **state)
{
    (void)state;
    const siphash_key_t key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0F0E0D0C0B0A0908)}};
    assert_true(siphash(&key, UINT64_C(0x0706050403020100)) == UINT64_C(0x93F5F5799A932462));
}

static void put_le(uint8_t *out, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(word >> (8 * i));
}

static void as_libsodium(random_t *rng)
{
    const siphash_key_t key = {{random_u64(rng), random_u64(rng)}};
    uint64_t word = random_u64(rng);
    uint8_t key_bytes[crypto_shorthash_KEYBYTES];
    uint8_t bytes[8];
    uint8_t expected[crypto_shorthash_BYTES];
    uint8_t hash[8];
    put_le(key_bytes, key.words[0]);
    put_le(key_bytes + 8, key.words[1]);
    put_le(bytes, word);
    put_le(hash, siphash(&key, word));
    crypto_shorthash(expected, bytes, sizeof(bytes), key_bytes);
    assert_memory_equal(hash, expected, sizeof(hash));
}

static void test_as_libsodium_has_it(void **state)
{
    (void)state;
    property_run(as_libsodium, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        property_test(test_as_libsodium_has_it),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
