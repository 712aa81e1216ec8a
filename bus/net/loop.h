/*
 * The loop of a program: one thread, one zmq_poll over sockets and descriptors, one timer.
 *
 * A turn is: wait; every ready socket's callback, which takes up to LOOP_DRAIN messages; signals;
 * the timer when it is due; then the turn callback, where a program does once for all messages what
 * costs a system call (one log write, one publish, the replies). The loop owns nothing that it is
 * given: sockets, descriptors and args stay the caller's, who removes them before closing them. All
 * functions are for the loop's thread alone and may be called inside callbacks.
 */
#ifndef HEARSAY_BUS_NET_LOOP_H
#define HEARSAY_BUS_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/err.h"

typedef struct loop loop_t;

enum {
    LOOP_DRAIN = 256,      /* messages a callback takes in one turn, at most */
    LOOP_ITEMS_MAX = 8192, /* sockets and descriptors together */
};

/* Something can be read. True: LOOP_DRAIN was reached, there may be more. */
typedef bool loop_ready_fn(void *arg);
typedef void loop_fn(void *arg);
typedef void loop_signal_fn(void *arg, int signal_number);

/* What the loop's thread did since it was last asked. */
typedef struct loop_load {
    uint64_t turns;
    uint64_t full_turns; /* some callback reached its limit: the program does not keep up */
    int64_t waited_us;   /* with nothing to do */
    int64_t elapsed_us;
    /* The longest turn: so long may something that could be read have waited for its turn. */
    int64_t lag_us;
} loop_load_t;

/* Never NULL. */
loop_t *loop_new(void);
void loop_destroy(loop_t **self);

/* Calls fn whenever the socket can be read. Returns 0, or -1 with err at LOOP_ITEMS_MAX. */
int loop_add_socket(loop_t *self, void *socket, loop_ready_fn *fn, void *arg, err_t *err);
int loop_add_fd(loop_t *self, int fd, loop_ready_fn *fn, void *arg, err_t *err);

/* From now on fn is not called, not in this turn either. Nothing happens for what was not added. */
void loop_remove_socket(loop_t *self, void *socket);
void loop_remove_fd(loop_t *self, int fd);

/* The one timer: fn is called once when boot_ms (as net_now) is reached; INT64_MAX: not at all. */
void loop_set_deadline(loop_t *self, int64_t boot_ms);
void loop_on_timer(loop_t *self, loop_fn *fn, void *arg);

void loop_on_turn(loop_t *self, loop_fn *fn, void *arg);

/* fn is called so often while the loop comes round, for a watchdog; interval_ms 0: not at all. */
void loop_on_alive(loop_t *self, void (*fn)(void), int64_t interval_ms);

/* SIGINT, SIGTERM and SIGHUP; without a callback SIGHUP is ignored and the others end the loop. */
void loop_on_signal(loop_t *self, loop_signal_fn *fn, void *arg);

/* Runs until loop_stop(); returns its exit code. The turn under way is finished first. */
int loop_run(loop_t *self);
void loop_stop(loop_t *self, int exit_code);

/* Starts a new period. */
loop_load_t loop_load(loop_t *self);

#endif
