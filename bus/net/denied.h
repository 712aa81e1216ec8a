/*
 * Who was turned away, or turned us away, for want of the right key: a short queue that any thread
 * may add to and one reads, with a counter and a limited rate.
 *
 * A handshake that fails is known to threads of their own (bus/net/zap.h, bus/net/monitor.h), and
 * somebody hostile can make any number of them. The same about the same is said once a minute or
 * until denied_forget(), all others DENIED_BURST times and then one in DENIED_INTERVAL_MS; what is
 * not said is counted.
 */
#ifndef HEARSAY_BUS_NET_DENIED_H
#define HEARSAY_BUS_NET_DENIED_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/bytes.h"
#include "bus/base/err.h"

typedef struct denied denied_t;

enum {
    DENIED_BURST = 16, /* also the length of the queue */
    DENIED_INTERVAL_MS = 3000,
    DENIED_AGAIN_MS = 60000,
    DENIED_ADDRESS_SIZE = 128,
    DENIED_WHY_SIZE = 256,
};

typedef struct denied_entry {
    char address[DENIED_ADDRESS_SIZE];
    char why[DENIED_WHY_SIZE]; /* what it did, as "speaks without keys", or what was done to it */
    bool is_certain;           /* else it may be that the other end just ended */
    uint64_t unsaid;           /* so many more since the last that was said */
} denied_entry_t;

/* Returns 0, or -1 with err when the system has no descriptor left. */
int denied_open(denied_t **out, err_t *err);
void denied_destroy(denied_t **self);

/*
 * Adds one: of a guess, which is_certain is false for, too. Both texts are copied, cut when they
 * are too long. From any thread.
 */
void denied_put(denied_t *self, const char *address, const char *why, bool is_certain);

/* A descriptor to poll: readable while denied_next() has something. */
int denied_fd(const denied_t *self);

/* The next one that is to be said; false when there is none. */
bool denied_next(denied_t *self, denied_entry_t *out);

/* What was said so far is said again when it happens again. */
void denied_forget(denied_t *self);

/* How many there were, said or not. From any thread. */
uint64_t denied_count(denied_t *self);

/* Writes it as the note of an event (bus/net/notes.h) into out, which is emptied first. */
void denied_note(buf_t *out, const denied_entry_t *entry);

#endif
