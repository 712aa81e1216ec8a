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

/*
 * Writes all of it to standard output; false when that cannot be, or when app_interrupted() became
 * true while nobody read.
 */
bool app_write(slice_t bytes);

/*
 * Says on standard error why the last app_write() failed, unless the reader just left. Returns the
 * exit code of a program whose replies are lost.
 */
int app_write_failed(void);

/*
 * From here on SIGINT, SIGTERM and SIGHUP, unless ignored, no longer end the program at once, so
 * that the session is stored first: app_interrupted() becomes true. A second one ends it. A reader
 * that leaves is an error of app_write() instead of a SIGPIPE.
 */
void app_catch_signals(void);
bool app_interrupted(void);

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
