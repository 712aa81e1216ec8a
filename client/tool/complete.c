#include "client/tool/complete.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

/* ---- the line ---- */

/* Where the last word begins, and whether it ends inside of quotes. */
static size_t find_word(slice_t line, bool *is_quoted)
{
    size_t start = 0;

    *is_quoted = false;
    for (size_t i = 0; i < line.size; i++) {
        uint8_t c = line.data[i];
        if (c == '"')
            *is_quoted = !*is_quoted;
        else if (c == '\\' && *is_quoted)
            i++;
        else if ((c == ' ' || c == '\t') && !*is_quoted)
            start = i + 1;
    }
    return start;
}

static const hearsay_command_t *find_command(const hearsay_word_t *word)
{
    char *name = mem_text(word->data, word->size);
    for (char *c = name; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    const hearsay_command_t *command = hearsay_command_find(name);
    free(name);
    return command;
}

completion_t complete_look(slice_t line)
{
    completion_t self = {.kind = COMPLETE_NOTHING};
    words_t words = {0};
    buf_t closed = {0};
    bool is_quoted;

    self.start = find_word(line, &is_quoted);
    buf_append_slice(&closed, line);
    if (is_quoted)
        buf_append_u8(&closed, '"');
    if (words_parse(&words, buf_slice(&closed), NULL) == 0) {
        size_t before = words.count; /* words before the one under the cursor */
        if (self.start < line.size && before > 0) {
            before--;
            buf_append(&self.word, words.list[before].data, words.list[before].size);
        }
        self.command = words.count > 0 ? find_command(&words.list[0]) : NULL;
        if (before == 0)
            self.kind = COMPLETE_COMMAND;
        else if (self.command != NULL &&
                 slice_equal(complete_argument(self.command->arguments, before - 1),
                             slice_text("KEY")))
            self.kind = COMPLETE_KEY;
    }
    words_free(&words);
    buf_free(&closed);
    return self;
}

/* The next word of a usage line without its brackets, empty at the end; moves *at behind it. */
static slice_t next_word(const char *arguments, size_t *at)
{
    *at += strspn(arguments + *at, " []");
    size_t size = strcspn(arguments + *at, " []");
    slice_t word = slice_of(arguments + *at, size);
    *at += size;
    return word;
}

slice_t complete_argument(const char *arguments, size_t i)
{
    const char *dots = strstr(arguments, "…");
    const char *group = NULL; /* where the part that repeats begins */
    size_t before = 0;        /* arguments in front of it */
    size_t repeated = 0;
    size_t at = 0;

    for (const char *c = arguments; dots != NULL && c < dots; c++)
        if (*c == '[')
            group = c;
    for (slice_t word = next_word(arguments, &at); word.size != 0;
         word = next_word(arguments, &at)) {
        if (slice_equal(word, slice_text("…")))
            continue;
        if (group != NULL && (const char *)word.data > group)
            repeated++;
        else
            before++;
    }
    if (repeated != 0 && i >= before)
        i = before + (i - before) % repeated;
    at = 0;
    slice_t word = next_word(arguments, &at);
    for (; i > 0 && word.size != 0; i--)
        word = next_word(arguments, &at);
    return word;
}

/* ---- names ---- */

static slice_t name_of(const complete_names_t *self, size_t i)
{
    return slice_text(self->list[i]);
}

void complete_names_add(complete_names_t *self, slice_t name)
{
    size_t low = 0;
    size_t high = self->count;

    if (name.size == 0 || memchr(name.data, '\0', name.size) != NULL)
        return;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(name_of(self, middle), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (self->count == COMPLETE_NAMES_MAX ||
        (low < self->count && slice_equal(name_of(self, low), name)))
        return;
    if (self->list == NULL)
        self->list = mem_zero(COMPLETE_NAMES_MAX, sizeof(*self->list));
    memmove(self->list + low + 1, self->list + low, (self->count - low) * sizeof(*self->list));
    self->list[low] = mem_text(name.data, name.size);
    self->count++;
}

void complete_names_free(complete_names_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->list[i]);
    free(self->list);
    *self = (complete_names_t){0};
}

void complete_names_add_keys(complete_names_t *self, const hearsay_word_t words[], size_t count)
{
    const hearsay_command_t *command = count > 1 ? find_command(&words[0]) : NULL;

    for (size_t i = 1; command != NULL && i < count; i++)
        if (slice_equal(complete_argument(command->arguments, i - 1), slice_text("KEY")))
            complete_names_add(self, slice_of(words[i].data, words[i].size));
}

void complete_names_matching(const complete_names_t *self, slice_t prefix, complete_names_t *out)
{
    for (size_t i = 0; i < self->count; i++) {
        slice_t name = name_of(self, i);
        if (name.size >= prefix.size && slice_equal(slice_of(name.data, prefix.size), prefix))
            complete_names_add(out, name);
    }
}

size_t complete_names_common(const complete_names_t *self)
{
    if (self->count == 0)
        return 0;
    /* In order, the first and the last differ the earliest. */
    const char *first = self->list[0];
    const char *last = self->list[self->count - 1];
    size_t size = 0;
    while (first[size] != '\0' && first[size] == last[size])
        size++;
    while (size > 0 && ((unsigned char)first[size] & 0xC0) == 0x80)
        size--;
    return size;
}
