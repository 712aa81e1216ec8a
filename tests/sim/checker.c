#include "tests/sim/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "bus/wire/record.h"
#include "replica/core/seglog.h"

/* What a session has been shown. */
typedef struct context {
    known_t known;
    bool is_relaxed; /* it has given something up: it is not held to what it had seen any more */
    bool is_mute;    /* nor is, from a little earlier on, who reads what it writes */
} context_t;

/* A request, in the order of its session's; what it asks for is in the facts. */
typedef struct issued {
    tag_t tag;         /* of the record, once it was logged somewhere */
    bool is_hidden;    /* a set or delete: there was a greater one where it was accepted */
    bool is_unfounded; /* it was applied somewhere before what its session knew */
    bool is_late;      /* a later update of its session was applied before it was anywhere */
    bool is_overtaken; /* a later update of its session was applied somewhere before it */
    bool is_left;      /* its process was killed while it was under way */
    uint32_t previous; /* of its session; NONE: this is the first */
    uint32_t open;     /* the first of its session that was not answered when it was issued */
} issued_t;

#define NONE FACTS_NONE

/* A session's scan, and what the replicas had logged for certain when its page was asked for. */
typedef struct scan {
    fact_scan_t facts;
    uint32_t page; /* the request for it; NONE */
    known_t logged[CHECKER_NODES_MAX];
} scan_t;

enum { WAS_ACCEPTED = 0x80 }; /* in what an author has: by a replica, whichever */

/* The updates of one client id. */
typedef struct author {
    uint64_t client;
    uint8_t *has; /* by seq: the replicas that have it, a bit each; 0: none has */
    uint64_t size;
    uint64_t founded[CHECKER_NODES_MAX]; /* up to this seq each replica has all that there are */
    UT_hash_handle hh;
} author_t;

struct checker {
    facts_t *facts;
    context_t *sessions;
    context_t *saved; /* of each session, with the token that was written down last */
    uint32_t *last;   /* of each session, issued; NONE */
    scan_t *scans;    /* of each session */
    uint32_t sessions_size;
    issued_t *issued;
    uint32_t issued_size;
    size_t issued_capacity;
    bool is_disk_lost;
    bool is_acked_lost; /* what one replica alone has acknowledged may be gone */
    bool is_lost;
    uint64_t executed_twice;
    uint64_t left_applied;
    bool has_fallen_back;
    uint32_t alone_from; /* the first that was issued when one node alone was left; NONE */
    uint32_t alone;      /* which one */
    hlc_t alone_kept[REGISTERS];
    uint64_t alone_acked[COUNTERS]; /* by it, of those issued from then on */
    uint64_t acked[COUNTERS];
    uint64_t copied[COUNTERS]; /* of them with two copies or more */
    uint64_t doubtful[COUNTERS];
    known_t top[CHECKER_NODES_MAX]; /* in each replica's log */
    known_t has[CHECKER_NODES_MAX]; /* and what it may have otherwise */
    author_t *authors;
    record_t record;
};

checker_t *checker_new(uint32_t sessions)
{
    checker_t *self = mem_zero(1, sizeof *self);
    self->facts = facts_new();
    self->sessions = mem_zero(sessions, sizeof *self->sessions);
    self->saved = mem_zero(sessions, sizeof *self->saved);
    self->scans = mem_zero(sessions, sizeof *self->scans);
    self->last = mem_alloc(sessions * sizeof *self->last);
    self->sessions_size = sessions;
    self->alone_from = NONE;
    for (uint32_t i = 0; i < sessions; i++)
        self->last[i] = self->scans[i].page = NONE;
    return self;
}

void checker_destroy(checker_t **self_p)
{
    checker_t *self = *self_p;
    if (self == NULL)
        return;
    free(self->sessions);
    free(self->saved);
    free(self->last);
    free(self->scans);
    free(self->issued);
    facts_destroy(&self->facts);
    author_t *author;
    author_t *next;
    HASH_ITER(hh, self->authors, author, next)
    {
        HASH_DEL(self->authors, author);
        free(author->has);
        free(author);
    }
    record_free(&self->record);
    free(self);
    *self_p = NULL;
}

