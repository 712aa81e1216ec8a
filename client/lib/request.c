#include "client/lib/request.h"

#include <stdio.h>
#include <string.h>

#include "bus/base/nearest.h"
#include "bus/wire/mp.h"

enum {
    NAME_SIZE = 32,
    SHOWN_SIZE = 48,
    REQUEST_BYTES_MAX = COMMAND_VALUE_MAX + (1 << 20), /* what a broker takes in one message */
};

_Static_assert((int)HEARSAY_VALUE_MAX == (int)COMMAND_VALUE_MAX, "what the library promises");

#define COMMAND_ROW(id, name, code, kind, least, most, each, arguments, summary, first, second)    \
    {#name, arguments, summary, {first, second}, KIND_##kind},
enum { KIND_READ = 0, KIND_UPDATE = 1 };

static const hearsay_command_t table[] = {COMMAND_TABLE(COMMAND_ROW)};

enum { COMMANDS = sizeof(table) / sizeof(table[0]) };

const hearsay_command_t *hearsay_commands(size_t *count)
{
    *count = COMMANDS;
    return table;
}

const hearsay_command_t *hearsay_command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *hearsay_command_nearest(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = table[i].name;
    return nearest(name, names, COMMANDS);
}

/* Somebody's bytes for a message: cut, and without what would break its line. */
static void show(const hearsay_word_t *word, char text[SHOWN_SIZE])
{
    const unsigned char *bytes = word->data;
    size_t size = word->size < SHOWN_SIZE - 4 ? word->size : SHOWN_SIZE - 4;
    for (size_t i = 0; i < size; i++)
        text[i] = bytes[i] >= ' ' && bytes[i] < 0x7F ? (char)bytes[i] : '?';
    strcpy(text + size, size < word->size ? "..." : "");
}

static const command_t *find_command(const hearsay_word_t *word, err_t *err)
{
    char name[NAME_SIZE] = "";
    char shown[SHOWN_SIZE];
    const unsigned char *bytes = word->data;

    for (size_t i = 0; i < word->size && i < sizeof(name) - 1; i++)
        name[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] - 'A' + 'a' : bytes[i]);
    const command_t *command = word->size < sizeof(name) ? command_by_name(name) : NULL;
    if (command != NULL && strlen(command->name) == word->size)
        return command;
    const char *near = hearsay_command_nearest(name);
    show(word, shown);
    if (near != NULL)
        err_set(err, OUTCOME_USAGE, "unknown command \"%s\": did you mean %s?", shown, near);
    else
        err_set(err, OUTCOME_USAGE, "unknown command \"%s\": see hearsay help", shown);
    return NULL;
}

/* The amounts of incr and its kin. */
static int check_amount(const command_t *command, const hearsay_word_t words[], size_t count,
                        err_t *err)
{
    bool adds = command->code == COMMAND_INCR || command->code == COMMAND_DECR ||
                command->code == COMMAND_HINCR;
    size_t at = command->code == COMMAND_HINCR ? 3 : 2;
    int64_t amount;
    char shown[SHOWN_SIZE];

    if (!adds || at >= count)
        return 0;
    bool is_number = slice_to_int64(slice_of(words[at].data, words[at].size), &amount);
    if (is_number && !(command->code == COMMAND_DECR && amount == INT64_MIN))
        return 0;
    show(&words[at], shown);
    return err_set(err, OUTCOME_USAGE,
                   "\"%s\" is no amount: give a whole number within 64 bits, as 1 or -5", shown);
}

static const command_t *check(const hearsay_word_t words[], size_t count, err_t *err)
{
    size_t bytes = 0;

    if (count == 0) {
        err_set(err, OUTCOME_USAGE, "a command is missing: see hearsay help");
        return NULL;
    }
    const command_t *command = find_command(&words[0], err);
    if (command == NULL || check_amount(command, words, count, err) != 0)
        return NULL;
    if (!command_takes(command, count - 1)) {
        err_set(err, OUTCOME_USAGE, "wrong number of arguments; usage: %s %s", command->name,
                command->arguments);
        return NULL;
    }
    for (size_t i = 1; i < count; i++)
        if ((bytes += words[i].size) > REQUEST_BYTES_MAX) {
            err_set(err, OUTCOME_TOO_LARGE, "a command carries %d MiB at most: split it up",
                    REQUEST_BYTES_MAX >> 20);
            return NULL;
        }
    return command;
}

int hearsay_command_check(const hearsay_word_t words[], size_t count, char *why, size_t size)
{
    err_t err;

    if (check(words, count, &err) != NULL)
        return 0;
    if (why != NULL)
        snprintf(why, size, "%s", err.text);
    return -1;
}

const command_t *request_pack(buf_t *out, const hearsay_word_t words[], size_t count, err_t *err)
{
    const command_t *command = check(words, count, err);

    for (size_t i = 1; command != NULL && i < count; i++)
        mp_put_bin(out, slice_of(words[i].data, words[i].size));
    return command;
}
