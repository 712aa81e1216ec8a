/*
 * What was asked of the judged keys and what of it was ever logged; whether an answer fits that and
 * what its session knew.
 */
#ifndef HEARSAY_TESTS_SIM_FACTS_H
#define HEARSAY_TESTS_SIM_FACTS_H

#include "bus/wire/record.h"
#include "tests/sim/ask.h"
#include "tests/sim/known.h"

typedef struct facts facts_t;

#define FACTS_NONE UINT32_MAX

/* A request. */
typedef struct asked {
    ask_t ask;
    uint32_t session;
    tag_t tag;     /* of what it does to its key, once that was logged */
    known_t known; /* to its session when it was issued */
    bool is_done;
    bool is_acked;
    bool is_copied; /* and at two replicas or more */
} asked_t;

/* How often an answer told of what is rare. */
typedef struct facts_counts {
    uint64_t own_deletes;    /* of a key that was absent since its session had deleted it */
    uint64_t members_gone;   /* from the set, for who had seen them in it */
    uint64_t deadlines;      /* that had passed, and nothing else explains that a key is absent */
    uint64_t snapshots_amid; /* of the pair while it was being set or deleted */
    uint64_t scans;          /* of several pages */
} facts_counts_t;

facts_t *facts_new(void);
void facts_destroy(facts_t **self);

/*
 * A session issues a request; returns its number. A member that joins or leaves is chosen here, and
 * where there is none the set is looked at instead: see facts_asked.
 */
uint32_t facts_issue(facts_t *self, uint32_t session, const ask_t *ask, const known_t *known);

uint32_t facts_size(const facts_t *self);

/* Borrowed until the next is issued. */
asked_t *facts_asked(facts_t *self, uint32_t number);

const facts_counts_t *facts_counts(const facts_t *self);

/* What a record does to the judged keys. */
typedef struct learned {
    uint32_t number; /* whose it is, FACTS_NONE: of nobody that is known by its record */
    known_t news;
} learned_t;

/* A replica has logged a record. False when it makes no sense: one update, two tags. */
bool facts_learn(facts_t *self, const record_t *record, learned_t *out);

/* True when a set or delete does not show where so much was there before. */
bool facts_hides(const facts_t *self, const known_t *top, const known_t *news);

/* An answer to be held against what is known. */
typedef struct fact_call {
    uint32_t number;
    slice_t value; /* one msgpack value */
    hlc_t clock;   /* the session's, when it had the answer */
    bool is_held;  /* else anything that somebody wrote is right */
    char *why;     /* what is wrong with it */
    size_t why_size;
} fact_call_t;

/* A marked update was taken, or a text, several, or the set were read. known: what the session
 * knows, which grows. */
bool facts_answer(facts_t *self, const fact_call_t *call, known_t *known);

/* A scan under way. */
typedef struct fact_scan {
    uint32_t prefix;
    uint64_t cursor; /* of the next page; 0: there is none */
    uint32_t pages;
    uint32_t shown; /* keys, a bit each */
    known_t known;  /* to its session when it began */
} fact_scan_t;

/* A page has come. Behind the last, all that its session knew to be there must have been shown. */
bool facts_page(facts_t *self, const fact_call_t *call, fact_scan_t *scan);

/* The end of a text or of the set, when nothing was lost: what the fold of all updates says. */
bool facts_final(facts_t *self, uint32_t key, slice_t value, char *why, size_t why_size);

/* And else: at least what was acknowledged at two replicas, or keeps_acked: at all. */
bool facts_kept(facts_t *self, uint32_t key, slice_t value, bool keeps_acked, char *why,
                size_t why_size);

/* And of a text at the only node that is left, which had something with this tag, or has since. */
bool facts_kept_from(facts_t *self, uint32_t key, slice_t value, tag_t least, char *why,
                     size_t why_size);

#endif
