/*
 * Hybrid logical clocks: 48 bits of milliseconds since 1970 and 16 bits of counter in one uint64.
 *
 * Kulkarni, Demirbas et al., Logical Physical Clocks, OPODIS 2014. Here the counter simply carries
 * into the milliseconds, so "one more" is always + 1 and order is that of integers.
 */
#ifndef HEARSAY_BUS_BASE_HLC_H
#define HEARSAY_BUS_BASE_HLC_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t hlc_t;

#define HLC_MS_MAX ((INT64_C(1) << 48) - 1)

/* The time as a core is given it with each event. Units in the names. */
typedef struct now {
    int64_t wall_ms; /* CLOCK_REALTIME; may jump */
    int64_t boot_ms; /* CLOCK_BOOTTIME; never goes back, counts through suspend */
} now_t;

/* The earlier of two times in boot ms; INT64_MAX is never. */
int64_t time_earlier(int64_t a_ms, int64_t b_ms);

/* The clock value at a number of milliseconds since 1970, counter 0; 0 for a negative number. */
hlc_t hlc_at(int64_t wall_ms);

/* The milliseconds of a clock value. */
int64_t hlc_ms(hlc_t hlc);

/* The clock value ms later (earlier when negative), without running under 0. */
hlc_t hlc_add_ms(hlc_t hlc, int64_t ms);

hlc_t hlc_max(hlc_t a, hlc_t b);

/*
 * A tag: the place of an operation in the order of conflicts, fixed once by the client that issued
 * it and kept by every retry and every copy. Ordered by clock, then client, then seq.
 */
typedef struct tag {
    hlc_t hlc;
    uint64_t client;
    uint64_t seq;
} tag_t;

/* <0, 0, >0 */
int tag_compare(tag_t a, tag_t b);
bool tag_is_zero(tag_t tag);
tag_t tag_max(tag_t a, tag_t b);

#endif
