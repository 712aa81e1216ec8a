#include "replica/core/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"
#include "replica/core/table.h"

enum { TYPES = 2 }; /* STORE_REGISTER, STORE_HASH */

/*
 * What may kill cells of a key. Most keys have none: it is made by the first delete or when a
 * second type appears, and from then on holds the greatest tag of each type, whether its cells live
 * or not.
 */
typedef struct kills {
    mark_t deleted;
    mark_t top[TYPES];
} kills_t;

typedef struct field {
    table_item_t item;
    cell_t cell;
} field_t;

typedef struct hash {
    table_t fields;
    mark_t top;   /* the greatest operation on any field, field deletes included */
    size_t shown; /* fields that are there */
} hash_t;

typedef struct entry {
    table_item_t item;
    cell_t *cell;
    hash_t *hash;
    kills_t *kills;
} entry_t;

struct store {
    table_t keys;
    size_t shown; /* keys that show something */
};

static void hash_destroy(hash_t **self_p)
{
    hash_t *self = *self_p;
    if (self == NULL)
        return;
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&self->fields, &at)) != NULL; free(item))
        cell_free(&((field_t *)item)->cell);
    table_free(&self->fields);
    free(self);
    *self_p = NULL;
}

static void entry_free(entry_t *entry)
{
    if (entry->cell != NULL)
        cell_free(entry->cell);
    free(entry->cell);
    hash_destroy(&entry->hash);
    free(entry->kills);
    free(entry);
}

store_t *store_new(uint64_t hash_seed)
{
    store_t *self = mem_zero(1, sizeof *self);
    table_init(&self->keys, hash_seed);
    return self;
}

void store_destroy(store_t **self_p)
{
    store_t *self = *self_p;
    if (self == NULL)
        return;
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&self->keys, &at)) != NULL;)
        entry_free((entry_t *)item);
    table_free(&self->keys);
    free(self);
    *self_p = NULL;
}

static const entry_t *find(const store_t *self, slice_t key)
{
    return (const entry_t *)table_find(&self->keys, key);
}

static int type_index(store_type_t type)
{
    return (int)type - 1;
}

static store_type_t op_type(const op_t *op)
{
    return op->code == OP_SET || op->code == OP_INCR ? STORE_REGISTER : STORE_HASH;
}

static mark_t greater(mark_t a, mark_t b)
{
    return tag_compare(a.tag, b.tag) >= 0 ? a : b;
}

/* The mark of the greatest operation a cell still holds. */
static mark_t cell_top_mark(const cell_t *cell)
{
    const increments_t *all = cell->increments;
    return all != NULL ? all->list[all->size - 1].mark : cell->base;
}

/* The greatest operation of a type on a key: its live cells know, or the kills do. */
static mark_t top_of(const entry_t *entry, store_type_t type)
{
    mark_t top = {0};
    if (type == STORE_REGISTER && entry->cell != NULL)
        top = cell_top_mark(entry->cell);
    if (type == STORE_HASH && entry->hash != NULL)
        top = entry->hash->top;
    return entry->kills != NULL ? greater(top, entry->kills->top[type_index(type)]) : top;
}

/* What a cell of this type must be greater than to live: deletes and the other type. */
static mark_t kill_of(const entry_t *entry, store_type_t type)
{
    mark_t kill = top_of(entry, type == STORE_REGISTER ? STORE_HASH : STORE_REGISTER);
    return entry->kills != NULL ? greater(kill, entry->kills->deleted) : kill;
}

static store_type_t shown_type(const entry_t *entry)
{
    if (entry->hash != NULL && entry->hash->shown != 0)
        return STORE_HASH;
    if (entry->cell != NULL && cell_view(entry->cell).is_there)
        return STORE_REGISTER;
    return STORE_NOTHING;
}

static void prune_cell(entry_t *entry, tag_t kill)
{
    if (entry->cell == NULL || !cell_prune(entry->cell, kill))
        return;
    free(entry->cell);
    entry->cell = NULL;
}

/* Forgets the fields at or under kill. Their top stays in the kills, where it still counts. */
static void prune_hash(entry_t *entry, tag_t kill)
{
    hash_t *hash = entry->hash;
    if (hash == NULL)
        return;
    field_t **dead = mem_alloc(hash->fields.size * sizeof *dead);
    size_t dead_size = 0;
    size_t at = 0;
    hash->shown = 0;
    for (table_item_t *item; (item = table_next(&hash->fields, &at)) != NULL;) {
        field_t *field = (field_t *)item;
        if (cell_prune(&field->cell, kill))
            dead[dead_size++] = field;
        else
            hash->shown += cell_view(&field->cell).is_there;
    }
    for (size_t i = 0; i < dead_size; i++) {
        table_remove(&hash->fields, &dead[i]->item);
        free(dead[i]);
    }
    free(dead);
    if (hash->fields.size == 0)
        hash_destroy(&entry->hash);
}

