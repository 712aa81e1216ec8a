/*
 * libhearsay: sessions with a hearsay cluster.
 *
 *     hearsay_t *h;
 *     char error[HEARSAY_ERROR_SIZE];
 *     if (hearsay_open(&h, NULL, error) != 0)
 *         ...
 *     hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
 *     const hearsay_word_t words[] = {{"incr", 4}, {"visits", 6}};
 *     hearsay_reply_t *reply = hearsay_call(session, words, 2, 5000);
 *     if (hearsay_reply_ok(reply))
 *         printf("%lld\n", hearsay_value_integer(hearsay_reply_value(reply)));
 *     hearsay_reply_free(&reply);
 *     hearsay_close(&h);
 *
 * A session sees its own writes and never goes back in time, whichever replica serves it. Its
 * requests take effect in the order of issue; any number may be under way (hearsay_submit), which
 * then travel together. When a replica or broker dies the library finds another one, sends again
 * what was not answered, and every update still takes effect once.
 *
 * Threads: one thread at a time per hearsay_t and all that belongs to it; different ones are
 * independent. The library has threads of its own that never call back; callbacks run inside
 * hearsay_submit, hearsay_cancel, hearsay_wait, hearsay_call, hearsay_dispatch,
 * hearsay_session_close and hearsay_close. No signal is touched, no file is read but those of keys
 * and none is written, nothing is printed. When memory runs out the process aborts. Connections
 * should be closed before the process ends; those of other threads than the one that calls exit()
 * must be.
 *
 * Sizes are in bytes, times in milliseconds unless a name says otherwise. Texts handed out are
 * UTF-8, end with a NUL and are owned as each function says.
 */
#ifndef HEARSAY_CLIENT_LIB_HEARSAY_H
#define HEARSAY_CLIENT_LIB_HEARSAY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is declared here is all that the shared library shows. */
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* A connection to a cluster, a session on it, an answer, and a value in an answer. */
typedef struct hearsay hearsay_t;
typedef struct hearsay_session hearsay_session_t;
typedef struct hearsay_reply hearsay_reply_t;
typedef struct hearsay_value hearsay_value_t;

enum {
    HEARSAY_ERROR_SIZE = 400, /* of a buffer for an error's text */
    HEARSAY_ANY_REPLICA = -1,
    HEARSAY_TIMEOUT_MS = 5000, /* of a request that gives none */
    HEARSAY_WINDOW = 64,
    HEARSAY_VALUE_MAX = 16 * 1024 * 1024 /* of a value; a cluster may allow less */
};

/* ---- a connection ---- */

/* All zeros is the default of everything. Texts are copied. */
typedef struct hearsay_options {
    const char *cluster;        /* name; NULL: "hearsay" */
    const char *interface_name; /* of the beacon; NULL: "lo" */
    int beacon_port;            /* UDP; 0: 7700 */
    const char *const *brokers; /* "tcp://host:port" each; with any of them no beacon is used */
    size_t broker_count;
    int insecure;    /* not 0: allow networks that others can listen on, without keys */
    unsigned window; /* requests of one session under way at a time, 1..4096; 0: HEARSAY_WINDOW */
} hearsay_options_t;

/*
 * Opens a connection in *out, which the caller owns; brokers are looked for in the background.
 * options: may be NULL. error: HEARSAY_ERROR_SIZE bytes for one line, or NULL. Returns 0, or the
 * exit code that a program should end with (2: wrong options, 5: the system is full); *out is then
 * NULL.
 */
int hearsay_open(hearsay_t **out, const hearsay_options_t *options, char *error);

/*
 * The same with keys: the connection is encrypted, brokers must have the key that the folder has
 * for them, and take this program by its own. folder: one of keys, as hearsayctl keygen makes it,
 * of which broker.key, NAME.key_secret and, for beacons, cluster.key_secret are read, once. name:
 * of the key that this program has, of role client or admin; NULL: "client". Networks that others
 * can listen on are allowed. 2 is returned too when a file is missing, damaged or open to others.
 */
