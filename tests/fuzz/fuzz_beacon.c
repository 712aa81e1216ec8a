/* Beacon packets: what is taken is written again byte for byte. */
#include <string.h>

#include "bus/wire/beacon.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t packet[BEACON_SIZE];
    beacon_t beacon;
    beacon_t again;

    if (!beacon_decode(slice_of(data, size), &beacon))
        return 0;
    fuzz_check(size == BEACON_SIZE);
    beacon_encode(&beacon, packet);
    fuzz_check(beacon_decode(slice_of(packet, sizeof(packet)), &again));
    fuzz_check(again.incarnation == beacon.incarnation && again.port == beacon.port);
    fuzz_check(memcmp(again.mac, beacon.mac, sizeof(again.mac)) == 0);
    return 0;
}
