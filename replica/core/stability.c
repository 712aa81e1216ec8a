/*
 * What may be forgotten: who the members are, what they have on disk, and the horizon under which
 * nothing new can come.
 *
 * Ladin et al. 1992, section 3.3, discard records and the executed table by the timestamp table and
 * a bound on message delay. Here the bound is the floor: each member refuses updates with older
 * tags and says so once that is on its disk, so that no clock need be trusted (members.h).
 */
#include "replica/core/internal.h"
#include "replica/core/seglog.h"

enum {
    RECKON_MS = 250,       /* between looks at rounds that could not count yet */
    LAG_MS = 60000,        /* over --retry-horizon without forgetting anything: people are told */
    FOLD_ENTRIES = 256,    /* looked at in one turn */
    FORGET_CLIENTS = 1024, /* in one turn */
};

void stability_new(replica_t *self)
{
    self->members = members_new();
}

void stability_free(replica_t *self)
{
    members_destroy(&self->members);
    buf_free(&self->member_rows);
    vec_free(&self->synced);
    vec_free(&self->round_mark.vector);
    vec_free(&self->durable);
    vec_free(&self->durable_mark.vector);
    vec_free(&self->known);
    vec_free(&self->ended);
    vec_free(&self->wire);
    vec_free(&self->named);
    vec_free(&self->left);
    buf_free(&self->ended_bytes);
}

/* ---- members ---- */

static const peer_member_t *own_row(const replica_t *self)
{
    return members_find(self->members, self->config.id);
}

static void encode_rows(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    buf_reset(&self->member_rows);
    peer_members_put(&self->member_rows, rows, count);
}

void stability_log_members(replica_t *self)
{
    self->has_unlogged_members = self->is_read_only;
    if (self->lineage_is_fixed && self->is_started && !self->is_read_only)
        replica_log(self, SEGLOG_KIND_MEMBERS, buf_slice(&self->member_rows));
}

static uint64_t own_view(const replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    return members_view(rows, count);
}

/* What we say of ourselves counts as that of any member. */
static void say_own(replica_t *self)
{
    members_round(self->members, self->config.id, self->config.incarnation, &self->synced,
                  self->said_floor, self->said_view);
    self->must_reckon = true;
}

/*
 * What we say of the members says as well that of who left, or of an incarnation that is over, we
 * apply no more than others have: they may take it in another way, or know of none of it and let
 * the horizon pass it. What is held back may be theirs; it is pulled again from who has it. What a
 * member was handing in does not count as handed in by one who has left, before all know that
 * (transfer.c).
 */
void stability_drop_unsure(replica_t *self)
{
    holdback_destroy(&self->holdback);
    self->holdback = holdback_new(REPLICA_HELD_BYTES_MAX);
    self->pull.is_open = false;
    for (size_t i = 0; i < self->peers_size; i++)
        self->peers[i].hands_in_until_ms = 0;
}

/*
 * What the members all have is forgotten without regard to who has left: a session that is shown
 * the data from here on must not be served there, before that one knows.
 */
static void list_left(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    vec_reset(&self->left);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].state != MEMBER_IN)
            vec_raise(&self->left, vec_node(rows[i].id), rows[i].stamp);
    self->left_serial++;
}

void stability_take_token(const replica_t *self, session_t *session, vec_t *token)
{
    session->left = hlc_max(session->left, vec_get(token, vec_node(self->config.id)));
    vec_drop_nodes(token);
}

bool stability_has_left(const replica_t *self, const session_t *session)
{
    if (session->left == 0)
        return false;
    const peer_member_t *own = own_row(self);
    return own == NULL || own->stamp < session->left;
}

static void rows_changed(replica_t *self)
{
    stability_drop_unsure(self);
    encode_rows(self);
    list_left(self);
    stability_log_members(self);
    say_own(self);
}

/*
 * A member that was started again is what it was: the row is as little newer as can be, so that it
 * does not hide that the member has been left out meanwhile.
 */
static hlc_t stamp_of_start(replica_t *self, const peer_member_t *before)
{
    return before != NULL ? before->stamp + 1 : replica_clock(self);
}

