/* Nodes: their start, their turns, and the effects of a replica. */
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "tests/sim/world_internal.h"

/* A kill in the middle of a turn: what was to be written may be torn, the rest never happens. */
enum { NODE_DIES_PPM = 300 };

/* ---- starting ---- */

void start_node(world_t *w, proc_t *p)
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

void add_node_counts(world_t *w, const replica_t *replica)
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

void note_refusing(world_t *w, proc_t *p, bool is_refusing)
{
    if (p->was_refusing || is_refusing)
        p->refused_at = w->now;
    p->was_refusing = is_refusing;
}

/* ---- carrying out effects ---- */

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
        if (p->check.phase == CHECK_CHECKPOINT)
            violate(w, "a checkpoint is begun while the file of the one before it is read");
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
        else
            sim_disk_truncate_rolled(p->disk, e->position);
        return true;
    case REPLICA_LOST:
        if (w->trace != NULL)
            fprintf(w->trace, "%9lld n%u lost %.*s\n", (long long)w->now, p->index, (int)bytes.size,
                    (const char *)bytes.data);
        return true;
    }
    return true;
}

/* ---- turns ---- */

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

void carry_out_turn(world_t *w, proc_t *p, const replica_effects_t *effects, bool is_dying)
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

void turn_node(world_t *w, proc_t *p)
{
    if (p->stall.is_on)
        return;
    watch_room(w, p);
    bool is_dying = dies_now(w, NODE_DIES_PPM);
    size_t room = (size_t)between(w, 0, 300);
    replica_checkpoint_room(p->replica, time_of(w, p), go_on_checking(w, p) ? room : 0);
    replica_effects_t effects = replica_turn(p->replica, time_of(w, p));
    look_at_node(w, p, &effects);
    if (!is_dying && refuses_append(w, p, &effects))
        stall(w, p, &effects);
    else
        carry_out_turn(w, p, &effects, is_dying);
}
