#include "bus/base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Levels are numbered from 1; level 0 is the top, which holds one value. */
static uint32_t level_bit(const json_t *self)
{
    return UINT32_C(1) << self->depth;
}

json_t json_open(buf_t *out)
{
    return (json_t){.out = out};
}

bool json_done(const json_t *self)
{
    return self->depth == 0 && (self->filled & 1) != 0;
}

/* The length of the longest start of s that is UTF-8. */
static size_t utf8_start(slice_t s)
{
    size_t good = 0;
    while (good < s.size) {
        size_t length = 1;
        size_t left = s.size - good;
        while (length <= 4 && length <= left && !slice_is_utf8(slice_of(s.data + good, length)))
            length++;
        if (length > 4 || length > left)
            break;
        good += length;
    }
    return good;
}

/*
 * Appends UTF-8 with its escapes. Beyond what the RFC wants, all control characters are escaped: a
 * terminal would obey the others.
 */
static void put_escaped(buf_t *out, slice_t text)
{
    static const char short_form[] = "btn?fr"; /* from 0x08 on; 0x0B has none */
    size_t done = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool c1 = c == 0xC2 && text.data[i + 1] < 0xA0; /* U+0080 to U+009F */
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F && !c1)
            continue;
        if (c1) {
            buf_append(out, text.data + done, i - done);
            buf_printf(out, "\\u%04x", text.data[i + 1]);
            done = ++i + 1;
            continue;
        }
        buf_append(out, text.data + done, i - done);
        done = i + 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c >= 0x08 && c <= 0x0D && c != 0x0B)
            buf_printf(out, "\\%c", short_form[c - 0x08]);
        else
            buf_printf(out, "\\u%04x", c);
    }
    if (text.size != 0)
        buf_append(out, text.data + done, text.size - done);
}

static void put_quoted(buf_t *out, slice_t text)
{
    buf_append_u8(out, '"');
    while (!slice_is_utf8(text)) {
        size_t good = utf8_start(text);
        put_escaped(out, slice_of(text.data, good));
        buf_append_text(out, "\\ufffd");
        text = slice_of(text.data + good + 1, text.size - good - 1);
    }
    put_escaped(out, text);
    buf_append_u8(out, '"');
}

/* The comma and the key before a value; suffix goes behind the key. */
static void begin(json_t *self, const char *key, const char *suffix)
{
    bool in_object = (self->objects & level_bit(self)) != 0;
    bool filled = (self->filled & level_bit(self)) != 0;
    assert(in_object == (key != NULL));
    assert(self->depth > 0 || !filled);
    if (filled)
        buf_append_u8(self->out, ',');
    self->filled |= level_bit(self);
    if (key == NULL)
        return;
    buf_append_u8(self->out, '"');
    put_escaped(self->out, slice_text(key));
    buf_append_text(self->out, suffix);
    buf_append_text(self->out, "\":");
}

static void nest(json_t *self, const char *key, bool object)
{
    assert(self->depth < JSON_DEPTH_MAX);
    begin(self, key, "");
    buf_append_u8(self->out, object ? '{' : '[');
    self->depth++;
    self->filled &= ~level_bit(self);
    self->objects &= ~level_bit(self);
    if (object)
        self->objects |= level_bit(self);
}

void json_object(json_t *self, const char *key)
{
    nest(self, key, true);
}

void json_array(json_t *self, const char *key)
{
    nest(self, key, false);
}

void json_end(json_t *self)
{
    assert(self->depth > 0);
    buf_append_u8(self->out, (self->objects & level_bit(self)) != 0 ? '}' : ']');
    self->depth--;
}

void json_string(json_t *self, const char *key, slice_t value)
{
    begin(self, key, "");
    put_quoted(self->out, value);
}

void json_text(json_t *self, const char *key, const char *value)
{
    json_string(self, key, slice_text(value));
}

void json_bytes(json_t *self, const char *key, slice_t value)
{
    if (slice_is_utf8(value)) {
        json_string(self, key, value);
        return;
    }
    if (key == NULL) {
        json_object(self, NULL);
        json_bytes(self, "value", value);
        json_end(self);
        return;
    }
    begin(self, key, "_b64");
    buf_append_u8(self->out, '"');
    base64_append(self->out, value);
    buf_append_u8(self->out, '"');
}

void json_int(json_t *self, const char *key, int64_t value)
{
    begin(self, key, "");
    buf_printf(self->out, "%" PRId64, value);
}

void json_uint(json_t *self, const char *key, uint64_t value)
{
    begin(self, key, "");
    buf_printf(self->out, "%" PRIu64, value);
}

void json_hex64(json_t *self, const char *key, uint64_t value)
{
    begin(self, key, "");
    buf_printf(self->out, "\"%016" PRIx64 "\"", value);
}

void json_bool(json_t *self, const char *key, bool value)
{
    begin(self, key, "");
    buf_append_text(self->out, value ? "true" : "false");
}

void json_null(json_t *self, const char *key)
{
    begin(self, key, "");
    buf_append_text(self->out, "null");
}

void json_double(json_t *self, const char *key, double value)
{
    double zero = value - value; /* NaN for infinities and NaN alone */
    if (zero != zero) {
        json_null(self, key);
        return;
    }
    begin(self, key, "");
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.6g", value);
    for (int i = 0; i < length; i++) {
        char c = digits[i];
        bool part_of_number = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e';
        /* The one other character is the decimal point, which a locale may have changed. */
        buf_append_u8(self->out, (uint8_t)(part_of_number ? c : '.'));
    }
}

void base64_append(buf_t *out, slice_t value)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < value.size; i += 3) {
        size_t left = value.size - i;
        uint32_t group = (uint32_t)value.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)value.data[i + 1] << 8;
        if (left > 2)
            group |= value.data[i + 2];
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63], '=', '='};
        if (left > 1)
            four[2] = digits[group >> 6 & 63];
        if (left > 2)
            four[3] = digits[group & 63];
        buf_append(out, four, sizeof four);
    }
}
