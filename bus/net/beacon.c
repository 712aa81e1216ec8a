#include "bus/net/beacon.h"

#include <arpa/inet.h>
#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/net/loopback.h"
#include "bus/net/runtime.h"

enum {
    DROPS_MAX = 256,   /* dropped packets in one finder_receive() */
    COMMAND_MS = 2000, /* an actor that takes no command for so long is stuck */
    SPARE_FDS = 16,    /* zbeacon aborts the process when it gets no descriptor */
};

/* A program of which signed packets came. */
typedef struct heard {
    uint64_t incarnation; /* 0: no entry */
    uint64_t counter;     /* of the last packet */
} heard_t;

struct finder {
    const curve_t *curve; /* NULL: without keys */
    denied_t *denied;     /* NULL: nobody is told */
    heard_t heard[FINDER_HEARD_MAX];
    uint32_t next_heard;
    zactor_t *actor;
    void *socket;
    beacon_t packet; /* what is published, or was last; incarnation 0: nothing ever */
    bool publishing;
    int interval_ms;
    uint64_t counter;
    int64_t sent_ms;
    bool owed; /* a finder_publish_now() waits for FINDER_QUIET_MS to be over */
    finder_counts_t counts;
};

/* ---- opening ---- */

static bool is_loopback(const char *interface)
{
    return strcmp(interface, "lo") == 0 || strcmp(interface, "127.0.0.1") == 0;
}

/* True when the system gives SPARE_FDS descriptors more. */
static bool has_spare_fds(void)
{
    int fds[SPARE_FDS];
    int n = 0;

    while (n < SPARE_FDS && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    for (int i = 0; i < n; i++)
        close(fds[i]);
    return n == SPARE_FDS;
}

/* Appends a name to a list of names, each once, as far as there is room. */
static void list_name(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);
    if (strstr(list, name) == NULL && used + strlen(name) + 3 < size)
        snprintf(list + used, size - used, "%s%s", used == 0 ? "" : ", ", name);
}

/* What zbeacon needs, checked before: without it czmq is mute or aborts the process. */
static int check_interface(const char *interface, err_t *err)
{
    const unsigned wanted = IFF_UP | IFF_BROADCAST;
    struct ifaddrs *all = NULL;
    char usable[160] = "lo";
    bool exists = false;
    bool found = false;

    if (getifaddrs(&all) != 0)
        return err_set(err, OUTCOME_NOT_REACHED, "cannot list the network interfaces: %s",
                       strerror(errno));
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        bool usable_one = i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
                          (i->ifa_flags & wanted) == wanted && (i->ifa_flags & IFF_LOOPBACK) == 0;
        bool same = strcmp(i->ifa_name, interface) == 0;
        exists |= same;
        found |= same && usable_one;
        if (usable_one)
            list_name(usable, sizeof(usable), i->ifa_name);
    }
    freeifaddrs(all);
    if (found)
        return 0;
    if (!exists)
        return err_set(err, OUTCOME_USAGE,
                       "there is no network interface \"%.40s\": give one of %s with --interface",
                       interface, usable);
    return err_set(
        err, OUTCOME_NOT_REACHED,
        "interface %.40s is down or has no IPv4 broadcast address: set it up, or give one "
        "of %s with --interface",
        interface, usable);
}

/* Has the actor open its UDP port; 0, or -1 with err. */
static int configure(finder_t *self, const char *interface, int port, err_t *err)
{
    zmsg_t *reply;
    char *host;
    char *why;
    int rc = 0;

    zsock_send(self->actor, "si", "CONFIGURE", port);
    reply = zmsg_recv(self->actor);
    host = reply == NULL ? NULL : zmsg_popstr(reply);
    why = reply == NULL ? NULL : zmsg_popstr(reply);
    if (host == NULL || host[0] == '\0')
        rc = err_set(err, OUTCOME_NOT_REACHED,
                     "cannot use UDP port %d on %.40s for beacons: %.100s; give another with "
                     "--beacon-port, or none of it with --peer",
                     port, interface, why == NULL ? "no answer" : why);
    zstr_free(&host);
    zstr_free(&why);
    zmsg_destroy(&reply);
    return rc;
}