/* We have left, as others see it: by people while we were up, or while we were out of reach. */
static void have_left(replica_t *self, const peer_member_t *row)
{
    bool is_us = row->incarnation == self->config.incarnation;
    if (row->state != MEMBER_FORGOTTEN || !is_us) {
        transfer_has_left(self);
        return;
    }
    if (self->is_forgotten)
        return;
    self->is_forgotten = true;
    transfer_stop(self);
    sessions_turn_back_all(self);
    replica_note(
        self, NOTE_ERROR,
        "[forgotten] forgotten: this node was taken out of the cluster by hearsayctl forget; it "
        "serves nothing until it is started again, and then takes over the state of "
        "another node");
}

/* Our own row, above whatever is said of our id, unless we have left. */
static bool assert_own(replica_t *self)
{
    const peer_member_t *row = own_row(self);
    if (row != NULL && row->state != MEMBER_IN) {
        have_left(self, row);
        return false;
    }
    if (row != NULL && row->incarnation == self->config.incarnation)
        return false;
    /* Who lost the row does not know whether it has left: whatever others say of it holds. */
    hlc_t stamp = row == NULL && self->is_damaged ? 1 : stamp_of_start(self, row);
    const peer_member_t own = {.id = self->config.id,
                               .incarnation = self->config.incarnation,
                               .stamp = stamp,
                               .state = MEMBER_IN};
    return members_merge(self->members, &own);
}

void stability_take_in(replica_t *self, uint16_t id, uint64_t incarnation)
{
    if (members_find(self->members, id) != NULL)
        return;
    const peer_member_t in = {
        .id = id, .incarnation = incarnation, .stamp = replica_clock(self), .state = MEMBER_IN};
    if (members_merge(self->members, &in))
        rows_changed(self);
}

/*
 * A new row for an id, above the one there is and above many starts of that node, each of which
 * stands one tick above the row before; its clock may be ahead of ours.
 */
static void change_row(replica_t *self, uint16_t id, uint64_t incarnation,
                       peer_member_state_t state)
{
    const peer_member_t *old = members_find(self->members, id);
    peer_member_t row = {.id = id,
                         .incarnation = incarnation,
                         .stamp = replica_clock(self),
                         .state = (uint8_t)state};
    if (old != NULL)
        row.stamp = hlc_max(row.stamp, hlc_add_ms(old->stamp, 1));
    members_merge(self->members, &row);
}

static void change_own_row(replica_t *self, peer_member_state_t state)
{
    change_row(self, self->config.id, self->config.incarnation, state);
}

/*
 * The only member takes back itself who had left. One that is a member again by another hand has
 * gone on with its own state, as we have: two clusters of one lineage. The one that went on later
 * stays.
 */
static bool has_parted(const replica_t *self, bool is_alone, const peer_member_t *row)
{
    const peer_member_t *own = own_row(self);
    const peer_member_t *before = members_find(self->members, row->id);
    bool has_state = self->joining.state == JOINING_NOT || self->joining.state == JOINING_WRITING;
    return self->is_started && has_state && own != NULL && own->state == MEMBER_IN && is_alone &&
           before != NULL && before->state != MEMBER_IN && row->state == MEMBER_IN &&
           row->stamp > before->stamp;
}

static void end_parting(replica_t *self, const peer_member_t *row)
{
    const peer_member_t *own = own_row(self);
    bool stays = own->stamp != row->stamp ? own->stamp > row->stamp : own->id < row->id;
    if (stays)
        change_row(self, row->id, row->incarnation, MEMBER_LEFT_BEHIND);
    else
        change_own_row(self, MEMBER_LEFT_BEHIND);
}

/*
 * Others have left us out and taken us back since what we know, so that we have an old copy of the
 * folder; or another host was started under our id while we were cut off. Our updates since then do
 * not count any more: nobody reckoned with them. Starts alone add ticks, and no milliseconds.
 */
static bool is_replaced(const replica_t *self, const peer_member_t *row)
{
    const peer_member_t *own = own_row(self);
    return self->is_started && self->applied.size != 0 && self->joining.state == JOINING_NOT &&
           own != NULL && own->state == MEMBER_IN && row->id == self->config.id &&
           row->state == MEMBER_IN && hlc_ms(row->stamp) > hlc_ms(own->stamp);
}

/*
 * It was taken in, or back, by one that we do not reckon with, or our horizon would not be past
 * that: it may have accepted updates under the horizon, which must not come in as they are.
 */
