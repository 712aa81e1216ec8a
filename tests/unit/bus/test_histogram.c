#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "bus/base/histogram.h"
#include "tests/unit/property.h"

enum { SAMPLES_MAX = 3000 };

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of all magnitudes alike. */
static uint64_t draw(random_t *rng)
{
    return random_u64(rng) >> (24 + random_below(rng, 40));
}

/* Every percentile is the sorted samples' one, or less than 1 % above it. */
static void check_against_sorted(random_t *rng)
{
    static histogram_t histogram;
    static uint64_t samples[SAMPLES_MAX];
    size_t count = 1 + (size_t)random_below(rng, SAMPLES_MAX);
    histogram = (histogram_t){0};
    for (size_t i = 0; i < count; i++)
        histogram_add(&histogram, samples[i] = draw(rng));
    qsort(samples, count, sizeof samples[0], compare);
    assert_int_equal(histogram.total, count);
    assert_int_equal(histogram.min, samples[0]);
    assert_int_equal(histogram.max, samples[count - 1]);
    assert_int_equal(histogram_at(&histogram, 0), samples[0]);
    assert_int_equal(histogram_at(&histogram, HISTOGRAM_ALL_PPM), samples[count - 1]);
    for (int i = 0; i < 50; i++) {
        uint32_t ppm = 1 + (uint32_t)random_below(rng, HISTOGRAM_ALL_PPM - 1);
        size_t rank = (count * ppm + HISTOGRAM_ALL_PPM - 1) / HISTOGRAM_ALL_PPM;
        uint64_t exact = samples[rank - 1];
        uint64_t got = histogram_at(&histogram, ppm);
        assert_true(got >= exact);
        assert_true(got <= exact + exact / 100);
        assert_true(histogram_up_to(&histogram, got) >= rank);
    }
}

static void test_against_sorted(void **state)
{
    (void)state;
    property_run(check_against_sorted, 300);
}

/* Parts merged are the whole, in any order. */
static void check_merge(random_t *rng)
{
    static histogram_t whole, parts[3], ab, ba;
    size_t count = (size_t)random_below(rng, 200);
    whole = ab = ba = (histogram_t){0};
    for (size_t i = 0; i < 3; i++)
        parts[i] = (histogram_t){0};
    for (size_t i = 0; i < count; i++) {
        uint64_t value = draw(rng);
        histogram_add(&whole, value);
        histogram_add(&parts[random_below(rng, 3)], value);
    }
    for (size_t i = 0; i < 3; i++) {
        histogram_merge(&ab, &parts[i]);
        histogram_merge(&ba, &parts[2 - i]);
    }
    assert_memory_equal(&ab, &whole, sizeof whole);
    assert_memory_equal(&ba, &whole, sizeof whole);
}

static void test_merge(void **state)
{
    (void)state;
    property_run(check_merge, 300);
}

static void test_bounds(void **state)
{
    (void)state;
    static histogram_t histogram;
    assert_int_equal(histogram_at(&histogram, 500000), 0);
    assert_int_equal(histogram_up_to(&histogram, UINT64_MAX), 0);
    histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram_at(&histogram, 500000), UINT64_MAX);
    histogram_add(&histogram, 0);
    assert_int_equal(histogram_at(&histogram, 500000), 0);
    assert_int_equal(histogram_at(&histogram, 500001), UINT64_MAX);
    assert_int_equal(histogram_up_to(&histogram, 0), 1);
    /* The borders between the parts of the scale. */
    static const uint64_t exact[] = {1, 127, 128, 255, 256, 257, 511, 512, 1023, 1024};
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        histogram = (histogram_t){0};
        histogram_add(&histogram, exact[i]);
        histogram_add(&histogram, UINT64_C(1) << 39);
        assert_in_range(histogram_at(&histogram, 500000), exact[i], exact[i] + exact[i] / 100);
        if (exact[i] <= 256)
            assert_int_equal(histogram_up_to(&histogram, exact[i] - 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_against_sorted),
        property_test(test_merge),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
