#include "bus/net/socket.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/net/runtime.h"

enum {
    HANDSHAKE_MS = 3000, /* half-open connections are dropped after that */
    LISTEN_QUEUE = 4096, /* the default of 100 makes a burst of clients wait for TCP's retries */
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 2000,
    HEARTBEATS_LOST = 4,
    PORT_MAX = 65535,
};

/* An option that libzmq refuses is a mistake of ours. */
static void set_int(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof(value));
    assert(rc == 0);
    (void)rc;
}

static void set_by_type(void *socket, int type)
{
    switch (type) {
    case ZMQ_ROUTER:
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
        break;
    case ZMQ_DEALER:
        /* Sends may come before the connection: a queue that never reconnects dies with it. */
        set_int(socket, ZMQ_RECONNECT_IVL, -1);
        break;
    default:
        set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
        set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
        break;
    }
}

bool socket_binds(int type)
{
    return type == ZMQ_ROUTER || type == ZMQ_XPUB;
}

static void set_keys(void *socket, const socket_options_t *options)
{
    if (options->curve == NULL)
        return;
    if (socket_binds(options->type))
        curve_serve(options->curve, socket, options->peers);
    else if (options->peers != 0)
        curve_aim(options->curve, socket, (key_role_t)options->peers);
}

int socket_open(void **out, const socket_options_t *options, err_t *err)
{
    void *socket = zmq_socket(net_context(), options->type);

    if (socket == NULL)
        return err_set(err, OUTCOME_FULL, "cannot open a socket: %s; raise the limit of open files",
                       zmq_strerror(errno));
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_IPV6, 1);
    set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(socket, ZMQ_BACKLOG, LISTEN_QUEUE);
    set_int(socket, ZMQ_SNDHWM, options->send_queue);
    set_int(socket, ZMQ_RCVHWM, options->receive_queue);
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &options->message_max,
                       sizeof(options->message_max)) != 0)
        assert(false);
    if (options->heartbeat_ms > 0) {
        set_int(socket, ZMQ_HEARTBEAT_IVL, options->heartbeat_ms);
        set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, options->heartbeat_ms * HEARTBEATS_LOST);
        set_int(socket, ZMQ_HEARTBEAT_TTL, options->heartbeat_ms * HEARTBEATS_LOST);
    }
    if (options->keepalive)
        set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_by_type(socket, options->type);
    set_keys(socket, options);
    *out = socket;
    return 0;
}

void socket_close(void **self)
{
    if (*self == NULL)
        return;
    zmq_close(*self);
    *self = NULL;
}

/* ---- binding ---- */

/* "tcp://address:port", with brackets where the address has colons; port 0 as "*". */
static void format_address(char *text, size_t size, const char *address, int port)
{
    bool bracket = strchr(address, ':') != NULL && address[0] != '[';
    char number[16];

    snprintf(number, sizeof(number), "%d", port);
    snprintf(text, size, "tcp://%s%s%s:%s", bracket ? "[" : "", address, bracket ? "]" : "",
             port == 0 ? "*" : number);
}

/* 0, or the errno of the failure. */
static int bind_port(void *socket, const char *address, int port)
{
    char text[ENDPOINT_TEXT_SIZE];
    format_address(text, sizeof(text), address, port);
    return zmq_bind(socket, text) == 0 ? 0 : errno;
}

static int say_bind(err_t *err, const char *address, int port, int error)
{
    if (error == EADDRINUSE)
        return err_set(err, OUTCOME_NOT_REACHED,
                       "cannot listen on %s port %d: another program uses it; stop that program or "
                       "give a free one with --listen",
                       address, port);
    if (error == EACCES)
        return err_set(err, OUTCOME_NOT_REACHED,
                       "cannot listen on %s port %d: ports below 1024 need rights; give a higher "
                       "one with --listen",
                       address, port);
    if (error == EADDRNOTAVAIL || error == ENODEV || error == EINVAL)
        return err_set(err, OUTCOME_USAGE,
                       "cannot listen on %s port %d: not an address of this machine; give one that "
                       "is with --listen",
                       address, port);
    return err_set(err, OUTCOME_NOT_REACHED, "cannot listen on %s port %d: %s", address, port,
                   zmq_strerror(error));
}

int socket_bind(void *self, const char *address, int port, err_t *err)
{
    int error = bind_port(self, address, port);
    return error == 0 ? 0 : say_bind(err, address, port, error);
}

int socket_port(void *self)
{
    char text[ENDPOINT_TEXT_SIZE] = "";
    size_t size = sizeof(text);
    const char *colon;

    if (zmq_getsockopt(self, ZMQ_LAST_ENDPOINT, text, &size) != 0)
        return 0;
    colon = strrchr(text, ':');
    return colon == NULL ? 0 : atoi(colon + 1);
}

static void unbind_last(void *socket)
{
    char text[ENDPOINT_TEXT_SIZE] = "";
    size_t size = sizeof(text);

    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &size) == 0)
        zmq_unbind(socket, text);
}

