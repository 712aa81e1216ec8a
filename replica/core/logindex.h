/*
 * Where the records of an origin begin in the log: a sparse index, one entry per origin in every
 * 32 KiB of log, so that a pull starts reading near what the puller lacks.
 */
#ifndef HEARSAY_REPLICA_CORE_LOGINDEX_H
#define HEARSAY_REPLICA_CORE_LOGINDEX_H

#include "bus/base/vector.h"
#include "bus/wire/mp.h"

typedef struct logindex logindex_t;

logindex_t *logindex_new(void);
void logindex_destroy(logindex_t **self);

/* The n-th record of origin stands at position. To be called for every record, in log order. */
void logindex_add(logindex_t *self, uint64_t origin, uint64_t n, uint64_t position);

/*
 * The log begins at position from now on. Into dropped: of each origin the last record that may be
 * before it; applied names the last that there is.
 */
void logindex_trim(logindex_t *self, uint64_t position, const vec_t *applied, vec_t *dropped);

/* The index of one origin after the other as msgpack values; row is borrowed for the call. */
typedef void logindex_row_fn(void *arg, uint64_t origin, slice_t row);
void logindex_each(const logindex_t *self, logindex_row_fn *fn, void *arg);

/* Takes the row of an origin back, of which there must be nothing yet; false when malformed. */
bool logindex_load(logindex_t *self, uint64_t origin, slice_t row);

/*
 * The position from which to read for who has have: no record that have does not cover stands
 * before it. end when have covers all that applied does.
 */
uint64_t logindex_start(const logindex_t *self, const vec_t *applied, const vec_t *have,
                        uint64_t end);

#endif