int hearsay_open_with_keys(hearsay_t **out, const hearsay_options_t *options, const char *folder,
                           const char *name, char *error);

/*
 * Closes the connection and its sessions and sets *self to NULL; nothing happens for NULL in it.
 * Callbacks that were not called yet are called with HEARSAY_UNKNOWN (updates) or HEARSAY_LOST
 * (reads); what they submit fails. Not from a callback.
 */
void hearsay_close(hearsay_t **self);

/* "tcp://host:port" of the broker in use; "" when there is none. Valid until the next function. */
const char *hearsay_broker(const hearsay_t *self);

/*
 * Something people may want to see: a broker or replica was lost, a session moved. text is borrowed
 * for the call, without a newline; no function of the library may be called inside.
 */
typedef void hearsay_note_fn(void *arg, const char *text);

/* From now on fn is called with notes; NULL: with none. */
void hearsay_set_note(hearsay_t *self, hearsay_note_fn *fn, void *arg);

/* ---- sessions ---- */

/*
 * Opens a session, which belongs to the connection. token: text that hearsay_token gave, of any
 * program, to begin after what that session had seen; or NULL. replica: the id of the one to be
 * served by, or HEARSAY_ANY_REPLICA. Nothing is sent yet. NULL when the token is no token.
 */
hearsay_session_t *hearsay_session_open(hearsay_t *self, const char *token, int replica);

/* Closes a session; its callbacks are called as by hearsay_close. Not from a callback. */
void hearsay_session_close(hearsay_session_t *session);

/* What the session has seen, as a text; owned by the session, valid until its next function. */
const char *hearsay_token(hearsay_session_t *session);

/*
 * Lets the session know what another one has seen: what it issues from now on comes after that.
 * Returns 0, or -1 when the text is no token or one of another cluster's data; then nothing
 * changed.
 */
int hearsay_session_merge(hearsay_session_t *session, const char *token);

/*
 * relax not 0: a request that would end with "MISSING", since the session has seen what no replica
 * in reach has or what was lost with a node that had been left out, goes again without that: the
 * session gives up what is missing, and is told no lie but less than it had seen. Said of the reply
 * (hearsay_reply_relaxed). 0 as at first: it ends.
 */
void hearsay_session_relax(hearsay_session_t *session, int relax);

/* Not 0 once the session has given something up. */
int hearsay_session_relaxed(const hearsay_session_t *session);

/* ---- requests ---- */

/* Bytes, borrowed; they need no NUL and may hold any value. */
typedef struct hearsay_word {
    const void *data;
    size_t size;
} hearsay_word_t;

/*
 * Called once for each submitted request. The callee owns the reply. Inside, requests may be
 * submitted and cancelled and sessions opened, but nothing waited for and nothing closed.
 */
typedef void hearsay_reply_fn(void *arg, hearsay_reply_t *reply);

/*
 * Issues a request: words[0] is the command's name in small or capital letters, the others its
 * arguments; all are copied. It ends after timeout_ms (0: HEARSAY_TIMEOUT_MS) at the latest, while
 * hearsay_wait, hearsay_call or hearsay_dispatch is called. What is issued before one of them
 * travels together. Returns the request's number, greater than 0 and never given twice by one
 * connection, or -1 when it cannot be sent: an unknown command, a wrong number of arguments, an
 * amount that is no number, more than can be carried. fn has then been called, with an error
 * (HEARSAY_USAGE, HEARSAY_TOO_LARGE), before this returns.
 */
long long hearsay_submit(hearsay_session_t *session, const hearsay_word_t words[], size_t count,
                         int timeout_ms, hearsay_reply_fn *fn, void *arg);

