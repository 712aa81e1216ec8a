/*
 * Where the tool keeps what outlives it: ${XDG_STATE_HOME:-~/.local/state}/hearsay, for its user
 * alone.
 */
#ifndef HEARSAY_CLIENT_TOOL_PLACE_H
#define HEARSAY_CLIENT_TOOL_PLACE_H

#include "bus/base/err.h"

/*
 * The path of the folder, which is made (0700) when it is not there; the caller frees it. NULL when
 * there is no place: err then says that "what" (as "no session is kept") and why.
 */
char *place_folder(const char *what, err_t *err);

#endif
