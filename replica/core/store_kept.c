/*
 * How a key is kept in memory. Of a key with 16 bytes and a value of 100 that is a register and was
 * only ever set, little may be added to these 116: 4 bytes of flags and sizes, 28 for its mark, and
 * nothing for that once it is stable, since no lesser tag can come any more. Whatever else is known
 * of a key makes it an entry_t with parts of their own, until store_fold has forgotten that.
 *
 * That a stable tag is not kept rests on two things: whatever comes has a greater tag, and so has a
 * deadline, which is behind the tag of what sets it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/wire/command.h"
#include "replica/core/store_internal.h"

/*
 * bits: KEPT_… | sizes of name and text. bytes: of a packed key its mark, if it has one, name and
 * text; of others a pointer to its entry, NULL before the first change, and the name.
 */
struct kept {
    uint32_t bits;
    uint8_t bytes[];
};

enum {
    KEPT_PACKED = 4,
    KEPT_MARKED = 8, /* a packed one whose mark is not stable */
    NAME_SHIFT = 4,
    NAME_BITS = 11,
    TEXT_SHIFT = NAME_SHIFT + NAME_BITS,
    TEXT_BITS = 32 - TEXT_SHIFT,
    TEXT_MAX = (1 << TEXT_BITS) - 1,
    MARK_SIZE = 28,
    ORIGINS_MAX = UINT16_MAX,
};

static_assert(COMMAND_KEY_MAX < 1 << NAME_BITS, "the size of a key has its bits");

/* Less than any other, and greater than none at all. */
static const mark_t STABLE_MARK = {{1, 0, 0}, {0, 0}};

static uint32_t name_size(const kept_t *self)
{
    return self->bits >> NAME_SHIFT & ((1U << NAME_BITS) - 1);
}

static uint32_t text_size(const kept_t *self)
{
    return self->bits >> TEXT_SHIFT;
}

/* Of what is before the name. */
static size_t head_size(uint32_t bits)
{
    if ((bits & KEPT_PACKED) == 0)
        return sizeof(entry_t *);
    return (bits & KEPT_MARKED) != 0 ? MARK_SIZE : 0;
}

slice_t kept_name(const void *kept)
{
    const kept_t *self = kept;
    return slice_of(self->bytes + head_size(self->bits), name_size(self));
}

bool kept_has(const kept_t *self, uint32_t flag)
{
    return (self->bits & flag) != 0;
}

void kept_set(kept_t *self, uint32_t flag, bool is_set)
{
    self->bits = is_set ? self->bits | flag : self->bits & ~flag;
}

/* One of this form with the flags for users of the old one, which may be NULL; not filled in. */
static kept_t *kept_new(const kept_t *old, uint32_t form, slice_t name, size_t text)
{
    uint32_t bits = form | (uint32_t)name.size << NAME_SHIFT | (uint32_t)text << TEXT_SHIFT;
    kept_t *self = mem_alloc(sizeof *self + head_size(bits) + name.size + text);
    if (old != NULL)
        bits |= old->bits & (KEPT_CHANGED | KEPT_COUNTED);
    self->bits = bits;
    memcpy(self->bytes + head_size(bits), name.data, name.size);
    return self;
}

/* ---- those with an entry ---- */

static entry_t *entry_of(const kept_t *self)
{
    entry_t *entry;
    memcpy(&entry, self->bytes, sizeof entry);
    return entry;
}

static void set_entry(kept_t *self, entry_t *entry)
{
    memcpy(self->bytes, &entry, sizeof entry);
}

size_t store_add(store_t *self, slice_t key)
{
    kept_t *kept = kept_new(NULL, 0, key, 0);
    set_entry(kept, NULL);
    return table_add(&self->keys, kept);
}

void store_free_kept(store_t *self, size_t slot)
{
    kept_t *kept = table_at(&self->keys, slot);
    if (!kept_has(kept, KEPT_PACKED) && entry_of(kept) != NULL) {
        entry_free(entry_of(kept));
        free(entry_of(kept));
    }
    free(kept);
}

/* ---- marks ---- */

/* The place of an incarnation; the newest are at the end. */
static bool find_origin(const store_t *self, uint64_t incarnation, uint16_t *place)
{
    for (size_t i = self->origins_size; i > 0; i--)
        if (self->origins[i - 1] == incarnation) {
            *place = (uint16_t)(i - 1);
            return true;
        }
    return false;
}

static bool add_origin(store_t *self, uint64_t incarnation, uint16_t *place)
{
    if (find_origin(self, incarnation, place))
        return true;
    if (self->origins_size == ORIGINS_MAX)
        return false;
    if (self->origins_size == self->origins_capacity)
        self->origins = mem_grow(self->origins, &self->origins_capacity, sizeof *self->origins);
    *place = (uint16_t)self->origins_size;
    self->origins[self->origins_size++] = incarnation;
    return true;
}

/* Great numbers and incarnations without end go into an entry. */
static bool pack_mark(store_t *self, const mark_t *mark, uint8_t out[MARK_SIZE])
{
    uint16_t place;
    uint32_t seq = (uint32_t)mark->tag.seq;
    uint16_t high = (uint16_t)(mark->dot.count >> 32);
    uint32_t low = (uint32_t)mark->dot.count;
    if (mark->tag.seq > UINT32_MAX || mark->dot.count >> 48 != 0 ||
        !add_origin(self, mark->dot.incarnation, &place))
        return false;
    memcpy(out, &mark->tag.hlc, 8);
    memcpy(out + 8, &mark->tag.client, 8);
    memcpy(out + 16, &seq, 4);
    memcpy(out + 20, &low, 4);
    memcpy(out + 24, &high, 2);
    memcpy(out + 26, &place, 2);
    return true;
}

