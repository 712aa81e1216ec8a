#include "control/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/base/nearest.h"
#include "bus/net/runtime.h"
#include "control/filter.h"
#include "control/perfetto.h"

enum {
    WINDOW_MS = 100,      /* an item waits so long for others that happened before */
    STEP_MS = 50,         /* between looks at what has waited long enough */
    LOOK_MS = 1000,       /* between rounds of the survey, for newcomers */
    PENDING_MAX = 100000, /* items that wait; more are shown at once */
};

/* An item that waits, with a copy of its key and text. */
typedef struct pending {
    trace_item_t item;
    const follow_stream_t *stream;
    int64_t arrived_ms;
    uint64_t number; /* keeps the order of equal times */
    uint8_t bytes[];
} pending_t;

typedef struct tracing {
    const tracing_config_t *config;
    survey_t *survey;
    follow_t *follow;
    filter_t *filter;
    perfetto_t *perfetto; /* NULL: lines */
    FILE *file;           /* what is written to */
    pending_t **pending;
    size_t size;
    size_t capacity;
    uint64_t number;
    uint64_t shown;
    buf_t out;
} tracing_t;

int tracing_areas(const char *text, unsigned *areas, err_t *err)
{
    const char *names[TRACE_AREAS];

    for (int i = 0; i < TRACE_AREAS; i++)
        names[i] = trace_area_name((trace_area_t)i);
    *areas = 0;
    for (const char *at = text;; at++) {
        char word[16];
        size_t size = strcspn(at, ",");
        unsigned before = *areas;
        snprintf(word, sizeof(word), "%.*s", (int)(size < 15 ? size : 15), at);
        for (int i = 0; i < TRACE_AREAS; i++)
            if (strcmp(word, names[i]) == 0)
                *areas |= 1u << i;
        if (*areas == before) {
            const char *near = nearest(word, names, TRACE_AREAS);
            return err_set(err, OUTCOME_USAGE,
                           "\"%s\" cannot be followed, or is there twice: %s%s%s give some of "
                           "sockets,requests,gossip,events to --what",
                           word, near != NULL ? "did you mean " : "", near != NULL ? near : "",
                           near != NULL ? "?" : "");
        }
        at += size;
        if (*at == '\0')
            return 0;
    }
}

/* ---- showing ---- */

static void write_out(tracing_t *self)
{
    if (self->out.size != 0)
        fwrite(self->out.data, 1, self->out.size, self->file);
    fflush(self->file);
    buf_reset(&self->out);
}

static void show(tracing_t *self, const pending_t *pending)
{
    if (!filter_takes(self->filter, &pending->item))
        return;
    self->shown++;
    if (self->perfetto == NULL) {
        line_put(&self->out, self->config->form, self->follow, pending->stream, &pending->item);
        return;
    }
    perfetto_program(self->perfetto, &self->out, pending->stream->number, pending->stream->name);
    perfetto_item(self->perfetto, &self->out, pending->stream->number, &pending->item);
}

static int compare_pending(const void *a, const void *b)
{
    const pending_t *one = *(pending_t *const *)a;
    const pending_t *other = *(pending_t *const *)b;

    if (one->item.wall_us != other->item.wall_us)
        return one->item.wall_us < other->item.wall_us ? -1 : 1;
    return (one->number > other->number) - (one->number < other->number);
}

/* Shows, in the order of their times, what came before then and what happened before that. */
static void show_ripe(tracing_t *self, int64_t before_ms)
{
    size_t ripe = 0;

    if (self->size != 0)
        qsort(self->pending, self->size, sizeof(*self->pending), compare_pending);
    for (size_t i = 0; i < self->size; i++)
        if (self->pending[i]->arrived_ms <= before_ms)
            ripe = i + 1;
    if (ripe == 0)
        return;
    for (size_t i = 0; i < ripe; i++) {
        show(self, self->pending[i]);
        free(self->pending[i]);
    }
    self->size -= ripe;
    memmove(self->pending, self->pending + ripe, self->size * sizeof(*self->pending));
    write_out(self);
}

/* ---- following ---- */

