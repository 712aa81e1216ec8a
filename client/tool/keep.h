/*
 * The session file: what a session has seen, kept so that two calls of the tool are one session.
 *
 * ${XDG_STATE_HOME:-~/.local/state}/hearsay/CLUSTER-NAME.session holds the token as one line. It is
 * changed under a lock, merged and never overwritten, so parallel calls lose nothing; only one that
 * gave something up replaces what it had itself. A file that cannot be used is no failure: the tool
 * says so once and goes on without.
 */
#ifndef HEARSAY_CLIENT_TOOL_KEEP_H
#define HEARSAY_CLIENT_TOOL_KEEP_H

#include "bus/base/err.h"
#include "client/lib/hearsay.h"

typedef struct keep keep_t;

/* The file of a session by its name; folders are made. NULL with err when there is no place. */
keep_t *keep_open(const char *cluster, const char *name, err_t *err);
void keep_close(keep_t **self);

/*
 * The kept token, NULL when there is none yet. Owned by the keep_t until it is closed. A file that
 * cannot be read: NULL with err filled in, else err->text is "".
 */
const char *keep_token(keep_t *self, err_t *err);

/* Puts what the session has seen into the file. 0, or -1 with err. */
int keep_store(keep_t *self, hearsay_session_t *session, err_t *err);

#endif
