#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/net/beacon.h"
#include "bus/net/runtime.h"
#include "tests/unit/bus/net_fixture.h"
#include "tests/unit/folder.h"

enum { DEADLINE_MS = 5000, RARELY_MS = 3600 * 1000, OFTEN_MS = 20 };

static int test_port(void)
{
    return 20000 + (int)(getpid() % 20000);
}

static beacon_t node_beacon(const char *cluster, uint16_t id)
{
    return (beacon_t){
        .kind = BEACON_NODE,
        .cluster = beacon_cluster_tag(cluster),
        .incarnation = net_random64(),
        .id = id,
        .port = (uint16_t)(7710 + 10 * id),
    };
}

static finder_t *open_on(const char *interface)
{
    finder_t *finder = NULL;
    err_t err = {0};
    if (finder_open(&finder, interface, test_port(), NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return finder;
}

/* Receives until a packet of that incarnation comes; false when it does not in wait_ms. */
static bool hears(finder_t *finder, uint64_t incarnation, beacon_t *packet, char *address,
                  int64_t wait_ms)
{
    int64_t until_ms = net_now().boot_ms + wait_ms;

    for (;;) {
        zmq_pollitem_t item = {.socket = finder_socket(finder), .events = ZMQ_POLLIN};
        int64_t left_ms = until_ms - net_now().boot_ms;
        while (finder_receive(finder, packet, address))
            if (packet->incarnation == incarnation)
                return true;
        if (left_ms <= 0)
            return false;
        zmq_poll(&item, 1, (long)left_ms);
    }
}

/*
 * The first publishes into the void; the second comes, is heard, and is answered by publish_now,
 * long before any interval is over.
 */
static void find_each_other(const char *interface, const char *expected_address)
{
    finder_t *first = open_on(interface);
    beacon_t a = node_beacon("one", 0);
    beacon_t b = node_beacon("one", 1);
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];

    finder_publish(first, &a, RARELY_MS);
    finder_t *second = open_on(interface);
    finder_publish(second, &b, 100);
    assert_true(hears(first, b.incarnation, &seen, address, DEADLINE_MS));
    assert_string_equal(address, expected_address);
    assert_int_equal(seen.id, 1);
    assert_int_equal(seen.port, 7720);
    assert_true(seen.counter == 1);

    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;
    bool heard = false;
    finder_publish_now(first);
    while (!heard && net_now().boot_ms < until_ms) {
        finder_tick(first);
        heard = hears(second, a.incarnation, &seen, address, 10);
    }
    assert_true(heard);
    assert_true(seen.counter >= 1);
    assert_string_equal(address, expected_address);
    finder_destroy(&first);
    finder_destroy(&second);
    assert_null(second);
}

static void test_two_on_loopback(void **state)
{
    (void)state;
    find_each_other("lo", "127.0.0.1");
}

/* Run by tests/cluster/zbeacon_netns.sh, which makes an interface to broadcast on. */
static void test_two_on_an_interface(void **state)
{
    (void)state;
    const char *interface = getenv("HEARSAY_ZBEACON_INTERFACE");
    const char *address = getenv("HEARSAY_ZBEACON_ADDRESS");
    if (interface == NULL || address == NULL)
        skip();
    find_each_other(interface, address);
}

static void test_interval_repeats(void **state)
{
    (void)state;
    finder_t *first = open_on("lo");
    finder_t *second = open_on("127.0.0.1");
    beacon_t a = node_beacon("one", 0);
    beacon_t b = node_beacon("one", 1);
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];

    finder_publish(second, &b, RARELY_MS);
    finder_publish(first, &a, 20);
    for (int i = 0; i < 5; i++)
        assert_true(hears(second, a.incarnation, &seen, address, DEADLINE_MS));
    finder_silence(first);
    finder_publish_now(first); /* nothing is published any more */
    assert_true(finder_deadline(first) == INT64_MAX);
    finder_destroy(&first);
    finder_destroy(&second);
}

