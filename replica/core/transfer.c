/*
 * Joining, and coming back after having been left behind or forgotten: one path.
 *
 * Who has no data yet, or cannot follow by the log since what it lacks is gone from it, hands in
 * what it has, takes over the state of another member as a whole, and goes on from there. Cells are
 * never merged one by one: what was folded on one side could not be told from what came after. What
 * is handed in keeps its origin and number; what one brings who had left keeps nothing else, since
 * others may have forgotten what it would have to be compared with: it goes to the file lost+found.
 *
 * A member whose disk was damaged takes the same path: it has less than it said to have, as one
 * that was left behind. It hands in what it can still read, also from behind the damage, and does
 * not go on with its own state while there is a member who may have more, unless people say so.
 *
 * The joiner asks for each part (JOIN), so it sets the pace; a part that is lost is asked for
 * again. The donor serves meanwhile: the state is as of one moment (store.h, snapshots). A backup
 * is read in the same way, by people.
 */
#include "replica/core/internal.h"
#include "replica/core/lost.h"
#include "replica/core/seglog.h"

enum {
    ASK_MS = 250,        /* then the part is asked for again */
    DONOR_MS = 3000,     /* without progress: then another donor is tried */
    DONATION_MS = 10000, /* unused so long, a donation is given up */
    SHORT_MS = 1500,     /* of trying, until what cannot be handed in is given up */
    HAND_IN_MS = 2000,   /* after a JOIN its sender is pulled from for so long */
    BACKUP = 0,          /* in the place of the joiner's incarnation, which is never 0 */
    SALVAGE_MS = 5000,   /* of handing in what was found behind damage, as it may not follow */
};

/* Of what is given to another. */
static void give_up(replica_t *self)
{
    donating_t *d = &self->donating;
    if (d->is_open && !d->is_last)
        store_snapshot_abort(self->store);
    d->is_open = false;
}

/* ---- the joiner ---- */

static void drop_staged(replica_t *self)
{
    joining_t *j = &self->joining;
    if (j->store != NULL)
        store_destroy(&j->store);
    if (j->executed != NULL)
        executed_destroy(&j->executed);
    state_meta_free(&j->meta);
    j->meta = (state_meta_t){0};
    j->transfer = j->part = 0;
    j->is_short = false;
}

/*
 * From the moment a donor may take us back others count us as a member again, although our own
 * state is still the old one. A start in between must know that; so no donor takes us back before
 * we tell that we know (ask). Who is a member hands in what counts, and does after a start, too.
 */
static void log_joining(replica_t *self, seglog_joining_t what)
{
    self->joining.logged = what;
    self->joining.is_unlogged = self->is_read_only;
    self->joining.position = UINT64_MAX;
    if (self->is_read_only)
        return;
    buf_reset(&self->encoded);
    seglog_number_put(&self->encoded, what);
    replica_log(self, SEGLOG_KIND_JOINING, buf_slice(&self->encoded));
    self->joining.position = self->log_end;
    replica_emit(self, REPLICA_SYNC, 0, self->arena.size);
}

void transfer_log_again(replica_t *self)
{
    if (self->joining.is_unlogged)
        log_joining(self, self->joining.logged);
}

void transfer_stop(replica_t *self)
{
    if (self->joining.state != JOINING_WANTED && self->joining.state != JOINING_TAKING)
        return;
    drop_staged(self);
    self->joining.state = JOINING_NOT; /* the log still says that it is to be done */
}

void transfer_has_left(replica_t *self)
{
    joining_t *j = &self->joining;
    bool is_asking = j->state == JOINING_WANTED || j->state == JOINING_TAKING;
    j->has_left = true;
    if (is_asking && j->logged != SEGLOG_JOINING_LEFT)
        log_joining(self, SEGLOG_JOINING_LEFT);
    transfer_want(self);
}

