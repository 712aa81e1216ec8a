/*
 * The executed table: what answers a retry without executing it again.
 *
 * Ladin et al. 1992, section 3.1 (inval); Coulouris et al., section 18.4.1 (executed operation
 * table). Per client a floor and, above it, what each update was answered. A floor says that the
 * client was answered every seq up to it, so it will never ask for them again; it arrives in an
 * update record and counts when that record is applied, not before. Updates of a client come in at
 * most a few hundred ahead of its floor (the library's window), so the entries of one client are a
 * short sorted array.
 *
 * An update may have been executed at several replicas, each of which had seen something else, and
 * the copy that came first is the one that is kept. What it was answered may be older than what the
 * session has been answered since, by another copy; so with each answer that tells of something
 * read goes what its replica had seen for it: the record's deps.
 */
#ifndef HEARSAY_REPLICA_CORE_EXECUTED_H
#define HEARSAY_REPLICA_CORE_EXECUTED_H

#include "bus/base/bytes.h"
#include "bus/base/hlc.h"
#include "bus/base/vector.h"
#include "bus/wire/mp.h"
#include "replica/core/cell.h"

enum { EXECUTED_PER_CLIENT_MAX = 4096 };

typedef struct executed executed_t;

typedef enum executed_state {
    EXECUTED_NOT,         /* never seen here */
    EXECUTED_HIT,         /* it was; the answer is there */
    EXECUTED_BELOW_FLOOR, /* it was, and the client has had its answer */
    EXECUTED_PASSED, /* never seen, but one that the client issued later was: too late for it */
    EXECUTED_FULL,   /* never seen, and this client has too many unacknowledged updates */
} executed_state_t;

typedef struct executed_hit {
    tag_t tag;
    vec_part_t dot;
    slice_t result;    /* one msgpack value; borrowed, as is deps, until the table changes */
    const vec_t *deps; /* of the record; NULL when the result tells of nothing read */
} executed_hit_t;

executed_t *executed_new(void);
void executed_destroy(executed_t **self);

/* Looks an update up; fills in *hit for EXECUTED_HIT. */
executed_state_t executed_find(const executed_t *self, uint64_t client, uint64_t seq,
                               executed_hit_t *hit);

/* A set is answered with true, wherever and whenever it is executed; all else is a read too. */
bool executed_tells_of_a_read(slice_t result);

/*
 * Remembers an update that was applied, with the deps of its record, which are copied. A second
 * copy of one that is there changes nothing.
 */
void executed_add(executed_t *self, tag_t tag, vec_part_t dot, slice_t result, const vec_t *deps);

/* Raises the floor of a client and forgets what is at or under it. */
void executed_raise_floor(executed_t *self, uint64_t client, uint64_t floor);

/*
 * Forgets up to most clients of whom everything is stable, the longest silent first: a retry of
 * theirs would be refused for its tag. Returns how many.
 */
size_t executed_forget(executed_t *self, const stable_t *stable, size_t most);

/* One client after the other as msgpack values: put calls fn with each; fn owns nothing. */
typedef void executed_row_fn(void *arg, uint64_t client, slice_t row);
void executed_each(const executed_t *self, executed_row_fn *fn, void *arg);

/* Takes a row back; false when it is malformed. */
bool executed_load(executed_t *self, uint64_t client, slice_t row);

/* Entries and clients held. */
size_t executed_entries(const executed_t *self);
size_t executed_clients(const executed_t *self);

#endif
