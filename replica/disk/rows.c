#include "replica/disk/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/memory.h"

enum {
    CHECKSUM_SIZE = 8,
    SHORT_KEY = CHECKPOINT_SHORT_KEY,
    HASH_AT = 1 + SHORT_KEY, /* in LMDB's key of a long one */
    SLOT_AT = HASH_AT + 8,   /* 2 bytes: a number among keys with one hash */
    LONG_SIZE = SLOT_AT + 2, /* which no short key has */
    SLOTS_MAX = 65536,
};
_Static_assert(LONG_SIZE == 511, "LMDB as it is built has keys of 511 bytes");

typedef struct stored_key {
    uint8_t bytes[LONG_SIZE];
    size_t size;
} stored_key_t;

static MDB_val val_of(const void *data, size_t size)
{
    /* LMDB does not write through the pointers of what it is given. */
    union {
        const void *in;
        void *out;
    } pointer = {.in = data};
    return (MDB_val){.mv_size = size, .mv_data = pointer.out};
}

static slice_t slice_of_val(const MDB_val *val)
{
    return slice_of(val->mv_data, val->mv_size);
}

/* What comes after the part of the key that is in LMDB's. */
static slice_t rest_of(slice_t key)
{
    if (key.size < SHORT_KEY)
        return slice_of(key.data, 0);
    return slice_of(key.data + SHORT_KEY, key.size - SHORT_KEY);
}

/* LMDB's key for a short key, or for the first slot of a long one. */
static stored_key_t stored_key(const rows_t *self, uint8_t table, slice_t key)
{
    stored_key_t stored = {.bytes = {table}};
    if (key.size < SHORT_KEY) {
        if (key.size > 0)
            memcpy(stored.bytes + 1, key.data, key.size);
        stored.size = 1 + key.size;
        return stored;
    }
    memcpy(stored.bytes + 1, key.data, SHORT_KEY);
    be64_put(stored.bytes + HASH_AT, XXH3_64bits(key.data, key.size) & self->hash_mask);
    stored.size = LONG_SIZE;
    return stored;
}

/* ---- values ---- */

/* The checksum covers LMDB's key too: a value under another key is not good. */
static uint64_t checksum(slice_t stored, slice_t body)
{
    return XXH3_64bits_withSeed(body.data, body.size, XXH3_64bits(stored.data, stored.size));
}

bool rows_read(slice_t stored, slice_t bytes, slice_t *rest, slice_t *value)
{
    if (stored.size == 0 || stored.size > LONG_SIZE || bytes.size < CHECKSUM_SIZE)
        return false;
    slice_t body = slice_of(bytes.data + CHECKSUM_SIZE, bytes.size - CHECKSUM_SIZE);
    if (be64_get(bytes.data) != checksum(stored, body))
        return false;
    size_t head = 0;
    *rest = slice_of(body.data, 0);
    if (stored.size == LONG_SIZE) {
        if (body.size < 2 || body.size - 2 < be16_get(body.data))
            return false;
        *rest = slice_of(body.data + 2, be16_get(body.data));
        head = 2 + rest->size;
    }
    *value = slice_of(body.data + head, body.size - head);
    return true;
}

static int row_write(const rows_t *self, const stored_key_t *stored, slice_t rest, slice_t value)
{
    bool is_long = stored->size == LONG_SIZE;
    size_t head = CHECKSUM_SIZE + (is_long ? 2 + rest.size : 0);
    MDB_val key = val_of(stored->bytes, stored->size);
    MDB_val data = {.mv_size = head + value.size};
    int rc = mdb_put(self->txn, self->dbi, &key, &data, MDB_RESERVE);
    if (rc != 0)
        return rc;
    uint8_t *to = data.mv_data;
    if (is_long) {
        be16_put(to + CHECKSUM_SIZE, (uint16_t)rest.size);
        if (rest.size > 0)
            memcpy(to + CHECKSUM_SIZE + 2, rest.data, rest.size);
    }
    if (value.size > 0)
        memcpy(to + head, value.data, value.size);
    slice_t body = slice_of(to + CHECKSUM_SIZE, data.mv_size - CHECKSUM_SIZE);
    be64_put(to, checksum(slice_of(stored->bytes, stored->size), body));
    return 0;
}

/* ---- long keys ---- */

/*
 * Looks for a long key among those with its hash. *stored becomes where it is, or the first slot
 * that is free (MDB_NOTFOUND).
 */
