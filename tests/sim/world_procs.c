/* Processes of each kind: start, end and turns; and brokers, which are little more. */
#include <string.h>

#include "tests/sim/world_internal.h"

/* ---- what may be said of the cluster ---- */

/* A broker or node is not there for others. */
static bool is_away(const world_t *w, const proc_t *p)
{
    return !p->is_up || p->paused_until > w->now || (p->kind == NODE && !p->is_serving);
}

bool is_unreachable(const world_t *w)
{
    for (uint32_t i = 0; i < w->nodes + w->brokers; i++)
        if (!w->procs[i].is_gone && is_away(w, &w->procs[i]))
            return true;
    return memchr(w->is_cut, true, sizeof w->is_cut) != NULL;
}

void note_unreachable(world_t *w)
{
    if (is_unreachable(w))
        w->unreachable_at = w->now;
}

/* ---- brokers ---- */

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

void carry_out_frontend(world_t *w, proc_t *p)
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

/* ---- all of them ---- */

void start(world_t *w, proc_t *p)
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

void kill_proc(world_t *w, proc_t *p)
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

bool dies_now(world_t *w, uint32_t ppm)
{
    return !w->is_healing && w->now > QUIET_MS * MS && random_chance(&w->random, ppm);
}

void run_turn(world_t *w, proc_t *p)
{
    if (p->kind == NODE)
        turn_node(w, p);
    else if (p->kind == BROKER)
        turn_broker(w, p);
    else
        turn_client(w, p);
}
