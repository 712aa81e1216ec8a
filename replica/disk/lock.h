/*
 * The lock of a data folder: one process at a time works on it, or several look at it (verify.h).
 */
#ifndef HEARSAY_REPLICA_DISK_LOCK_H
#define HEARSAY_REPLICA_DISK_LOCK_H

#include "replica/disk/files.h"

/* The file in the folder that is locked; in it the process id of its holder, for messages. */
extern const char LOCK_NAME[];

/*
 * Opens the folder at folder->path (its fd is -1), makes it (0700) when it is not there, and takes
 * its lock, which ends with *lock_fd. Both descriptors are the caller's to close, the lock last,
 * also those that are not -1 when it fails.
 *
 * Returns -1 with err: USAGE when it cannot be made or opened or another process works on it,
 * READ_ONLY when the disk is full or fails.
 */
int lock_take(folder_t *folder, int *lock_fd, err_t *err);

#endif
