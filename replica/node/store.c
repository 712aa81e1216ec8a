/* The disk as the core wants it: the log, the checkpoint, and what could not be kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus/net/logger.h"
#include "bus/net/runtime.h"
#include "replica/core/state.h"
#include "replica/node/internal.h"

enum {
    ROWS_BYTES = 8 * 1024 * 1024, /* of rows that wait for the checkpoint's queue */
    ROWS_HEAD = 5,                /* table, size of the run */
    MIB = 1024 * 1024,
    /* Free space under which the node turns read-only, and from which on it is no more. */
    FREE_LEAST = 8 * MIB,
    FREE_AGAIN = 12 * MIB,
    MEMORY_MARGIN = 32, /* a part of --max-memory */
    LOOK_BYTES = MIB,   /* of log between looks */
};

/* ---- start ---- */

typedef struct restoring {
    replica_t *replica;
    err_t *err; /* of what was refused */
    bool was_refused;
} restoring_t;

static bool restore_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    restoring_t *restoring = arg;
    restoring->was_refused =
        replica_restore(restoring->replica, table, key, value, restoring->err) != 0;
    return !restoring->was_refused;
}

static bool replay_entry(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    restoring_t *restoring = arg;
    restoring->was_refused =
        replica_replay(restoring->replica, position, kind, payload, restoring->err) != 0;
    return !restoring->was_refused;
}

static void say_skipped(node_t *self, const disk_replayed_t *found)
{
    self->is_log_damaged = found->skipped_bytes != 0;
    if (self->is_log_damaged)
        log_line(LOG_LEVEL_WARN,
                 "the log in %s is damaged before the checkpoint, where this node needs nothing of "
                 "it position=%llu bytes=%llu",
                 self->settings->data, (unsigned long long)found->skipped_position,
                 (unsigned long long)found->skipped_bytes);
}

static void say_replayed(node_t *self, const disk_replayed_t *found)
{
    /* A tail cut off is a write that a crash cut short; none of it had been acknowledged. */
    bool is_odd = found->cut_bytes != 0 || found->missing_bytes != 0;
    log_level_t level = is_odd ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
    log_record_t record = logger_begin(&self->line, level, "log replayed");
    log_text(&record, "data", slice_text(self->settings->data));
    log_uint(&record, "keys", replica_info(self->replica, net_now()).keys);
    log_uint(&record, "entries", found->entries);
    log_uint(&record, "bytes", found->bytes);
    log_uint(&record, "cut_bytes", found->cut_bytes);
    log_uint(&record, "missing_bytes", found->missing_bytes);
    logger_end(&record, level);
}

void node_wake(void *arg)
{
    const node_t *self = arg;
    wake_signal(&self->wake);
}

static bool disk_moved(void *arg)
{
    const node_t *self = arg;
    wake_clear(&self->wake);
    return false; /* the turn that follows looks at everything */
}

static int open_checkpoint(node_t *self, err_t *err)
{
    const char *data = self->settings->data;
    /* It was made before the first entry went to the log. */
    if (disk_end(self->disk) != 0 && !disk_is_aside(self->disk) && !checkpoint_exists(data))
        return err_set(err, OUTCOME_LOST, "%s/checkpoint/data.mdb is missing; %s", data,
                       FILES_REPAIR);
    return checkpoint_open(&self->checkpoint, data, err);
}

/* Gives checkpoint and log to the replica. */
static int give(node_t *self, restoring_t *restoring, disk_replayed_t *found, err_t *err)
{
    self->damaged = ASIDE_CHECKPOINT;
    if (open_checkpoint(self, err) != 0 ||
        checkpoint_load(self->checkpoint, restore_row, restoring, err) != 0)
        return -1;
    self->damaged = ASIDE_LOG;
    uint64_t position = replica_restored(self->replica, disk_begin(self->disk));
    int rc = disk_replay(self->disk, position, replay_entry, restoring, found, err);
    self->good_end = disk_good_end(self->disk);
    return rc;
}

static void say_aside(void *arg, const char *line)
{
    const node_t *self = arg;
    log_line(LOG_LEVEL_ERROR, "damaged, and to be taken from another node: %s/%s",
             self->settings->data, line);
}

static void salvage_entry(void *arg, uint8_t kind, slice_t payload)
{
    const node_t *self = arg;
    replica_salvage(self->replica, kind, payload);
}

