/*
 * hearsay export: hashes into rows.
 *
 * All keys first, in bytewise order, then the hashes of them in a window. What others write in
 * between may be in it or not: this is no snapshot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"
#include "client/tool/csv.h"
#include "client/tool/flight.h"
#include "client/tool/progress.h"
#include "client/tool/transfer.h"

enum {
    WAIT_MS = 200,
    WRITE_SIZE = 64 * 1024,
    COLUMNS_MAX = 1024,                  /* as many fields as one hset takes */
    HELD_MAX = 512 * 1024 * 1024,        /* bytes of rows whose columns are not known yet */
    KEYS_BYTES_MAX = 1024 * 1024 * 1024, /* of all names */
};

typedef struct exporter {
    app_t *app;
    const transfer_t *config;
    buf_t names;
    slice_t *keys; /* borrow from names */
    size_t count;
    words_t columns;        /* of CSV: the fields without the key */
    hearsay_reply_t **held; /* replies of all keys, until the columns are known; or NULL */
    size_t held_bytes;
    size_t sent;
    size_t answered;
    size_t others; /* keys that are no hashes */
    buf_t out;
    bool is_stopped; /* by what err says */
    bool is_lost;    /* nobody reads on */
    err_t err;
} exporter_t;

static void stop(exporter_t *self, outcome_t outcome, const char *text)
{
    if (!self->is_stopped)
        err_set(&self->err, outcome, "%s", text);
    self->is_stopped = true;
}

static void flush(exporter_t *self, size_t at_least)
{
    if (self->out.size < at_least || self->is_lost)
        return;
    self->is_lost = !app_write(buf_slice(&self->out));
    buf_reset(&self->out);
}

/* ---- keys ---- */

static int compare_keys(const void *a, const void *b)
{
    const slice_t *left = a;
    const slice_t *right = b;
    return slice_compare(*left, *right);
}

/* Sorts them, each once: a scan may name a key twice. */
static void list_keys(exporter_t *self, const size_t *sizes, size_t count)
{
    const uint8_t *next = self->names.data;

    self->keys = mem_zero(count + 1, sizeof(*self->keys));
    for (size_t i = 0; i < count; i++) {
        self->keys[i] = slice_of(next, sizes[i]);
        next += sizes[i];
    }
    if (count != 0)
        qsort(self->keys, count, sizeof(*self->keys), compare_keys);
    for (size_t i = 0; i < count; i++)
        if (self->count == 0 || !slice_equal(self->keys[self->count - 1], self->keys[i]))
            self->keys[self->count++] = self->keys[i];
}

/* Asks for a page from the cursor on, which becomes that of the next; false when that failed. */
static bool ask_page(exporter_t *self, char cursor[32], size_t **sizes, size_t *count)
{
    const char *prefix = self->config->prefix;
    const hearsay_word_t words[] = {
        {"scan", 4}, {cursor, strlen(cursor)}, {prefix, strlen(prefix)}, {"1000", 4}};
    hearsay_reply_t *reply = hearsay_call(self->app->session, words, 4, self->app->timeout_ms);
    const hearsay_value_t *page = hearsay_reply_value(reply);
    const hearsay_value_t *keys = hearsay_value_item(page, 1);
    bool is_good = hearsay_reply_ok(reply) != 0 && keys != NULL;

    if (!is_good)
        stop(self, outcome_from_wire((unsigned)hearsay_reply_code(reply)),
             hearsay_reply_text(reply));
    size_t more = is_good ? hearsay_value_count(keys) : 0;
    *sizes = mem_resize(*sizes, (*count + more + 1) * sizeof(**sizes));
    for (size_t i = 0; i < more; i++) {
        size_t size;
        const char *key = hearsay_value_bytes(hearsay_value_item(keys, i), &size);
        buf_append(&self->names, key, size);
        (*sizes)[(*count)++] = size;
    }
    if (is_good)
        snprintf(cursor, 32, "%lld", hearsay_value_integer(hearsay_value_item(page, 0)));
    hearsay_reply_free(&reply);
    return is_good;
}

