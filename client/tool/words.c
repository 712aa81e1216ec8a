#include "client/tool/words.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads what stands behind a backslash; moves *at behind it. */
static bool take_escape(slice_t line, size_t *at, buf_t *out)
{
    static const char names[] = "\"\\nrt";
    static const char values[] = "\"\\\n\r\t";
    uint8_t c = *at < line.size ? line.data[*at] : 0;
    const char *name = c != 0 ? strchr(names, c) : NULL;

    if (name != NULL) {
        buf_append_u8(out, (uint8_t)values[name - names]);
        *at += 1;
        return true;
    }
    if (c != 'x' || *at + 2 >= line.size)
        return false;
    int high = hex(line.data[*at + 1]);
    int low = hex(line.data[*at + 2]);
    if (high < 0 || low < 0)
        return false;
    buf_append_u8(out, (uint8_t)(high << 4 | low));
    *at += 3;
    return true;
}

static int take_quoted(slice_t line, size_t *at, buf_t *out, err_t *err)
{
    while (*at < line.size && line.data[*at] != '"') {
        uint8_t c = line.data[(*at)++];
        if (c != '\\')
            buf_append_u8(out, c);
        else if (!take_escape(line, at, out))
            return err_set(err, OUTCOME_USAGE,
                           "what follows \\ in quotes is one of \" \\ n r t xHH");
    }
    if (*at == line.size)
        return err_set(err, OUTCOME_USAGE, "a quote is not closed: \" is missing");
    *at += 1;
    return 0;
}

static int take_word(slice_t line, size_t *at, buf_t *out, err_t *err)
{
    while (*at < line.size && !is_blank(line.data[*at])) {
        uint8_t c = line.data[(*at)++];
        if (c != '"')
            buf_append_u8(out, c);
        else if (take_quoted(line, at, out, err) != 0)
            return -1;
    }
    return 0;
}

void words_clear(words_t *self)
{
    self->count = 0;
    self->ended = 0;
    buf_reset(&self->bytes);
}

void words_end(words_t *self)
{
    if (self->count == self->capacity)
        self->list = mem_grow(self->list, &self->capacity, sizeof(*self->list));
    self->list[self->count++].size = self->bytes.size - self->ended;
    self->ended = self->bytes.size;
}

void words_settle(words_t *self)
{
    buf_reserve(&self->bytes, 1); /* even no bytes have an address */
    const uint8_t *next = self->bytes.data;
    for (size_t i = 0; i < self->count; i++) {
        self->list[i].data = next;
        next += self->list[i].size;
    }
}

int words_parse(words_t *self, slice_t line, err_t *err)
{
    words_clear(self);
    for (size_t at = 0;;) {
        while (at < line.size && is_blank(line.data[at]))
            at++;
        if (at == line.size)
            break;
        if (take_word(line, &at, &self->bytes, err) != 0)
            return -1;
        words_end(self);
    }
    words_settle(self);
    return 0;
}

void words_free(words_t *self)
{
    free(self->list);
    buf_free(&self->bytes);
    *self = (words_t){0};
}

bool words_is_empty(slice_t line)
{
    size_t at = 0;
    while (at < line.size && is_blank(line.data[at]))
        at++;
    return at == line.size || line.data[at] == '#';
}

void words_put_quoted(buf_t *out, slice_t bytes)
{
    bool is_text = slice_is_utf8(bytes);

    buf_append_u8(out, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_append_text(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if (c < ' ' || c == 0x7F || (c > 0x7F && !is_text))
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_u8(out, c);
    }
    buf_append_u8(out, '"');
}
