#include "client/tool/output.h"

#include <inttypes.h>
#include <string.h>

#include "client/tool/words.h"

static slice_t bytes_of(const hearsay_value_t *value)
{
    size_t size;
    const char *bytes = hearsay_value_bytes(value, &size);
    return slice_of(bytes, size);
}

/* ---- JSON ---- */

static void put_json(json_t *json, const char *key, const hearsay_value_t *value);

/* A field that is no text a key can be is given as its base64, which _b64 behind it says. */
static void put_json_pair(json_t *json, const hearsay_value_t *field, const hearsay_value_t *value)
{
    slice_t name = bytes_of(field);
    buf_t key = {0};

    if (slice_is_utf8(name) && memchr(name.data, '\0', name.size) == NULL) {
        buf_append_slice(&key, name);
    } else {
        base64_append(&key, name);
        buf_append_text(&key, "_b64");
    }
    put_json(json, buf_text(&key), value);
    buf_free(&key);
}

void output_members(json_t *json, const hearsay_value_t *hash)
{
    for (size_t i = 0; i < hearsay_value_count(hash); i++)
        put_json_pair(json, hearsay_value_key(hash, i), hearsay_value_item(hash, i));
}

static void put_json(json_t *json, const char *key, const hearsay_value_t *value)
{
    size_t count = hearsay_value_count(value);

    switch (hearsay_value_type(value)) {
    case HEARSAY_NIL:
        json_null(json, key);
        break;
    case HEARSAY_BOOL:
        json_bool(json, key, hearsay_value_integer(value) != 0);
        break;
    case HEARSAY_INTEGER:
        json_int(json, key, hearsay_value_integer(value));
        break;
    case HEARSAY_BYTES:
        json_bytes(json, key, bytes_of(value));
        break;
    case HEARSAY_LIST:
        json_array(json, key);
        for (size_t i = 0; i < count; i++)
            put_json(json, NULL, hearsay_value_item(value, i));
        json_end(json);
        break;
    case HEARSAY_MAP:
        json_object(json, key);
        output_members(json, value);
        json_end(json);
        break;
    }
}

/* What stands behind the value or error of every object. */
typedef struct trailer {
    int replica; /* -1: none answered */
    const char *token;
    unsigned copies;
    unsigned sends;
    bool is_relaxed;
    long long us;
} trailer_t;

static void put_json_error(json_t *json, const char *code, const char *message)
{
    json_bool(json, "ok", false);
    json_object(json, "error");
    json_text(json, "code", code);
    json_text(json, "message", message);
    json_end(json);
}

static void end_json(json_t *json, buf_t *out, const trailer_t *trailer)
{
    if (trailer->replica >= 0)
        json_int(json, "replica", trailer->replica);
    else
        json_null(json, "replica");
    if (trailer->token != NULL)
        json_text(json, "token", trailer->token);
    else
        json_null(json, "token");
    json_uint(json, "copies", trailer->copies);
    json_uint(json, "sends", trailer->sends);
    if (trailer->is_relaxed)
        json_bool(json, "relaxed", true);
    json_int(json, "us", trailer->us);
    json_end(json);
    buf_append_u8(out, '\n');
}

static void put_json_reply(buf_t *out, const hearsay_reply_t *reply, const char *token)
{
    const trailer_t trailer = {
        .replica = hearsay_reply_replica(reply),
        .token = token,
        .copies = hearsay_reply_copies(reply),
        .sends = hearsay_reply_sends(reply),
        .is_relaxed = hearsay_reply_relaxed(reply) != 0,
        .us = hearsay_reply_elapsed_us(reply),
    };
    json_t json = json_open(out);

    json_object(&json, NULL);
    if (hearsay_reply_ok(reply)) {
        json_bool(&json, "ok", true);
        put_json(&json, "value", hearsay_reply_value(reply));
    } else {
        put_json_error(&json, hearsay_reply_outcome(reply), hearsay_reply_text(reply));
    }
    end_json(&json, out, &trailer);
}

