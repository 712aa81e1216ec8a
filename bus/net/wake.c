#include "bus/net/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

int wake_open(wake_t *self, err_t *err)
{
#ifdef __linux__
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    *self = (wake_t){.read_fd = fd, .write_fd = fd};
    if (fd >= 0)
        return 0;
#else
    int fds[2];
    if (pipe(fds) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(fds[i], F_SETFL, O_NONBLOCK);
            fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        }
        *self = (wake_t){.read_fd = fds[0], .write_fd = fds[1]};
        return 0;
    }
#endif
    return err_set(err, OUTCOME_FULL,
                   "cannot open a descriptor: %s; raise the limit of open files (ulimit -n)",
                   strerror(errno));
}

void wake_close(wake_t *self)
{
    close(self->read_fd);
    if (self->write_fd != self->read_fd)
        close(self->write_fd);
    *self = (wake_t){.read_fd = -1, .write_fd = -1};
}

void wake_signal(const wake_t *self)
{
    const uint64_t one = 1;
    ssize_t n;
    do
        n = write(self->write_fd, &one, sizeof(one));
    while (n < 0 && errno == EINTR);
}

void wake_clear(const wake_t *self)
{
    uint64_t counts[16];
    ssize_t n;
    do
        n = read(self->read_fd, counts, sizeof(counts));
    while ((n < 0 && errno == EINTR) || n == (ssize_t)sizeof(counts));
}