static void find_keys(exporter_t *self)
{
    char cursor[32] = "0";
    size_t *sizes = NULL;
    size_t count = 0;

    do {
        if (!ask_page(self, cursor, &sizes, &count))
            break;
        if (self->names.size > KEYS_BYTES_MAX)
            stop(self, OUTCOME_TOO_LARGE,
                 "there are more than 1 GiB of keys: give a longer prefix");
    } while (strcmp(cursor, "0") != 0 && !self->is_stopped && !app_interrupted());
    list_keys(self, sizes, count);
    free(sizes);
}

/* ---- rows ---- */

static slice_t bytes_of(const hearsay_value_t *value)
{
    size_t size;
    const char *bytes = hearsay_value_bytes(value, &size);
    return slice_of(bytes, size);
}

static slice_t short_key(const exporter_t *self, size_t i)
{
    size_t prefix = strlen(self->config->prefix);
    return slice_of(self->keys[i].data + prefix, self->keys[i].size - prefix);
}

static slice_t column(const exporter_t *self, size_t i)
{
    return slice_of(self->columns.list[i].data, self->columns.list[i].size);
}

static void put_header(exporter_t *self)
{
    csv_put(&self->out, slice_text(self->config->key_field));
    for (size_t i = 0; i < self->columns.count; i++) {
        buf_append_u8(&self->out, ',');
        csv_put(&self->out, column(self, i));
    }
    buf_append_u8(&self->out, '\n');
}

static void put_csv(exporter_t *self, size_t key, const hearsay_value_t *hash)
{
    csv_put(&self->out, short_key(self, key));
    for (size_t i = 0; i < self->columns.count; i++) {
        buf_append_u8(&self->out, ',');
        for (size_t k = 0; k < hearsay_value_count(hash); k++)
            if (slice_equal(bytes_of(hearsay_value_key(hash, k)), column(self, i))) {
                csv_put(&self->out, bytes_of(hearsay_value_item(hash, k)));
                break;
            }
    }
    buf_append_u8(&self->out, '\n');
}

static void put_jsonl(exporter_t *self, size_t key, const hearsay_value_t *hash)
{
    json_t json = json_open(&self->out);

    json_object(&json, NULL);
    json_bytes(&json, self->config->key_field, short_key(self, key));
    output_members(&json, hash);
    json_end(&json);
    buf_append_u8(&self->out, '\n');
}

static void put_row(exporter_t *self, size_t key, const hearsay_reply_t *reply)
{
    const hearsay_value_t *hash = hearsay_reply_value(reply);

    if (hearsay_value_count(hash) == 0)
        return; /* deleted meanwhile, or no hash */
    if (self->config->format == ROWS_CSV)
        put_csv(self, key, hash);
    else
        put_jsonl(self, key, hash);
    flush(self, WRITE_SIZE);
}

/* Keeps the reply until all columns are known. */
static void hold(exporter_t *self, size_t key, hearsay_reply_t *reply)
{
    const hearsay_value_t *hash = hearsay_reply_value(reply);

    self->held[key] = reply;
    for (size_t k = 0; k < hearsay_value_count(hash); k++)
        self->held_bytes +=
            bytes_of(hearsay_value_key(hash, k)).size + bytes_of(hearsay_value_item(hash, k)).size;
    if (self->held_bytes > HELD_MAX)
        stop(self, OUTCOME_TOO_LARGE,
             "there are more than 512 MiB: name the columns with --fields, or use --format jsonl; "
             "then rows are written as they come");
}

static void take_reply(void *arg, flight_tag_t tag, hearsay_reply_t *reply)
{
    exporter_t *self = arg;
    hearsay_outcome_t code = hearsay_reply_code(reply);

    self->answered++;
    if (code == HEARSAY_WRONGTYPE)
        self->others++;
    else if (code != HEARSAY_OK)
        stop(self, outcome_from_wire((unsigned)code), hearsay_reply_text(reply));
    else if (self->held != NULL) {
        hold(self, tag.line, reply);
        return;
    } else if (!self->is_stopped) {
        put_row(self, tag.line, reply);
    }
    hearsay_reply_free(&reply);
}

