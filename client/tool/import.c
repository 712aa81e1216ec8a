/*
 * hearsay import: rows of a file into hashes.
 *
 * Rows travel in a window and are done with in the order of the file, so one offset says how far
 * the import is. A row that is refused for what is in it is listed and passed over; anything else
 * that fails stops the import where it is, and it goes on from there when it is called again. The
 * window's rows may then be set twice, to the same values.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/json.h"
#include "client/tool/flight.h"
#include "client/tool/progress.h"
#include "client/tool/resume.h"
#include "client/tool/transfer.h"

enum {
    READ_SIZE = 256 * 1024,
    WAIT_MS = 200,
    STORE_MS = 500, /* between two states */
};

typedef struct importer {
    app_t *app;
    const char *name; /* of the file, "-" for standard input */
    int fd;
    buf_t state_path; /* empty: none is kept */
    buf_t identity;
    rows_t *rows;
    flight_t *flight;
    progress_t *progress;
    resume_t state;
    uint64_t from;     /* the offset that it goes on from */
    int64_t stored_ms; /* when the state was */
    bool is_read;      /* to its end */
    bool is_ended;     /* no row is left */
    bool is_stopped;   /* by what err says */
    outcome_t refusal; /* of the last row that was refused */
    err_t err;
} importer_t;

/* ---- the file ---- */

static int open_file(importer_t *self, err_t *err)
{
    bool is_stdin = strcmp(self->name, "-") == 0;

    self->fd = is_stdin ? STDIN_FILENO : open(self->name, O_RDONLY | O_CLOEXEC);
    if (self->fd < 0)
        return err_set(err, OUTCOME_USAGE, "cannot read %.200s: %s", self->name, strerror(errno));
    return 0;
}

/* What a state is true of: a text on one line. */
static void identify(importer_t *self, const struct stat *status, const transfer_t *config)
{
    const char *const texts[] = {self->app->cluster, config->key_field, config->prefix};

    buf_printf(&self->identity, "%lld %lld %s", (long long)status->st_size,
               (long long)status->st_mtime, config->format == ROWS_CSV ? "csv" : "jsonl");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        buf_append_u8(&self->identity, ' ');
        words_put_quoted(&self->identity, slice_text(texts[i]));
    }
}

/* Goes on where an import of the same file was left. */
static void find_state(importer_t *self, const struct stat *status, const transfer_t *config)
{
    bool is_other = false;

    if (!S_ISREG(status->st_mode) || self->fd == STDIN_FILENO)
        return;
    identify(self, status, config);
    buf_printf(&self->state_path, "%s.hearsay-import", self->name);
    if (!config->is_restart)
        resume_load(buf_text(&self->state_path), buf_text(&self->identity), &self->state,
                    &is_other);
    self->from = self->state.offset;
    if (is_other)
        fprintf(stderr, "hearsay: %s is of another file or other options: import from the start\n",
                buf_text(&self->state_path));
    if (self->from != 0)
        fprintf(stderr, "hearsay: going on behind the %" PRIu64 " rows that are done\n",
                self->state.rows + self->state.refused);
}

static void store_state(importer_t *self)
{
    err_t err;

    if (self->state_path.size == 0 || self->state.offset == 0)
        return;
    self->stored_ms = progress_now_ms();
    if (resume_store(buf_text(&self->state_path), buf_text(&self->identity), &self->state, &err) ==
        0)
        return;
    fprintf(stderr, "hearsay: %s; the import cannot be resumed\n", err.text);
    buf_reset(&self->state_path);
}

static void read_file(importer_t *self)
{
    buf_t bytes = {0};
    ssize_t got = read(self->fd, buf_reserve(&bytes, READ_SIZE), READ_SIZE);

    if (got > 0) {
        rows_feed(self->rows, slice_of(bytes.data, (size_t)got));
    } else if (got == 0) {
        self->is_read = true;
        rows_end(self->rows);
    } else if (errno != EINTR && errno != EAGAIN && !self->is_stopped) {
        self->is_stopped = true;
        err_set(&self->err, OUTCOME_USAGE, "cannot read %.200s: %s", self->name, strerror(errno));
    }
    buf_free(&bytes);
}

/* ---- rows ---- */

static void refuse(importer_t *self, uint64_t line, const char *code, const char *text)
{
    progress_clear(self->progress);
    fprintf(stderr, "%s:%" PRIu64 ": %s: %s\n", self->name, line, code, text);
    self->state.refused++;
}

/* True when it is the row's own fault: others may do better. */
static bool is_rows_fault(hearsay_outcome_t code)
{
    return code == HEARSAY_USAGE || code == HEARSAY_WRONGTYPE || code == HEARSAY_NOT_A_NUMBER ||
           code == HEARSAY_OVERFLOW || code == HEARSAY_TOO_LARGE;
}

static void take_reply(void *arg, flight_tag_t tag, hearsay_reply_t *reply)
{
    importer_t *self = arg;
    hearsay_outcome_t code = hearsay_reply_code(reply);

    if (!self->is_stopped && code == HEARSAY_OK) {
        self->state.rows++;
        self->state.offset = tag.end;
    } else if (!self->is_stopped && is_rows_fault(code)) {
        refuse(self, tag.line, hearsay_reply_outcome(reply), hearsay_reply_text(reply));
        self->refusal = outcome_from_wire((unsigned)code);
        self->state.offset = tag.end;
    } else if (!self->is_stopped) {
        self->is_stopped = true;
        err_set(&self->err, outcome_from_wire((unsigned)code), "%s:%" PRIu64 ": %s", self->name,
                tag.line, hearsay_reply_text(reply));
    }
    hearsay_reply_free(&reply);
}

