/* The network: connections, what is published over them, and beacons. */
#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/frame.h"
#include "tests/sim/world_internal.h"

enum {
    SERVICE_PORT = 7711,
    BROKER_PORT = 7700,
    BEACON_MS = 500,
};

/* ---- connections ---- */

static bool is_reachable(const world_t *w, uint32_t from, uint32_t to)
{
    return !w->is_cut[from][to];
}

static int64_t delay(world_t *w)
{
    int64_t us = between(w, 100, 1500);
    return random_chance(&w->random, 20000) ? us + between(w, 0, 60 * MS) : us;
}

void transmit(world_t *w, uint32_t chan_number, bool is_forward, slice_t bytes)
{
    chan_t *c = &w->chans[chan_number];
    uint32_t from = is_forward ? c->from : c->to;
    uint32_t to = is_forward ? c->to : c->from;
    if (!c->is_open || !is_reachable(w, from, to)) {
        c->is_open = c->is_open && is_reachable(w, from, to);
        return;
    }
    int64_t at = w->now + delay(w);
    int64_t *last = &c->last[is_forward ? 0 : 1];
    at = at > *last ? at : *last + 1;
    *last = at;
    push_bytes(w,
               (event_t){.at = at,
                         .kind = is_forward ? EV_FORWARD : EV_BACKWARD,
                         .proc = to,
                         .life = is_forward ? c->to_life : c->from_life,
                         .chan = chan_number},
               bytes);
}

void break_chan(world_t *w, uint32_t number)
{
    chan_t *c = &w->chans[number];
    if (!c->is_open)
        return;
    c->is_open = false;
    push(w, (event_t){.at = w->now + between(w, 200, 3000),
                      .kind = EV_BROKEN,
                      .proc = c->from,
                      .life = c->from_life,
                      .chan = number});
}

static proc_t *proc_at(world_t *w, slice_t host)
{
    proc_kind_t kind = host.data[0] == 'n' ? NODE : BROKER;
    uint32_t index = (uint32_t)(host.data[1] - '0');
    for (uint32_t i = 0; i < w->procs_size; i++)
        if (w->procs[i].kind == kind && w->procs[i].index == index)
            return &w->procs[i];
    abort(); /* only hosts of this world are ever named */
}

void connect_chan(world_t *w, const proc_t *from, uint32_t link, slice_t host, uint16_t port)
{
    if (w->chans_size == w->chans_capacity)
        w->chans = mem_grow(w->chans, &w->chans_capacity, sizeof *w->chans);
    const proc_t *to = proc_at(w, host);
    uint32_t number = w->chans_size++;
    w->chans[number] = (chan_t){
        .is_open = true,
        .from = number_of(w, from),
        .from_life = from->life,
        .from_link = link,
        .to = number_of(w, to),
        .to_life = to->life,
        .port = port,
    };
    if (!to->is_up)
        break_chan(w, number); /* refused */
    if (from->kind != NODE || !to->is_up || !is_reachable(w, number_of(w, to), number_of(w, from)))
        return;
    buf_t joined = {0};
    peer_joined_put(&joined, CLUSTER, to->incarnation);
    push_bytes(w,
               (event_t){.at = w->now + delay(w),
                         .kind = EV_GOSSIP,
                         .proc = number_of(w, from),
                         .life = from->life,
                         .chan = UINT32_MAX},
               buf_slice(&joined));
    buf_free(&joined);
}

static uint32_t chan_of_link(const world_t *w, const proc_t *p, uint32_t link)
{
    for (uint32_t i = w->chans_size; i-- > 0;)
        if (w->chans[i].from == number_of(w, p) && w->chans[i].from_life == p->life &&
            w->chans[i].from_link == link)
            return i;
    return UINT32_MAX;
}

void disconnect_link(world_t *w, const proc_t *p, uint32_t link)
{
    uint32_t number = chan_of_link(w, p, link);
    if (number != UINT32_MAX)
        w->chans[number].is_open = false;
}

void send_link(world_t *w, const proc_t *p, uint32_t link, slice_t bytes)
{
    uint32_t number = chan_of_link(w, p, link);
    if (number != UINT32_MAX)
        transmit(w, number, true, bytes);
}

/* ---- what is published ---- */

static bool is_unheard(world_t *w, const chan_t *c, slice_t bytes)
{
    return c->deaf_until > w->now || (w->batch_loss_ppm != 0 && peer_kind(bytes) == PEER_BATCH &&
                                      random_chance(&w->random, w->batch_loss_ppm));
}

