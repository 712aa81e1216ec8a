#include "control/events.h"

#include <stdio.h>

#include "bus/base/json.h"
#include "bus/net/runtime.h"
#include "control/merge.h"

enum {
    LOOK_MS = 1000,  /* between rounds of the survey, for newcomers */
    BEGIN_MS = 1000, /* for the subscriptions, before the list is asked for */
    STEP_MS = 20,
};

typedef struct eventing {
    eventing_config_t config;
    merge_t *merge;
    size_t begun;
    buf_t out;
} eventing_t;

/* ---- one event ---- */

static void put_json(buf_t *out, const merge_entry_t *entry)
{
    json_t json = json_open(out);
    buf_t time = {0};

    line_put_time(&time, entry->wall_us);
    json_object(&json, NULL);
    json_string(&json, "time", buf_slice(&time));
    json_int(&json, "us", entry->wall_us);
    json_text(&json, "program", entry->program == CONTROL_NODE ? "node" : "broker");
    json_text(&json, "name", entry->source);
    if (entry->program == CONTROL_NODE)
        json_uint(&json, "id", entry->id);
    json_hex64(&json, "incarnation", entry->incarnation);
    json_uint(&json, "number", entry->number);
    json_text(&json, "event", entry->name);
    json_string(&json, "text", slice_text(entry->text));
    json_end(&json);
    buf_free(&time);
}

static void put_entry(buf_t *out, line_form_t form, const merge_entry_t *entry)
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

static void take_kept(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    eventing_t *self = arg;
    inspect_events_t events;

    (void)member;
    if (reply->outcome != OUTCOME_OK || !inspect_events_read(reply->document, &events) ||
        (self->config.node >= 0 &&
         (events.program != CONTROL_NODE || events.id != self->config.node)))
        return;
    merge_take_kept(self->merge, &events);
}

/* Everybody's events into the list. -1: a signal. */
static int collect(eventing_t *self, survey_t *survey, int64_t deadline_ms)
{
    const control_request_t request = {.command = CONTROL_EVENTS};

    if (survey_ask(survey, &request, CONTROL_NOBODY, survey_patience(deadline_ms), take_kept,
                   self) != 0)
        return -1;
    merge_end(self->merge);
    return 0;
}

int eventing_put_latest(buf_t *out, survey_t *survey, size_t most, int64_t deadline_ms)
{
    eventing_t self = {.config = {.node = -1}, .merge = merge_new()};
    const merge_entry_t *entry;
    int rc = collect(&self, survey, deadline_ms);
    size_t size = merge_size(self.merge);

    for (size_t i = size > most ? size - most : 0; (entry = merge_entry(self.merge, i)) != NULL;
         i++)
        put_entry(out, LINE_PLAIN, entry);
    merge_destroy(&self.merge);
    return rc;
}

/* ---- those to come ---- */

static void take_live(void *arg, const follow_stream_t *stream, const trace_item_t *item)
{
    eventing_t *self = arg;
    merge_entry_t entry;

    if (!merge_take_live(self->merge, stream, item, &entry))
        return;
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
    const merge_entry_t *entry;

    if (survey_round(survey, self->config.deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (answered(survey) == 0)
        return err_set(err, OUTCOME_NOT_REACHED,
                       "nobody answers: start a node, or name one with --peer tcp://HOST:PORT");
    if (follow != NULL && begin(self, survey, follow) != 0)
        return EXIT_INTERRUPTED;
    if (collect(self, survey, self->config.deadline_ms) != 0)
        return EXIT_INTERRUPTED;
    if (self->config.node >= 0 && !merge_has_heard(self->merge))
        return err_set(err, OUTCOME_NOT_REACHED, "node %d does not answer, others do",
                       self->config.node);
    for (size_t i = 0; (entry = merge_entry(self->merge, i)) != NULL; i++)
        put_entry(&self->out, self->config.form, entry);
    write_out(self);
    return follow != NULL ? go_on(self, survey, follow) : EXIT_DONE;
}

int eventing_run(survey_t *survey, const eventing_config_t *config, err_t *err)
{
    eventing_t self = {.config = *config, .merge = merge_new()};
    const follow_config_t following = {
        .areas = 1u << TRACE_EVENTS,
        .node = config->node,
        .on_item = take_live,
        .on_begin = count_begun,
        .arg = &self,
    };
    follow_t *follow = NULL;
    int code = 0;

    if (config->follow)
        code = follow_open(&follow, survey, &following, err);
    if (code == 0)
        code = run(&self, survey, follow, err);
    follow_destroy(&follow);
    buf_free(&self.out);
    merge_destroy(&self.merge);
    return code;
}
