#include "control/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/peer.h"
#include "control/bucket.h"
#include "control/files.h"

enum {
    BUCKET_KEYS = 64, /* about as many in one */
    FEW = 16,         /* buckets that are looked into without another pass over all */
    PASSES = 8,       /* over all, at most */
    AGAIN_MS = 20,    /* between two looks */
    TYPE_SIZE = 16,
};

/* A node that is compared with the others. */
typedef struct subject {
    uint16_t id;
    uint64_t incarnation;
    bool has_replied;
    buf_t reply; /* what the structs borrow from */
    compare_digests_t digests;
    compare_shown_t shown;
} subject_t;

/* One that is not, and why. */
typedef struct left_out {
    uint16_t id;
    const char *why; /* static */
} left_out_t;

/* What a look into a bucket found. */
typedef struct found {
    uint64_t unsettled; /* keys, and nodes that have more of them than they could give */
    uint64_t differing; /* keys */
    buf_t named;        /* which differ: the same in two looks, it is believed */
    buf_t first;        /* the least of them */
    uint16_t ids[2];    /* who show it differently */
    char types[2][TYPE_SIZE];
    bool is_believed;
} found_t;

/* A bucket that was never equal at all. */
typedef struct open {
    uint32_t bucket;
    found_t last;
} open_t;

typedef struct check {
    survey_t *survey;
    files_t *files; /* NULL: nobody wants to know of them */
    int64_t deadline_ms;
    subject_t *subjects;
    size_t count;
    uint64_t keys;    /* at the node with most */
    uint64_t entries; /* likewise, with those of which is only remembered that they are gone */
    compare_at_t at;
    control_command_t command; /* that is asked now */
    open_t *open;
    size_t open_size;
    found_t total;
    left_out_t left_out[SURVEY_MEMBERS_MAX];
    size_t left_out_size;
} check_t;

/* ---- who is compared ---- */

static void leave_out(check_t *self, uint16_t id, const char *why)
{
    if (self->left_out_size < SURVEY_MEMBERS_MAX)
        self->left_out[self->left_out_size++] = (left_out_t){id, why};
}

static subject_t *find_subject(const check_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->subjects[i].incarnation == incarnation)
            return &self->subjects[i];
    return NULL;
}

/* A member that some node has left behind may lack what the others have forgotten that it lacks. */
static bool has_left(const survey_t *survey, uint64_t incarnation)
{
    const survey_member_t *member;
    for (size_t i = 0; (member = survey_member(survey, i)) != NULL; i++) {
        if (!member->has_answered || member->kind != CONTROL_NODE)
            continue;
        mp_t in = mp_open(member->node.members_at);
        control_member_t row;
        while (control_member_next(&in, &row))
            if (row.incarnation == incarnation && row.state != MEMBER_IN)
                return true;
    }
    return false;
}

static const char *unfit(const check_t *self, const control_node_t *node, uint64_t lineage)
{
    if (node->is_joining)
        return "takes over the state of another";
    if (!node->is_ready)
        return "is still starting";
    if (node->lineage != 0 && lineage != 0 && node->lineage != lineage)
        return "has the data of another cluster";
    return has_left(self->survey, node->incarnation) ? "was left behind" : NULL;
}

/* Members that did not answer at all. */
static void leave_out_absent(check_t *self, const control_node_t *node, vec_t *told)
{
    mp_t in = mp_open(node->members_at);
    control_member_t row;
    while (control_member_next(&in, &row)) {
        if (row.state != MEMBER_IN || survey_node(self->survey, row.id) != NULL ||
            !vec_raise(told, (uint64_t)row.id + 1, 1))
            continue;
        leave_out(self, row.id, "does not answer");
    }
}

static int by_id(const void *a, const void *b)
{
    const subject_t *one = a;
    const subject_t *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

static void choose_subjects(check_t *self)
{
    const survey_member_t *member;
    uint64_t lineage = 0;
    vec_t told = {0};

    self->subjects = mem_zero(SURVEY_MEMBERS_MAX, sizeof(*self->subjects));
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        const control_node_t *node = &member->node;
        if (!member->has_answered || member->kind != CONTROL_NODE ||
            find_subject(self, node->incarnation) != NULL)
            continue;
        const char *why = unfit(self, node, lineage);
        if (why != NULL) {
            leave_out(self, node->id, why);
            continue;
        }
        lineage = node->lineage != 0 ? node->lineage : lineage;
        self->subjects[self->count++] = (subject_t){node->id, node->incarnation, .reply = {0}};
        uint64_t entries = control_count_of(node->counts_at, "entries");
        self->keys = node->keys > self->keys ? node->keys : self->keys;
        self->entries = entries > self->entries ? entries : self->entries;
        self->at.clock = hlc_max(self->at.clock, node->clock);
        leave_out_absent(self, node, &told);
    }
    vec_free(&told);
    qsort(self->subjects, self->count, sizeof(*self->subjects), by_id);
    while (self->at.bits < COMPARE_BITS_MAX && self->entries >> self->at.bits > BUCKET_KEYS)
        self->at.bits++;
}

