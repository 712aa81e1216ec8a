#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/net/logger.h"
#include "bus/net/runtime.h"
#include "tests/unit/bus/net_fixture.h"

static void test_started(void **state)
{
    (void)state;
    struct rlimit limit;
    struct sigaction action;

    assert_int_equal(net_start(NULL), 0); /* a second time: nothing */
    assert_non_null(net_context());
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur == limit.rlim_max);
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
    assert_true(zmq_ctx_get(net_context(), ZMQ_MAX_SOCKETS) > 1023);
}

static void test_signals_are_read(void **state)
{
    (void)state;
    assert_int_equal(net_signal_next(), 0);
    kill(getpid(), SIGTERM);
    assert_int_equal(net_signal_next(), SIGTERM);
    assert_int_equal(net_signal_next(), 0);
}

static void test_clocks_and_numbers(void **state)
{
    (void)state;
    now_t a = net_now();
    now_t b = net_now();

    assert_true(a.wall_ms > 1700000000000);
    assert_true(b.boot_ms >= a.boot_ms && a.boot_ms > 0);
    assert_true(net_random64() != net_random64());
    assert_true(net_machine_id() != 0);
    assert_true(net_machine_id() == net_machine_id());
}

/*
 * Runs fn in a child with its standard error in a pipe; what it wrote comes back in text. The child
 * is made before this process has threads.
 */
static int run_child(int (*fn)(void), char *text, size_t size)
{
    int fds[2];
    size_t used = 0;
    ssize_t n;
    int status = -1;

    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        _exit(fn());
    }
    close(fds[1]);
    while (used + 1 < size && (n = read(fds[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int leave_a_socket_open(void)
{
    if (net_start(NULL) != 0 || zmq_socket(net_context(), ZMQ_PAIR) == NULL)
        return 9;
    net_stop(1);
    return 8;
}

static void test_stop_ends_in_any_case(void **state)
{
    (void)state;
    char text[1000];
    assert_int_equal(run_child(leave_a_socket_open, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "shutting down took too long"));
}

static int write_log(void)
{
    buf_t line = {0};
    logger_open("node", LOG_LEVEL_INFO, false);
    log_line(LOG_LEVEL_INFO, "ready on %d ports", 5);
    log_line(LOG_LEVEL_DEBUG, "not seen");
    log_record_t record = logger_begin(&line, LOG_LEVEL_WARN, "peer lost");
    log_int(&record, "id", 3);
    logger_end(&record, LOG_LEVEL_WARN);
    logger_open("broker", LOG_LEVEL_DEBUG, true);
    log_line(LOG_LEVEL_DEBUG, "seen");
    buf_free(&line);
    return 0;
}

static void test_log_lines(void **state)
{
    (void)state;
    char text[1000];
    assert_int_equal(run_child(write_log, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "Z info node ready on 5 ports\n"));
    assert_non_null(strstr(text, "Z warn node peer lost id=3\n"));
    assert_null(strstr(text, "not seen"));
    assert_non_null(strstr(text, "\"component\":\"broker\",\"message\":\"seen\"}\n"));
}

/* Nobody reads the pipe: lines are dropped, the program goes on, and later says how many. */
static int write_to_a_full_pipe(void)
{
    int fds[2];
    char page[4096];
    char text[4096] = "";
    int64_t start_ms = net_now().boot_ms;
    int saved = dup(STDERR_FILENO);

    if (pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0)
        return 9;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    memset(page, 'x', sizeof(page));
    while (write(fds[1], page, sizeof(page)) > 0)
        ;
    fcntl(fds[1], F_SETFL, 0);
    for (int i = 0; i < 100; i++)
        log_line(LOG_LEVEL_INFO, "line %d", i);
    if (net_now().boot_ms - start_ms > 3000)
        return 8;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    while (read(fds[0], page, sizeof(page)) > 0)
        ;
    log_line(LOG_LEVEL_INFO, "again");
    if (read(fds[0], text, sizeof(text) - 1) <= 0)
        return 7;
    dup2(saved, STDERR_FILENO);
    fputs(text, stderr);
    return 0;
}

static void test_log_does_not_block(void **state)
{
    (void)state;
    char text[5000];
    assert_int_equal(run_child(write_to_a_full_pipe, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "log lines dropped lines=100\n"));
    assert_non_null(strstr(text, "again\n"));
}

static int log_to_nobody(void)
{
    char long_text[9000];
    close(STDERR_FILENO);
    memset(long_text, 'y', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    log_line(LOG_LEVEL_ERROR, "%s", long_text);
    return 4;
}

static void test_log_without_stderr(void **state)
{
    (void)state;
    char text[100];
    assert_int_equal(run_child(log_to_nobody, text, sizeof(text)), 4);
}

int main(void)
{
    const struct CMUnitTest children[] = {
        cmocka_unit_test(test_stop_ends_in_any_case),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_log_does_not_block),
        cmocka_unit_test(test_log_without_stderr),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_signals_are_read),
        cmocka_unit_test(test_clocks_and_numbers),
    };
    int failed = cmocka_run_group_tests(children, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
