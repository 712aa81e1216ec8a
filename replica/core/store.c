/* How operations change a key. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "replica/core/store_internal.h"

const char *store_type_name(store_type_t type)
{
    static const char *const names[] = {"none", "register", "hash", "set"};
    return names[type];
}

store_type_t store_op_type(uint8_t code)
{
    switch (code) {
    case OP_SET:
    case OP_INCR:
        return STORE_REGISTER;
    case OP_HSET:
    case OP_HDEL:
    case OP_HINCR:
        return STORE_HASH;
    case OP_SADD:
    case OP_SREM:
        return STORE_SET;
    default:
        return STORE_NOTHING;
    }
}

static int type_index(store_type_t type)
{
    return (int)type - STORE_REGISTER;
}

static int group_index(store_type_t type)
{
    return (int)type - STORE_HASH;
}

/* ---- life ---- */

static slice_t field_name(const void *field)
{
    const field_t *self = field;
    return slice_of(self->name, self->name_size);
}

static void field_destroy(field_t *self)
{
    cell_free(&self->cell);
    free(self);
}

void group_destroy(group_t **self_p)
{
    group_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t at = 0; (at = table_next(&self->fields, at)) != TABLE_NONE; at++)
        field_destroy(table_at(&self->fields, at));
    table_free(&self->fields);
    free(self);
    *self_p = NULL;
}

static void free_cell(entry_t *entry)
{
    if (entry->cell != NULL)
        cell_free(entry->cell);
    free(entry->cell);
    entry->cell = NULL;
}

void entry_free(entry_t *entry)
{
    free_cell(entry);
    for (int i = 0; i < GROUPS; i++)
        group_destroy(&entry->groups[i]);
    free(entry->kills);
    free(entry->expiries);
}

store_t *store_new(uint64_t hash_seed)
{
    store_t *self = mem_zero(1, sizeof *self);
    table_init(&self->keys, hash_seed, kept_name);
    return self;
}

void store_destroy(store_t **self_p)
{
    store_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t at = 0; (at = table_next(&self->keys, at)) != TABLE_NONE; at++)
        store_free_kept(self, at);
    table_free(&self->keys);
    store_walk_free(self);
    free(self->origins);
    free(self);
    *self_p = NULL;
}

void store_seed(store_t *self, uint64_t hash_seed)
{
    assert(self->keys.size == 0);
    table_free(&self->keys);
    table_init(&self->keys, hash_seed, kept_name);
}

void store_reserve(store_t *self, uint64_t keys)
{
    const uint64_t most = UINT64_C(1) << 26;
    table_reserve(&self->keys, (size_t)(keys < most ? keys : most));
}

void store_set_clock(store_t *self, hlc_t clock)
{
    self->clock = clock;
}

/* ---- the state of a key ---- */

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

mark_t entry_top(const entry_t *entry, store_type_t type)
{
    mark_t top = {0};
    if (type == STORE_REGISTER && entry->cell != NULL)
        top = cell_top_mark(entry->cell);
    if (type != STORE_REGISTER && entry->groups[group_index(type)] != NULL)
        top = entry->groups[group_index(type)]->top;
    return entry->kills != NULL ? greater(top, entry->kills->top[type_index(type)]) : top;
}

mark_t entry_kill(const entry_t *entry, store_type_t type)
{
    mark_t kill = {0};
    for (store_type_t other = STORE_REGISTER; other <= STORE_SET; other++)
        if (other != type)
            kill = greater(kill, entry_top(entry, other));
    return entry->kills != NULL ? greater(kill, entry->kills->deleted) : kill;
}

tag_t entry_cleared(const entry_t *entry)
{
    tag_t cleared = {0};
    if (entry->cell != NULL)
        cleared = entry->cell->base.tag;
    if (entry->kills == NULL)
        return cleared;
    return tag_max(cleared, tag_max(entry->kills->deleted.tag, entry->kills->cleared));
}

