/*
 * The document with which a node answers BACKUP: its state as of one moment, piece by piece
 * (docs/protocol.md, "Control"). Decoded structs borrow from the document.
 */
#ifndef HEARSAY_BUS_WIRE_BACKUP_H
#define HEARSAY_BUS_WIRE_BACKUP_H

#include "bus/wire/mp.h"

enum { BACKUP_PIECE_MAX = 1024 * 1024 }; /* bytes of rows in one piece */

/* The piece that is asked for. transfer 0 begins a backup, with part and offset 0. */
typedef struct backup_at {
    uint64_t transfer;
    uint64_t part;
    uint64_t offset; /* bytes of the part before it */
} backup_at_t;

typedef struct backup_piece {
    backup_at_t at; /* its place; transfer is the backup's from now on */
    uint64_t size;  /* bytes of the whole part */
    bool is_last;   /* it is of the last part */
    slice_t bytes;
} backup_piece_t;

void backup_piece_put(buf_t *out, const backup_piece_t *piece);
/* False when malformed, or when it does not lie inside its part. */
bool backup_piece_read(slice_t document, backup_piece_t *out);

#endif
