#include "replica/disk/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "replica/disk/aside.h"
#include "replica/disk/files.h"
#include "replica/disk/lock.h"
#include "replica/disk/segment.h"
#include "replica/disk/synced.h"

enum {
    MS_PER_S = 1000,
    NS_PER_MS = 1000 * 1000,
};

static const char SPARE_NAME[] = "spare";
static const char SPARE_NEW_NAME[] = "spare.new";

typedef struct reader {
    int fd; /* -1: free */
    uint64_t position;
    uint64_t used; /* greater = more recently */
} reader_t;

struct disk {
    folder_t folder;
    uint16_t id;
    int lock_fd;
    int fd; /* of the newest segment; swapped under mutex */
    segments_t segments;
    size_t segment_size;
    bool is_replayed;
    bool is_aside;       /* something was set aside, and what it held is not here again yet */
    uint64_t good_end;   /* of the log, after a replay that found damage */
    uint64_t was_synced; /* up to where, before this start; 0: not known */
    int synced_fd;       /* of the file that says so; -1: there is none */
    bool is_torn; /* a failed append left bytes behind the end that could not be cut off yet */
    bool is_full;
    err_t full_err; /* why */
    reader_t readers[DISK_READERS_MAX];
    uint64_t reads;

    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, and fd for the thread */
    pthread_cond_t changed;
    disk_sync_mode_t mode;
    int64_t interval_ms;
    disk_progress_fn *progress;
    void *progress_arg;
    uint64_t written;         /* = disk_end, for the thread */
    struct timespec dirty_at; /* when written went ahead of synced */
    uint64_t synced;
    bool is_syncing;
    bool sync_asked;     /* whatever the mode */
    int sync_errno;      /* of the first sync that failed */
    segments_t dropping; /* files that are to be removed */
    uint64_t dropped_before;
    uint64_t dropped;
    uint64_t drops_failed;
    uint64_t syncs;
    bool stop;
};

static segment_t *newest(const disk_t *self)
{
    return &self->segments.items[self->segments.count - 1];
}

static uint64_t segment_end(const segment_t *segment)
{
    return segment->position + segment->size;
}

uint64_t disk_begin(const disk_t *self)
{
    return self->segments.items[0].position;
}

uint64_t disk_end(const disk_t *self)
{
    return segment_end(newest(self));
}

/* ---- errors ---- */

static int fail_write(const disk_t *self, int error, err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY, "cannot write to the log in %s: %s; %s",
                   self->folder.path, strerror(error),
                   files_is_full(error) ? "free space there" : "check the disk");
}

/* A write was refused: no append is tried before disk_probe says that it may be. */
static int fail_full(disk_t *self, int error, err_t *err)
{
    self->is_full = true;
    fail_write(self, error, &self->full_err);
    return fail_write(self, error, err);
}

static int fail_sync(const disk_t *self, int error, err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY,
                   "cannot sync the log in %s: %s; check the disk and start the node again",
                   self->folder.path, strerror(error));
}

/* ---- the thread ---- */

/* Syncs what was written; called and returns with the mutex held, released meanwhile. */
static void sync_locked(disk_t *self)
{
    /* One at a time: the system tells of a failure once, and it must be known before another sync,
     * which then succeeds, is believed. */
    while (self->is_syncing)
        pthread_cond_wait(&self->changed, &self->mutex);
    uint64_t upto = self->written;
    if (upto == self->synced || self->sync_errno != 0)
        return;
    self->is_syncing = true;
    /* A duplicate: the loop may close its descriptor when it goes on to the next segment. */
    int fd = fcntl(self->fd, F_DUPFD_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    pthread_mutex_unlock(&self->mutex);
    if (fd >= 0) {
        if (files_system.fdatasync(fd) != 0)
            error = errno;
        close(fd);
    }
    if (error == 0)
        synced_write(self->synced_fd, upto);
    pthread_mutex_lock(&self->mutex);
    self->is_syncing = false;
    if (error == 0) {
        self->synced = upto;
        self->syncs++;
    } else {
        self->sync_errno = error;
    }
    if (self->written > upto)
        clock_gettime(CLOCK_MONOTONIC, &self->dirty_at);
    pthread_cond_broadcast(&self->changed);
}

/* Removes the files that are to go; as sync_locked about the mutex. */
static void drop_locked(disk_t *self)
{
    segments_t files = self->dropping;
    self->dropping = (segments_t){0};
    pthread_mutex_unlock(&self->mutex);
    size_t gone = 0;
    for (size_t i = 0; i < files.count; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, files.items[i].position);
        gone += files_system.unlinkat(self->folder.fd, name, 0) == 0;
    }
    fsync(self->folder.fd); /* if it fails they may be back after a power cut, which does no harm */
    pthread_mutex_lock(&self->mutex);
    self->dropped += gone;
    self->drops_failed += files.count - gone;
    segments_free(&files);
}