/* ---- text ---- */

bool output_is_plain(slice_t text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7F)
            return false;
    return slice_is_utf8(text);
}

/* True when a line of these bytes can be taken for nothing else. */
static bool is_unmistakable(slice_t text)
{
    static const char error[] = "ERROR ";
    return text.size != 0 && text.data[0] != '"' && output_is_plain(text) &&
           !slice_equal(text, slice_text("(nil)")) &&
           slice_compare(slice_of(text.data, text.size < 6 ? text.size : 6), slice_text(error)) !=
               0;
}

static void put_text(buf_t *out, output_style_t style, const hearsay_value_t *value)
{
    slice_t bytes;

    switch (hearsay_value_type(value)) {
    case HEARSAY_NIL:
        buf_append_text(out, "(nil)");
        break;
    case HEARSAY_BOOL:
        buf_append_text(out, hearsay_value_integer(value) != 0 ? "OK" : "false");
        break;
    case HEARSAY_INTEGER:
        buf_printf(out, "%lld", hearsay_value_integer(value));
        break;
    default:
        bytes = bytes_of(value);
        if (style == OUTPUT_VALUE ||
            (style == OUTPUT_LINE ? is_unmistakable(bytes) : output_is_plain(bytes)))
            buf_append_slice(out, bytes);
        else
            words_put_quoted(out, bytes);
        break;
    }
}

static void put_lines(buf_t *out, output_style_t style, const hearsay_value_t *value)
{
    size_t count = hearsay_value_count(value);

    for (size_t i = 0; i < count; i++) {
        const hearsay_value_t *key = hearsay_value_key(value, i);
        if (key != NULL) {
            put_text(out, style, key);
            buf_append_u8(out, '\t');
        }
        put_text(out, style, hearsay_value_item(value, i));
        buf_append_u8(out, '\n');
    }
    if (count == 0 && style == OUTPUT_TERMINAL)
        buf_append_text(out, "(empty)\n");
}

static void put_value(buf_t *out, output_style_t style, const hearsay_value_t *value)
{
    hearsay_type_t type = hearsay_value_type(value);
    bool is_many = type == HEARSAY_LIST || type == HEARSAY_MAP;

    if (is_many && style != OUTPUT_LINE) {
        put_lines(out, style, value);
        return;
    }
    if (is_many) {
        json_t json = json_open(out);
        put_json(&json, NULL, value);
    } else {
        put_text(out, style, value);
    }
    buf_append_u8(out, '\n');
}

void output_reply(buf_t *out, output_style_t style, const hearsay_reply_t *reply, const char *token)
{
    if (style == OUTPUT_JSON)
        put_json_reply(out, reply, token);
    else if (hearsay_reply_ok(reply))
        put_value(out, style, hearsay_reply_value(reply));
    else
        output_error(out, style, hearsay_reply_outcome(reply), hearsay_reply_text(reply), token);
}

void output_answer(buf_t *out, output_style_t style, const char *answer, const char *token)
{
    const trailer_t trailer = {.replica = -1, .token = token};

    if (style != OUTPUT_JSON) {
        buf_printf(out, "%s\n", answer);
        return;
    }
    json_t json = json_open(out);
    json_object(&json, NULL);
    json_bool(&json, "ok", true);
    json_text(&json, "value", answer);
    end_json(&json, out, &trailer);
}

void output_error(buf_t *out, output_style_t style, const char *code, const char *message,
                  const char *token)
{
    const trailer_t trailer = {.replica = -1, .token = token};

    if (style != OUTPUT_JSON) {
        buf_printf(out, "ERROR %s %s\n", code, message);
        return;
    }
    json_t json = json_open(out);
    json_object(&json, NULL);
    put_json_error(&json, code, message);
    end_json(&json, out, &trailer);
}
