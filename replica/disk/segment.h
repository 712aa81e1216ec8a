/*
 * The segment files of one data folder: their names and headers, and a walk over the entries.
 *
 * What the bytes mean is replica/core/seglog.h. A segment_t says what a file should hold; nothing
 * here keeps files open but a walk, between segment_walk_begin and segment_walk_end. The folder is
 * borrowed.
 */
#ifndef HEARSAY_REPLICA_DISK_SEGMENT_H
#define HEARSAY_REPLICA_DISK_SEGMENT_H

#include "replica/core/seglog.h"
#include "replica/disk/files.h"

enum {
    SEGMENT_NAME_SIZE = 25, /* "log-" 16 digits ".seg" NUL */
    SEGMENTS_MAX = 65536,   /* files in one folder */
};

typedef struct segment {
    uint64_t position; /* of its first entry */
    uint64_t size;     /* bytes of entries */
} segment_t;

/* Segments in the order of positions; zero it, segments_free it. */
typedef struct segments {
    segment_t *items;
    size_t count;
    size_t capacity;
} segments_t;

void segments_free(segments_t *self);
void segments_add(segments_t *self, segment_t segment);

/* Takes the first count away. */
void segments_remove(segments_t *self, size_t count);

/*
 * Adds those of the folder, by their names, with size 0. -1 with err when the folder cannot be read
 * or holds more than SEGMENTS_MAX.
 */
int segments_find(segments_t *self, const folder_t *folder, err_t *err);

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t position);

/* Opens the file at position with flags as of open(); -1 with errno. */
int segment_open(const folder_t *folder, uint64_t position, int flags);

/*
 * Makes an empty segment of node id durable under its name. The descriptor (O_RDWR), or -1 with the
 * errno in *error and nothing left behind.
 */
int segment_create(const folder_t *folder, uint16_t id, uint64_t position, int *error);

/*
 * Fills in the size of the segment at segment->position from its file, and checks its header. With
 * an id below 0 the segment may belong to any node, whose id *found gets (may be NULL).
 *
 * Returns -1 with err: LOST when it is damaged, READ_ONLY when it cannot be read, USAGE when it is
 * of a newer format, of another node, or no log at all.
 */
int segment_load(const folder_t *folder, int32_t id, segment_t *segment, uint16_t *found,
                 err_t *err);

/* The same of the segment's file, which is open as fd. */
int segment_load_open(const folder_t *folder, int fd, int32_t id, segment_t *segment,
                      uint16_t *found, err_t *err);

/* ---- errors; each fills in err and returns -1 ---- */

int segment_fail_read(const folder_t *folder, uint64_t position, int error, err_t *err);

/* offset in bytes from the beginning of the file. */
int segment_fail_damaged(const folder_t *folder, const segment_t *segment, uint64_t offset,
                         err_t *err);

/* ---- walking ---- */

/* A walk over one segment; segment is borrowed and must not change meanwhile. Zero it at first. */
typedef struct walk {
    const segment_t *segment;
    int fd;
    buf_t window;  /* bytes of the segment from `from` on */
    uint64_t from; /* offset of window.data[0] in the entries of the segment */
    size_t at;     /* offset in the window of the entry that is next */
} walk_t;

/* Opens the segment's file; the window's memory is kept from walk to walk. 0 or the errno. */
int walk_begin(walk_t *self, const folder_t *folder, const segment_t *segment);

/* Closes the file. */
void walk_end(walk_t *self);

/* Frees the memory. */
void walk_free(walk_t *self);

/*
 * Reads the next entry at *position, valid until the next call. TORN and DAMAGED come with the
 * whole rest of the segment in the window, see walk_rest. *error is an errno when reading failed,
 * otherwise 0.
 */
seglog_state_t walk_next(walk_t *self, seglog_entry_t *entry, uint64_t *position, int *error);

/* Goes on so many bytes later, which are at most those of walk_rest. */
void walk_skip(walk_t *self, size_t size);

/* What is in the window from the next entry on, and its offset among the entries of the segment. */
slice_t walk_rest(const walk_t *self, uint64_t *offset);

#endif
