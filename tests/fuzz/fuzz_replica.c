/*
 * A replica's core fed with arbitrary frames, messages of peers, losses and time (events.h).
 *
 * Beside not crashing: what it appends comes first in a turn and is a good log, every frame it
 * sends can be read, the log is cut where a checkpoint is on the disk, and a replica that replays
 * the log shows the same data.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/wire/frame.h"
#include "bus/wire/peer.h"
#include "replica/core/replica.h"
#include "replica/core/seglog.h"
#include "tests/fuzz/events.h"
#include "tests/fuzz/fuzz.h"

enum { LINKS = 4, ROUNDS_MAX = 16, MS_PER_UNIT = 10, BYTES_PER_UNIT = 16 };

typedef struct bench {
    replica_t *replica;
    now_t now;
    buf_t log;
    uint32_t keys[LINKS]; /* of the links' last STATUS or WELCOME */
    bool has_commit;      /* of a checkpoint, nobody has said how it ended */
    uint64_t commit_position;
    uint64_t position; /* of the last that was good */
    bool wants_log;
    uint32_t read_link;
    uint64_t read_request;
    uint64_t read_position;
    bool is_stopped;
} bench_t;

static replica_t *make_replica(void)
{
    const replica_config_t config = {
        .cluster = EVENTS_CLUSTER,
        .id = 1,
        .incarnation = EVENTS_INCARNATION,
        .seed = 1,
        .host = "",
        .port = 7720,
        .gossip_interval_ms = 1000,
        .max_drift_ms = 60000,
        .retry_horizon_ms = 15000,
        .value_max = 1024,
        .mode = MODE_MANUAL,
    };
    return replica_new(&config);
}

/* ---- effects ---- */

static void carry_out(bench_t *self, const replica_effect_t *effect, slice_t bytes)
{
    frame_t frame;

    fuzz_touch(bytes);
    switch (effect->kind) {
    case REPLICA_APPEND:
        buf_append_slice(&self->log, bytes);
        break;
    case REPLICA_PUBLISH:
    case REPLICA_TO_PEER:
    case REPLICA_TO_PEER_ROUTER:
        fuzz_check(peer_kind(bytes) != 0);
        break;
    case REPLICA_TO_SERVICE:
        fuzz_check(frame_read(bytes, &frame) == FRAME_GOOD);
        if (frame.route != 0)
            self->keys[effect->link % LINKS] = frame.route;
        break;
    case REPLICA_READ:
        self->wants_log = true;
        self->read_link = effect->link;
        self->read_request = effect->request;
        self->read_position = effect->position;
        break;
    case REPLICA_STOP:
        self->is_stopped = true;
        break;
    case REPLICA_CHECKPOINT_COMMIT:
        fuzz_check(!self->has_commit && effect->position <= EVENTS_START + self->log.size);
        self->has_commit = true;
        self->commit_position = effect->position;
        break;
    case REPLICA_CHECKPOINT_ABORT:
        self->has_commit = false;
        break;
    case REPLICA_TRUNCATE:
        fuzz_check(effect->position <= self->position);
        break;
    case REPLICA_CONNECT:
    case REPLICA_DISCONNECT:
    case REPLICA_NOTE:
    case REPLICA_CHECKPOINT_BEGIN:
    case REPLICA_CHECKPOINT_ROWS:
    case REPLICA_SYNC:
    case REPLICA_LOST:
        break;
    }
}

static void turn(bench_t *self)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        replica_effects_t effects = replica_turn(self->replica, self->now);
        bool is_behind = false;
        for (size_t i = 0; i < effects.size; i++) {
            const replica_effect_t *effect = &effects.list[i];
            fuzz_check(effect->kind != REPLICA_APPEND || !is_behind);
            is_behind = effect->kind != REPLICA_APPEND;
            carry_out(self, effect, replica_effect_bytes(&effects, effect));
        }
        if (effects.size == 0)
            return;
    }
}

/* ---- events ---- */