static kills_t *kills_of(entry_t *entry)
{
    if (entry->kills == NULL) {
        mark_t top_register = top_of(entry, STORE_REGISTER);
        mark_t top_hash = top_of(entry, STORE_HASH);
        entry->kills = mem_zero(1, sizeof *entry->kills);
        entry->kills->top[type_index(STORE_REGISTER)] = top_register;
        entry->kills->top[type_index(STORE_HASH)] = top_hash;
    }
    return entry->kills;
}

static void apply_delete(entry_t *entry, const mark_t *mark)
{
    kills_t *kills = kills_of(entry);
    /* The cells that are pruned must leave their tops behind. */
    kills->top[type_index(STORE_REGISTER)] = top_of(entry, STORE_REGISTER);
    kills->top[type_index(STORE_HASH)] = top_of(entry, STORE_HASH);
    kills->deleted = greater(kills->deleted, *mark);
    prune_cell(entry, kills->deleted.tag);
    prune_hash(entry, kills->deleted.tag);
}

/* An operation of one type kills what another type did before it. */
static void apply_type(entry_t *entry, store_type_t type, const mark_t *mark)
{
    bool other = type == STORE_REGISTER ? entry->hash != NULL : entry->cell != NULL;
    if (entry->kills == NULL && !other)
        return; /* the cells of this type know their own top */
    kills_t *kills = kills_of(entry);
    mark_t *top = &kills->top[type_index(type)];
    *top = greater(*top, *mark);
    if (type == STORE_REGISTER && entry->hash != NULL) {
        mark_t *hash_top = &kills->top[type_index(STORE_HASH)];
        *hash_top = greater(*hash_top, entry->hash->top);
        prune_hash(entry, mark->tag);
    } else if (type == STORE_HASH && entry->cell != NULL) {
        mark_t *cell_top = &kills->top[type_index(STORE_REGISTER)];
        *cell_top = greater(*cell_top, cell_top_mark(entry->cell));
        prune_cell(entry, mark->tag);
    }
}

static void apply_to_cell(cell_t *cell, const op_t *op, const mark_t *mark)
{
    if (op->code == OP_INCR || op->code == OP_HINCR)
        cell_add(cell, mark, op->amount);
    else
        cell_set(cell, mark, op->code == OP_HDEL ? NULL : &op->value);
}

static void apply_field(const store_t *self, entry_t *entry, const op_t *op, const mark_t *mark)
{
    if (entry->hash == NULL) {
        entry->hash = mem_zero(1, sizeof *entry->hash);
        table_init(&entry->hash->fields, self->keys.seed);
    }
    hash_t *hash = entry->hash;
    field_t *field = (field_t *)table_find(&hash->fields, op->field);
    if (field == NULL)
        field = table_add(&hash->fields, op->field, sizeof *field);
    hash->shown -= cell_view(&field->cell).is_there;
    apply_to_cell(&field->cell, op, mark);
    hash->shown += cell_view(&field->cell).is_there;
    hash->top = greater(hash->top, *mark);
}

void store_apply(store_t *self, const op_t *op, const mark_t *mark)
{
    entry_t *entry = (entry_t *)table_find(&self->keys, op->key);
    if (entry == NULL)
        entry = table_add(&self->keys, op->key, sizeof *entry);
    self->shown -= shown_type(entry) != STORE_NOTHING;
    if (op->code == OP_DEL) {
        apply_delete(entry, mark);
    } else {
        store_type_t type = op_type(op);
        apply_type(entry, type, mark);
        if (tag_compare(mark->tag, kill_of(entry, type).tag) <= 0) {
            /* dead on arrival; its tag has done what it had to do */
        } else if (type == STORE_HASH) {
            apply_field(self, entry, op, mark);
        } else {
            if (entry->cell == NULL)
                entry->cell = mem_zero(1, sizeof *entry->cell);
            apply_to_cell(entry->cell, op, mark);
        }
    }
    self->shown += shown_type(entry) != STORE_NOTHING;
}

static const cell_t *cell_for(const entry_t *entry, const op_t *op)
{
    if (op_type(op) == STORE_REGISTER)
        return entry->cell;
    if (entry->hash == NULL)
        return NULL;
    const field_t *field = (const field_t *)table_find(&entry->hash->fields, op->field);
    return field != NULL ? &field->cell : NULL;
}

bool store_hides(const store_t *self, const op_t *op, tag_t tag)
{
    const entry_t *entry = find(self, op->key);
    if (entry == NULL)
        return false;
    if (op->code == OP_DEL)
        return tag_compare(top_of(entry, STORE_REGISTER).tag, tag) >= 0 ||
               tag_compare(top_of(entry, STORE_HASH).tag, tag) >= 0;
    if (tag_compare(kill_of(entry, op_type(op)).tag, tag) >= 0)
        return true;
    const cell_t *cell = cell_for(entry, op);
    if (cell == NULL)
        return false;
    bool adds = op->code == OP_INCR || op->code == OP_HINCR;
    return tag_compare(adds ? cell->base.tag : cell_top(cell), tag) >= 0;
}