static bool comes_late(const replica_t *self, const peer_member_t *row)
{
    const peer_member_t *before = members_find(self->members, row->id);
    bool is_news = before == NULL || (before->state != MEMBER_IN && row->stamp > before->stamp);
    return self->is_started && self->joining.state == JOINING_NOT && row->state == MEMBER_IN &&
           row->id != self->config.id && is_news &&
           self->horizon > hlc_add_ms(row->stamp, -self->config.retry_horizon_ms);
}

bool stability_take_rows(replica_t *self, slice_t bytes)
{
    peer_member_t rows[PEER_MEMBERS_MAX];
    uint32_t count;
    bool has_changed = false;
    bool is_alone = members_count(self->members) == 1;
    if (!peer_members_read(bytes, rows, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool parted = has_parted(self, is_alone, &rows[i]);
        bool replaced = is_replaced(self, &rows[i]);
        bool is_late = comes_late(self, &rows[i]);
        has_changed |= members_merge(self->members, &rows[i]);
        if (parted)
            end_parting(self, &rows[i]);
        else if (is_late)
            change_row(self, rows[i].id, rows[i].incarnation, MEMBER_LEFT_BEHIND);
        if (replaced)
            change_own_row(self, MEMBER_LEFT_BEHIND);
    }
    if (self->is_started)
        has_changed |= assert_own(self);
    if (!has_changed)
        return true;
    rows_changed(self);
    gossip_round_now(self); /* nothing is forgotten before all say that they know */
    return true;
}

void stability_take_round(replica_t *self, const peer_round_t *round)
{
    if (!stability_take_rows(self, round->members) || !stability_take_ended(self, round->ended) ||
        !peer_vector_read(round->synced, round->ended, &self->vector, &self->wire)) {
        self->counts.malformed++;
        return;
    }
    self->counts.early_floors += !vec_covers(&self->applied, &self->vector);
    members_round(self->members, round->id, round->incarnation, &self->vector, round->floor,
                  round->view);
    self->must_reckon = true;
}

bool stability_is_on_disk(const replica_t *self)
{
    return self->said_view == own_view(self);
}

bool stability_is_agreed(const replica_t *self)
{
    return members_agree(self->members);
}

void stability_take_back(replica_t *self, uint16_t id, uint64_t incarnation)
{
    change_row(self, id, incarnation, MEMBER_IN);
    rows_changed(self);
    gossip_round_now(self);
    replica_note(self, NOTE_INFO, "[member-back] member is back id=%u incarnation=%016llx", id,
                 (unsigned long long)incarnation);
}

static bool is_at_hand(replica_t *self, const peer_member_t *row)
{
    const peer_t *peer = gossip_peer(self, row->incarnation);
    return row->id == self->config.id || (peer != NULL && gossip_is_at_hand(self, peer));
}

/* One that is joining has no state yet: two sides would count on it. */
static bool has_a_say(replica_t *self, const peer_member_t *row)
{
    const peer_t *peer = gossip_peer(self, row->incarnation);
    return row->id == self->config.id || (peer != NULL && gossip_may_with(self, peer));
}

bool stability_leave_behind(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    uint32_t away = 0;
    uint32_t all = 0; /* those left behind before, too: or a minority could become a majority */
    uint32_t say = 0;
    for (uint32_t i = 0; i < count; i++) {
        all += rows[i].state != MEMBER_FORGOTTEN;
        away += rows[i].state == MEMBER_IN && !is_at_hand(self, &rows[i]);
        say += rows[i].state == MEMBER_IN && has_a_say(self, &rows[i]);
    }
    /* Who is offline takes no part in gossip: whom it reaches says nothing. */
    if (self->status == STATUS_OFFLINE || away == 0 || say * 2 <= all)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].state != MEMBER_IN || is_at_hand(self, &rows[i]))
            continue;
        replica_note(self, NOTE_WARN,
                     "[left-behind] member left behind id=%u: it is out of reach and --log-max is "
                     "reached; when "
                     "it comes back it hands in what it has and takes over the state",
                     rows[i].id);
        change_row(self, rows[i].id, rows[i].incarnation, MEMBER_LEFT_BEHIND);
    }
    rows_changed(self);
    gossip_round_now(self);
    return true;
}

/*
 * Who was forgotten and has been started again wants to join as we do. One that was up when it was
 * forgotten wants nothing.
 */
