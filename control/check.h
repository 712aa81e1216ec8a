/*
 * hearsayctl check: whether all nodes show the same, while they are being written to, and whether
 * their files read (control/files.h).
 *
 * Digests of buckets are compared first; a bucket that was equal once is done with. Of the others
 * the keys are looked at one by one (control/bucket.h), again and again until what differs has
 * settled, one way or the other, or until the deadline.
 */
#ifndef HEARSAY_CONTROL_CHECK_H
#define HEARSAY_CONTROL_CHECK_H

#include "control/survey.h"

/*
 * Compares the nodes that answered the survey's last round, has them read their files meanwhile if
 * with_files says so, and appends what was found to out. Returns an exit code: 0 all are equal and
 * whole; 1 two differ, or a file is damaged; 3 some could not be asked, and 4 not all keys had
 * settled or not all files were read at the deadline (boot ms), in which the others are equal and
 * whole; 130 after a signal. -1 with err when there are no two nodes to compare and nothing is
 * damaged.
 */
int check_run(buf_t *out, survey_t *survey, bool with_files, bool as_json, int64_t deadline_ms,
              err_t *err);

#endif
