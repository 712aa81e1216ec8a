/* Forgetting: what every member has, and what no update can come before any more. */
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "replica/core/store_internal.h"

size_t store_unstable(const store_t *self)
{
    return self->unstable;
}

static void fold_fields(group_t *group, const stable_t *stable)
{
    field_t **empty = mem_alloc((group->fields.size + 1) * sizeof *empty);
    size_t empty_size = 0;
    group->bytes = 0;
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        field_t *field = table_at(&group->fields, at);
        cell_fold(&field->cell, stable);
        if (cell_is_empty(&field->cell))
            empty[empty_size++] = field;
        else
            group->bytes += field_bytes(field);
    }
    group_remove(group, empty, empty_size);
    free(empty);
}

/* Who reads a cell must see what has killed others like it: that kill is to be stable first. */
static bool may_fold(const entry_t *entry, store_type_t type, const stable_t *stable)
{
    mark_t kill = entry_kill(entry, type);
    return mark_is_stable(&kill, stable);
}

static void fold_group(entry_t *entry, int index, const stable_t *stable)
{
    group_t *group = entry->groups[index];
    if (group == NULL || !may_fold(entry, (store_type_t)(STORE_HASH + index), stable))
        return;
    fold_fields(group, stable);
    if (!mark_is_stable(&group->top, stable))
        return;
    group->top.dot = (vec_part_t){0};
    if (group->fields.size == 0)
        group_destroy(&entry->groups[index]);
}

static void fold_cell(entry_t *entry, const stable_t *stable)
{
    if (entry->cell == NULL || !may_fold(entry, STORE_REGISTER, stable))
        return;
    cell_fold(entry->cell, stable);
    if (!cell_is_empty(entry->cell))
        return;
    free(entry->cell);
    entry->cell = NULL;
}

static void forget_mark(mark_t *mark, const stable_t *stable)
{
    if (mark_is_stable(mark, stable))
        *mark = (mark_t){0};
}

static void fold_kills(entry_t *entry, const stable_t *stable)
{
    kills_t *kills = entry->kills;
    if (kills == NULL)
        return;
    bool is_bare = true;
    for (int i = 0; i < TYPES; i++) {
        forget_mark(&kills->top[i], stable);
        is_bare &= tag_is_zero(kills->top[i].tag);
    }
    forget_mark(&kills->deleted, stable);
    is_bare &= tag_is_zero(kills->deleted.tag);
    if (!is_bare || kills->cleared.hlc > stable->horizon)
        return;
    free(kills);
    entry->kills = NULL;
}

/* ---- deadlines ---- */

/*
 * True when a setting has done all it can: nothing can come any more that was there before its
 * deadline, nor a setting between it and the one that replaces it.
 */
static bool is_final(const expiries_t *all, uint32_t i, const stable_t *stable)
{
    const expiry_t *expiry = &all->list[i];
    bool is_last = i + 1 == all->size;
    bool is_over = expiry->deadline != 0 && expiry->deadline <= stable->horizon;
    bool is_replaced = !is_last && all->list[i + 1].mark.tag.hlc <= stable->horizon;
    bool is_void = is_last && expiry->deadline == 0;
    return mark_is_stable(&expiry->mark, stable) && (is_over || is_replaced || is_void);
}

static void fold_expiries(entry_t *entry, const stable_t *stable)
{
    expiries_t *all = entry->expiries;
    if (all == NULL)
        return;
    tag_t expired = entry_expired(entry, stable->horizon);
    if (!tag_is_zero(expired))
        for (store_type_t type = STORE_REGISTER; type <= STORE_SET; type++)
            entry_prune(entry, type, expired);
    /* Only from the front: what replaces one that is kept must be kept too. */
    uint32_t drop = 0;
    while (drop < all->size && is_final(all, drop, stable))
        drop++;
    all->size -= drop;
    memmove(all->list, all->list + drop, all->size * sizeof *all->list);
    if (all->size != 0)
        return;
    free(all);
    entry->expiries = NULL;
}

/* ---- what there is to do ---- */