/*
 * Gives up a request by the number that hearsay_submit returned for this session; its callback is
 * called before this returns. HEARSAY_CANCELLED: nothing came of it and nothing will, as it is a
 * read, or was not sent. HEARSAY_UNKNOWN: an update that had been sent, which may have been applied
 * or may yet be; the session goes on. Returns 0, or -1 when there is no such request any more: its
 * callback was called, or will be with the answer that is here already.
 */
int hearsay_cancel(hearsay_session_t *session, long long request);

/* Issues a request and waits for its reply, which the caller owns; never NULL. */
hearsay_reply_t *hearsay_call(hearsay_session_t *session, const hearsay_word_t words[],
                              size_t count, int timeout_ms);

/* What hearsay_wait came back for; a sum of these, 0 when the time was up. */
enum {
    HEARSAY_CALLED = 1,     /* at least one callback was called */
    HEARSAY_READABLE = 2,   /* the descriptor can be read, or is at its end */
    HEARSAY_INTERRUPTED = 4 /* a signal was handled */
};

/*
 * Sends, receives and calls back until there is something to say of, or timeout_ms have passed (-1:
 * no limit). fd: a descriptor to wait for as well, or -1; with -1, and no request under way, it
 * returns 0 at once.
 */
int hearsay_wait(hearsay_t *self, int fd, int timeout_ms);

/* Requests whose callback has not been called yet. */
size_t hearsay_pending(const hearsay_t *self);

/* ---- in another event loop, instead of hearsay_wait ---- */

/*
 * A descriptor that is readable (level-triggered) whenever hearsay_dispatch has something to do. It
 * stays the same until hearsay_close, belongs to the library, and is for poll, epoll and their kin
 * alone: it is neither read nor closed. -1 when the system has none left.
 */
int hearsay_fd(hearsay_t *self);

/*
 * Milliseconds until hearsay_dispatch is to be called although the descriptor is not readable; -1:
 * never. To be asked before each poll, or after each function of this connection where the loop
 * keeps timers: what was submitted or received changes it.
 */
int hearsay_timeout_ms(const hearsay_t *self);

/*
 * Sends, receives and calls back what there is, without waiting. Too many calls do no harm. Not
 * from a callback. Returns HEARSAY_CALLED when a callback was called, else 0.
 */
int hearsay_dispatch(hearsay_t *self);

/* ---- replies ---- */

/* Frees *reply unless NULL and sets it to NULL. */
void hearsay_reply_free(hearsay_reply_t **reply);

/* How a request ended. The numbers never change; there may be more of them one day. */
typedef enum hearsay_outcome {
    HEARSAY_OK = 0,
    /* Not applied. */
    HEARSAY_USAGE = 1,       /* no such command, wrong arguments */
    HEARSAY_NOT_REACHED = 2, /* no broker, no replica, or a read had no answer in time */
    HEARSAY_WRONGTYPE = 3,   /* the key holds another type */
    HEARSAY_NOT_A_NUMBER = 4,
    HEARSAY_OVERFLOW = 5, /* the number would not fit in 64 bits */
    HEARSAY_TOO_LARGE = 6,
    HEARSAY_BUSY = 7,    /* a limit was reached */
    HEARSAY_BEHIND = 8,  /* what the session has seen is not there yet */
    HEARSAY_MISSING = 9, /* what the session has seen no replica in reach has, or it was lost */
    HEARSAY_LOST = 10,   /* a read whose answer was lost: ask again */
    HEARSAY_CLOCK = 11,  /* a clock is too far ahead */
    HEARSAY_CLASH = 12,  /* two programs share one client id */
    HEARSAY_DENIED = 13, /* of another cluster or other data, or without the right key */
    HEARSAY_READ_ONLY = 14,
    HEARSAY_FULL = 15,
    HEARSAY_CANCELLED = 20, /* by hearsay_cancel */
    /* May have been applied, or may yet be. */
    HEARSAY_UNKNOWN = 16, /* an update without an answer */
    HEARSAY_TOO_OLD = 17
} hearsay_outcome_t;

