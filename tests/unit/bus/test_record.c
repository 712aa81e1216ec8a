#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/wire/command.h"
#include "bus/wire/record.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { DRAWN_OPS = 6, TEXT = 12 };

/* A record with what it borrows. */
typedef struct drawn {
    record_t record;
    buf_t result;
    buf_t ops;
    op_t list[DRAWN_OPS];
    uint32_t count;
    uint8_t text[DRAWN_OPS][3][TEXT];
} drawn_t;

static slice_t draw_text(random_t *rng, uint8_t *memory)
{
    size_t size = random_below(rng, TEXT + 1);
    property_fill(rng, memory, size);
    return slice_of(memory, size);
}

static void draw(random_t *rng, drawn_t *out)
{
    *out = (drawn_t){.count = (uint32_t)random_below(rng, DRAWN_OPS + 1)};
    mp_put_array(&out->ops, out->count);
    for (uint32_t i = 0; i < out->count; i++) {
        op_t *op = &out->list[i];
        op->code = (uint8_t)(OP_SET + random_below(rng, OP_HINCR));
        op->key = draw_text(rng, out->text[i][0]);
        if (op->code >= OP_HSET)
            op->field = draw_text(rng, out->text[i][1]);
        if (op->code == OP_SET || op->code == OP_HSET)
            op->value = draw_text(rng, out->text[i][2]);
        if (op->code == OP_INCR || op->code == OP_HINCR)
            op->amount = (int64_t)(random_u64(rng) >> random_below(rng, 64));
        op_put(&out->ops, op);
    }
    mp_put_text(&out->result, "done");
    record_t *record = &out->record;
    record->origin = 1 + random_below(rng, UINT64_MAX);
    record->n = 1 + random_below(rng, UINT64_MAX);
    for (uint64_t i = random_below(rng, 5); i > 0; i--)
        vec_raise(&record->deps, random_u64(rng), 1 + random_below(rng, 1000));
    record->tag = (tag_t){random_u64(rng), random_u64(rng), random_u64(rng)};
    record->floor = random_u64(rng);
    record->result = buf_slice(&out->result);
    record->ops = buf_slice(&out->ops);
}

static void drawn_free(drawn_t *self)
{
    record_free(&self->record);
    buf_free(&self->result);
    buf_free(&self->ops);
}

static void assert_same_op(const op_t *a, const op_t *b)
{
    assert_int_equal(a->code, b->code);
    assert_true(slice_equal(a->key, b->key));
    assert_true(slice_equal(a->field, b->field));
    assert_true(slice_equal(a->value, b->value));
    assert_true(a->amount == b->amount);
}

static void check_round_trip(random_t *rng)
{
    drawn_t drawn;
    draw(rng, &drawn);
    const record_t *put = &drawn.record;
    buf_t out = {0};
    record_put(&out, put);
    slice_t bytes = mutate_exact(buf_slice(&out));

    record_t got = {0};
    vec_raise(&got.deps, 7, 7); /* reading again reuses it, and forgets what was there */
    assert_true(record_read(bytes, &got));
    assert_true(got.origin == put->origin && got.n == put->n && got.floor == put->floor);
    assert_true(vec_equal(&got.deps, &put->deps));
    assert_int_equal(tag_compare(got.tag, put->tag), 0);
    assert_true(slice_equal(got.result, put->result));
    assert_true(slice_equal(got.ops, put->ops));

    mp_t ops = mp_open(got.ops);
    assert_int_equal(mp_array(&ops, OPS_MAX), drawn.count);
    for (uint32_t i = 0; i < drawn.count; i++) {
        op_t op;
        assert_true(op_read(&ops, &op));
        assert_same_op(&op, &drawn.list[i]);
    }
    assert_true(mp_done(&ops));

    uint64_t origin = 0;
    uint64_t n = 0;
    assert_true(record_peek(bytes, &origin, &n));
    assert_true(origin == put->origin && n == put->n);

    for (size_t cut = 0; cut < bytes.size; cut++) { /* no part of it is a record */
        slice_t part = mutate_exact(slice_of(bytes.data, cut));
        assert_false(record_read(part, &got));
        mutate_free(part);
    }
    record_free(&got);
    mutate_free(bytes);
    buf_free(&out);
    drawn_free(&drawn);
}