tag_t entry_expired(const entry_t *entry, hlc_t clock)
{
    const expiries_t *all = entry->expiries;
    tag_t expired = {0};
    for (uint32_t i = 0; all != NULL && i < all->size; i++) {
        hlc_t deadline = all->list[i].deadline;
        bool is_replaced = i + 1 < all->size && all->list[i + 1].mark.tag.hlc <= deadline;
        if (deadline != 0 && deadline <= clock && !is_replaced)
            expired = tag_max(expired, (tag_t){deadline, UINT64_MAX, UINT64_MAX});
    }
    return expired;
}

static bool group_shows(const group_t *group, tag_t expired)
{
    if (group == NULL || group->shown == 0)
        return false;
    if (tag_is_zero(expired))
        return true;
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++)
        if (cell_view_above(field_cell(group, at), expired).is_there)
            return true;
    return false;
}

store_type_t entry_type(const entry_t *entry, tag_t expired)
{
    for (int i = 0; i < GROUPS; i++)
        if (group_shows(entry->groups[i], expired))
            return (store_type_t)(STORE_HASH + i);
    if (entry->cell != NULL && cell_view_above(entry->cell, expired).is_there)
        return STORE_REGISTER;
    return STORE_NOTHING;
}

static void count(store_t *self, size_t slot, bool shows)
{
    kept_t *kept = table_at(&self->keys, slot);
    self->shown += shows;
    self->shown -= kept_has(kept, KEPT_COUNTED);
    kept_set(kept, KEPT_COUNTED, shows);
}

void store_count(store_t *self, size_t slot)
{
    unpacked_t room;
    const entry_t *entry = store_entry(self, slot, &room);
    count(self, slot, entry_type(entry, entry_expired(entry, self->clock)) != STORE_NOTHING);
}

/* ---- pruning ---- */

void group_remove(group_t *group, field_t *const *fields, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        table_remove(&group->fields, table_find(&group->fields, field_name(fields[i])));
        field_destroy(fields[i]);
    }
}

/* Forgets the fields at or under kill. */
static void prune_group(entry_t *entry, int index, tag_t kill)
{
    group_t *group = entry->groups[index];
    if (group == NULL)
        return;
    field_t **dead = mem_alloc((group->fields.size + 1) * sizeof *dead);
    size_t dead_size = 0;
    group->shown = group->bytes = 0;
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        field_t *field = table_at(&group->fields, at);
        if (cell_prune(&field->cell, kill)) {
            dead[dead_size++] = field;
            continue;
        }
        group->shown += cell_view(&field->cell).is_there;
        group->bytes += field_bytes(field);
    }
    group_remove(group, dead, dead_size);
    free(dead);
    if (group->fields.size == 0)
        group_destroy(&entry->groups[index]);
}

void entry_prune(entry_t *entry, store_type_t type, tag_t kill)
{
    if (type != STORE_REGISTER)
        prune_group(entry, group_index(type), kill);
    else if (entry->cell != NULL && cell_prune(entry->cell, kill))
        free_cell(entry);
}

static kills_t *kills_of(entry_t *entry)
{
    if (entry->kills == NULL) {
        kills_t *kills = mem_zero(1, sizeof *kills);
        for (store_type_t type = STORE_REGISTER; type <= STORE_SET; type++)
            kills->top[type_index(type)] = entry_top(entry, type);
        entry->kills = kills;
    }
    return entry->kills;
}

/* The cells that are pruned must leave their tops behind. */
static void save_tops(entry_t *entry)
{
    kills_t *kills = kills_of(entry);
    for (store_type_t type = STORE_REGISTER; type <= STORE_SET; type++)
        kills->top[type_index(type)] = entry_top(entry, type);
    if (entry->cell != NULL)
        kills->cleared = tag_max(kills->cleared, entry->cell->base.tag);
}

/* The one of the two that has the greater tag and sets a text. */
static mark_t greater_set(mark_t mark, const cell_t *cell)
{
    return cell_is_set_to(cell, NULL) ? mark : greater(mark, cell->base);
}