/* ---- asking ---- */

/* The document is kept with its node; who it is of is read again from what is kept. */
static void take_reply(void *arg, const survey_member_t *member, const control_reply_t *reply)
{
    check_t *self = arg;
    subject_t *subject = find_subject(self, member->node.incarnation);
    if (subject == NULL || reply->outcome != OUTCOME_OK)
        return;
    buf_reset(&subject->reply);
    buf_append_slice(&subject->reply, reply->document);
    slice_t kept = buf_slice(&subject->reply);
    if (self->command == CONTROL_SHOWN)
        subject->has_replied = compare_shown_read(kept, &subject->shown) &&
                               subject->shown.incarnation == subject->incarnation;
    else
        subject->has_replied = compare_digests_read(kept, &subject->digests) &&
                               subject->digests.incarnation == subject->incarnation;
}

/* Asks all; who does not reply is left out from now on. -1 after a signal. */
static int ask(check_t *self, control_command_t command)
{
    const control_request_t request = {.command = command, .at = self->at};
    self->command = command;
    for (size_t i = 0; i < self->count; i++)
        self->subjects[i].has_replied = false;
    if (survey_ask(self->survey, &request, CONTROL_NODE, survey_patience(self->deadline_ms),
                   take_reply, self) != 0)
        return -1;
    if (net_now().boot_ms >= self->deadline_ms)
        return 0; /* that it was too late says nothing of anybody */
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        subject_t *subject = &self->subjects[i];
        if (subject->has_replied) {
            subject_t swap = self->subjects[kept];
            self->subjects[kept++] = *subject;
            *subject = swap;
        } else {
            leave_out(self, subject->id, "stopped answering");
            buf_free(&subject->reply);
        }
    }
    self->count = kept;
    return 0;
}

static bool is_late(const check_t *self)
{
    return net_now().boot_ms >= self->deadline_ms;
}

/* Deadlines that passed for one of the nodes are to have passed for all. -1 after a signal. */
static int set_clock(check_t *self)
{
    const survey_member_t *member;
    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return -1;
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++)
        if (member->has_answered && member->kind == CONTROL_NODE &&
            find_subject(self, member->node.incarnation) != NULL)
            self->at.clock = hlc_max(self->at.clock, member->node.clock);
    return 0;
}

/* ---- passes over all ---- */

/* True when all show the i-th bucket of these replies alike. */
static bool is_equal(const check_t *self, uint32_t i)
{
    uint64_t digest = compare_digest(&self->subjects[0].digests, i);
    for (size_t k = 1; k < self->count; k++)
        if (compare_digest(&self->subjects[k].digests, i) != digest)
            return false;
    return true;
}

/* How many buckets all of them have told of. */
static uint32_t common_count(const check_t *self)
{
    uint32_t count = UINT32_MAX;
    for (size_t i = 0; i < self->count; i++)
        if (self->subjects[i].digests.count < count)
            count = self->subjects[i].digests.count;
    return count;
}

/* Keeps of the open buckets those that are not equal now. -1 after a signal. */
static int pass(check_t *self)
{
    uint32_t all = UINT32_C(1) << self->at.bits;
    size_t from = 0; /* of the open ones */
    size_t kept = 0;
    while (from < self->open_size) {
        self->at.bucket = self->open[from].bucket;
        if (ask(self, CONTROL_DIGESTS) != 0)
            return -1;
        if (self->count < 2 || is_late(self))
            break;
        uint32_t end = self->at.bucket + common_count(self);
        end = end < all ? end : all;
        for (; from < self->open_size && self->open[from].bucket < end; from++)
            if (!is_equal(self, self->open[from].bucket - self->at.bucket))
                self->open[kept++] = self->open[from];
    }
    while (from < self->open_size)
        self->open[kept++] = self->open[from++];
    self->open_size = kept;
    return 0;
}

/* ---- looking into buckets ---- */

static void free_found(found_t *found)
{
    buf_free(&found->named);
    buf_free(&found->first);
}

typedef struct look {
    const check_t *check;
    found_t *found;
} look_t;

