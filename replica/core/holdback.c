#include "replica/core/holdback.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

typedef struct held {
    uint64_t n;
    uint8_t *bytes;
    size_t size;
} held_t;

/* The records of one origin, sorted by n. Origins are few: a sorted array of them serves. */
typedef struct origin {
    uint64_t incarnation;
    held_t *records;
    size_t size;
    size_t capacity;
} origin_t;

struct holdback {
    origin_t *origins; /* sorted by incarnation */
    size_t origins_size;
    size_t bytes_max;
    size_t bytes;
    size_t records;
};

holdback_t *holdback_new(size_t bytes_max)
{
    holdback_t *self = mem_zero(1, sizeof *self);
    self->bytes_max = bytes_max;
    return self;
}

void holdback_destroy(holdback_t **self_p)
{
    holdback_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->origins_size; i++) {
        for (size_t k = 0; k < self->origins[i].size; k++)
            free(self->origins[i].records[k].bytes);
        free(self->origins[i].records);
    }
    free(self->origins);
    free(self);
    *self_p = NULL;
}

static size_t origin_place(const holdback_t *self, uint64_t incarnation)
{
    size_t at = 0;
    while (at < self->origins_size && self->origins[at].incarnation < incarnation)
        at++;
    return at;
}

static origin_t *find(const holdback_t *self, uint64_t incarnation)
{
    size_t at = origin_place(self, incarnation);
    bool there = at < self->origins_size && self->origins[at].incarnation == incarnation;
    return there ? &self->origins[at] : NULL;
}

static origin_t *get(holdback_t *self, uint64_t incarnation)
{
    origin_t *found = find(self, incarnation);
    if (found != NULL)
        return found;
    size_t at = origin_place(self, incarnation);
    self->origins = mem_resize(self->origins, (self->origins_size + 1) * sizeof(origin_t));
    origin_t *origin = &self->origins[at];
    memmove(origin + 1, origin, (self->origins_size - at) * sizeof *origin);
    self->origins_size++;
    *origin = (origin_t){.incarnation = incarnation};
    return origin;
}

/* The place of n, or where it would stand; by halves, for a long queue behind a gap. */
static size_t place(const origin_t *origin, uint64_t n)
{
    size_t low = 0;
    size_t high = origin->size;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (origin->records[middle].n < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

holdback_result_t holdback_put(holdback_t *self, uint64_t incarnation, uint64_t n, slice_t record)
{
    if (holdback_get(self, incarnation, n).size != 0)
        return HOLDBACK_DUPLICATE;
    if (self->bytes + record.size > self->bytes_max)
        return HOLDBACK_FULL;
    origin_t *origin = get(self, incarnation);
    size_t at = place(origin, n);
    if (origin->size == origin->capacity)
        origin->records = mem_grow(origin->records, &origin->capacity, sizeof(held_t));
    held_t *held = &origin->records[at];
    memmove(held + 1, held, (origin->size - at) * sizeof *held);
    *held = (held_t){n, (uint8_t *)mem_text(record.data, record.size), record.size};
    origin->size++;
    self->bytes += record.size;
    self->records++;
    return HOLDBACK_HELD;
}

slice_t holdback_get(const holdback_t *self, uint64_t incarnation, uint64_t n)
{
    const origin_t *origin = find(self, incarnation);
    size_t at = origin != NULL ? place(origin, n) : 0;
    if (origin == NULL || at >= origin->size || origin->records[at].n != n)
        return slice_of(NULL, 0);
    return slice_of(origin->records[at].bytes, origin->records[at].size);
}

void holdback_drop(holdback_t *self, uint64_t incarnation, uint64_t n)
{
    origin_t *origin = find(self, incarnation);
    if (origin == NULL)
        return;
    size_t drop = 0;
    while (drop < origin->size && origin->records[drop].n <= n) {
        self->bytes -= origin->records[drop].size;
        self->records--;
        free(origin->records[drop++].bytes);
    }
    origin->size -= drop;
    if (origin->size != 0) {
        memmove(origin->records, origin->records + drop, origin->size * sizeof(held_t));
        return;
    }
    free(origin->records);
    size_t at = (size_t)(origin - self->origins);
    self->origins_size--;
    memmove(origin, origin + 1, (self->origins_size - at) * sizeof *origin);
}

uint64_t holdback_contiguous(const holdback_t *self, uint64_t incarnation, uint64_t applied)
{
    const origin_t *origin = find(self, incarnation);
    if (origin == NULL)
        return applied;
    uint64_t last = applied;
    for (size_t i = 0; i < origin->size && origin->records[i].n <= last + 1; i++)
        if (origin->records[i].n == last + 1)
            last++;
    return last;
}

uint64_t holdback_greatest(const holdback_t *self, uint64_t incarnation)
{
    const origin_t *origin = find(self, incarnation);
    return origin != NULL && origin->size != 0 ? origin->records[origin->size - 1].n : 0;
}

uint64_t holdback_next(const holdback_t *self, uint64_t incarnation, uint64_t after)
{
    const origin_t *origin = find(self, incarnation);
    size_t at = origin != NULL ? place(origin, after + 1) : 0;
    return origin != NULL && at < origin->size ? origin->records[at].n : 0;
}

uint64_t holdback_next_origin(const holdback_t *self, uint64_t after)
{
    for (size_t i = 0; i < self->origins_size; i++)
        if (self->origins[i].incarnation > after)
            return self->origins[i].incarnation;
    return 0;
}

size_t holdback_records(const holdback_t *self)
{
    return self->records;
}

size_t holdback_bytes(const holdback_t *self)
{
    return self->bytes;
}
