/*
 * Replies as the library's users get them: an outcome and a tree of values.
 *
 * A reply owns everything that is reached through it.
 */
#ifndef HEARSAY_CLIENT_LIB_REPLY_H
#define HEARSAY_CLIENT_LIB_REPLY_H

#include "bus/base/bytes.h"
#include "bus/base/outcome.h"
#include "client/lib/hearsay.h"

/* How a request ended. */
typedef struct reply_head {
    outcome_t outcome;
    int replica;
    unsigned copies;
    unsigned sends;
    bool is_relaxed;
    int64_t elapsed_us;
} reply_head_t;

/* A reply of one msgpack value, copied: the answer, or an error's text. */
hearsay_reply_t *reply_new(const reply_head_t *head, slice_t value);

/* One that never went out. text is copied. */
hearsay_reply_t *reply_failure(outcome_t outcome, const char *text);

#endif
