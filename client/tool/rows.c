#include "client/tool/rows.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "client/tool/csv.h"
#include "client/tool/jsonl.h"

enum { SHOWN = 48 };

struct rows {
    rows_format_t format;
    slice_t key_field;
    slice_t prefix;
    buf_t input;
    size_t taken; /* bytes of the input that are done with */
    bool is_ended;
    bool has_header;
    uint64_t line;   /* of the next row */
    uint64_t offset; /* of the next row, in the file */
    words_t header;  /* of CSV */
    words_t fields;  /* of the row: values of CSV, names and values of JSON */
    words_t command;
};

rows_t *rows_new(rows_format_t format, const char *key_field, const char *prefix)
{
    rows_t *self = mem_zero(1, sizeof(*self));

    self->format = format;
    self->key_field = slice_text(key_field);
    self->prefix = slice_text(prefix);
    self->line = 1;
    return self;
}

void rows_destroy(rows_t **self)
{
    if (*self == NULL)
        return;
    buf_free(&(*self)->input);
    words_free(&(*self)->header);
    words_free(&(*self)->fields);
    words_free(&(*self)->command);
    free(*self);
    *self = NULL;
}

void rows_feed(rows_t *self, slice_t bytes)
{
    buf_t *in = &self->input;

    if (self->taken != 0 && self->taken < in->size)
        memmove(in->data, in->data + self->taken, in->size - self->taken);
    in->size -= self->taken;
    self->taken = 0;
    buf_append_slice(in, bytes);
}

void rows_end(rows_t *self)
{
    self->is_ended = true;
}

static slice_t word_of(const words_t *words, size_t i)
{
    return slice_of(words->list[i].data, words->list[i].size);
}

static void put_word(words_t *words, slice_t bytes)
{
    buf_append_slice(&words->bytes, bytes);
    words_end(words);
}

/* What is left of the input, without the mark that some put in front of UTF-8. */
static slice_t rest(rows_t *self)
{
    static const char mark[] = "\xEF\xBB\xBF";
    slice_t left = slice_of(self->input.size != 0 ? self->input.data + self->taken : NULL,
                            self->input.size - self->taken);

    if (self->offset == 0 && left.size >= 3 && memcmp(left.data, mark, 3) == 0) {
        self->taken += 3;
        self->offset = 3;
        left = slice_of(left.data + 3, left.size - 3);
    }
    return left;
}

/* The next row's bytes are done with. */
static void pass(rows_t *self, slice_t text, row_t *row)
{
    row->line = self->line;
    for (size_t i = 0; i < text.size; i++)
        self->line += text.data[i] == '\n';
    self->taken += text.size;
    self->offset += text.size;
    row->end = self->offset;
}

/* ---- commands ---- */

/* The i-th field's name and value. */
static slice_t name_of(const rows_t *self, size_t i)
{
    return self->format == ROWS_CSV ? word_of(&self->header, i) : word_of(&self->fields, 2 * i);
}

static slice_t value_of(const rows_t *self, size_t i)
{
    return word_of(&self->fields, self->format == ROWS_CSV ? i : 2 * i + 1);
}

static size_t count_of(const rows_t *self)
{
    return self->format == ROWS_CSV ? self->header.count : self->fields.count / 2;
}

static rows_result_t make_command(rows_t *self, row_t *row, err_t *err)
{
    size_t count = count_of(self);
    size_t key = 0;

    while (key < count && !slice_equal(name_of(self, key), self->key_field))
        key++;
    if (key == count || value_of(self, key).size == 0) {
        err_set(err, OUTCOME_USAGE, "the field \"%.*s\", which is to be the key, is %s", SHOWN,
                (const char *)self->key_field.data, key == count ? "not there" : "empty");
        return ROWS_BAD;
    }
    if (count == 1) {
        err_set(err, OUTCOME_USAGE, "there is no field but the key");
        return ROWS_BAD;
    }
    words_clear(&self->command);
    put_word(&self->command, slice_text("hset"));
    buf_append_slice(&self->command.bytes, self->prefix);
    put_word(&self->command, value_of(self, key));
    for (size_t i = 0; i < count; i++) {
        if (i == key)
            continue;
        put_word(&self->command, name_of(self, i));
        put_word(&self->command, value_of(self, i));
    }
    words_settle(&self->command);
    row->words = &self->command;
    return ROWS_ROW;
}

