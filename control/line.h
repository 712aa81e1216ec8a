/*
 * An item of a trace as a line, for people or in JSON. Pure text.
 */
#ifndef HEARSAY_CONTROL_LINE_H
#define HEARSAY_CONTROL_LINE_H

#include "control/follow.h"

typedef enum line_form {
    LINE_PLAIN,
    LINE_COLOURED, /* by area, for terminals */
    LINE_JSON,     /* an object */
} line_form_t;

/* Appends the line with its newline. follow names the nodes of updates. */
void line_put(buf_t *out, line_form_t form, const follow_t *follow, const follow_stream_t *stream,
              const trace_item_t *item);

/* Appends text that came over the network: what a terminal would obey becomes '?'. */
void line_put_safe(buf_t *out, slice_t text);

/* Appends "2026-01-31T12:34:56.789012Z". */
void line_put_time(buf_t *out, int64_t wall_us);

#endif
