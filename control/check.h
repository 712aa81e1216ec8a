/*
 * hearsayctl check: whether all nodes show the same, while they are being written to.
 *
 * Digests of buckets are compared first; a bucket that was equal once is done with. Of the others
 * the keys are looked at one by one (control/bucket.h), again and again until what differs has
 * settled, one way or the other, or until the deadline.
 */
#ifndef HEARSAY_CONTROL_CHECK_H
#define HEARSAY_CONTROL_CHECK_H

#include "control/survey.h"

/*
 * Compares the nodes that answered the survey's last round, and appends what was found to out.
 * Returns an exit code: 0 all are equal; 1 two differ; 3 some could not be compared, and 4 not all
 * keys had settled at the deadline (boot ms), in which the others are equal; 130 after a signal. -1
 * with err when there are no two nodes to compare.
 */
int check_run(buf_t *out, survey_t *survey, bool as_json, int64_t deadline_ms, err_t *err);

#endif
