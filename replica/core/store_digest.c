/*
 * What the store shows as numbers, for comparing replicas. A bucket is the keys whose hashes begin
 * with the same bits, and replicas of one cluster hash alike (store_new).
 */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "replica/core/store_internal.h"

enum {
    HASH_BITS = 32,
    PAGE_KEYS = 1024, /* between two looks at how far it has come */
    LIST_KEYS = 64,   /* likewise: a bucket should have about as many */
};

static uint64_t digest_cell(slice_t key, slice_t field, store_type_t type, const cell_view_t *view)
{
    uint8_t number[24];
    slice_t text = view->text;
    if (view->is_number) {
        int size = snprintf((char *)number, sizeof number, "%lld", (long long)view->number);
        text = slice_of(number, (size_t)size);
    }
    uint64_t seed = XXH3_64bits_withSeed(key.data, key.size, type);
    seed = XXH3_64bits_withSeed(field.data, field.size, seed);
    return XXH3_64bits_withSeed(text.data, text.size, seed);
}

/* One that has passed was of what the key held then. */
static uint64_t digest_deadline(slice_t key, const entry_t *entry, hlc_t clock)
{
    uint8_t bytes[8];
    const expiries_t *all = entry->expiries;
    hlc_t deadline = all != NULL ? all->list[all->size - 1].deadline : 0;
    if (deadline <= clock)
        return 0;
    be64_put(bytes, deadline);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, XXH3_64bits(key.data, key.size));
}

static uint64_t digest_entry(slice_t key, const entry_t *entry, hlc_t clock)
{
    tag_t expired = entry_expired(entry, clock);
    store_type_t type = entry_type(entry, expired);
    if (type == STORE_NOTHING)
        return 0;
    uint64_t sum =
        digest_deadline(key, entry, clock); /* a sum: the order of the walk does not matter */
    if (type == STORE_REGISTER) {
        cell_view_t view = cell_view_above(entry->cell, expired);
        return sum + digest_cell(key, slice_of(NULL, 0), type, &view);
    }
    const group_t *group = entry_group(entry, type);
    for (size_t at = 0; (at = table_next(&group->fields, at)) != TABLE_NONE; at++) {
        cell_view_t view = cell_view_above(field_cell(group, at), expired);
        if (view.is_there)
            sum += digest_cell(key, group->fields.name(table_at(&group->fields, at)), type, &view);
    }
    return sum;
}

static uint64_t digest_slot(const store_t *self, size_t slot, hlc_t clock)
{
    unpacked_t room;
    const entry_t *entry = store_entry(self, slot, &room);
    return digest_entry(kept_name(table_at(&self->keys, slot)), entry, clock);
}

uint64_t store_digest(const store_t *self)
{
    uint64_t sum = 0;
    for (size_t at = 0; (at = table_next(&self->keys, at)) != TABLE_NONE; at++)
        sum += digest_slot(self, at, self->clock);
    return sum;
}

/* ---- by buckets ---- */

static uint32_t bucket_of(const store_t *self, size_t slot, unsigned bits)
{
    return (uint32_t)((uint64_t)table_hash(&self->keys, slot) >> (HASH_BITS - bits));
}

typedef struct summing {
    const store_t *store;
    unsigned bits;
    uint32_t first;
    hlc_t clock;
    uint64_t *sums;
    uint32_t size;
} summing_t;

static void sum_slot(void *arg, size_t slot)
{
    summing_t *summing = arg;
    uint32_t place = bucket_of(summing->store, slot, summing->bits) - summing->first;
    if (place < summing->size)
        summing->sums[place] += digest_slot(summing->store, slot, summing->clock);
}

uint32_t store_digests(const store_t *self, unsigned bits, uint32_t first, size_t most, hlc_t clock,
                       uint64_t *sums, uint32_t size)
{
    assert(bits <= STORE_BUCKET_BITS_MAX && first < UINT32_C(1) << bits && size != 0);
    unsigned shift = HASH_BITS - bits;
    summing_t summing = {self, bits, first, clock, sums, size};
    uint64_t end = TABLE_END >> shift;
    if (end - first > size)
        end = first + (uint64_t)size;
    summing.size = (uint32_t)(end - first);
    for (uint32_t i = 0; i < summing.size; i++)
        sums[i] = 0;
    size_t given = 0;
    uint64_t cursor = (uint64_t)first << shift;
    while (cursor >> shift < end && (given < most || cursor >> shift == first)) {
        cursor = table_page(&self->keys, cursor, PAGE_KEYS, sum_slot, &summing);
        given += PAGE_KEYS;
    }
    return cursor >> shift < end ? (uint32_t)((cursor >> shift) - first) : summing.size;
}

typedef struct listing {
    const store_t *store;
    unsigned bits;
    uint32_t bucket;
    hlc_t clock;
    store_shown_fn *fn;
    void *arg;
    bool is_over;
    seen_t seen;
} listing_t;

static void list_slot(void *arg, size_t slot)
{
    listing_t *listing = arg;
    unpacked_t room;
    if (listing->is_over || bucket_of(listing->store, slot, listing->bits) != listing->bucket)
        return;
    const entry_t *entry = store_entry(listing->store, slot, &room);
    store_shown_t shown = {
        .key = kept_name(table_at(&listing->store->keys, slot)),
        .type = entry_type(entry, entry_expired(entry, listing->clock)),
        .digest = digest_slot(listing->store, slot, listing->clock),
    };
    seen_reset(&listing->seen);
    entry_see(entry, shown.type, &listing->seen);
    shown.dots = &listing->seen.dots;
    listing->is_over = !listing->fn(listing->arg, &shown);
}

void store_each_shown(const store_t *self, unsigned bits, uint32_t bucket, hlc_t clock,
                      store_shown_fn *fn, void *arg)
{
    assert(bits <= STORE_BUCKET_BITS_MAX && bucket < UINT32_C(1) << bits);
    unsigned shift = HASH_BITS - bits;
    listing_t listing = {
        .store = self, .bits = bits, .bucket = bucket, .clock = clock, .fn = fn, .arg = arg};
    uint64_t cursor = (uint64_t)bucket << shift;
    while (!listing.is_over && cursor >> shift == bucket)
        cursor = table_page(&self->keys, cursor, LIST_KEYS, list_slot, &listing);
    seen_free(&listing.seen);
}
