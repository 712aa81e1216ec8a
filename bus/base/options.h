/*
 * The options of the four programs: one table, one parser, one help text.
 *
 * An option's value comes from the command line, else from the environment (HEARSAY_ and the name
 * in capitals, '_' for '-'), else from a file that --config names (which others read: this module
 * opens nothing), else from the table. Every value is checked on the way in, whatever it
 * came from, so that the accessors cannot fail. Adding an option is adding a row to options.c.
 *
 * On the command line: "--name value" or "--name=value", before or after the words; "--" ends the
 * options; a single "-" and a '-' with a digit behind it are words or values, never options. Names
 * are not abbreviated. Of an option given twice the last one holds, except for lists, which grow.
 *
 * The options_t owns its values. What the accessors hand out is valid until it is destroyed, the
 * words as long as argv.
 */
#ifndef HEARSAY_BUS_BASE_OPTIONS_H
#define HEARSAY_BUS_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/* The programs, as bits of the table's mask. */
enum {
    OPTION_NODE = 1 << 0,
    OPTION_BROKER = 1 << 1,
    OPTION_CLIENT = 1 << 2,
    OPTION_CONTROL = 1 << 3,
};

/* The most values that a list option holds; more are a usage error. */
enum { OPTIONS_LIST_MAX = 64 };

typedef struct options options_t;

/*
 * The type of getenv, which programs give: the value of a variable or NULL, borrowed for the call.
 */
typedef char *(options_env_fn)(const char *name);

/* The options of one program, at their defaults; program is one of the bits above. */
options_t *options_new(unsigned program);
void options_destroy(options_t **self);

/*
 * Reads the command line (argv[0] is skipped) and the environment (environment may be NULL: none);
 * to be called once. An empty variable counts as absent; a list's values stand in it with commas
 * between; a flag's is 1, true, yes or 0, false, no. With --help or --version the environment is
 * not looked at, so that help is never refused. 0, or -1 with err of outcome USAGE; the options are
 * then good for options_destroy alone.
 */
int options_parse(options_t *self, int argc, char *const argv[], options_env_fn *environment,
                  err_t *err);

/*
 * The values by name, each for options of its kind; another name or kind is our own mistake
 * (asserted).
 */

/* Text or one of a choice; NULL when not given and without a default. */
const char *options_text(const options_t *self, const char *name);
bool options_flag(const options_t *self, const char *name);
/* -1 when not given and without a default; no option takes negative numbers. */
int64_t options_int(const options_t *self, const char *name);
/* A duration in milliseconds, -1 as above. */
int64_t options_ms(const options_t *self, const char *name);
/* A size in bytes, -1 as above. */
int64_t options_bytes(const options_t *self, const char *name);
/* The values of a list in the order given; NULL with *count 0 when there is none. */
const char *const *options_list(const options_t *self, const char *name, size_t *count);

/* One line of a file. The texts are borrowed. */
typedef struct options_setting {
    const char *file; /* and line, for errors and options_print */
    unsigned line;
    unsigned program; /* whose section it stands in, one of the bits; 0: for all programs */
    const char *name;
    const char *value;
} options_setting_t;

/*
 * Takes a setting, after options_parse: checked, also when the command line or the environment
 * wins. What stands in the program's section wins over what is for all; an option that only other
 * programs have is passed over. 0, or -1 with err for a name or value that is none.
 */
int options_take_setting(options_t *self, const options_setting_t *setting, err_t *err);

/* The bit of a program by its name, 0 when there is none. */
unsigned options_program_by_name(const char *name);

/* Appends what holds as a file that --config reads, with where each value is from as a comment. */
void options_print(const options_t *self, buf_t *out);

/* True when the value comes from the command line, the environment or a file. */
bool options_given(const options_t *self, const char *name);

/* What is left of the command line: the command and its arguments. */
const char *const *options_words(const options_t *self, size_t *count);

/* "hearsay-node" and so on; program is one of the bits. Static text. */
const char *options_program_name(unsigned program);

/* Appends one line for each option of the program: name, value, what it does, bounds, default. */
void options_help(const options_t *self, buf_t *out);

#endif
