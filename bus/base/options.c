#include "bus/base/options.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/base/nearest.h"
#include "bus/base/units.h"

typedef enum kind { FLAG, TEXT, LIST, CHOICE, INTEGER, DURATION, SIZE } kind_t;

typedef struct row {
    const char *name;
    kind_t kind;
    unsigned programs;
    const char *value_name;
    const char *fallback; /* the default, as one would give it; NULL: none */
    int64_t min;          /* of the number; of a text or a list's item, its length in bytes */
    int64_t max;
    const char *help;
    const char *choices; /* of a CHOICE: "a|b|c" */
} row_t;

#define SERVERS (OPTION_NODE | OPTION_BROKER)
#define TOOLS   (OPTION_CLIENT | OPTION_CONTROL)
#define ALL     (SERVERS | TOOLS)
#define HOUR_MS INT64_C(3600000)
#define MIB     (INT64_C(1) << 20)

enum { TEXT_MAX = 1024, PATH_TEXT_MAX = 4095 };

/* In the order of the help. One name may have several rows, for different programs. */
static const row_t table[] = {
    {"cluster", TEXT, ALL, "NAME", "hearsay", 1, 64,
     "programs of other clusters do not see each other", NULL},
    {"interface", TEXT, ALL, "IF", "lo", 1, 15, "network interface that beacons use", NULL},
    {"beacon-port", INTEGER, ALL, "N", "7700", 1, 65535, "UDP port of the beacons", NULL},
    {"peer", LIST, SERVERS | OPTION_CONTROL, "ADDR", NULL, 1, TEXT_MAX,
     "peer port of a node, tcp://host:port, beside beacons", NULL},
    {"listen", TEXT, OPTION_NODE, "ADDR", NULL, 1, TEXT_MAX,
     "first of five ports (default: 7710 + 10 * ID on 127.0.0.1)", NULL},
    {"listen", TEXT, OPTION_BROKER, "ADDR", "tcp://127.0.0.1:7700", 1, TEXT_MAX,
     "address that clients connect to", NULL},
    {"advertise", TEXT, SERVERS, "ADDR", NULL, 1, TEXT_MAX,
     "address that others reach this program at, behind NAT", NULL},
    {"http", TEXT, SERVERS, "ADDR", NULL, 1, TEXT_MAX,
     "serve /metrics, /healthz, /readyz and /v1/status at host:port", NULL},
    {"curve", TEXT, ALL, "DIR", NULL, 1, PATH_TEXT_MAX,
     "folder of keys (hearsayctl keygen): encrypt, and talk to holders of such keys alone", NULL},
    {"curve-key", TEXT, OPTION_CLIENT, "NAME", "client", 1, 48, "key in it to use: NAME.key_secret",
     NULL},
    {"curve-key", TEXT, OPTION_CONTROL, "NAME", "admin", 1, 48, "key in it to use: NAME.key_secret",
     NULL},
    {"insecure", FLAG, ALL, NULL, NULL, 0, 0, "allow other interfaces than loopback without keys",
     NULL},
    {"data", TEXT, OPTION_NODE, "DIR", NULL, 1, PATH_TEXT_MAX,
     "where the data lies (default: replica_ID)", NULL},
    {"sync", CHOICE, OPTION_NODE, "WHEN", "interval", 0, 0, "when the log goes to the device",
     "always|interval|never"},
    {"gossip-interval", DURATION, OPTION_NODE, "DURATION", "8s", 10, HOUR_MS,
     "how often replicas compare what they have", NULL},
    {"auto", TEXT, OPTION_NODE, "MODE", "load", 1, TEXT_MAX,
     "how the node sets its own status after each gossip round", NULL},
    {"max-drift", DURATION, OPTION_NODE, "DURATION", "60s", 1, 24 * HOUR_MS,
     "how far ahead a clock may be before its updates are refused", NULL},
    {"retry-horizon", DURATION, OPTION_NODE, "DURATION", "15s", 1000, HOUR_MS,
     "how long an update may be sent again", NULL},
    {"ack", INTEGER, OPTION_NODE, "N", "2", 1, 16,
     "replicas that should have an update before it is acknowledged", NULL},
    {"log-max", SIZE, OPTION_NODE, "SIZE", "1GiB", MIB, 1024 * (int64_t)1024 * MIB,
     "log after which members out of reach are left behind", NULL},
    {"max-memory", SIZE, OPTION_NODE, "SIZE", NULL, 16 * MIB, 1024 * (int64_t)1024 * MIB,
     "heap from which updates but deletes are refused (default: no limit)", NULL},
    {"max-value", SIZE, OPTION_NODE, "SIZE", "1MiB", 1, 16 * MIB, "the largest value of a key",
     NULL},
    {"salvage", FLAG, OPTION_NODE, NULL, NULL, 0, 0,
     "damaged, and no node to repair it: go on with what is left", NULL},
    {"broker", LIST, TOOLS, "ADDR", NULL, 1, TEXT_MAX,
     "broker to use, tcp://host:port, without discovery", NULL},
    {"replica", INTEGER, OPTION_CLIENT, "ID", NULL, 0, 255, "pin the session to one replica", NULL},
    {"session", TEXT, OPTION_CLIENT, "NAME", "default", 1, 64, "session that several calls share",
     NULL},
    {"relax", FLAG, OPTION_CLIENT, NULL, NULL, 0, 0,
     "go on without what no replica in reach has, instead of MISSING", NULL},
    {"no-session", FLAG, OPTION_CLIENT, NULL, NULL, 0, 0, "read and write no session file", NULL},
    {"stdin", FLAG, OPTION_CLIENT, NULL, NULL, 0, 0,
     "one command: its last argument is what standard input holds", NULL},
    {"value-file", TEXT, OPTION_CLIENT, "FILE", NULL, 1, PATH_TEXT_MAX,
     "one command: its last argument is what the file holds", NULL},
    {"key-field", TEXT, OPTION_CLIENT, "NAME", "key", 1, TEXT_MAX,
     "import, export: the field that holds the key", NULL},
    {"prefix", TEXT, OPTION_CLIENT, "TEXT", NULL, 1, TEXT_MAX,
     "import: what stands in front of every key", NULL},
    {"fields", TEXT, OPTION_CLIENT, "NAMES", NULL, 1, 65536,
     "export: the columns, with commas between (default: all)", NULL},
    {"format", CHOICE, OPTION_CLIENT, "FORMAT", NULL, 0, 0,
     "import, export (default: by the file's name, else csv)", "csv|jsonl"},
    {"restart", FLAG, OPTION_CLIENT, NULL, NULL, 0, 0,
     "import: from the start, whatever was done before", NULL},
    {"history", TEXT, OPTION_CLIENT, "FILE", NULL, 1, PATH_TEXT_MAX,
     "lines typed at the prompt (default: ~/.local/state/hearsay/history)", NULL},
    {"window", INTEGER, OPTION_CLIENT, "N", "64", 1, 4096,
     "commands in flight in a pipe, rows in import and export", NULL},
    {"sessions", INTEGER, OPTION_CLIENT, "N", "50", 1, 100000,
     "bench: sessions that ask at the same time (-c)", NULL},
    {"pipeline", INTEGER, OPTION_CLIENT, "N", "1", 1, 4096,
     "bench: requests of each session under way (-P)", NULL},
    {"connections", INTEGER, OPTION_CLIENT, "N", "1", 1, 16384,
     "bench: connections that the sessions are spread over", NULL},
    {"rate", INTEGER, OPTION_CLIENT, "N", NULL, 1, 10000000,
     "bench: requests a second, however slow the answers are (default: as answered)", NULL},
    {"mix", TEXT, OPTION_CLIENT, "MIX", "set:50,get:40,incr:10", 1, TEXT_MAX,
     "bench: commands and their shares, of set get del incr hset hget", NULL},
    {"keys", INTEGER, OPTION_CLIENT, "N", "100000", 1, 100000000, "bench: keys, all equally likely",
     NULL},
    {"value-size", SIZE, OPTION_CLIENT, "SIZE", "100", 0, 16 * MIB, "bench: of what is set", NULL},
    {"requests", INTEGER, OPTION_CLIENT, "N", "100000", 1, 1000000000,
     "bench: how many are counted", NULL},
    {"duration", DURATION, OPTION_CLIENT, "DURATION", "10s", 1, 24 * HOUR_MS,
     "bench: the most it measures for", NULL},
    {"warm-up", DURATION, OPTION_CLIENT, "DURATION", "500ms", 0, HOUR_MS,
     "bench: how long nothing is counted at first", NULL},
    {"visible", FLAG, OPTION_CLIENT, NULL, NULL, 0, 0,
     "bench: instead, how long until an update shows at every replica", NULL},
    {"nodes", INTEGER, OPTION_CONTROL, "N", NULL, 0, 256, "wait: for so many nodes", NULL},
    {"brokers", INTEGER, OPTION_CONTROL, "N", NULL, 0, 256, "wait: for so many brokers", NULL},
    {"node", INTEGER, OPTION_CONTROL, "ID", NULL, 0, 255,
     "trace, events, accept-clock: of this node alone", NULL},
    {"what", TEXT, OPTION_CONTROL, "AREAS", "sockets,requests,gossip,events", 1, 64,
     "trace: what is followed, with commas between", NULL},
    {"key", TEXT, OPTION_CONTROL, "KEY", NULL, 1, TEXT_MAX,
     "trace: requests and updates of this key alone", NULL},
    {"perfetto", TEXT, OPTION_CONTROL, "FILE", NULL, 1, PATH_TEXT_MAX,
     "trace: into a file that ui.perfetto.dev opens, not to standard output", NULL},
    {"for", DURATION, OPTION_CONTROL, "DURATION", NULL, 1, 24 * HOUR_MS,
     "trace, events --follow, top: end after that time (default: at Ctrl-C)", NULL},
    {"follow", FLAG, OPTION_CONTROL, NULL, NULL, 0, 0, "events: and those to come", NULL},
    {"sort", CHOICE, OPTION_CONTROL, "COLUMN", "id", 0, 0, "top: by what nodes are sorted",
     "id|requests|lag|sessions|memory|log"},
    {"no-files", FLAG, OPTION_CONTROL, NULL, NULL, 0, 0,
     "check: compare what the nodes show, read no files", NULL},
    {"once", FLAG, OPTION_CONTROL, NULL, NULL, 0, 0, "top: print it, needs no terminal", NULL},
    {"yes", FLAG, OPTION_CONTROL, NULL, NULL, 0, 0, "do not ask before what cannot be undone",
     NULL},
    {"timeout", DURATION, TOOLS, "DURATION", "5s", 1, 24 * HOUR_MS, "the most time a command takes",
     NULL},
    {"json", FLAG, ALL, NULL, NULL, 0, 0, "results, errors and logs in JSON", NULL},
    {"config", TEXT, ALL, "FILE", NULL, 1, PATH_TEXT_MAX,
     "options in a file, NAME = VALUE a line, behind flags and environment", NULL},
    {"print-config", FLAG, ALL, NULL, NULL, 0, 0,
     "show what holds and where it is from, as --config reads it", NULL},
    {"log-level", CHOICE, ALL, "LEVEL", "info", 0, 0, "what is logged to stderr",
     "error|warn|info|debug"},
    {"help", FLAG, ALL, NULL, NULL, 0, 0, "show this text", NULL},
    {"version", FLAG, ALL, NULL, NULL, 0, 0, "show the version", NULL},
};

