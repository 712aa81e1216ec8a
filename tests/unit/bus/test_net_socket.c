#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/net/monitor.h"
#include "bus/net/runtime.h"
#include "bus/net/watched.h"
#include "tests/unit/bus/net_fixture.h"

enum { DEADLINE_MS = 5000 };

static const socket_options_t router_options = {
    .type = ZMQ_ROUTER, .message_max = 4096, .send_queue = 1000, .receive_queue = 1000};
static const socket_options_t dealer_options = {.type = ZMQ_DEALER,
                                                .message_max = 4096,
                                                .send_queue = 1000,
                                                .receive_queue = 1000,
                                                .heartbeat_ms = 250,
                                                .keepalive = true};

static void *open_one(const socket_options_t *options)
{
    void *socket = NULL;
    err_t err = {0};
    if (socket_open(&socket, options, &err) != 0)
        fail_msg("%s", err.text);
    return socket;
}

static void open_block(void *sockets[], int n)
{
    for (int i = 0; i < n; i++)
        sockets[i] = open_one(&router_options);
}

static void close_block(void *sockets[], int n)
{
    for (int i = 0; i < n; i++)
        socket_close(&sockets[i]);
}

/* Ports of this process, apart from those of other tests that run at the same time. */
static int test_port(void)
{
    static int used;
    return 20000 + (int)(getpid() % 120) * 100 + 25 * used++;
}

/* libzmq unbinds in the background: waits until the port can be taken again. */
static void assert_port_becomes_free(int port)
{
    void *socket = open_one(&router_options);
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;
    int rc;

    do
        rc = socket_bind(socket, "127.0.0.1", port, NULL);
    while (rc != 0 && net_now().boot_ms < until_ms);
    assert_int_equal(rc, 0);
    socket_close(&socket);
}

