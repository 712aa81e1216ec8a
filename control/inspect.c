#include "control/inspect.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bus/base/json.h"
#include "bus/base/log.h"
#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/control_json.h"
#include "bus/wire/inspect.h"
#include "control/show.h"
#include "control/table.h"

enum { SECOND_MS = 1000 };

/* What the replies are appended to while they come. */
typedef struct listing {
    const survey_t *survey;
    table_view_t *table; /* NULL: JSON */
    json_t json;
    slice_t key;  /* that was asked for, if one was */
    int count;    /* who has the key, or who answered */
    buf_t *kept;  /* documents of KEY, to be sorted */
    size_t nodes; /* of them */
} listing_t;

/* An object with an array of this name, or a table with these headings. */
static void begin(listing_t *self, bool as_json, const char *name, size_t columns,
                  const char *const headings[])
{
    if (!as_json) {
        self->table = table_view_new(columns, headings);
        return;
    }
    json_object(&self->json, NULL);
    json_bool(&self->json, "ok", true);
    if (self->key.size != 0)
        json_bytes(&self->json, "key", self->key);
    json_array(&self->json, name);
}

static void end(listing_t *self, buf_t *out)
{
    if (self->table == NULL) {
        json_end(&self->json);
        json_end(&self->json);
        buf_append_u8(out, '\n');
    } else {
        table_view_put(self->table, out);
    }
    table_view_destroy(&self->table);
}

/* ---- key ---- */

static void key_json(json_t *json, const inspect_key_t *key, bool is_there)
{
    json_object(json, NULL);
    json_uint(json, "id", key->id);
    json_hex64(json, "incarnation", key->incarnation);
    json_bool(json, "there", is_there);
    json_string(json, "type", key->type);
    json_uint(json, "size", key->size);
    if (key->deadline != 0)
        json_int(json, "expires_ms", hlc_ms(key->deadline));
    else
        json_null(json, "expires_ms");
    if (key->tag != 0)
        json_int(json, "tag_ms", hlc_ms(key->tag));
    else
        json_null(json, "tag_ms");
    control_vector_json(json, "updates", key->dots);
    json_uint(json, "updates_waiting", key->updates_waiting);
    json_uint(json, "requests_waiting", key->requests_waiting);
    json_end(json);
}

static void key_row(const listing_t *listing, const inspect_key_t *key)
{
    char vector[SHOW_VECTOR_SIZE];
    buf_t time = {0};
    int64_t left_ms = hlc_ms(key->deadline) - net_now().wall_ms;

    show_short_vector(vector, listing->survey, key->dots);
    if (key->tag != 0)
        log_put_time(&time, hlc_ms(key->tag));
    else
        buf_append_text(&time, "-");
    table_view_cell(listing->table, "%u", key->id);
    table_view_cell(listing->table, "%.*s", (int)key->type.size, (const char *)key->type.data);
    table_view_count(listing->table, key->size);
    if (key->deadline == 0)
        table_view_cell(listing->table, "-");
    else
        table_view_cell(listing->table, "%" PRId64 "s", left_ms > 0 ? left_ms / SECOND_MS : 0);
    table_view_cell(listing->table, "%s", buf_text(&time));
    table_view_count(listing->table, key->updates_waiting);
    table_view_count(listing->table, key->requests_waiting);
    table_view_cell(listing->table, "%s", vector);
    buf_free(&time);
}

static void put_key(listing_t *listing, slice_t document)
{
    inspect_key_t key;

    if (!inspect_key_read(document, &key))
        return;
    bool is_there = !slice_equal(key.type, slice_text("none"));
    listing->count += is_there;
    if (listing->table == NULL)
        key_json(&listing->json, &key, is_there);
    else
        key_row(listing, &key);
}

static void keep_key(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    listing_t *listing = arg;

    (void)member;
    if (reply->outcome != OUTCOME_OK || listing->nodes == SURVEY_MEMBERS_MAX)
        return;
    buf_append_slice(&listing->kept[listing->nodes++], reply->document);
}

