/*
 * What hearsayctl asks a broker beside INFO: which connection has how many sessions at which
 * replica.
 */
#ifndef HEARSAY_FRONTEND_BROKER_INSPECT_H
#define HEARSAY_FRONTEND_BROKER_INSPECT_H

#include "frontend/core/frontend.h"

/* Appends the document of SESSIONS. port: first of the block, as others are told. */
void broker_put_sessions(buf_t *out, const frontend_t *frontend, now_t now, uint16_t port);

#endif
