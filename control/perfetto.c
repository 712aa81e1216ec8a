#include "control/perfetto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/json.h"
#include "bus/base/memory.h"

enum {
    PROGRAMS_MAX = 1024,
    THREAD_UPDATES = 1, /* "threads" of a process: rows in the picture */
    THREAD_SOCKETS = 2,
    THREAD_EVENTS = 3,
    THREAD_REQUESTS = 10, /* and on: as many as were open at the same time */
    LANES_MAX = 512,
    NAME_SIZE = 256,
    NS = 1000, /* in a microsecond */
};

/* Where an arrow begins: a time within a slice of that row. */
typedef struct place {
    uint32_t program;
    uint32_t thread;
    int64_t ns;
} place_t;

/* A request in one program, from when it came to when it went. */
typedef struct span_key {
    uint64_t program;
    uint64_t session;
    uint64_t seq;
} span_key_t;

typedef struct span {
    span_key_t key;
    uint32_t lane;
    int64_t from_us;
    char name[NAME_SIZE];
    UT_hash_handle hh;
} span_t;

typedef struct update {
    vec_part_t id;
    place_t accepted;
    UT_hash_handle hh;
} update_t;

typedef struct process {
    bool is_named[THREAD_REQUESTS + LANES_MAX]; /* its rows */
    bool lanes[LANES_MAX];                      /* taken by a span */
    int64_t next_ns[THREAD_REQUESTS];           /* slices of a row follow each other */
} process_t;

struct perfetto {
    bool has_events;
    uint64_t arrows;
    int64_t last_us;
    span_t *spans; /* in the order of their beginning */
    update_t *updates;
    uint32_t programs; /* the greatest number and one */
    process_t *processes[PROGRAMS_MAX];
};

/* ---- writing ---- */

static void begin_event(perfetto_t *self, buf_t *out, const char *phase, place_t place)
{
    buf_append_text(out, self->has_events ? ",\n" : "\n");
    self->has_events = true;
    buf_printf(out, "{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%" PRId64 ".%03d", phase,
               place.program + 1, place.thread, place.ns / NS, (int)(place.ns % NS));
}

static void put_string(buf_t *out, const char *key, slice_t value)
{
    buf_printf(out, ",\"%s\":", key);
    json_t json = json_open(out);
    json_string(&json, NULL, value);
}

