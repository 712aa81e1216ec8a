#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "replica/core/table.h"
#include "tests/unit/property.h"

/* Against a list: few names, so that the same come and go; a load at which runs wrap around. */

enum { NAMES = 60, STEPS = 400 };

typedef struct thing {
    int number;
    size_t name_size;
    uint8_t name[8];
} thing_t;

static slice_t thing_name(const void *item)
{
    const thing_t *thing = item;
    return slice_of(thing->name, thing->name_size);
}

static thing_t *thing_new(slice_t name)
{
    thing_t *thing = mem_zero(1, sizeof *thing);
    thing->name_size = name.size;
    if (name.size != 0)
        memcpy(thing->name, name.data, name.size);
    return thing;
}

static slice_t name_of(int number, char memory[8])
{
    if (number == 0)
        return slice_of(NULL, 0); /* an empty name is a name */
    snprintf(memory, 8, "n%d", number);
    return slice_text(memory);
}

static void assert_same(const table_t *table, thing_t *const model[NAMES], const bool marked[NAMES])
{
    size_t there = 0;
    size_t marks = 0;
    for (int i = 0; i < NAMES; i++) {
        char memory[8];
        size_t slot = table_find(table, name_of(i, memory));
        assert_int_equal(slot != TABLE_NONE, model[i] != NULL);
        if (model[i] == NULL)
            continue;
        there++;
        marks += marked[i];
        assert_ptr_equal(table_at(table, slot), model[i]);
        assert_int_equal(table_has_mark(table, slot, TABLE_MARK_2), marked[i]);
        assert_false(table_has_mark(table, slot, TABLE_MARK_1));
    }
    assert_int_equal(table->size, there);
    bool met[NAMES] = {false};
    size_t walked = 0;
    for (size_t at = 0; (at = table_next(table, at)) != TABLE_NONE; at++, walked++) {
        const thing_t *thing = table_at(table, at);
        assert_false(met[thing->number]);
        met[thing->number] = true;
        assert_ptr_equal(thing, model[thing->number]);
    }
    assert_int_equal(walked, there);
    walked = 0;
    for (size_t at = 0; (at = table_next_marked(table, at, TABLE_MARK_2)) != TABLE_NONE; at++)
        walked++;
    assert_int_equal(walked, marks);
}

typedef struct given {
    const table_t *table;
    uint64_t from;
    int times[NAMES];
    size_t count;
} given_t;

static void take_slot(void *arg, size_t slot)
{
    given_t *given = arg;
    const thing_t *thing = table_at(given->table, slot);
    assert_true(table_hash(given->table, slot) >= given->from);
    given->times[thing->number]++;
    given->count++;
}

/* Page by page each is given once, while nothing changes. */
static void check_pages(const table_t *table, thing_t *const model[NAMES], size_t most)
{
    given_t given = {.table = table};
    while (given.from != TABLE_END) {
        given.count = 0;
        uint64_t next = table_page(table, given.from, most, take_slot, &given);
        assert_true(next > given.from && (given.count >= most || next == TABLE_END));
        given.from = next;
    }
    for (int i = 0; i < NAMES; i++)
        assert_int_equal(given.times[i], model[i] != NULL);
}

static void check_model(random_t *rng)
{
    table_t table;
    thing_t *model[NAMES] = {NULL};
    bool marked[NAMES] = {false};
    table_init(&table, random_u64(rng), thing_name);
    assert_same(&table, model, marked);
    for (int step = 0; step < STEPS; step++) {
        char memory[8];
        int number = (int)random_below(rng, NAMES);
        slice_t name = name_of(number, memory);
        uint64_t choice = random_below(rng, 4);
        if (model[number] == NULL) {
            model[number] = thing_new(name);
            model[number]->number = number;
            marked[number] = false;
            assert_ptr_equal(table_at(&table, table_add(&table, model[number])), model[number]);
        } else if (choice == 0) {
            marked[number] = !marked[number];
            table_set_mark(&table, table_find(&table, name), TABLE_MARK_2, marked[number]);
        } else if (choice == 1) {
            thing_t *other = thing_new(name);
            other->number = number;
            table_replace(&table, table_find(&table, name), other);
            free(model[number]);
            model[number] = other;
        } else {
            table_remove(&table, table_find(&table, name));
            free(model[number]);
            model[number] = NULL;
        }
        if (step % 16 == 0) {
            assert_same(&table, model, marked);
            check_pages(&table, model, 1 + random_below(rng, 20));
        }
        assert_true(table.size * 8 <= table.capacity * 7);
    }
    assert_same(&table, model, marked);
    table_clear_mark(&table, TABLE_MARK_2);
    assert_true(table_next_marked(&table, 0, TABLE_MARK_1 | TABLE_MARK_2) == TABLE_NONE);
    for (int i = 0; i < NAMES; i++)
        free(model[i]);
    table_free(&table);
    assert_int_equal(table.size, 0);
}

static void test_model(void **state)
{
    (void)state;
    property_run(check_model, 200);
}

static void test_binary_names(void **state)
{
    (void)state;
    static const char *const names[] = {"a\0b", "a\0c", "a"};
    table_t table;
    thing_t *things[3];
    table_init(&table, 1, thing_name);
    for (int i = 0; i < 3; i++) {
        things[i] = thing_new(slice_of(names[i], i < 2 ? 3 : 1));
        table_add(&table, things[i]);
    }
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(table_at(&table, table_find(&table, slice_of(names[i], i < 2 ? 3 : 1))),
                         things[i]);
    assert_true(table_find(&table, slice_of("a\0", 2)) == TABLE_NONE);
    table_free(&table);
    for (int i = 0; i < 3; i++)
        free(things[i]);
}

/* Made room for, it takes that many without growing, and is no greater than need be. */
static void test_reserve(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size++) {
        table_t table;
        table_init(&table, size, thing_name);
        table_reserve(&table, size);
        size_t capacity = table.capacity;
        thing_t *things[200];
        for (size_t i = 0; i < size; i++) {
            char memory[8];
            things[i] = thing_new(name_of((int)i, memory));
            table_add(&table, things[i]);
        }
        assert_int_equal(table.capacity, capacity);
        assert_true(capacity <= size + size / 7 + 2);
        for (size_t i = 0; i < size; i++)
            free(things[i]);
        table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_model),
        cmocka_unit_test(test_binary_names),
        cmocka_unit_test(test_reserve),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
