/*
 * Brokers' links, their clients' connections, sessions, and the replies to them.
 *
 * Every request item gets exactly one reply item, so that a broker can count what is in flight
 * without knowing requests. Replies of a turn are grouped by connection. What a session is promised
 * is of Terry et al., Session Guarantees for Weakly Consistent Replicated Data, PDIS 1994.
 */
#include <stdlib.h>
#include <string.h>

#include "replica/core/internal.h"

#include <utlist.h>

enum { ARRAY_HEAD_SIZE = 5 }; /* array 32: its count is filled in when the frame is closed */

/* ---- links ---- */

static link_t *find_link(const replica_t *self, uint32_t id)
{
    link_t *link;
    HASH_FIND(hh, self->links, &id, sizeof id, link);
    return link;
}

static void emit_frame(replica_t *self, uint32_t link, const frame_t *frame, slice_t body)
{
    size_t offset = frame_begin(&self->arena, frame);
    buf_append_slice(&self->arena, body);
    replica_emit(self, REPLICA_TO_SERVICE, link, offset);
}

static void free_waiting(replica_t *self, session_t *session, waiting_t *waiting)
{
    DL_DELETE2(session->waiting, waiting, previous, next);
    self->waiting_count--;
    self->waiting_bytes -= waiting->size;
    free(waiting);
    if (session->waiting == NULL && session->is_waiting) {
        DL_DELETE2(self->waiters, session, previous_waiter, next_waiter);
        session->is_waiting = false;
    }
}

/* Its connection is going too, or what waits was answered. */
static void free_held(replica_t *self, session_t *session, held_reply_t *held)
{
    DL_DELETE2(session->held, held, previous, next);
    self->held_bytes -= held->size;
    free(held);
    if (session->held == NULL && session->is_holding) {
        DL_DELETE2(self->holders, session, previous_holder, next_holder);
        session->is_holding = false;
    }
}

static void free_session(replica_t *self, session_t *session)
{
    while (session->waiting != NULL)
        free_waiting(self, session, session->waiting);
    while (session->held != NULL)
        free_held(self, session, session->held);
    DL_DELETE2(session->conn->sessions, session, previous_in_conn, next_in_conn);
    HASH_DELETE(hh, self->sessions, session);
    vec_free(&session->token);
    free(session);
}

static void free_conn(replica_t *self, conn_t *conn)
{
    while (conn->sessions != NULL)
        free_session(self, conn->sessions);
    if (conn->is_dirty) {
        conn_t **at = &self->dirty;
        while (*at != conn)
            at = &(*at)->next_dirty;
        *at = conn->next_dirty;
    }
    HASH_DELETE(hh, conn->link->conns, conn);
    buf_free(&conn->out);
    free(conn);
}

static void free_link(replica_t *self, link_t *link)
{
    while (link->conns != NULL)
        free_conn(self, link->conns);
    HASH_DELETE(hh, self->links, link);
    free(link);
}

void sessions_free(replica_t *self)
{
    while (self->links != NULL)
        free_link(self, self->links);
}

static link_status_t status_of(replica_t *self)
{
    return (link_status_t){
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .lineage = self->lineage_is_fixed ? self->lineage : 0,
        .status = (uint8_t)self->status,
        .serial = self->serial,
        .clock = replica_clock(self),
    };
}

static void send_status(replica_t *self, const link_t *link, frame_kind_t kind, uint16_t reason)
{
    const frame_t frame = {
        .kind = (uint8_t)kind,
        .reason = reason,
        .slot = FRAME_SLOT_LINK,
        .route = link->key,
        .window = REPLICA_WINDOW,
    };
    size_t offset = frame_begin(&self->arena, &frame);
    link_status_t status = status_of(self);
    link_status_put(&self->arena, &status, stability_wire(self, &self->applied));
    replica_emit(self, REPLICA_TO_SERVICE, link->id, offset);
}

