#include "bus/net/notes.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

enum { KEY_SIZE = 32 };

/* The place of the first " key=", just behind the blank; the size of the text without one. */
static size_t first_pair(slice_t text)
{
    size_t word = 0;
    for (size_t i = 0; i < text.size && text.data[i] != '"'; i++) {
        if (text.data[i] == ' ')
            word = i + 1;
        else if (text.data[i] == '=' && word != 0 && i > word)
            return word;
    }
    return text.size;
}

/* Reads "key" up to its '=' into key; false when what is there is no key. */
static bool take_key(slice_t text, size_t *at, char key[KEY_SIZE])
{
    size_t size = 0;
    while (*at + size < text.size && text.data[*at + size] != '=') {
        uint8_t c = text.data[*at + size];
        bool is_good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!is_good || size == KEY_SIZE - 1)
            return false;
        key[size++] = (char)c;
    }
    key[size] = '\0';
    *at += size + 1;
    return size != 0 && *at <= text.size;
}

/* True where a value that begins after a quote, or without one, is at its end. */
static bool is_end(slice_t text, size_t at, bool is_quoted)
{
    if (at >= text.size)
        return true;
    if (!is_quoted)
        return text.data[at] == ' ';
    return text.data[at] == '"' && (at + 1 == text.size || text.data[at + 1] == ' ');
}

/* A value stands in quotes, of which it may hold some itself, or goes up to the next blank. */
static slice_t take_value(slice_t text, size_t *at)
{
    bool is_quoted = *at < text.size && text.data[*at] == '"';
    size_t start = *at + is_quoted;
    size_t end = start;
    while (!is_end(text, end, is_quoted))
        end++;
    *at = end + is_quoted;
    return slice_of(text.data + start, end - start);
}

void notes_log(buf_t *line, log_level_t level, slice_t note)
{
    char key[KEY_SIZE];

    if (!logger_wants(level))
        return;
    size_t at = first_pair(note);
    char *message = mem_text(note.data, at < note.size ? at - 1 : at);
    log_record_t record = logger_begin(line, level, message);
    while (at < note.size && take_key(note, &at, key)) {
        log_text(&record, key, take_value(note, &at));
        at++; /* the blank */
    }
    logger_end(&record, level);
    free(message);
}
