#include "replica/disk/scan.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"

enum {
    REST = 3, /* times as long as a MiB took: who serves has the device and the processor */
    REST_MS_MAX = 500, /* after a MiB */
    NS_PER_MS = 1000 * 1000,
    MS_PER_S = 1000,
};

struct scan {
    disk_t *disk;
    const folder_t *folder;
    segments_t segments;
    disk_progress_fn *fn;
    void *arg;
    uint64_t checkpoint_bytes;
    pthread_t thread;
    bool has_thread;
    int64_t resumed_ns;    /* when the thread began to read this MiB */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t stopped;
    scan_state_t state;
    bool stop;
    scan_finding_t findings[SCAN_FINDINGS_MAX]; /* a finding is not touched once it is counted */
};

/* ---- the thread ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S * NS_PER_MS + now.tv_nsec;
}

/* After some reading, as long as is due, or until it is to stop. */
static void rest_locked(scan_t *self)
{
    int64_t most_ns = (int64_t)REST_MS_MAX * NS_PER_MS;
    int64_t rest_ns = REST * (now_ns() - self->resumed_ns);
    int64_t until_ns = now_ns() + (rest_ns < most_ns ? rest_ns : most_ns);
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / MS_PER_S / NS_PER_MS),
        .tv_nsec = (long)(until_ns % ((int64_t)MS_PER_S * NS_PER_MS)),
    };
    while (!self->stop && pthread_cond_timedwait(&self->stopped, &self->mutex, &until) == 0)
        ;
    self->resumed_ns = now_ns();
}

static bool take_pace(void *arg, uint64_t bytes)
{
    scan_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    uint64_t before = self->state.phase == SCAN_LOG ? self->checkpoint_bytes : 0;
    self->state.read = before + bytes;
    rest_locked(self);
    bool goes_on = !self->stop;
    pthread_mutex_unlock(&self->mutex);
    return goes_on;
}

static void take_finding(void *arg, const verify_finding_t *finding)
{
    scan_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    scan_state_t *state = &self->state;
    bool is_log_damage = state->phase == SCAN_LOG && finding->weight == VERIFY_DAMAGE;
    if (is_log_damage && finding->position >= state->log_end)
        state->log_end = finding->position + 1;
    if (state->findings < SCAN_FINDINGS_MAX) {
        scan_finding_t *kept = &self->findings[state->findings++];
        kept->weight = finding->weight;
        kept->part = state->phase;
        kept->offset = finding->offset;
        kept->position = finding->position;
        snprintf(kept->file, sizeof(kept->file), "%s", finding->file);
        snprintf(kept->text, sizeof(kept->text), "%s", finding->text);
    }
    pthread_mutex_unlock(&self->mutex);
}

static uint64_t dropped_before(void *arg)
{
    const scan_t *self = arg;
    return disk_dropped_before(self->disk);
}

static void end_phase(scan_t *self, scan_phase_t next, const verified_t *result)
{
    pthread_mutex_lock(&self->mutex);
    self->state.phase = next;
    self->state.result = *result;
    self->state.read = next == SCAN_DONE ? self->state.bytes : self->checkpoint_bytes;
    pthread_mutex_unlock(&self->mutex);
    if (self->fn != NULL)
        self->fn(self->arg);
}

/* What is written and on the device goes out of the system's memory. */
static void let_go(const folder_t *folder, const char *name)
{
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void let_go_log(const scan_t *self)
{
    for (size_t i = 0; i < self->segments.count; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, self->segments.items[i].position);
        let_go(self->folder, name);
    }
}

static const char CHECKPOINT_FILE[] = "checkpoint/data.mdb";

static void *thread_run(void *arg)
{
    scan_t *self = arg;
    const verify_running_t source = {
        .folder = self->folder,
        .segments = &self->segments,
        .fn = take_finding,
        .pace = take_pace,
        .dropped_before = dropped_before,
        .arg = self,
    };
    verified_t result = {0};
    self->resumed_ns = now_ns();
    let_go(self->folder, CHECKPOINT_FILE);
    verify_running_checkpoint(&source, &result);
    end_phase(self, SCAN_LOG, &result);
    let_go_log(self);
    verify_running_log(&source, &result);
    end_phase(self, SCAN_DONE, &result);
    return NULL;
}

/* ---- the loop ---- */

int scan_start(scan_t **out, disk_t *disk, disk_progress_fn *fn, void *arg, err_t *err)
{
    scan_t *self = mem_zero(1, sizeof(*self));
    const segments_t *segments = disk_segments(disk);
    struct stat status;
    self->disk = disk;
    self->folder = disk_folder(disk);
    self->fn = fn;
    self->arg = arg;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->stopped, &attr);
    pthread_condattr_destroy(&attr);
    for (size_t i = 0; i < segments->count; i++) {
        segments_add(&self->segments, segments->items[i]);
        self->state.bytes += segments->items[i].size;
    }
    if (fstatat(self->folder->fd, CHECKPOINT_FILE, &status, 0) == 0)
        self->checkpoint_bytes = (uint64_t)status.st_size;
    self->state.bytes += self->checkpoint_bytes;
    self->has_thread = files_start_thread(&self->thread, thread_run, self, "check", err) == 0;
    if (!self->has_thread) {
        scan_end(&self);
        return -1;
    }
    *out = self;
    return 0;
}

scan_state_t scan_state(scan_t *self)
{
    pthread_mutex_lock(&self->mutex);
    scan_state_t state = self->state;
    pthread_mutex_unlock(&self->mutex);
    return state;
}

const scan_finding_t *scan_finding(scan_t *self, size_t i)
{
    return &self->findings[i];
}

void scan_end(scan_t **self_p)
{
    scan_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->stopped);
    pthread_mutex_unlock(&self->mutex);
    if (self->has_thread)
        pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->stopped);
    segments_free(&self->segments);
    free(self);
}
