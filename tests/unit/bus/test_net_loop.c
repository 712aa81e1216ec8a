#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/net/loop.h"
#include "bus/net/runtime.h"
#include "bus/net/socket.h"
#include "bus/net/wake.h"
#include "tests/unit/bus/net_fixture.h"

enum { LATE_MS = 5000 };

typedef struct test {
    loop_t *loop;
    wake_t wake;
    wake_t second;
    void *pair;
    int fd_calls;
    int second_calls;
    int messages;
    int timers;
    int turns;
    int signal_number;
    int64_t fired_ms;
} test_t;

static void open_test(test_t *test)
{
    memset(test, 0, sizeof(*test));
    test->loop = loop_new();
    assert_int_equal(wake_open(&test->wake, NULL), 0);
    assert_int_equal(wake_open(&test->second, NULL), 0);
}

static void close_test(test_t *test)
{
    loop_destroy(&test->loop);
    assert_null(test->loop);
    wake_close(&test->wake);
    wake_close(&test->second);
}

/* The way out of a test that hangs, and a mark that it did. */
static void on_late(void *arg)
{
    loop_stop(((test_t *)arg)->loop, 99);
}

static void on_timer(void *arg)
{
    test_t *test = arg;
    test->fired_ms = net_now().boot_ms;
    if (++test->timers == 3)
        loop_stop(test->loop, 7);
    else
        loop_set_deadline(test->loop, net_now().boot_ms + 10);
}

static void on_turn(void *arg)
{
    ((test_t *)arg)->turns++;
}

static void test_timer_and_exit_code(void **state)
{
    (void)state;
    test_t test;
    open_test(&test);
    int64_t start_ms = net_now().boot_ms;

    loop_on_timer(test.loop, on_timer, &test);
    loop_on_turn(test.loop, on_turn, &test);
    loop_set_deadline(test.loop, start_ms + 20);
    assert_int_equal(loop_run(test.loop), 7);
    assert_int_equal(test.timers, 3);
    assert_true(test.turns >= 3);
    assert_true(test.fired_ms >= start_ms + 40);
    loop_load_t load = loop_load(test.loop);
    assert_int_equal(load.turns, test.turns);
    assert_int_equal(load.full_turns, 0);
    /* start_ms was rounded down. */
    assert_true(load.elapsed_us >= 39000 && load.waited_us <= load.elapsed_us);
    assert_true(load.waited_us >= 30000); /* for the timer, but for what a busy machine takes */
    assert_true(load.lag_us <= load.elapsed_us - load.waited_us);
    load = loop_load(test.loop);
    assert_int_equal(load.turns, 0);
    close_test(&test);
}

static bool on_second(void *arg)
{
    ((test_t *)arg)->second_calls++;
    return false;
}

/* Removes itself and the other one, which is ready in the same turn and must not be called. */
static bool on_first_removes_both(void *arg)
{
    test_t *test = arg;
    test->fd_calls++;
    loop_remove_fd(test->loop, test->wake.read_fd);
    loop_remove_fd(test->loop, test->second.read_fd);
    loop_remove_fd(test->loop, 12345); /* was never added */
    loop_set_deadline(test->loop, net_now().boot_ms + 20);
    return true;
}

static void test_remove_in_callback(void **state)
{
    (void)state;
    test_t test;
    open_test(&test);

    loop_on_timer(test.loop, on_late, &test);
    loop_set_deadline(test.loop, net_now().boot_ms + LATE_MS);
    assert_int_equal(loop_add_fd(test.loop, test.wake.read_fd, on_first_removes_both, &test, NULL),
                     0);
    assert_int_equal(loop_add_fd(test.loop, test.second.read_fd, on_second, &test, NULL), 0);
    wake_signal(&test.wake);
    wake_signal(&test.second);
    assert_int_equal(loop_run(test.loop), 99);
    assert_int_equal(test.fd_calls, 1);
    assert_int_equal(test.second_calls, 0);
    assert_int_equal(loop_load(test.loop).full_turns, 1);
    close_test(&test);
}

static bool on_wake_stops(void *arg)
{
    test_t *test = arg;
    wake_clear(&test->wake);
    loop_stop(test->loop, 5);
    return false;
}