int finder_open(finder_t **out, const char *interface, int port, const curve_t *curve,
                denied_t *denied, err_t *err)
{
    bool loopback = is_loopback(interface);
    finder_t *self;

    if (curve != NULL && curve_check_beacons(curve, err) != 0)
        return -1;
    if (port < 1 || port > 65535)
        return err_set(err, OUTCOME_USAGE, "%d is no port: give one from 1 to 65535", port);
    if (!loopback && check_interface(interface, err) != 0)
        return -1;
    if (!has_spare_fds())
        return err_set(err, OUTCOME_FULL,
                       "no file descriptors left for beacons: raise the limit (ulimit -n)");
    self = mem_zero(1, sizeof(*self));
    self->curve = curve;
    self->denied = denied;
    if (!loopback)
        zsys_set_interface(interface);
    self->actor = zactor_new(loopback ? loopback_actor : zbeacon, NULL);
    if (self->actor == NULL) {
        free(self);
        return err_set(err, OUTCOME_FULL, "cannot start the beacon's thread: %s", strerror(errno));
    }
    self->socket = zactor_resolve(self->actor);
    zsock_set_sndtimeo(zactor_sock(self->actor), COMMAND_MS);
    zsock_set_rcvtimeo(zactor_sock(self->actor), COMMAND_MS);
    if (configure(self, interface, port, err) != 0) {
        finder_destroy(&self);
        return -1;
    }
    zsock_send(self->actor, "sb", "SUBSCRIBE", "", (size_t)0);
    *out = self;
    return 0;
}

void finder_destroy(finder_t **self)
{
    if (*self == NULL)
        return;
    zactor_destroy(&(*self)->actor);
    free(*self);
    *self = NULL;
}

void *finder_socket(finder_t *self)
{
    return self->socket;
}

/* ---- sending ---- */

/* Encodes the packet; with keys it says so and is signed. */
static void encode(finder_t *self, uint8_t bytes[BEACON_SIZE])
{
    if (self->curve != NULL)
        self->packet.flags |= BEACON_HAS_KEYS;
    beacon_encode(&self->packet, bytes);
    if (self->curve != NULL)
        curve_sign(self->curve, slice_of(bytes, BEACON_SIGNED_SIZE), bytes + BEACON_SIGNED_SIZE);
}

static void send_packet(finder_t *self)
{
    uint8_t bytes[BEACON_SIZE];

    self->packet.counter = ++self->counter;
    encode(self, bytes);
    /* Both actors send at once what they are given to publish. */
    zsock_send(self->actor, "sbi", "PUBLISH", bytes, sizeof(bytes), self->interval_ms);
    self->sent_ms = net_now().boot_ms;
    self->owed = false;
}

void finder_publish(finder_t *self, const beacon_t *packet, int interval_ms)
{
    assert(interval_ms > 0 && packet->incarnation != 0);
    self->packet = *packet;
    self->interval_ms = interval_ms;
    self->publishing = true;
    send_packet(self);
}

void finder_publish_now(finder_t *self)
{
    if (!self->publishing)
        return;
    self->owed = true;
    finder_tick(self);
}

int64_t finder_deadline(const finder_t *self)
{
    return self->owed ? self->sent_ms + FINDER_QUIET_MS : INT64_MAX;
}

void finder_tick(finder_t *self)
{
    if (self->owed && net_now().boot_ms >= finder_deadline(self))
        send_packet(self);
}

void finder_silence(finder_t *self)
{
    self->publishing = false;
    self->owed = false;
    zstr_sendx(self->actor, "SILENCE", NULL);
}

/* ---- receiving ---- */

/* One frame into data, cut to capacity; its whole size, or -1 when there is none. */
static int take_frame(void *socket, void *data, size_t capacity, bool *more)
{
    zmq_msg_t frame;
    int size;

    zmq_msg_init(&frame);
    size = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT);
    *more = size >= 0 && zmq_msg_more(&frame) != 0;
    if (size > 0)
        memcpy(data, zmq_msg_data(&frame), (size_t)size < capacity ? (size_t)size : capacity);
    zmq_msg_close(&frame);
    return size;
}

/* The sender's address and a packet; false when none waits. A packet of wrong form has size 0. */
static bool take_packet(finder_t *self, char address[FINDER_ADDRESS_SIZE], uint8_t *data,
                        size_t *size)
{
    uint8_t rest[1];
    bool more;
    int address_size = take_frame(self->socket, address, FINDER_ADDRESS_SIZE - 1, &more);
    int packet_size = 0;

    if (address_size < 0)
        return false;
    if (more)
        packet_size = take_frame(self->socket, data, BEACON_SIZE, &more);
    while (more)
        take_frame(self->socket, rest, 0, &more);
    *size = packet_size == BEACON_SIZE && address_size < FINDER_ADDRESS_SIZE ? BEACON_SIZE : 0;
    if (address_size < FINDER_ADDRESS_SIZE)
        address[address_size] = '\0';
    return true;
}

