/*
 * What the core tells of requests and updates while somebody follows. Callers ask is_traced()
 * first, so that nothing is made up for nobody.
 */
#include <stdio.h>

#include "replica/core/internal.h"

void replica_set_trace(replica_t *self, replica_trace_fn *fn, void *arg)
{
    self->trace = fn;
    self->trace_arg = arg;
}

/* The first argument, which most commands call KEY. */
static slice_t first_argument(const request_t *request)
{
    mp_t in = mp_open(request->arguments_at);
    return request->arguments != 0 ? mp_bytes(&in) : slice_of(NULL, 0);
}

void trace_request(replica_t *self, trace_kind_t kind, const request_t *request)
{
    const command_t *command = command_by_code(request->command);
    const trace_item_t item = {
        .kind = kind,
        .session = request->session,
        .seq = request->seq,
        .key = first_argument(request),
        .text = slice_text(command != NULL ? command->name : "?"),
    };
    self->trace(self->trace_arg, &item);
}

/* "lacks INCARNATION:N": the first update of what must be there and is not. */
static const char *put_lacking(char *text, size_t size, const vec_t *applied, const vec_t *deps)
{
    vec_part_t lacking = {0};

    vec_covers_or(applied, deps, &lacking);
    snprintf(text, size, "lacks %016llx:%llu", (unsigned long long)lacking.incarnation,
             (unsigned long long)lacking.count);
    return text;
}

void trace_waiting(replica_t *self, const session_t *session, const request_t *request)
{
    char text[TRACE_TEXT_MAX];
    const trace_item_t item = {
        .kind = TRACE_WAITING,
        .session = request->session,
        .seq = request->seq,
        .key = first_argument(request),
        .text = slice_text(put_lacking(text, sizeof text, &self->applied, &session->token)),
    };
    self->trace(self->trace_arg, &item);
}

void trace_reply(replica_t *self, slice_t encoded)
{
    mp_t in = mp_open(encoded);
    char text[TRACE_TEXT_MAX];
    reply_t reply;

    if (!reply_read(&in, &reply))
        return;
    snprintf(text, sizeof text, "%s copies=%u", outcome_name(reply.outcome), reply.copies);
    const trace_item_t item = {
        .kind = TRACE_REPLIED,
        .session = reply.session,
        .seq = reply.seq,
        .text = slice_text(text),
    };
    self->trace(self->trace_arg, &item);
}

/* The key of the first operation; an update has at least one. */
static slice_t first_key(const record_t *record)
{
    mp_t in = mp_open(record->ops);
    op_t op;

    return mp_array(&in, OPS_MAX) != 0 && op_read(&in, &op) ? op.key : slice_of(NULL, 0);
}

void trace_update(replica_t *self, trace_kind_t kind, const record_t *record)
{
    char text[TRACE_TEXT_MAX] = "";
    bool waits = kind == TRACE_UPDATE_HELD || kind == TRACE_UPDATE_REFUSED;
    vec_part_t before = {record->origin, record->n - 1};

    if (waits && vec_get(&self->applied, before.incarnation) < before.count)
        snprintf(text, sizeof text, "lacks %016llx:%llu", (unsigned long long)before.incarnation,
                 (unsigned long long)before.count);
    else if (waits)
        put_lacking(text, sizeof text, &self->applied, &record->deps);
    const trace_item_t item = {
        .kind = kind,
        .update = {record->origin, record->n},
        .session = record->tag.client,
        .seq = record->tag.seq,
        .key = first_key(record),
        .text = slice_text(text),
    };
    self->trace(self->trace_arg, &item);
}
