#include "control/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "bus/wire/control_json.h"
#include "bus/wire/peer.h"

enum {
    SECOND_MS = 1000,
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
};

void show_everything(const survey_t *survey, vec_t *out)
{
    const survey_member_t *member;
    vec_t vector = {0};

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE || !member->has_answered)
            continue;
        control_vector(member->node.vector, &vector);
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

void show_short_vector(char text[SHOW_VECTOR_SIZE], const survey_t *survey, slice_t bytes)
{
    vec_t vector = {0};
    size_t used = 0;

    control_vector(bytes, &vector);
    snprintf(text, SHOW_VECTOR_SIZE, "-");
    for (uint32_t i = 0; i < vector.size && used < SHOW_VECTOR_SIZE - 48; i++) {
        const vec_part_t *part = &vector.parts[i];
        int id = id_of(survey, part->incarnation);
        const char *gap = used == 0 ? "" : " ";
        int n = id >= 0 ? snprintf(text + used, SHOW_VECTOR_SIZE - used, "%s%d:%" PRIu64, gap, id,
                                   part->count)
                        : snprintf(text + used, SHOW_VECTOR_SIZE - used, "%s%04x:%" PRIu64, gap,
                                   (unsigned)(part->incarnation >> 48), part->count);
        used += (size_t)n;
    }
    if (used >= SHOW_VECTOR_SIZE - 48)
        snprintf(text + used, SHOW_VECTOR_SIZE - used, " ...");
    vec_free(&vector);
}

void show_age(table_view_t *table, const char *what, int64_t age_ms)
{
    const char *gap = what[0] != '\0' ? " " : "";
    int64_t s = age_ms / SECOND_MS;

    if (s < MINUTE_S)
        table_view_cell(table, "%s%s%" PRId64 "s", what, gap, s);
    else if (s < HOUR_S)
        table_view_cell(table, "%s%s%" PRId64 "m%02" PRId64 "s", what, gap, s / MINUTE_S,
                        s % MINUTE_S);
    else if (s < DAY_S)
        table_view_cell(table, "%s%s%" PRId64 "h%02" PRId64 "m", what, gap, s / HOUR_S,
                        s % HOUR_S / MINUTE_S);
    else
        table_view_cell(table, "%s%s%" PRId64 "d%02" PRId64 "h", what, gap, s / DAY_S,
                        s % DAY_S / HOUR_S);
}

void show_address(table_view_t *table, slice_t host, uint16_t port)
{
    bool bracket = host.size != 0 && memchr(host.data, ':', host.size) != NULL;
    table_view_cell(table, "%s%.*s%s:%u", bracket ? "[" : "", (int)host.size,
                    (const char *)host.data, bracket ? "]" : "", port);
}

/* ---- lists ---- */

/* A node of the list: one that answered, or one that others know. */
typedef struct row {
    uint16_t id;
    const control_node_t *node; /* NULL: off */
    control_peer_t peer;        /* as others know it; without a host when none of them met it */
    control_member_t member;    /* the same, the one who heard it last; state 0: no member */
} row_t;

typedef struct rows {
    row_t *list;
    size_t size;
    size_t capacity;
} rows_t;

static void add_row(rows_t *rows, row_t row)
{
    if (rows->size == rows->capacity)
        rows->list = mem_grow(rows->list, &rows->capacity, sizeof(*rows->list));
    rows->list[rows->size++] = row;
}

static row_t *find_row(const rows_t *rows, uint16_t id)
{
    for (size_t i = 0; i < rows->size; i++)
        if (rows->list[i].id == id)
            return &rows->list[i];
    return NULL;
}

