/*
 * Whether a cluster is whole: who must be there, who is connected to whom, who has what.
 */
#ifndef HEARSAY_CONTROL_WAIT_H
#define HEARSAY_CONTROL_WAIT_H

#include "control/survey.h"

/* What is waited for. Zero it but for the numbers; wait_free() in the end. */
typedef struct wait_goal {
    int64_t nodes;   /* at least so many; -1: not asked for */
    int64_t brokers; /* likewise */
    vec_t first;     /* what the nodes had when each of them was first seen */
    vec_t seen;      /* their incarnations */
} wait_goal_t;

void wait_free(wait_goal_t *self);

/*
 * True when, after this round, at least so many nodes are ready, connected to one another by their
 * present incarnations and have applied what any of them had at the first look, and at least so
 * many brokers are connected to each of these nodes. Otherwise false with what is missing in a
 * line.
 */
bool wait_is_over(wait_goal_t *self, const survey_t *survey, char missing[ERR_TEXT_SIZE]);

#endif
