#include "control/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/events.h"
#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/inspect.h"

enum {
    STARTS_MAX = FOLLOW_STREAMS_MAX,
    LOOK_MS = 1000,  /* between rounds of the survey, for newcomers */
    BEGIN_MS = 1000, /* for the subscriptions, before the list is asked for */
    STEP_MS = 20,
};

/* An event with its texts. */
typedef struct entry {
    uint64_t incarnation;
    uint64_t number;
    int64_t wall_us;
    control_kind_t program;
    uint16_t id;
    char source[FOLLOW_NAME_SIZE];
    char name[EVENTS_NAME_MAX + 1];
    char text[EVENTS_TEXT_MAX + 1];
} entry_t;

/* Up to which number the events of a start were shown. */
typedef struct start {
    uint64_t incarnation;
    uint64_t last;
} start_t;

typedef struct eventing {
    eventing_config_t config;
    entry_t *list;
    size_t size;
    size_t capacity;
    start_t starts[STARTS_MAX];
    size_t starts_size;
    bool has_list;
    size_t begun;
    buf_t out;
} eventing_t;

/* ---- one event ---- */

static void copy_text(char *to, size_t size, slice_t text)
{
    snprintf(to, size, "%.*s", (int)text.size, (const char *)text.data);
}

static void put_json(buf_t *out, const entry_t *entry)
{
    json_t json = json_open(out);
    buf_t time = {0};
    char incarnation[20];

    line_put_time(&time, entry->wall_us);
    snprintf(incarnation, sizeof(incarnation), "%016" PRIx64, entry->incarnation);
    json_object(&json, NULL);
    json_string(&json, "time", buf_slice(&time));
    json_int(&json, "us", entry->wall_us);
    json_text(&json, "program", entry->program == CONTROL_NODE ? "node" : "broker");
    json_text(&json, "name", entry->source);
    if (entry->program == CONTROL_NODE)
        json_uint(&json, "id", entry->id);
    json_text(&json, "incarnation", incarnation);
    json_uint(&json, "number", entry->number);
    json_text(&json, "event", entry->name);
    json_string(&json, "text", slice_text(entry->text));
    json_end(&json);
    buf_free(&time);
}

static void put_entry(buf_t *out, line_form_t form, const entry_t *entry)
{
    if (form == LINE_JSON) {
        put_json(out, entry);
    } else {
        if (form == LINE_COLOURED)
            buf_append_text(out, "\033[33m");
        line_put_time(out, entry->wall_us);
        buf_printf(out, " %-12s %-13s ", entry->source, entry->name);
        line_put_safe(out, slice_text(entry->text));
        if (form == LINE_COLOURED)
            buf_append_text(out, "\033[0m");
    }
    buf_append_u8(out, '\n');
}

static void write_out(eventing_t *self)
{
    if (self->out.size != 0)
        fwrite(self->out.data, 1, self->out.size, stdout);
    fflush(stdout);
    buf_reset(&self->out);
}

/* ---- those that are kept ---- */

static start_t *get_start(eventing_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->starts_size; i++)
        if (self->starts[i].incarnation == incarnation)
            return &self->starts[i];
    if (self->starts_size == STARTS_MAX)
        return NULL;
    self->starts[self->starts_size] = (start_t){.incarnation = incarnation};
    return &self->starts[self->starts_size++];
}

static void take_kept(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    eventing_t *self = arg;
    inspect_events_t events;
    inspect_event_t event;

    (void)member;
    if (reply->outcome != OUTCOME_OK || !inspect_events_read(reply->document, &events) ||
        (self->config.node >= 0 &&
         (events.program != CONTROL_NODE || events.id != self->config.node)))
        return;
    start_t *start = get_start(self, events.incarnation);
    mp_t in = mp_open(events.events_at);
    while (inspect_event_next(&in, &event)) {
        if (self->size == self->capacity)
            self->list = mem_grow(self->list, &self->capacity, sizeof(*self->list));
        entry_t *entry = &self->list[self->size++];
        *entry = (entry_t){
            .incarnation = events.incarnation,
            .number = event.number,
            .wall_us = event.wall_us,
            .program = events.program,
            .id = events.id,
        };
        follow_name(entry->source, events.program, events.id, events.port);
        copy_text(entry->name, sizeof(entry->name), event.name);
        copy_text(entry->text, sizeof(entry->text), event.text);
        if (start != NULL)
            start->last = event.number;
    }
}

static int compare_entries(const void *a, const void *b)
{
    const entry_t *one = a;
    const entry_t *other = b;

    if (one->wall_us != other->wall_us)
        return one->wall_us < other->wall_us ? -1 : 1;
    return (one->number > other->number) - (one->number < other->number);
}

