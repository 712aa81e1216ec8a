/*
 * The prompt's own commands, which begin with a colon: help, session, token, replica, end.
 */
#ifndef HEARSAY_CLIENT_TOOL_COLON_H
#define HEARSAY_CLIENT_TOOL_COLON_H

#include "client/tool/app.h"
#include "client/tool/words.h"

typedef struct colon {
    const char *name; /* with its colon */
    const char *arguments;
    const char *summary;
} colon_t;

/* All of them; static. */
const colon_t *colon_all(size_t *count);

typedef enum colon_result {
    COLON_NONE, /* the words are none of these commands */
    COLON_DONE,
    COLON_FAILED, /* err says why */
    COLON_QUIT,   /* the prompt is to end */
} colon_result_t;

/*
 * Carries out words when they are such a command, or help, quit or exit without the colon; appends
 * what is to be shown to out.
 */
colon_result_t colon_run(app_t *app, const words_t *words, buf_t *out, err_t *err);

#endif
