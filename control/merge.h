/*
 * Events of many programs in one list: those that each keeps, and those that it tells meanwhile.
 *
 * A program is subscribed to before it is asked for what it keeps, and others are waited for after
 * it has replied. What it tells before the list is made is therefore part of it, each event once.
 * Owns copies of all texts.
 */
#ifndef HEARSAY_CONTROL_MERGE_H
#define HEARSAY_CONTROL_MERGE_H

#include "bus/base/events.h"
#include "bus/wire/inspect.h"
#include "control/follow.h"

/* An event with its texts. */
typedef struct merge_entry {
    uint64_t incarnation;
    uint64_t number;
    int64_t wall_us; /* microseconds since 1970 */
    control_kind_t program;
    uint16_t id; /* of a node */
    char source[FOLLOW_NAME_SIZE];
    char name[EVENTS_NAME_MAX + 1];
    char text[EVENTS_TEXT_MAX + 1];
} merge_entry_t;

typedef struct merge merge_t;

merge_t *merge_new(void);
void merge_destroy(merge_t **self);

/* What a program keeps, as it replied to EVENTS (checked by inspect_events_read). */
void merge_take_kept(merge_t *self, const inspect_events_t *events);

/*
 * What a program tells now. True, with *out, for an event that is to be shown after the list; false
 * for one that is in the list or was given before, and for what is no event.
 */
bool merge_take_live(merge_t *self, const follow_stream_t *stream, const trace_item_t *item,
                     merge_entry_t *out);

/* Ends the list, which is by time from then on. */
void merge_end(merge_t *self);

/* The i-th event of the list, borrowed until the next call that takes one; NULL behind the last. */
const merge_entry_t *merge_entry(const merge_t *self, size_t i);
size_t merge_size(const merge_t *self);

/* True when any program has kept or told something, were it nothing at all that it keeps. */
bool merge_has_heard(const merge_t *self);

#endif