void transfer_want(replica_t *self)
{
    if (!keeps_its_state(self))
        return;
    self->joining.state = JOINING_WANTED;
    self->joining.donor = 0;
    self->joining.asked_ms = self->now.boot_ms;
    self->pull.is_open = false; /* what it brings will be in the state */
    self->gap_since_ms = INT64_MAX;
    log_joining(self, self->joining.has_left ? SEGLOG_JOINING_LEFT
                      : self->is_damaged     ? SEGLOG_JOINING_DAMAGED
                                             : SEGLOG_JOINING_MEMBER);
    self->joining.wanted_ms = self->now.boot_ms;
    sessions_turn_back_all(self);
    const char *why = "what this node lacks is in no log any more";
    if (self->is_damaged)
        why = "a part of this node's data is damaged";
    else if (self->applied.size == 0)
        why = "this node has no data yet";
    replica_note(self, NOTE_WARN,
                 "[%s] joining: %s, it takes over the state of another node and serves nothing "
                 "until then",
                 self->is_damaged ? "damaged" : "joining", why);
}

/* ---- what was found behind damage ---- */

/*
 * Whether it belongs to the data of the donor: the lineage was read on our own disk, or the donor
 * knows of an update out of the same log.
 */
static bool is_of_donor(const replica_t *self, const peer_t *donor)
{
    uint64_t origin = 0;
    if (self->joining.knows_lineage)
        return true;
    while ((origin = holdback_next_origin(self->salvaged, origin)) != 0)
        if (vec_get(&donor->vector, origin) != 0)
            return true;
    return false;
}

/* What we say to the donor to have: with what follows from what it has itself. */
static const vec_t *handed_in(replica_t *self, const peer_t *donor)
{
    joining_t *j = &self->joining;
    uint64_t origin = 0;
    if (self->salvaged == NULL || !is_of_donor(self, donor))
        return &self->applied;
    if (j->salvage_until_ms == 0)
        j->salvage_until_ms = self->now.boot_ms + SALVAGE_MS;
    if (self->now.boot_ms >= j->salvage_until_ms)
        return &self->applied;
    vec_copy(&self->vector, &self->applied);
    while ((origin = holdback_next_origin(self->salvaged, origin)) != 0) {
        uint64_t own = vec_get(&self->applied, origin);
        uint64_t its = vec_get(&donor->vector, origin);
        uint64_t from = own > its ? own : its;
        uint64_t last = holdback_contiguous(self->salvaged, origin, from);
        if (last > from)
            vec_raise(&self->vector, origin, last);
    }
    return &self->vector;
}

uint32_t transfer_put_salvaged(replica_t *self, const vec_t *have, buf_t *out)
{
    uint64_t origin = 0;
    uint32_t count = 0;
    buf_reset(out);
    if (self->salvaged == NULL || self->joining.state == JOINING_NOT)
        return 0;
    while ((origin = holdback_next_origin(self->salvaged, origin)) != 0) {
        uint64_t n = vec_get(have, origin) + 1;
        slice_t raw = holdback_get(self->salvaged, origin, n);
        for (; raw.size != 0; raw = holdback_get(self->salvaged, origin, ++n)) {
            buf_append_slice(out, raw);
            self->counts.salvaged++;
            if (++count == PEER_RECORDS_MAX || out->size >= PEER_RECORDS_TARGET)
                return count;
        }
    }
    return count;
}

/* What our state does not have by now goes to people. */
static void end_salvage(replica_t *self)
{
    uint64_t origin = 0;
    uint64_t lost = 0;
    size_t offset = self->arena.size;
    if (self->salvaged == NULL)
        return;
    while ((origin = holdback_next_origin(self->salvaged, origin)) != 0) {
        uint64_t n = vec_get(&self->applied, origin);
        while ((n = holdback_next(self->salvaged, origin, n)) != 0) {
            if (!record_read(holdback_get(self->salvaged, origin, n), &self->record))
                continue;
            lost_put(&self->arena, &self->record);
            lost++;
        }
    }
    holdback_destroy(&self->salvaged);
    if (lost != 0)
        replica_emit(self, REPLICA_LOST, 0, offset);
    self->counts.lost += lost;
    if (lost != 0 || self->is_salvage_short)
        replica_note(self, NOTE_ERROR,
                     "[lost] updates from behind the damage that no other node has, see "
                     "lost+found%s lost=%llu",
                     self->is_salvage_short ? " (memory had no room for all of them)" : "",
                     (unsigned long long)lost);
}

