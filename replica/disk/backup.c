#define _XOPEN_SOURCE 700 /* nftw */
#include "replica/disk/backup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/wire/fields.h"
#include "bus/wire/peer.h"
#include "replica/core/seglog.h"
#include "replica/core/state.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/files.h"

static const uint8_t MAGIC[8] = {'H', 'S', 'B', 'A', 'C', 'K', 'U', 'P'};
static const char PARTIAL[] = ".partial";

enum {
    HEADER_SIZE = 16,
    KIND_ABOUT = 1,
    KIND_PIECE = 2,
    KIND_END = 3,
    ABOUT_FIELDS = 5,
    END_FIELDS = 1,
    MIB = 1024 * 1024,
    READ_BYTES = 4 * MIB, /* at a time */
};

/* Beside path, were it written with slashes behind it. */
static char *partial_name(const char *path)
{
    size_t size = files_name_size(path);
    char *name = mem_alloc(size + sizeof PARTIAL);
    memcpy(name, path, size);
    memcpy(name + size, PARTIAL, sizeof PARTIAL);
    return name;
}

static bool is_folder(const char *path)
{
    struct stat status;
    size_t size = strlen(path);
    return (size != 0 && path[size - 1] == '/') ||
           (stat(path, &status) == 0 && S_ISDIR(status.st_mode));
}

static bool is_stream(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* ---- rows ---- */

/* What can be restored, and is therefore all that is written. */
static bool is_row_fit(slice_t key, slice_t value)
{
    return key.size <= CHECKPOINT_KEY_MAX && value.size <= CHECKPOINT_VALUE_MAX;
}

static bool is_part_fit(const buf_t *part, size_t added)
{
    return part->size + added <= BACKUP_PART_MAX;
}

static int fail_rows(err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY, "rows of the backup make no sense: make another one");
}

static int fail_large(err_t *err)
{
    return err_set(
        err, OUTCOME_TOO_LARGE,
        "there is a key with more than the %d MiB that a backup holds of one: delete it, "
        "or spread it over several keys",
        CHECKPOINT_VALUE_MAX / MIB);
}

/* ---- writing ---- */

struct backup {
    int fd;
    char *path;    /* NULL: standard output */
    char *partial; /* its name until the end */
    bool is_ended;
    uint64_t bytes;
    uint64_t entries;
    bool is_too_large; /* a row */
    buf_t part;        /* of rows, until it is whole */
    buf_t out;
};

static int fail_write(const backup_t *self, int error, err_t *err)
{
    const char *name = self->path != NULL ? self->path : "standard output";
    return err_set(err, files_is_full(error) ? OUTCOME_FULL : OUTCOME_READ_ONLY,
                   "cannot write %s: %s", name, strerror(error));
}

