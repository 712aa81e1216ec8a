/* Whether an answer fits what was logged and what its session knew. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/facts_internal.h"

bool facts_wrong(const fact_call_t *call, const char *what, uint32_t key)
{
    const char *field;
    const char *name = known_key(key, &field);
    snprintf(call->why, call->why_size, "request %u: %s%s%s %s", call->number, name,
             field[0] != '\0' ? "." : "", field, what);
    return false;
}

/* ---- texts ---- */

/* What explains that a key is absent. */
typedef struct reasons {
    uint32_t deletions; /* how many */
    uint32_t deadlines;
    tag_t deletion;  /* the least */
    tag_t deadline;  /* the last one found */
    uint32_t number; /* whose the last one found is */
} reasons_t;

static reasons_t reasons_of(const facts_t *self, uint32_t key, const known_t *known, hlc_t clock)
{
    reasons_t found = {0};
    for (uint32_t i = 0; i < self->deletions_size; i++) {
        const deletion_t *d = &self->deletions[i];
        if (d->key != key || tag_compare(d->tag, known->tag[key]) < 0)
            continue;
        if (found.deletions++ == 0 || tag_compare(d->tag, found.deletion) < 0)
            found.deletion = d->tag;
        found.number = d->number;
    }
    for (uint32_t i = 0; key >= KEY_TIMED && i < self->deadlines_size; i++) {
        const deadline_t *d = &self->deadlines[i];
        if (!facts_has_passed(self, d, key, known->tag[key], clock, known))
            continue;
        found.deadlines++;
        found.deadline = d->tag;
        found.number = d->number;
    }
    return found;
}

/* A key is absent: a deletion or a deadline must stand over what the session knows. */
static bool check_absent(facts_t *self, const fact_call_t *call, uint32_t key, known_t *known)
{
    if (tag_is_zero(known->tag[key]))
        return true;
    reasons_t reasons = reasons_of(self, key, known, call->clock);
    if (reasons.deletions + reasons.deadlines == 0)
        return false;
    if (reasons.deadlines == 0) {
        known->tag[key] = reasons.deletion;
    } else if (reasons.deletions == 0 && reasons.deadlines == 1) {
        self->counts.deadlines++;
        tag_t *deadline = &known->deadline[key - KEY_TIMED];
        *deadline = tag_max(*deadline, reasons.deadline);
    }
    if (reasons.deletions + reasons.deadlines == 1) {
        /* The session has seen it, and what it was based on. */
        const asked_t *asked = &self->asked[reasons.number];
        self->counts.own_deletes += reasons.deletions == 1 && call->number < self->asked_size &&
                                    asked->session == self->asked[call->number].session;
        known_merge(known, &asked->known);
    }
    return true;
}

/* A text with this tag is not shown to who knew by then that it has gone. */
static bool check_deadline(const facts_t *self, uint32_t key, tag_t tag, const known_t *known)
{
    for (uint32_t i = 0; i < self->deadlines_size; i++) {
        const deadline_t *d = &self->deadlines[i];
        if (tag_compare(d->tag, known->deadline[key - KEY_TIMED]) == 0 &&
            facts_has_passed(self, d, key, tag, known->clock, NULL))
            return false;
    }
    return true;
}

bool facts_read_text(const facts_t *self, const fact_call_t *call, mp_t *in, uint32_t key,
                     uint32_t *number)
{
    *number = FACTS_NONE;
    if (mp_nil(in))
        return true;
    if (!ask_number(mp_bytes(in), number) || *number >= self->asked_size)
        return facts_wrong(call, "read as something nobody wrote", key);
    const asked_t *write = &self->asked[*number];
    if (write->ask.key != key || write->ask.kind != ASK_SET || tag_is_zero(write->tag))
        return facts_wrong(call, "read as a text that was not logged for it", key);
    return true;
}