enum { ROWS = sizeof table / sizeof table[0] };

/* In the order in which they win. */
typedef enum source {
    FROM_DEFAULT,
    FROM_FILE,
    FROM_SECTION, /* the program's own part of the file */
    FROM_ENVIRONMENT,
    FROM_FLAG
} source_t;

typedef struct value {
    source_t source;
    unsigned line; /* of the file */
    char **items;  /* texts: one, or those of a list; owned */
    size_t count;
    int64_t number; /* of the kinds with a number; a flag's 0 or 1 */
} value_t;

struct options {
    unsigned program;
    value_t values[ROWS]; /* of the row with the same index; unused for other programs' rows */
    const char **words;
    size_t word_count;
};

/* Where a value was found, for the error. */
typedef struct place {
    source_t source;
    const char *name; /* "--window", "HEARSAY_WINDOW", "lab.conf:3: window" */
    unsigned line;    /* of the file */
} place_t;

enum { NAME_SIZE = 48, SHOWN_SIZE = 64 };

/* Foreign text for a message: cut, and without what would break its line. */
typedef struct shown {
    char text[SHOWN_SIZE];
} shown_t;

static shown_t show(const char *text, size_t size)
{
    shown_t shown;
    size_t fits = size < SHOWN_SIZE - 4 ? size : SHOWN_SIZE - 4;
    for (size_t i = 0; i < fits; i++)
        shown.text[i] = (unsigned char)text[i] >= ' ' && text[i] != 0x7F ? text[i] : '?';
    strcpy(shown.text + fits, fits < size ? "..." : "");
    return shown;
}

