/*
 * Gossip: who the peers are, what they have, and how updates get from one to the other.
 *
 * New updates are published at once; a round with the value timestamp follows each burst and comes
 * every gossip interval, so that a lost message is noticed (Ladin et al. 1992, section 4: gossip
 * carries the sender's timestamp). What is lacking is pulled from one peer at a time, in the order
 * of its log, in which every record can be applied as it comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/core/internal.h"
#include "replica/core/seglog.h"

enum {
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 5000,
    PULL_DELAY_MS = 20,     /* the stream may still bring it */
    PULL_TIMEOUT_MS = 1000, /* then another peer is asked */
    BLIND_PULL_MS = 100,  /* between pulls for waiting sessions, when nobody is known to have it */
    BURST_ROUND_MS = 100, /* after the last update of a burst */
    GAP_AGAIN_MS = 1000,  /* until a peer whose log did not go back far enough is asked again */
    GAP_MS = 500,         /* in which another peer may be found whose log goes back far enough */
};

static void greet(replica_t *self, peer_t *peer);

/* ---- finding peers in the table ---- */

static peer_t *peer_by_link(replica_t *self, uint32_t link)
{
    for (size_t i = 0; i < self->peers_size; i++)
        if (self->peers[i].state != PEER_IDLE && self->peers[i].link == link)
            return &self->peers[i];
    return NULL;
}

peer_t *gossip_peer(replica_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->peers_size; i++)
        if (incarnation != 0 && self->peers[i].incarnation == incarnation)
            return &self->peers[i];
    return NULL;
}

peer_t *gossip_peer_of_id(replica_t *self, uint16_t id)
{
    for (size_t i = 0; i < self->peers_size; i++)
        if (self->peers[i].incarnation != 0 && self->peers[i].id == id &&
            self->peers[i].state == PEER_READY)
            return &self->peers[i];
    return NULL;
}

static bool is_at(const peer_t *peer, slice_t host, uint16_t port)
{
    return peer->port == port && slice_equal(slice_text(peer->host), host);
}

static void disconnect(replica_t *self, peer_t *peer)
{
    if (peer->state == PEER_IDLE)
        return;
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, peer->host);
    replica_emit(self, REPLICA_DISCONNECT, peer->link, offset)->port = peer->port;
    if (self->pull.is_open && self->pull.link == peer->link)
        self->pull.is_open = false;
    peer->state = PEER_IDLE;
    self->has_new_copies = true; /* there may be fewer to wait for */
}

static void remove_peer(replica_t *self, peer_t *peer)
{
    disconnect(self, peer);
    vec_free(&peer->vector);
    self->peers_size--;
    *peer = self->peers[self->peers_size];
}

/* Why a peer is lost that may still be there, behind a link that is not. */
static const char silent[] = "silent";

static void lose(replica_t *self, peer_t *peer, const char *why)
{
    if (peer->state == PEER_READY)
        peer->answered_ms = peer->heard_ms;
    if (peer->state == PEER_READY)
        replica_note(self, NOTE_INFO, "[%s] peer lost id=%u incarnation=%016llx why=\"%s\"",
                     why == silent ? "suspect" : "leave", peer->id,
                     (unsigned long long)peer->incarnation, why);
    disconnect(self, peer);
    peer->retry_ms = self->now.boot_ms + peer->retry_step_ms;
    peer->retry_step_ms =
        peer->retry_step_ms * 2 < RETRY_MAX_MS ? peer->retry_step_ms * 2 : RETRY_MAX_MS;
}

/* A place in the table; when it is full the peer lost longest ago makes room, or nobody does. */
static peer_t *add_peer(replica_t *self)
{
    if (self->peers == NULL)
        self->peers = mem_zero(REPLICA_PEERS_MAX, sizeof *self->peers);
    if (self->peers_size == REPLICA_PEERS_MAX) {
        peer_t *oldest = NULL;
        for (size_t i = 0; i < self->peers_size; i++) {
            peer_t *peer = &self->peers[i];
            if (peer->state != PEER_READY && !peer->is_static &&
                (oldest == NULL || peer->seen_ms < oldest->seen_ms))
                oldest = peer;
        }
        if (oldest == NULL)
            return NULL;
        remove_peer(self, oldest);
    }
    peer_t *peer = &self->peers[self->peers_size++];
    *peer = (peer_t){.retry_step_ms = RETRY_MIN_MS};
    return peer;
}

void replica_candidate(replica_t *self, now_t now, uint16_t id, uint64_t incarnation, slice_t host,
                       uint16_t port)
{
    replica_enter(self, now);
    if (incarnation == self->config.incarnation || host.size == 0 || host.size > PEER_HOST_MAX)
        return;
    peer_t *peer = gossip_peer(self, incarnation);
    for (size_t i = 0; peer == NULL && i < self->peers_size; i++)
        if (is_at(&self->peers[i], host, port) &&
            (incarnation == 0 || self->peers[i].incarnation == 0))
            peer = &self->peers[i];
    if (peer != NULL && peer->state == PEER_READY) {
        peer->seen_ms = now.boot_ms;
        return;
    }
    bool is_new = peer == NULL;
    if (is_new) {
        peer = add_peer(self);
        if (peer == NULL) {
            replica_note(self, NOTE_WARN,
                         "[limit] peer table full, node not taken in id=%u most=%d", id,
                         REPLICA_PEERS_MAX);
            return;
        }
    }
    if (incarnation == 0)
        peer->is_static = true;
    else if (!peer->is_static || peer->incarnation == 0) {
        peer->incarnation = incarnation;
        peer->id = id;
    }
    if (!is_at(peer, host, port) && peer->state == PEER_IDLE) {
        memcpy(peer->host, host.data, host.size);
        peer->host[host.size] = '\0';
        peer->port = port;
    }
    peer->seen_ms = now.boot_ms;
    if (is_new)
        greet(self, peer);
}

void gossip_greet_again(replica_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->peers_size; i++) {
        peer_t *peer = &self->peers[i];
        if (peer->incarnation != incarnation && peer->incarnation != 0)
            continue;
        peer->retry_ms = self->now.boot_ms;
        peer->retry_step_ms = RETRY_MIN_MS;
    }
}

/* ---- HELLO and WELCOME ---- */

/* A node that is joining can give nothing to anybody but the donor. */
static uint8_t said_status(const replica_t *self)
{
    unsigned joining = self->joining.state != JOINING_NOT ? PEER_IS_JOINING : 0;
    if (self->joining.state == JOINING_WRITING)
        joining |= PEER_IS_WRITING;
    return (uint8_t)(self->status | joining);
}

