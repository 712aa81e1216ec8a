/*
 * Who may connect: the handler against questions that libzmq would and would not ask, and sockets
 * with keys against one another.
 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "bus/net/monitor.h"
#include "bus/net/socket.h"
#include "bus/net/zap.h"
#include "tests/unit/bus/net_fixture.h"
#include "tests/unit/folder.h"

enum { DEADLINE_MS = 5000 };

static struct {
    char folder[256];
    char other[256]; /* keys of somebody else */
    denied_t *denied;
    zap_t *zap;
} test;

static int make_all(const char *folder)
{
    return keys_make(folder, "node", ROLE_NODE, NULL) +
           keys_make(folder, "broker", ROLE_BROKER, NULL) +
           keys_make(folder, "client", ROLE_CLIENT, NULL) +
           keys_make(folder, "admin", ROLE_ADMIN, NULL);
}

static int set_up_unguarded(void **state)
{
    (void)state;
    if (folder_make(test.folder, sizeof(test.folder), "zap") != 0 ||
        folder_make(test.other, sizeof(test.other), "zap") != 0 || make_all(test.folder) != 0 ||
        make_all(test.other) != 0 || denied_open(&test.denied, NULL) != 0)
        return -1;
    return 0;
}

static int set_up(void **state)
{
    if (set_up_unguarded(state) != 0)
        return -1;
    return zap_open(&test.zap, test.folder, test.denied, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    zap_destroy(&test.zap);
    denied_destroy(&test.denied);
    folder_remove(test.other);
    return folder_remove(test.folder);
}

/* ---- questions ---- */

typedef struct text {
    const char *data;
    size_t size;
} text_t;

/* Sends frames as one message and returns the status that is answered, 0 for no answer. */
static int ask(const text_t frames[], size_t count, int wait_ms)
{
    void *socket = zmq_socket(net_context(), ZMQ_DEALER);
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    int linger_ms = 0;
    char frame[256];
    char status[4] = "";
    int size;

    assert_non_null(socket);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    assert_int_equal(zmq_connect(socket, "inproc://zeromq.zap.01"), 0);
    for (size_t i = 0; i < count; i++)
        assert_true(
            zmq_send(socket, frames[i].data, frames[i].size, i + 1 < count ? ZMQ_SNDMORE : 0) >= 0);
    if (zmq_poll(&item, 1, wait_ms) == 1) {
        for (int i = 0; (size = zmq_recv(socket, frame, sizeof(frame), ZMQ_DONTWAIT)) >= 0; i++) {
            if (i == 2) /* behind it is the request id */
                assert_memory_equal(frame, "7", 1);
            if (i == 3)
                memcpy(status, frame, 3);
        }
    }
    zmq_close(socket);
    return atoi(status);
}

#define T(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static int ask_for(const char *domain, const char *folder, const char *name)
{
    uint8_t key[KEY_SIZE];
    key_role_t role;

    assert_int_equal(keys_read_public(folder, name, key, &role, NULL), 0);
    const text_t frames[] = {T(""),
                             T("1.0"),
                             T("7"),
                             {domain, strlen(domain)},
                             T("::ffff:10.0.0.9"),
                             T("id"),
                             T("CURVE"),
                             {(const char *)key, KEY_SIZE}};
    return ask(frames, 8, DEADLINE_MS);
}

static void test_each_role_at_each_port(void **state)
{
    (void)state;
    static const char *const names[] = {"node", "broker", "client", "admin"};
    char domain[ROLES_TEXT_SIZE];

    for (unsigned takes = 1; takes < 16; takes++)
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(ask_for(key_roles_format(takes, domain), test.folder, names[i]),
                             (takes & 1u << i) != 0 ? 200 : 400);
            assert_int_equal(ask_for(domain, test.other, names[i]), 400);
        }
}

static void test_what_is_said_of_it(void **state)
{
    (void)state;
    denied_entry_t entry;

    assert_int_equal(ask_for("admin", test.folder, "admin"), 200);
    assert_false(denied_next(test.denied, &entry));
    assert_int_equal(ask_for("admin", test.folder, "client"), 400);
    assert_true(denied_next(test.denied, &entry));
    assert_string_equal(entry.address, "10.0.0.9");
    assert_string_equal(entry.why, "its key client is of role client, and this port is for admin");
    assert_int_equal(ask_for("admin", test.other, "admin"), 400);
    assert_true(denied_next(test.denied, &entry));
    assert_non_null(strstr(entry.why, "is not among ours"));
    assert_int_equal(denied_count(test.denied), 2);
}

static void test_keys_come_and_go(void **state)
{
    (void)state;
    char path[512];

    assert_int_equal(keys_make(test.folder, "ann", ROLE_CLIENT, NULL), 0);
    assert_int_equal(ask_for("client,admin", test.folder, "ann"), 200);
    snprintf(path, sizeof(path), "%s/ann.key", test.folder);
    char away[512];
    snprintf(away, sizeof(away), "%s/ann.key", test.other);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(ask_for("client,admin", test.other, "ann"), 400);
}

