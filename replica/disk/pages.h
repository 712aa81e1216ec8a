/*
 * Looks at the pages of an LMDB file before LMDB does.
 *
 * LMDB trusts its file: in one that is damaged or cut short it follows wild page numbers, and the
 * process ends by a signal. So every page that can be reached from the newer meta page, of the rows
 * and of the list of free pages, is read and checked first: kind, number, bounds, and that none is
 * used twice. What the rows hold is not looked at; they have checksums (rows.h).
 *
 * Knows the file format of LMDB 0.9 (data version 1), without named databases or duplicates.
 */
#ifndef HEARSAY_REPLICA_DISK_PAGES_H
#define HEARSAY_REPLICA_DISK_PAGES_H

/*
 * Checks the file; the descriptor is borrowed. 0, an errno of reading, MDB_INVALID when it is no
 * file of LMDB, MDB_VERSION_MISMATCH when it is of another format, or MDB_CORRUPTED.
 */
int pages_check(int fd);

#endif
