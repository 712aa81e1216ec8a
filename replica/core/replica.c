#include "replica/core/replica.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/core/internal.h"
#include "replica/core/seglog.h"

enum { FRESH_SETTLES = 4 }; /* times settle_ms that a node without data waits */

static const char *const mode_names[] = {"manual", "auto load", "auto random"};

const char *replica_mode_name(replica_mode_t mode)
{
    return mode_names[mode];
}

slice_t replica_effect_bytes(const replica_effects_t *effects, const replica_effect_t *effect)
{
    /* No arena yet, and effects without bytes: not even 0 may be added to NULL. */
    return slice_of(effect->size != 0 ? effects->arena + effect->offset : NULL, effect->size);
}

replica_t *replica_new(const replica_config_t *config)
{
    replica_t *self = mem_zero(1, sizeof *self);
    self->config = *config;
    snprintf(self->host, sizeof self->host, "%s", config->host);
    self->config.host = self->host;
    if (config->checkpoint_bytes == 0)
        self->config.checkpoint_bytes = UINT64_MAX;
    if (config->log_max == 0)
        self->config.log_max = UINT64_MAX / 2;
    random_seed(&self->random, config->seed);
    do {
        self->lineage = random_u64(&self->random);
    } while (self->lineage == 0);
    self->status = config->status;
    self->mode = config->mode;
    self->store = store_new(self->lineage);
    self->executed = executed_new();
    self->index = logindex_new();
    self->holdback = holdback_new(REPLICA_HELD_BYTES_MAX);
    stability_new(self);
    self->next_link = 1;
    self->serial = 1;
    self->arguments = mem_zero(COMMAND_ARGUMENTS_MAX, sizeof *self->arguments);
    self->op_list = mem_zero(OPS_MAX, sizeof *self->op_list);
    return self;
}

void replica_destroy(replica_t **self_p)
{
    replica_t *self = *self_p;
    if (self == NULL)
        return;
    sessions_free(self);
    gossip_free(self);
    stability_free(self);
    transfer_free(self);
    store_destroy(&self->store);
    executed_destroy(&self->executed);
    logindex_destroy(&self->index);
    holdback_destroy(&self->holdback);
    holdback_destroy(&self->salvaged);
    vec_free(&self->applied);
    record_free(&self->record);
    vec_free(&self->vector);
    vec_free(&self->difference);
    seen_free(&self->seen);
    buf_free(&self->value);
    buf_free(&self->ops);
    buf_free(&self->encoded);
    buf_free(&self->turn.log);
    buf_free(&self->turn.own);
    buf_free(&self->arena);
    buf_free(&self->reply);
    free(self->arguments);
    free(self->op_list);
    free(self->effects);
    free(self);
    *self_p = NULL;
}

/* ---- effects ---- */

void replica_enter(replica_t *self, now_t now)
{
    self->now = now;
    if (self->effects_given == 0)
        return;
    self->effects_size = self->effects_given = 0;
    buf_reset(&self->arena);
}

replica_effect_t *replica_emit(replica_t *self, replica_effect_kind_t kind, uint32_t link,
                               size_t offset)
{
    if (self->effects_size == self->effects_capacity)
        self->effects = mem_grow(self->effects, &self->effects_capacity, sizeof *self->effects);
    replica_effect_t *effect = &self->effects[self->effects_size++];
    *effect = (replica_effect_t){
        .kind = kind, .link = link, .offset = offset, .size = self->arena.size - offset};
    return effect;
}

void replica_note(replica_t *self, replica_level_t level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, text);
    replica_emit(self, REPLICA_NOTE, 0, offset)->level = level;
}

void replica_stop(replica_t *self, const char *format, ...)
{
    if (self->is_stopping)
        return;
    self->is_stopping = true;
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t offset = self->arena.size;
    buf_append_text(&self->arena, text);
    replica_emit(self, REPLICA_STOP, 0, offset);
}

/* ---- the clock ---- */

