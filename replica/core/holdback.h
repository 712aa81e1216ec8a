/*
 * The hold-back queue: records received that may not be applied yet, because an earlier one of
 * their origin or one of their deps is missing (Coulouris et al., section 18.4.1, "hold-back
 * queue"; Ladin et al. 1992, section 3.1, the records of the log that are not ready).
 *
 * It lives in memory only and is bounded: a record it has no room for is dropped and pulled again.
 * Nothing that others rely on speaks of it.
 */
#ifndef HEARSAY_REPLICA_CORE_HOLDBACK_H
#define HEARSAY_REPLICA_CORE_HOLDBACK_H

#include "bus/base/bytes.h"
#include "bus/base/vector.h"

typedef struct holdback holdback_t;

typedef enum holdback_result {
    HOLDBACK_HELD,
    HOLDBACK_DUPLICATE,
    HOLDBACK_FULL,
} holdback_result_t;

/* bytes_max: of records held together. */
holdback_t *holdback_new(size_t bytes_max);
void holdback_destroy(holdback_t **self);

/* Keeps a copy of a record, which is not empty. DUPLICATE also where there would be no room. */
holdback_result_t holdback_put(holdback_t *self, uint64_t origin, uint64_t n, slice_t record);

/* The n-th record of an origin if it is held, else an empty slice; borrowed until it is dropped. */
slice_t holdback_get(const holdback_t *self, uint64_t origin, uint64_t n);

/* Drops all records of an origin up to the n-th. */
void holdback_drop(holdback_t *self, uint64_t origin, uint64_t n);

/* The last n that is held without a gap behind applied (its count in the value timestamp). */
uint64_t holdback_contiguous(const holdback_t *self, uint64_t origin, uint64_t applied);

/* The greatest n held of an origin, 0 for none. */
uint64_t holdback_greatest(const holdback_t *self, uint64_t origin);

/*
 * Origin after origin: the next one that has records held, after a given one (0 to start); 0: none.
 */
uint64_t holdback_next_origin(const holdback_t *self, uint64_t after);

/* Record after record of an origin: the next n held above a given one; 0: none. */
uint64_t holdback_next(const holdback_t *self, uint64_t origin, uint64_t after);

size_t holdback_records(const holdback_t *self);
size_t holdback_bytes(const holdback_t *self);

#endif
