#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <features.h>
#include <stdio.h>
#include <string.h>

#include "replica/core/store.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#include <malloc.h>
#endif

/* What docs/operating.md tells people to reckon with: a register of 16 and 100 bytes. */
enum { KEYS = 1000000, KEY_BYTES = 16, VALUE_BYTES = 100, BUDGET = 175, BUDGET_STABLE = 150 };

/* In use, with what malloc needs itself; 0 where the C library does not say. */
static size_t heap_bytes(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static void test_bytes_per_key(void **state)
{
    (void)state;
    size_t before = heap_bytes();
    if (before == 0)
        skip();
    char value[VALUE_BYTES];
    memset(value, 'x', sizeof value);
    store_t *store = store_new(1);
    for (uint64_t i = 1; i <= KEYS; i++) {
        char key[KEY_BYTES + 1];
        snprintf(key, sizeof key, "key:%012llu", (unsigned long long)i);
        const op_t op = {
            .code = OP_SET, .key = slice_text(key), .value = slice_of(value, sizeof value)};
        const mark_t mark = {{i, 1, i}, {7, i}};
        store_apply(store, &op, &mark);
    }
    assert_int_equal(store_keys(store), KEYS);
    size_t fresh = (heap_bytes() - before) / KEYS;

    const vec_part_t all = {7, KEYS};
    vec_t known = {0};
    vec_raise(&known, all.incarnation, all.count);
    const stable_t stable = {KEYS, &known};
    while (store_unstable(store) != 0)
        store_fold(store, &stable, 10000);
    size_t folded = (heap_bytes() - before) / KEYS;
    print_message("%zu bytes a key, %zu once it is stable\n", fresh, folded);
    assert_true(fresh <= BUDGET);
    assert_true(folded <= BUDGET_STABLE);
    vec_free(&known);
    store_destroy(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_per_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
