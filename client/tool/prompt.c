/*
 * The prompt: libedit for the line, one command at a time for the session.
 *
 * libedit asks for each character by a function of ours, in which the library's connection goes on;
 * so a broker that is lost while somebody types is noticed and replaced then.
 */
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "bus/base/memory.h"
#include "client/tool/app.h"
#include "client/tool/colon.h"
#include "client/tool/complete.h"
#include "client/tool/histfile.h"
#include "client/tool/multi.h"
#include "client/tool/words.h"

enum {
    WAIT_MS = 500,   /* at most: a signal that comes just before the wait does not end it */
    LISTED_MAX = 60, /* candidates shown at once */
    LIST_COLUMNS = 80,
    SCAN_MS = 300, /* for keys that nobody typed: nobody waits longer for Tab */
};

/* Keys that a replica looks at for a Tab. */
#define SCAN_COUNT "10000"

typedef struct prompt {
    app_t *app;
    EditLine *edit;
    History *history;
    histfile_t *file;         /* NULL: nothing is kept */
    complete_names_t keys;    /* typed before */
    hearsay_session_t *asker; /* for others; NULL: not needed yet */
    words_t words;
    multi_t multi;
    mbstate_t decoding;
    bool is_coloured;
    bool is_editing;
    bool is_disturbed; /* something was written across the line */
    bool is_over;
} prompt_t;

/* ---- what is shown ---- */

