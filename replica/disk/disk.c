#include "replica/disk/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"

enum {
    NAME_SIZE = 25,           /* "log-" 16 digits ".seg" NUL */
    CHUNK_SIZE = 1024 * 1024, /* bytes that a replay reads at a time */
    NS_PER_MS = 1000 * 1000,
};

static const char LOCK_NAME[] = "lock";

enum { LOCK_WAIT_MS = 1000, LOCK_RETRY_MS = 10 };
/* A segment is made under this name and renamed when it is whole: no segment is without header. */
static const char NEW_NAME[] = "log.new";
static const char REPAIR[] =
    "move the folder away and start again: the node takes everything from its peers";

typedef struct segment {
    uint64_t position; /* of its first entry */
    uint64_t size;     /* bytes of entries */
} segment_t;

typedef struct reader {
    int fd; /* -1: free */
    uint64_t position;
    uint64_t used; /* greater = more recently */
} reader_t;

struct disk {
    char *folder; /* for messages */
    uint16_t id;
    int folder_fd;
    int lock_fd;
    int fd; /* of the newest segment; swapped under mutex */
    segment_t *segments;
    size_t segments_count;
    size_t segments_capacity;
    size_t segment_size;
    bool is_replayed;
    bool is_torn; /* a failed append left bytes behind the end that could not be cut off yet */
    reader_t readers[DISK_READERS_MAX];
    uint64_t reads;

    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, and fd for the thread */
    pthread_cond_t changed;
    int64_t interval_ms;
    uint64_t written; /* = disk_end, for the thread */
    uint64_t synced;
    int sync_errno; /* of the first sync that failed */
    bool stop;
};

static segment_t *newest(const disk_t *self)
{
    return &self->segments[self->segments_count - 1];
}

uint64_t disk_begin(const disk_t *self)
{
    return self->segments[0].position;
}

uint64_t disk_end(const disk_t *self)
{
    return newest(self)->position + newest(self)->size;
}

static void segment_name(char name[NAME_SIZE], uint64_t position)
{
    snprintf(name, NAME_SIZE, "log-%016" PRIx64 ".seg", position);
}

/* The position that a file name says; false when it is not that of a segment. */
static bool segment_name_read(const char *name, uint64_t *position)
{
    uint64_t value = 0;
    char again[NAME_SIZE];
    if (strlen(name) != NAME_SIZE - 1 || sscanf(name, "log-%16" SCNx64 ".seg", &value) != 1)
        return false;
    segment_name(again, value);
    *position = value;
    return strcmp(name, again) == 0;
}

/* ---- errors ---- */

/* The system refused to make or open something in the folder, or the folder. name may be "". */
static int fail_open(const char *folder, const char *name, int error, err_t *err)
{
    const char *slash = name[0] == '\0' ? "" : "/";
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return err_set(err, OUTCOME_READ_ONLY, "cannot create %s%s%s: %s; free space there", folder,
                       slash, name, strerror(error));
    case EACCES:
    case EPERM:
    case EROFS:
        return err_set(err, OUTCOME_USAGE,
                       "cannot open %s%s%s: %s; make the folder writable or say --data DIR", folder,
                       slash, name, strerror(error));
    case ENOENT:
    case ENOTDIR:
        return err_set(err, OUTCOME_USAGE,
                       "cannot open %s%s%s: %s; create the folder above it or say --data DIR",
                       folder, slash, name, strerror(error));
    case EIO:
        return err_set(err, OUTCOME_READ_ONLY, "cannot open %s%s%s: %s; check the disk", folder,
                       slash, name, strerror(error));
    default:
        return err_set(err, OUTCOME_USAGE, "cannot open %s%s%s: %s; say --data DIR", folder, slash,
                       name, strerror(error));
    }
}

static int fail_write(const disk_t *self, int error, err_t *err)
{
    bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return err_set(err, OUTCOME_READ_ONLY, "cannot write to the log in %s: %s; %s", self->folder,
                   strerror(error), is_full ? "free space there" : "check the disk");
}

static int fail_read(const disk_t *self, uint64_t segment, int error, err_t *err)
{
    char name[NAME_SIZE];
    segment_name(name, segment);
    return err_set(err, OUTCOME_READ_ONLY, "cannot read %s/%s: %s; check the disk, or %s",
                   self->folder, name, strerror(error), REPAIR);
}

