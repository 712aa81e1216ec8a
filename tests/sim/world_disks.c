/* The disks of nodes: logs, checkpoints and syncs, and how they fail. */
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "tests/sim/world_internal.h"

enum {
    SEGMENT_BYTES = 50000, /* of a log, which is synced when it is full */
    LOOK_MS = 1000,        /* until a node tries an append again that failed */
};

/* ---- what is lost ---- */

bool put_back(world_t *w, proc_t *p)
{
    if (p->copy == NULL || w->is_disk_lost || w->is_healing || chance(w, 30))
        return false;
    w->is_disk_lost = true;
    w->coverage->put_back++;
    checker_disk_lost(w->checker, p->index, true);
    sim_disk_put_back(p->disk, p->copy);
    return true;
}

static bool has_neighbour(const world_t *w, const proc_t *p)
{
    uint32_t own = number_of(w, p);
    for (uint32_t i = 0; i < w->nodes; i++)
        if (i != own && w->procs[i].is_up && !w->is_cut[i][own] && !w->is_cut[own][i])
            return true;
    return false;
}

void lose_disk(world_t *w, proc_t *p)
{
    bool is_certain = p->loses_power;
    bool is_power_cut = is_certain || chance(w, 50);
    p->loses_power = false;
    if (sim_disk_is_empty(p->disk) || w->is_disk_lost || w->is_healing ||
        !(is_certain || chance(w, 20)))
        return;
    /* Who has nothing left and is cut off begins a cluster of its own. */
    bool is_all = !is_power_cut || sim_disk_end(p->disk) == sim_disk_unsynced(p->disk);
    if (is_all && (w->is_rough || !has_neighbour(w, p)))
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

void damage_disk(world_t *w, proc_t *p)
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

void copy_folder(proc_t *p)
{
    if (p->copy == NULL && !sim_disk_is_empty(p->disk) && !sim_disk_is_aside(p->disk) &&
        !p->is_worn)
        p->copy = sim_disk_copy(p->disk);
}

/* ---- the log ---- */

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

void append_log(world_t *w, proc_t *p, slice_t bytes, bool is_dying)
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

void take_read(world_t *w, proc_t *p, const read_back_t *read)
{
    seglog_entry_t entry;
    slice_t bytes = sim_disk_read(p->disk, read->position, read->most);
    if (bytes.size == 0 || seglog_next(bytes, read->position, &entry) == SEGLOG_GOOD) {
        replica_log_bytes(p->replica, time_of(w, p), read->link, read->request, read->position,
                          bytes);
        return;
    }
    sim_disk_roll(p->disk);
    replica_log_damaged(p->replica, time_of(w, p), read->link, read->request, read->position);
}

void carry_out_read(world_t *w, proc_t *p, const read_back_t *read)
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

/* ---- writes that fail ---- */

void watch_room(world_t *w, proc_t *p)
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

bool refuses_append(world_t *w, proc_t *p, const replica_effects_t *effects)
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

void stall(world_t *w, proc_t *p, const replica_effects_t *effects)
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

void end_stall(world_t *w, proc_t *p)
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

void free_stall(proc_t *p)
{
    free(p->stall.list);
    p->stall.list = NULL;
    p->stall.is_on = false;
    buf_free(&p->stall.arena);
}

void end_disk(world_t *w, proc_t *p)
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
    end_check(w, p);
    p->has_no_room = p->refuses = p->is_read_only = false;
    p->fails_append = p->fails_sync = p->has_failed_append = p->has_failed_sync = false;
}

/* ---- syncs and checkpoints ---- */

void schedule_sync(world_t *w, const proc_t *p)
{
    int64_t wait_ms = w->sync_always ? between(w, 1, 10) : between(w, 50, p->sync_ms);
    push(w, (event_t){.at = w->now + wait_ms * MS,
                      .kind = EV_SYNC,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/* A commit may be carried out, or what is being written for it fail. */
static void step_disk(world_t *w, proc_t *p)
{
    if (!w->is_healing && chance(w, 5)) {
        sim_disk_abort(p->disk);
        replica_checkpoint_done(p->replica, time_of(w, p), false, slice_text("no room"));
    } else if (sim_disk_step(p->disk)) {
        audit_checkpoint_done(p->audit);
        p->check.is_checkpoint_damaged &= sim_disk_is_checkpoint_bad(p->disk);
        replica_checkpoint_done(p->replica, time_of(w, p), true, slice_text(""));
    }
}

void end_repair(world_t *w, const proc_t *p)
{
    if (!sim_disk_is_aside(p->disk) || !replica_is_ready(p->replica))
        return;
    if (replica_info(p->replica, (now_t){0}).is_damaged)
        violate(w, "a node serves from a disk that is damaged");
    sim_disk_end_repair(p->disk);
}

void sync_node(world_t *w, proc_t *p)
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
