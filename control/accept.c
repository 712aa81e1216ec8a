#include "control/accept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "bus/wire/mp.h"

/* What a node made of it. */
typedef struct answer {
    uint16_t id;
    bool has_answered;
    bool is_accepted;
    int64_t moved_ms;
    outcome_t outcome;
    char text[ERR_TEXT_SIZE];
} answer_t;

typedef struct answers {
    answer_t *list;
    size_t size;
} answers_t;

static int compare(const void *a, const void *b)
{
    const answer_t *one = a;
    const answer_t *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

/* Until it answers: it may have done it. */
static void expect(answers_t *self, const survey_member_t *member)
{
    answer_t *answer = &self->list[self->size++];

    *answer = (answer_t){.id = member->node.id, .outcome = OUTCOME_UNKNOWN};
    snprintf(answer->text, sizeof(answer->text),
             "it did not answer in time and may have accepted it; ask again");
}

static void take(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    answers_t *self = arg;
    mp_t in = mp_open(reply->document);

    for (size_t i = 0; i < self->size; i++) {
        answer_t *answer = &self->list[i];
        if (answer->id != member->node.id || answer->has_answered)
            continue;
        answer->has_answered = true;
        answer->outcome = reply->outcome;
        answer->is_accepted = reply->outcome == OUTCOME_OK && reply->document.size != 0;
        answer->moved_ms = answer->is_accepted ? mp_int(&in) : 0;
        snprintf(answer->text, sizeof(answer->text), "%.*s", (int)reply->text.size,
                 (const char *)reply->text.data);
        return;
    }
}

static int ask_one(answers_t *self, survey_t *survey, const survey_member_t *member,
                   const control_request_t *request, int64_t deadline_ms)
{
    control_reply_t reply = {0};
    char text[ERR_TEXT_SIZE];
    buf_t document = {0};

    expect(self, member);
    int rc = survey_request(survey, member, request, deadline_ms, &reply.outcome, text, &document);

    reply.text = slice_text(text);
    reply.document = buf_slice(&document);
    if (rc == 0)
        take(self, member, &reply);
    buf_free(&document);
    return rc < 0 ? -1 : 0;
}

static int ask_all(answers_t *self, survey_t *survey, const control_request_t *request,
                   int64_t deadline_ms)
{
    const survey_member_t *member;

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++)
        if (member->kind == CONTROL_NODE && member->has_answered)
            expect(self, member);
    if (self->size != 0)
        qsort(self->list, self->size, sizeof(*self->list), compare);
    return survey_ask(survey, request, CONTROL_NODE, deadline_ms, take, self);
}

static int exit_code(const answers_t *self)
{
    int code = EXIT_NO;

    for (size_t i = 0; i < self->size; i++)
        if (self->list[i].outcome != OUTCOME_OK)
            return outcome_exit(self->list[i].outcome);
        else if (self->list[i].is_accepted)
            code = EXIT_DONE;
    return code;
}

static void put_text(buf_t *out, const answers_t *self, uint16_t id)
{
    for (size_t i = 0; i < self->size; i++) {
        const answer_t *answer = &self->list[i];
        if (answer->is_accepted)
            buf_printf(out,
                       "node %u: accepted the clock of node %u, its own moved by %" PRId64
                       ".%03d s\n",
                       answer->id, id, answer->moved_ms / 1000, (int)(answer->moved_ms % 1000));
        else if (answer->outcome == OUTCOME_OK)
            buf_printf(out, "node %u: does not refuse the clock of node %u\n", answer->id, id);
        else
            buf_printf(out, "node %u: %s: %s\n", answer->id, outcome_name(answer->outcome),
                       answer->text);
    }
}

static void put_json(buf_t *out, const answers_t *self, uint16_t id)
{
    json_t json = json_open(out);

    json_object(&json, NULL);
    json_bool(&json, "ok", exit_code(self) == EXIT_DONE);
    json_uint(&json, "id", id);
    json_array(&json, "nodes");
    for (size_t i = 0; i < self->size; i++) {
        const answer_t *answer = &self->list[i];
        json_object(&json, NULL);
        json_uint(&json, "id", answer->id);
        json_bool(&json, "accepted", answer->is_accepted);
        json_int(&json, "moved_ms", answer->moved_ms);
        if (answer->outcome != OUTCOME_OK) {
            json_object(&json, "error");
            json_text(&json, "code", outcome_name(answer->outcome));
            json_text(&json, "message", answer->text);
            json_end(&json);
        }
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

int accept_clock(buf_t *out, survey_t *survey, const survey_member_t *only, uint16_t id,
                 bool as_json, int64_t deadline_ms)
{
    const control_request_t request = {.command = CONTROL_ACCEPT_CLOCK, .id = id};
    answers_t answers = {.list = mem_zero(SURVEY_MEMBERS_MAX, sizeof(answer_t))};

    int rc = only != NULL ? ask_one(&answers, survey, only, &request, deadline_ms)
                          : ask_all(&answers, survey, &request, deadline_ms);
    int code = exit_code(&answers);
    if (rc == 0 && as_json)
        put_json(out, &answers, id);
    else if (rc == 0)
        put_text(out, &answers, id);
    free(answers.list);
    return rc == 0 ? code : -1;
}
