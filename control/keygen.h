/*
 * hearsayctl keygen: makes the folder of keys that --curve names, and adds keys to it.
 */
#ifndef HEARSAY_CONTROL_KEYGEN_H
#define HEARSAY_CONTROL_KEYGEN_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/*
 * Makes a complete new set in a folder that is not there or empty, and appends what goes where to
 * out. 0, or -1 with err; then none of its files is there.
 */
int keygen_folder(buf_t *out, const char *folder, bool as_json, err_t *err);

/* Adds one key of role client or admin to a folder. 0, or -1 with err. */
int keygen_add(buf_t *out, const char *folder, const char *name, const char *role, bool as_json,
               err_t *err);

#endif
