/*
 * ZeroMQ sockets of the hot path, raw (void *), with the options that all of them need set in one
 * place, and the addresses people write for them.
 *
 * Every socket lingers 0 ms, speaks IPv6 too, gives a handshake 3 s and a listen queue of 4096. A
 * DEALER has one peer and never reconnects by itself: what was queued for a dead peer must not
 * reach its successor, so the owner makes a new socket (which is stronger than ZMQ_IMMEDIATE, and
 * lets a first message be queued before the connection stands). A ROUTER refuses to send to a peer
 * it does not know. With keys (bus/net/curve.h) all of them are encrypted and talk to the programs
 * that they are for and to nobody else. The owner of a socket uses it from one thread and closes it
 * with socket_close() before net_stop().
 */
#ifndef HEARSAY_BUS_NET_SOCKET_H
#define HEARSAY_BUS_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "bus/net/curve.h"

enum {
    SOCKET_BLOCK_MAX = 8,         /* ports in a block, at most */
    SOCKET_BLOCKS_TRIED = 256,    /* blocks looked at before giving up */
    ENDPOINT_HOST_SIZE = 254,     /* with the NUL: a name of 253 octets, RFC 1035 */
    ENDPOINT_TEXT_SIZE = 254 + 16 /* "tcp://[" host "]:65535" and the NUL */
};

typedef struct socket_options {
    int type;            /* ZMQ_ROUTER and so on */
    int64_t message_max; /* bytes a received frame may have; a peer that sends more is cut off */
    int send_queue;      /* messages queued for one peer; 0: no limit */
    int receive_queue;   /* messages queued from one peer; 0: no limit */
    int heartbeat_ms;    /* between heartbeats of ZeroMQ, lost after 4; 0: none */
    bool keepalive;      /* TCP's own, for peers that are silent for long */
    unsigned peers; /* who is at the other end (key_role_t): of a socket that binds, all whom it
                       takes; of one that connects, to whom, or 0: curve_aim() will say */
    const curve_t *curve; /* NULL: without keys, and whoever comes is taken */
} socket_options_t;

/* A host and port: "tcp://host:port" where host is a name, IPv4 or IPv6 in brackets. */
typedef struct endpoint {
    char host[ENDPOINT_HOST_SIZE]; /* without brackets */
    uint16_t port;                 /* never 0 */
} endpoint_t;

/* True for the types that bind with us (ZMQ_ROUTER, ZMQ_XPUB); all others connect. */
bool socket_binds(int type);

/*
 * A new socket in *out, which the caller owns. Returns 0, or -1 with err when the system is full.
 */
int socket_open(void **out, const socket_options_t *options, err_t *err);

/* Closes *self unless NULL and sets it to NULL. What was not sent yet is dropped. */
void socket_close(void **self);

/*
 * Binds to one port of a numeric address ("127.0.0.1", "::1", "*" for all); port 0 takes a free one
 * (socket_port tells which). Returns 0, or -1 with err.
 */
int socket_bind(void *self, const char *address, int port, err_t *err);

/* The port the socket was last bound to; 0 when it is not bound. */
int socket_port(void *self);

/*
 * Binds n sockets (1 to SOCKET_BLOCK_MAX) to n consecutive ports from first_port on. Unless exact,
 * a block that is not wholly free is passed over for the next one, n ports further, up to
 * SOCKET_BLOCKS_TRIED blocks. Returns the first port of the block, or -1 with err, which says which
 * port was in the way; then no socket is bound.
 */
int socket_bind_block(void *const sockets[], int n, const char *address, int first_port, bool exact,
                      err_t *err);

/* Connects in the background. Returns 0, or -1 with err when the endpoint makes no sense. */
int socket_connect(void *self, const endpoint_t *endpoint, err_t *err);

/* Reads "tcp://host:port". False with err when the text is anything else. */
bool endpoint_parse(const char *text, endpoint_t *out, err_t *err);

/*
 * The endpoint of a host, without brackets, and a port as others tell them over the network. False
 * with err for what endpoint_parse would not read.
 */
bool endpoint_of(slice_t host, uint16_t port, endpoint_t *out, err_t *err);

/* Writes "tcp://host:port" with a NUL; returns text. */
const char *endpoint_format(const endpoint_t *self, char text[ENDPOINT_TEXT_SIZE]);

#endif
