/*
 * Pipe mode: lines in, replies out in the same order.
 *
 * Each command line takes the next of a ring of slots, whose reply is written once those before it
 * are. A ring that is full stops the reading, which is how a fast writer is held back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "client/tool/app.h"
#include "client/tool/multi.h"
#include "client/tool/words.h"

enum {
    READ_SIZE = 64 * 1024,
    LINE_BYTES_MAX = 80 * 1024 * 1024, /* the greatest value with every byte as \xHH */
    WAIT_MS = 500, /* at most: a signal that comes just before the wait does not end it */
};

typedef struct pipe_state pipe_state_t;

typedef struct slot {
    pipe_state_t *owner;
    bool is_done;
    int code;
    buf_t text;
} slot_t;

struct pipe_state {
    app_t *app;
    bool is_over;     /* nothing more is read */
    int lost_code;    /* the exit code once replies can no longer be written; 0 before */
    bool is_skipping; /* inside of a line that is too long */
    slot_t *slots;    /* ring */
    unsigned capacity;
    unsigned first;
    unsigned used;
    buf_t input;
    size_t taken;   /* bytes of the input that are done with */
    size_t scanned; /* bytes in which no newline was found */
    words_t words;
    multi_t multi;
    buf_t output;
    int code;
};

/* ---- one command ---- */

static slot_t *take_slot(pipe_state_t *self)
{
    slot_t *slot = &self->slots[(self->first + self->used++) % self->capacity];
    slot->owner = self;
    slot->is_done = false;
    slot->code = 0;
    buf_reset(&slot->text);
    return slot;
}

static void take_reply(void *arg, hearsay_reply_t *reply)
{
    slot_t *slot = arg;
    app_t *app = slot->owner->app;

    slot->code = hearsay_reply_exit(reply);
    output_reply(&slot->text, app->style, reply,
                 app->style == OUTPUT_JSON ? hearsay_token(app->session) : "");
    slot->is_done = true;
    hearsay_reply_free(&reply);
}

static void fail_slot(slot_t *slot, const err_t *err)
{
    const app_t *app = slot->owner->app;

    slot->is_done = true;
    slot->code = outcome_exit(err->outcome);
    output_error(&slot->text, app->style, outcome_name(err->outcome), err->text,
                 app->style == OUTPUT_JSON ? hearsay_token(app->session) : NULL);
}

static void answer_slot(slot_t *slot, const char *answer)
{
    const app_t *app = slot->owner->app;

    slot->is_done = true;
    output_answer(&slot->text, app->style, answer, hearsay_token(app->session));
}

static void submit(pipe_state_t *self, const words_t *words)
{
    hearsay_submit(self->app->session, words->list, words->count, self->app->timeout_ms, take_reply,
                   take_slot(self));
}

/* And with the line the multi that it stands in. */
static void refuse_line(pipe_state_t *self, const err_t *err)
{
    self->multi.is_refused = true;
    fail_slot(take_slot(self), err);
}

static void take_line(pipe_state_t *self, slice_t line)
{
    const char *answer;
    err_t err;

    if (words_is_empty(line))
        return;
    if (words_parse(&self->words, line, &err) != 0) {
        refuse_line(self, &err);
        return;
    }
    switch (multi_take(&self->multi, &self->words, &answer, &err)) {
    case MULTI_NOT:
        submit(self, &self->words);
        break;
    case MULTI_KEPT:
        answer_slot(take_slot(self), answer);
        break;
    case MULTI_REFUSED:
        refuse_line(self, &err);
        break;
    case MULTI_SEND:
        submit(self, &self->multi.words);
        break;
    }
}

/* What was begun and has no end was meant to be done. */
static void end_multi(pipe_state_t *self)
{
    if (!self->multi.is_open || app_interrupted())
        return;
    fprintf(stderr, "hearsay: the input ends within a multi: nothing of it was done\n");
    self->code = outcome_exit(OUTCOME_USAGE);
}

/* ---- lines ---- */

