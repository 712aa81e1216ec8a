#include "bus/net/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/net/runtime.h"

enum { DRAIN_MAX = 64 };

typedef struct loopback {
    zsock_t *pipe;
    int fd;
    struct sockaddr_in everyone;
    uint8_t packet[LOOPBACK_PACKET_MAX]; /* what is published */
    size_t packet_size;
    bool publishing;
    int interval_ms;
    int64_t next_ms;
    uint8_t prefix[LOOPBACK_PACKET_MAX];
    size_t prefix_size;
    bool subscribed;
} loopback_t;

/* ---- the UDP socket ---- */

static bool set_flag(int fd, int option)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)) == 0;
}

/*
 * Bound to the broadcast address itself: every program of the machine that is gets each packet, and
 * nothing that comes from outside does. -1 with errno.
 */
static int open_udp(struct sockaddr_in *everyone, int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0)
        return -1;
    *everyone = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.255.255.255", &everyone->sin_addr);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
        set_flag(fd, SO_REUSEADDR) && set_flag(fd, SO_REUSEPORT) && set_flag(fd, SO_BROADCAST)) {
        struct sockaddr_storage address = {0};
        memcpy(&address, everyone, sizeof(*everyone));
        if (bind(fd, (struct sockaddr *)&address, sizeof(*everyone)) == 0)
            return fd;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Not sent is not an error: it is sent again after the interval. */
static void transmit(loopback_t *self)
{
    struct sockaddr_storage address = {0};
    memcpy(&address, &self->everyone, sizeof(self->everyone));
    if (sendto(self->fd, self->packet, self->packet_size, 0, (struct sockaddr *)&address,
               sizeof(self->everyone)) < 0)
        return;
}

static bool is_wanted(const loopback_t *self, const uint8_t *data, size_t size)
{
    if (!self->subscribed || size < self->prefix_size ||
        memcmp(data, self->prefix, self->prefix_size) != 0)
        return false;
    return !(self->publishing && size == self->packet_size &&
             memcmp(data, self->packet, size) == 0);
}

static void receive(loopback_t *self)
{
    void *pipe = zsock_resolve(self->pipe);

    for (int i = 0; i < DRAIN_MAX; i++) {
        uint8_t data[LOOPBACK_PACKET_MAX + 1];
        struct sockaddr_in sender = {0};
        struct sockaddr_storage from;
        socklen_t length = sizeof(from);
        char text[INET_ADDRSTRLEN];
        ssize_t n = recvfrom(self->fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length);
        if (n < 0)
            return;
        memcpy(&sender, &from, sizeof(sender));
        if (n > LOOPBACK_PACKET_MAX || from.ss_family != AF_INET ||
            ntohl(sender.sin_addr.s_addr) >> 24 != 127 || !is_wanted(self, data, (size_t)n) ||
            inet_ntop(AF_INET, &sender.sin_addr, text, sizeof(text)) == NULL)
            continue;
        /* A full pipe drops packets, as UDP does. */
        if (zmq_send(pipe, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
            zmq_send(pipe, data, (size_t)n, 0);
    }
}

/* ---- commands ---- */

static void configure(loopback_t *self, zmsg_t *message)
{
    char *port = zmsg_popstr(message);
    int number = port == NULL ? 0 : atoi(port);

    zstr_free(&port);
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    errno = EINVAL;
    if (number > 0 && number <= 65535)
        self->fd = open_udp(&self->everyone, number);
    if (self->fd >= 0)
        zstr_send(self->pipe, "127.0.0.1");
    else
        zstr_sendx(self->pipe, "", strerror(errno), NULL);
}

/* Copies a frame of up to LOOPBACK_PACKET_MAX bytes; false when there is none or it is longer. */
static bool take_frame(zmsg_t *message, uint8_t out[LOOPBACK_PACKET_MAX], size_t *size)
{
    zframe_t *frame = zmsg_pop(message);
    bool good = frame != NULL && zframe_size(frame) <= LOOPBACK_PACKET_MAX;

    if (good) {
        *size = zframe_size(frame);
        memcpy(out, zframe_data(frame), *size);
    }
    zframe_destroy(&frame);
    return good;
}

static void publish(loopback_t *self, zmsg_t *message)
{
    bool good = take_frame(message, self->packet, &self->packet_size);
    char *interval = zmsg_popstr(message);

    self->interval_ms = interval == NULL ? 0 : atoi(interval);
    zstr_free(&interval);
    self->publishing = good && self->interval_ms > 0;
    self->next_ms = net_now().boot_ms;
}

/* Serves one command; false when the actor is to end. */
static bool command(loopback_t *self)
{
    zmsg_t *message = zmsg_recv(self->pipe);
    char *name;
    bool go_on = true;

    if (message == NULL)
        return false;
    name = zmsg_popstr(message);
    if (name == NULL || streq(name, "$TERM"))
        go_on = false;
    else if (streq(name, "CONFIGURE"))
        configure(self, message);
    else if (streq(name, "PUBLISH"))
        publish(self, message);
    else if (streq(name, "SILENCE"))
        self->publishing = false;
    else if (streq(name, "SUBSCRIBE"))
        self->subscribed = take_frame(message, self->prefix, &self->prefix_size);
    else if (streq(name, "UNSUBSCRIBE"))
        self->subscribed = false;
    zstr_free(&name);
    zmsg_destroy(&message);
    return go_on;
}

/* ---- the actor ---- */

/* Sends when it is time to; returns how long to wait, -1 for ever. */
static long publish_due(loopback_t *self)
{
    int64_t now_ms = net_now().boot_ms;

    if (!self->publishing || self->fd < 0)
        return -1;
    if (now_ms >= self->next_ms) {
        transmit(self);
        self->next_ms = now_ms + self->interval_ms;
    }
    return (long)(self->next_ms - now_ms);
}

void loopback_actor(zsock_t *pipe, void *unused)
{
    loopback_t self = {.pipe = pipe, .fd = -1};
    bool go_on = true;

    (void)unused;
    zsock_signal(pipe, 0);
    while (go_on) {
        zmq_pollitem_t items[2] = {
            {.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN},
            {.fd = self.fd, .events = ZMQ_POLLIN},
        };
        long wait_ms = publish_due(&self);
        if (zmq_poll(items, self.fd >= 0 ? 2 : 1, wait_ms) < 0) {
            go_on = errno == EINTR;
            continue;
        }
        /* Commands first: a packet sent after a SUBSCRIBE is to be heard. */
        while (go_on && (zsock_events(pipe) & ZMQ_POLLIN) != 0)
            go_on = command(&self);
        if (go_on && self.fd >= 0 && (items[1].revents & ZMQ_POLLIN) != 0)
            receive(&self);
    }
    if (self.fd >= 0)
        close(self.fd);
}
