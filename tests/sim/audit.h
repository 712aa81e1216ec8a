/*
 * The auditor of a node: holds what it says to others against what is on its disk.
 *
 * Nothing may speak of an update before it is logged; what is said to be on disk, and with --sync
 * always every acknowledgement, not before it is synced. A breach of this need never show: it takes
 * a crash in the next milliseconds, and an update that nobody else has by then.
 */
#ifndef HEARSAY_TESTS_SIM_AUDIT_H
#define HEARSAY_TESTS_SIM_AUDIT_H

#include "bus/base/bytes.h"
#include "bus/base/vector.h"

typedef struct audit audit_t;

audit_t *audit_new(void);
void audit_destroy(audit_t **self);

/* The node starts with this on its disk. */
void audit_start(audit_t *self, bool sync_always, const vec_t *vector);

/* It writes log entries; the last may be torn. */
void audit_wrote(audit_t *self, uint64_t position, slice_t entries);

/* All that it has written is synced. */
void audit_synced(audit_t *self);

/* A checkpoint of all that it has begins, with this; it is on disk. */
void audit_checkpoint(audit_t *self, const vec_t *vector);
void audit_checkpoint_done(audit_t *self);

/* It sends a frame to a broker, or a message to peers. False with *why. */
bool audit_frame(audit_t *self, slice_t frame, char *why, size_t why_size);
bool audit_message(audit_t *self, slice_t message, char *why, size_t why_size);

#endif
