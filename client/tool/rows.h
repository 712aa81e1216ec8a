/*
 * The rows of a file that is imported: bytes go in, one hset for each row comes out.
 *
 * CSV: the first row names the fields. JSON lines: an object a line, whose texts, numbers, true and
 * false are fields; null is no field. One field is the key, behind a prefix, and is not stored. A
 * row that makes no command does not end the file. Pure; what comes out is valid until the next.
 */
#ifndef HEARSAY_CLIENT_TOOL_ROWS_H
#define HEARSAY_CLIENT_TOOL_ROWS_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "client/tool/words.h"

enum { ROWS_ROW_MAX = 32 * 1024 * 1024 }; /* bytes; more than any command carries */

typedef enum rows_format { ROWS_CSV, ROWS_JSONL } rows_format_t;

typedef struct rows rows_t;

/* The texts are borrowed until rows_destroy. */
rows_t *rows_new(rows_format_t format, const char *key_field, const char *prefix);
void rows_destroy(rows_t **self);

/* The next bytes of the file; after the last ones rows_end. */
void rows_feed(rows_t *self, slice_t bytes);
void rows_end(rows_t *self);

typedef struct row {
    uint64_t line;        /* in which it begins, from 1 on */
    uint64_t end;         /* bytes of the file up to its end */
    const words_t *words; /* the command */
} row_t;

typedef enum rows_result {
    ROWS_ROW,
    ROWS_BAD,    /* a row that is none; err says why, row where */
    ROWS_MORE,   /* more bytes are needed */
    ROWS_DONE,   /* the file is at its end */
    ROWS_BROKEN, /* err says why nothing more can be read */
} rows_result_t;

rows_result_t rows_next(rows_t *self, row_t *row, err_t *err);

#endif
