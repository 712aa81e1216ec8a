#include "client/tool/progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"

enum {
    BAR_MS = 100,
    LINE_MS = 5000,
    BAR_WIDTH = 30,
};

struct progress {
    const char *what;
    uint64_t total;
    bool is_terminal;
    bool is_shown; /* a bar stands on the line */
    int64_t begun_ms;
    int64_t next_ms;
};

int64_t progress_now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

progress_t *progress_new(const char *what, uint64_t total)
{
    progress_t *self = mem_zero(1, sizeof(*self));

    self->what = what;
    self->total = total;
    self->is_terminal = isatty(STDERR_FILENO) != 0;
    self->begun_ms = progress_now_ms();
    self->next_ms = self->begun_ms + (self->is_terminal ? BAR_MS : LINE_MS);
    return self;
}

void progress_destroy(progress_t **self)
{
    free(*self);
    *self = NULL;
}

void progress_show(progress_t *self, uint64_t done, uint64_t count)
{
    int64_t now_ms = progress_now_ms();
    char bar[BAR_WIDTH + 1] = "";
    char percent[BAR_WIDTH + 16] = "";

    if (now_ms < self->next_ms)
        return;
    self->next_ms = now_ms + (self->is_terminal ? BAR_MS : LINE_MS);
    uint64_t ms = (uint64_t)(now_ms - self->begun_ms) + 1;
    if (self->total != 0) {
        unsigned part = (unsigned)((double)done / (double)self->total * 100);
        memset(bar, '#', part * BAR_WIDTH / 100 < BAR_WIDTH ? part * BAR_WIDTH / 100 : BAR_WIDTH);
        if (self->is_terminal)
            snprintf(percent, sizeof(percent), "[%-*s] %3u %%  ", BAR_WIDTH, bar, part);
        else
            snprintf(percent, sizeof(percent), "%u %%, ", part);
    }
    fprintf(stderr, "%s%s%" PRIu64 " %s, %" PRIu64 "/s%s",
            self->is_terminal ? "\r" : "hearsay: ", percent, count, self->what, count * 1000 / ms,
            self->is_terminal ? "\x1b[K" : "\n");
    self->is_shown = self->is_terminal;
}

void progress_clear(progress_t *self)
{
    if (self->is_shown)
        fprintf(stderr, "\r\x1b[K");
    self->is_shown = false;
}
