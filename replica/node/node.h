/*
 * A node: a replica's pure core with the sockets, the data folder, the beacon and the clock that it
 * needs, in one loop.
 */
#ifndef HEARSAY_REPLICA_NODE_NODE_H
#define HEARSAY_REPLICA_NODE_NODE_H

#include "replica/node/settings.h"

/*
 * Starts a node and serves until a signal ends it or it must end; net_start() and logger_open()
 * come first. Returns the exit code; what went wrong after the start is in the log. When the start
 * fails it returns -1 with err, and nothing is left behind but a data folder.
 */
int node_run(const settings_t *settings, err_t *err);

#endif