static bool is_here(replica_t *self, const peer_member_t *row)
{
    const peer_t *peer = gossip_peer_of_id(self, row->id);
    bool is_idle =
        row->state == MEMBER_FORGOTTEN && peer != NULL && peer->incarnation == row->incarnation;
    return row->id == self->config.id || (peer != NULL && peer->state == PEER_READY && !is_idle);
}

bool stability_go_on_alone(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    for (uint32_t i = 0; i < count; i++) {
        const peer_t *peer = gossip_peer_of_id(self, rows[i].id);
        bool waits = rows[i].state == MEMBER_LEFT_BEHIND && !is_here(self, &rows[i]);
        /* One that goes on already has a state to give. */
        bool goes_on = peer != NULL && is_here(self, &rows[i]) &&
                       (!peer->is_joining || transfer_goes_first(self, peer));
        if (rows[i].state == MEMBER_IN || waits || goes_on)
            return false;
    }
    change_own_row(self, MEMBER_IN);
    rows_changed(self);
    return true;
}

void stability_stand_back(replica_t *self)
{
    const peer_member_t *own = own_row(self);
    if (own == NULL || own->state != MEMBER_IN || members_count(self->members) != 1)
        return;
    change_own_row(self, MEMBER_LEFT_BEHIND);
    rows_changed(self);
    gossip_round_now(self);
}

void stability_leave_others(replica_t *self)
{
    uint32_t count;
    const peer_member_t *rows = members_rows(self->members, &count);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].id != self->config.id && rows[i].state == MEMBER_IN)
            change_row(self, rows[i].id, rows[i].incarnation, MEMBER_LEFT_BEHIND);
    rows_changed(self);
}

int replica_forget(replica_t *self, now_t now, uint16_t id, err_t *err)
{
    replica_enter(self, now);
    const peer_member_t *row = members_find(self->members, id);
    if (row == NULL || row->state == MEMBER_FORGOTTEN)
        return err_set(err, OUTCOME_USAGE, "node %u is no member: see hearsayctl nodes", id);
    if (id == self->config.id)
        return err_set(err, OUTCOME_USAGE, "a node does not forget itself: ask another one");
    /* It may be the very one whose state is wanted here. */
    if (!keeps_its_state(self))
        return err_set(err, OUTCOME_BUSY,
                       "this node has to take over the state of another one first: ask another "
                       "node, or ask again when it is ready");
    change_row(self, id, row->incarnation, MEMBER_FORGOTTEN);
    rows_changed(self);
    gossip_round_now(self);
    replica_note(self, NOTE_WARN, "[forgotten] member forgotten id=%u", id);
    return 0;
}

/* ---- final counts ---- */

const vec_t *stability_wire(replica_t *self, const vec_t *vector)
{
    vec_copy(&self->wire, vector);
    vec_leave_out(&self->wire, &self->ended);
    return &self->wire;
}

static void encode_ended(replica_t *self)
{
    buf_reset(&self->ended_bytes);
    mp_put_vector(&self->ended_bytes, &self->ended);
}

void stability_set_ended(replica_t *self, const vec_t *ended)
{
    vec_copy(&self->ended, ended);
    encode_ended(self);
}

static void ended_changed(replica_t *self)
{
    encode_ended(self);
    vec_leave_out(&self->named, &self->ended); /* no token has those any more */
    if (self->lineage_is_fixed && self->is_started)
        replica_log(self, SEGLOG_KIND_ENDED, buf_slice(&self->ended_bytes));
}

bool stability_take_ended(replica_t *self, slice_t bytes)
{
    mp_t in = mp_open(bytes);
    bool has_changed = false;
    mp_vector_of(&in, &self->vector, VEC_ENDED_MAX);
    if (!mp_done(&in))
        return false;
    if (self->is_read_only)
        return true; /* they say it again */
    for (uint32_t i = 0; i < self->vector.size && self->ended.size < VEC_ENDED_MAX; i++) {
        const vec_part_t *part = &self->vector.parts[i];
        if (vec_get(&self->applied, part->incarnation) == part->count)
            has_changed |= vec_raise(&self->ended, part->incarnation, part->count);
    }
    self->counts.late_counts += has_changed;
    if (has_changed)
        ended_changed(self);
    return true;
}

void stability_reopen(replica_t *self, uint64_t incarnation)
{
    if (self->ended.size == 0 || vec_get(&self->ended, incarnation) == 0)
        return;
    vec_set(&self->ended, incarnation, 0);
    encode_ended(self); /* the log need not say so: the record that came says it */
}

