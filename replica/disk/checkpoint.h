/*
 * The checkpoint of a node: rows in LMDB, written by a thread of their own.
 *
 *   replica_ID/checkpoint/data.mdb   the rows; no lock file, since the data folder has a lock
 *   replica_ID/checkpoint.new/       one that is being made
 *
 * A row is (table, key) and a value, all opaque here. A checkpoint is a set of changes to the rows
 * and one write transaction: it becomes durable as a whole at its commit, with LMDB's full sync,
 * and until then, whatever happens, the rows are those of the one before. How log and checkpoint go
 * together is said in replica/disk/disk.h; this side's rule is the first there: the log up to the
 * position that a checkpoint is of is synced (disk_synced) before checkpoint_commit.
 *
 * A checkpoint_t belongs to one thread, the node's loop. No call but open, load and close waits for
 * the device: changes are copied into a queue of CHECKPOINT_QUEUE_MAX bytes, from which the thread
 * of the checkpoint_t takes them. checkpoint_room says when it is full.
 *
 * LMDB keeps what a transaction changes in memory until the commit: the pages of small rows up to
 * 512 MiB, then it writes them early; values over about 2 KB all. So a checkpoint should be of what
 * changed since the last one.
 *
 * How a row is stored: the table and the key are LMDB's key. LMDB's keys are at most 511 bytes, so
 * of a key of CHECKPOINT_SHORT_KEY bytes or more only that many are in it, with 8 bytes of XXH3 of
 * the whole key and a number that tells apart keys of one hash; the rest of the key is in the
 * value. Each value begins with a checksum of the row. Table 0 is for the format number.
 */
#ifndef HEARSAY_REPLICA_DISK_CHECKPOINT_H
#define HEARSAY_REPLICA_DISK_CHECKPOINT_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

enum {
    CHECKPOINT_FORMAT = 1,
    CHECKPOINT_KEY_MAX = 1100,                /* bytes */
    CHECKPOINT_VALUE_MAX = 256 * 1024 * 1024, /* bytes: all of one key */
    CHECKPOINT_SHORT_KEY = 500,               /* bytes; shorter keys are stored as they are */
    CHECKPOINT_QUEUE_MAX = 8 * 1024 * 1024,   /* bytes of changes, and two rows more at most */
};

typedef struct checkpoint checkpoint_t;

/* ---- opening ---- */

/*
 * Opens the checkpoint in the data folder, which the caller has locked (disk_open); makes an empty
 * one when there is none. *out is owned by the caller: checkpoint_close.
 *
 * Returns -1 with err when it cannot be made or read (USAGE, READ_ONLY when the disk is the cause),
 * is none of ours or of a newer format (USAGE), or is damaged (LOST). One of an older format is
 * migrated, in one transaction.
 */
int checkpoint_open(checkpoint_t **out, const char *folder, err_t *err);

/* False when the data folder has none: it is new, or somebody took it away. */
bool checkpoint_exists(const char *folder);

/*
 * Ends the thread. A checkpoint that is being written is given up, one whose commit was called is
 * finished first. *self becomes NULL.
 */
void checkpoint_close(checkpoint_t **self);

/* One row, borrowed until the function returns. False ends the load with an error that names it. */
typedef bool checkpoint_row_fn(void *arg, uint8_t table, slice_t key, slice_t value);

/*
 * Calls fn for each row of the last checkpoint that was committed, in the order of tables and,
 * within them, of keys as slice_compare has it. Not between checkpoint_begin and the end of that
 * checkpoint (asserted).
 *
 * Returns -1 with err when a row is damaged or fn refused one (LOST), or it cannot be read; those
 * before it have been given.
 */
int checkpoint_load(checkpoint_t *self, checkpoint_row_fn *fn, void *arg, err_t *err);

/* ---- writing ---- */

typedef enum checkpoint_state {
    CHECKPOINT_IDLE,
    CHECKPOINT_WRITING, /* between checkpoint_begin and DONE or FAILED */
    CHECKPOINT_DONE,    /* it is durable; said once, IDLE from then on */
    CHECKPOINT_FAILED,  /* nothing of it counts; checkpoint_begin may try again, later */
} checkpoint_state_t;

/* How the checkpoint is; err (may be NULL) says why it FAILED: READ_ONLY. */
checkpoint_state_t checkpoint_state(checkpoint_t *self, err_t *err);

