/*
 * multi … exec over several lines of a prompt or a pipe: the commands between the two are kept, and
 * sent as one. discard forgets them.
 *
 * A command that cannot be sent is refused at its line, and the exec behind it with it: half of
 * what somebody meant is not carried out. The struct lives inside its user: zero it, multi_free it.
 */
#ifndef HEARSAY_CLIENT_TOOL_MULTI_H
#define HEARSAY_CLIENT_TOOL_MULTI_H

#include "client/tool/words.h"

typedef struct multi {
    bool is_open;
    bool is_refused; /* one of its commands was */
    words_t words;   /* the command so far: multi, and the words of each with their number */
} multi_t;

typedef enum multi_step {
    MULTI_NOT,     /* the line stands for itself */
    MULTI_KEPT,    /* it is answered: by *answer */
    MULTI_REFUSED, /* it is answered: by err */
    MULTI_SEND,    /* self->words is to be sent in its place; valid until the next line */
} multi_step_t;

/* Takes a line. answer: static. */
multi_step_t multi_take(multi_t *self, const words_t *line, const char **answer, err_t *err);
void multi_free(multi_t *self);

#endif