const char *options_program_name(unsigned program)
{
    switch (program) {
    case OPTION_NODE:
        return "hearsay-node";
    case OPTION_BROKER:
        return "hearsay-broker";
    case OPTION_CLIENT:
        return "hearsay";
    default:
        assert(program == OPTION_CONTROL);
        return "hearsayctl";
    }
}

/* The index of the row with this name for one of the programs, ROWS when there is none. */
static size_t find(const char *name, size_t size, unsigned programs)
{
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].programs & programs) != 0 && strlen(table[i].name) == size &&
            memcmp(table[i].name, name, size) == 0)
            return i;
    return ROWS;
}

static void drop_items(value_t *value)
{
    for (size_t i = 0; i < value->count; i++)
        free(value->items[i]);
    free(value->items);
    value->items = NULL;
    value->count = 0;
}

static void add_item(value_t *value, const char *text, size_t size)
{
    value->items = mem_resize(value->items, (value->count + 1) * sizeof *value->items);
    value->items[value->count++] = mem_text(text, size);
}

/* ---- checking values ---- */

/* Appends a number of the row as one would write it. */
static void put_number(buf_t *out, const row_t *row, int64_t number)
{
    if (row->kind == DURATION)
        units_put_ms(out, number);
    else if (row->kind == SIZE)
        units_put_bytes(out, number);
    else
        buf_printf(out, "%" PRId64, number);
}

