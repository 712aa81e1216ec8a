/*
 * Backups of one node's state in one file, and the data folder that is made of one.
 *
 * The file begins with "HSBACKUP" and the number of its format (big-endian, 4 bytes, and 4 that are
 * 0). Behind that are entries in the form of the log (replica/core/seglog.h), each with its own
 * checksum and place, the position being the offset in the file:
 *
 *   1  about: msgpack [id, incarnation, lineage, wall_ms, version]
 *   2  a piece of the state: a byte, 1 at the end of a part, and bytes of rows (state.h)
 *   3  the end: msgpack [entries]
 *
 * An entry of the state is of a key, of one that was deleted as well until that may be forgotten.
 *
 * So a file that was cut short or damaged anywhere is found out before anything is made of it.
 *
 * A backup_t is owned by who opened it. Paths are borrowed for the calls.
 */
#ifndef HEARSAY_REPLICA_DISK_BACKUP_H
#define HEARSAY_REPLICA_DISK_BACKUP_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

enum {
    BACKUP_FORMAT = 1,
    BACKUP_VERSION_SIZE = 32,
    BACKUP_PART_MAX = 512 * 1024 * 1024, /* bytes of a part: all of one key is in one */
};

typedef struct backup_about {
    uint16_t id;          /* of the node */
    uint64_t incarnation; /* likewise */
    uint64_t lineage;     /* of its data */
    int64_t wall_ms;      /* since 1970, when it was begun */
    char version[BACKUP_VERSION_SIZE];
} backup_about_t;

/* ---- writing ---- */

typedef struct backup backup_t;

/*
 * Begins a file. It has the name path + ".partial" until backup_end; path "-" is standard output.
 * Returns 0, or -1 with err: USAGE where it cannot be made, FULL when there is no room.
 */
int backup_begin(backup_t **out, const char *path, const backup_about_t *about, err_t *err);

/*
 * Adds bytes of rows, at most SEGLOG_PAYLOAD_MAX - 1 (asserted). -1 with err, also for bad rows;
 * TOO_LARGE for what could not be restored.
 */
int backup_add(backup_t *self, slice_t bytes, bool ends_part, err_t *err);

/*
 * Ends the file, brings it to the device and gives it its name. -1 with err: USAGE when another
 * backup was begun with the same path meanwhile, which is left alone.
 */
int backup_end(backup_t *self, err_t *err);

/* What was written so far. */
uint64_t backup_bytes(const backup_t *self);
uint64_t backup_entries(const backup_t *self);

/* Frees it; a file that has not been ended is removed. *self becomes NULL. */
void backup_close(backup_t **self);

/* ---- restoring ---- */

typedef struct backup_restored {
    backup_about_t about;
    uint64_t entries;
} backup_restored_t;

/*
 * Makes a data folder of a backup ("-": from standard input): the same keys and values under a new
 * lineage, without members, so that nodes with other data refuse it and nodes without any join it.
 * The folder must not be there yet; it appears when all of it is on the device (before that it is
 * folder + ".partial", which a restore that was interrupted leaves behind). lineage is not 0.
 *
 * Returns 0 with *out, or -1 with err: USAGE for a wrong name or a file that is none of ours or of
 * a newer format, READ_ONLY for damage or a disk that fails. Nothing is left then.
 */
int backup_restore(const char *path, const char *folder, uint64_t lineage, backup_restored_t *out,
                   err_t *err);

#endif