static uint8_t plain_status(uint8_t said)
{
    return (uint8_t)(said & ~(PEER_IS_JOINING | PEER_IS_WRITING));
}

static void take_status(peer_t *peer, uint8_t status)
{
    /* It has taken over a state, which may lack what it had: what it says next counts alone. */
    if (peer->is_joining && (status & PEER_IS_JOINING) == 0) {
        vec_reset(&peer->vector);
        peer->must_pull = true;
    }
    peer->is_joining = (status & PEER_IS_JOINING) != 0;
    peer->is_writing = (status & PEER_IS_WRITING) != 0;
    peer->status = plain_status(status);
}

static void put_hello(replica_t *self, peer_kind_t kind, bool is_too_far_back)
{
    peer_neighbour_t neighbours[REPLICA_PEERS_MAX];
    uint32_t count = 0;
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[i];
        if (peer->state == PEER_READY)
            neighbours[count++] = (peer_neighbour_t){
                peer->id, peer->incarnation, {slice_text(peer->host), peer->port}};
    }
    const peer_hello_t hello = {
        .cluster = self->config.cluster,
        .lineage = self->lineage,
        .lineage_is_fixed = self->lineage_is_fixed,
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .age_ms = self->now.boot_ms - self->started_ms,
        .status = said_status(self),
        .clock = replica_clock(self),
        .address = {slice_text(self->host), self->config.port},
        .neighbours = count,
        .machine = self->config.machine,
        .floor = self->said_floor,
        .has_gap = is_too_far_back,
        .ended = buf_slice(&self->ended_bytes),
        .members = buf_slice(&self->member_rows),
    };
    peer_hello_put(&self->arena, kind, &hello, stability_wire(self, gossip_vector(self)),
                   neighbours);
}

static void greet(replica_t *self, peer_t *peer)
{
    peer->link = self->next_link++;
    peer->state = PEER_GREETED;
    peer->heard_ms = peer->pinged_ms = self->now.boot_ms;
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, peer->host);
    replica_emit(self, REPLICA_CONNECT, peer->link, offset)->port = peer->port;
    offset = self->arena.size;
    put_hello(self, PEER_HELLO, false);
    replica_emit(self, REPLICA_TO_PEER, peer->link, offset);
}

/*
 * Whether a node of this cluster and lineage speaks; a lineage is settled on the way: what is fixed
 * is taken over by who has no data, and of two proposals the lesser. *why says what is wrong.
 */
static bool settle_lineage(replica_t *self, uint64_t lineage, bool is_fixed, char *why, size_t size)
{
    if (lineage == self->lineage) {
        if (is_fixed && !self->lineage_is_fixed)
            replica_fix_lineage(self, lineage);
        return true;
    }
    if (is_fixed && self->lineage_is_fixed) {
        self->counts.foreign++;
        snprintf(why, size,
                 "its data is of lineage %016llx and ours of %016llx: they are two clusters' data; "
                 "give one of them another --cluster name, or start it with an empty folder",
                 (unsigned long long)lineage, (unsigned long long)self->lineage);
        return false;
    }
    if (is_fixed)
        replica_fix_lineage(self, lineage);
    else if (!self->lineage_is_fixed && lineage < self->lineage)
        self->lineage = lineage;
    return true;
}

/*
 * Whether what a node publishes is of our data. A peer that turns out to be of other data, as when
 * two that began without any took an update each at the same time, is let go.
 */
static bool is_our_lineage(replica_t *self, peer_t *peer, uint64_t lineage, bool is_fixed)
{
    char why[ERR_TEXT_SIZE];
    if (lineage == 0) {
        self->counts.malformed++;
        return false;
    }
    if (settle_lineage(self, lineage, is_fixed, why, sizeof why))
        return true;
    if (peer != NULL && peer->state == PEER_READY) {
        replica_note(self, NOTE_WARN,
                     "[lineage-clash] node refused id=%u incarnation=%016llx why=\"%s\"", peer->id,
                     (unsigned long long)peer->incarnation, why);
        lose(self, peer, "of another lineage");
        peer->retry_step_ms = RETRY_MAX_MS;
    }
    return false;
}

/*
 * Two live nodes with one id: the older start keeps it. Ages are compared across a network delay,
 * so of two that started together the lesser incarnation counts as the older one: both must agree.
 */
static bool is_older_than_us(const replica_t *self, const peer_hello_t *hello)
{
    enum { TOGETHER_MS = 1000 };
    int64_t older_ms = hello->age_ms - (self->now.boot_ms - self->started_ms);
    if (older_ms > -TOGETHER_MS && older_ms < TOGETHER_MS)
        return hello->incarnation < self->config.incarnation;
    return older_ms > 0;
}

static void stop_for_id(replica_t *self, const char *host, uint16_t port)
{
    replica_stop(self,
                 "[id-clash] id %u is taken: a node with this id runs at %s port %u; stop that "
                 "node first or "
                 "start this one with another id",
                 self->config.id, host, port);
}

static void take_neighbours(replica_t *self, const peer_hello_t *hello)
{
    mp_t in = mp_open(hello->neighbours_at);
    peer_neighbour_t neighbour;
    for (uint32_t i = 0; i < hello->neighbours && peer_neighbour_read(&in, &neighbour); i++)
        replica_candidate(self, self->now, neighbour.id, neighbour.incarnation,
                          neighbour.address.host, neighbour.address.port);
}

/* True when who has this much lacks what is gone from our log. */
static bool lacks_dropped(replica_t *self, const peer_hello_t *hello)
{
    return !peer_vector_read(hello->vector, hello->ended, &self->vector, &self->wire) ||
           !vec_covers(&self->vector, &self->dropped);
}

