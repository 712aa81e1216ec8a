#include "replica/disk/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/disk/aside.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/lock.h"
#include "replica/disk/segment.h"
#include "replica/disk/synced.h"

enum { PACE_BYTES = 1024 * 1024 };

/* What becomes of damage in a folder that a start finds. */
static const char REPAIR[] = "; a repair takes the whole state from the peers";

typedef struct verify {
    folder_t folder;
    int lock_fd;
    segments_t segments;
    const char *remedy;                /* what a line about damage ends with */
    verify_pace_fn *pace;              /* NULL: nobody wants to know */
    verify_dropped_fn *dropped_before; /* NULL: nobody drops any */
    verify_fn *fn;
    void *arg;
    uint64_t before; /* bytes of the segments before this one */
    uint64_t told;   /* to pace */
    bool is_running; /* the node is: all of the segments was written whole */
    bool is_enough;
    verified_t result;
} verify_t;

static void report(verify_t *self, verify_finding_t finding)
{
    self->result.damaged += finding.weight == VERIFY_DAMAGE;
    self->fn(self->arg, &finding);
}

static void keep_pace(verify_t *self, uint64_t bytes)
{
    if (self->pace == NULL || bytes < self->told + PACE_BYTES)
        return;
    self->told = bytes;
    self->is_enough = !self->pace(self->arg, bytes);
}

/* ---- one segment ---- */

/* The system did not give us what is at a position of a segment. */
static void report_unread(verify_t *self, const segment_t *segment, uint64_t position, int error)
{
    char name[SEGMENT_NAME_SIZE];
    err_t err;
    segment_name(name, segment->position);
    if (self->is_running)
        err_set(&err, OUTCOME_READ_ONLY, "cannot read %s/%s: %s", self->folder.path, name,
                strerror(error));
    else
        segment_fail_read(&self->folder, segment->position, error, &err);
    uint64_t offset = position - segment->position;
    /* Of a folder that is not in use we may say that what cannot be read is not there. */
    bool is_gone = !self->is_running || error == EIO || error == ENOENT;
    report(self, (verify_finding_t){.weight = is_gone ? VERIFY_DAMAGE : VERIFY_UNREAD,
                                    .text = err.text,
                                    .file = name,
                                    .offset = offset > 0 ? SEGLOG_HEADER_SIZE + offset : 0,
                                    .position = position});
}

/* Names what does not read at the walk's place. How many bytes to go on after, 0: none. */
static size_t report_bad(verify_t *self, const walk_t *walk, const char *name)
{
    uint64_t offset;
    char text[ERR_TEXT_SIZE];
    slice_t rest = walk_rest(walk, &offset);
    uint64_t position = walk->segment->position + offset;
    size_t skip = seglog_next_good(rest, position);
    bool is_last = walk->segment == &self->segments.items[self->segments.count - 1];
    bool is_torn = !self->is_running && is_last && position >= synced_read(&self->folder) &&
                   !seglog_find_good(rest, position, 1);
    snprintf(text, sizeof(text),
             "%s/%s: %zu bytes at offset %" PRIu64 " (position %" PRIu64 ") are %s%s",
             self->folder.path, name, skip, SEGLOG_HEADER_SIZE + offset, position,
             is_torn ? "a write that was cut short; the next start cuts them off" : "damaged",
             is_torn ? "" : self->remedy);
    report(self, (verify_finding_t){
                     .weight = is_torn ? VERIFY_HARMLESS : VERIFY_DAMAGE,
                     .text = text,
                     .file = name,
                     .offset = SEGLOG_HEADER_SIZE + offset,
                     .position = position,
                 });
    return skip == rest.size ? 0 : skip;
}

static void verify_segment(verify_t *self, walk_t *walk, const char *name)
{
    while (!self->is_enough) {
        seglog_entry_t entry;
        uint64_t position;
        int error;
        seglog_state_t state = walk_next(walk, &entry, &position, &error);
        keep_pace(self, self->before + position - walk->segment->position);
        if (error != 0) {
            report_unread(self, walk->segment, position, error);
            return;
        }
        if (state == SEGLOG_END)
            return;
        if (state == SEGLOG_GOOD) {
            self->result.entries++;
            continue;
        }
        size_t skip = report_bad(self, walk, name);
        if (skip == 0)
            return;
        walk_skip(walk, skip);
    }
}

