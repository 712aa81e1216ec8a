#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/beacon.h"

static beacon_t node_beacon(void)
{
    beacon_t beacon = {
        .kind = BEACON_NODE,
        .cluster = beacon_cluster_tag("hearsay"),
        .lineage = 0x1122334455667788,
        .machine = 7,
        .incarnation = 0xFEDCBA9876543210,
        .id = 255,
        .address = {[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 3},
        .port = 7710,
        .counter = 42,
    };
    memset(beacon.key, 0xAB, sizeof(beacon.key));
    memset(beacon.mac, 0xCD, sizeof(beacon.mac));
    return beacon;
}

/* What the receiver makes of it. */
static bool is_accepted(const beacon_t *beacon)
{
    uint8_t packet[BEACON_SIZE];
    beacon_t seen;
    beacon_encode(beacon, packet);
    return beacon_decode(slice_of(packet, sizeof(packet)), &seen);
}

static void test_round_trip(void **state)
{
    (void)state;
    beacon_t sent = node_beacon();
    uint8_t packet[BEACON_SIZE];
    uint8_t again[BEACON_SIZE];
    beacon_t seen;

    beacon_encode(&sent, packet);
    assert_true(beacon_decode(slice_of(packet, sizeof(packet)), &seen));
    assert_int_equal(seen.kind, sent.kind);
    assert_int_equal(seen.id, 255);
    assert_int_equal(seen.port, 7710);
    assert_true(seen.cluster == sent.cluster && seen.lineage == sent.lineage);
    assert_true(seen.machine == sent.machine && seen.incarnation == sent.incarnation);
    assert_true(seen.counter == 42);
    assert_memory_equal(seen.address, sent.address, sizeof(sent.address));
    assert_memory_equal(seen.key, sent.key, sizeof(sent.key));
    assert_memory_equal(seen.mac, sent.mac, sizeof(sent.mac));
    beacon_encode(&seen, again);
    assert_memory_equal(packet, again, sizeof(packet));
}

static void test_layout_is_big_endian(void **state)
{
    (void)state;
    beacon_t sent = node_beacon();
    uint8_t packet[BEACON_SIZE];

    beacon_encode(&sent, packet);
    assert_memory_equal(packet, "HSAY\x01\x01\x00\x00", 8);
    assert_memory_equal(packet + 16, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    assert_memory_equal(packet + 48, "\x00\xFF\x1E\x1E", 4);
    assert_int_equal(packet[124], 0xCD);
    assert_int_equal(packet[155], 0xCD);
}

static void test_size_magic_and_version_are_checked(void **state)
{
    (void)state;
    beacon_t sent = node_beacon();
    beacon_t seen;
    uint8_t packet[BEACON_SIZE + 1] = {0};

    beacon_encode(&sent, packet);
    for (size_t size = 0; size <= sizeof(packet); size++)
        assert_int_equal(beacon_decode(slice_of(packet, size), &seen), size == BEACON_SIZE);
    for (size_t i = 0; i < 5; i++) {
        packet[i] ^= 1;
        assert_false(beacon_decode(slice_of(packet, BEACON_SIZE), &seen));
        packet[i] ^= 1;
    }
    packet[7] = 9; /* reserved bytes belong to later versions */
    packet[100] = 9;
    assert_true(beacon_decode(slice_of(packet, BEACON_SIZE), &seen));
}

static void test_ports_and_ids_by_kind(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind;
        uint16_t id;
        uint16_t port;
        bool accepted;
    } cases[] = {
        {BEACON_NODE, 0, 1, true},
        {BEACON_NODE, 255, 65531, true},
        {BEACON_NODE, 255, 65532, false}, /* five ports do not fit */
        {BEACON_NODE, 256, 7710, false},
        {BEACON_NODE, BEACON_NO_ID, 7710, false},
        {BEACON_NODE, 0, 0, false},
        {BEACON_BROKER, BEACON_NO_ID, 65533, true},
        {BEACON_BROKER, BEACON_NO_ID, 65534, false},
        {BEACON_BROKER, BEACON_NO_ID, 0, false},
        {BEACON_BROKER, 1, 7700, false},
        {BEACON_SEEKER, BEACON_NO_ID, 0, true},
        {BEACON_SEEKER, BEACON_NO_ID, 1, false},
        {BEACON_SEEKER, 0, 0, false},
        {0, 0, 7710, false},
        {4, 0, 7710, false},
        {255, BEACON_NO_ID, 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        beacon_t beacon = node_beacon();
        beacon.kind = cases[i].kind;
        beacon.id = cases[i].id;
        beacon.port = cases[i].port;
        assert_int_equal(is_accepted(&beacon), cases[i].accepted);
    }
    beacon_t nobody = node_beacon();
    nobody.incarnation = 0;
    assert_false(is_accepted(&nobody));
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        uint8_t address[16];
        bool accepted;
    } cases[] = {
        {{0}, true}, /* the sender's own */
        {{[15] = 1}, true},
        {{0xFE, 0x80, [15] = 1}, true},
        {{0xFF, 0x02, [15] = 1}, false},
        {{[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1}, true},
        {{[10] = 0xFF, [11] = 0xFF}, false},
        {{[10] = 0xFF, [11] = 0xFF, [12] = 224, [15] = 1}, false},
        {{[10] = 0xFF, [11] = 0xFF, [12] = 255, [13] = 255, [14] = 255, [15] = 255}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        beacon_t beacon = node_beacon();
        memcpy(beacon.address, cases[i].address, sizeof(beacon.address));
        assert_int_equal(is_accepted(&beacon), cases[i].accepted);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Random bytes, and right packets with random changes: what is accepted must be in range. */
static void test_random_bytes(void **state)
{
    (void)state;
    uint64_t seed = 0x9E3779B97F4A7C15;
    beacon_t sent = node_beacon();

    for (int run = 0; run < 200000; run++) {
        uint8_t packet[BEACON_SIZE];
        beacon_t seen;
        if (run % 2 == 0) {
            for (size_t i = 0; i < sizeof(packet); i++)
                packet[i] = (uint8_t)next_random(&seed);
        } else {
            beacon_encode(&sent, packet);
        }
        if (run % 4 == 0)
            memcpy(packet, "HSAY\x01", 5);
        for (uint64_t n = next_random(&seed) % 4; n > 0; n--)
            packet[next_random(&seed) % sizeof(packet)] = (uint8_t)next_random(&seed);
        size_t size = run % 8 == 7 ? next_random(&seed) % (BEACON_SIZE + 1) : BEACON_SIZE;
        if (!beacon_decode(slice_of(packet, size), &seen))
            continue;
        assert_int_equal(size, BEACON_SIZE);
        assert_in_range(seen.kind, BEACON_NODE, BEACON_SEEKER);
        assert_true(seen.incarnation != 0);
        assert_true(seen.kind == BEACON_NODE ? seen.id <= 255 : seen.id == BEACON_NO_ID);
        assert_int_equal(seen.kind == BEACON_SEEKER, seen.port == 0);
    }
}

static void test_cluster_tag(void **state)
{
    (void)state;
    assert_true(beacon_cluster_tag("a") == beacon_cluster_tag("a"));
    assert_true(beacon_cluster_tag("a") != beacon_cluster_tag("b"));
    assert_true(beacon_cluster_tag("") == 0x2D06800538D394C2); /* the vector of XXH3-64, seed 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout_is_big_endian),
        cmocka_unit_test(test_size_magic_and_version_are_checked),
        cmocka_unit_test(test_ports_and_ids_by_kind),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_cluster_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
