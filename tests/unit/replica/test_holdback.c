#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "replica/core/holdback.h"
#include "tests/unit/property.h"

enum { ORIGINS = 4, RECORDS = 30, STEPS = 300, BYTES_MAX = 600, RECORD_MAX = 24 };

typedef struct held {
    size_t size; /* 0: not held */
    uint8_t bytes[RECORD_MAX];
} held_t;

typedef struct model {
    held_t held[ORIGINS + 1][RECORDS + 2]; /* origins and records count from 1 */
    size_t bytes;
    size_t records;
} model_t;

static void assert_origin(const holdback_t *queue, const model_t *model, uint64_t origin)
{
    uint64_t greatest = 0;
    uint64_t next = 0;
    for (uint64_t n = 1; n <= RECORDS; n++) {
        const held_t *held = &model->held[origin][n];
        assert_true(slice_equal(holdback_get(queue, origin, n), slice_of(held->bytes, held->size)));
        greatest = held->size != 0 ? n : greatest;
        if (held->size != 0)
            assert_true((next = holdback_next(queue, origin, next)) == n);
    }
    assert_true(holdback_next(queue, origin, next) == 0);
    assert_true(holdback_greatest(queue, origin) == greatest);
    for (uint64_t applied = 0; applied <= RECORDS; applied++) {
        uint64_t last = applied;
        while (last < RECORDS && model->held[origin][last + 1].size != 0)
            last++;
        assert_true(holdback_contiguous(queue, origin, applied) == last);
    }
}

static void assert_same(const holdback_t *queue, const model_t *model)
{
    assert_int_equal(holdback_bytes(queue), model->bytes);
    assert_int_equal(holdback_records(queue), model->records);
    uint64_t met = 0;
    for (uint64_t origin = 1; origin <= ORIGINS; origin++) {
        assert_origin(queue, model, origin);
        if (holdback_greatest(queue, origin) == 0)
            continue;
        met = holdback_next_origin(queue, met);
        assert_true(met == origin);
    }
    assert_true(holdback_next_origin(queue, met) == 0);
}

static void put(random_t *rng, holdback_t *queue, model_t *model)
{
    uint64_t origin = 1 + random_below(rng, ORIGINS);
    uint64_t n = 1 + random_below(rng, RECORDS);
    held_t *held = &model->held[origin][n];
    held_t fresh = {.size = 1 + random_below(rng, RECORD_MAX)};
    property_fill(rng, fresh.bytes, fresh.size);
    bool fits = model->bytes + fresh.size <= BYTES_MAX;
    holdback_result_t result = holdback_put(queue, origin, n, slice_of(fresh.bytes, fresh.size));
    if (held->size != 0) {
        assert_int_equal(result, HOLDBACK_DUPLICATE); /* also when there is no room */
        return;
    }
    assert_int_equal(result, fits ? HOLDBACK_HELD : HOLDBACK_FULL);
    if (!fits)
        return;
    *held = fresh;
    model->bytes += fresh.size;
    model->records++;
}

static void drop(random_t *rng, holdback_t *queue, model_t *model)
{
    uint64_t origin = 1 + random_below(rng, ORIGINS);
    uint64_t upto = random_below(rng, RECORDS + 2);
    holdback_drop(queue, origin, upto);
    for (uint64_t n = 1; n <= upto; n++) {
        held_t *held = &model->held[origin][n];
        model->bytes -= held->size;
        model->records -= held->size != 0;
        *held = (held_t){0};
    }
}

static void check_model(random_t *rng)
{
    static model_t model;
    model = (model_t){0};
    holdback_t *queue = holdback_new(BYTES_MAX);
    for (int step = 0; step < STEPS; step++) {
        if (random_below(rng, 12) == 0)
            drop(rng, queue, &model);
        else
            put(rng, queue, &model);
        if (step % 10 == 0)
            assert_same(queue, &model);
    }
    assert_same(queue, &model);
    holdback_destroy(&queue);
    assert_null(queue);
}

static void test_model(void **state)
{
    (void)state;
    property_run(check_model, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_model),
    };
    return cmocka_run_group_tests_name("holdback", tests, NULL, NULL);
}
