/*
 * A broker: the front end's pure core with the sockets, the beacon and the clock that it needs, in
 * one loop.
 */
#ifndef HEARSAY_FRONTEND_BROKER_BROKER_H
#define HEARSAY_FRONTEND_BROKER_BROKER_H

#include "frontend/broker/settings.h"

/*
 * Starts a broker and serves until a signal ends it; net_start() and logger_open() come first.
 * Returns the exit code. When the start fails it returns -1 with err, and nothing is left behind.
 */
int broker_run(const broker_settings_t *settings, err_t *err);

#endif
