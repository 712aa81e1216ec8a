#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/logindex.h"
#include "tests/unit/property.h"

enum { ORIGINS = 4, RECORDS = 600, SPACING = 32 * 1024 };

typedef struct logged {
    uint64_t origin;
    uint64_t n;
    uint64_t position;
} logged_t;

static void load_row(void *arg, uint64_t origin, slice_t row)
{
    logindex_t *index = arg;
    assert_true(logindex_load(index, origin, row));
    assert_false(logindex_load(index, origin, row)); /* it is there */
    assert_false(logindex_load(index, origin + 1000, slice_of(row.data, row.size - 1)));
}

/* Reading starts before all that is lacking, and not much before. */
static void check_start(random_t *rng)
{
    static logged_t log[RECORDS];
    logindex_t *index = logindex_new();
    vec_t applied = {0};
    vec_t have = {0};
    uint64_t end = 1000 * random_below(rng, 2);
    uint64_t before = random_below(rng, 3) * 50; /* the log may begin behind the first ones */
    for (uint64_t origin = 1; origin <= ORIGINS; origin++)
        vec_raise(&applied, origin, before);
    size_t size = random_below(rng, RECORDS);
    for (size_t i = 0; i < size; i++) {
        uint64_t origin = 1 + random_below(rng, ORIGINS);
        log[i] = (logged_t){origin, vec_get(&applied, origin) + 1, end};
        logindex_add(index, origin, log[i].n, end);
        vec_raise(&applied, origin, log[i].n);
        end += 10 + random_below(rng, random_below(rng, 20) == 0 ? 50000 : 2000);
    }
    for (int i = 0; i < 20; i++) {
        vec_reset(&have);
        for (uint64_t origin = 1; origin <= ORIGINS + 1; origin++)
            if (random_below(rng, 5) != 0) /* at times more than applied */
                vec_raise(&have, origin, random_below(rng, vec_get(&applied, origin) + 20));
        uint64_t first = end;
        for (size_t k = size; k-- > 0;)
            if (log[k].n > vec_get(&have, log[k].origin))
                first = log[k].position;
        uint64_t start = logindex_start(index, &applied, &have, end);
        assert_true(start <= first);
        if (first == end)
            assert_true(start == end);
        assert_true(start == first || first - start < SPACING);
    }
    assert_true(logindex_start(index, &applied, &applied, end) == end);
    logindex_destroy(&index);
    assert_null(index);
    vec_free(&applied);
    vec_free(&have);
}

/* After the log was cut: what is dropped is named, and what is left is found as before. */
static void check_trim(random_t *rng)
{
    static logged_t log[RECORDS];
    logindex_t *index = logindex_new();
    logindex_t *again = logindex_new();
    vec_t applied = {0};
    vec_t dropped = {0};
    vec_t have = {0};
    uint64_t end = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        uint64_t origin = 1 + random_below(rng, ORIGINS);
        log[i] = (logged_t){origin, vec_get(&applied, origin) + 1, end};
        logindex_add(index, origin, log[i].n, end);
        vec_raise(&applied, origin, log[i].n);
        end += 10 + random_below(rng, 2000);
    }
    /* As it is done: where the log begins for who has so much. */
    for (uint64_t origin = 1; origin <= ORIGINS; origin++)
        vec_raise(&have, origin, random_below(rng, vec_get(&applied, origin) + 1));
    uint64_t begin = logindex_start(index, &applied, &have, end);
    logindex_trim(index, begin, &applied, &dropped);
    assert_true(vec_covers(&have, &dropped)); /* nobody is told of a gap who has none */
    for (size_t i = 0; i < RECORDS; i++)
        if (log[i].position < begin)
            assert_true(vec_get(&dropped, log[i].origin) >= log[i].n);
    logindex_each(index, load_row, again);
    assert_true(logindex_start(again, &applied, &have, end) ==
                logindex_start(index, &applied, &have, end));
    logindex_destroy(&index);
    logindex_destroy(&again);
    vec_free(&applied);
    vec_free(&dropped);
    vec_free(&have);
}

static void test_trim(void **state)
{
    (void)state;
    property_run(check_trim, 300);
}

static void test_start(void **state)
{
    (void)state;
    property_run(check_start, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_start),
        property_test(test_trim),
    };
    return cmocka_run_group_tests_name("logindex", tests, NULL, NULL);
}
