/*
 * The disk of a simulated node: the log and the rows of the checkpoint, with what of them survives
 * a power cut. Positions are those of the log since its beginning.
 */
#ifndef HEARSAY_TESTS_SIM_DISK_H
#define HEARSAY_TESTS_SIM_DISK_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "bus/base/random.h"
#include "replica/core/replica.h"

typedef struct sim_disk sim_disk_t;

sim_disk_t *sim_disk_new(void);
void sim_disk_destroy(sim_disk_t **self);

/* The position of the first byte of log, and the one behind the last. */
uint64_t sim_disk_log_begin(const sim_disk_t *self);
uint64_t sim_disk_end(const sim_disk_t *self);
bool sim_disk_is_empty(const sim_disk_t *self);

void sim_disk_append(sim_disk_t *self, slice_t bytes);
/* At most `most` bytes from position on; none when they are gone. Borrowed until it changes. */
slice_t sim_disk_read(const sim_disk_t *self, uint64_t position, size_t most);
void sim_disk_truncate(sim_disk_t *self, uint64_t position);
/* The same, but only segments that end where the log was rolled go. */
void sim_disk_truncate_rolled(sim_disk_t *self, uint64_t position);
/* What comes from now on is in another segment. */
void sim_disk_roll(sim_disk_t *self);

/* Everything written is safe from now on; returns the end. */
uint64_t sim_disk_sync(sim_disk_t *self);
/* What was not synced is gone, but for some of it: `kept` bytes at most. */
void sim_disk_cut_power(sim_disk_t *self, uint64_t kept);
uint64_t sim_disk_unsynced(const sim_disk_t *self);
void sim_disk_lose(sim_disk_t *self);

/* A copy of the folder, as it is when the process is stopped; put back in place of what is. */
sim_disk_t *sim_disk_copy(const sim_disk_t *self);
void sim_disk_put_back(sim_disk_t *self, const sim_disk_t *copy);

/* A checkpoint: nothing of it counts before the commit. */
void sim_disk_begin(sim_disk_t *self, bool is_whole);
void sim_disk_rows(sim_disk_t *self, uint8_t table, slice_t run);
/* None is being written, nor to be committed. */
bool sim_disk_is_idle(const sim_disk_t *self);
/* To be committed once the log is synced up to position. */
void sim_disk_commit(sim_disk_t *self, uint64_t position);
void sim_disk_abort(sim_disk_t *self);
/* Carries the commit out if it may be by now; true when one was. */
bool sim_disk_step(sim_disk_t *self);
/* The process is gone: so is what was not committed. */
void sim_disk_crash(sim_disk_t *self);

/*
 * A sync failed, and the system dropped what it could not write: some pages are not on the disk of
 * what is not synced.
 */
void sim_disk_lose_pages(sim_disk_t *self, random_t *random);

/* Flips some bits of the log, or (is_checkpoint) has the checkpoint not read any more. */
void sim_disk_damage(sim_disk_t *self, random_t *random, bool is_checkpoint);

/*
 * Gives checkpoint and log to a new replica: the real recovery over these bytes. *torn counts the
 * tails cut off. What is damaged is set aside, and the replica told so. -1 with err when something
 * does not fit.
 */
int sim_disk_recover(sim_disk_t *self, replica_t *replica, uint64_t *torn, err_t *err);

/* Something of it was damaged at some time, which may not have been met yet. */
bool sim_disk_was_damaged(const sim_disk_t *self);

/* What one finds who reads it through: behind the last damaged place of the log, 0 when none is. */
uint64_t sim_disk_log_damage(const sim_disk_t *self);
bool sim_disk_is_checkpoint_bad(const sim_disk_t *self);
/* Nothing of what was damaged is left: the next start has to find it all. */
void sim_disk_end_damage(sim_disk_t *self);

/* Something is aside that has not been made good; the replica has made it good. */
bool sim_disk_is_aside(const sim_disk_t *self);
void sim_disk_end_repair(sim_disk_t *self);

#endif
