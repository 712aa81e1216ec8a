#include "replica/disk/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/memory.h"

const char FILES_REPAIR[] = "what was there is to be taken from the other nodes";

const char FILES_MOVE[] =
    "move the folder away and start again: the node takes everything from its peers";

files_system_t files_system = {
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .allocate = posix_fallocate,
    .unlinkat = unlinkat,
};

int files_write(int fd, slice_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes.size) {
        ssize_t n =
            files_system.pwrite(fd, bytes.data + done, bytes.size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

int files_read(int fd, uint64_t offset, size_t size, buf_t *out)
{
    uint8_t *to = buf_reserve(out, size);
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += (size_t)n;
    }
    out->size += size;
    return 0;
}

int files_truncate(int fd, uint64_t size)
{
    int rc;
    do
        rc = ftruncate(fd, (off_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

bool files_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

size_t files_name_size(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    return size;
}

/* The folder that a name lies in; the caller frees it. */
static char *folder_above(const char *path)
{
    size_t size = files_name_size(path);
    while (size > 0 && path[size - 1] != '/')
        size--;
    return size == 0 ? mem_text(".", 1) : mem_text(path, size);
}

int files_sync_name(const char *path)
{
    char *above = folder_above(path);
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = 0;
    free(above);
    if (fd < 0)
        return errno == EACCES ? 0 : errno;
    if (files_system.fsync(fd) != 0)
        error = errno;
    close(fd);
    return error == EINVAL || error == ENOTSUP ? 0 : error;
}

int files_fail_open(const char *path, const char *name, int error, err_t *err)
{
    const char *slash = name[0] == '\0' ? "" : "/";
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_set(err, OUTCOME_READ_ONLY, "cannot create %s%s%s: %s; free space there", path,
                       slash, name, strerror(error));
    case EACCES:
    case EPERM:
    case EROFS:
        return err_set(err, OUTCOME_USAGE,
                       "cannot open %s%s%s: %s; make the folder writable or say --data DIR", path,
                       slash, name, strerror(error));
    case ENOENT:
    case ENOTDIR:
        return err_set(err, OUTCOME_USAGE,
                       "cannot open %s%s%s: %s; create the folder above it or say --data DIR", path,
                       slash, name, strerror(error));
    case EIO:
        return err_set(err, OUTCOME_READ_ONLY, "cannot open %s%s%s: %s; check the disk", path,
                       slash, name, strerror(error));
    default:
        return err_set(err, OUTCOME_USAGE, "cannot open %s%s%s: %s; say --data DIR", path, slash,
                       name, strerror(error));
    }
}

int files_start_thread(pthread_t *out, void *(*run)(void *arg), void *arg, const char *what,
                       err_t *err)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return 0;
    return err_set(err, OUTCOME_READ_ONLY,
                   "cannot start the thread of the %s: %s; allow the user more processes", what,
                   strerror(error));
}