/* A HELLO at our ROUTER: answer, and connect back to who is not known yet. */
static void take_hello(replica_t *self, uint32_t link, slice_t message)
{
    peer_hello_t hello;
    if (!peer_hello_read(message, &hello)) {
        self->counts.malformed++;
        return;
    }
    if (hello.cluster != self->config.cluster || hello.incarnation == self->config.incarnation) {
        self->counts.foreign += hello.cluster != self->config.cluster;
        return;
    }
    char why[ERR_TEXT_SIZE] = "";
    bool id_taken = hello.id == self->config.id;
    char host[PEER_HOST_MAX + 1];
    snprintf(host, sizeof host, "%.*s", (int)hello.address.host.size,
             (const char *)hello.address.host.data);
    if (id_taken && is_older_than_us(self, &hello)) {
        stop_for_id(self, host, hello.address.port);
        return;
    }
    if (id_taken)
        snprintf(why, sizeof why, "id %u is taken", self->config.id);
    const char *event = NULL;
    if (id_taken)
        event = "id-clash";
    else if (!settle_lineage(self, hello.lineage, hello.lineage_is_fixed, why, sizeof why))
        event = "lineage-clash";
    else if (drift_refuses(self, &hello, why, sizeof why))
        event = "clock";
    if (event != NULL) {
        const peer_refused_t refused = {self->config.incarnation, id_taken, slice_text(why)};
        size_t offset = self->arena.size;
        peer_refused_put(&self->arena, &refused);
        replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
        replica_note(self, NOTE_WARN, "[%s] node refused id=%u incarnation=%016llx why=\"%s\"",
                     event, hello.id, (unsigned long long)hello.incarnation, why);
        return;
    }
    if (!stability_take_rows(self, hello.members)) {
        self->counts.malformed++;
        return;
    }
    drift_take_in(self, &hello);
    stability_take_in(self, hello.id, hello.incarnation);
    bool is_too_far_back = lacks_dropped(self, &hello);
    size_t offset = self->arena.size;
    put_hello(self, PEER_WELCOME, is_too_far_back);
    replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
    replica_candidate(self, self->now, hello.id, hello.incarnation, hello.address.host,
                      hello.address.port);
    take_neighbours(self, &hello);
}

/* The same id, or the same place, under another incarnation: that one is history. */
static void remove_predecessors(replica_t *self, uint64_t incarnation)
{
    const peer_t *present = gossip_peer(self, incarnation);
    for (size_t i = self->peers_size; present != NULL && i-- > 0;) {
        peer_t *peer = &self->peers[i];
        if (peer == present || peer->is_static || peer->state == PEER_READY)
            continue;
        if (peer->incarnation != 0 && peer->id == present->id) {
            remove_peer(self, peer);
            present = gossip_peer(self, incarnation);
        }
    }
}

static void take_welcome(replica_t *self, peer_t *peer, slice_t message)
{
    peer_hello_t hello;
    if (!peer_hello_read(message, &hello)) {
        self->counts.malformed++;
        return;
    }
    if (hello.incarnation == self->config.incarnation) {
        remove_peer(self, peer); /* --peer named ourselves */
        return;
    }
    char why[ERR_TEXT_SIZE];
    if (hello.cluster != self->config.cluster ||
        !settle_lineage(self, hello.lineage, hello.lineage_is_fixed, why, sizeof why)) {
        lose(self, peer, "of another cluster or lineage");
        peer->retry_step_ms = RETRY_MAX_MS;
        return;
    }
    if (drift_refuses(self, &hello, why, sizeof why)) {
        replica_note(self, NOTE_WARN, "[clock] node refused id=%u incarnation=%016llx why=\"%s\"",
                     hello.id, (unsigned long long)hello.incarnation, why);
        lose(self, peer, "its clock is too far ahead");
        peer->retry_step_ms = RETRY_MAX_MS;
        return;
    }
    if (hello.id == self->config.id) {
        if (is_older_than_us(self, &hello))
            stop_for_id(self, peer->host, peer->port);
        return;
    }
    if (!stability_take_rows(self, hello.members)) {
        self->counts.malformed++;
        return;
    }
    drift_take_in(self, &hello);
    stability_take_in(self, hello.id, hello.incarnation);
    peer_t *other = gossip_peer(self, hello.incarnation);
    if (other != NULL && other != peer) {
        /* Reached twice, by beacon and by --peer: the one that is connected already stays. */
        uint32_t stays = other->state == PEER_READY ? other->link : peer->link;
        bool is_done = other->state == PEER_READY;
        bool is_static = peer->is_static || other->is_static;
        remove_peer(self, is_done ? peer : other);
        peer = peer_by_link(self, stays);
        if (peer == NULL)
            return;
        peer->is_static = is_static;
        if (is_done)
            return;
    }
    peer->id = hello.id;
    peer->incarnation = hello.incarnation;
    take_status(peer, hello.status);
    peer->machine = hello.machine;
    peer->owed = peer->told = 0;
    peer->state = PEER_READY;
    peer->retry_step_ms = RETRY_MIN_MS;
    peer->pull_ms = self->now.boot_ms;
    peer->must_pull = true; /* whatever it published before our subscription stood */
    if (!peer_vector_read(hello.vector, hello.ended, &peer->vector, &self->wire))
        vec_reset(&peer->vector);
    peer->gap_until_ms = hello.has_gap ? self->now.boot_ms + GAP_AGAIN_MS : 0;
    /*
     * Others count on nothing older coming from this id, and the floor that it had is not known to
     * a new node, nor to an old copy of a folder. Theirs is no less than what they count on; what
     * one counts on that has left is void.
     */
    if (self->applied.size == 0 || members_has(self->members, hello.id, hello.incarnation))
        stability_raise_floor(self, hello.floor);
    if (self->applied.size == 0 && (peer->vector.size != 0 || peer->is_joining))
        transfer_want(self);
    replica_note(self, NOTE_INFO,
                 "[join] peer joined id=%u incarnation=%016llx host=%s port=%u status=%s", peer->id,
                 (unsigned long long)peer->incarnation, peer->host, peer->port,
                 status_name(peer->status));
    take_neighbours(self, &hello);
    remove_predecessors(self, hello.incarnation);
}

static void take_refused(replica_t *self, peer_t *peer, slice_t message)
{
    peer_refused_t refused;
    if (!peer_refused_read(message, &refused)) {
        self->counts.malformed++;
        return;
    }
    if (refused.id_taken) {
        stop_for_id(self, peer->host, peer->port);
        return;
    }
    replica_note(self, NOTE_WARN, "[refused] refused by a node host=%s port=%u why=\"%.*s\"",
                 peer->host, peer->port, (int)refused.text.size, (const char *)refused.text.data);
    lose(self, peer, "it refused us");
    peer->retry_step_ms = RETRY_MAX_MS;
}

bool gossip_id_is_disputed(const replica_t *self)
{
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[i];
        if (peer->state == PEER_GREETED && peer->incarnation != 0 && peer->id == self->config.id &&
            self->now.boot_ms - peer->heard_ms < REPLICA_SILENCE_MS)
            return true;
    }
    return false;
}

/* ---- copies ---- */

static bool is_at_hand(const peer_t *peer)
{
    return peer->state == PEER_READY && peer->status != STATUS_OFFLINE;
}

