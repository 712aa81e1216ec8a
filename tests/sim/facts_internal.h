/*
 * What the files of the facts share. Included by facts.c and facts_*.c only.
 */
#ifndef HEARSAY_TESTS_SIM_FACTS_INTERNAL_H
#define HEARSAY_TESTS_SIM_FACTS_INTERNAL_H

#include "bus/wire/mp.h"
#include "tests/sim/facts.h"

typedef struct deletion {
    uint32_t key;
    uint32_t number; /* whose it is, or FACTS_NONE */
    tag_t tag;
} deletion_t;

/* A setting of the deadline of a timed key. */
typedef struct deadline {
    uint32_t key;
    uint32_t number;
    tag_t tag;
    hlc_t at; /* 0: none any more */
} deadline_t;

typedef struct member {
    uint32_t joins; /* the request that adds it, and the one that removes it */
    uint32_t leaves;
    bool has_left; /* that was logged */
} member_t;

struct facts {
    asked_t *asked;
    uint32_t asked_size;
    size_t asked_capacity;
    deletion_t *deletions;
    uint32_t deletions_size;
    size_t deletions_capacity;
    deadline_t *deadlines;
    uint32_t deadlines_size;
    size_t deadlines_capacity;
    member_t members[MEMBERS_MAX];
    uint32_t members_size;
    facts_counts_t counts;
};

/* ---- facts.c ---- */

/* The member that a request adds; MEMBERS_MAX for none. */
uint32_t facts_member(const facts_t *self, uint32_t number);

/*
 * True for the setting of a deadline over what has this tag, which has passed by the clock, and
 * which none replaces that known knows, or known is NULL and it was logged.
 */
bool facts_has_passed(const facts_t *self, const deadline_t *deadline, uint32_t key, tag_t tag,
                      hlc_t clock, const known_t *known);

/* ---- facts_answer.c ---- */

/* False, with what is wrong with the key in the answer. */
bool facts_wrong(const fact_call_t *call, const char *what, uint32_t key);

/*
 * Reads the text of a key: whose it is, FACTS_NONE for nothing. False, said, for one that nobody
 * wrote.
 */
bool facts_read_text(const facts_t *self, const fact_call_t *call, mp_t *in, uint32_t key,
                     uint32_t *number);

/* Reads the members of the set, a bit each. False, said, for one that nobody added. */
bool facts_read_members(const facts_t *self, const fact_call_t *call, uint64_t *shown);

#endif
