/*
 * What the fuzz targets share: the entry that libFuzzer calls, and checks that end the program.
 *
 * A target is one file fuzz_NAME.c with that function. It is linked with libFuzzer (make fuzz) or
 * with replay.c, which runs it over files and damaged copies of them as an ordinary test.
 */
#ifndef HEARSAY_TESTS_FUZZ_FUZZ_H
#define HEARSAY_TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert also with NDEBUG. */
#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort());             \
    } while (0)

/* Reads every byte, so that a slice that lies outside of its message is noticed. */
static inline void fuzz_touch(slice_t s)
{
    static volatile uint8_t sink;
    uint8_t sum = 0;
    for (size_t i = 0; i < s.size; i++)
        sum = (uint8_t)(sum + s.data[i]);
    sink = sum;
    (void)sink;
}

#endif
