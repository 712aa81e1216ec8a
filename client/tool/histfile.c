#include "client/tool/histfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "client/tool/place.h"

/* Larger files are not read: this one is none of ours. */
enum { FILE_MAX = 4 * HISTFILE_LINES * HISTFILE_LINE_MAX };

struct histfile {
    char *path;
    int fd; /* appends */
};

static int fail(const char *what, const char *path, err_t *err)
{
    return err_set(err, OUTCOME_USAGE, "no history is kept: cannot %s %.200s: %s", what, path,
                   strerror(errno));
}

static char *usual_path(err_t *err)
{
    char *folder = place_folder("no history is kept", err);
    buf_t path = {0};

    if (folder == NULL)
        return NULL;
    buf_printf(&path, "%s/history", folder);
    char *copy = mem_text(path.data, path.size);
    buf_free(&path);
    free(folder);
    return copy;
}

/* A device, as /dev/null, has no lines. */
static int read_all(const histfile_t *self, buf_t *out, err_t *err)
{
    enum { STEP = 64 * 1024 };
    struct stat status;
    ssize_t got = 1;

    if (fstat(self->fd, &status) != 0)
        return fail("read", self->path, err);
    if (!S_ISREG(status.st_mode))
        return 0;
    if (status.st_size > FILE_MAX) {
        errno = EFBIG;
        return fail("read", self->path, err);
    }
    while (got > 0 && out->size <= FILE_MAX) {
        got = read(self->fd, buf_reserve(out, STEP), STEP);
        if (got > 0)
            out->size += (size_t)got;
    }
    return got < 0 ? fail("read", self->path, err) : 0;
}

/* Where the line behind that many newlines begins. */
static size_t skip_lines(slice_t text, size_t lines)
{
    size_t at = 0;
    for (; lines > 0; at++)
        lines -= text.data[at] == '\n';
    return at;
}

/* Puts the text in the file's place at once: somebody may be reading it. */
static void rewrite(const histfile_t *self, slice_t text)
{
    buf_t path = {0};

    buf_printf(&path, "%s.new", self->path);
    int fd = open(buf_text(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        bool is_written = write(fd, text.data, text.size) == (ssize_t)text.size;
        if (close(fd) != 0 || !is_written || rename(buf_text(&path), self->path) != 0)
            unlink(buf_text(&path));
    }
    buf_free(&path);
}

static void give_lines(slice_t text, histfile_line_fn *fn, void *arg)
{
    for (size_t at = 0; at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = end != NULL ? (size_t)(end - text.data) - at : text.size - at;
        if (size != 0 && size <= HISTFILE_LINE_MAX) {
            char *line = mem_text(text.data + at, size);
            fn(arg, line);
            free(line);
        }
        at += size + 1;
    }
}

static int open_file(histfile_t *self, err_t *err)
{
    self->fd = open(self->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return self->fd < 0 ? fail("write", self->path, err) : 0;
}

/* The lines to begin with, of those that the file has: it is cut down to them when it is long. */
static int take_lines(histfile_t *self, histfile_line_fn *fn, void *arg, err_t *err)
{
    buf_t text = {0};
    size_t lines = 0;
    int rc = read_all(self, &text, err);

    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    size_t start =
        lines > HISTFILE_LINES ? skip_lines(buf_slice(&text), lines - HISTFILE_LINES) : 0;
    if (rc == 0) {
        slice_t last = slice_of(text.data + start, text.size - start);
        give_lines(last, fn, arg);
        if (lines >= (size_t)2 * HISTFILE_LINES) {
            rewrite(self, last);
            close(self->fd);
            rc = open_file(self, err);
        }
    }
    buf_free(&text);
    return rc;
}

histfile_t *histfile_open(const char *path, histfile_line_fn *fn, void *arg, err_t *err)
{
    histfile_t *self = mem_zero(1, sizeof(*self));

    self->fd = -1;
    self->path = path != NULL ? mem_text(path, strlen(path)) : usual_path(err);
    if (self->path == NULL || open_file(self, err) != 0 || take_lines(self, fn, arg, err) != 0)
        histfile_close(&self);
    return self;
}

void histfile_close(histfile_t **self)
{
    if (*self == NULL)
        return;
    if ((*self)->fd >= 0)
        close((*self)->fd);
    free((*self)->path);
    free(*self);
    *self = NULL;
}

int histfile_add(histfile_t *self, slice_t line, err_t *err)
{
    buf_t text = {0};

    if (line.size == 0 || line.size > HISTFILE_LINE_MAX || line.data[0] == ' ')
        return 0;
    buf_append_slice(&text, line);
    buf_append_u8(&text, '\n');
    /* One write: a line stays whole beside those of other prompts. */
    bool is_written = write(self->fd, text.data, text.size) == (ssize_t)text.size;
    buf_free(&text);
    return is_written ? 0 : fail("write", self->path, err);
}
