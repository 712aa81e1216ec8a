#include "tests/sim/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "bus/wire/record.h"
#include "replica/core/seglog.h"

/* For each key the least tag (or count) that a session may be shown from now on. */
typedef struct context {
    tag_t tag[CHECKER_REGISTERS];
    int64_t count[CHECKER_COUNTERS];
    bool is_relaxed; /* it has given something up: it is not held to what it had seen any more */
    bool is_mute;    /* nor is, from a little earlier on, who reads what it writes */
} context_t;

typedef struct issued {
    uint32_t session;
    check_kind_t kind;
    uint32_t key;
    tag_t tag;     /* of a set, once it was logged somewhere */
    bool is_shown; /* a set: where it was accepted it had the greatest tag of its key */
    bool is_done;
    bool is_acked;
    bool is_copied;    /* and at two replicas or more */
    bool is_unfounded; /* it was applied somewhere before what its session knew */
    bool is_late;      /* a later set of its session was applied before it was anywhere */
    bool is_overtaken; /* a later set of its session was applied somewhere before it */
    bool is_left;      /* its process was killed while it was under way */
    uint32_t previous; /* of its session; NONE: this is the first */
    uint32_t open;     /* the first of its session that was not answered when it was issued */
    context_t context; /* what its session had seen when it issued it */
} issued_t;

#define NONE UINT32_MAX

typedef struct deletion {
    uint32_t key;
    tag_t tag;
} deletion_t;

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
    context_t *sessions;
    context_t *saved; /* of each session, with the token that was written down last */
    uint32_t *last;   /* of each session, issued; NONE */
    uint32_t sessions_size;
    issued_t *issued;
    uint32_t issued_size;
    size_t issued_capacity;
    deletion_t *deletions;
    uint32_t deletions_size;
    size_t deletions_capacity;
    bool is_disk_lost;
    bool is_acked_lost; /* what one replica alone has acknowledged may be gone */
    bool is_lost;
    uint64_t executed_twice;
    uint64_t left_applied;
    bool has_fallen_back;
    uint32_t alone_from; /* the first that was issued when one node alone was left; NONE */
    uint32_t alone;      /* which one */
    hlc_t alone_kept[CHECKER_REGISTERS];
    uint64_t alone_acked[CHECKER_COUNTERS]; /* by it, of those issued from then on */
    uint64_t acked[CHECKER_COUNTERS];
    uint64_t copied[CHECKER_COUNTERS]; /* of them with two copies or more */
    uint64_t doubtful[CHECKER_COUNTERS];
    tag_t top[CHECKER_NODES_MAX][CHECKER_REGISTERS]; /* greatest tag in each replica's log */
    tag_t has[CHECKER_NODES_MAX][CHECKER_REGISTERS]; /* and what it may have otherwise */
    author_t *authors;
    record_t record;
};

static const char *const names[CHECKER_KEYS] = {"r0", "r1", "r2", "r3", "c0", "c1", "h0"};

const char *checker_key(uint32_t key, const char **field)
{
    *field = key == CHECKER_KEYS - 1 ? "n" : "";
    return names[key];
}