/* A broker that says HELLO for itself. */
static void greet_link(replica_t *self, uint32_t id, slice_t body)
{
    link_hello_t hello;
    if (!link_hello_read(body, &hello) || hello.cluster != self->config.cluster) {
        self->counts.foreign++;
        return;
    }
    if (hello.wanted != 0 && hello.wanted != self->config.incarnation) {
        /* It means one that was here before: it has to learn of us first. */
        const frame_t bye = {.kind = FRAME_BYE, .slot = FRAME_SLOT_LINK};
        emit_frame(self, id, &bye, slice_of(NULL, 0));
        return;
    }
    if (!replica_is_ready(self))
        return; /* it says HELLO again */
    link_t *link = find_link(self, id);
    if (link == NULL) {
        if (HASH_COUNT(self->links) >= REPLICA_LINKS_MAX) {
            self->counts.busy++;
            return;
        }
        link = mem_zero(1, sizeof *link);
        link->id = id;
        link->key = (uint32_t)random_u64(&self->random);
        HASH_ADD(hh, self->links, id, sizeof link->id, link);
        replica_note(self, NOTE_INFO, "[broker-join] broker joined incarnation=%016llx",
                     (unsigned long long)hello.incarnation);
    }
    link->broker = hello.incarnation;
    link->confirmed = self->serial; /* WELCOME tells it */
    link->heard_ms = self->now.boot_ms;
    send_status(self, link, FRAME_WELCOME, OUTCOME_OK);
}

void sessions_push_status(replica_t *self)
{
    link_t *link;
    link_t *next;
    HASH_ITER(hh, self->links, link, next)
    {
        send_status(self, link, FRAME_STATUS, OUTCOME_OK);
    }
}

bool replica_status_is_confirmed(const replica_t *self)
{
    link_t *link;
    link_t *next;
    HASH_ITER(hh, self->links, link, next)
    {
        if (link->confirmed < self->serial)
            return false;
    }
    return true;
}

/* ---- replies ---- */

static void flush_conn(replica_t *self, conn_t *conn)
{
    if (conn->items == 0)
        return;
    const frame_t frame = {
        .kind = FRAME_REPLY,
        .items = conn->items,
        .slot = conn->slot,
        .generation = conn->generation,
        .route = conn->link->key,
        .window = conn->answered,
    };
    frame_write(conn->out.data, &frame);
    conn->out.data[FRAME_HEADER_SIZE] = 0xDD; /* array 32 */
    be32_put(conn->out.data + FRAME_HEADER_SIZE + 1, conn->items);
    size_t offset = self->arena.size;
    buf_append_slice(&self->arena, buf_slice(&conn->out));
    replica_emit(self, REPLICA_TO_SERVICE, conn->link->id, offset);
    buf_reset(&conn->out);
    conn->items = 0;
    conn->answered = 0;
}

/* Puts one encoded reply item into the frame of its connection. */
static void put_item(replica_t *self, conn_t *conn, slice_t item, size_t request_size)
{
    if (conn->out.size == 0) {
        buf_reserve(&conn->out, FRAME_HEADER_SIZE + ARRAY_HEAD_SIZE);
        conn->out.size = FRAME_HEADER_SIZE + ARRAY_HEAD_SIZE;
    }
    if (is_traced(self))
        trace_reply(self, item);
    buf_append_slice(&conn->out, item);
    conn->items++;
    conn->answered += (uint32_t)request_size;
    if (!conn->is_dirty) {
        conn->is_dirty = true;
        conn->next_dirty = self->dirty;
        self->dirty = conn;
    }
    if (conn->items == FRAME_ITEMS_MAX || conn->out.size >= FRAME_BODY_TARGET)
        flush_conn(self, conn);
}

/* ---- replies that wait for copies ---- */

static uint16_t copies_of_ours(const replica_t *self, uint64_t n)
{
    return gossip_copies(self, (vec_part_t){self->config.incarnation, n});
}

/* Sends what has its copies, or has waited long enough; the rest stays behind it, in order. */
static void release_held(replica_t *self, session_t *session, bool is_forced)
{
    while (session->held != NULL) {
        held_reply_t *held = session->held;
        if (held->position > self->synced_to)
            return; /* not even late: with --sync always nothing else was promised */
        if (held->n != 0) {
            uint16_t copies = copies_of_ours(self, held->n);
            bool is_late = is_forced || self->now.boot_ms >= held->deadline_ms;
            if (copies < gossip_copies_wanted(self) && !is_late)
                return;
            self->counts.acks_late += copies < gossip_copies_wanted(self);
            held->bytes[held->copies_at] =
                (uint8_t)(copies < REPLY_COPIES_MAX ? copies : REPLY_COPIES_MAX);
        }
        put_item(self, session->conn, slice_of(held->bytes, held->size), held->request_size);
        free_held(self, session, held);
    }
}

