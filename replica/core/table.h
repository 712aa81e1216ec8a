/*
 * An open hash table of named things: the keys of the store and the fields of a hash.
 *
 * The table holds pointers to items, which belong to its user, who allocates and frees them and
 * says what their names are. Linear probing at a load of at most 7/8, growing by an eighth, since
 * the slots are part of what a key costs; deletion moves items up, so there are no tombstones and a
 * search ends at the first empty slot (Knuth, The Art of Computer Programming, volume 3, section
 * 6.4). Each slot has 30 bits of its item's hash (XXH3, seeded) in an array of their own, so that a
 * search touches an item only when it is very likely the right one, and two marks of the user.
 *
 * A slot is a number that is good until the next table_add or table_remove.
 */
#ifndef HEARSAY_REPLICA_CORE_TABLE_H
#define HEARSAY_REPLICA_CORE_TABLE_H

#include "bus/base/bytes.h"

/* The name of an item, borrowed from it. */
typedef slice_t table_name_fn(const void *item);

typedef struct table {
    uint32_t *hashes; /* and marks, in the two least bits */
    void **items;     /* NULL: the slot is empty */
    size_t capacity;
    size_t size;
    uint64_t seed;
    table_name_fn *name;
} table_t;

/* No slot. */
#define TABLE_NONE SIZE_MAX

/* Bits for the user, one by one; table_add clears them. */
enum { TABLE_MARK_1 = 1, TABLE_MARK_2 = 2 };

/* An empty table inside its user. */
void table_init(table_t *self, uint64_t seed, table_name_fn *name);

/*
 * Makes room for size items. To be called before items come in the order of their hashes, as they
 * leave another table: in a table that grows as they come, all would crowd at its beginning.
 */
void table_reserve(table_t *self, size_t size);

/* Frees the slots, not the items. */
void table_free(table_t *self);

/* The slot of a name, TABLE_NONE when it is not there. */
size_t table_find(const table_t *self, slice_t name);

/* Adds an item whose name is not there yet; returns its slot. */
size_t table_add(table_t *self, void *item);

/* Takes the item of a slot out; items of slots behind it, around the end, may move into it. */
void table_remove(table_t *self, size_t slot);

static inline void *table_at(const table_t *self, size_t slot)
{
    return self->items[slot];
}

/* Another item of the same name in the place of the one that is there. */
static inline void table_replace(table_t *self, size_t slot, void *item)
{
    self->items[slot] = item;
}

static inline bool table_has_mark(const table_t *self, size_t slot, uint32_t mark)
{
    return (self->hashes[slot] & mark) != 0;
}

void table_set_mark(table_t *self, size_t slot, uint32_t mark, bool is_set);
/* Takes a mark away from all. */
void table_clear_mark(table_t *self, uint32_t mark);

/* The slot of the next item at or behind slot `from`; TABLE_NONE behind the last. */
size_t table_next(const table_t *self, size_t from);

/* The same for the next one with a mark. */
size_t table_next_marked(const table_t *self, size_t from, uint32_t mark);

/* Where no page follows. */
#define TABLE_END (UINT64_C(1) << 32)

/* The 32-bit hash of the item; its two least bits are 0. */
static inline uint32_t table_hash(const table_t *self, size_t slot)
{
    return self->hashes[slot] & ~(uint32_t)(TABLE_MARK_1 | TABLE_MARK_2);
}

typedef void table_slot_fn(void *arg, size_t slot);

/*
 * A page of the items in about the order of their hashes: calls fn for at least most of them from
 * the hash `from` on (0 to begin), unless there are fewer, and returns where the next page begins,
 * TABLE_END behind the last. An item that is there from the first page to the last is given at
 * least once, however the table grows and shrinks in between. The table must not change inside.
 */
uint64_t table_page(const table_t *self, uint64_t from, size_t most, table_slot_fn *fn, void *arg);

#endif