static void test_forged_questions(void **state)
{
    (void)state;
    static const char zeros[KEY_SIZE];
    static char longest[1000];
    static const text_t good[] = {T(""),          T("1.0"), T("7"),     T("node"),
                                  T("127.0.0.1"), T(""),    T("CURVE"), {zeros, KEY_SIZE}};
    static const text_t odd[] = {T(""),     T("2.0"),   T("node,"),     T("everybody"),
                                 T("NULL"), T("PLAIN"), {longest, 1000}};
    denied_entry_t entry;

    memset(longest, '"', sizeof(longest));
    assert_int_equal(ask(good, 8, DEADLINE_MS), 400);
    /* Each frame but the request id is exchanged for something else: never 200, never a crash. */
    for (size_t at = 1; at < 8; at++)
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
            text_t frames[8];
            memcpy(frames, good, sizeof(good));
            frames[at] = odd[i];
            if (at != 2)
                assert_int_equal(ask(frames, 8, DEADLINE_MS), 400);
        }
    /* Too few and too many frames, none of them an envelope: no answer, and the next is heard. */
    for (size_t count = 1; count < 8; count++)
        assert_int_equal(ask(good, count, 20), 0);
    text_t many[40];
    for (size_t i = 0; i < 40; i++)
        many[i] = good[i % 8];
    assert_int_equal(ask(many, 40, 20), 0);
    assert_int_equal(ask(good + 1, 7, 20), 0);
    assert_int_equal(ask_for("node", test.folder, "node"), 200);
    while (denied_next(test.denied, &entry)) {
        assert_null(strchr(entry.address, '"'));
        assert_null(strchr(entry.why, '"'));
    }
}

/* ---- sockets ---- */

static const socket_options_t plain = {
    .type = ZMQ_DEALER, .message_max = 4096, .send_queue = 10, .receive_queue = 10};

/*
 * True when a message of a DEALER with these keys (NULL: none), which expects a node, gets to a
 * ROUTER of a node's keys (NULL: none) that takes these roles. Else the monitor has told of it.
 */
static bool gets_in(const curve_t *node, unsigned takes, const curve_t *curve, monitor_t *monitor)
{
    socket_options_t options = plain;
    void *router = NULL;
    void *dealer = NULL;
    uint64_t token = 0;

    options.type = ZMQ_ROUTER;
    options.peers = takes;
    options.curve = node;
    assert_int_equal(socket_open(&router, &options, NULL), 0);
    assert_int_equal(socket_bind(router, "127.0.0.1", 0, NULL), 0);
    options.type = ZMQ_DEALER;
    options.peers = ROLE_NODE;
    options.curve = curve;
    const endpoint_t endpoint = {.host = "127.0.0.1", .port = (uint16_t)socket_port(router)};
    assert_int_equal(socket_open(&dealer, &options, NULL), 0);
    assert_int_equal(monitor_watch(monitor, dealer, "dealer", 5, NULL), 0);
    assert_int_equal(socket_connect(dealer, &endpoint, NULL), 0);
    assert_int_equal(zmq_send(dealer, "x", 1, ZMQ_DONTWAIT), 1);
    zmq_pollitem_t items[] = {{.socket = router, .events = ZMQ_POLLIN},
                              {.fd = monitor_fd(monitor), .events = ZMQ_POLLIN}};
    assert_true(zmq_poll(items, 2, DEADLINE_MS) > 0);
    bool is_in = items[0].revents != 0;
    if (!is_in)
        assert_true(monitor_next_lost(monitor, &token) && token == 5);
    monitor_unwatch(monitor, dealer);
    socket_close(&dealer);
    socket_close(&router);
    return is_in;
}

static bool was_told(denied_t *denied, const char *what)
{
    denied_entry_t entry;
    bool told = false;
    while (denied_next(denied, &entry))
        told |= strstr(entry.why, what) != NULL;
    return told;
}

static void test_sockets(void **state)
{
    (void)state;
    curve_t *node = NULL;
    curve_t *admin = NULL;
    curve_t *other = NULL;
    denied_t *told = NULL;
    monitor_t *monitor = NULL;

    assert_int_equal(curve_open(&node, test.folder, NULL, ROLE_NODE, NULL), 0);
    assert_int_equal(curve_open(&admin, test.folder, NULL, ROLE_ADMIN, NULL), 0);
    assert_int_equal(curve_open(&other, test.other, NULL, ROLE_ADMIN, NULL), 0);
    assert_int_equal(denied_open(&told, NULL), 0);
    assert_int_equal(monitor_open(&monitor, NULL, told, NULL), 0);
    assert_true(gets_in(NULL, 0, NULL, monitor));
    assert_true(gets_in(node, ROLE_ADMIN, admin, monitor));
    assert_true(gets_in(node, ROLE_NODE | ROLE_BROKER, node, monitor));
    assert_false(was_told(told, ""));
    assert_false(gets_in(node, ROLE_NODE, admin, monitor));
    assert_true(was_told(told, "does not take our key"));
    assert_true(was_told(test.denied, "of role admin"));
    assert_false(gets_in(node, ROLE_ADMIN, other, monitor));
    assert_true(was_told(told, "another key than"));
    assert_false(gets_in(NULL, 0, admin, monitor));
    assert_false(gets_in(node, ROLE_ADMIN, NULL, monitor));
    monitor_destroy(&monitor);
    denied_destroy(&told);
    curve_destroy(&node);
    curve_destroy(&admin);
    curve_destroy(&other);
}

/* Nobody is there to say who may come in: then nobody may. */
static void test_without_a_handler(void **state)
{
    (void)state;
    curve_t *node = NULL;
    monitor_t *monitor = NULL;

    assert_int_equal(curve_open(&node, test.folder, NULL, ROLE_NODE, NULL), 0);
    assert_int_equal(monitor_open(&monitor, NULL, NULL, NULL), 0);
    assert_false(gets_in(node, ROLE_NODE, node, monitor));
    monitor_destroy(&monitor);
    curve_destroy(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_role_at_each_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_said_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forged_questions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_handler, set_up_unguarded, tear_down),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
