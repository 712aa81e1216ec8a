#include "client/lib/reply.h"

#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/mp.h"

enum {
    ITEMS_MAX = 1 << 24, /* the message's size is the real bound */
    DEPTH_MAX = 8,       /* deeper values are answered as nil; none of ours is */
};

struct hearsay_value {
    hearsay_type_t type;
    int64_t integer;
    char *text; /* of bytes */
    size_t size;
    hearsay_value_t *items; /* a map's keys and values in turn */
    size_t count;           /* of items */
};

struct hearsay_reply {
    reply_head_t head;
    char *text;
    hearsay_value_t value;
};

/* ---- making ---- */

static void read_value(mp_t *in, hearsay_value_t *out, int depth);

static void read_items(mp_t *in, hearsay_value_t *out, size_t count, int depth)
{
    out->items = mem_zero(count != 0 ? count : 1, sizeof(*out->items));
    out->count = count;
    for (size_t i = 0; i < count; i++)
        read_value(in, &out->items[i], depth + 1);
}

static void read_integer(mp_t *in, hearsay_value_t *out)
{
    bool is_positive = mp_peek(in) == MP_UINT;
    uint64_t value = is_positive ? mp_uint(in) : 0;
    out->type = HEARSAY_INTEGER;
    if (!is_positive)
        out->integer = mp_int(in);
    else
        out->integer = value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static void read_value(mp_t *in, hearsay_value_t *out, int depth)
{
    slice_t bytes;

    *out = (hearsay_value_t){.type = HEARSAY_NIL};
    switch (depth < DEPTH_MAX ? mp_peek(in) : MP_OTHER) {
    case MP_BOOL:
        out->type = HEARSAY_BOOL;
        out->integer = mp_bool(in);
        break;
    case MP_UINT:
    case MP_INT:
        read_integer(in, out);
        break;
    case MP_BYTES:
        bytes = mp_bytes(in);
        out->type = HEARSAY_BYTES;
        out->text = mem_text(bytes.data, bytes.size);
        out->size = bytes.size;
        break;
    case MP_ARRAY:
        out->type = HEARSAY_LIST;
        read_items(in, out, mp_array(in, ITEMS_MAX), depth);
        break;
    case MP_MAP:
        out->type = HEARSAY_MAP;
        read_items(in, out, (size_t)mp_map(in, ITEMS_MAX) * 2, depth);
        break;
    default:
        mp_skip(in);
        break;
    }
}

hearsay_reply_t *reply_new(const reply_head_t *head, slice_t value)
{
    hearsay_reply_t *self = mem_zero(1, sizeof(*self));
    mp_t in = mp_open(value);

    self->head = *head;
    if (head->outcome == OUTCOME_OK) {
        read_value(&in, &self->value, 0);
        self->text = mem_text("", 0);
        return self;
    }
    slice_t text = mp_bytes(&in);
    self->text = mem_text(text.data, text.size);
    for (char *c = self->text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* one line, whatever the other end says */
    return self;
}

hearsay_reply_t *reply_failure(outcome_t outcome, const char *text)
{
    hearsay_reply_t *self = mem_zero(1, sizeof(*self));
    slice_t said = slice_text(text);

    self->head = (reply_head_t){.outcome = outcome, .replica = -1};
    self->text = mem_text(said.data, said.size);
    return self;
}

static void free_value(hearsay_value_t *value)
{
    for (size_t i = 0; i < value->count; i++)
        free_value(&value->items[i]);
    free(value->items);
    free(value->text);
}

void hearsay_reply_free(hearsay_reply_t **reply)
{
    if (*reply == NULL)
        return;
    free_value(&(*reply)->value);
    free((*reply)->text);
    free(*reply);
    *reply = NULL;
}

/* ---- reading ---- */

hearsay_outcome_t hearsay_reply_code(const hearsay_reply_t *reply)
{
    return (hearsay_outcome_t)reply->head.outcome;
}

int hearsay_reply_ok(const hearsay_reply_t *reply)
{
    return reply->head.outcome == OUTCOME_OK;
}

const char *hearsay_reply_outcome(const hearsay_reply_t *reply)
{
    return outcome_name(reply->head.outcome);
}

int hearsay_reply_exit(const hearsay_reply_t *reply)
{
    return outcome_exit(reply->head.outcome);
}

int hearsay_reply_may_be_applied(const hearsay_reply_t *reply)
{
    return outcome_may_be_applied(reply->head.outcome);
}

const char *hearsay_reply_text(const hearsay_reply_t *reply)
{
    return reply->text;
}

const hearsay_value_t *hearsay_reply_value(const hearsay_reply_t *reply)
{
    return &reply->value;
}

int hearsay_reply_replica(const hearsay_reply_t *reply)
{
    return reply->head.replica;
}

unsigned hearsay_reply_copies(const hearsay_reply_t *reply)
{
    return reply->head.copies;
}

int hearsay_reply_relaxed(const hearsay_reply_t *reply)
{
    return reply->head.is_relaxed;
}

unsigned hearsay_reply_sends(const hearsay_reply_t *reply)
{
    return reply->head.sends;
}

long long hearsay_reply_elapsed_us(const hearsay_reply_t *reply)
{
    return reply->head.elapsed_us;
}

hearsay_type_t hearsay_value_type(const hearsay_value_t *value)
{
    return value->type;
}

long long hearsay_value_integer(const hearsay_value_t *value)
{
    return value->integer;
}

const char *hearsay_value_bytes(const hearsay_value_t *value, size_t *size)
{
    if (size != NULL)
        *size = value->size;
    return value->text != NULL ? value->text : "";
}

size_t hearsay_value_count(const hearsay_value_t *value)
{
    return value->type == HEARSAY_MAP ? value->count / 2 : value->count;
}

const hearsay_value_t *hearsay_value_item(const hearsay_value_t *value, size_t i)
{
    if (i >= hearsay_value_count(value))
        return NULL;
    return &value->items[value->type == HEARSAY_MAP ? 2 * i + 1 : i];
}

const hearsay_value_t *hearsay_value_key(const hearsay_value_t *value, size_t i)
{
    if (value->type != HEARSAY_MAP || i >= hearsay_value_count(value))
        return NULL;
    return &value->items[2 * i];
}
