#include "replica/core/logindex.h"

#include <stdlib.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"

enum { SPACING = 32 * 1024 };

typedef struct place {
    uint64_t n;
    uint64_t position;
} place_t;

typedef struct origin {
    uint64_t incarnation;
    place_t *places; /* rising in both */
    size_t size;
    size_t capacity;
    UT_hash_handle hh;
} origin_t;

struct logindex {
    origin_t *origins;
};

logindex_t *logindex_new(void)
{
    return mem_zero(1, sizeof(logindex_t));
}

void logindex_destroy(logindex_t **self_p)
{
    logindex_t *self = *self_p;
    if (self == NULL)
        return;
    origin_t *origin;
    origin_t *next;
    HASH_ITER(hh, self->origins, origin, next)
    {
        HASH_DEL(self->origins, origin);
        free(origin->places);
        free(origin);
    }
    free(self);
    *self_p = NULL;
}

static origin_t *find(const logindex_t *self, uint64_t incarnation)
{
    origin_t *origin;
    HASH_FIND(hh, self->origins, &incarnation, sizeof incarnation, origin);
    return origin;
}

void logindex_add(logindex_t *self, uint64_t incarnation, uint64_t n, uint64_t position)
{
    origin_t *origin = find(self, incarnation);
    if (origin == NULL) {
        origin = mem_zero(1, sizeof *origin);
        origin->incarnation = incarnation;
        HASH_ADD(hh, self->origins, incarnation, sizeof origin->incarnation, origin);
    }
    if (origin->size != 0 && position - origin->places[origin->size - 1].position < SPACING)
        return;
    if (origin->size == origin->capacity) {
        origin->capacity = origin->capacity != 0 ? origin->capacity * 2 : 8;
        origin->places = mem_resize(origin->places, origin->capacity * sizeof(place_t));
    }
    origin->places[origin->size++] = (place_t){n, position};
}

/* The last place at or before the n-th record; its first place when n is before that. */
static uint64_t place_of(const origin_t *origin, uint64_t n)
{
    size_t low = 0;
    size_t high = origin->size;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (origin->places[middle].n <= n)
            low = middle;
        else
            high = middle;
    }
    return origin->places[low].position;
}

uint64_t logindex_start(const logindex_t *self, const vec_t *applied, const vec_t *have,
                        uint64_t end)
{
    uint64_t start = end;
    for (uint32_t i = 0; i < applied->size; i++) {
        const vec_part_t *part = &applied->parts[i];
        uint64_t has = vec_get(have, part->incarnation);
        const origin_t *origin = find(self, part->incarnation);
        if (has >= part->count || origin == NULL)
            continue;
        uint64_t position = place_of(origin, has + 1);
        if (position < start)
            start = position;
    }
    return start;
}
