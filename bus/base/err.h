/*
 * Errors: what failed, why, and what to do, in one line.
 *
 * The caller owns an err_t (on its stack) and passes its address; whoever fails fills it in and
 * returns -1. Nothing is allocated. Who does not want the text passes NULL.
 */
#ifndef HEARSAY_BUS_BASE_ERR_H
#define HEARSAY_BUS_BASE_ERR_H

#include "bus/base/outcome.h"

enum { ERR_TEXT_SIZE = 400 };

typedef struct err {
    outcome_t outcome;        /* what kind of failure; gives the exit code */
    char text[ERR_TEXT_SIZE]; /* one line for people, without a newline */
} err_t;

/*
 * Fills in err (unless NULL) and returns -1, so that "return err_set (…)" is the whole error path.
 */
__attribute__((format(printf, 3, 4))) int err_set(err_t *err, outcome_t outcome, const char *format,
                                                  ...);

#endif
