#include "client/tool/place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/bytes.h"
#include "bus/base/memory.h"

/* Makes every folder of the path, 0700 each; false with errno when the last is not there then. */
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool put_folder(buf_t *out)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (state != NULL && state[0] == '/')
        buf_printf(out, "%s/hearsay", state);
    else if (home != NULL && home[0] == '/')
        buf_printf(out, "%s/.local/state/hearsay", home);
    else
        return false;
    return true;
}

char *place_folder(const char *what, err_t *err)
{
    buf_t path = {0};

    if (!put_folder(&path)) {
        err_set(err, OUTCOME_USAGE, "%s: HOME is not set", what);
        return NULL;
    }
    char *folder = mem_text(path.data, path.size);
    buf_free(&path);
    if (make_folders(folder) && access(folder, R_OK | W_OK | X_OK) == 0)
        return folder;
    err_set(err, OUTCOME_USAGE, "%s: cannot use %.200s: %s", what, folder, strerror(errno));
    free(folder);
    return NULL;
}