/* Begins a checkpoint: changes to the rows of the last one. Not while one is WRITING (asserted). */
void checkpoint_begin(checkpoint_t *self);

/*
 * The same, but there are no rows yet: all are to be put. They go to a file of their own, which
 * takes the place of the other when they are committed, so that nothing is read of one that is
 * damaged, and no file stays as long as two checkpoints of everything.
 */
void checkpoint_begin_anew(checkpoint_t *self);

/*
 * How many bytes of changes the queue takes now; 0: the thread is behind, come back at the next
 * progress. Each of the following calls may be made while it is above 0, whatever the size of the
 * row, and not at 0 (asserted). Once the checkpoint has FAILED they do nothing.
 */
size_t checkpoint_room(checkpoint_t *self);

/*
 * Sets, or deletes if it is there, the row (table, key); copied. table is not 0, key and value at
 * most CHECKPOINT_KEY_MAX and CHECKPOINT_VALUE_MAX bytes (asserted).
 */
void checkpoint_put(checkpoint_t *self, uint8_t table, slice_t key, slice_t value);
void checkpoint_delete(checkpoint_t *self, uint8_t table, slice_t key);

/* Deletes all rows of a table; for writing it anew. Not needed after checkpoint_begin_anew. */
void checkpoint_clear_table(checkpoint_t *self, uint8_t table);

/* Has what was put become the checkpoint; checkpoint_state says when it is. Room is not needed. */
void checkpoint_commit(checkpoint_t *self);

/* Gives up what was put: FAILED, once the thread has seen to it. Not after checkpoint_commit. */
void checkpoint_abort(checkpoint_t *self);

/* Called by the thread of the checkpoint_t: must neither block nor call functions of it. */
typedef void checkpoint_progress_fn(void *arg);

/*
 * fn(arg) is called when there is room again after there was none, and at DONE and FAILED; NULL:
 * nothing is called, which is the default. To be set before checkpoint_begin.
 */
void checkpoint_on_progress(checkpoint_t *self, checkpoint_progress_fn *fn, void *arg);

/* ---- looking ---- */

/* Who looks at a checkpoint. */
typedef struct checkpoint_look {
    /*
     * What is wrong, each in a line: damage (LOST), a newer format or none of ours (USAGE), or that
     * the system did not let us read (READ_ONLY); and where in the file that is, in bytes.
     */
    void (*bad)(void *arg, const err_t *err, uint64_t offset);
    /* So many bytes of rows were read in all; false: that is enough. May be NULL. */
    bool (*pace)(void *arg, uint64_t bytes);
    void *arg;
    const char *remedy; /* what a line about damage ends with */
} checkpoint_look_t;

/*
 * Reads the checkpoint in the data folder, if there is one, without changing it, and without LMDB:
 * it may be open in this process, but must not be between checkpoint_begin and the end of that
 * checkpoint. Keeps as much in memory as the greatest row has. Returns how many rows are good.
 */
uint64_t checkpoint_verify(const char *folder, const checkpoint_look_t *look);

/* ---- formats, and what tests set ---- */

/*
 * What becomes of one row in a step from one format to the next. For KEEP nothing, for REPLACE
 * value holds the new one. Keys and tables stay.
 */
typedef enum checkpoint_fate {
    CHECKPOINT_KEEP,
    CHECKPOINT_REPLACE,
    CHECKPOINT_DROP,
    CHECKPOINT_REFUSE, /* the row makes no sense: the checkpoint cannot be opened */
} checkpoint_fate_t;

/* key and old are borrowed, value is empty. */
typedef checkpoint_fate_t checkpoint_rewrite_fn(uint8_t table, slice_t key, slice_t old,
                                                buf_t *value);

/* The step from format `from` to from + 1. */
typedef struct checkpoint_migration {
    uint32_t from;
    checkpoint_rewrite_fn *row;
} checkpoint_migration_t;

typedef struct checkpoint_config {
    uint32_t format; /* that this program writes */
    const checkpoint_migration_t *migrations;
    size_t migration_count;
    size_t map_size;    /* bytes of address space at first; it grows by doubling */
    uint64_t hash_mask; /* of the hashes of long keys */
} checkpoint_config_t;

/* What checkpoint_open uses. */
checkpoint_config_t checkpoint_config(void);

/* As checkpoint_open; config is copied, the migrations are borrowed for the call. */
int checkpoint_open_with(checkpoint_t **out, const char *folder, const checkpoint_config_t *config,
                         err_t *err);

#endif
