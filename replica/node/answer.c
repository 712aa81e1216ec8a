#include <stdio.h>
#include <unistd.h>

#include "bus/net/message.h"
#include "bus/net/notes.h"
#include "bus/net/runtime.h"
#include "replica/node/internal.h"

static void reply(node_t *self, uint32_t connection, const control_reply_t *answer)
{
    buf_reset(&self->reply);
    control_reply_put(&self->reply, answer);
    self->counts.dropped_control +=
        !message_send_to(self->sockets[PORT_CONTROL], connection, buf_slice(&self->reply));
}

static void reply_text(node_t *self, uint32_t connection, uint64_t request, outcome_t outcome,
                       const char *text)
{
    const control_reply_t answer = {
        .request = request, .outcome = outcome, .text = slice_text(text)};
    reply(self, connection, &answer);
}

static void reply_document(node_t *self, uint32_t connection, uint64_t request)
{
    const control_reply_t answer = {
        .request = request, .outcome = OUTCOME_OK, .document = buf_slice(&self->document)};
    reply(self, connection, &answer);
}

/* ---- INFO ---- */

static uint32_t put_counts(const node_t *self, const replica_info_t *info, buf_t *out)
{
    const replica_counts_t *core = info->counts;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"requests", core->requests},
        {"reads", core->reads},
        {"updates", core->updates},
        {"applied", core->applied},
        {"retries", core->retries},
        {"retagged", core->retagged},
        {"early_floors", core->early_floors},
        {"late_counts", core->late_counts},
        {"waited", core->waited},
        {"behind", core->behind},
        {"missing", core->missing},
        {"busy", core->busy},
        {"moved", core->moved},
        {"conflicts", core->conflicts},
        {"duplicates", core->duplicates},
        {"held", core->held},
        {"held_refused", core->held_refused},
        {"pulls", core->pulls},
        {"pulls_served", core->pulls_served},
        {"published", core->published},
        {"rounds", core->rounds},
        {"load_permille", info->load_permille},
        {"entries", info->entries},
        {"outgrown", core->outgrown},
        {"malformed", core->malformed},
        {"foreign", core->foreign},
        {"odd_messages", self->counts.odd_messages + links_malformed(self->links)},
        {"dropped_service", self->counts.dropped_service},
        {"dropped_peer", self->counts.dropped_peer},
        {"dropped_control", self->counts.dropped_control},
        {"denied", denied_count(self->guard.denied)},
        {"stale_beacons", finder_counts(self->finder).stale},
        {"log_bytes", disk_end(self->disk) - disk_begin(self->disk)},
        {"log_unsynced_bytes", disk_end(self->disk) - disk_synced(self->disk)},
        {"files_checked", self->counts.files_checked},
        {"files_damaged", self->counts.files_damaged},
        {"files_repaired", self->counts.files_repaired},
    };
    uint32_t count = sizeof(counts) / sizeof(counts[0]);
    for (uint32_t i = 0; i < count; i++)
        control_count_put(out, counts[i].name, counts[i].value);
    return count + notes_put_counts(out, self->events);
}

static uint32_t put_peers(const node_t *self, buf_t *out)
{
    replica_peer_info_t info;
    uint32_t count = 0;
    while (count < CONTROL_PEERS_MAX && replica_peer_info(self->replica, count, &info)) {
        const control_peer_t peer = {
            .id = info.id,
            .incarnation = info.incarnation,
            .host = slice_text(info.host),
            .port = info.port,
            .is_connected = info.is_connected,
            .status = info.status,
        };
        control_peer_put(out, &peer, info.vector);
        count++;
    }
    return count;
}

static uint32_t put_members(const node_t *self, buf_t *out)
{
    now_t now = net_now();
    replica_member_info_t info;
    uint32_t count = 0;
    while (count < CONTROL_MEMBERS_MAX && replica_member_info(self->replica, now, count, &info)) {
        const control_member_t member = {
            .id = info.id,
            .incarnation = info.incarnation,
            .state = (uint8_t)info.state,
            .is_connected = info.is_connected,
            .silent_ms = info.silent_ms,
        };
        control_member_put(out, &member);
        count++;
    }
    return count;
}

static uint32_t put_refused(const node_t *self, buf_t *out)
{
    now_t now = net_now();
    replica_refused_info_t info;
    uint32_t count = 0;
    while (count < CONTROL_REFUSED_MAX && replica_refused_info(self->replica, now, count, &info)) {
        const control_refused_t refused = {
            .id = info.id, .incarnation = info.incarnation, .ahead_ms = info.ahead_ms};
        control_refused_put(out, &refused);
        count++;
    }
    return count;
}