static mark_t unpack_mark(const store_t *self, const kept_t *kept)
{
    const uint8_t *in = kept->bytes;
    mark_t mark = STABLE_MARK;
    uint16_t place;
    uint16_t high;
    uint32_t seq;
    uint32_t low;
    if (!kept_has(kept, KEPT_MARKED))
        return mark;
    memcpy(&mark.tag.hlc, in, 8);
    memcpy(&mark.tag.client, in + 8, 8);
    memcpy(&seq, in + 16, 4);
    memcpy(&low, in + 20, 4);
    memcpy(&high, in + 24, 2);
    memcpy(&place, in + 26, 2);
    mark.tag.seq = seq;
    mark.dot = (vec_part_t){self->origins[place], (uint64_t)high << 32 | low};
    return mark;
}

/* ---- packed ones ---- */

static slice_t text_of(const kept_t *self)
{
    slice_t name = kept_name(self);
    return slice_of(name.data + name.size, text_size(self));
}

const entry_t *store_entry(const store_t *self, size_t slot, unpacked_t *room)
{
    const kept_t *kept = table_at(&self->keys, slot);
    *room = (unpacked_t){0};
    if (!kept_has(kept, KEPT_PACKED))
        return entry_of(kept) != NULL ? entry_of(kept) : &room->entry;
    slice_t text = text_of(kept);
    cell_t *cell = &room->cell;
    cell->base = unpack_mark(self, kept);
    cell->text = (uint8_t *)(uintptr_t)text.data; /* whoever gets the entry does not change it */
    cell->size = (uint32_t)text.size;
    cell->is_number = slice_to_int64(text, &cell->number);
    room->entry.cell = cell;
    return &room->entry;
}

entry_t *store_open(store_t *self, size_t slot)
{
    kept_t *kept = table_at(&self->keys, slot);
    entry_t *entry;
    if (!kept_has(kept, KEPT_PACKED)) {
        entry = entry_of(kept);
        if (entry == NULL)
            entry = mem_zero(1, sizeof *entry);
        set_entry(kept, entry);
        return entry;
    }
    mark_t mark = unpack_mark(self, kept);
    slice_t text = text_of(kept);
    entry = mem_zero(1, sizeof *entry);
    entry->cell = mem_zero(1, sizeof *entry->cell);
    cell_set(entry->cell, &mark, &text);
    kept_t *opened = kept_new(kept, 0, kept_name(kept), 0);
    set_entry(opened, entry);
    table_replace(&self->keys, slot, opened);
    free(kept);
    return entry;
}

/* Puts a packed key in the place of what is there; false when it cannot be one. */
static bool put_packed(store_t *self, size_t slot, const mark_t *mark, slice_t text)
{
    kept_t *kept = table_at(&self->keys, slot);
    uint8_t packed_mark[MARK_SIZE];
    bool is_stable = mark->dot.incarnation == 0;
    if (text.size > TEXT_MAX || (!is_stable && !pack_mark(self, mark, packed_mark)))
        return false;
    uint32_t form = KEPT_PACKED | (is_stable ? 0U : (uint32_t)KEPT_MARKED);
    kept_t *packed = kept;
    bool fits = (kept->bits & (KEPT_PACKED | KEPT_MARKED)) == form && text_size(kept) == text.size;
    if (!fits)
        packed = kept_new(kept, form, kept_name(kept), text.size);
    if (!is_stable)
        memcpy(packed->bytes, packed_mark, MARK_SIZE);
    if (text.size != 0)
        memmove(packed->bytes + head_size(packed->bits) + name_size(packed), text.data, text.size);
    if (fits)
        return true;
    table_replace(&self->keys, slot, packed);
    free(kept);
    return true;
}

bool store_set_packed(store_t *self, size_t slot, const mark_t *mark, slice_t text)
{
    const kept_t *kept = table_at(&self->keys, slot);
    bool is_plain = kept_has(kept, KEPT_PACKED) || entry_of(kept) == NULL;
    return is_plain && mark->dot.incarnation != 0 && put_packed(self, slot, mark, text);
}

static bool is_plain_cell(const entry_t *entry)
{
    for (int i = 0; i < GROUPS; i++)
        if (entry->groups[i] != NULL)
            return false;
    return entry->kills == NULL && entry->expiries == NULL && entry->cell != NULL &&
           entry->cell->increments == NULL && entry->cell->text != NULL;
}

void store_pack(store_t *self, size_t slot)
{
    const kept_t *kept = table_at(&self->keys, slot);
    if (kept_has(kept, KEPT_PACKED) || entry_of(kept) == NULL || !is_plain_cell(entry_of(kept)))
        return;
    entry_t *entry = entry_of(kept);
    slice_t text = slice_of(entry->cell->text, entry->cell->size);
    if (!put_packed(self, slot, &entry->cell->base, text))
        return;
    entry_free(entry);
    free(entry);
}

bool store_forget_mark(store_t *self, size_t slot)
{
    const kept_t *kept = table_at(&self->keys, slot);
    return kept_has(kept, KEPT_PACKED) && put_packed(self, slot, &STABLE_MARK, text_of(kept));
}
