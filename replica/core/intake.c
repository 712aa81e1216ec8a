/*
 * Intake: the checks that a request passes before it is executed, in this order, all again after a
 * wait: executed table, token, arguments, clock, floor, limits and type, visibility. (The epoch was
 * looked at when the request came, in session.c.) It is the processing of updates and queries of
 * Ladin et al. 1992, section 3.1, where these are asked in turn: inval, the label, the log.
 */
#include "replica/core/internal.h"

/* n: our update that the answer acknowledges, 0: none. */
static void answer(replica_t *self, session_t *session, const request_t *request, reply_t *reply,
                   const vec_t *token, uint64_t n)
{
    reply->session = request->session;
    reply->epoch = request->epoch;
    reply->seq = request->seq;
    reply->clock = replica_clock(self);
    session_reply(self, session, reply, token, n, request->whole.size);
}

static const vec_t no_token = {0};

static void refuse(replica_t *self, session_t *session, const request_t *request, outcome_t outcome,
                   const char *why)
{
    session->refused = request->seq;
    buf_reset(&self->value);
    mp_put_text(&self->value, why);
    reply_t reply = {.outcome = outcome, .value = buf_slice(&self->value)};
    answer(self, session, request, &reply, &no_token, 0);
}

/* What an answer tells of the token begins with who has left, once. */
static void begin_difference(replica_t *self, session_t *session)
{
    vec_reset(&self->difference);
    if (session->told_left == self->left_serial)
        return;
    session->told_left = self->left_serial;
    vec_merge(&self->difference, &self->left);
}

/* Adds to the session's token what it saw; self->difference becomes what is new in that. */
static void see(replica_t *self, session_t *session, const vec_t *dots)
{
    for (uint32_t i = 0; i < dots->size; i++)
        if (vec_raise(&session->token, dots->parts[i].incarnation, dots->parts[i].count))
            vec_raise(&self->difference, dots->parts[i].incarnation, dots->parts[i].count);
}

/*
 * True when the answer is not from before something that the session has seen: then the values it
 * is told would go back. Such a copy of the update was executed at a replica that the session has
 * left since, and another copy, or what the session issued before it, elsewhere.
 */
static bool is_up_to_date(const replica_t *self, const session_t *session,
                          const executed_hit_t *hit)
{
    if (hit->deps == NULL)
        return true;
    for (uint32_t i = 0; i < session->token.size; i++) {
        vec_part_t part = session->token.parts[i];
        uint64_t seen = part.incarnation == hit->dot.incarnation
                            ? hit->dot.count
                            : vec_get(hit->deps, part.incarnation);
        if (seen < part.count && vec_get(&self->ended, part.incarnation) < part.count)
            return false;
    }
    return true;
}

/* An update that was executed before gets the same answer again. True when that settles it. */
static bool answer_from_table(replica_t *self, session_t *session, const request_t *request)
{
    executed_hit_t hit;
    switch (executed_find(self->executed, session->id, request->seq, &hit)) {
    case EXECUTED_NOT:
        return false;
    case EXECUTED_BELOW_FLOOR:
        refuse(self, session, request, OUTCOME_CLASH, "this request was answered and acknowledged");
        return true;
    case EXECUTED_PASSED:
        refuse(self, session, request, OUTCOME_UNKNOWN,
               "an update that was issued after this one was executed without it: it may have been "
               "applied elsewhere");
        return true;
    case EXECUTED_FULL:
        session_turn_back(self, session, request, OUTCOME_BUSY); /* too many unacknowledged */
        return true;
    case EXECUTED_HIT:
        break;
    }
    if (hit.tag.hlc != request->hlc) {
        refuse(self, session, request, OUTCOME_CLASH,
               "another update was executed under this client id and number: two processes share a "
               "client id");
        return true;
    }
    if (slice_equal(hit.result, record_nothing())) {
        refuse(self, session, request, OUTCOME_LOST,
               "the replica that had taken the update was left out of the cluster and came back "
               "too late: the file lost+found of another replica has it");
        return true;
    }
    if (!is_up_to_date(self, session, &hit)) {
        refuse(self, session, request, OUTCOME_UNKNOWN,
               "the update was applied, and its answer is from before what the session has seen "
               "since: read what it shows now");
        return true;
    }
    self->counts.retries++;
    begin_difference(self, session);
    if (vec_raise(&session->token, hit.dot.incarnation, hit.dot.count))
        vec_raise(&self->difference, hit.dot.incarnation, hit.dot.count);
    bool is_ours = hit.dot.incarnation == self->config.incarnation;
    reply_t reply = {
        .outcome = OUTCOME_OK,
        .value = hit.result,
        .copies = gossip_copies(self, hit.dot),
    };
    answer(self, session, request, &reply, &self->difference, is_ours ? hit.dot.count : 0);
    return true;
}