static void test_publish_now_coalesces(void **state)
{
    (void)state;
    finder_t *first = open_on("lo");
    finder_t *second = open_on("lo");
    beacon_t a = node_beacon("one", 0);
    beacon_t b = node_beacon("one", 1);
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];

    finder_publish(second, &b, RARELY_MS);
    int64_t start_ms = net_now().boot_ms;
    finder_publish(first, &a, RARELY_MS);
    for (int i = 0; i < 1000; i++)
        finder_publish_now(first);
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;
    while (finder_deadline(first) != INT64_MAX && net_now().boot_ms < until_ms)
        finder_tick(first);
    assert_true(finder_deadline(first) == INT64_MAX);
    /* One at once, and then one in each FINDER_QUIET_MS at most. */
    uint64_t most = (uint64_t)((net_now().boot_ms - start_ms) / FINDER_QUIET_MS) + 1;
    uint64_t counter = 0;
    while (hears(second, a.incarnation, &seen, address, counter < 2 ? DEADLINE_MS : 50)) {
        assert_true(seen.counter > counter);
        counter = seen.counter;
    }
    assert_in_range(counter, 2, most);
    finder_destroy(&first);
    finder_destroy(&second);
}

static void send_raw(const void *data, size_t size)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)test_port())};
    struct sockaddr_storage any = {0};

    inet_pton(AF_INET, "127.255.255.255", &to.sin_addr);
    memcpy(&any, &to, sizeof(to));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
    assert_int_equal(sendto(fd, data, size, 0, (struct sockaddr *)&any, sizeof(to)), size);
    close(fd);
}

/* What an actor is told is done in the background: sends until a packet is heard. */
static void wait_listening(finder_t *finder)
{
    beacon_t packet = node_beacon("one", 3);
    uint8_t bytes[BEACON_SIZE];
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;

    beacon_encode(&packet, bytes);
    do {
        assert_true(net_now().boot_ms < until_ms);
        send_raw(bytes, sizeof(bytes));
    } while (!hears(finder, packet.incarnation, &seen, address, 20));
}

static void test_drops_are_counted(void **state)
{
    (void)state;
    finder_t *finder = open_on("lo");
    beacon_t own = node_beacon("one", 0);
    beacon_t foreign = node_beacon("two", 1);
    beacon_t good = node_beacon("one", 2);
    uint8_t packet[300] = "HSAY";
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];

    finder_publish(finder, &own, RARELY_MS);
    wait_listening(finder);
    send_raw(packet, 0);
    send_raw(packet, 4);
    send_raw(packet, BEACON_SIZE);
    send_raw(packet, 300); /* the actor drops it */
    beacon_encode(&foreign, packet);
    send_raw(packet, BEACON_SIZE);
    own.counter = 77; /* an older packet of ours */
    beacon_encode(&own, packet);
    send_raw(packet, BEACON_SIZE);
    good.address[10] = 0xFF;
    good.address[11] = 0xFF;
    good.address[12] = 10;
    good.address[15] = 9;
    beacon_encode(&good, packet);
    send_raw(packet, BEACON_SIZE);
    assert_true(hears(finder, good.incarnation, &seen, address, DEADLINE_MS));
    assert_string_equal(address, "10.0.0.9"); /* that in the packet wins */
    assert_int_equal(finder_counts(finder).malformed, 3);
    assert_int_equal(finder_counts(finder).foreign, 1);
    assert_int_equal(finder_counts(finder).own, 1);
    assert_true(finder_counts(finder).received >= 6);

    memset(good.address, 0, sizeof(good.address));
    good.address[0] = 0xFD;
    good.address[15] = 1;
    beacon_encode(&good, packet);
    send_raw(packet, BEACON_SIZE);
    assert_true(hears(finder, good.incarnation, &seen, address, DEADLINE_MS));
    assert_string_equal(address, "fd00::1");
    finder_destroy(&finder);
}

/* ---- with keys ---- */

static curve_t *make_keys(char folder[256])
{
    curve_t *curve = NULL;
    err_t err = {0};

    if (folder_make(folder, 256, "beacon") != 0 ||
        keys_make(folder, "node", ROLE_NODE, &err) != 0 || keys_make_cluster(folder, &err) != 0 ||
        curve_open(&curve, folder, NULL, ROLE_NODE, &err) != 0)
        fail_msg("%s", err.text);
    return curve;
}

static void sign(const curve_t *curve, beacon_t packet, uint8_t bytes[BEACON_SIZE])
{
    packet.flags |= BEACON_HAS_KEYS;
    beacon_encode(&packet, bytes);
    curve_sign(curve, slice_of(bytes, BEACON_SIGNED_SIZE), bytes + BEACON_SIGNED_SIZE);
}