/* What keeps the key there after a delete. */
static uint64_t delete_lost_to(const entry_t *entry)
{
    mark_t set = {0};
    if (entry->cell != NULL)
        set = greater_set(set, entry->cell);
    for (int i = 0; i < GROUPS; i++) {
        const group_t *group = entry->groups[i];
        for (size_t at = 0; group != NULL && (at = table_next(&group->fields, at)) != TABLE_NONE;
             at++)
            set = greater_set(set, field_cell(group, at));
    }
    return set.dot.incarnation;
}

static uint64_t apply_delete(entry_t *entry, const mark_t *mark)
{
    save_tops(entry);
    entry->kills->deleted = greater(entry->kills->deleted, *mark);
    for (store_type_t type = STORE_REGISTER; type <= STORE_SET; type++)
        entry_prune(entry, type, entry->kills->deleted.tag);
    return delete_lost_to(entry);
}

/* An operation of one type kills what other types did before it. */
static void apply_type(entry_t *entry, store_type_t type, const mark_t *mark)
{
    bool has_other = type != STORE_REGISTER && entry->cell != NULL;
    for (int i = 0; i < GROUPS; i++)
        has_other |= entry->groups[i] != NULL && group_index(type) != i;
    if (entry->kills == NULL && !has_other)
        return; /* the cells of this type know their own top */
    save_tops(entry);
    mark_t *top = &entry->kills->top[type_index(type)];
    *top = greater(*top, *mark);
    for (store_type_t other = STORE_REGISTER; other <= STORE_SET; other++)
        if (other != type)
            entry_prune(entry, other, mark->tag);
}

/* ---- deadlines ---- */

/* A set or delete of the whole key under tag: deadlines set before it are void. */
static void clear_expiries(entry_t *entry, tag_t tag)
{
    expiries_t *all = entry->expiries;
    uint32_t drop = 0;
    if (all == NULL)
        return;
    while (drop < all->size && tag_compare(all->list[drop].mark.tag, tag) < 0)
        drop++;
    all->size -= drop;
    memmove(all->list, all->list + drop, all->size * sizeof *all->list);
    if (all->size == 0) {
        free(all);
        entry->expiries = NULL;
    }
}

static void apply_expiry(entry_t *entry, const mark_t *mark, hlc_t deadline)
{
    expiries_t *all = entry->expiries;
    if (tag_compare(mark->tag, entry_cleared(entry)) <= 0)
        return;
    uint32_t size = all != NULL ? all->size : 0;
    uint32_t at = size;
    while (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) > 0)
        at--;
    if (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) == 0)
        return; /* a second copy */
    if (size == EXPIRIES_MAX && at == 0)
        return;
    if (size == EXPIRIES_MAX) {
        memmove(all->list, all->list + 1, --size * sizeof *all->list);
        at--;
    }
    if (all == NULL || size == all->capacity) {
        uint32_t capacity = all != NULL ? all->capacity * 2 : 1;
        all = mem_resize(all, sizeof *all + capacity * sizeof *all->list);
        all->capacity = capacity;
        entry->expiries = all;
    }
    memmove(all->list + at + 1, all->list + at, (size - at) * sizeof *all->list);
    all->list[at] = (expiry_t){*mark, deadline};
    all->size = size + 1;
}

/* ---- applying ---- */

static bool takes_away(const op_t *op)
{
    return op->code == OP_HDEL || op->code == OP_SREM;
}

/* The text that it sets; NULL for a delete. */
static const slice_t *text_of(const op_t *op)
{
    return takes_away(op) ? NULL : &op->value;
}

/* What it asks for is there already. */
static bool agrees(const cell_t *cell, const op_t *op)
{
    return !op_adds(op) && cell_is_set_to(cell, text_of(op));
}