/* ---- the joiner, on its way ---- */

static void ask(replica_t *self, const peer_t *donor)
{
    const joining_t *j = &self->joining;
    const peer_join_t join = {
        .id = self->config.id,
        .incarnation = self->config.incarnation,
        .transfer = j->transfer,
        .part = j->part,
        .ended = buf_slice(&self->ended_bytes),
        .has_left = j->has_left,
    };
    self->joining.asked_ms = self->now.boot_ms;
    size_t offset = self->arena.size;
    peer_join_put(&self->arena, &join, stability_wire(self, handed_in(self, donor)));
    replica_emit(self, REPLICA_TO_PEER, donor->link, offset);
}

/* The next in the table that could be a donor, behind the one that was. */
static const peer_t *choose_donor(replica_t *self)
{
    size_t first = 0;
    for (size_t i = 0; i < self->peers_size; i++)
        if (self->peers[i].incarnation == self->joining.donor)
            first = i + 1;
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[(first + i) % self->peers_size];
        if (gossip_may_with(self, peer))
            return peer;
    }
    return NULL;
}

static void begin_joining(replica_t *self, const peer_t *donor)
{
    joining_t *j = &self->joining;
    drop_staged(self);
    j->state = JOINING_TAKING;
    j->donor = donor->incarnation;
    j->donor_id = donor->id;
    j->has_said_waiting = false;
    j->since_ms = self->now.boot_ms;
    j->store = store_new(self->lineage);
    j->executed = executed_new();
    replica_note(self, NOTE_INFO, "[joining] joining donor=%u", donor->id);
    ask(self, donor);
}

bool transfer_goes_first(const replica_t *self, const peer_t *peer)
{
    static const vec_t nothing = {0};
    uint64_t its = vec_lag(&nothing, &peer->vector);
    uint64_t own = vec_lag(&nothing, &self->applied);
    if (peer->is_writing)
        return true;
    return its != own ? its > own : peer->id < self->config.id;
}

/* Nobody is out of reach who could have what we lack. */
static bool are_all_here(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    for (uint32_t i = 0; i < count; i++) {
        const peer_t *peer = gossip_peer(self, rows[i].incarnation);
        bool is_here = peer != NULL && peer->state == PEER_READY && peer->status != STATUS_OFFLINE;
        if (rows[i].id != self->config.id && rows[i].state != MEMBER_FORGOTTEN && !is_here)
            return false;
    }
    return true;
}

/* Damaged, and the only one there ever was: that is for people to decide. */
static bool may_go_on_alone(const replica_t *self)
{
    uint32_t count;
    members_rows(self->members, &count);
    return !self->is_damaged || count > 1;
}

/*
 * All that are here want to join, each for something that only the state of another has. That takes
 * two losses at once; the one that has most goes on, or all would wait for ever. Who has no state
 * of a member does so only when there is nobody else to wait for.
 */
static bool is_first_of_all(replica_t *self)
{
    bool has_other = false;
    /* Who has left and was taken back has still the state with which it had left. */
    bool has_state = members_has(self->members, self->config.id, self->config.incarnation) &&
                     !self->joining.has_left && !self->is_damaged && self->applied.size != 0;
    if (self->now.boot_ms - self->joining.wanted_ms < 2 * DONOR_MS)
        return false;
    bool all_here = are_all_here(self);
    if (!all_here && !has_state)
        return false;
    for (size_t i = 0; i < self->peers_size; i++) {
        const peer_t *peer = &self->peers[i];
        bool may_go_on = all_here && peer->state == PEER_READY && peer->is_joining;
        if (!may_go_on && !gossip_is_at_hand(self, peer))
            continue;
        has_other = true;
        if (!peer->is_joining || transfer_goes_first(self, peer))
            return false;
    }
    return has_other;
}

