/*
 * What a node was started with: its command line and environment, checked and put into the units of
 * the rest.
 *
 * The struct is the caller's; its texts borrow from the options or lie in it.
 */
#ifndef HEARSAY_REPLICA_NODE_SETTINGS_H
#define HEARSAY_REPLICA_NODE_SETTINGS_H

#include "bus/base/options.h"
#include "bus/net/address.h"
#include "replica/core/replica.h"
#include "replica/disk/disk.h"

enum {
    NODE_ID_MAX = 255,
    NODE_PORTS = 5, /* peer, service, gossip, control, trace */
    NODE_DATA_SIZE = 4096,
};

typedef struct settings {
    uint16_t id;
    replica_status_t status;
    replica_mode_t mode;
    replica_mode_t auto_mode;
    uint32_t random_ppm[3];
    const char *cluster;
    const char *interface;
    const char *curve; /* folder of keys; NULL: without */
    int beacon_port;
    address_served_t served;
    endpoint_t http; /* port 0: none */
    endpoint_t peers[OPTIONS_LIST_MAX];
    size_t peer_count;
    char data[NODE_DATA_SIZE];
    disk_sync_mode_t sync;
    int64_t gossip_interval_ms;
    int64_t max_drift_ms;
    int64_t retry_horizon_ms;
    uint64_t log_max;   /* bytes */
    int64_t memory_max; /* bytes; -1: no limit */
    uint32_t value_max; /* bytes */
    uint32_t ack;       /* replicas */
    bool salvage;       /* damaged, and nobody to repair it: go on with what is left */
} settings_t;

/* Reads parsed options into *out. Returns 0, or -1 with err of outcome USAGE. */
int settings_read(settings_t *out, const options_t *options, err_t *err);

/*
 * Reads "load" or "random", or "random:A,O,F" with the chances of active, overloaded and offline as
 * fractions that sum to 1 or percentages that sum to 100. 0, or -1 with err; then nothing is set.
 */
int settings_auto_parse(const char *text, replica_mode_t *mode, uint32_t ppm[3], err_t *err);

#endif
