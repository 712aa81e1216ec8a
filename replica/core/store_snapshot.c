/*
 * Snapshots: the store as of one moment, taken while it goes on. The slots of keys that are in the
 * present one are marked; a key that is about to change and is not in it yet is put into it first
 * (copy on write).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/wire/command.h"
#include "replica/core/store_internal.h"

enum { REMOVED_BYTES_MAX = 16 * 1024 * 1024 }; /* of names; beyond them the next is a whole one */

/* ---- an entry as bytes ---- */

/* [cell or nil, [group or nil …], kills or nil, [expiry …]] */
static void put_group(buf_t *out, const group_t *group)
{
    if (group == NULL) {
        mp_put_nil(out);
        return;
    }
    mp_put_bool(out, true);
    mark_put(out, &group->top);
    mp_put_uint(out, group->fields.size);
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        mp_put_bin(out, group->fields.name(table_at(&group->fields, at)));
        cell_put(out, field_cell(group, at));
    }
}

static void put_kills(buf_t *out, const kills_t *kills)
{
    if (kills == NULL) {
        mp_put_nil(out);
        return;
    }
    const mark_t cleared = {.tag = kills->cleared};
    mp_put_bool(out, true);
    mark_put(out, &kills->deleted);
    for (int i = 0; i < TYPES; i++)
        mark_put(out, &kills->top[i]);
    mark_put(out, &cleared);
}

static void put_entry(buf_t *out, const entry_t *entry)
{
    if (entry->cell == NULL) {
        mp_put_nil(out);
    } else {
        mp_put_bool(out, true);
        cell_put(out, entry->cell);
    }
    for (int i = 0; i < GROUPS; i++)
        put_group(out, entry->groups[i]);
    put_kills(out, entry->kills);
    const expiries_t *all = entry->expiries;
    mp_put_uint(out, all != NULL ? all->size : 0);
    for (uint32_t i = 0; all != NULL && i < all->size; i++) {
        mark_put(out, &all->list[i].mark);
        mp_put_uint(out, all->list[i].deadline);
    }
}

static void put_row(buf_t *out, const store_t *self, size_t slot)
{
    unpacked_t room;
    mp_put_bin(out, kept_name(table_at(&self->keys, slot)));
    /* The value as one bin, so that who passes rows on need not know them: its size comes first. */
    size_t head = out->size;
    buf_reserve(out, 5);
    out->size += 5;
    put_entry(out, store_entry(self, slot, &room));
    out->data[head] = 0xC6; /* bin 32 */
    be32_put(out->data + head + 1, (uint32_t)(out->size - head - 5));
}

static bool read_group(const store_t *self, mp_t *in, entry_t *entry, int index)
{
    if (mp_nil(in))
        return true;
    mp_bool(in);
    group_init(self, entry, index);
    group_t *group = entry->groups[index];
    group->top = mark_read(in);
    uint64_t count = mp_uint(in);
    if (!mp_ok(in) || count > (uint64_t)(in->end - in->at))
        return false;
    table_reserve(&group->fields, (size_t)count);
    for (uint64_t i = 0; i < count && mp_ok(in); i++) {
        slice_t name = mp_bytes(in);
        if (!mp_ok(in) || table_find(&group->fields, name) != TABLE_NONE)
            return false;
        field_t *field = group_add(group, name);
        if (!cell_read(in, &field->cell))
            return false;
        group->shown += cell_view(&field->cell).is_there;
        group->bytes += field_bytes(field);
    }
    return mp_ok(in);
}

static void read_kills(mp_t *in, entry_t *entry)
{
    if (mp_nil(in))
        return;
    mp_bool(in);
    entry->kills = mem_zero(1, sizeof *entry->kills);
    entry->kills->deleted = mark_read(in);
    for (int i = 0; i < TYPES; i++)
        entry->kills->top[i] = mark_read(in);
    entry->kills->cleared = mark_read(in).tag;
}

static bool read_expiries(mp_t *in, entry_t *entry)
{
    uint64_t count = mp_uint(in);
    if (!mp_ok(in) || count > EXPIRIES_MAX)
        return false;
    if (count == 0)
        return true;
    expiries_t *all = mem_zero(1, sizeof *all + (size_t)count * sizeof *all->list);
    all->size = all->capacity = (uint32_t)count;
    entry->expiries = all;
    for (uint32_t i = 0; i < count; i++) {
        all->list[i].mark = mark_read(in);
        all->list[i].deadline = mp_uint(in);
        if (i != 0 && tag_compare(all->list[i - 1].mark.tag, all->list[i].mark.tag) >= 0)
            return false;
    }
    return mp_ok(in);
}

static bool read_entry(const store_t *self, mp_t *in, entry_t *entry)
{
    if (!mp_nil(in)) {
        mp_bool(in);
        entry->cell = mem_zero(1, sizeof *entry->cell);
        if (!cell_read(in, entry->cell))
            return false;
    }
    for (int i = 0; i < GROUPS; i++)
        if (!read_group(self, in, entry, i))
            return false;
    read_kills(in, entry);
    return read_expiries(in, entry) && mp_done(in);
}