/* By the id of the node; what is malformed, anywhere. */
static int compare_keys(const void *a, const void *b)
{
    inspect_key_t one = {0};
    inspect_key_t other = {0};

    inspect_key_read(buf_slice(a), &one);
    inspect_key_read(buf_slice(b), &other);
    return (one.id > other.id) - (one.id < other.id);
}

int inspect_key(buf_t *out, survey_t *survey, slice_t key, bool as_json, int64_t deadline_ms)
{
    static const char *const headings[] = {"NODE", "TYPE", "SIZE",    "TTL",
                                           "TAG",  "HELD", "WAITING", "UPDATES"};
    const control_request_t request = {.command = CONTROL_KEY, .key = key};
    listing_t listing = {.survey = survey, .json = json_open(out), .key = key};

    begin(&listing, as_json, "replicas", sizeof(headings) / sizeof(headings[0]), headings);
    listing.kept = mem_zero(SURVEY_MEMBERS_MAX, sizeof(*listing.kept));
    int rc = survey_ask(survey, &request, CONTROL_NODE, survey_patience(deadline_ms), keep_key,
                        &listing);
    qsort(listing.kept, listing.nodes, sizeof(*listing.kept), compare_keys);
    for (size_t i = 0; i < listing.nodes; i++) {
        put_key(&listing, buf_slice(&listing.kept[i]));
        buf_free(&listing.kept[i]);
    }
    free(listing.kept);
    end(&listing, out);
    return rc == 0 ? listing.count : -1;
}

/* ---- sessions ---- */

static void sessions_json(json_t *json, const inspect_sessions_t *sessions)
{
    mp_t in = mp_open(sessions->routes_at);
    inspect_route_t route;

    json_object(json, NULL);
    json_hex64(json, "incarnation", sessions->incarnation);
    json_uint(json, "port", sessions->port);
    json_uint(json, "sessions", sessions->sessions);
    json_uint(json, "routes", sessions->routes);
    json_array(json, "list");
    while (inspect_route_next(&in, &route)) {
        json_object(json, NULL);
        json_uint(json, "connection", route.connection);
        json_uint(json, "replica", route.replica);
        json_uint(json, "sessions", route.sessions);
        json_uint(json, "in_flight", route.in_flight);
        json_end(json);
    }
    json_end(json);
    json_end(json);
}

static void sessions_rows(table_view_t *table, const inspect_sessions_t *sessions)
{
    mp_t in = mp_open(sessions->routes_at);
    inspect_route_t route;

    while (inspect_route_next(&in, &route)) {
        table_view_cell(table, ":%u", sessions->port);
        table_view_count(table, route.connection);
        table_view_count(table, route.replica);
        table_view_count(table, route.sessions);
        table_view_count(table, route.in_flight);
    }
    if (sessions->routes <= sessions->routes_here)
        return;
    table_view_cell(table, ":%u", sessions->port);
    table_view_cell(table, "and %" PRIu64 " more", sessions->routes - sessions->routes_here);
    for (int i = 0; i < 3; i++)
        table_view_cell(table, "-");
}

static void take_sessions(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    listing_t *listing = arg;
    inspect_sessions_t sessions;

    (void)member;
    if (reply->outcome != OUTCOME_OK || !inspect_sessions_read(reply->document, &sessions))
        return;
    listing->count++;
    if (listing->table == NULL)
        sessions_json(&listing->json, &sessions);
    else
        sessions_rows(listing->table, &sessions);
}

int inspect_sessions(buf_t *out, survey_t *survey, bool as_json, int64_t deadline_ms)
{
    static const char *const headings[] = {"BROKER", "CONNECTION", "REPLICA", "SESSIONS",
                                           "IN FLIGHT"};
    const control_request_t request = {.command = CONTROL_SESSIONS};
    listing_t listing = {.survey = survey, .json = json_open(out)};

    begin(&listing, as_json, "brokers", sizeof(headings) / sizeof(headings[0]), headings);
    int rc = survey_ask(survey, &request, CONTROL_BROKER, survey_patience(deadline_ms),
                        take_sessions, &listing);
    end(&listing, out);
    return rc == 0 ? listing.count : -1;
}
