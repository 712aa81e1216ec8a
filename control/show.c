#include "control/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "control/table.h"

enum {
    SECOND_MS = 1000,
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    SHORT_TEXT_SIZE = 512, /* of a vector or a list of replicas in a table */
};

void show_vector(slice_t bytes, vec_t *out)
{
    mp_t in = mp_open(bytes);
    mp_vector(&in, out);
}

void show_everything(const survey_t *survey, vec_t *out)
{
    const survey_member_t *member;
    vec_t vector = {0};

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE || !member->has_answered)
            continue;
        show_vector(member->node.vector, &vector);
        vec_merge(out, &vector);
    }
    vec_free(&vector);
}

/* ---- names ---- */

/* The id of an incarnation among those that answered and their peers; -1 when it is history. */
static int id_of(const survey_t *survey, uint64_t incarnation)
{
    const survey_member_t *member;

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE)
            continue;
        if (member->node.incarnation == incarnation)
            return member->node.id;
        mp_t in = mp_open(member->node.peers_at);
        control_peer_t peer;
        while (control_peer_next(&in, &peer))
            if (peer.incarnation == incarnation)
                return peer.id;
    }
    return -1;
}

/* "0:12 1:5 a3f1:7": by id; what an ended incarnation left by the first digits of that. */
static void put_short_vector(char text[SHORT_TEXT_SIZE], const survey_t *survey, slice_t bytes)
{
    vec_t vector = {0};
    size_t used = 0;

    show_vector(bytes, &vector);
    snprintf(text, SHORT_TEXT_SIZE, "-");
    for (uint32_t i = 0; i < vector.size && used < SHORT_TEXT_SIZE - 48; i++) {
        const vec_part_t *part = &vector.parts[i];
        int id = id_of(survey, part->incarnation);
        const char *gap = used == 0 ? "" : " ";
        int n = id >= 0 ? snprintf(text + used, SHORT_TEXT_SIZE - used, "%s%d:%" PRIu64, gap, id,
                                   part->count)
                        : snprintf(text + used, SHORT_TEXT_SIZE - used, "%s%04x:%" PRIu64, gap,
                                   (unsigned)(part->incarnation >> 48), part->count);
        used += (size_t)n;
    }
    if (used >= SHORT_TEXT_SIZE - 48)
        snprintf(text + used, SHORT_TEXT_SIZE - used, " ...");
    vec_free(&vector);
}

static void put_age(table_view_t *table, int64_t age_ms)
{
    int64_t s = age_ms / SECOND_MS;

    if (s < MINUTE_S)
        table_view_cell(table, "%" PRId64 "s", s);
    else if (s < HOUR_S)
        table_view_cell(table, "%" PRId64 "m%02" PRId64 "s", s / MINUTE_S, s % MINUTE_S);
    else if (s < DAY_S)
        table_view_cell(table, "%" PRId64 "h%02" PRId64 "m", s / HOUR_S, s % HOUR_S / MINUTE_S);
    else
        table_view_cell(table, "%" PRId64 "d%02" PRId64 "h", s / DAY_S, s % DAY_S / HOUR_S);
}

static void put_address(table_view_t *table, slice_t host, uint16_t port)
{
    bool bracket = host.size != 0 && memchr(host.data, ':', host.size) != NULL;
    table_view_cell(table, "%s%.*s%s:%u", bracket ? "[" : "", (int)host.size,
                    (const char *)host.data, bracket ? "]" : "", port);
}

/* ---- lists ---- */

/* A node of the list: one that answered, or one that others know. */
typedef struct row {
    uint16_t id;
    const control_node_t *node; /* NULL: gone */
    control_peer_t peer;        /* as others know it */
} row_t;

typedef struct rows {
    row_t *list;
    size_t size;
    size_t capacity;
} rows_t;

