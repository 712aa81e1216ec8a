/*
 * Checkpoints and the length of the log: the state goes to the disk as rows, a little in each turn,
 * while updates go on; what is before the last checkpoint and known to every member on disk is
 * dropped from the log. A restart is the last checkpoint and the log behind it.
 */
#include <stdio.h>

#include "replica/core/internal.h"

enum {
    BATCH_BYTES = 256 * 1024, /* of rows in one turn */
    AGAIN_MS = 2000,          /* after one that failed */
    TRIM_BYTES = 64 * 1024,   /* of log, for less it is not worth a word to the disk */
};

/* ---- the state as rows ---- */

static void put_row(void *arg, uint64_t number, slice_t row)
{
    uint8_t key[8];
    state_put_row(arg, state_number_key(number, key), row);
}

void recovery_put_meta(replica_t *self, buf_t *run)
{
    static const uint8_t key[1] = {0};
    const state_meta_t meta = {
        .lineage = self->lineage,
        .position = self->log_end,
        .clock = replica_clock(self),
        .lead_ms = self->lead_ms,
        .floor = self->floor,
        .horizon = self->horizon,
        .keys = store_entries(self->store),
        .applied = self->applied,
        .dropped = self->dropped,
        .ended = self->ended,
        .lost = self->lost,
        .members = buf_slice(&self->member_rows),
    };
    buf_reset(&self->encoded);
    state_meta_put(&self->encoded, &meta);
    state_put_row(run, slice_of(key, sizeof key), buf_slice(&self->encoded));
}

void recovery_put_executed(const replica_t *self, buf_t *run)
{
    executed_each(self->executed, put_row, run);
}

bool recovery_load(recovery_target_t *target, uint8_t table, slice_t key, slice_t value)
{
    uint64_t number;
    switch (table) {
    case STATE_META:
        if (target->meta->lineage != 0 || store_entries(target->store) != 0 ||
            !state_meta_read(value, target->meta))
            return false; /* once, before all others */
        store_seed(target->store, target->meta->lineage);
        store_reserve(target->store, target->meta->keys);
        return true;
    case STATE_KEYS:
        return target->meta->lineage != 0 && store_load(target->store, key, value);
    case STATE_EXECUTED:
        return state_key_number(key, &number) && executed_load(target->executed, number, value);
    case STATE_INDEX:
        return target->index == NULL ||
               (state_key_number(key, &number) && logindex_load(target->index, number, value));
    default:
        return false;
    }
}

/* What the meta row says becomes ours. */
void recovery_take_meta(replica_t *self, const state_meta_t *meta)
{
    self->lineage = meta->lineage;
    self->lineage_is_fixed = true;
    vec_copy(&self->applied, &meta->applied);
    vec_merge(&self->dropped, &meta->dropped);
    stability_set_ended(self, &meta->ended);
    lost_copy(&self->lost, &meta->lost);
    self->horizon = hlc_max(self->horizon, meta->horizon);
    replica_clock_raise(self, meta->clock);
    stability_raise_floor(self, meta->floor);
}

int replica_restore(replica_t *self, uint8_t table, slice_t key, slice_t value, err_t *err)
{
    state_meta_t meta = {0};
    meta.lineage = self->lineage_is_fixed ? self->lineage : 0;
    recovery_target_t target = {self->store, self->executed, self->index, &meta};
    bool is_good = recovery_load(&target, table, key, value);
    if (is_good && table == STATE_META) {
        recovery_take_meta(self, &meta);
        self->lead_ms = meta.lead_ms;
        self->checkpoint.position = meta.position;
        is_good = stability_take_rows(self, meta.members);
    }
    state_meta_free(&meta);
    if (is_good)
        return 0;
    /* One of a later version would not have been opened: the format has a number. */
    return err_set(err, OUTCOME_LOST, "a row of table %u in the checkpoint makes no sense", table);
}

uint64_t replica_restored(replica_t *self, uint64_t log_begin)
{
    self->log_begin = log_begin;
    logindex_trim(self->index, log_begin, &self->applied, &self->dropped);
    return self->checkpoint.position;
}

/* ---- checkpoints ---- */