static void begin_page(checker_t *self, uint32_t session, const ask_t *ask)
{
    scan_t *scan = &self->scans[session];
    scan->page = ask->number;
    if (ask->cursor == 0)
        scan->facts = (fact_scan_t){.prefix = ask->key, .known = self->sessions[session].known};
    scan->facts.cursor = 0;
    memcpy(scan->logged, self->top, sizeof scan->logged);
}

void checker_issue(checker_t *self, uint32_t session, ask_t *ask)
{
    static const known_t nothing = {0};
    const context_t *context = &self->sessions[session];
    if (self->issued_size == self->issued_capacity)
        self->issued = mem_grow(self->issued, &self->issued_capacity, sizeof *self->issued);
    uint32_t page = self->scans[session].page;
    bool is_scanning = page != NONE && !facts_asked(self->facts, page)->is_done;
    if (ask->kind == ASK_SCAN && is_scanning)
        *ask = (ask_t){.kind = ASK_ALL, .key = KEY_REGISTERS}; /* one at a time */
    uint32_t number =
        facts_issue(self->facts, session, ask, context->is_mute ? &nothing : &context->known);
    *ask = facts_asked(self->facts, number)->ask;
    issued_t *op = &self->issued[self->issued_size++];
    *op = (issued_t){.open = number, .previous = self->last[session]};
    for (uint32_t i = op->previous; i != NONE && !facts_asked(self->facts, i)->is_done;
         i = self->issued[i].previous)
        op->open = i;
    self->last[session] = number;
    if (ask->kind == ASK_SCAN)
        begin_page(self, session, ask);
}

bool checker_next_page(const checker_t *self, uint32_t session, ask_t *ask)
{
    const fact_scan_t *scan = &self->scans[session].facts;
    *ask = (ask_t){.kind = ASK_SCAN, .key = scan->prefix, .cursor = scan->cursor};
    return scan->cursor != 0;
}

static bool is_held(const checker_t *self, const context_t *context)
{
    return !self->has_fallen_back && !context->is_relaxed;
}

static author_t *author_of(checker_t *self, tag_t tag)
{
    author_t *author;
    HASH_FIND(hh, self->authors, &tag.client, sizeof tag.client, author);
    if (author == NULL) {
        author = mem_zero(1, sizeof *author);
        author->client = tag.client;
        HASH_ADD(hh, self->authors, client, sizeof author->client, author);
    }
    if (tag.seq >= author->size) {
        uint64_t size = 2 * tag.seq + 16;
        author->has = mem_resize(author->has, size);
        memset(author->has + author->size, 0, size - author->size);
        author->size = size;
    }
    return author;
}

static bool has_update(checker_t *self, uint32_t node, tag_t tag)
{
    return (author_of(self, tag)->has[tag.seq] >> node & 1) != 0;
}

/* What its session had seen and written before an update, as far as that was answered, is there. */
static bool is_founded(checker_t *self, uint32_t node, uint32_t number)
{
    bool is_good = known_covers(&self->has[node], &facts_asked(self->facts, number)->known);
    for (uint32_t i = number; i != self->issued[number].open;) {
        i = self->issued[i].previous;
        const asked_t *asked = facts_asked(self->facts, i);
        issued_t *before = &self->issued[i];
        if (!ask_is_marked(asked->ask.kind))
            continue;
        bool is_logged = !tag_is_zero(before->tag);
        before->is_late |= !is_logged && !asked->is_done;
        before->is_overtaken |= is_logged && !has_update(self, node, before->tag);
        is_good &= !before->is_overtaken || !asked->is_acked;
    }
    return is_good;
}

/*
 * A replica applies an update. Whether its session had relaxed is known only when it is answered:
 * it is held to this no earlier.
 */
static bool follows(checker_t *self, uint32_t node, uint32_t number, char *why, size_t why_size)
{
    const asked_t *asked = facts_asked(self->facts, number);
    bool is_good = is_founded(self, node, number);
    if (is_good || !is_held(self, &self->sessions[asked->session]))
        return true;
    self->issued[number].is_unfounded = true;
    snprintf(why, why_size, "v%u was applied at n%u before what its session knew", number, node);
    return !asked->is_acked;
}

