#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <zmq.h>

#include "bus/net/monitor.h"
#include "bus/net/runtime.h"
#include "bus/net/socket.h"
#include "tests/unit/bus/net_fixture.h"

enum { DEADLINE_MS = 5000 };

static const socket_options_t router_options = {
    .type = ZMQ_ROUTER, .message_max = 4096, .send_queue = 1000, .receive_queue = 1000};
static const socket_options_t dealer_options = {
    .type = ZMQ_DEALER, .message_max = 4096, .send_queue = 1000, .receive_queue = 1000};

static void *open_router(int port)
{
    void *router = NULL;
    err_t err = {0};
    if (socket_open(&router, &router_options, &err) != 0 ||
        socket_bind(router, "127.0.0.1", port, &err) != 0)
        fail_msg("%s", err.text);
    return router;
}

/* A watched DEALER that connects. */
static void *open_dealer(monitor_t *monitor, int port, uint64_t token)
{
    void *dealer = NULL;
    endpoint_t endpoint = {.host = "127.0.0.1", .port = (uint16_t)port};
    err_t err = {0};
    if (socket_open(&dealer, &dealer_options, &err) != 0 ||
        monitor_watch(monitor, dealer, "dealer", token, &err) != 0 ||
        socket_connect(dealer, &endpoint, &err) != 0)
        fail_msg("%s", err.text);
    return dealer;
}

/* A DEALER queues from the start: what the ROUTER has received proves the connection. */
static void wait_connected(void *dealer, void *router)
{
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
    char text[8];

    assert_int_equal(zmq_send(dealer, "here", 4, ZMQ_DONTWAIT), 4);
    assert_int_equal(zmq_poll(&item, 1, DEADLINE_MS), 1);
    assert_int_equal(zmq_recv(router, text, sizeof(text), ZMQ_DONTWAIT), 5); /* the identity */
    assert_int_equal(zmq_recv(router, text, sizeof(text), ZMQ_DONTWAIT), 4);
}

static bool is_readable(const monitor_t *monitor, int wait_ms)
{
    struct pollfd item = {.fd = monitor_fd(monitor), .events = POLLIN};
    return poll(&item, 1, wait_ms) == 1;
}

static void test_disconnect_is_told_once(void **state)
{
    (void)state;
    monitor_t *monitor = NULL;
    uint64_t token = 0;

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    void *router = open_router(0);
    void *dealer = open_dealer(monitor, socket_port(router), 42);
    void *other_router = open_router(0);
    void *other = open_dealer(monitor, socket_port(other_router), 43);
    wait_connected(dealer, router);
    wait_connected(other, other_router);
    assert_false(monitor_next_lost(monitor, &token));
    assert_false(is_readable(monitor, 0));

    socket_close(&router);
    assert_true(is_readable(monitor, DEADLINE_MS));
    assert_true(monitor_next_lost(monitor, &token));
    assert_true(token == 42);
    assert_false(monitor_next_lost(monitor, &token));
    assert_false(is_readable(monitor, 0));

    monitor_unwatch(monitor, dealer);
    monitor_unwatch(monitor, dealer); /* not watched: nothing happens */
    socket_close(&dealer);
    monitor_unwatch(monitor, other);
    socket_close(&other);
    socket_close(&other_router);
    monitor_destroy(&monitor);
    assert_null(monitor);
}

/* A loss that nobody asked for before the socket was given up is none any more. */
static void test_loss_of_who_is_given_up(void **state)
{
    (void)state;
    monitor_t *monitor = NULL;
    uint64_t token = 0;

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    void *dealer = open_dealer(monitor, 1, 7);
    assert_true(is_readable(monitor, DEADLINE_MS));
    monitor_unwatch(monitor, dealer);
    socket_close(&dealer);
    assert_false(is_readable(monitor, 0));
    assert_false(monitor_next_lost(monitor, &token));
    monitor_destroy(&monitor);
}

static void test_refused_connection_is_told(void **state)
{
    (void)state;
    monitor_t *monitor = NULL;
    uint64_t token = 0;

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    void *dealer = open_dealer(monitor, 1, 7);
    assert_true(is_readable(monitor, DEADLINE_MS));
    assert_true(monitor_next_lost(monitor, &token));
    assert_true(token == 7);
    monitor_unwatch(monitor, dealer);
    socket_close(&dealer);
    monitor_destroy(&monitor);
}

/* A listening socket has no token: clients that come and go are drained and not told. */
static void test_many_peers_of_a_listener(void **state)
{
    (void)state;
    monitor_t *monitor = NULL;
    uint64_t token = 0;

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    void *router = NULL;
    assert_int_equal(socket_open(&router, &router_options, NULL), 0);
    assert_int_equal(monitor_watch(monitor, router, "router", MONITOR_NO_TOKEN, NULL), 0);
    assert_int_equal(socket_bind(router, "127.0.0.1", 0, NULL), 0);
    for (int i = 0; i < 300; i++) {
        void *dealer = open_dealer(monitor, socket_port(router), 100);
        wait_connected(dealer, router);
        monitor_unwatch(monitor, dealer);
        socket_close(&dealer);
    }
    assert_false(monitor_next_lost(monitor, &token));
    /* destroy lets go of what is still watched */
    monitor_destroy(&monitor);
    socket_close(&router);
}

/* Unwatched with the loss not asked for yet: the token does not come any more. */
static void test_unwatch_forgets_the_loss(void **state)
{
    (void)state;
    monitor_t *monitor = NULL;
    uint64_t token = 0;

    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    void *router = open_router(0);
    void *dealer = open_dealer(monitor, socket_port(router), 42);
    wait_connected(dealer, router);
    socket_close(&router);
    assert_true(is_readable(monitor, DEADLINE_MS));
    monitor_unwatch(monitor, dealer);
    socket_close(&dealer);
    assert_false(monitor_next_lost(monitor, &token));
    assert_false(is_readable(monitor, 0));
    monitor_destroy(&monitor);
}

/* libzmq gives names free late: the next monitor, perhaps at the same address, needs others. */
static void test_monitors_follow_each_other(void **state)
{
    (void)state;

    for (int i = 0; i < 200; i++) {
        monitor_t *monitor = NULL;
        void *router = NULL;
        assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
        assert_int_equal(socket_open(&router, &router_options, NULL), 0);
        assert_int_equal(monitor_watch(monitor, router, "router", MONITOR_NO_TOKEN, NULL), 0);
        monitor_destroy(&monitor);
        socket_close(&router);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disconnect_is_told_once),
        cmocka_unit_test(test_loss_of_who_is_given_up),
        cmocka_unit_test(test_refused_connection_is_told),
        cmocka_unit_test(test_many_peers_of_a_listener),
        cmocka_unit_test(test_unwatch_forgets_the_loss),
        cmocka_unit_test(test_monitors_follow_each_other),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