static void hold(replica_t *self, session_t *session, slice_t item, uint64_t n, uint64_t position,
                 size_t copies_at, size_t request_size)
{
    held_reply_t *held = mem_alloc(sizeof *held + item.size);
    *held = (held_reply_t){
        .n = n,
        .position = position,
        .deadline_ms = self->now.boot_ms + REPLICA_ACK_MS,
        .request_size = request_size,
        .copies_at = copies_at,
        .size = item.size,
    };
    memcpy(held->bytes, item.data, item.size);
    DL_APPEND2(session->held, held, previous, next);
    self->held_bytes += item.size;
    if (!session->is_holding) {
        session->is_holding = true;
        DL_APPEND2(self->holders, session, previous_holder, next_holder);
    }
    if (self->held_bytes > REPLICA_HELD_REPLIES_MAX)
        release_held(self, session, true);
}

void session_reply(replica_t *self, session_t *session, const reply_t *reply, const vec_t *token,
                   uint64_t n, size_t request_size)
{
    reply_t now = *reply;
    if (n != 0)
        now.copies = copies_of_ours(self, n);
    /* Also what another replica had accepted: we count as one of its copies. */
    uint64_t position = self->config.sync_always && now.copies != 0 ? self->log_end : 0;
    bool waits = n != 0 && (position != 0 || now.copies < gossip_copies_wanted(self));
    buf_reset(&self->reply);
    size_t copies_at = reply_put(&self->reply, &now, token);
    if (waits || position > self->synced_to || session->held != NULL)
        hold(self, session, buf_slice(&self->reply), waits ? n : 0, position, copies_at,
             request_size);
    else
        put_item(self, session->conn, buf_slice(&self->reply), request_size);
}

static const vec_t no_token = {0};

/* session: whose replies it must not overtake, NULL when it has none here. */
static void put_turned_back(replica_t *self, conn_t *conn, session_t *session,
                            const request_t *request, outcome_t why)
{
    const reply_t reply = {
        .session = request->session,
        .epoch = request->epoch,
        .seq = request->seq,
        .outcome = why,
        .clock = replica_clock(self),
    };
    self->counts.retagged += why == OUTCOME_RETAG;
    self->counts.behind += why == OUTCOME_BEHIND;
    self->counts.busy += why == OUTCOME_BUSY;
    self->counts.moved += why == OUTCOME_MOVED;
    if (session != NULL) {
        session_reply(self, session, &reply, &no_token, 0, request->whole.size);
        return;
    }
    buf_reset(&self->reply);
    reply_put(&self->reply, &reply, &no_token);
    put_item(self, conn, buf_slice(&self->reply), request->whole.size);
}

/* All that waits behind a request that is turned back goes the same way. */
static void turn_back_waiting(replica_t *self, session_t *session, outcome_t why)
{
    while (session->waiting != NULL) {
        waiting_t *waiting = session->waiting;
        mp_t in = mp_open(slice_of(waiting->bytes, waiting->size));
        request_t request;
        if (request_read(&in, &request))
            put_turned_back(self, session->conn, session, &request, why);
        free_waiting(self, session, waiting);
    }
}

void session_turn_back(replica_t *self, session_t *session, const request_t *request, outcome_t why)
{
    session->turned_back = why;
    put_turned_back(self, session->conn, session, request, why);
}

/* ---- requests ---- */