/* An increment over a text that is no number, unless the text had expired before it. */
static bool is_void(const entry_t *entry, const cell_t *cell, const mark_t *mark)
{
    return cell->text != NULL && !cell->is_number &&
           tag_compare(cell->base.tag, entry_expired(entry, mark->tag.hlc)) > 0;
}

static uint64_t apply_to_cell(const entry_t *entry, cell_t *cell, const op_t *op,
                              const mark_t *mark)
{
    bool shows = op_adds(op) ? cell_add(cell, mark, op->amount) && !is_void(entry, cell, mark)
                             : cell_set(cell, mark, text_of(op));
    return shows || agrees(cell, op) ? 0 : cell->base.dot.incarnation;
}

void group_init(const store_t *store, entry_t *entry, int index)
{
    entry->groups[index] = mem_zero(1, sizeof *entry->groups[index]);
    table_init(&entry->groups[index]->fields, store->keys.seed, field_name);
}

field_t *group_add(group_t *group, slice_t name)
{
    field_t *field = mem_zero(1, sizeof *field + name.size);
    field->name_size = (uint32_t)name.size;
    if (name.size != 0)
        memcpy(field->name, name.data, name.size);
    table_add(&group->fields, field);
    return field;
}

static uint64_t apply_field(const store_t *self, entry_t *entry, const op_t *op, const mark_t *mark)
{
    int index = group_index(store_op_type(op->code));
    if (entry->groups[index] == NULL)
        group_init(self, entry, index);
    group_t *group = entry->groups[index];
    size_t at = table_find(&group->fields, op->field);
    field_t *field = at != TABLE_NONE ? table_at(&group->fields, at) : group_add(group, op->field);
    group->shown -= cell_view(&field->cell).is_there;
    group->bytes -= at != TABLE_NONE ? field_bytes(field) : 0;
    uint64_t lost_to = apply_to_cell(entry, &field->cell, op, mark);
    group->shown += cell_view(&field->cell).is_there;
    group->bytes += field_bytes(field);
    group->top = greater(group->top, *mark);
    return lost_to;
}

/* ---- how great a key may be ---- */

static size_t entry_bytes(const entry_t *entry)
{
    size_t bytes = entry->cell != NULL ? cell_bytes(entry->cell) : 0;
    for (int i = 0; i < GROUPS; i++)
        bytes += entry->groups[i] != NULL ? entry->groups[i]->bytes : 0;
    return bytes;
}

size_t store_key_bytes(const store_t *self, slice_t key)
{
    unpacked_t room;
    size_t slot = table_find(&self->keys, key);
    return slot != TABLE_NONE ? entry_bytes(store_entry(self, slot, &room)) : 0;
}

/*
 * By how much the operation makes its key greater; entry NULL: it is not there yet. To take away
 * what is not there leaves a tombstone.
 */
static int64_t growth(const entry_t *entry, const op_t *op)
{
    const cell_t *cell = entry != NULL ? entry_cell(entry, op) : NULL;
    bool is_register = store_op_type(op->code) == STORE_REGISTER;
    size_t bytes = cell == NULL && !is_register ? sizeof(field_t) + op->field.size : 0;
    if (op_adds(op))
        return (int64_t)(bytes + cell_add_bytes(cell));
    return (int64_t)(bytes + op->value.size) - (int64_t)(cell != NULL ? cell_bytes(cell) : 0);
}

bool store_outgrows(const store_t *self, const op_t *ops, size_t size)
{
    unpacked_t room;
    const entry_t *entry = NULL;
    slice_t key = {0}; /* the present one */
    int64_t bytes = 0; /* that it has */
    int64_t grown = 0;
    for (size_t i = 0; i < size; i++) {
        const op_t *op = &ops[i];
        if (op->code == OP_SET || op->code == OP_DEL || op->code == OP_EXPIRE)
            continue;
        if (!slice_equal(key, op->key)) {
            key = op->key;
            size_t slot = table_find(&self->keys, key);
            entry = slot != TABLE_NONE ? store_entry(self, slot, &room) : NULL;
            bytes = entry != NULL ? (int64_t)entry_bytes(entry) : 0;
            grown = 0;
        }
        grown += growth(entry, op);
        if (grown > 0 && bytes + grown > STORE_KEY_BYTES_MAX)
            return true;
    }
    return false;
}

