#include "bus/net/watched.h"

int watched_open(void **out, const socket_options_t *options, monitor_t *monitor, const char *name,
                 uint64_t token, err_t *err)
{
    *out = NULL;
    if (socket_open(out, options, err) != 0)
        return -1;
    if (monitor_watch(monitor, *out, name, token, err) == 0)
        return 0;
    socket_close(out);
    return -1;
}

void watched_close(void **self, loop_t *loop, monitor_t *monitor)
{
    if (*self == NULL)
        return;
    if (loop != NULL)
        loop_remove_socket(loop, *self);
    monitor_unwatch(monitor, *self);
    socket_close(self);
}