/* offset in bytes from the beginning of the file. */
static int fail_damaged(const disk_t *self, const segment_t *segment, uint64_t offset, err_t *err)
{
    char name[NAME_SIZE];
    segment_name(name, segment->position);
    return err_set(err, OUTCOME_READ_ONLY, "%s/%s is damaged at offset %" PRIu64 "; %s",
                   self->folder, name, offset, REPAIR);
}

static int fail_sync(const disk_t *self, int error, err_t *err)
{
    return err_set(err, OUTCOME_READ_ONLY,
                   "cannot sync the log in %s: %s; check the disk and start the node again",
                   self->folder, strerror(error));
}

/* ---- plain files ---- */

/* Writes all of bytes at offset; 0 or the errno. */
static int write_all(int fd, slice_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes.size) {
        ssize_t n = pwrite(fd, bytes.data + done, bytes.size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

/* Appends size bytes at offset of the file to out; 0 or the errno, EIO when the file is shorter. */
static int read_all(int fd, uint64_t offset, size_t size, buf_t *out)
{
    uint8_t *to = buf_reserve(out, size);
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += (size_t)n;
    }
    out->size += size;
    return 0;
}

static int truncate_file(int fd, uint64_t size)
{
    int rc;
    do
        rc = ftruncate(fd, (off_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int segment_open_file(const disk_t *self, uint64_t position, int flags)
{
    char name[NAME_SIZE];
    segment_name(name, position);
    return openat(self->folder_fd, name, flags | O_CLOEXEC | O_NONBLOCK);
}

/* ---- the sync thread ---- */

/* Syncs what was written; called and returns with the mutex held, released meanwhile. */
static void sync_locked(disk_t *self)
{
    uint64_t upto = self->written;
    if (upto == self->synced || self->sync_errno != 0)
        return;
    /* A duplicate: the loop may close its descriptor when it goes on to the next segment. */
    int fd = fcntl(self->fd, F_DUPFD_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    pthread_mutex_unlock(&self->mutex);
    if (fd >= 0) {
        if (fdatasync(fd) != 0)
            error = errno;
        close(fd);
    }
    pthread_mutex_lock(&self->mutex);
    if (error != 0 && self->sync_errno == 0)
        self->sync_errno = error;
    if (error == 0 && upto > self->synced)
        self->synced = upto;
}

/* Waits for interval_ms or until told of a change. */
static void wait_locked(disk_t *self)
{
    if (self->interval_ms == 0) {
        pthread_cond_wait(&self->changed, &self->mutex);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(self->interval_ms / 1000);
    until.tv_nsec += (long)(self->interval_ms % 1000) * NS_PER_MS;
    if (until.tv_nsec >= 1000L * NS_PER_MS) {
        until.tv_sec++;
        until.tv_nsec -= 1000L * NS_PER_MS;
    }
    /* Woken for nothing it syncs early, which harms nobody. */
    pthread_cond_timedwait(&self->changed, &self->mutex, &until);
}

static void *sync_run(void *arg)
{
    disk_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    while (!self->stop) {
        wait_locked(self);
        if (self->interval_ms != 0)
            sync_locked(self);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static int sync_start(disk_t *self, err_t *err)
{
    /* Signals are for the loop. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, NULL, sync_run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return err_set(err, OUTCOME_READ_ONLY,
                       "cannot start the disk thread: %s; allow the user more processes",
                       strerror(error));
    self->has_thread = true;
    return 0;
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

void disk_set_sync_interval_ms(disk_t *self, int64_t interval_ms)
{
    assert(interval_ms >= 0);
    pthread_mutex_lock(&self->mutex);
    self->interval_ms = interval_ms;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

void disk_set_segment_size(disk_t *self, size_t size)
{
    assert(size > 0);
    self->segment_size = size;
}

/* ---- segments ---- */

static void segments_add(disk_t *self, segment_t segment)
{
    if (self->segments_count == self->segments_capacity) {
        self->segments_capacity = self->segments_capacity == 0 ? 16 : 2 * self->segments_capacity;
        self->segments =
            mem_resize(self->segments, self->segments_capacity * sizeof(self->segments[0]));
    }
    self->segments[self->segments_count++] = segment;
}

static int segment_order(const void *a, const void *b)
{
    const segment_t *x = a;
    const segment_t *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* Makes an empty segment durable under its name; the descriptor, or -1 with *error set. */
static int segment_create(const disk_t *self, uint64_t position, int *error)
{
    int fd = openat(self->folder_fd, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    buf_t header = {0};
    char name[NAME_SIZE];
    segment_name(name, position);
    seglog_header_put(&header, self->id, position);
    *error = write_all(fd, buf_slice(&header), 0);
    buf_free(&header);
    if (*error == 0 &&
        (fsync(fd) != 0 || renameat(self->folder_fd, NEW_NAME, self->folder_fd, name) != 0 ||
         fsync(self->folder_fd) != 0))
        *error = errno;
    if (*error == 0)
        return fd;
    /* Under either name it is empty or no segment, so that a later try can begin anew. */
    unlinkat(self->folder_fd, NEW_NAME, 0);
    unlinkat(self->folder_fd, name, 0);
    close(fd);
    return -1;
}

/* Finds the segments by name, in order. */
static int segments_find(disk_t *self, err_t *err)
{
    int fd = openat(self->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return fail_open(self->folder, "", error, err);
    }
    uint64_t position;
    bool is_over = false;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!segment_name_read(entry->d_name, &position))
            continue;
        is_over = self->segments_count == DISK_SEGMENTS_MAX;
        if (is_over)
            break;
        segments_add(self, (segment_t){.position = position});
    }
    closedir(dir);
    if (is_over)
        return err_set(err, OUTCOME_READ_ONLY, "%s holds more than %d log segments; %s",
                       self->folder, (int)DISK_SEGMENTS_MAX, REPAIR);
    if (self->segments_count > 0)
        qsort(self->segments, self->segments_count, sizeof(segment_t), segment_order);
    return 0;
}

/* Judges the header of a segment whose file is open, and that it is ours. */
static int segment_check_header(const disk_t *self, const segment_t *segment, slice_t bytes,
                                err_t *err)
{
    char name[NAME_SIZE];
    seglog_header_t header = {0};
    segment_name(name, segment->position);
    switch (seglog_header_read(bytes, &header)) {
    case SEGLOG_HEADER_GOOD:
        break;
    case SEGLOG_HEADER_FOREIGN:
        return err_set(err, OUTCOME_USAGE,
                       "%s/%s is no log of hearsay; move it away or say --data DIR", self->folder,
                       name);
    case SEGLOG_HEADER_NEWER:
        return err_set(err, OUTCOME_USAGE,
                       "%s/%s has format %" PRIu32 ", this program reads %d; start a newer hearsay "
                       "or say --data DIR",
                       self->folder, name, header.format, (int)SEGLOG_FORMAT);
    case SEGLOG_HEADER_DAMAGED:
        return fail_damaged(self, segment, 0, err);
    }
    if (header.node_id != self->id)
        return err_set(err, OUTCOME_USAGE,
                       "data folder %s belongs to node %u, not to node %u; start node %u there or "
                       "say --data DIR",
                       self->folder, (unsigned)header.node_id, (unsigned)self->id,
                       (unsigned)header.node_id);
    if (header.position != segment->position)
        return err_set(err, OUTCOME_READ_ONLY,
                       "%s/%s is damaged: its header is that of another segment; %s", self->folder,
                       name, REPAIR);
    return 0;
}

/* Reads size and header of a segment. */
static int segment_load(const disk_t *self, segment_t *segment, err_t *err)
{
    int fd = segment_open_file(self, segment->position, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return fail_read(self, segment->position, error, err);
    }
    uint64_t file_size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    buf_t head = {0};
    size_t head_size =
        file_size < SEGLOG_HEADER_SIZE ? (size_t)file_size : (size_t)SEGLOG_HEADER_SIZE;
    int error = read_all(fd, 0, head_size, &head);
    close(fd);
    int rc = error != 0 ? fail_read(self, segment->position, error, err)
                        : segment_check_header(self, segment, buf_slice(&head), err);
    buf_free(&head);
    if (rc == 0)
        segment->size = file_size - SEGLOG_HEADER_SIZE;
    return rc;
}

/* Finds and checks all segments, makes the first one of a new folder, opens the newest. */
static int segments_open(disk_t *self, err_t *err)
{
    if (segments_find(self, err) != 0)
        return -1;
    for (size_t i = 0; i < self->segments_count; i++)
        if (segment_load(self, &self->segments[i], err) != 0)
            return -1;
    for (size_t i = 1; i < self->segments_count; i++) {
        const segment_t *before = &self->segments[i - 1];
        if (before->position + before->size != self->segments[i].position)
            return err_set(err, OUTCOME_READ_ONLY,
                           "the log in %s has a gap: one segment ends at %" PRIu64
                           ", the next begins at %" PRIu64 "; %s",
                           self->folder, before->position + before->size,
                           self->segments[i].position, REPAIR);
    }
    int error = 0;
    if (self->segments_count == 0) {
        self->fd = segment_create(self, 0, &error);
        if (self->fd >= 0)
            segments_add(self, (segment_t){0});
    } else {
        self->fd = segment_open_file(self, newest(self)->position, O_RDWR);
        error = errno;
    }
    if (self->fd >= 0)
        return 0;
    char name[NAME_SIZE];
    segment_name(name, self->segments_count == 0 ? 0 : newest(self)->position);
    return fail_open(self->folder, name, error, err);
}

/* ---- opening ---- */

/* Makes the name of a new folder durable, where the folder above it may be read at all. */
static void sync_parent(int folder_fd)
{
    int fd = openat(folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/*
 * Takes the lock, as flock() does. A process that was killed keeps it until the kernel is done with
 * it, and a node started again at once must not find its predecessor in the way.
 */
static int lock_patiently(int fd)
{
    const struct timespec pause = {.tv_nsec = LOCK_RETRY_MS * 1000000L};
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    for (int ms = 0; rc != 0 && errno == EWOULDBLOCK && ms < LOCK_WAIT_MS; ms += LOCK_RETRY_MS) {
        nanosleep(&pause, NULL);
        rc = flock(fd, LOCK_EX | LOCK_NB);
    }
    return rc;
}

/* Takes the lock of the folder, which goes with the process, and says in it who has it. */
static int folder_lock(disk_t *self, err_t *err)
{
    self->lock_fd = openat(self->folder_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return fail_open(self->folder, LOCK_NAME, errno, err);
    char text[32] = {0};
    if (lock_patiently(self->lock_fd) != 0) {
        if (errno != EWOULDBLOCK)
            return fail_open(self->folder, LOCK_NAME, errno, err);
        ssize_t n = pread(self->lock_fd, text, sizeof(text) - 1, 0);
        long pid = n > 0 ? strtol(text, NULL, 10) : 0;
        char who[48] = "another process";
        if (pid > 0)
            snprintf(who, sizeof(who), "process %ld", pid);
        return err_set(err, OUTCOME_USAGE,
                       "data folder %s is in use by %s; stop that node or say --data DIR",
                       self->folder, who);
    }
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int error = truncate_file(self->lock_fd, 0);
    if (error == 0)
        error = write_all(self->lock_fd, slice_of(text, (size_t)size), 0);
    return error == 0 ? 0 : fail_open(self->folder, LOCK_NAME, error, err);
}

/* Opens the folder, makes it when it is not there, and takes its lock. */
static int folder_open(disk_t *self, err_t *err)
{
    bool is_new = mkdir(self->folder, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return fail_open(self->folder, "", errno, err);
    self->folder_fd = open(self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->folder_fd < 0)
        return fail_open(self->folder, "", errno, err);
    if (is_new)
        sync_parent(self->folder_fd);
    return folder_lock(self, err);
}

int disk_open(disk_t **out, const char *folder, uint16_t id, err_t *err)
{
    disk_t *self = mem_zero(1, sizeof(*self));
    self->folder = mem_text(folder, strlen(folder));
    self->id = id;
    self->folder_fd = -1;
    self->lock_fd = -1;
    self->fd = -1;
    self->segment_size = DISK_SEGMENT_SIZE;
    self->interval_ms = DISK_SYNC_INTERVAL_MS;
    for (size_t i = 0; i < DISK_READERS_MAX; i++)
        self->readers[i].fd = -1;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&self->mutex, NULL);
    if (folder_open(self, err) != 0 || segments_open(self, err) != 0 ||
        sync_start(self, err) != 0) {
        disk_close(&self);
        return -1;
    }
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
        pthread_cond_signal(&self->changed);
        pthread_mutex_unlock(&self->mutex);
        pthread_join(self->thread, NULL);
        disk_sync(self, NULL);
    }
    for (size_t i = 0; i < DISK_READERS_MAX; i++)
        if (self->readers[i].fd >= 0)
            close(self->readers[i].fd);
    if (self->fd >= 0)
        close(self->fd);
    /* The lock last: whoever takes the folder next finds it as it stays. */
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    if (self->folder_fd >= 0)
        close(self->folder_fd);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    free(self->segments);
    free(self->folder);
    free(self);
}

/* ---- replay ---- */

/* A walk over one segment. */
typedef struct walk {
    const segment_t *segment;
    int fd;
    buf_t window;  /* bytes of the segment from `from` on */
    uint64_t from; /* offset of window.data[0] in the entries of the segment */
    size_t at;     /* offset in the window of the entry that is next */
} walk_t;

/* Drops what was read of the window and reads at least as much again; 0 or the errno. */
static int walk_fill(walk_t *walk, size_t size)
{
    size_t left = walk->window.size - walk->at;
    if (left > 0 && walk->at > 0)
        memmove(walk->window.data, walk->window.data + walk->at, left);
    walk->window.size = left;
    walk->from += walk->at;
    walk->at = 0;
    uint64_t unread = walk->segment->size - walk->from - left;
    size_t more = unread < size ? (size_t)unread : size;
    return read_all(walk->fd, SEGLOG_HEADER_SIZE + walk->from + left, more, &walk->window);
}

/*
 * Reads the next entry, filling the window as needed. TORN and DAMAGED come with the whole rest of
 * the segment in the window. *error is an errno when reading failed, otherwise 0.
 */
static seglog_state_t walk_next(walk_t *walk, seglog_entry_t *entry, uint64_t *position, int *error)
{
    for (;;) {
        slice_t rest = {NULL, walk->window.size - walk->at};
        if (rest.size > 0)
            rest.data = walk->window.data + walk->at;
        *position = walk->segment->position + walk->from + walk->at;
        seglog_state_t state = seglog_next(rest, *position, entry);
        bool is_whole = walk->from + walk->window.size == walk->segment->size;
        if (state == SEGLOG_GOOD || is_whole) {
            walk->at += state == SEGLOG_GOOD ? entry->size : 0;
            *error = 0;
            return state;
        }
        size_t more = rest.size > CHUNK_SIZE ? rest.size : CHUNK_SIZE;
        *error = walk_fill(walk, state == SEGLOG_DAMAGED ? SIZE_MAX : more);
        if (*error != 0)
            return SEGLOG_DAMAGED;
    }
}

/* The entry that is next does not read: cuts a torn tail off the newest segment, else fails. */
static int replay_cut(disk_t *self, const walk_t *walk, disk_replayed_t *found, err_t *err)
{
    segment_t *last = newest(self);
    uint64_t offset = walk->from + walk->at;
    slice_t rest = slice_of(walk->window.data + walk->at, walk->window.size - walk->at);
    if (walk->segment != last || seglog_find_good(rest, last->position + offset, 1))
        return fail_damaged(self, walk->segment, SEGLOG_HEADER_SIZE + offset, err);
    int error = truncate_file(self->fd, SEGLOG_HEADER_SIZE + offset);
    if (error == 0 && fdatasync(self->fd) != 0)
        error = errno;
    if (error != 0)
        return fail_write(self, error, err);
    found->cut_position = last->position + offset;
    found->cut_bytes = last->size - offset;
    last->size = offset;
    return 0;
}

static int replay_segment(disk_t *self, walk_t *walk, disk_entry_fn *fn, void *arg,
                          disk_replayed_t *found, err_t *err)
{
    for (;;) {
        seglog_entry_t entry = {0};
        uint64_t position;
        int error;
        seglog_state_t state = walk_next(walk, &entry, &position, &error);
        if (error != 0)
            return fail_read(self, walk->segment->position, error, err);
        if (state == SEGLOG_END)
            return 0;
        if (state != SEGLOG_GOOD)
            return replay_cut(self, walk, found, err);
        if (!fn(arg, position, entry.kind, entry.payload)) {
            char name[NAME_SIZE];
            segment_name(name, walk->segment->position);
            return err_set(err, OUTCOME_READ_ONLY,
                           "%s/%s has an entry at offset %" PRIu64 " that cannot be applied; %s",
                           self->folder, name,
                           position - walk->segment->position + SEGLOG_HEADER_SIZE, REPAIR);
        }
        found->entries++;
        found->bytes += entry.size;
    }
}

int disk_replay(disk_t *self, disk_entry_fn *fn, void *arg, disk_replayed_t *out, err_t *err)
{
    assert(!self->is_replayed);
    disk_replayed_t found = {0};
    walk_t walk = {0};
    int rc = 0;
    for (size_t i = 0; i < self->segments_count && rc == 0; i++) {
        walk.segment = &self->segments[i];
        walk.from = 0;
        walk.at = 0;
        buf_reset(&walk.window);
        walk.fd = segment_open_file(self, walk.segment->position, O_RDONLY);
        if (walk.fd < 0) {
            rc = fail_read(self, walk.segment->position, errno, err);
            break;
        }
        rc = replay_segment(self, &walk, fn, arg, &found, err);
        close(walk.fd);
    }
    buf_free(&walk.window);
    if (out != NULL)
        *out = found;
    if (rc != 0)
        return -1;
    self->is_replayed = true;
    pthread_mutex_lock(&self->mutex);
    /* What a process before us wrote may not be on the device yet: synced stays behind. */
    self->written = disk_end(self);
    pthread_mutex_unlock(&self->mutex);
    return 0;
}

/* ---- appending ---- */

/* Goes on to a new segment; the full one is synced first, so that only the newest can be torn. */
static int segment_roll(disk_t *self, err_t *err)
{
    if (self->segments_count == DISK_SEGMENTS_MAX)
        return err_set(err, OUTCOME_READ_ONLY,
                       "the log in %s has %d segments, more it cannot have; %s", self->folder,
                       (int)DISK_SEGMENTS_MAX, REPAIR);
    if (disk_sync(self, err) != 0)
        return -1;
    uint64_t position = disk_end(self);
    int error;
    int fd = segment_create(self, position, &error);
    if (fd < 0)
        return fail_write(self, error, err);
    pthread_mutex_lock(&self->mutex);
    int old = self->fd;
    self->fd = fd;
    pthread_mutex_unlock(&self->mutex);
    close(old);
    segments_add(self, (segment_t){.position = position});
    return 0;
}

int disk_append(disk_t *self, slice_t bytes, err_t *err)
{
    assert(self->is_replayed);
    pthread_mutex_lock(&self->mutex);
    int error = self->sync_errno;
    pthread_mutex_unlock(&self->mutex);
    if (error != 0)
        return fail_sync(self, error, err);
    if (bytes.size == 0)
        return 0;
    if (self->is_torn) {
        error = truncate_file(self->fd, SEGLOG_HEADER_SIZE + newest(self)->size);
        if (error != 0)
            return fail_write(self, error, err);
        self->is_torn = false;
    }
    uint64_t size = newest(self)->size;
    if (size > 0 && size + bytes.size > self->segment_size) {
        if (segment_roll(self, err) != 0)
            return -1;
        size = 0;
    }
    error = write_all(self->fd, bytes, SEGLOG_HEADER_SIZE + size);
    if (error != 0) {
        self->is_torn = truncate_file(self->fd, SEGLOG_HEADER_SIZE + size) != 0;
        return fail_write(self, error, err);
    }
    newest(self)->size += bytes.size;
    pthread_mutex_lock(&self->mutex);
    self->written = disk_end(self);
    pthread_mutex_unlock(&self->mutex);
    return 0;
}

/* ---- reading ---- */

/* The segment that holds position, which is in the log. */
static const segment_t *segment_of(const disk_t *self, uint64_t position)
{
    size_t low = 0;
    size_t high = self->segments_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle].position <= position)
            low = middle;
        else
            high = middle;
    }
    return &self->segments[low];
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
    int fd = segment_open_file(self, segment->position, O_RDONLY);
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
                       self->folder, disk_begin(self), position);
    const segment_t *segment = segment_of(self, position);
    uint64_t offset = position - segment->position;
    uint64_t left = segment->size - offset;
    if (left == 0)
        return 0;
    int fd = reader_get(self, segment);
    if (fd < 0)
        return fail_read(self, segment->position, errno, err);
    size_t size = most < SEGLOG_ENTRY_OVERHEAD ? (size_t)SEGLOG_ENTRY_OVERHEAD : most;
    seglog_state_t state = SEGLOG_TORN;
    size_t good = 0;
    /* The second time when the first entry is longer than most: with exactly its size. */
    for (int turn = 0; turn < 2 && good == 0 && state == SEGLOG_TORN; turn++) {
        if (turn > 0)
            size = SEGLOG_ENTRY_OVERHEAD + (size_t)be32_get(out->data);
        buf_reset(out);
        int error =
            read_all(fd, SEGLOG_HEADER_SIZE + offset, left < size ? (size_t)left : size, out);
        if (error != 0)
            return fail_read(self, segment->position, error, err);
        good = good_bytes(out, position, &state);
        if (left <= size)
            break;
    }
    out->size = good;
    /* Good entries before a damaged one are given out; the next read begins with it. */
    return good > 0 ? 0 : fail_damaged(self, segment, SEGLOG_HEADER_SIZE + offset, err);
}
