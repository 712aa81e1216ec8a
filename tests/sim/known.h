/*
 * What a session, or a replica, may know of the judged keys. It only grows.
 */
#ifndef HEARSAY_TESTS_SIM_KNOWN_H
#define HEARSAY_TESTS_SIM_KNOWN_H

#include "bus/base/hlc.h"

/*
 * The judged keys, by number. Registers, the pair, fields and timed keys hold texts, each of which
 * is set once.
 */
enum {
    KEY_REGISTERS = 0, /* r0 to r3 */
    KEY_PAIR = 4,      /* p and q, which are set and deleted together */
    KEY_FIELDS = 5,    /* f and g of the hash h1 */
    KEY_TIMED = 7,     /* t0 and t1, which get deadlines */
    KEY_TEXTS = 9,     /* those that hold texts, in all */
    KEY_COUNTERS = 9,  /* c0, c1 and a field of the hash h0 */
    KEY_SET = 12,      /* s0; a member comes once and goes once */
    KEYS = 13,
    REGISTERS = KEY_PAIR,
    COUNTERS = KEY_SET - KEY_COUNTERS,
    TIMED = KEY_TEXTS - KEY_TIMED,
    MEMBERS_MAX = 64, /* of the set, in a run */
};

typedef struct known {
    tag_t tag[KEY_TEXTS];    /* the least set or deletion that may be shown */
    tag_t deadline[TIMED];   /* the greatest setting of a deadline */
    uint64_t added;          /* members of the set, a bit each */
    uint64_t removed;        /* of them */
    int64_t count[COUNTERS]; /* the least that may be shown */
    hlc_t clock;             /* what ends by then has ended */
} known_t;

/* into knows the other, too. */
void known_merge(known_t *into, const known_t *from);

/* True when has knows all updates that the other does; counts and clocks are not looked at. */
bool known_covers(const known_t *has, const known_t *of);

/* The name of a key, and its field (empty for none). */
const char *known_key(uint32_t key, const char **field);

#endif
