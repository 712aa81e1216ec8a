#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/core/lost.h"
#include "replica/core/state.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

static void draw_vector(random_t *rng, vec_t *out, uint32_t most)
{
    for (uint64_t parts = random_below(rng, most); parts > 0; parts--)
        vec_raise(out, 1 + random_u64(rng) / 2, 1 + random_below(rng, 1000));
}

static void check_meta(random_t *rng)
{
    state_meta_t put = {.lineage = 1 + random_u64(rng) / 2,
                        .position = random_u64(rng),
                        .clock = random_u64(rng),
                        .lead_ms = (int64_t)(random_u64(rng) >> 16),
                        .floor = random_u64(rng),
                        .horizon = random_u64(rng),
                        .keys = random_u64(rng),
                        .members = slice_text("rows of members")};
    state_meta_t got = {0};
    buf_t out = {0};
    draw_vector(rng, &put.applied, 2000);
    draw_vector(rng, &put.dropped, 20);
    draw_vector(rng, &put.ended, 2000);
    draw_vector(rng, &put.lost.first, 20);
    draw_vector(rng, &put.lost.last, 20);
    state_meta_put(&out, &put);
    assert_true(state_meta_read(buf_slice(&out), &got));
    assert_true(got.lineage == put.lineage && got.position == put.position);
    assert_true(got.clock == put.clock && got.lead_ms == put.lead_ms && got.floor == put.floor);
    assert_true(got.horizon == put.horizon && got.keys == put.keys);
    assert_true(vec_equal(&got.applied, &put.applied));
    assert_true(vec_equal(&got.dropped, &put.dropped) && vec_equal(&got.ended, &put.ended));
    assert_true(vec_equal(&got.lost.first, &put.lost.first));
    assert_true(vec_equal(&got.lost.last, &put.lost.last));
    assert_true(slice_equal(got.members, put.members));
    for (int i = 0; i < 20; i++) {
        slice_t damaged = mutate(rng, buf_slice(&out), 0);
        if (state_meta_read(damaged, &got))
            assert_true(mutate_within(got.members, damaged));
        mutate_free(damaged);
    }
    state_meta_free(&put);
    state_meta_free(&got);
    buf_free(&out);
}

static void test_meta(void **state)
{
    (void)state;
    /* Written before it said what is lost. */
    static const uint8_t old[] = {0x9A, 1, 2, 3, 4, 5, 6, 0x92, 7, 8, 0x90, 0xC4, 0, 0x90};
    state_meta_t meta = {0};
    assert_true(state_meta_read(slice_of(old, sizeof old), &meta));
    assert_true(vec_get(&meta.applied, 7) == 8 && meta.lost.last.size == 0);
    state_meta_free(&meta);
    property_run(check_meta, 200);
}

static void test_rows(void **state)
{
    (void)state;
    buf_t run = {0};
    uint8_t bytes[8];
    uint64_t number;
    slice_t key;
    slice_t value;
    bool is_gone;
    state_put_row(&run, state_number_key(77, bytes), slice_text("value"));
    mp_put_bin(&run, slice_text("gone"));
    mp_put_nil(&run);
    mp_t in = mp_open(buf_slice(&run));
    assert_true(state_next_row(&in, &key, &value, &is_gone));
    assert_false(is_gone);
    assert_true(state_key_number(key, &number));
    assert_int_equal(number, 77);
    assert_true(slice_equal(value, slice_text("value")));
    assert_true(state_next_row(&in, &key, &value, &is_gone));
    assert_true(is_gone);
    assert_false(state_key_number(key, &number));
    assert_false(state_next_row(&in, &key, &value, &is_gone));
    assert_true(mp_done(&in));
    buf_free(&run);
}

/* What came too late reads as the commands that would do it again. */
static void test_lost(void **state)
{
    (void)state;
    static const op_t list[] = {
        {.code = OP_SET,
         .key = {(const uint8_t *)"k", 1},
         .value = {(const uint8_t *)"a\"\n\\", 4}},
        {.code = OP_DEL, .key = {(const uint8_t *)"k", 1}},
        {.code = OP_INCR, .key = {(const uint8_t *)"n", 1}, .amount = -3},
        {.code = OP_HSET,
         .key = {(const uint8_t *)"h", 1},
         .field = {(const uint8_t *)"f", 1},
         .value = {(const uint8_t *)"v", 1}},
        {.code = OP_SADD, .key = {(const uint8_t *)"s", 1}, .field = {(const uint8_t *)"e", 1}},
        {.code = OP_EXPIRE, .key = {(const uint8_t *)"k", 1}, .amount = 65536 * 5},
    };
    enum { OPS = sizeof list / sizeof list[0] };
    buf_t ops = {0};
    buf_t out = {0};
    mp_put_array(&ops, OPS);
    for (int i = 0; i < OPS; i++)
        op_put(&ops, &list[i]);
    const record_t record = {
        .origin = 0xAB, .n = 9, .tag = {65536 * 2, 1, 1}, .ops = buf_slice(&ops)};
    lost_put(&out, &record);
    assert_string_equal(buf_text(&out),
                        "# update 9 of incarnation 00000000000000ab, issued at 2 ms since 1970\n"
                        "set \"k\" \"a\\\"\\x0a\\\\\"\n"
                        "del \"k\"\n"
                        "incr \"n\" -3\n"
                        "hset \"h\" \"f\" \"v\"\n"
                        "sadd \"s\" \"e\"\n"
                        "# expire \"k\" at 5 ms since 1970\n");
    buf_free(&ops);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_meta),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
