/*
 * What a broker tells of requests while somebody follows: a broker opens no bodies, but for this.
 */
#ifndef HEARSAY_FRONTEND_BROKER_TRACE_H
#define HEARSAY_FRONTEND_BROKER_TRACE_H

#include "bus/net/trace.h"

/* A frame that is about to be forwarded to this link or connection; nothing is kept. */
void broker_trace_frame(trace_t *trace, uint32_t target, slice_t message);

#endif
