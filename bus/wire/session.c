#include "bus/wire/session.h"

#include <string.h>

/* A fixed number of leading fields, anything behind them skipped: how bodies may grow. */
static uint32_t open_fields(mp_t *in, uint32_t needed)
{
    uint32_t items = mp_array(in, needed + 64);
    if (items < needed)
        mp_fail(in);
    return items;
}

/* A vector is kept as its bytes and read by who needs it. */
static slice_t vector_at(mp_t *in)
{
    if (mp_peek(in) != MP_ARRAY)
        mp_fail(in);
    return mp_skip(in);
}

static uint64_t bounded(mp_t *in, uint64_t most)
{
    uint64_t value = mp_uint(in);
    if (value > most)
        mp_fail(in);
    return value;
}

void session_hello_put(buf_t *out, const session_hello_t *hello, const vec_t *token)
{
    mp_put_array(out, 7);
    mp_put_uint(out, hello->session);
    mp_put_uint(out, hello->cluster);
    mp_put_uint(out, hello->lineage);
    mp_put_uint(out, hello->clock);
    mp_put_vector(out, token);
    mp_put_int(out, hello->pin);
    mp_put_uint(out, hello->avoid);
}

bool session_hello_read(slice_t body, session_hello_t *out)
{
    mp_t in = mp_open(body);
    uint32_t items = open_fields(&in, 7);
    out->session = mp_uint(&in);
    out->cluster = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->token = vector_at(&in);
    int64_t pin = mp_int(&in);
    if (pin < -1 || pin > 255)
        mp_fail(&in);
    out->pin = (int32_t)pin;
    out->avoid = mp_uint(&in);
    mp_array_end(&in, items, 7);
    return mp_done(&in) && out->session != 0;
}

void session_welcome_put(buf_t *out, const session_welcome_t *welcome)
{
    mp_put_array(out, 6);
    mp_put_uint(out, welcome->session);
    mp_put_uint(out, welcome->id);
    mp_put_uint(out, welcome->incarnation);
    mp_put_uint(out, welcome->lineage);
    mp_put_uint(out, welcome->clock);
    mp_put_str(out, welcome->text);
}

bool session_welcome_read(slice_t body, session_welcome_t *out)
{
    mp_t in = mp_open(body);
    uint32_t items = open_fields(&in, 6);
    out->session = mp_uint(&in);
    out->id = (uint16_t)bounded(&in, UINT16_MAX);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->text = mp_bytes(&in);
    mp_array_end(&in, items, 6);
    return mp_done(&in);
}

void session_bye_put(buf_t *out, uint64_t session)
{
    mp_put_array(out, 1);
    mp_put_uint(out, session);
}

bool session_bye_read(slice_t body, uint64_t *session)
{
    mp_t in = mp_open(body);
    uint32_t items = open_fields(&in, 1);
    *session = mp_uint(&in);
    mp_array_end(&in, items, 1);
    return mp_done(&in);
}

enum { REQUEST_FIELDS = 10 };

void request_put(buf_t *out, const request_t *request, const vec_t *token)
{
    mp_put_array(out, REQUEST_FIELDS + request->arguments);
    mp_put_uint(out, request->session);
    mp_put_uint(out, request->epoch);
    mp_put_uint(out, request->seq);
    mp_put_uint(out, request->flags);
    mp_put_uint(out, request->left_ms);
    if (token != NULL) {
        mp_put_uint(out, request->token_clock);
        mp_put_vector(out, token);
    } else {
        mp_put_nil(out);
        mp_put_nil(out);
    }
    mp_put_uint(out, request->hlc);
    mp_put_uint(out, request->floor);
    mp_put_uint(out, request->command);
    buf_append_slice(out, request->arguments_at);
}

