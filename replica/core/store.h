/*
 * The data of a replica: keys with registers (numbers included) and hashes.
 *
 * A pure state machine whose state is a join of the operations applied, whatever their order and
 * however often each came: per cell the greatest tag wins, increments count once each, and a cell
 * is alive only when its tag is greater than the key's greatest delete and than the greatest tag of
 * any operation of another type on that key (docs/consistency.md, "How conflicts end").
 *
 * The store owns all it holds. Views borrow from it until the next store_apply.
 */
#ifndef HEARSAY_REPLICA_CORE_STORE_H
#define HEARSAY_REPLICA_CORE_STORE_H

#include "bus/wire/record.h"
#include "replica/core/cell.h"

typedef struct store store_t;

typedef enum store_type {
    STORE_NOTHING = 0,
    STORE_REGISTER = 1,
    STORE_HASH = 2,
} store_type_t;

/* hash_seed keeps the order of the tables from being guessed by who chooses the keys. */
store_t *store_new(uint64_t hash_seed);
void store_destroy(store_t **self);

/* Applies one operation that has this tag and came with the update of this dot. Idempotent. */
void store_apply(store_t *self, const op_t *op, const mark_t *mark);

/*
 * True when the operation, applied now under this tag, would not show: something with a greater tag
 * stands in its way. The answer to a first transmission is then RETAG.
 */
bool store_hides(const store_t *self, const op_t *op, tag_t tag);

/* The type a key shows, and into seen (unless NULL) what says so. */
store_type_t store_type(const store_t *self, slice_t key, seen_t *seen);

/* A register, and into seen what made it; not there when the key is absent or of another type. */
cell_view_t store_get(const store_t *self, slice_t key, seen_t *seen);

/* A field of a hash, likewise. */
cell_view_t store_get_field(const store_t *self, slice_t key, slice_t field, seen_t *seen);

/* One field after the other in the order of their names. */
typedef void store_field_fn(void *arg, slice_t field, const cell_view_t *view);

/* All fields of a hash that are there; returns how many. fn may be NULL to count. */
size_t store_each_field(const store_t *self, slice_t key, store_field_fn *fn, void *arg,
                        seen_t *seen);

/* Keys that show something. */
size_t store_keys(const store_t *self);

/* Equal for stores that show the same keys, types, fields and values; costs a walk over all. */
uint64_t store_digest(const store_t *self);

#endif
