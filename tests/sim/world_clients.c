/* Clients: their sessions, what they issue, and what is judged of the answers. */
#include <string.h>

#include "bus/base/memory.h"
#include "bus/wire/command.h"
#include "tests/sim/world_internal.h"

enum {
    PIPELINE_MAX = 12,
    LEFT_MS = 20000, /* of a request, mostly */
    LATE_MS = 100,
    /*
     * After the last of what keeps requests from an answer. It takes a second of silence until a
     * way is known to be lost (CLIENT_SILENCE_MS), up to two until a broker tries a replica again
     * and one until a client tries a broker; and where the update that a session has seen is asked
     * of one that does not answer, a second more: five, and one to spare.
     */
    SETTLED_MS = 6000,
    LOG_LOOK_MS = 300, /* a node looks at the length of its log every 250 ms (RECKON_MS) */
    CLIENT_DIES_PPM = 20,
};

/* ---- starting and killing ---- */

static void open_session(world_t *w, proc_t *p, uint32_t s, const client_token_t *token)
{
    p->sessions[s] = client_session_open(p->client, token, -1);
    p->relaxes[s] = chance(w, 20);
    client_session_relax(p->sessions[s], p->relaxes[s]);
}

void start_client(world_t *w, proc_t *p)
{
    const client_config_t config = {
        .cluster = CLUSTER, .seed = random_u64(&w->random), .window = 64};
    p->client = client_new(&config);
    for (uint32_t i = 0; i < SESSIONS_PER_CLIENT; i++) {
        bool is_restored = p->has_saved[i] && (!w->is_rough || chance(w, 60));
        open_session(w, p, i, is_restored ? &p->saved[i] : NULL);
        vec_copy(&p->seen[i], &client_session_token(p->client, p->sessions[i])->seen);
        w->coverage->client_restored += is_restored;
        if (is_restored && p->is_saved_held[i])
            checker_restored(w->checker, p->index * SESSIONS_PER_CLIENT + i);
    }
    push(w, (event_t){.at = w->now + between(w, 0, 50 * MS),
                      .kind = EV_ISSUE,
                      .proc = number_of(w, p),
                      .life = p->life});
}

/*
 * Writes a token down, for who comes after. When a session gives something up is known too late:
 * who goes on for one that may is held to nothing.
 */
static void save_token(world_t *w, proc_t *p, uint32_t s)
{
    const client_token_t *token = client_session_token(p->client, p->sessions[s]);
    p->saved[s].lineage = token->lineage;
    p->saved[s].clock = token->clock;
    vec_copy(&p->saved[s].seen, &token->seen);
    p->has_saved[s] = true;
    p->is_saved_held[s] = !p->relaxes[s];
    checker_saved(w->checker, p->index * SESSIONS_PER_CLIENT + s);
}

void end_client(world_t *w, proc_t *p)
{
    w->coverage->client_kills++;
    w->coverage->client_dead_amid += client_pending(p->client) != 0;
    for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++) {
        /* Where disks are lost, who knows of nothing would begin a cluster at an empty node. */
        if (!w->is_rough && !p->has_saved[s])
            save_token(w, p, s);
        checker_killed(w->checker, p->index * SESSIONS_PER_CLIENT + s);
        p->sessions[s] = NULL;
        p->pending[s] = 0;
    }
    client_destroy(&p->client);
}

/* ---- what is judged of an answer ---- */

/*
 * A log that is full gets room only with the next checkpoint, which is waited for; and an answer
 * may still be lost.
 */
static void take_tried(world_t *w, proc_t *p, outcome_t outcome)
{
    char why[80];
    bool is_allowed = outcome == OUTCOME_OK || outcome == OUTCOME_MISSING ||
                      (outcome == OUTCOME_CLOCK && w->has_wrong_clock);
    if (is_allowed) {
        w->to_try--;
    } else if (outcome == OUTCOME_READ_ONLY || outcome == OUTCOME_UNKNOWN) {
        p->tries_again = true;
        push(w, (event_t){.at = w->now + 500 * MS,
                          .kind = EV_ISSUE,
                          .proc = number_of(w, p),
                          .life = p->life});
    } else {
        snprintf(why, sizeof why, "when all was healed an update ended as %s",
                 outcome_name(outcome));
        violate(w, why);
    }
}

