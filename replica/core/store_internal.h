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
    table_item_t item;
    cell_t cell;
} field_t;

/* The fields of a hash or the elements of a set. */
typedef struct group {
    table_t fields;
    mark_t top;   /* the greatest operation on any field, field deletes included */
    size_t shown; /* fields that are there, but for expiry */
} group_t;

typedef struct entry {
    table_item_t item;
    uint32_t epoch;  /* of the last snapshot that has it, or that began before it did */
    bool is_queued;  /* for folding */
    bool is_changed; /* since a snapshot for the disk had it */
    bool is_counted; /* in store.shown */
    cell_t *cell;
    group_t *groups[GROUPS];
    kills_t *kills;
    expiries_t *expiries;
} entry_t;

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
    table_t keys;
    hlc_t clock;    /* deadlines at or under it have passed */
    size_t shown;   /* keys that show something */
    size_t changed; /* entries with is_changed */
    uint32_t epoch;
    walk_t walk;
    buf_t removed; /* names of entries removed since a snapshot for the disk began */
    bool is_removed_overflown;
    entry_t **queue; /* a ring of entries that hold something to forget later */
    size_t queue_capacity;
    size_t queue_size;
    size_t queue_first;
};

/* The fields of a hash or the elements of a set, NULL when there are none. */
static inline const group_t *entry_group(const entry_t *entry, store_type_t type)
{
    return entry->groups[type - STORE_HASH];
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

/* After a change: counts the key as shown or not. */
void store_count(store_t *self, entry_t *entry);

/* Puts the entry in line for folding, unless it is. */
void store_queue(store_t *self, entry_t *entry);

/* Takes the entry out and frees it. */
void store_remove(store_t *self, entry_t *entry);

/* ---- store_read.c ---- */

/* Adds to seen all that makes the key as it shows, each field of it included. */
void entry_see(const entry_t *entry, store_type_t type, seen_t *seen);

/* ---- store_fold.c ---- */

/* True when it holds something to forget one day. */
bool entry_is_unstable(const entry_t *entry);

/* ---- store.c ---- */

void group_destroy(group_t **self);
void group_init(const store_t *store, entry_t *entry, int index);

/* ---- store_snapshot.c ---- */

/* Before an entry changes: a snapshot under way takes it as it is. is_new: it was just made. */
void store_before_change(store_t *self, entry_t *entry, bool is_new);

/* Before an entry is removed. */
void store_before_removal(store_t *self, const entry_t *entry);

void store_walk_free(store_t *self);

#endif
