#include "replica/core/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"

enum { FIRST_CAPACITY = 8 };

static uint32_t hash_of(const table_t *self, slice_t name)
{
    return (uint32_t)XXH3_64bits_withSeed(name.data, name.size, self->seed);
}

/* The upper bits, so that slots are nearly in the order of hashes: table_page rests on it. */
static size_t home_of(const table_t *self, uint32_t hash)
{
    return (size_t)((uint64_t)hash * self->capacity >> 32);
}

void table_init(table_t *self, uint64_t seed)
{
    *self = (table_t){.seed = seed};
}

void table_free(table_t *self)
{
    free(self->slots);
    table_init(self, self->seed);
}

slice_t table_name(const table_item_t *item)
{
    return slice_of(item->name, item->name_size);
}

table_item_t *table_find(const table_t *self, slice_t name)
{
    if (self->size == 0)
        return NULL;
    uint32_t hash = hash_of(self, name);
    size_t at = home_of(self, hash);
    while (self->slots[at].item != NULL) {
        if (self->slots[at].hash == hash && slice_equal(table_name(self->slots[at].item), name))
            return self->slots[at].item;
        at = (at + 1) & (self->capacity - 1);
    }
    return NULL;
}

static void put(table_t *self, table_item_t *item)
{
    size_t at = home_of(self, item->hash);
    while (self->slots[at].item != NULL)
        at = (at + 1) & (self->capacity - 1);
    self->slots[at] = (table_slot_t){item->hash, item};
}

static void set_capacity(table_t *self, size_t capacity)
{
    table_slot_t *old = self->slots;
    size_t old_capacity = self->capacity;
    self->capacity = capacity;
    self->slots = mem_zero(self->capacity, sizeof *self->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].item != NULL)
            put(self, old[i].item);
    free(old);
}

static bool has_room(const table_t *self, size_t size)
{
    return size * 4 <= self->capacity * 3;
}

void table_reserve(table_t *self, size_t size)
{
    size_t capacity = self->capacity != 0 ? self->capacity : FIRST_CAPACITY;
    while (size * 4 > capacity * 3)
        capacity *= 2;
    if (!has_room(self, size))
        set_capacity(self, capacity);
}

void *table_add(table_t *self, slice_t name, size_t size)
{
    if (!has_room(self, self->size + 1))
        set_capacity(self, self->capacity != 0 ? self->capacity * 2 : FIRST_CAPACITY);
    table_item_t *item = mem_zero(1, size + name.size);
    uint8_t *copy = (uint8_t *)item + size;
    if (name.size != 0)
        memcpy(copy, name.data, name.size);
    item->name = copy;
    item->name_size = (uint32_t)name.size;
    item->hash = hash_of(self, name);
    put(self, item);
    self->size++;
    return item;
}

void table_remove(table_t *self, const table_item_t *item)
{
    size_t mask = self->capacity - 1;
    size_t hole = home_of(self, item->hash);
    while (self->slots[hole].item != item)
        hole = (hole + 1) & mask;
    /* Knuth, TAOCP 3, 6.4, algorithm R: close the hole with whatever may move up. */
    for (size_t at = (hole + 1) & mask; self->slots[at].item != NULL; at = (at + 1) & mask) {
        size_t home = home_of(self, self->slots[at].hash);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            self->slots[hole] = self->slots[at];
            hole = at;
        }
    }
    self->slots[hole].item = NULL;
    self->size--;
}

table_item_t *table_next(const table_t *self, size_t *at)
{
    while (*at < self->capacity) {
        table_item_t *item = self->slots[(*at)++].item;
        if (item != NULL)
            return item;
    }
    return NULL;
}

/* The least hash whose home is slot at. */
static uint64_t least_hash(const table_t *self, size_t at)
{
    return (((uint64_t)at << 32) + self->capacity - 1) / self->capacity;
}

/* The first slot of the run of entries that the home of hash lies in. */
static size_t run_start(const table_t *self, uint32_t hash)
{
    size_t at = home_of(self, hash);
    while (at > 0 && self->slots[at - 1].item != NULL)
        at--;
    return at;
}

uint64_t table_page(const table_t *self, uint64_t from, size_t most, table_item_fn *fn, void *arg)
{
    if (self->size == 0 || from > UINT32_MAX)
        return TABLE_END;
    size_t mask = self->capacity - 1;
    size_t start = run_start(self, (uint32_t)from);
    size_t given = 0;
    /* Behind the last slot come those that did not find room before it. */
    for (size_t at = start; at <= mask || self->slots[at & mask].item != NULL; at++) {
        const table_slot_t *slot = &self->slots[at & mask];
        if (slot->item == NULL) {
            if (given >= most)
                return least_hash(self, at + 1);
            continue;
        }
        bool has_wrapped = at <= mask && home_of(self, slot->hash) > at;
        if (slot->hash < from || has_wrapped ||
            (at > mask && home_of(self, slot->hash) <= (at & mask)))
            continue;
        fn(arg, slot->item);
        given++;
    }
    return TABLE_END;
}
