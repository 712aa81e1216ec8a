/*
 * hearsayctl events: what nodes and brokers have noticed of late, and what they notice now.
 */
#ifndef HEARSAY_CONTROL_EVENTS_H
#define HEARSAY_CONTROL_EVENTS_H

#include "control/line.h"

typedef struct eventing_config {
    int node; /* of this node alone; -1: of everybody */
    line_form_t form;
    bool follow;
    int64_t until_ms;    /* of following, boot time; INT64_MAX: until a signal */
    int64_t deadline_ms; /* of finding and asking, boot time */
} eventing_config_t;

/*
 * Prints the events that are kept, by time, then those to come if wanted; a line each. Returns the
 * exit code, or -1 with err.
 */
int eventing_run(survey_t *survey, const eventing_config_t *config, err_t *err);

/* Appends the latest events of all who answered the last round, at most so many. -1: a signal. */
int eventing_put_latest(buf_t *out, survey_t *survey, size_t most, int64_t deadline_ms);

#endif
