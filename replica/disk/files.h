/*
 * Plain files for replica/disk: whole reads and writes, and what to say when the system refuses.
 *
 * A folder_t is an open data folder with the path that people know it by. It is a small struct that
 * lives inside its user, who closes fd. Descriptors are borrowed by all functions here.
 */
#ifndef HEARSAY_REPLICA_DISK_FILES_H
#define HEARSAY_REPLICA_DISK_FILES_H

#include <pthread.h>
#include <sys/types.h>

#include "bus/base/bytes.h"
#include "bus/base/err.h"

typedef struct folder {
    int fd;
    char *path; /* for messages */
} folder_t;

/*
 * What becomes of data that is damaged on this disk and kept by others: an error with it is LOST.
 * And what to do where the node cannot see to that itself.
 */
extern const char FILES_REPAIR[];
extern const char FILES_MOVE[];

/*
 * The calls to the system that fail when a device is full or broken, with the meaning and the errno
 * of their namesakes (allocate: posix_fallocate, which returns it). Tests put others in while no
 * disk_t and no checkpoint_t is open; nobody else writes here.
 */
typedef struct files_system {
    ssize_t (*pwrite)(int fd, const void *data, size_t size, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd); /* of what files_sync_name does */
    int (*allocate)(int fd, off_t offset, off_t size);
    int (*unlinkat)(int folder_fd, const char *name, int flags);
} files_system_t;

extern files_system_t files_system;

/* Writes all of bytes at offset; 0 or the errno. */
int files_write(int fd, slice_t bytes, uint64_t offset);

/* Appends size bytes at offset of the file to out; 0 or the errno, EIO when the file is shorter. */
int files_read(int fd, uint64_t offset, size_t size, buf_t *out);

/* Makes the file size bytes long; 0 or the errno. */
int files_truncate(int fd, uint64_t size);

/*
 * Starts a thread that takes no signals: they are for the loop. what it works on is for the error.
 * 0, or -1 with err (READ_ONLY).
 */
int files_start_thread(pthread_t *out, void *(*run)(void *arg), void *arg, const char *what,
                       err_t *err);

/* The errno is one of a device, quota or limit that has no room. */
bool files_is_full(int error);

/* The bytes of a path without the slashes behind it, which a shell adds to the name of a folder. */
size_t files_name_size(const char *path);

/*
 * Makes the name of a file or folder durable by syncing the folder that it lies in. 0 or the errno;
 * 0 as well where that folder may not be read, or its file system has no such thing.
 */
int files_sync_name(const char *path);

/*
 * Fills in err for an errno with which the system refused to make or open name in the folder at
 * path, or that folder ("") itself: USAGE where another place would do, READ_ONLY where the disk is
 * full or fails. Returns -1.
 */
int files_fail_open(const char *path, const char *name, int error, err_t *err);

#endif
