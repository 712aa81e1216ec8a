#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "replica/core/executed.h"
#include "tests/unit/property.h"

static const vec_t none = {0};

enum { CLIENTS = 3, SEQS = 40, STEPS = 300 };

/* What the model remembers of one update; no seq is ever of two updates. */
typedef struct known {
    bool is_there;
    tag_t tag;
    vec_part_t dot;
    uint8_t result[40]; /* short ones are kept inline, long ones apart */
    size_t size;
} known_t;

static void assert_same(const executed_t *table, known_t known[CLIENTS][SEQS + 1],
                        const uint64_t floors[CLIENTS])
{
    size_t entries = 0;
    for (uint64_t client = 0; client < CLIENTS; client++) {
        bool is_passed = false; /* by one with a greater seq */
        for (uint64_t seq = SEQS; seq > 0; seq--) {
            const known_t *k = &known[client][seq];
            executed_hit_t hit = {0};
            executed_state_t found = executed_find(table, client, seq, &hit);
            if (seq <= floors[client]) {
                assert_int_equal(found, EXECUTED_BELOW_FLOOR);
                continue;
            }
            assert_int_equal(found, k->is_there ? EXECUTED_HIT
                                    : is_passed ? EXECUTED_PASSED
                                                : EXECUTED_NOT);
            is_passed |= k->is_there;
            entries += k->is_there;
            if (!k->is_there)
                continue;
            assert_int_equal(tag_compare(hit.tag, k->tag), 0);
            assert_true(hit.dot.incarnation == k->dot.incarnation);
            assert_true(hit.dot.count == k->dot.count);
            assert_true(slice_equal(hit.result, slice_of(k->result, k->size)));
        }
    }
    assert_int_equal(executed_entries(table), entries);
    assert_true(executed_clients(table) <= CLIENTS);
}

static void check_model(random_t *rng)
{
    executed_t *table = executed_new();
    static known_t known[CLIENTS][SEQS + 1];
    uint64_t floors[CLIENTS] = {0};
    memset(known, 0, sizeof known);
    for (int step = 0; step < STEPS; step++) {
        uint64_t client = random_below(rng, CLIENTS);
        if (random_below(rng, 30) == 0) {
            uint64_t floor = random_below(rng, 4) == 0 ? random_below(rng, SEQS)
                                                       : floors[client] + random_below(rng, 3);
            executed_raise_floor(table, client, floor);
            floors[client] = floor > floors[client] ? floor : floors[client];
            continue;
        }
        uint64_t seq = 1 + random_below(rng, SEQS);
        known_t *k = &known[client][seq];
        known_t fresh = {.is_there = true,
                         .tag = {random_u64(rng), client, seq},
                         .dot = {random_u64(rng), random_u64(rng)}};
        fresh.size = random_below(rng, sizeof fresh.result + 1);
        property_fill(rng, fresh.result, fresh.size);
        executed_add(table, fresh.tag, fresh.dot, slice_of(fresh.result, fresh.size), &none);
        if (!k->is_there && seq > floors[client])
            *k = fresh; /* the first stays; under the floor nothing is kept */
        if (step % 8 == 0)
            assert_same(table, known, floors);
    }
    assert_same(table, known, floors);
    executed_destroy(&table);
    assert_null(table);
}

static void test_model(void **state)
{
    (void)state;
    property_run(check_model, 150);
}

static void load_client(void *arg, uint64_t client, slice_t row)
{
    executed_t *again = arg;
    assert_true(executed_load(again, client, row));
    assert_false(executed_load(again, client + 100, slice_of(row.data, row.size - 1)));
}

