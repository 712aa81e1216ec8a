#include "replica/disk/segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/memory.h"

enum { CHUNK_SIZE = 1024 * 1024 }; /* bytes that a walk reads at a time */

/* A segment is made under this name and renamed when it is whole: no segment is without header. */
static const char NEW_NAME[] = "log.new";

/* ---- errors ---- */

int segment_fail_read(const folder_t *folder, uint64_t position, int error, err_t *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, position);
    return err_set(err, OUTCOME_READ_ONLY, "cannot read %s/%s: %s; check the disk, or %s",
                   folder->path, name, strerror(error), FILES_MOVE);
}

int segment_fail_damaged(const folder_t *folder, const segment_t *segment, uint64_t offset,
                         err_t *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, segment->position);
    return err_set(err, OUTCOME_LOST, "%s/%s is damaged at offset %" PRIu64 "; %s", folder->path,
                   name, offset, FILES_REPAIR);
}

/* ---- the list ---- */

void segments_free(segments_t *self)
{
    free(self->items);
    *self = (segments_t){0};
}

void segments_add(segments_t *self, segment_t segment)
{
    if (self->count == self->capacity)
        self->items = mem_grow(self->items, &self->capacity, sizeof(self->items[0]));
    self->items[self->count++] = segment;
}

void segments_remove(segments_t *self, size_t count)
{
    self->count -= count;
    memmove(self->items, self->items + count, self->count * sizeof(self->items[0]));
}

static int segment_order(const void *a, const void *b)
{
    const segment_t *x = a;
    const segment_t *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* ---- names ---- */

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t position)
{
    snprintf(name, SEGMENT_NAME_SIZE, "log-%016" PRIx64 ".seg", position);
}

/* The position that a file name says; false when it is not that of a segment. */
static bool segment_name_read(const char *name, uint64_t *position)
{
    uint64_t value = 0;
    char again[SEGMENT_NAME_SIZE];
    if (strlen(name) != SEGMENT_NAME_SIZE - 1 || sscanf(name, "log-%16" SCNx64 ".seg", &value) != 1)
        return false;
    segment_name(again, value);
    *position = value;
    return strcmp(name, again) == 0;
}

int segments_find(segments_t *self, const folder_t *folder, err_t *err)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return files_fail_open(folder->path, "", error, err);
    }
    uint64_t position;
    bool is_over = false;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!segment_name_read(entry->d_name, &position))
            continue;
        is_over = self->count == SEGMENTS_MAX;
        if (is_over)
            break;
        segments_add(self, (segment_t){.position = position});
    }
    closedir(dir);
    if (is_over)
        return err_set(err, OUTCOME_READ_ONLY, "%s holds more than %d log segments; %s",
                       folder->path, (int)SEGMENTS_MAX, FILES_MOVE);
    if (self->count > 0)
        qsort(self->items, self->count, sizeof(segment_t), segment_order);
    return 0;
}

/* ---- one file ---- */

int segment_open(const folder_t *folder, uint64_t position, int flags)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, position);
    return openat(folder->fd, name, flags | O_CLOEXEC | O_NONBLOCK);
}

int segment_create(const folder_t *folder, uint16_t id, uint64_t position, int *error)
{
    int fd = openat(folder->fd, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    buf_t header = {0};
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, position);
    seglog_header_put(&header, id, position);
    *error = files_write(fd, buf_slice(&header), 0);
    buf_free(&header);
    if (*error == 0 && (fsync(fd) != 0 || renameat(folder->fd, NEW_NAME, folder->fd, name) != 0 ||
                        fsync(folder->fd) != 0))
        *error = errno;
    if (*error == 0)
        return fd;
    /* Under either name it is empty or no segment, so that a later try can begin anew. */
    unlinkat(folder->fd, NEW_NAME, 0);
    unlinkat(folder->fd, name, 0);
    close(fd);
    return -1;
}

