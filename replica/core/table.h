/*
 * An open hash table of named things: the keys of the store and the fields of a hash.
 *
 * The table holds pointers to items that begin with a table_item_t and belong to its user, who
 * allocates and frees them. Linear probing at a load of at most 3/4; deletion moves entries up, so
 * there are no tombstones and a search ends at the first empty slot. Each slot keeps 32 bits of the
 * hash (XXH3, seeded), so that a search touches an item only when it is very likely the right one.
 */
#ifndef HEARSAY_REPLICA_CORE_TABLE_H
#define HEARSAY_REPLICA_CORE_TABLE_H

#include "bus/base/bytes.h"

typedef struct table_item {
    uint32_t name_size;
    uint32_t hash;
    const uint8_t *name;
} table_item_t;

typedef struct table_slot {
    uint32_t hash;
    table_item_t *item; /* NULL: empty */
} table_slot_t;

typedef struct table {
    table_slot_t *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t size;
    uint64_t seed;
} table_t;

/* An empty table inside its user. */
void table_init(table_t *self, uint64_t seed);

/*
 * Makes room for size items. To be called before items come in the order of their hashes, as they
 * leave another table: in a table that grows as they come, all would crowd at its beginning.
 */
void table_reserve(table_t *self, size_t size);

/* Frees the slots, not the items. */
void table_free(table_t *self);

/* The item of a name, NULL when there is none. */
table_item_t *table_find(const table_t *self, slice_t name);

/*
 * Allocates size bytes of zeros that begin with a table_item_t, with the name behind them, and adds
 * them; the name must not be there yet. The caller frees the item with free() after table_remove.
 */
void *table_add(table_t *self, slice_t name, size_t size);

/* Takes an item out; it must be there. */
void table_remove(table_t *self, const table_item_t *item);

/* The next item at or after slot *at, moving *at on; NULL at the end. Start with *at = 0. */
table_item_t *table_next(const table_t *self, size_t *at);

/* Where no page follows. */
#define TABLE_END (UINT64_C(1) << 32)

typedef void table_item_fn(void *arg, table_item_t *item);

/*
 * A page of the items in about the order of their hashes: calls fn for at least most of them from
 * the hash `from` on (0 to begin), unless there are fewer, and returns where the next page begins,
 * TABLE_END behind the last. An item that is there from the first page to the last is given at
 * least once, however the table grows and shrinks in between. The table must not change inside.
 */
uint64_t table_page(const table_t *self, uint64_t from, size_t most, table_item_fn *fn, void *arg);

slice_t table_name(const table_item_t *item);

#endif
