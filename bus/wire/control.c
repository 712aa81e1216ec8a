#include "bus/wire/control.h"

#include "bus/wire/fields.h"

enum {
    REQUEST_FIELDS = 14,
    REPLY_FIELDS = 5,
    PEER_FIELDS = 8,
    MEMBER_FIELDS = 5,
    REFUSED_FIELDS = 3,
    NODE_FIELDS = 29,
    BROKER_FIELDS = 12
};

static slice_t text(mp_t *in)
{
    return fields_bytes(in, CONTROL_TEXT_MAX);
}

/* A text of ours or of a peer, cut to what may be sent. */
static void put_text(buf_t *out, slice_t value)
{
    mp_put_str(out,
               slice_of(value.data, value.size < CONTROL_TEXT_MAX ? value.size : CONTROL_TEXT_MAX));
}

/* ---- requests and replies ---- */

void control_request_put(buf_t *out, const control_request_t *request)
{
    mp_put_array(out, REQUEST_FIELDS);
    mp_put_uint(out, CONTROL_VERSION);
    mp_put_uint(out, request->request);
    mp_put_uint(out, (uint64_t)request->command);
    if (request->has_status)
        mp_put_uint(out, (uint64_t)request->status);
    else
        mp_put_nil(out);
    mp_put_uint(out, (uint64_t)request->mode);
    mp_put_uint(out, request->timeout_ms);
    mp_put_uint(out, request->id);
    mp_put_bin(out, request->key);
    mp_put_uint(out, request->at.bits);
    mp_put_uint(out, request->at.bucket);
    mp_put_uint(out, request->at.clock);
    mp_put_uint(out, request->piece.transfer);
    mp_put_uint(out, request->piece.part);
    mp_put_uint(out, request->piece.offset);
}

bool control_request_read(slice_t message, control_request_t *out)
{
    mp_t in = mp_open(message);
    uint32_t items = fields_open(&in, REQUEST_FIELDS);
    if (mp_uint(&in) != CONTROL_VERSION)
        mp_fail(&in);
    out->request = mp_uint(&in);
    uint64_t command = mp_uint(&in);
    if (command == 0 || command > CONTROL_COMMAND_LAST)
        mp_fail(&in);
    out->command = (control_command_t)command;
    out->has_status = !mp_nil(&in);
    out->status = out->has_status ? (replica_status_t)fields_uint(&in, STATUS_LAST) : STATUS_ACTIVE;
    out->mode = (control_mode_t)fields_uint(&in, CONTROL_MODE_AUTO);
    out->timeout_ms = fields_u32(&in);
    out->id = fields_u16(&in);
    out->key = fields_bytes(&in, COMMAND_KEY_MAX);
    out->at.bits = (uint8_t)fields_uint(&in, COMPARE_BITS_MAX);
    out->at.bucket = (uint32_t)fields_uint(&in, (UINT64_C(1) << out->at.bits) - 1);
    out->at.clock = mp_uint(&in);
    out->piece.transfer = mp_uint(&in);
    out->piece.part = mp_uint(&in);
    out->piece.offset = mp_uint(&in);
    return fields_close(&in, items, REQUEST_FIELDS);
}

void control_reply_put(buf_t *out, const control_reply_t *reply)
{
    mp_put_array(out, REPLY_FIELDS);
    mp_put_uint(out, CONTROL_VERSION);
    mp_put_uint(out, reply->request);
    mp_put_uint(out, (uint64_t)reply->outcome);
    put_text(out, reply->text);
    if (reply->document.size != 0)
        buf_append_slice(out, reply->document);
    else
        mp_put_nil(out);
}

bool control_reply_read(slice_t message, control_reply_t *out)
{
    mp_t in = mp_open(message);
    uint32_t items = fields_open(&in, REPLY_FIELDS);
    if (mp_uint(&in) != CONTROL_VERSION)
        mp_fail(&in);
    out->request = mp_uint(&in);
    out->outcome = outcome_from_wire(fields_u16(&in));
    out->text = text(&in);
    out->document = mp_nil(&in) ? slice_of(NULL, 0) : mp_skip(&in);
    return fields_close(&in, items, REPLY_FIELDS);
}

/* ---- items of documents ---- */

void control_count_put(buf_t *out, const char *name, uint64_t value)
{
    mp_put_array(out, 2);
    mp_put_text(out, name);
    mp_put_uint(out, value);
}

bool control_count_next(mp_t *in, control_count_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, 2);
    out->name = text(in);
    out->value = mp_uint(in);
    mp_array_end(in, items, 2);
    return mp_ok(in);
}

