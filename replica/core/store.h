/*
 * The data of a replica: keys with registers (numbers included), hashes and sets, and deadlines.
 *
 * A pure state machine whose state is a join of the operations applied, whatever their order and
 * however often each came: per cell the greatest tag wins, increments count once each, and a cell
 * is alive only when its tag is greater than the key's greatest delete and than the greatest tag of
 * any operation of another type on that key (docs/consistency.md, "How conflicts end"). A deadline
 * that passes is a delete with that time as its tag; of several settings of it each lasts until the
 * next, a set or a delete of the key. Hashes are maps of such cells, sets the LWW-element-Set of
 * Shapiro et al., INRIA RR-7506, 2011, section 3.3.3.
 *
 * An operation that is applied may find that it has *lost*: what it was to do does not show, since
 * another one that was applied before it stands in its way.
 *
 *   set, hset, sadd     under a set or delete of that register, field or element with a greater tag
 *   hdel, srem          under a set of it with a greater tag
 *   incr, hincr         under a set or delete of it with a greater tag; over a text that is no
 *                       number, whatever its tag
 *   del                 under a set of the register, a field or an element with a greater tag
 *   all but del, hdel,  under a del of the key with a greater tag, or under an operation of another
 *   srem                type
 *
 * Not lost has what asks for the same as stands there (the same text, or to be gone), a set or
 * delete under increments (they are added to it), and a deadline.
 *
 * What every member has and no update can come before any more is forgotten by store_fold, in small
 * steps. A snapshot (store_snapshot_*) is the state as of one moment, taken in small steps too
 * while updates go on: what is about to change is copied first.
 *
 * The store owns all it holds. Views borrow from it until the next function that changes it.
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
    STORE_SET = 3,
} store_type_t;

/* "register" and so on, "none" for NOTHING; static. */
const char *store_type_name(store_type_t type);

/* Of which type the operation makes its key; NOTHING for those that take any. */
store_type_t store_op_type(uint8_t code);

/* hash_seed: replicas of one cluster have the same, so that cursors of scans mean the same. */
store_t *store_new(uint64_t hash_seed);
void store_destroy(store_t **self);

/* Another hash_seed; the store must be empty (asserted). */
void store_seed(store_t *self, uint64_t hash_seed);

/* Makes room for so many keys at once, as far as that is believable. */
void store_reserve(store_t *self, uint64_t keys);

/* From now on deadlines at or under clock have passed for readers. */
void store_set_clock(store_t *self, hlc_t clock);

/*
 * Applies one operation that has this tag and came with the update of this dot. Idempotent. Returns
 * the incarnation in the dot of the one that it has lost to (the greatest, if there are several), 0
 * when it has not lost or when that one is stable. Another copy of an update of several operations,
 * too, is told that it has lost, to what came behind the first copy or with it.
 */
uint64_t store_apply(store_t *self, const op_t *op, const mark_t *mark);

/* ---- reading ---- */

/*
 * True when the operation, applied now under this tag, would not show: something with a greater tag
 * stands in its way. The answer to a first transmission is then RETAG.
 */
bool store_hides(const store_t *self, const op_t *op, tag_t tag);

/*
 * All that a key may hold: its value, its fields or elements with their names, values and what is
 * to be remembered of each (some 80 bytes; 48 of each increment that not every member has yet), in
 * bytes of memory. A key is one row of a checkpoint, for which there is a limit too: what several
 * replicas let it grow to by themselves, each up to this, comes together in all of them.
 */
enum { STORE_KEY_BYTES_MAX = 64 * 1024 * 1024 };

/* How much it holds now, deleted fields that are to be remembered included. */
size_t store_key_bytes(const store_t *self, slice_t key);

/*
 * True when the operations, which stand by key, would make one greater than that. What takes
 * something away never does, nor does a set of the whole key, whose value has a limit of its own.
 */
bool store_outgrows(const store_t *self, const op_t *ops, size_t size);

/* The type a key shows, and into seen (unless NULL) what says so. */
store_type_t store_type(const store_t *self, slice_t key, seen_t *seen);

/* A register, and into seen what made it; not there when the key is absent or of another type. */
cell_view_t store_get(const store_t *self, slice_t key, seen_t *seen);

/* A field of a hash, or an element of a set (its text is empty), likewise. */
cell_view_t store_get_field(const store_t *self, store_type_t type, slice_t key, slice_t field,
                            seen_t *seen);