slice_t node_document(node_t *self)
{
    replica_info_t info = replica_info(self->replica, net_now());

    buf_reset(&self->counts_text);
    buf_reset(&self->peers_text);
    buf_reset(&self->members_text);
    buf_reset(&self->refused_text);
    buf_reset(&self->document);
    uint32_t counts = put_counts(self, &info, &self->counts_text);
    uint32_t peers = put_peers(self, &self->peers_text);
    uint32_t members = put_members(self, &self->members_text);
    uint32_t refused = put_refused(self, &self->refused_text);
    bool is_forgetting = info.horizon != 0 && info.unstable != 0;
    const control_node_t node = {
        .id = info.id,
        .incarnation = info.incarnation,
        .lineage = info.lineage,
        .is_ready = replica_is_ready(self->replica) && !self->stalled.is_stalled,
        .status = info.status,
        .mode = slice_text(replica_mode_name(info.mode)),
        .host = slice_text(self->settings->served.advertised.host),
        .port = self->advertised_port,
        .clock = info.clock,
        .age_ms = info.age_ms,
        .keys = info.keys,
        .sessions = info.sessions,
        .brokers = info.links,
        .waiting = info.waiting,
        .held = info.received_lag,
        .version = slice_text(HEARSAY_VERSION),
        .pid = (uint64_t)getpid(),
        .counts = counts,
        .counts_at = buf_slice(&self->counts_text),
        .peers = peers,
        .peers_at = buf_slice(&self->peers_text),
        .log_bytes = info.log_bytes,
        .memory_bytes = node_memory_bytes(self),
        .is_joining = info.is_joining,
        .read_only = slice_text(info.read_only != NULL ? info.read_only : ""),
        .held_back_by = info.unstable != 0 ? info.holds_back : -1,
        .horizon_ms = is_forgetting ? hlc_ms(info.clock) - hlc_ms(info.horizon) : -1,
        .members = members,
        .members_at = buf_slice(&self->members_text),
        .refused = refused,
        .refused_at = buf_slice(&self->refused_text),
    };
    control_node_put(&self->document, &node, info.vector);
    return buf_slice(&self->document);
}

static void answer_info(node_t *self, uint32_t connection, uint64_t request)
{
    node_document(self);
    reply_document(self, connection, request);
}

/* ---- FORGET, ACCEPT_CLOCK ---- */

/* What is answered is in the log. Returns 0, or -1 with err. */
static int write_down(node_t *self, err_t *err)
{
    node_carry_out(self);
    if (!self->stalled.is_stalled)
        return 0;
    return err_set(err, OUTCOME_READ_ONLY,
                   "it cannot write that down now, its disk is full or fails: ask another node");
}

static void forget(node_t *self, uint32_t connection, const control_request_t *request)
{
    err_t err = {.text = ""};
    bool is_done = replica_forget(self->replica, net_now(), request->id, &err) == 0 &&
                   write_down(self, &err) == 0;
    reply_text(self, connection, request->request, is_done ? OUTCOME_OK : err.outcome, err.text);
}

static void accept_clock(node_t *self, uint32_t connection, const control_request_t *request)
{
    err_t err;
    int64_t moved_ms = 0;
    int rc = replica_accept_clock(self->replica, net_now(), request->id, &moved_ms, &err);

    if (rc < 0 || write_down(self, &err) != 0) {
        reply_text(self, connection, request->request, err.outcome, err.text);
        return;
    }
    buf_reset(&self->document);
    if (rc > 0)
        mp_put_int(&self->document, moved_ms);
    reply_document(self, connection, request->request);
}

/* ---- BACKUP ---- */

static void backup(node_t *self, uint32_t connection, const control_request_t *request)
{
    replica_part_t part;
    err_t err = {.text = ""};

    if (replica_backup(self->replica, net_now(), request->piece.transfer, request->piece.part,
                       &part, &err) != 0) {
        reply_text(self, connection, request->request, err.outcome, err.text);
        return;
    }
    uint64_t offset = request->piece.offset < part.rows.size ? request->piece.offset : 0;
    size_t left = part.rows.size - (size_t)offset;
    const backup_piece_t piece = {
        .at = {part.transfer, part.part, offset},
        .size = part.rows.size,
        .is_last = part.is_last,
        .bytes =
            slice_of(part.rows.data + offset, left < BACKUP_PIECE_MAX ? left : BACKUP_PIECE_MAX),
    };
    buf_reset(&self->document);
    backup_piece_put(&self->document, &piece);
    reply_document(self, connection, request->request);
}

/* ---- FILES ---- */

static void files(node_t *self, uint32_t connection, const control_request_t *request)
{
    err_t err;

    buf_reset(&self->document);
    if (node_put_files(self, request->piece.part, &self->document, &err) != 0)
        reply_text(self, connection, request->request, err.outcome, err.text);
    else
        reply_document(self, connection, request->request);
}

/* ---- SET_STATUS ---- */