void control_vector(slice_t bytes, vec_t *out)
{
    mp_t in = mp_open(bytes);
    mp_vector_of(&in, out, VEC_WHOLE_MAX);
}

static bool find_count(slice_t counts_at, const char *name, control_count_t *out)
{
    mp_t in = mp_open(counts_at);

    while (control_count_next(&in, out))
        if (slice_equal(out->name, slice_text(name)))
            return true;
    return false;
}

uint64_t control_count_of(slice_t counts_at, const char *name)
{
    control_count_t count;
    return find_count(counts_at, name, &count) ? count.value : 0;
}

bool control_has_count(slice_t counts_at, const char *name)
{
    control_count_t count;
    return find_count(counts_at, name, &count);
}

void control_peer_put(buf_t *out, const control_peer_t *peer, const vec_t *vector_now)
{
    mp_put_array(out, PEER_FIELDS);
    mp_put_uint(out, peer->id);
    mp_put_uint(out, peer->incarnation);
    put_text(out, peer->host);
    mp_put_uint(out, peer->port);
    mp_put_bool(out, peer->is_connected);
    mp_put_uint(out, (uint64_t)peer->status);
    mp_put_uint(out, peer->sessions);
    mp_put_vector(out, vector_now);
}

bool control_peer_next(mp_t *in, control_peer_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, PEER_FIELDS);
    out->id = fields_u16(in);
    out->incarnation = mp_uint(in);
    out->host = text(in);
    out->port = fields_u16(in);
    out->is_connected = mp_bool(in);
    out->status = (replica_status_t)fields_uint(in, STATUS_LAST);
    out->sessions = mp_uint(in);
    out->vector = fields_whole_vector(in);
    mp_array_end(in, items, PEER_FIELDS);
    return mp_ok(in);
}

/* nil for what is not known. */
static void put_optional(buf_t *out, int64_t value)
{
    if (value < 0)
        mp_put_nil(out);
    else
        mp_put_int(out, value);
}

static int64_t optional(mp_t *in)
{
    return mp_nil(in) ? -1 : (int64_t)fields_uint(in, INT64_MAX);
}

void control_member_put(buf_t *out, const control_member_t *member)
{
    mp_put_array(out, MEMBER_FIELDS);
    mp_put_uint(out, member->id);
    mp_put_uint(out, member->incarnation);
    mp_put_uint(out, member->state);
    mp_put_bool(out, member->is_connected);
    put_optional(out, member->silent_ms);
}

bool control_member_next(mp_t *in, control_member_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, MEMBER_FIELDS);
    out->id = fields_u16(in);
    out->incarnation = mp_uint(in);
    out->state = (uint8_t)fields_uint(in, UINT8_MAX);
    out->is_connected = mp_bool(in);
    out->silent_ms = optional(in);
    mp_array_end(in, items, MEMBER_FIELDS);
    return mp_ok(in);
}

void control_refused_put(buf_t *out, const control_refused_t *refused)
{
    mp_put_array(out, REFUSED_FIELDS);
    mp_put_uint(out, refused->id);
    mp_put_uint(out, refused->incarnation);
    mp_put_int(out, refused->ahead_ms);
}

bool control_refused_next(mp_t *in, control_refused_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, REFUSED_FIELDS);
    out->id = fields_u16(in);
    out->incarnation = mp_uint(in);
    out->ahead_ms = (int64_t)fields_uint(in, INT64_MAX);
    mp_array_end(in, items, REFUSED_FIELDS);
    return mp_ok(in);
}

static bool skip_count(mp_t *in)
{
    control_count_t item;
    return control_count_next(in, &item);
}

static bool skip_peer(mp_t *in)
{
    control_peer_t item;
    return control_peer_next(in, &item);
}

static bool skip_member(mp_t *in)
{
    control_member_t item;
    return control_member_next(in, &item);
}

static bool skip_refused(mp_t *in)
{
    control_refused_t item;
    return control_refused_next(in, &item);
}

static slice_t counts(mp_t *in, uint32_t *count)
{
    return fields_items(in, CONTROL_COUNTS_MAX, skip_count, count);
}

static slice_t peers(mp_t *in, uint32_t *count)
{
    return fields_items(in, CONTROL_PEERS_MAX, skip_peer, count);
}

/* ---- documents ---- */

control_kind_t control_program(mp_t *in)
{
    uint64_t program = mp_uint(in);
    if (program == CONTROL_NODE || program == CONTROL_BROKER)
        return (control_kind_t)program;
    mp_fail(in);
    return CONTROL_NOBODY;
}

control_kind_t control_kind(slice_t document)
{
    mp_t in = mp_open(document);
    mp_array(&in, UINT8_MAX);
    control_kind_t kind = control_program(&in);
    return mp_ok(&in) ? kind : CONTROL_NOBODY;
}

