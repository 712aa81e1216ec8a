/*
 * Property tests: a check run on many random inputs, each determined by a seed.
 *
 *     static void check_merge(random_t *rng) { ... assert_true(...); }
 *     static void test_merge(void **state) { property_run(check_merge, 1000); }
 *     ... property_test(test_merge), ...
 *
 * A failure prints the seed of its run; HEARSAY_PROPERTY_SEED starts at another seed than 1 and
 * HEARSAY_PROPERTY_RUNS makes more or fewer runs, so the two together repeat one. To be included
 * behind cmocka.h; the state is one static per test file, as a test program has one thread.
 */
#ifndef HEARSAY_TESTS_UNIT_PROPERTY_H
#define HEARSAY_TESTS_UNIT_PROPERTY_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/base/random.h"

typedef void property_fn(random_t *rng);

/* The run under way, for the report: a failed assertion leaves the check by a long jump. */
static struct {
    bool running;
    uint64_t seed;
} property_now;

static inline uint64_t property_setting(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/*
 * Runs the check with one seed after the other; runs holds unless the environment says otherwise.
 */
static inline void property_run(property_fn *check, uint64_t runs)
{
    uint64_t first = property_setting("HEARSAY_PROPERTY_SEED", 1);
    runs = property_setting("HEARSAY_PROPERTY_RUNS", runs);
    for (uint64_t i = 0; i < runs; i++) {
        random_t rng;
        property_now.running = true;
        property_now.seed = first + i;
        random_seed(&rng, property_now.seed);
        check(&rng);
    }
    property_now.running = false;
}

/* Teardown of a property test: names the seed when a check did not come to its end. */
static inline int property_report(void **state)
{
    (void)state;
    if (property_now.running)
        fprintf(stderr,
                "property failed; repeat: HEARSAY_PROPERTY_SEED=%" PRIu64
                " HEARSAY_PROPERTY_RUNS=1\n",
                property_now.seed);
    property_now.running = false;
    return 0;
}

#define property_test(function) cmocka_unit_test_teardown(function, property_report)

/* Fills data with random bytes. */
static inline void property_fill(random_t *rng, uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)random_u64(rng);
}

#endif
