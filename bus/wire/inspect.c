#include "bus/wire/inspect.h"

#include "bus/wire/fields.h"

enum {
    EVENT_FIELDS = 4,
    EVENTS_FIELDS = 5,
    KEY_FIELDS = 9,
    ROUTE_FIELDS = 4,
    SESSIONS_FIELDS = 5,
};

/* ---- EVENTS ---- */

void inspect_event_put(buf_t *out, const inspect_event_t *event)
{
    mp_put_array(out, EVENT_FIELDS);
    mp_put_uint(out, event->number);
    mp_put_uint(out, (uint64_t)event->wall_us);
    mp_put_str(out, event->name);
    mp_put_str(out, event->text);
}

bool inspect_event_next(mp_t *in, inspect_event_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, EVENT_FIELDS);
    out->number = mp_uint(in);
    out->wall_us = (int64_t)fields_uint(in, INT64_MAX);
    out->name = fields_bytes(in, CONTROL_TEXT_MAX);
    out->text = fields_bytes(in, CONTROL_TEXT_MAX);
    mp_array_end(in, items, EVENT_FIELDS);
    return mp_ok(in);
}

static bool skip_event(mp_t *in)
{
    inspect_event_t item;
    return inspect_event_next(in, &item);
}

void inspect_events_put(buf_t *out, const inspect_events_t *events)
{
    mp_put_array(out, EVENTS_FIELDS);
    mp_put_uint(out, (uint64_t)events->program);
    mp_put_uint(out, events->id);
    mp_put_uint(out, events->port);
    mp_put_uint(out, events->incarnation);
    fields_items_put(out, events->events, events->events_at);
}

bool inspect_events_read(slice_t document, inspect_events_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, EVENTS_FIELDS);
    out->program = control_program(&in);
    out->id = fields_u16(&in);
    out->port = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->events_at = fields_items(&in, INSPECT_EVENTS_MAX, skip_event, &out->events);
    return fields_close(&in, items, EVENTS_FIELDS);
}

/* ---- KEY ---- */

void inspect_key_put(buf_t *out, const inspect_key_t *key, const vec_t *dots)
{
    mp_put_array(out, KEY_FIELDS);
    mp_put_uint(out, key->id);
    mp_put_uint(out, key->incarnation);
    mp_put_str(out, key->type);
    mp_put_uint(out, key->size);
    mp_put_uint(out, key->deadline);
    mp_put_uint(out, key->tag);
    mp_put_vector(out, dots);
    mp_put_uint(out, key->updates_waiting);
    mp_put_uint(out, key->requests_waiting);
}

bool inspect_key_read(slice_t document, inspect_key_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, KEY_FIELDS);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->type = fields_bytes(&in, CONTROL_TEXT_MAX);
    out->size = mp_uint(&in);
    out->deadline = mp_uint(&in);
    out->tag = mp_uint(&in);
    out->dots = fields_whole_vector(&in);
    out->updates_waiting = mp_uint(&in);
    out->requests_waiting = mp_uint(&in);
    return fields_close(&in, items, KEY_FIELDS);
}

/* ---- SESSIONS ---- */

void inspect_route_put(buf_t *out, const inspect_route_t *route)
{
    mp_put_array(out, ROUTE_FIELDS);
    mp_put_uint(out, route->connection);
    mp_put_uint(out, route->replica);
    mp_put_uint(out, route->sessions);
    mp_put_uint(out, route->in_flight);
}

bool inspect_route_next(mp_t *in, inspect_route_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, ROUTE_FIELDS);
    out->connection = fields_u32(in);
    out->replica = fields_u16(in);
    out->sessions = mp_uint(in);
    out->in_flight = mp_uint(in);
    mp_array_end(in, items, ROUTE_FIELDS);
    return mp_ok(in);
}

static bool skip_route(mp_t *in)
{
    inspect_route_t item;
    return inspect_route_next(in, &item);
}

void inspect_sessions_put(buf_t *out, const inspect_sessions_t *sessions)
{
    mp_put_array(out, SESSIONS_FIELDS);
    mp_put_uint(out, sessions->incarnation);
    mp_put_uint(out, sessions->port);
    mp_put_uint(out, sessions->sessions);
    mp_put_uint(out, sessions->routes);
    fields_items_put(out, sessions->routes_here, sessions->routes_at);
}

bool inspect_sessions_read(slice_t document, inspect_sessions_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, SESSIONS_FIELDS);
    out->incarnation = mp_uint(&in);
    out->port = fields_u16(&in);
    out->sessions = mp_uint(&in);
    out->routes = mp_uint(&in);
    out->routes_at = fields_items(&in, INSPECT_ROUTES_MAX, skip_route, &out->routes_here);
    return fields_close(&in, items, SESSIONS_FIELDS);
}