static void take_finding(void *arg, const bucket_finding_t *finding)
{
    const look_t *look = arg;
    found_t *found = look->found;
    if (finding->verdict == BUCKET_UNSETTLED) {
        found->unsettled++;
        return;
    }
    buf_append_slice(&found->named, finding->key);
    buf_append_u8(&found->named, 0);
    if (found->differing++ != 0)
        return;
    buf_append_slice(&found->first, finding->key);
    for (int i = 0; i < 2; i++) {
        found->ids[i] = look->check->subjects[finding->nodes[i]].id;
        snprintf(found->types[i], TYPE_SIZE, "%.*s", (int)finding->types[i].size,
                 (const char *)finding->types[i].data);
    }
}

/* Into found what all of them show of the bucket now. */
static void compare(const check_t *self, found_t *found)
{
    look_t look = {self, found};
    compare_shown_t *shown = mem_alloc(self->count * sizeof(*shown));
    for (size_t i = 0; i < self->count; i++)
        shown[i] = self->subjects[i].shown;
    found->unsettled += bucket_compare(shown, self->count, take_finding, &look);
    free(shown);
}

/* What differs in a bucket becomes part of the result. */
static void add_to_total(check_t *self, const found_t *found)
{
    found_t *total = &self->total;
    if (found->differing == 0)
        return;
    if (total->differing == 0 ||
        slice_compare(buf_slice(&found->first), buf_slice(&total->first)) < 0) {
        buf_reset(&total->first);
        buf_append_slice(&total->first, buf_slice(&found->first));
        memcpy(total->ids, found->ids, sizeof(total->ids));
        memcpy(total->types, found->types, sizeof(total->types));
    }
    total->differing += found->differing;
}

/* One look. True when it is settled what the bucket is like. */
static bool look_into(check_t *self, open_t *open)
{
    found_t found = {0};
    compare(self, &found);
    found.is_believed =
        found.differing != 0 && slice_equal(buf_slice(&found.named), buf_slice(&open->last.named));
    free_found(&open->last);
    open->last = found;
    return found.unsettled == 0 && (found.differing == 0 || found.is_believed);
}

/* A look into each open bucket; those that are settled are closed. -1 after a signal. */
static int look_into_all(check_t *self)
{
    size_t kept = 0;
    size_t i = 0;
    for (; i < self->open_size; i++) {
        self->at.bucket = self->open[i].bucket;
        if (ask(self, CONTROL_SHOWN) != 0)
            return -1;
        if (self->count < 2 || is_late(self))
            break;
        if (look_into(self, &self->open[i])) {
            add_to_total(self, &self->open[i].last);
            free_found(&self->open[i].last);
        } else {
            self->open[kept++] = self->open[i];
        }
    }
    while (i < self->open_size)
        self->open[kept++] = self->open[i++];
    self->open_size = kept;
    return 0;
}

/* ---- the result ---- */

static int exit_code(const check_t *self)
{
    int of_files = self->files != NULL ? files_exit(self->files) : EXIT_DONE;
    int of_keys = self->open_size != 0 ? outcome_exit(OUTCOME_UNKNOWN) : EXIT_DONE;
    if (self->total.differing != 0 || of_files == EXIT_NO)
        return EXIT_NO;
    if (self->left_out_size != 0 || of_files == outcome_exit(OUTCOME_NOT_REACHED))
        return outcome_exit(OUTCOME_NOT_REACHED);
    return of_keys != EXIT_DONE ? of_keys : of_files;
}

