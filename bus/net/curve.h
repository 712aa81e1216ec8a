/*
 * The keys of a program: its own pair, those of the programs that it connects to, and the cluster's
 * secret, as read once from the folder that --curve names.
 *
 * A socket that connects proves its own key and accepts nobody but the one whose key the folder
 * holds for that role. A socket that binds takes nobody but the roles it is for, by asking the
 * handler of bus/net/zap.h. Beacons carry a MAC of the cluster's secret. Secrets lie in memory that
 * is wiped in the end. Functions that take a const curve_t may be called from any thread.
 */
#ifndef HEARSAY_BUS_NET_CURVE_H
#define HEARSAY_BUS_NET_CURVE_H

#include "bus/base/bytes.h"
#include "bus/net/keys.h"

typedef struct curve curve_t;

enum { CURVE_MAC_SIZE = 32 };

/*
 * Reads the keys of a program: role says which, and so its own key's name where name is NULL. name:
 * of another key for a client or an admin. Both texts are copied. Returns 0, or -1 with err: a file
 * is missing, damaged or open to others, or the key is of no use for this program.
 */
int curve_open(curve_t **out, const char *folder, const char *name, key_role_t role, err_t *err);

/* Wipes it; the sockets that use it may go on. */
void curve_destroy(curve_t **self);

/*
 * Sets a socket up before it binds, to take programs of these roles (bits): nobody while zap.h does
 * not run.
 */
void curve_serve(const curve_t *self, void *socket, unsigned roles);

/*
 * Sets a socket up for its next connects: to programs of this role. It must be one that
 * this program connects to: nodes and clients do not know all keys.
 */
void curve_aim(const curve_t *self, void *socket, key_role_t role);

/* 0, or -1 with err when the folder has no secret for beacons. */
int curve_check_beacons(const curve_t *self, err_t *err);

/* The MAC of bytes. Zeros when there is no cluster's secret. */
void curve_sign(const curve_t *self, slice_t bytes, uint8_t mac[CURVE_MAC_SIZE]);

/* True when it is the MAC of bytes. */
bool curve_is_signed(const curve_t *self, slice_t bytes, const uint8_t mac[CURVE_MAC_SIZE]);

#endif