static bool keep_waiting(replica_t *self, session_t *session, const request_t *request)
{
    size_t size = request->whole.size;
    if (self->waiting_count >= REPLICA_WAITING_MAX ||
        self->waiting_bytes + size > REPLICA_WAITING_BYTES_MAX)
        return false;
    waiting_t *waiting = mem_alloc(sizeof *waiting + size);
    bool is_last_try = (request->flags & REQUEST_LAST_TRY) != 0;
    int64_t left_ms = request->left_ms;
    /* On its last try a request waits nearly as long as its caller does, else for a moment. */
    int64_t hold_ms = is_last_try ? left_ms - left_ms / 10 : REPLICA_HOLD_MS;
    *waiting = (waiting_t){
        .deadline_ms = self->now.boot_ms + (hold_ms < left_ms ? hold_ms : left_ms),
        .is_last_try = is_last_try,
        .size = size,
    };
    memcpy(waiting->bytes, request->whole.data, size);
    DL_APPEND2(session->waiting, waiting, previous, next);
    self->waiting_count++;
    self->waiting_bytes += size;
    if (!session->is_waiting) {
        session->is_waiting = true;
        DL_APPEND2(self->waiters, session, previous_waiter, next_waiter);
    }
    return true;
}

/* What the session has seen and this replica has not. */
static void explain_missing(const replica_t *self, const session_t *session, buf_t *text)
{
    vec_part_t part;
    if (!vec_covers_or(&self->applied, &session->token, &part))
        buf_printf(text,
                   "update %llu of replica incarnation %016llx, which this session has seen, has "
                   "not arrived here: bring back the node that has it and ask again, or go on "
                   "without it (--relax)",
                   (unsigned long long)part.count, (unsigned long long)part.incarnation);
    else if (lost_find(&self->lost, &session->token, &part))
        buf_printf(text,
                   "update %llu of replica incarnation %016llx, which this session has seen, is "
                   "lost: the node that had taken it was left out of the cluster; the file "
                   "lost+found of a node has it: begin a new session, or go on without it "
                   "(--relax)",
                   (unsigned long long)part.count, (unsigned long long)part.incarnation);
    else
        buf_append_text(text,
                        "the node was left out of the cluster, as this session has heard and the "
                        "node has not: connect it to the others and ask again, use another node, "
                        "or go on with what it has (--relax)");
}

void session_miss(replica_t *self, session_t *session, const request_t *request)
{
    /* With the answer goes as much of the token as is here: who relaxes goes on with that. */
    vec_reset(&self->difference);
    for (uint32_t i = 0; i < session->token.size; i++) {
        vec_part_t part = session->token.parts[i];
        uint64_t has = vec_get(&self->applied, part.incarnation);
        vec_raise(&self->difference, part.incarnation, has < part.count ? has : part.count);
    }
    lost_take_out(&self->lost, &self->difference);
    buf_t text = {0};
    explain_missing(self, session, &text);
    buf_reset(&self->value);
    mp_put_str(&self->value, buf_slice(&text));
    buf_free(&text);
    const reply_t reply = {
        .session = request->session,
        .epoch = request->epoch,
        .seq = request->seq,
        .outcome = OUTCOME_MISSING,
        .value = buf_slice(&self->value),
        .clock = replica_clock(self),
    };
    self->counts.missing++;
    session->refused = request->seq;
    session_reply(self, session, &reply, &self->difference, 0, request->whole.size);
}

/* The request at the head could not run in time. */
static void give_up(replica_t *self, session_t *session)
{
    waiting_t *waiting = session->waiting;
    mp_t in = mp_open(slice_of(waiting->bytes, waiting->size));
    request_t request;
    request_read(&in, &request);
    if (waiting->is_last_try) {
        session_miss(self, session, &request);
        free_waiting(self, session, waiting);
        return;
    }
    session_turn_back(self, session, &request, OUTCOME_BEHIND);
    free_waiting(self, session, waiting);
    turn_back_waiting(self, session, OUTCOME_BEHIND);
}

/* Runs what waits, in order, as far as it can run now. */
static void run_waiting(replica_t *self, session_t *session)
{
    while (session->waiting != NULL) {
        waiting_t *waiting = session->waiting;
        mp_t in = mp_open(slice_of(waiting->bytes, waiting->size));
        request_t request;
        request_read(&in, &request);
        if (intake_request(self, session, &request) == INTAKE_WAIT) {
            if (self->now.boot_ms < waiting->deadline_ms)
                return;
            give_up(self, session);
            continue;
        }
        free_waiting(self, session, waiting);
        if (session->turned_back != OUTCOME_OK)
            turn_back_waiting(self, session, session->turned_back);
    }
}