typedef struct look {
    const stable_t *stable;
    bool is_unstable; /* something is left to forget one day */
    bool has_news;    /* something may be forgotten now */
} look_t;

static void look_at_mark(look_t *look, const mark_t *mark)
{
    if (mark->dot.incarnation == 0)
        return;
    look->is_unstable = true;
    look->has_news |= mark_is_stable(mark, look->stable);
}

static void look_at_cell(look_t *look, const cell_t *cell)
{
    look_at_mark(look, &cell->base);
    if (cell->increments != NULL) {
        look->is_unstable = true;
        look->has_news |= mark_is_stable(&cell->increments->list[0].mark, look->stable);
    }
}

static void look_at_group(look_t *look, const group_t *group)
{
    look_at_mark(look, &group->top);
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++)
        look_at_cell(look, field_cell(group, at));
}

static void look_at_kills(look_t *look, const kills_t *kills)
{
    bool is_empty = tag_is_zero(kills->deleted.tag);
    look->is_unstable = true;
    look->has_news |= !is_empty && mark_is_stable(&kills->deleted, look->stable);
    for (int i = 0; i < TYPES; i++) {
        bool has_top = !tag_is_zero(kills->top[i].tag);
        is_empty &= !has_top;
        look->has_news |= has_top && mark_is_stable(&kills->top[i], look->stable);
    }
    look->has_news |= is_empty && kills->cleared.hlc <= look->stable->horizon;
}

static look_t look_at(const entry_t *entry, const stable_t *stable)
{
    look_t look = {.stable = stable};
    if (entry->cell != NULL)
        look_at_cell(&look, entry->cell);
    for (int i = 0; i < GROUPS; i++)
        if (entry->groups[i] != NULL)
            look_at_group(&look, entry->groups[i]);
    if (entry->kills != NULL)
        look_at_kills(&look, entry->kills);
    if (entry->expiries != NULL) {
        look.is_unstable = true;
        look.has_news |= is_final(entry->expiries, 0, stable) ||
                         !tag_is_zero(entry_expired(entry, stable->horizon));
    }
    return look;
}

bool entry_is_unstable(const entry_t *entry)
{
    static const vec_t nothing = {0};
    const stable_t never = {0, &nothing};
    return look_at(entry, &never).is_unstable;
}

static bool is_empty(const entry_t *entry)
{
    for (int i = 0; i < GROUPS; i++)
        if (entry->groups[i] != NULL)
            return false;
    return entry->cell == NULL && entry->kills == NULL && entry->expiries == NULL;
}

static void fold_entry(entry_t *entry, const stable_t *stable)
{
    fold_expiries(entry, stable);
    fold_cell(entry, stable);
    for (int i = 0; i < GROUPS; i++)
        fold_group(entry, i, stable);
    fold_kills(entry, stable);
}

/* True when nothing is left of the key, and it is gone. */
static bool fold_key(store_t *self, size_t slot, const stable_t *stable)
{
    unpacked_t room;
    const entry_t *entry = store_entry(self, slot, &room);
    look_t look = look_at(entry, stable);
    if (look.has_news) {
        store_before_change(self, slot, false);
        if (store_forget_mark(self, slot)) {
            store_set_unstable(self, slot, false);
            return false;
        }
        fold_entry(store_open(self, slot), stable);
        store_pack(self, slot);
        entry = store_entry(self, slot, &room);
        look.is_unstable = entry_is_unstable(entry);
    }
    store_count(self, slot);
    store_set_unstable(self, slot, look.is_unstable);
    if (!is_empty(entry))
        return false;
    store_remove(self, slot);
    return true;
}

void store_fold(store_t *self, const stable_t *stable, size_t most)
{
    for (size_t left = most; left > 0 && self->unstable != 0; left--) {
        size_t slot = table_next_marked(&self->keys, self->fold_slot, KEY_UNSTABLE);
        if (slot == TABLE_NONE)
            slot = table_next_marked(&self->keys, 0, KEY_UNSTABLE);
        /* Where one is gone another may have moved in. */
        self->fold_slot = fold_key(self, slot, stable) ? slot : slot + 1;
    }
}
