#include "client/tool/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/bytes.h"
#include "bus/base/memory.h"
#include "client/tool/place.h"

enum {
    TOKEN_MAX = 64 * 1024,
    LOCK_STEP_MS = 5,
    LOCK_TRIES = 200, /* one second: nobody holds it for longer than a write */
};

struct keep {
    char *path;
    char *lock_path;
    char *temporary;
    buf_t token; /* as read last */
    buf_t known; /* what the session began with, or was stored of it last */
};

/* Names as parts of a file's name: what is no letter, digit, '_' or '.' becomes %HH. */
static void put_name(buf_t *out, const char *name)
{
    for (size_t i = 0; name[i] != '\0'; i++) {
        unsigned char c = (unsigned char)name[i];
        bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || (c == '.' && i > 0);
        if (is_safe)
            buf_append_u8(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static char *with_suffix(const buf_t *path, const char *suffix)
{
    buf_t text = {0};
    buf_append_slice(&text, buf_slice(path));
    buf_append_text(&text, suffix);
    char *copy = mem_text(text.data, text.size);
    buf_free(&text);
    return copy;
}

keep_t *keep_open(const char *cluster, const char *name, err_t *err)
{
    char *folder = place_folder("no session is kept", err);
    buf_t path = {0};

    if (folder == NULL)
        return NULL;
    buf_append_text(&path, folder);
    free(folder);
    keep_t *self = mem_zero(1, sizeof(*self));
    buf_append_u8(&path, '/');
    put_name(&path, cluster);
    buf_append_u8(&path, '-');
    put_name(&path, name);
    self->path = with_suffix(&path, ".session");
    self->lock_path = with_suffix(&path, ".lock");
    self->temporary = with_suffix(&path, ".new");
    buf_free(&path);
    return self;
}

void keep_close(keep_t **self)
{
    if (*self == NULL)
        return;
    free((*self)->path);
    free((*self)->lock_path);
    free((*self)->temporary);
    buf_free(&(*self)->token);
    buf_free(&(*self)->known);
    free(*self);
    *self = NULL;
}

static int fail(err_t *err, const char *what, const char *path)
{
    return err_set(err, OUTCOME_USAGE, "the session is not kept: cannot %s %.200s: %s", what, path,
                   strerror(errno));
}

/* Reads the token into self->token; it is empty when there is no file. */
static int read_token(keep_t *self, err_t *err)
{
    buf_reset(&self->token);
    int fd = open(self->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(err, "read", self->path);
    ssize_t got = 1;
    while (got > 0 && self->token.size < TOKEN_MAX) {
        got = read(fd, buf_reserve(&self->token, TOKEN_MAX), TOKEN_MAX);
        if (got > 0)
            self->token.size += (size_t)got;
    }
    int rc = got < 0 ? fail(err, "read", self->path) : 0;
    close(fd);
    while (self->token.size != 0 && self->token.data[self->token.size - 1] <= ' ')
        self->token.size--;
    if (rc != 0)
        buf_reset(&self->token);
    return rc;
}

static void know(keep_t *self, slice_t token)
{
    buf_reset(&self->known);
    buf_append_slice(&self->known, token);
}

const char *keep_token(keep_t *self, err_t *err)
{
    err->text[0] = '\0';
    int rc = read_token(self, err);
    know(self, buf_slice(&self->token));
    return rc == 0 && self->token.size != 0 ? buf_text(&self->token) : NULL;
}

static int lock(const keep_t *self, err_t *err)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
    int fd = open(self->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail(err, "write", self->lock_path);
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (i == LOCK_TRIES) {
            close(fd);
            errno = EWOULDBLOCK;
            return fail(err, "lock", self->lock_path);
        }
        nanosleep(&step, NULL);
    }
    return fd;
}

static int write_token(const keep_t *self, const char *token, err_t *err)
{
    int fd = open(self->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(token);

    if (fd < 0)
        return fail(err, "write", self->temporary);
    bool is_written = write(fd, token, size) == (ssize_t)size && write(fd, "\n", 1) == 1;
    if (close(fd) != 0 || !is_written || rename(self->temporary, self->path) != 0)
        return fail(err, "write", self->path);
    return 0;
}

/* Its own past would bring back what a session gave up; what another call has stored is none. */
static bool merges(const keep_t *self, const hearsay_session_t *session)
{
    return !hearsay_session_relaxed(session) ||
           !slice_equal(buf_slice(&self->token), buf_slice(&self->known));
}

int keep_store(keep_t *self, hearsay_session_t *session, err_t *err)
{
    int lock_fd = lock(self, err);
    if (lock_fd < 0)
        return -1;
    /* What cannot be read or is no token is replaced. */
    if (read_token(self, NULL) == 0 && self->token.size != 0 && merges(self, session))
        hearsay_session_merge(session, buf_text(&self->token));
    const char *token = hearsay_token(session);
    int rc = write_token(self, token, err);
    if (rc == 0)
        know(self, slice_text(token));
    close(lock_fd);
    return rc;
}
