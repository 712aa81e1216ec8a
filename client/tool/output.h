/*
 * Replies as people and scripts see them. Pure formatting into a buffer.
 */
#ifndef HEARSAY_CLIENT_TOOL_OUTPUT_H
#define HEARSAY_CLIENT_TOOL_OUTPUT_H

#include "bus/base/bytes.h"
#include "bus/base/json.h"
#include "client/lib/hearsay.h"

typedef enum output_style {
    OUTPUT_VALUE,    /* one command: the bare value, lists and maps in several lines */
    OUTPUT_TERMINAL, /* the same for eyes: what would not show or harm a terminal is quoted */
    OUTPUT_LINE,     /* pipe mode: exactly one line for each reply, whatever is in it */
    OUTPUT_JSON,     /* likewise, one object */
} output_style_t;

/*
 * Appends a reply with its newline. token: what the session has seen by then. An error is a line
 * that begins with ERROR, or an object.
 */
void output_reply(buf_t *out, output_style_t style, const hearsay_reply_t *reply,
                  const char *token);

/* Appends an answer of the tool itself, a word, as a reply that no replica gave. */
void output_answer(buf_t *out, output_style_t style, const char *answer, const char *token);

/* Adds a hash's fields to an object that is open. */
void output_members(json_t *json, const hearsay_value_t *hash);

/* True when text can be shown as it is: UTF-8 without control characters. */
bool output_is_plain(slice_t text);

/*
 * Appends an error that is no reply: code is an outcome's name. token: as above, NULL when there is
 * no session. As an object it has the fields that a reply has.
 */
void output_error(buf_t *out, output_style_t style, const char *code, const char *message,
                  const char *token);

#endif