/* What is under a kill has lost to that, or to what was set again since. */
static uint64_t dead_lost_to(const entry_t *entry, const op_t *op, const mark_t *kill)
{
    const cell_t *cell = entry_cell(entry, op);
    if (cell == NULL || tag_is_zero(cell->base.tag))
        return takes_away(op) ? 0 : kill->dot.incarnation;
    return agrees(cell, op) ? 0 : cell->base.dot.incarnation;
}

static uint64_t apply_typed(const store_t *self, entry_t *entry, const op_t *op, const mark_t *mark)
{
    store_type_t type = store_op_type(op->code);
    apply_type(entry, type, mark);
    if (op->code == OP_SET)
        clear_expiries(entry, mark->tag);
    mark_t kill = entry_kill(entry, type);
    if (tag_compare(mark->tag, kill.tag) <= 0) {
        /* Dead on arrival; its tag has done what it had to do, but for deadlines set before it. */
        if (op->code == OP_SET)
            entry->kills->cleared = tag_max(entry->kills->cleared, mark->tag);
        return dead_lost_to(entry, op, &kill);
    }
    if (type != STORE_REGISTER)
        return apply_field(self, entry, op, mark);
    if (entry->cell == NULL)
        entry->cell = mem_zero(1, sizeof *entry->cell);
    return apply_to_cell(entry, entry->cell, op, mark);
}

void store_set_unstable(store_t *self, size_t slot, bool is_unstable)
{
    self->unstable -= table_has_mark(&self->keys, slot, KEY_UNSTABLE);
    self->unstable += is_unstable;
    table_set_mark(&self->keys, slot, KEY_UNSTABLE, is_unstable);
}

static uint64_t apply_to_entry(const store_t *self, entry_t *entry, const op_t *op,
                               const mark_t *mark)
{
    uint64_t lost_to = 0;
    if (op->code == OP_DEL) {
        lost_to = apply_delete(entry, mark);
        clear_expiries(entry, mark->tag);
    } else if (op->code == OP_EXPIRE) {
        apply_expiry(entry, mark, (hlc_t)op->amount);
    } else {
        lost_to = apply_typed(self, entry, op, mark);
    }
    return lost_to;
}

/* A set of a register of which nothing else is known, if it is to be set: the common case. */
static bool apply_set(store_t *self, size_t slot, const op_t *op, const mark_t *mark)
{
    unpacked_t room;
    const entry_t *entry = store_entry(self, slot, &room);
    if (op->code != OP_SET ||
        (entry->cell != NULL && tag_compare(mark->tag, entry->cell->base.tag) <= 0))
        return false;
    return store_set_packed(self, slot, mark, op->value);
}

uint64_t store_apply(store_t *self, const op_t *op, const mark_t *mark)
{
    uint64_t lost_to = 0;
    size_t slot = table_find(&self->keys, op->key);
    bool is_new = slot == TABLE_NONE;
    if (is_new)
        slot = store_add(self, op->key);
    store_before_change(self, slot, is_new);
    if (apply_set(self, slot, op, mark)) {
        count(self, slot, true);
    } else {
        lost_to = apply_to_entry(self, store_open(self, slot), op, mark);
        store_count(self, slot);
    }
    store_set_unstable(self, slot, true);
    return lost_to;
}

void store_remove(store_t *self, size_t slot)
{
    store_before_removal(self, slot);
    store_set_unstable(self, slot, false);
    count(self, slot, false);
    store_free_kept(self, slot);
    table_remove(&self->keys, slot);
}

size_t store_entries(const store_t *self)
{
    return self->keys.size;
}

size_t store_keys(const store_t *self)
{
    return self->shown;
}