int node_restore(node_t *self, err_t *err)
{
    err_t refusal;
    restoring_t restoring = {self->replica, &refusal, false};
    disk_replayed_t found = {0};

    if (give(self, &restoring, &found, err) != 0) {
        if (restoring.was_refused && refusal.outcome != OUTCOME_LOST)
            *err = refusal;
        else if (restoring.was_refused)
            log_line(LOG_LEVEL_ERROR, "%s", refusal.text); /* err says where */
        return -1;
    }
    say_replayed(self, &found);
    say_skipped(self, &found);
    if (disk_is_aside(self->disk)) {
        replica_set_damaged(self->replica);
        aside_each(self->settings->data, say_aside, salvage_entry, self);
    }
    disk_set_sync(self->disk, self->settings->sync);
    if (wake_open(&self->wake, err) != 0)
        return -1;
    self->has_wake = true;
    disk_on_progress(self->disk, node_wake, self);
    checkpoint_on_progress(self->checkpoint, node_wake, self);
    return loop_add_fd(self->loop, self->wake.read_fd, disk_moved, self, err);
}

/* ---- damage ---- */

/* Nobody has the folder open. */
static int set_aside(const node_t *self, aside_part_t part, err_t *err)
{
    const settings_t *settings = self->settings;
    char place[ASIDE_PLACE_SIZE];
    err_t why = *err;
    log_line(LOG_LEVEL_ERROR, "%s", why.text);
    if (aside_move(settings->data, settings->id, part, self->good_end, why.text, place, err) != 0)
        return -1;
    log_line(LOG_LEVEL_WARN, "what is damaged was set aside in %s/%s", settings->data, place);
    return 0;
}

int node_open_disk(node_t *self, err_t *err)
{
    const settings_t *settings = self->settings;
    int rc = disk_open(&self->disk, settings->data, settings->id, err);
    for (int i = 0; rc != 0 && err->outcome == OUTCOME_LOST && i < NODE_ASIDE_MAX; i++) {
        if (set_aside(self, ASIDE_HEADERS, err) != 0)
            return -1;
        rc = disk_open(&self->disk, settings->data, settings->id, err);
    }
    return rc;
}

int node_set_aside(node_t *self, err_t *err)
{
    checkpoint_close(&self->checkpoint);
    disk_close(&self->disk);
    if (set_aside(self, self->damaged, err) != 0)
        return -1;
    return node_open_disk(self, err);
}

void node_log_damaged(node_t *self, const followup_t *read)
{
    err_t err;
    /* What is appended from now on shall not keep the damaged segment. */
    if (disk_roll(self->disk, &err) != 0)
        log_line(LOG_LEVEL_WARN, "%s", err.text);
    replica_log_damaged(self->replica, net_now(), read->link, read->request, read->position);
}

void node_end_repair(node_t *self)
{
    err_t err;
    if (!disk_is_aside(self->disk))
        return;
    if (aside_end(self->settings->data, &err) != 0)
        log_line(LOG_LEVEL_ERROR, "%s; the next start takes over a state once more", err.text);
    else
        log_line(LOG_LEVEL_INFO,
                 "this node does not need the damaged files in %s/damaged-* any more; delete them "
                 "when nobody wants to look at them",
                 self->settings->data);
}

void node_close_store(node_t *self)
{
    scan_end(&self->check.scan);
    if (self->checkpoint != NULL)
        checkpoint_close(&self->checkpoint);
    if (self->disk != NULL)
        disk_close(&self->disk);
    if (self->has_wake)
        wake_close(&self->wake);
    buf_free(&self->rows);
}

/* ---- checkpoints ---- */

static void drop_rows(node_t *self)
{
    buf_reset(&self->rows);
    self->rows_at = self->run_at = 0;
    self->has_begin = self->has_commit = false;
}

void node_checkpoint_begin(node_t *self, bool is_whole)
{
    drop_rows(self);
    self->has_begin = true;
    self->is_whole = is_whole;
}

void node_checkpoint_rows(node_t *self, uint8_t table, slice_t run)
{
    uint8_t head[ROWS_HEAD] = {table};
    be32_put(head + 1, (uint32_t)run.size);
    buf_append(&self->rows, head, sizeof(head));
    buf_append_slice(&self->rows, run);
}

