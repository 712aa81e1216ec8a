#include "control/bucket.h"

#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/control.h"

/* A key at one replica. */
typedef struct item {
    size_t node;
    compare_key_t key;
} item_t;

typedef struct bucket {
    const compare_shown_t *shown;
    size_t count;
    vec_t *vectors; /* of the replicas */
    item_t *items;
    size_t size;
} bucket_t;

static int compare_items(const void *a, const void *b)
{
    const item_t *one = a;
    const item_t *other = b;
    int order = slice_compare(one->key.key, other->key.key);
    return order != 0 ? order : (one->node > other->node) - (one->node < other->node);
}

static void open_bucket(bucket_t *self)
{
    size_t total = 0;
    for (size_t i = 0; i < self->count; i++)
        total += self->shown[i].keys;
    self->items = mem_alloc((total + 1) * sizeof(*self->items));
    self->vectors = mem_zero(self->count + 1, sizeof(*self->vectors));
    for (size_t i = 0; i < self->count; i++) {
        mp_t in = mp_open(self->shown[i].keys_at);
        item_t *item = &self->items[self->size];
        control_vector(self->shown[i].vector, &self->vectors[i]);
        for (uint32_t k = 0; k < self->shown[i].keys && compare_key_next(&in, &item->key); k++) {
            item->node = i;
            item = &self->items[++self->size];
        }
    }
    qsort(self->items, self->size, sizeof(*self->items), compare_items);
}

static void close_bucket(bucket_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        vec_free(&self->vectors[i]);
    free(self->vectors);
    free(self->items);
}

static bool is_covered(slice_t dots, const vec_t *vector)
{
    vec_t parts = {0};
    control_vector(dots, &parts);
    bool is_covered = vec_covers(vector, &parts);
    vec_free(&parts);
    return is_covered;
}

/* How replica i shows the key that these items are of; it may have nothing of it. */
static compare_key_t key_at(const item_t *items, size_t size, size_t i)
{
    static const uint8_t no_parts[] = {0x90};
    for (size_t k = 0; k < size; k++)
        if (items[k].node == i)
            return items[k].key;
    return (compare_key_t){
        .key = items[0].key.key,
        .type = slice_text("none"),
        .dots = slice_of(no_parts, sizeof(no_parts)),
    };
}

/* Looks at all pairs; false when all show it alike. */
static bool judge(const bucket_t *self, const item_t *items, size_t size, bucket_finding_t *out)
{
    bool is_found = false;
    for (size_t i = 0; i < self->count; i++) {
        compare_key_t one = key_at(items, size, i);
        for (size_t j = i + 1; j < self->count; j++) {
            compare_key_t other = key_at(items, size, j);
            if (one.digest == other.digest || self->shown[i].is_cut || self->shown[j].is_cut)
                continue;
            *out = (bucket_finding_t){BUCKET_UNSETTLED, one.key, {i, j}, {one.type, other.type}};
            is_found = true;
            if (!is_covered(one.dots, &self->vectors[j]) ||
                !is_covered(other.dots, &self->vectors[i]))
                continue;
            out->verdict = BUCKET_DIFFERS;
            return true;
        }
    }
    return is_found;
}

size_t bucket_compare(const compare_shown_t *shown, size_t count, bucket_fn *fn, void *arg)
{
    bucket_t self = {.shown = shown, .count = count};
    bucket_finding_t finding;
    size_t cut = 0;

    open_bucket(&self);
    for (size_t at = 0; at < self.size;) {
        size_t end = at + 1;
        while (end < self.size && slice_equal(self.items[end].key.key, self.items[at].key.key))
            end++;
        if (judge(&self, &self.items[at], end - at, &finding))
            fn(arg, &finding);
        at = end;
    }
    for (size_t i = 0; i < count; i++)
        cut += shown[i].is_cut;
    close_bucket(&self);
    return cut;
}