checker_t *checker_new(uint32_t sessions)
{
    checker_t *self = mem_zero(1, sizeof *self);
    self->sessions = mem_zero(sessions, sizeof *self->sessions);
    self->saved = mem_zero(sessions, sizeof *self->saved);
    self->last = mem_alloc(sessions * sizeof *self->last);
    self->sessions_size = sessions;
    self->alone_from = NONE;
    for (uint32_t i = 0; i < sessions; i++)
        self->last[i] = NONE;
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
    free(self->issued);
    free(self->deletions);
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

uint32_t checker_issue(checker_t *self, uint32_t session, check_kind_t kind, uint32_t key)
{
    if (self->issued_size == self->issued_capacity)
        self->issued = mem_grow(self->issued, &self->issued_capacity, sizeof *self->issued);
    uint32_t number = self->issued_size++;
    issued_t *op = &self->issued[number];
    *op = (issued_t){.session = session, .kind = kind, .key = key, .open = number};
    if (!self->sessions[session].is_mute)
        op->context = self->sessions[session];
    op->previous = self->last[session];
    for (uint32_t i = op->previous; i != NONE && !self->issued[i].is_done;
         i = self->issued[i].previous)
        op->open = i;
    self->last[session] = number;
    return number;
}

void checker_text(uint32_t number, char text[24])
{
    snprintf(text, 24, "v%u", number);
}

static bool number_of(slice_t text, uint32_t *number)
{
    int64_t value;
    if (text.size < 2 || text.data[0] != 'v' ||
        !slice_to_int64(slice_of(text.data + 1, text.size - 1), &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

/* Which register a key is; CHECKER_REGISTERS for none. */
static uint32_t register_of(slice_t key)
{
    uint32_t k = 0;
    while (k < CHECKER_REGISTERS && !slice_equal(key, slice_text(names[k])))
        k++;
    return k;
}

/* A replica logs a set or delete; true when it has the greatest tag of its key there. */
static bool raise_top(checker_t *self, uint32_t node, slice_t key, tag_t tag)
{
    uint32_t k = register_of(key);
    if (k == CHECKER_REGISTERS)
        return true;
    bool is_greatest = tag_compare(tag, self->top[node][k]) > 0;
    self->has[node][k] = tag_max(self->has[node][k], tag);
    self->top[node][k] = tag_max(self->top[node][k], tag);
    return is_greatest;
}

static void remember_deletion(checker_t *self, slice_t key, tag_t tag)
{
    uint32_t k = register_of(key);
    if (k != CHECKER_REGISTERS) {
        if (self->deletions_size == self->deletions_capacity)
            self->deletions =
                mem_grow(self->deletions, &self->deletions_capacity, sizeof *self->deletions);
        self->deletions[self->deletions_size++] = (deletion_t){k, tag};
    }
}

static bool is_held(const checker_t *self, const context_t *context)
{
    return !self->has_fallen_back && !context->is_relaxed;
}

/* What its session had seen and written before a set, as far as that was answered, is there. */
static bool is_founded(checker_t *self, const issued_t *op, const tag_t *has)
{
    bool is_good = true;
    for (uint32_t k = 0; k < CHECKER_REGISTERS; k++)
        is_good &= tag_compare(op->context.tag[k], has[k]) <= 0;
    for (const issued_t *at = op; at != &self->issued[op->open];) {
        issued_t *before = &self->issued[at->previous];
        at = before;
        if (before->kind != CHECK_SET)
            continue;
        before->is_late |= tag_is_zero(before->tag) && !before->is_done;
        before->is_overtaken |= tag_compare(before->tag, has[before->key]) > 0;
        is_good &= !before->is_overtaken || !before->is_acked;
    }
    return is_good;
}

/*
 * A replica applies a set. Whether its session had relaxed is known only when it is answered: it is
 * held to this no earlier.
 */
static bool follows(checker_t *self, uint32_t node, uint32_t number, char *why, size_t why_size)
{
    issued_t *op = &self->issued[number];
    bool is_good = is_founded(self, op, self->has[node]);
    if (is_good || !is_held(self, &self->sessions[op->session]))
        return true;
    op->is_unfounded = true;
    snprintf(why, why_size, "v%u was applied at n%u before what its session knew", number, node);
    return !op->is_acked;
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
    mp_t ops = mp_open(self->record.ops);
    uint32_t count = mp_array(&ops, OPS_MAX);
    tag_t tag = self->record.tag;
    op_t op;
    for (uint32_t i = 0; i < count && op_read(&ops, &op); i++, tag.hlc++) {
        uint32_t number;
        if ((op.code != OP_DEL && op.code != OP_SET) || register_of(op.key) == CHECKER_REGISTERS)
            continue;
        if (slice_equal(op.value, slice_text(CHECKER_FIRST)))
            continue; /* nobody may ever see it */
        bool is_greatest = raise_top(self, node, op.key, tag);
        if (op.code == OP_DEL) {
            remember_deletion(self, op.key, tag);
            continue;
        }
        if (!number_of(op.value, &number) || number >= self->issued_size)
            return false;
        tag_t *known = &self->issued[number].tag;
        self->left_applied += tag_is_zero(*known) && self->issued[number].is_left;
        if (!tag_is_zero(*known) && tag_compare(*known, tag) != 0)
            return false; /* one update, two tags */
        *known = tag;
        if (self->record.origin == log->incarnation)
            self->issued[number].is_shown = is_greatest;
        if (!follows(self, node, number, why, why_size))
            return false;
    }
    return true;
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

static void merge(context_t *into, const context_t *from)
{
    for (uint32_t k = 0; k < CHECKER_REGISTERS; k++)
        into->tag[k] = tag_max(into->tag[k], from->tag[k]);
    for (uint32_t k = 0; k < CHECKER_COUNTERS; k++)
        if (into->count[k] < from->count[k])
            into->count[k] = from->count[k];
}

/* A register was read as absent: some deletion must stand over what the session knows. */
static bool check_absent(const checker_t *self, context_t *context, uint32_t key)
{
    tag_t known = context->tag[key];
    if (tag_is_zero(known))
        return true;
    const deletion_t *least = NULL;
    for (uint32_t i = 0; i < self->deletions_size; i++) {
        const deletion_t *d = &self->deletions[i];
        if (d->key == key && tag_compare(d->tag, known) >= 0 &&
            (least == NULL || tag_compare(d->tag, least->tag) < 0))
            least = d;
    }
    if (least == NULL)
        return false;
    context->tag[key] = least->tag;
    return true;
}

static bool check_register(checker_t *self, context_t *context, uint32_t key, slice_t value,
                           char *why, size_t why_size)
{
    mp_t in = mp_open(value);
    if (mp_nil(&in)) {
        if (!is_held(self, context) || check_absent(self, context, key))
            return true;
        snprintf(why, why_size, "%s read as absent, but the session knew a later value",
                 names[key]);
        return false;
    }
    uint32_t number;
    if (!number_of(mp_bytes(&in), &number) || number >= self->issued_size) {
        snprintf(why, why_size, "%s read as something nobody wrote", names[key]);
        return false;
    }
    const issued_t *write = &self->issued[number];
    if (write->key != key || tag_is_zero(write->tag)) {
        snprintf(why, why_size, "%s read as v%u, which was not logged for it", names[key], number);
        return false;
    }
    if (tag_compare(write->tag, context->tag[key]) < 0 && is_held(self, context)) {
        snprintf(why, why_size, "%s read as v%u: the session knew a later update", names[key],
                 number);
        return false;
    }
    merge(context, &write->context);
    context->tag[key] = tag_max(context->tag[key], write->tag);
    return true;
}

static bool check_counter(const checker_t *self, context_t *context, uint32_t key, slice_t value,
                          bool is_own, char *why, size_t why_size)
{
    mp_t in = mp_open(value);
    int64_t count = 0;
    if (is_own)
        count = mp_int(&in);
    else if (!mp_nil(&in) && !slice_to_int64(mp_bytes(&in), &count))
        mp_fail(&in);
    int64_t *known = &context->count[key - CHECKER_REGISTERS];
    bool is_less = count < *known + (is_own ? 1 : 0);
    if (!mp_ok(&in) || (is_less && is_held(self, context))) {
        snprintf(why, why_size, "%s read as %lld after the session had seen %lld", names[key],
                 (long long)count, (long long)*known);
        return false;
    }
    *known = count;
    return true;
}

void checker_disk_lost(checker_t *self, uint32_t node, bool loses_acked)
{
    self->is_disk_lost = true;
    self->is_acked_lost |= loses_acked;
    memset(self->top[node], 0, sizeof self->top[node]);
    checker_took_over(self, node); /* how much of it is left is not known here */
}

void checker_took_over(checker_t *self, uint32_t node)
{
    for (uint32_t i = 0; i < CHECKER_NODES_MAX; i++)
        for (uint32_t k = 0; k < CHECKER_REGISTERS; k++)
            self->has[node][k] = tag_max(self->has[node][k], self->has[i][k]);
    for (author_t *author = self->authors; author != NULL; author = author->hh.next)
        for (uint64_t seq = 0; seq < author->size; seq++)
            author->has[seq] |= (uint8_t)((author->has[seq] != 0) << node);
}

void checker_relaxed(checker_t *self, uint32_t number)
{
    self->sessions[self->issued[number].session].is_relaxed = true;
}

void checker_gave_up(checker_t *self, uint32_t session)
{
    self->sessions[session].is_mute = true;
    self->sessions[session].is_relaxed = true; /* the request that would say so may be cancelled */
    for (uint32_t i = 0; i < self->issued_size; i++)
        if (self->issued[i].session == session && !self->issued[i].is_done)
            self->issued[i].context = (context_t){0};
}

void checker_renewed(checker_t *self, uint32_t session)
{
    self->sessions[session] = (context_t){0};
}

void checker_saved(checker_t *self, uint32_t session)
{
    self->saved[session] = self->sessions[session];
}

void checker_killed(checker_t *self, uint32_t session)
{
    for (uint32_t i = 0; i < self->issued_size; i++) {
        issued_t *op = &self->issued[i];
        if (op->session != session || op->is_done || op->is_left)
            continue;
        op->is_left = true;
        if (op->kind == CHECK_ADD)
            self->doubtful[op->key - CHECKER_REGISTERS]++;
    }
    self->last[session] = NONE;
    checker_renewed(self, session);
}

void checker_restored(checker_t *self, uint32_t session)
{
    self->sessions[session] = self->saved[session];
}

void checker_handed_over(checker_t *self, uint32_t from, uint32_t to)
{
    if (!self->sessions[from].is_mute)
        merge(&self->sessions[to], &self->sessions[from]);
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

void checker_left_alone(checker_t *self, uint32_t node, const hlc_t kept[CHECKER_REGISTERS])
{
    checker_lost(self);
    self->alone = node;
    self->alone_from = self->issued_size;
    memcpy(self->alone_kept, kept, sizeof self->alone_kept);
    memset(self->top[node], 0, sizeof self->top[node]);
}

bool checker_done(checker_t *self, uint32_t number, const checker_end_t *end, char *why,
                  size_t why_size)
{
    issued_t *op = &self->issued[number];
    context_t *context = &self->sessions[op->session];
    if (op->is_done) {
        snprintf(why, why_size, "request %u ended twice", number);
        return false;
    }
    op->is_done = true;
    op->is_acked = end->outcome == OUTCOME_OK;
    op->is_copied = op->is_acked && end->copies > 1;
    if (op->kind == CHECK_ADD) {
        self->acked[op->key - CHECKER_REGISTERS] += end->outcome == OUTCOME_OK;
        self->copied[op->key - CHECKER_REGISTERS] += end->outcome == OUTCOME_OK && end->copies > 1;
        self->doubtful[op->key - CHECKER_REGISTERS] += outcome_may_be_applied(end->outcome);
        self->alone_acked[op->key - CHECKER_REGISTERS] +=
            end->outcome == OUTCOME_OK && number >= self->alone_from;
    }
    if (end->outcome != OUTCOME_OK)
        return true;
    switch (op->kind) {
    case CHECK_SET:
        if (tag_is_zero(op->tag)) {
            snprintf(why, why_size, "set v%u was acknowledged and never logged", number);
            return false;
        }
        if (end->sends == 1 && !op->is_shown) {
            snprintf(why, why_size, "set v%u was acknowledged at once, and did not show", number);
            return false;
        }
        if (op->is_late) {
            snprintf(why, why_size, "v%u took effect after a later set of its session", number);
            return false;
        }
        if ((op->is_overtaken || op->is_unfounded) && is_held(self, context)) {
            snprintf(why, why_size, "v%u was applied somewhere %s", number,
                     op->is_overtaken ? "after a later set of its session"
                                      : "before what its session knew");
            return false;
        }
        context->tag[op->key] = tag_max(context->tag[op->key], op->tag);
        return true;
    case CHECK_DEL:
    case CHECK_MIX:
        return true;
    case CHECK_GET:
        return check_register(self, context, op->key, end->value, why, why_size);
    case CHECK_ADD:
        return check_counter(self, context, op->key, end->value, true, why, why_size);
    case CHECK_LOOK:
        return check_counter(self, context, op->key, end->value, false, why, why_size);
    }
    return true;
}

/* The tag of what a register shows; where it is absent, that of its last deletion. */
static tag_t shown_tag(const checker_t *self, uint32_t key, slice_t value)
{
    mp_t in = mp_open(value);
    uint32_t number = 0;
    tag_t shown = {0};
    if (!mp_nil(&in) && number_of(mp_bytes(&in), &number) && number < self->issued_size)
        shown = self->issued[number].tag;
    bool is_absent = tag_is_zero(shown);
    for (uint32_t i = 0; is_absent && i < self->deletions_size; i++)
        if (self->deletions[i].key == key)
            shown = tag_max(shown, self->deletions[i].tag);
    return shown;
}

/* A register at the end at the only node that is left: what that had then, and has logged since. */
static bool kept_alone(const checker_t *self, uint32_t key, slice_t value, char *why,
                       size_t why_size)
{
    tag_t logged = self->top[self->alone][key];
    tag_t shown = shown_tag(self, key, value);
    if (tag_compare(shown, logged) >= 0 && shown.hlc >= self->alone_kept[key])
        return true;
    snprintf(why, why_size, "at the end %s does not show what n%u had when it was left alone, %s",
             names[key], self->alone, "or what it has logged since");
    return false;
}

/* A register at the end, after a loss: nothing under what was to be kept. */
static bool kept_register(const checker_t *self, uint32_t key, slice_t value, char *why,
                          size_t why_size)
{
    tag_t shown = shown_tag(self, key, value);
    for (uint32_t i = 0; i < self->issued_size; i++) {
        const issued_t *op = &self->issued[i];
        bool is_kept = op->is_copied || (op->is_acked && !self->is_acked_lost);
        if (op->kind != CHECK_SET || op->key != key || !is_kept || tag_compare(op->tag, shown) <= 0)
            continue;
        snprintf(why, why_size, "at the end %s does not show v%u, which was to be kept", names[key],
                 i);
        return false;
    }
    return true;
}

/* A register at the end: its set with the greatest tag, unless a deletion has a greater one. */
static bool final_register(const checker_t *self, uint32_t key, slice_t value, char *why,
                           size_t why_size)
{
    tag_t top = {0};
    bool is_there = false;
    uint32_t winner = 0;
    for (uint32_t i = 0; i < self->issued_size; i++) {
        const issued_t *op = &self->issued[i];
        if (op->kind == CHECK_SET && op->key == key && tag_compare(op->tag, top) > 0) {
            top = op->tag;
            winner = i;
            is_there = true;
        }
    }
    for (uint32_t i = 0; i < self->deletions_size; i++)
        if (self->deletions[i].key == key && tag_compare(self->deletions[i].tag, top) > 0)
            is_there = false;
    mp_t in = mp_open(value);
    uint32_t number = 0;
    bool shows = !mp_nil(&in) && number_of(mp_bytes(&in), &number);
    if (shows == is_there && (!shows || number == winner))
        return true;
    snprintf(why, why_size, "at the end %s shows %s%u, the fold of all updates %s%u", names[key],
             shows ? "v" : "nothing ", number, is_there ? "v" : "nothing ", winner);
    return false;
}

uint64_t checker_executed_twice(const checker_t *self)
{
    return self->executed_twice;
}

uint64_t checker_left_applied(const checker_t *self)
{
    return self->left_applied;
}

bool checker_final(checker_t *self, uint32_t key, slice_t value, char *why, size_t why_size)
{
    if (key < CHECKER_REGISTERS && self->is_lost)
        return self->alone_from == NONE || kept_alone(self, key, value, why, why_size);
    if (key < CHECKER_REGISTERS)
        return self->is_disk_lost ? kept_register(self, key, value, why, why_size)
                                  : final_register(self, key, value, why, why_size);
    uint32_t i = key - CHECKER_REGISTERS;
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
             names[key], (long long)count, (unsigned long long)least,
             (unsigned long long)self->acked[i], (unsigned long long)self->doubtful[i]);
    return false;
}