static int compare_rows(const void *a, const void *b)
{
    const row_t *one = a;
    const row_t *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

static void add_member(rows_t *rows, const control_member_t *member)
{
    row_t *row = find_row(rows, member->id);
    if (row == NULL && member->state == MEMBER_FORGOTTEN)
        return;
    if (row == NULL) {
        add_row(rows, (row_t){.id = member->id});
        row = &rows->list[rows->size - 1];
        row->peer.incarnation = member->incarnation;
    }
    bool is_later = member->silent_ms >= 0 &&
                    (row->member.silent_ms < 0 || member->silent_ms < row->member.silent_ms);
    if (row->member.state == 0 || is_later)
        row->member = *member;
}

/* The others that a node knows: whom it met, and members that it waits for. */
static void add_known(rows_t *rows, const control_node_t *node)
{
    mp_t peers = mp_open(node->peers_at);
    mp_t members = mp_open(node->members_at);
    control_peer_t peer;
    control_member_t member;

    while (control_peer_next(&peers, &peer))
        if (peer.incarnation != 0 && find_row(rows, peer.id) == NULL)
            add_row(rows, (row_t){.id = peer.id, .peer = peer});
    while (control_member_next(&members, &member))
        add_member(rows, &member);
}

/* Those that answered first, so that a node started anew is not also shown as off. */
static rows_t collect(const survey_t *survey)
{
    const survey_member_t *member;
    rows_t rows = {0};

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++)
        if (member->kind == CONTROL_NODE && member->has_answered)
            add_row(&rows, (row_t){.id = member->node.id, .node = &member->node});
    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++)
        if (member->kind == CONTROL_NODE && member->has_answered)
            add_known(&rows, &member->node);
    if (rows.size != 0)
        qsort(rows.list, rows.size, sizeof(*rows.list), compare_rows);
    return rows;
}

uint64_t show_lag(const control_node_t *node, const vec_t *everything)
{
    vec_t vector = {0};
    control_vector(node->vector, &vector);
    uint64_t lag = vec_lag(&vector, everything);
    vec_free(&vector);
    return lag;
}

/* ---- nodes ---- */

/* By how much at most a node is ahead of those that refuse it for its clock; 0: none does. */
static int64_t clock_ahead_ms(const survey_t *survey, uint64_t incarnation)
{
    const survey_member_t *member;
    int64_t ahead_ms = 0;

    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE || !member->has_answered)
            continue;
        mp_t in = mp_open(member->node.refused_at);
        control_refused_t refused;
        while (control_refused_next(&in, &refused))
            if (refused.incarnation == incarnation && refused.ahead_ms > ahead_ms)
                ahead_ms = refused.ahead_ms;
    }
    return ahead_ms;
}

void show_status(table_view_t *table, const survey_t *survey, const control_node_t *node)
{
    const char *status = status_name(node->status);
    const char *read_only = node->read_only.size != 0 ? ", read-only" : "";
    int64_t ahead_ms = clock_ahead_ms(survey, node->incarnation);

    if (!node->is_ready)
        status = node->is_joining ? "joining" : "starting";
    if (ahead_ms != 0)
        table_view_cell(table, "%s%s, clock %" PRId64 "s ahead", status, read_only,
                        ahead_ms / SECOND_MS);
    else
        table_view_cell(table, "%s%s", status, read_only);
}