static void put_json(const check_t *self, buf_t *out)
{
    const found_t *total = &self->total;
    json_t json = json_open(out);
    json_object(&json, NULL);
    json_bool(&json, "ok", exit_code(self) == EXIT_DONE);
    json_array(&json, "nodes");
    for (size_t i = 0; i < self->count; i++)
        json_uint(&json, NULL, self->subjects[i].id);
    json_end(&json);
    json_array(&json, "left_out");
    for (size_t i = 0; i < self->left_out_size; i++) {
        json_object(&json, NULL);
        json_uint(&json, "id", self->left_out[i].id);
        json_text(&json, "why", self->left_out[i].why);
        json_end(&json);
    }
    json_end(&json);
    json_uint(&json, "keys", self->keys);
    json_uint(&json, "differing", total->differing);
    json_uint(&json, "buckets", UINT64_C(1) << self->at.bits);
    json_uint(&json, "buckets_unsettled", self->open_size);
    if (total->differing != 0) {
        json_object(&json, "first");
        json_bytes(&json, "key", buf_slice(&total->first));
        json_array(&json, "shown");
        for (int i = 0; i < 2; i++) {
            json_object(&json, NULL);
            json_uint(&json, "id", total->ids[i]);
            json_text(&json, "type", total->types[i]);
            json_end(&json);
        }
        json_end(&json);
        json_end(&json);
    }
    if (self->files != NULL)
        files_put_json(self->files, &json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

static void put_compared(const check_t *self, buf_t *out)
{
    const found_t *total = &self->total;
    buf_append_text(out, self->count == 1 ? "node" : "nodes");
    for (size_t i = 0; i < self->count; i++)
        buf_printf(out, "%s %u",
                   i == 0                 ? ""
                   : i + 1 == self->count ? " and"
                                          : ",",
                   self->subjects[i].id);
    buf_printf(out, ", %" PRIu64 " keys: ", self->keys);
    if (total->differing == 0) {
        buf_append_text(out, "equal\n");
    } else {
        buf_printf(out, "%" PRIu64 " differ, the first is ", total->differing);
        json_t json = json_open(out); /* quoted and escaped */
        json_string(&json, NULL, buf_slice(&total->first));
        buf_printf(out, ": %s at node %u, %s at node %u%s\n", total->types[0], total->ids[0],
                   total->types[1], total->ids[1],
                   strcmp(total->types[0], total->types[1]) == 0 ? ", of another value" : "");
    }
}

static void put_text(const check_t *self, buf_t *out)
{
    if (self->count > 1)
        put_compared(self, out);
    if (self->open_size != 0)
        buf_printf(out,
                   "not settled in time: %zu of %" PRIu64
                   " parts of the keys changed all the while, or hold too many; a longer --timeout "
                   "may do\n",
                   self->open_size, UINT64_C(1) << self->at.bits);
    for (size_t i = 0; i < self->left_out_size; i++)
        buf_printf(out, "not compared: node %u %s\n", self->left_out[i].id, self->left_out[i].why);
    if (self->files != NULL)
        files_put_text(self->files, out);
}

/* ---- all of it ---- */

static int compare_all(check_t *self)
{
    self->open_size = (size_t)1 << self->at.bits;
    self->open = mem_zero(self->open_size, sizeof(*self->open));
    for (uint32_t i = 0; i < self->open_size; i++)
        self->open[i].bucket = i;
    for (int i = 0; i < PASSES && self->count > 1 && self->open_size > (i == 0 ? 0 : FEW); i++)
        if (pass(self) != 0)
            return -1;
    while (self->count > 1 && self->open_size != 0 && !is_late(self)) {
        if (set_clock(self) != 0 || look_into_all(self) != 0)
            return -1;
        int64_t again_ms = net_now().boot_ms + AGAIN_MS;
        if (self->open_size != 0 &&
            survey_idle(self->survey, time_earlier(again_ms, self->deadline_ms)) != 0)
            return -1;
    }
    for (size_t i = 0; i < self->open_size; i++)
        if (self->open[i].last.is_believed)
            add_to_total(self, &self->open[i].last);
    return 0;
}

static void free_check(check_t *self)
{
    for (size_t i = 0; i < SURVEY_MEMBERS_MAX; i++)
        buf_free(&self->subjects[i].reply);
    free(self->subjects);
    for (size_t i = 0; i < self->open_size; i++)
        free_found(&self->open[i].last);
    free(self->open);
    free_found(&self->total);
    files_destroy(&self->files);
    free(self);
}

/* No two nodes are there. What only one of them says of its files is lost unless it is bad. */
static int fail_alone(const check_t *self, err_t *err)
{
    buf_t text = {0};
    for (size_t i = 0; i < self->left_out_size; i++)
        buf_printf(&text, "; node %u %s", self->left_out[i].id, self->left_out[i].why);
    int rc = err_set(
        err, OUTCOME_NOT_REACHED, "there are no two nodes to compare%s%.300s",
        self->files != NULL && files_exit(self->files) == EXIT_DONE ? " (its files are whole)" : "",
        buf_text(&text));
    buf_free(&text);
    return rc;
}

/* Everything that is asked of the nodes; -1 after a signal. */
static int ask_everything(check_t *self, bool with_files)
{
    if (with_files && files_begin(&self->files, self->survey, self->deadline_ms) != 0)
        return -1;
    if (self->count > 1 && compare_all(self) != 0)
        return -1;
    return with_files ? files_finish(self->files, self->deadline_ms) : 0;
}

int check_run(buf_t *out, survey_t *survey, bool with_files, bool as_json, int64_t deadline_ms,
              err_t *err)
{
    check_t *self = mem_zero(1, sizeof(*self));
    int code = EXIT_INTERRUPTED;

    self->survey = survey;
    self->deadline_ms = deadline_ms;
    choose_subjects(self);
    bool is_ended = ask_everything(self, with_files) != 0;
    if (!is_ended && self->count < 2 && exit_code(self) != EXIT_NO) {
        code = fail_alone(self, err);
    } else if (!is_ended) {
        code = exit_code(self);
        if (as_json)
            put_json(self, out);
        else
            put_text(self, out);
    }
    free_check(self);
    return code;
}
