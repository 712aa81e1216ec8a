/*
 * hearsayctl key and sessions: a key at each replica, and sessions by connection at each broker.
 */
#ifndef HEARSAY_CONTROL_INSPECT_H
#define HEARSAY_CONTROL_INSPECT_H

#include "control/survey.h"

/*
 * Both ask all who answered the survey's last round and append what they say to out. -1 when a
 * signal interrupted it; otherwise how many have the key, or how many brokers answered.
 */
int inspect_key(buf_t *out, survey_t *survey, slice_t key, bool as_json, int64_t deadline_ms);
int inspect_sessions(buf_t *out, survey_t *survey, bool as_json, int64_t deadline_ms);

#endif
