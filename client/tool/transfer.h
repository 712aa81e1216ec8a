/*
 * Import and export: rows of CSV or JSON lines into hashes, and back.
 */
#ifndef HEARSAY_CLIENT_TOOL_TRANSFER_H
#define HEARSAY_CLIENT_TOOL_TRANSFER_H

#include "client/tool/app.h"
#include "client/tool/rows.h"

typedef struct transfer {
    rows_format_t format;
    const char *key_field; /* that holds the key without the prefix */
    const char *prefix;    /* of the keys */
    const char *fields;    /* export: the columns, as a row of CSV; NULL: all there are */
    bool is_restart;       /* import: from the start, whatever was done */
} transfer_t;

/*
 * Imports the file of a name, "-" for standard input. Returns the exit code: 5 when rows were
 * refused, those of other failures when it stopped.
 */
int transfer_import(app_t *app, const char *name, const transfer_t *config);

/* Writes all hashes whose keys begin with the prefix to standard output. Returns the exit code. */
int transfer_export(app_t *app, const transfer_t *config);

#endif
