#include "bus/wire/control_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/peer.h"

void control_vector_json(json_t *json, const char *key, slice_t bytes)
{
    vec_t vector = {0};
    char name[20];

    control_vector(bytes, &vector);
    json_object(json, key);
    for (uint32_t i = 0; i < vector.size; i++) {
        snprintf(name, sizeof(name), "%016" PRIx64, vector.parts[i].incarnation);
        json_uint(json, name, vector.parts[i].count);
    }
    json_end(json);
    vec_free(&vector);
}

static void json_counts(json_t *json, slice_t counts_at)
{
    mp_t in = mp_open(counts_at);
    control_count_t count;

    json_object(json, "counts");
    while (control_count_next(&in, &count)) {
        char *name = mem_text(count.name.data, count.name.size);
        json_uint(json, name, count.value);
        free(name);
    }
    json_end(json);
}

static void json_peers(json_t *json, const char *key, slice_t peers_at, bool with_sessions)
{
    mp_t in = mp_open(peers_at);
    control_peer_t peer;

    json_array(json, key);
    while (control_peer_next(&in, &peer)) {
        json_object(json, NULL);
        json_uint(json, "id", peer.id);
        json_hex64(json, "incarnation", peer.incarnation);
        json_string(json, "host", peer.host);
        json_uint(json, "port", peer.port);
        json_bool(json, "connected", peer.is_connected);
        json_text(json, "status", status_name(peer.status));
        if (with_sessions)
            json_uint(json, "sessions", peer.sessions);
        control_vector_json(json, "vector", peer.vector);
        json_end(json);
    }
    json_end(json);
}

/* null for what is not known. */
static void json_optional(json_t *json, const char *key, int64_t value)
{
    if (value < 0)
        json_null(json, key);
    else
        json_int(json, key, value);
}

const char *control_member_state_name(uint8_t state)
{
    static const char *const names[] = {
        [MEMBER_IN] = "in", [MEMBER_LEFT_BEHIND] = "left behind", [MEMBER_FORGOTTEN] = "forgotten"};
    bool is_known = state >= MEMBER_IN && state <= MEMBER_FORGOTTEN;
    return is_known ? names[state] : "unknown";
}

static void json_members(json_t *json, slice_t members_at)
{
    mp_t in = mp_open(members_at);
    control_member_t member;

    json_array(json, "members");
    while (control_member_next(&in, &member)) {
        json_object(json, NULL);
        json_uint(json, "id", member.id);
        json_hex64(json, "incarnation", member.incarnation);
        json_text(json, "state", control_member_state_name(member.state));
        json_bool(json, "connected", member.is_connected);
        json_optional(json, "silent_ms", member.silent_ms);
        json_end(json);
    }
    json_end(json);
}

static void json_refused(json_t *json, slice_t refused_at)
{
    mp_t in = mp_open(refused_at);
    control_refused_t refused;

    json_array(json, "refused");
    while (control_refused_next(&in, &refused)) {
        json_object(json, NULL);
        json_uint(json, "id", refused.id);
        json_hex64(json, "incarnation", refused.incarnation);
        json_int(json, "clock_ahead_ms", refused.ahead_ms);
        json_end(json);
    }
    json_end(json);
}

void control_node_json(json_t *json, const control_node_t *node)
{
    json_text(json, "status", status_name(node->status));
    json_string(json, "mode", node->mode);
    json_bool(json, "ready", node->is_ready);
    json_string(json, "host", node->host);
    json_uint(json, "port", node->port);
    json_int(json, "age_ms", node->age_ms);
    json_hex64(json, "incarnation", node->incarnation);
    json_hex64(json, "lineage", node->lineage);
    json_int(json, "clock_ms", hlc_ms(node->clock));
    json_uint(json, "keys", node->keys);
    json_uint(json, "sessions", node->sessions);
    json_uint(json, "brokers", node->brokers);
    json_uint(json, "waiting", node->waiting);
    json_uint(json, "held", node->held);
    control_vector_json(json, "vector", node->vector);
    json_string(json, "version", node->version);
    json_uint(json, "pid", node->pid);
    json_counts(json, node->counts_at);
    json_peers(json, "peers", node->peers_at, false);
    json_bool(json, "joining", node->is_joining);
    if (node->read_only.size != 0)
        json_string(json, "read_only", node->read_only);
    else
        json_null(json, "read_only");
    json_optional(json, "held_back_by", node->held_back_by);
    json_optional(json, "horizon_ms", node->horizon_ms);
    json_uint(json, "memory_bytes", node->memory_bytes);
    json_uint(json, "log_bytes", node->log_bytes);
    json_members(json, node->members_at);
    json_refused(json, node->refused_at);
}

void control_broker_json(json_t *json, const control_broker_t *broker)
{
    json_hex64(json, "incarnation", broker->incarnation);
    json_string(json, "host", broker->host);
    json_uint(json, "port", broker->port);
    json_int(json, "age_ms", broker->age_ms);
    json_uint(json, "clients", broker->clients);
    json_uint(json, "sessions", broker->sessions);
    json_uint(json, "in_flight", broker->in_flight);
    json_string(json, "version", broker->version);
    json_uint(json, "pid", broker->pid);
    json_counts(json, broker->counts_at);
    json_peers(json, "replicas", broker->replicas_at, true);
}