/* A row that makes no command takes its turn among the others: it is refused when it is next. */
static void refuse_in_turn(importer_t *self, const row_t *row, const err_t *err)
{
    while (flight_pending(self->flight) != 0 && !app_interrupted() && !self->is_stopped)
        flight_wait(self->flight, -1, WAIT_MS);
    if (app_interrupted() || self->is_stopped)
        return;
    refuse(self, row->line, outcome_name(err->outcome), err->text);
    self->refusal = OUTCOME_USAGE;
    self->state.offset = row->end;
}

/* Sends what fits into the window; false when more bytes are needed. */
static bool send_rows(importer_t *self)
{
    row_t row;
    err_t err;

    while (!flight_is_full(self->flight) && !self->is_stopped && !app_interrupted()) {
        switch (rows_next(self->rows, &row, &err)) {
        case ROWS_ROW:
            if (row.end > self->from)
                flight_submit(self->flight, row.words->list, row.words->count,
                              (flight_tag_t){row.line, row.end});
            break;
        case ROWS_BAD:
            if (row.end > self->from)
                refuse_in_turn(self, &row, &err);
            break;
        case ROWS_MORE:
            return false;
        case ROWS_DONE:
            self->is_ended = true;
            return true;
        case ROWS_BROKEN:
            self->is_stopped = true;
            err_set(&self->err, err.outcome, "%.200s:%" PRIu64 ": %.150s", self->name, row.line,
                    err.text);
            break;
        }
    }
    return true;
}

static void run(importer_t *self)
{
    while (!app_interrupted()) {
        bool wants_bytes = !self->is_stopped && !self->is_ended && !send_rows(self);
        if (flight_pending(self->flight) == 0 && (self->is_stopped || self->is_ended))
            return;
        int came =
            flight_wait(self->flight, wants_bytes && !self->is_read ? self->fd : -1, WAIT_MS);
        if ((came & HEARSAY_READABLE) != 0)
            read_file(self);
        progress_show(self->progress, self->state.offset, self->state.rows + self->state.refused);
        if (progress_now_ms() - self->stored_ms >= STORE_MS)
            store_state(self);
    }
}

/* ---- the end ---- */

static void put_report(const importer_t *self, buf_t *out)
{
    json_t json = json_open(out);

    json_object(&json, NULL);
    json_bool(&json, "ok", self->state.refused == 0);
    if (self->state.refused != 0) {
        json_object(&json, "error");
        json_text(&json, "code", outcome_name(self->refusal));
        json_text(&json, "message", "rows were refused: standard error lists them");
        json_end(&json);
    }
    json_object(&json, "value");
    json_uint(&json, "rows", self->state.rows);
    json_uint(&json, "refused", self->state.refused);
    json_end(&json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

static int report(const importer_t *self)
{
    int code = self->state.refused != 0 ? outcome_exit(OUTCOME_WRONGTYPE) : EXIT_DONE;
    buf_t out = {0};

    if (self->app->as_json)
        put_report(self, &out);
    else
        buf_printf(&out, "%" PRIu64 " rows imported, %" PRIu64 " refused\n", self->state.rows,
                   self->state.refused);
    if (!app_write(buf_slice(&out)))
        code = app_write_failed();
    buf_free(&out);
    return code;
}

/* True when the same command can go on: not when it is the file that is wrong. */
static bool keep_state(importer_t *self)
{
    bool is_worth =
        self->state.offset != 0 && (app_interrupted() || self->err.outcome != OUTCOME_USAGE);

    if (is_worth)
        store_state(self);
    return is_worth && self->state_path.size != 0;
}

static int finish(importer_t *self)
{
    static const char advice[] = "the same command goes on from here";
    app_t *app = self->app;
    err_t err = self->err;

    progress_clear(self->progress);
    app_store(app);
    if (app_interrupted()) {
        bool is_kept = keep_state(self);
        fprintf(stderr, "hearsay: interrupted%s%s\n", is_kept ? ": " : "", is_kept ? advice : "");
        return EXIT_INTERRUPTED;
    }
    if (self->is_stopped) {
        if (keep_state(self))
            err_set(&err, self->err.outcome, "%.300s; %s", self->err.text, advice);
        return app_fail(app->as_json, &err);
    }
    if (self->state_path.size != 0)
        resume_remove(buf_text(&self->state_path));
    return report(self);
}

int transfer_import(app_t *app, const char *name, const transfer_t *config)
{
    importer_t self = {.app = app, .name = name, .fd = -1, .refusal = OUTCOME_USAGE};
    struct stat status = {0};
    err_t err;

    if (open_file(&self, &err) != 0)
        return app_fail(app->as_json, &err);
    bool has_size = fstat(self.fd, &status) == 0 && S_ISREG(status.st_mode);
    find_state(&self, &status, config);
    app_catch_signals(false);
    self.rows = rows_new(config->format, config->key_field, config->prefix);
    self.flight = flight_new(app, take_reply, &self);
    self.progress = progress_new("rows", has_size ? (uint64_t)status.st_size : 0);
    self.stored_ms = progress_now_ms();
    run(&self);
    int code = finish(&self);
    flight_destroy(&self.flight);
    progress_destroy(&self.progress);
    rows_destroy(&self.rows);
    buf_free(&self.state_path);
    buf_free(&self.identity);
    if (self.fd != STDIN_FILENO)
        close(self.fd);
    return code;
}