static int write_out(backup_t *self, err_t *err)
{
    for (size_t done = 0; done < self->out.size;) {
        ssize_t n = write(self->fd, self->out.data + done, self->out.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_write(self, n < 0 ? errno : ENOSPC, err);
        done += (size_t)n;
    }
    self->bytes += self->out.size;
    buf_reset(&self->out);
    return 0;
}

static int write_entry(backup_t *self, uint8_t kind, slice_t payload, err_t *err)
{
    seglog_entry_put(&self->out, self->bytes, kind, payload);
    return write_out(self, err);
}

static int write_head(backup_t *self, const backup_about_t *about, err_t *err)
{
    buf_t payload = {0};
    uint8_t format[HEADER_SIZE - sizeof MAGIC] = {0};
    be32_put(format, BACKUP_FORMAT);
    buf_append(&self->out, MAGIC, sizeof MAGIC);
    buf_append(&self->out, format, sizeof format);
    int rc = write_out(self, err);
    mp_put_array(&payload, ABOUT_FIELDS);
    mp_put_uint(&payload, about->id);
    mp_put_uint(&payload, about->incarnation);
    mp_put_uint(&payload, about->lineage);
    mp_put_uint(&payload, (uint64_t)about->wall_ms);
    mp_put_text(&payload, about->version);
    if (rc == 0)
        rc = write_entry(self, KIND_ABOUT, buf_slice(&payload), err);
    buf_free(&payload);
    return rc;
}

int backup_begin(backup_t **out, const char *path, const backup_about_t *about, err_t *err)
{
    if (!is_stream(path) && is_folder(path)) /* which no file takes the place of in the end */
        return err_set(err, OUTCOME_USAGE, "cannot create %s: it is a folder; name a file in it",
                       path);
    backup_t *self = mem_zero(1, sizeof *self);
    self->fd = STDOUT_FILENO;
    if (!is_stream(path)) {
        self->path = mem_text(path, strlen(path));
        self->partial = partial_name(path);
        unlink(self->partial); /* it may be readable to others, or lead elsewhere */
        self->fd = open(self->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (self->fd < 0) {
            int error = errno;
            err_set(err, files_is_full(error) ? OUTCOME_FULL : OUTCOME_USAGE,
                    "cannot create %s: %s", self->partial, strerror(error));
            backup_close(&self);
            return -1;
        }
    }
    if (write_head(self, about, err) != 0) {
        backup_close(&self);
        return -1;
    }
    *out = self;
    return 0;
}

static bool count_row(void *arg, uint64_t table, slice_t key, slice_t value)
{
    backup_t *self = arg;
    self->is_too_large = !is_row_fit(key, value);
    self->entries += table == STATE_KEYS;
    return !self->is_too_large;
}

int backup_add(backup_t *self, slice_t bytes, bool ends_part, err_t *err)
{
    buf_t payload = {0};
    assert(bytes.size < SEGLOG_PAYLOAD_MAX);
    if (!is_part_fit(&self->part, bytes.size))
        return fail_large(err);
    buf_append_u8(&payload, ends_part);
    buf_append_slice(&payload, bytes);
    int rc = write_entry(self, KIND_PIECE, buf_slice(&payload), err);
    buf_free(&payload);
    buf_append_slice(&self->part, bytes);
    if (rc != 0 || !ends_part)
        return rc;
    if (!state_each_row(buf_slice(&self->part), count_row, self))
        rc = self->is_too_large ? fail_large(err) : fail_rows(err);
    buf_reset(&self->part);
    return rc;
}

/* A backup that was begun under the same name later has taken it. */
static bool is_own(const backup_t *self)
{
    struct stat ours;
    struct stat named;
    return fstat(self->fd, &ours) == 0 && lstat(self->partial, &named) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

int backup_end(backup_t *self, err_t *err)
{
    buf_t payload = {0};
    mp_put_array(&payload, END_FIELDS);
    mp_put_uint(&payload, self->entries);
    int rc = write_entry(self, KIND_END, buf_slice(&payload), err);
    buf_free(&payload);
    if (rc != 0 || self->path == NULL)
        return rc;
    if (!is_own(self))
        return err_set(err, OUTCOME_USAGE,
                       "another backup writes %s: have them one at a time, or name another file",
                       self->path);
    if (fsync(self->fd) != 0 || rename(self->partial, self->path) != 0)
        return fail_write(self, errno, err);
    self->is_ended = true;
    int error = files_sync_name(self->path);
    return error == 0 ? 0 : fail_write(self, error, err);
}

uint64_t backup_bytes(const backup_t *self)
{
    return self->bytes;
}

uint64_t backup_entries(const backup_t *self)
{
    return self->entries;
}

void backup_close(backup_t **self_p)
{
    backup_t *self = *self_p;
    if (self == NULL)
        return;
    if (self->path != NULL && self->fd >= 0) {
        if (!self->is_ended && is_own(self))
            unlink(self->partial);
        close(self->fd);
    }
    free(self->path);
    free(self->partial);
    buf_free(&self->part);
    buf_free(&self->out);
    free(self);
    *self_p = NULL;
}

/* ---- reading ---- */

typedef struct source {
    int fd;
    const char *name; /* for messages */
    bool is_end;      /* of the file */
    uint64_t offset;  /* of bytes[at] in the file */
    buf_t bytes;
    size_t at;
} source_t;

static int fail_damaged(const source_t *self, err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY,
                   "%s is damaged at byte %" PRIu64
                   ": use another backup; nothing was made of this",
                   self->name, self->offset);
}

static int fail_short(const source_t *self, err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY,
                   "%s ends in the middle, at byte %" PRIu64 ": it was cut short; use another "
                   "backup, nothing was made of this",
                   self->name, self->offset + self->bytes.size - self->at);
}

static int read_more(source_t *self, err_t *err)
{
    buf_t rest = {0};
    buf_append(&rest, self->bytes.data + self->at, self->bytes.size - self->at);
    buf_free(&self->bytes);
    self->bytes = rest;
    self->at = 0;
    uint8_t *room = buf_reserve(&self->bytes, READ_BYTES);
    ssize_t n;
    do
        n = read(self->fd, room, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set(err, OUTCOME_READ_ONLY, "cannot read %s: %s", self->name, strerror(errno));
    self->bytes.size += (size_t)n;
    self->is_end = n == 0;
    return 0;
}

static slice_t ahead(const source_t *self)
{
    return slice_of(self->bytes.data + self->at, self->bytes.size - self->at);
}

static void advance(source_t *self, size_t size)
{
    self->at += size;
    self->offset += size;
}

static int read_header(source_t *self, err_t *err)
{
    while (ahead(self).size < HEADER_SIZE && !self->is_end)
        if (read_more(self, err) != 0)
            return -1;
    slice_t header = ahead(self);
    if (header.size < HEADER_SIZE || memcmp(header.data, MAGIC, sizeof MAGIC) != 0)
        return err_set(err, OUTCOME_USAGE, "%s is no backup of hearsayctl backup", self->name);
    uint32_t format = be32_get(header.data + sizeof MAGIC);
    if (format != BACKUP_FORMAT)
        return err_set(err, OUTCOME_USAGE,
                       "%s has format %" PRIu32 ", this version reads %d: use the hearsayctl that "
                       "wrote it",
                       self->name, format, BACKUP_FORMAT);
    advance(self, HEADER_SIZE);
    return 0;
}

/*
 * The next entry, its payload borrowed until the next call. -1 with err at the end and for damage.
 */
static int next_entry(source_t *self, seglog_entry_t *out, err_t *err)
{
    for (;;) {
        switch (seglog_next(ahead(self), self->offset, out)) {
        case SEGLOG_GOOD:
            advance(self, out->size);
            return 0;
        case SEGLOG_DAMAGED:
            return fail_damaged(self, err);
        default:
            if (self->is_end)
                return fail_short(self, err);
            if (read_more(self, err) != 0)
                return -1;
        }
    }
}

/* 0 at the end of the file, -1 with err. */
static int expect_end(source_t *self, err_t *err)
{
    while (ahead(self).size == 0 && !self->is_end)
        if (read_more(self, err) != 0)
            return -1;
    return ahead(self).size == 0 ? 0 : fail_damaged(self, err);
}

static bool read_about(slice_t payload, backup_about_t *out)
{
    mp_t in = mp_open(payload);
    uint32_t items = fields_open(&in, ABOUT_FIELDS);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->wall_ms = (int64_t)fields_uint(&in, INT64_MAX);
    slice_t version = fields_bytes(&in, BACKUP_VERSION_SIZE - 1);
    snprintf(out->version, sizeof out->version, "%.*s", (int)version.size,
             (const char *)version.data);
    return fields_close(&in, items, ABOUT_FIELDS);
}

static bool read_end(slice_t payload, uint64_t *entries)
{
    mp_t in = mp_open(payload);
    uint32_t items = fields_open(&in, END_FIELDS);
    *entries = mp_uint(&in);
    return fields_close(&in, items, END_FIELDS);
}

/* ---- restoring ---- */

/* The checkpoint that is made, and waiting for its thread. */
typedef struct making {
    checkpoint_t *checkpoint;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_moved;
    uint64_t lineage;
    uint64_t entries;
    bool has_meta;
    err_t err; /* why a row was refused */
} making_t;

static void moved(void *arg)
{
    making_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    self->has_moved = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

static void wait_for_thread(making_t *self)
{
    pthread_mutex_lock(&self->mutex);
    while (!self->has_moved)
        pthread_cond_wait(&self->changed, &self->mutex);
    self->has_moved = false;
    pthread_mutex_unlock(&self->mutex);
}

/* The state begins anew: another lineage, no member, and no log behind it. */
static bool put_meta(making_t *self, slice_t key, slice_t value)
{
    state_meta_t meta = {0};
    buf_t members = {0};
    buf_t row = {0};
    bool is_good = state_meta_read(value, &meta) && !self->has_meta;
    if (is_good) {
        peer_members_put(&members, NULL, 0);
        meta.lineage = self->lineage;
        meta.position = 0;
        meta.lead_ms = 0;
        meta.members = buf_slice(&members);
        vec_copy(&meta.dropped, &meta.applied);
        state_meta_put(&row, &meta);
        checkpoint_put(self->checkpoint, STATE_META, key, buf_slice(&row));
        self->has_meta = true;
    }
    state_meta_free(&meta);
    buf_free(&members);
    buf_free(&row);
    return is_good;
}

static bool put_row(void *arg, uint64_t table, slice_t key, slice_t value)
{
    making_t *self = arg;
    while (checkpoint_room(self->checkpoint) == 0) {
        if (checkpoint_state(self->checkpoint, &self->err) == CHECKPOINT_FAILED)
            return false;
        wait_for_thread(self);
    }
    if (!is_row_fit(key, value))
        return false;
    if (table == STATE_META)
        return put_meta(self, key, value);
    if (table != STATE_KEYS || !self->has_meta)
        return false;
    checkpoint_put(self->checkpoint, STATE_KEYS, key, value);
    self->entries++;
    return true;
}

static int commit(making_t *self, err_t *err)
{
    checkpoint_commit(self->checkpoint);
    for (;;) {
        switch (checkpoint_state(self->checkpoint, err)) {
        case CHECKPOINT_DONE:
            return 0;
        case CHECKPOINT_FAILED:
            return -1;
        default:
            wait_for_thread(self);
        }
    }
}

/* From the header to the end, which must also be that of the file. */
static int take_all(making_t *self, source_t *source, backup_restored_t *out, err_t *err)
{
    seglog_entry_t entry;
    buf_t part = {0};
    int rc = read_header(source, err);
    if (rc == 0)
        rc = next_entry(source, &entry, err);
    if (rc == 0 && (entry.kind != KIND_ABOUT || !read_about(entry.payload, &out->about)))
        rc = fail_damaged(source, err);
    while (rc == 0 && (rc = next_entry(source, &entry, err)) == 0 && entry.kind == KIND_PIECE) {
        if (entry.payload.size == 0 || !is_part_fit(&part, entry.payload.size - 1)) {
            rc = fail_damaged(source, err);
            break;
        }
        buf_append(&part, entry.payload.data + 1, entry.payload.size - 1);
        if (entry.payload.data[0] == 0)
            continue;
        fail_rows(&self->err); /* unless it is the checkpoint that fails */
        if (!state_each_row(buf_slice(&part), put_row, self)) {
            *err = self->err;
            rc = -1;
        }
        buf_reset(&part);
    }
    bool is_whole = rc == 0 && entry.kind == KIND_END && read_end(entry.payload, &out->entries) &&
                    part.size == 0 && self->has_meta && out->entries == self->entries;
    buf_free(&part);
    if (rc != 0)
        return rc;
    return is_whole ? expect_end(source, err) : fail_damaged(source, err);
}

static int make_checkpoint(const char *folder, uint64_t lineage, source_t *source,
                           backup_restored_t *out, err_t *err)
{
    making_t self = {.lineage = lineage};
    if (checkpoint_open(&self.checkpoint, folder, err) != 0)
        return -1;
    pthread_mutex_init(&self.mutex, NULL);
    pthread_cond_init(&self.changed, NULL);
    checkpoint_on_progress(self.checkpoint, moved, &self);
    checkpoint_begin(self.checkpoint);
    int rc = take_all(&self, source, out, err);
    if (rc == 0)
        rc = commit(&self, err);
    checkpoint_close(&self.checkpoint);
    pthread_cond_destroy(&self.changed);
    pthread_mutex_destroy(&self.mutex);
    return rc;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_folder(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int open_source(source_t *out, const char *path, err_t *err)
{
    *out = (source_t){.fd = STDIN_FILENO, .name = "standard input"};
    if (is_stream(path))
        return 0;
    out->name = path;
    out->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->fd >= 0)
        return 0;
    return err_set(err, OUTCOME_USAGE, "cannot open %s: %s", path, strerror(errno));
}

static void close_source(source_t *self)
{
    if (self->fd != STDIN_FILENO)
        close(self->fd);
    buf_free(&self->bytes);
}

/* Gives the folder its name, which must still be free, for good. */
static int name_folder(const char *partial, const char *folder, err_t *err)
{
    if (rename(partial, folder) != 0)
        return err_set(err, OUTCOME_USAGE, "cannot rename %s to %s: %s", partial, folder,
                       strerror(errno));
    int error = files_sync_name(folder);
    if (error == 0)
        return 0;
    remove_folder(folder);
    return err_set(err, OUTCOME_READ_ONLY, "cannot write %s: %s", folder, strerror(error));
}

int backup_restore(const char *path, const char *folder, uint64_t lineage, backup_restored_t *out,
                   err_t *err)
{
    struct stat status;
    source_t source;
    assert(lineage != 0);
    *out = (backup_restored_t){0};
    if (lstat(folder, &status) == 0)
        return err_set(err, OUTCOME_USAGE,
                       "%s is there already: move it away, or name a folder that is not", folder);
    if (open_source(&source, path, err) != 0)
        return -1;
    char *partial = partial_name(folder);
    int rc = 0;
    if (mkdir(partial, 0700) != 0)
        rc = err_set(err, files_is_full(errno) ? OUTCOME_FULL : OUTCOME_USAGE,
                     "cannot make %s: %s%s", partial, strerror(errno),
                     errno == EEXIST ? "; remove it, a restore was interrupted" : "");
    if (rc == 0) {
        rc = make_checkpoint(partial, lineage, &source, out, err);
        if (rc == 0)
            rc = name_folder(partial, folder, err);
        if (rc != 0)
            remove_folder(partial);
    }
    close_source(&source);
    free(partial);
    return rc;
}
