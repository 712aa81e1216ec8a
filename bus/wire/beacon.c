#include "bus/wire/beacon.h"

#include <string.h>
#include <xxhash.h>

/*
 * Where each field lies. The numbers are aligned, the MAC covers all bytes before it,
 * and the reserved bytes are written as 0 and not looked at, so that a later version can use them.
 */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_FLAGS = 6, /* 7 is reserved */
    AT_CLUSTER = 8,
    AT_LINEAGE = 16,
    AT_MACHINE = 24,
    AT_INCARNATION = 32,
    AT_COUNTER = 40,
    AT_ID = 48,
    AT_PORT = 50,
    AT_ADDRESS = 52,
    AT_KEY = 68, /* 100 to 123 are reserved */
    AT_MAC = 124,
};

enum { NODE_PORTS = 5, BROKER_PORTS = 3, NODE_ID_MAX = 255, PORT_MAX = 65535 };

_Static_assert(AT_MAC + 32 == BEACON_SIZE, "the MAC ends the packet");
_Static_assert(AT_MAC + 0 == BEACON_SIGNED_SIZE + 0, "the MAC is of all before it");

static const uint8_t magic[4] = {'H', 'S', 'A', 'Y'};

uint64_t beacon_cluster_tag(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

void beacon_encode(const beacon_t *beacon, uint8_t out[BEACON_SIZE])
{
    memset(out, 0, BEACON_SIZE);
    memcpy(out + AT_MAGIC, magic, sizeof(magic));
    out[AT_VERSION] = BEACON_VERSION;
    out[AT_KIND] = beacon->kind;
    out[AT_FLAGS] = beacon->flags;
    be64_put(out + AT_CLUSTER, beacon->cluster);
    be64_put(out + AT_LINEAGE, beacon->lineage);
    be64_put(out + AT_MACHINE, beacon->machine);
    be64_put(out + AT_INCARNATION, beacon->incarnation);
    be64_put(out + AT_COUNTER, beacon->counter);
    be16_put(out + AT_ID, beacon->id);
    be16_put(out + AT_PORT, beacon->port);
    memcpy(out + AT_ADDRESS, beacon->address, sizeof(beacon->address));
    memcpy(out + AT_KEY, beacon->key, sizeof(beacon->key));
    memcpy(out + AT_MAC, beacon->mac, sizeof(beacon->mac));
}

/* True for all zeros (the sender's own) and for what one program can be reached at. */
static bool is_address(const uint8_t address[16])
{
    static const uint8_t zeros[16] = {0};
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    if (memcmp(address, zeros, sizeof(zeros)) == 0)
        return true;
    if (memcmp(address, mapped, sizeof(mapped)) == 0)
        return address[12] != 0 && address[12] < 224; /* not 0/8, multicast, broadcast */
    return address[0] != 0xFF;
}

static bool is_plausible(const beacon_t *beacon)
{
    if (beacon->incarnation == 0 || !is_address(beacon->address))
        return false;
    switch (beacon->kind) {
    case BEACON_NODE:
        return beacon->id <= NODE_ID_MAX && beacon->port > 0 &&
               beacon->port <= PORT_MAX - (NODE_PORTS - 1);
    case BEACON_BROKER:
        return beacon->id == BEACON_NO_ID && beacon->port > 0 &&
               beacon->port <= PORT_MAX - (BROKER_PORTS - 1);
    case BEACON_SEEKER:
        return beacon->id == BEACON_NO_ID && beacon->port == 0;
    default:
        return false;
    }
}

bool beacon_decode(slice_t packet, beacon_t *out)
{
    const uint8_t *p = packet.data;

    if (packet.size != BEACON_SIZE || memcmp(p + AT_MAGIC, magic, sizeof(magic)) != 0 ||
        p[AT_VERSION] != BEACON_VERSION)
        return false;
    *out = (beacon_t){
        .kind = p[AT_KIND],
        .flags = p[AT_FLAGS],
        .cluster = be64_get(p + AT_CLUSTER),
        .lineage = be64_get(p + AT_LINEAGE),
        .machine = be64_get(p + AT_MACHINE),
        .incarnation = be64_get(p + AT_INCARNATION),
        .counter = be64_get(p + AT_COUNTER),
        .id = be16_get(p + AT_ID),
        .port = be16_get(p + AT_PORT),
    };
    memcpy(out->address, p + AT_ADDRESS, sizeof(out->address));
    memcpy(out->key, p + AT_KEY, sizeof(out->key));
    memcpy(out->mac, p + AT_MAC, sizeof(out->mac));
    return is_plausible(out);
}