/* How it ended; HEARSAY_OK when it was carried out. */
hearsay_outcome_t hearsay_reply_code(const hearsay_reply_t *reply);

/* Not 0 when the request was carried out. */
int hearsay_reply_ok(const hearsay_reply_t *reply);

/* The name of hearsay_reply_code: "OK", "WRONGTYPE", "NOT_REACHED" and so on; static. */
const char *hearsay_reply_outcome(const hearsay_reply_t *reply);

/* The exit code of a program that ends with it: 0, 2, 3, 4 or 5. */
int hearsay_reply_exit(const hearsay_reply_t *reply);

/* Not 0 when an update that failed may have been applied all the same. */
int hearsay_reply_may_be_applied(const hearsay_reply_t *reply);

/* Of an error: one line that says what went wrong. "" when there was none. Owned by the reply. */
const char *hearsay_reply_text(const hearsay_reply_t *reply);

/* What was answered; nil for an error. Owned by the reply. */
const hearsay_value_t *hearsay_reply_value(const hearsay_reply_t *reply);

/* The id of the replica that answered, -1 when none did. */
int hearsay_reply_replica(const hearsay_reply_t *reply);

/* How many replicas were known to have the update; 0 for a read. */
unsigned hearsay_reply_copies(const hearsay_reply_t *reply);

/* How often it was sent; more than 1 after a replica or broker was lost. */
unsigned hearsay_reply_sends(const hearsay_reply_t *reply);

/* Not 0 when the session gave up, for this one, some of what it had seen. */
int hearsay_reply_relaxed(const hearsay_reply_t *reply);

/* From issue to end, in microseconds. */
long long hearsay_reply_elapsed_us(const hearsay_reply_t *reply);

/* ---- values ---- */

typedef enum hearsay_type {
    HEARSAY_NIL, /* absent */
    HEARSAY_BOOL,
    HEARSAY_INTEGER,
    HEARSAY_BYTES,
    HEARSAY_LIST,
    HEARSAY_MAP
} hearsay_type_t;

hearsay_type_t hearsay_value_type(const hearsay_value_t *value);

/* Of an integer; 1 or 0 of a bool; 0 of everything else. */
long long hearsay_value_integer(const hearsay_value_t *value);

/*
 * Of bytes; "" with *size 0 of everything else. Owned by the reply; a NUL stands behind them that
 * does not count. size may be NULL.
 */
const char *hearsay_value_bytes(const hearsay_value_t *value, size_t *size);

/* Items of a list, pairs of a map; 0 of everything else. */
size_t hearsay_value_count(const hearsay_value_t *value);

/* The i-th item of a list, or value of a map; NULL behind the last. Owned by the reply. */
const hearsay_value_t *hearsay_value_item(const hearsay_value_t *value, size_t i);

/* The i-th key of a map; NULL behind the last. Owned by the reply. */
const hearsay_value_t *hearsay_value_key(const hearsay_value_t *value, size_t i);

/* ---- commands ---- */

typedef struct hearsay_command {
    const char *name;
    const char *arguments; /* as in a usage line */
    const char *summary;
    const char *examples[2]; /* as typed at a prompt */
    int is_update;
} hearsay_command_t;

/* All commands, for help and completion; static. */
const hearsay_command_t *hearsay_commands(size_t *count);

/* The command's row, NULL when there is none; static. */
const hearsay_command_t *hearsay_command_find(const char *name);

/* The name that is nearest to one that is none, NULL when none is near; static. */
const char *hearsay_command_nearest(const char *name);

/*
 * Whether the words are a command that would be sent: 0, or -1 with why, a line cut to size bytes
 * with its NUL; NULL when it is not wanted. What only a replica can say is not asked.
 */
int hearsay_command_check(const hearsay_word_t words[], size_t count, char *why, size_t size);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