/* ---- the log ---- */

static void verify_gap(verify_t *self, const segment_t *before, const segment_t *segment)
{
    char text[ERR_TEXT_SIZE];
    uint64_t end = before->position + before->size;
    if (end == segment->position)
        return;
    snprintf(text, sizeof(text),
             "%s: the log has a gap from position %" PRIu64 " to %" PRIu64
             "; no harm if the checkpoint is of a later one, else a repair takes the whole state "
             "from the peers",
             self->folder.path, end, segment->position);
    report(self,
           (verify_finding_t){.weight = VERIFY_DAMAGE, .text = text, .file = "", .position = end});
}

/* What had been synced is there. */
static void verify_end(verify_t *self)
{
    size_t count = self->segments.count;
    const segment_t *last = count != 0 ? &self->segments.items[count - 1] : NULL;
    uint64_t end = last != NULL ? last->position + last->size : 0;
    uint64_t synced = synced_read(&self->folder);
    char text[ERR_TEXT_SIZE];
    if (end >= synced)
        return;
    snprintf(text, sizeof(text),
             "%s: the log ends at position %" PRIu64 " and was on the disk up to %" PRIu64 "%s",
             self->folder.path, end, synced, self->remedy);
    report(self,
           (verify_finding_t){.weight = VERIFY_DAMAGE, .text = text, .file = "", .position = end});
}

/* Of a node that runs: what it has written of the segment is there. */
static void verify_size(verify_t *self, segment_t *segment, uint64_t size, const char *name)
{
    char text[ERR_TEXT_SIZE];
    if (segment->size >= size) {
        segment->size = size; /* what is behind it is being written */
        return;
    }
    snprintf(text, sizeof(text),
             "%s/%s ends at offset %" PRIu64 ", where %" PRIu64 " bytes are missing%s",
             self->folder.path, name, SEGLOG_HEADER_SIZE + segment->size, size - segment->size,
             self->remedy);
    report(self, (verify_finding_t){.weight = VERIFY_DAMAGE,
                                    .text = text,
                                    .file = name,
                                    .offset = SEGLOG_HEADER_SIZE + segment->size,
                                    .position = segment->position + segment->size});
}

static bool is_dropped(const verify_t *self, const segment_t *segment)
{
    return self->dropped_before != NULL && segment->position < self->dropped_before(self->arg);
}

/* Opens a segment for the walk; false, told, when that cannot be. */
static bool verify_begin(verify_t *self, segment_t *segment, walk_t *walk, const char *name)
{
    uint64_t size = segment->size;
    err_t err;
    int error = walk_begin(walk, &self->folder, segment);
    if (error == ENOENT && is_dropped(self, segment))
        return false;
    if (error != 0) {
        report_unread(self, segment, segment->position, error);
        return false;
    }
    if (segment_load_open(&self->folder, walk->fd, -1, segment, NULL, &err) != 0) {
        if (self->is_running) /* whatever its header says now: it was good */
            err_set(&err, OUTCOME_LOST, "%s/%s is damaged at offset 0", self->folder.path, name);
        report(self, (verify_finding_t){.weight = VERIFY_DAMAGE,
                                        .text = err.text,
                                        .file = name,
                                        .position = segment->position});
        walk_end(walk);
        return false;
    }
    if (self->is_running)
        verify_size(self, segment, size, name);
    return true;
}

static void verify_segments(verify_t *self)
{
    walk_t walk = {0};
    const segment_t *before = NULL; /* whose header is good */
    for (size_t i = 0; i < self->segments.count && !self->is_enough; i++) {
        segment_t *segment = &self->segments.items[i];
        char name[SEGMENT_NAME_SIZE];
        uint64_t size = segment->size;
        segment_name(name, segment->position);
        if (verify_begin(self, segment, &walk, name)) {
            if (before != NULL && !self->is_running)
                verify_gap(self, before, segment);
            verify_segment(self, &walk, name);
            walk_end(&walk);
            before = segment;
        } else {
            before = NULL;
        }
        self->before += size;
    }
    walk_free(&walk);
}

/* ---- the checkpoint ---- */