static void see_fields(const hash_t *hash, const mark_t *kill, bool only_shown, seen_t *seen)
{
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&hash->fields, &at)) != NULL;) {
        const cell_t *cell = &((const field_t *)item)->cell;
        if (only_shown && !cell_view(cell).is_there)
            continue;
        cell_see(cell, kill, seen);
        if (only_shown)
            return; /* one witness is enough */
    }
}

store_type_t store_type(const store_t *self, slice_t key, seen_t *seen)
{
    const entry_t *entry = find(self, key);
    if (entry == NULL)
        return STORE_NOTHING;
    store_type_t type = shown_type(entry);
    if (seen == NULL)
        return type;
    mark_t kill_register = kill_of(entry, STORE_REGISTER);
    mark_t kill_hash = kill_of(entry, STORE_HASH);
    if (type == STORE_REGISTER) {
        cell_see(entry->cell, &kill_register, seen);
    } else if (type == STORE_HASH) {
        see_fields(entry->hash, &kill_hash, true, seen);
    } else {
        /* Absent by deletes, and by every single deleted field. */
        seen_mark(seen, &kill_register);
        seen_mark(seen, &kill_hash);
        if (entry->hash != NULL)
            see_fields(entry->hash, &kill_hash, false, seen);
    }
    return type;
}

cell_view_t store_get(const store_t *self, slice_t key, seen_t *seen)
{
    const entry_t *entry = find(self, key);
    if (entry == NULL)
        return (cell_view_t){0};
    mark_t kill = kill_of(entry, STORE_REGISTER);
    if (entry->cell == NULL) {
        seen_mark(seen, &kill);
        return (cell_view_t){0};
    }
    cell_see(entry->cell, &kill, seen);
    return cell_view(entry->cell);
}

cell_view_t store_get_field(const store_t *self, slice_t key, slice_t field, seen_t *seen)
{
    const entry_t *entry = find(self, key);
    if (entry == NULL)
        return (cell_view_t){0};
    mark_t kill = kill_of(entry, STORE_HASH);
    const field_t *found =
        entry->hash != NULL ? (const field_t *)table_find(&entry->hash->fields, field) : NULL;
    if (found == NULL) {
        seen_mark(seen, &kill);
        return (cell_view_t){0};
    }
    cell_see(&found->cell, &kill, seen);
    return cell_view(&found->cell);
}

static int by_name(const void *a, const void *b)
{
    const field_t *const *x = a;
    const field_t *const *y = b;
    return slice_compare(table_name(&(*x)->item), table_name(&(*y)->item));
}

size_t store_each_field(const store_t *self, slice_t key, store_field_fn *fn, void *arg,
                        seen_t *seen)
{
    const entry_t *entry = find(self, key);
    if (entry == NULL)
        return 0;
    mark_t kill = kill_of(entry, STORE_HASH);
    /* Which fields are absent is part of the answer, so the kill is seen in any case. */
    seen_mark(seen, &kill);
    const hash_t *hash = entry->hash;
    if (hash == NULL)
        return 0;
    field_t **sorted = mem_alloc(hash->fields.size * sizeof *sorted);
    size_t size = 0;
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&hash->fields, &at)) != NULL;) {
        field_t *field = (field_t *)item;
        cell_see(&field->cell, &kill, seen);
        if (cell_view(&field->cell).is_there)
            sorted[size++] = field;
    }
    if (fn != NULL) {
        qsort(sorted, size, sizeof *sorted, by_name);
        for (size_t i = 0; i < size; i++) {
            cell_view_t view = cell_view(&sorted[i]->cell);
            fn(arg, table_name(&sorted[i]->item), &view);
        }
    }
    free(sorted);
    return size;
}

size_t store_keys(const store_t *self)
{
    return self->shown;
}

static uint64_t digest_cell(slice_t key, slice_t field, const cell_view_t *view)
{
    uint8_t number[24];
    slice_t text = view->text;
    if (view->is_number) {
        int size = snprintf((char *)number, sizeof number, "%lld", (long long)view->number);
        text = slice_of(number, (size_t)size);
    }
    uint64_t seed = XXH3_64bits_withSeed(key.data, key.size, field.data != NULL ? 2 : 1);
    seed = XXH3_64bits_withSeed(field.data, field.size, seed);
    return XXH3_64bits_withSeed(text.data, text.size, seed);
}

uint64_t store_digest(const store_t *self)
{
    uint64_t sum = 0; /* of the cells, so that the order of the walk does not matter */
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&self->keys, &at)) != NULL;) {
        const entry_t *entry = (const entry_t *)item;
        slice_t key = table_name(item);
        if (shown_type(entry) == STORE_REGISTER) {
            cell_view_t view = cell_view(entry->cell);
            sum += digest_cell(key, slice_of(NULL, 0), &view);
        } else if (shown_type(entry) == STORE_HASH) {
            size_t field_at = 0;
            for (table_item_t *f; (f = table_next(&entry->hash->fields, &field_at)) != NULL;) {
                cell_view_t view = cell_view(&((const field_t *)f)->cell);
                if (view.is_there)
                    sum += digest_cell(key, table_name(f), &view);
            }
        }
    }
    return sum;
}
