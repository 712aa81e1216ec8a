/*
 * hearsayctl accept-clock: asks the nodes to take in one whose clock is too far ahead of theirs.
 */
#ifndef HEARSAY_CONTROL_ACCEPT_H
#define HEARSAY_CONTROL_ACCEPT_H

#include "control/survey.h"

/*
 * Asks the nodes that answered in the survey's last round, or the one that is named (only; NULL:
 * all), to accept the clock of node id, and appends to out what each did. Returns the exit code:
 * done when one has accepted it and no other failed, EXIT_NO when none refuses that clock,
 * otherwise that of the failure, which was appended too; -1 when a signal interrupted it.
 */
int accept_clock(buf_t *out, survey_t *survey, const survey_member_t *only, uint16_t id,
                 bool as_json, int64_t deadline_ms);

#endif
