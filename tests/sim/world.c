/* The run: events in the order of their time, the phases, and what a seed makes of a cluster. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "tests/sim/world_internal.h"

enum {
    HEAL_MS = 40000, /* all must have converged so long after the last fault */
    TRY_MS = 25000,  /* and what is asked then, be answered */
};

/* ---- events ---- */

void violate(world_t *w, const char *why)
{
    if (!w->report.is_clean)
        return;
    w->report.is_clean = false;
    snprintf(w->report.why, sizeof w->report.why, "at %lld ms: %s", (long long)(w->now / MS), why);
}

static bool is_before(const event_t *a, const event_t *b)
{
    return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

void push(world_t *w, event_t event)
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

void push_bytes(world_t *w, event_t event, slice_t bytes)
{
    event.size = (uint32_t)bytes.size;
    event.bytes = (uint8_t *)mem_text(bytes.data, bytes.size);
    push(w, event);
}

void schedule_tick(world_t *w, proc_t *p)
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

static void hash_event(world_t *w, const event_t *e)
{
    const uint64_t head[4] = {(uint64_t)e->at, e->kind, (uint64_t)e->proc << 32 | e->life, e->size};
    XXH3_64bits_update(w->hash, head, sizeof head);
    if (e->size != 0)
        XXH3_64bits_update(w->hash, e->bytes, e->size);
}

static void trace_event(const world_t *w, const event_t *e)
{
    static const char *const kinds[] = {
        "tick",    "forward", "backward", "broken", "gossip", "beacon", "issue", "fault",
        "restart", "resume",  "sync",     "read",   "clock",  "alone",  "wear",  "check"};
    static const char letters[] = {'n', 'b', 'c'};
    if (w->trace == NULL || e->kind == EV_TICK || e->kind == EV_BEACON || e->kind == EV_SYNC)
        return;
    const proc_t *p = &w->procs[e->proc];
    fprintf(w->trace, "%9lld %c%u %s chan=%u size=%u\n", (long long)e->at, letters[p->kind],
            p->index, kinds[e->kind], e->chan, e->size);
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
    if (e->kind == EV_WEAR) {
        wear(w);
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
    case EV_CHECK:
        check_files(w, p);
        break;
    default:
        break;
    }
    run_turn(w, p);
}

/* Keeps an event for later when its process is paused, or still has older ones to take. */
static bool defer(world_t *w, const event_t *e)
{
    bool is_for_proc = e->kind != EV_FAULT && e->kind != EV_RESTART && e->kind != EV_RESUME &&
                       e->kind != EV_CLOCK && e->kind != EV_ALONE && e->kind != EV_WEAR;
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

/* ---- phases ---- */

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

/* ---- a run ---- */

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

/*
 * In some seeds disks get damaged while their nodes run, which is found and made good. Drawn apart,
 * as above.
 */
static void wear_out(world_t *w, uint64_t seed)
{
    enum { WEAR = 0x77656172 };
    random_t random;
    random_seed(&random, seed ^ WEAR);
    if (random_chance(&random, 300000))
        push(w, (event_t){.at = (QUIET_MS + (int64_t)random_below(&random, 3000)) * MS,
                          .kind = EV_WEAR});
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
    wear_out(w, seed);
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