static int bad_range(const row_t *row, place_t place, shown_t shown, err_t *err)
{
    buf_t bounds;
    buf_init(&bounds);
    put_number(&bounds, row, row->min);
    buf_append_text(&bounds, " to ");
    put_number(&bounds, row, row->max);
    err_set(err, OUTCOME_USAGE, "%s: '%s' is out of bounds: give %s", place.name, shown.text,
            buf_text(&bounds));
    buf_free(&bounds);
    return -1;
}

static int check_number(const row_t *row, slice_t text, place_t place, int64_t *number, err_t *err)
{
    shown_t shown = show((const char *)text.data, text.size);
    bool read;
    const char *form;
    if (row->kind == DURATION) {
        read = units_to_ms(text, number);
        form = "no duration: give " UNITS_DURATION_FORM;
    } else if (row->kind == SIZE) {
        read = units_to_bytes(text, number);
        form = "no size: give " UNITS_SIZE_FORM;
    } else {
        read = slice_to_int64(text, number);
        form = "no whole number: give digits alone";
    }
    if (!read)
        return err_set(err, OUTCOME_USAGE, "%s: '%s' is %s", place.name, shown.text, form);
    if (*number < row->min || *number > row->max)
        return bad_range(row, place, shown, err);
    return 0;
}

static int check_text(const row_t *row, slice_t text, place_t place, err_t *err)
{
    if (text.size < (size_t)row->min)
        return err_set(err, OUTCOME_USAGE, "%s: the value is empty: give %s %s", place.name,
                       strchr("AEIOU", row->value_name[0]) != NULL ? "an" : "a", row->value_name);
    if (text.size > (size_t)row->max)
        return err_set(err, OUTCOME_USAGE,
                       "%s: '%s' is too long, %zu bytes: give %" PRId64 " at most", place.name,
                       show((const char *)text.data, text.size).text, text.size, row->max);
    return 0;
}

