/*
 * The process around the sockets: start-up and end in the order that libzmq and czmq need, the
 * signals, the clocks, randomness, and which machine this is.
 *
 * One per process, no object: net_start() first thing in main(), before any thread or socket, and
 * net_stop() last, when every socket and actor is closed; a library calls net_start_library()
 * alone, from any thread. All other functions but the first two may be called from any thread.
 */
#ifndef HEARSAY_BUS_NET_RUNTIME_H
#define HEARSAY_BUS_NET_RUNTIME_H

#include <stdint.h>

#include "bus/base/err.h"
#include "bus/base/hlc.h"

/*
 * Routes SIGINT, SIGTERM and SIGHUP to net_signal_fd(), ignores SIGPIPE, raises the limit of open
 * files as far as allowed and starts czmq without signal handlers of its own and without its log.
 * Returns 0, or -1 with err. A second call does nothing.
 */
int net_start(err_t *err);

/*
 * The same for a library in somebody else's process: without the signals, the limits and the end,
 * which are the process's own. What it starts lasts as long as the process; sockets must be closed
 * by then. A call after net_start() or a second one does nothing.
 */
int net_start_library(err_t *err);

/*
 * Ends the libzmq context. Sockets left open would make that wait for ever: after 1 s the process
 * says so and exits with exit_code, however far it is: what it was run for is done by then. stdout
 * is flushed first.
 */
void net_stop(int exit_code);

/* The libzmq context that all sockets of this process share, czmq's included. */
void *net_context(void);

/*
 * A descriptor to poll: readable when a signal waits. Owned by this module; -1 before net_start().
 */
int net_signal_fd(void);

/* The next signal that arrived (SIGINT, SIGTERM or SIGHUP), 0 when there is none. Never blocks. */
int net_signal_next(void);

/* Both clocks now, in ms. */
now_t net_now(void);

/* 64 bits from the system's generator; never 0, which stands for "none" everywhere. */
uint64_t net_random64(void);

/*
 * The same for all programs of this machine since it was started: a hash of its machine id and boot
 * id, or of the host name where there are none. Never 0.
 */
uint64_t net_machine_id(void);

/* How many files and sockets the process may have open; net_start raised it as far as it may. */
uint64_t net_file_limit(void);

#endif