bool gossip_is_at_hand(const replica_t *self, const peer_t *peer)
{
    return is_at_hand(peer) && members_has(self->members, peer->id, peer->incarnation);
}

bool gossip_may_with(const replica_t *self, const peer_t *peer)
{
    return gossip_is_at_hand(self, peer) && !peer->is_joining;
}

static bool has_gap(const replica_t *self, const peer_t *peer)
{
    return peer->gap_until_ms > self->now.boot_ms;
}

/* From a member, or from one that has left and hands in what it has. */
static bool may_pull_from(const replica_t *self, const peer_t *peer)
{
    return gossip_may_with(self, peer) ||
           (is_at_hand(peer) && peer->hands_in_until_ms > self->now.boot_ms);
}

uint16_t gossip_copies(const replica_t *self, vec_part_t dot)
{
    uint32_t copies = 1;
    for (size_t i = 0; i < self->peers_size; i++)
        copies += vec_get(&self->peers[i].vector, dot.incarnation) >= dot.count;
    return (uint16_t)copies;
}

uint16_t gossip_copies_wanted(const replica_t *self)
{
    /* A node that drains wants to hear that somebody has what it has, whatever --ack says. */
    uint32_t most = self->status == STATUS_DRAINING && self->config.ack < 2 ? 2 : self->config.ack;
    uint32_t wanted = 1;
    for (size_t i = 0; i < self->peers_size && wanted < most; i++)
        wanted += gossip_may_with(self, &self->peers[i]);
    return (uint16_t)wanted;
}

bool gossip_has_handed_over(const replica_t *self)
{
    for (uint32_t i = 0; i < self->applied.size; i++) {
        vec_part_t part = self->applied.parts[i];
        bool is_alone = true;
        bool is_elsewhere = false;
        for (size_t j = 0; j < self->peers_size; j++) {
            const peer_t *peer = &self->peers[j];
            if (!gossip_may_with(self, peer))
                continue;
            is_alone = false;
            /* What a live peer says itself, it has. */
            is_elsewhere |= peer->incarnation == part.incarnation ||
                            vec_get(&peer->vector, part.incarnation) >= part.count;
        }
        if (!is_alone && !is_elsewhere)
            return false;
    }
    return true;
}

/* The distance of an acker: other machines first, then the ring of ids from ours on. */
static uint32_t acker_rank(const replica_t *self, const peer_t *peer)
{
    uint32_t ring = (uint32_t)(uint16_t)(peer->id - self->config.id);
    bool is_here = peer->machine != 0 && peer->machine == self->config.machine;
    return ring + (is_here ? UINT32_C(1) << 16 : 0);
}

/* Names those that are to answer: the --ack - 1 nearest that may. */
static void name_ackers(const replica_t *self, peer_batch_t *batch)
{
    uint32_t wanted = gossip_copies_wanted(self) - 1U;
    uint32_t above = 0; /* ranks named so far are under it; ids differ, so ranks do */
    while (batch->ackers < wanted && batch->ackers < PEER_ACKERS_MAX) {
        const peer_t *best = NULL;
        for (size_t i = 0; i < self->peers_size; i++) {
            const peer_t *peer = &self->peers[i];
            uint32_t rank = acker_rank(self, peer);
            if (gossip_may_with(self, peer) && rank >= above &&
                (best == NULL || rank < acker_rank(self, best)))
                best = peer;
        }
        if (best == NULL)
            return;
        batch->acker[batch->ackers++] = best->incarnation;
        above = acker_rank(self, best) + 1;
    }
}

/*
 * Tells the peers that asked for it what we have of theirs; once a turn, after the log was written.
 */
static void send_acks(replica_t *self)
{
    for (size_t i = 0; i < self->peers_size; i++) {
        peer_t *peer = &self->peers[i];
        uint64_t has = vec_get(gossip_vector(self), peer->incarnation);
        if (peer->owed <= peer->told || has <= peer->told || !gossip_may_with(self, peer))
            continue;
        peer->told = has;
        size_t offset = self->arena.size;
        peer_ack_put(&self->arena, self->config.incarnation,
                     stability_wire(self, gossip_vector(self)));
        replica_emit(self, REPLICA_TO_PEER, peer->link, offset);
    }
}

static void take_ack(replica_t *self, slice_t message)
{
    uint64_t incarnation;
    slice_t bytes;
    if (!peer_ack_read(message, &incarnation, &bytes)) {
        self->counts.malformed++;
        return;
    }
    peer_t *peer = gossip_peer(self, incarnation);
    mp_t in = mp_open(bytes);
    mp_vector(&in, &self->vector);
    if (peer == NULL || !mp_ok(&in))
        return;
    vec_merge(&peer->vector, &self->vector);
    self->has_new_copies = true;
}

/* ---- receiving updates ---- */

/* Counts of what was received without a gap: applied, and what is held right behind it. */
static uint64_t received(const replica_t *self, uint64_t origin)
{
    return holdback_contiguous(self->holdback, origin, vec_get(&self->applied, origin));
}

static bool lacks(const replica_t *self, const vec_t *other)
{
    vec_walk_t walk = {0};
    vec_part_t part;
    while (vec_next_above(&self->applied, other, &walk, &part))
        if (part.count > received(self, part.incarnation))
            return true;
    return false;
}

/* Applies from the hold-back queue until nothing more can be. */
static void drain_holdback(replica_t *self)
{
    for (bool progress = holdback_records(self->holdback) != 0; progress;) {
        progress = false;
        uint64_t origin = 0;
        while ((origin = holdback_next_origin(self->holdback, origin)) != 0) {
            uint64_t next = vec_get(&self->applied, origin) + 1;
            for (;; next++) {
                slice_t raw = holdback_get(self->holdback, origin, next);
                if (raw.size == 0 || !record_read(raw, &self->record) ||
                    !vec_covers(&self->applied, &self->record.deps))
                    break;
                replica_apply(self, &self->record, raw);
                progress = true;
            }
            holdback_drop(self->holdback, origin, next - 1);
        }
    }
}

