/*
 * A cell: one register or hash field, as the fold of its operations in the order of their tags.
 *
 * Its base is the set or field-delete with the greatest tag; the increments with a greater tag than
 * the base are kept one by one, so that a second copy of any operation changes nothing and copies
 * may arrive in any order (docs/consistency.md, "How conflicts end"). What can never count again is
 * pruned at once: increments at or under the base, everything at or under a kill tag.
 *
 * The base is a last-writer-wins register (Shapiro et al., INRIA RR-7506, 2011, section 3.2.1) with
 * tags for timestamps.
 *
 * A mark is a tag with the update that brought it (its dot), because a read answers with the dots
 * of what it read (the session's token).
 */
#ifndef HEARSAY_REPLICA_CORE_CELL_H
#define HEARSAY_REPLICA_CORE_CELL_H

#include "bus/base/bytes.h"
#include "bus/base/hlc.h"
#include "bus/base/vector.h"
#include "bus/wire/mp.h"

/* A mark whose update every member has keeps its tag and loses its dot: incarnation 0. */
typedef struct mark {
    tag_t tag;
    vec_part_t dot;
} mark_t;

/*
 * What may be forgotten: updates that every member is known to have on disk and whose tag is at or
 * under the horizon, so that no update with a lesser tag can come any more.
 */
typedef struct stable {
    hlc_t horizon;
    const vec_t *known; /* by all members; borrowed */
} stable_t;

/* True for a mark of no operation, too. */
bool mark_is_stable(const mark_t *mark, const stable_t *stable);

typedef struct increment {
    mark_t mark;
    int64_t amount;
} increment_t;

typedef struct increments {
    increment_t *list; /* sorted by tag */
    size_t size;
    size_t capacity;
    int64_t sum; /* modulo 2^64 */
    vec_t dots;  /* greatest of each incarnation */
} increments_t;

typedef struct cell {
    mark_t base;     /* tag zero: there is none */
    bool is_deleted; /* the base is a delete of the field */
    bool is_number;  /* the base text is a decimal int64 */
    uint32_t size;
    uint8_t *text;  /* NULL: there is no base, or it is a delete */
    int64_t number; /* of the base, when is_number */
    increments_t *increments;
} cell_t;

/* What a read has looked at: becomes part of the session's token and of its order. */
typedef struct seen {
    vec_t dots;
    hlc_t base; /* greatest tag of a set or delete */
    hlc_t any;  /* the same, increments included */
} seen_t;

void seen_reset(seen_t *self);
void seen_free(seen_t *self);
void seen_mark(seen_t *self, const mark_t *mark);

/* What a cell shows. */
typedef struct cell_view {
    bool is_there;
    bool is_number;
    int64_t number;
    slice_t text; /* borrowed from the cell; empty when increments made a new number */
} cell_view_t;

void cell_free(cell_t *self);

/* Sets the base; false, and nothing, when it has this tag or a greater one. text NULL: deletes. */
bool cell_set(cell_t *self, const mark_t *mark, const slice_t *text);

/* Adds an increment once; false, and nothing, when the base has this tag or a greater one. */
bool cell_add(cell_t *self, const mark_t *mark, int64_t amount);

/* Forgets all that has a tag at or under kill. True when nothing is left. */
bool cell_prune(cell_t *self, tag_t kill);

/* The greatest tag in the cell. */
tag_t cell_top(const cell_t *self);

/* What it shows. */
cell_view_t cell_view(const cell_t *self);

/* What it shows when everything at or under kill counts as gone. */
cell_view_t cell_view_above(const cell_t *self, tag_t kill);

/*
 * Forgets what nobody can ask for any more: stable increments are folded into the base, a stable
 * delete goes, a stable base loses its dot. What the cell shows stays the same.
 */
void cell_fold(cell_t *self, const stable_t *stable);

/* True when the base is this text, or for NULL when there is none that shows. */
bool cell_is_set_to(const cell_t *self, const slice_t *text);

/* Bytes of what it holds besides itself: its text and the increments, each of which is kept. */
size_t cell_bytes(const cell_t *self);

/* By how much cell_add makes that more; self NULL: there is no cell yet. */
size_t cell_add_bytes(const cell_t *self);

/* True when it holds nothing at all. */
bool cell_is_empty(const cell_t *self);

/* A cell as msgpack values, all its marks included, and back; false when malformed. */
void cell_put(buf_t *out, const cell_t *self);
bool cell_read(mp_t *in, cell_t *out);

void mark_put(buf_t *out, const mark_t *mark);
mark_t mark_read(mp_t *in);

/*
 * Adds to seen what made the cell as it shows; kill is what stands in for a base that is not there.
 */
void cell_see(const cell_t *self, const mark_t *kill, seen_t *seen);

#endif
