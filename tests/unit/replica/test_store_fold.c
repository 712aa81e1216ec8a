#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "replica/core/store.h"
#include "tests/unit/property.h"

/*
 * Forgetting and snapshots, against a store that was given the same operations and never forgets:
 * whatever is folded and whenever, the two show the same, now and after everything that follows.
 */

enum { OPS = 40, KEYS = 3, FIELDS = 3, CLOCKS = 60 };

static const char *const keys[KEYS] = {"a", "b", "c"};
static const char *const fields[FIELDS] = {"f", "g", "h"};

typedef struct drawn {
    op_t op;
    mark_t mark;
    char text[16];
} drawn_t;

static drawn_t drawn[OPS];

static void draw_op(random_t *rng, drawn_t *out, uint64_t hlc, unsigned number)
{
    static const uint8_t codes[] = {OP_SET,    OP_SET,   OP_DEL,   OP_INCR, OP_INCR,
                                    OP_HSET,   OP_HSET,  OP_HDEL,  OP_SADD, OP_SREM,
                                    OP_EXPIRE, OP_HINCR, OP_EXPIRE};
    op_t *op = &out->op;
    *op = (op_t){.code = codes[random_below(rng, sizeof codes)]};
    op->key = slice_text(keys[random_below(rng, KEYS)]);
    if (op->code >= OP_HSET && op->code <= OP_SREM)
        op->field = slice_text(fields[random_below(rng, FIELDS)]);
    snprintf(out->text, sizeof out->text, "%s%u", random_below(rng, 3) != 0 ? "" : "v", number);
    if (op->code == OP_SET || op->code == OP_HSET)
        op->value = slice_text(out->text);
    if (op->code == OP_INCR || op->code == OP_HINCR)
        op->amount = (int64_t)random_below(rng, 9) - 4;
    if (op->code == OP_EXPIRE && random_below(rng, 4) != 0)
        op->amount = (int64_t)(hlc + 1 + random_below(rng, 20));
    out->mark = (mark_t){{hlc, number % 3, number}, {1 + number % 4, 1 + number}};
}

/* In the order of their tags: operation i has clock 2 i + 1 or so. */
static void draw(random_t *rng)
{
    for (unsigned i = 0; i < OPS; i++)
        draw_op(rng, &drawn[i], 1 + i + random_below(rng, 2), i);
}

static void apply(store_t *store, const drawn_t *d)
{
    store_apply(store, &d->op, &d->mark);
}

static void shuffle(random_t *rng, size_t *order, size_t size)
{
    for (size_t i = size; i > 1; i--) {
        size_t other = random_below(rng, i);
        size_t swap = order[i - 1];
        order[i - 1] = order[other];
        order[other] = swap;
    }
}

static void assert_same(store_t *a, store_t *b, hlc_t from)
{
    for (hlc_t clock = from; clock < from + CLOCKS; clock += 7) {
        store_set_clock(a, clock);
        store_set_clock(b, clock);
        assert_true(store_digest(a) == store_digest(b));
        for (int k = 0; k < KEYS; k++)
            assert_int_equal(store_type(a, slice_text(keys[k]), NULL),
                             store_type(b, slice_text(keys[k]), NULL));
    }
    store_set_clock(a, from);
    store_set_clock(b, from);
}

/* Sets, deadlines and all: whatever the order and the copies, the same at every clock. */
static void check_orders(random_t *rng)
{
    store_t *first = store_new(1);
    store_t *second = store_new(2);
    size_t order[OPS];
    draw(rng);
    for (size_t i = 0; i < OPS; i++)
        order[i] = i;
    shuffle(rng, order, OPS);
    for (size_t i = 0; i < OPS; i++) {
        apply(first, &drawn[i]);
        apply(second, &drawn[order[i]]);
        if (random_below(rng, 3) == 0)
            apply(second, &drawn[order[random_below(rng, i + 1)]]);
    }
    assert_same(first, second, 1);
    store_destroy(&first);
    store_destroy(&second);
}

static vec_t all_known(void)
{
    vec_t known = {0};
    for (uint64_t i = 1; i <= 4; i++)
        vec_raise(&known, i, OPS + 1);
    return known;
}

/*
 * What comes under the horizon is there before it moves; the rest comes in any order. Some members
 * may lack some updates, which are then kept.
 */