/* Everybody's events into the list, by time. -1: a signal. */
static int collect(eventing_t *self, survey_t *survey, int64_t deadline_ms)
{
    const control_request_t request = {.command = CONTROL_EVENTS};

    if (survey_ask(survey, &request, CONTROL_NOBODY, deadline_ms, take_kept, self) != 0)
        return -1;
    if (self->size != 0)
        qsort(self->list, self->size, sizeof(*self->list), compare_entries);
    self->has_list = true;
    return 0;
}

int eventing_put_latest(buf_t *out, survey_t *survey, size_t most, int64_t deadline_ms)
{
    eventing_t *self = mem_zero(1, sizeof(*self));

    self->config.node = -1;
    int rc = collect(self, survey, deadline_ms);
    for (size_t i = self->size > most ? self->size - most : 0; i < self->size; i++)
        put_entry(out, LINE_PLAIN, &self->list[i]);
    free(self->list);
    free(self);
    return rc;
}

/* ---- those to come ---- */

/* What is told before the list was given is in the list. */
static void take_live(void *arg, const follow_stream_t *stream, const trace_item_t *item)
{
    eventing_t *self = arg;
    start_t *start = get_start(self, stream->incarnation);
    slice_t text = item->text;
    slice_t name;

    if (!self->has_list || start == NULL || item->seq <= start->last ||
        !events_take_name(&text, &name))
        return;
    start->last = item->seq;
    entry_t entry = {
        .incarnation = stream->incarnation,
        .number = item->seq,
        .wall_us = item->wall_us,
        .program = stream->program,
        .id = stream->id,
    };
    memcpy(entry.source, stream->name, sizeof(entry.source));
    copy_text(entry.name, sizeof(entry.name), name);
    copy_text(entry.text, sizeof(entry.text), text);
    put_entry(&self->out, self->config.form, &entry);
    write_out(self);
}

static void count_begun(void *arg, const follow_stream_t *stream)
{
    eventing_t *self = arg;
    (void)stream;
    self->begun++;
}

static size_t answered(const survey_t *survey)
{
    const survey_member_t *member;
    size_t count = 0;

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++)
        count += member->has_answered;
    return count;
}

/* Subscribes before the list is asked for, so that nothing falls between the two. */
static int begin(const eventing_t *self, survey_t *survey, follow_t *follow)
{
    int64_t until_ms = time_earlier(self->config.deadline_ms, net_now().boot_ms + BEGIN_MS);
    size_t wanted = self->config.node >= 0 ? 1 : answered(survey);

    follow_connect(follow);
    while (self->begun < wanted && net_now().boot_ms < until_ms)
        if (survey_idle(survey, net_now().boot_ms + STEP_MS) != 0)
            return -1;
    return 0;
}

static int go_on(const eventing_t *self, survey_t *survey, follow_t *follow)
{
    int64_t until_ms = self->config.until_ms;

    for (;;) {
        if (survey_idle(survey, time_earlier(until_ms, net_now().boot_ms + LOOK_MS)) != 0)
            return EXIT_INTERRUPTED;
        if (net_now().boot_ms >= until_ms || ferror(stdout) != 0)
            return EXIT_DONE;
        if (survey_round(survey, until_ms, NULL, NULL) != 0)
            return EXIT_INTERRUPTED;
        follow_connect(follow);
    }
}

static int run(eventing_t *self, survey_t *survey, follow_t *follow, err_t *err)
{
    if (survey_round(survey, self->config.deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (answered(survey) == 0)
        return err_set(err, OUTCOME_NOT_REACHED,
                       "nobody answers: start a node, or name one with --peer tcp://HOST:PORT");
    if (follow != NULL && begin(self, survey, follow) != 0)
        return EXIT_INTERRUPTED;
    if (collect(self, survey, self->config.deadline_ms) != 0)
        return EXIT_INTERRUPTED;
    if (self->config.node >= 0 && self->starts_size == 0)
        return err_set(err, OUTCOME_NOT_REACHED, "node %d does not answer, others do",
                       self->config.node);
    for (size_t i = 0; i < self->size; i++)
        put_entry(&self->out, self->config.form, &self->list[i]);
    write_out(self);
    return follow != NULL ? go_on(self, survey, follow) : EXIT_DONE;
}

int eventing_run(survey_t *survey, const eventing_config_t *config, err_t *err)
{
    eventing_t *self = mem_zero(1, sizeof(*self));
    const follow_config_t following = {
        .areas = 1u << TRACE_EVENTS,
        .node = config->node,
        .on_item = take_live,
        .on_begin = count_begun,
        .arg = self,
    };
    follow_t *follow = NULL;
    int code = 0;

    self->config = *config;
    if (config->follow)
        code = follow_open(&follow, survey, &following, err);
    if (code == 0)
        code = run(self, survey, follow, err);
    follow_destroy(&follow);
    buf_free(&self->out);
    free(self->list);
    free(self);
    return code;
}
