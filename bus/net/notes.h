/*
 * Notes of the pure cores as log records.
 *
 * A core has no logger: it says "message key=value key=\"some value\"" as one text, which is taken
 * apart here, so that a reader of the log finds a message and its values as in every other record.
 * A note that begins with "[name] " is an event of that name: it is kept and traced besides.
 */
#ifndef HEARSAY_BUS_NET_NOTES_H
#define HEARSAY_BUS_NET_NOTES_H

#include "bus/base/events.h"
#include "bus/net/logger.h"
#include "bus/net/trace.h"
#include "bus/wire/inspect.h"

/* Logs the note. line: the caller's, empty and empty again afterwards. */
void notes_log(buf_t *line, log_level_t level, slice_t note);

/* The same, and if it is an event, keeps it and tells followers. */
void notes_tell(buf_t *line, events_t *events, trace_t *trace, log_level_t level, slice_t note);

/* Appends the document of the events kept; source says whose they are, and no more. */
void notes_put_events(buf_t *out, const events_t *events, const inspect_events_t *source);

/* Appends how often each event was there as counts "event_NAME"; returns how many. */
uint32_t notes_put_counts(buf_t *out, const events_t *events);

#endif
