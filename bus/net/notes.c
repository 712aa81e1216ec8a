#include "bus/net/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/net/runtime.h"

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
    slice_t name;

    if (!logger_wants(level))
        return;
    bool is_event = events_take_name(&note, &name);
    size_t at = first_pair(note);
    char *message = mem_text(note.data, at < note.size ? at - 1 : at);
    log_record_t record = logger_begin(line, level, message);
    while (at < note.size && take_key(note, &at, key)) {
        log_text(&record, key, take_value(note, &at));
        at++; /* the blank */
    }
    if (is_event)
        log_text(&record, "event", name);
    logger_end(&record, level);
    free(message);
}

void notes_tell(buf_t *line, events_t *events, trace_t *trace, log_level_t level, slice_t note)
{
    slice_t text = note;
    slice_t name;

    notes_log(line, level, note);
    if (!events_take_name(&text, &name))
        return;
    const trace_item_t item = {
        .kind = TRACE_EVENT,
        .seq = events_add(events, net_now().wall_ms * 1000, name, text),
        .text = note,
    };
    trace_put(trace, &item);
}

void notes_put_events(buf_t *out, const events_t *events, const inspect_events_t *source)
{
    inspect_events_t document = *source;
    uint64_t last = events_last(events);
    uint64_t first = last > EVENTS_KEPT ? last - EVENTS_KEPT + 1 : 1;
    buf_t list = {0};
    event_t event;

    document.events = 0;
    for (uint64_t number = first; events_get(events, number, &event); number++) {
        const inspect_event_t item = {
            .number = number,
            .wall_us = event.wall_us,
            .name = event.name,
            .text = event.text,
        };
        inspect_event_put(&list, &item);
        document.events++;
    }
    document.events_at = buf_slice(&list);
    inspect_events_put(out, &document);
    buf_free(&list);
}

uint32_t notes_put_counts(buf_t *out, const events_t *events)
{
    uint32_t names = 0;
    const char *name;
    uint64_t count;

    for (; events_count(events, names, &name, &count); names++) {
        char text[EVENTS_NAME_MAX + sizeof("event_")];
        snprintf(text, sizeof(text), "event_%s", name);
        control_count_put(out, text, count);
    }
    return names;
}
