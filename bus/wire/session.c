#include "bus/wire/session.h"

#include <string.h>

#include "bus/wire/fields.h"

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
    uint32_t items = fields_open(&in, 7);
    out->session = mp_uint(&in);
    out->cluster = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->token = fields_vector(&in);
    int64_t pin = mp_int(&in);
    if (pin < -1 || pin > 255)
        mp_fail(&in);
    out->pin = (int32_t)pin;
    out->avoid = mp_uint(&in);
    return fields_close(&in, items, 7) && out->session != 0;
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
    uint32_t items = fields_open(&in, 6);
    out->session = mp_uint(&in);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->text = mp_bytes(&in);
    return fields_close(&in, items, 6);
}

void session_bye_put(buf_t *out, uint64_t session)
{
    mp_put_array(out, 1);
    mp_put_uint(out, session);
}

bool session_bye_read(slice_t body, uint64_t *session)
{
    mp_t in = mp_open(body);
    uint32_t items = fields_open(&in, 1);
    *session = mp_uint(&in);
    return fields_close(&in, items, 1);
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
    out->flags = fields_u8(in);
    out->left_ms = fields_u32(in);
    out->has_token = !mp_nil(in);
    out->token_clock = out->has_token ? mp_uint(in) : 0;
    if (out->has_token)
        out->token = fields_vector(in);
    else if (!mp_nil(in))
        mp_fail(in);
    out->hlc = mp_uint(in);
    out->floor = mp_uint(in);
    out->command = fields_u8(in);
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

size_t reply_put(buf_t *out, const reply_t *reply, const vec_t *token)
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
    size_t copies_at = out->size;
    mp_put_uint(out, reply->copies < REPLY_COPIES_MAX ? reply->copies : REPLY_COPIES_MAX);
    mp_put_uint(out, reply->seen_base);
    mp_put_uint(out, reply->seen_any);
    return copies_at;
}

bool reply_read(mp_t *in, reply_t *out)
{
    uint32_t items = fields_open(in, REPLY_FIELDS);
    out->session = mp_uint(in);
    out->epoch = mp_uint(in);
    out->seq = mp_uint(in);
    out->outcome = outcome_from_wire(fields_u16(in));
    out->value = mp_skip(in);
    out->token = fields_vector(in);
    out->clock = mp_uint(in);
    out->copies = fields_u16(in);
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
    uint32_t items = fields_open(&in, 3);
    out->cluster = mp_uint(&in);
    out->incarnation = mp_uint(&in);
    out->wanted = mp_uint(&in);
    return fields_close(&in, items, 3);
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
    uint32_t items = fields_open(&in, 7);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->status = (uint8_t)fields_uint(&in, STATUS_LAST);
    out->serial = mp_uint(&in);
    out->clock = mp_uint(&in);
    out->vector = fields_vector(&in);
    return fields_close(&in, items, 7);
}

static const char *const status_names[] = {"active", "overloaded", "offline", "draining"};

bool status_serves(unsigned status)
{
    return status == STATUS_ACTIVE || status == STATUS_OVERLOADED;
}

const char *status_name(unsigned status)
{
    return status <= STATUS_LAST ? status_names[status] : "unknown";
}

bool status_parse(const char *text, replica_status_t *out)
{
    for (unsigned i = 0; i <= STATUS_LAST; i++)
        if (strcmp(text, status_names[i]) == 0) {
            *out = (replica_status_t)i;
            return true;
        }
    return false;
}