void control_node_put(buf_t *out, const control_node_t *node, const vec_t *vector_now)
{
    mp_put_array(out, NODE_FIELDS);
    mp_put_uint(out, CONTROL_NODE);
    mp_put_uint(out, node->id);
    mp_put_uint(out, node->incarnation);
    mp_put_uint(out, node->lineage);
    mp_put_bool(out, node->is_ready);
    mp_put_uint(out, (uint64_t)node->status);
    put_text(out, node->mode);
    put_text(out, node->host);
    mp_put_uint(out, node->port);
    mp_put_uint(out, node->clock);
    mp_put_int(out, node->age_ms);
    mp_put_vector(out, vector_now);
    mp_put_uint(out, node->keys);
    mp_put_uint(out, node->sessions);
    mp_put_uint(out, node->brokers);
    mp_put_uint(out, node->waiting);
    mp_put_uint(out, node->held);
    put_text(out, node->version);
    mp_put_uint(out, node->pid);
    fields_items_put(out, node->counts, node->counts_at);
    fields_items_put(out, node->peers, node->peers_at);
    mp_put_uint(out, node->log_bytes);
    mp_put_bool(out, node->is_joining);
    put_text(out, node->read_only);
    put_optional(out, node->held_back_by);
    put_optional(out, node->horizon_ms);
    mp_put_uint(out, node->memory_bytes);
    fields_items_put(out, node->members, node->members_at);
    fields_items_put(out, node->refused, node->refused_at);
}

bool control_node_read(slice_t document, control_node_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, NODE_FIELDS);
    if (mp_uint(&in) != CONTROL_NODE)
        mp_fail(&in);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->is_ready = mp_bool(&in);
    out->status = (replica_status_t)fields_uint(&in, STATUS_LAST);
    out->mode = text(&in);
    out->host = text(&in);
    out->port = fields_u16(&in);
    out->clock = mp_uint(&in);
    out->age_ms = (int64_t)fields_uint(&in, INT64_MAX);
    out->vector = fields_whole_vector(&in);
    out->keys = mp_uint(&in);
    out->sessions = mp_uint(&in);
    out->brokers = mp_uint(&in);
    out->waiting = mp_uint(&in);
    out->held = mp_uint(&in);
    out->version = text(&in);
    out->pid = mp_uint(&in);
    out->counts_at = counts(&in, &out->counts);
    out->peers_at = peers(&in, &out->peers);
    out->log_bytes = mp_uint(&in);
    out->is_joining = mp_bool(&in);
    out->read_only = text(&in);
    int64_t held_back_by = optional(&in);
    if (held_back_by > UINT16_MAX)
        mp_fail(&in);
    out->held_back_by = (int32_t)held_back_by;
    out->horizon_ms = optional(&in);
    out->memory_bytes = mp_uint(&in);
    out->members_at = fields_items(&in, CONTROL_MEMBERS_MAX, skip_member, &out->members);
    out->refused_at = fields_items(&in, CONTROL_REFUSED_MAX, skip_refused, &out->refused);
    return fields_close(&in, items, NODE_FIELDS);
}

void control_broker_put(buf_t *out, const control_broker_t *broker)
{
    mp_put_array(out, BROKER_FIELDS);
    mp_put_uint(out, CONTROL_BROKER);
    mp_put_uint(out, broker->incarnation);
    put_text(out, broker->host);
    mp_put_uint(out, broker->port);
    mp_put_int(out, broker->age_ms);
    mp_put_uint(out, broker->clients);
    mp_put_uint(out, broker->sessions);
    mp_put_uint(out, broker->in_flight);
    put_text(out, broker->version);
    mp_put_uint(out, broker->pid);
    fields_items_put(out, broker->counts, broker->counts_at);
    fields_items_put(out, broker->replicas, broker->replicas_at);
}

bool control_broker_read(slice_t document, control_broker_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, BROKER_FIELDS);
    if (mp_uint(&in) != CONTROL_BROKER)
        mp_fail(&in);
    out->incarnation = mp_uint(&in);
    out->host = text(&in);
    out->port = fields_u16(&in);
    out->age_ms = (int64_t)fields_uint(&in, INT64_MAX);
    out->clients = mp_uint(&in);
    out->sessions = mp_uint(&in);
    out->in_flight = mp_uint(&in);
    out->version = text(&in);
    out->pid = mp_uint(&in);
    out->counts_at = counts(&in, &out->counts);
    out->replicas_at = peers(&in, &out->replicas);
    return fields_close(&in, items, BROKER_FIELDS);
}
