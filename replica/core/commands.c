/*
 * The commands. A read writes its answer and what it saw; an update decides its answer, fills in
 * its operations, and says whether they would show. Nothing is changed here.
 */
#include <stdio.h>
#include <string.h>

#include "replica/core/internal.h"

static const char WRONGTYPE[] = "the key holds another type: delete it first, or use another key";
static const char KEY_TOO_LARGE[] = "a key or field is longer than 1024 bytes";
static const char VALUE_TOO_LARGE[] = "the value is longer than --max-value allows";
static const char ANSWER_TOO_LARGE[] = "the answer is longer than 18 MiB: ask for fewer keys";
static const char UPDATE_TOO_LARGE[] = "the update is longer than 18 MiB: set fewer keys at once";
static const char KEY_OUTGROWN[] =
    "the key would hold more than 64 MiB, names and what is remembered of each field included: "
    "take something out of it, or use several keys";
static const char NUMBER_WANTED[] = "the amount is not a decimal 64-bit integer";
static const char NOT_A_NUMBER[] = "the value there is not a decimal 64-bit integer";
static const char OVERFLOW[] = "the sum would not fit in 64 bits";

enum {
    SCAN_COUNT = 100, /* keys of a page, unless asked for more or fewer */
    SCAN_COUNT_MAX = 10000,
};

#define EXPIRE_SECONDS_MAX INT64_C(3153600000) /* 100 years: its clock value fits 63 bits */

static outcome_t fail(command_run_t *run, outcome_t outcome, const char *why)
{
    run->why = why;
    return outcome;
}

/* Takes the arguments apart; request_read has made sure that they are all there. */
static size_t open_arguments(replica_t *self, const request_t *request)
{
    mp_t in = mp_open(request->arguments_at);
    for (uint32_t i = 0; i < request->arguments; i++)
        self->arguments[i] = mp_bytes(&in);
    return request->arguments;
}

/* A key shows this type, or nothing; what says so is seen. */
static bool is_of_type(replica_t *self, slice_t key, store_type_t type)
{
    store_type_t shown = store_type(self->store, key, NULL);
    if (shown == STORE_NOTHING || shown == type)
        return true;
    store_type(self->store, key, &self->seen);
    return false;
}

static void put_view(buf_t *out, const cell_view_t *view)
{
    char number[24];
    if (!view->is_there) {
        mp_put_nil(out);
    } else if (view->is_number) {
        int size = snprintf(number, sizeof number, "%lld", (long long)view->number);
        mp_put_bin(out, slice_of(number, (size_t)size));
    } else {
        mp_put_bin(out, view->text);
    }
}

/* ---- reads ---- */

static outcome_t run_get(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    if (!is_of_type(self, key, STORE_REGISTER))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    cell_view_t view = store_get(self->store, key, &self->seen);
    put_view(&self->value, &view);
    return OUTCOME_OK;
}

static outcome_t run_exists(replica_t *self, command_run_t *run)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->request->arguments; i++)
        count += store_type(self->store, self->arguments[i], &self->seen) != STORE_NOTHING;
    mp_put_uint(&self->value, count);
    return OUTCOME_OK;
}

static outcome_t run_mget(replica_t *self, command_run_t *run)
{
    mp_put_array(&self->value, run->request->arguments);
    for (uint32_t i = 0; i < run->request->arguments && self->value.size <= REPLICA_BODY_MAX; i++) {
        if (!is_of_type(self, self->arguments[i], STORE_REGISTER)) {
            mp_put_nil(&self->value);
            continue;
        }
        cell_view_t view = store_get(self->store, self->arguments[i], &self->seen);
        put_view(&self->value, &view);
    }
    return OUTCOME_OK;
}

static outcome_t run_hget(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    if (!is_of_type(self, key, STORE_HASH))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    cell_view_t view =
        store_get_field(self->store, STORE_HASH, key, self->arguments[1], &self->seen);
    put_view(&self->value, &view);
    return OUTCOME_OK;
}

/* What is over the limit is refused as a whole, so that the rest need not be written. */
static void put_field(void *arg, slice_t field, const cell_view_t *view)
{
    buf_t *out = arg;
    if (out->size > REPLICA_BODY_MAX)
        return;
    mp_put_bin(out, field);
    put_view(out, view);
}

static void put_name(void *arg, slice_t field, const cell_view_t *view)
{
    buf_t *out = arg;
    (void)view;
    if (out->size <= REPLICA_BODY_MAX)
        mp_put_bin(out, field);
}

