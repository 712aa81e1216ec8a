#include "tests/sim/facts_internal.h"

#include <stdlib.h>

#include "bus/base/memory.h"

facts_t *facts_new(void)
{
    return mem_zero(1, sizeof(facts_t));
}

void facts_destroy(facts_t **self_p)
{
    facts_t *self = *self_p;
    if (self == NULL)
        return;
    free(self->asked);
    free(self->deletions);
    free(self->deadlines);
    free(self);
    *self_p = NULL;
}

uint32_t facts_size(const facts_t *self)
{
    return self->asked_size;
}

asked_t *facts_asked(facts_t *self, uint32_t number)
{
    return &self->asked[number];
}

const facts_counts_t *facts_counts(const facts_t *self)
{
    return &self->counts;
}

/* ---- members ---- */

uint32_t facts_member(const facts_t *self, uint32_t number)
{
    uint32_t i = 0;
    while (i < self->members_size && self->members[i].joins != number)
        i++;
    return i < self->members_size ? i : MEMBERS_MAX;
}

/* One that the session has seen and that nobody removes; the chosen one of them, as far as it goes.
 */
static uint32_t choose_member(const facts_t *self, const known_t *known, uint32_t chosen)
{
    uint32_t found = MEMBERS_MAX;
    for (uint32_t i = 0; i < self->members_size; i++)
        if ((known->added & ~known->removed) >> i & 1 && self->members[i].leaves == FACTS_NONE &&
            (found == MEMBERS_MAX || chosen-- > 0))
            found = i;
    return found;
}

static void settle_member(facts_t *self, ask_t *ask, const known_t *known)
{
    if (ask->kind == ASK_JOIN && self->members_size < MEMBERS_MAX) {
        self->members[self->members_size++] =
            (member_t){.joins = ask->number, .leaves = FACTS_NONE};
        return;
    }
    uint32_t member = ask->kind != ASK_JOIN ? choose_member(self, known, ask->member) : MEMBERS_MAX;
    if (member == MEMBERS_MAX) {
        ask->kind = ASK_MEMBERS;
        return;
    }
    ask->member = self->members[member].joins;
    if (ask->kind == ASK_LEAVE)
        self->members[member].leaves = ask->number;
}

uint32_t facts_issue(facts_t *self, uint32_t session, const ask_t *ask, const known_t *known)
{
    if (self->asked_size == self->asked_capacity)
        self->asked = mem_grow(self->asked, &self->asked_capacity, sizeof *self->asked);
    uint32_t number = self->asked_size++;
    asked_t *asked = &self->asked[number];
    *asked = (asked_t){.ask = *ask, .session = session, .known = *known};
    asked->ask.number = number;
    if (ask->kind == ASK_JOIN || ask->kind == ASK_LEAVE || ask->kind == ASK_IS_MEMBER)
        settle_member(self, &asked->ask, known);
    return number;
}

/* ---- what is logged ---- */

enum { OPS_KEPT = 12 }; /* more than a marked update has */

/* The request that an operation is known by; FACTS_NONE. */
static uint32_t mark_of(const facts_t *self, const op_t *op)
{
    uint32_t number;
    slice_t mark = op->code == OP_DEL                          ? op->key
                   : op->code == OP_SET || op->code == OP_HSET ? op->value
                                                               : op->field;
    if (!ask_number(mark, &number) || number >= self->asked_size)
        return FACTS_NONE;
    uint32_t member = op->code == OP_SREM ? facts_member(self, number) : MEMBERS_MAX;
    return member != MEMBERS_MAX ? self->members[member].leaves : number;
}

static bool is_of(const op_t *op, uint32_t key)
{
    const char *field;
    return slice_equal(op->key, slice_text(known_key(key, &field))) &&
           (op->code == OP_DEL || slice_equal(op->field, slice_text(field)));
}

static void delete (facts_t *self, learned_t *out, uint32_t key, tag_t tag)
{
    if (self->deletions_size == self->deletions_capacity)
        self->deletions =
            mem_grow(self->deletions, &self->deletions_capacity, sizeof *self->deletions);
    self->deletions[self->deletions_size++] = (deletion_t){key, out->number, tag};
    out->news.tag[key] = tag;
}

