/*
 * What the files of the store share: how a key is kept. Included by store.c and store_*.c only.
 */
#ifndef HEARSAY_REPLICA_CORE_STORE_INTERNAL_H
#define HEARSAY_REPLICA_CORE_STORE_INTERNAL_H

#include "replica/core/store.h"
#include "replica/core/table.h"

enum {
    TYPES = 3,           /* STORE_REGISTER and the groups */
    GROUPS = TYPES - 1,  /* hash, set: cells by name */
    EXPIRIES_MAX = 1024, /* of a key at a time; more of them than that lose the oldest */
};

/*
 * What may kill cells of a key. Most keys have none: it is made by the first delete or when a
 * second type appears, and from then on holds the greatest tag of each type, whether its cells live
 * or not.
 */
typedef struct kills {
    mark_t deleted;
    mark_t top[TYPES];
    tag_t cleared; /* greatest set of the whole key that another type has killed */
} kills_t;

/* One setting of the key's deadline. It lasts until the next one, a set or a delete of the key. */
typedef struct expiry {
    mark_t mark;
    hlc_t deadline; /* 0: none any more (persist) */
} expiry_t;

typedef struct expiries {
    uint32_t size;
    uint32_t capacity;
    expiry_t list[]; /* by tag */
} expiries_t;

typedef struct field {
    cell_t cell;
    uint32_t name_size;
    uint8_t name[];
} field_t;

/* The fields of a hash or the elements of a set. */
typedef struct group {
    table_t fields;
    mark_t top;   /* the greatest operation on any field, field deletes included */
    size_t shown; /* fields that are there, but for expiry */
    size_t bytes; /* field_bytes of all of them */
} group_t;

/* What is known of a key. */
typedef struct entry {
    cell_t *cell;
    group_t *groups[GROUPS];
    kills_t *kills;
    expiries_t *expiries;
} entry_t;

/*
 * A key as it is kept. Most are a register that was set and nothing else: those are packed into one
 * allocation (store_kept.c), all others have an entry_t of their own.
 */
typedef struct kept kept_t;

/* Room for what a packed key is when it is looked at. */
typedef struct unpacked {
    entry_t entry;
    cell_t cell; /* its text is borrowed from the packed key */
} unpacked_t;

/* The snapshot under way. */
typedef struct walk {
    bool is_open;
    bool is_partial; /* only what has changed */
    bool is_keeping; /* is_changed stays as it is: not for the disk */
    size_t cursor;   /* slot */
    size_t left;     /* entries to come */
    buf_t early;     /* rows of entries that were about to change */
} walk_t;

struct store {
    table_t keys;   /* of kept_t; marks: KEY_UNSTABLE, KEY_TAKEN */
    hlc_t clock;    /* deadlines at or under it have passed */
    size_t shown;   /* keys that show something */
    size_t changed; /* keys with KEPT_CHANGED */
    walk_t walk;
    buf_t removed; /* names of keys removed since a snapshot for the disk began */
    bool is_removed_overflown;
    size_t unstable;   /* keys with KEY_UNSTABLE */
    size_t fold_slot;  /* where folding goes on */
    uint64_t *origins; /* incarnations that packed marks name by their place here */
    size_t origins_size;
    size_t origins_capacity;
};

/* Marks of the slots of store.keys. */
enum {
    KEY_UNSTABLE = TABLE_MARK_1, /* it holds something to forget one day */
    KEY_TAKEN = TABLE_MARK_2,    /* the snapshot under way has it, or began before it was there */
};

/* ---- store_kept.c ---- */

enum {
    KEPT_CHANGED = 1, /* since a snapshot for the disk had it */
    KEPT_COUNTED = 2, /* in store.shown */
};

slice_t kept_name(const void *kept);
bool kept_has(const kept_t *self, uint32_t flag);
void kept_set(kept_t *self, uint32_t flag, bool is_set);

/* What is known of the key in a slot; of a packed one in room, which is borrowed from both. */
const entry_t *store_entry(const store_t *self, size_t slot, unpacked_t *room);

/* The same to be changed; a packed one is unpacked for good. */
entry_t *store_open(store_t *self, size_t slot);

