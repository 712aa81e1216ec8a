#include "client/tool/value.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/hearsay.h"

enum { STEP = 64 * 1024 };

static int fail(const char *name, err_t *err)
{
    return err_set(err, OUTCOME_USAGE, "cannot read the value from %.200s: %s", name,
                   strerror(errno));
}

int value_read(buf_t *out, const char *path, err_t *err)
{
    const char *name = path != NULL ? path : "standard input";
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    ssize_t got = 1;

    if (fd < 0)
        return fail(name, err);
    while (got != 0 && out->size <= HEARSAY_VALUE_MAX) {
        got = read(fd, buf_reserve(out, STEP), STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        out->size += (size_t)got;
    }
    int rc = got < 0 ? fail(name, err) : 0;
    if (path != NULL)
        close(fd);
    if (rc == 0 && out->size > HEARSAY_VALUE_MAX)
        rc = err_set(err, OUTCOME_TOO_LARGE,
                     "%.200s holds more than %d MiB, the most that a value has", name,
                     HEARSAY_VALUE_MAX >> 20);
    return rc;
}
