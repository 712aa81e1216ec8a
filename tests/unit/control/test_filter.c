#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "control/filter.h"

static bool takes(filter_t *filter, trace_item_t item)
{
    return filter_takes(filter, &item);
}

static void test_what_is_connected_with_the_key(void **state)
{
    (void)state;
    filter_t *filter = filter_new(slice_text("k"));
    const slice_t key = slice_text("k");

    assert_false(takes(filter, (trace_item_t){.kind = TRACE_CONNECTED}));
    assert_false(takes(filter, (trace_item_t){.kind = TRACE_REPLIED, .session = 1, .seq = 1}));
    assert_true(takes(filter, (trace_item_t){.session = 1, .seq = 1, .key = key}));
    assert_true(takes(filter, (trace_item_t){.kind = TRACE_REPLIED, .session = 1, .seq = 1}));
    assert_false(takes(filter, (trace_item_t){.kind = TRACE_REPLIED, .session = 1, .seq = 2}));
    assert_true(takes(filter, (trace_item_t){.update = {7, 1}, .key = key}));
    assert_true(takes(filter, (trace_item_t){.kind = TRACE_UPDATE_LOGGED, .update = {7, 1}}));
    assert_false(takes(filter, (trace_item_t){.kind = TRACE_UPDATE_LOGGED, .update = {7, 2}}));
    assert_false(takes(filter, (trace_item_t){.update = {7, 1}, .key = slice_text("other")}));
    filter_destroy(&filter);
}

/* The oldest of too many ids is forgotten, the latest are not. */
static void test_bounds(void **state)
{
    (void)state;
    filter_t *filter = filter_new(slice_text("k"));

    for (uint64_t seq = 1; seq <= FILTER_IDS + 1; seq++)
        assert_true(
            takes(filter, (trace_item_t){.session = 1, .seq = seq, .key = slice_text("k")}));
    assert_false(takes(filter, (trace_item_t){.session = 1, .seq = 1}));
    assert_true(takes(filter, (trace_item_t){.session = 1, .seq = 2}));
    assert_true(takes(filter, (trace_item_t){.session = 1, .seq = FILTER_IDS + 1}));
    filter_destroy(&filter);
}

/* Items have the first TRACE_KEY_MAX bytes of a long key. */
static void test_long_key(void **state)
{
    (void)state;
    char key[TRACE_KEY_MAX + 10];

    memset(key, 'k', sizeof(key));
    filter_t *filter = filter_new(slice_of(key, sizeof(key)));
    assert_true(takes(filter, (trace_item_t){.key = slice_of(key, TRACE_KEY_MAX)}));
    filter_destroy(&filter);
}

static void test_no_key(void **state)
{
    (void)state;
    filter_t *filter = filter_new(slice_of(NULL, 0));
    assert_true(takes(filter, (trace_item_t){.kind = TRACE_CONNECTED}));
    filter_destroy(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_connected_with_the_key),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_key),
        cmocka_unit_test(test_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
