/*
 * Notes of the pure cores as log records.
 *
 * A core has no logger: it says "message key=value key=\"some value\"" as one text, which is taken
 * apart here, so that a reader of the log finds a message and its values as in every other record.
 */
#ifndef HEARSAY_BUS_NET_NOTES_H
#define HEARSAY_BUS_NET_NOTES_H

#include "bus/net/logger.h"

/* Logs the note. line: the caller's, empty and empty again afterwards. */
void notes_log(buf_t *line, log_level_t level, slice_t note);

#endif
