/*
 * Addresses of this machine: which are for it alone, what an interface has, what others are told.
 *
 * Plain functions over text that the caller owns.
 */
#ifndef HEARSAY_BUS_NET_ADDRESS_H
#define HEARSAY_BUS_NET_ADDRESS_H

#include "bus/base/options.h"
#include "bus/net/socket.h"

/* True for the names of the loopback interface that finder_open() takes. */
bool address_is_loopback_interface(const char *interface);

/* True for a host that only programs of this machine reach: 127.x, ::1, localhost. */
bool address_is_loopback(const char *host);

/* True for the address that stands for all interfaces. */
bool address_is_any(const char *host);

/*
 * Writes the IPv4 address of an interface as text. Returns 0, or -1 with err when it is not there
 * or has none.
 */
int address_of_interface(const char *interface, char host[ENDPOINT_HOST_SIZE], err_t *err);

/*
 * Without keys nobody but this machine is served or asked, unless that is wanted in so many words:
 * is_allowed says that one of the two is given. 0, or -1 with err.
 */
int address_check_interface(const char *interface, bool is_allowed, err_t *err);
int address_check_host(const char *host, bool is_allowed, err_t *err);

/* True when --curve or --insecure is given. */
bool address_is_allowed(const options_t *options);

/* Where a program serves. */
typedef struct address_served {
    endpoint_t listen;     /* where the block of ports is to begin */
    bool listen_exact;     /* asked for: no other block instead */
    endpoint_t advertised; /* told to others; port 0: the one that is bound */
} address_served_t;

/*
 * Reads --interface, --listen, --advertise, --curve and --insecure. port holds where --listen has
 * neither a value nor a default; the host is then the interface's. 0, or -1 with err.
 */
int address_read_served(address_served_t *out, const options_t *options, uint16_t port, err_t *err);

/*
 * Reads --http, which is "host:port" or "tcp://host:port": *out with port 0 when it is not given.
 * HTTP has no keys: other machines are served with --insecure alone. 0, or -1 with err.
 */
int address_read_http(endpoint_t *out, const options_t *options, err_t *err);

/*
 * Reads what --advertise takes: "tcp://host:port", "host:port", or "host" alone, where the port
 * becomes 0. Returns 0, or -1 with err.
 */
int address_parse_advertised(const char *text, endpoint_t *out, err_t *err);

/*
 * The 16 bytes of a host for a beacon: IPv6, or IPv4 as mapped; all zeros, which stands for the
 * sender's own, when it is a name or stands for all interfaces.
 */
void address_to_beacon(const char *host, uint8_t address[16]);

#endif
