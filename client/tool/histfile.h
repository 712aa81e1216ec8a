/*
 * The history file of the prompt: one line of text for each line that was typed.
 *
 * Lines are only ever appended, so prompts side by side lose nothing of one another; a file that
 * has grown to twice HISTFILE_LINES is cut down to that many when it is opened. What begins with a
 * blank is not kept, which is how to type a secret. The file is for its user alone (0600).
 */
#ifndef HEARSAY_CLIENT_TOOL_HISTFILE_H
#define HEARSAY_CLIENT_TOOL_HISTFILE_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

enum {
    HISTFILE_LINES = 1000,
    HISTFILE_LINE_MAX = 4096, /* bytes; a longer line is not kept */
};

typedef struct histfile histfile_t;

/* Called with each line that is kept, the oldest first; text is borrowed for the call. */
typedef void histfile_line_fn(void *arg, const char *text);

/*
 * Opens the file at path (NULL: "history" in the folder of place.h), makes it when it is not there,
 * and gives at most HISTFILE_LINES lines to fn. NULL with err when it cannot be used.
 */
histfile_t *histfile_open(const char *path, histfile_line_fn *fn, void *arg, err_t *err);
void histfile_close(histfile_t **self);

/* Keeps a line. 0, or -1 with err. */
int histfile_add(histfile_t *self, slice_t line, err_t *err);

#endif