static void add_row(rows_t *rows, row_t row)
{
    if (rows->size == rows->capacity) {
        rows->capacity = rows->capacity != 0 ? rows->capacity * 2 : 32;
        rows->list = mem_resize(rows->list, rows->capacity * sizeof(*rows->list));
    }
    rows->list[rows->size++] = row;
}

static bool has_id(const rows_t *rows, uint16_t id)
{
    for (size_t i = 0; i < rows->size; i++)
        if (rows->list[i].id == id)
            return true;
    return false;
}

static int compare_rows(const void *a, const void *b)
{
    const row_t *one = a;
    const row_t *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

/* Those that answered first, so that a node started anew is not also shown as gone. */
static rows_t collect(const survey_t *survey)
{
    const survey_member_t *member;
    rows_t rows = {0};

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++)
        if (member->kind == CONTROL_NODE && member->has_answered)
            add_row(&rows, (row_t){.id = member->node.id, .node = &member->node});
    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE || !member->has_answered)
            continue;
        mp_t in = mp_open(member->node.peers_at);
        control_peer_t peer;
        while (control_peer_next(&in, &peer))
            if (peer.incarnation != 0 && !has_id(&rows, peer.id))
                add_row(&rows, (row_t){.id = peer.id, .peer = peer});
    }
    if (rows.size != 0)
        qsort(rows.list, rows.size, sizeof(*rows.list), compare_rows);
    return rows;
}

static uint64_t lag_of(const control_node_t *node, const vec_t *everything)
{
    vec_t vector = {0};
    show_vector(node->vector, &vector);
    uint64_t lag = vec_lag(&vector, everything);
    vec_free(&vector);
    return lag;
}

/* ---- nodes ---- */

static void put_node_row(table_view_t *table, const survey_t *survey, const row_t *row,
                         const vec_t *everything)
{
    const control_node_t *node = row->node;
    char vector[SHORT_TEXT_SIZE];

    put_short_vector(vector, survey, node->vector);
    table_view_cell(table, "%u", node->id);
    table_view_cell(table, "%s", node->is_ready ? status_name(node->status) : "starting");
    table_view_cell(table, "%.*s", (int)node->mode.size, (const char *)node->mode.data);
    put_address(table, node->host, node->port);
    put_age(table, node->age_ms);
    table_view_cell(table, "%" PRIu64, node->keys);
    table_view_cell(table, "%" PRIu64, node->sessions);
    table_view_cell(table, "%" PRIu64, lag_of(node, everything));
    table_view_cell(table, "%s", vector);
}

static void put_nodes_table(buf_t *out, const survey_t *survey, const rows_t *rows,
                            const vec_t *everything)
{
    static const char *const headings[] = {"ID",   "STATUS",   "MODE", "ADDRESS", "AGE",
                                           "KEYS", "SESSIONS", "LAG",  "VECTOR"};
    enum { COLUMNS = sizeof(headings) / sizeof(headings[0]), AFTER_ADDRESS = 5 };
    table_view_t *table = table_view_new(COLUMNS, headings);

    for (size_t i = 0; i < rows->size; i++) {
        const row_t *row = &rows->list[i];
        if (row->node != NULL) {
            put_node_row(table, survey, row, everything);
            continue;
        }
        table_view_cell(table, "%u", row->id);
        table_view_cell(table, "gone");
        table_view_cell(table, "-");
        put_address(table, row->peer.host, row->peer.port);
        for (int j = 0; j < AFTER_ADDRESS; j++)
            table_view_cell(table, "-");
    }
    table_view_put(table, out);
    table_view_destroy(&table);
}

static void json_hex64(json_t *json, const char *key, uint64_t value)
{
    char text[20];
    snprintf(text, sizeof(text), "%016" PRIx64, value);
    json_text(json, key, text);
}

/* An object of counts by incarnation. */
static void json_vector(json_t *json, const char *key, slice_t bytes)
{
    vec_t vector = {0};
    char name[20];

    show_vector(bytes, &vector);
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
        json_vector(json, "vector", peer.vector);
        json_end(json);
    }
    json_end(json);
}

