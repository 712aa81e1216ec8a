/*
 * The data folder of a node: its lock and the update log in segment files.
 *
 *   replica_ID/lock                      held by flock; the process id of its holder, for messages
 *   replica_ID/log-<16 hex digits>.seg   a segment, by the position of its first entry
 *   replica_ID/spare                     DISK_SPARE_SIZE bytes that are reserved, see "room"
 *   replica_ID/synced                    replica/disk/synced.h
 *   replica_ID/checkpoint/               replica/disk/checkpoint.h
 *   replica_ID/repair, damaged-<time>/   replica/disk/aside.h
 *
 * What the bytes mean is replica/core/seglog.h; here are the files. A disk_t belongs to one thread,
 * the node's loop. It has a thread of its own that calls fdatasync on the newest segment and
 * removes old ones, so that the loop waits for the device only when a segment is full. The two
 * share a few fields under a mutex; the thread works on a duplicate of the descriptor, which the
 * loop may close meanwhile.
 *
 * The order of calls: disk_open, disk_replay once, then the rest. Positions are bytes of entries
 * since the beginning of the log (seglog.h).
 *
 * Errors are of four outcomes: USAGE (the folder is not one that this node can use as it was
 * started), MISSING (the log does not go back that far), READ_ONLY (the disk fails or is full) and
 * LOST (what is on it is damaged, or a part is gone: see aside.h for what is done about it).
 *
 * Log and checkpoint after a power cut. A checkpoint at position P holds what all entries before P
 * did. Three rules make every order of a crash safe:
 *   1. The log up to P is synced (disk_synced) before the checkpoint is committed.
 *   2. disk_drop_before(P) is called only after the commit.
 *   3. disk_replay is given P of the checkpoint that was loaded.
 * What a crash can leave, and what the replay makes of it:
 *   - The commit is lost: the older checkpoint counts, and by rule 2 its log is still there.
 *   - Some segments before P are removed and some are not, in any order, since a file system need
 *     not keep it: of what lies wholly before P nothing is needed. If that leaves a gap, all before
 *     the gap is removed; if not, the log just reaches further back.
 *   - The log ends before what was synced: something was cut off, or the last entry is damaged.
 *     That is an error at first, as the next.
 *   - The log ends before P, by a torn tail or missing newest segments: rule 1 excludes it but for
 *     a device that lies or files that someone took away. What was behind P may be gone as well, so
 *     that is an error at first. Once it is known as damage (aside.h) the log begins anew at P:
 *     first an empty segment at P becomes durable, then the old ones are removed. A crash between
 *     the two leaves a gap before P: as above.
 *   - The log begins after P, or has a gap after P: entries are missing that nothing else here
 *     holds. That is an error.
 *   - An entry before P is damaged: nothing is lost that is needed here. It is told, and not given
 *     to peers.
 */
#ifndef HEARSAY_REPLICA_DISK_DISK_H
#define HEARSAY_REPLICA_DISK_DISK_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "replica/disk/segment.h"

enum {
    DISK_SEGMENT_SIZE = 64 * 1024 * 1024, /* bytes of entries after which a new segment begins */
    DISK_READERS_MAX = 8,                 /* older segments that are kept open for disk_read */
    DISK_SYNC_INTERVAL_MS = 1000,
    DISK_SPARE_SIZE = 4 * 1024 * 1024, /* bytes */
};

typedef struct disk disk_t;

/* ---- opening ---- */

/*
 * Opens the data folder of node id at the path folder, with a first segment when it is new; creates
 * the folder (0700), but not those above it. *out is owned by the caller: disk_close.
 *
 * Returns -1 with err when the folder cannot be made or written, is in use by another process or
 * disk_t, belongs to another node, is of a newer format, or (LOST) when headers of segments are
 * damaged.
 */
int disk_open(disk_t **out, const char *folder, uint16_t id, err_t *err);

/*
 * One entry of the log; payload is borrowed until the function returns. False when it makes no
 * sense although its checksum is right: the replay ends with an error that names it.
 */
