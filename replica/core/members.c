#include "replica/core/members.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"

/* What a member said of itself. */
typedef struct said {
    bool is_there;
    vec_t vector;
    hlc_t floor;
    uint64_t view;
} said_t;

typedef struct known {
    said_t counted;
    said_t pending; /* its vector is not covered yet */
} known_t;

struct members {
    uint32_t size;
    peer_member_t rows[MEMBERS_MAX]; /* by id */
    known_t known[MEMBERS_MAX];
};

members_t *members_new(void)
{
    return mem_zero(1, sizeof(members_t));
}

static void forget(known_t *known)
{
    vec_free(&known->counted.vector);
    vec_free(&known->pending.vector);
    *known = (known_t){0};
}

void members_destroy(members_t **self_p)
{
    members_t *self = *self_p;
    if (self == NULL)
        return;
    for (uint32_t i = 0; i < self->size; i++)
        forget(&self->known[i]);
    free(self);
    *self_p = NULL;
}

/* ---- who they are ---- */

static uint32_t place(const members_t *self, uint16_t id)
{
    uint32_t at = 0;
    while (at < self->size && self->rows[at].id < id)
        at++;
    return at;
}

static bool is_at(const members_t *self, uint32_t at, uint16_t id)
{
    return at < self->size && self->rows[at].id == id;
}

/* A total order, so that rows with equal stamps end the same everywhere: who left has left. */
static bool is_newer(const peer_member_t *a, const peer_member_t *b)
{
    if (a->stamp != b->stamp)
        return a->stamp > b->stamp;
    if (a->state != b->state)
        return a->state > b->state;
    return a->incarnation > b->incarnation;
}

bool members_merge(members_t *self, const peer_member_t *row)
{
    uint32_t at = place(self, row->id);
    if (is_at(self, at, row->id)) {
        if (!is_newer(row, &self->rows[at]))
            return false;
        if (row->incarnation != self->rows[at].incarnation || row->state != MEMBER_IN)
            forget(&self->known[at]);
        self->rows[at] = *row;
        return true;
    }
    if (self->size == MEMBERS_MAX)
        return false;
    memmove(&self->rows[at + 1], &self->rows[at], (self->size - at) * sizeof self->rows[0]);
    memmove(&self->known[at + 1], &self->known[at], (self->size - at) * sizeof self->known[0]);
    self->rows[at] = *row;
    self->known[at] = (known_t){0};
    self->size++;
    return true;
}

const peer_member_t *members_find(const members_t *self, uint16_t id)
{
    uint32_t at = place(self, id);
    return is_at(self, at, id) ? &self->rows[at] : NULL;
}

const peer_member_t *members_of(const members_t *self, uint64_t incarnation)
{
    for (uint32_t i = 0; i < self->size; i++)
        if (self->rows[i].incarnation == incarnation)
            return &self->rows[i];
    return NULL;
}

bool members_has(const members_t *self, uint16_t id, uint64_t incarnation)
{
    const peer_member_t *row = members_find(self, id);
    return row != NULL && row->state == MEMBER_IN && row->incarnation == incarnation;
}

const peer_member_t *members_rows(const members_t *self, uint32_t *count)
{
    *count = self->size;
    return self->rows;
}

uint32_t members_count(const members_t *self)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->size; i++)
        count += self->rows[i].state == MEMBER_IN;
    return count;
}

uint64_t members_view(const peer_member_t *rows, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* The stamp as well: who left, came back and left again has not left as before. */
        const uint64_t row[] = {rows[i].id, rows[i].incarnation, rows[i].stamp, rows[i].state};
        sum += XXH3_64bits(row, sizeof row);
    }
    return sum;
}

/* ---- what they have ---- */

static void swap(said_t *a, said_t *b)
{
    said_t other = *a;
    *a = *b;
    *b = other;
}

void members_round(members_t *self, uint16_t id, uint64_t incarnation, const vec_t *vector,
                   hlc_t floor, uint64_t view)
{
    uint32_t at = place(self, id);
    if (!is_at(self, at, id) || !members_has(self, id, incarnation))
        return;
    said_t *pending = &self->known[at].pending;
    pending->is_there = true;
    vec_copy(&pending->vector, vector);
    pending->floor = floor;
    pending->view = view;
}

bool members_count_rounds(members_t *self, const vec_t *applied)
{
    bool has_counted = false;
    for (uint32_t i = 0; i < self->size; i++) {
        known_t *known = &self->known[i];
        if (!known->pending.is_there || !vec_covers(applied, &known->pending.vector))
            continue;
        swap(&known->counted, &known->pending);
        known->pending.is_there = false;
        has_counted = true;
    }
    return has_counted;
}

/* What counts of it, it said of the same members as are here. */
static bool agrees(const members_t *self, uint32_t at, uint64_t view)
{
    const said_t *counted = &self->known[at].counted;
    return counted->is_there && counted->view == view;
}

const peer_member_t *members_last(const members_t *self)
{
    uint64_t view = members_view(self->rows, self->size);
    uint32_t last = self->size;
    for (uint32_t i = 0; i < self->size; i++) {
        if (self->rows[i].state != MEMBER_IN)
            continue;
        if (!agrees(self, i, view))
            return &self->rows[i];
        if (last == self->size || self->known[i].counted.floor < self->known[last].counted.floor)
            last = i;
    }
    return last != self->size ? &self->rows[last] : NULL;
}

hlc_t members_horizon(const members_t *self)
{
    const peer_member_t *last = members_last(self);
    if (last == NULL)
        return 0;
    const said_t *counted = &self->known[last - self->rows].counted;
    return members_agree(self) ? counted->floor : 0;
}

hlc_t members_floor(const members_t *self)
{
    hlc_t floor = 0;
    for (uint32_t i = 0; i < self->size; i++) {
        const known_t *known = &self->known[i];
        if (self->rows[i].state != MEMBER_IN)
            continue;
        if (known->counted.is_there)
            floor = hlc_max(floor, known->counted.floor);
        if (known->pending.is_there)
            floor = hlc_max(floor, known->pending.floor);
    }
    return floor;
}

enum { NO_ID = UINT16_MAX + 1 };

static bool do_agree(const members_t *self, uint32_t but)
{
    uint64_t view = members_view(self->rows, self->size);
    for (uint32_t i = 0; i < self->size; i++)
        if (self->rows[i].state == MEMBER_IN && self->rows[i].id != but && !agrees(self, i, view))
            return false;
    return true;
}

bool members_agree(const members_t *self)
{
    return do_agree(self, NO_ID);
}

bool members_agree_but(const members_t *self, uint16_t id)
{
    return do_agree(self, id);
}

void members_known(const members_t *self, vec_t *out)
{
    bool is_first = true;
    vec_reset(out);
    for (uint32_t i = 0; i < self->size; i++) {
        const said_t *counted = &self->known[i].counted;
        if (self->rows[i].state != MEMBER_IN)
            continue;
        if (!counted->is_there) {
            vec_reset(out);
            return;
        }
        if (is_first)
            vec_copy(out, &counted->vector);
        for (uint32_t k = out->size; !is_first && k-- > 0;) {
            uint64_t count = vec_get(&counted->vector, out->parts[k].incarnation);
            if (count < out->parts[k].count)
                vec_set(out, out->parts[k].incarnation, count);
        }
        is_first = false;
    }
}
