/*
 * The state of a replica as rows: what a checkpoint on disk holds, and what one replica gives
 * another that cannot follow its log.
 *
 * A row is (table, key) and a value. Rows of one table travel together as a run: key, value, key,
 * value, … as msgpack bin values, the value nil for a row that is gone. Several runs in one message
 * are: table, a bin with the run, and so on.
 */
#ifndef HEARSAY_REPLICA_CORE_STATE_H
#define HEARSAY_REPLICA_CORE_STATE_H

#include "bus/base/hlc.h"
#include "bus/wire/mp.h"
#include "replica/core/lost.h"

typedef enum rows_table {
    STATE_META = 1,     /* one row, state_meta_t, with an empty key of one byte 0 */
    STATE_KEYS = 2,     /* the store: key, entry */
    STATE_EXECUTED = 3, /* client id, its row of the executed table */
    STATE_INDEX = 4,    /* incarnation, where its records are in the log */
} state_table_t;

enum { STATE_TABLES = 4 };

/* The rest of a replica's state. The vectors own memory: zero it, state_meta_free it. */
typedef struct state_meta {
    uint64_t lineage;
    uint64_t position; /* of the log: the state is as of all entries before it */
    hlc_t clock;
    int64_t lead_ms; /* of an accepted clock over that of this machine; means nothing to others */
    hlc_t floor;     /* no update with a tag at or under it is accepted */
    hlc_t horizon;   /* what is at or under it may be folded in the rows */
    uint64_t keys;   /* rows of STATE_KEYS, to make room for */
    vec_t applied;
    vec_t ended;   /* final counts */
    vec_t dropped; /* records that the log has no more */
    lost_t lost;
    slice_t members; /* as of peer_members_put; borrowed */
} state_meta_t;

void state_meta_free(state_meta_t *self);
void state_meta_put(buf_t *out, const state_meta_t *meta);
/* False when malformed; members borrows from value. */
bool state_meta_read(slice_t value, state_meta_t *out);

/* Appends a row to a run. */
void state_put_row(buf_t *run, slice_t key, slice_t value);

/* The next row of a run; false at its end or when it is malformed. */
bool state_next_row(mp_t *run, slice_t *key, slice_t *value, bool *is_gone);

/* A row, borrowed for the call. False ends the walk. */
typedef bool state_row_fn(void *arg, uint64_t table, slice_t key, slice_t value);

/*
 * Calls fn for each row of several runs. False when they are malformed, a row is gone (those of a
 * whole state are all there), or fn said so; the rows before it have been given.
 */
bool state_each_row(slice_t runs, state_row_fn *fn, void *arg);

/* The key that stands for a number. */
slice_t state_number_key(uint64_t number, uint8_t bytes[8]);
bool state_key_number(slice_t key, uint64_t *number);

#endif
