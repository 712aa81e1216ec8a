#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "replica/core/state.h"

enum {
    BITS_MAX = 16, /* that flip at once */
    PAGE = 512,
};

typedef struct row {
    buf_t name; /* table, key */
    buf_t value;
    UT_hash_handle hh;
} row_t;

struct sim_disk {
    uint64_t begin; /* position of the first byte of log */
    buf_t log;
    uint64_t synced;
    uint64_t rolled; /* where the last roll of this process was; 0: there was none */
    row_t *rows;
    bool is_open; /* a checkpoint is being written */
    bool is_whole;
    bool is_committing;
    uint64_t commit_position;
    buf_t pending;   /* table, size, run; table, size, run; … */
    bool is_damaged; /* once */
    bool is_checkpoint_bad;
    bool is_aside;
    buf_t aside; /* of the log, with damage in it */
    uint64_t aside_position;
};

sim_disk_t *sim_disk_new(void)
{
    return mem_zero(1, sizeof(sim_disk_t));
}

static void free_row(sim_disk_t *self, row_t *row)
{
    HASH_DEL(self->rows, row);
    buf_free(&row->name);
    buf_free(&row->value);
    free(row);
}

static void clear_rows(sim_disk_t *self)
{
    row_t *row;
    row_t *next;
    HASH_ITER(hh, self->rows, row, next)
    {
        free_row(self, row);
    }
}

void sim_disk_destroy(sim_disk_t **self_p)
{
    sim_disk_t *self = *self_p;
    if (self == NULL)
        return;
    clear_rows(self);
    buf_free(&self->log);
    buf_free(&self->pending);
    buf_free(&self->aside);
    free(self);
    *self_p = NULL;
}

uint64_t sim_disk_log_begin(const sim_disk_t *self)
{
    return self->begin;
}

uint64_t sim_disk_end(const sim_disk_t *self)
{
    return self->begin + self->log.size;
}

bool sim_disk_is_empty(const sim_disk_t *self)
{
    return sim_disk_end(self) == 0;
}

void sim_disk_append(sim_disk_t *self, slice_t bytes)
{
    buf_append_slice(&self->log, bytes);
}

slice_t sim_disk_read(const sim_disk_t *self, uint64_t position, size_t most)
{
    if (position < self->begin || position >= sim_disk_end(self))
        return slice_of(NULL, 0);
    size_t left = (size_t)(sim_disk_end(self) - position);
    return slice_of(self->log.data + (position - self->begin), left < most ? left : most);
}

void sim_disk_truncate(sim_disk_t *self, uint64_t position)
{
    if (position <= self->begin)
        return;
    size_t drop = (size_t)(position - self->begin);
    memmove(self->log.data, self->log.data + drop, self->log.size - drop);
    self->log.size -= drop;
    self->begin = position;
}

void sim_disk_truncate_rolled(sim_disk_t *self, uint64_t position)
{
    sim_disk_truncate(self, position < self->rolled ? 0 : self->rolled);
}

void sim_disk_roll(sim_disk_t *self)
{
    self->rolled = sim_disk_end(self);
}

uint64_t sim_disk_sync(sim_disk_t *self)
{
    self->synced = sim_disk_end(self);
    return self->synced;
}

uint64_t sim_disk_unsynced(const sim_disk_t *self)
{
    return sim_disk_end(self) - self->synced;
}

void sim_disk_cut_power(sim_disk_t *self, uint64_t kept)
{
    self->log.size = (size_t)(self->synced + kept - self->begin);
}

void sim_disk_lose(sim_disk_t *self)
{
    clear_rows(self);
    buf_free(&self->log);
    self->begin = self->synced = self->rolled = 0;
    sim_disk_abort(self);
}

static void copy_row(sim_disk_t *self, const row_t *from)
{
    row_t *row = mem_zero(1, sizeof *row);
    buf_append_slice(&row->name, buf_slice(&from->name));
    buf_append_slice(&row->value, buf_slice(&from->value));
    HASH_ADD_KEYPTR(hh, self->rows, row->name.data, row->name.size, row);
}

void sim_disk_put_back(sim_disk_t *self, const sim_disk_t *copy)
{
    sim_disk_lose(self);
    self->begin = copy->begin;
    buf_append_slice(&self->log, buf_slice(&copy->log));
    self->synced = copy->synced;
    for (const row_t *row = copy->rows; row != NULL; row = row->hh.next)
        copy_row(self, row);
}

