#include "control/filter.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

/* The numbers of a request or of an update. */
typedef struct numbers {
    uint64_t one;
    uint64_t other;
} numbers_t;

/* The latest ids, in a ring. */
typedef struct ring {
    numbers_t list[FILTER_IDS];
    size_t next;
} ring_t;

struct filter {
    char *key;
    size_t size;
    ring_t requests;
    ring_t updates;
};

filter_t *filter_new(slice_t key)
{
    filter_t *self = mem_zero(1, sizeof(*self));

    self->size = key.size < TRACE_KEY_MAX ? key.size : TRACE_KEY_MAX; /* as items have it */
    self->key = mem_text(key.data, self->size);
    return self;
}

void filter_destroy(filter_t **self)
{
    if (*self == NULL)
        return;
    free((*self)->key);
    free(*self);
    *self = NULL;
}

static bool has(const ring_t *ids, numbers_t id)
{
    if (id.one == 0)
        return false;
    for (size_t i = 0; i < FILTER_IDS; i++)
        if (ids->list[i].one == id.one && ids->list[i].other == id.other)
            return true;
    return false;
}

static void remember(ring_t *ids, numbers_t id)
{
    if (id.one == 0 || has(ids, id))
        return;
    ids->list[ids->next] = id;
    ids->next = (ids->next + 1) % FILTER_IDS;
}

bool filter_takes(filter_t *self, const trace_item_t *item)
{
    numbers_t request = {item->session, item->seq};
    numbers_t update = {item->update.incarnation, item->update.count};

    if (self->size == 0)
        return true;
    if (item->kind == TRACE_EVENT) /* its number is no request's */
        return false;
    if (item->key.size == 0)
        return has(&self->requests, request) || has(&self->updates, update);
    if (!slice_equal(item->key, slice_of(self->key, self->size)))
        return false;
    remember(&self->requests, request);
    remember(&self->updates, update);
    return true;
}