/* What an answer shows of one key. */
typedef struct shown {
    uint32_t key;
    uint32_t number; /* whose text; FACTS_NONE: nothing */
} shown_t;

/* Several are a snapshot: each is held against what all of them tell. */
static bool check_texts(facts_t *self, const fact_call_t *call, const shown_t *list, uint32_t size,
                        known_t *known)
{
    for (uint32_t i = 0; i < size; i++) {
        if (list[i].number == FACTS_NONE)
            continue;
        const asked_t *write = &self->asked[list[i].number];
        known_merge(known, &write->known);
        known->tag[list[i].key] = tag_max(known->tag[list[i].key], write->tag);
    }
    for (uint32_t i = 0; call->is_held && i < size; i++) {
        uint32_t key = list[i].key;
        if (list[i].number == FACTS_NONE) {
            if (!check_absent(self, call, key, known))
                return facts_wrong(call, "read as absent, but the session knew a later value", key);
            continue;
        }
        tag_t tag = self->asked[list[i].number].tag;
        if (tag_compare(tag, known->tag[key]) < 0)
            return facts_wrong(call, "read as a text, but the session knew a later update", key);
        if (key >= KEY_TIMED && !check_deadline(self, key, tag, &self->asked[call->number].known))
            return facts_wrong(call, "was shown to a session that knew of its end", key);
    }
    return true;
}

static bool read_texts(facts_t *self, const fact_call_t *call, uint32_t key, known_t *known)
{
    shown_t list[KEY_PAIR];
    mp_t in = mp_open(call->value);
    uint32_t size = key < KEY_PAIR ? KEY_PAIR : 1;
    uint32_t number = FACTS_NONE;
    if (mp_array(&in, KEY_PAIR) != (key < KEY_PAIR ? KEY_PAIR : 2))
        return facts_wrong(call, "was not answered with all of them", key);
    for (uint32_t i = 0; i < size; i++) {
        list[i].key = key < KEY_PAIR ? i : key;
        if (!facts_read_text(self, call, &in, list[i].key, &list[i].number))
            return false;
    }
    if (key == KEY_PAIR && !facts_read_text(self, call, &in, key, &number))
        return false;
    if (key == KEY_PAIR && number != list[0].number)
        return facts_wrong(call, "and q were set together and differ", key);
    return check_texts(self, call, list, size, known);
}

static bool read_fields(facts_t *self, const fact_call_t *call, known_t *known)
{
    shown_t list[] = {{KEY_FIELDS, FACTS_NONE}, {KEY_FIELDS + 1, FACTS_NONE}};
    mp_t in = mp_open(call->value);
    for (uint32_t left = mp_map(&in, 2); left > 0; left--) {
        shown_t *at = &list[slice_equal(mp_bytes(&in), slice_text("g")) ? 1 : 0];
        if (!facts_read_text(self, call, &in, at->key, &at->number))
            return false;
    }
    if (!mp_ok(&in))
        return facts_wrong(call, "has fields that nobody set", KEY_FIELDS);
    return check_texts(self, call, list, 2, known);
}

/* The pair is being set or deleted. */
static bool is_amid(const facts_t *self)
{
    for (uint32_t i = self->asked_size; i-- > 0 && self->asked_size - i < 100;)
        if (self->asked[i].ask.key == KEY_PAIR && ask_is_marked(self->asked[i].ask.kind) &&
            !tag_is_zero(self->asked[i].tag) && !self->asked[i].is_done)
            return true;
    return false;
}

/* ---- members ---- */

