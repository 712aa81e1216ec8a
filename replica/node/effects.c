#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/net/logger.h"
#include "bus/net/message.h"
#include "bus/net/notes.h"
#include "bus/net/runtime.h"
#include "replica/node/internal.h"

/* Rounds of effects in one turn; what is left then waits for the next one. */
enum { ROUNDS_MAX = 16 };

void node_end(node_t *self, int exit_code)
{
    if (self->is_ending)
        return;
    self->is_ending = true;
    loop_stop(self->loop, exit_code);
}

static log_level_t level_of(replica_level_t level)
{
    static const log_level_t levels[] = {
        [NOTE_ERROR] = LOG_LEVEL_ERROR,
        [NOTE_WARN] = LOG_LEVEL_WARN,
        [NOTE_INFO] = LOG_LEVEL_INFO,
        [NOTE_DEBUG] = LOG_LEVEL_DEBUG,
    };
    return levels[level];
}

/* ---- effects ---- */

static void follow_up(node_t *self, followup_t followup)
{
    if (self->followups_size == self->followups_capacity)
        self->followups =
            mem_grow(self->followups, &self->followups_capacity, sizeof(*self->followups));
    self->followups[self->followups_size++] = followup;
}

/* A broker that cannot take a frame has lost what it waits for: better it knows. */
static void send_to_broker(node_t *self, uint32_t link, slice_t bytes)
{
    if (message_send_to(self->sockets[PORT_SERVICE], link, bytes))
        return;
    self->counts.dropped_service++;
    follow_up(self, (followup_t){.kind = FOLLOWUP_SERVICE_LOST, .link = link});
}

static void connect_peer(node_t *self, const replica_effect_t *effect, slice_t host)
{
    err_t err;
    if (links_connect(self->links, effect->link, host, effect->port, &err) == 0)
        return;
    log_line(LOG_LEVEL_WARN, "%s", err.text);
    follow_up(self, (followup_t){.kind = FOLLOWUP_PEER_LOST, .link = effect->link});
}

/* Gossip that does not go out is pulled later, so a drop between nodes is only counted. */
static void carry_out_one(node_t *self, const replica_effect_t *effect, slice_t bytes)
{
    switch (effect->kind) {
    case REPLICA_APPEND: /* done before */
        break;
    case REPLICA_PUBLISH:
        self->counts.dropped_peer += !message_send(self->sockets[PORT_GOSSIP], bytes);
        node_trace_published(self, bytes);
        break;
    case REPLICA_TO_SERVICE:
        send_to_broker(self, effect->link, bytes);
        break;
    case REPLICA_TO_PEER_ROUTER:
        self->counts.dropped_peer +=
            !message_send_to(self->sockets[PORT_PEER], effect->link, bytes);
        break;
    case REPLICA_TO_PEER:
        self->counts.dropped_peer += !links_send(self->links, effect->link, bytes);
        break;
    case REPLICA_READ:
        follow_up(self, (followup_t){FOLLOWUP_READ, effect->link, effect->most, effect->request,
                                     effect->position});
        break;
    case REPLICA_CONNECT:
        connect_peer(self, effect, bytes);
        break;
    case REPLICA_DISCONNECT:
        links_disconnect(self->links, effect->link);
        break;
    case REPLICA_CHECKPOINT_BEGIN:
        node_checkpoint_begin(self, effect->link != 0);
        break;
    case REPLICA_CHECKPOINT_ROWS:
        node_checkpoint_rows(self, (uint8_t)effect->link, bytes);
        break;
    case REPLICA_CHECKPOINT_COMMIT:
        node_checkpoint_commit(self, effect->position);
        break;
    case REPLICA_CHECKPOINT_ABORT:
        node_checkpoint_abort(self);
        break;
    case REPLICA_SYNC:
        disk_ask_sync(self->disk);
        break;
    case REPLICA_TRUNCATE:
        disk_drop_before(self->disk, effect->position);
        break;
    case REPLICA_LOST:
        node_keep_lost(self, bytes);
        break;
    case REPLICA_NOTE:
        notes_tell(&self->line, self->events, self->trace, level_of(effect->level), bytes);
        break;
    case REPLICA_STOP:
        notes_tell(&self->line, self->events, self->trace, LOG_LEVEL_ERROR, bytes);
        node_end(self, outcome_exit(OUTCOME_USAGE));
        break;
    }
}

/* ---- the log ---- */

