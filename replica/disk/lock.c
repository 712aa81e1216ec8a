#include "replica/disk/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000 * 1000,
    LOCK_WAIT_MS = 1000,
    LOCK_RETRY_MS = 10,
};

const char LOCK_NAME[] = "lock";

/*
 * Takes the lock, as flock() does. A process that was killed keeps it until the kernel is done with
 * it, and a node started again at once must not find its predecessor in the way.
 */
static int lock_patiently(int fd)
{
    const struct timespec pause = {.tv_nsec = (long)LOCK_RETRY_MS * NS_PER_MS};
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    for (int ms = 0; rc != 0 && errno == EWOULDBLOCK && ms < LOCK_WAIT_MS; ms += LOCK_RETRY_MS) {
        nanosleep(&pause, NULL);
        rc = flock(fd, LOCK_EX | LOCK_NB);
    }
    return rc;
}

/* Takes the lock of the folder, which goes with the process, and says in it who has it. */
static int take(const folder_t *folder, int *lock_fd, err_t *err)
{
    *lock_fd = openat(folder->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock_fd < 0)
        return files_fail_open(folder->path, LOCK_NAME, errno, err);
    char text[32] = {0};
    if (lock_patiently(*lock_fd) != 0) {
        if (errno != EWOULDBLOCK)
            return files_fail_open(folder->path, LOCK_NAME, errno, err);
        ssize_t n = pread(*lock_fd, text, sizeof(text) - 1, 0);
        long pid = n > 0 ? strtol(text, NULL, 10) : 0;
        char who[48] = "another process";
        if (pid > 0)
            snprintf(who, sizeof(who), "process %ld", pid);
        return err_set(err, OUTCOME_USAGE,
                       "data folder %s is in use by %s; stop that node or say --data DIR",
                       folder->path, who);
    }
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int error = files_truncate(*lock_fd, 0);
    if (error == 0)
        error = files_write(*lock_fd, slice_of(text, (size_t)size), 0);
    /* Whose lock it is only serves a message: a full disk does not keep a node from starting. */
    if (error == 0 || files_is_full(error))
        return 0;
    return files_fail_open(folder->path, LOCK_NAME, error, err);
}

int lock_take(folder_t *folder, int *lock_fd, err_t *err)
{
    bool is_new = mkdir(folder->path, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return files_fail_open(folder->path, "", errno, err);
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return files_fail_open(folder->path, "", errno, err);
    int error = is_new ? files_sync_name(folder->path) : 0;
    if (error != 0)
        return files_fail_open(folder->path, "", error, err);
    return take(folder, lock_fd, err);
}