static const char dim[] = "\x1b[2m";
static const char red[] = "\x1b[31m";
static const char plain[] = "\x1b[0m";

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_color == NULL || no_color[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

static void show(const buf_t *text)
{
    fflush(stdout); /* libedit's part of the terminal comes first */
    app_write(buf_slice(text));
}

/* Shows lines in a colour, which ends before their last newline. */
static void show_in(const prompt_t *self, const char *colour, const buf_t *lines)
{
    buf_t out = {0};

    buf_printf(&out, "%s%.*s%s\n", self->is_coloured ? colour : "", (int)lines->size - 1,
               (const char *)lines->data, self->is_coloured ? plain : "");
    show(&out);
    buf_free(&out);
}

static void show_error(const prompt_t *self, const err_t *err)
{
    buf_t out = {0};

    output_error(&out, OUTPUT_TERMINAL, outcome_name(err->outcome), err->text, NULL);
    show_in(self, red, &out);
    buf_free(&out);
}

static void show_reply(const prompt_t *self, const hearsay_reply_t *reply)
{
    long long us = hearsay_reply_elapsed_us(reply);
    buf_t out = {0};

    output_reply(&out, OUTPUT_TERMINAL, reply, "");
    if (hearsay_reply_ok(reply))
        show(&out);
    else
        show_in(self, red, &out);
    buf_reset(&out);
    if (hearsay_reply_replica(reply) >= 0) {
        buf_printf(&out, "(%lld.%02lld ms, replica %d", us / 1000, us % 1000 / 10,
                   hearsay_reply_replica(reply));
        if (hearsay_reply_copies(reply) != 0)
            buf_printf(&out, ", copies %u", hearsay_reply_copies(reply));
        if (hearsay_reply_sends(reply) > 1)
            buf_printf(&out, ", sent %u times", hearsay_reply_sends(reply));
        buf_append_text(&out, ")\n");
        show_in(self, dim, &out);
    }
    buf_free(&out);
}

/* What the library has to say does not wait for the line to be finished. */
static void take_note(void *arg, const char *text)
{
    prompt_t *self = arg;

    if (self->app->log_level < LOG_LEVEL_INFO)
        return;
    fprintf(stderr, "%s%s%s%s\n", self->is_editing ? "\n" : "", self->is_coloured ? dim : "", text,
            self->is_coloured ? plain : "");
    self->is_disturbed = true;
}

/* ---- characters ---- */

static volatile sig_atomic_t is_resized;
static volatile sig_atomic_t is_continued;

static void on_terminal(int number)
{
    if (number == SIGWINCH)
        is_resized = 1;
    else
        is_continued = 1;
}

static void look_after_terminal(prompt_t *self)
{
    if (is_resized != 0) {
        is_resized = 0;
        el_resize(self->edit);
    }
    if (is_continued != 0) { /* the shell had the terminal in between */
        is_continued = 0;
        el_set(self->edit, EL_PREP_TERM, 1);
        self->is_disturbed = true;
    }
    if (self->is_disturbed)
        el_set(self->edit, EL_REFRESH);
    self->is_disturbed = false;
}

/* True when the byte ends a character; what is no UTF-8 is passed over. */
static bool decode(prompt_t *self, char byte, wchar_t *out)
{
    size_t size = mbrtowc(out, &byte, 1, &self->decoding);
    if (size == (size_t)-1) { /* a byte that does not go on may begin */
        self->decoding = (mbstate_t){0};
        size = mbrtowc(out, &byte, 1, &self->decoding);
    }
    if (size == (size_t)-1)
        self->decoding = (mbstate_t){0};
    return size != (size_t)-1 && size != (size_t)-2;
}

/* The next character for libedit: 1, 0 at the end of the input, -1 when a signal came. */
static int get_character(EditLine *edit, wchar_t *out)
{
    prompt_t *self = NULL;
    char byte;

    el_get(edit, EL_CLIENTDATA, &self);
    while (!app_interrupted()) {
        look_after_terminal(self);
        int came = hearsay_wait(self->app->hearsay, STDIN_FILENO, WAIT_MS);
        if ((came & HEARSAY_READABLE) == 0)
            continue;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return 0;
        if (decode(self, byte, out))
            return 1;
    }
    errno = EINTR;
    return -1;
}

/* ---- completion ---- */

/*
 * Asks a replica for keys, a page of those that begin with the word. A session of its own does
 * that: this one is to know no more than what it was shown.
 */
static void collect_keys(prompt_t *self, slice_t word, complete_names_t *out)
{
    const hearsay_word_t words[] = {
        {"scan", 4}, {"0", 1}, {word.data, word.size}, {SCAN_COUNT, strlen(SCAN_COUNT)}};

    if (self->asker == NULL)
        self->asker = hearsay_session_open(self->app->hearsay, NULL, HEARSAY_ANY_REPLICA);
    hearsay_reply_t *reply = hearsay_call(self->asker, words, 4, SCAN_MS);
    const hearsay_value_t *keys = hearsay_value_item(hearsay_reply_value(reply), 1);
    for (size_t i = 0; keys != NULL && i < hearsay_value_count(keys); i++) {
        size_t size;
        const char *key = hearsay_value_bytes(hearsay_value_item(keys, i), &size);
        complete_names_add(out, slice_of(key, size));
    }
    hearsay_reply_free(&reply);
}

/* What may stand where the word is. */
static void collect(prompt_t *self, const completion_t *at, complete_names_t *out)
{
    complete_names_t all = {0};
    slice_t word = buf_slice(&at->word);
    size_t count;

    if (at->kind == COMPLETE_KEY) {
        complete_names_matching(&self->keys, word, out);
        collect_keys(self, word, out);
    }
    if (at->kind != COMPLETE_COMMAND)
        return;
    const hearsay_command_t *commands = hearsay_commands(&count);
    for (size_t i = 0; i < count; i++)
        complete_names_add(&all, slice_text(commands[i].name));
    if (self->multi.is_open) {
        complete_names_add(&all, slice_text("exec"));
        complete_names_add(&all, slice_text("discard"));
    }
    const colon_t *colons = colon_all(&count);
    for (size_t i = 0; i < count; i++)
        complete_names_add(&all, slice_text(colons[i].name));
    complete_names_matching(&all, word, out);
    complete_names_free(&all);
}

static size_t characters(slice_t text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

static bool is_bare(slice_t text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] == '"' || text.data[i] == '\\' ||
            text.data[i] == 0x7F)
            return false;
    return true;
}

/* Puts text in the place of what is typed of the word; a whole one gets a blank behind it. */
static void replace_word(EditLine *edit, slice_t typed, slice_t text, bool is_whole)
{
    buf_t out = {0};

    if (is_bare(text) && (typed.size == 0 || typed.data[0] != '"')) {
        buf_append_slice(&out, text);
    } else {
        words_put_quoted(&out, text);
        if (!is_whole)
            out.size--; /* the quote stays open */
    }
    if (is_whole)
        buf_append_u8(&out, ' ');
    el_deletestr(edit, (int)characters(typed));
    el_insertstr(edit, buf_text(&out));
    buf_free(&out);
}

