/*
 * What of a trace is about one key: items that name it, and those that name a request or update
 * which an earlier item connected with it. Pure; remembers the latest FILTER_IDS of each.
 */
#ifndef HEARSAY_CONTROL_FILTER_H
#define HEARSAY_CONTROL_FILTER_H

#include "bus/wire/trace.h"

enum { FILTER_IDS = 4096 };

typedef struct filter filter_t;

/* key is copied; an empty one lets everything through. Never NULL. */
filter_t *filter_new(slice_t key);
void filter_destroy(filter_t **self);

/* True for an item that is to be shown. Items come in the order of their times. */
bool filter_takes(filter_t *self, const trace_item_t *item);

#endif