/* Where a request was refused for want of room there was none, at some time since it was issued. */
static void judge_read_only(world_t *w, uint32_t number, const client_effect_t *e)
{
    char why[100];
    const proc_t *node = &w->procs[e->replica];
    if (node->was_refusing || node->refused_at >= w->spans[number].issued - LOG_LOOK_MS * MS)
        return;
    snprintf(why, sizeof why, "request %u was refused as READ_ONLY by n%d, which takes updates",
             number, e->replica);
    violate(w, why);
}

/*
 * Who finds nobody until the time is up has a reason for that not long before the end. In less time
 * than it takes to come back to those who are there again, it may be any reason. Who waits for what
 * nobody has keeps those behind it in its session waiting; and others, too, where brokers have
 * little room.
 */
static void judge_not_reached(world_t *w, const proc_t *p, uint32_t number,
                              const client_effect_t *e)
{
    char why[100];
    const span_t *span = &w->spans[number];
    uint32_t s = (uint32_t)(e->ticket & 0xFF);
    int64_t since = w->unreachable_at > p->paused_until ? w->unreachable_at : p->paused_until;
    if (span->due - span->issued < SETTLED_MS * MS || w->replica_window != 0 ||
        p->missed_at[s] >= span->issued || is_unreachable(w) || since >= w->now - SETTLED_MS * MS)
        return;
    snprintf(why, sizeof why, "request %u ended as NOT_REACHED, %lld ms after all was there again",
             number, (long long)((w->now - since) / MS));
    violate(w, why);
}

static void take_done(world_t *w, proc_t *p, const client_effect_t *e, slice_t bytes)
{
    char why[256];
    uint32_t number = (uint32_t)(e->ticket >> 8);
    p->pending[e->ticket & 0xFF]--;
    sim_coverage_t *c = w->coverage;
    c->done_ok += e->outcome == OUTCOME_OK;
    c->alone_done += w->is_alone && e->outcome == OUTCOME_OK;
    c->alone_missing += w->is_alone && e->outcome == OUTCOME_MISSING;
    c->unknown += e->outcome == OUTCOME_UNKNOWN;
    c->lost_reads += e->outcome == OUTCOME_LOST;
    c->not_reached += e->outcome == OUTCOME_NOT_REACHED;
    c->refused_read_only += e->outcome == OUTCOME_READ_ONLY;
    if (w->trace != NULL)
        fprintf(w->trace, "%9lld c%u done %u %s sends=%u replica=%d\n", (long long)w->now, p->index,
                number, outcome_name(e->outcome), e->sends, e->replica);
    c->copied += e->outcome == OUTCOME_OK && e->copies > 1;
    c->relaxed += e->is_relaxed;
    if (e->is_relaxed)
        checker_relaxed(w->checker, number);
    /* A process that is paused does not look at the time. */
    int64_t due = w->spans[number].due;
    due = due > p->paused_until ? due : p->paused_until;
    if (w->now > due + LATE_MS * MS) {
        snprintf(why, sizeof why, "request %u ended %lld ms after its deadline", number,
                 (long long)((w->now - due) / MS));
        violate(w, why);
    }
    if (e->outcome == OUTCOME_READ_ONLY)
        judge_read_only(w, number, e);
    if (e->outcome == OUTCOME_NOT_REACHED)
        judge_not_reached(w, p, number, e);
    if (e->outcome == OUTCOME_MISSING || (e->outcome == OUTCOME_UNKNOWN && e->replica >= 0))
        p->missed_at[e->ticket & 0xFF] = w->now;
    if (w->is_trying)
        take_tried(w, p, e->outcome);
    hlc_t clock = client_session_token(p->client, p->sessions[e->ticket & 0xFF])->clock;
    const checker_end_t end = {e->outcome, e->copies, e->sends, e->replica, clock, bytes};
    if (!checker_done(w->checker, number, &end, why, sizeof why))
        violate(w, why);
    bool is_expected = e->outcome == OUTCOME_OK || e->outcome == OUTCOME_UNKNOWN ||
                       e->outcome == OUTCOME_LOST || e->outcome == OUTCOME_NOT_REACHED ||
                       e->outcome == OUTCOME_MISSING || e->outcome == OUTCOME_CANCELLED ||
                       e->outcome == OUTCOME_TOO_OLD || e->outcome == OUTCOME_READ_ONLY ||
                       e->outcome == OUTCOME_WRONGTYPE || e->outcome == OUTCOME_NOT_A_NUMBER ||
                       (e->outcome == OUTCOME_CLOCK && w->has_wrong_clock);
    if (!is_expected) {
        snprintf(why, sizeof why, "request %u ended as %s", number, outcome_name(e->outcome));
        violate(w, why);
    }
}

