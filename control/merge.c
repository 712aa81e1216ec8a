#include "control/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

enum { STARTS_MAX = FOLLOW_STREAMS_MAX };

/* Up to which number the events of a start are known. */
typedef struct start {
    uint64_t incarnation;
    uint64_t last;
} start_t;

struct merge {
    merge_entry_t *list;
    size_t size;
    size_t capacity;
    start_t starts[STARTS_MAX];
    size_t starts_size;
    bool is_ended; /* the list */
};

merge_t *merge_new(void)
{
    return mem_zero(1, sizeof(merge_t));
}

void merge_destroy(merge_t **self_p)
{
    merge_t *self = *self_p;

    if (self == NULL)
        return;
    free(self->list);
    free(self);
    *self_p = NULL;
}

static start_t *get_start(merge_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->starts_size; i++)
        if (self->starts[i].incarnation == incarnation)
            return &self->starts[i];
    if (self->starts_size == STARTS_MAX)
        return NULL;
    self->starts[self->starts_size] = (start_t){.incarnation = incarnation};
    return &self->starts[self->starts_size++];
}

static void copy_text(char *to, size_t size, slice_t text)
{
    snprintf(to, size, "%.*s", (int)text.size, (const char *)text.data);
}

static void add_entry(merge_t *self, const merge_entry_t *entry)
{
    if (self->size == self->capacity)
        self->list = mem_grow(self->list, &self->capacity, sizeof(*self->list));
    self->list[self->size++] = *entry;
}

static bool has_entry(const merge_t *self, uint64_t incarnation, uint64_t number)
{
    for (size_t i = 0; i < self->size; i++)
        if (self->list[i].number == number && self->list[i].incarnation == incarnation)
            return true;
    return false;
}

void merge_take_kept(merge_t *self, const inspect_events_t *events)
{
    start_t *start = get_start(self, events->incarnation);
    uint64_t told = start != NULL ? start->last : 0; /* already, maybe not all up to there */
    mp_t in = mp_open(events->events_at);
    inspect_event_t event;

    while (inspect_event_next(&in, &event)) {
        if (event.number <= told && has_entry(self, events->incarnation, event.number))
            continue;
        merge_entry_t entry = {
            .incarnation = events->incarnation,
            .number = event.number,
            .wall_us = event.wall_us,
            .program = events->program,
            .id = events->id,
        };
        follow_name(entry.source, events->program, events->id, events->port);
        copy_text(entry.name, sizeof(entry.name), event.name);
        copy_text(entry.text, sizeof(entry.text), event.text);
        add_entry(self, &entry);
        if (start != NULL && event.number > start->last)
            start->last = event.number;
    }
}

bool merge_take_live(merge_t *self, const follow_stream_t *stream, const trace_item_t *item,
                     merge_entry_t *out)
{
    start_t *start = get_start(self, stream->incarnation);
    slice_t text = item->text;
    slice_t name;

    if (start == NULL || item->seq <= start->last || !events_take_name(&text, &name))
        return false;
    start->last = item->seq;
    *out = (merge_entry_t){
        .incarnation = stream->incarnation,
        .number = item->seq,
        .wall_us = item->wall_us,
        .program = stream->program,
        .id = stream->id,
    };
    memcpy(out->source, stream->name, sizeof(out->source));
    copy_text(out->name, sizeof(out->name), name);
    copy_text(out->text, sizeof(out->text), text);
    if (!self->is_ended)
        add_entry(self, out);
    return self->is_ended;
}

static int compare_entries(const void *a, const void *b)
{
    const merge_entry_t *one = a;
    const merge_entry_t *other = b;

    if (one->wall_us != other->wall_us)
        return one->wall_us < other->wall_us ? -1 : 1;
    return (one->number > other->number) - (one->number < other->number);
}

void merge_end(merge_t *self)
{
    if (self->size != 0)
        qsort(self->list, self->size, sizeof(*self->list), compare_entries);
    self->is_ended = true;
}

const merge_entry_t *merge_entry(const merge_t *self, size_t i)
{
    return i < self->size ? &self->list[i] : NULL;
}

size_t merge_size(const merge_t *self)
{
    return self->size;
}

bool merge_has_heard(const merge_t *self)
{
    return self->starts_size != 0;
}