/*
 * A record's floor says that all of its client up to there is covered by its deps; so the replica
 * that accepts it has all that was ever accepted of that.
 */
static bool is_floor_founded(author_t *author, uint32_t node, uint64_t floor)
{
    uint64_t *at = &author->founded[node];
    for (; *at < floor; ++*at)
        if (author->has[*at + 1] != 0 && (author->has[*at + 1] >> node & 1) == 0)
            return false;
    return true;
}

static bool learn_record(checker_t *self, const checker_log_t *log, slice_t payload, char *why,
                         size_t why_size)
{
    uint32_t node = log->node;
    if (!record_read(payload, &self->record))
        return false;
    bool is_empty = slice_equal(self->record.ops, record_nothing());
    if (self->record.tag.hlc <= log->horizon && !is_empty) {
        snprintf(why, why_size, "n%u applied update %llu of %016llx at or under its horizon", node,
                 (unsigned long long)self->record.n, (unsigned long long)self->record.origin);
        return false;
    }
    author_t *author = author_of(self, self->record.tag);
    uint8_t *has = &author->has[self->record.tag.seq];
    *has |= (uint8_t)(1U << node);
    bool is_own = self->record.origin == log->incarnation;
    self->executed_twice += is_own && (*has & WAS_ACCEPTED) != 0;
    if (is_own)
        *has |= WAS_ACCEPTED;
    if (is_own && !is_floor_founded(author, node, self->record.floor)) {
        snprintf(why, why_size, "n%u accepted update %llu of %016llx without %llu, under its floor",
                 node, (unsigned long long)self->record.tag.seq, (unsigned long long)author->client,
                 (unsigned long long)(author->founded[node] + 1));
        return false;
    }
    learned_t learned;
    if (!facts_learn(self->facts, &self->record, &learned))
        return false;
    if (learned.number == NONE)
        return true;
    issued_t *op = &self->issued[learned.number];
    self->left_applied += tag_is_zero(op->tag) && op->is_left;
    op->tag = self->record.tag;
    if (is_own)
        op->is_hidden = facts_hides(self->facts, &self->top[node], &learned.news);
    known_merge(&self->has[node], &learned.news);
    known_merge(&self->top[node], &learned.news);
    return follows(self, node, learned.number, why, why_size);
}

bool checker_logged(checker_t *self, const checker_log_t *log, char *why, size_t why_size)
{
    seglog_entry_t entry;
    slice_t entries = log->entries;
    snprintf(why, why_size,
             "a log entry does not fit what was logged before (one update, two tags?)");
    for (size_t at = 0; at < entries.size; at += entry.size) {
        slice_t rest = slice_of(entries.data + at, entries.size - at);
        seglog_state_t state = seglog_next(rest, log->position + at, &entry);
        if (state == SEGLOG_TORN)
            return true; /* the process died in the middle of this write */
        if (state != SEGLOG_GOOD)
            return false;
        if (entry.kind == SEGLOG_KIND_UPDATE &&
            !learn_record(self, log, entry.payload, why, why_size))
            return false;
    }
    return true;
}

static bool check_counter(const checker_t *self, context_t *context, uint32_t key, slice_t value,
                          bool is_own, char *why, size_t why_size)
{
    const char *field;
    mp_t in = mp_open(value);
    int64_t count = 0;
    if (is_own)
        count = mp_int(&in);
    else if (!mp_nil(&in) && !slice_to_int64(mp_bytes(&in), &count))
        mp_fail(&in);
    int64_t *known = &context->known.count[key - KEY_COUNTERS];
    bool is_less = count < *known + (is_own ? 1 : 0);
    if (!mp_ok(&in) || (is_less && is_held(self, context))) {
        snprintf(why, why_size, "%s read as %lld after the session had seen %lld",
                 known_key(key, &field), (long long)count, (long long)*known);
        return false;
    }
    *known = count;
    return true;
}

