/*
 * One log record as one line: pure formatting; who has the clock and the file descriptor writes it.
 *
 *     2026-01-31T12:34:56.789Z info node ready id=3 data="my data"
 *
 * or the same as a JSON object. A record is one line and safe on a terminal whatever its values
 * hold: values with blanks, quotes, '=' or control characters are quoted and escaped.
 */
#ifndef HEARSAY_BUS_BASE_LOG_H
#define HEARSAY_BUS_BASE_LOG_H

#include "bus/base/bytes.h"
#include "bus/base/json.h"

/* From the most to the least urgent: a program set to a level writes it and those before it. */
typedef enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
} log_level_t;

enum { LOG_LEVEL_COUNT = LOG_LEVEL_DEBUG + 1 };

/* "error", "warn", "info", "debug". Static text. */
const char *log_level_name(log_level_t level);

/* The level of a name; false, and *level as it was, when there is none. */
bool log_level_parse(const char *name, log_level_t *level);

/* A record under way; lives on the stack of who writes it and borrows its buffer until log_end. */
typedef struct log_record {
    buf_t *out;
    bool as_json;
    json_t json;
} log_record_t;

/*
 * Begins a record at the end of out. wall_ms is in milliseconds since 1970 (UTC). message is for
 * people and constant, so that records can be found; what varies goes into the values.
 */
log_record_t log_begin(buf_t *out, bool as_json, int64_t wall_ms, log_level_t level,
                       const char *component, const char *message);

/* Values. Keys are ours: letters, digits, '_' and '-' (asserted). */
void log_text(log_record_t *self, const char *key, slice_t value);
void log_int(log_record_t *self, const char *key, int64_t value);
void log_uint(log_record_t *self, const char *key, uint64_t value);
/* As 16 hexadecimal digits; in JSON as a string: incarnations, client ids, hashes. */
void log_hex64(log_record_t *self, const char *key, uint64_t value);

/* Ends the record with its newline. */
void log_end(log_record_t *self);

/*
 * Appends wall_ms, milliseconds since 1970, as RFC 3339 in UTC: "2026-01-31T12:34:56.789Z". Times
 * before 1970 and after 9999, which the form cannot say, become the first and the last that it can.
 */
void log_put_time(buf_t *out, int64_t wall_ms);

#endif
