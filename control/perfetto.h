/*
 * A trace as JSON of Chrome's trace format, which ui.perfetto.dev opens: each node and broker is a
 * process; a request is a slice at the broker and one at the node, an update a slice where it was
 * accepted and where it was applied, with arrows from the one to the other.
 *
 * Pure text, appended to a buffer that the caller writes out. What is open or remembered is
 * bounded by PERFETTO_OPEN_MAX; beyond that the oldest is given up.
 */
#ifndef HEARSAY_CONTROL_PERFETTO_H
#define HEARSAY_CONTROL_PERFETTO_H

#include "bus/wire/trace.h"

enum { PERFETTO_OPEN_MAX = 65536 };

typedef struct perfetto perfetto_t;

/* Begins the document. Never NULL. */
perfetto_t *perfetto_new(buf_t *out);

/* A program, before its first item; number: from 0, of its own. */
void perfetto_program(perfetto_t *self, buf_t *out, uint32_t number, const char *name);

/* Items come in the order of their times. */
void perfetto_item(perfetto_t *self, buf_t *out, uint32_t program, const trace_item_t *item);

/* Ends the document: requests still open are shown up to the last item. Destroys self. */
void perfetto_end(perfetto_t **self, buf_t *out);

#endif