typedef bool disk_entry_fn(void *arg, uint64_t position, uint8_t kind, slice_t payload);

/* What a replay found; for the log of the node. */
typedef struct disk_replayed {
    uint64_t entries;       /* that were given to the function */
    uint64_t bytes;         /* of those */
    uint64_t cut_position;  /* where a torn tail was cut off */
    uint64_t cut_bytes;     /* 0 when there was none */
    uint64_t missing_bytes; /* by which the log ended before the checkpoint; it began anew there */
    uint64_t skipped_position; /* where something is damaged before the checkpoint */
    uint64_t skipped_bytes;    /* from there to the checkpoint; 0: nothing is */
} disk_replayed_t;

/*
 * Calls fn for each entry at position from or later, in order; needed once after disk_open, also
 * when nothing is to be done with the entries, since it finds the end. from is the position of the
 * checkpoint that was loaded, 0 without one. Segments wholly before it are not read. A torn tail (a
 * write that was cut short) is cut off the last segment. *out may be NULL. What was given is synced
 * when it returns.
 *
 * Returns -1 with err (LOST) when the log does not reach back to from, has a gap after it, ends
 * before it or before what had been synced, or at a damaged entry, naming file and offset; those
 * before it have been given to fn. The disk_t can then only be closed, and asked for disk_good_end.
 */
int disk_replay(disk_t *self, uint64_t from, disk_entry_fn *fn, void *arg, disk_replayed_t *out,
                err_t *err);

/* After a replay that was LOST: up to where the log is good, in bytes; nothing is from there on. */
uint64_t disk_good_end(const disk_t *self);

/* Something was set aside, and what it held is not here again yet (aside.h). As of disk_open. */
bool disk_is_aside(const disk_t *self);

/* Syncs what was appended, ends the thread, releases the lock. *self becomes NULL. */
void disk_close(disk_t **self);

/* ---- appending, reading, dropping; all after disk_replay ---- */

/* The position of the oldest entry that is kept, in bytes. */
uint64_t disk_begin(const disk_t *self);

/* The position that the next entry will have, in bytes. */
uint64_t disk_end(const disk_t *self);

/*
 * Appends whole entries, made by seglog_entry_put for the positions from disk_end on, in one write.
 * They are safe from a crash of the process at once, from one of the machine after the next sync.
 *
 * Returns -1 with err, and the log as it was, when the disk does not take them: see disk_state.
 */
int disk_append(disk_t *self, slice_t bytes, err_t *err);

/*
 * As disk_append, for what is to be written at any price, also on a FULL disk, for which it gives
 * the reserve up, or on a FAILED one, where it is as safe as what was written just before. The disk
 * is what it was afterwards: FULL until disk_probe finds room for the reserve again.
 */
int disk_append_reserved(disk_t *self, slice_t bytes, err_t *err);

/*
 * Puts whole entries from position on into out (which is reset): at most `most` bytes, but one
 * entry at least. It may stop early, at the end of a segment; out is empty at disk_end alone.
 * position is that of an entry, at most disk_end (asserted). Entries that fail their checksum are
 * never given out.
 *
 * Returns -1 with err when position is before disk_begin (MISSING), what is there is damaged
 * (LOST), or the file cannot be opened (READ_ONLY).
 */
int disk_read(disk_t *self, uint64_t position, size_t most, buf_t *out, err_t *err);

/*
 * Gives up the segments all of whose entries are before position; never the newest one. disk_begin
 * moves at once, the thread removes the files, oldest first, and makes that durable. Returns how
 * many they are. Only for what a committed checkpoint holds (rule 2 above).
 */
size_t disk_drop_before(disk_t *self, uint64_t position);

/*
 * Begins a new segment, unless the newest is empty: so that all that was appended until now can be
 * dropped. It syncs, and waits for that. -1 with err when the disk does not take it: then the
 * newest stays as long as it would have.
 */