void checker_disk_lost(checker_t *self, uint32_t node, bool loses_acked)
{
    self->is_disk_lost = true;
    self->is_acked_lost |= loses_acked;
    self->top[node] = (known_t){0};
    checker_took_over(self, node); /* how much of it is left is not known here */
}

void checker_took_over(checker_t *self, uint32_t node)
{
    for (uint32_t i = 0; i < CHECKER_NODES_MAX; i++)
        known_merge(&self->has[node], &self->has[i]);
    for (author_t *author = self->authors; author != NULL; author = author->hh.next)
        for (uint64_t seq = 0; seq < author->size; seq++)
            author->has[seq] |= (uint8_t)((author->has[seq] != 0) << node);
}

void checker_relaxed(checker_t *self, uint32_t number)
{
    self->sessions[facts_asked(self->facts, number)->session].is_relaxed = true;
}

void checker_gave_up(checker_t *self, uint32_t session)
{
    self->sessions[session].is_mute = true;
    self->sessions[session].is_relaxed = true; /* the request that would say so may be cancelled */
    for (uint32_t i = 0; i < self->issued_size; i++) {
        asked_t *asked = facts_asked(self->facts, i);
        if (asked->session == session && !asked->is_done)
            asked->known = (known_t){0};
    }
}

void checker_renewed(checker_t *self, uint32_t session)
{
    self->sessions[session] = (context_t){0};
    self->scans[session].facts = (fact_scan_t){0};
}

void checker_saved(checker_t *self, uint32_t session)
{
    self->saved[session] = self->sessions[session];
}

void checker_killed(checker_t *self, uint32_t session)
{
    for (uint32_t i = 0; i < self->issued_size; i++) {
        const asked_t *asked = facts_asked(self->facts, i);
        issued_t *op = &self->issued[i];
        if (asked->session != session || asked->is_done || op->is_left)
            continue;
        op->is_left = true;
        if (asked->ask.kind == ASK_ADD)
            self->doubtful[asked->ask.key - KEY_COUNTERS]++;
    }
    self->last[session] = self->scans[session].page = NONE;
    checker_renewed(self, session);
}

void checker_restored(checker_t *self, uint32_t session)
{
    self->sessions[session] = self->saved[session];
}

void checker_handed_over(checker_t *self, uint32_t from, uint32_t to)
{
    if (!self->sessions[from].is_mute)
        known_merge(&self->sessions[to].known, &self->sessions[from].known);
    /*
     * One may have seen what is lost, the other what the same node did after that: the token then
     * shows the second alone.
     */
    self->sessions[to].is_relaxed |= self->is_lost;
}

void checker_fell_back(checker_t *self)
{
    self->has_fallen_back = true;
    checker_lost(self);
}

void checker_lost(checker_t *self)
{
    self->is_lost = true;
}

void checker_left_alone(checker_t *self, uint32_t node, const hlc_t kept[REGISTERS])
{
    checker_lost(self);
    self->alone = node;
    self->alone_from = self->issued_size;
    memcpy(self->alone_kept, kept, sizeof self->alone_kept);
    self->top[node] = (known_t){0};
}

static void count_added(checker_t *self, uint32_t number, uint32_t i, const checker_end_t *end)
{
    self->acked[i] += end->outcome == OUTCOME_OK;
    self->copied[i] += end->outcome == OUTCOME_OK && end->copies > 1;
    self->doubtful[i] += outcome_may_be_applied(end->outcome);
    self->alone_acked[i] += end->outcome == OUTCOME_OK && number >= self->alone_from;
}

/* An update was acknowledged. */
static bool check_taken(const checker_t *self, uint32_t number, const context_t *context,
                        const checker_end_t *end, char *why, size_t why_size)
{
    const issued_t *op = &self->issued[number];
    const char *what = NULL;
    if (tag_is_zero(op->tag))
        what = "was acknowledged and never logged";
    else if (end->sends == 1 && op->is_hidden)
        what = "was acknowledged at once, and did not show";
    else if (op->is_late)
        what = "took effect after a later update of its session";
    else if (op->is_overtaken && is_held(self, context))
        what = "was applied somewhere after a later update of its session";
    else if (op->is_unfounded && is_held(self, context))
        what = "was applied somewhere before what its session knew";
    if (what != NULL)
        snprintf(why, why_size, "v%u %s", number, what);
    return what == NULL;
}

