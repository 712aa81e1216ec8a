/*
 * Rows of a checkpoint in an LMDB transaction: keys of any length, a checksum in each value.
 *
 * The layout is described in replica/disk/checkpoint.h. All functions return 0 or an error code of
 * LMDB or the system; MDB_CORRUPTED is a row that is damaged. The transaction is the caller's.
 */
#ifndef HEARSAY_REPLICA_DISK_ROWS_H
#define HEARSAY_REPLICA_DISK_ROWS_H

#include <lmdb.h>

#include "bus/base/bytes.h"
#include "replica/disk/checkpoint.h"

typedef struct rows {
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t hash_mask; /* of the hashes of long keys; UINT64_MAX but in tests */
} rows_t;

int rows_put(const rows_t *self, uint8_t table, slice_t key, slice_t value);

/* 0 also when there is no such row. */
int rows_delete(const rows_t *self, uint8_t table, slice_t key);

/* Borrows the value until the transaction changes something; MDB_NOTFOUND when there is none. */
int rows_get(const rows_t *self, uint8_t table, slice_t key, slice_t *value);

int rows_clear(const rows_t *self, uint8_t table);

/*
 * Calls fn for each row from table `first` on, in order; key and value are borrowed until it
 * returns. What fn returns, if it is not 0, ends the walk and is returned. fn must not change rows.
 */
typedef int rows_fn(void *arg, uint8_t table, slice_t key, slice_t value);
int rows_each(const rows_t *self, uint8_t first, rows_fn *fn, void *arg);

/*
 * Takes apart what LMDB has of a row: the key it is stored under, which begins with the table, and
 * the bytes there. False when it is damaged. rest is what the stored key lacks of a long one, empty
 * for a short one; both slices are borrowed from bytes.
 */
bool rows_read(slice_t stored, slice_t bytes, slice_t *rest, slice_t *value);

/* Does to each row, but those of table 0, what fn says; CHECKPOINT_REFUSE is MDB_CORRUPTED. */
int rows_rewrite(const rows_t *self, checkpoint_rewrite_fn *fn);

#endif