int disk_roll(disk_t *self, err_t *err);

/* ---- syncing ---- */

typedef enum disk_sync_mode {
    DISK_SYNC_INTERVAL, /* at most DISK_SYNC_INTERVAL_MS after an append; the default */
    DISK_SYNC_ALWAYS,   /* as soon as something is appended */
    DISK_SYNC_NEVER,    /* when a segment is full, when asked, and at disk_close */
} disk_sync_mode_t;

/*
 * When the thread syncs. One sync covers all that was appended before it began: with ALWAYS, what
 * is appended during one shares the next.
 */
void disk_set_sync(disk_t *self, disk_sync_mode_t mode);

/* Called by the thread of the disk_t: must neither block nor call functions of it. */
typedef void disk_progress_fn(void *arg);

/*
 * fn(arg) is called after each sync by the thread, done or failed, for the loop to look at
 * disk_synced and disk_state; NULL: nothing is called, which is the default. To be set before
 * anything is appended. disk_append can move disk_synced too, without a call.
 */
void disk_on_progress(disk_t *self, disk_progress_fn *fn, void *arg);

/*
 * Everything before this position survives a power cut, as far as the device keeps its word. Never
 * more than that, also while a sync is under way or after one has failed.
 */
uint64_t disk_synced(disk_t *self);

/*
 * Has the thread sync soon, whatever the mode, without waiting: so that a checkpoint may be
 * committed.
 */
void disk_ask_sync(disk_t *self);

/* Waits until everything appended is synced; -1 with err when that fails, now or before. */
int disk_sync(disk_t *self, err_t *err);

/* After how long DISK_SYNC_INTERVAL syncs, in milliseconds; for tests. */
void disk_set_sync_interval_ms(disk_t *self, int64_t interval_ms);

/* After how many bytes a segment is full, instead of DISK_SEGMENT_SIZE; for tests. */
void disk_set_segment_size(disk_t *self, size_t size);

/* ---- room ---- */

typedef enum disk_state {
    DISK_OK,
    DISK_FULL,   /* a write was refused, mostly for want of room: appends are, until disk_probe */
    DISK_FAILED, /* a sync failed: appends are refused until the node is started again */
} disk_state_t;

/*
 * How the disk is; err (may be NULL) says why unless it is OK.
 *
 * FAILED does not heal by itself: after a failed fdatasync the system may have dropped what was
 * written and call the next one good. A start reads the newest segment from the device, not from
 * the system's memory, and so finds out what is left of it.
 */
disk_state_t disk_state(disk_t *self, err_t *err);

/*
 * Asks a FULL disk whether it takes writes again: reserves DISK_SPARE_SIZE bytes anew, which is
 * quick and leaves a reserve of that size. True when the disk is OK now. For once a second.
 */
bool disk_probe(disk_t *self);

/* Bytes that this process may still write to the file system of the folder; UINT64_MAX: unknown. */
uint64_t disk_free(const disk_t *self);

/*
 * Gives the reserve back to the file system: for the checkpoint that would let a FULL disk drop old
 * segments, when there is no room for it. disk_probe reserves it again.
 */
void disk_spend_spare(disk_t *self);

/* ---- looking ---- */

/* The folder, borrowed: what is open stays so, and the path as it is, until disk_close. */
const folder_t *disk_folder(const disk_t *self);

/* The segments of now, as far as they are written; borrowed until a call that changes them. */
const segments_t *disk_segments(const disk_t *self);

/* Segments before this position were dropped, their files may be gone. For any thread. */
uint64_t disk_dropped_before(disk_t *self);

/* ---- counts ---- */

typedef struct disk_counts {
    size_t segments;           /* of the log */
    uint64_t dropped_segments; /* files removed since disk_open */
    uint64_t drops_failed;     /* files that could not be removed; tried again after a start */
    uint64_t syncs;            /* by fdatasync, that were done */
} disk_counts_t;

disk_counts_t disk_counts(disk_t *self);

#endif