static void ask_hashes(exporter_t *self)
{
    flight_t *flight = flight_new(self->app, take_reply, self);
    progress_t *progress = progress_new("keys", self->count);

    while (self->answered < self->count && !self->is_stopped && !self->is_lost &&
           !app_interrupted()) {
        while (self->sent < self->count && !flight_is_full(flight)) {
            slice_t key = self->keys[self->sent];
            const hearsay_word_t words[] = {{"hgetall", 7}, {key.data, key.size}};
            flight_submit(flight, words, 2, (flight_tag_t){.line = self->sent++});
        }
        flight_wait(flight, -1, WAIT_MS);
        progress_show(progress, self->answered, self->answered);
    }
    progress_clear(progress);
    progress_destroy(&progress);
    flight_destroy(&flight);
}

/* ---- columns ---- */

static int compare_words(const void *a, const void *b)
{
    const hearsay_word_t *left = a;
    const hearsay_word_t *right = b;
    return slice_compare(slice_of(left->data, left->size), slice_of(right->data, right->size));
}

static bool has_column(const exporter_t *self, slice_t name)
{
    const hearsay_word_t word = {name.data, name.size};
    return self->columns.count != 0 && bsearch(&word, self->columns.list, self->columns.count,
                                               sizeof(word), compare_words) != NULL;
}

/* One more of the sorted columns, which borrow their names from the replies that are held. */
static void add_column(exporter_t *self, slice_t name)
{
    words_t *columns = &self->columns;

    if (columns->count == COLUMNS_MAX) {
        stop(self, OUTCOME_TOO_LARGE, "there are more than 1024 fields: name some with --fields");
        return;
    }
    words_end(columns);
    columns->list[columns->count - 1] = (hearsay_word_t){name.data, name.size};
    qsort(columns->list, columns->count, sizeof(*columns->list), compare_words);
}

static void find_columns(exporter_t *self)
{
    for (size_t i = 0; i < self->count && !self->is_stopped; i++) {
        const hearsay_value_t *hash =
            self->held[i] != NULL ? hearsay_reply_value(self->held[i]) : NULL;
        for (size_t k = 0; hash != NULL && k < hearsay_value_count(hash); k++) {
            slice_t name = bytes_of(hearsay_value_key(hash, k));
            if (!has_column(self, name) && !self->is_stopped)
                add_column(self, name);
        }
    }
}

/* Now that all columns are known. */
static void write_held(exporter_t *self)
{
    find_columns(self);
    if (self->is_stopped || app_interrupted())
        return;
    put_header(self);
    for (size_t i = 0; i < self->count && !self->is_lost; i++)
        if (self->held[i] != NULL)
            put_row(self, i, self->held[i]);
}

static int read_fields(exporter_t *self, err_t *err)
{
    const char *fields = self->config->fields;
    size_t size;

    if (fields == NULL)
        return 0;
    if (csv_take(slice_text(fields), true, &self->columns, &size) != CSV_ROW ||
        size != strlen(fields))
        return err_set(err, OUTCOME_USAGE,
                       "--fields has wrong quotes: give names with commas between, as name,city");
    return 0;
}

static int finish(exporter_t *self)
{
    app_store(self->app);
    if (app_interrupted())
        return EXIT_INTERRUPTED;
    if (self->is_stopped)
        return app_fail(false, &self->err); /* standard output has rows */
    flush(self, 0);
    if (self->is_lost)
        return app_write_failed();
    if (self->others != 0)
        fprintf(stderr, "hearsay: %zu of %zu keys are no hashes: left out\n", self->others,
                self->count);
    return EXIT_DONE;
}

int transfer_export(app_t *app, const transfer_t *config)
{
    exporter_t self = {.app = app, .config = config};
    err_t err;

    if (read_fields(&self, &err) != 0) {
        words_free(&self.columns);
        return app_fail(app->as_json, &err);
    }
    app_catch_signals(false);
    find_keys(&self);
    bool holds = config->format == ROWS_CSV && config->fields == NULL;
    if (holds)
        self.held = mem_zero(self.count + 1, sizeof(*self.held));
    else if (config->format == ROWS_CSV && !self.is_stopped)
        put_header(&self);
    ask_hashes(&self);
    if (holds && !self.is_stopped && !app_interrupted())
        write_held(&self);
    int code = finish(&self);
    for (size_t i = 0; holds && i < self.count; i++)
        hearsay_reply_free(&self.held[i]);
    free(self.held);
    free(self.keys);
    words_free(&self.columns);
    buf_free(&self.names);
    buf_free(&self.out);
    return code;
}