static bool is_choice(const char *choices, slice_t text)
{
    while (true) {
        size_t length = strcspn(choices, "|");
        if (slice_equal(slice_of(choices, length), text))
            return true;
        if (choices[length] == '\0')
            return false;
        choices += length + 1;
    }
}

static int check_flag(slice_t text, place_t place, int64_t *number, err_t *err)
{
    if (is_choice("1|true|yes", text))
        *number = 1;
    else if (is_choice("0|false|no", text))
        *number = 0;
    else
        return err_set(err, OUTCOME_USAGE, "%s: '%s' is neither yes nor no: give 1 or 0",
                       place.name, show((const char *)text.data, text.size).text);
    return 0;
}

static int check_value(const row_t *row, slice_t text, place_t place, int64_t *number, err_t *err)
{
    *number = 0;
    if (row->kind == FLAG)
        return check_flag(text, place, number, err);
    if (row->kind == TEXT || row->kind == LIST)
        return check_text(row, text, place, err);
    if (row->kind != CHOICE)
        return check_number(row, text, place, number, err);
    if (is_choice(row->choices, text))
        return 0;
    return err_set(err, OUTCOME_USAGE, "%s: '%s' is none of %s", place.name,
                   show((const char *)text.data, text.size).text, row->choices);
}

/*
 * Takes one value from a place, checked even when one of a stronger source holds. A stronger source
 * and a second value of the same replace, lists grow.
 */
static int take(options_t *self, size_t at, slice_t text, place_t place, err_t *err)
{
    const row_t *row = &table[at];
    value_t *value = &self->values[at];
    bool grows = row->kind == LIST && value->source == place.source;
    int64_t number;

    if (check_value(row, text, place, &number, err) != 0)
        return -1;
    if (value->source > place.source)
        return 0;
    if (grows && value->count == OPTIONS_LIST_MAX)
        return err_set(err, OUTCOME_USAGE, "%s: more than %d values: leave some out", place.name,
                       OPTIONS_LIST_MAX);
    if (!grows)
        drop_items(value);
    if (row->kind == TEXT || row->kind == LIST || row->kind == CHOICE)
        add_item(value, (const char *)text.data, text.size);
    value->number = number;
    value->source = place.source;
    value->line = place.line;
    return 0;
}

/* ---- the command line ---- */

/* True when a word of the command line is written as an option. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9');
}

/* The options' names of all programs in names; how many. */
static size_t names_of(unsigned programs, const char *names[ROWS])
{
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].programs & programs) != 0)
            names[count++] = table[i].name;
    return count;
}

/* The first program of a mask. */
static unsigned first_of(unsigned programs)
{
    return programs & (0 - programs);
}

static int unknown_option(const options_t *self, const char *word, err_t *err)
{
    const char *program = options_program_name(self->program);
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    size_t size = strcspn(name, "=");
    shown_t shown = show(word, size + (is_long ? 2 : 1));
    size_t known = find(name, size, ALL);
    if (is_long && known != ROWS)
        return err_set(err, OUTCOME_USAGE, "%s is an option of %s, not of %s: see %s --help",
                       shown.text, options_program_name(first_of(table[known].programs)), program,
                       program);
    char *bare = mem_text(name, size);
    const char *names[ROWS];
    const char *near = nearest(bare, names, names_of(self->program, names));
    if (near == NULL && strcmp(bare, "h") == 0)
        near = "help";
    const char *other = near != NULL ? NULL : nearest(bare, names, names_of(ALL, names));
    free(bare);
    if (near != NULL)
        return err_set(err, OUTCOME_USAGE, "%s is no option: did you mean --%s? (%s --help)",
                       shown.text, near, program);
    if (other != NULL) {
        unsigned owner = first_of(table[find(other, strlen(other), ALL)].programs);
        return err_set(err, OUTCOME_USAGE,
                       "%s is no option; the nearest one, --%s, is of %s: see %s --help",
                       shown.text, other, options_program_name(owner), program);
    }
    return err_set(err, OUTCOME_USAGE, "%s is no option: see %s --help", shown.text, program);
}