bool store_load(store_t *self, slice_t key, slice_t value)
{
    if (key.size == 0 || key.size > COMMAND_KEY_MAX || table_find(&self->keys, key) != TABLE_NONE)
        return false;
    size_t slot = store_add(self, key);
    entry_t *entry = store_open(self, slot);
    mp_t in = mp_open(value);
    bool is_good = read_entry(self, &in, entry);
    table_set_mark(&self->keys, slot, KEY_TAKEN, true);
    store_set_unstable(self, slot, entry_is_unstable(entry));
    store_pack(self, slot);
    store_count(self, slot);
    return is_good;
}

/* ---- what changes meanwhile ---- */

static void set_changed(store_t *self, size_t slot, bool is_changed)
{
    kept_t *kept = table_at(&self->keys, slot);
    self->changed -= kept_has(kept, KEPT_CHANGED);
    self->changed += is_changed;
    kept_set(kept, KEPT_CHANGED, is_changed);
}

static void take_into(store_t *self, size_t slot, buf_t *out)
{
    walk_t *walk = &self->walk;
    table_set_mark(&self->keys, slot, KEY_TAKEN, true);
    put_row(out, self, slot);
    walk->left--;
    if (!walk->is_keeping)
        set_changed(self, slot, false);
}

static bool is_wanted(const store_t *self, size_t slot)
{
    return !table_has_mark(&self->keys, slot, KEY_TAKEN) &&
           (!self->walk.is_partial || kept_has(table_at(&self->keys, slot), KEPT_CHANGED));
}

void store_before_change(store_t *self, size_t slot, bool is_new)
{
    if (!is_new && self->walk.is_open && is_wanted(self, slot))
        take_into(self, slot, &self->walk.early);
    /* What it becomes now is not of the snapshot under way. */
    table_set_mark(&self->keys, slot, KEY_TAKEN, true);
    set_changed(self, slot, true);
}

void store_before_removal(store_t *self, size_t slot)
{
    slice_t name = kept_name(table_at(&self->keys, slot));
    set_changed(self, slot, false);
    if (self->removed.size + name.size > REMOVED_BYTES_MAX) {
        self->is_removed_overflown = true;
        buf_reset(&self->removed);
    }
    if (!self->is_removed_overflown)
        mp_put_bin(&self->removed, name);
}

size_t store_changes(const store_t *self)
{
    return self->is_removed_overflown ? SIZE_MAX : self->changed + (self->removed.size != 0);
}

/* ---- taking a snapshot ---- */

void store_snapshot_begin(store_t *self, store_snapshot_kind_t kind)
{
    walk_t *walk = &self->walk;
    assert(!walk->is_open);
    walk->is_open = true;
    walk->is_partial = kind == STORE_SNAPSHOT_CHANGES;
    walk->is_keeping = kind == STORE_SNAPSHOT_COPY;
    walk->cursor = 0;
    walk->left = walk->is_partial ? self->changed : self->keys.size;
    table_clear_mark(&self->keys, KEY_TAKEN);
    buf_reset(&walk->early);
    if (walk->is_keeping)
        return;
    /* Names that are gone come first: one that is there again follows behind. */
    mp_t in = mp_open(buf_slice(&self->removed));
    while (walk->is_partial && mp_ok(&in) && mp_peek(&in) == MP_BYTES) {
        mp_put_bin(&walk->early, mp_bytes(&in));
        mp_put_nil(&walk->early);
    }
    buf_reset(&self->removed);
    self->is_removed_overflown = false;
}

bool store_snapshot_next(store_t *self, buf_t *out, size_t most)
{
    walk_t *walk = &self->walk;
    assert(walk->is_open);
    size_t start = out->size;
    buf_append_slice(out, buf_slice(&walk->early));
    buf_reset(&walk->early);
    for (size_t looks = 0; walk->left != 0 && out->size - start < most && looks < STORE_LOOKS_MAX;
         looks++) {
        size_t slot = table_next(&self->keys, walk->cursor);
        if (slot != TABLE_NONE && is_wanted(self, slot))
            take_into(self, slot, out);
        /* At the end once more: the table may have grown, or keys have moved. */
        walk->cursor = slot != TABLE_NONE ? slot + 1 : 0;
    }
    walk->is_open = walk->left != 0;
    return !walk->is_open;
}

void store_snapshot_abort(store_t *self)
{
    walk_t *walk = &self->walk;
    if (walk->is_open && !walk->is_keeping)
        self->is_removed_overflown = true;
    walk->is_open = false;
    buf_free(&walk->early);
}

bool store_snapshot_is_open(const store_t *self)
{
    return self->walk.is_open;
}

size_t store_snapshot_early(const store_t *self)
{
    return self->walk.early.size;
}

void store_walk_free(store_t *self)
{
    buf_free(&self->walk.early);
    buf_free(&self->removed);
}
