#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"
#include "bus/base/random.h"
#include "bus/wire/command.h"
#include "bus/wire/frame.h"
#include "client/core/client.h"
#include "frontend/core/frontend.h"
#include "replica/core/replica.h"
#include "replica/core/seglog.h"
#include "tests/sim/audit.h"
#include "tests/sim/checker.h"
#include "tests/sim/disk.h"

enum {
    NODES_MAX = 5,
    BROKERS_MAX = 2,
    CLIENTS_MAX = 5,
    SESSIONS_PER_CLIENT = 2,
    PROCS_MAX = NODES_MAX + BROKERS_MAX + CLIENTS_MAX,
    CLUSTER = 7,
    PEER_PORT = 7710,
    SERVICE_PORT = 7711,
    BROKER_PORT = 7700,
    BEACON_MS = 500,
    QUIET_MS = 2000, /* no faults before: two halves that never met would be two clusters */
    FAULTS_MS = 15000,
    HEAL_MS = 40000, /* all must have converged so long after the last fault */
    TRY_MS = 25000,  /* and what is asked then, be answered */
    LEFT_MS = 20000, /* of a request, mostly */
    LATE_MS = 100,
    EXPIRIES_MAX = 16,
    PIPELINE_MAX = 12,
    SEGMENT_BYTES = 50000, /* of a log, which is synced when it is full */
    LOOK_MS = 1000,        /* until a node tries an append again that failed */
    /*
     * After the last of what keeps requests from an answer. It takes a second of silence until a
     * way is known to be lost (CLIENT_SILENCE_MS), up to two until a broker tries a replica again
     * and one until a client tries a broker; and where the update that a session has seen is asked
     * of one that does not answer, a second more: five, and one to spare.
     */
    SETTLED_MS = 6000,
    LOG_LOOK_MS = 300, /* a node looks at the length of its log every 250 ms (RECKON_MS) */
};

#define MS 1000 /* virtual time runs in microseconds */

typedef enum proc_kind { NODE, BROKER, CLIENT } proc_kind_t;

/* The effects of a turn whose append failed: nobody may see anything of them before it is done. */
typedef struct stall {
    bool is_on;
    replica_effect_t *list; /* owned, like the arena */
    size_t size;
    buf_t arena;
} stall_t;

typedef struct proc {
    proc_kind_t kind;
    uint32_t index; /* in its kind */
    bool is_up;
    bool is_gone;  /* for good */
    uint32_t life; /* counts starts: what was meant for an earlier one is void */
    int64_t paused_until;
    struct event *deferred; /* what came while it was paused, in that order */
    size_t deferred_size;
    size_t deferred_capacity;
    int64_t tick_at;   /* the tick that is scheduled, INT64_MAX: none */
    bool has_no_room;  /* its disk is full */
    bool refuses;      /* updates: it was told that it is read-only */
    bool is_read_only; /* and it has written what it had taken before */
    bool fails_append; /* the next one will fail */
    bool fails_sync;
    bool has_failed_append; /* until full_until; it is written all the same, unless is_hard */
    bool is_hard;
    int64_t full_until;
    bool has_failed_sync; /* until it is started again */
    stall_t stall;
    bool was_refusing;  /* updates, at the end of its last turn */
    int64_t refused_at; /* µs, when it last was; -1: never */
    bool is_serving;    /* at the end of its last turn: active, and ready */
    bool loses_power;   /* with this kill, if that may still be */
    bool is_forgotten;  /* while it was up: it is of no use until people start it again */
    int64_t sync_ms;    /* a sync takes so long at most */
    bool asks_for_sync;
    int64_t read_ms; /* and so long what a peer pulls out of the log */
    int64_t wall_skew_ms;
    /* a node */
    replica_t *replica;
    uint64_t incarnation;
    sim_disk_t *disk;
    sim_disk_t *copy; /* of its folder, that somebody made; NULL */
    audit_t *audit;
    hlc_t horizon;             /* at the end of its last turn */
    uint64_t transfers;        /* states it has taken over by then */
    bool is_joining;           /* at the end of its last turn */
    uint64_t transfers_before; /* taken over before it began to join */
    /* a broker */
    frontend_t *frontend;
    /* a client */
    client_t *client;
    client_session_t *sessions[SESSIONS_PER_CLIENT];
    bool relaxes[SESSIONS_PER_CLIENT];
    uint32_t pending[SESSIONS_PER_CLIENT];
    bool tries_again; /* its update after all was healed */
    uint64_t last_ticket[SESSIONS_PER_CLIENT];
    int64_t watches_until[SESSIONS_PER_CLIENT]; /* µs: it asks for one key alone */
    vec_t seen[SESSIONS_PER_CLIENT];            /* their tokens as of the last turn */
    uint32_t last_key[SESSIONS_PER_CLIENT];     /* of the last one of a judged key */
    int64_t missed_at[SESSIONS_PER_CLIENT];     /* µs, when one last ended that may have waited */
    client_token_t saved[SESSIONS_PER_CLIENT];  /* as in a file, which outlives the process */
    bool has_saved[SESSIONS_PER_CLIENT];
    bool is_saved_held[SESSIONS_PER_CLIENT]; /* to what it covers, who goes on with it */
} proc_t;

/* A connection from a DEALER to a ROUTER; in order both ways until it breaks. */
typedef struct chan {
    bool is_open;
    uint32_t from; /* proc, its life and the link it knows this by */
    uint32_t from_life;
    uint32_t from_link;
    uint32_t to;
    uint32_t to_life;
    uint16_t port;
    int64_t last[2];    /* when the last message of each direction arrives */
    int64_t deaf_until; /* nothing published comes through, as over a queue that is full */
    bool is_ending;     /* who connected is gone, and what it had sent still comes */
} chan_t;

typedef enum event_kind {
    EV_TICK,
    EV_FORWARD, /* over a channel, DEALER to ROUTER */
    EV_BACKWARD,
    EV_BROKEN, /* the DEALER learns that its channel is gone */
    EV_GOSSIP,
    EV_BEACON,
    EV_ISSUE,
    EV_FAULT,
    EV_RESTART,
    EV_RESUME,
    EV_SYNC,  /* what a node has written is on its disk */
    EV_READ,  /* what a peer has pulled was read from it */
    EV_CLOCK, /* a machine comes back with a wrong clock, or people see to that */
    EV_ALONE, /* all nodes but one go for good, or people see to that */
} event_kind_t;

typedef struct event {
    int64_t at;
    uint64_t serial;
    event_kind_t kind;
    uint32_t proc;
    uint32_t life;
    uint32_t chan;
    uint32_t size;
    uint8_t *bytes;
} event_t;

/* Of a request. */
typedef struct span {
    int64_t issued; /* µs */
    int64_t due;    /* when it must have ended */
} span_t;

typedef struct world {
    random_t random;
    int64_t now; /* µs */
    uint64_t serial;
    event_t *heap;
    size_t heap_size;
    size_t heap_capacity;
    proc_t procs[PROCS_MAX];
    uint32_t procs_size;
    uint32_t nodes;
    uint32_t brokers;
    uint32_t clients;
    chan_t *chans;
    uint32_t chans_size;
    size_t chans_capacity;
    bool is_cut[PROCS_MAX][PROCS_MAX]; /* from, to */
    uint32_t loss_ppm;
    uint32_t ack; /* copies that the replicas wait for */
    int64_t retry_horizon_ms;
    int64_t gossip_interval_ms;
    uint64_t checkpoint_bytes;
    uint64_t log_max;
    bool sync_always;
    bool sync_never; /* but when asked, or when so much was written that a segment is full */
    bool is_trying;  /* an update of each client, after all was healed */
    uint32_t to_try; /* clients whose update was not taken yet */
    span_t *spans;   /* of requests, by their number */
    size_t spans_size;
    int64_t unreachable_at; /* µs, when something last was that may keep requests from an answer */
    int64_t expiries[EXPIRIES_MAX]; /* µs, when keys end; 0: none */
    uint32_t next_expiry;
    bool is_disk_lost;       /* at most one in a run: what two replicas had must not be gone */
    uint32_t replica_window; /* of the brokers: 0, or so small that they turn back BUSY */
    bool is_rough;           /* blackouts and more */
    bool is_alone;           /* all nodes but one are gone for good */
    uint32_t leave_percent;  /* of faults: nodes that are left out */
    uint32_t wrong_clock;    /* the node whose machine has one, for a while */
    bool has_wrong_clock;    /* it had it by now */
    bool is_clock_wrong;     /* and has it still */
    int64_t issue_ms;        /* between what a client issues, at most */
    uint32_t batch_loss_ppm; /* of updates as they are published: rounds pass, they do not */
    bool is_healing;
    checker_t *checker;
    sim_coverage_t *coverage;
    sim_report_t report;
    XXH3_state_t *hash;
    FILE *trace;
} world_t;

static void run_turn(world_t *w, proc_t *p);

/* ---- chance and time ---- */

static int64_t between(world_t *w, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(&w->random, (uint64_t)(high - low + 1));
}

static bool chance(world_t *w, uint32_t percent)
{
    return random_chance(&w->random, percent * 10000);
}

static now_t time_of(const world_t *w, const proc_t *p)
{
    int64_t ms = w->now / MS;
    return (now_t){.wall_ms = 1700000000000 + ms + p->wall_skew_ms, .boot_ms = 1000 + ms};
}

static uint32_t number_of(const world_t *w, const proc_t *p)
{
    return (uint32_t)(p - w->procs);
}

static void violate(world_t *w, const char *why)
{
    if (!w->report.is_clean)
        return;
    w->report.is_clean = false;
    snprintf(w->report.why, sizeof w->report.why, "at %lld ms: %s", (long long)(w->now / MS), why);
}

/* ---- the event heap ---- */

