/*
 * What could not be kept of an update that a node which had been left out brought back: as text for
 * people, in the commands that would do the same again, so that what is still wanted can be given
 * to `hearsay`; and which updates that were, so that sessions that saw them are told.
 *
 * Of one incarnation they are the last that it had accepted, a run without a gap; should it leave a
 * second time, what was lost at the first is not known any more.
 */
#ifndef HEARSAY_REPLICA_CORE_LOST_H
#define HEARSAY_REPLICA_CORE_LOST_H

#include "bus/base/vector.h"
#include "bus/wire/record.h"

/* Appends a comment that names the update, and a command a line. */
void lost_put(buf_t *out, const record_t *record);

/* The updates from first to last of each incarnation. Zero it, lost_free it. */
typedef struct lost {
    vec_t first;
    vec_t last;
} lost_t;

void lost_free(lost_t *self);
void lost_copy(lost_t *self, const lost_t *other);

/* An update was applied that had been emptied. Beyond VEC_ENDED_MAX incarnations none is kept. */
void lost_add(lost_t *self, vec_part_t update);

/* True with the first part of a token that names a lost update. */
bool lost_find(const lost_t *self, const vec_t *token, vec_part_t *update);

/* Takes the lost updates out of a token: what it had seen before them is left. */
void lost_take_out(const lost_t *self, vec_t *token);

#endif
