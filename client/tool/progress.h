/*
 * How far something long is, on standard error: a bar on a terminal, a plain line every few seconds
 * elsewhere.
 */
#ifndef HEARSAY_CLIENT_TOOL_PROGRESS_H
#define HEARSAY_CLIENT_TOOL_PROGRESS_H

#include <stdint.h>

typedef struct progress progress_t;

/* what: the things counted, as "rows"; static. total: 0 when it is not known. */
progress_t *progress_new(const char *what, uint64_t total);
void progress_destroy(progress_t **self);

/* done: of total; count: things. Writes when it is time to. */
void progress_show(progress_t *self, uint64_t done, uint64_t count);

/* Takes the bar away, for another line or for good. */
void progress_clear(progress_t *self);

/* A clock that only goes forward. */
int64_t progress_now_ms(void);

#endif
