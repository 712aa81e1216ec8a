/*
 * Which programs a beacon was heard of: a bounded set of incarnations.
 *
 * When it is full the one taken in longest ago is forgotten; it is then answered once more. A plain
 * struct inside its user; all zeros is empty.
 */
#ifndef HEARSAY_BUS_NET_KNOWN_H
#define HEARSAY_BUS_NET_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

enum { KNOWN_MAX = 512 };

typedef struct known {
    uint64_t incarnations[KNOWN_MAX]; /* 0: no entry */
    uint32_t next;
} known_t;

/* Takes in an incarnation (not 0); true when it was not there. */
bool known_add(known_t *self, uint64_t incarnation);

#endif
