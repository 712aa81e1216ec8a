/*
 * The data folder of a node: its lock and the update log in segment files.
 *
 *   replica_ID/lock                      held by flock; the process id of its holder, for messages
 *   replica_ID/log-<16 hex digits>.seg   a segment, by the position of its first entry
 *
 * What the bytes mean is replica/core/seglog.h; here are the files. A disk_t belongs to one thread,
 * the node's loop. It has a thread of its own that calls fdatasync on the newest segment, so that
 * the loop never waits for the device but when a segment is full. The two share a few fields under
 * a mutex; the thread works on a duplicate of the descriptor, which the loop may close meanwhile.
 *
 * The order of calls: disk_open, disk_replay once, then the rest. Positions are bytes of entries
 * since the beginning of the log (seglog.h).
 *
 * Errors are of three outcomes: USAGE (the folder is not one that this node can use as it was
 * started), MISSING (the log does not go back that far) and READ_ONLY (the disk fails or is full,
 * or what is on it is damaged).
 */
#ifndef HEARSAY_REPLICA_DISK_DISK_H
#define HEARSAY_REPLICA_DISK_DISK_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

enum {
    DISK_SEGMENT_SIZE = 64 * 1024 * 1024, /* bytes of entries after which a new segment begins */
    DISK_SEGMENTS_MAX = 65536,            /* files; an append beyond them is refused */
    DISK_READERS_MAX = 8,                 /* older segments that are kept open for disk_read */
    DISK_SYNC_INTERVAL_MS = 1000,
};

typedef struct disk disk_t;

/* ---- opening ---- */

/*
 * Opens the data folder of node id at the path folder, with a first segment when it is new; creates
 * the folder (0700), but not those above it. *out is owned by the caller: disk_close.
 *
 * Returns -1 with err when the folder cannot be made or written, is in use by another process or
 * disk_t, belongs to another node, is of a newer format, or when segments are missing or damaged.
 */
int disk_open(disk_t **out, const char *folder, uint16_t id, err_t *err);

/*
 * One entry of the log; payload is borrowed until the function returns. False when it makes no
 * sense although its checksum is right: the replay ends with an error that names it.
 */
typedef bool disk_entry_fn(void *arg, uint64_t position, uint8_t kind, slice_t payload);

/* What a replay found; for the log of the node. */
typedef struct disk_replayed {
    uint64_t entries;
    uint64_t bytes;        /* of good entries */
    uint64_t cut_position; /* where a torn tail was cut off */
    uint64_t cut_bytes;    /* 0 when there was none */
} disk_replayed_t;

/*
 * Calls fn for each entry in the order of positions; needed once after disk_open, also when nothing
 * is to be done with the entries, since it finds the end. A torn tail (a write that was cut short)
 * is cut off the last segment and counted in *out, which may be NULL.
 *
 * Returns -1 with err at a damaged entry, naming file and offset; those before it have been given
 * to fn. The disk_t can then only be closed.
 */
int disk_replay(disk_t *self, disk_entry_fn *fn, void *arg, disk_replayed_t *out, err_t *err);

/* Syncs what was appended, ends the thread, releases the lock. *self becomes NULL. */
void disk_close(disk_t **self);

/* ---- appending and reading ---- */

/* The position of the oldest entry that is kept, in bytes. */
uint64_t disk_begin(const disk_t *self);

/* The position that the next entry will have, in bytes. */
uint64_t disk_end(const disk_t *self);

/*
 * Appends whole entries, made by seglog_entry_put for the positions from disk_end on, in one write.
 * They are safe from a crash of the process at once, from one of the machine after the next sync.
 *
 * Returns -1 with err, and the log as it was, when the disk does not take them. The caller may try
 * again, but not once a sync has failed: the system may have dropped what was written before, so
 * from then on every append is refused until the node is started anew.
 */
int disk_append(disk_t *self, slice_t bytes, err_t *err);

/*
 * Puts whole entries from position on into out (which is reset): at most `most` bytes, but one
 * entry at least. It may stop early, at the end of a segment; out is empty at disk_end alone.
 * position is that of an entry, at most disk_end (asserted). Entries that fail their checksum are
 * never given out.
 *
 * Returns -1 with err when position is before disk_begin, or what is there is damaged or
 * unreadable.
 */
int disk_read(disk_t *self, uint64_t position, size_t most, buf_t *out, err_t *err);

/* ---- syncing ---- */

/* Everything before this position survives a power cut, as far as the device keeps its word. */
uint64_t disk_synced(disk_t *self);

/* Waits until everything appended is synced; -1 with err when that fails, now or before. */
int disk_sync(disk_t *self, err_t *err);

/* How often the thread syncs, in milliseconds, if there is something to; 0: never by itself. */
void disk_set_sync_interval_ms(disk_t *self, int64_t interval_ms);

/* After how many bytes a segment is full, instead of DISK_SEGMENT_SIZE; for tests. */
void disk_set_segment_size(disk_t *self, size_t size);

#endif
