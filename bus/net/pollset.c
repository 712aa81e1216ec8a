#include "bus/net/pollset.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__

#include <sys/epoll.h>

int pollset_open(pollset_t *self, err_t *err)
{
    self->fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->fd >= 0)
        return 0;
    return err_set(err, OUTCOME_FULL,
                   "cannot open a descriptor: %s; raise the limit of open files (ulimit -n)",
                   strerror(errno));
}

int pollset_add(pollset_t *self, int fd, err_t *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(self->fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    return err_set(err, OUTCOME_FULL, "cannot watch a descriptor: %s", strerror(errno));
}

void pollset_remove(pollset_t *self, int fd)
{
    epoll_ctl(self->fd, EPOLL_CTL_DEL, fd, NULL);
}

#else

#include <fcntl.h>
#include <stddef.h>
#include <sys/event.h>

int pollset_open(pollset_t *self, err_t *err)
{
    self->fd = kqueue();
    if (self->fd < 0)
        return err_set(err, OUTCOME_FULL,
                       "cannot open a descriptor: %s; raise the limit of open files (ulimit -n)",
                       strerror(errno));
    fcntl(self->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

int pollset_add(pollset_t *self, int fd, err_t *err)
{
    struct kevent change;
    EV_SET(&change, (uintptr_t)fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
    if (kevent(self->fd, &change, 1, NULL, 0, NULL) == 0)
        return 0;
    return err_set(err, OUTCOME_FULL, "cannot watch a descriptor: %s", strerror(errno));
}

void pollset_remove(pollset_t *self, int fd)
{
    struct kevent change;
    EV_SET(&change, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    kevent(self->fd, &change, 1, NULL, 0, NULL);
}

#endif

void pollset_close(pollset_t *self)
{
    close(self->fd);
    self->fd = -1;
}
