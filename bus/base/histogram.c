#include "bus/base/histogram.h"

enum {
    LINEAR_BITS = 8, /* values of so many bits have a bucket each */
    STEPS_BITS = 7,  /* then each power of two has so many, as bits */
};

#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* By how much a value is shifted so that LINEAR_BITS are left. */
static unsigned shift_of(uint64_t value)
{
    unsigned shift = 0;
    while (value >> shift >= UINT64_C(1) << LINEAR_BITS)
        shift++;
    return shift;
}

static unsigned bucket_of(uint64_t value)
{
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    unsigned shift = shift_of(value);
    /* What is left after a shift has its highest bit set: the upper half of the linear part. */
    return (shift << STEPS_BITS) + (unsigned)(value >> shift);
}

/* The greatest value of a bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < 1U << LINEAR_BITS)
        return bucket;
    unsigned shift = (bucket >> STEPS_BITS) - 1;
    uint64_t left = bucket - (shift << STEPS_BITS);
    return ((left + 1) << shift) - 1;
}

void histogram_add(histogram_t *self, uint64_t value)
{
    self->counts[bucket_of(value)]++;
    if (self->total == 0 || value < self->min)
        self->min = value;
    if (value > self->max)
        self->max = value;
    self->total++;
}

void histogram_merge(histogram_t *self, const histogram_t *other)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        self->counts[i] += other->counts[i];
    if (other->total != 0 && (self->total == 0 || other->min < self->min))
        self->min = other->min;
    if (other->max > self->max)
        self->max = other->max;
    self->total += other->total;
}

/* The rank, from 1, of the value that ppm parts in a million do not exceed. */
static uint64_t rank_of(uint64_t total, uint32_t ppm)
{
    uint64_t whole = total / HISTOGRAM_ALL_PPM * ppm;
    uint64_t rest = total % HISTOGRAM_ALL_PPM * ppm;
    uint64_t rank = whole + (rest + HISTOGRAM_ALL_PPM - 1) / HISTOGRAM_ALL_PPM;
    return rank != 0 ? rank : 1;
}

uint64_t histogram_at(const histogram_t *self, uint32_t ppm)
{
    uint64_t seen = 0;

    if (self->total == 0 || ppm == 0)
        return self->min;
    if (ppm >= HISTOGRAM_ALL_PPM)
        return self->max;
    uint64_t rank = rank_of(self->total, ppm);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += self->counts[i];
        if (seen >= rank)
            return i == HISTOGRAM_BUCKETS - 1 || top_of(i) > self->max ? self->max : top_of(i);
    }
    return self->max;
}

uint64_t histogram_up_to(const histogram_t *self, uint64_t value)
{
    unsigned last = bucket_of(value);
    uint64_t seen = 0;

    for (unsigned i = 0; i <= last; i++)
        seen += self->counts[i];
    return seen;
}
