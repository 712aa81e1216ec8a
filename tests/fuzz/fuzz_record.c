/* Update records: what reads well is written again to what reads the same. */
#include "bus/wire/record.h"
#include "tests/fuzz/fuzz.h"

static void read_ops(slice_t ops)
{
    mp_t in = mp_open(ops);
    uint32_t count = mp_array(&in, OPS_MAX);
    op_t op;

    for (uint32_t i = 0; i < count && op_read(&in, &op); i++) {
        fuzz_check(op.code >= OP_SET && op.code <= OP_HINCR);
        fuzz_touch(op.key);
        fuzz_touch(op.field);
        fuzz_touch(op.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t bytes = slice_of(data, size);
    record_t record = {0};
    record_t again = {0};
    buf_t out = {0};
    uint64_t origin;
    uint64_t n;

    if (record_read(bytes, &record)) {
        fuzz_touch(record.result);
        fuzz_check(record_peek(bytes, &origin, &n));
        fuzz_check(origin == record.origin && n == record.n);
        read_ops(record.ops);
        record_put(&out, &record);
        fuzz_check(record_read(buf_slice(&out), &again));
        fuzz_check(again.origin == record.origin && again.n == record.n);
        fuzz_check(tag_compare(again.tag, record.tag) == 0 && again.floor == record.floor);
        fuzz_check(vec_equal(&again.deps, &record.deps) && slice_equal(again.ops, record.ops));
    } else {
        record_peek(bytes, &origin, &n);
    }
    record_free(&record);
    record_free(&again);
    buf_free(&out);
    return 0;
}
