/*
 * The monitor: one thread that reads the socket events of libzmq, tells the loop which peer is gone
 * and the trace, if there is one, what happened.
 *
 * libzmq writes a socket's events to a PAIR and stops its whole I/O thread when nobody reads that,
 * so this thread never waits for anybody: what it finds out is one flag for each watched socket,
 * which cannot overflow and cannot be lost. The loop polls monitor_fd() and asks for the tokens.
 * The monitor owns its thread and the PAIRs; watched sockets stay the caller's. All functions are
 * called from the loop thread, which also owns the sockets.
 */
#ifndef HEARSAY_BUS_NET_MONITOR_H
#define HEARSAY_BUS_NET_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/err.h"
#include "bus/net/denied.h"
#include "bus/net/trace.h"

typedef struct monitor monitor_t;

enum {
    MONITOR_SOCKETS_MAX = 4096,
    /* The token of sockets that are drained only: listening ones, where peers come and go. */
    MONITOR_NO_TOKEN = 0,
};

/*
 * A new monitor in *out with its thread running. trace is told all events of its sockets, denied
 * the handshakes that failed for want of a key, before monitor_next_lost() tells of the loss. Both
 * must outlive it; NULL: nobody is told. Returns 0, or -1 with err when the system is full.
 */
int monitor_open(monitor_t **out, trace_t *trace, denied_t *denied, err_t *err);

/* Ends the thread; every socket still watched is unwatched first. */
void monitor_destroy(monitor_t **self);

/*
 * Watches a socket from before it connects or binds. The trace calls it by the name, which is
 * static text. The token, chosen by the caller, comes back from monitor_next_lost(). Returns 0, or
 * -1 with err when MONITOR_SOCKETS_MAX are watched or the system is full.
 */
int monitor_watch(monitor_t *self, void *socket, const char *name, uint64_t token, err_t *err);

/*
 * Must be called before the socket is closed. When it returns the thread has let go of the socket
 * and its token is not reported any more. Nothing happens for a socket that is not watched.
 */
void monitor_unwatch(monitor_t *self, void *socket);

/* A descriptor to poll: readable while monitor_next_lost() has something. */
int monitor_fd(const monitor_t *self);

/*
 * The next token whose socket lost its connection, failed to connect or failed its handshake since
 * it was last reported; each once, however many events there were. False when there is none.
 */
bool monitor_next_lost(monitor_t *self, uint64_t *token);

#endif
