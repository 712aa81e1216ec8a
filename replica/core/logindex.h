/*
 * Where the records of an origin begin in the log: a sparse index, one entry per origin in every
 * 32 KiB of log, so that a pull starts reading near what the puller lacks.
 */
#ifndef HEARSAY_REPLICA_CORE_LOGINDEX_H
#define HEARSAY_REPLICA_CORE_LOGINDEX_H

#include "bus/base/vector.h"

typedef struct logindex logindex_t;

logindex_t *logindex_new(void);
void logindex_destroy(logindex_t **self);

/* The n-th record of origin stands at position. To be called for every record, in log order. */
void logindex_add(logindex_t *self, uint64_t origin, uint64_t n, uint64_t position);

/*
 * The position from which to read for who has have: no record that have does not cover stands
 * before it. end when have covers all that applied does.
 */
uint64_t logindex_start(const logindex_t *self, const vec_t *applied, const vec_t *have,
                        uint64_t end);

#endif