/* Adds a key of which nothing is known yet; returns its slot. */
size_t store_add(store_t *self, slice_t key);

/* Packs the key in a slot if it is a register that was set and nothing else. */
void store_pack(store_t *self, size_t slot);

/*
 * Sets a register to a text when nothing else is known of the key: the most frequent change by far,
 * without unpacking. False, and nothing is done, for other keys and for what cannot be packed.
 */
bool store_set_packed(store_t *self, size_t slot, const mark_t *mark, slice_t text);

/* Forgets the mark of a packed key, which is stable; false for others. */
bool store_forget_mark(store_t *self, size_t slot);

/* Frees the key in a slot, which is not in the table from then on. */
void store_free_kept(store_t *self, size_t slot);

/* The fields of a hash or the elements of a set, NULL when there are none. */
static inline const group_t *entry_group(const entry_t *entry, store_type_t type)
{
    return entry->groups[type - STORE_HASH];
}

static inline const cell_t *field_cell(const group_t *group, size_t slot)
{
    return &((const field_t *)table_at(&group->fields, slot))->cell;
}

/* The cell of a field, NULL when it or the group is not there. */
static inline const cell_t *group_find(const group_t *group, slice_t name)
{
    size_t slot = group != NULL ? table_find(&group->fields, name) : TABLE_NONE;
    return slot != TABLE_NONE ? field_cell(group, slot) : NULL;
}

static inline bool op_adds(const op_t *op)
{
    return op->code == OP_INCR || op->code == OP_HINCR;
}

/* The cell that an operation on a register, field or element is for; NULL when it is not there. */
static inline const cell_t *entry_cell(const entry_t *entry, const op_t *op)
{
    store_type_t type = store_op_type(op->code);
    if (type == STORE_REGISTER)
        return entry->cell;
    return group_find(entry_group(entry, type), op->field);
}

/* ---- store.c ---- */

/* The greatest operation of a type on a key: its live cells know, or the kills do. */
mark_t entry_top(const entry_t *entry, store_type_t type);

/* What a cell of this type must be greater than to live: deletes and the other types. */
mark_t entry_kill(const entry_t *entry, store_type_t type);

/* The greatest set or delete of the whole key: deadlines set before it are void. */
tag_t entry_cleared(const entry_t *entry);

/* Everything under it is gone because a deadline has passed; zero when none has. */
tag_t entry_expired(const entry_t *entry, hlc_t clock);

/* The type the key shows when what is at or under expired is gone. */
store_type_t entry_type(const entry_t *entry, tag_t expired);

/* Forgets cells at or under a kill. The caller has seen to their tops. */
void entry_prune(entry_t *entry, store_type_t type, tag_t kill);

/* After a change: counts the key in a slot as shown or not. */
void store_count(store_t *self, size_t slot);

/* It holds something to forget one day, or no more. */
void store_set_unstable(store_t *self, size_t slot, bool is_unstable);

/* Takes the key out and frees it. */
void store_remove(store_t *self, size_t slot);

/* Frees what an entry holds. */
void entry_free(entry_t *entry);

/* ---- store_read.c ---- */

/* Adds to seen all that makes the key as it shows, each field of it included. */
void entry_see(const entry_t *entry, store_type_t type, seen_t *seen);

/* ---- store_fold.c ---- */

/* True when it holds something to forget one day. */
bool entry_is_unstable(const entry_t *entry);

/* ---- store.c ---- */

/* Bytes of a field and all it holds. */
static inline size_t field_bytes(const field_t *field)
{
    return sizeof *field + field->name_size + cell_bytes(&field->cell);
}

void group_destroy(group_t **self);
void group_init(const store_t *store, entry_t *entry, int index);

/* Adds a field that is not there yet, with nothing in it. */
field_t *group_add(group_t *group, slice_t name);

/* Takes fields out and frees them. */
void group_remove(group_t *group, field_t *const *fields, size_t size);

/* ---- store_snapshot.c ---- */

/* Before a key changes: a snapshot under way takes it as it is. is_new: it was just added. */
void store_before_change(store_t *self, size_t slot, bool is_new);

/* Before a key is removed. */
void store_before_removal(store_t *self, size_t slot);

void store_walk_free(store_t *self);

#endif