/* The two options of a load that people know by a letter from other programs. */
static size_t find_letter(const char *word, size_t size, unsigned program)
{
    if (size == 2 && word[1] == 'c')
        return find("sessions", strlen("sessions"), program);
    if (size == 2 && word[1] == 'P')
        return find("pipeline", strlen("pipeline"), program);
    return ROWS;
}

/* Takes the option at argv[*at] and its value, if that is the next word. */
static int take_option(options_t *self, int argc, char *const argv[], int *at, err_t *err)
{
    const char *word = argv[*at];
    const char *equals = strchr(word, '=');
    size_t name_size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    size_t index = find_letter(word, name_size, self->program);
    if (word[1] == '-')
        index = find(word + 2, name_size - 2, self->program);
    if (index == ROWS)
        return unknown_option(self, word, err);
    const row_t *row = &table[index];
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "--%s", row->name);
    place_t place = {.source = FROM_FLAG, .name = name};
    if (row->kind == FLAG && equals != NULL)
        return err_set(err, OUTCOME_USAGE, "%s takes no value: give %s alone, or leave it out",
                       name, name);
    if (row->kind == FLAG)
        return take(self, index, slice_text("1"), place, err);
    if (equals != NULL)
        return take(self, index, slice_text(equals + 1), place, err);
    if (*at + 1 >= argc || is_option(argv[*at + 1]))
        return err_set(err, OUTCOME_USAGE, "%s lacks its value: give %s %s, or %s=%s", name, name,
                       row->value_name, name, row->value_name);
    return take(self, index, slice_text(argv[++*at]), place, err);
}

