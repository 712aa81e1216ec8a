/*
 * A line of a prompt or a pipe, taken apart into words.
 *
 * Words stand between blanks. "double quotes" hold blanks and the escapes \" \\ \n \r \t \xHH, so
 * that every byte can be written; a quoted part may begin and end inside of a word. The words are
 * owned by the words_t, which lives inside its user: zero it, words_free it.
 */
#ifndef HEARSAY_CLIENT_TOOL_WORDS_H
#define HEARSAY_CLIENT_TOOL_WORDS_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "client/lib/hearsay.h"

typedef struct words {
    hearsay_word_t *list; /* valid until the next words_parse */
    size_t count;
    size_t capacity;
    buf_t bytes;
    size_t ended; /* bytes that are words already */
} words_t;

/* Reads a line without its newline. 0, or -1 with err when its quotes are wrong. */
int words_parse(words_t *self, slice_t line, err_t *err);
void words_free(words_t *self);

/*
 * For other readers than words_parse: words_clear, then for each word its bytes appended to
 * self->bytes and words_end, and words_settle when all are there; only then the list is valid.
 */
void words_clear(words_t *self);
void words_end(words_t *self);
void words_settle(words_t *self);

/* True when the line is no command: nothing but blanks, or a comment, which begins with '#'. */
bool words_is_empty(slice_t line);

/* Appends bytes as words_parse reads them, in quotes. */
void words_put_quoted(buf_t *out, slice_t bytes);

#endif
