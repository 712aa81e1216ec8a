/*
 * A set of descriptors that is itself a descriptor to poll: readable while one of them is. An epoll
 * on Linux, a kqueue elsewhere.
 *
 * Small value that lives inside its owner. The descriptors stay their owners' and are taken out
 * before they are closed.
 */
#ifndef HEARSAY_BUS_NET_POLLSET_H
#define HEARSAY_BUS_NET_POLLSET_H

#include "bus/base/err.h"

typedef struct pollset {
    int fd; /* poll this one */
} pollset_t;

/* Returns 0, or -1 with err when no descriptor is left. */
int pollset_open(pollset_t *self, err_t *err);
void pollset_close(pollset_t *self);

/* Puts in a descriptor that is not in yet. Returns 0, or -1 with err when the system is full. */
int pollset_add(pollset_t *self, int fd, err_t *err);

/* Takes one out; nothing happens when it is not in. */
void pollset_remove(pollset_t *self, int fd);

#endif