hlc_t replica_clock_at(const replica_t *self, now_t now)
{
    return hlc_max(hlc_at(now.wall_ms), hlc_add_ms(self->clock, now.boot_ms - self->clock_boot_ms));
}

hlc_t replica_clock(replica_t *self)
{
    self->clock = replica_clock_at(self, self->now);
    self->clock_boot_ms = self->now.boot_ms;
    return self->clock;
}

void replica_clock_raise(replica_t *self, hlc_t to)
{
    if (to > replica_clock(self))
        self->clock = to;
}

/* ---- the log and what is applied ---- */

void replica_log(replica_t *self, uint8_t kind, slice_t payload)
{
    uint64_t position = self->log_end;
    size_t before = self->turn.log.size;
    seglog_entry_put(&self->turn.log, position, kind, payload);
    self->log_end += self->turn.log.size - before;
}

/* Replicas of one lineage have their keys in one order, so that cursors mean the same to all. */
static void take_lineage(replica_t *self, uint64_t lineage)
{
    if (!self->lineage_is_fixed && store_entries(self->store) == 0)
        store_seed(self->store, lineage);
    self->lineage = lineage;
    self->lineage_is_fixed = true;
}

/* The lineage and the members; later when nothing may go to the log now. */
static void log_lineage(replica_t *self)
{
    self->has_unlogged_lineage = self->is_read_only;
    if (self->is_read_only)
        return;
    buf_reset(&self->encoded);
    seglog_meta_put(&self->encoded, self->lineage);
    replica_log(self, SEGLOG_KIND_META, buf_slice(&self->encoded));
    drift_log(self);
    stability_log_members(self);
}

void replica_fix_lineage(replica_t *self, uint64_t lineage)
{
    take_lineage(self, lineage);
    log_lineage(self);
    replica_note(self, NOTE_INFO, "[lineage] lineage fixed lineage=%016llx",
                 (unsigned long long)lineage);
}

/* What a record changes, whether it comes from a client, a peer or the log. */
static void take_effect(replica_t *self, const record_t *record, uint64_t position)
{
    vec_part_t dot = {record->origin, record->n};
    mp_t ops = mp_open(record->ops);
    uint32_t count = mp_array(&ops, OPS_MAX);
    mark_t mark = {record->tag, dot};
    op_t op;
    for (uint32_t i = 0; i < count && op_read(&ops, &op); i++) {
        uint64_t lost_to = store_apply(self->store, &op, &mark);
        if (lost_to == self->config.incarnation && record->origin != lost_to)
            conflict_take(self, record, &op);
        mark.tag.hlc++;
    }
    if (slice_equal(record->result, record_nothing()))
        lost_add(&self->lost, dot);
    executed_add(self->executed, record->tag, dot, record->result, &record->deps);
    executed_raise_floor(self->executed, record->tag.client, record->floor);
    vec_raise(&self->applied, record->origin, record->n);
    stability_reopen(self, record->origin);
    logindex_add(self->index, record->origin, record->n, position);
    self->counts.applied++;
    hlc_t past = record->tag.hlc + count;
    if (past > self->clock)
        self->clock = past;
}

void replica_apply(replica_t *self, const record_t *record, slice_t raw)
{
    uint64_t position = self->log_end;
    replica_clock(self);
    replica_log(self, SEGLOG_KIND_UPDATE, raw);
    take_effect(self, record, position);
    if (is_traced(self))
        trace_update(self,
                     record->origin == self->config.incarnation ? TRACE_UPDATE_ACCEPTED
                                                                : TRACE_UPDATE_APPLIED,
                     record);
    self->turn.has_applied = true;
}

static void replay_joining(replica_t *self, seglog_joining_t what)
{
    self->joining.logged = what;
    self->was_damaged |= what == SEGLOG_JOINING_DAMAGED;
    self->was_damaged &= seglog_is_joining(what);
}