void node_checkpoint_commit(node_t *self, uint64_t position)
{
    self->has_commit = true;
    self->commit_position = position;
}

void node_checkpoint_abort(node_t *self)
{
    bool is_writing = !self->has_begin && !self->is_giving_up &&
                      checkpoint_state(self->checkpoint, NULL) == CHECKPOINT_WRITING;
    drop_rows(self);
    self->is_giving_up |= is_writing && !self->is_committed;
    if (is_writing && !self->is_committed)
        checkpoint_abort(self->checkpoint);
}

static void begin(node_t *self)
{
    self->has_begin = self->is_giving_up = self->is_committed = false;
    self->is_anew = self->is_whole;
    if (self->is_anew) {
        checkpoint_begin_anew(self->checkpoint);
        return;
    }
    checkpoint_begin(self->checkpoint);
    for (uint8_t table = 1; table <= STATE_TABLES; table++)
        if (table != STATE_KEYS) /* the others are written anew each time */
            checkpoint_clear_table(self->checkpoint, table);
}

/* False for a row that is too great to be kept: all of one key is one row. */
static bool put_row(node_t *self, uint8_t table, slice_t key, slice_t value, bool is_gone)
{
    if (value.size > CHECKPOINT_VALUE_MAX || key.size > CHECKPOINT_KEY_MAX)
        return false;
    if (is_gone)
        checkpoint_delete(self->checkpoint, table, key);
    else
        checkpoint_put(self->checkpoint, table, key, value);
    return true;
}

/* What was put so far is given up; the log goes on to hold what the last checkpoint lacks. */
static void give_up(node_t *self, const char *why)
{
    node_checkpoint_abort(self);
    self->is_writing = false;
    replica_checkpoint_done(self->replica, net_now(), false, slice_text(why));
}

/* A key that is too great, in a line: what is no plain text in it is shown as '?'. */
static void give_up_for(node_t *self, slice_t key)
{
    enum { SHOWN = 48 };
    char name[SHOWN + 1];
    char why[ERR_TEXT_SIZE];
    size_t size = key.size < SHOWN ? key.size : SHOWN;
    for (size_t i = 0; i < size; i++) {
        bool is_plain = key.data[i] >= ' ' && key.data[i] < 0x7F && key.data[i] != '"';
        name[i] = is_plain ? (char)key.data[i] : '?';
    }
    name[size] = '\0';
    snprintf(why, sizeof(why),
             "the key %s%s and all it holds are more than %d MiB: delete it, or split it up", name,
             key.size > SHOWN ? "..." : "", CHECKPOINT_VALUE_MAX / (1024 * 1024));
    give_up(self, why);
}

/* Hands rows on as far as the queue takes them; false, with its key, when one cannot be kept. */
static bool pump_rows(node_t *self, slice_t *too_great)
{
    while (self->rows_at < self->rows.size) {
        const uint8_t *head = self->rows.data + self->rows_at;
        uint32_t size = be32_get(head + 1);
        mp_t run = mp_open(slice_of(head + ROWS_HEAD, size));
        run.at += self->run_at;
        slice_t key;
        slice_t value;
        bool is_gone;
        while (checkpoint_room(self->checkpoint) != 0 &&
               state_next_row(&run, &key, &value, &is_gone))
            if (!put_row(self, head[0], key, value, is_gone)) {
                *too_great = key;
                return false;
            }
        self->run_at = (size_t)(run.at - (head + ROWS_HEAD));
        if (self->run_at < size)
            return true;
        self->run_at = 0;
        self->rows_at += ROWS_HEAD + size;
    }
    buf_reset(&self->rows);
    self->rows_at = 0;
    return true;
}

