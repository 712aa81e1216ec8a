#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/core/store.h"
#include "tests/unit/property.h"

/*
 * The store against a dumb model: the model keeps every operation and folds them by the rules each
 * time it is asked. Few keys, fields and tags, so that operations meet.
 */

enum { OPS = 24, KEYS = 2, FIELDS = 3, TEXT = 16 };

static const char *const keys[KEYS] = {"k", "key"};
static const char *const fields[FIELDS] = {"", "f", "g"};

typedef struct model_op {
    op_t op;
    mark_t mark;
    char text[TEXT];
} model_op_t;

typedef struct model {
    model_op_t list[OPS + 1];
    size_t size;
} model_t;

/* ---- the model ---- */

static bool is_register(const op_t *op)
{
    return op->code == OP_SET || op->code == OP_INCR;
}

static bool adds(const op_t *op)
{
    return op->code == OP_INCR || op->code == OP_HINCR;
}

/* What operations of a type on the key must be greater than. */
static tag_t model_kill(const model_t *model, slice_t key, bool of_register)
{
    tag_t kill = {0};
    for (size_t i = 0; i < model->size; i++) {
        const op_t *op = &model->list[i].op;
        bool kills = op->code == OP_DEL || is_register(op) != of_register;
        if (slice_equal(op->key, key) && kills)
            kill = tag_max(kill, model->list[i].mark.tag);
    }
    return kill;
}

typedef struct shown {
    bool is_there;
    bool is_number;
    int64_t number;
    slice_t text;
    bool has_increments;
    tag_t base;
    tag_t top;
} shown_t;

/* A register (field NULL) or a field. */
static shown_t model_cell(const model_t *model, slice_t key, const slice_t *field)
{
    tag_t kill = model_kill(model, key, field == NULL);
    const model_op_t *base = NULL;
    shown_t shown = {0};
    uint64_t sum = 0;
    for (int pass = 0; pass < 2; pass++) /* the base first: increments count above it */
        for (size_t i = 0; i < model->size; i++) {
            const model_op_t *m = &model->list[i];
            if (!slice_equal(m->op.key, key) || m->op.code == OP_DEL ||
                is_register(&m->op) != (field == NULL) ||
                (field != NULL && !slice_equal(m->op.field, *field)) ||
                tag_compare(m->mark.tag, kill) <= 0)
                continue;
            if (pass == 0 && !adds(&m->op) &&
                (base == NULL || tag_compare(m->mark.tag, base->mark.tag) > 0))
                base = m;
            if (pass == 1 && adds(&m->op) &&
                (base == NULL || tag_compare(m->mark.tag, base->mark.tag) > 0)) {
                sum += (uint64_t)m->op.amount;
                shown.has_increments = true;
                shown.top = tag_max(shown.top, m->mark.tag);
            }
        }
    bool has_text = base != NULL && base->op.code != OP_HDEL;
    if (base != NULL)
        shown.base = base->mark.tag;
    shown.top = tag_max(shown.top, shown.base);
    shown.is_there = has_text || shown.has_increments;
    if (has_text) {
        shown.text = base->op.value;
        shown.is_number = slice_to_int64(shown.text, &shown.number);
    } else {
        shown.is_number = shown.has_increments;
    }
    if (shown.is_number)
        shown.number = (int64_t)((uint64_t)shown.number + sum);
    return shown;
}

static store_type_t model_type(const model_t *model, slice_t key)
{
    if (model_cell(model, key, NULL).is_there)
        return STORE_REGISTER;
    for (int f = 0; f < FIELDS; f++) {
        slice_t field = slice_text(fields[f]);
        if (model_cell(model, key, &field).is_there)
            return STORE_HASH;
    }
    return STORE_NOTHING;
}

/* ---- drawing ---- */

static const int64_t amounts[] = {1, -1, 5, 1000, -70, INT64_MAX, INT64_MIN};