static void put_list(buf_t *out, const complete_names_t *names)
{
    size_t width = 0;

    for (size_t i = 0; i < names->count && i < LISTED_MAX; i++)
        if (strlen(names->list[i]) > width)
            width = strlen(names->list[i]);
    size_t columns = width + 2 < LIST_COLUMNS ? LIST_COLUMNS / (width + 2) : 1;
    for (size_t i = 0; i < names->count && i < LISTED_MAX; i++) {
        bool is_last = (i + 1) % columns == 0 || i + 1 == names->count || i + 1 == LISTED_MAX;
        slice_t name = slice_text(names->list[i]);
        if (output_is_plain(name))
            buf_append_slice(out, name);
        else
            words_put_quoted(out, name);
        buf_printf(out, "%*s%s", is_last ? 0 : (int)(width + 2 - name.size), "",
                   is_last ? "\n" : "");
    }
    if (names->count > LISTED_MAX)
        buf_printf(out, "and %zu more\n", names->count - LISTED_MAX);
}

/* What else Tab has to say: the command's usage, what may stand here. */
static unsigned char show_help(const prompt_t *self, const completion_t *at,
                               const complete_names_t *found)
{
    bool is_usage = at->command != NULL && at->kind != COMPLETE_COMMAND;
    buf_t out = {0};

    if (!is_usage && found->count == 0)
        return CC_REFRESH_BEEP;
    buf_append_u8(&out, '\n');
    if (is_usage)
        buf_printf(&out, "%susage: %s %s   %s%s\n", self->is_coloured ? dim : "", at->command->name,
                   at->command->arguments, at->command->summary, self->is_coloured ? plain : "");
    put_list(&out, found);
    show(&out);
    buf_free(&out);
    return CC_REDISPLAY;
}

static unsigned char complete(EditLine *edit, int key)
{
    prompt_t *self = NULL;
    const LineInfo *line = el_line(edit);
    slice_t before = slice_of(line->buffer, (size_t)(line->cursor - line->buffer));
    completion_t at = complete_look(before);
    complete_names_t found = {0};
    unsigned char result = CC_REFRESH;

    (void)key;
    el_get(edit, EL_CLIENTDATA, &self);
    collect(self, &at, &found);
    size_t common = complete_names_common(&found);
    if (at.word.size == 0 ? found.count == 1 && at.kind == COMPLETE_COMMAND
                          : found.count == 1 || common > at.word.size)
        replace_word(edit, slice_of(before.data + at.start, before.size - at.start),
                     slice_of(found.list[0], common), found.count == 1);
    else
        result = show_help(self, &at, &found);
    complete_names_free(&found);
    buf_free(&at.word);
    return result;
}

/* ---- one command ---- */

static void keep_reply(void *arg, hearsay_reply_t *reply)
{
    hearsay_reply_t **kept = arg;
    *kept = reply;
}

/* The reply; what a signal makes us give up has one too. */
static hearsay_reply_t *call(const prompt_t *self, const words_t *words)
{
    hearsay_session_t *session = self->app->session;
    hearsay_reply_t *reply = NULL;

    long long request = hearsay_submit(session, words->list, words->count, self->app->timeout_ms,
                                       keep_reply, &reply);
    while (reply == NULL) {
        if (app_interrupted())
            hearsay_cancel(session, request);
        if (reply == NULL)
            hearsay_wait(self->app->hearsay, -1, WAIT_MS);
    }
    if (app_take_interrupt())
        app_write(slice_text("^C\n"));
    return reply;
}

static void send(prompt_t *self, const words_t *words)
{
    hearsay_reply_t *reply = call(self, words);
    if (hearsay_reply_replica(reply) >= 0) {
        self->app->last_replica = hearsay_reply_replica(reply);
        app_store(self->app); /* before it is shown: who has seen it has it */
    }
    show_reply(self, reply);
    hearsay_reply_free(&reply);
}

static void run_command(prompt_t *self)
{
    const char *answer;
    buf_t out = {0};
    err_t err;

    complete_names_add_keys(&self->keys, self->words.list, self->words.count);
    switch (multi_take(&self->multi, &self->words, &answer, &err)) {
    case MULTI_NOT:
        send(self, &self->words);
        break;
    case MULTI_KEPT:
        output_answer(&out, OUTPUT_TERMINAL, answer, NULL);
        show(&out);
        break;
    case MULTI_REFUSED:
        show_error(self, &err);
        break;
    case MULTI_SEND:
        send(self, &self->multi.words);
        break;
    }
    buf_free(&out);
}