/* Takes a record from a peer: applies it, or holds it back. The caller drains afterwards. */
static void take_record(replica_t *self, slice_t raw)
{
    record_t *record = &self->record;
    uint64_t origin;
    uint64_t n;
    if (!record_peek(raw, &origin, &n)) {
        self->counts.malformed++;
        return;
    }
    uint64_t applied = vec_get(&self->applied, origin);
    if (origin == self->config.incarnation || n <= applied) {
        self->counts.duplicates++;
        return;
    }
    if (!record_read(raw, record)) {
        self->counts.malformed++;
        return;
    }
    if (n == applied + 1 && vec_covers(&self->applied, &record->deps)) {
        replica_apply(self, record, raw);
        return;
    }
    switch (holdback_put(self->holdback, origin, n, raw)) {
    case HOLDBACK_HELD:
        if (is_traced(self))
            trace_update(self, TRACE_UPDATE_HELD, record);
        self->counts.held++;
        break;
    case HOLDBACK_DUPLICATE:
        self->counts.duplicates++;
        break;
    case HOLDBACK_FULL:
        if (is_traced(self))
            trace_update(self, TRACE_UPDATE_REFUSED, record);
        self->counts.held_refused++;
        break;
    }
}

static void take_records(replica_t *self, slice_t records)
{
    mp_t in = mp_open(records);
    slice_t raw;
    while (peer_record_next(&in, &raw))
        take_record(self, raw);
    if (!mp_done(&in))
        self->counts.malformed++;
    drain_holdback(self);
}

static bool is_ours(replica_t *self, uint64_t cluster)
{
    self->counts.foreign += cluster != self->config.cluster;
    return cluster == self->config.cluster;
}

static void take_batch(replica_t *self, slice_t message)
{
    peer_batch_t batch;
    if (!peer_batch_read(message, &batch)) {
        self->counts.malformed++;
        return;
    }
    peer_t *peer = gossip_peer(self, batch.origin);
    if (!is_ours(self, batch.cluster) || batch.origin == self->config.incarnation ||
        !is_our_lineage(self, peer, batch.lineage, true))
        return;
    /* Of who is no member, or while our state is about to be another, it is pulled later. */
    if (peer == NULL || !members_has(self->members, peer->id, peer->incarnation) ||
        !keeps_its_state(self))
        return;
    if (!self->is_read_only)
        take_records(self, batch.records);
    peer->heard_ms = self->now.boot_ms;
    for (uint32_t i = 0; i < batch.ackers; i++)
        if (batch.acker[i] == self->config.incarnation && batch.head > peer->owed)
            peer->owed = batch.head;
    vec_raise(&peer->vector, batch.origin, batch.head);
    if (batch.head > received(self, batch.origin))
        peer->pull_ms = self->now.boot_ms;
}

static void take_round(replica_t *self, slice_t message)
{
    peer_round_t round;
    if (!peer_round_read(message, &round)) {
        self->counts.malformed++;
        return;
    }
    peer_t *peer = gossip_peer(self, round.incarnation);
    if (!is_ours(self, round.cluster) || peer == NULL ||
        !is_our_lineage(self, peer, round.lineage, round.lineage_is_fixed))
        return;
    if (drift_is_too_far(self, round.clock)) {
        if (peer->state == PEER_READY)
            lose(self, peer, "its clock is too far ahead"); /* greeted again, it is refused */
        return;
    }
    if (!peer_vector_read(round.vector, round.ended, &self->vector, &self->wire)) {
        self->counts.malformed++;
        return;
    }
    vec_merge(&peer->vector, &self->vector);
    stability_take_round(self, &round);
    self->has_new_copies = true;
    peer->heard_ms = self->now.boot_ms;
    take_status(peer, round.status);
    if (peer->pull_ms < self->now.boot_ms)
        peer->pull_ms = self->now.boot_ms + PULL_DELAY_MS;
    replica_note(self, NOTE_DEBUG, "gossip round from=%u lacking=%llu", peer->id,
                 (unsigned long long)vec_lag(&self->applied, &peer->vector));
}

/* Also a node that is offline gets to know whose data it will pull when it is back. */
static void learn_lineage(replica_t *self, peer_kind_t kind, slice_t message)
{
    peer_batch_t batch;
    peer_round_t round;
    if (kind == PEER_BATCH && peer_batch_read(message, &batch) && is_ours(self, batch.cluster))
        is_our_lineage(self, gossip_peer(self, batch.origin), batch.lineage, true);
    else if (kind == PEER_ROUND && peer_round_read(message, &round) && is_ours(self, round.cluster))
        is_our_lineage(self, gossip_peer(self, round.incarnation), round.lineage,
                       round.lineage_is_fixed);
}

void replica_gossip(replica_t *self, now_t now, slice_t message)
{
    replica_enter(self, now);
    peer_kind_t kind = peer_kind(message);
    if (self->status == STATUS_OFFLINE) {
        if (!self->lineage_is_fixed)
            learn_lineage(self, kind, message);
        return;
    }
    uint64_t cluster;
    uint64_t incarnation;
    if (kind == PEER_BATCH) {
        take_batch(self, message);
    } else if (kind == PEER_ROUND) {
        take_round(self, message);
    } else if (kind == PEER_JOINED && peer_joined_read(message, &cluster, &incarnation)) {
        /* The subscription stands: what was published before it is to be pulled. */
        peer_t *peer = gossip_peer(self, incarnation);
        if (peer != NULL)
            peer->must_pull = true;
    } else {
        self->counts.malformed++;
    }
}

/* ---- pulling ---- */

static void send_pull(replica_t *self, const peer_t *peer, uint64_t position)
{
    vec_copy(&self->vector, &self->applied);
    uint64_t origin = 0;
    while ((origin = holdback_next_origin(self->holdback, origin)) != 0)
        vec_raise(&self->vector, origin, received(self, origin));
    self->pull = (pull_t){
        .is_open = true,
        .link = peer->link,
        .request = self->pull.request + 1,
        .position = position,
        .since_ms = self->now.boot_ms,
    };
    const peer_pull_t ask = {.request = self->pull.request,
                             .incarnation = self->config.incarnation,
                             .position = position,
                             .ended = buf_slice(&self->ended_bytes)};
    size_t offset = self->arena.size;
    peer_pull_put(&self->arena, &ask, stability_wire(self, &self->vector));
    replica_emit(self, REPLICA_TO_PEER, peer->link, offset);
    self->counts.pulls++;
}