static void check_fold(random_t *rng)
{
    store_t *plain = store_new(1);
    store_t *folded = store_new(1);
    size_t order[OPS];
    bool is_done[OPS] = {false};
    vec_t known = {0};
    draw(rng);
    for (size_t i = 0; i < OPS; i++)
        order[i] = i;
    shuffle(rng, order, OPS);
    hlc_t horizon = 0;
    for (size_t i = 0; i < OPS;) {
        for (uint64_t few = random_below(rng, 12); few > 0 && i < OPS; few--, i++)
            if (!is_done[order[i]]) {
                apply(plain, &drawn[order[i]]);
                apply(folded, &drawn[order[i]]);
                is_done[order[i]] = true;
            }
        horizon += random_below(rng, 15);
        for (size_t k = 0; k < OPS; k++)
            if (drawn[k].mark.tag.hlc <= horizon && !is_done[k]) {
                apply(plain, &drawn[k]);
                apply(folded, &drawn[k]);
                is_done[k] = true;
            }
        for (uint64_t origin = 1; origin <= 4; origin++)
            vec_raise(&known, origin, random_below(rng, OPS + 2));
        const stable_t stable = {horizon, &known};
        store_set_clock(folded, horizon);
        store_set_clock(plain, horizon);
        store_fold(folded, &stable, 1 + random_below(rng, 2 * KEYS));
        assert_same(plain, folded, horizon);
    }
    store_destroy(&plain);
    store_destroy(&folded);
    vec_free(&known);
}

static void count_row(void *arg, slice_t key, store_type_t type)
{
    (void)key;
    (void)type;
    ++*(size_t *)arg;
}

/* When everything is behind the horizon nothing is left but what is shown. */
static void check_fold_to_the_end(random_t *rng)
{
    store_t *store = store_new(1);
    store_t *plain = store_new(1);
    vec_t known = all_known();
    draw(rng);
    for (size_t i = 0; i < OPS; i++) {
        apply(store, &drawn[i]);
        apply(plain, &drawn[i]);
    }
    const stable_t stable = {1000, &known};
    store_set_clock(store, 1000);
    for (int passes = 0; passes < 3; passes++)
        store_fold(store, &stable, SIZE_MAX);
    assert_int_equal(store_unstable(store), 0);
    assert_same(plain, store, 1000);
    size_t there = 0;
    seen_t seen = {0};
    store_scan(store, slice_text(""), 0, KEYS, count_row, &there);
    assert_int_equal(store_keys(store), there);
    for (int k = 0; k < KEYS; k++)
        store_type(store, slice_text(keys[k]), &seen);
    assert_int_equal(seen.dots.size, 0); /* everybody has it: no token need name it */
    buf_t rows = {0};
    store_snapshot_begin(store, STORE_SNAPSHOT_COPY);
    assert_true(store_snapshot_next(store, &rows, SIZE_MAX));
    mp_t in = mp_open(buf_slice(&rows));
    for (; !mp_done(&in); there--) {
        mp_bytes(&in);
        assert_false(mp_nil(&in));
        mp_bytes(&in);
    }
    assert_int_equal(there, 0);
    buf_free(&rows);
    seen_free(&seen);
    store_destroy(&store);
    store_destroy(&plain);
    vec_free(&known);
}

/* ---- snapshots ---- */

typedef struct disk {
    struct {
        char key[4];
        bool is_there;
        buf_t value;
    } rows[KEYS];
} disk_t;

static void disk_take(disk_t *disk, const buf_t *rows)
{
    mp_t in = mp_open(buf_slice(rows));
    while (!mp_done(&in)) {
        slice_t key = mp_bytes(&in);
        int k = 0;
        assert_true(mp_ok(&in));
        while (!slice_equal(key, slice_text(keys[k])))
            k++;
        disk->rows[k].is_there = !mp_nil(&in);
        buf_reset(&disk->rows[k].value);
        if (disk->rows[k].is_there)
            buf_append_slice(&disk->rows[k].value, mp_bytes(&in));
    }
}

static store_t *disk_load(const disk_t *disk)
{
    store_t *store = store_new(3);
    for (int k = 0; k < KEYS; k++)
        if (disk->rows[k].is_there)
            assert_true(store_load(store, slice_text(keys[k]), buf_slice(&disk->rows[k].value)));
    return store;
}

/* How much each key holds, which a store that is loaded counts anew. */
static void put_bytes(const store_t *store, size_t bytes[KEYS])
{
    for (int k = 0; k < KEYS; k++)
        bytes[k] = store_key_bytes(store, slice_text(keys[k]));
}

