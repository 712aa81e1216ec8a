/*
 * The program's log: lines of bus/base/log to standard error, at or above one level.
 *
 * One per process. A line is one write(2), so lines of threads and programs on one terminal do not
 * mix. Logging never fails the program and never holds it up for long: when standard error takes
 * nothing for LOGGER_WAIT_MS, lines are dropped until it does again, and the next line that gets
 * through is preceded by how many were. logger_open() before other threads; the rest from any
 * thread.
 */
#ifndef HEARSAY_BUS_NET_LOGGER_H
#define HEARSAY_BUS_NET_LOGGER_H

#include "bus/base/log.h"

enum {
    LOGGER_LINE_MAX =
        4000, /* longer ones are cut, JSON dropped; a pipe takes this much in one piece */
    LOGGER_WAIT_MS = 100,
};

/* component ("node", "broker", ...) is static text. Before this: "hearsay", info, text. */
void logger_open(const char *component, log_level_t level, bool as_json);

/* The level in force, also to be changed while running. */
void logger_set_level(log_level_t level);

/* True when lines of this level are written: to spare the making of values. */
bool logger_wants(log_level_t level);

/*
 * One record with values: begin, the log_text(), log_int() ... of bus/base/log.h, end, which writes
 * it unless its level is off. line is the caller's, empty and is empty again afterwards.
 */
log_record_t logger_begin(buf_t *line, log_level_t level, const char *message);
void logger_end(log_record_t *record, log_level_t level);

/* One record with the text as its message; as printf, without a newline. */
__attribute__((format(printf, 2, 3))) void log_line(log_level_t level, const char *format, ...);

#endif