static void draw_op(random_t *rng, model_op_t *out, unsigned number)
{
    op_t *op = &out->op;
    *op = (op_t){.code = (uint8_t)(OP_SET + random_below(rng, OP_HINCR))};
    if (op->code == OP_DEL && random_chance(rng, RANDOM_PPM / 2))
        op->code = OP_HSET; /* deletes of keys hide too much else */
    op->key = slice_text(keys[random_below(rng, KEYS)]);
    if (op->code >= OP_HSET)
        op->field = slice_text(fields[random_below(rng, FIELDS)]);
    if (adds(op))
        op->amount = amounts[random_below(rng, sizeof amounts / sizeof amounts[0])];
    if (op->code == OP_SET || op->code == OP_HSET) {
        /* No two operations set the same. */
        const char *prefix = random_chance(rng, RANDOM_PPM / 2) ? "" : "v";
        if (random_chance(rng, RANDOM_PPM / 20))
            out->text[0] = '\0';
        else
            snprintf(out->text, sizeof out->text, "%s%u", prefix, number);
        op->value = slice_text(out->text);
    }
}

static tag_t tag_number(uint64_t rank)
{
    return (tag_t){1 + rank / 4, rank / 2 % 2, 1 + rank % 2};
}

/* Operations with tags all different, each an update of its own from an origin of its own. */
static void draw_model(random_t *rng, model_t *model)
{
    uint64_t rank[OPS];
    model->size = 1 + random_below(rng, OPS);
    for (size_t i = 0; i < OPS; i++)
        rank[i] = 2 * i; /* odd ones are left for another operation */
    for (size_t i = OPS - 1; i > 0; i--) {
        size_t other = random_below(rng, i + 1);
        uint64_t swap = rank[i];
        rank[i] = rank[other];
        rank[other] = swap;
    }
    for (size_t i = 0; i < model->size; i++) {
        draw_op(rng, &model->list[i], (unsigned)i);
        model->list[i].mark = (mark_t){tag_number(rank[i]), {i + 1, 1}};
    }
}

static uint64_t apply(store_t *store, const model_op_t *m)
{
    /* The store may keep nothing of what it is given. */
    char key[TEXT];
    char field[TEXT];
    char value[TEXT];
    op_t op = m->op;
    memcpy(key, op.key.data, op.key.size);
    op.key.data = (const uint8_t *)key;
    if (op.field.size != 0)
        memcpy(field, op.field.data, op.field.size);
    op.field.data = op.code >= OP_HSET ? (const uint8_t *)field : NULL;
    if (op.value.size != 0)
        memcpy(value, op.value.data, op.value.size);
    op.value.data = (const uint8_t *)value;
    uint64_t lost_to = store_apply(store, &op, &m->mark);
    memset(key, '#', sizeof key);
    memset(field, '#', sizeof field);
    memset(value, '#', sizeof value);
    return lost_to;
}

