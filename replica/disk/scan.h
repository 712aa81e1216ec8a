/*
 * Reads the files of a node through while it runs: the checkpoint, then the segments of the log.
 *
 * A scan_t is one such reading, with a thread of its own, so that neither the loop nor what syncs
 * the log and writes checkpoints waits for the device on its behalf. It has descriptors of its own
 * and a copy of what the log consisted of when it began; LMDB has no part in it. Its findings are
 * facts about bytes. What is to be done about them is for the node, which has it all in memory.
 *
 * The log may go on meanwhile: what is written is never written again, and what is appended later
 * is not looked at. Segments may be dropped meanwhile, and are not missed. The checkpoint may not
 * be written while the phase is SCAN_CHECKPOINT: LMDB uses pages again that the one before the last
 * checkpoint has left.
 *
 * Before a file is read the system's memory gives its pages up, as far as they are on the device,
 * so that it is the device that is asked. After each MiB the thread rests for three times as long
 * as that took, so that those who are served have the device and the processor most of the time.
 *
 * Belongs to the loop, but for what the thread does; all calls return at once but scan_end.
 */
#ifndef HEARSAY_REPLICA_DISK_SCAN_H
#define HEARSAY_REPLICA_DISK_SCAN_H

#include "replica/disk/disk.h"
#include "replica/disk/verify.h"

enum {
    SCAN_FINDINGS_MAX = 32, /* that are kept; all are counted */
    SCAN_TEXT_SIZE = 512,   /* bytes of a text, NUL included; longer ones are cut */
    SCAN_FILE_SIZE = 32,
};

typedef struct scan scan_t;

typedef enum scan_phase {
    SCAN_CHECKPOINT, /* it is being read, nobody may write it */
    SCAN_LOG,        /* findings in the checkpoint are all there */
    SCAN_DONE,
} scan_phase_t;

typedef struct scan_finding {
    verify_weight_t weight;
    scan_phase_t part; /* CHECKPOINT or LOG */
    uint64_t offset;   /* in the file, in bytes */
    uint64_t position; /* in the log, in bytes; of LOG */
    char file[SCAN_FILE_SIZE];
    char text[SCAN_TEXT_SIZE]; /* one line: file, place, what it is */
} scan_finding_t;

/* How far it is. */
typedef struct scan_state {
    scan_phase_t phase;
    uint64_t read;     /* bytes; about */
    uint64_t bytes;    /* in all */
    verified_t result; /* of the phases that are over */
    size_t findings;   /* that are there to be asked for */
    uint64_t log_end;  /* behind the last damaged place of the log that was found; 0: none */
} scan_state_t;

/*
 * Begins to read what disk has, which is open and was replayed, and outlives the scan. fn(arg) is
 * called by the thread after each phase, and must neither block nor call functions of the scan.
 * *out is owned by the caller: scan_end. -1 with err when there is no thread to be had.
 */
int scan_start(scan_t **out, disk_t *disk, disk_progress_fn *fn, void *arg, err_t *err);

scan_state_t scan_state(scan_t *self);

/* The i-th finding of state.findings; it stays as it is until scan_end. */
const scan_finding_t *scan_finding(scan_t *self, size_t i);

/*
 * Gives it up if it is not done, which takes as long as to read a MiB, one row, or what is left of
 * a damaged segment. *self becomes NULL.
 */
void scan_end(scan_t **self);

#endif