sim_disk_t *sim_disk_copy(const sim_disk_t *self)
{
    sim_disk_t *copy = sim_disk_new();
    sim_disk_put_back(copy, self);
    return copy;
}

/* ---- the checkpoint ---- */

void sim_disk_begin(sim_disk_t *self, bool is_whole)
{
    sim_disk_abort(self);
    self->is_open = true;
    self->is_whole = is_whole;
}

bool sim_disk_is_idle(const sim_disk_t *self)
{
    return !self->is_open;
}

void sim_disk_rows(sim_disk_t *self, uint8_t table, slice_t run)
{
    uint8_t head[5] = {table};
    be32_put(head + 1, (uint32_t)run.size);
    if (!self->is_open)
        return;
    buf_append(&self->pending, head, sizeof head);
    buf_append_slice(&self->pending, run);
}

void sim_disk_commit(sim_disk_t *self, uint64_t position)
{
    self->is_committing = self->is_open;
    self->commit_position = position;
}

void sim_disk_abort(sim_disk_t *self)
{
    self->is_open = self->is_committing = false;
    buf_reset(&self->pending);
}

void sim_disk_crash(sim_disk_t *self)
{
    self->rolled = 0;
    sim_disk_abort(self);
}

static void set_row(sim_disk_t *self, uint8_t table, slice_t key, slice_t value, bool is_gone)
{
    row_t *row;
    buf_t name = {0};
    buf_append_u8(&name, table);
    buf_append_slice(&name, key);
    HASH_FIND(hh, self->rows, name.data, name.size, row);
    if (row != NULL)
        free_row(self, row);
    if (is_gone) {
        buf_free(&name);
        return;
    }
    row = mem_zero(1, sizeof *row);
    row->name = name;
    buf_append_slice(&row->value, value);
    HASH_ADD_KEYPTR(hh, self->rows, row->name.data, row->name.size, row);
}

/* Only keys are changes; the other tables are written anew each time. */
static void clear_table(sim_disk_t *self, uint8_t table)
{
    row_t *row;
    row_t *next;
    HASH_ITER(hh, self->rows, row, next)
    {
        if (row->name.data[0] == table)
            free_row(self, row);
    }
}

static void take_run(sim_disk_t *self, uint8_t table, slice_t run)
{
    mp_t in = mp_open(run);
    slice_t key;
    slice_t value;
    bool is_gone;
    if (table != STATE_KEYS)
        clear_table(self, table);
    while (state_next_row(&in, &key, &value, &is_gone))
        set_row(self, table, key, value, is_gone);
}

bool sim_disk_step(sim_disk_t *self)
{
    if (!self->is_committing || self->synced < self->commit_position)
        return false;
    if (self->is_whole) { /* into a new file */
        clear_rows(self);
        self->is_checkpoint_bad = false;
    }
    for (size_t at = 0; at < self->pending.size;) {
        const uint8_t *head = self->pending.data + at;
        uint32_t size = be32_get(head + 1);
        take_run(self, head[0], slice_of(head + 5, size));
        at += 5 + size;
    }
    sim_disk_abort(self);
    return true;
}

/* ---- recovery ---- */

static int restore_table(sim_disk_t *self, replica_t *replica, uint8_t table, err_t *err)
{
    for (row_t *row = self->rows; row != NULL; row = row->hh.next) {
        slice_t key = slice_of(row->name.data + 1, row->name.size - 1);
        if (row->name.data[0] == table &&
            replica_restore(replica, table, key, buf_slice(&row->value), err) != 0)
            return -1;
    }
    return 0;
}

/* The log from `at` on, an offset in it, is aside from now on. */
static void set_aside(sim_disk_t *self, size_t at)
{
    self->is_aside = true;
    if (at == self->log.size)
        return;
    /* Only the latest is kept: what was salvaged of the one before may be gone. */
    buf_reset(&self->aside);
    self->aside_position = self->begin + at;
    buf_append_slice(&self->aside, slice_of(self->log.data + at, self->log.size - at));
    self->log.size = at;
}

static void salvage(const sim_disk_t *self, replica_t *replica)
{
    slice_t rest = buf_slice(&self->aside);
    uint64_t position = self->aside_position;
    while (rest.size != 0) {
        seglog_entry_t entry;
        size_t size = seglog_next_good(rest, position);
        if (seglog_next(rest, position, &entry) == SEGLOG_GOOD) {
            replica_salvage(replica, entry.kind, entry.payload);
            size = entry.size;
        }
        rest = slice_of(rest.data + size, rest.size - size);
        position += size;
    }
}