/* An entry that is no update; false when it is malformed. */
static bool replay_other(replica_t *self, uint8_t kind, slice_t payload)
{
    uint64_t value;
    if (kind == SEGLOG_KIND_MEMBERS)
        return stability_take_rows(self, payload);
    if (kind == SEGLOG_KIND_ENDED)
        return stability_take_ended(self, payload);
    if (kind == SEGLOG_KIND_META && seglog_meta_read(payload, &value)) {
        take_lineage(self, value);
        return true;
    }
    if (kind == SEGLOG_KIND_JOINING && seglog_number_read(payload, &value)) {
        replay_joining(self, (seglog_joining_t)value);
        return true;
    }
    if (kind == SEGLOG_KIND_FLOOR && seglog_number_read(payload, &value)) {
        stability_raise_floor(self, value);
        return true;
    }
    if (kind == SEGLOG_KIND_CLOCK && seglog_clock_read(payload, &value, &self->lead_ms)) {
        replica_clock_raise(self, value);
        return true;
    }
    return false;
}

int replica_replay(replica_t *self, uint64_t position, uint8_t kind, slice_t payload, err_t *err)
{
    if (kind == SEGLOG_KIND_META || kind == SEGLOG_KIND_MEMBERS || kind == SEGLOG_KIND_FLOOR ||
        kind == SEGLOG_KIND_ENDED || kind == SEGLOG_KIND_JOINING || kind == SEGLOG_KIND_CLOCK) {
        if (replay_other(self, kind, payload))
            return 0;
        return err_set(err, OUTCOME_LOST, "the log entry at %llu is malformed",
                       (unsigned long long)position);
    }
    if (kind != SEGLOG_KIND_UPDATE)
        return err_set(err, OUTCOME_USAGE,
                       "the log entry at %llu is of kind %u, which a later version wrote: start "
                       "that version",
                       (unsigned long long)position, kind);
    bool is_good = record_read(payload, &self->record);
    /* Emptied by a state that was taken over and did not get to the disk: that is done again. */
    if (is_good && seglog_is_joining(self->joining.logged) &&
        slice_equal(self->record.result, record_nothing()) &&
        self->record.n <= vec_get(&self->applied, self->record.origin))
        return 0;
    if (!is_good || self->record.n != vec_get(&self->applied, self->record.origin) + 1 ||
        !vec_covers(&self->applied, &self->record.deps))
        return err_set(err, OUTCOME_LOST,
                       "the log entry at %llu does not follow from the ones before it",
                       (unsigned long long)position);
    take_effect(self, &self->record, position);
    return 0;
}

/* ---- damage ---- */

void replica_set_damaged(replica_t *self)
{
    self->is_damaged = true;
    self->joining.knows_lineage = self->lineage_is_fixed;
    self->salvaged = holdback_new(REPLICA_HELD_BYTES_MAX);
}

/*
 * It took over a state. What it had before was handed in then, and whether that counted the others
 * know: handed in once more, it would count where it had not come to.
 */
static void drop_salvaged(replica_t *self)
{
    holdback_destroy(&self->salvaged);
    self->salvaged = holdback_new(REPLICA_HELD_BYTES_MAX);
    self->is_salvage_short = false;
}

/* What the entries say only adds to what is known; of joining, the last of them is right. */
void replica_salvage(replica_t *self, uint8_t kind, slice_t payload)
{
    uint64_t floor;
    uint64_t clock;
    uint64_t joining;
    record_t *record = &self->record;
    if (kind == SEGLOG_KIND_MEMBERS) {
        stability_take_rows(self, payload);
    } else if (kind == SEGLOG_KIND_FLOOR && seglog_number_read(payload, &floor)) {
        stability_raise_floor(self, floor);
    } else if (kind == SEGLOG_KIND_CLOCK && seglog_clock_read(payload, &clock, &self->lead_ms)) {
        replica_clock_raise(self, clock);
    } else if (kind == SEGLOG_KIND_JOINING && seglog_number_read(payload, &joining)) {
        if (!self->was_damaged) /* else what the log says came after that */
            self->joining.logged = (seglog_joining_t)joining;
        if (joining == SEGLOG_JOINING_ADOPTED)
            drop_salvaged(self);
    } else if (kind == SEGLOG_KIND_UPDATE && record_read(payload, record) &&
               record->n > vec_get(&self->applied, record->origin)) {
        self->clock = hlc_max(self->clock, record->tag.hlc + OPS_MAX);
        self->is_salvage_short |=
            holdback_put(self->salvaged, record->origin, record->n, payload) == HOLDBACK_FULL;
    }
}

