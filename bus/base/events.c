#include "bus/base/events.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

typedef struct kept {
    int64_t wall_us;
    size_t name_size;
    size_t text_size;
    char name[EVENTS_NAME_MAX];
    char text[EVENTS_TEXT_MAX];
} kept_t;

typedef struct counted {
    char name[EVENTS_NAME_MAX + 1];
    uint64_t count;
} counted_t;

struct events {
    kept_t list[EVENTS_KEPT];
    uint64_t last;
    counted_t counted[EVENTS_NAMES_MAX];
    size_t names;
};

events_t *events_new(void)
{
    return mem_zero(1, sizeof(events_t));
}

void events_destroy(events_t **self)
{
    free(*self);
    *self = NULL;
}

bool events_take_name(slice_t *note, slice_t *name)
{
    size_t end = 1;

    if (note->size < 4 || note->data[0] != '[')
        return false;
    while (end < note->size &&
           ((note->data[end] >= 'a' && note->data[end] <= 'z') || note->data[end] == '-'))
        end++;
    if (end == 1 || end - 1 > EVENTS_NAME_MAX || end + 1 >= note->size || note->data[end] != ']' ||
        note->data[end + 1] != ' ')
        return false;
    *name = slice_of(note->data + 1, end - 1);
    *note = slice_of(note->data + end + 2, note->size - end - 2);
    return true;
}

static void count(events_t *self, const kept_t *kept)
{
    for (size_t i = 0; i < self->names; i++) {
        counted_t *counted = &self->counted[i];
        if (strlen(counted->name) != kept->name_size ||
            memcmp(counted->name, kept->name, kept->name_size) != 0)
            continue;
        counted->count++;
        return;
    }
    if (self->names == EVENTS_NAMES_MAX)
        return;
    counted_t *counted = &self->counted[self->names++];
    memcpy(counted->name, kept->name, kept->name_size); /* behind it is 0 */
    counted->count = 1;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

uint64_t events_add(events_t *self, int64_t wall_us, slice_t name, slice_t text)
{
    kept_t *kept = &self->list[self->last % EVENTS_KEPT];

    kept->wall_us = wall_us;
    kept->name_size = least(name.size, EVENTS_NAME_MAX);
    kept->text_size = least(text.size, EVENTS_TEXT_MAX);
    if (kept->name_size != 0)
        memcpy(kept->name, name.data, kept->name_size);
    if (kept->text_size != 0)
        memcpy(kept->text, text.data, kept->text_size);
    count(self, kept);
    return ++self->last;
}

uint64_t events_last(const events_t *self)
{
    return self->last;
}

bool events_get(const events_t *self, uint64_t number, event_t *out)
{
    if (number == 0 || number > self->last || self->last - number >= EVENTS_KEPT)
        return false;
    const kept_t *kept = &self->list[(number - 1) % EVENTS_KEPT];
    *out = (event_t){
        .number = number,
        .wall_us = kept->wall_us,
        .name = slice_of(kept->name, kept->name_size),
        .text = slice_of(kept->text, kept->text_size),
    };
    return true;
}

bool events_count(const events_t *self, size_t i, const char **name, uint64_t *times)
{
    if (i >= self->names)
        return false;
    *name = self->counted[i].name;
    *times = self->counted[i].count;
    return true;
}