/* Starts a pull from a peer that has, or may have, what we lack. */
static void consider_pull(replica_t *self)
{
    int64_t now_ms = self->now.boot_ms;
    /* Records say nothing of their lineage, which must be known before the first one is applied. */
    if (self->status == STATUS_OFFLINE || !self->is_started || !self->lineage_is_fixed ||
        !keeps_its_state(self))
        return;
    if (self->pull.is_open && now_ms - self->pull.since_ms < PULL_TIMEOUT_MS)
        return;
    if (self->pull.is_open) {
        peer_t *slow = peer_by_link(self, self->pull.link);
        if (slow != NULL)
            slow->pull_ms = now_ms + PULL_TIMEOUT_MS;
        self->pull.is_open = false;
    }
    if (self->is_read_only) {
        self->blind_pull_ms = now_ms + BLIND_PULL_MS;
        return;
    }
    for (size_t i = 0; i < self->peers_size; i++) {
        peer_t *peer = &self->peers[i];
        if (!may_pull_from(self, peer) || peer->pull_ms > now_ms || has_gap(self, peer))
            continue;
        if (peer->must_pull || lacks(self, &peer->vector)) {
            peer->must_pull = false;
            send_pull(self, peer, 0);
            return;
        }
    }
    /* Sessions wait for what no peer is known to have: ask them in turn. */
    if (self->waiters == NULL || now_ms < self->blind_pull_ms)
        return;
    self->blind_pull_ms = now_ms + BLIND_PULL_MS;
    for (size_t i = 0; i < self->peers_size; i++) {
        peer_t *peer = &self->peers[self->blind_next++ % self->peers_size];
        if (gossip_may_with(self, peer) && !has_gap(self, peer)) {
            send_pull(self, peer, 0);
            return;
        }
    }
}

/* What we lack is in the log of nobody at hand: after a while the state of one is taken over. */
static void consider_gaps(replica_t *self)
{
    bool is_lacking = false;
    bool can_be_had = false;
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[i];
        if (!gossip_may_with(self, peer) || !lacks(self, &peer->vector))
            continue;
        is_lacking = true;
        can_be_had |= !has_gap(self, peer);
    }
    if (!is_lacking || can_be_had || self->is_read_only || !keeps_its_state(self))
        self->gap_since_ms = INT64_MAX;
    else if (self->gap_since_ms == INT64_MAX)
        self->gap_since_ms = self->now.boot_ms;
    else if (self->now.boot_ms - self->gap_since_ms >= GAP_MS)
        transfer_want(self);
}

void gossip_pull_for_waiters(replica_t *self)
{
    for (size_t i = 0; i < self->peers_size; i++)
        self->peers[i].pull_ms = self->now.boot_ms;
    self->blind_pull_ms = self->now.boot_ms;
}

/* What somebody hands in who had left does not count. */
static void take_pulled_records(replica_t *self, const peer_t *peer, slice_t records)
{
    if (members_has(self->members, peer->id, peer->incarnation) && !peer->is_joining) {
        take_records(self, records);
        return;
    }
    mp_t in = mp_open(records);
    slice_t raw;
    buf_t emptied = {0};
    while (peer_record_next(&in, &raw)) {
        slice_t taken = transfer_hand_in(self, peer, raw, &emptied);
        if (taken.size != 0)
            take_record(self, taken);
    }
    buf_free(&emptied);
    drain_holdback(self);
}

static void take_pulled(replica_t *self, peer_t *peer, slice_t message)
{
    peer_records_t records;
    if (!peer_records_read(message, &records)) {
        self->counts.malformed++;
        return;
    }
    if (!self->pull.is_open || records.request != self->pull.request ||
        self->status == STATUS_OFFLINE)
        return; /* an answer that came too late */
    self->pull.is_open = false;
    if (!keeps_its_state(self) || self->is_read_only)
        return;
    if (records.has_gap) {
        peer->gap_until_ms = self->now.boot_ms + GAP_AGAIN_MS;
        return;
    }
    if (!may_pull_from(self, peer))
        return; /* it has left meanwhile */
    uint64_t asked_position = self->pull.position;
    take_pulled_records(self, peer, records.records);
    mp_t vector = mp_open(records.vector);
    mp_vector(&vector, &self->vector);
    if (mp_ok(&vector))
        vec_merge(&peer->vector, &self->vector);
    if (!records.end && records.next > asked_position)
        send_pull(self, peer, records.next);
    else if (lacks(self, &peer->vector))
        peer->pull_ms = self->now.boot_ms + PULL_DELAY_MS;
}

/* ---- serving pulls ---- */

static served_t *find_served(replica_t *self, uint32_t link)
{
    for (size_t i = 0; i < self->served_size; i++)
        if (self->served[i].link == link)
            return &self->served[i];
    return NULL;
}

static served_t *get_served(replica_t *self, uint32_t link)
{
    served_t *found = find_served(self, link);
    if (found != NULL)
        return found;
    /* Full, mostly of links that are gone: the oldest makes room, and would ask again. */
    size_t at = self->served_next++ % SERVED_MAX;
    if (self->served_size < SERVED_MAX)
        self->served_size++;
    self->served[at].link = link;
    return &self->served[at];
}

static void answer_gap(replica_t *self, uint32_t link, uint64_t request)
{
    const peer_records_t answer = {.request = request, .has_gap = true, .end = true};
    size_t offset = self->arena.size;
    peer_records_put(&self->arena, &answer, stability_wire(self, gossip_vector(self)));
    replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
}

static void answer_pull(replica_t *self, uint32_t link, uint64_t request, uint64_t next,
                        uint32_t count, slice_t records)
{
    const peer_records_t answer = {
        .request = request,
        .next = next,
        .end = next >= self->log_end,
        .count = count,
        .records = records,
    };
    size_t offset = self->arena.size;
    peer_records_put(&self->arena, &answer, stability_wire(self, gossip_vector(self)));
    replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
    self->counts.pulls_served++;
}

static void take_pull(replica_t *self, uint32_t link, slice_t message)
{
    peer_pull_t pull;
    if (!peer_pull_read(message, &pull)) {
        self->counts.malformed++;
        return;
    }
    /* While we hand in what we have it is for the donor alone: it decides what still counts. */
    bool is_for_donor = pull.incarnation == self->joining.donor;
    if (self->status == STATUS_OFFLINE || self->joining.state == JOINING_WRITING ||
        (self->joining.state != JOINING_NOT && !is_for_donor))
        return;
    served_t *served = get_served(self, link);
    served->request = pull.request;
    if (!peer_vector_read(pull.have, pull.ended, &served->have, &self->wire)) {
        self->counts.malformed++;
        return;
    }
    uint64_t position = pull.position;
    if (!vec_covers(&served->have, &self->dropped)) {
        self->joining.is_short |= is_for_donor && self->joining.state != JOINING_NOT;
        answer_gap(self, link, pull.request);
        return;
    }
    if (position <= self->log_begin || position > self->log_end)
        position = logindex_start(self->index, &self->applied, &served->have, self->log_end);
    if (position >= self->log_end) {
        uint32_t count = transfer_put_salvaged(self, &served->have, &self->encoded);
        answer_pull(self, link, pull.request, self->log_end, count, buf_slice(&self->encoded));
        return;
    }
    replica_effect_t *read = replica_emit(self, REPLICA_READ, link, self->arena.size);
    read->request = pull.request;
    read->position = position;
    read->most = PEER_RECORDS_TARGET;
}