static void take_item(replica_t *self, conn_t *conn, const request_t *request)
{
    session_t *session;
    uint64_t id = request->session;
    self->counts.requests++;
    if (is_traced(self))
        trace_request(self, TRACE_RECEIVED, request);
    HASH_FIND(hh, self->sessions, &id, sizeof id, session);
    if (session == NULL || session->conn != conn || request->epoch < session->epoch) {
        put_turned_back(self, conn, NULL, request, OUTCOME_MOVED);
        return;
    }
    if (request->epoch > session->epoch) {
        session->epoch = request->epoch;
        session->turned_back = OUTCOME_OK;
        session->refused = 0;
    }
    if (session->turned_back != OUTCOME_OK) {
        put_turned_back(self, conn, session, request, session->turned_back);
        return;
    }
    if (!status_serves(self->status) || !replica_is_ready(self)) {
        session_turn_back(self, session, request, OUTCOME_MOVED);
        return;
    }
    if (session->waiting == NULL && intake_request(self, session, request) == INTAKE_ANSWERED)
        return;
    if (!keep_waiting(self, session, request)) {
        session_turn_back(self, session, request, OUTCOME_BUSY);
        return;
    }
    self->counts.waited++;
    if (is_traced(self))
        trace_waiting(self, session, request);
    if (session->waiting == session->waiting->previous) /* the first one: somebody may have it */
        gossip_pull_for_waiters(self);
}

static void take_request(replica_t *self, conn_t *conn, const frame_t *frame, slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    bool is_good = mp_ok(&in) && items == frame->items;
    request_t request;
    for (uint32_t i = 0; is_good && i < items; i++) {
        is_good = request_read(&in, &request);
        if (is_good)
            take_item(self, conn, &request);
    }
    /* Bytes behind the items would count as in flight at the broker for ever. */
    if (is_good && mp_done(&in)) {
        if (conn->sessions == NULL && !conn->is_dirty)
            free_conn(self, conn); /* it had no items, and nothing here */
        return;
    }
    /* What the rest of the frame meant cannot be known: the connection starts anew. */
    self->counts.malformed++;
    const frame_t bye = {.kind = FRAME_BYE,
                         .reason = OUTCOME_USAGE,
                         .slot = conn->slot,
                         .generation = conn->generation,
                         .route = conn->link->key};
    emit_frame(self, conn->link->id, &bye, slice_of(NULL, 0));
    free_conn(self, conn);
}

/* ---- sessions ---- */

static conn_t *find_conn(const link_t *link, const frame_t *frame)
{
    uint64_t name = (uint64_t)frame->slot << 32 | frame->generation;
    conn_t *conn;
    HASH_FIND(hh, link->conns, &name, sizeof name, conn);
    return conn;
}

static conn_t *get_conn(link_t *link, const frame_t *frame)
{
    conn_t *conn = find_conn(link, frame);
    if (conn != NULL)
        return conn;
    conn = mem_zero(1, sizeof *conn);
    conn->link = link;
    conn->slot = frame->slot;
    conn->generation = frame->generation;
    conn->name = (uint64_t)frame->slot << 32 | frame->generation;
    HASH_ADD(hh, link->conns, name, sizeof conn->name, conn);
    return conn;
}

/* Why a session cannot be opened here; OK when it can. */
static outcome_t refusal(const replica_t *self, const session_hello_t *hello, const vec_t *token,
                         const char **why)
{
    if (hello->cluster != self->config.cluster) {
        *why = "this broker serves another cluster: see --cluster";
        return OUTCOME_DENIED;
    }
    if (hello->lineage != 0 && token->size != 0 && self->lineage_is_fixed &&
        hello->lineage != self->lineage) {
        *why = "the session's token is of other data than this cluster's (another lineage): start "
               "a new session with --session NAME, or remove its session file";
        return OUTCOME_DENIED;
    }
    if (!status_serves(self->status) || !replica_is_ready(self)) {
        *why = "the replica takes no sessions: it is draining, offline or about to end";
        return OUTCOME_NOT_REACHED;
    }
    if (HASH_COUNT(self->sessions) >= REPLICA_SESSIONS_MAX) {
        *why = "the replica has as many sessions as it takes: try again later";
        return OUTCOME_BUSY;
    }
    *why = "";
    return OUTCOME_OK;
}