static replica_mode_t mode_after(const node_t *self, const control_request_t *request,
                                 replica_mode_t present)
{
    switch (request->mode) {
    case CONTROL_MODE_MANUAL:
        return MODE_MANUAL;
    case CONTROL_MODE_AUTO:
        return self->settings->auto_mode;
    default:
        return request->has_status ? MODE_MANUAL : present;
    }
}

static void set_status(node_t *self, uint32_t connection, const control_request_t *request)
{
    now_t now = net_now();
    replica_info_t info = replica_info(self->replica, now);

    if (self->waits_size == NODE_WAITING_MAX) {
        reply_text(self, connection, request->request, OUTCOME_BUSY,
                   "too many wait for a status to be confirmed; try again");
        return;
    }
    replica_set_status(self->replica, now, request->has_status ? request->status : info.status,
                       mode_after(self, request, info.mode));
    self->waits[self->waits_size++] = (status_wait_t){
        .connection = connection,
        .request = request->request,
        .until_ms = now.boot_ms + request->timeout_ms,
        .timeout_ms = request->timeout_ms,
    };
}

/* Confirmed by the brokers; draining is done when the node has also nothing left to hand over. */
static bool is_carried_out(const node_t *self, replica_status_t status)
{
    if (!replica_status_is_confirmed(self->replica))
        return false;
    return status != STATUS_DRAINING || replica_is_drained(self->replica);
}

static void reply_late(node_t *self, const status_wait_t *wait, const replica_info_t *info)
{
    char text[200];

    if (!replica_status_is_confirmed(self->replica))
        snprintf(text, sizeof(text),
                 "the status is set, but not each of %zu brokers has confirmed it within %u ms",
                 info->links, wait->timeout_ms);
    else if (info->sessions != 0)
        snprintf(text, sizeof(text),
                 "it is draining, and %zu sessions are left after %u ms: ask again, or end it",
                 info->sessions, wait->timeout_ms);
    else
        snprintf(text, sizeof(text),
                 "it is draining, and no other node has all its updates after %u ms: ask again",
                 wait->timeout_ms);
    reply_text(self, wait->connection, wait->request, OUTCOME_NOT_REACHED, text);
}

void node_answer_waiting(node_t *self, now_t now)
{
    if (self->waits_size == 0)
        return;
    replica_info_t info = replica_info(self->replica, now);
    bool is_done = is_carried_out(self, info.status);
    size_t kept = 0;

    for (size_t i = 0; i < self->waits_size; i++) {
        const status_wait_t *wait = &self->waits[i];
        if (is_done) {
            reply_text(self, wait->connection, wait->request, OUTCOME_OK, "");
        } else if (now.boot_ms >= wait->until_ms) {
            reply_late(self, wait, &info);
        } else {
            self->waits[kept++] = *wait;
        }
    }
    self->waits_size = kept;
}

int64_t node_answer_deadline(const node_t *self)
{
    int64_t deadline = INT64_MAX;
    for (size_t i = 0; i < self->waits_size; i++)
        if (self->waits[i].until_ms < deadline)
            deadline = self->waits[i].until_ms;
    return deadline;
}

/* ---- requests ---- */

void node_answer(node_t *self, uint32_t connection, slice_t message)
{
    control_request_t request;

    if (!control_request_read(message, &request)) {
        self->counts.odd_messages++;
        reply_text(self, connection, 0, OUTCOME_USAGE,
                   "malformed request, or one of another version: use the hearsayctl of "
                   "version " HEARSAY_VERSION);
        return;
    }
    switch (request.command) {
    case CONTROL_INFO:
        answer_info(self, connection, request.request);
        break;
    case CONTROL_SET_STATUS:
        set_status(self, connection, &request);
        break;
    case CONTROL_FORGET:
        forget(self, connection, &request);
        break;
    case CONTROL_ACCEPT_CLOCK:
        accept_clock(self, connection, &request);
        break;
    case CONTROL_EVENTS:
        buf_reset(&self->document);
        node_put_events(self, &self->document);
        reply_document(self, connection, request.request);
        break;
    case CONTROL_KEY:
        buf_reset(&self->document);
        node_put_key(self, request.key, &self->document);
        reply_document(self, connection, request.request);
        break;
    case CONTROL_DIGESTS:
        buf_reset(&self->document);
        node_put_digests(self, &request.at, &self->document);
        reply_document(self, connection, request.request);
        break;
    case CONTROL_SHOWN:
        buf_reset(&self->document);
        node_put_shown(self, &request.at, &self->document);
        reply_document(self, connection, request.request);
        break;
    case CONTROL_BACKUP:
        backup(self, connection, &request);
        break;
    case CONTROL_FILES:
        files(self, connection, &request);
        break;
    case CONTROL_SESSIONS:
        reply_text(self, connection, request.request, OUTCOME_USAGE,
                   "a node does not know its clients: ask a broker");
        break;
    }
}
