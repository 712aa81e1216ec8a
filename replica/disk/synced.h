/*
 * How far the log of a data folder was synced, kept beside it: a log that ends before that was cut
 * off or damaged at its end, which without it would look like a write that a crash cut short.
 *
 *   replica_ID/synced   u64 position, u64 XXH3-64 of it; big-endian
 *
 * It is written after each sync of the log and not synced itself: after a power cut it may say less
 * than was synced, never more. Where it is missing or makes no sense it says nothing.
 */
#ifndef HEARSAY_REPLICA_DISK_SYNCED_H
#define HEARSAY_REPLICA_DISK_SYNCED_H

#include "replica/disk/files.h"

/* A position of the log, in bytes, before which everything had been synced; 0: not known. */
uint64_t synced_read(const folder_t *folder);

/* Opens the file for synced_write, makes it if it is not there; -1: it cannot be had. */
int synced_open(const folder_t *folder);

/* Says so of what is before position. Where it fails the file says less than it could. */
void synced_write(int fd, uint64_t position);

/* The same of a log that ends before what the file says: durable when it returns. */
void synced_reset(int fd, uint64_t position);

#endif