/* ---- life ---- */

/* Requests are taken once others had time to speak up and nobody holds our id. */
static void settle(replica_t *self)
{
    if (!self->is_settled && self->now.boot_ms >= self->ready_ms && !gossip_id_is_disputed(self))
        self->is_settled = true;
}

/* A member that was joining has its own state, and finds out anew if it cannot follow with that. */
static bool must_join(const replica_t *self)
{
    bool has_no_state = seglog_is_joining(self->joining.logged) && self->applied.size == 0;
    return self->joining.logged == SEGLOG_JOINING_LEFT || self->is_damaged || has_no_state;
}

void replica_start(replica_t *self, now_t now, uint64_t log_end)
{
    self->now = now;
    self->is_started = true;
    self->started_ms = now.boot_ms;
    /* Two empty nodes that both begin alone begin two lineages: they look around for longer. */
    int64_t settle_ms = self->config.settle_ms * (self->lineage_is_fixed ? 1 : FRESH_SETTLES);
    self->ready_ms = now.boot_ms + settle_ms;
    self->log_end = log_end;
    self->clock_boot_ms = now.boot_ms;
    replica_clock(self);
    self->heartbeat_ms = now.boot_ms;
    stability_start(self);
    gossip_start(self);
    if (must_join(self))
        transfer_want(self);
    settle(self);
}

bool replica_is_ready(const replica_t *self)
{
    return self->is_settled && !self->is_stopping && keeps_its_state(self);
}

int64_t replica_deadline(const replica_t *self)
{
    enum { SETTLE_STEP_MS = 20 };
    int64_t deadline = time_earlier(gossip_deadline(self), sessions_deadline(self));
    deadline = time_earlier(deadline, stability_deadline(self));
    deadline = time_earlier(deadline, recovery_deadline(self));
    deadline = time_earlier(deadline, transfer_deadline(self));
    return self->is_settled ? deadline : time_earlier(deadline, self->now.boot_ms + SETTLE_STEP_MS);
}

void replica_tick(replica_t *self, now_t now)
{
    replica_enter(self, now);
    settle(self);
    gossip_tick(self);
    stability_tick(self);
    transfer_tick(self);
    sessions_tick(self);
}

/* Moves the log entries of the turn in front of all other effects. */
static void put_append_first(replica_t *self)
{
    if (self->turn.log.size == 0)
        return;
    size_t offset = self->arena.size;
    buf_append_slice(&self->arena, buf_slice(&self->turn.log));
    buf_reset(&self->turn.log);
    replica_emit(self, REPLICA_APPEND, 0, offset);
    replica_effect_t append = self->effects[self->effects_size - 1];
    memmove(self->effects + 1, self->effects, (self->effects_size - 1) * sizeof append);
    self->effects[0] = append;
}

replica_effects_t replica_turn(replica_t *self, now_t now)
{
    replica_enter(self, now);
    sessions_turn(self);
    stability_turn(self);
    recovery_turn(self);
    gossip_turn(self);
    conflict_turn(self);
    put_append_first(self);
    self->effects_given = self->effects_size;
    return (replica_effects_t){self->effects, self->effects_size, self->arena.data};
}

/* ---- status ---- */