static void test_block_is_bound(void **state)
{
    (void)state;
    void *sockets[5];
    err_t err = {0};

    open_block(sockets, 5);
    int first = socket_bind_block(sockets, 5, "127.0.0.1", test_port(), false, &err);
    assert_true(first > 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(socket_port(sockets[i]), first + i);
    close_block(sockets, 5);
}

static void test_taken_port_moves_the_block(void **state)
{
    (void)state;
    void *taken = open_one(&router_options);
    void *sockets[5];
    err_t err = {0};
    int port = test_port();

    assert_int_equal(socket_bind(taken, "127.0.0.1", port + 2, &err), 0);
    open_block(sockets, 5);
    assert_int_equal(socket_bind_block(sockets, 5, "127.0.0.1", port, true, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_NOT_REACHED);
    char number[32];
    snprintf(number, sizeof(number), "port %d:", port + 2);
    assert_non_null(strstr(err.text, number));
    assert_port_becomes_free(port);
    assert_port_becomes_free(port + 1);

    int first = socket_bind_block(sockets, 5, "127.0.0.1", port, false, &err);
    assert_true(first > port && (first - port) % 5 == 0);
    assert_int_equal(socket_port(sockets[4]), first + 4);
    assert_port_becomes_free(port);
    close_block(sockets, 5);
    socket_close(&taken);
    assert_null(taken);
}

static void test_no_block_at_all(void **state)
{
    (void)state;
    void *sockets[5];
    void *taken = open_one(&router_options);
    err_t err = {0};

    open_block(sockets, 5);
    assert_int_equal(socket_bind_block(sockets, 5, "127.0.0.1", 65532, false, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_int_equal(socket_bind_block(sockets, 5, "127.0.0.1", 0, true, &err), -1);
    assert_int_equal(socket_bind_block(sockets, 5, "192.0.2.1", test_port(), false, &err), -1);
    assert_non_null(strstr(err.text, "not an address of this machine"));
    /* One block is left at the end of the range, and it is not free. */
    if (socket_bind(taken, "127.0.0.1", 65531, &err) == 0) {
        assert_int_equal(socket_bind_block(sockets, 5, "127.0.0.1", 65531, false, &err), -1);
        assert_non_null(strstr(err.text, "65531"));
    }
    close_block(sockets, 5);
    socket_close(&taken);
}

static void test_ipv6_and_any_port(void **state)
{
    (void)state;
    void *router = open_one(&router_options);
    void *other = open_one(&router_options);
    err_t err = {0};

    assert_int_equal(socket_port(router), 0);
    assert_int_equal(socket_bind(router, "127.0.0.1", 0, &err), 0);
    assert_true(socket_port(router) > 0);
    if (socket_bind(other, "::1", 0, &err) == 0)
        assert_true(socket_port(other) > 0);
    socket_close(&other);
    socket_close(&router);
}

/* Takes one message of a DEALER from the ROUTER; false when none comes in time. */
static bool receive(void *router, char text[8], long wait_ms)
{
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
    int size;

    if (zmq_poll(&item, 1, wait_ms) != 1)
        return false;
    assert_int_equal(zmq_recv(router, text, 8, ZMQ_DONTWAIT), 5); /* the identity */
    size = zmq_recv(router, text, 7, ZMQ_DONTWAIT);
    assert_in_range(size, 0, 7);
    text[size] = '\0';
    return true;
}

static void test_dealer_queues_before_its_connection_stands(void **state)
{
    (void)state;
    void *router = open_one(&router_options);
    void *dealer = open_one(&dealer_options);
    endpoint_t endpoint = {.host = "127.0.0.1"};
    char text[8], expected[8];

    assert_int_equal(socket_bind(router, "127.0.0.1", 0, NULL), 0);
    endpoint.port = (uint16_t)socket_port(router);
    assert_int_equal(socket_connect(dealer, &endpoint, NULL), 0);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(zmq_send(dealer, text, strlen(text), ZMQ_DONTWAIT), strlen(text));
    }
    for (int i = 0; i < 500; i++) {
        snprintf(expected, sizeof(expected), "%d", i);
        assert_true(receive(router, text, DEADLINE_MS));
        assert_string_equal(text, expected);
    }
    socket_close(&dealer);
    socket_close(&router);
}

static void wait_lost(monitor_t *monitor, uint64_t expected)
{
    struct pollfd item = {.fd = monitor_fd(monitor), .events = POLLIN};
    uint64_t token = 0;

    assert_int_equal(poll(&item, 1, DEADLINE_MS), 1);
    assert_true(monitor_next_lost(monitor, &token));
    assert_true(token == expected);
}

/* What was meant for a peer that is gone does not reach whoever has its port then. */
static void test_successor_gets_nothing_old(void **state)
{
    (void)state;
    enum { RECONNECT_WOULD_COME_MS = 300 };
    monitor_t *monitor = NULL;
    void *never_met = open_one(&dealer_options);
    void *met = open_one(&dealer_options);
    void *router = open_one(&router_options);
    void *fresh = open_one(&dealer_options);
    endpoint_t endpoint = {.host = "127.0.0.1"};
    char text[8];

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    assert_int_equal(monitor_watch(monitor, met, "met", 1, NULL), 0);
    assert_int_equal(monitor_watch(monitor, never_met, "never met", 2, NULL), 0);
    assert_int_equal(socket_bind(router, "127.0.0.1", 0, NULL), 0);
    endpoint.port = (uint16_t)socket_port(router);
    assert_int_equal(socket_connect(met, &endpoint, NULL), 0);
    assert_int_equal(zmq_send(met, "first", 5, ZMQ_DONTWAIT), 5);
    assert_true(receive(router, text, DEADLINE_MS));
    socket_close(&router);
    wait_lost(monitor, 1);
    zmq_send(met, "old", 3, ZMQ_DONTWAIT); /* queued for nobody, or refused */
    assert_port_becomes_free(endpoint.port);
    assert_int_equal(socket_connect(never_met, &endpoint, NULL), 0);
    assert_int_equal(zmq_send(never_met, "old", 3, ZMQ_DONTWAIT), 3);
    wait_lost(monitor, 2);

    router = open_one(&router_options);
    int64_t until_ms = net_now().boot_ms + DEADLINE_MS;
    while (socket_bind(router, "127.0.0.1", endpoint.port, NULL) != 0)
        assert_true(net_now().boot_ms < until_ms);
    assert_int_equal(socket_connect(fresh, &endpoint, NULL), 0);
    assert_int_equal(zmq_send(fresh, "new", 3, ZMQ_DONTWAIT), 3);
    assert_true(receive(router, text, DEADLINE_MS));
    assert_string_equal(text, "new");
    assert_false(receive(router, text, RECONNECT_WOULD_COME_MS));
    monitor_destroy(&monitor);
    socket_close(&fresh);
    socket_close(&met);
    socket_close(&never_met);
    socket_close(&router);
}

static void test_router_and_dealer_talk(void **state)
{
    (void)state;
    void *router = open_one(&router_options);
    void *dealer = open_one(&dealer_options);
    endpoint_t endpoint = {.host = "127.0.0.1"};
    err_t err = {0};
    char text[8] = "";

    assert_int_equal(socket_bind(router, "127.0.0.1", 0, &err), 0);
    endpoint.port = (uint16_t)socket_port(router);
    assert_int_equal(socket_connect(dealer, &endpoint, &err), 0);
    zmq_pollitem_t out = {.socket = dealer, .events = ZMQ_POLLOUT};
    assert_int_equal(zmq_poll(&out, 1, DEADLINE_MS), 1);
    assert_int_equal(zmq_send(dealer, "hello", 5, ZMQ_DONTWAIT), 5);
    zmq_pollitem_t in = {.socket = router, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&in, 1, DEADLINE_MS), 1);
    assert_int_equal(zmq_recv(router, text, sizeof(text), ZMQ_DONTWAIT), 5); /* the identity */
    assert_int_equal(zmq_recv(router, text, sizeof(text), ZMQ_DONTWAIT), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(zmq_send(router, "stranger", 8, ZMQ_DONTWAIT | ZMQ_SNDMORE), -1);
    assert_int_equal(zmq_errno(), EHOSTUNREACH);
    socket_close(&dealer);
    socket_close(&router);
}

static void test_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        int port;
    } cases[] = {
        {"tcp://127.0.0.1:7710", "127.0.0.1", 7710},
        {"tcp://node-0.hearsay.svc:1", "node-0.hearsay.svc", 1},
        {"tcp://[::1]:65535", "::1", 65535},
        {"tcp://[fe80::1%eth0]:7", "fe80::1%eth0", 7},
        {"tcp://[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80},
        {"tcp://h:0", NULL, 0},
        {"tcp://h:65536", NULL, 0},
        {"tcp://h:99999999999", NULL, 0},
        {"tcp://h:", NULL, 0},
        {"tcp://h", NULL, 0},
        {"tcp://:7710", NULL, 0},
        {"tcp://h:77x", NULL, 0},
        {"tcp://h:+77", NULL, 0},
        {"tcp://::1:7710", NULL, 0},
        {"tcp://[::1:7710", NULL, 0},
        {"tcp://[::1]7710", NULL, 0},
        {"tcp://[h]:7710", NULL, 0},
        {"tcp://[]:7710", NULL, 0},
        {"tcp://a..b:7710", NULL, 0},
        {"tcp://a b:7710", NULL, 0},
        {"tcp://*:7710", NULL, 0},
        {"udp://h:7710", NULL, 0},
        {"h:7710", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        endpoint_t endpoint = {0};
        err_t err = {0};
        char text[ENDPOINT_TEXT_SIZE];
        bool good = endpoint_parse(cases[i].text, &endpoint, &err);
        assert_int_equal(good, cases[i].host != NULL);
        if (!good) {
            assert_int_equal(err.outcome, OUTCOME_USAGE);
            continue;
        }
        assert_string_equal(endpoint.host, cases[i].host);
        assert_int_equal(endpoint.port, cases[i].port);
        assert_string_equal(endpoint_format(&endpoint, text), cases[i].text);
    }
    char name[400] = "tcp://";
    endpoint_t endpoint;
    memset(name + 6, 'a', 254);
    memcpy(name + 260, ":1", 3);
    assert_false(endpoint_parse(name, &endpoint, NULL));
    memcpy(name + 259, ":1", 3);
    assert_true(endpoint_parse(name, &endpoint, NULL));
}

static void test_endpoints_that_were_told(void **state)
{
    (void)state;
    endpoint_t endpoint;
    err_t err = {0};
    char long_name[400];

    assert_true(endpoint_of(slice_text("::1"), 7710, &endpoint, &err));
    assert_string_equal(endpoint.host, "::1");
    assert_int_equal(endpoint.port, 7710);
    assert_false(endpoint_of(slice_text("h"), 0, &endpoint, &err));
    assert_non_null(strstr(err.text, "the port from 1 to 65535"));
    assert_false(endpoint_of(slice_text(""), 1, &endpoint, &err));
    assert_false(endpoint_of(slice_text("h:5/"), 1, &endpoint, &err));
    assert_false(endpoint_of(slice_of("h\0x", 3), 1, &endpoint, &err));
    assert_non_null(strstr(err.text, "is none"));
    memset(long_name, 'a', sizeof(long_name));
    assert_true(endpoint_of(slice_of(long_name, ENDPOINT_HOST_SIZE - 1), 1, &endpoint, NULL));
    assert_false(endpoint_of(slice_of(long_name, ENDPOINT_HOST_SIZE), 1, &endpoint, NULL));
    assert_int_equal(strlen(endpoint.host), ENDPOINT_HOST_SIZE - 1); /* as it was */
}

/* In a loop or not; closing what is closed does nothing. */
static void test_watched(void **state)
{
    (void)state;
    loop_t *loop = loop_new();
    monitor_t *monitor = NULL;
    void *sockets[2] = {NULL};

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            watched_open(&sockets[i], &router_options, monitor, "router", MONITOR_NO_TOKEN, NULL),
            0);
    watched_close(&sockets[0], loop, monitor); /* was never in the loop */
    watched_close(&sockets[1], NULL, monitor);
    assert_null(sockets[0]);
    assert_null(sockets[1]);
    watched_close(&sockets[0], loop, monitor);
    monitor_destroy(&monitor);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_is_bound),
        cmocka_unit_test(test_taken_port_moves_the_block),
        cmocka_unit_test(test_no_block_at_all),
        cmocka_unit_test(test_ipv6_and_any_port),
        cmocka_unit_test(test_dealer_queues_before_its_connection_stands),
        cmocka_unit_test(test_successor_gets_nothing_old),
        cmocka_unit_test(test_router_and_dealer_talk),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_endpoints_that_were_told),
        cmocka_unit_test(test_watched),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
