/*
 * The finder: publishes this program's beacon and hears those of the others, over czmq's zbeacon
 * or, on the loopback interface, over our own actor.
 *
 * The owner polls finder_socket(), calls finder_receive() until it is false, and
 * finder_publish_now() for each program it had not known, so that newcomers learn of everyone at
 * once and not after an interval. What is heard is a hint where to connect, never a proof. The
 * finder owns its actor; all functions are for one thread. net_start() comes first.
 */
#ifndef HEARSAY_BUS_NET_BEACON_H
#define HEARSAY_BUS_NET_BEACON_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/err.h"
#include "bus/net/curve.h"
#include "bus/net/denied.h"
#include "bus/wire/beacon.h"

typedef struct finder finder_t;

enum {
    FINDER_ADDRESS_SIZE = 64,
    FINDER_QUIET_MS = 20,   /* at least between two packets sent by finder_publish_now() */
    FINDER_HEARD_MAX = 512, /* programs whose last signed packet is remembered */
};

typedef struct finder_counts {
    uint64_t received;
    uint64_t malformed; /* none of ours: size, magic, version, a field out of range */
    uint64_t foreign;   /* of another cluster */
    uint64_t own;       /* our own packets come back */
    uint64_t denied;    /* not signed with the cluster's secret, or signed where there is none */
    uint64_t stale;     /* signed, but older than one that was heard before: replayed */
} finder_counts_t;

/*
 * Opens a finder on the UDP port of an interface: "lo" or "127.0.0.1" for this machine alone, or
 * the name of one that is up and has an IPv4 broadcast address. curve (NULL: without keys): packets
 * are signed, and others are dropped and put into denied, unless that is NULL. Both outlive the
 * finder. Returns 0, or -1 with err.
 */
int finder_open(finder_t **out, const char *interface, int port, const curve_t *curve,
                denied_t *denied, err_t *err);
void finder_destroy(finder_t **self);

/* The ZeroMQ socket to poll for reading. Owned by the finder. */
void *finder_socket(finder_t *self);

/*
 * Sends the packet, copied, now and every interval_ms (> 0) from now on. The finder fills in the
 * counter, one more for each call and each finder_publish_now(); repeats carry the same.
 */
void finder_publish(finder_t *self, const beacon_t *packet, int interval_ms);

/*
 * Sends what is published once more now. Calls within FINDER_QUIET_MS of a packet become one more.
 */
void finder_publish_now(finder_t *self);

/*
 * When finder_tick() has something to do, as net_now().boot_ms; INT64_MAX: nothing. A finder that
 * is not ticked sends it with the next interval.
 */
int64_t finder_deadline(const finder_t *self);
void finder_tick(finder_t *self);

/* Stops sending. */
void finder_silence(finder_t *self);

/*
 * The next packet of another program of the cluster that was last published, with the numeric
 * address to reach it: that in the packet, or the sender's when it has none. Before the first
 * publish those of all clusters. False when there is none (or after many that were dropped: poll
 * again). Never blocks.
 */
bool finder_receive(finder_t *self, beacon_t *packet, char address[FINDER_ADDRESS_SIZE]);

/* Since it was opened. */
finder_counts_t finder_counts(const finder_t *self);

#endif
