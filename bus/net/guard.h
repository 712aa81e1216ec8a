/*
 * What a program that serves needs of keys: its own, the thread that says who may connect, and the
 * telling of those who were turned away. Without keys the telling alone.
 *
 * A struct inside its user, who polls denied_fd() and calls guard_tell(); all zeros is closed. It
 * is opened before the sockets, monitor and finder that use it and closed after them.
 */
#ifndef HEARSAY_BUS_NET_GUARD_H
#define HEARSAY_BUS_NET_GUARD_H

#include "bus/net/curve.h"
#include "bus/net/denied.h"
#include "bus/net/notes.h"
#include "bus/net/zap.h"

typedef struct guard {
    curve_t *curve;   /* NULL: without keys */
    denied_t *denied; /* never NULL while open */
    zap_t *zap;       /* NULL: without keys */
    buf_t note;
} guard_t;

/*
 * Opens it; folder is that of --curve, NULL: without keys; role is that of the program. 0, or -1
 * with err; guard_close() is due in both cases.
 */
int guard_open(guard_t *self, const char *folder, key_role_t role, err_t *err);
void guard_close(guard_t *self);

/* Makes an event of each that was turned away (notes_tell). */
void guard_tell(guard_t *self, buf_t *line, events_t *events, trace_t *trace);

#endif