static outcome_t run_hgetall(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    if (!is_of_type(self, key, STORE_HASH))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    size_t fields = store_each_field(self->store, STORE_HASH, key, NULL, NULL, &self->seen);
    mp_put_map(&self->value, (uint32_t)fields);
    store_each_field(self->store, STORE_HASH, key, put_field, &self->value, &self->seen);
    return OUTCOME_OK;
}

static outcome_t run_smembers(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    if (!is_of_type(self, key, STORE_SET))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    size_t elements = store_each_field(self->store, STORE_SET, key, NULL, NULL, &self->seen);
    mp_put_array(&self->value, (uint32_t)elements);
    store_each_field(self->store, STORE_SET, key, put_name, &self->value, &self->seen);
    return OUTCOME_OK;
}

static outcome_t run_sismember(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    if (!is_of_type(self, key, STORE_SET))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    cell_view_t view =
        store_get_field(self->store, STORE_SET, key, self->arguments[1], &self->seen);
    mp_put_uint(&self->value, view.is_there);
    return OUTCOME_OK;
}

static outcome_t run_type(replica_t *self, command_run_t *run)
{
    (void)run;
    mp_put_text(&self->value,
                store_type_name(store_type(self->store, self->arguments[0], &self->seen)));
    return OUTCOME_OK;
}

static outcome_t run_ttl(replica_t *self, command_run_t *run)
{
    (void)run;
    slice_t key = self->arguments[0];
    int64_t seconds = -2;
    if (store_type(self->store, key, &self->seen) != STORE_NOTHING) {
        hlc_t deadline = store_deadline(self->store, key, &self->seen);
        int64_t left_ms = hlc_ms(deadline) - hlc_ms(replica_clock(self));
        seconds = deadline != 0 ? (left_ms + 999) / 1000 : -1;
    }
    mp_put_int(&self->value, seconds);
    return OUTCOME_OK;
}

/* ---- scans ---- */

typedef struct page {
    buf_t keys;
    uint32_t count;
} page_t;

static void put_key(void *arg, slice_t key, store_type_t type)
{
    page_t *page = arg;
    (void)type;
    mp_put_bin(&page->keys, key);
    page->count++;
}

/* What is not on the page is part of the answer: a scan has seen all that the replica has. */
static outcome_t run_scan(replica_t *self, command_run_t *run)
{
    uint32_t count = run->request->arguments;
    slice_t prefix = count > 1 ? self->arguments[1] : slice_of(NULL, 0);
    int64_t cursor;
    int64_t most = SCAN_COUNT;
    if (!slice_to_int64(self->arguments[0], &cursor) || cursor < 0 || cursor > UINT32_MAX)
        return fail(run, OUTCOME_USAGE, "the cursor is not 0 and none that a scan has answered");
    if (count > 2 &&
        (!slice_to_int64(self->arguments[2], &most) || most < 1 || most > SCAN_COUNT_MAX))
        return fail(run, OUTCOME_USAGE, "the count is not a number from 1 to 10000");
    page_t page = {0};
    uint64_t next = store_scan(self->store, prefix, (uint64_t)cursor, (size_t)most, put_key, &page);
    mp_put_array(&self->value, 2);
    mp_put_uint(&self->value, next);
    mp_put_array(&self->value, page.count);
    buf_append_slice(&self->value, buf_slice(&page.keys));
    buf_free(&page.keys);
    vec_merge(&self->seen.dots, &self->applied);
    lost_take_out(&self->lost, &self->seen.dots);
    return OUTCOME_OK;
}

/* ---- updates ---- */

static outcome_t check_names(const replica_t *self, command_run_t *run, size_t first, size_t step)
{
    for (size_t i = first; i < run->request->arguments; i += step)
        if (self->arguments[i].size > COMMAND_KEY_MAX || self->arguments[i].size == 0)
            return fail(run, self->arguments[i].size == 0 ? OUTCOME_USAGE : OUTCOME_TOO_LARGE,
                        self->arguments[i].size == 0 ? "a key or field is empty" : KEY_TOO_LARGE);
    return OUTCOME_OK;
}

static outcome_t check_values(const replica_t *self, command_run_t *run, size_t first, size_t step)
{
    for (size_t i = first; i < run->request->arguments; i += step)
        if (self->arguments[i].size > self->config.value_max)
            return fail(run, OUTCOME_TOO_LARGE, VALUE_TOO_LARGE);
    return OUTCOME_OK;
}