/*
 * Our own state is what we go on with. Damaged, we do not know what was accepted before: nothing of
 * before is taken again.
 */
static void go_on(replica_t *self)
{
    if (self->is_damaged)
        stability_raise_floor(self, replica_clock(self));
    end_salvage(self);
    self->is_damaged = false;
    /* It may have been left behind before, by those that are gone now. */
    if (!members_has(self->members, self->config.id, self->config.incarnation))
        stability_take_back(self, self->config.id, self->config.incarnation);
    drop_staged(self);
    self->joining.state = JOINING_NOT;
    self->joining.has_left = false;
    log_joining(self, SEGLOG_JOINING_NOT);
    if (self->void_before != 0)
        recovery_want_checkpoint(self, false);
}

static void go_on_alone(replica_t *self)
{
    replica_note(self, NOTE_WARN,
                 "[joining] going on with our own state: all others want to join too");
    go_on(self);
}

/* What people can do when there will never be another member. */
static const char *way_out(const replica_t *self)
{
    if (self->is_damaged)
        return "start this node with --salvage, and it goes on with what is left";
    if (self->applied.size == 0)
        return "stop all nodes that wait, remove their data folders, which have nothing yet, and "
               "start them again";
    return "begin anew with a backup of what this node has (hearsayctl backup and restore)";
}

/*
 * There is nobody to take a state from. Damaged, people may have said that what is left is to do
 * then. Who was left behind may lack what the others have forgotten: with that one a cluster begins
 * anew or not at all. Who has nothing makes way for those that have left and wait for it.
 */
static void wait_or_go_on(replica_t *self)
{
    joining_t *j = &self->joining;
    if (self->now.boot_ms - j->wanted_ms < 2 * DONOR_MS)
        return;
    if (self->is_damaged && self->config.salvage) {
        replica_note(self, NOTE_ERROR,
                     "[damaged] going on with what is left, as --salvage says: what was behind the "
                     "damage is lost keys=%zu",
                     store_keys(self->store));
        /* They went on without us: if they are back after all, there is to be one state. */
        if (!members_has(self->members, self->config.id, self->config.incarnation))
            stability_leave_others(self);
        go_on(self);
        return;
    }
    if (!j->has_said_waiting)
        replica_note(self, NOTE_ERROR,
                     "[%s] waiting for another member, to take over its state: start one, or, if "
                     "there is none any more, %s members=%u keys=%zu",
                     self->is_damaged ? "damaged" : "joining", way_out(self),
                     members_count(self->members), store_keys(self->store));
    j->has_said_waiting = true;
    if (!self->is_damaged && self->applied.size == 0)
        stability_stand_back(self);
}

void transfer_tick(replica_t *self)
{
    joining_t *j = &self->joining;
    donating_t *d = &self->donating;
    if (d->is_open && self->now.boot_ms - d->used_ms >= DONATION_MS)
        give_up(self);
    bool is_asking = j->state == JOINING_WANTED || j->state == JOINING_TAKING;
    if (!is_asking || self->is_read_only || self->synced_to < j->position)
        return;
    if (is_first_of_all(self)) {
        go_on_alone(self);
        return;
    }
    const peer_t *donor = gossip_peer(self, j->donor);
    bool is_stuck = donor == NULL || !gossip_may_with(self, donor) ||
                    self->now.boot_ms - j->since_ms >= DONOR_MS;
    if (j->state == JOINING_WANTED || is_stuck) {
        donor = choose_donor(self);
        j->state = JOINING_WANTED;
        if (donor != NULL)
            begin_joining(self, donor);
        else if (may_go_on_alone(self) && stability_go_on_alone(self))
            go_on_alone(self);
        else
            wait_or_go_on(self);
        j->asked_ms = self->now.boot_ms;
    } else if (self->now.boot_ms - j->asked_ms >= ASK_MS) {
        ask(self, donor);
    }
}

