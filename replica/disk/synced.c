#include "replica/disk/synced.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    SUMMED = 8,
    SIZE = 16,
};

static const char NAME[] = "synced";

uint64_t synced_read(const folder_t *folder)
{
    uint8_t bytes[SIZE];
    int fd = openat(folder->fd, NAME, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && pread(fd, bytes, SIZE, 0) == SIZE;
    if (fd >= 0)
        close(fd);
    if (!is_read || be64_get(bytes + SUMMED) != XXH3_64bits(bytes, SUMMED))
        return 0;
    return be64_get(bytes);
}

int synced_open(const folder_t *folder)
{
    return openat(folder->fd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

void synced_write(int fd, uint64_t position)
{
    uint8_t bytes[SIZE];
    be64_put(bytes, position);
    be64_put(bytes + SUMMED, XXH3_64bits(bytes, SUMMED));
    /* A part of it is found out by its checksum. */
    ssize_t written = fd >= 0 ? pwrite(fd, bytes, SIZE, 0) : 0;
    (void)written;
}

void synced_reset(int fd, uint64_t position)
{
    synced_write(fd, position);
    if (fd >= 0)
        fsync(fd);
}