void replica_log_bytes(replica_t *self, now_t now, uint32_t link, uint64_t request,
                       uint64_t position, slice_t bytes)
{
    replica_enter(self, now);
    const served_t *served = find_served(self, link);
    if (served == NULL || served->request != request)
        return; /* it has asked for something else since */
    buf_reset(&self->encoded);
    uint32_t count = 0;
    size_t at = 0;
    seglog_entry_t entry;
    while (count < PEER_RECORDS_MAX && seglog_next(slice_of(bytes.data + at, bytes.size - at),
                                                   position + at, &entry) == SEGLOG_GOOD) {
        at += entry.size;
        uint64_t origin;
        uint64_t n;
        if (entry.kind != SEGLOG_KIND_UPDATE || !record_peek(entry.payload, &origin, &n) ||
            n <= vec_get(&served->have, origin))
            continue;
        buf_append_slice(&self->encoded, entry.payload);
        count++;
    }
    if (at == 0) {
        replica_note(self, NOTE_ERROR, "[disk] log could not be read for a peer position=%llu",
                     (unsigned long long)position);
        return; /* it asks another peer after its time-out */
    }
    answer_pull(self, link, request, position + at, count, buf_slice(&self->encoded));
}

void replica_log_damaged(replica_t *self, now_t now, uint32_t link, uint64_t request,
                         uint64_t position)
{
    replica_enter(self, now);
    self->counts.damaged_reads++;
    if (position >= self->log_begin) {
        replica_note(self, NOTE_ERROR,
                     "[damaged] the log is damaged: nothing of it is given to others any more, who "
                     "take what they lack from another node, or the state position=%llu",
                     (unsigned long long)position);
        recovery_void_log(self);
    }
    const served_t *served = find_served(self, link);
    if (served == NULL || served->request != request)
        return;
    self->joining.is_short |= self->joining.state != JOINING_NOT;
    answer_gap(self, link, request);
}

/* ---- messages of peers ---- */

static void ping(replica_t *self, const peer_t *peer)
{
    size_t offset = self->arena.size;
    peer_ping_put(&self->arena, PEER_PING, self->config.incarnation, said_status(self));
    replica_emit(self, REPLICA_TO_PEER, peer->link, offset);
}

void replica_peer_router(replica_t *self, now_t now, uint32_t link, slice_t message)
{
    replica_enter(self, now);
    peer_kind_t kind = peer_kind(message);
    uint64_t incarnation;
    uint8_t status;
    if (kind == PEER_HELLO) {
        take_hello(self, link, message);
    } else if (kind == PEER_PULL) {
        take_pull(self, link, message);
    } else if (kind == PEER_JOIN) {
        transfer_take_join(self, link, message);
    } else if (kind == PEER_ACK) {
        take_ack(self, message);
    } else if (kind == PEER_PING && peer_ping_read(message, &incarnation, &status)) {
        size_t offset = self->arena.size;
        peer_ping_put(&self->arena, PEER_PONG, self->config.incarnation, said_status(self));
        replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
    } else {
        self->counts.malformed++;
    }
}

void replica_peer(replica_t *self, now_t now, uint32_t link, slice_t message)
{
    replica_enter(self, now);
    peer_t *peer = peer_by_link(self, link);
    if (peer == NULL)
        return; /* from before we let go of it */
    peer->heard_ms = now.boot_ms;
    peer_kind_t kind = peer_kind(message);
    uint64_t incarnation;
    uint8_t status;
    if (kind == PEER_WELCOME) {
        take_welcome(self, peer, message);
    } else if (kind == PEER_REFUSED) {
        take_refused(self, peer, message);
    } else if (kind == PEER_RECORDS && peer->state == PEER_READY) {
        take_pulled(self, peer, message);
    } else if (kind == PEER_STATE && peer->state == PEER_READY) {
        transfer_take_state(self, peer, message);
    } else if (kind == PEER_PONG && peer_ping_read(message, &incarnation, &status)) {
        if (peer->status == STATUS_OFFLINE && plain_status(status) != STATUS_OFFLINE)
            peer->must_pull = true;
        take_status(peer, status);
    } else {
        self->counts.malformed++;
    }
}

void replica_peer_lost(replica_t *self, now_t now, uint32_t link)
{
    replica_enter(self, now);
    peer_t *peer = peer_by_link(self, link);
    if (peer != NULL)
        lose(self, peer, "connection closed");
}

/* ---- publishing ---- */

static void publish_round(replica_t *self)
{
    const peer_round_t round = {
        .cluster = self->config.cluster,
        .lineage = self->lineage,
        .lineage_is_fixed = self->lineage_is_fixed,
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .status = said_status(self),
        .clock = replica_clock(self),
        .floor = self->said_floor,
        .view = self->said_view,
        .members = buf_slice(&self->member_rows),
        .ended = buf_slice(&self->ended_bytes),
    };
    vec_t synced = {0};
    stability_mark(self);
    size_t offset = self->arena.size;
    vec_copy(&synced, &self->synced);
    vec_leave_out(&synced, &self->ended);
    peer_round_put(&self->arena, &round, stability_wire(self, gossip_vector(self)), &synced);
    vec_free(&synced);
    replica_emit(self, REPLICA_PUBLISH, 0, offset);
    self->counts.rounds++;
}

static void publish_batch(replica_t *self, slice_t records, uint32_t count)
{
    peer_batch_t batch = {
        .cluster = self->config.cluster,
        .lineage = self->lineage,
        .origin = self->config.incarnation,
        .head = self->turn.own_head,
        .count = count,
        .records = records,
    };
    name_ackers(self, &batch);
    size_t offset = self->arena.size;
    peer_batch_put(&self->arena, &batch);
    replica_emit(self, REPLICA_PUBLISH, 0, offset);
    self->counts.published++;
}

/* The updates accepted in this turn, in messages of at most about PEER_BATCH_TARGET bytes. */
static void publish_own(replica_t *self)
{
    mp_t in = mp_open(buf_slice(&self->turn.own));
    const uint8_t *start = in.at;
    uint32_t count = 0;
    slice_t record;
    while (peer_record_next(&in, &record)) {
        count++;
        if (in.at - start < PEER_BATCH_TARGET && count < PEER_RECORDS_MAX)
            continue;
        publish_batch(self, slice_of(start, (size_t)(in.at - start)), count);
        start = in.at;
        count = 0;
    }
    if (count != 0 || self->turn.own_skipped)
        publish_batch(self, slice_of(start, (size_t)(in.at - start)), count);
}

