#include "bus/net/runtime.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#ifdef __linux__
#include <sys/signalfd.h>
#else
#include <sys/random.h>
#endif

enum { STOP_LIMIT_MS = 1000 };

static struct {
    bool started; /* by net_start() */
    void *context;
    int signal_fd;
    int signal_write_fd; /* of the self-pipe where there is no signalfd */
} runtime = {.signal_fd = -1, .signal_write_fd = -1};

/* ---- signals ---- */

#ifdef __linux__

static int open_signals(err_t *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    runtime.signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (runtime.signal_fd < 0)
        return err_set(err, OUTCOME_FULL, "cannot open a signal descriptor: %s", strerror(errno));
    return 0;
}

int net_signal_next(void)
{
    struct signalfd_siginfo info;
    if (read(runtime.signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

#else

static void on_signal(int number)
{
    int saved = errno;
    uint8_t byte = (uint8_t)number;
    /* A full pipe already holds signals enough to wake and stop the program. */
    if (write(runtime.signal_write_fd, &byte, 1) < 0)
        errno = saved;
}

static int open_signals(err_t *err)
{
    int fds[2];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (pipe(fds) != 0)
        return err_set(err, OUTCOME_FULL, "cannot open a pipe for signals: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    runtime.signal_fd = fds[0];
    runtime.signal_write_fd = fds[1];
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    return 0;
}

int net_signal_next(void)
{
    uint8_t byte;
    return read(runtime.signal_fd, &byte, 1) == 1 ? byte : 0;
}

#endif

int net_signal_fd(void)
{
    return runtime.signal_fd;
}

/* ---- start and end ---- */

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    /* Refused: we serve with what we have. */
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t net_file_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 0;
}

static int start_context(err_t *err)
{
    /* These change how czmq's beacon works; IPv4 multicast would even abort the process. */
    unsetenv("ZSYS_INTERFACE");
    unsetenv("ZSYS_IPV4_MCAST_ADDRESS");
    unsetenv("ZSYS_IPV6");
    zsys_handler_set(NULL);
    runtime.context = zsys_init();
    if (runtime.context == NULL)
        return err_set(err, OUTCOME_FULL,
                       "cannot start ZeroMQ: %s; raise the limit of open files (ulimit -n)",
                       strerror(errno));
    zsys_set_logstream(NULL);
    return 0;
}

int net_start(err_t *err)
{
    if (runtime.started)
        return 0;
    /* The mask comes first: every thread made from here on inherits it. */
    if (open_signals(err) != 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (start_context(err) != 0)
        return -1;
    zsys_set_max_sockets(0);
    zsys_set_linger(0);
    /* zsys_set_max_sockets may have made a new context. */
    runtime.context = zsys_init();
    runtime.started = true;
    return 0;
}

int net_start_library(err_t *err)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int rc = 0;

    pthread_mutex_lock(&mutex);
    if (runtime.context == NULL) {
        /* Connections are bounded by descriptors; czmq's own bound would be reached at 341. */
        setenv("ZSYS_MAX_SOCKETS", "65535", 0);
        rc = start_context(err);
    }
    pthread_mutex_unlock(&mutex);
    return rc;
}

void *net_context(void)
{
    assert(runtime.context != NULL);
    return runtime.context;
}

typedef struct watch {
    int fd; /* readable once all went well */
    int exit_code;
} watch_t;

static void *watch_stop(void *arg)
{
    static const char text[] = "error: shutting down took too long, a socket was left open\n";
    const watch_t *watch = arg;
    struct pollfd item = {.fd = watch->fd, .events = POLLIN};
    int64_t until_ms = net_now().boot_ms + STOP_LIMIT_MS;

    for (;;) {
        int64_t left_ms = until_ms - net_now().boot_ms;
        int rc = left_ms > 0 ? poll(&item, 1, (int)left_ms) : 0;
        if (rc > 0)
            return NULL;
        if (rc == 0 && left_ms <= 0)
            break;
    }
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    _exit(watch->exit_code);
}

void net_stop(int exit_code)
{
    pthread_t watchdog;
    int fds[2];
    bool watched;

    if (!runtime.started)
        return;
    fflush(stdout); /* _exit would lose it */
    watched = pipe(fds) == 0;
    watch_t watch = {.fd = fds[0], .exit_code = exit_code};
    if (watched && pthread_create(&watchdog, NULL, watch_stop, &watch) != 0) {
        close(fds[0]);
        close(fds[1]);
        watched = false;
    }
    zsys_shutdown();
    if (watched) {
        /* Closing the other end makes the watchdog's end readable. */
        close(fds[1]);
        pthread_join(watchdog, NULL);
        close(fds[0]);
    }
    close(runtime.signal_fd);
    if (runtime.signal_write_fd >= 0)
        close(runtime.signal_write_fd);
    runtime.signal_fd = -1;
    runtime.signal_write_fd = -1;
    runtime.context = NULL;
    runtime.started = false;
}

/* ---- clocks, randomness, machine ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec at;
    int rc = clock_gettime(clock, &at);
    assert(rc == 0);
    (void)rc;
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

now_t net_now(void)
{
#ifdef CLOCK_BOOTTIME
    return (now_t){.wall_ms = clock_ms(CLOCK_REALTIME), .boot_ms = clock_ms(CLOCK_BOOTTIME)};
#else
    return (now_t){.wall_ms = clock_ms(CLOCK_REALTIME), .boot_ms = clock_ms(CLOCK_MONOTONIC)};
#endif
}

uint64_t net_random64(void)
{
    uint64_t value = 0;
    while (value == 0) {
        /* Fails only on kernels without a generator; nothing safe can be done there. */
        if (getentropy(&value, sizeof(value)) != 0)
            abort();
    }
    return value;
}

/* Appends what a small file holds; false when there is none. */
static bool append_file(const char *path, char *text, size_t capacity, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text + *size, capacity - *size);
    close(fd);
    if (n <= 0)
        return false;
    *size += (size_t)n;
    return true;
}

uint64_t net_machine_id(void)
{
    char text[512] = "";
    size_t size = 0;
    bool known = append_file("/etc/machine-id", text, sizeof(text) / 2, &size);
    uint64_t id;

    known |= append_file("/proc/sys/kernel/random/boot_id", text, sizeof(text), &size);
    if (!known && gethostname(text, sizeof(text) - 1) == 0)
        size = strlen(text);
    id = XXH3_64bits(text, size);
    return id == 0 ? 1 : id;
}
