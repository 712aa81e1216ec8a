/*
 * Commands under way, whose replies are handed out in the order of issue: what import and export
 * have in common. At most app->window of them at a time.
 */
#ifndef HEARSAY_CLIENT_TOOL_FLIGHT_H
#define HEARSAY_CLIENT_TOOL_FLIGHT_H

#include "client/tool/app.h"

typedef struct flight flight_t;

/* What the caller wants to know of a command when its reply is there. */
typedef struct flight_tag {
    uint64_t line;
    uint64_t end;
} flight_tag_t;

/* Called from flight_wait; owns the reply. */
typedef void flight_fn(void *arg, flight_tag_t tag, hearsay_reply_t *reply);

flight_t *flight_new(app_t *app, flight_fn *fn, void *arg);

/* Gives up what is under way, without a call of fn. */
void flight_destroy(flight_t **self);

bool flight_is_full(const flight_t *self);
size_t flight_pending(const flight_t *self);

/* The flight must not be full. The words are copied. */
void flight_submit(flight_t *self, const hearsay_word_t words[], size_t count, flight_tag_t tag);

/*
 * Waits, as hearsay_wait does, and calls fn with what is there in order. Returns what hearsay_wait
 * does.
 */
int flight_wait(flight_t *self, int fd, int timeout_ms);

#endif