static finder_t *open_with(const curve_t *curve, denied_t *denied)
{
    finder_t *finder = NULL;
    err_t err = {0};
    if (finder_open(&finder, "lo", test_port(), curve, denied, &err) != 0)
        fail_msg("%s", err.text);
    return finder;
}

/* Sends the bytes until the finder hears them, and takes the repeats. */
static void send_heard(finder_t *finder, const uint8_t bytes[BEACON_SIZE], uint64_t incarnation)
{
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;

    do {
        assert_true(net_now().boot_ms < until_ms);
        send_raw(bytes, BEACON_SIZE);
    } while (!hears(finder, incarnation, &seen, address, 20));
    while (hears(finder, incarnation, &seen, address, 50))
        continue;
}

/* The bytes are not heard, but what is sent behind them: packets keep their order. */
static void send_dropped(finder_t *finder, const uint8_t bytes[BEACON_SIZE],
                         const uint8_t good[BEACON_SIZE], uint64_t good_incarnation)
{
    zmq_pollitem_t item = {.socket = finder_socket(finder), .events = ZMQ_POLLIN};
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;

    send_raw(bytes, BEACON_SIZE);
    send_raw(good, BEACON_SIZE);
    while (!finder_receive(finder, &seen, address)) {
        assert_true(net_now().boot_ms < until_ms);
        zmq_poll(&item, 1, 100);
    }
    assert_true(seen.incarnation == good_incarnation);
}

static void test_only_signed_packets_are_heard(void **state)
{
    (void)state;
    char folder[256];
    char other_folder[256];
    curve_t *curve = make_keys(folder);
    curve_t *other = make_keys(other_folder);
    denied_t *denied = NULL;
    denied_entry_t entry;
    beacon_t own = node_beacon("one", 0);
    beacon_t peer = node_beacon("one", 1);
    beacon_t third = node_beacon("one", 2);
    uint8_t good[BEACON_SIZE];
    uint8_t bytes[BEACON_SIZE];

    assert_int_equal(denied_open(&denied, NULL), 0);
    finder_t *finder = open_with(curve, denied);
    finder_publish(finder, &own, RARELY_MS);
    sign(curve, third, good);
    send_heard(finder, good, third.incarnation);

    beacon_encode(&peer, bytes);
    send_dropped(finder, bytes, good, third.incarnation);
    assert_true(denied_next(denied, &entry));
    assert_non_null(strstr(entry.why, "without keys"));
    sign(other, peer, bytes);
    send_dropped(finder, bytes, good, third.incarnation);
    assert_true(denied_next(denied, &entry));
    assert_non_null(strstr(entry.why, "another secret"));
    assert_int_equal(finder_counts(finder).denied, 2);
    /* Each byte counts; behind the fields that make it one of ours at all. */
    for (size_t at = 16; at < BEACON_SIZE; at++) {
        sign(curve, peer, bytes);
        bytes[at] ^= 0x01;
        send_dropped(finder, bytes, good, third.incarnation);
    }
    assert_in_range(finder_counts(finder).denied, 100, 2 + BEACON_SIZE - 16);

    /* An older packet is a replay, an equal one a repeat. */
    peer.counter = 9;
    sign(curve, peer, bytes);
    send_heard(finder, bytes, peer.incarnation);
    send_heard(finder, bytes, peer.incarnation);
    peer.counter = 8;
    sign(curve, peer, bytes);
    send_dropped(finder, bytes, good, third.incarnation);
    assert_int_equal(finder_counts(finder).stale, 1);
    finder_destroy(&finder);
    denied_destroy(&denied);
    curve_destroy(&curve);
    curve_destroy(&other);
    folder_remove(folder);
    folder_remove(other_folder);
}

