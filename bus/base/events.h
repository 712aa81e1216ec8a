/*
 * The latest events of a program: what people may want to hear of later, each under a stable name,
 * with a counter for each name.
 *
 * An event is a note of a core that begins with "[name] " (bus/net/notes.h). The object owns copies
 * of the last EVENTS_KEPT; what is longer than EVENTS_TEXT_MAX bytes is cut.
 */
#ifndef HEARSAY_BUS_BASE_EVENTS_H
#define HEARSAY_BUS_BASE_EVENTS_H

#include "bus/base/bytes.h"

enum {
    EVENTS_KEPT = 256,
    EVENTS_NAMES_MAX = 64, /* further names are kept, but not counted */
    EVENTS_NAME_MAX = 24,  /* bytes; a longer name is none */
    EVENTS_TEXT_MAX = 240,
};

typedef struct events events_t;

/* An event, borrowed until the next one is added. */
typedef struct event {
    uint64_t number; /* from 1, in the order of adding */
    int64_t wall_us; /* microseconds since 1970 */
    slice_t name;
    slice_t text;
} event_t;

/* Never NULL. */
events_t *events_new(void);
void events_destroy(events_t **self);

/*
 * Takes "[name] " off the front of a note. False, with the note as it was, when it has none and is
 * no event.
 */
bool events_take_name(slice_t *note, slice_t *name);

/* Adds an event; returns its number. */
uint64_t events_add(events_t *self, int64_t wall_us, slice_t name, slice_t text);

/* The number of the last event, 0 for none. */
uint64_t events_last(const events_t *self);

/* The event of a number; false when it is gone or not there yet. */
bool events_get(const events_t *self, uint64_t number, event_t *out);

/* The i-th name and how often it was there; false behind the last. */
bool events_count(const events_t *self, size_t i, const char **name, uint64_t *count);

#endif