static bool is_before(const event_t *a, const event_t *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void push(world_t *w, event_t event)
{
    event.serial = w->serial++;
    if (w->heap_size == w->heap_capacity)
        w->heap = mem_grow(w->heap, &w->heap_capacity, sizeof *w->heap);
    size_t at = w->heap_size++;
    while (at > 0 && is_before(&event, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = event;
}

static event_t pop(world_t *w)
{
    event_t top = w->heap[0];
    event_t last = w->heap[--w->heap_size];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= w->heap_size)
            break;
        if (child + 1 < w->heap_size && is_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_before(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    if (w->heap_size != 0)
        w->heap[at] = last;
    return top;
}

static void push_bytes(world_t *w, event_t event, slice_t bytes)
{
    event.size = (uint32_t)bytes.size;
    event.bytes = (uint8_t *)mem_text(bytes.data, bytes.size);
    push(w, event);
}

static void schedule_tick(world_t *w, proc_t *p)
{
    int64_t deadline_ms = p->kind == NODE     ? replica_deadline(p->replica)
                          : p->kind == BROKER ? frontend_deadline(p->frontend)
                                              : client_deadline(p->client);
    if (deadline_ms == INT64_MAX)
        return;
    int64_t at = (deadline_ms - 1000) * MS;
    if (at < w->now + MS)
        at = w->now + MS;
    if (at >= p->tick_at && p->tick_at > w->now)
        return;
    p->tick_at = at;
    push(w, (event_t){.at = at, .kind = EV_TICK, .proc = number_of(w, p), .life = p->life});
}

/* ---- the network ---- */

static bool is_reachable(const world_t *w, uint32_t from, uint32_t to)
{
    return !w->is_cut[from][to];
}

static int64_t delay(world_t *w)
{
    int64_t us = between(w, 100, 1500);
    return random_chance(&w->random, 20000) ? us + between(w, 0, 60 * MS) : us;
}

/*
 * Sends over a channel; what is cut off is stuck and lost with the channel (a heartbeat notices).
 */
static void transmit(world_t *w, uint32_t chan_number, bool is_forward, slice_t bytes)
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

static void break_chan(world_t *w, uint32_t number)
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

static void connect_chan(world_t *w, const proc_t *from, uint32_t link, slice_t host, uint16_t port)
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

static void disconnect_link(world_t *w, const proc_t *p, uint32_t link)
{
    uint32_t number = chan_of_link(w, p, link);
    if (number != UINT32_MAX)
        w->chans[number].is_open = false;
}

static void send_link(world_t *w, const proc_t *p, uint32_t link, slice_t bytes)
{
    uint32_t number = chan_of_link(w, p, link);
    if (number != UINT32_MAX)
        transmit(w, number, true, bytes);
}

static bool is_unheard(world_t *w, const chan_t *c, slice_t bytes)
{
    return c->deaf_until > w->now || (w->batch_loss_ppm != 0 && peer_kind(bytes) == PEER_BATCH &&
                                      random_chance(&w->random, w->batch_loss_ppm));
}

static void publish(world_t *w, const proc_t *from, slice_t bytes)
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

/* ---- what may be said of the cluster ---- */

/* A node looks at whether it takes updates, before and after what it does now. */
static void note_refusing(world_t *w, proc_t *p, bool is_refusing)
{
    if (p->was_refusing || is_refusing)
        p->refused_at = w->now;
    p->was_refusing = is_refusing;
}

/* A broker or node is not there for others. */
static bool is_away(const world_t *w, const proc_t *p)
{
    return !p->is_up || p->paused_until > w->now || (p->kind == NODE && !p->is_serving);
}

static bool is_unreachable(const world_t *w)
{
    for (uint32_t i = 0; i < w->nodes + w->brokers; i++)
        if (!w->procs[i].is_gone && is_away(w, &w->procs[i]))
            return true;
    return memchr(w->is_cut, true, sizeof w->is_cut) != NULL;
}

/* Called before and after whatever changes that. */
static void note_unreachable(world_t *w)
{
    if (is_unreachable(w))
        w->unreachable_at = w->now;
}

/* ---- starting and killing ---- */

static void schedule_sync(world_t *w, const proc_t *p)
{
    int64_t wait_ms = w->sync_always ? between(w, 1, 10) : between(w, 50, p->sync_ms);
    push(w, (event_t){.at = w->now + wait_ms * MS,
                      .kind = EV_SYNC,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/* People put back the copy of a folder that they have: the node is what it was. */
static bool put_back(world_t *w, proc_t *p)
{
    if (p->copy == NULL || w->is_disk_lost || w->is_healing || chance(w, 30))
        return false;
    w->is_disk_lost = true;
    w->coverage->put_back++;
    checker_disk_lost(w->checker, p->index, true);
    sim_disk_put_back(p->disk, p->copy);
    return true;
}

/* Once in a run a machine loses its disk, or in a power cut what was not on it yet. */
static void lose_disk(world_t *w, proc_t *p)
{
    bool is_certain = p->loses_power;
    bool is_power_cut = is_certain || chance(w, 50);
    p->loses_power = false;
    if (sim_disk_is_empty(p->disk) || w->is_disk_lost || w->is_healing ||
        !(is_certain || chance(w, 20)))
        return;
    /* Who has nothing left and is cut off begins a cluster of its own. */
    if (w->is_rough && (!is_power_cut || sim_disk_end(p->disk) == sim_disk_unsynced(p->disk)))
        return;
    w->is_disk_lost = true;
    w->coverage->disks_lost += !is_power_cut;
    w->coverage->power_cuts += is_power_cut;
    checker_disk_lost(w->checker, p->index, !is_power_cut || !w->sync_always);
    if (is_power_cut)
        sim_disk_cut_power(p->disk, (uint64_t)between(w, 0, (int64_t)sim_disk_unsynced(p->disk)));
    else
        sim_disk_lose(p->disk);
}

static void kill_proc(world_t *w, proc_t *p);
static void append_log(world_t *w, proc_t *p, slice_t bytes, bool is_dying);

/* The same, but a part of it: what is damaged is not known before it is read. */
static void damage_disk(world_t *w, proc_t *p)
{
    if (w->is_disk_lost || p->disk == NULL || sim_disk_is_empty(p->disk))
        return;
    w->is_disk_lost = true;
    w->coverage->damages++;
    checker_disk_lost(w->checker, p->index, true);
    sim_disk_damage(p->disk, &w->random, chance(w, 30));
    if (chance(w, 50))
        kill_proc(w, p);
}

static void start_node(world_t *w, proc_t *p)
{
    if (p->disk != NULL && !put_back(w, p))
        lose_disk(w, p);
    p->incarnation = random_u64(&w->random) | 1;
    char host[4];
    snprintf(host, sizeof host, "n%u", p->index);
    const replica_config_t config = {
        .cluster = CLUSTER,
        .id = (uint16_t)p->index,
        .incarnation = p->incarnation,
        .seed = random_u64(&w->random),
        .host = host,
        .port = PEER_PORT,
        .gossip_interval_ms = w->gossip_interval_ms,
        .max_drift_ms = 60000,
        .retry_horizon_ms = w->retry_horizon_ms,
        .checkpoint_bytes = w->checkpoint_bytes,
        .log_max = w->log_max,
        .sync_always = w->sync_always,
        .value_max = COMMAND_VALUE_MAX_DEFAULT,
        .ack = w->ack,
        .machine = p->index / 2 + 1,
        .status = STATUS_ACTIVE,
        .mode = MODE_MANUAL,
        .settle_ms = 100,
        .salvage = w->is_healing,
    };
    p->replica = replica_new(&config);
    err_t err;
    if (p->disk == NULL) {
        p->disk = sim_disk_new();
        p->audit = audit_new();
    }
    sim_disk_crash(p->disk);
    if (sim_disk_recover(p->disk, p->replica, &w->coverage->torn_tails, &err) == 0)
        replica_start(p->replica, time_of(w, p), sim_disk_end(p->disk));
    else
        violate(w, err.text);
    if (sim_disk_is_aside(p->disk))
        checker_disk_lost(w->checker, p->index, true); /* it has less than it had until now */
    replica_info_t info = replica_info(p->replica, time_of(w, p));
    audit_start(p->audit, w->sync_always, info.vector);
    p->horizon = info.horizon;
    p->transfers = p->transfers_before = 0;
    p->is_joining = info.is_joining;
    schedule_sync(w, p);
}

static void open_session(world_t *w, proc_t *p, uint32_t s, const client_token_t *token)
{
    p->sessions[s] = client_session_open(p->client, token, -1);
    p->relaxes[s] = chance(w, 20);
    client_session_relax(p->sessions[s], p->relaxes[s]);
}

/* Of those that came before, the file with the token is left, or not even that. */
static void start_client(world_t *w, proc_t *p)
{
    const client_config_t config = {
        .cluster = CLUSTER, .seed = random_u64(&w->random), .window = 64};
    p->client = client_new(&config);
    for (uint32_t i = 0; i < SESSIONS_PER_CLIENT; i++) {
        bool is_restored = p->has_saved[i] && (!w->is_rough || chance(w, 60));
        open_session(w, p, i, is_restored ? &p->saved[i] : NULL);
        vec_copy(&p->seen[i], &client_session_token(p->client, p->sessions[i])->seen);
        w->coverage->client_restored += is_restored;
        if (is_restored && p->is_saved_held[i])
            checker_restored(w->checker, p->index * SESSIONS_PER_CLIENT + i);
    }
    push(w, (event_t){.at = w->now + between(w, 0, 50 * MS),
                      .kind = EV_ISSUE,
                      .proc = number_of(w, p),
                      .life = p->life});
}

static void start(world_t *w, proc_t *p)
{
    note_unreachable(w);
    p->is_up = true;
    p->life++;
    p->tick_at = INT64_MAX;
    p->paused_until = 0;
    if (p->kind == NODE) {
        start_node(w, p);
    } else if (p->kind == BROKER) {
        const frontend_config_t config = {
            .cluster = CLUSTER,
            .incarnation = random_u64(&w->random) | 1,
            .secret = {{1, 2}},
            .replica_window = w->replica_window,
        };
        p->frontend = frontend_new(&config, time_of(w, p));
    } else {
        start_client(w, p);
    }
    push(w, (event_t){.at = w->now + between(w, 0, 20 * MS),
                      .kind = EV_BEACON,
                      .proc = number_of(w, p),
                      .life = p->life});
    run_turn(w, p);
}

static void add_node_counts(world_t *w, const replica_t *replica)
{
    replica_info_t info = replica_info(replica, (now_t){0});
    sim_coverage_t *c = w->coverage;
    c->requests += info.counts->requests;
    c->retries_answered += info.counts->retries;
    c->retagged += info.counts->retagged;
    c->waited += info.counts->waited;
    c->turned_back_behind += info.counts->behind;
    c->turned_back_moved += info.counts->moved;
    c->missing += info.counts->missing;
    c->held_back += info.counts->held;
    c->conflicts += info.counts->conflicts;
    c->duplicates += info.counts->duplicates;
    c->pulls_served += info.counts->pulls_served;
    c->forgotten += info.counts->forgotten;
    c->early_floors += info.counts->early_floors;
    c->late_counts += info.counts->late_counts;
    c->too_old += info.counts->too_old;
    c->checkpoints += info.counts->checkpoints;
    c->transfers += info.counts->transfers;
    c->lost_records += info.counts->lost;
    c->salvaged += info.counts->salvaged;
    c->repairs += info.counts->repairs;
    c->damaged_reads += info.counts->damaged_reads;
}

/* A session has more than one request under way through this broker. */
static bool is_amid(const world_t *w, const proc_t *broker)
{
    for (uint32_t i = 0; i < w->chans_size; i++) {
        const chan_t *c = &w->chans[i];
        if (!c->is_open || c->to != number_of(w, broker) || w->procs[c->from].kind != CLIENT)
            continue;
        for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++)
            if (w->procs[c->from].pending[s] > 1)
                return true;
    }
    return false;
}

/*
 * Writes a token down, for who comes after. When a session gives something up is known too late:
 * who goes on for one that may is held to nothing.
 */
static void save_token(world_t *w, proc_t *p, uint32_t s)
{
    const client_token_t *token = client_session_token(p->client, p->sessions[s]);
    p->saved[s].lineage = token->lineage;
    p->saved[s].clock = token->clock;
    vec_copy(&p->saved[s].seen, &token->seen);
    p->has_saved[s] = true;
    p->is_saved_held[s] = !p->relaxes[s];
    checker_saved(w->checker, p->index * SESSIONS_PER_CLIENT + s);
}

/* Its sessions and what they wait for are gone with it; nobody ever learns what came of that. */
static void end_client(world_t *w, proc_t *p)
{
    w->coverage->client_kills++;
    w->coverage->client_dead_amid += client_pending(p->client) != 0;
    for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++) {
        /* Where disks are lost, who knows of nothing would begin a cluster at an empty node. */
        if (!w->is_rough && !p->has_saved[s])
            save_token(w, p, s);
        checker_killed(w->checker, p->index * SESSIONS_PER_CLIENT + s);
        p->sessions[s] = NULL;
        p->pending[s] = 0;
    }
    client_destroy(&p->client);
}

static void free_stall(proc_t *p)
{
    free(p->stall.list);
    p->stall.list = NULL;
    p->stall.is_on = false;
    buf_free(&p->stall.arena);
}

/* What a disk that failed leaves behind for the next start. */
static void end_disk(world_t *w, proc_t *p)
{
    const stall_t *stall = &p->stall;
    if (stall->is_on && chance(w, 70)) { /* it could not even be cut off */
        const replica_effect_t *append = &stall->list[0];
        w->coverage->torn_appends++;
        append_log(w, p, slice_of(stall->arena.data + append->offset, append->size - 1), true);
    }
    free_stall(p);
    note_refusing(w, p, false);
    bool may_lose = p->has_failed_sync && !w->is_disk_lost && !w->is_healing &&
                    sim_disk_end(p->disk) != sim_disk_unsynced(p->disk);
    if (may_lose && chance(w, 30)) {
        p->loses_power = true; /* as much is lost as with that */
    } else if (may_lose && chance(w, 60)) {
        w->is_disk_lost = true;
        w->coverage->pages_lost++;
        checker_disk_lost(w->checker, p->index, !w->sync_always);
        sim_disk_lose_pages(p->disk, &w->random);
    }
    p->has_no_room = p->refuses = p->is_read_only = false;
    p->fails_append = p->fails_sync = p->has_failed_append = p->has_failed_sync = false;
}

static void kill_proc(world_t *w, proc_t *p)
{
    if (!p->is_up)
        return;
    bool is_heard_out = p->kind == CLIENT && chance(w, 70);
    p->is_up = p->is_forgotten = false;
    if (p->kind == NODE) {
        end_disk(w, p);
        w->coverage->transfers_cut += replica_info(p->replica, (now_t){0}).is_joining;
        add_node_counts(w, p->replica);
    }
    if (p->kind == BROKER) {
        w->coverage->brokers_amid += is_amid(w, p);
        w->coverage->busy += frontend_info(p->frontend, (now_t){0}).counts->busy;
    }
    if (p->kind == CLIENT)
        end_client(w, p);
    p->is_serving = false;
    replica_destroy(&p->replica);
    frontend_destroy(&p->frontend);
    for (uint32_t i = 0; i < w->chans_size; i++) {
        chan_t *c = &w->chans[i];
        if (c->to == number_of(w, p) && c->to_life == p->life) {
            break_chan(w, i);
        } else if (c->from == number_of(w, p) && c->from_life == p->life) {
            c->is_ending = c->is_open && is_heard_out;
            c->is_open = false;
        }
    }
    push(w, (event_t){.at = w->now + between(w, 20 * MS, 3000 * MS),
                      .kind = EV_RESTART,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/* ---- carrying out effects ---- */

/* A kill in the middle of a turn: what was to be written may be torn, the rest never happens. */
enum { NODE_DIES_PPM = 300, CLIENT_DIES_PPM = 20 };

static bool dies_now(world_t *w, uint32_t ppm)
{
    return !w->is_healing && w->now > QUIET_MS * MS && random_chance(&w->random, ppm);
}

/* Nothing but what the node needs to be itself goes to a full disk. */
static bool has_update(uint64_t position, slice_t bytes)
{
    seglog_entry_t entry;
    while (seglog_next(bytes, position, &entry) == SEGLOG_GOOD) {
        if (entry.kind == SEGLOG_KIND_UPDATE)
            return true;
        position += entry.size;
        bytes = slice_of(bytes.data + entry.size, bytes.size - entry.size);
    }
    return false;
}

static void append_log(world_t *w, proc_t *p, slice_t bytes, bool is_dying)
{
    size_t size = bytes.size;
    if (is_dying && chance(w, 70))
        size = (size_t)random_below(&w->random, bytes.size + 1);
    char why[256];
    const checker_log_t log = {p->index, p->incarnation, p->horizon, sim_disk_end(p->disk),
                               slice_of(bytes.data, size)};
    if (!checker_logged(w->checker, &log, why, sizeof why))
        violate(w, why);
    if (p->is_read_only && has_update(sim_disk_end(p->disk), bytes))
        violate(w, "an update was written to a full disk");
    audit_wrote(p->audit, log.position, log.entries);
    sim_disk_append(p->disk, log.entries);
}

/* Without padding: the bytes of events are part of the trace hash. */
typedef struct read_back {
    uint64_t request;
    uint64_t position;
    uint32_t link;
    uint32_t most;
} read_back_t;

static void take_read(world_t *w, proc_t *p, const read_back_t *read)
{
    seglog_entry_t entry;
    slice_t bytes = sim_disk_read(p->disk, read->position, read->most);
    if (bytes.size != 0 && seglog_next(bytes, read->position, &entry) != SEGLOG_GOOD)
        replica_log_damaged(p->replica, time_of(w, p), read->link, read->request, read->position);
    else
        replica_log_bytes(p->replica, time_of(w, p), read->link, read->request, read->position,
                          bytes);
}

/* At once, or when the disk comes to it. */
static void carry_out_read(world_t *w, proc_t *p, const read_back_t *read)
{
    if (p->read_ms == 0 || w->is_healing) {
        take_read(w, p, read);
        return;
    }
    w->coverage->slow_reads++;
    push_bytes(w,
               (event_t){.at = w->now + between(w, 0, p->read_ms) * MS,
                         .kind = EV_READ,
                         .proc = number_of(w, p),
                         .life = p->life},
               slice_of(read, sizeof *read));
}

static void audit(world_t *w, const proc_t *p, replica_effect_kind_t kind, slice_t bytes)
{
    char what[128];
    char why[160];
    bool is_good = kind == REPLICA_TO_SERVICE ? audit_frame(p->audit, bytes, what, sizeof what)
                                              : audit_message(p->audit, bytes, what, sizeof what);
    if (is_good)
        return;
    snprintf(why, sizeof why, "n%u: %s", p->index, what);
    violate(w, why);
}

static bool begins_with(slice_t bytes, const char *text)
{
    size_t size = strlen(text);
    return bytes.size >= size && memcmp(bytes.data, text, size) == 0;
}

static bool carry_out_replica(world_t *w, proc_t *p, const replica_effect_t *e, slice_t bytes,
                              bool is_dying)
{
    switch (e->kind) {
    case REPLICA_APPEND:
        append_log(w, p, bytes, is_dying);
        return !is_dying;
    case REPLICA_PUBLISH:
        audit(w, p, e->kind, bytes);
        publish(w, p, bytes);
        return true;
    case REPLICA_TO_SERVICE:
    case REPLICA_TO_PEER_ROUTER:
        audit(w, p, e->kind, bytes);
        transmit(w, e->link, false, bytes);
        return true;
    case REPLICA_TO_PEER:
        audit(w, p, e->kind, bytes);
        send_link(w, p, e->link, bytes);
        return true;
    case REPLICA_CONNECT:
        connect_chan(w, p, e->link, bytes, e->port);
        return true;
    case REPLICA_DISCONNECT:
        disconnect_link(w, p, e->link);
        return true;
    case REPLICA_STOP:
        violate(w, "a node stopped itself");
        return false;
    case REPLICA_NOTE:
        p->is_forgotten |= begins_with(bytes, "[forgotten] forgotten");
        w->coverage->left_behind += begins_with(bytes, "[left-behind] member left behind");
        w->coverage->logs_full += begins_with(bytes, "[log-full] log full");
        if (w->trace != NULL)
            fprintf(w->trace, "%9lld n%u %.*s\n", (long long)w->now, p->index, (int)bytes.size,
                    (const char *)bytes.data);
        return true;
    case REPLICA_READ:
        return true;
    case REPLICA_CHECKPOINT_BEGIN:
        if (e->link != 0)
            audit_checkpoint(p->audit, replica_info(p->replica, time_of(w, p)).vector);
        sim_disk_begin(p->disk, e->link != 0);
        return true;
    case REPLICA_CHECKPOINT_ROWS:
        sim_disk_rows(p->disk, (uint8_t)e->link, bytes);
        return true;
    case REPLICA_CHECKPOINT_COMMIT:
        sim_disk_commit(p->disk, e->position);
        return true;
    case REPLICA_CHECKPOINT_ABORT:
        sim_disk_abort(p->disk);
        return true;
    case REPLICA_SYNC:
        p->asks_for_sync = true;
        return true;
    case REPLICA_TRUNCATE:
        if (chance(w, 70)) /* files go as a whole or not at all */
            sim_disk_truncate(p->disk, e->position);
        return true;
    case REPLICA_LOST:
        if (w->trace != NULL)
            fprintf(w->trace, "%9lld n%u lost %.*s\n", (long long)w->now, p->index, (int)bytes.size,
                    (const char *)bytes.data);
        return true;
    }
    return true;
}

/* What the judge is to know of a replica before it hears of what that has logged since. */
static void look_at_node(world_t *w, proc_t *p, const replica_effects_t *effects)
{
    replica_info_t info = replica_info(p->replica, time_of(w, p));
    if (info.counts->transfers != p->transfers)
        checker_took_over(w->checker, p->index);
    p->transfers = info.counts->transfers;
    if (info.is_joining && !p->is_joining)
        p->transfers_before = p->transfers;
    /* Who was forgotten while it was joining is not ready, and goes on with nothing. */
    if (replica_is_ready(p->replica) && p->is_joining && p->transfers == p->transfers_before)
        checker_fell_back(w->checker); /* nobody had a better state than its own */
    p->is_joining = info.is_joining;
    for (size_t i = 0; i < effects->size; i++)
        if (effects->list[i].kind == REPLICA_LOST)
            checker_lost(w->checker);
}

/* As node_watch_room does: the node says that it is read-only, or that it is well again. */
static void watch_room(world_t *w, proc_t *p)
{
    p->has_failed_append = p->has_failed_append && w->now < p->full_until;
    const char *why = p->has_failed_sync     ? "a sync failed"
                      : p->has_failed_append ? "a write failed"
                      : p->has_no_room       ? "the disk is full"
                                             : NULL;
    if (p->refuses != (why != NULL))
        replica_set_read_only(p->replica, time_of(w, p), why);
    note_refusing(w, p, p->refuses); /* which may end here */
    p->refuses = why != NULL;
}

/*
 * The append that is due fails; it is tried again at once, with the room that is kept for that.
 * True when that does not help.
 */
static bool refuses_append(world_t *w, proc_t *p, const replica_effects_t *effects)
{
    if (effects->size == 0 || effects->list[0].kind != REPLICA_APPEND)
        return false;
    if (p->fails_append) {
        p->fails_append = false;
        p->has_failed_append = true;
        p->full_until = w->now + (chance(w, 50) ? 0 : between(w, 0, 4000 * MS));
        p->is_hard = chance(w, 60);
        w->coverage->appends_failed++;
    }
    return p->has_failed_append && p->is_hard;
}

static void try_later(world_t *w, proc_t *p)
{
    p->paused_until = w->now + LOOK_MS * MS;
    push(w, (event_t){.at = p->paused_until, .kind = EV_RESUME, .proc = number_of(w, p)});
}

/* As in replica/node/effects.c: nothing of the turn happens, and nothing comes in, until it may. */
static void stall(world_t *w, proc_t *p, const replica_effects_t *effects)
{
    size_t bytes = 0;
    for (size_t i = 0; i < effects->size; i++) {
        size_t end = effects->list[i].offset + effects->list[i].size;
        bytes = end > bytes ? end : bytes;
    }
    p->stall.is_on = true;
    p->stall.size = effects->size;
    p->stall.list = mem_zero(effects->size, sizeof *p->stall.list);
    memcpy(p->stall.list, effects->list, effects->size * sizeof *p->stall.list);
    buf_append(&p->stall.arena, effects->arena, bytes);
    p->refuses = true;
    replica_set_read_only(p->replica, time_of(w, p), "a write failed");
    w->coverage->stalls++;
    try_later(w, p);
}

/* What is to be known of a node as it is after a turn. */
static void look_back(world_t *w, proc_t *p)
{
    replica_info_t info = replica_info(p->replica, time_of(w, p));
    p->horizon = info.horizon;
    /* The limit bites a little above it only, and when the log is looked at. */
    note_refusing(w, p, p->refuses || info.log_bytes > w->log_max);
    bool is_serving = info.status == STATUS_ACTIVE && replica_is_ready(p->replica);
    if (is_serving == p->is_serving)
        return;
    note_unreachable(w);
    p->is_serving = is_serving;
}

static void carry_out_turn(world_t *w, proc_t *p, const replica_effects_t *effects, bool is_dying)
{
    read_back_t *reads = mem_alloc((effects->size + 1) * sizeof *reads);
    uint32_t *gone = mem_alloc((effects->size + 1) * sizeof *gone);
    size_t reads_size = 0;
    size_t gone_size = 0;
    size_t stop_after =
        is_dying ? (size_t)random_below(&w->random, effects->size + 1) : effects->size;
    bool survives = true;
    for (size_t i = 0; i < effects->size && survives; i++) {
        const replica_effect_t *e = &effects->list[i];
        if (is_dying && i >= stop_after && e->kind != REPLICA_APPEND)
            break;
        survives = carry_out_replica(w, p, e, replica_effect_bytes(effects, e), is_dying);
        if (e->kind == REPLICA_READ)
            reads[reads_size++] = (read_back_t){e->request, e->position, e->link, e->most};
        if (e->kind == REPLICA_TO_SERVICE && !w->chans[e->link].is_open)
            gone[gone_size++] = e->link;
    }
    p->is_read_only = p->refuses;
    if (is_dying) {
        w->coverage->node_kills++;
        kill_proc(w, p);
    } else {
        for (size_t i = 0; i < gone_size; i++)
            replica_service_lost(p->replica, time_of(w, p), gone[i]);
        for (size_t i = 0; i < reads_size; i++)
            carry_out_read(w, p, &reads[i]);
        if (reads_size + gone_size != 0)
            run_turn(w, p);
        else
            schedule_tick(w, p);
    }
    if (!is_dying && p->is_up)
        look_back(w, p);
    free(reads);
    free(gone);
}

static void turn_node(world_t *w, proc_t *p)
{
    if (p->stall.is_on)
        return;
    watch_room(w, p);
    bool is_dying = dies_now(w, NODE_DIES_PPM);
    replica_checkpoint_room(p->replica, time_of(w, p), (size_t)between(w, 0, 300));
    replica_effects_t effects = replica_turn(p->replica, time_of(w, p));
    look_at_node(w, p, &effects);
    if (!is_dying && refuses_append(w, p, &effects))
        stall(w, p, &effects);
    else
        carry_out_turn(w, p, &effects, is_dying);
}

/* Tries the append again. */
static void end_stall(world_t *w, proc_t *p)
{
    if (w->now < p->full_until) {
        if (chance(w, 60))
            kill_proc(w, p); /* people do not wait for that */
        else
            try_later(w, p);
        return;
    }
    stall_t stall = p->stall;
    p->stall = (stall_t){0};
    p->has_failed_append = false;
    const replica_effects_t effects = {stall.list, stall.size, stall.arena.data};
    carry_out_turn(w, p, &effects, false);
    free(stall.list);
    buf_free(&stall.arena);
    run_turn(w, p);
}

/* Effects of the front end come with each event. */
static void carry_out_frontend(world_t *w, proc_t *p)
{
    frontend_effects_t effects = frontend_effects(p->frontend);
    uint32_t gone = UINT32_MAX;
    for (size_t i = 0; i < effects.size; i++) {
        const frontend_effect_t *e = &effects.list[i];
        slice_t bytes = slice_of(effects.arena + e->offset, e->size);
        switch (e->kind) {
        case FRONTEND_SEND_CLIENT:
            transmit(w, e->target, false, bytes);
            if (!w->chans[e->target].is_open)
                gone = e->target;
            break;
        case FRONTEND_SEND_REPLICA:
            send_link(w, p, e->target, bytes);
            break;
        case FRONTEND_CONNECT:
            connect_chan(w, p, e->target, bytes, e->port);
            break;
        case FRONTEND_DISCONNECT:
            disconnect_link(w, p, e->target);
            break;
        case FRONTEND_NOTE:
            if (w->trace != NULL)
                fprintf(w->trace, "%9lld b%u %.*s\n", (long long)w->now, p->index, (int)bytes.size,
                        (const char *)bytes.data);
            break;
        }
    }
    if (gone != UINT32_MAX) {
        frontend_client_lost(p->frontend, time_of(w, p), gone);
        carry_out_frontend(w, p);
    }
}

static void turn_broker(world_t *w, proc_t *p)
{
    carry_out_frontend(w, p);
    schedule_tick(w, p);
}

/*
 * A log that is full gets room only with the next checkpoint, which is waited for; and an answer
 * may still be lost.
 */
static void take_tried(world_t *w, proc_t *p, outcome_t outcome)
{
    char why[80];
    bool is_allowed = outcome == OUTCOME_OK || outcome == OUTCOME_MISSING ||
                      (outcome == OUTCOME_CLOCK && w->has_wrong_clock);
    if (is_allowed) {
        w->to_try--;
    } else if (outcome == OUTCOME_READ_ONLY || outcome == OUTCOME_UNKNOWN) {
        p->tries_again = true;
        push(w, (event_t){.at = w->now + 500 * MS,
                          .kind = EV_ISSUE,
                          .proc = number_of(w, p),
                          .life = p->life});
    } else {
        snprintf(why, sizeof why, "when all was healed an update ended as %s",
                 outcome_name(outcome));
        violate(w, why);
    }
}

/* Where a request was refused for want of room there was none, at some time since it was issued. */
static void judge_read_only(world_t *w, uint32_t number, const client_effect_t *e)
{
    char why[100];
    const proc_t *node = &w->procs[e->replica];
    if (node->was_refusing || node->refused_at >= w->spans[number].issued - LOG_LOOK_MS * MS)
        return;
    snprintf(why, sizeof why, "request %u was refused as READ_ONLY by n%d, which takes updates",
             number, e->replica);
    violate(w, why);
}

/*
 * Who finds nobody until the time is up has a reason for that not long before the end. In less time
 * than it takes to come back to those who are there again, it may be any reason. Who waits for what
 * nobody has keeps those behind it in its session waiting; and others, too, where brokers have
 * little room.
 */
static void judge_not_reached(world_t *w, const proc_t *p, uint32_t number,
                              const client_effect_t *e)
{
    char why[100];
    const span_t *span = &w->spans[number];
    uint32_t s = (uint32_t)(e->ticket & 0xFF);
    int64_t since = w->unreachable_at > p->paused_until ? w->unreachable_at : p->paused_until;
    if (span->due - span->issued < SETTLED_MS * MS || w->replica_window != 0 ||
        p->missed_at[s] >= span->issued || is_unreachable(w) || since >= w->now - SETTLED_MS * MS)
        return;
    snprintf(why, sizeof why, "request %u ended as NOT_REACHED, %lld ms after all was there again",
             number, (long long)((w->now - since) / MS));
    violate(w, why);
}

static void take_done(world_t *w, proc_t *p, const client_effect_t *e, slice_t bytes)
{
    char why[256];
    uint32_t number = (uint32_t)(e->ticket >> 8);
    p->pending[e->ticket & 0xFF]--;
    sim_coverage_t *c = w->coverage;
    c->done_ok += e->outcome == OUTCOME_OK;
    c->alone_done += w->is_alone && e->outcome == OUTCOME_OK;
    c->alone_missing += w->is_alone && e->outcome == OUTCOME_MISSING;
    c->unknown += e->outcome == OUTCOME_UNKNOWN;
    c->lost_reads += e->outcome == OUTCOME_LOST;
    c->not_reached += e->outcome == OUTCOME_NOT_REACHED;
    c->refused_read_only += e->outcome == OUTCOME_READ_ONLY;
    if (w->trace != NULL)
        fprintf(w->trace, "%9lld c%u done %u %s sends=%u replica=%d\n", (long long)w->now, p->index,
                number, outcome_name(e->outcome), e->sends, e->replica);
    c->copied += e->outcome == OUTCOME_OK && e->copies > 1;
    c->relaxed += e->is_relaxed;
    if (e->is_relaxed)
        checker_relaxed(w->checker, number);
    /* A process that is paused does not look at the time. */
    int64_t due = w->spans[number].due;
    due = due > p->paused_until ? due : p->paused_until;
    if (w->now > due + LATE_MS * MS) {
        snprintf(why, sizeof why, "request %u ended %lld ms after its deadline", number,
                 (long long)((w->now - due) / MS));
        violate(w, why);
    }
    if (e->outcome == OUTCOME_READ_ONLY)
        judge_read_only(w, number, e);
    if (e->outcome == OUTCOME_NOT_REACHED)
        judge_not_reached(w, p, number, e);
    if (e->outcome == OUTCOME_MISSING || (e->outcome == OUTCOME_UNKNOWN && e->replica >= 0))
        p->missed_at[e->ticket & 0xFF] = w->now;
    if (w->is_trying)
        take_tried(w, p, e->outcome);
    hlc_t clock = client_session_token(p->client, p->sessions[e->ticket & 0xFF])->clock;
    const checker_end_t end = {e->outcome, e->copies, e->sends, e->replica, clock, bytes};
    if (!checker_done(w->checker, number, &end, why, sizeof why))
        violate(w, why);
    bool is_expected = e->outcome == OUTCOME_OK || e->outcome == OUTCOME_UNKNOWN ||
                       e->outcome == OUTCOME_LOST || e->outcome == OUTCOME_NOT_REACHED ||
                       e->outcome == OUTCOME_MISSING || e->outcome == OUTCOME_CANCELLED ||
                       e->outcome == OUTCOME_TOO_OLD || e->outcome == OUTCOME_READ_ONLY ||
                       e->outcome == OUTCOME_WRONGTYPE || e->outcome == OUTCOME_NOT_A_NUMBER ||
                       (e->outcome == OUTCOME_CLOCK && w->has_wrong_clock);
    if (!is_expected) {
        snprintf(why, sizeof why, "request %u ended as %s", number, outcome_name(e->outcome));
        violate(w, why);
    }
}

/* A token that has lost a part: what the session sends from here on knows nothing of that. */
static void notice_relaxed(world_t *w, proc_t *p)
{
    for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++) {
        const vec_t *seen = &client_session_token(p->client, p->sessions[s])->seen;
        if (!vec_covers(seen, &p->seen[s]))
            checker_gave_up(w->checker, p->index * SESSIONS_PER_CLIENT + s);
        vec_copy(&p->seen[s], seen);
    }
}

static void turn_client(world_t *w, proc_t *p)
{
    bool is_dying = dies_now(w, CLIENT_DIES_PPM);
    bool is_done = false;
    client_effects_t effects = client_turn(p->client, time_of(w, p));
    size_t size = is_dying ? (size_t)random_below(&w->random, effects.size + 1) : effects.size;
    for (size_t i = 0; i < size; i++) {
        const client_effect_t *e = &effects.list[i];
        slice_t bytes = slice_of(effects.arena + e->offset, e->size);
        switch (e->kind) {
        case CLIENT_CONNECT:
            connect_chan(w, p, e->connection, bytes, e->port);
            break;
        case CLIENT_DISCONNECT:
            disconnect_link(w, p, e->connection);
            break;
        case CLIENT_SEND:
            send_link(w, p, e->connection, bytes);
            break;
        case CLIENT_DONE:
            take_done(w, p, e, bytes);
            is_done = true;
            break;
        case CLIENT_NOTE:
            break;
        }
    }
    if (is_dying) {
        kill_proc(w, p);
        return;
    }
    notice_relaxed(w, p);
    if (is_done && chance(w, 5))
        save_token(w, p, (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT));
    schedule_tick(w, p);
}

static void run_turn(world_t *w, proc_t *p)
{
    if (p->kind == NODE)
        turn_node(w, p);
    else if (p->kind == BROKER)
        turn_broker(w, p);
    else
        turn_client(w, p);
}

/* ---- events ---- */

static void forward_frame(world_t *w, proc_t *p, frontend_forward_t way, slice_t frame)
{
    if (way.way == FRONTEND_TO_CLIENT)
        transmit(w, way.target, false, frame);
    else if (way.way == FRONTEND_TO_REPLICA)
        send_link(w, p, way.target, frame);
}

/* A message arrives at the ROUTER end of a channel. */
static void deliver_forward(world_t *w, proc_t *p, const event_t *e)
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

/* A message arrives at the DEALER end. */
static void deliver_backward(world_t *w, proc_t *p, const event_t *e)
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

static void deliver_broken(world_t *w, proc_t *p, const event_t *e)
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

/* A process hears the beacons of all that are up and can reach it. */
static void hear_beacons(world_t *w, proc_t *p)
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

static void submit(world_t *w, proc_t *p, uint32_t s, uint32_t number, const request_t *request,
                   int64_t left_ms)
{
    now_t now = time_of(w, p);
    if (number >= w->spans_size) {
        w->spans_size = 2 * (size_t)number + 64;
        w->spans = mem_resize(w->spans, w->spans_size * sizeof *w->spans);
    }
    w->spans[number] = (span_t){w->now, w->now + left_ms * MS};
    p->pending[s]++;
    client_submit(p->client, now, p->sessions[s], (uint64_t)number << 8 | s, request->command,
                  request->arguments_at, request->arguments, now.boot_ms + left_ms);
}

/* Types that meet, deadlines that pass: two keys, three fields. */
static void issue_mixed(world_t *w, proc_t *p, uint32_t s)
{
    static const uint8_t codes[] = {COMMAND_SET,  COMMAND_INCR, COMMAND_HSET,   COMMAND_HINCR,
                                    COMMAND_HDEL, COMMAND_SADD, COMMAND_SREM,   COMMAND_DEL,
                                    COMMAND_DEL,  COMMAND_GET,  COMMAND_EXPIRE, COMMAND_PERSIST};
    static const char *const names[] = {"m0", "m1"};
    static const char *const fields[] = {"f", "g", "3"};
    uint8_t code = codes[random_below(&w->random, sizeof codes)];
    uint32_t session = p->index * SESSIONS_PER_CLIENT + s;
    ask_t ask = {.kind = ASK_MIX};
    checker_issue(w->checker, session, &ask);
    buf_t arguments = {0};
    uint32_t count = command_by_code(code)->least;
    char text[24];
    snprintf(text, sizeof text, "%u", ask.number);
    mp_put_bin(&arguments, slice_text(names[random_below(&w->random, 2)]));
    if (code == COMMAND_EXPIRE) {
        bool is_soon = chance(w, 50);
        mp_put_bin(&arguments, slice_text(is_soon ? "1" : "3"));
        w->expiries[w->next_expiry++ % EXPIRIES_MAX] = w->now + (is_soon ? 1000 : 3000) * MS;
    } else if (count > 1)
        mp_put_bin(&arguments, slice_text(fields[random_below(&w->random, 3)]));
    if (count > 2)
        mp_put_bin(&arguments, slice_text(text));
    const request_t request = {
        .command = code, .arguments = count, .arguments_at = buf_slice(&arguments)};
    submit(w, p, s, ask.number, &request, LEFT_MS);
    buf_free(&arguments);
}

static void issue_this(world_t *w, proc_t *p, uint32_t s, ask_t ask)
{
    checker_issue(w->checker, p->index * SESSIONS_PER_CLIENT + s, &ask);
    buf_t arguments = {0};
    uint32_t count;
    uint8_t command = ask_put(&ask, &w->random, &arguments, &count);
    p->last_ticket[s] = (uint64_t)ask.number << 8 | s;
    if (ask.kind != ASK_SCAN)
        p->last_key[s] = ask.key;
    const request_t request = {
        .command = command, .arguments = count, .arguments_at = buf_slice(&arguments)};
    submit(w, p, s, ask.number, &request,
           !w->is_trying && chance(w, 10) ? between(w, 20, 400) : LEFT_MS);
    buf_free(&arguments);
}

/* Half of the keys are not written for a while: there the last update gets old enough to matter. */
static bool is_resting(const world_t *w, uint32_t key)
{
    enum { REST_MS = 2000 };
    return w->is_rough && (key + w->now / (REST_MS * MS)) % 2 == 0;
}

/* What is done to a key that holds a text. */
static ask_kind_t draw_for_text(world_t *w)
{
    static const ask_kind_t kinds[] = {ASK_SET, ASK_DEL, ASK_GET};
    ask_kind_t kind = kinds[random_below(&w->random, 3)];
    if (kind == ASK_DEL && chance(w, 60))
        kind = ASK_SET;
    if (kind == ASK_GET && chance(w, 50))
        kind = ASK_ALL;
    return kind;
}

/* A key with a deadline is left alone, mostly, or it would never come to that. */
static ask_kind_t draw_for_timed(world_t *w)
{
    uint64_t drawn = random_below(&w->random, 100);
    return drawn < 5    ? ASK_SET
           : drawn < 6  ? ASK_DEL
           : drawn < 11 ? ASK_EXPIRE
           : drawn < 12 ? ASK_PERSIST
                        : ASK_GET;
}

static ask_kind_t draw_for_set(world_t *w)
{
    static const ask_kind_t kinds[] = {ASK_JOIN, ASK_LEAVE, ASK_MEMBERS, ASK_IS_MEMBER};
    return kinds[random_below(&w->random, sizeof kinds / sizeof kinds[0])];
}

static void issue_one(world_t *w, proc_t *p, uint32_t s)
{
    uint32_t session = p->index * SESSIONS_PER_CLIENT + s;
    ask_t ask;
    if (chance(w, 12)) {
        issue_mixed(w, p, s);
        return;
    }
    if (checker_next_page(w->checker, session, &ask)) {
        issue_this(w, p, s, ask);
        return;
    }
    if (chance(w, 4)) {
        ask = (ask_t){.kind = ASK_SCAN, .key = (uint32_t)random_below(&w->random, ASK_PREFIXES)};
        issue_this(w, p, s, ask);
        return;
    }
    /* The answers of increments tell most of what was seen. */
    ask.key = chance(w, 30) ? KEY_COUNTERS + (uint32_t)random_below(&w->random, COUNTERS)
                            : (uint32_t)random_below(&w->random, KEYS);
    ask.kind = ask.key < KEY_TIMED   ? draw_for_text(w)
               : ask.key < KEY_TEXTS ? draw_for_timed(w)
               : ask.key == KEY_SET  ? draw_for_set(w)
               : chance(w, 60)       ? ASK_ADD
                                     : ASK_LOOK;
    if (is_resting(w, ask.key))
        ask.kind = ask_look(ask.key);
    ask.member = (uint32_t)random_below(&w->random, MEMBERS_MAX);
    issue_this(w, p, s, ask);
}

/* The caller loses interest in the last request of a session, before or after it went out. */
static void cancel(world_t *w, proc_t *p, uint32_t s)
{
    client_effect_t end = {.ticket = p->last_ticket[s], .replica = -1};
    if (!client_cancel(p->client, time_of(w, p), p->sessions[s], end.ticket, &end.outcome))
        return;
    w->coverage->cancelled += end.outcome == OUTCOME_CANCELLED;
    w->coverage->cancelled_unknown += end.outcome == OUTCOME_UNKNOWN;
    take_done(w, p, &end, (slice_t){0});
}

/* What a session has seen is little when it is new: no later update stands in for what it needs. */
static void renew_session(world_t *w, proc_t *p, uint32_t s)
{
    if (p->pending[s] != 0)
        return;
    client_session_close(p->client, p->sessions[s]);
    open_session(w, p, s, NULL);
    checker_renewed(w->checker, p->index * SESSIONS_PER_CLIENT + s);
}

/* It sees a key come, and go in time, and nothing else that would stand in for that. */
static void watch(world_t *w, proc_t *p, uint32_t s)
{
    const ask_t ask = {.kind = ASK_GET, .key = KEY_TIMED + (p->index + s) % TIMED};
    if (p->pending[s] == 0)
        issue_this(w, p, s, ask);
}

/*
 * Another session, mostly of another client and at another replica, hands its token to this one,
 * which looks at the same key.
 */
static void take_token(world_t *w, proc_t *p, uint32_t s)
{
    const proc_t *other = &w->procs[w->nodes + w->brokers + random_below(&w->random, w->clients)];
    uint32_t from = (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT);
    /* What is under way went without it; and when one gives something up is known too late. */
    if (p->pending[s] != 0 || !other->is_up || other->sessions[from] == p->sessions[s] ||
        other->relaxes[from])
        return;
    client_session_merge(p->client, p->sessions[s],
                         client_session_token(other->client, other->sessions[from]));
    checker_handed_over(w->checker, other->index * SESSIONS_PER_CLIENT + from,
                        p->index * SESSIONS_PER_CLIENT + s);
    w->coverage->handed_over++;
    uint32_t key = other->last_key[from];
    issue_this(w, p, s, (ask_t){.kind = ask_look(key), .key = key});
}

static void try_update(world_t *w, proc_t *p)
{
    w->coverage->tried++;
    const ask_t ask = {.kind = ASK_SET, .key = (uint32_t)random_below(&w->random, KEY_PAIR)};
    issue_this(w, p, 0, ask);
}

static void issue(world_t *w, proc_t *p)
{
    if (p->tries_again)
        try_update(w, p);
    p->tries_again = false;
    if (w->now >= FAULTS_MS * MS)
        return;
    uint32_t s = (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT);
    int64_t burst = chance(w, 30) ? between(w, 1, PIPELINE_MAX) : 1;
    bool is_watching = p->watches_until[s] > w->now;
    if (w->is_rough && !is_watching && chance(w, 20)) {
        renew_session(w, p, s);
        if (chance(w, 4))
            p->watches_until[s] = w->now + between(w, 500, 3000) * MS;
    }
    if (is_watching) {
        watch(w, p, s);
        burst = 0;
    } else if (w->is_rough && chance(w, 20)) {
        take_token(w, p, s);
    }
    if (chance(w, 3))
        cancel(w, p, s);
    while (burst-- > 0 && p->pending[s] < PIPELINE_MAX)
        issue_one(w, p, s);
    if (chance(w, 1))
        cancel(w, p, s);
    push(w, (event_t){.at = w->now + between(w, MS / 2, w->issue_ms * MS),
                      .kind = EV_ISSUE,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/* ---- faults ---- */

static void set_cuts(world_t *w, bool is_cut)
{
    note_unreachable(w);
    uint32_t victim = (uint32_t)random_below(&w->random, w->procs_size);
    uint32_t other = (uint32_t)random_below(&w->random, w->procs_size);
    bool is_isolation = chance(w, 40);
    bool is_one_way = chance(w, 30);
    for (uint32_t i = 0; i < w->procs_size; i++) {
        if (!is_cut) {
            memset(w->is_cut[i], 0, sizeof w->is_cut[i]);
        } else if (i != victim && (is_isolation || i == other)) {
            w->is_cut[victim][i] = true;
            w->is_cut[i][victim] = !is_one_way;
        }
    }
    w->coverage->partitions += is_cut;
}

/* Some machines see one another, and the others do. */
static void split(world_t *w)
{
    uint64_t sides = random_u64(&w->random);
    note_unreachable(w);
    for (uint32_t i = 0; i < w->procs_size; i++)
        for (uint32_t j = 0; j < w->procs_size; j++)
            w->is_cut[i][j] = ((sides >> i ^ sides >> j) & 1) != 0;
    w->coverage->splits++;
}

static void kill_all_nodes(world_t *w)
{
    for (uint32_t i = 0; i < w->nodes; i++) {
        w->coverage->node_kills += w->procs[i].is_up;
        kill_proc(w, &w->procs[i]);
    }
    w->coverage->all_killed++;
}

static void set_status(world_t *w, proc_t *p)
{
    replica_info_t info = replica_info(p->replica, time_of(w, p));
    replica_status_t away = chance(w, 50) ? STATUS_OFFLINE : STATUS_DRAINING;
    replica_status_t status = status_serves(info.status) ? away : STATUS_ACTIVE;
    if (chance(w, 20))
        status = STATUS_OVERLOADED;
    w->coverage->offline += status == STATUS_OFFLINE;
    w->coverage->draining += status == STATUS_DRAINING;
    replica_set_status(p->replica, time_of(w, p), status, MODE_MANUAL);
    run_turn(w, p);
}

/* A disk fills up, or has room again. */
static void toggle_read_only(world_t *w, proc_t *p)
{
    p->has_no_room = !p->has_no_room;
    w->coverage->read_only += p->has_no_room;
    run_turn(w, p);
}

/* A write or a sync of a node will fail, once. */
static void break_disk(world_t *w, proc_t *p)
{
    if (chance(w, 60))
        p->fails_append = true;
    else
        p->fails_sync = true;
}

/* People give a node up that is off; when it comes back after all, it has to join. */
static void forget(world_t *w, const proc_t *gone)
{
    err_t err;
    proc_t *p = &w->procs[random_below(&w->random, w->nodes)];
    if (!p->is_up || replica_forget(p->replica, time_of(w, p), (uint16_t)gone->index, &err) != 0)
        return;
    w->coverage->forgotten_nodes++;
    run_turn(w, p);
}

/* Of what one node publishes, or all do, nothing comes to one other for a while, or to nobody. */
static void deafen(world_t *w)
{
    uint32_t speaker = (uint32_t)random_below(&w->random, w->nodes);
    uint32_t hearer = (uint32_t)random_below(&w->random, w->nodes + 1);
    bool hears_nobody = hearer != w->nodes && chance(w, 50);
    int64_t until = w->now + between(w, 100 * MS, 5000 * MS);
    for (uint32_t i = 0; i < w->chans_size; i++) {
        chan_t *c = &w->chans[i];
        if (c->port != PEER_PORT || !c->is_open || (c->to != speaker && !hears_nobody) ||
            (c->from != hearer && hearer != w->nodes))
            continue;
        c->deaf_until = until;
        w->coverage->deaf++;
    }
}

/* A node is cut off from the other nodes; brokers still reach it. */
static void cut_off_from_nodes(world_t *w, uint32_t node)
{
    for (uint32_t i = 0; i < w->nodes; i++)
        if (i != node)
            w->is_cut[node][i] = w->is_cut[i][node] = true;
    w->coverage->partitions++;
}

/*
 * A machine and a switch are without power: one node is gone with what it had not on its disk, and
 * another one, or the same when it is back, sees none of the others.
 */
static void black_out(world_t *w)
{
    proc_t *node = &w->procs[random_below(&w->random, w->nodes)];
    uint32_t other =
        chance(w, 40) ? number_of(w, node) : (uint32_t)random_below(&w->random, w->nodes);
    w->coverage->node_kills += node->is_up;
    w->coverage->black_outs++;
    node->loses_power = node->is_up;
    kill_proc(w, node);
    set_cuts(w, false);
    if (chance(w, 75))
        cut_off_from_nodes(w, other);
    if (chance(w, 40))
        forget(w, chance(w, 70) ? node : &w->procs[other]);
}

/* Far more than --max-drift. */
enum { WRONG_CLOCK_MS = 3600 * 1000 };

static void shift_clock(world_t *w, int64_t ms)
{
    proc_t *node = &w->procs[w->wrong_clock];
    w->is_clock_wrong = ms > 0;
    w->coverage->node_kills += node->is_up;
    node->wall_skew_ms += ms;
    kill_proc(w, node);
}

static void accept_clocks(world_t *w, proc_t *p)
{
    replica_refused_info_t refused;
    int64_t moved_ms;
    err_t err;
    while (replica_refused_info(p->replica, time_of(w, p), 0, &refused)) {
        int rc = replica_accept_clock(p->replica, time_of(w, p), refused.id, &moved_ms, &err);
        w->coverage->clocks_accepted += rc > 0;
        if (rc <= 0)
            return;
    }
    run_turn(w, p);
}

/*
 * A machine is started again with a clock that is an hour ahead: its node is refused. People set
 * that right, which does not help when it has taken updates, and ask nodes to accept it.
 */
static void wrong_clock(world_t *w)
{
    int64_t most_ms = w->is_healing ? 1000 : 4000;
    push(w, (event_t){.at = w->now + between(w, 200 * MS, most_ms * MS), .kind = EV_CLOCK});
    if (!w->has_wrong_clock) {
        w->has_wrong_clock = true;
        w->coverage->wrong_clocks++;
        shift_clock(w, WRONG_CLOCK_MS);
        return;
    }
    if (w->is_clock_wrong && !w->is_healing && chance(w, 25)) {
        shift_clock(w, -WRONG_CLOCK_MS);
        return;
    }
    for (uint32_t i = 0; i < w->nodes; i++)
        if (w->procs[i].is_up && (w->is_healing || chance(w, 40)))
            accept_clocks(w, &w->procs[i]);
}

/* A node is cut off from the others and given up by people. It is up, and brokers reach it. */
static void leave_out(world_t *w)
{
    uint32_t node = (uint32_t)random_below(&w->random, w->nodes);
    set_cuts(w, false);
    cut_off_from_nodes(w, node);
    forget(w, &w->procs[node]);
}

static void copy_folder(proc_t *p)
{
    if (p->copy == NULL && !sim_disk_is_empty(p->disk) && !sim_disk_is_aside(p->disk))
        p->copy = sim_disk_copy(p->disk);
}

/*
 * A node that could go on alone: no other has to tell it anything, nor will have to when it is
 * started again and reads its disk.
 */
static proc_t *find_survivor(world_t *w)
{
    uint32_t from = (uint32_t)random_below(&w->random, w->nodes);
    for (uint32_t i = 0; i < w->nodes; i++) {
        proc_t *p = &w->procs[(from + i) % w->nodes];
        if (p->is_up && replica_is_ready(p->replica) && !p->is_forgotten && !p->stall.is_on &&
            !sim_disk_is_aside(p->disk) && !sim_disk_was_damaged(p->disk))
            return p;
    }
    return NULL;
}

static void leave_alone(world_t *w, proc_t *survivor)
{
    hlc_t kept[REGISTERS];
    const char *field;
    for (uint32_t k = 0; k < REGISTERS; k++) {
        replica_key_info_t info;
        replica_key_info(survivor->replica, time_of(w, survivor), slice_text(known_key(k, &field)),
                         &info);
        kept[k] = info.tag;
    }
    for (uint32_t i = 0; i < w->nodes; i++) {
        proc_t *p = &w->procs[i];
        if (p == survivor)
            continue;
        p->is_gone = true;
        w->coverage->node_kills += p->is_up;
        kill_proc(w, p);
    }
    /* What it has from now on nobody else has: it does not lose that as well. */
    w->is_alone = w->is_disk_lost = true;
    w->coverage->left_alone++;
    checker_left_alone(w->checker, survivor->index, kept);
}

/* All nodes but one are gone for good. People give those up at the one that is left. */
static void all_but_one(world_t *w)
{
    push(w, (event_t){.at = w->now + between(w, 100 * MS, 1500 * MS), .kind = EV_ALONE});
    proc_t *survivor = w->is_alone || w->is_healing ? NULL : find_survivor(w);
    if (survivor != NULL)
        leave_alone(w, survivor);
    for (uint32_t i = 0; i < w->nodes; i++)
        if (w->procs[i].is_gone)
            forget(w, &w->procs[i]);
}

static void rough_fault(world_t *w)
{
    if (chance(w, 25))
        black_out(w);
    else if (chance(w, 10))
        copy_folder(&w->procs[random_below(&w->random, w->nodes)]);
    else
        deafen(w);
}

static void fault(world_t *w)
{
    if (w->is_healing)
        return;
    int64_t most_ms = w->is_rough ? 800 : 1500;
    int64_t wait_us = between(w, 50 * MS, most_ms * MS);
    bool leaves_out = w->is_rough && chance(w, w->leave_percent);
    if (leaves_out)
        wait_us += between(w, 500 * MS, 2000 * MS); /* so that the others go on without it */
    push(w, (event_t){.at = w->now + wait_us, .kind = EV_FAULT});
    if (leaves_out) {
        leave_out(w);
        return;
    }
    if (w->is_rough && chance(w, 40)) {
        rough_fault(w);
        return;
    }
    proc_t *node = &w->procs[random_below(&w->random, w->nodes)];
    proc_t *broker = &w->procs[w->nodes + random_below(&w->random, w->brokers)];
    proc_t *client = &w->procs[w->nodes + w->brokers + random_below(&w->random, w->clients)];
    switch (random_below(&w->random, 17)) {
    case 0:
        w->coverage->node_kills += node->is_up;
        kill_proc(w, node);
        break;
    case 1:
        w->coverage->broker_kills += broker->is_up;
        kill_proc(w, broker);
        break;
    case 2:
    case 3:
        set_cuts(w, true);
        break;
    case 4:
        set_cuts(w, false);
        break;
    case 5:
        if (node->is_up)
            set_status(w, node);
        break;
    case 6: {
        proc_t *p = chance(w, 40) ? node : chance(w, 60) ? broker : client;
        int64_t until = w->now + between(w, 10 * MS, 2500 * MS);
        p->paused_until = until > p->paused_until ? until : p->paused_until;
        push(w, (event_t){.at = p->paused_until, .kind = EV_RESUME, .proc = number_of(w, p)});
        w->coverage->pauses++;
        w->coverage->client_pauses += p == client;
        break;
    }
    case 7:
        node->wall_skew_ms += between(w, -8000, 8000);
        w->coverage->clock_jumps++;
        break;
    case 8:
        if (!node->is_up && chance(w, 20))
            forget(w, node);
        break;
    case 9:
        if (node->is_up)
            toggle_read_only(w, node);
        break;
    case 10:
        if (chance(w, 60))
            damage_disk(w, node);
        break;
    case 11:
        split(w);
        break;
    case 12:
        if (chance(w, 40))
            kill_all_nodes(w);
        break;
    case 13:
        kill_proc(w, client);
        break;
    case 14:
    case 15:
        if (node->is_up)
            break_disk(w, node);
        break;
    default:
        w->loss_ppm = (uint32_t)random_below(&w->random, 300000);
        break;
    }
}

static void heal(world_t *w)
{
    w->is_healing = true;
    w->loss_ppm = 10000;
    w->batch_loss_ppm = 0;
    set_cuts(w, false);
    for (uint32_t i = 0; i < w->chans_size; i++)
        w->chans[i].deaf_until = 0;
    for (uint32_t i = 0; i < w->procs_size; i++) {
        proc_t *p = &w->procs[i];
        /* People start what waits to be repaired so that it goes on if there is nobody. */
        if (p->kind == NODE && (sim_disk_is_aside(p->disk) || p->has_failed_sync))
            kill_proc(w, p);
        if (p->is_gone)
            continue;
        if (!p->is_up)
            start(w, p);
        if (p->kind == NODE) {
            p->has_no_room = p->fails_append = p->fails_sync = false;
            p->full_until = w->now;
            replica_set_status(p->replica, time_of(w, p), STATUS_ACTIVE, MODE_MANUAL);
            run_turn(w, p);
        }
    }
}

/* ---- the end ---- */

/* A node that is not gone for good: all others of those must be equal to it. */
static const proc_t *any_node(const world_t *w)
{
    const proc_t *p = w->procs;
    while (p->is_gone)
        p++;
    return p;
}

static bool has_converged(const world_t *w)
{
    const proc_t *any = any_node(w);
    for (uint32_t i = 0; i < w->nodes; i++) {
        if (w->procs[i].is_gone)
            continue;
        if (!any->is_up || !w->procs[i].is_up || !replica_is_ready(w->procs[i].replica))
            return false;
        replica_info_t a = replica_info(any->replica, (now_t){0});
        replica_info_t b = replica_info(w->procs[i].replica, (now_t){0});
        if (!vec_equal(a.vector, b.vector) || b.unstable != 0 || b.executed != 0)
            return false;
    }
    for (uint32_t i = w->nodes + w->brokers; i < w->procs_size; i++)
        if (client_pending(w->procs[i].client) != 0)
            return false;
    return true;
}

/* Reads a key straight from a replica, as a broker's client would. */
static void read_key(world_t *w, proc_t *p, uint32_t key, buf_t *value)
{
    const uint32_t link = UINT32_MAX - 1;
    now_t now = time_of(w, p);
    const vec_t nothing = {0};
    buf_t bytes = {0};
    frame_t hello = {.kind = FRAME_HELLO, .slot = FRAME_SLOT_LINK};
    const link_hello_t link_hello = {CLUSTER, 1, 0};
    frame_begin(&bytes, &hello);
    link_hello_put(&bytes, &link_hello);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    replica_effects_t effects = replica_turn(p->replica, now);
    frame_t welcome = {0};
    for (size_t i = 0; i < effects.size; i++)
        if (effects.list[i].kind == REPLICA_TO_SERVICE && effects.list[i].link == link)
            frame_read(replica_effect_bytes(&effects, &effects.list[i]), &welcome);
    buf_reset(&bytes);
    frame_t open = {.kind = FRAME_HELLO, .route = welcome.route};
    const session_hello_t session = {.session = 1, .cluster = CLUSTER, .pin = -1};
    frame_begin(&bytes, &open);
    session_hello_put(&bytes, &session, &nothing);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    const ask_t asked = {.kind = ask_look(key), .key = key};
    buf_t arguments = {0};
    uint32_t count;
    uint8_t command = ask_put(&asked, &w->random, &arguments, &count);
    const request_t request = {
        .session = 1,
        .epoch = 1,
        .seq = 1,
        .left_ms = 1000,
        .command = command,
        .arguments = count,
        .arguments_at = buf_slice(&arguments),
    };
    buf_reset(&bytes);
    frame_t ask = {.kind = FRAME_REQUEST, .items = 1, .route = welcome.route};
    frame_begin(&bytes, &ask);
    mp_put_array(&bytes, 1);
    request_put(&bytes, &request, NULL);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    effects = replica_turn(p->replica, now);
    for (size_t i = 0; i < effects.size; i++) {
        frame_t frame;
        slice_t message = replica_effect_bytes(&effects, &effects.list[i]);
        reply_t reply;
        if (effects.list[i].kind != REPLICA_TO_SERVICE || effects.list[i].link != link ||
            frame_read(message, &frame) != FRAME_GOOD || frame.kind != FRAME_REPLY)
            continue;
        mp_t in = mp_open(frame_body(message));
        if (mp_array(&in, 1) == 1 && reply_read(&in, &reply) && reply.outcome == OUTCOME_OK)
            buf_append_slice(value, reply.value);
        else if (w->trace != NULL)
            fprintf(w->trace, "end: %s\n", outcome_name(reply.outcome));
    }
    buf_free(&arguments);
    buf_free(&bytes);
}

static void trace_value(const world_t *w, const proc_t *p, uint32_t key, slice_t value)
{
    mp_t in = mp_open(value);
    const char *field;
    if (w->trace == NULL)
        return;
    slice_t text = mp_peek(&in) == MP_BYTES ? mp_bytes(&in) : slice_text("nothing");
    fprintf(w->trace, "end: n%u %s %.*s\n", p->index, known_key(key, &field), (int)text.size,
            (const char *)text.data);
}

static void judge_end(world_t *w)
{
    hlc_t clock = 0;
    for (uint32_t i = 0; i < w->nodes; i++)
        if (!w->procs[i].is_gone)
            clock = hlc_max(clock, replica_info(w->procs[i].replica, (now_t){0}).clock);
    uint64_t digest = replica_digest(any_node(w)->replica, clock);
    w->coverage->executed_twice += checker_executed_twice(w->checker);
    w->coverage->left_applied += checker_left_applied(w->checker);
    for (uint32_t i = 0; i < w->nodes; i++) {
        proc_t *p = &w->procs[i];
        if (p->is_gone)
            continue;
        for (uint32_t key = 0; key < KEYS; key++) {
            char why[256];
            buf_t value = {0};
            read_key(w, p, key, &value);
            trace_value(w, p, key, buf_slice(&value));
            if (value.size == 0)
                violate(w, "a replica did not answer at the end");
            else if (!checker_final(w->checker, key, buf_slice(&value), why, sizeof why))
                violate(w, why);
            buf_free(&value);
        }
        if (replica_digest(p->replica, clock) != digest)
            violate(w, "replicas that applied the same updates differ");
        w->coverage->final_counts += replica_info(p->replica, (now_t){0}).ended;
        add_node_counts(w, p->replica);
    }
}

/* ---- a run ---- */

static void hash_event(world_t *w, const event_t *e)
{
    const uint64_t head[4] = {(uint64_t)e->at, e->kind, (uint64_t)e->proc << 32 | e->life, e->size};
    XXH3_64bits_update(w->hash, head, sizeof head);
    if (e->size != 0)
        XXH3_64bits_update(w->hash, e->bytes, e->size);
}

/* A commit may be carried out, or what is being written for it fail. */
static void step_disk(world_t *w, proc_t *p)
{
    if (!w->is_healing && chance(w, 5)) {
        sim_disk_abort(p->disk);
        replica_checkpoint_done(p->replica, time_of(w, p), false, slice_text("no room"));
    } else if (sim_disk_step(p->disk)) {
        audit_checkpoint_done(p->audit);
        replica_checkpoint_done(p->replica, time_of(w, p), true, slice_text(""));
    }
}

/* Who is ready has taken over a state, or nobody has a better one. */
static void end_repair(world_t *w, const proc_t *p)
{
    if (!sim_disk_is_aside(p->disk) || !replica_is_ready(p->replica))
        return;
    if (replica_info(p->replica, (now_t){0}).is_damaged)
        violate(w, "a node serves from a disk that is damaged");
    sim_disk_end_repair(p->disk);
}

/* The disk is done with what it had to write, or fails, and then does nothing more. */
static void sync_node(world_t *w, proc_t *p)
{
    if (!p->has_failed_sync &&
        (!w->sync_never || p->asks_for_sync || sim_disk_unsynced(p->disk) > SEGMENT_BYTES)) {
        p->has_failed_sync = p->fails_sync && sim_disk_unsynced(p->disk) != 0;
        w->coverage->syncs_failed += p->has_failed_sync;
        if (!p->has_failed_sync) {
            audit_synced(p->audit);
            replica_synced(p->replica, time_of(w, p), sim_disk_sync(p->disk));
        }
    }
    w->coverage->asked_syncs += w->sync_never && p->asks_for_sync;
    p->asks_for_sync = false;
    step_disk(w, p);
}

static void handle(world_t *w, event_t *e)
{
    if (e->kind == EV_FAULT) {
        fault(w);
        return;
    }
    if (e->kind == EV_CLOCK) {
        wrong_clock(w);
        return;
    }
    if (e->kind == EV_ALONE) {
        all_but_one(w);
        return;
    }
    proc_t *p = &w->procs[e->proc];
    if (e->kind == EV_RESTART) {
        if (!p->is_up && !p->is_gone && e->life == p->life)
            start(w, p);
        return;
    }
    if (!p->is_up || e->life != p->life)
        return;
    if (e->kind == EV_TICK)
        p->tick_at = INT64_MAX;
    bool is_over_chan = e->kind == EV_FORWARD || e->kind == EV_BACKWARD;
    if (is_over_chan && !w->chans[e->chan].is_open &&
        !(e->kind == EV_FORWARD && w->chans[e->chan].is_ending))
        return;
    switch (e->kind) {
    case EV_TICK:
        if (p->kind == NODE)
            replica_tick(p->replica, time_of(w, p));
        else if (p->kind == BROKER)
            frontend_tick(p->frontend, time_of(w, p));
        break;
    case EV_FORWARD:
        deliver_forward(w, p, e);
        break;
    case EV_BACKWARD:
        deliver_backward(w, p, e);
        break;
    case EV_BROKEN:
        deliver_broken(w, p, e);
        break;
    case EV_GOSSIP:
        replica_gossip(p->replica, time_of(w, p), slice_of(e->bytes, e->size));
        break;
    case EV_BEACON:
        hear_beacons(w, p);
        break;
    case EV_ISSUE:
        issue(w, p);
        break;
    case EV_SYNC:
        if ((p->is_forgotten || p->has_failed_sync) && (w->is_healing || chance(w, 5))) {
            kill_proc(w, p);
            return;
        }
        sync_node(w, p);
        end_repair(w, p);
        schedule_sync(w, p);
        break;
    case EV_READ: {
        read_back_t read;
        memcpy(&read, e->bytes, sizeof read);
        take_read(w, p, &read);
        break;
    }
    default:
        break;
    }
    run_turn(w, p);
}

static void trace_event(const world_t *w, const event_t *e)
{
    static const char *const kinds[] = {"tick",   "forward", "backward", "broken",  "gossip",
                                        "beacon", "issue",   "fault",    "restart", "resume",
                                        "sync",   "read",    "clock",    "alone"};
    static const char letters[] = {'n', 'b', 'c'};
    if (w->trace == NULL || e->kind == EV_TICK || e->kind == EV_BEACON || e->kind == EV_SYNC)
        return;
    const proc_t *p = &w->procs[e->proc];
    fprintf(w->trace, "%9lld %c%u %s chan=%u size=%u\n", (long long)e->at, letters[p->kind],
            p->index, kinds[e->kind], e->chan, e->size);
}

/* Keeps an event for later when its process is paused, or still has older ones to take. */
static bool defer(world_t *w, const event_t *e)
{
    bool is_for_proc = e->kind != EV_FAULT && e->kind != EV_RESTART && e->kind != EV_RESUME &&
                       e->kind != EV_CLOCK && e->kind != EV_ALONE;
    proc_t *p = &w->procs[e->proc];
    /* A node that waits for its disk still hears that a connection is gone. */
    if (p->stall.is_on && e->kind == EV_BROKEN)
        return false;
    if (!is_for_proc || !p->is_up || (p->paused_until <= w->now && p->deferred_size == 0))
        return false;
    if (p->deferred_size == p->deferred_capacity)
        p->deferred = mem_grow(p->deferred, &p->deferred_capacity, sizeof *p->deferred);
    p->deferred[p->deferred_size++] = *e;
    return true;
}

static void take_event(world_t *w, event_t *e)
{
    hash_event(w, e);
    trace_event(w, e);
    handle(w, e);
    free(e->bytes);
    w->report.events++;
}

/*
 * The process goes on with what came meanwhile; what was for an earlier life of it comes to
 * nothing.
 */
static void resume(world_t *w, proc_t *p)
{
    if (p->paused_until > w->now)
        return; /* paused again; another EV_RESUME will come */
    if (p->kind != CLIENT)
        w->unreachable_at = w->now;
    if (p->stall.is_on)
        end_stall(w, p);
    if (p->stall.is_on)
        return;
    size_t size = p->deferred_size;
    event_t *events = p->deferred;
    p->deferred = NULL;
    p->deferred_size = p->deferred_capacity = 0;
    for (size_t i = 0; i < size; i++)
        take_event(w, &events[i]);
    free(events);
}

static void violate_unconverged(world_t *w)
{
    buf_t why = {0};
    buf_append_text(&why, "no convergence in time after all was healed:");
    for (uint32_t i = 0; i < w->nodes; i++) {
        if (!w->procs[i].is_up) {
            buf_printf(&why, w->procs[i].is_gone ? " n%u gone" : " n%u down", i);
            continue;
        }
        replica_info_t info = replica_info(w->procs[i].replica, (now_t){0});
        buf_printf(&why, " n%u%s applied=%llu unstable=%zu executed=%zu members=%u waits_for=%d", i,
                   replica_is_ready(w->procs[i].replica) ? ""
                   : info.is_joining                     ? " joining"
                                                         : " not ready",
                   (unsigned long long)vec_lag(&(vec_t){0}, info.vector), info.unstable,
                   info.executed, info.members, info.holds_back);
    }
    for (uint32_t i = w->nodes + w->brokers; i < w->procs_size; i++)
        buf_printf(&why, " c%u pending=%zu", w->procs[i].index, client_pending(w->procs[i].client));
    violate(w, buf_text(&why));
    buf_free(&why);
}

/* What was refused is taken again by itself, when there is nothing that stands against it. */
static void try_all(world_t *w)
{
    w->is_trying = true;
    w->to_try = w->clients;
    for (uint32_t i = w->nodes + w->brokers; i < w->procs_size; i++) {
        try_update(w, &w->procs[i]);
        run_turn(w, &w->procs[i]);
    }
}

static void notice_expiries(world_t *w)
{
    bool is_cut = false;
    for (uint32_t i = 0; i < EXPIRIES_MAX; i++) {
        if (w->expiries[i] == 0 || w->expiries[i] > w->now)
            continue;
        w->expiries[i] = 0;
        for (uint32_t k = 0; k < w->nodes * w->nodes; k++)
            is_cut |= w->is_cut[k / w->nodes][k % w->nodes];
        w->coverage->expired_apart += is_cut;
    }
}

static void run_events(world_t *w)
{
    while (w->heap_size != 0 && w->report.is_clean) {
        event_t e = pop(w);
        if (!w->is_healing && e.at >= FAULTS_MS * MS) {
            w->now = FAULTS_MS * MS;
            heal(w);
        }
        w->now = e.at > w->now ? e.at : w->now;
        if (e.kind == EV_RESUME)
            resume(w, &w->procs[e.proc]);
        else if (!defer(w, &e))
            take_event(w, &e);
        notice_expiries(w);
        if (w->is_healing && w->report.events % 64 == 0 && has_converged(w)) {
            if (w->is_trying && w->to_try == 0)
                return;
            if (!w->is_trying)
                try_all(w);
        }
        int64_t most_ms = FAULTS_MS + HEAL_MS + (w->is_trying ? TRY_MS : 0);
        if (w->now > most_ms * MS) {
            violate_unconverged(w);
            return;
        }
    }
}

/*
 * Some seeds are rough: there the rules of forgetting matter, which ask for an update that is long
 * on its way while rounds pass, a short retry horizon, and members that change meanwhile. Drawn
 * apart from the rest, so that the other seeds stay what they are.
 */
static void roughen(world_t *w, uint64_t seed)
{
    random_t random;
    random_seed(&random, ~seed);
    w->issue_ms = 40;
    w->is_rough = random_chance(&random, 300000);
    if (!w->is_rough)
        return;
    w->retry_horizon_ms = 20 + (int64_t)random_below(&random, 200);
    w->gossip_interval_ms = 100 + (int64_t)random_below(&random, 400);
    if (random_chance(&random, 500000))
        w->issue_ms = 100 + (int64_t)random_below(&random, 300);
    if (random_chance(&random, 300000))
        w->batch_loss_ppm = 300000 + (uint32_t)random_below(&random, 700001);
    for (uint32_t i = 0; i < w->nodes; i++) {
        if (random_chance(&random, 600000))
            w->procs[i].read_ms = 1 + (int64_t)random_below(&random, 4000);
        if (random_chance(&random, 300000))
            w->procs[i].sync_ms = 3000;
    }
    w->leave_percent = random_chance(&random, 300000) ? 25 : 4;
    if (random_chance(&random, 200000))
        push(w,
             (event_t){.at = (QUIET_MS + (int64_t)random_below(&random, FAULTS_MS - QUIET_MS)) * MS,
                       .kind = EV_ALONE});
    if (!random_chance(&random, 150000))
        return;
    w->wrong_clock = (uint32_t)random_below(&random, w->nodes);
    push(w, (event_t){.at = (QUIET_MS + (int64_t)random_below(&random, FAULTS_MS - QUIET_MS)) * MS,
                      .kind = EV_CLOCK});
}

static void populate(world_t *w, uint64_t seed)
{
    w->nodes = (uint32_t)between(w, 2, NODES_MAX);
    w->brokers = (uint32_t)between(w, 1, BROKERS_MAX);
    w->clients = (uint32_t)between(w, 2, CLIENTS_MAX);
    w->procs_size = w->nodes + w->brokers + w->clients;
    w->ack = (uint32_t)between(w, 1, 3);
    w->retry_horizon_ms = chance(w, 50) ? between(w, 20, 400) : between(w, 400, 5000);
    w->gossip_interval_ms = between(w, 150, 2500);
    w->sync_always = chance(w, 20);
    w->sync_never = !w->sync_always && chance(w, 12);
    w->checkpoint_bytes = (uint64_t)between(w, 5000, 200000);
    w->log_max = chance(w, 30) ? (uint64_t)between(w, 10000, 200000) : UINT64_C(1) << 30;
    w->replica_window = chance(w, 25) ? (uint32_t)between(w, 200, 2000) : 0;
    for (uint32_t i = 0; i < w->procs_size; i++) {
        proc_t *p = &w->procs[i];
        p->kind = i < w->nodes ? NODE : i < w->nodes + w->brokers ? BROKER : CLIENT;
        p->index = p->kind == NODE     ? i
                   : p->kind == BROKER ? i - w->nodes
                                       : i - w->nodes - w->brokers;
        p->wall_skew_ms = p->kind == NODE ? between(w, -3000, 3000) : 0;
        p->sync_ms = 600;
        p->refused_at = -1;
    }
    roughen(w, seed);
    w->checker = checker_new(w->clients * SESSIONS_PER_CLIENT);
    for (uint32_t i = 0; i < w->procs_size; i++) {
        start(w, &w->procs[i]);
    }
    push(w, (event_t){.at = QUIET_MS * MS, .kind = EV_FAULT});
}

static void add_judged_counts(world_t *w)
{
    const facts_counts_t *counts = checker_counts(w->checker);
    sim_coverage_t *c = w->coverage;
    c->own_deletes += counts->own_deletes;
    c->members_gone += counts->members_gone;
    c->deadlines += counts->deadlines;
    c->snapshots_amid += counts->snapshots_amid;
    c->scans += counts->scans;
}

static void clean_up(world_t *w)
{
    for (uint32_t i = 0; i < w->procs_size; i++) {
        proc_t *p = &w->procs[i];
        replica_destroy(&p->replica);
        frontend_destroy(&p->frontend);
        client_destroy(&p->client);
        sim_disk_destroy(&p->disk);
        sim_disk_destroy(&p->copy);
        audit_destroy(&p->audit);
        for (size_t k = 0; k < SESSIONS_PER_CLIENT; k++) {
            vec_free(&p->seen[k]);
            vec_free(&p->saved[k].seen);
        }
        for (size_t k = 0; k < p->deferred_size; k++)
            free(p->deferred[k].bytes);
        free(p->deferred);
        free_stall(p);
    }
    for (size_t i = 0; i < w->heap_size; i++)
        free(w->heap[i].bytes);
    free(w->heap);
    free(w->spans);
    free(w->chans);
    checker_destroy(&w->checker);
    XXH3_freeState(w->hash);
}

sim_report_t sim_run(uint64_t seed, sim_coverage_t *coverage, FILE *trace)
{
    world_t *w = mem_zero(1, sizeof *w);
    random_seed(&w->random, seed);
    w->hash = XXH3_createState();
    XXH3_64bits_reset(w->hash);
    w->coverage = coverage;
    w->trace = trace;
    w->report.is_clean = true;
    w->loss_ppm = 20000;
    populate(w, seed);
    run_events(w);
    if (w->report.is_clean)
        judge_end(w);
    add_judged_counts(w);
    w->report.trace_hash = XXH3_64bits_digest(w->hash);
    w->report.virtual_ms = w->now / MS;
    sim_report_t report = w->report;
    clean_up(w);
    free(w);
    return report;
}