/* Binds one block or nothing of it: 0, or the errno with the port that was in the way. */
static int bind_block_at(void *const sockets[], int n, const char *address, int first_port,
                         int *bad_port)
{
    for (int i = 0; i < n; i++) {
        int error = bind_port(sockets[i], address, first_port + i);
        if (error == 0)
            continue;
        *bad_port = first_port + i;
        while (i > 0)
            unbind_last(sockets[--i]);
        return error;
    }
    return 0;
}

int socket_bind_block(void *const sockets[], int n, const char *address, int first_port, bool exact,
                      err_t *err)
{
    int bad_port = first_port;
    int first_bad = 0;
    int error = 0;

    assert(n >= 1 && n <= SOCKET_BLOCK_MAX);
    if (first_port < 1 || first_port > PORT_MAX - (n - 1))
        return err_set(err, OUTCOME_USAGE,
                       "cannot listen on %d ports from %d on: give one of 1..%d", n, first_port,
                       PORT_MAX - (n - 1));
    for (int tried = 0; tried < (exact ? 1 : SOCKET_BLOCKS_TRIED); tried++) {
        int port = first_port + tried * n;
        if (port > PORT_MAX - (n - 1))
            break;
        error = bind_block_at(sockets, n, address, port, &bad_port);
        if (error == 0)
            return port;
        if (error != EADDRINUSE)
            return say_bind(err, address, bad_port, error);
        if (first_bad == 0)
            first_bad = bad_port;
    }
    if (exact)
        return say_bind(err, address, bad_port, error);
    return err_set(err, OUTCOME_NOT_REACHED,
                   "cannot listen on %s: no %d free ports in a row from %d on (%d is the first in "
                   "use); give others with --listen",
                   address, n, first_port, first_bad);
}

int socket_connect(void *self, const endpoint_t *endpoint, err_t *err)
{
    char text[ENDPOINT_TEXT_SIZE];

    if (zmq_connect(self, endpoint_format(endpoint, text)) == 0)
        return 0;
    return err_set(err, OUTCOME_NOT_REACHED, "cannot connect to %s: %s", text, zmq_strerror(errno));
}

/* ---- endpoints ---- */

static bool is_name(const char *host, size_t size)
{
    if (size == 0 || size >= ENDPOINT_HOST_SIZE || host[0] == '.' || host[0] == '-')
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = host[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || (c == '.' && host[i - 1] != '.');
        if (!good)
            return false;
    }
    return true;
}

/* An IPv6 address, with a zone ("%e0") or without. */
static bool is_ipv6(const char *host)
{
    char plain[INET6_ADDRSTRLEN];
    uint8_t address[16];
    size_t size = strcspn(host, "%");

    if (size >= sizeof(plain) ||
        (host[size] == '%' && !is_name(host + size + 1, strlen(host + size + 1))))
        return false;
    memcpy(plain, host, size);
    plain[size] = '\0';
    return inet_pton(AF_INET6, plain, address) == 1;
}

/* Splits text behind "tcp://"; false when it is not of the form host:port or [host]:port. */
static bool split_endpoint(const char *text, endpoint_t *out)
{
    const char *end;
    bool bracket = text[0] == '[';
    size_t size;
    unsigned long port = 0;

    if (bracket)
        text++;
    end = strchr(text, bracket ? ']' : ':');
    if (end == NULL || (bracket && end[1] != ':'))
        return false;
    size = (size_t)(end - text);
    if (size >= sizeof(out->host))
        return false;
    memcpy(out->host, text, size);
    out->host[size] = '\0';
    if (bracket ? !is_ipv6(out->host) : !is_name(out->host, size))
        return false;
    end += bracket ? 2 : 1;
    size = strspn(end, "0123456789");
    if (size == 0 || size > 5 || end[size] != '\0')
        return false;
    port = strtoul(end, NULL, 10);
    if (port == 0 || port > PORT_MAX)
        return false;
    out->port = (uint16_t)port;
    return true;
}

bool endpoint_parse(const char *text, endpoint_t *out, err_t *err)
{
    static const char scheme[] = "tcp://";
    endpoint_t parsed;

    if (strncmp(text, scheme, sizeof(scheme) - 1) == 0 &&
        split_endpoint(text + sizeof(scheme) - 1, &parsed)) {
        *out = parsed;
        return true;
    }
    err_set(
        err, OUTCOME_USAGE,
        "\"%.200s\" is no address: write tcp://HOST:PORT, an IPv6 address in brackets, the port "
        "from 1 to 65535",
        text);
    return false;
}

bool endpoint_of(slice_t host, uint16_t port, endpoint_t *out, err_t *err)
{
    endpoint_t told = {.port = port};
    char text[ENDPOINT_TEXT_SIZE];

    if (host.size >= sizeof(told.host) ||
        (host.size != 0 && memchr(host.data, '\0', host.size) != NULL)) {
        err_set(err, OUTCOME_USAGE, "what was told as the name of a host is none");
        return false;
    }
    if (host.size != 0)
        memcpy(told.host, host.data, host.size);
    return endpoint_parse(endpoint_format(&told, text), out, err);
}

const char *endpoint_format(const endpoint_t *self, char text[ENDPOINT_TEXT_SIZE])
{
    format_address(text, ENDPOINT_TEXT_SIZE, self->host, self->port);
    return text;
}