int64_t transfer_deadline(const replica_t *self)
{
    const joining_t *j = &self->joining;
    bool is_asking = (j->state == JOINING_WANTED || j->state == JOINING_TAKING) &&
                     !self->is_read_only && self->synced_to >= j->position;
    int64_t deadline = is_asking ? j->asked_ms + ASK_MS : INT64_MAX;
    if (self->donating.is_open)
        deadline = time_earlier(deadline, self->donating.used_ms + DONATION_MS);
    return deadline;
}

static bool take_row(void *arg, uint64_t table, slice_t key, slice_t value)
{
    joining_t *j = arg;
    recovery_target_t target = {j->store, j->executed, NULL, &j->meta};
    if (table > STATE_TABLES || !recovery_load(&target, (uint8_t)table, key, value))
        return false;
    if (table != STATE_META)
        return true;
    /* The bytes that it points to go with the message. */
    buf_reset(&j->members);
    buf_append_slice(&j->members, j->meta.members);
    return true;
}

/*
 * Updates that we had accepted since our start are in no state and no log any more. No count is
 * ever used twice, so they are there as records that do nothing: others do not wait for them, and
 * who saw them is told that they are lost.
 */
static void empty_own(replica_t *self, uint64_t last)
{
    uint64_t own = self->config.incarnation;
    record_t *record = &self->record;
    for (uint64_t n = vec_get(&self->applied, own) + 1; n <= last; n++) {
        vec_reset(&record->deps);
        record->origin = own;
        record->n = n;
        record->tag = (tag_t){replica_clock(self), 0, n};
        record->floor = 0;
        record->ops = record->result = record_nothing();
        buf_reset(&self->encoded);
        record_put(&self->encoded, record);
        replica_apply(self, record, buf_slice(&self->encoded));
    }
}

/*
 * What was taken over becomes ours, in one step; it is to be on disk before anybody relies on it.
 */
static void adopt(replica_t *self)
{
    joining_t *j = &self->joining;
    uint64_t own = vec_get(&self->applied, self->config.incarnation);
    uint64_t lost = vec_lag(&j->meta.applied, &self->applied);
    if (lost != 0) {
        self->counts.lost += lost;
        replica_note(self, NOTE_ERROR,
                     "[lost] updates lost=%llu: only the state of this node had them, no log",
                     (unsigned long long)lost);
        size_t offset = self->arena.size;
        buf_printf(&self->arena, "# %llu updates that only the state of node %u had, and no log\n",
                   (unsigned long long)lost, self->config.id);
        replica_emit(self, REPLICA_LOST, 0, offset);
    }
    recovery_abort_checkpoint(self, "the state is another now");
    if (!self->lineage_is_fixed)
        replica_fix_lineage(self, j->meta.lineage);
    self->donating.is_open = false; /* it was of the state that goes now */
    self->round_mark.is_open = self->durable_mark.is_open = false;
    store_destroy(&self->store);
    executed_destroy(&self->executed);
    self->store = j->store;
    self->executed = j->executed;
    j->store = NULL;
    j->executed = NULL;
    stability_drop_unsure(self);
    logindex_destroy(&self->index);
    self->index = logindex_new();
    self->horizon = 0; /* it was of the state that goes now, and so was what all had of it */
    vec_reset(&self->known);
    recovery_take_meta(self, &j->meta);
    vec_copy(&self->dropped, &self->applied);
    self->log_begin = self->log_end;
    stability_take_rows(self, buf_slice(&j->members));
    empty_own(self, own);
    vec_reset(&self->named); /* by some that are empty now */
    end_salvage(self);
    self->fold_left = store_unstable(self->store);
    self->turn.has_applied = true;
    self->counts.transfers++;
    drop_staged(self);
    j->state = JOINING_WRITING;
    j->has_left = false;
    recovery_want_checkpoint(self, true);
    replica_note(self, NOTE_INFO, "state taken over keys=%zu", store_keys(self->store));
}