/* A client goes when all of it is stable, the longest silent first; rows bring the table back. */
static void test_forget(void **state)
{
    (void)state;
    executed_t *table = executed_new();
    executed_hit_t hit;
    vec_t known = {0};
    executed_add(table, (tag_t){10, 7, 1}, (vec_part_t){1, 1}, slice_text("a long enough result"),
                 &none);
    executed_add(table, (tag_t){20, 8, 1}, (vec_part_t){1, 2}, slice_text("r"), &none);
    executed_add(table, (tag_t){30, 9, 5}, (vec_part_t){2, 1}, slice_text("r"), &none);
    executed_raise_floor(table, 9, 4);
    executed_t *again = executed_new();
    executed_each(table, load_client, again);
    assert_int_equal(executed_find(again, 7, 1, &hit), EXECUTED_HIT);
    assert_true(slice_equal(hit.result, slice_text("a long enough result")));
    assert_int_equal(executed_find(again, 9, 4, &hit), EXECUTED_BELOW_FLOOR);
    assert_int_equal(executed_find(again, 9, 5, &hit), EXECUTED_HIT);
    assert_true(hit.tag.hlc == 30 && hit.dot.incarnation == 2);
    stable_t stable = {25, &known};
    assert_int_equal(executed_forget(table, &stable, 10), 0); /* no member is known to have it */
    vec_raise(&known, 1, 2);
    stable.horizon = 9;
    assert_int_equal(executed_forget(table, &stable, 10), 0); /* a retry could still come */
    stable.horizon = 25;
    assert_int_equal(executed_forget(table, &stable, 1), 1);
    assert_int_equal(executed_find(table, 7, 1, &hit), EXECUTED_NOT);
    assert_int_equal(executed_forget(table, &stable, 10), 1);
    assert_int_equal(executed_clients(table), 1);
    vec_raise(&known, 2, 1);
    stable.horizon = 30;
    assert_int_equal(executed_forget(table, &stable, 10), 1);
    assert_int_equal(executed_entries(table), 0);
    vec_free(&known);
    executed_destroy(&table);
    executed_destroy(&again);
}

/* What the replica had seen is kept for answers that tell of it, over rows too. */
static void test_deps(void **state)
{
    (void)state;
    executed_t *table = executed_new();
    executed_hit_t hit;
    vec_t deps = {0};
    vec_raise(&deps, 3, 5);
    executed_add(table, (tag_t){10, 7, 1}, (vec_part_t){1, 1}, slice_text("\x01"), &deps);
    executed_add(table, (tag_t){11, 7, 2}, (vec_part_t){1, 2}, slice_text("\xc3"), &deps);
    vec_raise(&deps, 3, 6);
    executed_add(table, (tag_t){10, 7, 1}, (vec_part_t){2, 9}, slice_text("\x02"), &deps);
    executed_t *again = executed_new();
    executed_each(table, load_client, again);
    for (int i = 0; i < 2; i++) {
        const executed_t *one = i == 0 ? table : again;
        assert_int_equal(executed_find(one, 7, 1, &hit), EXECUTED_HIT);
        assert_int_equal(vec_get(hit.deps, 3), 5);
        assert_int_equal(executed_find(one, 7, 2, &hit), EXECUTED_HIT);
        assert_null(hit.deps); /* the answer to a set */
    }
    vec_free(&deps);
    executed_destroy(&table);
    executed_destroy(&again);
}

static void test_full(void **state)
{
    (void)state;
    executed_t *table = executed_new();
    executed_hit_t hit;
    for (uint64_t seq = 1; seq <= EXECUTED_PER_CLIENT_MAX; seq++) {
        assert_int_equal(executed_find(table, 7, seq, &hit), EXECUTED_NOT);
        executed_add(table, (tag_t){seq, 7, seq}, (vec_part_t){1, seq}, slice_text("r"), &none);
    }
    uint64_t next = EXECUTED_PER_CLIENT_MAX + 1;
    assert_int_equal(executed_find(table, 7, next, &hit), EXECUTED_FULL);
    assert_int_equal(executed_find(table, 7, 1, &hit), EXECUTED_HIT); /* retries are answered */
    assert_int_equal(executed_find(table, 8, next, &hit), EXECUTED_NOT);
    /* What another replica took in is applied all the same. */
    executed_add(table, (tag_t){next, 7, next}, (vec_part_t){1, next}, slice_text("r"), &none);
    assert_int_equal(executed_find(table, 7, next, &hit), EXECUTED_HIT);
    executed_raise_floor(table, 7, next);
    assert_int_equal(executed_entries(table), 0);
    assert_int_equal(executed_find(table, 7, next + 1, &hit), EXECUTED_NOT);
    assert_int_equal(executed_find(table, 7, next, &hit), EXECUTED_BELOW_FLOOR);
    executed_raise_floor(table, 9, 0); /* says nothing, so nobody is remembered for it */
    assert_int_equal(executed_clients(table), 1);
    executed_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_model),
        cmocka_unit_test(test_deps),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_forget),
    };
    return cmocka_run_group_tests_name("executed", tests, NULL, NULL);
}