void show_bytes(table_view_t *table, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    enum { UNITS = sizeof(units) / sizeof(units[0]), STEP = 1024 };
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= STEP && unit + 1 < UNITS; unit++)
        value /= STEP;
    table_view_cell(table, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void show_held_back_by(table_view_t *table, const control_node_t *node)
{
    mp_t members = mp_open(node->members_at);
    control_member_t member;

    while (control_member_next(&members, &member)) {
        if (member.id != node->held_back_by || member.is_connected)
            continue;
        table_view_cell(table, "%u", member.id);
        return;
    }
    table_view_cell(table, "-");
}

static void put_node_row(table_view_t *table, const survey_t *survey, const row_t *row,
                         const vec_t *everything)
{
    const control_node_t *node = row->node;
    char vector[SHOW_VECTOR_SIZE];

    show_short_vector(vector, survey, node->vector);
    table_view_cell(table, "%u", node->id);
    show_status(table, survey, node);
    table_view_cell(table, "%.*s", (int)node->mode.size, (const char *)node->mode.data);
    show_address(table, node->host, node->port);
    show_age(table, "", node->age_ms);
    table_view_count(table, node->keys);
    table_view_count(table, node->sessions);
    table_view_count(table, show_lag(node, everything));
    show_bytes(table, node->log_bytes);
    show_held_back_by(table, node);
    table_view_cell(table, "%s", vector);
}

/* A node that did not answer: off, and since when if somebody heard it before. */
static void put_off_row(table_view_t *table, const row_t *row)
{
    enum { AFTER_ADDRESS = 7 };
    const char *status = row->member.state == MEMBER_LEFT_BEHIND ? "off, left behind" : "off";

    table_view_cell(table, "%u", row->id);
    if (row->member.state == 0 || row->member.silent_ms < 0)
        table_view_cell(table, "%s", status);
    else
        show_age(table, status, row->member.silent_ms);
    table_view_cell(table, "-");
    if (row->peer.host.size != 0)
        show_address(table, row->peer.host, row->peer.port);
    else
        table_view_cell(table, "-");
    for (int j = 0; j < AFTER_ADDRESS; j++)
        table_view_cell(table, "-");
}

static void put_nodes_table(buf_t *out, const survey_t *survey, const rows_t *rows,
                            const vec_t *everything)
{
    static const char *const headings[] = {"ID",  "STATUS",       "MODE",     "ADDRESS",
                                           "AGE", "KEYS",         "SESSIONS", "LAG",
                                           "LOG", "HELD BACK BY", "VECTOR"};
    table_view_t *table = table_view_new(sizeof(headings) / sizeof(headings[0]), headings);

    for (size_t i = 0; i < rows->size; i++) {
        if (rows->list[i].node != NULL)
            put_node_row(table, survey, &rows->list[i], everything);
        else
            put_off_row(table, &rows->list[i]);
    }
    table_view_put(table, out);
    table_view_destroy(&table);
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
            json_uint(&json, "id", row->id);
            json_bool(&json, "gone", false);
            control_node_json(&json, row->node);
            json_uint(&json, "lag", show_lag(row->node, everything));
        } else {
            json_uint(&json, "id", row->id);
            json_bool(&json, "gone", true);
            json_string(&json, "host", row->peer.host);
            json_uint(&json, "port", row->peer.port);
            json_hex64(&json, "incarnation", row->peer.incarnation);
            json_text(&json, "status", "off");
            json_text(&json, "state", control_member_state_name(row->member.state));
            if (row->member.state != 0 && row->member.silent_ms >= 0)
                json_int(&json, "silent_ms", row->member.silent_ms);
            else
                json_null(&json, "silent_ms");
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
    char text[SHOW_VECTOR_SIZE] = "-";
    size_t used = 0;

    while (control_peer_next(&in, &peer) && used < SHOW_VECTOR_SIZE - 48)
        used += (size_t)snprintf(
            text + used, SHOW_VECTOR_SIZE - used, "%s%u:%s(%" PRIu64 ")", used == 0 ? "" : " ",
            peer.id, peer.is_connected ? status_name(peer.status) : "lost", peer.sessions);
    table_view_cell(table, "%s", text);
}

static void put_broker_row(table_view_t *table, const control_broker_t *broker)
{
    show_address(table, broker->host, broker->port);
    show_age(table, "", broker->age_ms);
    table_view_count(table, broker->clients);
    table_view_count(table, broker->sessions);
    table_view_count(table, broker->in_flight);
    put_replicas(table, broker->replicas_at);
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
        if (!as_json) {
            put_broker_row(table, &member->broker);
            continue;
        }
        json_object(&json, NULL);
        control_broker_json(&json, &member->broker);
        json_end(&json);
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
