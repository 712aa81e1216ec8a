/*
 * What could not be kept of an update that came back too late: as text for people, in the commands
 * that would do the same again, so that what is still wanted can be given to `hearsay`.
 */
#ifndef HEARSAY_REPLICA_CORE_LOST_H
#define HEARSAY_REPLICA_CORE_LOST_H

#include "bus/wire/record.h"

/* Appends a comment that names the update, and a command a line. */
void lost_put(buf_t *out, const record_t *record);

#endif