static void add_op(replica_t *self, op_t op)
{
    self->op_list[self->op_count++] = op;
}

static outcome_t run_set(replica_t *self, command_run_t *run)
{
    outcome_t outcome = check_names(self, run, 0, 2);
    if (outcome == OUTCOME_OK)
        outcome = check_values(self, run, 1, 2);
    if (outcome != OUTCOME_OK)
        return outcome;
    for (size_t i = 0; i + 1 < run->request->arguments; i += 2) {
        if (!is_of_type(self, self->arguments[i], STORE_REGISTER))
            return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
        add_op(self,
               (op_t){.code = OP_SET, .key = self->arguments[i], .value = self->arguments[i + 1]});
    }
    mp_put_bool(&self->value, true);
    return OUTCOME_OK;
}

static outcome_t run_del(replica_t *self, command_run_t *run)
{
    outcome_t outcome = check_names(self, run, 0, 1);
    if (outcome != OUTCOME_OK)
        return outcome;
    uint64_t count = 0;
    for (size_t i = 0; i < run->request->arguments; i++) {
        count += store_type(self->store, self->arguments[i], &self->seen) != STORE_NOTHING;
        add_op(self, (op_t){.code = OP_DEL, .key = self->arguments[i]});
    }
    mp_put_uint(&self->value, count);
    return OUTCOME_OK;
}

static outcome_t run_hset(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    outcome_t outcome = check_names(self, run, 1, 2);
    if (outcome == OUTCOME_OK)
        outcome = check_values(self, run, 2, 2);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (!is_of_type(self, key, STORE_HASH))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    for (size_t i = 1; i + 1 < run->request->arguments; i += 2)
        add_op(self, (op_t){.code = OP_HSET,
                            .key = key,
                            .field = self->arguments[i],
                            .value = self->arguments[i + 1]});
    mp_put_bool(&self->value, true);
    return OUTCOME_OK;
}

static outcome_t run_hdel(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    outcome_t outcome = check_names(self, run, 1, 1);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (!is_of_type(self, key, STORE_HASH))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    uint64_t count = 0;
    for (size_t i = 1; i < run->request->arguments; i++) {
        count +=
            store_get_field(self->store, STORE_HASH, key, self->arguments[i], &self->seen).is_there;
        add_op(self, (op_t){.code = OP_HDEL, .key = key, .field = self->arguments[i]});
    }
    mp_put_uint(&self->value, count);
    return OUTCOME_OK;
}

/* sadd and srem. */
static outcome_t run_elements(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    bool adds = run->request->command == COMMAND_SADD;
    outcome_t outcome = check_names(self, run, 1, 1);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (!is_of_type(self, key, STORE_SET))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    uint64_t count = 0;
    for (size_t i = 1; i < run->request->arguments; i++) {
        slice_t element = self->arguments[i];
        bool is_there = store_get_field(self->store, STORE_SET, key, element, &self->seen).is_there;
        count += is_there != adds;
        add_op(self, (op_t){.code = adds ? OP_SADD : OP_SREM, .key = key, .field = element});
    }
    mp_put_uint(&self->value, count);
    return OUTCOME_OK;
}

/*
 * expire and persist: what there is nothing to do for is an update without operations, so that its
 * answer is remembered.
 */
static outcome_t run_expire(replica_t *self, command_run_t *run)
{
    slice_t key = self->arguments[0];
    bool persists = run->request->command == COMMAND_PERSIST;
    bool is_there = store_type(self->store, key, &self->seen) != STORE_NOTHING;
    hlc_t deadline = store_deadline(self->store, key, &self->seen);
    int64_t seconds = 0;
    if (!persists && (!slice_to_int64(self->arguments[1], &seconds) || seconds < 1 ||
                      seconds > EXPIRE_SECONDS_MAX))
        return fail(run, OUTCOME_USAGE, "the seconds are not a number from 1 to 3153600000");
    if ((run->request->flags & REQUEST_FRESH) == 0)
        return fail(run, OUTCOME_UNKNOWN, "whether the key was there is not decided twice");
    bool applies = is_there && (!persists || deadline != 0);
    if (applies && !persists)
        deadline = hlc_add_ms(run->tag.hlc, seconds * 1000);
    if (applies)
        add_op(self,
               (op_t){.code = OP_EXPIRE, .key = key, .amount = persists ? 0 : (int64_t)deadline});
    mp_put_uint(&self->value, applies);
    return OUTCOME_OK;
}