/* One field after the other in the order of their names. */
typedef void store_field_fn(void *arg, slice_t field, const cell_view_t *view);

/*
 * All fields of a hash, or elements of a set, that are there; returns how many. fn may be NULL to
 * count.
 */
size_t store_each_field(const store_t *self, store_type_t type, slice_t key, store_field_fn *fn,
                        void *arg, seen_t *seen);

/* The deadline of a key that is there; 0 when it has none. */
hlc_t store_deadline(const store_t *self, slice_t key, seen_t *seen);

typedef void store_key_fn(void *arg, slice_t key, store_type_t type);

/*
 * A page of the keys that are there and begin with prefix, about most of them, from a cursor on (0
 * to begin). Returns the cursor of the next page, 0 behind the last. A key that is there from the
 * first page to the last is given at least once.
 */
uint64_t store_scan(const store_t *self, slice_t prefix, uint64_t cursor, size_t most,
                    store_key_fn *fn, void *arg);

/* Keys that show something; one whose deadline has passed counts until it is forgotten. */
size_t store_keys(const store_t *self);

/* All keys there is something to remember of, shown or not. */
size_t store_entries(const store_t *self);

/* ---- comparing ---- */

/*
 * Equal for stores that show the same keys, types, fields, values and deadlines; costs a walk over
 * all.
 */
uint64_t store_digest(const store_t *self);

/* The keys fall into 1 << bits buckets; bits 0: into one. */
enum { STORE_BUCKET_BITS_MAX = 16 };

/*
 * The same for single buckets, and as of a clock: into sums those from the first on, size of them
 * at most, until about most keys have been looked at, or until the last bucket. Returns how many,
 * at least 1. first is one of the buckets, size is not 0.
 */
uint32_t store_digests(const store_t *self, unsigned bits, uint32_t first, size_t most, hlc_t clock,
                       uint64_t *sums, uint32_t size);

/* A key and what it shows; one of which only is remembered that it is gone as well (NOTHING). */
typedef struct store_shown {
    slice_t key;
    store_type_t type;
    uint64_t digest;
    const vec_t *dots; /* updates that make it so */
} store_shown_t;

/* False: no more of them. */
typedef bool store_shown_fn(void *arg, const store_shown_t *shown);

/* All keys of a bucket as of a clock, in no order, until fn says that it is enough. */
void store_each_shown(const store_t *self, unsigned bits, uint32_t bucket, hlc_t clock,
                      store_shown_fn *fn, void *arg);

/* ---- forgetting ---- */

/* Entries that hold something to forget one day: what one pass of store_fold looks at. */
size_t store_unstable(const store_t *self);

/*
 * Looks at up to most entries, the longest unseen first, and forgets of them what may be forgotten.
 * Deadlines at or under the horizon become final. Shows the same before and after.
 */
void store_fold(store_t *self, const stable_t *stable, size_t most);

/* ---- snapshots ---- */

typedef enum store_snapshot_kind {
    STORE_SNAPSHOT_COPY,    /* all of it, for somebody else */
    STORE_SNAPSHOT_DISK,    /* all of it; from then on the changes are counted */
    STORE_SNAPSHOT_CHANGES, /* what has changed since the last one for the disk, removals too */
} store_snapshot_kind_t;

enum { STORE_LOOKS_MAX = 65536 };

/* Begins a snapshot of the store as it is now; none is open (asserted). */
void store_snapshot_begin(store_t *self, store_snapshot_kind_t kind);

/*
 * Appends further rows to out until it has about most bytes: [key, value], value nil when the key
 * is gone. Of many keys that have not changed it looks at STORE_LOOKS_MAX, so that there may be no
 * row yet. True when that was all; the snapshot is then closed.
 */
bool store_snapshot_next(store_t *self, buf_t *out, size_t most);

/* Closes an open snapshot before its end; of one for the disk the next must be a whole one. */
void store_snapshot_abort(store_t *self);

bool store_snapshot_is_open(const store_t *self);

/* Bytes that were copied because updates came in the way of the snapshot, and not taken yet. */
size_t store_snapshot_early(const store_t *self);

/* Keys changed since the last snapshot for the disk; SIZE_MAX when only a whole one will do. */
size_t store_changes(const store_t *self);

/*
 * Puts a row of a snapshot back; the key must not be there yet. False when it is malformed. The
 * entry does not count as changed.
 */
bool store_load(store_t *self, slice_t key, slice_t value);

#endif
