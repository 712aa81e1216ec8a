/*
 * What sessions ask of the judged keys, as commands. An update tells its number in its operations,
 * so that the judge knows it in the logs: by the text it sets, the member it adds or removes, or a
 * key or field of that name that was never there and is deleted along.
 */
#ifndef HEARSAY_TESTS_SIM_ASK_H
#define HEARSAY_TESTS_SIM_ASK_H

#include "bus/base/bytes.h"
#include "bus/base/random.h"
#include "tests/sim/known.h"

typedef enum ask_kind {
    ASK_SET, /* a text */
    ASK_DEL,
    ASK_GET,
    ASK_ALL,     /* of a group of texts: all registers, the pair, or the hash */
    ASK_EXPIRE,  /* a timed key */
    ASK_PERSIST, /* it */
    ASK_ADD,     /* 1 to a counter */
    ASK_LOOK,    /* at a counter */
    ASK_JOIN,    /* a member */
    ASK_LEAVE,   /* a member that was seen */
    ASK_MEMBERS,
    ASK_IS_MEMBER,
    ASK_SCAN, /* a page; the key is one of the prefixes */
    ASK_MIX,  /* anything, at a key of no fixed type: only the replicas' being equal is checked */
} ask_kind_t;

enum { ASK_PREFIXES = 4 };

typedef struct ask {
    ask_kind_t kind;
    uint32_t key;
    uint32_t number;
    uint32_t member; /* the number of the request that adds it */
    uint64_t cursor; /* of a scan */
} ask_t;

/* What a register is set to before, in the same step, it is set to its text. */
#define ASK_FIRST "first"

/* The text of a number. */
void ask_text(uint32_t number, char text[24]);

/* The number of a text; false for what is none. */
bool ask_number(slice_t text, uint32_t *number);

/* True for what the judge knows again in the logs. */
bool ask_is_marked(ask_kind_t kind);

/* How a key is looked at. */
ask_kind_t ask_look(uint32_t key);

const char *ask_prefix(uint32_t number);

/* Appends the arguments; returns the command. */
uint8_t ask_put(const ask_t *ask, random_t *random, buf_t *arguments, uint32_t *count);

#endif