/* incr, decr and hincr: the amount is the argument behind the names, 1 when there is none. */
static outcome_t run_add(replica_t *self, command_run_t *run)
{
    const request_t *request = run->request;
    bool is_field = request->command == COMMAND_HINCR;
    size_t names = is_field ? 2 : 1;
    slice_t key = self->arguments[0];
    slice_t field = is_field ? self->arguments[1] : slice_of(NULL, 0);
    int64_t amount = 1;
    outcome_t outcome = is_field ? check_names(self, run, 0, 3) : OUTCOME_OK;
    if (outcome == OUTCOME_OK && is_field && field.size > COMMAND_KEY_MAX)
        outcome = fail(run, OUTCOME_TOO_LARGE, KEY_TOO_LARGE);
    if (outcome != OUTCOME_OK)
        return outcome;
    if (request->arguments > names && !slice_to_int64(self->arguments[names], &amount))
        return fail(run, OUTCOME_USAGE, NUMBER_WANTED);
    if (request->command == COMMAND_DECR && amount == INT64_MIN)
        return fail(run, OUTCOME_OVERFLOW, OVERFLOW); /* there is no number that is its opposite */
    if (request->command == COMMAND_DECR)
        amount = (int64_t)(0 - (uint64_t)amount);
    if (!is_of_type(self, key, is_field ? STORE_HASH : STORE_REGISTER))
        return fail(run, OUTCOME_WRONGTYPE, WRONGTYPE);
    cell_view_t view = is_field ? store_get_field(self->store, STORE_HASH, key, field, &self->seen)
                                : store_get(self->store, key, &self->seen);
    if (view.is_there && !view.is_number)
        return fail(run, OUTCOME_NOT_A_NUMBER, NOT_A_NUMBER);
    op_t op = {.code = is_field ? OP_HINCR : OP_INCR, .key = key, .field = field, .amount = amount};
    int64_t sum = view.number;
    if (!store_hides(self->store, &op, run->tag) && __builtin_add_overflow(sum, amount, &sum))
        return fail(run, OUTCOME_OVERFLOW, OVERFLOW);
    add_op(self, op);
    mp_put_int(&self->value, sum);
    return OUTCOME_OK;
}

/* ---- several in one step ---- */

static outcome_t run_command(replica_t *self, command_run_t *run);

/* Whether a command inside a multi names a key that an earlier one of it changes. */
static bool names_changed_key(const replica_t *self, const command_t *command, size_t arguments)
{
    bool has_many = command->code == COMMAND_MGET || command->code == COMMAND_EXISTS ||
                    command->code == COMMAND_DEL || command->code == COMMAND_MSET;
    size_t step = command->code == COMMAND_MSET ? 2 : 1;
    for (size_t i = 0; i < (has_many ? arguments : 1); i += step)
        for (size_t k = 0; k < self->op_count; k++)
            if (slice_equal(self->op_list[k].key, self->arguments[i]))
                return true;
    return false;
}

static const command_t *inner_command(slice_t name)
{
    char text[16];
    if (name.size >= sizeof text)
        return NULL;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    const command_t *command = command_by_name(text);
    bool fits = command != NULL && command->code != COMMAND_MULTI && command->code != COMMAND_SCAN;
    return fits ? command : NULL;
}

static outcome_t run_inner(replica_t *self, command_run_t *run, mp_t *in, int64_t words)
{
    const command_t *command = inner_command(mp_bytes(in));
    if (command == NULL || !command_takes(command, (size_t)words - 1))
        return fail(run, OUTCOME_USAGE, "multi has no such command, or not with so many arguments");
    request_t request = *run->request;
    request.command = command->code;
    request.arguments = (uint32_t)words - 1;
    request.arguments_at = slice_of(in->at, (size_t)(in->end - in->at));
    open_arguments(self, &request);
    for (uint32_t i = 0; i < request.arguments; i++)
        mp_bytes(in);
    if (self->op_count + request.arguments > OPS_MAX)
        return fail(run, OUTCOME_TOO_LARGE, "a multi makes at most 1024 changes");
    if (names_changed_key(self, command, request.arguments))
        return fail(run, OUTCOME_USAGE, "multi names a key again that it has changed before");
    const request_t *outer = run->request;
    run->request = &request;
    outcome_t outcome = run_command(self, run);
    run->request = outer;
    return outcome;
}

