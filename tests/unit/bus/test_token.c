#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/wire/token.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

static void draw_vector(random_t *rng, vec_t *out)
{
    for (uint64_t left = random_below(rng, 8); left > 0; left--)
        vec_set(out, random_u64(rng) | 1, random_u64(rng) | 1);
}

/* Any token comes back, by letters that need no quotes in a shell or in a URL. */
static void check_round_trip(random_t *rng)
{
    vec_t seen = {0};
    vec_t back = {0};
    buf_t text = {0};
    uint64_t lineage = random_u64(rng);
    hlc_t clock = random_u64(rng) >> random_below(rng, 64);
    uint64_t lineage_back;
    hlc_t clock_back;

    draw_vector(rng, &seen);
    token_put(&text, lineage, clock, &seen);
    for (size_t i = 0; i < text.size; i++)
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                               text.data[i]));
    assert_true(token_read(buf_slice(&text), &lineage_back, &clock_back, &back));
    assert_true(lineage_back == lineage && clock_back == clock && vec_equal(&seen, &back));
    vec_free(&seen);
    vec_free(&back);
    buf_free(&text);
}

static void test_round_trip(void **state)
{
    (void)state;
    property_run(check_round_trip, 2000);
}

/* What is read from a damaged text is refused, or is a token with that very text. */
static void check_damage(random_t *rng)
{
    vec_t seen = {0};
    buf_t text = {0};
    buf_t again = {0};
    uint64_t lineage;
    hlc_t clock;

    draw_vector(rng, &seen);
    token_put(&text, random_u64(rng), random_u64(rng), &seen);
    slice_t damaged = mutate(rng, buf_slice(&text), 0);
    if (token_read(damaged, &lineage, &clock, &seen)) {
        token_put(&again, lineage, clock, &seen);
        vec_t back = {0};
        assert_true(token_read(buf_slice(&again), &lineage, &clock, &back));
        assert_true(vec_equal(&seen, &back));
        vec_free(&back);
    }
    mutate_free(damaged);
    vec_free(&seen);
    buf_free(&text);
    buf_free(&again);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, 5000);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "A", "lAEAAJ", "lAEAAJA=", "lAEA AJA", "lAIAAJA", "lAEAAJB", "AAAA"};
    vec_t seen = {0};
    uint64_t lineage;
    hlc_t clock;

    assert_true(token_read(slice_text("lAEAAJA"), &lineage, &clock, &seen));
    assert_true(lineage == 0 && clock == 0 && seen.size == 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(token_read(slice_text(texts[i]), &lineage, &clock, &seen));
    vec_free(&seen);
}

static void test_largest(void **state)
{
    (void)state;
    vec_t seen = {0};
    vec_t back = {0};
    buf_t text = {0};
    uint64_t lineage;
    hlc_t clock;

    for (uint64_t i = 0; i < VEC_PARTS_MAX; i++)
        vec_set(&seen, UINT64_MAX - i, UINT64_MAX);
    token_put(&text, UINT64_MAX, UINT64_MAX, &seen);
    assert_true(text.size <= TOKEN_TEXT_MAX);
    assert_true(token_read(buf_slice(&text), &lineage, &clock, &back));
    assert_true(vec_equal(&seen, &back));
    vec_free(&seen);
    vec_free(&back);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_round_trip),
        property_test(test_damage),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
