/*
 * The connections that a node makes to its peers: for each a DEALER to its peer port, and a
 * subscription of the one SUB socket to its gossip port.
 *
 * The core names connections by its own numbers (links). Owned here: the DEALERs and the SUB. They
 * are polled by the loop and watched by the monitor, both the caller's, which outlive the links_t.
 */
#ifndef HEARSAY_REPLICA_NODE_LINKS_H
#define HEARSAY_REPLICA_NODE_LINKS_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "bus/net/curve.h"
#include "bus/net/loop.h"
#include "bus/net/monitor.h"

typedef struct links links_t;

/* A message that came in, borrowed; link is 0 for one of the gossip stream. */
typedef void links_message_fn(void *arg, uint32_t link, slice_t message);

/*
 * No connections yet. message_max: bytes of a message that is still taken in. curve (NULL: without
 * keys) outlives the links. Returns 0, or -1 with err when the system is full.
 */
int links_new(links_t **out, loop_t *loop, monitor_t *monitor, const curve_t *curve,
              int64_t message_max, links_message_fn *fn, void *arg, err_t *err);

/* Closes everything. */
void links_destroy(links_t **self);

/*
 * Connects a link (not in use, not 0) to the node whose block of ports begins at port of host. The
 * monitor reports a loss with the link as its token. Returns 0, or -1 with err: an address of
 * nobody, or the system is full.
 */
int links_connect(links_t *self, uint32_t link, slice_t host, uint16_t port, err_t *err);

/* Lets go of a link; nothing happens for one that is not there. */
void links_disconnect(links_t *self, uint32_t link);

/* Sends a message without waiting; false when the link is not there or takes no more. */
bool links_send(links_t *self, uint32_t link, slice_t message);

/* Has the loop read nothing from the connections, or read them again. None is made meanwhile. */
void links_hold(links_t *self, bool is_held);

/* Messages that were dropped since they had more frames than one. */
uint64_t links_malformed(const links_t *self);

#endif
