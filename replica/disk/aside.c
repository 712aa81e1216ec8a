#include "replica/disk/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/disk/lock.h"
#include "replica/disk/segment.h"

enum {
    PLACES_MAX = 100,        /* folders of one second */
    MARK_MAX = 64 * 1024,    /* bytes of the file `repair` that are read */
    COPY_SIZE = 1024 * 1024, /* bytes at a time */
    TIME_SIZE = sizeof("20261123T061257Z"),
};

static const char MARK_NAME[] = "repair";
static const char MARK_NEW_NAME[] = "repair.new";
static const char CHECKPOINT_NAME[] = "checkpoint";
static const char SEGMENT_NEW_NAME[] = "log.aside";

/* A folder of which something is set aside. */
typedef struct aside {
    folder_t folder;
    int lock_fd;
    int place_fd; /* where it goes */
    uint16_t id;
    segments_t segments;
} aside_t;

bool aside_is_open(const folder_t *folder)
{
    struct stat status;
    return fstatat(folder->fd, MARK_NAME, &status, 0) == 0;
}

/* ---- the file `repair` ---- */

/* Reads what there is; out is empty when there is nothing. */
static void mark_read(const folder_t *folder, buf_t *out)
{
    struct stat status;
    int fd = openat(folder->fd, MARK_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    size_t size = fstat(fd, &status) == 0 ? (size_t)status.st_size : 0;
    if (files_read(fd, 0, size < MARK_MAX ? size : (size_t)MARK_MAX, out) != 0)
        buf_reset(out);
    close(fd);
}

/* Adds a line, durably as a whole; 0 or the errno. */
static int mark_add(const folder_t *folder, const char *place, const char *why)
{
    buf_t text = {0};
    mark_read(folder, &text);
    buf_printf(&text, "%s %s\n", place, why);
    int fd = openat(folder->fd, MARK_NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : files_write(fd, buf_slice(&text), 0);
    buf_free(&text);
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (error == 0 &&
        (renameat(folder->fd, MARK_NEW_NAME, folder->fd, MARK_NAME) != 0 || fsync(folder->fd) != 0))
        error = errno;
    return error;
}

int aside_end(const char *path, err_t *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;
    if (error == 0 && unlinkat(fd, MARK_NAME, 0) != 0 && errno != ENOENT)
        error = errno;
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    return error == 0 ? 0 : files_fail_open(path, MARK_NAME, error, err);
}

/* ---- moving ---- */

/* Makes a folder of a name that there is not yet; 0 or the errno. */
static int place_make(aside_t *self, char place[ASIDE_PLACE_SIZE])
{
    time_t now = time(NULL);
    struct tm utc;
    char text[TIME_SIZE];
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    snprintf(place, ASIDE_PLACE_SIZE, "damaged-%s", text);
    for (int i = 1; mkdirat(self->folder.fd, place, 0700) != 0; i++) {
        if (errno != EEXIST || i == PLACES_MAX)
            return errno;
        snprintf(place, ASIDE_PLACE_SIZE, "damaged-%s-%d", text, i);
    }
    self->place_fd = openat(self->folder.fd, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return self->place_fd < 0 ? errno : 0;
}

static int move(const aside_t *self, const char *name)
{
    return renameat(self->folder.fd, name, self->place_fd, name) == 0 ? 0 : errno;
}

/* Copies the first size bytes of entries behind a header; 0 or the errno. */
static int copy_start(const aside_t *self, uint64_t position, uint64_t size, int to)
{
    buf_t bytes = {0};
    int from = segment_open(&self->folder, position, O_RDONLY);
    if (from < 0)
        return errno;
    seglog_header_put(&bytes, self->id, position);
    int error = files_write(to, buf_slice(&bytes), 0);
    for (uint64_t at = 0; at < size && error == 0;) {
        size_t some = size - at < COPY_SIZE ? (size_t)(size - at) : (size_t)COPY_SIZE;
        buf_reset(&bytes);
        error = files_read(from, SEGLOG_HEADER_SIZE + at, some, &bytes);
        if (error == 0)
            error = files_write(to, buf_slice(&bytes), SEGLOG_HEADER_SIZE + at);
        at += some;
    }
    if (error == 0 && fsync(to) != 0)
        error = errno;
    close(from);
    buf_free(&bytes);
    return error;
}

/* Sets a segment aside, but for its first size bytes of entries; 0 or the errno. */
static int move_segment(const aside_t *self, uint64_t position, uint64_t size)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, position);
    if (size == 0)
        return move(self, name);
    int fd =
        openat(self->folder.fd, SEGMENT_NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = copy_start(self, position, size, fd);
    close(fd);
    if (error == 0)
        error = move(self, name);
    if (error == 0 && renameat(self->folder.fd, SEGMENT_NEW_NAME, self->folder.fd, name) != 0)
        error = errno;
    if (error != 0)
        unlinkat(self->folder.fd, SEGMENT_NEW_NAME, 0);
    return error;
}

/* All of the log from position on, the newest first: until the last is moved a gap says so too. */
static int move_log(const aside_t *self, uint64_t position)
{
    int error = 0;
    for (size_t i = self->segments.count; i-- > 0 && error == 0;) {
        const segment_t *segment = &self->segments.items[i];
        bool is_last = i + 1 == self->segments.count;
        if (segment->position >= position)
            error = move_segment(self, segment->position, 0);
        else if (is_last || segment[1].position > position)
            /* The one that holds the position, unless it ends there. */
            error = segment->position + segment->size > position
                        ? move_segment(self, segment->position, position - segment->position)
                        : 0;
    }
    return error;
}

/* The first segment whose header is damaged. */
static int move_bad_header(aside_t *self)
{
    for (size_t i = 0; i < self->segments.count; i++) {
        err_t err;
        segment_t *segment = &self->segments.items[i];
        if (segment_load(&self->folder, self->id, segment, NULL, &err) != 0 &&
            err.outcome == OUTCOME_LOST)
            return move_segment(self, segment->position, 0);
    }
    return 0;
}

static int move_part(aside_t *self, aside_part_t part, uint64_t position)
{
    switch (part) {
    case ASIDE_CHECKPOINT:
        /* It may be that which is gone. */
        return faccessat(self->folder.fd, CHECKPOINT_NAME, F_OK, 0) == 0
                   ? move(self, CHECKPOINT_NAME)
                   : 0;
    case ASIDE_LOG:
        return move_log(self, position);
    case ASIDE_HEADERS:
        return move_bad_header(self);
    }
    return 0;
}

/* Sizes of segments are those of the files, whatever is in them. */
static int find_segments(segments_t *segments, const folder_t *folder, err_t *err)
{
    if (segments_find(segments, folder, err) != 0)
        return -1;
    for (size_t i = 0; i < segments->count; i++) {
        char name[SEGMENT_NAME_SIZE];
        struct stat status;
        segment_name(name, segments->items[i].position);
        if (fstatat(folder->fd, name, &status, 0) == 0 && S_ISREG(status.st_mode) &&
            status.st_size > SEGLOG_HEADER_SIZE)
            segments->items[i].size = (uint64_t)status.st_size - SEGLOG_HEADER_SIZE;
    }
    return 0;
}

int aside_move(const char *path, uint16_t id, aside_part_t part, uint64_t position, const char *why,
               char place[ASIDE_PLACE_SIZE], err_t *err)
{
    aside_t self = {
        .folder = {.fd = -1, .path = mem_text(path, strlen(path))},
        .lock_fd = -1,
        .place_fd = -1,
        .id = id,
    };
    int rc = lock_take(&self.folder, &self.lock_fd, err);
    if (rc == 0)
        rc = find_segments(&self.segments, &self.folder, err);
    if (rc == 0) {
        int error = place_make(&self, place);
        if (error == 0)
            error = mark_add(&self.folder, place, why);
        if (error == 0)
            error = move_part(&self, part, position);
        if (error == 0 && (fsync(self.place_fd) != 0 || fsync(self.folder.fd) != 0))
            error = errno;
        rc = error == 0 ? 0 : files_fail_open(path, place, error, err);
    }
    segments_free(&self.segments);
    if (self.place_fd >= 0)
        close(self.place_fd);
    if (self.folder.fd >= 0)
        close(self.folder.fd);
    if (self.lock_fd >= 0)
        close(self.lock_fd);
    free(self.folder.path);
    return rc;
}

/* ---- looking ---- */

/* The good entries of one segment, wherever they are in it. */
static void each_of_segment(walk_t *walk, aside_entry_fn *fn, void *arg)
{
    for (;;) {
        seglog_entry_t entry;
        uint64_t position;
        uint64_t offset;
        int error;
        seglog_state_t state = walk_next(walk, &entry, &position, &error);
        if (error != 0 || state == SEGLOG_END)
            return;
        if (state == SEGLOG_GOOD) {
            fn(arg, entry.kind, entry.payload);
            continue;
        }
        walk_skip(walk, seglog_next_good(walk_rest(walk, &offset), position));
    }
}

static void each_of_place(const folder_t *folder, const char *name, aside_entry_fn *fn, void *arg)
{
    folder_t place = {.fd = openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                      .path = folder->path};
    segments_t segments = {0};
    walk_t walk = {0};
    if (place.fd < 0)
        return; /* somebody took it away */
    if (find_segments(&segments, &place, NULL) == 0)
        for (size_t i = 0; i < segments.count; i++) {
            if (walk_begin(&walk, &place, &segments.items[i]) != 0)
                continue;
            each_of_segment(&walk, fn, arg);
            walk_end(&walk);
        }
    walk_free(&walk);
    segments_free(&segments);
    close(place.fd);
}

void aside_each(const char *path, aside_line_fn *line_fn, aside_entry_fn *entry_fn, void *arg)
{
    folder_t folder = {.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                       .path = mem_text(path, strlen(path))};
    buf_t mark = {0};
    char *rest = NULL;
    if (folder.fd >= 0)
        mark_read(&folder, &mark);
    char *text = mem_text(mark.data, mark.size);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (line_fn != NULL)
            line_fn(arg, line);
    free(text);
    text = mem_text(mark.data, mark.size);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, " /")] = '\0'; /* the place alone */
        if (entry_fn != NULL && strncmp(line, "damaged-", strlen("damaged-")) == 0)
            each_of_place(&folder, line, entry_fn, arg);
    }
    free(text);
    buf_free(&mark);
    if (folder.fd >= 0)
        close(folder.fd);
    free(folder.path);
}
