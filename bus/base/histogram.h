/*
 * A histogram of durations, or of any counts: fixed size, constant time, 2 significant digits.
 *
 * Log-linear buckets as in G. Tene's HdrHistogram: up to 255 each value has its own, from there on
 * each power of two is divided into 128, so that a bucket is less than 1 % wide. Histograms of
 * parts, of threads or processes, merge into that of the whole without loss. A plain struct that
 * lives inside its user: zero it. It has no pointers and may be sent as bytes to a process of the
 * same build.
 */
#ifndef HEARSAY_BUS_BASE_HISTOGRAM_H
#define HEARSAY_BUS_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_VALUE_BITS = 40, /* 2^40 µs are twelve days */
    HISTOGRAM_BUCKETS = 256 + (HISTOGRAM_VALUE_BITS - 8) * 128,
    HISTOGRAM_ALL_PPM = 1000000,
};

typedef struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t min; /* exact; of an empty one 0 */
    uint64_t max;
} histogram_t;

/* Counts a value; one of 2^HISTOGRAM_VALUE_BITS or more is counted in the last bucket. */
void histogram_add(histogram_t *self, uint64_t value);

/* Adds what other has counted. */
void histogram_merge(histogram_t *self, const histogram_t *other);

/*
 * The value that ppm parts in a million of those counted do not exceed (500000: the median; 0: the
 * least). It is one of the values counted or up to 1 % above it, and never above max. 0 when none
 * was counted.
 */
uint64_t histogram_at(const histogram_t *self, uint32_t ppm);

/* How many are at or below value, to the width of a bucket. */
uint64_t histogram_up_to(const histogram_t *self, uint64_t value);

#endif