static void set_deadline(facts_t *self, learned_t *out, uint32_t key, tag_t tag, hlc_t at)
{
    if (self->deadlines_size == self->deadlines_capacity)
        self->deadlines =
            mem_grow(self->deadlines, &self->deadlines_capacity, sizeof *self->deadlines);
    self->deadlines[self->deadlines_size++] = (deadline_t){key, out->number, tag, at};
    out->news.deadline[key - KEY_TIMED] = tag;
}

/* What one operation of a marked update does; is_new: no other replica has logged it. */
static void learn_op(facts_t *self, learned_t *out, const op_t *op, tag_t tag, bool is_new)
{
    asked_t *asked = &self->asked[out->number];
    uint32_t number;
    uint32_t member;
    if (op->code == OP_SADD || op->code == OP_SREM) {
        if (!ask_number(op->field, &number) || (member = facts_member(self, number)) == MEMBERS_MAX)
            return;
        asked->tag = tag;
        self->members[member].has_left |= op->code == OP_SREM;
        *(op->code == OP_SADD ? &out->news.added : &out->news.removed) |= UINT64_C(1) << member;
        return;
    }
    for (uint32_t key = 0; key < KEY_TEXTS; key++) {
        if (!is_of(op, key))
            continue;
        if (op->code == OP_EXPIRE && is_new)
            set_deadline(self, out, key, tag, (hlc_t)op->amount);
        else if (op->code == OP_EXPIRE)
            out->news.deadline[key - KEY_TIMED] = tag;
        else if ((op->code == OP_DEL || op->code == OP_HDEL) && is_new)
            delete (self, out, key, tag);
        else
            out->news.tag[key] = tag;
        asked->tag = tag;
    }
}

bool facts_learn(facts_t *self, const record_t *record, learned_t *out)
{
    op_t ops[OPS_KEPT];
    mp_t in = mp_open(record->ops);
    uint32_t size = mp_array(&in, OPS_MAX);
    out->number = FACTS_NONE;
    if (size > OPS_KEPT)
        return true;
    for (uint32_t i = 0; i < size; i++) {
        if (!op_read(&in, &ops[i]))
            return false;
        if (out->number == FACTS_NONE)
            out->number = mark_of(self, &ops[i]);
    }
    if (out->number == FACTS_NONE)
        return true;
    asked_t *asked = &self->asked[out->number];
    tag_t before = asked->tag;
    tag_t tag = record->tag;
    out->news = (known_t){0};
    asked->tag = tag; /* of an update that found nothing to do */
    for (uint32_t i = 0; i < size; i++, tag.hlc++)
        if (!slice_equal(ops[i].value, slice_text(ASK_FIRST))) /* nobody may ever see it */
            learn_op(self, out, &ops[i], tag, tag_is_zero(before));
    return tag_is_zero(before) || tag_compare(before, asked->tag) == 0;
}

static bool is_deletion(const facts_t *self, uint32_t key, tag_t tag)
{
    for (uint32_t i = self->deletions_size; i-- > 0;)
        if (self->deletions[i].key == key && tag_compare(self->deletions[i].tag, tag) == 0)
            return true;
    return false;
}

bool facts_hides(const facts_t *self, const known_t *top, const known_t *news)
{
    for (uint32_t key = 0; key < KEY_TEXTS; key++) {
        if (tag_is_zero(news->tag[key]) || tag_compare(top->tag[key], news->tag[key]) <= 0)
            continue;
        /* Who deletes what is deleted has it so. */
        if (!is_deletion(self, key, news->tag[key]) || !is_deletion(self, key, top->tag[key]))
            return true;
    }
    return false;
}

/* ---- deadlines ---- */

/* True when another setting that is logged, and that known knows or known is NULL, came in time. */
static bool is_replaced(const facts_t *self, const deadline_t *deadline, const known_t *known)
{
    for (uint32_t i = 0; i < self->deadlines_size; i++) {
        const deadline_t *other = &self->deadlines[i];
        bool is_known =
            known == NULL || tag_compare(other->tag, known->deadline[other->key - KEY_TIMED]) == 0;
        if (other->key == deadline->key && is_known && tag_compare(other->tag, deadline->tag) > 0 &&
            other->tag.hlc <= deadline->at)
            return true;
    }
    return false;
}

bool facts_has_passed(const facts_t *self, const deadline_t *deadline, uint32_t key, tag_t tag,
                      hlc_t clock, const known_t *known)
{
    return deadline->key == key && tag_compare(deadline->tag, tag) > 0 && deadline->at != 0 &&
           deadline->at <= clock && !is_replaced(self, deadline, known);
}
