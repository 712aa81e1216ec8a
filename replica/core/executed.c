#include "replica/core/executed.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include <utlist.h>

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
    vec_t deps; /* empty when the result tells of nothing read */
} entry_t;

typedef struct client {
    uint64_t id;
    uint64_t floor;
    entry_t *entries; /* sorted by seq */
    uint32_t size;
    uint32_t capacity;
    mark_t last; /* its update with the greatest tag */
    struct client *next;
    struct client *prev;
    UT_hash_handle hh;
} client_t;

struct executed {
    client_t *clients;
    client_t *order; /* the same, the longest silent first */
    size_t entries;
};

static void entry_free(entry_t *entry)
{
    if (entry->size > RESULT_INLINE)
        free(entry->result.there);
    vec_free(&entry->deps);
}

static slice_t result_of(const entry_t *entry)
{
    return slice_of(entry->size > RESULT_INLINE ? entry->result.there : entry->result.here,
                    entry->size);
}

bool executed_tells_of_a_read(slice_t result)
{
    mp_t in = mp_open(result);
    return mp_peek(&in) != MP_BOOL;
}

static void client_free(executed_t *self, client_t *client)
{
    HASH_DEL(self->clients, client);
    DL_DELETE(self->order, client);
    for (uint32_t i = 0; i < client->size; i++)
        entry_free(&client->entries[i]);
    self->entries -= client->size;
    free(client->entries);
    free(client);
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
        client_free(self, client);
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
    DL_APPEND(self->order, client);
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
        slice_t result = result_of(e);
        *hit = (executed_hit_t){
            .tag = {e->hlc, id, seq},
            .dot = e->dot,
            .result = result,
            .deps = executed_tells_of_a_read(result) ? &e->deps : NULL,
        };
        return EXECUTED_HIT;
    }
    if (at < client->size)
        return EXECUTED_PASSED;
    return client->size >= EXECUTED_PER_CLIENT_MAX ? EXECUTED_FULL : EXECUTED_NOT;
}

void executed_add(executed_t *self, tag_t tag, vec_part_t dot, slice_t result, const vec_t *deps)
{
    client_t *client = get_client(self, tag.client);
    if (tag_compare(tag, client->last.tag) > 0)
        client->last = (mark_t){tag, dot};
    DL_DELETE(self->order, client);
    DL_APPEND(self->order, client);
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
    if (executed_tells_of_a_read(result))
        vec_copy(&e->deps, deps);
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

/* ---- forgetting ---- */

static bool is_stable(const client_t *client, const stable_t *stable)
{
    if (!mark_is_stable(&client->last, stable))
        return false;
    for (uint32_t i = 0; i < client->size; i++)
        if (vec_get(stable->known, client->entries[i].dot.incarnation) <
            client->entries[i].dot.count)
            return false;
    return true;
}

size_t executed_forget(executed_t *self, const stable_t *stable, size_t most)
{
    size_t forgotten = 0;
    while (forgotten < most && self->order != NULL && is_stable(self->order, stable)) {
        client_free(self, self->order);
        forgotten++;
    }
    return forgotten;
}

/* ---- as bytes ---- */

static void put_client(buf_t *out, const client_t *client)
{
    mp_put_uint(out, client->floor);
    mark_put(out, &client->last);
    mp_put_uint(out, client->size);
    for (uint32_t i = 0; i < client->size; i++) {
        const entry_t *e = &client->entries[i];
        mp_put_uint(out, e->seq);
        mp_put_uint(out, e->hlc);
        mp_put_uint(out, e->dot.incarnation);
        mp_put_uint(out, e->dot.count);
        mp_put_bin(out, result_of(e));
        mp_put_vector(out, &e->deps);
    }
}

void executed_each(const executed_t *self, executed_row_fn *fn, void *arg)
{
    const client_t *client;
    buf_t row = {0};
    DL_FOREACH(self->order, client)
    {
        buf_reset(&row);
        put_client(&row, client);
        fn(arg, client->id, buf_slice(&row));
    }
    buf_free(&row);
}

bool executed_load(executed_t *self, uint64_t id, slice_t row)
{
    mp_t in = mp_open(row);
    uint64_t floor = mp_uint(&in);
    mark_t last = mark_read(&in);
    uint64_t count = mp_uint(&in);
    vec_t deps = {0};
    for (uint64_t i = 0; i < count && mp_ok(&in); i++) {
        tag_t tag = {.client = id};
        vec_part_t dot;
        tag.seq = mp_uint(&in);
        tag.hlc = mp_uint(&in);
        dot.incarnation = mp_uint(&in);
        dot.count = mp_uint(&in);
        slice_t result = mp_bytes(&in);
        mp_vector(&in, &deps);
        if (mp_ok(&in))
            executed_add(self, tag, dot, result, &deps);
    }
    vec_free(&deps);
    if (!mp_done(&in))
        return false;
    client_t *client = get_client(self, id);
    client->last = last;
    executed_raise_floor(self, id, floor);
    return true;
}
