/*
 * Who may connect: the thread that answers libzmq's question, at each handshake, whether the key at
 * the other end is known and is of a role that the socket is for (RFC 27, ZAP 1.0).
 *
 * One per process, as its address is. Started before any socket of curve_serve() binds and ended
 * when they are closed. It owns its thread and a keyring; what it refuses it puts into a denied_t,
 * the caller's, which outlives it. The domain of a question is key_roles_format() of the roles.
 */
#ifndef HEARSAY_BUS_NET_ZAP_H
#define HEARSAY_BUS_NET_ZAP_H

#include "bus/base/err.h"
#include "bus/net/denied.h"

typedef struct zap zap_t;

/*
 * Starts it over the keys of a folder. Returns 0, or -1 with err when the system is full.
 */
int zap_open(zap_t **out, const char *folder, denied_t *denied, err_t *err);

/* Ends the thread. Handshakes that come after that fail. */
void zap_destroy(zap_t **self);

#endif
