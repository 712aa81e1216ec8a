#include "control/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/files.h"

enum {
    AGAIN_MS = 20, /* between two times that all are asked */
    MIB = 1024 * 1024,
    WHY_SIZE = 200,
};

/* The count of INFO by which a node shows that it knows of FILES. */
static const char KNOWS[] = "files_checked";

typedef struct subject {
    size_t member; /* of the survey */
    uint16_t id;
    uint64_t incarnation;
    char why[WHY_SIZE];       /* it is not asked, or not any more; "": it is */
    char read_only[WHY_SIZE]; /* why it takes no updates; "": it does */
    buf_t reply;              /* what report borrows from */
    files_report_t report;
    bool has_report;
} subject_t;

struct files {
    survey_t *survey;
    subject_t *subjects;
    size_t count;
};

/* ---- who is asked ---- */

static subject_t *find_subject(const files_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->subjects[i].incarnation == incarnation)
            return &self->subjects[i];
    return NULL;
}

static const char *unfit(const control_node_t *node)
{
    if (node->is_joining)
        return "takes over the state of another";
    if (!node->is_ready)
        return "is still starting";
    if (!control_has_count(node->counts_at, KNOWS))
        return "is of an older version, which cannot";
    return "";
}

static int by_id(const void *a, const void *b)
{
    const subject_t *one = a;
    const subject_t *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

static void choose_subjects(files_t *self)
{
    const survey_member_t *member;
    self->subjects = mem_zero(SURVEY_MEMBERS_MAX, sizeof(*self->subjects));
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        const control_node_t *node = &member->node;
        if (!member->has_answered || member->kind != CONTROL_NODE ||
            find_subject(self, node->incarnation) != NULL)
            continue;
        subject_t *subject = &self->subjects[self->count++];
        subject->member = i;
        subject->id = node->id;
        subject->incarnation = node->incarnation;
        snprintf(subject->why, WHY_SIZE, "%s", unfit(node));
        snprintf(subject->read_only, WHY_SIZE, "%.*s", (int)node->read_only.size,
                 (const char *)node->read_only.data);
    }
    qsort(self->subjects, self->count, sizeof(*self->subjects), by_id);
}

/* ---- asking ---- */

static bool is_open(const subject_t *subject)
{
    return subject->why[0] == '\0' && (!subject->has_report || subject->report.state != FILES_DONE);
}

static int ask(const files_t *self, subject_t *subject, files_ask_t how, int64_t deadline_ms)
{
    const control_request_t request = {.command = CONTROL_FILES, .piece = {.part = how}};
    const survey_member_t *member = survey_member(self->survey, subject->member);
    buf_t document = {0};
    outcome_t outcome;
    char text[ERR_TEXT_SIZE];
    int rc = survey_request(self->survey, member, &request, survey_patience(deadline_ms), &outcome,
                            text, &document);
    if (rc > 0 && net_now().boot_ms < deadline_ms)
        snprintf(subject->why, WHY_SIZE, "stopped answering");
    if (rc == 0 && outcome != OUTCOME_OK)
        snprintf(subject->why, WHY_SIZE, "cannot: %.150s", text);
    if (rc == 0 && outcome == OUTCOME_OK) {
        buf_reset(&subject->reply);
        buf_append_slice(&subject->reply, buf_slice(&document));
        subject->has_report = files_report_read(buf_slice(&subject->reply), &subject->report) &&
                              subject->report.incarnation == subject->incarnation;
        if (!subject->has_report)
            snprintf(subject->why, WHY_SIZE, "was started again meanwhile");
    }
    buf_free(&document);
    return rc < 0 ? -1 : 0;
}

/* All that are not done, once. *open gets how many are not done then; -1 after a signal. */
static int ask_all(const files_t *self, files_ask_t how, int64_t deadline_ms, size_t *open)
{
    *open = 0;
    for (size_t i = 0; i < self->count; i++) {
        subject_t *subject = &self->subjects[i];
        if (is_open(subject) && ask(self, subject, how, deadline_ms) != 0)
            return -1;
        *open += is_open(subject);
    }
    return 0;
}

int files_begin(files_t **out, survey_t *survey, int64_t deadline_ms)
{
    files_t *self = mem_zero(1, sizeof(*self));
    size_t open;
    self->survey = survey;
    choose_subjects(self);
    *out = self;
    return ask_all(self, FILES_BEGIN, deadline_ms, &open);
}

int files_finish(files_t *self, int64_t deadline_ms)
{
    for (;;) {
        size_t open;
        if (ask_all(self, FILES_TELL, deadline_ms, &open) != 0)
            return -1;
        int64_t now_ms = net_now().boot_ms;
        if (open == 0 || now_ms >= deadline_ms)
            return 0;
        if (survey_idle(self->survey, time_earlier(now_ms + AGAIN_MS, deadline_ms)) != 0)
            return -1;
    }
}

void files_destroy(files_t **self_p)
{
    files_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++)
        buf_free(&self->subjects[i].reply);
    free(self->subjects);
    free(self);
}

/* ---- the result ---- */

typedef enum verdict {
    VERDICT_WHOLE,
    VERDICT_DAMAGED,
    VERDICT_UNREAD, /* not all could be read */
    VERDICT_READING,
    VERDICT_NOT_CHECKED,
} verdict_t;

static const char *const verdict_names[] = {
    [VERDICT_WHOLE] = "whole",
    [VERDICT_DAMAGED] = "damaged",
    [VERDICT_UNREAD] = "unread",
    [VERDICT_READING] = "reading",
    [VERDICT_NOT_CHECKED] = "not_checked",
};