/* The address to use as text: that of the packet, or the sender's in its plainest form. */
static void choose_address(const beacon_t *packet, char address[FINDER_ADDRESS_SIZE])
{
    static const uint8_t zeros[16] = {0};
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    static const char prefix[] = "::ffff:";

    if (memcmp(packet->address, zeros, sizeof(zeros)) == 0) {
        if (strncmp(address, prefix, sizeof(prefix) - 1) == 0 && strchr(address, '.') != NULL)
            memmove(address, address + sizeof(prefix) - 1, strlen(address) - sizeof(prefix) + 2);
        return;
    }
    if (memcmp(packet->address, mapped, sizeof(mapped)) == 0)
        inet_ntop(AF_INET, packet->address + 12, address, FINDER_ADDRESS_SIZE);
    else
        inet_ntop(AF_INET6, packet->address, address, FINDER_ADDRESS_SIZE);
}

/* NULL when a packet comes from who has what we have: the cluster's secret, or no keys at all. */
static const char *why_denied(const finder_t *self, const beacon_t *packet, const uint8_t *bytes)
{
    bool has_keys = (packet->flags & BEACON_HAS_KEYS) != 0;

    if (self->curve == NULL)
        return has_keys ? "its beacon says that it speaks with keys alone: give --curve" : NULL;
    if (!has_keys)
        return "its beacon says that it speaks without keys: give it --curve";
    return curve_is_signed(self->curve, slice_of(bytes, BEACON_SIGNED_SIZE), packet->mac)
               ? NULL
               : "its beacon is signed with another secret: is one of the folders of keys another "
                 "cluster's?";
}

/* Into the list of those who were turned away, unless neither could be what the other looks for. */
static void tell_denied(finder_t *self, const beacon_t *packet, const char *address,
                        const char *why)
{
    char who[FINDER_ADDRESS_SIZE + 16];

    self->counts.denied++;
    if (self->denied == NULL ||
        (packet->kind == BEACON_SEEKER && self->packet.kind == BEACON_SEEKER))
        return;
    if (packet->port != 0)
        snprintf(who, sizeof(who), "%s:%u", address, packet->port);
    else
        snprintf(who, sizeof(who), "%s", address);
    denied_put(self->denied, who, why, true);
}

/*
 * True for a signed packet older than the last one of its sender. An equal one is a repeat: who
 * replays that says what the sender said last.
 */
static bool is_stale(finder_t *self, const beacon_t *packet)
{
    for (uint32_t i = 0; i < FINDER_HEARD_MAX; i++) {
        heard_t *heard = &self->heard[i];
        if (heard->incarnation != packet->incarnation)
            continue;
        if (packet->counter < heard->counter)
            return true;
        heard->counter = packet->counter;
        return false;
    }
    self->heard[self->next_heard] = (heard_t){packet->incarnation, packet->counter};
    self->next_heard = (self->next_heard + 1) % FINDER_HEARD_MAX;
    return false;
}

bool finder_receive(finder_t *self, beacon_t *packet, char address[FINDER_ADDRESS_SIZE])
{
    uint8_t data[BEACON_SIZE];
    const char *why;
    size_t size;

    for (int i = 0; i < DROPS_MAX && take_packet(self, address, data, &size); i++) {
        self->counts.received++;
        if (!beacon_decode(slice_of(data, size), packet)) {
            self->counts.malformed++;
        } else if (self->packet.incarnation != 0 && packet->cluster != self->packet.cluster) {
            self->counts.foreign++;
        } else if (packet->incarnation == self->packet.incarnation) {
            self->counts.own++;
        } else if ((why = why_denied(self, packet, data)) != NULL) {
            choose_address(packet, address);
            tell_denied(self, packet, address, why);
        } else if (self->curve != NULL && is_stale(self, packet)) {
            self->counts.stale++;
        } else {
            choose_address(packet, address);
            return true;
        }
    }
    return false;
}

finder_counts_t finder_counts(const finder_t *self)
{
    return self->counts;
}