/* Keeps the effects of a turn whose append failed. */
static void stall(node_t *self, const replica_effects_t *effects, const err_t *err)
{
    stalled_t *stalled = &self->stalled;
    size_t bytes = 0;
    for (size_t i = 0; i < effects->size; i++) {
        size_t end = effects->list[i].offset + effects->list[i].size;
        bytes = end > bytes ? end : bytes;
    }
    stalled->is_stalled = true;
    stalled->size = effects->size;
    stalled->list = mem_zero(effects->size, sizeof(*stalled->list));
    memcpy(stalled->list, effects->list, effects->size * sizeof(*stalled->list));
    buf_reset(&stalled->arena);
    buf_append(&stalled->arena, effects->arena, bytes);
    node_hold_input(self, true);
    node_set_read_only(self, err->text);
    self->look_ms = net_now().boot_ms + NODE_LOOK_MS;
    log_line(LOG_LEVEL_ERROR, "%s; until then this node serves nothing", err->text);
}

/*
 * The log entries of a turn, which come first. False when they could not be written: then nothing
 * of the turn may be seen by anybody yet. The reserve is for them, and usually enough.
 */
static bool append(node_t *self, const replica_effects_t *effects, err_t *err)
{
    if (effects->size == 0 || effects->list[0].kind != REPLICA_APPEND)
        return true;
    slice_t bytes = replica_effect_bytes(effects, &effects->list[0]);
    uint64_t position = disk_end(self->disk);
    if (disk_append(self->disk, bytes, err) != 0) {
        self->look_ms = 0;
        if (disk_append_reserved(self->disk, bytes, err) != 0)
            return false;
    }
    node_trace_logged(self, bytes, position);
    return true;
}

static void carry_out_all(node_t *self, const replica_effects_t *effects)
{
    for (size_t i = 0; i < effects->size; i++)
        carry_out_one(self, &effects->list[i], replica_effect_bytes(effects, &effects->list[i]));
}

/* Tries the append again, when it is due; true when the node goes on. */
static bool resume(node_t *self)
{
    stalled_t *stalled = &self->stalled;
    err_t err;
    if (net_now().boot_ms < self->look_ms)
        return false;
    const replica_effects_t effects = {stalled->list, stalled->size, stalled->arena.data};
    disk_probe(self->disk);
    if (!append(self, &effects, &err)) {
        self->look_ms = net_now().boot_ms + NODE_LOOK_MS;
        return false;
    }
    stalled->is_stalled = false;
    node_hold_input(self, false);
    log_line(LOG_LEVEL_INFO, "the log is written, this node serves again");
    carry_out_all(self, &effects);
    node_free_effects(self);
    return true;
}

void node_free_effects(node_t *self)
{
    free(self->stalled.list);
    self->stalled.list = NULL;
    buf_free(&self->stalled.arena);
}

static void read_log(node_t *self, const followup_t *followup)
{
    err_t err;
    if (disk_read(self->disk, followup->position, followup->most, &self->read, &err) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s", err.text);
        buf_reset(&self->read);
        if (err.outcome == OUTCOME_LOST) {
            node_log_damaged(self, followup);
            return;
        }
    }
    replica_log_bytes(self->replica, net_now(), followup->link, followup->request,
                      followup->position, buf_slice(&self->read));
}

/* Tells the core what came of its effects, whose bytes are gone from here on. */
static void run_followups(node_t *self)
{
    for (size_t i = 0; i < self->followups_size; i++) {
        const followup_t *followup = &self->followups[i];
        switch (followup->kind) {
        case FOLLOWUP_READ:
            read_log(self, followup);
            break;
        case FOLLOWUP_SERVICE_LOST:
            replica_service_lost(self->replica, net_now(), followup->link);
            break;
        case FOLLOWUP_PEER_LOST:
            replica_peer_lost(self->replica, net_now(), followup->link);
            break;
        }
    }
    self->followups_size = 0;
}

void node_carry_out(node_t *self)
{
    err_t err;
    if (self->stalled.is_stalled && !resume(self))
        return;
    for (int round = 0; round < ROUNDS_MAX && !self->is_ending; round++) {
        run_followups(self);
        node_watch_room(self);
        node_tell_disk(self);
        replica_effects_t effects = replica_turn(self->replica, net_now());
        if (!append(self, &effects, &err)) {
            stall(self, &effects, &err);
            return;
        }
        carry_out_all(self, &effects);
        if (self->followups_size == 0)
            return;
    }
}