void gossip_round_now(replica_t *self)
{
    self->after_burst_ms = self->now.boot_ms;
}

void gossip_turn(replica_t *self)
{
    if (self->turn.own_count != 0 || self->turn.own_skipped) {
        if (self->status != STATUS_OFFLINE)
            publish_own(self);
        self->after_burst_ms = self->now.boot_ms + BURST_ROUND_MS;
    }
    buf_reset(&self->turn.own);
    self->turn.own_count = 0;
    self->turn.own_skipped = false;
    send_acks(self);
    consider_pull(self);
}

/* A node that drains publishes a batch without records: its ackers say what they have. */
static void ask_who_has_ours(replica_t *self)
{
    uint64_t own = vec_get(&self->applied, self->config.incarnation);
    if (self->status != STATUS_DRAINING || own == 0 || gossip_has_handed_over(self))
        return;
    self->turn.own_skipped = true;
    self->turn.own_head = own;
}

void gossip_catch_up(replica_t *self)
{
    for (size_t i = 0; i < self->peers_size; i++) {
        self->peers[i].must_pull = true;
        self->peers[i].pull_ms = self->now.boot_ms;
    }
}

void gossip_status(replica_t *self, replica_status_t before)
{
    ask_who_has_ours(self);
    if (before != STATUS_OFFLINE && self->status != STATUS_OFFLINE)
        return;
    if (self->status == STATUS_OFFLINE) {
        self->pull.is_open = false;
        return;
    }
    gossip_catch_up(self);
    publish_round(self);
}

/* ---- time ---- */

void gossip_start(replica_t *self)
{
    self->round_ms = self->now.boot_ms + self->config.gossip_interval_ms;
    self->after_burst_ms = INT64_MAX;
    self->gap_since_ms = INT64_MAX;
}

static void tick_peer(replica_t *self, peer_t *peer)
{
    int64_t now_ms = self->now.boot_ms;
    if (peer->state == PEER_IDLE) {
        if (now_ms >= peer->retry_ms)
            greet(self, peer);
    } else if (now_ms - peer->heard_ms >= REPLICA_SILENCE_MS) {
        lose(self, peer, silent);
    } else if (peer->state == PEER_READY && now_ms - peer->pinged_ms >= REPLICA_HEARTBEAT_MS) {
        peer->pinged_ms = now_ms;
        ping(self, peer);
        ask_who_has_ours(self);
    }
}

/* Says when half of the members or more are out of reach, and when that is over. */
static void consider_reach(replica_t *self)
{
    uint32_t members = members_count(self->members);
    uint32_t reached = 1;

    for (size_t i = 0; i < self->peers_size; i++)
        reached += self->peers[i].state == PEER_READY;
    bool is_cut_off = members > 1 && reached * 2 <= members;
    if (is_cut_off == self->is_cut_off || !self->is_settled)
        return;
    self->is_cut_off = is_cut_off;
    replica_note(self, is_cut_off ? NOTE_WARN : NOTE_INFO, "[partition] %s reached=%u members=%u",
                 is_cut_off ? "members are out of reach" : "members are in reach again", reached,
                 members);
}

/* Says once when updates have been held back for long: what they need does not come. */
static void consider_held(replica_t *self)
{
    enum { LONG_MS = 30000 };
    size_t held = holdback_records(self->holdback);

    if (held == 0 || self->held_since_ms == 0) {
        self->held_since_ms = held != 0 ? self->now.boot_ms : 0;
        self->has_said_held = false;
    } else if (!self->has_said_held && self->now.boot_ms - self->held_since_ms >= LONG_MS) {
        self->has_said_held = true;
        replica_note(self, NOTE_WARN, "[held-back] updates wait for what does not come held=%zu",
                     held);
    }
}

void gossip_tick(replica_t *self)
{
    int64_t now_ms = self->now.boot_ms;
    consider_reach(self);
    consider_held(self);
    consider_gaps(self);
    for (size_t i = self->peers_size; i-- > 0;) {
        peer_t *peer = &self->peers[i];
        tick_peer(self, peer);
        /* Who had our id and is silent now is not to be asked again. */
        if (peer->state == PEER_IDLE && peer->id == self->config.id && peer->incarnation != 0 &&
            !peer->is_static)
            remove_peer(self, peer);
    }
    if (now_ms >= self->after_burst_ms) {
        self->after_burst_ms = INT64_MAX;
        if (self->status != STATUS_OFFLINE)
            publish_round(self);
    }
    if (now_ms >= self->round_ms) {
        self->round_ms = now_ms + self->config.gossip_interval_ms;
        if (self->status != STATUS_OFFLINE)
            publish_round(self);
        replica_note(self, NOTE_INFO, "gossip round keys=%zu updates=%llu held=%zu peers=%zu",
                     store_keys(self->store), (unsigned long long)self->counts.applied,
                     holdback_records(self->holdback), self->peers_size);
        replica_auto_status(self);
    }
}

int64_t gossip_deadline(const replica_t *self)
{
    int64_t deadline = time_earlier(self->round_ms, self->after_burst_ms);
    if (self->gap_since_ms != INT64_MAX)
        deadline = time_earlier(deadline, self->gap_since_ms + GAP_MS);
    if (self->pull.is_open)
        deadline = time_earlier(deadline, self->pull.since_ms + PULL_TIMEOUT_MS);
    else if (self->waiters != NULL && self->lineage_is_fixed)
        deadline = time_earlier(deadline, self->blind_pull_ms);
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[i];
        if (peer->state == PEER_IDLE)
            deadline = time_earlier(deadline, peer->retry_ms);
        else
            deadline = time_earlier(deadline, peer->heard_ms + REPLICA_SILENCE_MS);
        if (peer->state == PEER_READY)
            deadline = time_earlier(deadline, peer->pinged_ms + REPLICA_HEARTBEAT_MS);
        if (peer->state == PEER_READY && peer->pull_ms > self->now.boot_ms)
            deadline = time_earlier(deadline, peer->pull_ms);
    }
    return deadline;
}

void gossip_free(replica_t *self)
{
    for (size_t i = 0; i < self->peers_size; i++)
        vec_free(&self->peers[i].vector);
    free(self->peers);
    for (size_t i = 0; i < SERVED_MAX; i++)
        vec_free(&self->served[i].have);
}