static void change_status(replica_t *self, replica_status_t status, const char *by)
{
    replica_status_t before = self->status;
    if (status == before)
        return;
    self->status = status;
    self->serial++;
    replica_note(self, NOTE_INFO, "[status] status status=%s was=%s by=%s", status_name(status),
                 status_name(before), by);
    if (!status_serves(status))
        sessions_turn_back_all(self);
    sessions_push_status(self);
    gossip_status(self, before);
}

void replica_set_status(replica_t *self, now_t now, replica_status_t status, replica_mode_t mode)
{
    replica_enter(self, now);
    if (mode != self->mode)
        replica_note(self, NOTE_INFO, "[status] mode mode=\"%s\"", replica_mode_name(mode));
    self->mode = mode;
    change_status(self, status, "hearsayctl");
}

void replica_drain(replica_t *self, now_t now)
{
    replica_enter(self, now);
    self->mode = MODE_MANUAL;
    if (status_serves(self->status))
        change_status(self, STATUS_DRAINING, "its end");
}

bool replica_is_drained(const replica_t *self)
{
    if (status_serves(self->status) || HASH_COUNT(self->sessions) != 0 ||
        !replica_status_is_confirmed(self))
        return false;
    return self->status == STATUS_OFFLINE || gossip_has_handed_over(self);
}

void replica_set_read_only(replica_t *self, now_t now, const char *why)
{
    replica_enter(self, now);
    bool was_read_only = self->is_read_only;
    self->is_read_only = why != NULL;
    snprintf(self->read_only, sizeof self->read_only, "%s", why != NULL ? why : "");
    if (self->is_read_only == was_read_only)
        return;
    replica_note(self, self->is_read_only ? NOTE_WARN : NOTE_INFO,
                 self->is_read_only ? "[disk] read only why=\"%s\""
                                    : "[disk] updates are taken again%s",
                 self->read_only);
    if (self->is_read_only)
        return;
    if (self->has_unlogged_lineage)
        log_lineage(self);
    else if (self->has_unlogged_members)
        stability_log_members(self);
    transfer_log_again(self);
    gossip_catch_up(self);
}

void replica_set_full(replica_t *self, bool is_full)
{
    self->is_full = is_full;
}

enum { BUSY_PERMILLE = 850, CALM_PERMILLE = 600, CALM_ROUNDS = 2 };

/* What of time, latency and queue is nearest to its limit, which BUSY_PERMILLE stands for. */
void replica_load(replica_t *self, uint32_t busy_permille, int64_t lag_ms)
{
    enum { LAG_LIMIT_MS = 250, QUEUE_LIMIT = REPLICA_WAITING_MAX / 4 };
    uint64_t done = self->counts.requests + self->counts.applied;
    uint64_t lag = (uint64_t)lag_ms * BUSY_PERMILLE / LAG_LIMIT_MS;
    uint64_t queue = self->waiting_count * BUSY_PERMILLE / QUEUE_LIMIT;
    uint64_t load = busy_permille;
    load = lag > load ? lag : load;
    load = queue > load ? queue : load;
    if (done == self->load_done)
        load = 0;
    else if (load > 1000)
        load = 1000;
    self->load_done = done;
    self->load_permille = (self->load_permille + (uint32_t)load) / 2;
}

/* By load: at once up, down only after a few calm rounds, so that it does not swing. */
static replica_status_t status_by_load(replica_t *self)
{
    /* What takes no updates is chosen by sessions only when there is nothing better. */
    if (self->load_permille >= BUSY_PERMILLE || self->is_read_only) {
        self->calm_rounds = 0;
        return STATUS_OVERLOADED;
    }
    if (self->load_permille > CALM_PERMILLE)
        self->calm_rounds = 0;
    else
        self->calm_rounds++;
    /* Others were set by people or by chance, before this mode: load does not keep a node away. */
    return self->status == STATUS_OVERLOADED && self->calm_rounds < CALM_ROUNDS ? STATUS_OVERLOADED
                                                                                : STATUS_ACTIVE;
}

