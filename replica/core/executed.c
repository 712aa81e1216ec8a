#include "replica/core/executed.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"

enum { RESULT_INLINE = 16 }; /* "done" and integers fit */

typedef struct entry {
    uint64_t seq;
    hlc_t hlc;
    vec_part_t dot;
    uint32_t size;
    union {
        uint8_t here[RESULT_INLINE];
        uint8_t *there;
    } result;
} entry_t;

typedef struct client {
    uint64_t id;
    uint64_t floor;
    entry_t *entries; /* sorted by seq */
    uint32_t size;
    uint32_t capacity;
    UT_hash_handle hh;
} client_t;

struct executed {
    client_t *clients;
    size_t entries;
};

static void entry_free(entry_t *entry)
{
    if (entry->size > RESULT_INLINE)
        free(entry->result.there);
}

executed_t *executed_new(void)
{
    return mem_zero(1, sizeof(executed_t));
}

void executed_destroy(executed_t **self_p)
{
    executed_t *self = *self_p;
    if (self == NULL)
        return;
    client_t *client;
    client_t *next;
    HASH_ITER(hh, self->clients, client, next)
    {
        HASH_DEL(self->clients, client);
        for (uint32_t i = 0; i < client->size; i++)
            entry_free(&client->entries[i]);
        free(client->entries);
        free(client);
    }
    free(self);
    *self_p = NULL;
}

static client_t *find_client(const executed_t *self, uint64_t id)
{
    client_t *client;
    HASH_FIND(hh, self->clients, &id, sizeof id, client);
    return client;
}

static client_t *get_client(executed_t *self, uint64_t id)
{
    client_t *client = find_client(self, id);
    if (client != NULL)
        return client;
    client = mem_zero(1, sizeof *client);
    client->id = id;
    HASH_ADD(hh, self->clients, id, sizeof client->id, client);
    return client;
}

/* The place of seq, or where it would stand; most often the end. */
static uint32_t place(const client_t *client, uint64_t seq)
{
    uint32_t at = client->size;
    while (at > 0 && client->entries[at - 1].seq >= seq)
        at--;
    return at;
}

executed_state_t executed_find(const executed_t *self, uint64_t id, uint64_t seq,
                               executed_hit_t *hit)
{
    const client_t *client = find_client(self, id);
    if (client == NULL)
        return EXECUTED_NOT;
    if (seq <= client->floor)
        return EXECUTED_BELOW_FLOOR;
    uint32_t at = place(client, seq);
    if (at < client->size && client->entries[at].seq == seq) {
        const entry_t *e = &client->entries[at];
        const uint8_t *result = e->size > RESULT_INLINE ? e->result.there : e->result.here;
        *hit = (executed_hit_t){{e->hlc, id, seq}, e->dot, slice_of(result, e->size)};
        return EXECUTED_HIT;
    }
    return client->size >= EXECUTED_PER_CLIENT_MAX ? EXECUTED_FULL : EXECUTED_NOT;
}

void executed_add(executed_t *self, tag_t tag, vec_part_t dot, slice_t result)
{
    client_t *client = get_client(self, tag.client);
    uint32_t at = place(client, tag.seq);
    if (tag.seq <= client->floor || (at < client->size && client->entries[at].seq == tag.seq))
        return;
    if (client->size == client->capacity) {
        client->capacity = client->capacity != 0 ? client->capacity * 2 : 4;
        client->entries = mem_resize(client->entries, client->capacity * sizeof(entry_t));
    }
    entry_t *e = &client->entries[at];
    memmove(e + 1, e, (client->size - at) * sizeof *e);
    *e = (entry_t){.seq = tag.seq, .hlc = tag.hlc, .dot = dot, .size = (uint32_t)result.size};
    if (result.size > RESULT_INLINE)
        e->result.there = (uint8_t *)mem_text(result.data, result.size);
    else if (result.size != 0)
        memcpy(e->result.here, result.data, result.size);
    client->size++;
    self->entries++;
}

void executed_raise_floor(executed_t *self, uint64_t id, uint64_t floor)
{
    client_t *client = floor != 0 ? get_client(self, id) : NULL;
    if (client == NULL || client->floor >= floor)
        return;
    client->floor = floor;
    uint32_t drop = 0;
    while (drop < client->size && client->entries[drop].seq <= floor)
        entry_free(&client->entries[drop++]);
    client->size -= drop;
    self->entries -= drop;
    if (drop != 0)
        memmove(client->entries, client->entries + drop, client->size * sizeof(entry_t));
}

size_t executed_entries(const executed_t *self)
{
    return self->entries;
}

size_t executed_clients(const executed_t *self)
{
    return HASH_COUNT(self->clients);
}