static int long_find(const rows_t *self, stored_key_t *stored, slice_t key, slice_t *value)
{
    slice_t prefix = slice_of(stored->bytes, SLOT_AT);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(self->txn, self->dbi, &cursor);
    if (rc != 0)
        return rc;
    MDB_val at = val_of(stored->bytes, stored->size);
    MDB_val data = {0};
    unsigned slot = 0; /* the first that is free: slots come in order */
    bool is_found = false;
    for (rc = mdb_cursor_get(cursor, &at, &data, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cursor, &at, &data, MDB_NEXT)) {
        if (at.mv_size != LONG_SIZE || !slice_equal(slice_of(at.mv_data, SLOT_AT), prefix))
            break;
        slice_t rest;
        if (!rows_read(slice_of_val(&at), slice_of_val(&data), &rest, value)) {
            rc = MDB_CORRUPTED;
            break;
        }
        unsigned here = be16_get((const uint8_t *)at.mv_data + SLOT_AT);
        is_found = slice_equal(rest, rest_of(key));
        if (is_found)
            slot = here;
        else if (here == slot)
            slot++;
        if (is_found)
            break;
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    if (slot == SLOTS_MAX)
        return MDB_BAD_VALSIZE; /* keys made so that their hashes are equal, very many */
    be16_put(stored->bytes + SLOT_AT, (uint16_t)slot);
    return is_found ? 0 : MDB_NOTFOUND;
}

/* ---- single rows ---- */

int rows_get(const rows_t *self, uint8_t table, slice_t key, slice_t *value)
{
    stored_key_t stored = stored_key(self, table, key);
    if (stored.size == LONG_SIZE)
        return long_find(self, &stored, key, value);
    MDB_val at = val_of(stored.bytes, stored.size);
    MDB_val data;
    slice_t rest;
    int rc = mdb_get(self->txn, self->dbi, &at, &data);
    if (rc != 0)
        return rc;
    return rows_read(slice_of_val(&at), slice_of_val(&data), &rest, value) ? 0 : MDB_CORRUPTED;
}

int rows_put(const rows_t *self, uint8_t table, slice_t key, slice_t value)
{
    assert(key.size <= CHECKPOINT_KEY_MAX && value.size <= CHECKPOINT_VALUE_MAX);
    stored_key_t stored = stored_key(self, table, key);
    if (stored.size == LONG_SIZE) {
        slice_t old;
        int rc = long_find(self, &stored, key, &old);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return rc;
    }
    return row_write(self, &stored, rest_of(key), value);
}

int rows_delete(const rows_t *self, uint8_t table, slice_t key)
{
    stored_key_t stored = stored_key(self, table, key);
    slice_t old;
    int rc = stored.size == LONG_SIZE ? long_find(self, &stored, key, &old) : 0;
    if (rc == 0) {
        MDB_val at = val_of(stored.bytes, stored.size);
        rc = mdb_del(self->txn, self->dbi, &at, NULL);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int rows_clear(const rows_t *self, uint8_t table)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(self->txn, self->dbi, &cursor);
    if (rc != 0)
        return rc;
    MDB_val at = val_of(&table, 1);
    MDB_val data;
    rc = mdb_cursor_get(cursor, &at, &data, MDB_SET_RANGE);
    while (rc == 0 && at.mv_size > 0 && *(const uint8_t *)at.mv_data == table) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &at, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- all rows ---- */

typedef struct long_row {
    slice_t rest;
    slice_t value;
} long_row_t;

/* Rows with long keys that begin alike: LMDB has them in the order of their hashes. */
typedef struct group {
    slice_t prefix; /* table and first bytes */
    long_row_t *rows;
    size_t count;
    size_t capacity;
} group_t;

static int long_order(const void *a, const void *b)
{
    return slice_compare(((const long_row_t *)a)->rest, ((const long_row_t *)b)->rest);
}

static void group_add(group_t *self, slice_t prefix, long_row_t row)
{
    if (self->count == self->capacity)
        self->rows = mem_grow(self->rows, &self->capacity, sizeof(self->rows[0]));
    self->prefix = prefix;
    self->rows[self->count++] = row;
}

/* Gives out the rows of a group, in order, and empties it. */
static int group_flush(group_t *self, rows_fn *fn, void *arg)
{
    uint8_t key[CHECKPOINT_KEY_MAX];
    size_t count = self->count;
    self->count = 0;
    if (count == 0)
        return 0;
    qsort(self->rows, count, sizeof(self->rows[0]), long_order);
    memcpy(key, self->prefix.data + 1, SHORT_KEY);
    for (size_t i = 0; i < count; i++) {
        slice_t rest = self->rows[i].rest;
        if (rest.size > CHECKPOINT_KEY_MAX - SHORT_KEY)
            return MDB_CORRUPTED;
        if (rest.size > 0)
            memcpy(key + SHORT_KEY, rest.data, rest.size);
        int rc = fn(arg, self->prefix.data[0], slice_of(key, SHORT_KEY + rest.size),
                    self->rows[i].value);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int each_row(group_t *group, slice_t stored, slice_t bytes, rows_fn *fn, void *arg)
{
    slice_t rest;
    slice_t value;
    if (!rows_read(stored, bytes, &rest, &value))
        return MDB_CORRUPTED;
    slice_t prefix = slice_of(stored.data, stored.size == LONG_SIZE ? HASH_AT : 0);
    if (group->count > 0 && !slice_equal(prefix, group->prefix)) {
        int rc = group_flush(group, fn, arg);
        if (rc != 0)
            return rc;
    }
    if (stored.size != LONG_SIZE)
        return fn(arg, stored.data[0], slice_of(stored.data + 1, stored.size - 1), value);
    group_add(group, prefix, (long_row_t){rest, value});
    return 0;
}

int rows_each(const rows_t *self, uint8_t first, rows_fn *fn, void *arg)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(self->txn, self->dbi, &cursor);
    if (rc != 0)
        return rc;
    group_t group = {0};
    MDB_val at = val_of(&first, 1);
    MDB_val data;
    rc = mdb_cursor_get(cursor, &at, &data, MDB_SET_RANGE);
    while (rc == 0) {
        rc = each_row(&group, slice_of_val(&at), slice_of_val(&data), fn, arg);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &at, &data, MDB_NEXT);
    }
    if (rc == MDB_NOTFOUND)
        rc = group_flush(&group, fn, arg);
    mdb_cursor_close(cursor);
    free(group.rows);
    return rc;
}

/* ---- rewriting ---- */

/* What is to become of the row that is stored under *stored, done; *bytes is its value. */
static int rewrite_row(const rows_t *self, const stored_key_t *stored, slice_t bytes,
                       checkpoint_rewrite_fn *fn, buf_t *value)
{
    uint8_t key[CHECKPOINT_KEY_MAX];
    slice_t rest;
    slice_t old;
    if (!rows_read(slice_of(stored->bytes, stored->size), bytes, &rest, &old) ||
        rest.size > CHECKPOINT_KEY_MAX - SHORT_KEY)
        return MDB_CORRUPTED;
    size_t size = stored->size == LONG_SIZE ? (size_t)SHORT_KEY : stored->size - 1;
    memcpy(key, stored->bytes + 1, size);
    if (rest.size > 0)
        memcpy(key + size, rest.data, rest.size);
    buf_reset(value);
    MDB_val at = val_of(stored->bytes, stored->size);
    switch (fn(stored->bytes[0], slice_of(key, size + rest.size), old, value)) {
    case CHECKPOINT_KEEP:
        return 0;
    case CHECKPOINT_REPLACE:
        return row_write(self, stored, slice_of(key + size, rest.size), buf_slice(value));
    case CHECKPOINT_DROP:
        return mdb_del(self->txn, self->dbi, &at, NULL);
    case CHECKPOINT_REFUSE:
        break;
    }
    return MDB_CORRUPTED;
}

int rows_rewrite(const rows_t *self, checkpoint_rewrite_fn *fn)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(self->txn, self->dbi, &cursor);
    if (rc != 0)
        return rc;
    buf_t value = {0};
    stored_key_t stored = {.bytes = {1}, .size = 1};
    for (bool is_first = true;; is_first = false) {
        MDB_val at = val_of(stored.bytes, stored.size);
        MDB_val data;
        rc = mdb_cursor_get(cursor, &at, &data, MDB_SET_RANGE);
        /* It was there before and is still there, unless it was dropped: on to the next one. */
        if (rc == 0 && !is_first &&
            slice_equal(slice_of_val(&at), slice_of(stored.bytes, stored.size)))
            rc = mdb_cursor_get(cursor, &at, &data, MDB_NEXT);
        if (rc != 0)
            break;
        if (at.mv_size > LONG_SIZE) {
            rc = MDB_CORRUPTED;
            break;
        }
        stored.size = at.mv_size;
        memcpy(stored.bytes, at.mv_data, at.mv_size);
        rc = rewrite_row(self, &stored, slice_of_val(&data), fn, &value);
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    buf_free(&value);
    return rc == MDB_NOTFOUND ? 0 : rc;
}