static replica_status_t status_by_chance(replica_t *self)
{
    uint32_t draw = (uint32_t)random_below(&self->random, RANDOM_PPM);
    const uint32_t *ppm = self->config.random_ppm;
    if (draw < ppm[STATUS_ACTIVE])
        return STATUS_ACTIVE;
    return draw < ppm[STATUS_ACTIVE] + ppm[STATUS_OVERLOADED] ? STATUS_OVERLOADED : STATUS_OFFLINE;
}

void replica_auto_status(replica_t *self)
{
    if (self->mode == MODE_AUTO_LOAD)
        change_status(self, status_by_load(self), "load");
    else if (self->mode == MODE_AUTO_RANDOM)
        change_status(self, status_by_chance(self), "chance");
}

/* ---- looking at it ---- */

replica_info_t replica_info(const replica_t *self, now_t now)
{
    const peer_member_t *last = members_last(self->members);
    return (replica_info_t){
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .lineage = self->lineage_is_fixed ? self->lineage : 0,
        .status = self->status,
        .mode = self->mode,
        .clock = self->clock,
        .vector = &self->applied,
        .horizon = self->horizon,
        .floor = self->floor,
        .log_bytes = self->log_end - self->log_begin,
        .is_full = self->is_full,
        .read_only = self->is_read_only ? self->read_only : NULL,
        .is_joining = self->joining.state != JOINING_NOT,
        .is_damaged = self->is_damaged,
        .unstable = store_unstable(self->store),
        .members = members_count(self->members),
        .ended = self->ended.size,
        .holds_back = last != NULL ? last->id : -1,
        .received_lag = holdback_records(self->holdback),
        .keys = store_keys(self->store),
        .entries = store_entries(self->store),
        .sessions = HASH_COUNT(self->sessions),
        .links = HASH_COUNT(self->links),
        .waiting = self->waiting_count,
        .executed = executed_entries(self->executed),
        .load_permille = self->load_permille,
        .age_ms = now.boot_ms - self->started_ms,
        .counts = &self->counts,
    };
}

bool replica_peer_info(const replica_t *self, size_t i, replica_peer_info_t *out)
{
    if (i >= self->peers_size)
        return false;
    const peer_t *peer = &self->peers[i];
    *out = (replica_peer_info_t){
        .id = peer->id,
        .incarnation = peer->incarnation,
        .host = peer->host,
        .port = peer->port,
        .is_connected = peer->state == PEER_READY,
        .status = (replica_status_t)peer->status,
        .vector = &peer->vector,
    };
    return true;
}

bool replica_member_info(const replica_t *self, now_t now, size_t i, replica_member_info_t *out)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    if (i >= count)
        return false;
    *out = (replica_member_info_t){.id = rows[i].id,
                                   .incarnation = rows[i].incarnation,
                                   .state = (peer_member_state_t)rows[i].state,
                                   .is_connected = rows[i].id == self->config.id,
                                   .silent_ms = -1};
    for (size_t j = 0; j < self->peers_size; j++) {
        const peer_t *peer = &self->peers[j];
        if (peer->id != rows[i].id || peer->incarnation != rows[i].incarnation)
            continue;
        out->is_connected |= peer->state == PEER_READY;
        if (!out->is_connected && peer->answered_ms != 0)
            out->silent_ms = now.boot_ms - peer->answered_ms;
    }
    return true;
}

uint64_t replica_digest(replica_t *self, hlc_t clock)
{
    store_set_clock(self->store, clock);
    return store_digest(self->store);
}

uint32_t replica_digests(const replica_t *self, unsigned bits, uint32_t first, size_t most,
                         hlc_t clock, uint64_t *sums, uint32_t size)
{
    return store_digests(self->store, bits, first, most, clock, sums, size);
}

void replica_each_shown(const replica_t *self, unsigned bits, uint32_t bucket, hlc_t clock,
                        store_shown_fn *fn, void *arg)
{
    store_each_shown(self->store, bits, bucket, clock, fn, arg);
}
