/*
 * Damaged parts of a data folder, set aside until the node has been repaired.
 *
 *   replica_ID/damaged-<UTC time>/   log-<…>.seg and checkpoint/, as they were; nobody deletes them
 *   replica_ID/repair                a line for each time that something was: place, what, where
 *
 * What has been damaged is never served and never written to. The node starts with what is left,
 * but it does not have everything that it once said it had, so it may not go on by itself: others
 * have forgotten what they kept for it. While the file `repair` is there the node has to take over
 * the state of another (replica_set_damaged in replica/core/replica.h). The file is durable before
 * the first damaged file is moved, and removed when the node has what it lacked: a crash at any
 * moment between leaves a folder that is still known as damaged.
 *
 * A segment that is damaged in the middle is set aside as it is, and what is good before that place
 * begins it anew. Entries behind the damage, which do not follow from what is left, are found by
 * their checksums (aside_each): they may be what nobody else has.
 */
#ifndef HEARSAY_REPLICA_DISK_ASIDE_H
#define HEARSAY_REPLICA_DISK_ASIDE_H

#include "replica/disk/files.h"

enum { ASIDE_PLACE_SIZE = 40 }; /* "damaged-20261123T061257Z-99" and NUL */

typedef enum aside_part {
    ASIDE_CHECKPOINT,
    ASIDE_LOG,     /* all from a position on */
    ASIDE_HEADERS, /* the first segment whose header is damaged; what is behind may be good */
} aside_part_t;

/*
 * Sets a part of the data folder of node id aside. position: of the log, for ASIDE_LOG. why: a line
 * for people, kept in the file `repair`. place gets the name of the new folder in it.
 *
 * Nobody may have the folder open; its lock is taken meanwhile. Returns -1 with err when that is
 * not so (USAGE), or the disk refuses: then it may be called again.
 */
int aside_move(const char *folder, uint16_t id, aside_part_t part, uint64_t position,
               const char *why, char place[ASIDE_PLACE_SIZE], err_t *err);

/* Something of the folder is aside and has not been made good. */
bool aside_is_open(const folder_t *folder);

/* One good entry of the log; borrowed until the function returns. */
typedef void aside_entry_fn(void *arg, uint8_t kind, slice_t payload);

/* A line of the file `repair`. */
typedef void aside_line_fn(void *arg, const char *line);

/*
 * Calls line for each line of the file `repair`, then entry for each good entry of the segments in
 * the folders that the lines name, in the order of the log. What cannot be read is left out. Either
 * function may be NULL.
 */
void aside_each(const char *folder, aside_line_fn *line, aside_entry_fn *entry, void *arg);

/* What was aside is made good: removes the file `repair`. -1 with err when it stays. */
int aside_end(const char *folder, err_t *err);

#endif
