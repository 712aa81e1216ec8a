#include "bus/net/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "bus/base/hlc.h"
#include "bus/base/memory.h"
#include "bus/net/runtime.h"

enum { FIRST_CAPACITY = 32 };

typedef struct reader {
    loop_ready_fn *fn; /* NULL: removed, to be taken out between two turns */
    void *arg;
} reader_t;

struct loop {
    zmq_pollitem_t *items; /* as readers, index by index */
    reader_t *readers;
    size_t count;
    size_t capacity;
    bool removed;     /* there are holes */
    int64_t alive_ms; /* when on_alive is due, INT64_MAX: never */
    int64_t alive_interval_ms;
    void (*on_alive)(void);
    int64_t deadline_ms;
    loop_fn *on_timer;
    void *timer_arg;
    loop_fn *on_turn;
    void *turn_arg;
    loop_signal_fn *on_signal;
    void *signal_arg;
    bool stopping;
    int exit_code;
    uint64_t turns;
    uint64_t full_turns;
    int64_t waited_us;
    int64_t lag_us;
    int64_t load_us; /* when the period began */
};

static int64_t monotonic_us(void)
{
    struct timespec at;
    if (clock_gettime(CLOCK_MONOTONIC, &at) != 0)
        return 0;
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

loop_t *loop_new(void)
{
    loop_t *self = mem_zero(1, sizeof(*self));
    self->capacity = FIRST_CAPACITY;
    self->items = mem_zero(self->capacity, sizeof(*self->items));
    self->readers = mem_zero(self->capacity, sizeof(*self->readers));
    self->deadline_ms = self->alive_ms = INT64_MAX;
    self->load_us = monotonic_us();
    return self;
}

void loop_destroy(loop_t **self)
{
    if (*self == NULL)
        return;
    free((*self)->items);
    free((*self)->readers);
    free(*self);
    *self = NULL;
}

/* ---- what is polled ---- */

static int add(loop_t *self, zmq_pollitem_t item, loop_ready_fn *fn, void *arg, err_t *err)
{
    assert(fn != NULL);
    if (self->count == LOOP_ITEMS_MAX)
        return err_set(err, OUTCOME_FULL, "cannot serve more than %d sockets", LOOP_ITEMS_MAX);
    if (self->count == self->capacity) {
        self->capacity *= 2;
        self->items = mem_resize(self->items, self->capacity * sizeof(*self->items));
        self->readers = mem_resize(self->readers, self->capacity * sizeof(*self->readers));
    }
    self->items[self->count] = item;
    self->readers[self->count] = (reader_t){.fn = fn, .arg = arg};
    self->count++;
    return 0;
}

int loop_add_socket(loop_t *self, void *socket, loop_ready_fn *fn, void *arg, err_t *err)
{
    return add(self, (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN}, fn, arg, err);
}

int loop_add_fd(loop_t *self, int fd, loop_ready_fn *fn, void *arg, err_t *err)
{
    return add(self, (zmq_pollitem_t){.fd = fd, .events = ZMQ_POLLIN}, fn, arg, err);
}

/* Leaves a hole: a turn that is under way goes on over the same indexes. */
static void remove_item(loop_t *self, void *socket, int fd)
{
    for (size_t i = 0; i < self->count; i++) {
        const zmq_pollitem_t *item = &self->items[i];
        bool same =
            socket != NULL ? item->socket == socket : item->socket == NULL && item->fd == fd;
        if (same && self->readers[i].fn != NULL) {
            self->readers[i].fn = NULL;
            self->removed = true;
        }
    }
}

void loop_remove_socket(loop_t *self, void *socket)
{
    assert(socket != NULL);
    remove_item(self, socket, -1);
}

void loop_remove_fd(loop_t *self, int fd)
{
    remove_item(self, NULL, fd);
}

static void close_holes(loop_t *self)
{
    size_t kept = 0;

    for (size_t i = 0; i < self->count; i++) {
        if (self->readers[i].fn == NULL)
            continue;
        self->items[kept] = self->items[i];
        self->readers[kept] = self->readers[i];
        kept++;
    }
    self->count = kept;
    self->removed = false;
}

/* ---- timer, turn, signals ---- */

void loop_set_deadline(loop_t *self, int64_t boot_ms)
{
    self->deadline_ms = boot_ms;
}

void loop_on_timer(loop_t *self, loop_fn *fn, void *arg)
{
    self->on_timer = fn;
    self->timer_arg = arg;
}

void loop_on_alive(loop_t *self, void (*fn)(void), int64_t interval_ms)
{
    self->on_alive = interval_ms != 0 ? fn : NULL;
    self->alive_interval_ms = interval_ms;
    self->alive_ms = interval_ms != 0 ? 0 : INT64_MAX;
}

void loop_on_turn(loop_t *self, loop_fn *fn, void *arg)
{
    self->on_turn = fn;
    self->turn_arg = arg;
}

void loop_on_signal(loop_t *self, loop_signal_fn *fn, void *arg)
{
    self->on_signal = fn;
    self->signal_arg = arg;
}

static bool take_signals(void *arg)
{
    loop_t *self = arg;
    int number;

    while ((number = net_signal_next()) != 0) {
        if (self->on_signal != NULL)
            self->on_signal(self->signal_arg, number);
        else if (number != SIGHUP)
            loop_stop(self, EXIT_INTERRUPTED);
    }
    return false;
}

/* ---- running ---- */

static long wait_ms(const loop_t *self)
{
    int64_t until_ms = time_earlier(self->deadline_ms, self->alive_ms);
    int64_t left_ms;

    if (until_ms == INT64_MAX)
        return -1;
    left_ms = until_ms - net_now().boot_ms;
    if (left_ms < 0)
        return 0;
    return left_ms > INT_MAX ? INT_MAX : (long)left_ms;
}

static void serve(loop_t *self)
{
    size_t polled = self->count; /* what callbacks add was not polled yet */
    bool full = false;

    for (size_t i = 0; i < polled; i++) {
        reader_t reader = self->readers[i];
        if ((self->items[i].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0 && reader.fn != NULL)
            full |= reader.fn(reader.arg);
    }
    self->turns++;
    if (full)
        self->full_turns++;
    if (self->deadline_ms != INT64_MAX && net_now().boot_ms >= self->deadline_ms) {
        self->deadline_ms = INT64_MAX; /* before the call, which may set the next one */
        if (self->on_timer != NULL)
            self->on_timer(self->timer_arg);
    }
    if (self->on_turn != NULL)
        self->on_turn(self->turn_arg);
}

static void say_alive(loop_t *self)
{
    int64_t now_ms = net_now().boot_ms;
    if (now_ms < self->alive_ms)
        return;
    self->alive_ms = now_ms + self->alive_interval_ms;
    self->on_alive();
}

int loop_run(loop_t *self)
{
    int signal_fd = net_signal_fd();
    int64_t begun_us = monotonic_us();

    assert(signal_fd >= 0);
    if (loop_add_fd(self, signal_fd, take_signals, self, NULL) != 0)
        return outcome_exit(OUTCOME_FULL);
    while (!self->stopping) {
        if (self->on_alive != NULL)
            say_alive(self);
        if (self->removed)
            close_holes(self);
        int64_t ended_us = monotonic_us();
        if (ended_us - begun_us > self->lag_us)
            self->lag_us = ended_us - begun_us;
        int rc = zmq_poll(self->items, (int)self->count, wait_ms(self));
        begun_us = monotonic_us();
        self->waited_us += begun_us - ended_us;
        /* EINTR leaves the events of the last turn behind: they must not be served again. */
        if (rc < 0)
            assert(errno == EINTR);
        else
            serve(self);
    }
    loop_remove_fd(self, signal_fd);
    self->stopping = false;
    return self->exit_code;
}

void loop_stop(loop_t *self, int exit_code)
{
    self->stopping = true;
    self->exit_code = exit_code;
}

loop_load_t loop_load(loop_t *self)
{
    int64_t now_us = monotonic_us();
    loop_load_t load = {
        .turns = self->turns,
        .full_turns = self->full_turns,
        .waited_us = self->waited_us,
        .elapsed_us = now_us - self->load_us,
        .lag_us = self->lag_us,
    };
    self->turns = 0;
    self->full_turns = 0;
    self->load_us = now_us;
    self->waited_us = 0;
    self->lag_us = 0;
    return load;
}