void publish(world_t *w, const proc_t *from, slice_t bytes)
{
    for (uint32_t i = 0; i < w->chans_size; i++) {
        const chan_t *c = &w->chans[i];
        /* Whoever has a channel to our peer port is subscribed as well. */
        if (!c->is_open || c->to != number_of(w, from) || c->port != PEER_PORT ||
            c->to_life != from->life || !is_reachable(w, c->to, c->from))
            continue;
        for (int copies = chance(w, 2) ? 2 : 1; copies > 0; copies--) {
            if (random_chance(&w->random, w->loss_ppm) || is_unheard(w, c, bytes))
                continue;
            push_bytes(w,
                       (event_t){.at = w->now + delay(w),
                                 .kind = EV_GOSSIP,
                                 .proc = c->from,
                                 .life = c->from_life,
                                 .chan = i},
                       bytes);
        }
    }
}

void hear_beacons(world_t *w, proc_t *p)
{
    now_t now = time_of(w, p);
    for (uint32_t i = 0; i < w->procs_size; i++) {
        const proc_t *other = &w->procs[i];
        char host[4];
        snprintf(host, sizeof host, "%c%u", other->kind == NODE ? 'n' : 'b', other->index);
        slice_t at = slice_text(host);
        if (other == p || !other->is_up || !is_reachable(w, i, number_of(w, p)) ||
            (w->now > QUIET_MS * MS && chance(w, 10)))
            continue;
        if (p->kind == NODE && other->kind == NODE)
            replica_candidate(p->replica, now, (uint16_t)other->index, other->incarnation, at,
                              PEER_PORT);
        if (p->kind == BROKER && other->kind == NODE) {
            frontend_candidate(p->frontend, now, (uint16_t)other->index, other->incarnation, at,
                               SERVICE_PORT);
            carry_out_frontend(w, p);
        }
        if (p->kind == CLIENT && other->kind == BROKER)
            client_broker(p->client, now, at, BROKER_PORT);
    }
    push(w, (event_t){.at = w->now + BEACON_MS * MS,
                      .kind = EV_BEACON,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/* ---- what arrives ---- */

static void forward_frame(world_t *w, proc_t *p, frontend_forward_t way, slice_t frame)
{
    if (way.way == FRONTEND_TO_CLIENT)
        transmit(w, way.target, false, frame);
    else if (way.way == FRONTEND_TO_REPLICA)
        send_link(w, p, way.target, frame);
}

void deliver_forward(world_t *w, proc_t *p, const event_t *e)
{
    slice_t bytes = slice_of(e->bytes, e->size);
    now_t now = time_of(w, p);
    if (p->kind == BROKER)
        forward_frame(w, p, frontend_client(p->frontend, now, e->chan, e->bytes, e->size), bytes);
    else if (w->chans[e->chan].port == SERVICE_PORT)
        replica_service(p->replica, now, e->chan, bytes);
    else
        replica_peer_router(p->replica, now, e->chan, bytes);
}

/* A session's request was refused with RETAG, and others of it are under way behind it. */
static void notice_retag(world_t *w, const proc_t *p, slice_t bytes)
{
    frame_t frame;
    reply_t reply;
    bool is_amid = false;
    for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++)
        is_amid |= p->pending[s] > 1;
    if (!is_amid || frame_read(bytes, &frame) != FRAME_GOOD || frame.kind != FRAME_REPLY)
        return;
    mp_t in = mp_open(frame_body(bytes));
    for (uint32_t items = mp_array(&in, FRAME_ITEMS_MAX); items > 0; items--)
        if (reply_read(&in, &reply))
            w->coverage->retagged_before += reply.outcome == OUTCOME_RETAG;
}

void deliver_backward(world_t *w, proc_t *p, const event_t *e)
{
    slice_t bytes = slice_of(e->bytes, e->size);
    uint32_t link = w->chans[e->chan].from_link;
    now_t now = time_of(w, p);
    if (p->kind == CLIENT)
        notice_retag(w, p, bytes);
    if (p->kind == BROKER)
        forward_frame(w, p, frontend_replica(p->frontend, now, link, e->bytes, e->size), bytes);
    else if (p->kind == CLIENT)
        client_frame(p->client, now, link, bytes);
    else
        replica_peer(p->replica, now, link, bytes);
}

void deliver_broken(world_t *w, proc_t *p, const event_t *e)
{
    uint32_t link = w->chans[e->chan].from_link;
    now_t now = time_of(w, p);
    if (p->kind == BROKER)
        frontend_replica_lost(p->frontend, now, link);
    else if (p->kind == CLIENT)
        client_connection_lost(p->client, now, link);
    else
        replica_peer_lost(p->replica, now, link);
}
