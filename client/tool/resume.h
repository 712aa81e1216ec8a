/*
 * The state of an import, kept beside the file (FILE.hearsay-import) while it is not done: how far
 * all rows were answered, and of what file and options that is true.
 */
#ifndef HEARSAY_CLIENT_TOOL_RESUME_H
#define HEARSAY_CLIENT_TOOL_RESUME_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

typedef struct resume {
    uint64_t offset;  /* bytes of the file that are done with */
    uint64_t rows;    /* that were imported */
    uint64_t refused; /* rows that were not */
} resume_t;

/*
 * Reads the state at path. Returns 1; 0 when there is none or it is of another identity, which is a
 * text on one line; *out is all zeros then. *is_other says that there was one of another identity.
 */
int resume_load(const char *path, const char *identity, resume_t *out, bool *is_other);

/* Puts the state into the place of what was there, at once. 0, or -1 with err. */
int resume_store(const char *path, const char *identity, const resume_t *state, err_t *err);

/* Takes the state away. */
void resume_remove(const char *path);

#endif
