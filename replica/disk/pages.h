/*
 * Looks at the pages of an LMDB file before LMDB does.
 *
 * LMDB trusts its file: in one that is damaged or cut short it follows wild page numbers, and the
 * process ends by a signal. So every page that can be reached from the newer meta page, of the rows
 * and of the list of free pages, is read and checked first: kind, number, bounds, and that none is
 * used twice; of the rows that they are in order, and as many as there should be. What they hold is
 * for others to judge; they have checksums (rows.h).
 *
 * Knows the file format of LMDB 0.9 (data version 1), without named databases or duplicates.
 */
#ifndef HEARSAY_REPLICA_DISK_PAGES_H
#define HEARSAY_REPLICA_DISK_PAGES_H

#include "bus/base/bytes.h"

/*
 * Checks the file; the descriptor is borrowed. 0, an errno of reading, MDB_INVALID when it is no
 * file of LMDB, MDB_VERSION_MISMATCH when it is of another format, or MDB_CORRUPTED.
 */
int pages_check(int fd);

/*
 * A row: key and value as LMDB has them, borrowed until the function returns, and where in the file
 * the page with it begins, in bytes. What is returned, if it is not 0, ends the reading.
 */
typedef int pages_row_fn(void *arg, slice_t key, slice_t value, uint64_t offset);

/*
 * Checks the file in the same way and calls fn for each row, in the order of LMDB's keys. All is
 * read with pread, so that a device which cannot read a page costs an EIO and not the process.
 * Nobody may write to the file meanwhile. *offset is where in the file, in bytes, what could not be
 * read or is damaged begins. Returns as pages_check does, or what fn returned.
 */
int pages_each(int fd, pages_row_fn *fn, void *arg, uint64_t *offset);

#endif