/* True when none is being written, nor about to be. */
static bool pump_checkpoint(node_t *self)
{
    err_t err = {0};
    slice_t too_great;
    checkpoint_state_t state = checkpoint_state(self->checkpoint, &err);
    if (state == CHECKPOINT_WRITING && (self->is_giving_up || self->has_begin))
        return false; /* the one before has not ended yet */
    if (self->has_begin) {
        begin(self); /* what came of the one before is of no interest any more */
    } else if (state == CHECKPOINT_DONE) {
        if (self->is_anew)
            node_checkpoint_renewed(self);
        replica_checkpoint_done(self->replica, net_now(), true, slice_text(""));
        return true;
    } else if (state == CHECKPOINT_FAILED && self->is_writing) {
        drop_rows(self);
        self->is_writing = false;
        replica_checkpoint_done(self->replica, net_now(), false, slice_text(err.text));
        return true;
    } else if (state != CHECKPOINT_WRITING) {
        return true;
    }
    self->is_writing = true;
    if (!pump_rows(self, &too_great)) {
        give_up_for(self, too_great);
        return false;
    }
    if (!self->has_commit || self->rows.size != 0)
        return false;
    if (disk_synced(self->disk) < self->commit_position)
        return false;
    self->has_commit = false;
    self->is_committed = true;
    checkpoint_commit(self->checkpoint);
    return false;
}

/* ---- what could not be kept ---- */

void node_keep_lost(node_t *self, slice_t text)
{
    char path[NODE_DATA_SIZE + 16];
    snprintf(path, sizeof(path), "%s/lost+found", self->settings->data);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t written = fd >= 0 ? write(fd, text.data, text.size) : -1;
    if (written == (ssize_t)text.size && fdatasync(fd) != 0)
        written = -1; /* the log says already that the update counts no more */
    if (written != (ssize_t)text.size)
        log_line(LOG_LEVEL_ERROR, "cannot write %s: %s; an update that came too late is lost: %.*s",
                 path, strerror(errno), (int)text.size, (const char *)text.data);
    if (fd >= 0)
        close(fd);
}

/* ---- room ---- */

/* Why nothing can be written, NULL: it can. */
static const char *find_fault(node_t *self, err_t *err)
{
    disk_state_t state = disk_state(self->disk, err);
    if (state == DISK_FAILED || (state == DISK_FULL && !disk_probe(self->disk)))
        return err->text;
    uint64_t least = self->is_read_only ? FREE_AGAIN : FREE_LEAST;
    uint64_t free_bytes = disk_free(self->disk);
    if (free_bytes >= least)
        return NULL;
    err_set(err, OUTCOME_READ_ONLY,
            "only %.1f MiB are free for %s: free space there, to %d MiB at least",
            (double)free_bytes / MIB, self->settings->data, FREE_AGAIN / MIB);
    return err->text;
}

void node_set_read_only(node_t *self, const char *why)
{
    char text[ERR_TEXT_SIZE];
    snprintf(text, sizeof(text), "replica %u takes no updates: %.300s", self->settings->id,
             why != NULL ? why : "");
    self->is_read_only = why != NULL;
    replica_set_read_only(self->replica, net_now(), why != NULL ? text : NULL);
}

/* Full at the limit, and no more from a little below it, so that it does not swing. */
static void watch_memory(node_t *self)
{
    if (self->settings->memory_max < 0)
        return;
    bool was_full = replica_info(self->replica, net_now()).is_full;
    uint64_t most = (uint64_t)self->settings->memory_max;
    uint64_t bytes = node_memory_bytes(self);
    bool is_full = bytes >= (was_full ? most - most / MEMORY_MARGIN : most);
    if (is_full != was_full)
        log_line(is_full ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                 is_full ? "memory full, no updates but deletes are taken bytes=%llu"
                         : "memory has room again bytes=%llu",
                 (unsigned long long)bytes);
    replica_set_full(self->replica, is_full);
}

void node_watch_room(node_t *self)
{
    int64_t now_ms = net_now().boot_ms;
    err_t err;
    bool has_fault = !self->is_read_only && disk_state(self->disk, NULL) != DISK_OK;
    if (!has_fault && now_ms < self->look_ms && disk_end(self->disk) < self->look_at)
        return;
    self->look_ms = now_ms + NODE_LOOK_MS;
    self->look_at = disk_end(self->disk) + LOOK_BYTES;
    watch_memory(self);
    const char *fault = find_fault(self, &err);
    if (fault != NULL || self->is_read_only)
        node_set_read_only(self, fault);
}

/* ---- each turn ---- */

void node_tell_disk(node_t *self)
{
    replica_synced(self->replica, net_now(), disk_synced(self->disk));
    bool may_write = node_check_files(self, pump_checkpoint(self));
    size_t room = may_write && self->rows.size == 0 ? ROWS_BYTES : 0;
    replica_checkpoint_room(self->replica, net_now(), room);
}
