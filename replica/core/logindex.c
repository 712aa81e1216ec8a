#include "replica/core/logindex.h"

#include <stdlib.h>
#include <string.h>

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

static origin_t *get(logindex_t *self, uint64_t incarnation)
{
    origin_t *origin = find(self, incarnation);
    if (origin != NULL)
        return origin;
    origin = mem_zero(1, sizeof *origin);
    origin->incarnation = incarnation;
    HASH_ADD(hh, self->origins, incarnation, sizeof origin->incarnation, origin);
    return origin;
}

void logindex_add(logindex_t *self, uint64_t incarnation, uint64_t n, uint64_t position)
{
    origin_t *origin = get(self, incarnation);
    if (origin->size != 0 && position - origin->places[origin->size - 1].position < SPACING)
        return;
    if (origin->size == origin->capacity)
        origin->places = mem_grow(origin->places, &origin->capacity, sizeof(place_t));
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
        if (has >= part->count || origin == NULL || origin->size == 0)
            continue;
        uint64_t position = place_of(origin, has + 1);
        if (position < start)
            start = position;
    }
    return start;
}

void logindex_trim(logindex_t *self, uint64_t position, const vec_t *applied, vec_t *dropped)
{
    for (uint32_t i = 0; i < applied->size; i++) {
        const vec_part_t *part = &applied->parts[i];
        origin_t *origin = find(self, part->incarnation);
        size_t drop = 0;
        while (origin != NULL && drop < origin->size && origin->places[drop].position < position)
            drop++;
        if (origin == NULL || drop == origin->size) {
            vec_raise(dropped, part->incarnation, part->count);
        } else {
            vec_raise(dropped, part->incarnation, origin->places[drop].n - 1);
        }
        if (origin == NULL)
            continue;
        origin->size -= drop;
        memmove(origin->places, origin->places + drop, origin->size * sizeof *origin->places);
        if (origin->size != 0)
            continue;
        HASH_DEL(self->origins, origin);
        free(origin->places);
        free(origin);
    }
}

void logindex_each(const logindex_t *self, logindex_row_fn *fn, void *arg)
{
    const origin_t *origin;
    buf_t row = {0};
    for (origin = self->origins; origin != NULL; origin = origin->hh.next) {
        buf_reset(&row);
        mp_put_uint(&row, origin->size);
        for (size_t i = 0; i < origin->size; i++) {
            mp_put_uint(&row, origin->places[i].n);
            mp_put_uint(&row, origin->places[i].position);
        }
        fn(arg, origin->incarnation, buf_slice(&row));
    }
    buf_free(&row);
}

bool logindex_load(logindex_t *self, uint64_t incarnation, slice_t row)
{
    mp_t in = mp_open(row);
    uint64_t count = mp_uint(&in);
    if (!mp_ok(&in) || count > row.size || find(self, incarnation) != NULL)
        return false;
    origin_t *origin = get(self, incarnation);
    origin->places = mem_alloc(((size_t)count + 1) * sizeof *origin->places);
    origin->capacity = (size_t)count + 1;
    for (; origin->size < count; origin->size++) {
        place_t *place = &origin->places[origin->size];
        place->n = mp_uint(&in);
        place->position = mp_uint(&in);
        if (!mp_ok(&in) || (origin->size != 0 &&
                            (place[-1].n >= place->n || place[-1].position >= place->position)))
            return false;
    }
    return mp_done(&in);
}
