/*
 * Looks through a data folder for damage, without changing anything.
 *
 * For people who want to know what is wrong with the folder of a node that is not running
 * (disk_verify), and for a node that runs and reads its own files (replica/disk/scan.h). All
 * segments and the checkpoint are read whole.
 */
#ifndef HEARSAY_REPLICA_DISK_VERIFY_H
#define HEARSAY_REPLICA_DISK_VERIFY_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "replica/disk/segment.h"

/* What a finding means for the node. */
typedef enum verify_weight {
    VERIFY_HARMLESS, /* the next start deals with it by itself */
    VERIFY_UNREAD,   /* the system did not let us read it now: nobody knows */
    VERIFY_DAMAGE,   /* the node does not start with it, or will not serve a part of its log */
} verify_weight_t;

typedef struct verify_finding {
    verify_weight_t weight;
    const char *text;  /* one line: file, place, what it is, what a repair would do; borrowed */
    const char *file;  /* name in the folder, borrowed; "" when it is about more than one */
    uint64_t offset;   /* in the file, in bytes; 0 when it is about the whole file */
    uint64_t position; /* in the log, of an entry or a gap; else 0 */
} verify_finding_t;

typedef void verify_fn(void *arg, const verify_finding_t *finding);

typedef struct verified {
    uint64_t segments;
    uint64_t entries; /* good ones */
    uint64_t rows;    /* of the checkpoint, good ones */
    uint64_t damaged; /* findings of weight DAMAGE */
} verified_t;

/*
 * Reads the folder and calls fn for each finding, in the order of the log, the checkpoint last.
 * *out is filled in. Returns 0 when all could be looked at, whatever was found; -1 with err (USAGE)
 * when the folder is not there, holds no log, or is in use.
 */
int disk_verify(const char *folder, verify_fn *fn, void *arg, verified_t *out, err_t *err);

/* ---- of a node that runs ---- */

/* So many bytes were read in all, of log or checkpoint; false: that is enough. */
typedef bool verify_pace_fn(void *arg, uint64_t bytes);

/* Segments before this position are no part of the log any more. */
typedef uint64_t verify_dropped_fn(void *arg);

/* What is read; all is borrowed until the functions return. They may be called by any thread. */
typedef struct verify_running {
    const folder_t *folder;
    const segments_t *segments; /* as far as they are written, which is all that is looked at */
    verify_fn *fn;
    verify_pace_fn *pace; /* about each MiB */
    verify_dropped_fn *dropped_before;
    void *arg;
} verify_running_t;

/*
 * Reads the segments, and calls fn for each finding; adds to *out. What is there was written whole,
 * so nothing is a torn tail, and a file that is shorter or away is damage, unless it was dropped
 * meanwhile.
 */
void verify_running_log(const verify_running_t *source, verified_t *out);

/* The same for the checkpoint, to which nobody may write meanwhile. */
void verify_running_checkpoint(const verify_running_t *source, verified_t *out);

#endif
