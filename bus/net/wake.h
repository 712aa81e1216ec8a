/*
 * A wake-up between threads that a poll can wait for: an eventfd on Linux, a pipe elsewhere.
 *
 * Small value that lives inside its owner; signals do not add up, one clear takes them all.
 */
#ifndef HEARSAY_BUS_NET_WAKE_H
#define HEARSAY_BUS_NET_WAKE_H

#include "bus/base/err.h"

typedef struct wake {
    int read_fd; /* poll this one */
    int write_fd;
} wake_t;

/* Returns 0, or -1 with err when no descriptor is left. */
int wake_open(wake_t *self, err_t *err);
void wake_close(wake_t *self);

/* Makes it readable. From any thread, never blocks. */
void wake_signal(const wake_t *self);

/* Makes it not readable until the next signal. Never blocks. */
void wake_clear(const wake_t *self);

#endif