static int parse_words(options_t *self, int argc, char *const argv[], err_t *err)
{
    self->words = mem_zero((size_t)(argc > 0 ? argc : 1), sizeof *self->words);
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (ended || !is_option(argv[i]))
            self->words[self->word_count++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            ended = true;
        else if (take_option(self, argc, argv, &i, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the environment ---- */

static void variable_name(const char *option, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "HEARSAY_%s", option);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '-')
            *c = '_';
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
}

static int take_variable(options_t *self, size_t at, const char *text, place_t place, err_t *err)
{
    if (table[at].kind != LIST)
        return take(self, at, slice_text(text), place, err);
    while (true) {
        size_t length = strcspn(text, ",");
        if (take(self, at, slice_of(text, length), place, err) != 0)
            return -1;
        if (text[length] == '\0')
            return 0;
        text += length + 1;
    }
}

static int parse_environment(options_t *self, options_env_fn *environment, err_t *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        if ((table[i].programs & self->program) == 0 || self->values[i].source == FROM_FLAG)
            continue;
        char name[NAME_SIZE];
        variable_name(table[i].name, name);
        const char *text = environment(name);
        /*
         * Build systems set variables such as HEARSAY_VERSION: only the command line asks for
         * these.
         */
        bool asks = strcmp(table[i].name, "help") == 0 || strcmp(table[i].name, "version") == 0;
        if (text == NULL || text[0] == '\0' || asks)
            continue;
        if (take_variable(self, i, text, (place_t){.source = FROM_ENVIRONMENT, .name = name},
                          err) != 0)
            return -1;
    }
    return 0;
}

/* ---- a file ---- */

unsigned options_program_by_name(const char *name)
{
    for (unsigned program = OPTION_NODE; program <= OPTION_CONTROL; program <<= 1)
        if (strcmp(options_program_name(program), name) == 0)
            return program;
    return 0;
}

/* Options that say what this call is to do, not how programs are set up. */
static bool is_of_the_call(const char *name)
{
    return strcmp(name, "help") == 0 || strcmp(name, "version") == 0 ||
           strcmp(name, "config") == 0 || strcmp(name, "print-config") == 0;
}

static int unknown_setting(const char *place, const char *name, unsigned programs, err_t *err)
{
    shown_t shown = show(name, strlen(name));
    size_t known = find(name, strlen(name), ALL);
    const char *names[ROWS];

    if (known != ROWS && is_of_the_call(name))
        return err_set(err, OUTCOME_USAGE, "%s: %s is for the command line alone: take it out",
                       place, shown.text);
    if (known != ROWS)
        return err_set(err, OUTCOME_USAGE, "%s: %s is an option of %s, not of %s: move it", place,
                       shown.text, options_program_name(first_of(table[known].programs)),
                       options_program_name(first_of(programs)));
    const char *near = nearest(name, names, names_of(programs, names));
    if (near != NULL)
        return err_set(err, OUTCOME_USAGE, "%s: %s is no option: did you mean %s?", place,
                       shown.text, near);
    return err_set(err, OUTCOME_USAGE, "%s: %s is no option: see --help", place, shown.text);
}

int options_take_setting(options_t *self, const options_setting_t *setting, err_t *err)
{
    unsigned programs = setting->program != 0 ? setting->program : ALL;
    shown_t file = show(setting->file, strlen(setting->file));
    size_t at = find(setting->name, strlen(setting->name), programs);
    char place[SHOWN_SIZE + NAME_SIZE + 16];

    snprintf(place, sizeof place, "%s:%u", file.text, setting->line);
    if (at == ROWS || is_of_the_call(setting->name))
        return unknown_setting(place, setting->name, programs, err);
    at = find(setting->name, strlen(setting->name), self->program);
    if (at == ROWS || (programs & self->program) == 0)
        return 0; /* for others */
    snprintf(place, sizeof place, "%s:%u: %s", file.text, setting->line, table[at].name);
    return take(self, at, slice_text(setting->value),
                (place_t){.source = setting->program != 0 ? FROM_SECTION : FROM_FILE,
                          .name = place,
                          .line = setting->line},
                err);
}

static void put_source(buf_t *out, const options_t *self, const row_t *row, const value_t *value)
{
    char name[NAME_SIZE];

    switch (value->source) {
    case FROM_DEFAULT:
        buf_append_text(out, "# default\n");
        break;
    case FROM_FILE:
    case FROM_SECTION:
        buf_printf(out, "# %s:%u\n", options_text(self, "config"), value->line);
        break;
    case FROM_ENVIRONMENT:
        variable_name(row->name, name);
        buf_printf(out, "# %s\n", name);
        break;
    case FROM_FLAG:
        buf_printf(out, "# --%s\n", row->name);
        break;
    }
}

/* A line of the file, which has no escapes: what cannot be written there is a comment. */
static void put_setting(buf_t *out, const char *name, const char *text)
{
    bool is_plain = text[strcspn(text, "\r\n")] == '\0';
    char quote = strchr(text, '"') != NULL ? '\'' : '"';

    if (!is_plain || strchr(text, quote) != NULL)
        buf_printf(out, "# cannot be written in a file: %s\n", name);
    else
        buf_printf(out, "%s = %c%s%c\n", name, quote, text, quote);
}

static void print_value(const options_t *self, size_t at, buf_t *out)
{
    const row_t *row = &table[at];
    const value_t *value = &self->values[at];
    bool is_text = row->kind == TEXT || row->kind == LIST || row->kind == CHOICE;
    buf_t number = {0};

    if (is_text ? value->count == 0 : value->number < 0) {
        buf_printf(out, "# not given: %s\n", row->name);
        return;
    }
    put_source(out, self, row, value);
    for (size_t i = 0; i < value->count; i++)
        put_setting(out, row->name, value->items[i]);
    if (is_text)
        return;
    put_number(&number, row, value->number);
    put_setting(out, row->name, buf_text(&number));
    buf_free(&number);
}

void options_print(const options_t *self, buf_t *out)
{
    buf_printf(out, "# What holds for %s, and in front of each where it is from.\n",
               options_program_name(self->program));
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].programs & self->program) != 0 && !is_of_the_call(table[i].name))
            print_value(self, i, out);
}

/* ---- the interface ---- */

options_t *options_new(unsigned program)
{
    (void)options_program_name(program); /* asserts that it is one */
    options_t *self = mem_zero(1, sizeof *self);
    self->program = program;
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = &table[i];
        self->values[i].number = row->kind == FLAG ? 0 : -1;
        if ((row->programs & program) == 0 || row->fallback == NULL)
            continue;
        int failed = take(self, i, slice_text(row->fallback),
                          (place_t){.source = FROM_DEFAULT, .name = ""}, NULL);
        assert(failed == 0);
        (void)failed;
    }
    return self;
}