/* Ends a session alone: what waits is answered, and a connection that had no other goes with it. */
static void end_session(replica_t *self, session_t *session)
{
    conn_t *conn = session->conn;
    turn_back_waiting(self, session, OUTCOME_MOVED);
    release_held(self, session, true);
    free_session(self, session);
    if (conn->sessions == NULL && !conn->is_dirty)
        free_conn(self, conn);
}

static session_t *open_session(replica_t *self, link_t *link, const frame_t *frame, uint64_t id)
{
    session_t *session;
    HASH_FIND(hh, self->sessions, &id, sizeof id, session);
    if (session != NULL)
        end_session(self, session); /* begun anew, or come by another way */
    conn_t *conn = get_conn(link, frame);
    session = mem_zero(1, sizeof *session);
    session->id = id;
    session->conn = conn;
    DL_APPEND2(conn->sessions, session, previous_in_conn, next_in_conn);
    HASH_ADD(hh, self->sessions, id, sizeof session->id, session);
    return session;
}

static void take_session_hello(replica_t *self, link_t *link, const frame_t *frame, slice_t body)
{
    session_hello_t hello;
    const char *why = "the HELLO is malformed";
    outcome_t outcome = OUTCOME_USAGE;
    vec_reset(&self->vector);
    if (session_hello_read(body, &hello)) {
        mp_t token = mp_open(hello.token);
        mp_vector(&token, &self->vector);
        if (mp_ok(&token))
            outcome = refusal(self, &hello, &self->vector, &why);
    } else {
        hello = (session_hello_t){0};
        self->counts.malformed++;
    }
    if (outcome == OUTCOME_OK) {
        session_t *session = open_session(self, link, frame, hello.session);
        stability_take_token(self, session, &self->vector);
        vec_copy(&session->token, &self->vector);
        session->clock = hello.clock;
        replica_note(self, NOTE_INFO, "session opened session=%016llx sessions=%u",
                     (unsigned long long)hello.session, HASH_COUNT(self->sessions));
    }
    const session_welcome_t welcome = {
        .session = hello.session,
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .lineage = self->lineage_is_fixed ? self->lineage : 0,
        .clock = replica_clock(self),
        .text = slice_text(why),
    };
    const frame_t answer = {
        .kind = FRAME_WELCOME,
        .reason = (uint16_t)outcome,
        .slot = frame->slot,
        .generation = frame->generation,
        .route = link->key,
        .window = REPLICA_WINDOW,
        .message = frame->message,
    };
    size_t offset = frame_begin(&self->arena, &answer);
    session_welcome_put(&self->arena, &welcome);
    replica_emit(self, REPLICA_TO_SERVICE, link->id, offset);
}

static void take_bye(replica_t *self, link_t *link, const frame_t *frame, slice_t body)
{
    if (frame->slot == FRAME_SLOT_LINK) {
        free_link(self, link);
        return;
    }
    conn_t *conn = find_conn(link, frame);
    if (conn == NULL)
        return;
    uint64_t id;
    session_t *session = NULL;
    if (body.size == 0) {
        free_conn(self, conn);
    } else if (session_bye_read(body, &id)) {
        HASH_FIND(hh, self->sessions, &id, sizeof id, session);
        if (session != NULL && session->conn == conn)
            end_session(self, session);
    }
}

/* ---- frames ---- */

static void take_link_frame(replica_t *self, link_t *link, const frame_t *frame, slice_t body)
{
    link_status_t status;
    if (frame->kind == FRAME_PING) {
        const frame_t pong = {
            .kind = FRAME_PING, .flags = FRAME_ANSWER, .slot = FRAME_SLOT_LINK, .route = link->key};
        emit_frame(self, link->id, &pong, slice_of(NULL, 0));
    } else if (frame->kind == FRAME_STATUS && link_status_read(body, &status)) {
        if (status.serial > link->confirmed && status.serial <= self->serial)
            link->confirmed = status.serial;
    } else if (frame->kind == FRAME_BYE) {
        take_bye(self, link, frame, body);
    } else {
        self->counts.malformed++;
    }
}