static void put_metadata(perfetto_t *self, buf_t *out, const char *what, place_t place,
                         const char *name)
{
    begin_event(self, out, "M", place);
    buf_printf(out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    json_t json = json_open(out);
    json_text(&json, NULL, name);
    buf_append_text(out, "}}");
}

/* Names a row when it is first used. */
static void name_row(perfetto_t *self, buf_t *out, uint32_t program, uint32_t thread)
{
    static const char *const names[] = {"", "updates", "sockets", "events"};
    process_t *process = self->processes[program];
    char text[32];

    if (process->is_named[thread])
        return;
    process->is_named[thread] = true;
    if (thread < THREAD_REQUESTS)
        snprintf(text, sizeof(text), "%s", names[thread]);
    else
        snprintf(text, sizeof(text), "requests %u", thread - THREAD_REQUESTS + 1);
    put_metadata(self, out, "thread_name", (place_t){program, thread, 0}, text);
}

static void put_args(buf_t *out, const trace_item_t *item)
{
    char text[48];

    buf_append_text(out, ",\"args\":{\"text\":");
    json_t json = json_open(out);
    json_string(&json, NULL, item->text);
    if (item->key.size != 0)
        put_string(out, "key", item->key);
    if (item->session != 0) {
        snprintf(text, sizeof(text), "%016" PRIx64 ":%" PRIu64, item->session, item->seq);
        put_string(out, "request", slice_text(text));
    }
    if (item->update.incarnation != 0) {
        snprintf(text, sizeof(text), "%016" PRIx64 ":%" PRIu64, item->update.incarnation,
                 item->update.count);
        put_string(out, "update", slice_text(text));
    }
    buf_append_u8(out, '}');
}

/* An arrow between slices of two rows, the first of which may have been written before. */
static void put_arrow(perfetto_t *self, buf_t *out, const char *name, place_t from, place_t to)
{
    uint64_t id = ++self->arrows;

    begin_event(self, out, "s", from);
    buf_printf(out, ",\"cat\":\"flow\",\"name\":\"%s\",\"id\":%" PRIu64 "}", name, id);
    begin_event(self, out, "f", to);
    buf_printf(out, ",\"bp\":\"e\",\"cat\":\"flow\",\"name\":\"%s\",\"id\":%" PRIu64 "}", name, id);
}

/*
 * The smallest slice, 1 ns long, of a row where each has a time of its own, so that an arrow meets
 * the right one. Returns where it is.
 */
static place_t put_moment(perfetto_t *self, buf_t *out, uint32_t program, uint32_t thread,
                          const trace_item_t *item)
{
    process_t *process = self->processes[program];
    place_t place = {program, thread, item->wall_us * NS};
    char name[NAME_SIZE];

    if (place.ns < process->next_ns[thread])
        place.ns = process->next_ns[thread];
    process->next_ns[thread] = place.ns + 1;
    name_row(self, out, program, thread);
    begin_event(self, out, "X", place);
    buf_append_text(out, ",\"dur\":0.001");
    snprintf(name, sizeof(name), "%s %.*s", trace_kind_name(item->kind), (int)item->key.size,
             (const char *)item->key.data);
    put_string(out, "name", slice_text(name));
    put_args(out, item);
    buf_append_u8(out, '}');
    return place;
}

/* ---- requests ---- */

static span_t *find_span(const perfetto_t *self, uint32_t program, const trace_item_t *item)
{
    span_key_t key = {program, item->session, item->seq};
    span_t *span;
    HASH_FIND(hh, self->spans, &key, sizeof(key), span);
    return span;
}

static place_t place_of(const span_t *span, int64_t us)
{
    return (place_t){(uint32_t)span->key.program, THREAD_REQUESTS + span->lane, us * NS};
}

/* Writes a slice and forgets the span; text: what came of it. */
static void close_span(perfetto_t *self, buf_t *out, span_t *span, int64_t until_us, slice_t text)
{
    int64_t us = until_us > span->from_us ? until_us - span->from_us : 0;
    place_t place = place_of(span, span->from_us);

    name_row(self, out, place.program, place.thread);
    begin_event(self, out, "X", place);
    buf_printf(out, ",\"dur\":%" PRId64, us);
    put_string(out, "name", slice_text(span->name));
    const trace_item_t item = {.session = span->key.session, .seq = span->key.seq, .text = text};
    put_args(out, &item);
    buf_append_u8(out, '}');
    self->processes[place.program]->lanes[span->lane] = false;
    HASH_DELETE(hh, self->spans, span);
    free(span);
}

/* The first row where no other span is; false when there is none. */
static bool take_lane(process_t *process, uint32_t *lane)
{
    for (*lane = 0; *lane < LANES_MAX; (*lane)++) {
        if (process->lanes[*lane])
            continue;
        process->lanes[*lane] = true;
        return true;
    }
    return false;
}

/* The same request at another program, the broker's when this is the node's. */
static const span_t *find_elsewhere(const perfetto_t *self, const span_t *span)
{
    for (uint32_t program = 0; program < self->programs; program++) {
        const trace_item_t item = {.session = span->key.session, .seq = span->key.seq};
        const span_t *other = find_span(self, program, &item);
        if (other != NULL && other != span)
            return other;
    }
    return NULL;
}

static void open_span(perfetto_t *self, buf_t *out, uint32_t program, const trace_item_t *item)
{
    span_t *span = find_span(self, program, item);

    if (span != NULL)
        close_span(self, out, span, item->wall_us, slice_text("sent again"));
    if (HASH_COUNT(self->spans) >= PERFETTO_OPEN_MAX)
        close_span(self, out, self->spans, item->wall_us, slice_text("not followed to its end"));
    span = mem_zero(1, sizeof(*span));
    if (!take_lane(self->processes[program], &span->lane)) {
        free(span);
        return;
    }
    span->key = (span_key_t){program, item->session, item->seq};
    span->from_us = item->wall_us;
    snprintf(span->name, sizeof(span->name), "%.*s %.*s", (int)item->text.size,
             (const char *)item->text.data, (int)item->key.size, (const char *)item->key.data);
    HASH_ADD(hh, self->spans, key, sizeof(span->key), span);
    const span_t *other = find_elsewhere(self, span);
    if (other != NULL)
        put_arrow(self, out, "request", place_of(other, other->from_us),
                  place_of(span, span->from_us));
}

/* ---- updates ---- */

static void remember_update(perfetto_t *self, const trace_item_t *item, place_t place)
{
    update_t *update = mem_zero(1, sizeof(*update));

    update->id = item->update;
    update->accepted = place;
    HASH_ADD(hh, self->updates, id, sizeof(update->id), update);
    if (HASH_COUNT(self->updates) <= PERFETTO_OPEN_MAX)
        return;
    update_t *oldest = self->updates;
    HASH_DELETE(hh, self->updates, oldest);
    free(oldest);
}

static void put_update(perfetto_t *self, buf_t *out, uint32_t program, const trace_item_t *item)
{
    place_t place = put_moment(self, out, program, THREAD_UPDATES, item);
    update_t *update;

    HASH_FIND(hh, self->updates, &item->update, sizeof(item->update), update);
    if (item->kind == TRACE_UPDATE_ACCEPTED && update == NULL) {
        const span_t *span = find_span(self, program, item);
        if (span != NULL)
            put_arrow(self, out, "update", place_of(span, item->wall_us), place);
        remember_update(self, item, place);
    } else if (item->kind == TRACE_UPDATE_APPLIED && update != NULL) {
        put_arrow(self, out, "update", update->accepted, place);
    }
}

/* ---- all ---- */

perfetto_t *perfetto_new(buf_t *out)
{
    buf_append_text(out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    return mem_zero(1, sizeof(perfetto_t));
}

void perfetto_program(perfetto_t *self, buf_t *out, uint32_t number, const char *name)
{
    if (number >= PROGRAMS_MAX || self->processes[number] != NULL)
        return;
    self->processes[number] = mem_zero(1, sizeof(process_t));
    if (number >= self->programs)
        self->programs = number + 1;
    put_metadata(self, out, "process_name", (place_t){.program = number}, name);
}

void perfetto_item(perfetto_t *self, buf_t *out, uint32_t program, const trace_item_t *item)
{
    span_t *span;

    if (program >= PROGRAMS_MAX || self->processes[program] == NULL)
        return;
    self->last_us = item->wall_us;
    switch (item->kind) {
    case TRACE_FORWARDED:
    case TRACE_RECEIVED:
        open_span(self, out, program, item);
        break;
    case TRACE_REPLIED:
    case TRACE_RETURNED:
        span = find_span(self, program, item);
        if (span != NULL)
            close_span(self, out, span, item->wall_us, item->text);
        break;
    case TRACE_WAITING: /* the request's slice is long enough to be seen */
        break;
    default:
        if (trace_kind_area((trace_kind_t)item->kind) == TRACE_GOSSIP)
            put_update(self, out, program, item);
        else
            put_moment(self, out, program,
                       item->kind == TRACE_EVENT ? THREAD_EVENTS : THREAD_SOCKETS, item);
        break;
    }
}

void perfetto_end(perfetto_t **self_p, buf_t *out)
{
    perfetto_t *self = *self_p;

    while (self->spans != NULL)
        close_span(self, out, self->spans, self->last_us, slice_text("not followed to its end"));
    while (self->updates != NULL) {
        update_t *update = self->updates;
        HASH_DELETE(hh, self->updates, update);
        free(update);
    }
    for (uint32_t i = 0; i < self->programs; i++)
        free(self->processes[i]);
    free(self);
    *self_p = NULL;
    buf_append_text(out, "\n]}\n");
}