/* Takes the place of itself by another callback, and by many more, so that the table grows. */
static bool on_wake_adds(void *arg)
{
    test_t *test = arg;
    test->fd_calls++;
    loop_remove_fd(test->loop, test->wake.read_fd);
    for (int i = 0; i < 100; i++)
        loop_add_fd(test->loop, test->second.read_fd, on_second, test, NULL);
    loop_add_fd(test->loop, test->wake.read_fd, on_wake_stops, test, NULL);
    return false;
}

static void test_add_in_callback(void **state)
{
    (void)state;
    test_t test;
    open_test(&test);

    loop_on_timer(test.loop, on_late, &test);
    loop_set_deadline(test.loop, net_now().boot_ms + LATE_MS);
    loop_add_fd(test.loop, test.wake.read_fd, on_wake_adds, &test, NULL);
    wake_signal(&test.wake);
    assert_int_equal(loop_run(test.loop), 5);
    assert_int_equal(test.fd_calls, 1);
    assert_int_equal(test.second_calls, 0);
    close_test(&test);
}

static bool on_socket(void *arg)
{
    test_t *test = arg;
    char byte;
    for (int i = 0; i < LOOP_DRAIN; i++) {
        if (zmq_recv(test->pair, &byte, 1, ZMQ_DONTWAIT) < 0)
            return false;
        test->messages++;
    }
    return true;
}

static void stop_at_600(void *arg)
{
    test_t *test = arg;
    test->turns++;
    if (test->messages == 600) {
        loop_remove_socket(test->loop, test->pair);
        loop_stop(test->loop, 0);
    }
}

static void test_socket_is_drained_in_turns(void **state)
{
    (void)state;
    test_t test;
    open_test(&test);
    void *sender = zmq_socket(net_context(), ZMQ_PAIR);
    test.pair = zmq_socket(net_context(), ZMQ_PAIR);
    assert_int_equal(zmq_bind(test.pair, "inproc://test-loop"), 0);
    assert_int_equal(zmq_connect(sender, "inproc://test-loop"), 0);
    for (int i = 0; i < 600; i++)
        assert_int_equal(zmq_send(sender, "x", 1, ZMQ_DONTWAIT), 1);

    loop_on_timer(test.loop, on_late, &test);
    loop_set_deadline(test.loop, net_now().boot_ms + LATE_MS);
    loop_on_turn(test.loop, stop_at_600, &test);
    assert_int_equal(loop_add_socket(test.loop, test.pair, on_socket, &test, NULL), 0);
    assert_int_equal(loop_run(test.loop), 0);
    assert_int_equal(test.messages, 600);
    assert_int_equal(loop_load(test.loop).full_turns, 2);
    assert_true(test.turns >= 3);
    socket_close(&sender);
    socket_close(&test.pair);
    close_test(&test);
}

static void on_signal(void *arg, int number)
{
    test_t *test = arg;
    test->signal_number = number;
    loop_stop(test->loop, 0);
}

static void test_signals(void **state)
{
    (void)state;
    test_t test;
    open_test(&test);

    loop_on_timer(test.loop, on_late, &test);
    loop_set_deadline(test.loop, net_now().boot_ms + LATE_MS);
    kill(getpid(), SIGHUP); /* without a callback: ignored */
    kill(getpid(), SIGINT);
    assert_int_equal(loop_run(test.loop), EXIT_INTERRUPTED);
    loop_on_signal(test.loop, on_signal, &test);
    kill(getpid(), SIGTERM);
    assert_int_equal(loop_run(test.loop), 0);
    assert_int_equal(test.signal_number, SIGTERM);
    close_test(&test);
}

static void test_limit(void **state)
{
    (void)state;
    test_t test;
    err_t err = {0};
    open_test(&test);
    for (int i = 0; i < LOOP_ITEMS_MAX; i++)
        assert_int_equal(loop_add_fd(test.loop, test.wake.read_fd, on_second, &test, &err), 0);
    assert_int_equal(loop_add_fd(test.loop, test.wake.read_fd, on_second, &test, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_FULL);
    close_test(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timer_and_exit_code),
        cmocka_unit_test(test_remove_in_callback),
        cmocka_unit_test(test_add_in_callback),
        cmocka_unit_test(test_socket_is_drained_in_turns),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
