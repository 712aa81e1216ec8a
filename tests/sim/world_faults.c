/* Faults, what people do about them, and the end of all that. */
#include <string.h>

#include "tests/sim/world_internal.h"

enum { WRONG_CLOCK_MS = 3600 * 1000 }; /* far more than --max-drift */

/* ---- the network ---- */

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

/* ---- nodes and their machines ---- */

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

/* ---- people ---- */

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

/* A node is cut off from the others and given up by people. It is up, and brokers reach it. */
static void leave_out(world_t *w)
{
    uint32_t node = (uint32_t)random_below(&w->random, w->nodes);
    set_cuts(w, false);
    cut_off_from_nodes(w, node);
    forget(w, &w->procs[node]);
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

void all_but_one(world_t *w)
{
    push(w, (event_t){.at = w->now + between(w, 100 * MS, 1500 * MS), .kind = EV_ALONE});
    proc_t *survivor = w->is_alone || w->is_healing ? NULL : find_survivor(w);
    if (survivor != NULL)
        leave_alone(w, survivor);
    for (uint32_t i = 0; i < w->nodes; i++)
        if (w->procs[i].is_gone)
            forget(w, &w->procs[i]);
}

/* ---- clocks ---- */

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

void wrong_clock(world_t *w)
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

/* ---- which, and when ---- */

static void rough_fault(world_t *w)
{
    if (chance(w, 25))
        black_out(w);
    else if (chance(w, 10))
        copy_folder(&w->procs[random_below(&w->random, w->nodes)]);
    else
        deafen(w);
}

void fault(world_t *w)
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

void heal(world_t *w)
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
