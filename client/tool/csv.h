/*
 * CSV as RFC 4180 has it: rows of fields with commas between; a field in double quotes may hold
 * commas, line ends and, doubled, quotes. Lines end with CR LF or LF. Fields are bytes. Pure.
 */
#ifndef HEARSAY_CLIENT_TOOL_CSV_H
#define HEARSAY_CLIENT_TOOL_CSV_H

#include "bus/base/bytes.h"
#include "client/tool/words.h"

typedef enum csv_result {
    CSV_ROW,
    CSV_MORE, /* the row is not complete yet */
    CSV_BAD,  /* its quotes are wrong; size says where the next one begins */
} csv_result_t;

/*
 * Takes the first row of text apart into row's words; *size becomes its length with its line's end.
 * is_last: nothing comes behind text, so a row may lack its line's end.
 */
csv_result_t csv_take(slice_t text, bool is_last, words_t *row, size_t *size);

/* Appends a field, in quotes when it needs them. */
void csv_put(buf_t *out, slice_t field);

#endif
