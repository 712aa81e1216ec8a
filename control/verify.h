/*
 * hearsayctl verify: looks through the data folder of a node that is not running. No network.
 */
#ifndef HEARSAY_CONTROL_VERIFY_H
#define HEARSAY_CONTROL_VERIFY_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/*
 * Appends to out what was found in the folder, for people or as one JSON object, and says in
 * *is_damaged whether something of it is damage. Returns 0, or -1 with err (USAGE) when the folder
 * is not there, is none of a node, or is in use.
 */
int verify_folder(buf_t *out, const char *folder, bool as_json, bool *is_damaged, err_t *err);

#endif