/* Whatever comes: no crash, and what is taken for a record is whole and within limits. */
static void check_damage(random_t *rng)
{
    drawn_t drawn;
    draw(rng, &drawn);
    buf_t out = {0};
    record_put(&out, &drawn.record);
    record_t got = {0};
    for (int i = 0; i < 20; i++) {
        slice_t bytes = mutate(rng, buf_slice(&out), 0);
        uint64_t origin;
        uint64_t n;
        bool peeked = record_peek(bytes, &origin, &n);
        if (record_read(bytes, &got)) {
            assert_true(peeked && origin == got.origin && n == got.n);
            assert_true(got.origin != 0 && got.n != 0);
            assert_true(mutate_within(got.result, bytes) && mutate_within(got.ops, bytes));
            mp_t ops = mp_open(got.ops);
            uint32_t count = mp_array(&ops, OPS_MAX);
            for (uint32_t k = 0; k < count; k++) {
                op_t op;
                assert_true(op_read(&ops, &op));
                mutate_touch(op.key);
                mutate_touch(op.field);
                mutate_touch(op.value);
            }
            assert_true(mp_done(&ops));
        }
        mutate_free(bytes);
    }
    record_free(&got);
    buf_free(&out);
    drawn_free(&drawn);
}

static void test_round_trip(void **state)
{
    (void)state;
    property_run(check_round_trip, 300);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, 1000);
}

static bool reads(uint64_t origin, uint64_t n, slice_t ops, bool more)
{
    buf_t out = {0};
    mp_put_array(&out, 9U + more);
    mp_put_uint(&out, origin);
    mp_put_uint(&out, n);
    mp_put_array(&out, 0);
    for (int i = 0; i < 4; i++)
        mp_put_uint(&out, 1);
    mp_put_nil(&out);
    buf_append_slice(&out, ops);
    if (more)
        mp_put_text(&out, "of a newer version");
    record_t got = {0};
    bool good = record_read(buf_slice(&out), &got);
    record_free(&got);
    buf_free(&out);
    return good;
}

static void test_rules(void **state)
{
    (void)state;
    buf_t ops = {0};
    mp_put_array(&ops, 1);
    op_t op = {.code = OP_DEL, .key = slice_text("k")};
    op_put(&ops, &op);
    slice_t good = buf_slice(&ops);
    assert_true(reads(1, 1, good, false));
    assert_true(reads(1, 1, good, true)); /* it may grow at the end */
    assert_false(reads(0, 1, good, false));
    assert_false(reads(1, 0, good, false));
    assert_false(reads(1, 1, slice_of(ops.data, 0), false));
    ops.data[2] = OP_HINCR + 1; /* fixarray, fixarray, code */
    assert_false(reads(1, 1, buf_slice(&ops), false));
    ops.data[2] = OP_SET; /* with an item too few */
    assert_false(reads(1, 1, buf_slice(&ops), false));
    buf_free(&ops);
}

static bool op_round_trips(const op_t *op)
{
    buf_t out = {0};
    op_put(&out, op);
    mp_t in = mp_open(buf_slice(&out));
    op_t got;
    bool good = op_read(&in, &got) && mp_done(&in);
    buf_free(&out);
    return good;
}

static void test_limits(void **state)
{
    (void)state;
    size_t size = (size_t)COMMAND_VALUE_MAX + 1;
    uint8_t *memory = calloc(1, size);
    assert_non_null(memory);
    op_t op = {.code = OP_HSET, .key = slice_of(memory, COMMAND_KEY_MAX)};
    op.field = op.key;
    op.value = slice_of(memory, size - 1);
    assert_true(op_round_trips(&op));
    op.value.size++;
    assert_false(op_round_trips(&op));
    op.value.size = 0;
    assert_true(op_round_trips(&op));
    op.field.size++;
    assert_false(op_round_trips(&op));
    op.field.size--;
    op.key.size++;
    assert_false(op_round_trips(&op));
    free(memory);

    op_t incr = {.code = OP_INCR, .key = slice_text("k"), .amount = INT64_MIN};
    assert_true(op_round_trips(&incr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_round_trip),
        property_test(test_damage),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