/* asked: which of them the answer tells about. */
static bool check_members(facts_t *self, const fact_call_t *call, uint64_t asked, uint64_t shown,
                          known_t *known)
{
    for (uint32_t i = 0; i < self->members_size; i++)
        if (shown >> i & 1)
            known_merge(known, &self->asked[self->members[i].joins].known);
    known->added |= shown;
    if (!call->is_held)
        return true;
    if ((known->removed & shown) != 0)
        return facts_wrong(call, "has a member again that the session knew to be gone", KEY_SET);
    uint64_t gone;
    while ((gone = known->added & ~known->removed & asked & ~shown) != 0) {
        uint32_t i = (uint32_t)__builtin_ctzll(gone);
        const member_t *member = &self->members[i];
        if (!member->has_left)
            return facts_wrong(call, "lacks a member that the session knew", KEY_SET);
        self->counts.members_gone++;
        known->removed |= UINT64_C(1) << i;
        known_merge(known, &self->asked[member->leaves].known);
    }
    return true;
}

static bool read_member(const facts_t *self, const fact_call_t *call, slice_t text, uint64_t *bit)
{
    uint32_t number;
    uint32_t member = ask_number(text, &number) ? facts_member(self, number) : MEMBERS_MAX;
    if (member == MEMBERS_MAX || tag_is_zero(self->asked[number].tag))
        return facts_wrong(call, "has a member that nobody added", KEY_SET);
    *bit = UINT64_C(1) << member;
    return true;
}

bool facts_read_members(const facts_t *self, const fact_call_t *call, uint64_t *shown)
{
    mp_t in = mp_open(call->value);
    uint64_t bit;
    *shown = 0;
    for (uint32_t left = mp_array(&in, MEMBERS_MAX); left > 0; left--) {
        if (!read_member(self, call, mp_bytes(&in), &bit))
            return false;
        *shown |= bit;
    }
    return mp_ok(&in) || facts_wrong(call, "was not answered with its members", KEY_SET);
}

/* ---- answers ---- */

/* Deadlines are set and taken away with a deletion of what was never there. */
static bool take_deadline(facts_t *self, const fact_call_t *call, known_t *known)
{
    const asked_t *asked = &self->asked[call->number];
    uint32_t key = asked->ask.key;
    mp_t in = mp_open(call->value);
    if (mp_array(&in, 2) != 2)
        return facts_wrong(call, "was not answered for each of two commands", key);
    bool is_set = mp_uint(&in) != 0;
    known_t before = asked->known; /* it may be an answer of the first time, told again */
    if (is_set)
        known->deadline[key - KEY_TIMED] = tag_max(known->deadline[key - KEY_TIMED], asked->tag);
    else if (asked->ask.kind == ASK_EXPIRE && call->is_held &&
             !check_absent(self, call, key, &before))
        return facts_wrong(call, "was said to be absent, but the session knew a later value", key);
    return true;
}

/* A member comes once, and goes once who is there. */
static bool take_member(facts_t *self, const fact_call_t *call, known_t *known)
{
    const asked_t *asked = &self->asked[call->number];
    bool leaves = asked->ask.kind == ASK_LEAVE;
    uint64_t bit = UINT64_C(1) << facts_member(self, leaves ? asked->ask.member : call->number);
    mp_t in = mp_open(call->value);
    *(leaves ? &known->removed : &known->added) |= bit;
    if (mp_uint(&in) != 1 && call->is_held)
        return facts_wrong(call, "had not the member, or had it before", KEY_SET);
    return true;
}

/* All that one request deletes. */
static void take_deletions(const facts_t *self, uint32_t number, known_t *known)
{
    for (uint32_t i = 0; i < self->deletions_size; i++) {
        const deletion_t *d = &self->deletions[i];
        if (d->number == number)
            known->tag[d->key] = tag_max(known->tag[d->key], d->tag);
    }
}

