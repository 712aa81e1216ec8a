/*
 * What can be completed in a line that is being typed: where the word under the cursor begins, what
 * it is by the command's usage line, and names that were seen before. Pure.
 */
#ifndef HEARSAY_CLIENT_TOOL_COMPLETE_H
#define HEARSAY_CLIENT_TOOL_COMPLETE_H

#include "bus/base/bytes.h"
#include "client/lib/hearsay.h"
#include "client/tool/words.h"

/* ---- the line ---- */

typedef enum complete_kind {
    COMPLETE_NOTHING, /* a value, or something that is no command's */
    COMPLETE_COMMAND, /* the first word */
    COMPLETE_KEY,
} complete_kind_t;

typedef struct completion {
    complete_kind_t kind;
    size_t start;                     /* of the word under the cursor, in bytes of the line */
    buf_t word;                       /* what is typed of it, without quotes and escapes */
    const hearsay_command_t *command; /* the line's, NULL when its first word is none */
} completion_t;

/* Looks at a line up to the cursor. The caller frees word. */
completion_t complete_look(slice_t line);

/*
 * The i-th argument's name in a usage line as "KEY VALUE [KEY VALUE …]", whose last group repeats
 * for ever; an empty slice behind the last.
 */
slice_t complete_argument(const char *arguments, size_t i);

/* ---- names ---- */

enum { COMPLETE_NAMES_MAX = 1000 };

/* A set of names in bytewise order, at most COMPLETE_NAMES_MAX: further ones are left out. */
typedef struct complete_names {
    char **list; /* owned, NUL behind each */
    size_t count;
} complete_names_t;

/* A name with a NUL in it or an empty one is left out. Zero the struct before the first. */
void complete_names_add(complete_names_t *self, slice_t name);
void complete_names_free(complete_names_t *self);

/* Adds the keys among a command's words, by its usage line; nothing for an unknown command. */
void complete_names_add_keys(complete_names_t *self, const hearsay_word_t words[], size_t count);

/* Adds to out those that begin with prefix. */
void complete_names_matching(const complete_names_t *self, slice_t prefix, complete_names_t *out);

/* How many bytes all names begin with together, cut at a whole UTF-8 character. */
size_t complete_names_common(const complete_names_t *self);

#endif
