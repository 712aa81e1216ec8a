/*
 * Waiting for many connections at once: an epoll on Linux, where thousands that have nothing cost
 * nothing, a poll elsewhere.
 */
#ifndef HEARSAY_CLIENT_TOOL_BENCH_POLL_H
#define HEARSAY_CLIENT_TOOL_BENCH_POLL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bench_poll bench_poll_t;

/* For up to capacity descriptors; NULL when the system has no descriptor left. */
bench_poll_t *bench_poll_new(unsigned capacity);
void bench_poll_destroy(bench_poll_t **self);

/* Waits for the descriptor too, which stays the caller's; number comes back when it is readable. */
bool bench_poll_add(bench_poll_t *self, int fd, unsigned number);

/*
 * Waits for wait_us at the most until one is readable. Returns how many are; *numbers is theirs,
 * valid until the next call.
 */
unsigned bench_poll_wait(bench_poll_t *self, int64_t wait_us, const unsigned **numbers);

#endif
