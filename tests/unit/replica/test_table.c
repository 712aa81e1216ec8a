#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "replica/core/table.h"
#include "tests/unit/property.h"

/* Against a list: few names, so that the same come and go; a load at which runs wrap around. */

enum { NAMES = 60, STEPS = 400 };

typedef struct thing {
    table_item_t item;
    int number;
} thing_t;

static slice_t name_of(int number, char memory[8])
{
    if (number == 0)
        return slice_of(NULL, 0); /* an empty name is a name */
    snprintf(memory, 8, "n%d", number);
    return slice_text(memory);
}

static void assert_same(const table_t *table, thing_t *const model[NAMES])
{
    size_t there = 0;
    for (int i = 0; i < NAMES; i++) {
        char memory[8];
        slice_t name = name_of(i, memory);
        const table_item_t *found = table_find(table, name);
        assert_ptr_equal(found, model[i] != NULL ? &model[i]->item : NULL);
        if (model[i] == NULL)
            continue;
        there++;
        assert_int_equal(model[i]->number, i);
        assert_true(slice_equal(table_name(&model[i]->item), name));
    }
    assert_int_equal(table->size, there);
    bool met[NAMES] = {false};
    size_t walked = 0;
    size_t at = 0;
    for (table_item_t *item; (item = table_next(table, &at)) != NULL; walked++) {
        int number = ((thing_t *)item)->number;
        assert_false(met[number]);
        met[number] = true;
        assert_ptr_equal(item, &model[number]->item);
    }
    assert_int_equal(walked, there);
}

static void check_model(random_t *rng)
{
    table_t table;
    thing_t *model[NAMES] = {NULL};
    table_init(&table, random_u64(rng));
    assert_same(&table, model);
    for (int step = 0; step < STEPS; step++) {
        int number = (int)random_below(rng, NAMES);
        if (model[number] == NULL) {
            char memory[8];
            thing_t *added = table_add(&table, name_of(number, memory), sizeof *added);
            assert_int_equal(added->number, 0);
            added->number = number;
            model[number] = added;
            memset(memory, '#', sizeof memory); /* the name is a copy */
        } else {
            table_remove(&table, &model[number]->item);
            free(model[number]);
            model[number] = NULL;
        }
        if (step % 16 == 0)
            assert_same(&table, model);
        assert_true(table.size * 4 <= table.capacity * 3);
    }
    assert_same(&table, model);
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
    table_t table;
    table_init(&table, 1);
    thing_t *a = table_add(&table, slice_of("a\0b", 3), sizeof *a);
    thing_t *b = table_add(&table, slice_of("a\0c", 3), sizeof *b);
    thing_t *c = table_add(&table, slice_text("a"), sizeof *c);
    assert_ptr_equal(table_find(&table, slice_of("a\0b", 3)), &a->item);
    assert_ptr_equal(table_find(&table, slice_of("a\0c", 3)), &b->item);
    assert_ptr_equal(table_find(&table, slice_text("a")), &c->item);
    assert_null(table_find(&table, slice_of("a\0", 2)));
    table_free(&table);
    free(a);
    free(b);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_model),
        cmocka_unit_test(test_binary_names),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
