#include "client/tool/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

static const char magic[] = "hearsay-import 1 ";

static bool read_all(const char *path, buf_t *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 1;

    if (fd < 0)
        return false;
    while (got > 0 && out->size < FILE_MAX) {
        got = read(fd, buf_reserve(out, FILE_MAX), FILE_MAX);
        if (got > 0)
            out->size += (size_t)got;
    }
    close(fd);
    return got >= 0;
}

int resume_load(const char *path, const char *identity, resume_t *out, bool *is_other)
{
    buf_t text = {0};
    buf_t expected = {0};
    resume_t state = {0};
    int rc = 0;

    *out = (resume_t){0};
    *is_other = false;
    buf_printf(&expected, "%s%s\n", magic, identity);
    if (read_all(path, &text) && text.size != 0) {
        bool is_ours = strncmp(buf_text(&text), buf_text(&expected), expected.size) == 0;
        if (is_ours && sscanf(buf_text(&text) + expected.size, "%" SCNu64 " %" SCNu64 " %" SCNu64,
                              &state.offset, &state.rows, &state.refused) == 3) {
            *out = state;
            rc = 1;
        }
        *is_other = rc == 0;
    }
    buf_free(&text);
    buf_free(&expected);
    return rc;
}

static int fail(const char *path, err_t *err)
{
    return err_set(err, OUTCOME_USAGE, "cannot write %.200s: %s", path, strerror(errno));
}

int resume_store(const char *path, const char *identity, const resume_t *state, err_t *err)
{
    buf_t text = {0};
    buf_t other = {0};
    int rc = 0;

    buf_printf(&other, "%s.new", path);
    buf_printf(&text, "%s%s\n%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", magic, identity, state->offset,
               state->rows, state->refused);
    int fd = open(buf_text(&other), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, text.data, text.size) == (ssize_t)text.size;
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    if (!is_written || rename(buf_text(&other), path) != 0)
        rc = fail(path, err);
    buf_free(&text);
    buf_free(&other);
    return rc;
}

void resume_remove(const char *path)
{
    unlink(path);
}
