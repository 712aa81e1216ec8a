/*
 * Sockets that a monitor watches and mostly a loop reads: opened and closed in the one order that
 * both of them need.
 *
 * Plain functions; the socket is the caller's, as are the loop and the monitor, which outlive it.
 */
#ifndef HEARSAY_BUS_NET_WATCHED_H
#define HEARSAY_BUS_NET_WATCHED_H

#include "bus/net/loop.h"
#include "bus/net/monitor.h"
#include "bus/net/socket.h"

/*
 * A new socket in *out that the monitor watches from the start, by that name and with that token
 * (monitor_watch). Returns 0, or -1 with err when the system is full; *out is NULL then.
 */
int watched_open(void **out, const socket_options_t *options, monitor_t *monitor, const char *name,
                 uint64_t token, err_t *err);

/*
 * Takes *self out of the loop, unless that is NULL, and from the monitor, closes it and sets it to
 * NULL. Nothing happens for NULL.
 */
void watched_close(void **self, loop_t *loop, monitor_t *monitor);

#endif