void transfer_take_state(replica_t *self, const peer_t *peer, slice_t message)
{
    joining_t *j = &self->joining;
    peer_state_part_t state;
    if (!peer_state_read(message, &state)) {
        self->counts.malformed++;
        return;
    }
    if (j->state != JOINING_TAKING || peer->incarnation != j->donor || self->is_read_only)
        return;
    if (state.transfer == 0) {
        /* It is there, and has something to do first; or it has given up what it had begun. */
        j->since_ms = self->now.boot_ms;
        if (j->transfer != 0)
            j->state = JOINING_WANTED;
        return;
    }
    bool is_first = j->transfer == 0 && state.part == 0;
    if (!is_first && (state.transfer != j->transfer || state.part != j->part))
        return; /* asked for twice */
    j->transfer = state.transfer;
    j->part++;
    j->since_ms = self->now.boot_ms;
    bool is_good = state_each_row(state.rows, take_row, j) && j->meta.lineage != 0 &&
                   (!self->lineage_is_fixed || j->meta.lineage == self->lineage);
    if (!is_good) {
        self->counts.malformed++;
        j->state = JOINING_WANTED;
    } else if (state.is_last && (j->is_short || vec_covers(&j->meta.applied, &self->applied))) {
        adopt(self);
    } else if (state.is_last) {
        j->state = JOINING_WANTED; /* something of ours is not in it: once more */
    } else {
        ask(self, peer);
    }
}

void transfer_is_on_disk(replica_t *self)
{
    if (self->joining.state != JOINING_WRITING)
        return;
    self->joining.state = JOINING_NOT;
    log_joining(self, SEGLOG_JOINING_ADOPTED);
    if (self->is_damaged) {
        self->counts.repairs++;
        replica_note(self, NOTE_WARN, "[repaired] what was damaged is here again, from node %u",
                     self->joining.donor_id);
    }
    self->is_damaged = false;
    vec_copy(&self->durable, &self->applied);
    replica_emit(self, REPLICA_TRUNCATE, 0, self->arena.size)->position = self->log_begin;
    for (size_t i = 0; i < self->peers_size; i++)
        self->peers[i].must_pull = true;
    gossip_round_now(self);
    replica_note(self, NOTE_INFO, "[joined] joined keys=%zu", store_keys(self->store));
    if (members_has(self->members, self->config.id, self->config.incarnation))
        self->joining.has_left = false; /* or it has been taken back since */
    else
        transfer_has_left(self); /* meanwhile */
}

/* ---- the donor ---- */

static void answer(replica_t *self, uint32_t link, const peer_state_part_t *state)
{
    size_t offset = self->arena.size;
    peer_state_put(&self->arena, state);
    replica_emit(self, REPLICA_TO_PEER_ROUTER, link, offset);
}

static void answer_part(replica_t *self, uint32_t link)
{
    donating_t *d = &self->donating;
    const peer_state_part_t state = {d->transfer, d->part, d->is_last, buf_slice(&d->rows)};
    d->used_ms = self->now.boot_ms;
    answer(self, link, &state);
}

static void put_run(buf_t *rows, state_table_t table, const buf_t *run)
{
    mp_put_uint(rows, table);
    mp_put_bin(rows, buf_slice(run));
}

/* The first part: everything but the keys, as of now. */
static void begin_donation(replica_t *self, uint64_t joiner)
{
    donating_t *d = &self->donating;
    buf_t run = {0};
    d->is_open = true;
    d->is_last = false;
    d->joiner = joiner;
    d->transfer = random_u64(&self->random) | 1;
    d->part = 0;
    d->used_ms = self->now.boot_ms;
    buf_reset(&d->rows);
    recovery_put_meta(self, &run);
    put_run(&d->rows, STATE_META, &run);
    if (joiner != BACKUP) {
        /* What it handed in and could not be applied is lost, for the joiner as well. */
        stability_drop_unsure(self);
        buf_reset(&run);
        recovery_put_executed(self, &run);
        put_run(&d->rows, STATE_EXECUTED, &run);
        self->counts.donated++;
    }
    buf_free(&run);
    store_snapshot_begin(self->store, STORE_SNAPSHOT_COPY);
}