/* The log begins anew where the checkpoint is. */
static void begin_anew(sim_disk_t *self, uint64_t position)
{
    self->begin = self->synced = position;
    self->log.size = 0;
}

static int replay(sim_disk_t *self, replica_t *replica, uint64_t position, uint64_t *torn)
{
    size_t at = (size_t)(position - self->begin);
    slice_t log = buf_slice(&self->log);
    seglog_entry_t entry;
    err_t err;
    while (seglog_next(slice_of(log.data + at, log.size - at), self->begin + at, &entry) ==
           SEGLOG_GOOD) {
        if (replica_replay(replica, self->begin + at, entry.kind, entry.payload, &err) != 0) {
            if (err.outcome == OUTCOME_LOST)
                break;
            return -1;
        }
        at += entry.size;
    }
    if (at == log.size)
        return 0;
    slice_t rest = slice_of(log.data + at, log.size - at);
    if (self->begin + at < self->synced || seglog_find_good(rest, self->begin + at, 1)) {
        set_aside(self, at);
        return 0;
    }
    ++*torn;
    self->log.size = at;
    return 0;
}

int sim_disk_recover(sim_disk_t *self, replica_t *replica, uint64_t *torn, err_t *err)
{
    if (self->is_checkpoint_bad) {
        self->is_aside = true;
        clear_rows(self);
    }
    self->is_checkpoint_bad = false;
    for (uint8_t table = 1; table <= STATE_TABLES; table++)
        if (restore_table(self, replica, table, err) != 0)
            return -1;
    uint64_t position = replica_restored(replica, self->begin);
    bool does_meet = position >= self->begin && position <= sim_disk_end(self);
    if (!does_meet && !self->is_aside)
        return err_set(err, OUTCOME_MISSING, "log and checkpoint do not meet");
    if (!does_meet) {
        set_aside(self, 0);
        begin_anew(self, position);
    }
    bool was_aside = self->is_aside;
    if (replay(self, replica, position, torn) != 0)
        return err_set(err, OUTCOME_READ_ONLY, "the log has an entry of a later version");
    if (self->is_aside && !was_aside && !self->is_damaged)
        return err_set(err, OUTCOME_READ_ONLY, "a torn tail was taken for damage");
    if (self->is_aside) {
        replica_set_damaged(replica);
        salvage(self, replica);
    }
    sim_disk_sync(self);
    return 0;
}

/* ---- damage ---- */

void sim_disk_damage(sim_disk_t *self, random_t *random, bool is_checkpoint)
{
    self->is_damaged = true;
    if (is_checkpoint || self->synced == self->begin) {
        self->is_checkpoint_bad = true;
        return;
    }
    for (uint64_t bits = 1 + random_below(random, BITS_MAX); bits > 0; bits--) {
        uint64_t bit = random_below(random, 8 * (self->synced - self->begin));
        self->log.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

void sim_disk_lose_pages(sim_disk_t *self, random_t *random)
{
    self->is_damaged = true;
    for (size_t at = (size_t)(self->synced - self->begin); at < self->log.size; at += PAGE) {
        size_t left = self->log.size - at;
        if (random_chance(random, 300000))
            memset(self->log.data + at, 0, left < PAGE ? left : PAGE);
    }
}

bool sim_disk_was_damaged(const sim_disk_t *self)
{
    return self->is_damaged;
}

uint64_t sim_disk_log_damage(const sim_disk_t *self)
{
    slice_t rest = buf_slice(&self->log);
    uint64_t position = self->begin;
    uint64_t end = 0;
    while (rest.size != 0) {
        seglog_entry_t entry;
        bool is_good = seglog_next(rest, position, &entry) == SEGLOG_GOOD;
        size_t size = is_good ? entry.size : seglog_next_good(rest, position);
        if (!is_good)
            end = position + 1;
        rest = slice_of(rest.data + size, rest.size - size);
        position += size;
    }
    return end;
}

bool sim_disk_is_checkpoint_bad(const sim_disk_t *self)
{
    return self->is_checkpoint_bad;
}

void sim_disk_end_damage(sim_disk_t *self)
{
    self->is_damaged = false;
}

bool sim_disk_is_aside(const sim_disk_t *self)
{
    return self->is_aside;
}

void sim_disk_end_repair(sim_disk_t *self)
{
    self->is_aside = false;
    buf_reset(&self->aside);
}