static void begin(replica_t *self)
{
    checkpointing_t *c = &self->checkpoint;
    bool is_whole = c->must_be_whole || store_changes(self->store) == SIZE_MAX;
    c->state = CHECKPOINTING_ROWS;
    c->next_position = self->log_end;
    c->began_ms = self->now.boot_ms;
    c->must_be_whole = false;
    replica_emit(self, REPLICA_CHECKPOINT_BEGIN, is_whole, self->arena.size);
    for (state_table_t table = STATE_META; table <= STATE_INDEX; table++) {
        size_t offset = self->arena.size;
        if (table == STATE_META)
            recovery_put_meta(self, &self->arena);
        else if (table == STATE_EXECUTED)
            recovery_put_executed(self, &self->arena);
        else if (table == STATE_INDEX)
            logindex_each(self->index, put_row, &self->arena);
        replica_emit(self, REPLICA_CHECKPOINT_ROWS, table, offset);
    }
    store_snapshot_begin(self->store, is_whole ? STORE_SNAPSHOT_DISK : STORE_SNAPSHOT_CHANGES);
}

static void fail(replica_t *self, const char *why)
{
    checkpointing_t *c = &self->checkpoint;
    if (c->state == CHECKPOINTING_ROWS)
        store_snapshot_abort(self->store);
    c->state = CHECKPOINTING_IDLE;
    c->must_be_whole = true;
    c->is_wanted = true;
    c->again_ms = self->now.boot_ms + AGAIN_MS;
    replica_note(self, NOTE_WARN, "[disk] checkpoint not written why=\"%s\"", why);
}

static void put_rows(replica_t *self)
{
    checkpointing_t *c = &self->checkpoint;
    size_t most = c->room < BATCH_BYTES ? c->room : BATCH_BYTES;
    if (store_snapshot_early(self->store) > SNAPSHOT_EARLY_MAX) {
        replica_emit(self, REPLICA_CHECKPOINT_ABORT, 0, self->arena.size);
        fail(self, "updates came faster than the disk took rows");
        return;
    }
    if (most == 0)
        return;
    size_t offset = self->arena.size;
    bool is_end = store_snapshot_next(self->store, &self->arena, most);
    if (self->arena.size == offset && !is_end)
        return;  /* on with it in the next turn */
    c->room = 0; /* until the node says how much it is now */
    replica_emit(self, REPLICA_CHECKPOINT_ROWS, STATE_KEYS, offset);
    if (!is_end)
        return;
    c->state = CHECKPOINTING_COMMIT;
    replica_emit(self, REPLICA_CHECKPOINT_COMMIT, 0, self->arena.size)->position = c->next_position;
    replica_emit(self, REPLICA_SYNC, 0, self->arena.size);
}

int64_t recovery_deadline(const replica_t *self)
{
    const checkpointing_t *c = &self->checkpoint;
    return c->state == CHECKPOINTING_ROWS && c->room != 0 ? self->now.boot_ms : INT64_MAX;
}

static bool is_due(const replica_t *self)
{
    const checkpointing_t *c = &self->checkpoint;
    /* That the state is to be replaced is said in the log, before what a checkpoint would leave. */
    if (self->joining.state == JOINING_WANTED || self->joining.state == JOINING_TAKING)
        return false;
    if (!self->is_started || !self->lineage_is_fixed || c->room == 0 ||
        self->now.boot_ms < c->again_ms || store_snapshot_is_open(self->store))
        return false;
    return c->is_wanted || self->log_end - c->position >= self->config.checkpoint_bytes;
}

void recovery_want_checkpoint(replica_t *self, bool is_whole)
{
    self->checkpoint.is_wanted = true;
    self->checkpoint.must_be_whole |= is_whole;
    self->checkpoint.again_ms = 0;
}

void recovery_abort_checkpoint(replica_t *self, const char *why)
{
    if (self->checkpoint.state == CHECKPOINTING_IDLE)
        return;
    replica_emit(self, REPLICA_CHECKPOINT_ABORT, 0, self->arena.size);
    fail(self, why);
}

void recovery_turn(replica_t *self)
{
    checkpointing_t *c = &self->checkpoint;
    if (c->state == CHECKPOINTING_IDLE && is_due(self)) {
        c->is_wanted = false;
        begin(self);
    }
    if (c->state == CHECKPOINTING_ROWS)
        put_rows(self);
}

