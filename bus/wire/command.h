/*
 * The commands: one table for the wire, the replica, the library and the help.
 */
#ifndef HEARSAY_BUS_WIRE_COMMAND_H
#define HEARSAY_BUS_WIRE_COMMAND_H

#include "bus/base/bytes.h"

/*  name      code kind    least most  each  arguments, summary, two examples */
#define COMMAND_TABLE(X)                                                                           \
    X(GET, get, 1, READ, 1, 1, 0, "KEY", "the text or number at KEY", "get greeting",              \
      "get \"a key with blanks\"")                                                                 \
    X(EXISTS, exists, 2, READ, 1, 1024, 1, "KEY [KEY …]", "how many of the keys are there",        \
      "exists greeting", "exists greeting cart:7")                                                 \
    X(MGET, mget, 3, READ, 1, 1024, 1, "KEY [KEY …]", "several keys, as of one moment",            \
      "mget greeting visits", "mget a b c")                                                        \
    X(HGET, hget, 4, READ, 2, 2, 0, "KEY FIELD", "one field of the hash at KEY",                   \
      "hget airport:ORD city", "hget user:7 name")                                                 \
    X(HGETALL, hgetall, 5, READ, 1, 1, 0, "KEY", "all fields of the hash at KEY",                  \
      "hgetall airport:ORD", "hgetall user:7")                                                     \
    X(TYPE, type, 6, READ, 1, 1, 0, "KEY", "register, hash, set or none", "type greeting",         \
      "type user:7")                                                                               \
    X(SCAN, scan, 7, READ, 1, 3, 0, "CURSOR [PREFIX [COUNT]]",                                     \
      "a page of the keys that begin with PREFIX: [cursor of the next page, keys]; 0 begins and "  \
      "ends",                                                                                      \
      "scan 0", "scan 0 airport: 1000")                                                            \
    X(SMEMBERS, smembers, 8, READ, 1, 1, 0, "KEY", "all elements of the set at KEY",               \
      "smembers online", "smembers tags:42")                                                       \
    X(SISMEMBER, sismember, 9, READ, 2, 2, 0, "KEY ELEMENT", "1 if the set at KEY has ELEMENT",    \
      "sismember online ada", "sismember tags:42 new")                                             \
    X(TTL, ttl, 10, READ, 1, 1, 0, "KEY",                                                          \
      "seconds until KEY expires; -1: never, -2: there is no such key", "ttl session:42",          \
      "ttl greeting")                                                                              \
    X(SET, set, 16, UPDATE, 2, 2, 0, "KEY VALUE", "sets KEY to a text or number",                  \
      "set greeting \"hello, world\"", "set visits 42")                                            \
    X(MSET, mset, 17, UPDATE, 2, 2048, 2, "KEY VALUE [KEY VALUE …]",                               \
      "sets several keys in one step", "mset a 1 b 2", "mset first Ada last \"King Noel\"")        \
    X(DEL, del, 18, UPDATE, 1, 1024, 1, "KEY [KEY …]",                                             \
      "deletes keys of any type; answers how many were there", "del greeting", "del a b user:7")   \
    X(INCR, incr, 19, UPDATE, 1, 2, 0, "KEY [BY]", "adds BY (1) to the number at KEY",             \
      "incr visits", "incr stock:42 -3")                                                           \
    X(DECR, decr, 20, UPDATE, 1, 2, 0, "KEY [BY]", "takes BY (1) from the number at KEY",          \
      "decr visits", "decr stock:42 3")                                                            \
    X(HSET, hset, 21, UPDATE, 3, 2049, 2, "KEY FIELD VALUE [FIELD VALUE …]",                       \
      "sets fields of the hash at KEY in one step", "hset user:7 name Ada lang en",                \
      "hset airport:ORD city \"Chicago, IL\"")                                                     \
    X(HDEL, hdel, 22, UPDATE, 2, 1025, 1, "KEY FIELD [FIELD …]",                                   \
      "deletes fields; answers how many were there", "hdel user:7 lang", "hdel user:7 name lang")  \
    X(HINCR, hincr, 23, UPDATE, 2, 3, 0, "KEY FIELD [BY]",                                         \
      "adds BY (1) to a number in the hash at KEY", "hincr user:7 logins",                         \
      "hincr airport:ORD departures 12")                                                           \
    X(SADD, sadd, 24, UPDATE, 2, 1025, 1, "KEY ELEMENT [ELEMENT …]",                               \
      "adds elements to the set at KEY; answers how many were new", "sadd online ada",             \
      "sadd tags:42 new cheap")                                                                    \
    X(SREM, srem, 25, UPDATE, 2, 1025, 1, "KEY ELEMENT [ELEMENT …]",                               \
      "takes elements out of a set; answers how many were there", "srem online ada",               \
      "srem tags:42 new cheap")                                                                    \
    X(EXPIRE, expire, 26, UPDATE, 2, 2, 0, "KEY SECONDS",                                          \
      "lets KEY go after that time, unless it is set anew; answers 1, 0 when it is not there",     \
      "expire session:42 1800", "expire greeting 10")                                              \
    X(PERSIST, persist, 27, UPDATE, 1, 1, 0, "KEY",                                                \
      "takes the deadline of KEY away; answers 1, 0 when it has none", "persist session:42",       \
      "persist greeting")                                                                          \
    X(MULTI, multi, 28, UPDATE, 2, 2049, 0, "WORDS COMMAND… [WORDS COMMAND…]",                     \
      "several commands in one step, each with the number of its words before it (in a prompt or " \
      "pipe also multi, then a line for each, then exec); no key is named again after a command "  \
      "that changes it",                                                                           \
      "multi 3 set a 1 2 incr b", "multi 3 decr stock:42 1 4 hset order:7 item 42")

typedef enum command_code {
#define COMMAND_ENUM(id, name, code, ...) COMMAND_##id = code,
    COMMAND_TABLE(COMMAND_ENUM)
#undef COMMAND_ENUM
} command_code_t;

enum {
    COMMAND_ARGUMENTS_MAX = 2049, /* the most that any command takes */
    COMMAND_EXAMPLES = 2,         /* that every command has */
};

/*
 * Limits of what a command may carry, in bytes; a replica may allow less for values (--max-value).
 */
enum {
    COMMAND_KEY_MAX = 1024,
    COMMAND_VALUE_MAX_DEFAULT = 1024 * 1024,
    COMMAND_VALUE_MAX = 16 * 1024 * 1024,
};

typedef struct command {
    const char *name;
    uint8_t code;
    bool is_update;
    uint16_t least; /* arguments */
    uint16_t most;
    uint16_t each; /* further arguments come in groups of this many; 0: any number up to most */
    const char *arguments;
    const char *summary;
    const char *examples[COMMAND_EXAMPLES]; /* as typed at a prompt */
} command_t;

/* All commands, in the order of the table; static. */
const command_t *command_all(size_t *count);

/* The command of a name or of a code, NULL when there is none; static. */
const command_t *command_by_name(const char *name);
const command_t *command_by_code(unsigned code);

/* True when the command takes this many arguments. */
bool command_takes(const command_t *command, size_t arguments);

#endif
