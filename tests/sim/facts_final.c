/* What the keys must show when all is healed. */
#include "tests/sim/facts_internal.h"

/* What a text or the set shows; a bit for each member. */
static bool read_final(facts_t *self, const fact_call_t *call, uint32_t key, uint32_t *number,
                       uint64_t *members)
{
    mp_t in = mp_open(call->value);
    *number = FACTS_NONE;
    *members = 0;
    if (key == KEY_SET)
        return facts_read_members(self, call, members);
    if (key == KEY_PAIR) {
        uint32_t second;
        bool is_read = mp_array(&in, 2) == 2 && facts_read_text(self, call, &in, key, &second);
        if (!is_read || !facts_read_text(self, call, &in, key, number) || second != *number)
            return facts_wrong(call, "and q were set together and differ", key);
        return true;
    }
    return facts_read_text(self, call, &in, key, number);
}

static bool final_text(const facts_t *self, const fact_call_t *call, uint32_t key, uint32_t number)
{
    tag_t top = {0};
    uint32_t winner = FACTS_NONE;
    for (uint32_t i = 0; i < self->asked_size; i++) {
        const asked_t *write = &self->asked[i];
        if (write->ask.kind == ASK_SET && write->ask.key == key &&
            tag_compare(write->tag, top) > 0) {
            top = write->tag;
            winner = i;
        }
    }
    bool is_gone = false;
    for (uint32_t i = 0; i < self->deletions_size; i++)
        is_gone |= self->deletions[i].key == key && tag_compare(self->deletions[i].tag, top) > 0;
    for (uint32_t i = 0; i < self->deadlines_size; i++)
        is_gone |= facts_has_passed(self, &self->deadlines[i], key, top, UINT64_MAX, NULL);
    return number == (is_gone ? FACTS_NONE : winner) ||
           facts_wrong(call, "does not show at the end what the fold of all updates does", key);
}

static bool final_members(const facts_t *self, const fact_call_t *call, uint64_t shown)
{
    for (uint32_t i = 0; i < self->members_size; i++) {
        const member_t *member = &self->members[i];
        bool is_there = !tag_is_zero(self->asked[member->joins].tag) && !member->has_left;
        if ((shown >> i & 1) != is_there)
            return facts_wrong(call, "does not have the members that the fold of all updates has",
                               KEY_SET);
    }
    return true;
}

bool facts_final(facts_t *self, uint32_t key, slice_t value, char *why, size_t why_size)
{
    const fact_call_t call = {
        .number = self->asked_size, .value = value, .why = why, .why_size = why_size};
    uint32_t number;
    uint64_t members;
    if (!read_final(self, &call, key, &number, &members))
        return false;
    return key == KEY_SET ? final_members(self, &call, members)
                          : final_text(self, &call, key, number);
}

static bool is_kept(const asked_t *asked, bool keeps_acked)
{
    return asked->is_copied || (asked->is_acked && keeps_acked);
}

/* The tag of what a text shows; of nothing, the greatest that may explain that. */
static tag_t shown_tag(const facts_t *self, uint32_t key, uint32_t number)
{
    tag_t shown = {0};
    if (number != FACTS_NONE)
        return self->asked[number].tag;
    for (uint32_t i = 0; i < self->deletions_size; i++)
        if (self->deletions[i].key == key)
            shown = tag_max(shown, self->deletions[i].tag);
    for (uint32_t i = 0; i < self->deadlines_size; i++)
        if (self->deadlines[i].key == key)
            shown = tag_max(shown, self->deadlines[i].tag);
    return shown;
}

static bool kept_text(const facts_t *self, const fact_call_t *call, uint32_t key, uint32_t number,
                      bool keeps_acked)
{
    tag_t shown = shown_tag(self, key, number);
    for (uint32_t i = 0; i < self->asked_size; i++) {
        const asked_t *write = &self->asked[i];
        if (write->ask.kind == ASK_SET && write->ask.key == key && is_kept(write, keeps_acked) &&
            tag_compare(write->tag, shown) > 0)
            return facts_wrong(call, "does not show at the end what was to be kept", key);
    }
    for (uint32_t i = 0; i < self->deletions_size; i++) {
        const deletion_t *d = &self->deletions[i];
        if (d->key == key && is_kept(&self->asked[d->number], keeps_acked) &&
            tag_compare(d->tag, shown) > 0)
            return facts_wrong(call, "is there at the end, but was deleted for good", key);
    }
    return true;
}

static bool kept_members(const facts_t *self, const fact_call_t *call, uint64_t shown,
                         bool keeps_acked)
{
    for (uint32_t i = 0; i < self->members_size; i++) {
        const member_t *member = &self->members[i];
        bool is_there = shown >> i & 1;
        if (!is_there && is_kept(&self->asked[member->joins], keeps_acked) && !member->has_left)
            return facts_wrong(call, "lacks a member that was to be kept", KEY_SET);
        if (is_there && member->leaves != FACTS_NONE &&
            is_kept(&self->asked[member->leaves], keeps_acked))
            return facts_wrong(call, "has a member that was removed for good", KEY_SET);
    }
    return true;
}

bool facts_kept(facts_t *self, uint32_t key, slice_t value, bool keeps_acked, char *why,
                size_t why_size)
{
    const fact_call_t call = {
        .number = self->asked_size, .value = value, .why = why, .why_size = why_size};
    uint32_t number;
    uint64_t members;
    if (!read_final(self, &call, key, &number, &members))
        return false;
    return key == KEY_SET ? kept_members(self, &call, members, keeps_acked)
                          : kept_text(self, &call, key, number, keeps_acked);
}

bool facts_kept_from(facts_t *self, uint32_t key, slice_t value, tag_t least, char *why,
                     size_t why_size)
{
    const fact_call_t call = {
        .number = self->asked_size, .value = value, .why = why, .why_size = why_size};
    uint32_t number;
    uint64_t members;
    if (!read_final(self, &call, key, &number, &members))
        return false;
    return tag_compare(shown_tag(self, key, number), least) >= 0 ||
           facts_wrong(&call, "does not show at the end what the node that was left had", key);
}