void replica_service(replica_t *self, now_t now, uint32_t id, slice_t message)
{
    replica_enter(self, now);
    frame_t frame;
    if (frame_read(message, &frame) != FRAME_GOOD) {
        self->counts.malformed++;
        return;
    }
    slice_t body = frame_body(message);
    if (frame.kind == FRAME_HELLO && frame.slot == FRAME_SLOT_LINK) {
        greet_link(self, id, body);
        return;
    }
    link_t *link = find_link(self, id);
    if (link == NULL || frame.route != link->key) {
        /* A broker that we do not know any more: it must say HELLO. */
        const frame_t bye = {.kind = FRAME_BYE, .slot = FRAME_SLOT_LINK};
        emit_frame(self, id, &bye, slice_of(NULL, 0));
        return;
    }
    link->heard_ms = now.boot_ms;
    if (frame.slot == FRAME_SLOT_LINK) {
        take_link_frame(self, link, &frame, body);
    } else if (frame.kind == FRAME_HELLO) {
        take_session_hello(self, link, &frame, body);
    } else if (frame.kind == FRAME_BYE) {
        take_bye(self, link, &frame, body);
    } else if (frame.kind == FRAME_REQUEST) {
        take_request(self, get_conn(link, &frame), &frame, body);
    } else {
        self->counts.malformed++;
    }
}

void replica_service_lost(replica_t *self, now_t now, uint32_t id)
{
    replica_enter(self, now);
    link_t *link = find_link(self, id);
    if (link != NULL) {
        replica_note(self, NOTE_INFO, "[broker-leave] broker lost incarnation=%016llx",
                     (unsigned long long)link->broker);
        free_link(self, link);
    }
}

/* ---- turns and time ---- */

void sessions_turn(replica_t *self)
{
    session_t *session = self->turn.has_applied ? self->waiters : NULL;
    self->turn.has_applied = false;
    while (session != NULL) {
        session_t *next = session->next_waiter;
        run_waiting(self, session);
        session = next;
    }
    session = self->has_new_copies ? self->holders : NULL;
    self->has_new_copies = false;
    while (session != NULL) {
        session_t *next = session->next_holder;
        release_held(self, session, false);
        session = next;
    }
    while (self->dirty != NULL) {
        conn_t *conn = self->dirty;
        self->dirty = conn->next_dirty;
        conn->is_dirty = false;
        flush_conn(self, conn);
        if (conn->sessions == NULL)
            free_conn(self, conn); /* a connection is kept for its sessions alone */
    }
}

void sessions_turn_back_all(replica_t *self)
{
    while (self->waiters != NULL) {
        session_t *session = self->waiters;
        session->turned_back = OUTCOME_MOVED;
        turn_back_waiting(self, session, OUTCOME_MOVED);
    }
}

void sessions_tick(replica_t *self)
{
    session_t *session = self->waiters;
    while (session != NULL) {
        session_t *next = session->next_waiter;
        if (self->now.boot_ms >= session->waiting->deadline_ms)
            run_waiting(self, session);
        session = next;
    }
    session = self->holders;
    while (session != NULL) {
        session_t *next = session->next_holder;
        if (self->now.boot_ms >= session->held->deadline_ms)
            release_held(self, session, false);
        session = next;
    }
    if (self->now.boot_ms < self->heartbeat_ms)
        return;
    self->heartbeat_ms = self->now.boot_ms + REPLICA_HEARTBEAT_MS;
    link_t *link;
    link_t *following;
    HASH_ITER(hh, self->links, link, following)
    {
        if (self->now.boot_ms - link->heard_ms >= REPLICA_SILENCE_MS)
            replica_service_lost(self, self->now, link->id);
        else
            send_status(self, link, FRAME_STATUS, OUTCOME_OK);
    }
}

int64_t sessions_deadline(const replica_t *self)
{
    int64_t deadline = self->links != NULL ? self->heartbeat_ms : INT64_MAX;
    const session_t *session;
    DL_FOREACH2(self->waiters, session, next_waiter)
    {
        if (session->waiting->deadline_ms < deadline)
            deadline = session->waiting->deadline_ms;
    }
    DL_FOREACH2(self->holders, session, next_holder)
    {
        if (session->held->position <= self->synced_to && session->held->deadline_ms < deadline)
            deadline = session->held->deadline_ms;
    }
    return deadline;
}