/* Merges what the request brings of its token. False when it is malformed or grows too great. */
static bool take_token(replica_t *self, session_t *session, const request_t *request)
{
    if (!request->has_token)
        return true;
    session->clock = hlc_max(session->clock, request->token_clock);
    mp_t in = mp_open(request->token);
    mp_vector(&in, &self->vector);
    if (!mp_ok(&in))
        return false;
    stability_take_token(self, session, &self->vector);
    vec_merge(&self->vector, &session->token);
    if (self->vector.size > VEC_PARTS_MAX)
        return false;
    vec_copy(&session->token, &self->vector);
    return true;
}

/* No tag or clock may run far ahead of this replica: it would win over everything for long. */
static bool is_too_far_ahead(replica_t *self, hlc_t hlc)
{
    return hlc > hlc_add_ms(replica_clock(self), self->config.max_drift_ms);
}

/* Now and then, however many such requests come. */
static void note_clock(replica_t *self, hlc_t hlc)
{
    enum { NOTE_MS = 10000 };
    if (self->now.boot_ms < self->clock_note_ms)
        return;
    self->clock_note_ms = self->now.boot_ms + NOTE_MS;
    replica_note(self, NOTE_WARN, "[clock] request refused, its clock runs ahead ahead_ms=%lld",
                 (long long)(hlc_ms(hlc) - hlc_ms(replica_clock(self))));
}

/* Each start of a node that takes updates adds a part to every vector; there is an end to that. */
static bool has_room_for_us(const replica_t *self)
{
    return vec_get(&self->applied, self->config.incarnation) != 0 ||
           self->applied.size - self->ended.size < REPLICA_PARTS_MAX;
}

/*
 * What the session has seen, but for what an earlier update of ours names: nobody applies this one
 * before that one. Neighbours in the log mostly share what they name, and a part is up to 18 bytes
 * in each log. Where the answer is a read, all is named: a retry compares with what it had seen.
 */
static void name_deps(replica_t *self, const session_t *session, record_t *record)
{
    vec_copy(&record->deps, &session->token);
    vec_set(&record->deps, record->origin, 0);
    if (!executed_tells_of_a_read(record->result))
        vec_leave_out(&record->deps, &self->named);
    vec_merge(&self->named, &record->deps);
}

static void execute_update(replica_t *self, session_t *session, const request_t *request, tag_t tag)
{
    buf_reset(&self->ops);
    mp_put_array(&self->ops, (uint32_t)self->op_count);
    for (size_t i = 0; i < self->op_count; i++)
        op_put(&self->ops, &self->op_list[i]);
    uint64_t own = self->config.incarnation;
    record_t *record = &self->record;
    record->origin = own;
    record->n = vec_get(&self->applied, own) + 1;
    record->tag = tag;
    record->floor = request->floor < request->seq ? request->floor : request->seq - 1;
    record->result = buf_slice(&self->value);
    record->ops = buf_slice(&self->ops);
    vec_leave_out(&session->token, &self->ended);
    name_deps(self, session, record);
    if (!self->lineage_is_fixed)
        replica_fix_lineage(self, self->lineage);
    buf_reset(&self->encoded);
    record_put(&self->encoded, record);
    slice_t raw = buf_slice(&self->encoded);
    replica_apply(self, record, raw);
    self->counts.updates++;
    self->turn.own_head = record->n;
    if (raw.size > PEER_BATCH_TARGET) {
        self->turn.own_skipped = true; /* announced by the head alone; the peers pull it */
    } else {
        buf_append_slice(&self->turn.own, raw);
        self->turn.own_count++;
    }
    vec_raise(&session->token, own, record->n);
    vec_raise(&self->difference, own, record->n);
}

static void execute(replica_t *self, session_t *session, const request_t *request,
                    const command_t *command)
{
    command_run_t run = {
        .request = request,
        .tag = {request->hlc, session->id, request->seq},
        .why = "",
    };
    seen_reset(&self->seen);
    outcome_t outcome = command_run(self, &run);
    if (outcome == OUTCOME_OK && run.hides) {
        session_turn_back(self, session, request, OUTCOME_RETAG);
        return;
    }
    if (outcome != OUTCOME_OK) {
        if ((request->flags & REQUEST_FRESH) == 0)
            session->refused = request->seq;
        buf_reset(&self->value);
        mp_put_text(&self->value, run.why);
    }
    begin_difference(self, session);
    see(self, session, &self->seen.dots);
    bool is_update = outcome == OUTCOME_OK && command->is_update;
    if (is_update)
        execute_update(self, session, request, run.tag);
    else
        self->counts.reads++;
    reply_t reply = {
        .outcome = outcome,
        .value = buf_slice(&self->value),
        .seen_base = self->seen.base,
        .seen_any = self->seen.any,
    };
    answer(self, session, request, &reply, &self->difference, is_update ? self->turn.own_head : 0);
}