/* Each sees the data as it was before: that is why no key may be named again. */
static outcome_t run_multi(replica_t *self, command_run_t *run)
{
    mp_t in = mp_open(run->request->arguments_at);
    uint32_t left = run->request->arguments;
    uint32_t commands = 0;
    size_t head = self->value.size;
    buf_append_u8(&self->value, 0xDC); /* array 16: its count is filled in at the end */
    buf_append_u8(&self->value, 0);
    buf_append_u8(&self->value, 0);
    while (left != 0) {
        int64_t words;
        if (!slice_to_int64(mp_bytes(&in), &words) || words < 1 || words >= left)
            return fail(run, OUTCOME_USAGE,
                        "multi wants the number of words before each command and its arguments");
        outcome_t outcome = run_inner(self, run, &in, words);
        if (outcome != OUTCOME_OK)
            return outcome;
        if (self->value.size > REPLICA_BODY_MAX)
            return fail(run, OUTCOME_TOO_LARGE, ANSWER_TOO_LARGE);
        left -= (uint32_t)words + 1;
        commands++;
    }
    be16_put(self->value.data + head + 1, (uint16_t)commands);
    return OUTCOME_OK;
}

/* True when an operation of the update would not show under its tag. */
static bool hides_any(const replica_t *self, tag_t tag)
{
    for (size_t i = 0; i < self->op_count; i++, tag.hlc++)
        if (store_hides(self->store, &self->op_list[i], tag))
            return true;
    return false;
}

typedef outcome_t run_fn(replica_t *self, command_run_t *run);

static run_fn *const handlers[] = {
    [COMMAND_GET] = run_get,
    [COMMAND_EXISTS] = run_exists,
    [COMMAND_MGET] = run_mget,
    [COMMAND_HGET] = run_hget,
    [COMMAND_HGETALL] = run_hgetall,
    [COMMAND_SET] = run_set,
    [COMMAND_MSET] = run_set,
    [COMMAND_DEL] = run_del,
    [COMMAND_INCR] = run_add,
    [COMMAND_DECR] = run_add,
    [COMMAND_HSET] = run_hset,
    [COMMAND_HDEL] = run_hdel,
    [COMMAND_HINCR] = run_add,
    [COMMAND_TYPE] = run_type,
    [COMMAND_SCAN] = run_scan,
    [COMMAND_SMEMBERS] = run_smembers,
    [COMMAND_SISMEMBER] = run_sismember,
    [COMMAND_TTL] = run_ttl,
    [COMMAND_SADD] = run_elements,
    [COMMAND_SREM] = run_elements,
    [COMMAND_EXPIRE] = run_expire,
    [COMMAND_PERSIST] = run_expire,
    [COMMAND_MULTI] = run_multi,
};

static outcome_t run_command(replica_t *self, command_run_t *run)
{
    if (self->arguments[0].size > COMMAND_KEY_MAX)
        return fail(run, OUTCOME_TOO_LARGE, KEY_TOO_LARGE);
    if (self->arguments[0].size == 0)
        return fail(run, OUTCOME_USAGE, "the key is empty");
    return handlers[run->request->command](self, run);
}

outcome_t command_run(replica_t *self, command_run_t *run)
{
    buf_reset(&self->value);
    self->op_count = 0;
    open_arguments(self, run->request);
    store_set_clock(self->store, replica_clock(self));
    outcome_t outcome = run_command(self, run);
    if (outcome == OUTCOME_OK && self->value.size > REPLICA_BODY_MAX)
        return fail(run, OUTCOME_TOO_LARGE, ANSWER_TOO_LARGE);
    if (command_by_code(run->request->command)->is_update &&
        run->request->arguments_at.size > REPLICA_BODY_MAX)
        return fail(run, OUTCOME_TOO_LARGE, UPDATE_TOO_LARGE);
    if (outcome == OUTCOME_OK && store_outgrows(self->store, self->op_list, self->op_count)) {
        self->counts.outgrown++;
        return fail(run, OUTCOME_TOO_LARGE, KEY_OUTGROWN);
    }
    if (outcome == OUTCOME_OK && (run->request->flags & REQUEST_FRESH) != 0)
        run->hides = hides_any(self, run->tag);
    return outcome;
}
