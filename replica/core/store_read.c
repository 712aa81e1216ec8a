/* What a key shows, and what a reader has seen then. */
#include <stdlib.h>

#include "bus/base/memory.h"
#include "replica/core/store_internal.h"

/* NULL when nothing is known of the key. */
static const entry_t *find(const store_t *self, slice_t key, unpacked_t *room)
{
    size_t slot = table_find(&self->keys, key);
    return slot != TABLE_NONE ? store_entry(self, slot, room) : NULL;
}

/* Every setting of a deadline counts for what a reader sees. */
static void see_expiries(const entry_t *entry, seen_t *seen)
{
    const expiries_t *all = entry->expiries;
    for (uint32_t i = 0; all != NULL && i < all->size; i++)
        seen_mark(seen, &all->list[i].mark);
}

/* ---- would it show? ---- */

static bool hides_expiry(const entry_t *entry, tag_t tag)
{
    const expiries_t *all = entry->expiries;
    return tag_compare(entry_cleared(entry), tag) >= 0 ||
           (all != NULL && tag_compare(all->list[all->size - 1].mark.tag, tag) >= 0);
}

bool store_hides(const store_t *self, const op_t *op, tag_t tag)
{
    unpacked_t room;
    const entry_t *entry = find(self, op->key, &room);
    if (entry == NULL)
        return false;
    if (op->code == OP_DEL) {
        for (store_type_t type = STORE_REGISTER; type <= STORE_SET; type++)
            if (tag_compare(entry_top(entry, type).tag, tag) >= 0)
                return true;
        return false;
    }
    if (tag_compare(entry_expired(entry, self->clock), tag) >= 0)
        return true;
    if (op->code == OP_EXPIRE)
        return hides_expiry(entry, tag);
    store_type_t type = store_op_type(op->code);
    if (tag_compare(entry_kill(entry, type).tag, tag) >= 0)
        return true;
    const cell_t *cell = entry_cell(entry, op);
    return cell != NULL && tag_compare(op_adds(op) ? cell->base.tag : cell_top(cell), tag) >= 0;
}

/* ---- reading ---- */

/* only_shown: one witness that something is there is enough. */
static void see_fields(const group_t *group, const mark_t *kill, tag_t expired, bool only_shown,
                       seen_t *seen)
{
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        const cell_t *cell = field_cell(group, at);
        if (only_shown && !cell_view_above(cell, expired).is_there)
            continue;
        cell_see(cell, kill, seen);
        if (only_shown)
            return;
    }
}

/* Absent by deletes, by deadlines, and by every single deleted field. */
static void see_absence(const entry_t *entry, seen_t *seen)
{
    mark_t kill = entry_kill(entry, STORE_REGISTER);
    seen_mark(seen, &kill);
    if (entry->cell != NULL)
        cell_see(entry->cell, &kill, seen);
    for (store_type_t type = STORE_HASH; type <= STORE_SET; type++) {
        kill = entry_kill(entry, type);
        seen_mark(seen, &kill);
        if (entry_group(entry, type) != NULL)
            see_fields(entry_group(entry, type), &kill, (tag_t){0}, false, seen);
    }
}

void entry_see(const entry_t *entry, store_type_t type, seen_t *seen)
{
    see_expiries(entry, seen);
    if (type == STORE_NOTHING) {
        see_absence(entry, seen);
        return;
    }
    mark_t kill = entry_kill(entry, type);
    seen_mark(seen, &kill);
    if (type == STORE_REGISTER)
        cell_see(entry->cell, &kill, seen);
    else
        see_fields(entry_group(entry, type), &kill, (tag_t){0}, false, seen);
}

store_type_t store_type(const store_t *self, slice_t key, seen_t *seen)
{
    unpacked_t room;
    const entry_t *entry = find(self, key, &room);
    if (entry == NULL)
        return STORE_NOTHING;
    tag_t expired = entry_expired(entry, self->clock);
    store_type_t type = entry_type(entry, expired);
    if (seen == NULL)
        return type;
    see_expiries(entry, seen);
    if (type == STORE_NOTHING) {
        see_absence(entry, seen);
        return type;
    }
    mark_t kill = entry_kill(entry, type);
    if (type == STORE_REGISTER)
        cell_see(entry->cell, &kill, seen);
    else
        see_fields(entry_group(entry, type), &kill, expired, true, seen);
    return type;
}