/* What has to be copied for it because updates come may not grow for ever. */
static bool goes_on(replica_t *self)
{
    if (store_snapshot_early(self->store) > SNAPSHOT_EARLY_MAX)
        give_up(self);
    return self->donating.is_open;
}

static void next_part(replica_t *self)
{
    donating_t *d = &self->donating;
    buf_t run = {0};
    buf_reset(&d->rows);
    d->is_last = store_snapshot_next(self->store, &run, PEER_STATE_TARGET);
    put_run(&d->rows, STATE_KEYS, &run);
    buf_free(&run);
    d->part++;
}

/* True when what the joiner has is here, and it is a member. */
static bool is_handed_in(replica_t *self, const peer_join_t *join, peer_t *peer)
{
    const peer_member_t *row = members_find(self->members, join->id);
    bool has_left = row != NULL && row->state != MEMBER_IN;
    peer->has_left = has_left || join->has_left;
    if (!peer_vector_read(join->vector, join->ended, &self->vector, &self->wire))
        return false;
    if (has_left && !join->has_left)
        return false; /* it is to know first */
    if (vec_covers(&self->applied, &self->vector)) {
        if (has_left)
            stability_take_back(self, join->id, join->incarnation);
        return members_has(self->members, join->id, join->incarnation);
    }
    /*
     * Its updates may be at another member already, as they were. Once all have said that it has
     * left, and that counts here, none of them is taken in two ways.
     */
    if (has_left && !stability_is_agreed(self))
        return false;
    if (self->now.boot_ms >= peer->hands_in_until_ms)
        peer->hands_in_since_ms = self->now.boot_ms;
    vec_merge(&peer->vector, &self->vector);
    peer->hands_in_until_ms = self->now.boot_ms + HAND_IN_MS;
    peer->pull_ms = self->now.boot_ms;
    /* It took over a state itself, and the log of that is gone: it can hand in no more. */
    bool is_short = peer->gap_until_ms > self->now.boot_ms &&
                    self->now.boot_ms - peer->hands_in_since_ms >= SHORT_MS;
    if (is_short && has_left)
        stability_take_back(self, join->id, join->incarnation);
    return is_short;
}

static bool may_donate(const replica_t *self)
{
    return self->lineage_is_fixed && keeps_its_state(self) && self->status != STATUS_OFFLINE;
}

void transfer_take_join(replica_t *self, uint32_t link, slice_t message)
{
    donating_t *d = &self->donating;
    peer_join_t join;
    if (!peer_join_read(message, &join) || join.incarnation == BACKUP) {
        self->counts.malformed++;
        return;
    }
    peer_t *peer = gossip_peer(self, join.incarnation);
    if (!may_donate(self))
        return; /* it asks another */
    bool is_its_own = d->is_open && d->joiner == join.incarnation;
    if (is_its_own && join.transfer == d->transfer && join.part == d->part + 1 && !d->is_last) {
        if (!goes_on(self))
            return;
        next_part(self);
        answer_part(self, link);
        return;
    }
    bool is_asked_again = join.transfer == 0 && d->part == 0 && !d->is_last;
    if (is_its_own && (is_asked_again || (join.transfer == d->transfer && join.part == d->part))) {
        answer_part(self, link);
        return;
    }
    if (is_its_own && join.transfer == 0)
        give_up(self); /* it has begun anew */
    /* Once it serves, no crash may make us forget that it is to be reckoned with. */
    bool is_ready = peer != NULL && peer->state == PEER_READY && join.transfer == 0 &&
                    is_handed_in(self, &join, peer) && stability_is_on_disk(self) &&
                    !store_snapshot_is_open(self->store);
    if (is_ready) {
        begin_donation(self, join.incarnation);
        answer_part(self, link);
    } else if (!self->is_read_only) { /* that may last: it asks another */
        const peer_state_part_t later = {0};
        answer(self, link, &later);
    }
}

