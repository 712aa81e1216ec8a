/*
 * What the modes of the tool share: the connection, the one session, how replies are shown.
 */
#ifndef HEARSAY_CLIENT_TOOL_APP_H
#define HEARSAY_CLIENT_TOOL_APP_H

#include <stdbool.h>

#include "bus/base/err.h"
#include "bus/base/log.h"
#include "bus/base/options.h"
#include "client/lib/hearsay.h"
#include "client/tool/keep.h"
#include "client/tool/output.h"

typedef struct app {
    hearsay_t *hearsay;
    hearsay_session_t *session;
    keep_t *keep;        /* NULL: the session is not kept */
    const char *cluster; /* of the options */
    char *session_name;  /* owned; NULL: no session is to be kept */
    int replica;         /* that the session is pinned to, or HEARSAY_ANY_REPLICA */
    bool relaxes;        /* what no replica in reach has is given up */
    int last_replica;    /* that answered at the prompt, -1: none did */
    bool as_json;
    log_level_t log_level;
    output_style_t style;
    int timeout_ms;
    unsigned window;
} app_t;

/*
 * Reads what the modes share from options, which must outlive it, connects and opens the session;
 * style is left to the mode. Returns 0, or -1 with err and nothing to close.
 */
int app_open(app_t *self, const options_t *options, err_t *err);
void app_close(app_t *self);

/*
 * Go on with a session of another name, or with this one pinned to a replica (or to none, by
 * HEARSAY_ANY_REPLICA). What the session has seen is stored first. Commands under way end.
 */
void app_switch_session(app_t *self, const char *name);
void app_pin_replica(app_t *self, int replica);

/* A line on standard error. */
void app_warn(const char *text);

/* Says what failed, as an object on standard output or a line on standard error; its exit code. */
int app_fail(bool as_json, const err_t *err);

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

/* From here on SIGINT, unless ignored, ends the program with the code for it. */
void app_end_on_interrupt(void);

/*
 * From here on SIGINT, SIGTERM and SIGHUP, unless ignored, no longer end the program at once, so
 * that the session is stored first: app_interrupted() becomes true. A second one ends it, but for
 * SIGINT at a prompt. A reader that leaves is an error of app_write() instead of a SIGPIPE.
 */
void app_catch_signals(bool is_prompt);
bool app_interrupted(void);

/*
 * For a prompt, whose Ctrl-C only ends what is being done: true once for any number of them, which
 * then never were. Signals that end the program stay: app_interrupted().
 */
bool app_take_interrupt(void);

/* Keeps what the session has seen; says so once on standard error when it cannot. */
void app_store(app_t *self);

/* Appends a command's line in a list of them. */
void app_help_line(buf_t *out, const char *name, const char *arguments, const char *summary);

/*
 * Appends the list of commands (command: NULL), or one of them; as_json: as an object on one line.
 * False with err when there is none of this name.
 */
bool app_help(buf_t *out, bool as_json, const char *command, err_t *err);

/*
 * One command a line from standard input until its end. Returns the exit code: 0, or that of the
 * last command that failed.
 */
int app_pipe(app_t *self);

/*
 * A prompt on a terminal: editing, history, completion. history_path: the file, NULL for the usual
 * one. Returns the exit code.
 */
int app_prompt(app_t *self, const char *history_path);

#endif