/* ---- turns ---- */

/* A token that has lost a part: what the session sends from here on knows nothing of that. */
static void notice_relaxed(world_t *w, proc_t *p)
{
    for (uint32_t s = 0; s < SESSIONS_PER_CLIENT; s++) {
        const vec_t *seen = &client_session_token(p->client, p->sessions[s])->seen;
        if (!vec_covers(seen, &p->seen[s]))
            checker_gave_up(w->checker, p->index * SESSIONS_PER_CLIENT + s);
        vec_copy(&p->seen[s], seen);
    }
}

void turn_client(world_t *w, proc_t *p)
{
    bool is_dying = dies_now(w, CLIENT_DIES_PPM);
    bool is_done = false;
    client_effects_t effects = client_turn(p->client, time_of(w, p));
    size_t size = is_dying ? (size_t)random_below(&w->random, effects.size + 1) : effects.size;
    for (size_t i = 0; i < size; i++) {
        const client_effect_t *e = &effects.list[i];
        slice_t bytes = slice_of(effects.arena + e->offset, e->size);
        switch (e->kind) {
        case CLIENT_CONNECT:
            connect_chan(w, p, e->connection, bytes, e->port);
            break;
        case CLIENT_DISCONNECT:
            disconnect_link(w, p, e->connection);
            break;
        case CLIENT_SEND:
            send_link(w, p, e->connection, bytes);
            break;
        case CLIENT_DONE:
            take_done(w, p, e, bytes);
            is_done = true;
            break;
        case CLIENT_NOTE:
            break;
        }
    }
    if (is_dying) {
        kill_proc(w, p);
        return;
    }
    notice_relaxed(w, p);
    if (is_done && chance(w, 5))
        save_token(w, p, (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT));
    schedule_tick(w, p);
}

/* ---- issuing ---- */

static void submit(world_t *w, proc_t *p, uint32_t s, uint32_t number, const request_t *request,
                   int64_t left_ms)
{
    now_t now = time_of(w, p);
    if (number >= w->spans_size) {
        w->spans_size = 2 * (size_t)number + 64;
        w->spans = mem_resize(w->spans, w->spans_size * sizeof *w->spans);
    }
    w->spans[number] = (span_t){w->now, w->now + left_ms * MS};
    p->pending[s]++;
    client_submit(p->client, now, p->sessions[s], (uint64_t)number << 8 | s, request->command,
                  request->arguments_at, request->arguments, now.boot_ms + left_ms);
}

/* Types that meet, deadlines that pass: two keys, three fields. */
static void issue_mixed(world_t *w, proc_t *p, uint32_t s)
{
    static const uint8_t codes[] = {COMMAND_SET,  COMMAND_INCR, COMMAND_HSET,   COMMAND_HINCR,
                                    COMMAND_HDEL, COMMAND_SADD, COMMAND_SREM,   COMMAND_DEL,
                                    COMMAND_DEL,  COMMAND_GET,  COMMAND_EXPIRE, COMMAND_PERSIST};
    static const char *const names[] = {"m0", "m1"};
    static const char *const fields[] = {"f", "g", "3"};
    uint8_t code = codes[random_below(&w->random, sizeof codes)];
    uint32_t session = p->index * SESSIONS_PER_CLIENT + s;
    ask_t ask = {.kind = ASK_MIX};
    checker_issue(w->checker, session, &ask);
    buf_t arguments = {0};
    uint32_t count = command_by_code(code)->least;
    char text[24];
    snprintf(text, sizeof text, "%u", ask.number);
    mp_put_bin(&arguments, slice_text(names[random_below(&w->random, 2)]));
    if (code == COMMAND_EXPIRE) {
        bool is_soon = chance(w, 50);
        mp_put_bin(&arguments, slice_text(is_soon ? "1" : "3"));
        w->expiries[w->next_expiry++ % EXPIRIES_MAX] = w->now + (is_soon ? 1000 : 3000) * MS;
    } else if (count > 1)
        mp_put_bin(&arguments, slice_text(fields[random_below(&w->random, 3)]));
    if (count > 2)
        mp_put_bin(&arguments, slice_text(text));
    const request_t request = {
        .command = code, .arguments = count, .arguments_at = buf_slice(&arguments)};
    submit(w, p, s, ask.number, &request, LEFT_MS);
    buf_free(&arguments);
}