static verdict_t verdict(const subject_t *subject)
{
    if (subject->has_report && subject->report.damaged != 0)
        return VERDICT_DAMAGED;
    if (subject->why[0] != '\0' || !subject->has_report)
        return VERDICT_NOT_CHECKED;
    if (subject->report.state == FILES_READING)
        return VERDICT_READING;
    return subject->report.findings != 0 ? VERDICT_UNREAD : VERDICT_WHOLE;
}

int files_exit(const files_t *self)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < self->count; i++) {
        switch (verdict(&self->subjects[i])) {
        case VERDICT_WHOLE:
            break;
        case VERDICT_DAMAGED:
            return EXIT_NO;
        case VERDICT_UNREAD:
        case VERDICT_NOT_CHECKED:
            code = outcome_exit(OUTCOME_NOT_REACHED);
            break;
        case VERDICT_READING:
            code = code != EXIT_DONE ? code : outcome_exit(OUTCOME_UNKNOWN);
            break;
        }
    }
    return code;
}

static void put_whole(const files_t *self, buf_t *out)
{
    uint64_t bytes = 0;
    size_t count = 0;
    size_t put = 0;
    for (size_t i = 0; i < self->count; i++)
        count += verdict(&self->subjects[i]) == VERDICT_WHOLE;
    if (count == 0)
        return;
    buf_append_text(out, count == 1 ? "files of node" : "files of nodes");
    for (size_t i = 0; i < self->count; i++) {
        const subject_t *subject = &self->subjects[i];
        if (verdict(subject) != VERDICT_WHOLE)
            continue;
        buf_printf(out, "%s %u", put == 0 ? "" : put + 1 == count ? " and" : ",", subject->id);
        bytes += subject->report.bytes;
        put++;
    }
    buf_printf(out, ", %.1f MiB: whole\n", (double)bytes / MIB);
}

/* What becomes of the damage. */
static void put_repair(const subject_t *subject, buf_t *out)
{
    switch (subject->report.state) {
    case FILES_READING:
        buf_printf(out, "node %u has not read all yet: ask again, or with a longer --timeout\n",
                   subject->id);
        break;
    case FILES_REPAIRING:
        buf_printf(out,
                   "node %u has it all in memory and is writing it anew%s%s; ask again whether it "
                   "is done\n",
                   subject->id, subject->read_only[0] != '\0' ? ", when it can: " : "",
                   subject->read_only);
        break;
    case FILES_DONE:
        buf_printf(
            out, "node %u made that good: it has it all in memory and wrote it to the disk anew\n",
            subject->id);
        break;
    }
}

static void put_findings(const subject_t *subject, buf_t *out)
{
    mp_t in = mp_open(subject->report.findings_at);
    files_finding_t finding;
    uint64_t put = 0;
    while (files_finding_next(&in, &finding)) {
        buf_printf(out, "%s: node %u: %.*s\n", finding.is_damage ? "damage" : "not read",
                   subject->id, (int)finding.text.size, (const char *)finding.text.data);
        put += finding.is_damage;
    }
    if (subject->report.damaged > put)
        buf_printf(out, "damage: node %u: and %" PRIu64 " places more\n", subject->id,
                   subject->report.damaged - put);
}

void files_put_text(const files_t *self, buf_t *out)
{
    put_whole(self, out);
    for (size_t i = 0; i < self->count; i++) {
        const subject_t *subject = &self->subjects[i];
        switch (verdict(subject)) {
        case VERDICT_WHOLE:
            break;
        case VERDICT_DAMAGED:
            put_findings(subject, out);
            put_repair(subject, out);
            break;
        case VERDICT_UNREAD:
            put_findings(subject, out);
            break;
        case VERDICT_READING:
            buf_printf(out,
                       "files of node %u: %.1f of %.1f MiB read, it goes on: ask again, or with a "
                       "longer --timeout\n",
                       subject->id, (double)subject->report.read / MIB,
                       (double)subject->report.bytes / MIB);
            break;
        case VERDICT_NOT_CHECKED:
            buf_printf(out, "files not checked: node %u %s\n", subject->id,
                       subject->why[0] != '\0' ? subject->why : "does not answer");
            break;
        }
    }
}

static void put_json_findings(const subject_t *subject, json_t *json)
{
    mp_t in = mp_open(subject->report.findings_at);
    files_finding_t finding;
    json_array(json, "findings");
    while (files_finding_next(&in, &finding)) {
        json_object(json, NULL);
        json_text(json, "weight", finding.is_damage ? "damage" : "unread");
        json_string(json, "file", finding.file);
        json_uint(json, "offset", finding.offset);
        json_string(json, "text", finding.text);
        json_end(json);
    }
    json_end(json);
}

void files_put_json(const files_t *self, json_t *json)
{
    json_array(json, "files");
    for (size_t i = 0; i < self->count; i++) {
        const subject_t *subject = &self->subjects[i];
        const files_report_t *report = &subject->report;
        json_object(json, NULL);
        json_uint(json, "id", subject->id);
        json_text(json, "state", verdict_names[verdict(subject)]);
        if (subject->why[0] != '\0')
            json_text(json, "why", subject->why);
        if (subject->has_report) {
            json_uint(json, "bytes", report->bytes);
            json_uint(json, "bytes_read", report->read);
            json_uint(json, "segments", report->segments);
            json_uint(json, "entries", report->entries);
            json_uint(json, "rows", report->rows);
            json_uint(json, "damaged", report->damaged);
            if (report->damaged != 0)
                json_bool(json, "repaired", report->state == FILES_DONE);
            put_json_findings(subject, json);
        }
        json_end(json);
    }
    json_end(json);
}
