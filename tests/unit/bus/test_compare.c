#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/wire/compare.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { ROUNDS = 2000 };

static void put_digests(buf_t *out)
{
    const uint64_t sums[] = {0, 1, UINT64_MAX};
    const compare_digests_t digests = {.id = 255, .incarnation = 42, .count = 3};
    compare_digests_put(out, &digests, sums);
}

static void put_shown(buf_t *out)
{
    buf_t items = {0};
    vec_t vector = {0};
    vec_raise(&vector, 42, 7);
    const compare_key_t key = {
        .key = slice_text("k"), .type = slice_text("hash"), .digest = UINT64_MAX};
    compare_key_put(&items, &key, &vector);
    compare_key_put(&items, &key, &vector);
    const compare_shown_t shown = {
        .id = 3, .incarnation = 42, .is_cut = true, .keys = 2, .keys_at = buf_slice(&items)};
    compare_shown_put(out, &shown, &vector);
    buf_free(&items);
    vec_free(&vector);
}

static void test_round_trip(void **state)
{
    (void)state;
    buf_t bytes = {0};
    compare_digests_t digests;
    compare_shown_t shown;
    compare_key_t key;
    vec_t vector = {0};

    put_digests(&bytes);
    assert_true(compare_digests_read(buf_slice(&bytes), &digests));
    assert_false(compare_shown_read(buf_slice(&bytes), &shown));
    assert_true(digests.id == 255 && digests.incarnation == 42 && digests.count == 3);
    assert_true(compare_digest(&digests, 0) == 0 && compare_digest(&digests, 2) == UINT64_MAX);
    buf_reset(&bytes);
    put_shown(&bytes);
    assert_true(compare_shown_read(buf_slice(&bytes), &shown));
    assert_false(compare_digests_read(buf_slice(&bytes), &digests));
    assert_true(shown.id == 3 && shown.incarnation == 42 && shown.is_cut && shown.keys == 2);
    mp_t in = mp_open(shown.keys_at);
    assert_true(compare_key_next(&in, &key) && compare_key_next(&in, &key));
    assert_true(slice_equal(key.key, slice_text("k")) && slice_equal(key.type, slice_text("hash")));
    assert_true(key.digest == UINT64_MAX);
    assert_false(compare_key_next(&in, &key));
    in = mp_open(shown.vector);
    mp_vector(&in, &vector);
    assert_true(mp_done(&in) && vec_get(&vector, 42) == 7);
    vec_free(&vector);
    buf_free(&bytes);
}

/* What a reader took can be gone through to its end. */
static void check_damage(random_t *rng)
{
    buf_t bytes = {0};
    compare_digests_t digests;
    compare_shown_t shown;
    compare_key_t key;

    if (random_below(rng, 2) == 0)
        put_digests(&bytes);
    else
        put_shown(&bytes);
    slice_t message = mutate(rng, buf_slice(&bytes), 0);
    if (compare_digests_read(message, &digests))
        compare_digest(&digests, digests.count - 1);
    if (compare_shown_read(message, &shown)) {
        mp_t in = mp_open(shown.keys_at);
        for (uint32_t i = 0; i < shown.keys; i++)
            assert_true(compare_key_next(&in, &key));
    }
    mutate_free(message);
    buf_free(&bytes);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        property_test(test_damage),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