/* In a random order, some twice or three times. */
static store_t *applied(random_t *rng, const model_t *model)
{
    size_t order[OPS * 3];
    size_t size = 0;
    for (size_t i = 0; i < model->size; i++)
        for (uint64_t copies = 1 + random_below(rng, 3); copies > 0; copies--)
            order[size++] = i;
    for (size_t i = size - 1; i > 0; i--) {
        size_t other = random_below(rng, i + 1);
        size_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    store_t *store = store_new(random_u64(rng));
    for (size_t i = 0; i < size; i++)
        apply(store, &model->list[order[i]]);
    return store;
}

/* ---- reading ---- */

static void put_view(buf_t *out, const cell_view_t *view)
{
    if (!view->is_there) {
        buf_append_text(out, "(absent)");
        return;
    }
    buf_append_text(out, view->is_number ? "number " : "text ");
    if (view->is_number && view->text.size == 0)
        buf_printf(out, "%" PRId64, view->number);
    else
        buf_append_slice(out, view->text);
}

static void put_shown(buf_t *out, const shown_t *shown)
{
    cell_view_t view = {shown->is_there, shown->is_number, shown->number, shown->text};
    if (shown->is_number && shown->has_increments)
        view.text = slice_of(NULL, 0);
    put_view(out, &view);
}

static void put_field(void *arg, slice_t field, const cell_view_t *view)
{
    buf_t *out = arg;
    buf_append_slice(out, field);
    buf_append_text(out, "=");
    put_view(out, view);
    buf_append_text(out, ";");
}

/* The reads that there are: type, register and all fields of a key, and each field. */
enum { READS_PER_KEY = 3 + FIELDS, READS = KEYS * READS_PER_KEY };

static void store_answer(const store_t *store, int read, buf_t *out, seen_t *seen)
{
    slice_t key = slice_text(keys[read / READS_PER_KEY]);
    int kind = read % READS_PER_KEY;
    cell_view_t view;
    buf_reset(out);
    switch (kind) {
    case 0:
        buf_printf(out, "%d", store_type(store, key, seen));
        break;
    case 1:
        view = store_get(store, key, seen);
        put_view(out, &view);
        break;
    case 2:
        store_each_field(store, STORE_HASH, key, put_field, out, seen);
        break;
    default:
        view = store_get_field(store, STORE_HASH, key, slice_text(fields[kind - 3]), seen);
        put_view(out, &view);
    }
}

static void model_answer(const model_t *model, int read, buf_t *out)
{
    slice_t key = slice_text(keys[read / READS_PER_KEY]);
    int kind = read % READS_PER_KEY;
    shown_t shown;
    buf_reset(out);
    if (kind == 0) {
        buf_printf(out, "%d", model_type(model, key));
        return;
    }
    for (int f = 0; f < FIELDS && kind == 2; f++) { /* the names stand in their order */
        slice_t field = slice_text(fields[f]);
        shown = model_cell(model, key, &field);
        if (!shown.is_there)
            continue;
        buf_append_slice(out, field);
        buf_append_text(out, "=");
        put_shown(out, &shown);
        buf_append_text(out, ";");
    }
    if (kind == 2)
        return;
    slice_t field = slice_text(fields[kind == 1 ? 0 : kind - 3]);
    shown = model_cell(model, key, kind == 1 ? NULL : &field);
    put_shown(out, &shown);
}

static void assert_same_text(buf_t *got, buf_t *expected)
{
    assert_string_equal(buf_text(got), buf_text(expected));
}

/* ---- the properties ---- */

/* Whatever the order and the copies: the same answers, the same witnesses, the same digest. */
static void check_order(random_t *rng)
{
    static model_t model;
    draw_model(rng, &model);
    store_t *first = applied(rng, &model);
    buf_t got = {0};
    buf_t expected = {0};
    seen_t seen_first = {0};
    seen_t seen = {0};
    for (int order = 0; order < 4; order++) {
        store_t *store = applied(rng, &model);
        assert_true(store_digest(store) == store_digest(first));
        size_t there = 0;
        for (int k = 0; k < KEYS; k++) {
            there += model_type(&model, slice_text(keys[k])) != STORE_NOTHING;
            assert_int_equal(store_type(store, slice_text(keys[k]), NULL),
                             model_type(&model, slice_text(keys[k])));
        }
        assert_int_equal(store_keys(store), there);
        for (int read = 0; read < READS; read++) {
            seen_reset(&seen);
            seen_reset(&seen_first);
            store_answer(store, read, &got, &seen);
            model_answer(&model, read, &expected);
            assert_same_text(&got, &expected);
            store_answer(first, read, &got, &seen_first);
            assert_same_text(&got, &expected);
            assert_true(seen.base <= seen.any);
            if (read % READS_PER_KEY == 0)
                continue; /* any field that is there is witness enough for a type */
            assert_true(vec_equal(&seen.dots, &seen_first.dots));
            assert_true(seen.base == seen_first.base && seen.any == seen_first.any);
        }
        store_destroy(&store);
        assert_null(store);
    }
    store_destroy(&first);
    seen_free(&seen);
    seen_free(&seen_first);
    buf_free(&got);
    buf_free(&expected);
}

/* The digest is of what is shown: a store that was only set to the same has the same. */
static void check_digest(random_t *rng)
{
    static model_t model;
    draw_model(rng, &model);
    store_t *store = applied(rng, &model);
    store_t *plain = store_new(1);
    uint64_t clock = 0;
    for (int k = 0; k < KEYS; k++)
        for (int f = -1; f < FIELDS; f++) {
            slice_t field = slice_text(fields[f < 0 ? 0 : f]);
            shown_t shown = model_cell(&model, slice_text(keys[k]), f < 0 ? NULL : &field);
            if (!shown.is_there)
                continue;
            char number[24];
            snprintf(number, sizeof number, "%" PRId64, shown.number);
            op_t op = {.code = f < 0 ? OP_SET : OP_HSET, .key = slice_text(keys[k])};
            op.field = field;
            op.value = shown.is_number ? slice_text(number) : shown.text;
            clock++;
            mark_t mark = {{clock, 1, 1}, {1, clock}};
            store_apply(plain, &op, &mark);
        }
    assert_true(store_digest(plain) == store_digest(store));
    assert_int_equal(store_keys(plain), store_keys(store));

    op_t more = {.code = OP_INCR, .key = slice_text("another"), .amount = 1};
    mark_t mark = {{1, 1, 1}, {1, 1}};
    store_apply(store, &more, &mark);
    assert_true(store_digest(plain) != store_digest(store));
    store_destroy(&store);
    store_destroy(&plain);
}

/* True when the last operation of the model, its newest, has done what it says. */
static bool took_effect(model_t *model)
{
    const model_op_t *m = &model->list[model->size - 1];
    const slice_t *field = m->op.code >= OP_HSET ? &m->op.field : NULL;
    shown_t after = model_cell(model, m->op.key, field);
    model->size--;
    shown_t before = model_cell(model, m->op.key, field);
    model->size++;
    switch ((op_code_t)m->op.code) {
    case OP_SET:
    case OP_HSET: {
        int64_t number;
        bool wanted_number = slice_to_int64(m->op.value, &number);
        return after.is_there && after.is_number == wanted_number &&
               slice_equal(after.text, m->op.value) && (!wanted_number || after.number == number);
    }
    case OP_DEL:
        return model_type(model, m->op.key) == STORE_NOTHING;
    case OP_HDEL:
        return !after.is_there;
    default:
        break;
    }
    return (uint64_t)after.number == (uint64_t)before.number + (uint64_t)m->op.amount;
}

/* True when something with a greater tag concerns what the newest operation writes. */
static bool is_overtaken(const model_t *model)
{
    const model_op_t *m = &model->list[model->size - 1];
    for (size_t i = 0; i + 1 < model->size; i++) {
        const model_op_t *other = &model->list[i];
        bool same_type = is_register(&other->op) == is_register(&m->op);
        bool concerns =
            other->op.code == OP_DEL ? m->op.code != OP_DEL
            : m->op.code == OP_DEL || !same_type
                ? true
                : slice_equal(other->op.field, m->op.field) && (!adds(&m->op) || !adds(&other->op));
        if (slice_equal(other->op.key, m->op.key) && concerns &&
            tag_compare(other->mark.tag, m->mark.tag) > 0)
            return true;
    }
    return false;
}

/*
 * What would not show is always hidden. Beyond that only what was overtaken may be: a delete of
 * what is gone already, a set that looks as if nothing had been added to it. An addition is exact.
 */
static void check_hides(random_t *rng)
{
    static model_t model;
    draw_model(rng, &model);
    store_t *store = applied(rng, &model);
    for (int i = 0; i < 8; i++) {
        model_op_t *m = &model.list[model.size];
        draw_op(rng, m, OPS);
        m->mark = (mark_t){tag_number(1 + 2 * random_below(rng, OPS)), {OPS + 1, 1}};
        bool hides = store_hides(store, &m->op, m->mark.tag);
        model.size++;
        shown_t target = model_cell(&model, m->op.key, m->op.code >= OP_HSET ? &m->op.field : NULL);
        bool is_text = target.is_there && !target.is_number; /* refused before this is asked */
        if (!(adds(&m->op) && is_text)) {
            bool visible = took_effect(&model);
            if (!visible)
                assert_true(hides);
            if (hides && visible)
                assert_true(is_overtaken(&model) && !adds(&m->op));
            if (!is_overtaken(&model))
                assert_false(hides);
        }
        model.size--;
    }
    store_destroy(&store);
}

/* The tag of the greatest set that shows something of the key; zero when none does. */
static tag_t model_set(const model_t *model, slice_t key)
{
    shown_t shown = model_cell(model, key, NULL);
    tag_t set = shown.text.data != NULL ? shown.base : (tag_t){0};
    for (int f = 0; f < FIELDS; f++) {
        slice_t field = slice_text(fields[f]);
        shown = model_cell(model, key, &field);
        if (shown.text.data != NULL)
            set = tag_max(set, shown.base);
    }
    return set;
}

/* The tag of what the last operation of the model has lost to; zero when it has not. */
static tag_t model_lost_to(model_t *model)
{
    const model_op_t *m = &model->list[model->size - 1];
    shown_t shown = model_cell(model, m->op.key, m->op.code >= OP_HSET ? &m->op.field : NULL);
    bool has_text = shown.text.data != NULL;
    bool has_lost = !has_text || !slice_equal(shown.text, m->op.value);
    if (m->op.code == OP_DEL)
        return model_set(model, m->op.key);
    if (m->op.code == OP_HDEL)
        has_lost = has_text;
    if (adds(&m->op))
        has_lost = !took_effect(model);
    if (!has_lost)
        return (tag_t){0};
    return tag_is_zero(shown.base) ? model_kill(model, m->op.key, is_register(&m->op)) : shown.base;
}

/* In any order of arrival an operation is told at once what it has lost to. */
static void check_lost(random_t *rng)
{
    static model_t model;
    draw_model(rng, &model);
    store_t *store = store_new(random_u64(rng));
    size_t size = model.size;
    for (model.size = 1; model.size <= size; model.size++) {
        uint64_t origin = apply(store, &model.list[model.size - 1]);
        tag_t lost_to = model_lost_to(&model);
        assert_int_equal(origin != 0, !tag_is_zero(lost_to));
        if (origin != 0)
            assert_int_equal(tag_compare(model.list[origin - 1].mark.tag, lost_to), 0);
    }
    store_destroy(&store);
}

/*
 * A session that carries what a read has seen finds the same answer at any replica that has that
 * much, whatever else of the operations the replica has and whatever it lacks.
 */
static void check_seen(random_t *rng)
{
    static model_t model;
    static model_t part;
    draw_model(rng, &model);
    store_t *store = applied(rng, &model);
    buf_t full = {0};
    buf_t got = {0};
    seen_t seen = {0};
    seen_t ignored = {0};
    for (int read = 0; read < READS; read++) {
        seen_reset(&seen);
        store_answer(store, read, &full, &seen);
        for (uint32_t others = 0; others <= RANDOM_PPM / 2; others += RANDOM_PPM / 4) {
            part.size = 0;
            for (size_t i = 0; i < model.size; i++)
                if (vec_get(&seen.dots, model.list[i].mark.dot.incarnation) != 0 ||
                    random_chance(rng, others))
                    part.list[part.size++] = model.list[i];
            /* The values point into the model's own texts, which stay. */
            if (part.size == 0)
                continue;
            store_t *some = applied(rng, &part);
            store_answer(some, read, &got, &ignored);
            assert_same_text(&got, &full);
            store_destroy(&some);
        }
        if (seen.dots.size == 0) { /* nothing seen: as in an empty store */
            store_t *empty = store_new(3);
            store_answer(empty, read, &got, &ignored);
            assert_same_text(&got, &full);
            store_destroy(&empty);
        }
    }
    store_destroy(&store);
    seen_free(&seen);
    seen_free(&ignored);
    buf_free(&full);
    buf_free(&got);
}

/* What a session writes with a tag above all it has seen, it reads back. */
static void check_seen_tags(random_t *rng)
{
    static model_t model;
    draw_model(rng, &model);
    store_t *store = applied(rng, &model);
    seen_t seen = {0};
    for (int k = 0; k < KEYS; k++) {
        slice_t key = slice_text(keys[k]);
        store_type(store, key, &seen);
        store_get(store, key, &seen);
        store_each_field(store, STORE_HASH, key, NULL, NULL, &seen);
        for (int code = OP_SET; code <= OP_HINCR; code++) {
            op_t op = {.code = (uint8_t)code, .key = key, .amount = 1};
            op.field = code >= OP_HSET ? slice_text("f") : op.field;
            assert_false(store_hides(store, &op, (tag_t){seen.any + 1, 0, 1}));
        }
    }
    seen_free(&seen);
    store_destroy(&store);
}

/* ---- by buckets ---- */

enum { MANY = 5000, BITS = 6, BUCKETS = 1 << BITS };

static store_t *many_keys(uint64_t shift)
{
    store_t *store = store_new(7);
    for (uint64_t i = 1; i <= MANY; i++) {
        char name[24];
        uint64_t number = (i + shift) % MANY; /* another order, the same keys */
        snprintf(name, sizeof name, "key:%" PRIu64, number);
        op_t op = {.code = OP_SET, .key = slice_text(name), .value = slice_text("v")};
        mark_t mark = {{number + 1, 1, 1}, {1, number + 1}};
        store_apply(store, &op, &mark);
    }
    return store;
}

static void all_sums(const store_t *store, size_t most, uint32_t size, uint64_t sums[BUCKETS])
{
    uint32_t pages = 0;
    for (uint32_t first = 0; first < BUCKETS; pages++) {
        uint32_t room = size < BUCKETS - first ? size : BUCKETS - first;
        uint32_t done = store_digests(store, BITS, first, most, 0, sums + first, room);
        assert_true(done >= 1 && done <= room);
        first += done;
    }
    assert_true(pages > 1 || most > MANY);
}

static void test_buckets(void **state)
{
    (void)state;
    store_t *one = many_keys(0);
    store_t *other = many_keys(MANY / 3);
    uint64_t a[BUCKETS];
    uint64_t b[BUCKETS];
    uint64_t whole;
    uint64_t sum = 0;

    all_sums(one, 2 * MANY, BUCKETS, a);
    all_sums(other, 100, 5, b);
    for (int i = 0; i < BUCKETS; i++) {
        assert_true(a[i] == b[i]);
        sum += a[i];
    }
    assert_true(sum == store_digest(one));
    assert_int_equal(store_digests(one, 0, 0, 1, 0, &whole, 1), 1);
    assert_true(whole == sum);

    op_t op = {.code = OP_SET, .key = slice_text("key:77"), .value = slice_text("w")};
    mark_t mark = {{MANY + 1, 1, 1}, {2, 1}};
    store_apply(other, &op, &mark);
    all_sums(other, 100, BUCKETS, b);
    int differ = 0;
    for (int i = 0; i < BUCKETS; i++)
        differ += a[i] != b[i];
    assert_int_equal(differ, 1);
    store_destroy(&one);
    store_destroy(&other);
}

typedef struct found {
    uint64_t sum;
    size_t most; /* 0: all */
    size_t keys;
    size_t gone;
    vec_t dots;
} found_t;

static bool take_shown(void *arg, const store_shown_t *shown)
{
    found_t *found = arg;
    found->sum += shown->digest;
    found->keys++;
    found->gone += shown->type == STORE_NOTHING;
    vec_merge(&found->dots, shown->dots);
    return found->most == 0 || found->keys < found->most;
}

/* A bucket's keys one by one: the same sum, and all that has been applied is named. */
static void test_shown(void **state)
{
    (void)state;
    store_t *store = many_keys(0);
    op_t ops[] = {
        {.code = OP_DEL, .key = slice_text("key:1")},
        {.code = OP_HSET,
         .key = slice_text("hash"),
         .field = slice_text("f"),
         .value = slice_text("1")},
        {.code = OP_HDEL, .key = slice_text("hash"), .field = slice_text("g")},
        {.code = OP_EXPIRE, .key = slice_text("key:2"), .amount = MANY + 100},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        mark_t mark = {{MANY + 1 + i, 1, 1}, {2 + i, 1}};
        store_apply(store, &ops[i], &mark);
    }
    found_t found = {0};
    uint64_t sums[BUCKETS];
    for (uint32_t i = 0; i < BUCKETS; i++) {
        found.sum = 0;
        store_each_shown(store, BITS, i, 0, take_shown, &found);
        assert_int_equal(store_digests(store, BITS, i, 1, 0, &sums[i], 1), 1);
        assert_true(found.sum == sums[i]);
    }
    assert_int_equal(found.keys, MANY + 1);
    assert_int_equal(found.gone, 1);
    assert_true(vec_get(&found.dots, 1) == MANY && found.dots.size == 5);

    /* A deadline is of what is shown, and once it has passed the key is gone for all. */
    uint64_t before;
    uint64_t late;
    store_digests(store, 0, 0, MANY, MANY + 99, &before, 1);
    store_digests(store, 0, 0, MANY, MANY + 100, &late, 1);
    assert_true(before == store_digest(store) && before != late);

    /* Whoever has had enough is given no more, though the bucket goes on. */
    found.most = 10;
    found.keys = 0;
    store_each_shown(store, 0, 0, 0, take_shown, &found);
    assert_int_equal(found.keys, 10);
    vec_free(&found.dots);
    store_destroy(&store);
}

static void test_order(void **state)
{
    (void)state;
    property_run(check_order, 2000);
}

static void test_digest(void **state)
{
    (void)state;
    property_run(check_digest, 2000);
}

static void test_hides(void **state)
{
    (void)state;
    property_run(check_hides, 4000);
}

static void test_lost(void **state)
{
    (void)state;
    property_run(check_lost, 4000);
}

static void test_seen(void **state)
{
    (void)state;
    property_run(check_seen, 1000);
}

static void test_seen_tags(void **state)
{
    (void)state;
    property_run(check_seen_tags, 2000);
}

/* ---- how great a key may be ---- */

enum { MIB = 1024 * 1024 };

static uint64_t apply_next(store_t *store, op_t op)
{
    static uint64_t n = 0;
    n++;
    return store_apply(store, &op, &(mark_t){{1000 + n, 1, n}, {7, n}});
}

static op_t hset(const char *field, const char *bytes, size_t size)
{
    return (op_t){.code = OP_HSET,
                  .key = slice_text("k"),
                  .field = slice_text(field),
                  .value = slice_of(bytes, size)};
}

static bool outgrows(const store_t *store, op_t op)
{
    return store_outgrows(store, &op, 1);
}

/* A hash with fields f0, f1 ... of 1 MiB, to which one of about 1 MiB may be added. */
static store_t *store_nearly_full(const char *mib)
{
    store_t *store = store_new(1);
    char field[16];
    for (int i = 0; i < STORE_KEY_BYTES_MAX / MIB - 1; i++) {
        snprintf(field, sizeof field, "f%d", i);
        assert_false(outgrows(store, hset(field, mib, MIB)));
        apply_next(store, hset(field, mib, MIB));
    }
    return store;
}

/* To the byte; what makes it no greater is taken, and what was deleted makes room. */
static void test_key_bytes(void **state)
{
    (void)state;
    char *mib = calloc(1, MIB);
    store_t *store = store_nearly_full(mib);
    slice_t key = slice_text("k");
    size_t before = store_key_bytes(store, key);
    apply_next(store, hset("g", mib, 0));
    size_t field = store_key_bytes(store, key) - before;
    assert_in_range(field, 40, 120);
    size_t left = STORE_KEY_BYTES_MAX - before - field;
    assert_false(outgrows(store, hset("g", mib, left)));
    assert_true(outgrows(store, hset("g", mib, left + 1)));
    apply_next(store, hset("g", mib, left));
    assert_int_equal(store_key_bytes(store, key), STORE_KEY_BYTES_MAX);
    assert_true(outgrows(store, hset("h", mib, 0)));
    assert_true(outgrows(store, (op_t){.code = OP_HINCR, .key = key, .field = slice_text("g")}));
    assert_true(outgrows(store, (op_t){.code = OP_SADD, .key = key, .field = slice_text("g")}));
    assert_false(outgrows(store, hset("g", mib, left)));
    assert_false(outgrows(store, hset("g", mib, 1)));
    assert_false(outgrows(store, (op_t){.code = OP_DEL, .key = key}));
    assert_false(outgrows(store, (op_t){.code = OP_SET, .key = key, .value = slice_of(mib, MIB)}));
    assert_false(outgrows(store, (op_t){.code = OP_HDEL, .key = key, .field = slice_text("f3")}));
    assert_true(outgrows(store, (op_t){.code = OP_HDEL, .key = key, .field = slice_text("x")}));
    assert_false(outgrows(store, (op_t){.code = OP_EXPIRE, .key = key, .amount = 9}));

    apply_next(store, (op_t){.code = OP_HDEL, .key = key, .field = slice_text("f3")});
    assert_false(outgrows(store, hset("f3", mib, MIB)));
    assert_true(outgrows(store, hset("f3", mib, MIB + 1)));
    apply_next(store, (op_t){.code = OP_DEL, .key = key});
    assert_int_equal(store_key_bytes(store, key), 0);
    assert_false(outgrows(store, hset("f3", mib, MIB)));
    store_destroy(&store);
    free(mib);
}

/* Of one update all operations on a key count together, those on another one for that. */
static void test_key_bytes_of_an_update(void **state)
{
    (void)state;
    char *mib = calloc(1, MIB);
    store_t *store = store_nearly_full(mib);
    op_t ops[] = {hset("a", mib, MIB / 2), hset("b", mib, MIB / 4), hset("c", mib, MIB / 2)};
    assert_false(store_outgrows(store, ops, 2));
    assert_true(store_outgrows(store, ops, 3));
    ops[2].key = slice_text("other");
    assert_false(store_outgrows(store, ops, 3));
    ops[0] = (op_t){.code = OP_DEL, .key = slice_text("gone")};
    ops[1] = hset("b", mib, MIB);
    assert_true(store_outgrows(store, ops, 2));
    ops[0] = ops[1];
    ops[0].key = slice_text("other");
    ops[1] = hset("b", mib, MIB / 2);
    assert_false(store_outgrows(store, ops, 2));
    store_destroy(&store);
    free(mib);
}

/* Each increment is kept until every member has it. */
static void test_key_bytes_of_increments(void **state)
{
    (void)state;
    store_t *store = store_new(1);
    const op_t op = {.code = OP_INCR, .key = slice_text("k"), .amount = 1};
    seen_t seen = {0};
    uint64_t n = 0;
    for (; !store_outgrows(store, &op, 1); n++)
        apply_next(store, op);
    assert_in_range(n, STORE_KEY_BYTES_MAX / 64, STORE_KEY_BYTES_MAX / 40);
    assert_in_range(store_key_bytes(store, op.key), STORE_KEY_BYTES_MAX - 100, STORE_KEY_BYTES_MAX);
    apply_next(store, op); /* of another replica */
    assert_int_equal(store_get(store, op.key, &seen).number, n + 1);
    vec_t known = {0};
    vec_raise(&known, 7, UINT64_MAX);
    store_fold(store, &(stable_t){UINT64_MAX, &known}, 1);
    assert_in_range(store_key_bytes(store, op.key), 1, 20);
    assert_false(store_outgrows(store, &op, 1));
    vec_free(&known);
    seen_free(&seen);
    store_destroy(&store);
}

static void test_empty(void **state)
{
    (void)state;
    store_t *store = store_new(0);
    buf_t got = {0};
    seen_t seen = {0};
    for (int read = 0; read < READS; read++)
        store_answer(store, read, &got, &seen);
    assert_int_equal(seen.dots.size, 0);
    assert_int_equal(seen.any, 0);
    assert_int_equal(store_keys(store), 0);
    assert_true(store_digest(store) == 0);
    seen_free(&seen);
    buf_free(&got);
    store_destroy(&store);
    store_destroy(&store); /* of none: nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_order),
        property_test(test_digest),
        property_test(test_hides),
        property_test(test_seen),
        property_test(test_seen_tags),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_shown),
        property_test(test_lost),
        cmocka_unit_test(test_key_bytes),
        cmocka_unit_test(test_key_bytes_of_an_update),
        cmocka_unit_test(test_key_bytes_of_increments),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
