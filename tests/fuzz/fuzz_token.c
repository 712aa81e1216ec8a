/* Tokens as text: one value has one text. */
#include "bus/wire/token.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t text = slice_of(data, size);
    uint64_t lineage;
    hlc_t clock;
    vec_t seen = {0};
    buf_t out = {0};

    if (token_read(text, &lineage, &clock, &seen)) {
        vec_t again = {0};
        uint64_t lineage_again;
        hlc_t clock_again;
        token_put(&out, lineage, clock, &seen);
        fuzz_check(token_read(buf_slice(&out), &lineage_again, &clock_again, &again));
        fuzz_check(lineage_again == lineage && clock_again == clock && vec_equal(&again, &seen));
        vec_free(&again);
    }
    vec_free(&seen);
    buf_free(&out);
    return 0;
}