void options_destroy(options_t **self)
{
    if (*self == NULL)
        return;
    for (size_t i = 0; i < ROWS; i++)
        drop_items(&(*self)->values[i]);
    free((*self)->words);
    free(*self);
    *self = NULL;
}

int options_parse(options_t *self, int argc, char *const argv[], options_env_fn *environment,
                  err_t *err)
{
    assert(self->words == NULL);
    if (parse_words(self, argc, argv, err) != 0)
        return -1;
    bool only_asks = options_flag(self, "help") || options_flag(self, "version");
    if (environment == NULL || only_asks)
        return 0;
    return parse_environment(self, environment, err);
}

/* The value of an option that the program has, of one of the kinds. */
static const value_t *value_of(const options_t *self, const char *name, kind_t kind)
{
    size_t at = find(name, strlen(name), self->program);
    assert(at < ROWS);
    assert(table[at].kind == kind || (kind == TEXT && table[at].kind == CHOICE));
    (void)kind;
    return &self->values[at];
}

const char *options_text(const options_t *self, const char *name)
{
    const value_t *value = value_of(self, name, TEXT);
    return value->count != 0 ? value->items[0] : NULL;
}

bool options_flag(const options_t *self, const char *name)
{
    return value_of(self, name, FLAG)->number != 0;
}

int64_t options_int(const options_t *self, const char *name)
{
    return value_of(self, name, INTEGER)->number;
}

int64_t options_ms(const options_t *self, const char *name)
{
    return value_of(self, name, DURATION)->number;
}

int64_t options_bytes(const options_t *self, const char *name)
{
    return value_of(self, name, SIZE)->number;
}

const char *const *options_list(const options_t *self, const char *name, size_t *count)
{
    const value_t *value = value_of(self, name, LIST);
    *count = value->count;
    return (const char *const *)value->items;
}

bool options_given(const options_t *self, const char *name)
{
    size_t at = find(name, strlen(name), self->program);
    assert(at < ROWS);
    return self->values[at].source != FROM_DEFAULT;
}

const char *const *options_words(const options_t *self, size_t *count)
{
    *count = self->word_count;
    return (const char *const *)self->words;
}

/*
 * What stands in brackets behind the help: bounds or choices, the default, that it may be repeated.
 */
static void put_notes(buf_t *out, const row_t *row)
{
    bool counts = row->kind == INTEGER || row->kind == DURATION || row->kind == SIZE;
    const char *between = "";
    buf_append_text(out, " (");
    size_t start = out->size;
    if (counts) {
        put_number(out, row, row->min);
        buf_append_text(out, " to ");
        put_number(out, row, row->max);
        between = ", ";
    }
    if (row->kind == CHOICE) {
        buf_append_text(out, row->choices);
        between = ", ";
    }
    if (row->kind == LIST)
        buf_append_text(out, "may be repeated");
    if (row->fallback != NULL)
        buf_printf(out, "%sdefault %s", between, row->fallback);
    if (out->size == start)
        out->size -= 2;
    else
        buf_append_u8(out, ')');
}

static size_t usage_width(const row_t *row)
{
    return strlen(row->name) + (row->value_name != NULL ? 1 + strlen(row->value_name) : 0);
}

void options_help(const options_t *self, buf_t *out)
{
    size_t widest = 0;
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].programs & self->program) != 0 && usage_width(&table[i]) > widest)
            widest = usage_width(&table[i]);
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = &table[i];
        if ((row->programs & self->program) == 0)
            continue;
        buf_printf(out, "  --%s%s%s%*s  %s", row->name, row->value_name != NULL ? " " : "",
                   row->value_name != NULL ? row->value_name : "", (int)(widest - usage_width(row)),
                   "", row->help);
        put_notes(out, row);
        buf_append_u8(out, '\n');
    }
    buf_append_text(out,
                    "Durations take ms, s, m, h (a bare number is seconds); sizes KiB, MiB, GiB. "
                    "Each option can be\nset in the environment (HEARSAY_LOG_LEVEL=debug is "
                    "--log-level debug) and in the file of\n--config (log-level = debug).\n");
}
