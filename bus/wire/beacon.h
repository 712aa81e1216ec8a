/*
 * The beacon packet: how programs of one cluster find one another by UDP.
 *
 * One fixed layout of 156 bytes for zbeacon, for our loopback actor and for every kind of program;
 * docs/protocol.md, "Beacon", has the table. A beacon is a hint where to connect, never a proof of
 * who is there: what counts is the HELLO over the connection.
 */
#ifndef HEARSAY_BUS_WIRE_BEACON_H
#define HEARSAY_BUS_WIRE_BEACON_H

#include "bus/base/bytes.h"

enum {
    BEACON_SIZE = 156,
    BEACON_VERSION = 1,
    BEACON_NO_ID = 0xFFFF, /* brokers and seekers have no replica id */
};

typedef enum beacon_kind {
    BEACON_NODE = 1,
    BEACON_BROKER = 2,
    BEACON_SEEKER = 3, /* clients and hearsayctl: answered, not remembered */
} beacon_kind_t;

enum {
    BEACON_HAS_KEYS = 1 << 0, /* a flag: the sender speaks with keys alone, and the MAC counts */
    BEACON_SIGNED_SIZE = 124, /* the bytes that the MAC is of */
};

typedef struct beacon {
    uint8_t kind;         /* beacon_kind_t */
    uint8_t flags;        /* BEACON_HAS_KEYS; bits unknown here are not looked at */
    uint64_t cluster;     /* beacon_cluster_tag() of the cluster's name */
    uint64_t lineage;     /* 0: no data yet */
    uint64_t machine;     /* the same for all programs of one machine; 0: unknown */
    uint64_t incarnation; /* random for each start of a program */
    uint16_t id;          /* of a node, or BEACON_NO_ID */
    uint8_t address[16];  /* IPv6 or IPv4-mapped; all 0: the sender's as seen */
    uint16_t port;   /* first of the block: node 5 ports, broker 3 ports (client, control, trace) */
    uint8_t key[32]; /* reserved: 0, and not looked at */
    uint64_t counter; /* grows with every packet of one incarnation */
    uint8_t mac[32];  /* by the cluster's secret; 0 without keys */
} beacon_t;

/* The tag by which beacons of other clusters are told apart: XXH3-64 of the name. */
uint64_t beacon_cluster_tag(const char *name);

/* Writes the packet; exactly BEACON_SIZE bytes. */
void beacon_encode(const beacon_t *beacon, uint8_t out[BEACON_SIZE]);

/* False when the packet is none of ours: size, magic, version, kind or a field out of range. */
bool beacon_decode(slice_t packet, beacon_t *out);

#endif