/* The next line that is there whole; at the end of the input also what has no newline. */
static bool next_line(pipe_state_t *self, slice_t *line)
{
    buf_t *in = &self->input;
    const uint8_t *start = in->size != 0 ? in->data + self->taken : NULL;
    size_t left = in->size - self->taken;
    const uint8_t *newline =
        left > self->scanned ? memchr(start + self->scanned, '\n', left - self->scanned) : NULL;

    if (newline == NULL) {
        self->scanned = left;
        if (!self->is_over || left == 0)
            return false;
    }
    *line = slice_of(start, newline != NULL ? (size_t)(newline - start) : left);
    self->taken += line->size + (newline != NULL);
    self->scanned = 0;
    return true;
}

static void drop_taken(pipe_state_t *self)
{
    buf_t *in = &self->input;
    if (self->taken == 0)
        return;
    in->size -= self->taken;
    if (in->size != 0)
        memmove(in->data, in->data + self->taken, in->size);
    self->taken = 0;
}

/* One reply for a line that is too long, whose rest is passed over. */
static void limit_line(pipe_state_t *self)
{
    err_t err;

    if (self->is_skipping || self->input.size - self->taken <= LINE_BYTES_MAX)
        return;
    err_set(&err, OUTCOME_TOO_LARGE, "the line is longer than %d MiB", LINE_BYTES_MAX >> 20);
    refuse_line(self, &err);
    self->is_skipping = true;
    self->taken = self->input.size;
    self->scanned = 0;
}

static void take_lines(pipe_state_t *self)
{
    slice_t line;

    while (self->used < self->capacity && next_line(self, &line)) {
        if (self->is_skipping)
            self->is_skipping = false;
        else
            take_line(self, line);
    }
    if (self->used < self->capacity)
        limit_line(self);
    if (self->is_skipping) {
        self->taken = self->input.size;
        self->scanned = 0;
    }
    drop_taken(self);
}

static void read_input(pipe_state_t *self)
{
    ssize_t got = read(STDIN_FILENO, buf_reserve(&self->input, READ_SIZE), READ_SIZE);

    if (got > 0)
        self->input.size += (size_t)got;
    if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
        return;
    self->is_over = true;
    if (got == 0)
        return;
    fprintf(stderr, "hearsay: cannot read commands from standard input: %s\n", strerror(errno));
    self->code = outcome_exit(OUTCOME_USAGE);
}

/* ---- replies ---- */

/* Writes what may be written; true when that was something. */
static bool flush_replies(pipe_state_t *self)
{
    unsigned flushed = 0;

    buf_reset(&self->output);
    while (self->used != 0 && self->slots[self->first].is_done) {
        slot_t *slot = &self->slots[self->first];
        buf_append_slice(&self->output, buf_slice(&slot->text));
        if (slot->code != 0)
            self->code = slot->code;
        self->first = (self->first + 1) % self->capacity;
        self->used--;
        flushed++;
    }
    if (flushed == 0)
        return false;
    if (self->lost_code == 0 && !app_write(buf_slice(&self->output))) {
        self->lost_code = app_write_failed();
        self->is_over = true; /* nobody reads on: the commands under way still end */
        self->taken = self->input.size;
    }
    return true;
}

static void run(pipe_state_t *self)
{
    while (!app_interrupted()) {
        take_lines(self);
        if (flush_replies(self))
            continue;
        if (self->is_over && self->used == 0 && self->taken == self->input.size)
            return;
        bool wants_input = !self->is_over && self->used < self->capacity;
        int came = hearsay_wait(self->app->hearsay, wants_input ? STDIN_FILENO : -1, WAIT_MS);
        if ((came & HEARSAY_READABLE) != 0)
            read_input(self);
    }
}

int app_pipe(app_t *app)
{
    pipe_state_t self = {.app = app};

    app_catch_signals(false);
    self.capacity = app->window;
    self.slots = mem_zero(self.capacity, sizeof(*self.slots));
    run(&self);
    end_multi(&self);
    app_store(app);
    /* Interrupted, it has requests under way that are called back now, while they have slots. */
    hearsay_close(&app->hearsay);
    for (unsigned i = 0; i < self.capacity; i++)
        buf_free(&self.slots[i].text);
    free(self.slots);
    words_free(&self.words);
    multi_free(&self.multi);
    buf_free(&self.input);
    buf_free(&self.output);
    if (app_interrupted())
        return EXIT_INTERRUPTED;
    if (self.lost_code != 0)
        return self.lost_code;
    return self.code;
}