static void disk_free(disk_t *disk)
{
    for (int k = 0; k < KEYS; k++)
        buf_free(&disk->rows[k].value);
}

/*
 * Snapshots of all kinds while updates and forgetting go on: each shows the store as it was at its
 * beginning; those for the disk add up.
 */
static void check_snapshots(random_t *rng)
{
    store_t *store = store_new(1);
    vec_t known = all_known();
    disk_t disk = {0};
    disk_t copy = {0};
    bool has_whole = false;
    draw(rng);
    size_t i = 0;
    while (i < OPS) {
        bool is_copy = random_below(rng, 3) == 0;
        bool is_partial =
            has_whole && random_below(rng, 3) != 0 && store_changes(store) != SIZE_MAX;
        disk_t *at = is_copy ? &copy : &disk;
        hlc_t clock = i != 0 ? drawn[i - 1].mark.tag.hlc + 1 : 0;
        store_set_clock(store, clock);
        uint64_t digest = store_digest(store);
        size_t bytes[KEYS];
        size_t loaded_bytes[KEYS];
        put_bytes(store, bytes);
        store_snapshot_begin(store, is_copy      ? STORE_SNAPSHOT_COPY
                                    : is_partial ? STORE_SNAPSHOT_CHANGES
                                                 : STORE_SNAPSHOT_DISK);
        if (is_copy || !is_partial)
            for (int k = 0; k < KEYS; k++)
                at->rows[k].is_there = false;
        bool is_aborted = !is_copy && random_below(rng, 8) == 0;
        for (bool is_end = false; !is_end;) {
            buf_t rows = {0};
            for (uint64_t few = random_below(rng, 4); few > 0 && i < OPS; few--)
                apply(store, &drawn[i++]);
            /* All before operation i is there; of what comes nothing has a lesser tag. */
            const stable_t stable = {i != 0 ? drawn[i - 1].mark.tag.hlc - 1 : 0, &known};
            store_fold(store, &stable, random_below(rng, 4));
            is_end = store_snapshot_next(store, &rows, random_below(rng, 60));
            disk_take(at, &rows);
            buf_free(&rows);
            if (is_aborted && !is_end) {
                store_snapshot_abort(store);
                break;
            }
            is_aborted = is_aborted && !is_end;
        }
        if (is_aborted) {
            assert_true(store_changes(store) == SIZE_MAX);
            has_whole = false;
            continue;
        }
        has_whole |= !is_copy;
        store_t *loaded = disk_load(at);
        store_set_clock(loaded, clock);
        assert_true(store_digest(loaded) == digest);
        put_bytes(loaded, loaded_bytes);
        assert_memory_equal(loaded_bytes, bytes, sizeof bytes);
        store_destroy(&loaded);
    }
    disk_free(&disk);
    disk_free(&copy);
    store_destroy(&store);
    vec_free(&known);
}

/* Whatever bytes stand for a row: taken whole or refused, never believed beyond their end. */
static void check_damaged_rows(random_t *rng)
{
    store_t *store = store_new(1);
    buf_t rows = {0};
    draw(rng);
    for (size_t i = 0; i < OPS; i++)
        apply(store, &drawn[i]);
    store_snapshot_begin(store, STORE_SNAPSHOT_COPY);
    store_snapshot_next(store, &rows, SIZE_MAX);
    mp_t in = mp_open(buf_slice(&rows));
    mp_bytes(&in);
    slice_t value = mp_bytes(&in);
    uint8_t *bytes = (uint8_t *)mem_text(value.data, value.size);
    bytes[random_below(rng, value.size)] ^= (uint8_t)(1 + random_below(rng, 255));
    store_t *other = store_new(1);
    store_load(other, slice_text("x"), slice_of(bytes, random_below(rng, value.size + 1)));
    free(bytes);
    buf_free(&rows);
    store_destroy(&other);
    store_destroy(&store);
}

/* ---- scans ---- */

enum { MANY = 300 };

typedef struct given {
    uint8_t times[MANY];
    size_t total;
} given_t;

static void give(void *arg, slice_t key, store_type_t type)
{
    given_t *given = arg;
    int64_t number;
    assert_int_equal(type, STORE_REGISTER);
    assert_true(slice_to_int64(slice_of(key.data + 1, key.size - 1), &number));
    given->times[number]++;
    given->total++;
}