/* ---- backups ---- */

int replica_backup(replica_t *self, now_t now, uint64_t transfer, uint64_t part,
                   replica_part_t *out, err_t *err)
{
    donating_t *d = &self->donating;
    replica_enter(self, now);
    if (!self->lineage_is_fixed || self->applied.size == 0)
        return err_set(err, OUTCOME_MISSING, "it has no data yet: there is nothing to back up");
    bool is_waiting = self->joining.state == JOINING_WANTED && self->joining.has_said_waiting;
    if (self->joining.state != JOINING_NOT && (!is_waiting || self->is_damaged))
        return err_set(err, OUTCOME_BUSY, "it takes over the state of another node: ask that one");
    bool is_backup = d->is_open && d->joiner == BACKUP;
    if (transfer == 0 && is_backup)
        give_up(self); /* whoever began it may have gone, and a new one is not to wait for that */
    if (transfer == 0 && store_snapshot_is_open(self->store))
        return err_set(err, OUTCOME_BUSY,
                       "its state is read for a checkpoint or a node that joins: ask again");
    if (transfer != 0 &&
        (!is_backup || transfer != d->transfer || part < d->part || part > d->part + !d->is_last))
        return err_set(err, OUTCOME_LOST,
                       "it has given the backup up, which stood still for 10 s, or another one was "
                       "begun: begin anew");
    if (transfer == 0)
        begin_donation(self, BACKUP);
    else if (part > d->part && !goes_on(self))
        return err_set(err, OUTCOME_LOST,
                       "it has given the backup up, updates came faster than the backup: "
                       "begin anew, or at another node");
    else if (part > d->part)
        next_part(self);
    d->used_ms = now.boot_ms;
    *out = (replica_part_t){d->transfer, d->part, d->is_last, buf_slice(&d->rows)};
    return 0;
}

/* ---- handing in ---- */

/*
 * What a member hands in counts. What one brings who had left does not: the others have gone on
 * without it, some may have forgotten what it would have to be compared with, and whoever it hands
 * it in to, also a second time after the first one died, must decide the same.
 */
static bool counts(const replica_t *self, const peer_t *joiner, const record_t *record)
{
    const peer_member_t *row = members_of(self->members, record->origin);
    if (row != NULL && row->state == MEMBER_IN && row->incarnation != joiner->incarnation)
        return true; /* it comes from there as well, as it is */
    return !joiner->has_left && members_has(self->members, joiner->id, joiner->incarnation);
}

slice_t transfer_hand_in(replica_t *self, const peer_t *joiner, slice_t raw, buf_t *out)
{
    record_t *record = &self->record;
    uint64_t origin;
    uint64_t n;
    if (!record_peek(raw, &origin, &n) || n <= vec_get(&self->applied, origin))
        return raw; /* we have it already */
    if (!record_read(raw, record) || counts(self, joiner, record))
        return raw;
    /* Who took it back may have had it before, as it was: that is to come here first. */
    if (!members_agree_but(self->members, joiner->id))
        return slice_of(NULL, 0);
    size_t offset = self->arena.size;
    lost_put(&self->arena, record);
    replica_emit(self, REPLICA_LOST, 0, offset);
    self->counts.lost++;
    record->ops = record->result = record_nothing();
    buf_reset(out);
    record_put(out, record);
    return buf_slice(out);
}

void transfer_free(replica_t *self)
{
    drop_staged(self);
    buf_free(&self->joining.members);
    buf_free(&self->donating.rows);
    vec_free(&self->dropped);
    lost_free(&self->lost);
}