static bool is_present(const replica_t *self, uint64_t incarnation)
{
    return incarnation == self->config.incarnation ||
           members_of(self->members, incarnation) != NULL;
}

/*
 * Every member has the same count on disk of an incarnation that is over: from now on it need not
 * be named. An update of it that comes after all, out of a disk that was thought lost, makes it a
 * part like any other again.
 */
static void settle_ended(replica_t *self)
{
    bool has_changed = false;
    if (self->is_read_only || !members_agree(self->members))
        return;
    for (uint32_t i = 0; i < self->applied.size && self->ended.size < VEC_ENDED_MAX; i++) {
        const vec_part_t *part = &self->applied.parts[i];
        if (vec_get(&self->known, part->incarnation) != part->count ||
            vec_get(&self->ended, part->incarnation) != 0 || is_present(self, part->incarnation))
            continue;
        has_changed |= vec_raise(&self->ended, part->incarnation, part->count);
    }
    if (has_changed)
        ended_changed(self);
}

/* ---- our own disk ---- */

void stability_raise_floor(replica_t *self, hlc_t floor)
{
    self->floor = hlc_max(self->floor, floor);
    replica_clock_raise(self, floor);
}

/* Nobody need hear of a floor when there is nothing to forget, here or elsewhere. */
static bool has_to_forget(const replica_t *self)
{
    return store_unstable(self->store) != 0 || executed_clients(self->executed) != 0;
}

/*
 * With --sync never nothing gets to the disk by itself. Others may wait to hear that we know the
 * members, and nothing is forgotten anywhere before our floor moves.
 */
static bool wants_sync(const replica_t *self)
{
    const sync_mark_t *mark = &self->round_mark;
    return mark->is_open && (!stability_is_on_disk(self) ||
                             self->now.boot_ms - mark->since_ms >= self->config.retry_horizon_ms);
}

static void open_mark(replica_t *self)
{
    sync_mark_t *mark = &self->round_mark;
    hlc_t floor = hlc_add_ms(replica_clock(self), -self->config.retry_horizon_ms);
    if (!self->lineage_is_fixed || self->joining.state != JOINING_NOT)
        return;
    if (self->has_unlogged_lineage || self->has_unlogged_members)
        return; /* what is said of the disk includes who has left */
    if (!has_to_forget(self)) {
        hlc_t wanted = members_floor(self->members); /* by one that has, and waits for ours */
        floor = wanted < floor ? wanted : floor;
    }
    if (floor > self->floor && !self->is_read_only)
        self->floor = floor;
    if (self->floor > self->logged_floor && !self->is_read_only) {
        self->logged_floor = self->floor;
        buf_reset(&self->encoded);
        seglog_number_put(&self->encoded, self->floor);
        replica_log(self, SEGLOG_KIND_FLOOR, buf_slice(&self->encoded));
    }
    mark->is_open = true;
    mark->since_ms = self->now.boot_ms;
    mark->position = self->log_end;
    mark->floor = self->logged_floor;
    mark->view = own_view(self);
    vec_copy(&mark->vector, &self->applied);
}

void stability_mark(replica_t *self)
{
    if (!self->round_mark.is_open)
        open_mark(self);
    if (wants_sync(self))
        replica_emit(self, REPLICA_SYNC, 0, self->arena.size);
}

static bool reaches(sync_mark_t *mark, uint64_t position)
{
    if (!mark->is_open || position < mark->position)
        return false;
    mark->is_open = false;
    return true;
}

void replica_synced(replica_t *self, now_t now, uint64_t position)
{
    replica_enter(self, now);
    if (position > self->synced_to)
        self->synced_to = position;
    if (reaches(&self->round_mark, position)) {
        vec_copy(&self->synced, &self->round_mark.vector);
        self->said_floor = self->round_mark.floor;
        bool is_news = self->said_view != self->round_mark.view;
        self->said_view = self->round_mark.view;
        if (is_news || !stability_is_on_disk(self))
            gossip_round_now(self); /* others may wait to hear that we know the members */
        say_own(self);
    }
    if (!self->config.sync_always)
        return;
    self->has_new_copies = true;
    if (reaches(&self->durable_mark, position))
        vec_copy(&self->durable, &self->durable_mark.vector);
}