static void json_node(json_t *json, const control_node_t *node, const vec_t *everything)
{
    json_uint(json, "id", node->id);
    json_bool(json, "gone", false);
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
    json_uint(json, "lag", lag_of(node, everything));
    json_vector(json, "vector", node->vector);
    json_string(json, "version", node->version);
    json_uint(json, "pid", node->pid);
    json_counts(json, node->counts_at);
    json_peers(json, "peers", node->peers_at, false);
}

static void put_nodes_json(buf_t *out, const rows_t *rows, const vec_t *everything)
{
    json_t json = json_open(out);

    json_object(&json, NULL);
    json_bool(&json, "ok", true);
    json_array(&json, "nodes");
    for (size_t i = 0; i < rows->size; i++) {
        const row_t *row = &rows->list[i];
        json_object(&json, NULL);
        if (row->node != NULL) {
            json_node(&json, row->node, everything);
        } else {
            json_uint(&json, "id", row->id);
            json_bool(&json, "gone", true);
            json_string(&json, "host", row->peer.host);
            json_uint(&json, "port", row->peer.port);
            json_hex64(&json, "incarnation", row->peer.incarnation);
        }
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

void show_nodes(buf_t *out, const survey_t *survey, bool as_json)
{
    rows_t rows = collect(survey);
    vec_t everything = {0};

    show_everything(survey, &everything);
    if (as_json)
        put_nodes_json(out, &rows, &everything);
    else
        put_nodes_table(out, survey, &rows, &everything);
    vec_free(&everything);
    free(rows.list);
}

/* ---- brokers ---- */

/* "0:active 1:offline(12) 2:lost": sessions in parentheses. */
static void put_replicas(table_view_t *table, slice_t replicas_at)
{
    mp_t in = mp_open(replicas_at);
    control_peer_t peer;
    char text[SHORT_TEXT_SIZE] = "-";
    size_t used = 0;

    while (control_peer_next(&in, &peer) && used < SHORT_TEXT_SIZE - 48)
        used += (size_t)snprintf(
            text + used, SHORT_TEXT_SIZE - used, "%s%u:%s(%" PRIu64 ")", used == 0 ? "" : " ",
            peer.id, peer.is_connected ? status_name(peer.status) : "lost", peer.sessions);
    table_view_cell(table, "%s", text);
}

static void put_broker_row(table_view_t *table, const control_broker_t *broker)
{
    put_address(table, broker->host, broker->port);
    put_age(table, broker->age_ms);
    table_view_cell(table, "%" PRIu64, broker->clients);
    table_view_cell(table, "%" PRIu64, broker->sessions);
    table_view_cell(table, "%" PRIu64, broker->in_flight);
    put_replicas(table, broker->replicas_at);
}

static void json_broker(json_t *json, const control_broker_t *broker)
{
    json_object(json, NULL);
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
    json_end(json);
}

void show_brokers(buf_t *out, const survey_t *survey, bool as_json)
{
    static const char *const headings[] = {"ADDRESS",  "AGE",       "CLIENTS",
                                           "SESSIONS", "IN FLIGHT", "REPLICAS"};
    table_view_t *table = table_view_new(sizeof(headings) / sizeof(headings[0]), headings);
    const survey_member_t *member;
    json_t json = {0};

    if (as_json) {
        json = json_open(out);
        json_object(&json, NULL);
        json_bool(&json, "ok", true);
        json_array(&json, "brokers");
    }
    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_BROKER || !member->has_answered)
            continue;
        if (as_json)
            json_broker(&json, &member->broker);
        else
            put_broker_row(table, &member->broker);
    }
    if (as_json) {
        json_end(&json);
        json_end(&json);
        buf_append_u8(out, '\n');
    } else {
        table_view_put(table, out);
    }
    table_view_destroy(&table);
}
