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
static uint64_t digest_deadline(const entry_t *entry, hlc_t clock)
{
    uint8_t bytes[8];
    slice_t key = table_name(&entry->item);
    const expiries_t *all = entry->expiries;
    hlc_t deadline = all != NULL ? all->list[all->size - 1].deadline : 0;
    if (deadline <= clock)
        return 0;
    be64_put(bytes, deadline);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, XXH3_64bits(key.data, key.size));
}

static uint64_t digest_entry(const entry_t *entry, hlc_t clock)
{
    tag_t expired = entry_expired(entry, clock);
    slice_t key = table_name(&entry->item);
    store_type_t type = entry_type(entry, expired);
    if (type == STORE_NOTHING)
        return 0;
    uint64_t sum = digest_deadline(entry, clock); /* a sum: the order of the walk does not matter */
    if (type == STORE_REGISTER) {
        cell_view_t view = cell_view_above(entry->cell, expired);
        return sum + digest_cell(key, slice_of(NULL, 0), type, &view);
    }
    size_t at = 0;
    const group_t *group = entry_group(entry, type);
    for (table_item_t *item; (item = table_next(&group->fields, &at)) != NULL;) {
        cell_view_t view = cell_view_above(&((const field_t *)item)->cell, expired);
        if (view.is_there)
            sum += digest_cell(key, table_name(item), type, &view);
    }
    return sum;
}

uint64_t store_digest(const store_t *self)
{
    uint64_t sum = 0;
    size_t at = 0;
    for (table_item_t *item; (item = table_next(&self->keys, &at)) != NULL;) {
        const entry_t *entry = (const entry_t *)item;
        sum += digest_entry(entry, self->clock);
    }
    return sum;
}

/* ---- by buckets ---- */

static uint32_t bucket_of(const table_item_t *item, unsigned bits)
{
    return (uint32_t)((uint64_t)item->hash >> (HASH_BITS - bits));
}

typedef struct summing {
    unsigned bits;
    uint32_t first;
    hlc_t clock;
    uint64_t *sums;
    uint32_t size;
} summing_t;

static void sum_item(void *arg, table_item_t *item)
{
    summing_t *summing = arg;
    const entry_t *entry = (const entry_t *)item;
    uint32_t place = bucket_of(item, summing->bits) - summing->first;
    if (place < summing->size)
        summing->sums[place] += digest_entry(entry, summing->clock);
}

uint32_t store_digests(const store_t *self, unsigned bits, uint32_t first, size_t most, hlc_t clock,
                       uint64_t *sums, uint32_t size)
{
    assert(bits <= STORE_BUCKET_BITS_MAX && first < UINT32_C(1) << bits && size != 0);
    unsigned shift = HASH_BITS - bits;
    summing_t summing = {bits, first, clock, sums, size};
    uint64_t end = TABLE_END >> shift;
    if (end - first > size)
        end = first + (uint64_t)size;
    summing.size = (uint32_t)(end - first);
    for (uint32_t i = 0; i < summing.size; i++)
        sums[i] = 0;
    size_t given = 0;
    uint64_t cursor = (uint64_t)first << shift;
    while (cursor >> shift < end && (given < most || cursor >> shift == first)) {
        cursor = table_page(&self->keys, cursor, PAGE_KEYS, sum_item, &summing);
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
    seen_t seen;
} listing_t;

static void list_item(void *arg, table_item_t *item)
{
    listing_t *listing = arg;
    const entry_t *entry = (const entry_t *)item;
    if (bucket_of(item, listing->bits) != listing->bucket)
        return;
    store_shown_t shown = {
        .key = table_name(item),
        .type = entry_type(entry, entry_expired(entry, listing->clock)),
        .digest = digest_entry(entry, listing->clock),
    };
    seen_reset(&listing->seen);
    entry_see(entry, shown.type, &listing->seen);
    shown.dots = &listing->seen.dots;
    listing->fn(listing->arg, &shown);
}

void store_each_shown(const store_t *self, unsigned bits, uint32_t bucket, hlc_t clock,
                      store_shown_fn *fn, void *arg)
{
    assert(bits <= STORE_BUCKET_BITS_MAX && bucket < UINT32_C(1) << bits);
    unsigned shift = HASH_BITS - bits;
    listing_t listing = {self, bits, bucket, clock, fn, arg, {{0}, 0, 0}};
    uint64_t cursor = (uint64_t)bucket << shift;
    while (cursor >> shift == bucket)
        cursor = table_page(&self->keys, cursor, LIST_KEYS, list_item, &listing);
    seen_free(&listing.seen);
}
