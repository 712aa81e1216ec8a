#include "replica/core/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"

enum { FIRST_CAPACITY = 4, MARKS = TABLE_MARK_1 | TABLE_MARK_2 };

static uint32_t hash_of(const table_t *self, slice_t name)
{
    return (uint32_t)XXH3_64bits_withSeed(name.data, name.size, self->seed) & ~(uint32_t)MARKS;
}

/* By the upper bits, so that slots are nearly in the order of hashes: table_page rests on it. */
static size_t home_of(const table_t *self, uint32_t hash)
{
    return (size_t)((uint64_t)hash * self->capacity >> 32);
}

static size_t after(const table_t *self, size_t slot)
{
    return slot + 1 != self->capacity ? slot + 1 : 0;
}

/* How far slot is behind home, around the end. */
static size_t distance(const table_t *self, size_t home, size_t slot)
{
    return slot >= home ? slot - home : slot + self->capacity - home;
}

void table_init(table_t *self, uint64_t seed, table_name_fn *name)
{
    *self = (table_t){.seed = seed, .name = name};
}

void table_free(table_t *self)
{
    free(self->hashes);
    free(self->items);
    table_init(self, self->seed, self->name);
}

size_t table_find(const table_t *self, slice_t name)
{
    if (self->size == 0)
        return TABLE_NONE;
    uint32_t hash = hash_of(self, name);
    for (size_t at = home_of(self, hash); self->items[at] != NULL; at = after(self, at))
        if (table_hash(self, at) == hash && slice_equal(self->name(self->items[at]), name))
            return at;
    return TABLE_NONE;
}

static size_t put(table_t *self, uint32_t hash, void *item)
{
    size_t at = home_of(self, hash & ~(uint32_t)MARKS);
    while (self->items[at] != NULL)
        at = after(self, at);
    self->hashes[at] = hash;
    self->items[at] = item;
    return at;
}

static void set_capacity(table_t *self, size_t capacity)
{
    table_t old = *self;
    self->capacity = capacity;
    self->hashes = mem_zero(capacity, sizeof *self->hashes);
    self->items = mem_zero(capacity, sizeof *self->items);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.items[i] != NULL)
            put(self, old.hashes[i], old.items[i]);
    free(old.hashes);
    free(old.items);
}

static bool has_room(size_t capacity, size_t size)
{
    return size * 8 <= capacity * 7 && size < capacity;
}

static size_t greater_capacity(size_t capacity)
{
    return capacity < FIRST_CAPACITY ? FIRST_CAPACITY : capacity + (capacity + 7) / 8;
}

void table_reserve(table_t *self, size_t size)
{
    size_t capacity = size + size / 7 + 2;
    if (!has_room(self->capacity, size))
        set_capacity(self, capacity);
}

size_t table_add(table_t *self, void *item)
{
    size_t capacity = self->capacity;
    while (!has_room(capacity, self->size + 1))
        capacity = greater_capacity(capacity);
    if (capacity != self->capacity)
        set_capacity(self, capacity);
    self->size++;
    return put(self, hash_of(self, self->name(item)), item);
}

void table_remove(table_t *self, size_t slot)
{
    size_t hole = slot;
    /* Knuth, algorithm 6.4 R: close the hole with whatever may move up. */
    for (size_t at = after(self, hole); self->items[at] != NULL; at = after(self, at)) {
        size_t home = home_of(self, table_hash(self, at));
        if (distance(self, home, at) < distance(self, hole, at))
            continue;
        self->hashes[hole] = self->hashes[at];
        self->items[hole] = self->items[at];
        hole = at;
    }
    self->items[hole] = NULL;
    self->hashes[hole] = 0;
    self->size--;
}

void table_set_mark(table_t *self, size_t slot, uint32_t mark, bool is_set)
{
    if (is_set)
        self->hashes[slot] |= mark;
    else
        self->hashes[slot] &= ~mark;
}

void table_clear_mark(table_t *self, uint32_t mark)
{
    for (size_t i = 0; i < self->capacity; i++)
        self->hashes[i] &= ~mark;
}

size_t table_next(const table_t *self, size_t from)
{
    for (size_t at = from; at < self->capacity; at++)
        if (self->items[at] != NULL)
            return at;
    return TABLE_NONE;
}

size_t table_next_marked(const table_t *self, size_t from, uint32_t mark)
{
    for (size_t at = from; at < self->capacity; at++)
        if ((self->hashes[at] & mark) != 0)
            return at;
    return TABLE_NONE;
}

/* The least hash whose home is slot at. */
static uint64_t least_hash(const table_t *self, size_t at)
{
    return (((uint64_t)at << 32) + self->capacity - 1) / self->capacity;
}

/* The first slot of the run of items that the home of hash lies in. */
static size_t run_start(const table_t *self, uint32_t hash)
{
    size_t at = home_of(self, hash);
    while (at > 0 && self->items[at - 1] != NULL)
        at--;
    return at;
}

uint64_t table_page(const table_t *self, uint64_t from, size_t most, table_slot_fn *fn, void *arg)
{
    if (self->size == 0 || from > UINT32_MAX)
        return TABLE_END;
    size_t given = 0;
    size_t end = self->capacity;
    /* Behind the last slot come those that did not find room before it. */
    for (size_t at = run_start(self, (uint32_t)from); at < 2 * end; at++) {
        size_t slot = at < end ? at : at - end;
        if (self->items[slot] == NULL) {
            if (at >= end)
                break;
            if (given >= most)
                return least_hash(self, at + 1);
            continue;
        }
        uint32_t hash = table_hash(self, slot);
        bool has_wrapped = home_of(self, hash) > slot;
        if (hash < from || has_wrapped != (at >= end))
            continue;
        fn(arg, slot);
        given++;
    }
    return TABLE_END;
}
