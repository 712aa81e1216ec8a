/*
 * What the modes of the tool share: the connection, the one session, how replies are shown.
 */
#ifndef HEARSAY_CLIENT_TOOL_APP_H
#define HEARSAY_CLIENT_TOOL_APP_H

#include <stdbool.h>

#include "client/lib/hearsay.h"
#include "client/tool/keep.h"
#include "client/tool/output.h"

typedef struct app {
    hearsay_t *hearsay;
    hearsay_session_t *session;
    keep_t *keep; /* NULL: the session is not kept */
    output_style_t style;
    int timeout_ms;
    unsigned window;
} app_t;

/* Writes all of it to standard output; false when that is closed. */
bool app_write(slice_t bytes);

/* Keeps what the session has seen; says so once on standard error when it cannot. */
void app_store(app_t *self);

/* Appends the list of commands, or one of them; false with err when there is none of this name. */
bool app_help(buf_t *out, const char *command, err_t *err);

/*
 * One command a line from standard input until its end; is_prompt: for a terminal, one at a time.
 * Returns the exit code: 0, or that of the last command that failed.
 */
int app_pipe(app_t *self, bool is_prompt);

#endif