bool facts_answer(facts_t *self, const fact_call_t *call, known_t *known)
{
    const asked_t *asked = &self->asked[call->number];
    const ask_t *ask = &asked->ask;
    shown_t shown = {.key = ask->key};
    uint64_t members;
    uint64_t bit;
    mp_t in = mp_open(call->value);
    switch (ask->kind) {
    case ASK_SET:
        known->tag[ask->key] = tag_max(known->tag[ask->key], asked->tag);
        return true;
    case ASK_DEL:
        take_deletions(self, call->number, known);
        return true;
    case ASK_GET:
        return facts_read_text(self, call, &in, ask->key, &shown.number) &&
               check_texts(self, call, &shown, 1, known);
    case ASK_ALL:
        self->counts.snapshots_amid += ask->key == KEY_PAIR && is_amid(self);
        return ask->key >= KEY_FIELDS ? read_fields(self, call, known)
                                      : read_texts(self, call, ask->key, known);
    case ASK_EXPIRE:
    case ASK_PERSIST:
        return take_deadline(self, call, known);
    case ASK_JOIN:
    case ASK_LEAVE:
        return take_member(self, call, known);
    case ASK_MEMBERS:
        return facts_read_members(self, call, &members) &&
               check_members(self, call, UINT64_MAX, members, known);
    case ASK_IS_MEMBER:
        bit = UINT64_C(1) << facts_member(self, ask->member);
        return check_members(self, call, bit, mp_uint(&in) != 0 ? bit : 0, known);
    default:
        return true;
    }
}

/* ---- scans ---- */

/* KEYS for one that is not judged. */
static uint32_t key_named(slice_t name)
{
    const char *field;
    uint32_t key = 0;
    while (key < KEYS && !slice_equal(name, slice_text(known_key(key, &field))))
        key++;
    return key;
}

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* A text, counter or member that the session knew when the scan began. */
static bool check_not_scanned(facts_t *self, const fact_call_t *call, uint32_t key,
                              const known_t *before)
{
    known_t known = *before;
    if (key < KEY_TEXTS)
        return check_absent(self, call, key, &known);
    if (key < KEY_SET)
        return known.count[key - KEY_COUNTERS] == 0;
    return check_members(self, call, UINT64_MAX, 0, &known);
}

/* A register that the session knew to be gone when the scan began: it was set again. */
static bool check_scanned(const facts_t *self, uint32_t key, const known_t *known)
{
    const char *field;
    known_key(key, &field);
    if (key >= KEY_TEXTS || field[0] != '\0')
        return true;
    for (uint32_t i = 0; i < self->asked_size; i++) {
        const asked_t *write = &self->asked[i];
        if (write->ask.kind == ASK_SET && write->ask.key == key && !tag_is_zero(write->tag) &&
            tag_compare(write->tag, known->tag[key]) >= 0 &&
            (key < KEY_TIMED || check_deadline(self, key, write->tag, known)))
            return true;
    }
    return false;
}

static bool end_scan(facts_t *self, const fact_call_t *call, const fact_scan_t *scan)
{
    self->counts.scans += scan->pages > 1;
    for (uint32_t key = 0; call->is_held && key < KEYS; key++) {
        const char *field;
        const char *name = known_key(key, &field);
        bool is_shown = scan->shown >> key_named(slice_text(name)) & 1;
        if (!begins_with(name, ask_prefix(scan->prefix)))
            continue;
        if (!is_shown && !check_not_scanned(self, call, key, &scan->known))
            return facts_wrong(call, "was not in a scan, but the session knew it", key);
        if (is_shown && !check_scanned(self, key, &scan->known))
            return facts_wrong(call, "was in a scan, but the session knew it to be gone", key);
    }
    return true;
}

bool facts_page(facts_t *self, const fact_call_t *call, fact_scan_t *scan)
{
    mp_t in = mp_open(call->value);
    bool is_page = mp_array(&in, 2) == 2;
    scan->cursor = mp_uint(&in);
    scan->pages++;
    for (uint32_t left = mp_array(&in, UINT16_MAX); left > 0; left--)
        scan->shown |= UINT32_C(1) << key_named(mp_bytes(&in));
    if (!is_page || !mp_ok(&in))
        return facts_wrong(call, "(or another) was not answered with a page", 0);
    return scan->cursor != 0 || end_scan(self, call, scan);
}