static void report_checkpoint(void *arg, const err_t *err, uint64_t offset)
{
    verify_t *self = arg;
    bool is_unread = self->is_running && err->outcome == OUTCOME_READ_ONLY;
    report(self, (verify_finding_t){.weight = is_unread ? VERIFY_UNREAD : VERIFY_DAMAGE,
                                    .text = err->text,
                                    .file = "checkpoint/data.mdb",
                                    .offset = offset});
}

static bool pace_checkpoint(void *arg, uint64_t bytes)
{
    verify_t *self = arg;
    keep_pace(self, bytes);
    return !self->is_enough;
}

static void verify_checkpoint(verify_t *self)
{
    const char *path = self->folder.path;
    const checkpoint_look_t look = {report_checkpoint, pace_checkpoint, self, self->remedy};
    self->result.rows = checkpoint_verify(path, &look);
    bool is_needed = self->is_running || self->result.entries != 0;
    if (!is_needed || checkpoint_exists(path))
        return;
    err_t err;
    err_set(&err, OUTCOME_LOST, "%s/checkpoint/data.mdb is missing%s", path, self->remedy);
    report_checkpoint(self, &err, 0);
}

/* ---- what was set aside ---- */

static void report_aside(void *arg, const char *line)
{
    verify_t *self = arg;
    char text[ERR_TEXT_SIZE];
    snprintf(text, sizeof(text), "%s/repair: %s; until it is made good the node serves nothing",
             self->folder.path, line);
    report(self, (verify_finding_t){.weight = VERIFY_DAMAGE, .text = text, .file = "repair"});
}

/* ---- opening ---- */

/* Shares the lock with others who only look. */
static int verify_lock(verify_t *self, err_t *err)
{
    self->lock_fd = openat(self->folder.fd, LOCK_NAME, O_RDONLY | O_CLOEXEC);
    if (self->lock_fd < 0 && errno == ENOENT)
        return 0;
    if (self->lock_fd < 0)
        return files_fail_open(self->folder.path, LOCK_NAME, errno, err);
    if (flock(self->lock_fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    return err_set(err, OUTCOME_USAGE, "data folder %s is in use; stop that node first",
                   self->folder.path);
}

static int verify_open(verify_t *self, err_t *err)
{
    self->folder.fd = open(self->folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->folder.fd < 0)
        return files_fail_open(self->folder.path, "", errno, err);
    if (verify_lock(self, err) != 0 || segments_find(&self->segments, &self->folder, err) != 0)
        return -1;
    self->result.segments = self->segments.count;
    return 0;
}

int disk_verify(const char *folder, verify_fn *fn, void *arg, verified_t *out, err_t *err)
{
    verify_t self = {
        .folder = {.fd = -1, .path = mem_text(folder, strlen(folder))},
        .lock_fd = -1,
        .remedy = REPAIR,
        .fn = fn,
        .arg = arg,
    };
    int rc = verify_open(&self, err);
    if (rc == 0) {
        verify_segments(&self);
        verify_end(&self);
        verify_checkpoint(&self);
        aside_each(folder, report_aside, NULL, &self);
        /* A folder that was just restored has no log yet. */
        if (self.result.segments + self.result.rows + self.result.damaged == 0)
            rc = err_set(err, OUTCOME_USAGE, "%s holds nothing of hearsay; say --data DIR", folder);
    }
    *out = self.result;
    segments_free(&self.segments);
    if (self.lock_fd >= 0)
        close(self.lock_fd);
    if (self.folder.fd >= 0)
        close(self.folder.fd);
    free(self.folder.path);
    return rc;
}

/* ---- of a node that runs ---- */

static verify_t running(const verify_running_t *source, const verified_t *out)
{
    return (verify_t){
        .folder = *source->folder,
        .lock_fd = -1,
        .remedy = "",
        .pace = source->pace,
        .dropped_before = source->dropped_before,
        .fn = source->fn,
        .arg = source->arg,
        .is_running = true,
        .result = *out,
    };
}

void verify_running_log(const verify_running_t *source, verified_t *out)
{
    verify_t self = running(source, out);
    for (size_t i = 0; i < source->segments->count; i++)
        segments_add(&self.segments, source->segments->items[i]);
    self.result.segments = self.segments.count;
    verify_segments(&self);
    segments_free(&self.segments);
    *out = self.result;
}

void verify_running_checkpoint(const verify_running_t *source, verified_t *out)
{
    verify_t self = running(source, out);
    verify_checkpoint(&self);
    *out = self.result;
}