const vec_t *gossip_vector(const replica_t *self)
{
    static const vec_t nothing = {0};
    if (self->joining.state == JOINING_WRITING)
        return &nothing;
    return self->config.sync_always ? &self->durable : &self->applied;
}

/* ---- reckoning ---- */

/* The horizon moves, or there is nothing to forget. */
static void end_lag(replica_t *self)
{
    self->lag_since_ms = self->now.boot_ms;
    if (!self->has_said_lag)
        return;
    self->has_said_lag = false;
    replica_note(self, NOTE_INFO, "[stability-lag] forgetting goes on unstable=%zu",
                 store_unstable(self->store));
}

static void watch_lag(replica_t *self)
{
    int64_t long_ms = self->config.retry_horizon_ms + LAG_MS;
    if (!has_to_forget(self) || self->joining.state != JOINING_NOT)
        end_lag(self);
    const peer_member_t *last = members_last(self->members);
    if (self->has_said_lag || last == NULL || self->now.boot_ms - self->lag_since_ms < long_ms)
        return;
    self->has_said_lag = true;
    replica_note(self, NOTE_WARN,
                 "[stability-lag] nothing has been forgotten for %lld s unstable=%zu waits_for=%u: "
                 "bring that node back, or forget it",
                 (long long)(long_ms / 1000), store_unstable(self->store), last->id);
}

static void reckon(replica_t *self)
{
    members_count_rounds(self->members, &self->applied);
    if (!members_agree(self->members))
        return; /* who does not know yet that another has left may be giving it what we write */
    members_known(self->members, &self->vector);
    hlc_t horizon = members_horizon(self->members);
    if (horizon <= self->horizon && vec_equal(&self->known, &self->vector))
        return;
    vec_copy(&self->known, &self->vector);
    if (horizon > self->horizon)
        end_lag(self);
    self->horizon = hlc_max(self->horizon, horizon);
    if (self->joining.state == JOINING_NOT)
        settle_ended(self);
    self->fold_left = store_unstable(self->store);
    self->must_forget = true;
    replica_note(self, NOTE_DEBUG, "horizon moved behind_ms=%lld unstable=%zu",
                 (long long)(hlc_ms(replica_clock(self)) - hlc_ms(horizon)), self->fold_left);
}

void stability_start(replica_t *self)
{
    self->synced_to = self->log_end;
    vec_copy(&self->synced, &self->applied);
    vec_copy(&self->durable, &self->applied);
    self->said_floor = self->logged_floor = self->floor;
    self->said_view = 0; /* said with the first mark */
    self->reckon_ms = self->now.boot_ms + RECKON_MS;
    self->lag_since_ms = self->now.boot_ms;
    /*
     * Whoever took us back counts on a state that we do not have: what we handed in was emptied
     * there, and is not to be taken whole by others as a member's.
     */
    if (self->joining.logged == SEGLOG_JOINING_LEFT)
        change_own_row(self, MEMBER_LEFT_BEHIND);
    assert_own(self);
    rows_changed(self);
}

void stability_tick(replica_t *self)
{
    if (self->now.boot_ms < self->reckon_ms)
        return;
    self->reckon_ms = self->now.boot_ms + RECKON_MS;
    self->must_reckon = true;
    watch_lag(self);
    recovery_consider_log(self);
}

void stability_turn(replica_t *self)
{
    if (self->must_reckon)
        reckon(self);
    self->must_reckon = false;
    const stable_t stable = {self->horizon, &self->known};
    if (self->config.sync_always && !self->durable_mark.is_open &&
        self->log_end > self->durable_mark.position) {
        self->durable_mark.is_open = true;
        self->durable_mark.position = self->log_end;
        vec_copy(&self->durable_mark.vector, &self->applied);
    }
    if (self->fold_left != 0) {
        size_t most = self->fold_left < FOLD_ENTRIES ? self->fold_left : FOLD_ENTRIES;
        store_set_clock(self->store, replica_clock(self));
        store_fold(self->store, &stable, most);
        self->fold_left -= most;
    }
    if (self->must_forget) {
        size_t forgotten = executed_forget(self->executed, &stable, FORGET_CLIENTS);
        self->must_forget = forgotten == FORGET_CLIENTS;
        self->counts.forgotten += forgotten;
    }
}

int64_t stability_deadline(const replica_t *self)
{
    return self->fold_left != 0 || self->must_forget ? self->now.boot_ms + 1 : self->reckon_ms;
}