/* Whoever is there all the time is given, however the table changes between the pages. */
static void check_scan(random_t *rng)
{
    store_t *store = store_new(random_u64(rng));
    vec_t known = all_known();
    given_t given = {0};
    bool is_permanent[MANY];
    uint64_t clock = 1;
    char name[8];
    for (int i = 0; i < MANY; i++) {
        is_permanent[i] = random_below(rng, 2) != 0;
        snprintf(name, sizeof name, "k%d", i);
        const op_t op = {.code = OP_SET, .key = slice_text(name), .value = slice_text("")};
        const mark_t mark = {{clock++, 1, 1}, {1, 1}};
        if (is_permanent[i])
            store_apply(store, &op, &mark);
    }
    uint64_t cursor = 0;
    do {
        cursor =
            store_scan(store, slice_text("k"), cursor, 1 + random_below(rng, 40), give, &given);
        for (int i = 0; i < 40; i++) {
            int which = (int)random_below(rng, MANY);
            snprintf(name, sizeof name, "k%d", which);
            const op_t op = {.code = random_below(rng, 2) != 0 ? OP_SET : OP_DEL,
                             .key = slice_text(name)};
            const mark_t mark = {{clock++, 1, 1}, {1, 1}};
            if (!is_permanent[which])
                store_apply(store, &op, &mark);
        }
        const stable_t stable = {clock, &known};
        store_fold(store, &stable, SIZE_MAX);
    } while (cursor != 0);
    for (int i = 0; i < MANY; i++)
        if (is_permanent[i])
            assert_true(given.times[i] >= 1);
    given = (given_t){0};
    assert_int_equal(store_scan(store, slice_text("k"), 0, SIZE_MAX, give, &given), 0);
    assert_int_equal(given.total, store_keys(store)); /* in one go each comes once */
    assert_int_equal(store_scan(store, slice_text("none"), 0, SIZE_MAX, give, &given), 0);
    assert_int_equal(given.total, store_keys(store));
    store_destroy(&store);
    vec_free(&known);
}

static void test_orders(void **state)
{
    (void)state;
    property_run(check_orders, 3000);
}

static void test_fold(void **state)
{
    (void)state;
    property_run(check_fold, 3000);
}

static void test_fold_to_the_end(void **state)
{
    (void)state;
    property_run(check_fold_to_the_end, 1000);
}

static void test_snapshots(void **state)
{
    (void)state;
    property_run(check_snapshots, 3000);
}

static void test_damaged_rows(void **state)
{
    (void)state;
    property_run(check_damaged_rows, 5000);
}

static void test_scan(void **state)
{
    (void)state;
    property_run(check_scan, 300);
}

static void set_key(store_t *store, uint64_t number, uint64_t n)
{
    char key[24];
    int size = snprintf(key, sizeof key, "k%llu", (unsigned long long)number);
    const op_t op = {.code = OP_SET, .key = slice_of(key, (size_t)size), .value = slice_text("v")};
    const mark_t mark = {{n, 1, n}, {1, n}};
    store_apply(store, &op, &mark);
}

/* One change among very many keys is found in steps, each of which looks at so many. */
static void test_few_changes(void **state)
{
    (void)state;
    enum { ALL = STORE_LOOKS_MAX * 2, CHANGES = 8 };
    store_t *store = store_new(1);
    buf_t rows = {0};
    unsigned calls = 0;
    for (uint64_t i = 0; i < ALL; i++)
        set_key(store, i, i + 1);
    store_snapshot_begin(store, STORE_SNAPSHOT_DISK);
    while (!store_snapshot_next(store, &rows, SIZE_MAX))
        ;
    for (uint64_t i = 0; i < CHANGES; i++) {
        set_key(store, i * 1000, ALL + i + 1);
        buf_reset(&rows);
        store_snapshot_begin(store, STORE_SNAPSHOT_CHANGES);
        for (calls++; !store_snapshot_next(store, &rows, SIZE_MAX);)
            calls++;
        mp_t in = mp_open(buf_slice(&rows));
        mp_bytes(&in);
        assert_false(mp_nil(&in));
        mp_bytes(&in);
        assert_true(mp_done(&in));
    }
    assert_true(calls > CHANGES); /* not all are where the walk begins */
    buf_free(&rows);
    store_destroy(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_orders),          property_test(test_fold),
        property_test(test_fold_to_the_end), property_test(test_snapshots),
        property_test(test_damaged_rows),    property_test(test_scan),
        cmocka_unit_test(test_few_changes),
    };
    return cmocka_run_group_tests_name("store, forgetting", tests, NULL, NULL);
}
