/*
 * The judge: holds every answer against what the sessions have seen, and the end against a dumb
 * fold of all updates ever logged.
 *
 * What sessions ask of the judged keys is in ask.h; what the keys may show, in facts.h. The judge
 * learns the tag of every update from the log entries that replicas write, so it needs no help from
 * the cores.
 */
#ifndef HEARSAY_TESTS_SIM_CHECKER_H
#define HEARSAY_TESTS_SIM_CHECKER_H

#include "bus/base/bytes.h"
#include "bus/base/hlc.h"
#include "bus/base/outcome.h"
#include "tests/sim/ask.h"
#include "tests/sim/facts.h"

typedef struct checker checker_t;

enum { CHECKER_NODES_MAX = 8 };

checker_t *checker_new(uint32_t sessions);
void checker_destroy(checker_t **self);

/*
 * A session issues a request: completes it with its number, to be given back with the answer, and
 * with a member where it is about one.
 */
void checker_issue(checker_t *self, uint32_t session, ask_t *ask);

/* True when a scan of the session has a further page, which is put into ask. */
bool checker_next_page(const checker_t *self, uint32_t session, ask_t *ask);

/* What a replica has logged in a turn. */
typedef struct checker_log {
    uint32_t node;
    uint64_t incarnation; /* its present one */
    hlc_t horizon;        /* its own, before */
    uint64_t position;
    slice_t entries; /* the last may be torn */
} checker_log_t;

/*
 * A replica has logged something. False with *why: two tags for one update; an update at or under
 * the horizon, where none could come any more; one that came before what its session had seen or
 * written; or entries that make no sense.
 */
bool checker_logged(checker_t *self, const checker_log_t *log, char *why, size_t why_size);

/* A replica has taken over the state of another, which is in no log of its own. */
void checker_took_over(checker_t *self, uint32_t node);

/* How a request ended. */
typedef struct checker_end {
    outcome_t outcome;
    uint16_t copies; /* of an update */
    uint32_t sends;  /* transmissions it took */
    int32_t replica; /* that answered; -1: none */
    hlc_t clock;     /* the session's, with this answer */
    slice_t value;   /* one msgpack value */
} checker_end_t;

/* A request has ended. False with *why when a promise is broken. */
bool checker_done(checker_t *self, uint32_t number, const checker_end_t *end, char *why,
                  size_t why_size);

/*
 * A replica lost its disk, or what it had not synced: what only that one had may be gone from now
 * on, and nothing else. loses_acked: that may be true of what it has acknowledged as the only copy.
 */
void checker_disk_lost(checker_t *self, uint32_t node, bool loses_acked);

/*
 * A node that had been left out handed in updates that do not count any more: at the end they may
 * be missing. A session that saw them is told.
 */
void checker_lost(checker_t *self);

/*
 * Those that had a better state than one that goes on have lost it: from now on a session may be
 * shown less than it had seen.
 */
void checker_fell_back(checker_t *self);

/*
 * All nodes but one are gone for good, and what only they had. kept: the time of the tag of what
 * each register shows at the one that is left; nothing of that is lost, nor of what it acknowledges
 * from now on.
 */
void checker_left_alone(checker_t *self, uint32_t node, const hlc_t kept[REGISTERS]);

/* A session has ended, all it had issued was answered; another begins in its place. */
void checker_renewed(checker_t *self, uint32_t session);

/*
 * The token of a session is written down. Its process is killed, and with it what it waits for: of
 * that each update takes effect once or not at all. Another session begins in its place, with the
 * token that was written down last: what that covers holds for it, too.
 */
void checker_saved(checker_t *self, uint32_t session);
void checker_killed(checker_t *self, uint32_t session);
void checker_restored(checker_t *self, uint32_t session);

/* A session takes over the token of another: what that has been shown holds for it, too. */
void checker_handed_over(checker_t *self, uint32_t from, uint32_t to);

/*
 * The session of this request gave up, for it, some of what it had seen: from now on it is held to
 * nothing.
 */
void checker_relaxed(checker_t *self, uint32_t number);

/*
 * A session goes on with less than it had seen; the answers that say so (checker_relaxed) are yet
 * to come, and others may read what it writes before they are here. From now on what it writes
 * tells nobody anything, nor does what it has issued and not had answered.
 */
void checker_gave_up(checker_t *self, uint32_t session);

/* How often a replica accepted an update that another one had accepted. */
uint64_t checker_executed_twice(const checker_t *self);

/* Sets of registers that were logged first after their process was killed. */
uint64_t checker_left_applied(const checker_t *self);
/* How often answers told of what is rare. */
const facts_counts_t *checker_counts(const checker_t *self);

/* After all is healed: what a key must show at every replica. */
bool checker_final(checker_t *self, uint32_t key, slice_t value, char *why, size_t why_size);

#endif
