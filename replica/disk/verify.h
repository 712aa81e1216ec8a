/*
 * Looks through a data folder for damage, without changing anything.
 *
 * For people who want to know what is wrong, and for a node that is not running: the folder must
 * not be in use. All segments and the checkpoint are read whole.
 */
#ifndef HEARSAY_REPLICA_DISK_VERIFY_H
#define HEARSAY_REPLICA_DISK_VERIFY_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/* What a finding means for the node. */
typedef enum verify_weight {
    VERIFY_HARMLESS, /* the next start deals with it by itself */
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

#endif
