/*
 * A line of JSON taken apart into names and values, with jansson.
 */
#ifndef HEARSAY_CLIENT_TOOL_JSONL_H
#define HEARSAY_CLIENT_TOOL_JSONL_H

#include "bus/base/err.h"
#include "client/tool/words.h"

/*
 * Appends the name and the value of each member of an object to out, as two words: texts as they
 * are, numbers as digits, true and false by name; a member that is null is left out. 0, or -1 with
 * err when the line is no such object.
 */
int jsonl_take(slice_t line, words_t *out, err_t *err);

#endif