/* Judges the header of a segment whose file is open, and that it is of node id. */
static int segment_check_header(const folder_t *folder, int32_t id, const segment_t *segment,
                                slice_t bytes, uint16_t *found, err_t *err)
{
    char name[SEGMENT_NAME_SIZE];
    seglog_header_t header = {0};
    segment_name(name, segment->position);
    switch (seglog_header_read(bytes, &header)) {
    case SEGLOG_HEADER_GOOD:
        break;
    case SEGLOG_HEADER_FOREIGN:
        if (faccessat(folder->fd, "checkpoint", F_OK, 0) == 0)
            return segment_fail_damaged(folder, segment, 0, err); /* the folder is ours */
        return err_set(err, OUTCOME_USAGE,
                       "%s/%s is no log of hearsay; move it away or say --data DIR", folder->path,
                       name);
    case SEGLOG_HEADER_NEWER:
        return err_set(err, OUTCOME_USAGE,
                       "%s/%s has format %" PRIu32 ", this program reads %d; start a newer hearsay "
                       "or say --data DIR",
                       folder->path, name, header.format, (int)SEGLOG_FORMAT);
    case SEGLOG_HEADER_DAMAGED:
        return segment_fail_damaged(folder, segment, 0, err);
    }
    if (id >= 0 && header.node_id != id)
        return err_set(err, OUTCOME_USAGE,
                       "data folder %s belongs to node %u, not to node %u; start node %u there or "
                       "say --data DIR",
                       folder->path, (unsigned)header.node_id, (unsigned)id,
                       (unsigned)header.node_id);
    if (header.position != segment->position)
        return err_set(err, OUTCOME_LOST,
                       "%s/%s is damaged: its header is that of another segment; %s", folder->path,
                       name, FILES_REPAIR);
    if (found != NULL)
        *found = header.node_id;
    return 0;
}

int segment_load_open(const folder_t *folder, int fd, int32_t id, segment_t *segment,
                      uint16_t *found, err_t *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return segment_fail_read(folder, segment->position, errno, err);
    uint64_t file_size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    buf_t head = {0};
    size_t head_size =
        file_size < SEGLOG_HEADER_SIZE ? (size_t)file_size : (size_t)SEGLOG_HEADER_SIZE;
    int error = files_read(fd, 0, head_size, &head);
    int rc = error != 0 ? segment_fail_read(folder, segment->position, error, err)
                        : segment_check_header(folder, id, segment, buf_slice(&head), found, err);
    buf_free(&head);
    if (rc == 0)
        segment->size = file_size - SEGLOG_HEADER_SIZE;
    return rc;
}

int segment_load(const folder_t *folder, int32_t id, segment_t *segment, uint16_t *found,
                 err_t *err)
{
    int fd = segment_open(folder, segment->position, O_RDONLY);
    if (fd < 0)
        return segment_fail_read(folder, segment->position, errno, err);
    int rc = segment_load_open(folder, fd, id, segment, found, err);
    close(fd);
    return rc;
}

/* ---- walking ---- */

int walk_begin(walk_t *self, const folder_t *folder, const segment_t *segment)
{
    self->segment = segment;
    self->from = 0;
    self->at = 0;
    buf_reset(&self->window);
    self->fd = segment_open(folder, segment->position, O_RDONLY);
    return self->fd < 0 ? errno : 0;
}

void walk_end(walk_t *self)
{
    close(self->fd);
    self->fd = -1;
}

void walk_free(walk_t *self)
{
    buf_free(&self->window);
}

/* Drops what was read of the window and reads at least as much again; 0 or the errno. */
static int walk_fill(walk_t *self, size_t size)
{
    size_t left = self->window.size - self->at;
    if (left > 0 && self->at > 0)
        memmove(self->window.data, self->window.data + self->at, left);
    self->window.size = left;
    self->from += self->at;
    self->at = 0;
    uint64_t unread = self->segment->size - self->from - left;
    size_t more = unread < size ? (size_t)unread : size;
    return files_read(self->fd, SEGLOG_HEADER_SIZE + self->from + left, more, &self->window);
}

void walk_skip(walk_t *self, size_t size)
{
    assert(size <= self->window.size - self->at);
    self->at += size;
}

slice_t walk_rest(const walk_t *self, uint64_t *offset)
{
    *offset = self->from + self->at;
    slice_t rest = {NULL, self->window.size - self->at};
    if (rest.size > 0)
        rest.data = self->window.data + self->at;
    return rest;
}

seglog_state_t walk_next(walk_t *self, seglog_entry_t *entry, uint64_t *position, int *error)
{
    for (;;) {
        uint64_t offset;
        slice_t rest = walk_rest(self, &offset);
        *position = self->segment->position + offset;
        seglog_state_t state = seglog_next(rest, *position, entry);
        bool is_whole = self->from + self->window.size == self->segment->size;
        if (state == SEGLOG_GOOD || is_whole) {
            self->at += state == SEGLOG_GOOD ? entry->size : 0;
            *error = 0;
            return state;
        }
        size_t more = rest.size > CHUNK_SIZE ? rest.size : CHUNK_SIZE;
        *error = walk_fill(self, state == SEGLOG_DAMAGED ? SIZE_MAX : more);
        if (*error != 0)
            return SEGLOG_DAMAGED;
    }
}
