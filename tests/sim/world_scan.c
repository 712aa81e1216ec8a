/*
 * What a node that runs has on its disk gets damaged; people have its files read through, and it
 * makes good what is found, as in replica/node/scan.c.
 *
 * Nothing may come of that: the checker is told of a loss only when the node is killed before.
 */
#include "tests/sim/world_internal.h"

static void come_back(world_t *w, const proc_t *p, int64_t most_ms)
{
    push(w, (event_t){.at = w->now + between(w, 0, most_ms * MS),
                      .kind = EV_CHECK,
                      .proc = number_of(w, p),
                      .life = p->life});
}

void wear(world_t *w)
{
    if (w->is_healing)
        return;
    push(w, (event_t){.at = w->now + between(w, 300 * MS, 2500 * MS), .kind = EV_WEAR});
    proc_t *p = &w->procs[random_below(&w->random, w->nodes)];
    if (w->is_disk_lost || !p->is_up || sim_disk_is_empty(p->disk) || sim_disk_is_aside(p->disk))
        return;
    w->is_disk_lost = p->is_worn = true;
    sim_disk_damage(p->disk, &w->random, chance(w, 40));
    come_back(w, p, 1500);
}

/* ---- reading ---- */

static void find(world_t *w, proc_t *p)
{
    p->check.has_found = true;
    w->coverage->files_damaged++;
}

static void take_checkpoint(world_t *w, proc_t *p)
{
    p->check.is_checkpoint_damaged = sim_disk_is_checkpoint_bad(p->disk);
    if (!p->check.is_checkpoint_damaged)
        return;
    find(w, p);
    replica_files_damaged(p->replica, time_of(w, p), false, true);
}

static void take_log(world_t *w, proc_t *p)
{
    p->check.log_end = sim_disk_log_damage(p->disk);
    p->check.must_roll = p->check.log_end != 0;
    if (p->check.must_roll)
        find(w, p);
}

void check_files(world_t *w, proc_t *p)
{
    files_check_t *check = &p->check;
    if (check->phase == CHECK_NONE) {
        if (replica_is_ready(p->replica))
            check->phase = CHECK_WANTED;
        else
            come_back(w, p, 1000); /* people ask again when it serves */
    } else if (check->phase == CHECK_CHECKPOINT) {
        take_checkpoint(w, p);
        check->phase = CHECK_LOG;
        come_back(w, p, 1000);
    } else if (check->phase == CHECK_LOG) {
        take_log(w, p);
        check->phase = CHECK_DONE;
    }
}

/* ---- making it good ---- */

static bool is_sound(const proc_t *p)
{
    return !sim_disk_is_checkpoint_bad(p->disk) && sim_disk_log_damage(p->disk) == 0;
}

/* From here on another disk may be lost, and a start of this node finds nothing damaged. */
static void end_wear(world_t *w, proc_t *p)
{
    p->is_worn = false;
    sim_disk_end_damage(p->disk);
    w->is_disk_lost = w->is_alone;
}

static void repair_log(world_t *w, proc_t *p)
{
    files_check_t *check = &p->check;
    if (check->must_roll && !p->has_failed_sync) {
        sim_disk_roll(p->disk);
        check->must_roll = false;
        replica_files_damaged(p->replica, time_of(w, p), true, false);
    }
    if (!check->must_roll && sim_disk_log_begin(p->disk) >= check->log_end)
        check->log_end = 0;
}

static void end_checking(world_t *w, proc_t *p)
{
    const files_check_t *check = &p->check;
    if (check->phase != CHECK_DONE || check->log_end != 0 || check->is_checkpoint_damaged)
        return;
    if (!is_sound(p))
        violate(w, "a disk is damaged after all was made good");
    w->coverage->made_good += check->has_found;
    p->check = (files_check_t){0};
    end_wear(w, p);
}

bool go_on_checking(world_t *w, proc_t *p)
{
    files_check_t *check = &p->check;
    if (check->phase == CHECK_WANTED && sim_disk_is_idle(p->disk)) {
        check->phase = CHECK_CHECKPOINT;
        come_back(w, p, 1000);
    }
    repair_log(w, p);
    end_checking(w, p);
    return check->phase != CHECK_CHECKPOINT;
}

void end_check(world_t *w, proc_t *p)
{
    p->check = (files_check_t){0};
    if (!p->is_worn)
        return;
    if (is_sound(p)) {
        end_wear(w, p);
        return;
    }
    p->is_worn = false;
    if (p->is_gone)
        return;
    w->coverage->worn_kills++;
    checker_disk_lost(w->checker, p->index, true);
}
