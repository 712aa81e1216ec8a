/*
 * hearsayctl top: nodes, brokers, who lacks what of whom, and the latest events, each second anew.
 */
#ifndef HEARSAY_CONTROL_TOP_H
#define HEARSAY_CONTROL_TOP_H

#include "control/survey.h"

/* By what nodes are sorted: id upwards, all else downwards. */
typedef enum top_sort {
    TOP_BY_ID,
    TOP_BY_REQUESTS,
    TOP_BY_LAG,
    TOP_BY_SESSIONS,
    TOP_BY_MEMORY,
    TOP_BY_LOG,
    TOP_SORTS,
} top_sort_t;

/* Of a name as --sort has it. */
top_sort_t top_sort(const char *name);

typedef struct top_config {
    const char *cluster;
    top_sort_t sort;
    bool once;           /* to standard output; no terminal is needed */
    int64_t until_ms;    /* boot time; INT64_MAX: until a key or signal */
    int64_t deadline_ms; /* of --once, boot time */
} top_config_t;

/* Returns the exit code, or -1 with err. */
int top_run(survey_t *survey, const top_config_t *config, err_t *err);

#endif