/* ---- CSV ---- */

static int check_header(const rows_t *self, err_t *err)
{
    bool has_key = false;

    for (size_t i = 0; i < self->header.count; i++) {
        slice_t name = word_of(&self->header, i);
        has_key = has_key || slice_equal(name, self->key_field);
        if (name.size == 0)
            return err_set(err, OUTCOME_USAGE, "field %zu has no name in the first row", i + 1);
        for (size_t k = 0; k < i; k++)
            if (slice_equal(name, word_of(&self->header, k)))
                return err_set(err, OUTCOME_USAGE, "fields %zu and %zu have one name", k + 1,
                               i + 1);
    }
    if (has_key)
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "no field is named \"%.*s\" in the first row: say with --key-field which one "
                   "is the key",
                   SHOWN, (const char *)self->key_field.data);
}

static bool is_blank_row(slice_t text)
{
    return text.size <= 2 && (text.size == 0 || text.data[text.size - 1] == '\n') &&
           (text.size < 2 || text.data[0] == '\r');
}

static rows_result_t next_csv(rows_t *self, row_t *row, err_t *err)
{
    while (true) {
        slice_t text = rest(self);
        words_t *words = self->has_header ? &self->fields : &self->header;
        size_t size;

        if (text.size == 0)
            return self->is_ended ? ROWS_DONE : ROWS_MORE;
        csv_result_t result = csv_take(text, self->is_ended, words, &size);
        if (result == CSV_MORE)
            return ROWS_MORE;
        slice_t taken = slice_of(text.data, size);
        pass(self, taken, row);
        if (result == CSV_BAD) {
            err_set(err, OUTCOME_USAGE, "its quotes are wrong");
            return self->has_header ? ROWS_BAD : ROWS_BROKEN;
        }
        if (is_blank_row(taken))
            continue;
        if (self->has_header)
            break;
        if (check_header(self, err) != 0)
            return ROWS_BROKEN;
        self->has_header = true;
    }
    if (self->fields.count == self->header.count)
        return make_command(self, row, err);
    err_set(err, OUTCOME_USAGE, "it has %zu fields, the first row %zu", self->fields.count,
            self->header.count);
    return ROWS_BAD;
}

/* ---- JSON lines ---- */

static bool is_blank_line(slice_t line)
{
    for (size_t i = 0; i < line.size; i++)
        if (memchr(" \t\r\n", line.data[i], 4) == NULL)
            return false;
    return true;
}

static rows_result_t next_jsonl(rows_t *self, row_t *row, err_t *err)
{
    while (true) {
        slice_t text = rest(self);
        const uint8_t *newline = text.size != 0 ? memchr(text.data, '\n', text.size) : NULL;

        if (newline == NULL && !self->is_ended)
            return ROWS_MORE;
        if (text.size == 0)
            return ROWS_DONE;
        size_t size = newline != NULL ? (size_t)(newline - text.data) + 1 : text.size;
        slice_t line = slice_of(text.data, size);
        pass(self, line, row);
        if (is_blank_line(line))
            continue;
        words_clear(&self->fields);
        if (jsonl_take(line, &self->fields, err) != 0)
            return ROWS_BAD;
        words_settle(&self->fields);
        return make_command(self, row, err);
    }
}

rows_result_t rows_next(rows_t *self, row_t *row, err_t *err)
{
    rows_result_t result =
        self->format == ROWS_CSV ? next_csv(self, row, err) : next_jsonl(self, row, err);

    if (result != ROWS_MORE || self->input.size - self->taken <= ROWS_ROW_MAX)
        return result;
    row->line = self->line;
    err_set(err, OUTCOME_USAGE, "it is longer than %d MiB%s", ROWS_ROW_MAX >> 20,
            self->format == ROWS_CSV ? ": is a quote not closed?" : "");
    return ROWS_BROKEN;
}