static struct timespec sync_due(const disk_t *self)
{
    struct timespec due = self->dirty_at;
    due.tv_sec += (time_t)(self->interval_ms / MS_PER_S);
    due.tv_nsec += (long)(self->interval_ms % MS_PER_S) * NS_PER_MS;
    if (due.tv_nsec >= (long)MS_PER_S * NS_PER_MS) {
        due.tv_sec++;
        due.tv_nsec -= (long)MS_PER_S * NS_PER_MS;
    }
    return due;
}

/* Waits until there may be something to do; true when it is a sync. */
static bool wait_locked(disk_t *self)
{
    bool is_dirty = self->written != self->synced && self->sync_errno == 0;
    bool is_asked = self->sync_asked;
    self->sync_asked = false;
    if (is_dirty && is_asked)
        return true;
    if (!is_dirty || self->mode == DISK_SYNC_NEVER) {
        pthread_cond_wait(&self->changed, &self->mutex);
        return false;
    }
    if (self->mode == DISK_SYNC_ALWAYS)
        return true;
    struct timespec due = sync_due(self);
    return pthread_cond_timedwait(&self->changed, &self->mutex, &due) == ETIMEDOUT;
}

static void *thread_run(void *arg)
{
    disk_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while (self->dropping.count > 0)
            drop_locked(self);
        if (self->stop)
            break;
        if (!wait_locked(self))
            continue;
        sync_locked(self);
        disk_progress_fn *progress = self->progress;
        if (progress == NULL)
            continue;
        void *progress_arg = self->progress_arg;
        pthread_mutex_unlock(&self->mutex);
        progress(progress_arg);
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static int thread_start(disk_t *self, err_t *err)
{
    self->has_thread = files_start_thread(&self->thread, thread_run, self, "log", err) == 0;
    return self->has_thread ? 0 : -1;
}

/* The log ends at disk_end now. */
static void tell_written(disk_t *self)
{
    pthread_mutex_lock(&self->mutex);
    if (self->written == self->synced)
        clock_gettime(CLOCK_MONOTONIC, &self->dirty_at);
    self->written = disk_end(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

uint64_t disk_synced(disk_t *self)
{
    pthread_mutex_lock(&self->mutex);
    uint64_t synced = self->synced;
    pthread_mutex_unlock(&self->mutex);
    return synced;
}

int disk_sync(disk_t *self, err_t *err)
{
    pthread_mutex_lock(&self->mutex);
    sync_locked(self);
    int error = self->sync_errno;
    pthread_mutex_unlock(&self->mutex);
    return error == 0 ? 0 : fail_sync(self, error, err);
}

void disk_ask_sync(disk_t *self)
{
    pthread_mutex_lock(&self->mutex);
    self->sync_asked = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

void disk_set_sync(disk_t *self, disk_sync_mode_t mode)
{
    pthread_mutex_lock(&self->mutex);
    self->mode = mode;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

void disk_on_progress(disk_t *self, disk_progress_fn *fn, void *arg)
{
    pthread_mutex_lock(&self->mutex);
    self->progress = fn;
    self->progress_arg = arg;
    pthread_mutex_unlock(&self->mutex);
}

void disk_set_sync_interval_ms(disk_t *self, int64_t interval_ms)
{
    assert(interval_ms > 0);
    pthread_mutex_lock(&self->mutex);
    self->interval_ms = interval_ms;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

void disk_set_segment_size(disk_t *self, size_t size)
{
    assert(size > 0);
    self->segment_size = size;
}

disk_counts_t disk_counts(disk_t *self)
{
    disk_counts_t counts = {.segments = self->segments.count};
    pthread_mutex_lock(&self->mutex);
    counts.dropped_segments = self->dropped;
    counts.drops_failed = self->drops_failed;
    counts.syncs = self->syncs;
    pthread_mutex_unlock(&self->mutex);
    return counts;
}

/* ---- room ---- */

/* Reserves the spare anew, besides the one that is there, so that it shows room; 0 or the errno. */
static int spare_make(const disk_t *self)
{
    int fd = openat(self->folder.fd, SPARE_NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    static const uint8_t block[4096];
    int error = files_system.allocate(fd, 0, DISK_SPARE_SIZE);
    if (error == 0)
        error = files_write(fd, slice_of(block, sizeof(block)), 0);
    close(fd);
    if (error == 0 && renameat(self->folder.fd, SPARE_NEW_NAME, self->folder.fd, SPARE_NAME) != 0)
        error = errno;
    if (error != 0)
        unlinkat(self->folder.fd, SPARE_NEW_NAME, 0);
    return error;
}

/* The spare of a folder that is opened. A file system that cannot reserve is used without. */
static void spare_open(disk_t *self)
{
    struct stat status;
    if (fstatat(self->folder.fd, SPARE_NAME, &status, 0) == 0 && status.st_size == DISK_SPARE_SIZE)
        return;
    int error = spare_make(self);
    if (files_is_full(error))
        fail_full(self, error, NULL);
}

disk_state_t disk_state(disk_t *self, err_t *err)
{
    pthread_mutex_lock(&self->mutex);
    int error = self->sync_errno;
    pthread_mutex_unlock(&self->mutex);
    if (error != 0) {
        fail_sync(self, error, err);
        return DISK_FAILED;
    }
    if (self->is_full && err != NULL)
        *err = self->full_err;
    return self->is_full ? DISK_FULL : DISK_OK;
}

bool disk_probe(disk_t *self)
{
    disk_state_t state = disk_state(self, NULL);
    if (state != DISK_FULL)
        return state == DISK_OK;
    if (self->segments.count == SEGMENTS_MAX)
        return false;
    int error = spare_make(self);
    if (error != 0)
        fail_full(self, error, NULL);
    self->is_full = error != 0;
    return !self->is_full;
}

uint64_t disk_free(const disk_t *self)
{
    struct statvfs status;
    if (fstatvfs(self->folder.fd, &status) != 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

void disk_spend_spare(disk_t *self)
{
    unlinkat(self->folder.fd, SPARE_NAME, 0);
}

/* ---- looking ---- */

const folder_t *disk_folder(const disk_t *self)
{
    return &self->folder;
}

const segments_t *disk_segments(const disk_t *self)
{
    return &self->segments;
}

uint64_t disk_dropped_before(disk_t *self)
{
    pthread_mutex_lock(&self->mutex);
    uint64_t position = self->dropped_before;
    pthread_mutex_unlock(&self->mutex);
    return position;
}

/* ---- segments ---- */

/* Makes an empty segment at position the newest one; 0 or the errno. The log before is synced. */
static int segment_start(disk_t *self, uint64_t position)
{
    int error;
    int fd = segment_create(&self->folder, self->id, position, &error);
    if (fd < 0)
        return error;
    pthread_mutex_lock(&self->mutex);
    int old = self->fd;
    self->fd = fd;
    pthread_mutex_unlock(&self->mutex);
    if (old >= 0)
        close(old);
    segments_add(&self->segments, (segment_t){.position = position});
    return 0;
}

/* Has the thread remove the first count segments; they are no longer part of the log. */
static void segments_drop(disk_t *self, size_t count)
{
    assert(count < self->segments.count);
    if (count == 0)
        return;
    uint64_t begin = self->segments.items[count].position;
    for (size_t i = 0; i < DISK_READERS_MAX; i++) {
        reader_t *reader = &self->readers[i];
        if (reader->fd < 0 || reader->position >= begin)
            continue;
        close(reader->fd);
        *reader = (reader_t){.fd = -1};
    }
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < count; i++)
        segments_add(&self->dropping, self->segments.items[i]);
    self->dropped_before = begin;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    segments_remove(&self->segments, count);
}

size_t disk_drop_before(disk_t *self, uint64_t position)
{
    assert(self->is_replayed);
    size_t count = 0;
    while (count + 1 < self->segments.count &&
           segment_end(&self->segments.items[count]) <= position)
        count++;
    segments_drop(self, count);
    return count;
}

/* Finds all segments and checks their headers, makes the first one of a new folder. */
static int segments_open(disk_t *self, err_t *err)
{
    if (segments_find(&self->segments, &self->folder, err) != 0)
        return -1;
    for (size_t i = 0; i < self->segments.count; i++)
        if (segment_load(&self->folder, self->id, &self->segments.items[i], NULL, err) != 0)
            return -1;
    int error = 0;
    uint64_t position = 0;
    if (self->segments.count == 0) {
        error = segment_start(self, 0);
    } else {
        position = newest(self)->position;
        self->fd = segment_open(&self->folder, position, O_RDWR);
        error = errno;
    }
    if (self->fd >= 0)
        return 0;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, position);
    return files_fail_open(self->folder.path, name, error, err);
}

/* ---- opening ---- */

int disk_open(disk_t **out, const char *folder, uint16_t id, err_t *err)
{
    disk_t *self = mem_zero(1, sizeof(*self));
    self->folder = (folder_t){.fd = -1, .path = mem_text(folder, strlen(folder))};
    self->id = id;
    self->lock_fd = -1;
    self->synced_fd = -1;
    self->fd = -1;
    self->segment_size = DISK_SEGMENT_SIZE;
    self->mode = DISK_SYNC_INTERVAL;
    self->interval_ms = DISK_SYNC_INTERVAL_MS;
    for (size_t i = 0; i < DISK_READERS_MAX; i++)
        self->readers[i].fd = -1;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&self->mutex, NULL);
    if (lock_take(&self->folder, &self->lock_fd, err) != 0 || segments_open(self, err) != 0 ||
        thread_start(self, err) != 0) {
        disk_close(&self);
        return -1;
    }
    spare_open(self);
    self->is_aside = aside_is_open(&self->folder);
    if (!self->is_aside) /* what was cut off is known already */
        self->was_synced = synced_read(&self->folder);
    self->synced_fd = synced_open(&self->folder);
    *out = self;
    return 0;
}

void disk_close(disk_t **self_p)
{
    disk_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->has_thread) {
        pthread_mutex_lock(&self->mutex);
        self->stop = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->mutex);
        pthread_join(self->thread, NULL);
        disk_sync(self, NULL);
    }
    for (size_t i = 0; i < DISK_READERS_MAX; i++)
        if (self->readers[i].fd >= 0)
            close(self->readers[i].fd);
    if (self->fd >= 0)
        close(self->fd);
    if (self->synced_fd >= 0)
        close(self->synced_fd);
    /* The lock last: whoever takes the folder next finds it as it stays. */
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    if (self->folder.fd >= 0)
        close(self->folder.fd);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    segments_free(&self->segments);
    segments_free(&self->dropping);
    free(self->folder.path);
    free(self);
}

/* ---- replay ---- */

typedef struct replay {
    uint64_t from;
    disk_entry_fn *fn;
    void *arg;
    disk_replayed_t found;
} replay_t;

/*
 * Takes away what lies before a gap, if all that is needed lies behind it; -1 with err if not. See
 * disk.h for how such gaps come about.
 */
static int replay_close_gaps(disk_t *self, uint64_t from, err_t *err)
{
    size_t first = self->segments.count - 1; /* of those without a gap up to the end */
    while (first > 0 &&
           segment_end(&self->segments.items[first - 1]) == self->segments.items[first].position)
        first--;
    const segment_t *segment = &self->segments.items[first];
    if (from >= segment->position) {
        segments_drop(self, first);
        return 0;
    }
    self->good_end = first == 0 ? segment->position : 0;
    if (first == 0)
        return err_set(err, OUTCOME_LOST,
                       "the log in %s begins at %" PRIu64 " and is needed from %" PRIu64 " on; %s",
                       self->folder.path, segment->position, from, FILES_REPAIR);
    /* The first one behind which something is needed. */
    const segment_t *before = self->segments.items;
    while (segment_end(before) == before[1].position || before[1].position <= from)
        before++;
    self->good_end = segment_end(before);
    return err_set(err, OUTCOME_LOST,
                   "the log in %s has a gap: one segment ends at %" PRIu64
                   ", the next begins at %" PRIu64 "; %s",
                   self->folder.path, self->good_end, before[1].position, FILES_REPAIR);
}

/*
 * Has the newest segment on the device, and not in the memory of the system: of pages that a failed
 * sync left behind nobody can tell that they are not on it.
 */
static int replay_settle(disk_t *self, err_t *err)
{
    if (files_system.fdatasync(self->fd) != 0)
        return fail_sync(self, errno, err);
    posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
    return 0;
}

/* The entry that is next does not read: cuts a torn tail off the newest segment, else fails. */
static int replay_cut(disk_t *self, const walk_t *walk, disk_replayed_t *found, err_t *err)
{
    segment_t *last = newest(self);
    uint64_t offset;
    slice_t rest = walk_rest(walk, &offset);
    self->good_end = walk->segment->position + offset;
    if (walk->segment != last || self->good_end < self->was_synced ||
        seglog_find_good(rest, last->position + offset, 1))
        return segment_fail_damaged(&self->folder, walk->segment, SEGLOG_HEADER_SIZE + offset, err);
    int error = files_truncate(self->fd, SEGLOG_HEADER_SIZE + offset);
    if (error == 0 && files_system.fdatasync(self->fd) != 0)
        error = errno;
    if (error != 0)
        return fail_write(self, error, err);
    found->cut_position = last->position + offset;
    found->cut_bytes = last->size - offset;
    last->size = offset;
    return 0;
}

/* Names the entry at position for what is wrong with it. */
static int fail_entry(disk_t *self, const segment_t *segment, uint64_t position, const char *why,
                      err_t *err)
{
    self->good_end = position;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, segment->position);
    return err_set(err, OUTCOME_LOST, "%s/%s has an entry at offset %" PRIu64 " that %s; %s",
                   self->folder.path, name, position - segment->position + SEGLOG_HEADER_SIZE, why,
                   FILES_REPAIR);
}

/*
 * What does not read is before the checkpoint, and from there on all is well: goes on there.
 * Nothing is lost but for who has to be told what was before.
 */
static bool replay_skip(walk_t *walk, replay_t *replay)
{
    uint64_t offset;
    seglog_entry_t entry;
    slice_t rest = walk_rest(walk, &offset);
    uint64_t position = walk->segment->position + offset;
    if (replay->from <= position || replay->from - position > rest.size)
        return false;
    size_t skip = (size_t)(replay->from - position);
    slice_t behind = slice_of(rest.data + skip, rest.size - skip);
    seglog_state_t state = seglog_next(behind, replay->from, &entry);
    if (state != SEGLOG_GOOD && state != SEGLOG_END)
        return false;
    replay->found.skipped_position = position;
    replay->found.skipped_bytes = skip;
    walk_skip(walk, skip);
    return true;
}

static int replay_segment(disk_t *self, walk_t *walk, replay_t *replay, err_t *err)
{
    for (;;) {
        seglog_entry_t entry = {0};
        uint64_t position;
        int error;
        seglog_state_t state = walk_next(walk, &entry, &position, &error);
        if (error != 0)
            return segment_fail_read(&self->folder, walk->segment->position, error, err);
        if (state == SEGLOG_END)
            return 0;
        if (state != SEGLOG_GOOD && replay_skip(walk, replay))
            continue;
        if (state != SEGLOG_GOOD)
            return replay_cut(self, walk, &replay->found, err);
        if (position < replay->from && position + entry.size > replay->from)
            return fail_entry(self, walk->segment, position, "the checkpoint's position is inside",
                              err);
        if (position < replay->from)
            continue;
        if (!replay->fn(replay->arg, position, entry.kind, entry.payload))
            return fail_entry(self, walk->segment, position, "cannot be applied", err);
        replay->found.entries++;
        replay->found.bytes += entry.size;
    }
}

/* Gives the entries from replay->from on to its function. */
static int replay_segments(disk_t *self, replay_t *replay, err_t *err)
{
    walk_t walk = {0};
    int rc = 0;
    for (size_t i = 0; i < self->segments.count && rc == 0; i++) {
        const segment_t *segment = &self->segments.items[i];
        if (segment != newest(self) && segment_end(segment) <= replay->from)
            continue;
        int error = walk_begin(&walk, &self->folder, segment);
        if (error != 0) {
            rc = segment_fail_read(&self->folder, segment->position, error, err);
            break;
        }
        rc = replay_segment(self, &walk, replay, err);
        walk_end(&walk);
    }
    walk_free(&walk);
    return rc;
}

/* Sees that nothing that had been synced was cut off, unless that is known already. */
static int replay_check_end(disk_t *self, uint64_t from, err_t *err)
{
    uint64_t least = from > self->was_synced ? from : self->was_synced;
    self->good_end = disk_end(self);
    if (self->is_aside || self->good_end >= least)
        return 0;
    return err_set(err, OUTCOME_LOST,
                   "the log in %s ends at %" PRIu64 " and was on the disk up to %" PRIu64
                   ": something was cut off; %s",
                   self->folder.path, self->good_end, least, FILES_REPAIR);
}

/* The log ends before the checkpoint: lets it begin anew there. */
static int replay_restart(disk_t *self, replay_t *replay, err_t *err)
{
    replay->found.missing_bytes = replay->from - disk_end(self);
    int error = segment_start(self, replay->from);
    if (error != 0)
        return fail_write(self, error, err);
    segments_drop(self, self->segments.count - 1);
    return 0;
}

uint64_t disk_good_end(const disk_t *self)
{
    return self->good_end;
}

bool disk_is_aside(const disk_t *self)
{
    return self->is_aside;
}

int disk_replay(disk_t *self, uint64_t from, disk_entry_fn *fn, void *arg, disk_replayed_t *out,
                err_t *err)
{
    assert(!self->is_replayed);
    replay_t replay = {.from = from, .fn = fn, .arg = arg};
    int rc = replay_close_gaps(self, from, err);
    if (rc == 0)
        rc = replay_settle(self, err);
    if (rc == 0)
        rc = replay_segments(self, &replay, err);
    if (rc == 0)
        rc = replay_check_end(self, from, err);
    if (rc == 0 && disk_end(self) < from)
        rc = replay_restart(self, &replay, err);
    if (out != NULL)
        *out = replay.found;
    if (rc != 0)
        return -1;
    self->is_replayed = true;
    pthread_mutex_lock(&self->mutex);
    self->written = disk_end(self);
    self->synced = self->written;
    pthread_mutex_unlock(&self->mutex);
    if (self->is_aside)
        synced_reset(self->synced_fd, disk_end(self));
    else
        synced_write(self->synced_fd, disk_end(self));
    return 0;
}

/* ---- appending ---- */

/* Goes on to a new segment; the full one is synced first, so that only the newest can be torn. */
static int segment_roll(disk_t *self, err_t *err)
{
    if (self->segments.count == SEGMENTS_MAX) {
        self->is_full = true;
        err_set(&self->full_err, OUTCOME_READ_ONLY,
                "the log in %s has %d segments, more it cannot have; %s", self->folder.path,
                (int)SEGMENTS_MAX, FILES_MOVE);
        if (err != NULL)
            *err = self->full_err;
        return -1;
    }
    if (disk_sync(self, err) != 0)
        return -1;
    int error = segment_start(self, disk_end(self));
    return error == 0 ? 0 : fail_full(self, error, err);
}

int disk_roll(disk_t *self, err_t *err)
{
    assert(self->is_replayed);
    if (newest(self)->size == 0)
        return 0;
    return disk_state(self, err) == DISK_OK ? segment_roll(self, err) : -1;
}

static int append(disk_t *self, slice_t bytes, err_t *err)
{
    if (bytes.size == 0)
        return 0;
    if (self->is_torn) {
        int error = files_truncate(self->fd, SEGLOG_HEADER_SIZE + newest(self)->size);
        if (error != 0)
            return fail_full(self, error, err);
        self->is_torn = false;
    }
    uint64_t size = newest(self)->size;
    if (size > 0 && size + bytes.size > self->segment_size) {
        if (segment_roll(self, err) != 0)
            return -1;
        size = 0;
    }
    int error = files_write(self->fd, bytes, SEGLOG_HEADER_SIZE + size);
    if (error != 0) {
        self->is_torn = files_truncate(self->fd, SEGLOG_HEADER_SIZE + size) != 0;
        return fail_full(self, error, err);
    }
    newest(self)->size += bytes.size;
    tell_written(self);
    return 0;
}

int disk_append(disk_t *self, slice_t bytes, err_t *err)
{
    assert(self->is_replayed);
    return disk_state(self, err) == DISK_OK ? append(self, bytes, err) : -1;
}

int disk_append_reserved(disk_t *self, slice_t bytes, err_t *err)
{
    assert(self->is_replayed);
    disk_spend_spare(self);
    return append(self, bytes, err);
}

/* ---- reading ---- */

/* The segment that holds position, which is in the log. */
static const segment_t *segment_of(const disk_t *self, uint64_t position)
{
    size_t low = 0;
    size_t high = self->segments.count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (self->segments.items[middle].position <= position)
            low = middle;
        else
            high = middle;
    }
    return &self->segments.items[low];
}

/* A descriptor to read a segment with, kept by self; -1 with errno. */
static int reader_get(disk_t *self, const segment_t *segment)
{
    if (segment == newest(self))
        return self->fd;
    reader_t *oldest = &self->readers[0];
    for (size_t i = 0; i < DISK_READERS_MAX; i++) {
        reader_t *reader = &self->readers[i];
        if (reader->fd >= 0 && reader->position == segment->position) {
            reader->used = ++self->reads;
            return reader->fd;
        }
        if (reader->used < oldest->used)
            oldest = reader;
    }
    int fd = segment_open(&self->folder, segment->position, O_RDONLY);
    if (fd < 0)
        return -1;
    if (oldest->fd >= 0)
        close(oldest->fd);
    *oldest = (reader_t){.fd = fd, .position = segment->position, .used = ++self->reads};
    return fd;
}

/* How many bytes of out, from position on, are whole good entries; *state is what ended them. */
static size_t good_bytes(const buf_t *out, uint64_t position, seglog_state_t *state)
{
    size_t at = 0;
    seglog_entry_t entry;
    while ((*state = seglog_next(slice_of(out->data + at, out->size - at), position + at,
                                 &entry)) == SEGLOG_GOOD)
        at += entry.size;
    return at;
}

int disk_read(disk_t *self, uint64_t position, size_t most, buf_t *out, err_t *err)
{
    assert(self->is_replayed);
    assert(position <= disk_end(self));
    buf_reset(out);
    if (position < disk_begin(self))
        return err_set(err, OUTCOME_MISSING,
                       "the log in %s begins at %" PRIu64 ", %" PRIu64
                       " is no longer kept; take the state from a peer",
                       self->folder.path, disk_begin(self), position);
    const segment_t *segment = segment_of(self, position);
    uint64_t offset = position - segment->position;
    uint64_t left = segment->size - offset;
    if (left == 0)
        return 0;
    int fd = reader_get(self, segment);
    if (fd < 0)
        return segment_fail_read(&self->folder, segment->position, errno, err);
    size_t size = most < SEGLOG_ENTRY_OVERHEAD ? (size_t)SEGLOG_ENTRY_OVERHEAD : most;
    seglog_state_t state = SEGLOG_TORN;
    size_t good = 0;
    /* The second time when the first entry is longer than most: with exactly its size. */
    for (int turn = 0; turn < 2 && good == 0 && state == SEGLOG_TORN; turn++) {
        if (turn > 0)
            size = SEGLOG_ENTRY_OVERHEAD + (size_t)be32_get(out->data);
        buf_reset(out);
        int error =
            files_read(fd, SEGLOG_HEADER_SIZE + offset, left < size ? (size_t)left : size, out);
        if (error != 0)
            return error == EIO ? segment_fail_damaged(&self->folder, segment,
                                                       SEGLOG_HEADER_SIZE + offset, err)
                                : segment_fail_read(&self->folder, segment->position, error, err);
        good = good_bytes(out, position, &state);
        if (left <= size)
            break;
    }
    out->size = good;
    /* Good entries before a damaged one are given out; the next read begins with it. */
    return good > 0
               ? 0
               : segment_fail_damaged(&self->folder, segment, SEGLOG_HEADER_SIZE + offset, err);
}
