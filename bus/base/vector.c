#include "bus/base/vector.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

/* The place of incarnation, or where it would stand. */
static uint32_t place(const vec_t *self, uint64_t incarnation)
{
    uint32_t low = 0;
    uint32_t high = self->size;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->parts[middle].incarnation < incarnation)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(vec_t *self, uint32_t size)
{
    if (size <= self->capacity)
        return;
    uint32_t capacity = self->capacity != 0 ? self->capacity * 2 : 4;
    while (capacity < size)
        capacity *= 2;
    self->parts = mem_resize(self->parts, capacity * sizeof *self->parts);
    self->capacity = capacity;
}

static void insert_at(vec_t *self, uint32_t at, vec_part_t part)
{
    make_room(self, self->size + 1);
    memmove(self->parts + at + 1, self->parts + at, (self->size - at) * sizeof part);
    self->parts[at] = part;
    self->size++;
}

static bool holds(const vec_t *self, uint32_t at, uint64_t incarnation)
{
    return at < self->size && self->parts[at].incarnation == incarnation;
}

void vec_free(vec_t *self)
{
    free(self->parts);
    *self = (vec_t){0};
}

void vec_reset(vec_t *self)
{
    self->size = 0;
}

uint64_t vec_get(const vec_t *self, uint64_t incarnation)
{
    uint32_t at = place(self, incarnation);
    return holds(self, at, incarnation) ? self->parts[at].count : 0;
}

bool vec_raise(vec_t *self, uint64_t incarnation, uint64_t count)
{
    uint32_t at = place(self, incarnation);
    if (holds(self, at, incarnation)) {
        if (self->parts[at].count >= count)
            return false;
        self->parts[at].count = count;
        return true;
    }
    if (count == 0)
        return false;
    insert_at(self, at, (vec_part_t){incarnation, count});
    return true;
}

void vec_set(vec_t *self, uint64_t incarnation, uint64_t count)
{
    uint32_t at = place(self, incarnation);
    bool there = holds(self, at, incarnation);
    if (count == 0 && there) {
        self->size--;
        memmove(self->parts + at, self->parts + at + 1, (self->size - at) * sizeof *self->parts);
    } else if (there) {
        self->parts[at].count = count;
    } else if (count != 0) {
        insert_at(self, at, (vec_part_t){incarnation, count});
    }
}

void vec_drop_nodes(vec_t *self)
{
    while (self->size != 0 && self->parts[self->size - 1].incarnation > VEC_INCARNATION_MAX)
        self->size--;
}

bool vec_merge(vec_t *self, const vec_t *other)
{
    bool changed = false;
    for (uint32_t i = 0; i < other->size; i++)
        changed |= vec_raise(self, other->parts[i].incarnation, other->parts[i].count);
    return changed;
}

void vec_copy(vec_t *self, const vec_t *other)
{
    if (self == other)
        return;
    make_room(self, other->size);
    if (other->size != 0)
        memcpy(self->parts, other->parts, other->size * sizeof *self->parts);
    self->size = other->size;
}

/*
 * The count of an incarnation where those that are asked for come in order: at is where the last
 * one was. A search for each part beats a walk over all where few are asked for.
 */
static uint64_t get_next(const vec_t *self, uint64_t incarnation, bool searches, uint32_t *at)
{
    if (searches)
        *at = place(self, incarnation);
    while (*at < self->size && self->parts[*at].incarnation < incarnation)
        ++*at;
    return holds(self, *at, incarnation) ? self->parts[*at].count : 0;
}

static bool is_search_better(const vec_t *self, const vec_t *other)
{
    enum { SEARCH = 8 }; /* times as long */
    return self->size / SEARCH > other->size;
}

void vec_leave_out(vec_t *self, const vec_t *other)
{
    bool searches = is_search_better(other, self);
    uint32_t kept = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < self->size; i++)
        if (get_next(other, self->parts[i].incarnation, searches, &at) < self->parts[i].count)
            self->parts[kept++] = self->parts[i];
    self->size = kept;
}

bool vec_next_above(const vec_t *self, const vec_t *other, vec_walk_t *walk, vec_part_t *out)
{
    bool searches = is_search_better(self, other);
    while (walk->other < other->size) {
        *out = other->parts[walk->other++];
        if (get_next(self, out->incarnation, searches, &walk->self) < out->count)
            return true;
    }
    return false;
}

bool vec_covers_or(const vec_t *self, const vec_t *other, vec_part_t *lacking)
{
    vec_walk_t walk = {0};
    vec_part_t part;
    if (!vec_next_above(self, other, &walk, &part))
        return true;
    *lacking = part;
    return false;
}

bool vec_covers(const vec_t *self, const vec_t *other)
{
    vec_part_t ignored;
    return vec_covers_or(self, other, &ignored);
}

bool vec_equal(const vec_t *a, const vec_t *b)
{
    return a->size == b->size &&
           (a->size == 0 || memcmp(a->parts, b->parts, a->size * sizeof *a->parts) == 0);
}

uint64_t vec_lag(const vec_t *self, const vec_t *other)
{
    vec_walk_t walk = {0};
    vec_part_t part;
    uint64_t sum = 0;
    while (vec_next_above(self, other, &walk, &part))
        sum += part.count - vec_get(self, part.incarnation);
    return sum;
}