/* A scan has seen all that its replica had, which is at least what was in its log before. */
static void see_all(const checker_t *self, const scan_t *scan, const checker_end_t *end,
                    context_t *context)
{
    if (!self->is_lost && !self->is_disk_lost && end->replica >= 0)
        known_merge(&context->known, &scan->logged[end->replica]);
}

bool checker_done(checker_t *self, uint32_t number, const checker_end_t *end, char *why,
                  size_t why_size)
{
    asked_t *asked = facts_asked(self->facts, number);
    context_t *context = &self->sessions[asked->session];
    scan_t *scan = &self->scans[asked->session];
    uint32_t key = asked->ask.key;
    if (asked->is_done) {
        snprintf(why, why_size, "request %u ended twice", number);
        return false;
    }
    asked->is_done = true;
    asked->is_acked = end->outcome == OUTCOME_OK;
    asked->is_copied = asked->is_acked && end->copies > 1;
    if (asked->ask.kind == ASK_ADD)
        count_added(self, number, key - KEY_COUNTERS, end);
    if (end->outcome != OUTCOME_OK)
        return true;
    context->known.clock = hlc_max(context->known.clock, end->clock);
    const fact_call_t call = {number, end->value, end->clock, is_held(self, context),
                              why,    why_size};
    switch (asked->ask.kind) {
    case ASK_ADD:
        return check_counter(self, context, key, end->value, true, why, why_size);
    case ASK_LOOK:
        return check_counter(self, context, key, end->value, false, why, why_size);
    case ASK_SCAN:
        see_all(self, scan, end, context);
        return facts_page(self->facts, &call, &scan->facts);
    default:
        return (!ask_is_marked(asked->ask.kind) ||
                check_taken(self, number, context, end, why, why_size)) &&
               facts_answer(self->facts, &call, &context->known);
    }
}

uint64_t checker_executed_twice(const checker_t *self)
{
    return self->executed_twice;
}

uint64_t checker_left_applied(const checker_t *self)
{
    return self->left_applied;
}

const facts_counts_t *checker_counts(const checker_t *self)
{
    return facts_counts(self->facts);
}

static bool final_counter(const checker_t *self, uint32_t key, slice_t value, char *why,
                          size_t why_size)
{
    uint32_t i = key - KEY_COUNTERS;
    const char *field;
    mp_t in = mp_open(value);
    int64_t count = 0;
    if (!mp_nil(&in))
        slice_to_int64(mp_bytes(&in), &count);
    uint64_t least = self->is_acked_lost ? self->copied[i] : self->acked[i];
    if (self->is_lost)
        least = self->alone_acked[i];
    if ((uint64_t)count >= least && (uint64_t)count <= self->acked[i] + self->doubtful[i])
        return true;
    snprintf(why, why_size,
             "at the end %s is %lld; %llu to be kept of %llu acknowledged, %llu unknown",
             known_key(key, &field), (long long)count, (unsigned long long)least,
             (unsigned long long)self->acked[i], (unsigned long long)self->doubtful[i]);
    return false;
}

/* A register at the end at the only node that is left: what that had then, and has logged since. */
static bool kept_alone(const checker_t *self, uint32_t key, slice_t value, char *why,
                       size_t why_size)
{
    const tag_t kept = {self->alone_kept[key], 0, 0};
    return facts_kept_from(self->facts, key, value, tag_max(kept, self->top[self->alone].tag[key]),
                           why, why_size);
}

bool checker_final(checker_t *self, uint32_t key, slice_t value, char *why, size_t why_size)
{
    if (key >= KEY_COUNTERS && key < KEY_SET)
        return final_counter(self, key, value, why, why_size);
    if (self->is_lost)
        return self->alone_from == NONE || key >= REGISTERS ||
               kept_alone(self, key, value, why, why_size);
    return self->is_disk_lost
               ? facts_kept(self->facts, key, value, !self->is_acked_lost, why, why_size)
               : facts_final(self->facts, key, value, why, why_size);
}