static void issue_this(world_t *w, proc_t *p, uint32_t s, ask_t ask)
{
    checker_issue(w->checker, p->index * SESSIONS_PER_CLIENT + s, &ask);
    buf_t arguments = {0};
    uint32_t count;
    uint8_t command = ask_put(&ask, &w->random, &arguments, &count);
    p->last_ticket[s] = (uint64_t)ask.number << 8 | s;
    if (ask.kind != ASK_SCAN)
        p->last_key[s] = ask.key;
    const request_t request = {
        .command = command, .arguments = count, .arguments_at = buf_slice(&arguments)};
    submit(w, p, s, ask.number, &request,
           !w->is_trying && chance(w, 10) ? between(w, 20, 400) : LEFT_MS);
    buf_free(&arguments);
}

/* Half of the keys are not written for a while: there the last update gets old enough to matter. */
static bool is_resting(const world_t *w, uint32_t key)
{
    enum { REST_MS = 2000 };
    return w->is_rough && (key + w->now / (REST_MS * MS)) % 2 == 0;
}

/* What is done to a key that holds a text. */
static ask_kind_t draw_for_text(world_t *w)
{
    static const ask_kind_t kinds[] = {ASK_SET, ASK_DEL, ASK_GET};
    ask_kind_t kind = kinds[random_below(&w->random, 3)];
    if (kind == ASK_DEL && chance(w, 60))
        kind = ASK_SET;
    if (kind == ASK_GET && chance(w, 50))
        kind = ASK_ALL;
    return kind;
}

/* A key with a deadline is left alone, mostly, or it would never come to that. */
static ask_kind_t draw_for_timed(world_t *w)
{
    uint64_t drawn = random_below(&w->random, 100);
    return drawn < 5    ? ASK_SET
           : drawn < 6  ? ASK_DEL
           : drawn < 11 ? ASK_EXPIRE
           : drawn < 12 ? ASK_PERSIST
                        : ASK_GET;
}

static ask_kind_t draw_for_set(world_t *w)
{
    static const ask_kind_t kinds[] = {ASK_JOIN, ASK_LEAVE, ASK_MEMBERS, ASK_IS_MEMBER};
    return kinds[random_below(&w->random, sizeof kinds / sizeof kinds[0])];
}

static void issue_one(world_t *w, proc_t *p, uint32_t s)
{
    uint32_t session = p->index * SESSIONS_PER_CLIENT + s;
    ask_t ask;
    if (chance(w, 12)) {
        issue_mixed(w, p, s);
        return;
    }
    if (checker_next_page(w->checker, session, &ask)) {
        issue_this(w, p, s, ask);
        return;
    }
    if (chance(w, 4)) {
        ask = (ask_t){.kind = ASK_SCAN, .key = (uint32_t)random_below(&w->random, ASK_PREFIXES)};
        issue_this(w, p, s, ask);
        return;
    }
    /* The answers of increments tell most of what was seen. */
    ask.key = chance(w, 30) ? KEY_COUNTERS + (uint32_t)random_below(&w->random, COUNTERS)
                            : (uint32_t)random_below(&w->random, KEYS);
    ask.kind = ask.key < KEY_TIMED   ? draw_for_text(w)
               : ask.key < KEY_TEXTS ? draw_for_timed(w)
               : ask.key == KEY_SET  ? draw_for_set(w)
               : chance(w, 60)       ? ASK_ADD
                                     : ASK_LOOK;
    if (is_resting(w, ask.key))
        ask.kind = ask_look(ask.key);
    ask.member = (uint32_t)random_below(&w->random, MEMBERS_MAX);
    issue_this(w, p, s, ask);
}