/* Bytes in a block of their own size, so that a read beyond is seen; freed by the caller. */
static uint8_t *copy_of(slice_t bytes)
{
    uint8_t *copy = malloc(bytes.size != 0 ? bytes.size : 1);
    if (copy == NULL)
        abort();
    if (bytes.size != 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

static void serve(bench_t *self, uint32_t link, slice_t bytes, bool is_live)
{
    uint8_t *copy = copy_of(bytes);
    frame_t frame;

    if (is_live && frame_read(bytes, &frame) == FRAME_GOOD) {
        frame.route = self->keys[link];
        frame_write(copy, &frame);
    }
    replica_service(self->replica, self->now, link, slice_of(copy, bytes.size));
    free(copy);
}

static void give_log(bench_t *self, uint8_t less)
{
    if (!self->wants_log || self->read_position < EVENTS_START)
        return;
    self->wants_log = false;
    if (less == UINT8_MAX) {
        replica_log_damaged(self->replica, self->now, self->read_link, self->read_request,
                            self->read_position);
        return;
    }
    uint64_t from = self->read_position - EVENTS_START;
    size_t size = from < self->log.size ? self->log.size - (size_t)from : 0;
    slice_t bytes =
        slice_of(size != 0 ? self->log.data + from : NULL, size > less ? size - less : 0);
    replica_log_bytes(self->replica, self->now, self->read_link, self->read_request,
                      self->read_position, bytes);
}

static void move_checkpoint(bench_t *self, uint8_t number)
{
    if (!self->has_commit) {
        replica_checkpoint_room(self->replica, self->now, (size_t)number * BYTES_PER_UNIT);
        return;
    }
    bool is_good = number % 2 != 0;
    self->has_commit = false;
    if (is_good)
        self->position = self->commit_position;
    replica_checkpoint_done(self->replica, self->now, is_good, slice_text("no room"));
}

static void pass(bench_t *self, uint8_t units)
{
    self->now.boot_ms += units * MS_PER_UNIT;
    self->now.wall_ms += units * MS_PER_UNIT;
    replica_tick(self->replica, self->now);
}

static void take_message(bench_t *self, event_kind_t kind, uint32_t link, slice_t bytes)
{
    uint8_t *copy = copy_of(bytes);
    slice_t message = slice_of(copy, bytes.size);

    if (kind == EVENT_PEER_ROUTER)
        replica_peer_router(self->replica, self->now, link, message);
    else if (kind == EVENT_PEER)
        replica_peer(self->replica, self->now, link, message);
    else if (kind == EVENT_GOSSIP)
        replica_gossip(self->replica, self->now, message);
    else
        replica_candidate(self->replica, self->now, (uint16_t)link, link * 0x101U, message,
                          (uint16_t)(7700 + link * 10));
    free(copy);
}

static void take_event(bench_t *self, event_kind_t kind, uint8_t number, slice_t bytes)
{
    switch (kind) {
    case EVENT_SERVICE:
    case EVENT_SERVICE_LIVE:
        serve(self, number % LINKS, bytes, kind == EVENT_SERVICE_LIVE);
        break;
    case EVENT_SERVICE_LOST:
        replica_service_lost(self->replica, self->now, number % LINKS);
        break;
    case EVENT_PEER_LOST:
        replica_peer_lost(self->replica, self->now, number);
        break;
    case EVENT_PASS:
        pass(self, number);
        break;
    case EVENT_STATUS:
        replica_set_status(self->replica, self->now, (replica_status_t)(number % 3), MODE_MANUAL);
        break;
    case EVENT_LOG_READ:
        give_log(self, number);
        break;
    case EVENT_CHECKPOINT:
        move_checkpoint(self, number);
        break;
    case EVENT_FILES_DAMAGED:
        replica_files_damaged(self->replica, self->now, number & 1, number & 2);
        break;
    default:
        take_message(self, kind, number, bytes);
        break;
    }
    turn(self);
}

/* ---- the log ---- */

static void check_log(const bench_t *self)
{
    replica_t *again = make_replica();
    slice_t rest = buf_slice(&self->log);
    uint64_t position = EVENTS_START;
    seglog_entry_t entry;

    while (rest.size != 0) {
        fuzz_check(seglog_next(rest, position, &entry) == SEGLOG_GOOD);
        fuzz_check(replica_replay(again, position, entry.kind, entry.payload, NULL) == 0);
        rest = slice_of(rest.data + entry.size, rest.size - entry.size);
        position += entry.size;
    }
    replica_start(again, self->now, position);
    /* What was taken over from a peer is in a checkpoint alone. */
    bool is_taken_over = replica_info(self->replica, self->now).counts->transfers != 0;
    fuzz_check(is_taken_over || replica_digest(again, 0) == replica_digest(self->replica, 0));
    replica_destroy(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bench_t self = {.replica = make_replica(), .now = {EVENTS_WALL_MS, 5000}};
    const uint8_t *end = data + size;

    replica_start(self.replica, self.now, EVENTS_START);
    turn(&self);
    for (int i = 0; i < EVENTS_MAX && end - data >= EVENT_HEAD_SIZE && !self.is_stopped; i++) {
        size_t length = be16_get(data + 2);
        const uint8_t *head = data;
        data += EVENT_HEAD_SIZE;
        if (length > (size_t)(end - data))
            length = (size_t)(end - data);
        take_event(&self, (event_kind_t)(head[0] % EVENT_KINDS), head[1], slice_of(data, length));
        data += length;
    }
    if (!self.is_stopped)
        check_log(&self);
    replica_destroy(&self.replica);
    buf_free(&self.log);
    return 0;
}