bool request_read(mp_t *in, request_t *out)
{
    const uint8_t *start = in->at;
    uint32_t items = mp_array(in, REQUEST_FIELDS + COMMAND_ARGUMENTS_MAX);
    if (items < REQUEST_FIELDS)
        mp_fail(in);
    out->session = mp_uint(in);
    out->epoch = mp_uint(in);
    out->seq = mp_uint(in);
    out->flags = (uint8_t)bounded(in, UINT8_MAX);
    out->left_ms = (uint32_t)bounded(in, UINT32_MAX);
    out->has_token = !mp_nil(in);
    out->token_clock = out->has_token ? mp_uint(in) : 0;
    if (out->has_token)
        out->token = vector_at(in);
    else if (!mp_nil(in))
        mp_fail(in);
    out->hlc = mp_uint(in);
    out->floor = mp_uint(in);
    out->command = (uint8_t)bounded(in, UINT8_MAX);
    if (!mp_ok(in))
        return false;
    out->arguments = items - REQUEST_FIELDS;
    const uint8_t *arguments = in->at;
    for (uint32_t i = 0; i < out->arguments; i++)
        mp_bytes(in);
    if (!mp_ok(in))
        return false;
    out->arguments_at = slice_of(arguments, (size_t)(in->at - arguments));
    out->whole = slice_of(start, (size_t)(in->at - start));
    return true;
}

enum { REPLY_FIELDS = 10 };

void reply_put(buf_t *out, const reply_t *reply, const vec_t *token)
{
    mp_put_array(out, REPLY_FIELDS);
    mp_put_uint(out, reply->session);
    mp_put_uint(out, reply->epoch);
    mp_put_uint(out, reply->seq);
    mp_put_uint(out, (uint64_t)reply->outcome);
    if (reply->value.size != 0)
        buf_append_slice(out, reply->value);
    else
        mp_put_nil(out);
    mp_put_vector(out, token);
    mp_put_uint(out, reply->clock);
    mp_put_uint(out, reply->copies);
    mp_put_uint(out, reply->seen_base);
    mp_put_uint(out, reply->seen_any);
}

bool reply_read(mp_t *in, reply_t *out)
{
    uint32_t items = open_fields(in, REPLY_FIELDS);
    out->session = mp_uint(in);
    out->epoch = mp_uint(in);
    out->seq = mp_uint(in);
    out->outcome = outcome_from_wire((unsigned)bounded(in, UINT16_MAX));
    out->value = mp_skip(in);
    out->token = vector_at(in);
    out->clock = mp_uint(in);
    out->copies = (uint16_t)bounded(in, UINT16_MAX);
    out->seen_base = mp_uint(in);
    out->seen_any = mp_uint(in);
    mp_array_end(in, items, REPLY_FIELDS);
    return mp_ok(in);
}

void link_hello_put(buf_t *out, const link_hello_t *hello)
{
    mp_put_array(out, 3);
    mp_put_uint(out, hello->cluster);
    mp_put_uint(out, hello->incarnation);
    mp_put_uint(out, hello->wanted);
}

bool link_hello_read(slice_t body, link_hello_t *out)
{
    mp_t in = mp_open(body);
    uint32_t items = open_fields(&in, 3);
    out->cluster = mp_uint(&in);
    out->incarnation = mp_uint(&in);
    out->wanted = mp_uint(&in);
    mp_array_end(&in, items, 3);
    return mp_done(&in);
}

void link_status_put(buf_t *out, const link_status_t *status, const vec_t *vector)
{
    mp_put_array(out, 7);
    mp_put_uint(out, status->id);
    mp_put_uint(out, status->incarnation);
    mp_put_uint(out, status->lineage);
    mp_put_uint(out, status->status);
    mp_put_uint(out, status->serial);
    mp_put_uint(out, status->clock);
    mp_put_vector(out, vector);
}

bool link_status_read(slice_t body, link_status_t *out)
{
    mp_t in = mp_open(body);
    uint32_t items = open_fields(&in, 7);
    out->id = (uint16_t)bounded(&in, UINT16_MAX);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->status = (uint8_t)bounded(&in, STATUS_OFFLINE);
    out->serial = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->vector = vector_at(&in);
    mp_array_end(&in, items, 7);
    return mp_done(&in);
}

static const char *const status_names[] = {"active", "overloaded", "offline"};

const char *status_name(unsigned status)
{
    return status <= STATUS_OFFLINE ? status_names[status] : "unknown";
}

bool status_parse(const char *text, replica_status_t *out)
{
    for (unsigned i = 0; i <= STATUS_OFFLINE; i++)
        if (strcmp(text, status_names[i]) == 0) {
            *out = (replica_status_t)i;
            return true;
        }
    return false;
}