/* The caller loses interest in the last request of a session, before or after it went out. */
static void cancel(world_t *w, proc_t *p, uint32_t s)
{
    client_effect_t end = {.ticket = p->last_ticket[s], .replica = -1};
    if (!client_cancel(p->client, time_of(w, p), p->sessions[s], end.ticket, &end.outcome))
        return;
    w->coverage->cancelled += end.outcome == OUTCOME_CANCELLED;
    w->coverage->cancelled_unknown += end.outcome == OUTCOME_UNKNOWN;
    take_done(w, p, &end, (slice_t){0});
}

/* What a session has seen is little when it is new: no later update stands in for what it needs. */
static void renew_session(world_t *w, proc_t *p, uint32_t s)
{
    if (p->pending[s] != 0)
        return;
    client_session_close(p->client, p->sessions[s]);
    open_session(w, p, s, NULL);
    checker_renewed(w->checker, p->index * SESSIONS_PER_CLIENT + s);
}

/* It sees a key come, and go in time, and nothing else that would stand in for that. */
static void watch(world_t *w, proc_t *p, uint32_t s)
{
    const ask_t ask = {.kind = ASK_GET, .key = KEY_TIMED + (p->index + s) % TIMED};
    if (p->pending[s] == 0)
        issue_this(w, p, s, ask);
}

/*
 * Another session, mostly of another client and at another replica, hands its token to this one,
 * which looks at the same key.
 */
static void take_token(world_t *w, proc_t *p, uint32_t s)
{
    const proc_t *other = &w->procs[w->nodes + w->brokers + random_below(&w->random, w->clients)];
    uint32_t from = (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT);
    /* What is under way went without it; and when one gives something up is known too late. */
    if (p->pending[s] != 0 || !other->is_up || other->sessions[from] == p->sessions[s] ||
        other->relaxes[from])
        return;
    client_session_merge(p->client, p->sessions[s],
                         client_session_token(other->client, other->sessions[from]));
    checker_handed_over(w->checker, other->index * SESSIONS_PER_CLIENT + from,
                        p->index * SESSIONS_PER_CLIENT + s);
    w->coverage->handed_over++;
    uint32_t key = other->last_key[from];
    issue_this(w, p, s, (ask_t){.kind = ask_look(key), .key = key});
}

void try_update(world_t *w, proc_t *p)
{
    w->coverage->tried++;
    const ask_t ask = {.kind = ASK_SET, .key = (uint32_t)random_below(&w->random, KEY_PAIR)};
    issue_this(w, p, 0, ask);
}

void issue(world_t *w, proc_t *p)
{
    if (p->tries_again)
        try_update(w, p);
    p->tries_again = false;
    if (w->now >= FAULTS_MS * MS)
        return;
    uint32_t s = (uint32_t)random_below(&w->random, SESSIONS_PER_CLIENT);
    int64_t burst = chance(w, 30) ? between(w, 1, PIPELINE_MAX) : 1;
    bool is_watching = p->watches_until[s] > w->now;
    if (w->is_rough && !is_watching && chance(w, 20)) {
        renew_session(w, p, s);
        if (chance(w, 4))
            p->watches_until[s] = w->now + between(w, 500, 3000) * MS;
    }
    if (is_watching) {
        watch(w, p, s);
        burst = 0;
    } else if (w->is_rough && chance(w, 20)) {
        take_token(w, p, s);
    }
    if (chance(w, 3))
        cancel(w, p, s);
    while (burst-- > 0 && p->pending[s] < PIPELINE_MAX)
        issue_one(w, p, s);
    if (chance(w, 1))
        cancel(w, p, s);
    push(w, (event_t){.at = w->now + between(w, MS / 2, w->issue_ms * MS),
                      .kind = EV_ISSUE,
                      .proc = number_of(w, p),
                      .life = p->life});
}
