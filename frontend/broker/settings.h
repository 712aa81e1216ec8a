/*
 * What a broker was started with: its command line and environment, checked.
 *
 * The struct is the caller's; its texts borrow from the options or lie in it.
 */
#ifndef HEARSAY_FRONTEND_BROKER_SETTINGS_H
#define HEARSAY_FRONTEND_BROKER_SETTINGS_H

#include "bus/base/options.h"
#include "bus/net/address.h"

typedef struct broker_settings {
    const char *cluster;
    const char *interface;
    const char *curve; /* folder of keys; NULL: without */
    int beacon_port;
    address_served_t served;
    endpoint_t http;                    /* port 0: none */
    endpoint_t peers[OPTIONS_LIST_MAX]; /* first ports of nodes */
    size_t peer_count;
} broker_settings_t;

/* Reads parsed options into *out. 0, or -1 with err of outcome USAGE. */
int broker_settings_read(broker_settings_t *out, const options_t *options, err_t *err);

#endif
