#include "client/tool/multi.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_SIZE = 16,
    WORDS_MAX = 2050, /* of the one command, with its name */
};

/* In small letters, as the table of commands has it; "" for what is longer than any name. */
static void read_name(const hearsay_word_t *word, char name[NAME_SIZE])
{
    const char *bytes = word->data;
    size_t size = word->size < NAME_SIZE ? word->size : 0;

    for (size_t i = 0; i < size; i++)
        name[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] - 'A' + 'a' : bytes[i]);
    name[size] = '\0';
}

static void put(words_t *words, const void *data, size_t size)
{
    buf_append(&words->bytes, data, size);
    words_end(words);
}

static void begin(multi_t *self)
{
    self->is_open = true;
    self->is_refused = false;
    words_clear(&self->words);
    put(&self->words, "multi", strlen("multi"));
}

static int keep(multi_t *self, const words_t *line, const char *name, err_t *err)
{
    char text[ERR_TEXT_SIZE];
    words_t *words = &self->words;

    if (strcmp(name, "multi") == 0 || strcmp(name, "scan") == 0)
        return err_set(err, OUTCOME_USAGE, "a multi has no %s in it", name);
    if (hearsay_command_check(line->list, line->count, text, sizeof(text)) != 0)
        return err_set(err, OUTCOME_USAGE, "%s", text);
    if (self->is_refused)
        return 0; /* nothing of it will be sent */
    if (words->count + 1 + line->count > WORDS_MAX)
        return err_set(err, OUTCOME_TOO_LARGE, "a multi takes %d words at most", WORDS_MAX - 1);
    int size = snprintf(text, sizeof(text), "%zu", line->count);
    put(words, text, (size_t)size);
    put(words, name, strlen(name));
    for (size_t i = 1; i < line->count; i++)
        put(words, line->list[i].data, line->list[i].size);
    words_settle(words);
    if (hearsay_command_check(words->list, words->count, text, sizeof(text)) != 0)
        return err_set(err, OUTCOME_TOO_LARGE, "%s", text);
    return 0;
}

static multi_step_t end(multi_t *self, err_t *err)
{
    self->is_open = false;
    if (self->is_refused)
        err_set(err, OUTCOME_USAGE,
                "a command of this multi was refused: nothing was done; begin it anew");
    else if (self->words.count == 1)
        err_set(err, OUTCOME_USAGE, "there is no command between multi and exec");
    return self->is_refused || self->words.count == 1 ? MULTI_REFUSED : MULTI_SEND;
}

multi_step_t multi_take(multi_t *self, const words_t *line, const char **answer, err_t *err)
{
    char name[NAME_SIZE];

    read_name(&line->list[0], name);
    bool is_alone = line->count == 1;
    bool is_end = is_alone && (strcmp(name, "exec") == 0 || strcmp(name, "discard") == 0);
    if (!self->is_open && is_alone && strcmp(name, "multi") == 0) {
        begin(self);
        *answer = "OK";
        return MULTI_KEPT;
    }
    if (!self->is_open && is_end) {
        err_set(err, OUTCOME_USAGE, "%s without multi: a line with multi alone begins one", name);
        return MULTI_REFUSED;
    }
    if (!self->is_open)
        return MULTI_NOT;
    if (is_end && name[0] == 'e')
        return end(self, err);
    if (is_end) {
        self->is_open = false;
        *answer = "OK";
        return MULTI_KEPT;
    }
    if (keep(self, line, name, err) != 0) {
        self->is_refused = true;
        return MULTI_REFUSED;
    }
    *answer = "QUEUED";
    return MULTI_KEPT;
}

void multi_free(multi_t *self)
{
    words_free(&self->words);
}