static void run_line(prompt_t *self, slice_t line)
{
    buf_t out = {0};
    err_t err;

    if (words_parse(&self->words, line, &err) != 0) {
        self->multi.is_refused = true;
        show_error(self, &err);
        return;
    }
    switch (colon_run(self->app, &self->words, &out, &err)) {
    case COLON_NONE:
        run_command(self);
        break;
    case COLON_DONE:
        show(&out);
        break;
    case COLON_FAILED:
        show_error(self, &err);
        break;
    case COLON_QUIT:
        self->is_over = true;
        break;
    }
    buf_free(&out);
}

/* ---- history ---- */

static void enter_history(void *arg, const char *text)
{
    prompt_t *self = arg;
    HistEvent event;
    history(self->history, &event, H_ENTER, text);
}

static void keep_line(prompt_t *self, slice_t line)
{
    char *text = mem_text(line.data, line.size);
    err_t err;

    enter_history(self, text);
    free(text);
    if (self->file == NULL || histfile_add(self->file, line, &err) == 0)
        return;
    app_warn(err.text);
    histfile_close(&self->file);
}

static void open_history(prompt_t *self, const char *path)
{
    HistEvent event;
    err_t err;

    self->history = history_init();
    history(self->history, &event, H_SETSIZE, HISTFILE_LINES);
    history(self->history, &event, H_SETUNIQUE, 1);
    self->file = histfile_open(path, enter_history, self, &err);
    if (self->file == NULL)
        app_warn(err.text);
}

/* ---- the loop ---- */

static char *prompt_text(EditLine *edit)
{
    static char text[] = "hearsay> ";
    static char in_multi[] = "multi> ";
    prompt_t *self = NULL;

    el_get(edit, EL_CLIENTDATA, &self);
    return self->multi.is_open ? in_multi : text;
}

/* A line without its newline; false at the end. *line is libedit's until the next. */
static bool read_line(prompt_t *self, slice_t *line)
{
    int count = 0;

    self->is_editing = true;
    const char *text = el_gets(self->edit, &count);
    self->is_editing = false;
    /* Once more, for what is typed while a command is under way and before the next prompt. */
    el_set(self->edit, EL_PREP_TERM, 1);
    *line = slice_of(text, text != NULL && count > 0 ? strlen(text) : 0);
    if (line->size != 0 && line->data[line->size - 1] == '\n')
        line->size--;
    if (text != NULL && count > 0)
        return true;
    if (!app_take_interrupt()) {
        app_write(slice_text("\n"));
        return false;
    }
    app_write(slice_text("^C\n"));
    return true;
}

static void run(prompt_t *self)
{
    slice_t line;

    while (!self->is_over && !app_interrupted() && read_line(self, &line)) {
        if (words_is_empty(line))
            continue;
        buf_t copy = {0}; /* notes and completion may change libedit's */
        buf_append_slice(&copy, line);
        keep_line(self, buf_slice(&copy));
        run_line(self, buf_slice(&copy));
        buf_free(&copy);
    }
}

static void catch_terminal_signals(void)
{
    const struct sigaction action = {.sa_handler = on_terminal};
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
}

/* Words are bytes, and those of a terminal UTF-8: where the locale says otherwise, too. */
static void choose_locale(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void open_edit(prompt_t *self)
{
    self->edit = el_init("hearsay", stdin, stdout, stderr);
    el_set(self->edit, EL_CLIENTDATA, self);
    el_set(self->edit, EL_PROMPT, prompt_text);
    el_set(self->edit, EL_EDITOR, "emacs");
    el_set(self->edit, EL_HIST, history, self->history);
    el_set(self->edit, EL_GETCFN, get_character);
    el_set(self->edit, EL_ADDFN, "hearsay-complete", "completes commands and keys", complete);
    el_set(self->edit, EL_BIND, "^I", "hearsay-complete", NULL);
    el_set(self->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(self->edit, NULL); /* what people have in ~/.editrc */
    el_set(self->edit, EL_PREP_TERM, 1);
}

int app_prompt(app_t *app, const char *history_path)
{
    prompt_t self = {.app = app, .is_coloured = wants_colour()};

    choose_locale();
    app_catch_signals(true);
    catch_terminal_signals();
    open_history(&self, history_path);
    open_edit(&self);
    hearsay_set_note(app->hearsay, take_note, &self);
    run(&self);
    hearsay_set_note(app->hearsay, NULL, NULL);
    app_store(app);
    el_end(self.edit);
    history_end(self.history);
    histfile_close(&self.file);
    complete_names_free(&self.keys);
    words_free(&self.words);
    multi_free(&self.multi);
    return app_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}
