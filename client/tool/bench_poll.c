#ifdef __linux__
#define _GNU_SOURCE /* ppoll */
#endif
#include "client/tool/bench_poll.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"

#ifdef __linux__

#include <sys/epoll.h>

struct bench_poll {
    int fd;
    unsigned capacity;
    struct epoll_event *events;
    unsigned *ready;
};

bench_poll_t *bench_poll_new(unsigned capacity)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return NULL;
    bench_poll_t *self = mem_zero(1, sizeof(*self));
    *self = (bench_poll_t){.fd = fd, .capacity = capacity};
    self->events = mem_zero(capacity, sizeof(*self->events));
    self->ready = mem_zero(capacity, sizeof(*self->ready));
    return self;
}

void bench_poll_destroy(bench_poll_t **self)
{
    if (*self == NULL)
        return;
    close((*self)->fd);
    free((*self)->events);
    free((*self)->ready);
    free(*self);
    *self = NULL;
}

bool bench_poll_add(bench_poll_t *self, int fd, unsigned number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    return epoll_ctl(self->fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

unsigned bench_poll_wait(bench_poll_t *self, int64_t wait_us, const unsigned **numbers)
{
    /* epoll waits for whole milliseconds. */
    const struct timespec wait = {wait_us / 1000000, (long)(wait_us % 1000000) * 1000};
    struct pollfd item = {.fd = self->fd, .events = POLLIN};

    *numbers = self->ready;
    if (ppoll(&item, 1, &wait, NULL) <= 0)
        return 0;
    int count = epoll_wait(self->fd, self->events, (int)self->capacity, 0);
    for (int i = 0; i < count; i++)
        self->ready[i] = self->events[i].data.u32;
    return count > 0 ? (unsigned)count : 0;
}

#else

struct bench_poll {
    unsigned count;
    struct pollfd *items;
    unsigned *numbers;
    unsigned *ready;
};

bench_poll_t *bench_poll_new(unsigned capacity)
{
    bench_poll_t *self = mem_zero(1, sizeof(*self));
    self->items = mem_zero(capacity, sizeof(*self->items));
    self->numbers = mem_zero(capacity, sizeof(*self->numbers));
    self->ready = mem_zero(capacity, sizeof(*self->ready));
    return self;
}

void bench_poll_destroy(bench_poll_t **self)
{
    if (*self == NULL)
        return;
    free((*self)->items);
    free((*self)->numbers);
    free((*self)->ready);
    free(*self);
    *self = NULL;
}

bool bench_poll_add(bench_poll_t *self, int fd, unsigned number)
{
    self->items[self->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    self->numbers[self->count++] = number;
    return true;
}

unsigned bench_poll_wait(bench_poll_t *self, int64_t wait_us, const unsigned **numbers)
{
    unsigned count = 0;

    *numbers = self->ready;
    if (poll(self->items, self->count, (int)((wait_us + 999) / 1000)) <= 0)
        return 0;
    for (unsigned i = 0; i < self->count; i++)
        if (self->items[i].revents != 0)
            self->ready[count++] = self->numbers[i];
    return count;
}

#endif
