#include "replica/node/links.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/message.h"
#include "bus/net/watched.h"

enum {
    GOSSIP_PORT = 2, /* behind the first of the block */
    QUEUE = 1000,    /* messages in each direction */
    HEARTBEAT_MS = 1000,
};

typedef struct peer_link {
    links_t *owner;
    struct peer_link *next;
    uint32_t link;
    void *dealer;
    char gossip[ENDPOINT_TEXT_SIZE]; /* what the SUB is connected to for it */
} peer_link_t;

struct links {
    loop_t *loop;
    monitor_t *monitor;
    const curve_t *curve;
    int64_t message_max;
    links_message_fn *fn;
    void *arg;
    void *sub;
    peer_link_t *first; /* a handful: searched one by one */
    uint64_t malformed;
};

/* ---- receiving ---- */

static bool drain(links_t *self, void *socket, uint32_t link)
{
    for (int i = 0; i < LOOP_DRAIN; i++) {
        zmq_msg_t message;
        switch (message_take(socket, &message)) {
        case MESSAGE_NONE:
            return false;
        case MESSAGE_DROPPED:
            self->malformed++;
            break;
        case MESSAGE_TAKEN:
            self->fn(self->arg, link, message_slice(&message));
            zmq_msg_close(&message);
            break;
        }
    }
    return true;
}

static bool dealer_ready(void *arg)
{
    peer_link_t *peer = arg;
    return drain(peer->owner, peer->dealer, peer->link);
}

static bool gossip_ready(void *arg)
{
    links_t *self = arg;
    return drain(self, self->sub, 0);
}

/* ---- life ---- */

int links_new(links_t **out, loop_t *loop, monitor_t *monitor, const curve_t *curve,
              int64_t message_max, links_message_fn *fn, void *arg, err_t *err)
{
    const socket_options_t options = {
        .type = ZMQ_SUB,
        .message_max = message_max,
        .send_queue = QUEUE,
        .receive_queue = QUEUE,
        .heartbeat_ms = HEARTBEAT_MS,
        .peers = ROLE_NODE,
        .curve = curve,
    };
    links_t *self = mem_zero(1, sizeof(*self));

    *self = (links_t){.loop = loop,
                      .monitor = monitor,
                      .curve = curve,
                      .message_max = message_max,
                      .fn = fn,
                      .arg = arg};
    if (watched_open(&self->sub, &options, monitor, "sub", MONITOR_NO_TOKEN, err) != 0 ||
        loop_add_socket(loop, self->sub, gossip_ready, self, err) != 0) {
        links_destroy(&self);
        return -1;
    }
    zmq_setsockopt(self->sub, ZMQ_SUBSCRIBE, "", 0);
    *out = self;
    return 0;
}

void links_destroy(links_t **self_p)
{
    links_t *self = *self_p;
    if (self == NULL)
        return;
    while (self->first != NULL)
        links_disconnect(self, self->first->link);
    watched_close(&self->sub, self->loop, self->monitor);
    free(self);
    *self_p = NULL;
}

/* ---- connections ---- */

static int open_dealer(links_t *self, peer_link_t *peer, const endpoint_t *endpoint, err_t *err)
{
    const socket_options_t options = {
        .type = ZMQ_DEALER,
        .message_max = self->message_max,
        .send_queue = QUEUE,
        .receive_queue = QUEUE,
        .heartbeat_ms = HEARTBEAT_MS,
        .peers = ROLE_NODE,
        .curve = self->curve,
    };
    if (watched_open(&peer->dealer, &options, self->monitor, "dealer", peer->link, err) != 0)
        return -1;
    if (loop_add_socket(self->loop, peer->dealer, dealer_ready, peer, err) == 0 &&
        socket_connect(peer->dealer, endpoint, err) == 0)
        return 0;
    watched_close(&peer->dealer, self->loop, self->monitor);
    return -1;
}

/* True when another link than this one has the SUB connected to the same place. */
static bool is_shared(const links_t *self, const peer_link_t *than)
{
    for (const peer_link_t *i = self->first; i != NULL; i = i->next)
        if (i != than && strcmp(i->gossip, than->gossip) == 0)
            return true;
    return false;
}

int links_connect(links_t *self, uint32_t link, slice_t host, uint16_t port, err_t *err)
{
    endpoint_t endpoint;

    assert(link != 0);
    if (port > UINT16_MAX - GOSSIP_PORT)
        return err_set(err, OUTCOME_USAGE, "no address of a node: port %u", port);
    if (!endpoint_of(host, port, &endpoint, err))
        return -1;
    peer_link_t *peer = mem_zero(1, sizeof(*peer));
    peer->owner = self;
    peer->link = link;
    if (open_dealer(self, peer, &endpoint, err) != 0) {
        free(peer);
        return -1;
    }
    endpoint.port = (uint16_t)(port + GOSSIP_PORT);
    endpoint_format(&endpoint, peer->gossip);
    peer->next = self->first;
    self->first = peer;
    /* A SUB connects once to one place: who was there first shares it. */
    if (is_shared(self, peer) || zmq_connect(self->sub, peer->gossip) == 0)
        return 0;
    links_disconnect(self, link);
    return err_set(err, OUTCOME_NOT_REACHED, "cannot subscribe at %.80s: %s", peer->gossip,
                   zmq_strerror(zmq_errno()));
}

static peer_link_t **place_of(links_t *self, uint32_t link)
{
    peer_link_t **at = &self->first;
    while (*at != NULL && (*at)->link != link)
        at = &(*at)->next;
    return at;
}

void links_disconnect(links_t *self, uint32_t link)
{
    peer_link_t **at = place_of(self, link);
    peer_link_t *peer = *at;
    if (peer == NULL)
        return;
    *at = peer->next;
    if (!is_shared(self, peer))
        zmq_disconnect(self->sub, peer->gossip);
    watched_close(&peer->dealer, self->loop, self->monitor);
    free(peer);
}

bool links_send(links_t *self, uint32_t link, slice_t message)
{
    const peer_link_t *peer = *place_of(self, link);
    return peer != NULL && message_send(peer->dealer, message);
}

static void hold(links_t *self, void *socket, loop_ready_fn *fn, void *arg, bool is_held)
{
    if (is_held)
        loop_remove_socket(self->loop, socket);
    else
        (void)loop_add_socket(self->loop, socket, fn, arg, NULL); /* it was there before */
}

void links_hold(links_t *self, bool is_held)
{
    hold(self, self->sub, gossip_ready, self, is_held);
    for (peer_link_t *i = self->first; i != NULL; i = i->next)
        hold(self, i->dealer, dealer_ready, i, is_held);
}

uint64_t links_malformed(const links_t *self)
{
    return self->malformed;
}