/* Who seeks is told of those that it could be looking for, not of others that seek as well. */
static void test_seekers_do_not_turn_one_another_away(void **state)
{
    (void)state;
    char folder[256];
    curve_t *curve = make_keys(folder);
    denied_t *denied = NULL;
    denied_entry_t entry;
    beacon_t own = {.kind = BEACON_SEEKER,
                    .cluster = beacon_cluster_tag("one"),
                    .incarnation = net_random64(),
                    .id = BEACON_NO_ID};
    beacon_t other = own;
    beacon_t node = node_beacon("one", 1);
    beacon_t good = node_beacon("one", 2);
    uint8_t good_bytes[BEACON_SIZE];
    uint8_t bytes[BEACON_SIZE];

    other.incarnation = net_random64();
    assert_int_equal(denied_open(&denied, NULL), 0);
    finder_t *finder = open_with(curve, denied);
    finder_publish(finder, &own, RARELY_MS);
    sign(curve, good, good_bytes);
    send_heard(finder, good_bytes, good.incarnation);
    beacon_encode(&other, bytes);
    send_dropped(finder, bytes, good_bytes, good.incarnation);
    assert_int_equal(finder_counts(finder).denied, 1);
    assert_false(denied_next(denied, &entry));
    beacon_encode(&node, bytes);
    send_dropped(finder, bytes, good_bytes, good.incarnation);
    assert_true(denied_next(denied, &entry));
    finder_destroy(&finder);
    denied_destroy(&denied);
    curve_destroy(&curve);
    folder_remove(folder);
}

/* Two finders with the same keys hear each other; one without hears that there are keys. */
static void test_finders_with_and_without_keys(void **state)
{
    (void)state;
    char folder[256];
    curve_t *curve = make_keys(folder);
    denied_t *denied = NULL;
    denied_entry_t entry;
    beacon_t one = node_beacon("one", 0);
    beacon_t two = node_beacon("one", 1);
    beacon_t none = node_beacon("one", 2);
    beacon_t seen;
    char address[FINDER_ADDRESS_SIZE];

    assert_int_equal(denied_open(&denied, NULL), 0);
    finder_t *first = open_with(curve, NULL);
    finder_t *second = open_with(curve, NULL);
    finder_t *third = open_with(NULL, denied);
    finder_publish(first, &one, OFTEN_MS);
    finder_publish(second, &two, OFTEN_MS);
    finder_publish(third, &none, OFTEN_MS);
    assert_true(hears(first, two.incarnation, &seen, address, DEADLINE_MS));
    assert_true(hears(second, one.incarnation, &seen, address, DEADLINE_MS));
    assert_false(hears(third, one.incarnation, &seen, address, 200));
    assert_true(denied_next(denied, &entry));
    assert_non_null(strstr(entry.why, "with keys alone"));
    assert_true(finder_counts(third).denied > 0);
    finder_destroy(&first);
    finder_destroy(&second);
    finder_destroy(&third);
    denied_destroy(&denied);
    curve_destroy(&curve);
    folder_remove(folder);
}

/* More packets than anybody reads: the actor lives on and ends when told. */
static void test_unread_finder_ends(void **state)
{
    (void)state;
    finder_t *finder = open_on("lo");
    beacon_t other = node_beacon("one", 2);
    uint8_t packet[BEACON_SIZE];

    beacon_encode(&other, packet);
    for (int i = 0; i < 5000; i++)
        send_raw(packet, BEACON_SIZE);
    finder_destroy(&finder);
    assert_null(finder);
}

static void test_bad_interfaces(void **state)
{
    (void)state;
    finder_t *finder = NULL;
    err_t err = {0};
    static const char *const names[] = {"*", "", "none-such0", "255.255.255.255"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(finder_open(&finder, names[i], test_port(), NULL, NULL, &err), -1);
        assert_non_null(strstr(err.text, "--interface"));
    }
    assert_int_equal(finder_open(&finder, "lo", 0, NULL, NULL, &err), -1);
    assert_int_equal(finder_open(&finder, "lo", 65536, NULL, NULL, &err), -1);
    assert_null(finder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_on_loopback),
        cmocka_unit_test(test_two_on_an_interface),
        cmocka_unit_test(test_interval_repeats),
        cmocka_unit_test(test_publish_now_coalesces),
        cmocka_unit_test(test_drops_are_counted),
        cmocka_unit_test(test_unread_finder_ends),
        cmocka_unit_test(test_bad_interfaces),
        cmocka_unit_test(test_only_signed_packets_are_heard),
        cmocka_unit_test(test_seekers_do_not_turn_one_another_away),
        cmocka_unit_test(test_finders_with_and_without_keys),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
