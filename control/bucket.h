/*
 * Comparing one bucket of keys as several replicas show it, while it is being written to.
 *
 * Two replicas may show a key differently because one has an update that the other has yet to
 * apply. They have the same of it when the updates that make it as it shows at either are covered
 * by the vector of the other: then each shows the join of the same updates, and a difference is
 * none that goes away (DESIGN.md, section 3: replicas that have applied the same are equal).
 */
#ifndef HEARSAY_CONTROL_BUCKET_H
#define HEARSAY_CONTROL_BUCKET_H

#include "bus/wire/compare.h"

typedef enum bucket_verdict {
    BUCKET_UNSETTLED, /* one of the two has yet to apply something of it */
    BUCKET_DIFFERS,
} bucket_verdict_t;

/* A key that not all show alike, and two that do not; borrowed for the call. */
typedef struct bucket_finding {
    bucket_verdict_t verdict;
    slice_t key;
    size_t nodes[2]; /* places in the list that was given */
    slice_t types[2];
} bucket_finding_t;

typedef void bucket_fn(void *arg, const bucket_finding_t *finding);

/*
 * Gives each key that not all of the count replicas show alike to fn, in the order of the keys. A
 * key that differs for some pair DIFFERS, whatever other pairs are. Replicas that could not give
 * all of the bucket (is_cut) are not compared; returns how many those are.
 */
size_t bucket_compare(const compare_shown_t *shown, size_t count, bucket_fn *fn, void *arg);

#endif
