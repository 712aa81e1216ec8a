#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/bucket.h"

enum { NODES_MAX = 3 };

/* A bucket as some replicas show it; keys are made by update N of incarnation 100 + their place. */
typedef struct made {
    compare_shown_t shown[NODES_MAX];
    buf_t keys[NODES_MAX];
    buf_t vectors[NODES_MAX];
    size_t count;
} made_t;

static void put_key(made_t *made, size_t node, const char *name, uint64_t digest, uint64_t origin,
                    uint64_t n)
{
    vec_t dots = {0};
    const compare_key_t key = {
        .key = slice_text(name), .type = slice_text("register"), .digest = digest};
    vec_raise(&dots, origin, n);
    compare_key_put(&made->keys[node], &key, &dots);
    vec_free(&dots);
    made->shown[node].keys++;
}

static void put_vector(made_t *made, size_t node, uint64_t n1, uint64_t n2)
{
    vec_t vector = {0};
    vec_raise(&vector, 1, n1);
    vec_raise(&vector, 2, n2);
    mp_put_vector(&made->vectors[node], &vector);
    vec_free(&vector);
    made->count = node + 1 > made->count ? node + 1 : made->count;
}

typedef struct found {
    size_t differing;
    size_t unsettled;
    size_t cut;
    slice_t last;
    size_t nodes[2];
    slice_t types[2];
} found_t;

static void take(void *arg, const bucket_finding_t *finding)
{
    found_t *found = arg;
    if (finding->verdict == BUCKET_DIFFERS)
        found->differing++;
    else
        found->unsettled++;
    assert_true(found->last.size == 0 || slice_compare(found->last, finding->key) < 0);
    found->last = finding->key;
    for (int i = 0; i < 2; i++) {
        found->nodes[i] = finding->nodes[i];
        found->types[i] = finding->types[i];
    }
}

static found_t compare(made_t *made)
{
    found_t found = {0};
    for (size_t i = 0; i < made->count; i++) {
        made->shown[i].keys_at = buf_slice(&made->keys[i]);
        made->shown[i].vector = buf_slice(&made->vectors[i]);
    }
    found.cut = bucket_compare(made->shown, made->count, take, &found);
    return found;
}

static void free_made(made_t *made)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        buf_free(&made->keys[i]);
        buf_free(&made->vectors[i]);
    }
}

static void test_equal(void **state)
{
    (void)state;
    made_t made = {0};
    put_vector(&made, 0, 5, 5);
    put_vector(&made, 1, 5, 4); /* lacks something, but nothing of these keys */
    put_key(&made, 0, "a", 11, 1, 1);
    put_key(&made, 0, "b", 12, 2, 4);
    put_key(&made, 1, "b", 12, 2, 4);
    put_key(&made, 1, "a", 11, 1, 1);
    found_t found = compare(&made);
    assert_true(found.differing == 0 && found.unsettled == 0);
    free_made(&made);
}

/* One has an update that the other lacks: no difference yet, whoever shows nothing at all. */
static void test_unsettled(void **state)
{
    (void)state;
    made_t made = {0};
    put_vector(&made, 0, 5, 5);
    put_vector(&made, 1, 5, 4);
    put_key(&made, 0, "a", 11, 2, 5);
    put_key(&made, 1, "a", 10, 1, 1);
    put_key(&made, 0, "b", 7, 2, 5);
    found_t found = compare(&made);
    assert_true(found.differing == 0 && found.unsettled == 2);
    free_made(&made);
}

static void test_differs(void **state)
{
    (void)state;
    made_t made = {0};
    put_vector(&made, 0, 5, 5);
    put_vector(&made, 1, 5, 6);
    put_vector(&made, 2, 5, 5);
    for (size_t i = 0; i < 3; i++)
        put_key(&made, i, "same", 3, 1, 1);
    put_key(&made, 0, "a", 11, 2, 5);
    put_key(&made, 1, "a", 11, 2, 5);
    put_key(&made, 2, "a", 12, 2, 5);
    found_t found = compare(&made);
    assert_true(found.differing == 1 && found.unsettled == 0);
    assert_true(slice_equal(found.last, slice_text("a")) && found.nodes[0] == 0);
    assert_true(found.nodes[1] == 2);

    /* Gone at one without a trace, though it has the update: lost there. */
    put_key(&made, 0, "b", 11, 2, 5);
    put_key(&made, 1, "b", 11, 2, 5);
    found = compare(&made);
    assert_true(found.differing == 2);
    assert_true(slice_equal(found.types[1], slice_text("none")));

    /* Unsettled between two, different between two others. */
    put_key(&made, 0, "c", 1, 2, 5);
    put_key(&made, 1, "c", 2, 2, 6);
    put_key(&made, 2, "c", 3, 2, 5);
    found = compare(&made);
    assert_true(found.differing == 3 && found.unsettled == 0);
    assert_true(found.nodes[0] == 0 && found.nodes[1] == 2 && found.cut == 0);
    made.shown[2].is_cut = true;
    found = compare(&made);
    assert_true(found.differing == 0 && found.unsettled == 1 && found.cut == 1);
    free_made(&made);
}

static void test_nothing(void **state)
{
    (void)state;
    made_t made = {0};
    found_t found = compare(&made);
    assert_true(found.differing == 0 && found.unsettled == 0);
    put_vector(&made, 0, 1, 1);
    put_key(&made, 0, "a", 1, 1, 1);
    found = compare(&made);
    assert_true(found.differing == 0 && found.unsettled == 0);
    free_made(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_unsettled),
        cmocka_unit_test(test_differs),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
