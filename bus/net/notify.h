/*
 * What the program says to the service manager that started it: ready, ending, alive.
 *
 * By libsystemd where that was there at the build and the manager is systemd; elsewhere nothing
 * happens. The process has one manager: no state of the caller's.
 */
#ifndef HEARSAY_BUS_NET_NOTIFY_H
#define HEARSAY_BUS_NET_NOTIFY_H

#include <stdint.h>

/* Requests are served from now on. */
void notify_ready(void);

/* The program is about to end. */
void notify_stopping(void);

/* How often the manager wants to hear notify_alive, in ms; 0: not at all. */
int64_t notify_interval_ms(void);
void notify_alive(void);

#endif