void replica_checkpoint_room(replica_t *self, now_t now, size_t bytes)
{
    replica_enter(self, now);
    self->checkpoint.room = bytes;
}

void replica_checkpoint_done(replica_t *self, now_t now, bool is_good, slice_t why)
{
    checkpointing_t *c = &self->checkpoint;
    replica_enter(self, now);
    if (c->state == CHECKPOINTING_IDLE)
        return;
    if (!is_good) {
        char text[256];
        snprintf(text, sizeof text, "%.*s", (int)why.size, (const char *)why.data);
        fail(self, text);
        return;
    }
    c->state = CHECKPOINTING_IDLE;
    c->position = c->next_position;
    self->counts.checkpoints++;
    replica_note(self, NOTE_INFO, "checkpoint written position=%llu took_ms=%lld",
                 (unsigned long long)c->position, (long long)(now.boot_ms - c->began_ms));
    transfer_is_on_disk(self);
    if (self->void_before != 0 && c->position >= self->void_before) {
        replica_emit(self, REPLICA_TRUNCATE, 0, self->arena.size)->position = self->void_before;
        self->void_before = 0;
    }
    recovery_consider_log(self);
}

/* ---- the length of the log ---- */

static void drop_before(replica_t *self, uint64_t position)
{
    self->log_begin = position;
    logindex_trim(self->index, position, &self->applied, &self->dropped);
    replica_emit(self, REPLICA_TRUNCATE, 0, self->arena.size)->position = position;
}

void recovery_void_log(replica_t *self)
{
    self->log_begin = self->void_before = self->log_end;
    logindex_trim(self->index, self->log_end, &self->applied, &self->dropped);
    /* While we join the state is about to be another, with a checkpoint of its own. */
    if (self->joining.state == JOINING_NOT)
        recovery_want_checkpoint(self, false);
}

void replica_files_damaged(replica_t *self, now_t now, bool is_log, bool is_checkpoint)
{
    replica_enter(self, now);
    replica_note(self, NOTE_ERROR,
                 "[damaged] %s: this node has it all in memory and writes it to the disk anew",
                 !is_log          ? "the checkpoint is damaged"
                 : !is_checkpoint ? "the log is damaged"
                                  : "log and checkpoint are damaged");
    if (is_checkpoint) {
        recovery_abort_checkpoint(self, "the one before it is damaged");
        recovery_want_checkpoint(self, true);
    }
    if (is_log)
        recovery_void_log(self);
}

/* Everything that every member has on disk, as far as the last checkpoint reaches. */
static uint64_t droppable(const replica_t *self)
{
    uint64_t position = logindex_start(self->index, &self->applied, &self->known, self->log_end);
    return position < self->checkpoint.position ? position : self->checkpoint.position;
}

/*
 * The log is as long as it may be: with a majority at hand the others are left behind, without one
 * no more updates are taken.
 */
static void hold_to_limit(replica_t *self)
{
    uint64_t bytes = self->log_end - self->log_begin;
    if (bytes > self->config.log_max && stability_leave_behind(self))
        return;
    /* All members are at hand: their rounds will let the log go, for which there is some grace. */
    bool is_full = bytes > self->config.log_max + self->config.log_max / 4;
    if (is_full == self->log_is_full)
        return;
    self->log_is_full = is_full;
    replica_note(
        self, is_full ? NOTE_WARN : NOTE_INFO,
        is_full
            ? "[log-full] log full, no updates are taken bytes=%llu: bring back the member that "
              "lacks them, or forget it"
            : "[log-full] log has room again bytes=%llu",
        (unsigned long long)bytes);
}

void recovery_consider_log(replica_t *self)
{
    if (self->joining.state != JOINING_NOT)
        return;
    uint64_t position = droppable(self);
    uint64_t least = self->config.log_max / 8;
    if (position > self->log_begin + (least < TRIM_BYTES ? least : TRIM_BYTES))
        drop_before(self, position);
    /* A checkpoint that lags must not be what keeps the log long. */
    if (self->log_end - self->log_begin > self->config.log_max &&
        self->checkpoint.state == CHECKPOINTING_IDLE &&
        self->log_end - self->checkpoint.position > self->config.log_max / 4)
        self->checkpoint.is_wanted = true;
    hold_to_limit(self);
}
