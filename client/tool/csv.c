#include "client/tool/csv.h"

#include <string.h>

/* Where the line's end begins, from `at` on; text.size when there is none. */
static size_t find_end(slice_t text, size_t at)
{
    const uint8_t *end = at < text.size ? memchr(text.data + at, '\n', text.size - at) : NULL;
    return end != NULL ? (size_t)(end - text.data) : text.size;
}

/* A field in quotes, from behind the first one on; false when the text ends before the last. */
static bool take_quoted(slice_t text, size_t *at, buf_t *out)
{
    while (*at < text.size) {
        uint8_t c = text.data[(*at)++];
        if (c != '"') {
            buf_append_u8(out, c);
        } else if (*at < text.size && text.data[*at] == '"') {
            buf_append_u8(out, c);
            *at += 1;
        } else {
            return true;
        }
    }
    return false;
}

static void take_plain(slice_t text, size_t *at, buf_t *out)
{
    while (*at < text.size && text.data[*at] != ',' && text.data[*at] != '\n' &&
           !(text.data[*at] == '\r' && *at + 1 < text.size && text.data[*at + 1] == '\n'))
        buf_append_u8(out, text.data[(*at)++]);
}

/* What stands behind a field: 1 a comma, 0 the row's end, -1 what may not. */
static int take_separator(slice_t text, size_t *at)
{
    if (*at < text.size && text.data[*at] == ',') {
        *at += 1;
        return 1;
    }
    if (*at < text.size && text.data[*at] == '\r')
        *at += 1;
    if (*at < text.size && text.data[*at] == '\n') {
        *at += 1;
        return 0;
    }
    return *at == text.size ? 0 : -1;
}

csv_result_t csv_take(slice_t text, bool is_last, words_t *row, size_t *size)
{
    size_t at = 0;
    int goes_on = 1;

    words_clear(row);
    while (goes_on > 0) {
        bool is_quoted = at < text.size && text.data[at] == '"';
        at += is_quoted;
        if (!is_quoted)
            take_plain(text, &at, &row->bytes);
        else if (!take_quoted(text, &at, &row->bytes)) {
            *size = text.size;
            return is_last ? CSV_BAD : CSV_MORE;
        }
        words_end(row);
        goes_on = take_separator(text, &at);
    }
    if (!is_last && (at == 0 || text.data[at - 1] != '\n') && find_end(text, at) == text.size)
        return CSV_MORE;
    if (goes_on < 0) {
        at = find_end(text, at);
        *size = at + (at < text.size);
        return CSV_BAD;
    }
    *size = at;
    words_settle(row);
    return CSV_ROW;
}

void csv_put(buf_t *out, slice_t field)
{
    bool is_plain = true;

    for (size_t i = 0; i < field.size && is_plain; i++)
        is_plain = memchr("\",\r\n", field.data[i], 4) == NULL;
    if (is_plain) {
        buf_append_slice(out, field);
        return;
    }
    buf_append_u8(out, '"');
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] == '"')
            buf_append_u8(out, '"');
        buf_append_u8(out, field.data[i]);
    }
    buf_append_u8(out, '"');
}