/* What was forgotten of it cannot be told from what never came. */
static void refuse_too_old(replica_t *self, session_t *session, const request_t *request)
{
    if ((request->flags & REQUEST_FRESH) != 0) {
        session_turn_back(self, session, request, OUTCOME_RETAG);
        return;
    }
    self->counts.too_old++;
    refuse(self, session, request, OUTCOME_TOO_OLD,
           "the update is older than --retry-horizon: whether it was applied is not known any "
           "more; look, and send it as a new one if it was not");
}

/* What frees memory, in the end, is always taken. */
static bool takes_away(const command_t *command)
{
    return command->code == COMMAND_DEL || command->code == COMMAND_HDEL ||
           command->code == COMMAND_SREM || command->code == COMMAND_EXPIRE;
}

/*
 * Something issued before it was refused, and the client need not know that yet: if the answer is
 * lost it sends both again, perhaps to a replica that takes the first one, which would then be
 * executed after the second. What the data refuses when it is sent for the first time does not
 * count: errors of that kind are common, and who sends it again without an answer is told so.
 */
static bool is_behind_a_refusal(const session_t *session, const request_t *request)
{
    return request->floor < session->refused && session->refused < request->seq;
}

intake_result_t intake_request(replica_t *self, session_t *session, const request_t *request)
{
    const command_t *command = command_by_code(request->command);
    if (command == NULL) {
        refuse(self, session, request, OUTCOME_USAGE,
               "this replica does not know the command: it is of an older version");
        return INTAKE_ANSWERED;
    }
    /* It holds for what follows, also when the table has the answer. */
    bool is_token_good = take_token(self, session, request);
    if (command->is_update && answer_from_table(self, session, request))
        return INTAKE_ANSWERED;
    if (!is_token_good) {
        refuse(self, session, request, OUTCOME_USAGE,
               "the token is malformed or has too many parts");
        return INTAKE_ANSWERED;
    }
    if (!vec_covers(&self->applied, &session->token) || stability_has_left(self, session))
        return INTAKE_WAIT;
    vec_part_t lost;
    if (lost_find(&self->lost, &session->token, &lost)) {
        session_miss(self, session, request);
        return INTAKE_ANSWERED;
    }
    if (!command_takes(command, request->arguments) ||
        (command->is_update && (request->hlc == 0 || request->seq == 0))) {
        refuse(self, session, request, OUTCOME_USAGE, "wrong number of arguments");
        return INTAKE_ANSWERED;
    }
    hlc_t clock = hlc_max(request->hlc, session->clock);
    if (is_too_far_ahead(self, clock)) {
        note_clock(self, clock);
        refuse(self, session, request, OUTCOME_CLOCK,
               "the request's clock is further ahead of the replica's than --max-drift allows: set "
               "the machines' clocks");
        return INTAKE_ANSWERED;
    }
    replica_clock_raise(self, session->clock);
    if (command->is_update && !has_room_for_us(self)) {
        refuse(self, session, request, OUTCOME_READ_ONLY,
               "this cluster's nodes have been started too often for their vector timestamps: this "
               "start takes no updates; use a node that is up already");
        return INTAKE_ANSWERED;
    }
    if (command->is_update && self->is_read_only) {
        refuse(self, session, request, OUTCOME_READ_ONLY, self->read_only);
        return INTAKE_ANSWERED;
    }
    if (command->is_update && self->is_full && !takes_away(command)) {
        refuse(self, session, request, OUTCOME_FULL,
               "this replica has as much in memory as --max-memory allows: delete something, or "
               "start it with more");
        return INTAKE_ANSWERED;
    }
    if (command->is_update && self->log_is_full) {
        refuse(self, session, request, OUTCOME_READ_ONLY,
               "the update log is full (--log-max) and a member that lacks some of it is out of "
               "reach: bring it back, or forget it with hearsayctl");
        return INTAKE_ANSWERED;
    }
    if (command->is_update && request->hlc <= self->floor) {
        refuse_too_old(self, session, request);
        return INTAKE_ANSWERED;
    }
    if (command->is_update && is_behind_a_refusal(session, request))
        session_turn_back(self, session, request, OUTCOME_RETAG);
    else
        execute(self, session, request, command);
    return INTAKE_ANSWERED;
}