static void take_item(void *arg, const follow_stream_t *stream, const trace_item_t *item)
{
    tracing_t *self = arg;
    pending_t *pending = mem_alloc(sizeof(*pending) + item->key.size + item->text.size);

    *pending = (pending_t){
        .item = *item,
        .stream = stream,
        .arrived_ms = net_now().boot_ms,
        .number = self->number++,
    };
    if (item->key.size != 0)
        memcpy(pending->bytes, item->key.data, item->key.size);
    if (item->text.size != 0)
        memcpy(pending->bytes + item->key.size, item->text.data, item->text.size);
    pending->item.key.data = pending->bytes;
    pending->item.text.data = pending->bytes + item->key.size;
    if (self->size == self->capacity)
        self->pending = mem_grow(self->pending, &self->capacity, sizeof(*self->pending));
    self->pending[self->size++] = pending;
    if (self->size == PENDING_MAX)
        show_ripe(self, INT64_MAX);
}

/* Told on stderr, so that people and scripts know from when on they see everything. */
static void say_begun(void *arg, const follow_stream_t *stream)
{
    (void)arg;
    fprintf(stderr, "hearsayctl: following %s\n", stream->name);
}

static void say_lost(const tracing_t *self)
{
    const follow_stream_t *stream;
    uint64_t lost = 0;
    uint64_t dropped = 0;

    for (size_t i = 0; (stream = follow_stream(self->follow, i)) != NULL; i++) {
        lost += stream->lost;
        dropped += stream->dropped;
        if (stream->lost + stream->dropped != 0)
            fprintf(stderr, "hearsayctl: %s: %" PRIu64 " lost on the way, %" PRIu64 " dropped\n",
                    stream->name, stream->lost, stream->dropped);
    }
    fprintf(stderr,
            "hearsayctl: %" PRIu64 " shown, %" PRIu64 " lost on the way, %" PRIu64 " dropped\n",
            self->shown, lost, dropped);
}

/* Until the end: asks who is there now and then, and shows what has waited long enough. */
static int follow_all(tracing_t *self, err_t *err)
{
    int64_t until_ms = self->config->until_ms;

    for (;;) {
        if (survey_round(self->survey, until_ms, NULL, NULL) != 0)
            return EXIT_INTERRUPTED;
        follow_connect(self->follow);
        int64_t look_ms = time_earlier(until_ms, net_now().boot_ms + LOOK_MS);
        while (net_now().boot_ms < look_ms) {
            show_ripe(self, net_now().boot_ms - WINDOW_MS);
            if (ferror(self->file) != 0)
                return EXIT_DONE; /* main() says why */
            if (survey_idle(self->survey, net_now().boot_ms + STEP_MS) != 0)
                return EXIT_INTERRUPTED;
        }
        int64_t now_ms = net_now().boot_ms;
        if (follow_stream(self->follow, 0) == NULL &&
            now_ms >= time_earlier(until_ms, self->config->patience_ms))
            return err_set(err, OUTCOME_NOT_REACHED,
                           "nobody to follow: no %s answers; hearsayctl nodes shows who does",
                           self->config->node < 0 ? "node or broker" : "such node");
        if (now_ms >= until_ms)
            return EXIT_DONE;
    }
}

static int open_output(tracing_t *self, err_t *err)
{
    const char *path = self->config->perfetto;

    self->file = stdout;
    if (path == NULL)
        return 0;
    self->file = fopen(path, "w");
    if (self->file == NULL)
        return err_set(err, OUTCOME_USAGE, "cannot write \"%.200s\": %s", path, strerror(errno));
    self->perfetto = perfetto_new(&self->out);
    return 0;
}

/* Returns code, or -1 with err when the file is not whole. */
static int close_output(tracing_t *self, int code, err_t *err)
{
    const char *path = self->config->perfetto;

    perfetto_end(&self->perfetto, &self->out);
    write_out(self);
    bool is_bad = ferror(self->file) != 0;
    is_bad |= fclose(self->file) != 0;
    if (is_bad)
        return err_set(err, OUTCOME_FULL, "cannot write all of \"%.200s\": look for room", path);
    return code;
}

int tracing_run(survey_t *survey, const tracing_config_t *config, err_t *err)
{
    tracing_t self = {.config = config, .survey = survey, .filter = filter_new(config->key)};
    const follow_config_t following = {
        .areas = config->areas,
        .node = config->node,
        .on_item = take_item,
        .on_begin = say_begun,
        .arg = &self,
    };
    int code = open_output(&self, err);

    if (code == 0)
        code = follow_open(&self.follow, survey, &following, err);
    if (code == 0) {
        code = follow_all(&self, err);
        show_ripe(&self, INT64_MAX);
        if (code >= 0)
            say_lost(&self);
    }
    code = self.perfetto != NULL ? close_output(&self, code, err) : code;
    follow_destroy(&self.follow);
    filter_destroy(&self.filter);
    free(self.pending);
    buf_free(&self.out);
    return code;
}