static cell_view_t view_cell(const store_t *self, const entry_t *entry, store_type_t type,
                             const cell_t *cell, seen_t *seen)
{
    mark_t kill = entry_kill(entry, type);
    see_expiries(entry, seen);
    if (cell == NULL) {
        seen_mark(seen, &kill);
        return (cell_view_t){0};
    }
    cell_see(cell, &kill, seen);
    return cell_view_above(cell, entry_expired(entry, self->clock));
}

cell_view_t store_get(const store_t *self, slice_t key, seen_t *seen)
{
    unpacked_t room;
    const entry_t *entry = find(self, key, &room);
    if (entry == NULL)
        return (cell_view_t){0};
    return view_cell(self, entry, STORE_REGISTER, entry->cell, seen);
}

cell_view_t store_get_field(const store_t *self, store_type_t type, slice_t key, slice_t field,
                            seen_t *seen)
{
    unpacked_t room;
    const entry_t *entry = find(self, key, &room);
    if (entry == NULL)
        return (cell_view_t){0};
    return view_cell(self, entry, type, group_find(entry_group(entry, type), field), seen);
}

static slice_t name_of(const field_t *field)
{
    return slice_of(field->name, field->name_size);
}

static int by_name(const void *a, const void *b)
{
    const field_t *const *x = a;
    const field_t *const *y = b;
    return slice_compare(name_of(*x), name_of(*y));
}

size_t store_each_field(const store_t *self, store_type_t type, slice_t key, store_field_fn *fn,
                        void *arg, seen_t *seen)
{
    unpacked_t room;
    const entry_t *entry = find(self, key, &room);
    if (entry == NULL)
        return 0;
    mark_t kill = entry_kill(entry, type);
    tag_t expired = entry_expired(entry, self->clock);
    /* Which fields are absent is part of the answer, so the kill is seen in any case. */
    seen_mark(seen, &kill);
    see_expiries(entry, seen);
    const group_t *group = entry_group(entry, type);
    if (group == NULL)
        return 0;
    const field_t **sorted = mem_alloc((group->fields.size + 1) * sizeof *sorted);
    size_t size = 0;
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        const field_t *field = table_at(&group->fields, at);
        cell_see(&field->cell, &kill, seen);
        if (cell_view_above(&field->cell, expired).is_there)
            sorted[size++] = field;
    }
    if (fn != NULL) {
        qsort(sorted, size, sizeof *sorted, by_name);
        for (size_t i = 0; i < size; i++) {
            cell_view_t view = cell_view_above(&sorted[i]->cell, expired);
            fn(arg, name_of(sorted[i]), &view);
        }
    }
    free(sorted);
    return size;
}

hlc_t store_deadline(const store_t *self, slice_t key, seen_t *seen)
{
    unpacked_t room;
    const entry_t *entry = find(self, key, &room);
    if (entry == NULL || entry->expiries == NULL)
        return 0;
    see_expiries(entry, seen);
    const expiries_t *all = entry->expiries;
    return all->list[all->size - 1].deadline;
}

/* ---- scanning ---- */

typedef struct page {
    const store_t *store;
    slice_t prefix;
    store_key_fn *fn;
    void *arg;
} page_t;

static void scan_slot(void *arg, size_t slot)
{
    const page_t *page = arg;
    unpacked_t room;
    const entry_t *entry = store_entry(page->store, slot, &room);
    slice_t key = kept_name(table_at(&page->store->keys, slot));
    store_type_t type = entry_type(entry, entry_expired(entry, page->store->clock));
    bool begins = key.size >= page->prefix.size &&
                  slice_equal(slice_of(key.data, page->prefix.size), page->prefix);
    if (type != STORE_NOTHING && begins)
        page->fn(page->arg, key, type);
}

uint64_t store_scan(const store_t *self, slice_t prefix, uint64_t cursor, size_t most,
                    store_key_fn *fn, void *arg)
{
    page_t page = {self, prefix, fn, arg};
    uint64_t next = table_page(&self->keys, cursor, most, scan_slot, &page);
    return next == TABLE_END ? 0 : next;
}
