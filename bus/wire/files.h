/*
 * The document with which a node answers FILES: how its own files read (docs/protocol.md,
 * "Control").
 *
 * Findings are appended one by one and then given to the document's writer as their bytes; a reader
 * has checked them when it returns true. Decoded structs borrow from the document.
 */
#ifndef HEARSAY_BUS_WIRE_FILES_H
#define HEARSAY_BUS_WIRE_FILES_H

#include "bus/wire/mp.h"

enum {
    FILES_FINDINGS_MAX = 64, /* in one document */
    FILES_TEXT_MAX = 512,    /* bytes of a text or name */
};

typedef enum files_state {
    FILES_READING = 1,
    FILES_REPAIRING = 2, /* all was read, and what is damaged is not made good yet */
    FILES_DONE = 3,
} files_state_t;

/* What the asker wants, in the field part of a request. */
typedef enum files_ask {
    FILES_TELL = 0,  /* of the last reading */
    FILES_BEGIN = 1, /* one, unless one is under way or has not been told of */
} files_ask_t;

/* A place that is damaged, or that could not be read now. */
typedef struct files_finding {
    bool is_damage;
    slice_t file;    /* name in the data folder */
    uint64_t offset; /* in the file, in bytes */
    slice_t text;    /* a line for people, with path and place */
} files_finding_t;

typedef struct files_report {
    uint16_t id; /* of the node */
    uint64_t incarnation;
    files_state_t state;
    uint64_t read;  /* bytes, about */
    uint64_t bytes; /* in all; 0 while it waits for a checkpoint to be written */
    uint64_t segments;
    uint64_t entries; /* of the log, good ones */
    uint64_t rows;    /* of the checkpoint, likewise */
    uint64_t damaged; /* places; more than the findings when there are very many */
    uint32_t findings;
    slice_t findings_at;
} files_report_t;

/* One item for findings_at; texts that are too long are cut. */
void files_finding_put(buf_t *out, const files_finding_t *finding);
/* The next of findings_at, opened with mp_open; false at the end. */
bool files_finding_next(mp_t *in, files_finding_t *out);

void files_report_put(buf_t *out, const files_report_t *report);
bool files_report_read(slice_t document, files_report_t *out);

#endif
