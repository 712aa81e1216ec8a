/*
 * A value that is too long or too binary for a command line: read from a file or standard input.
 */
#ifndef HEARSAY_CLIENT_TOOL_VALUE_H
#define HEARSAY_CLIENT_TOOL_VALUE_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/*
 * Appends all that path (NULL: standard input) holds. 0, or -1 with err when it cannot be read or
 * is more than any cluster takes for a value.
 */
int value_read(buf_t *out, const char *path, err_t *err);

#endif
