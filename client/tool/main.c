/* hearsay: one command, a prompt, or a pipe of commands, over libhearsay. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/json.h"
#include "bus/base/log.h"
#include "bus/base/memory.h"
#include "bus/base/options.h"
#include "client/tool/app.h"

/* ---- signals ---- */

/* Set by app_catch_signals(): the first signal is only noted. */
static volatile sig_atomic_t is_catching;
static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    if (is_catching == 0 || is_interrupted != 0)
        _exit(EXIT_INTERRUPTED); /* files are changed by a rename: nothing is left half done */
    is_interrupted = 1;
}

/* One that is ignored stays so: who started us with nohup means it. */
static void catch_signal(int number)
{
    const struct sigaction interrupt = {.sa_handler = on_interrupt};
    struct sigaction before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &interrupt, NULL);
}

void app_catch_signals(void)
{
    is_catching = 1;
    catch_signal(SIGTERM);
    catch_signal(SIGHUP);
    signal(SIGPIPE, SIG_IGN);
}

bool app_interrupted(void)
{
    return is_interrupted != 0;
}

/* ---- what the modes share ---- */

bool app_write(slice_t bytes)
{
    while (bytes.size != 0) {
        ssize_t written = write(STDOUT_FILENO, bytes.data, bytes.size);
        if (written >= 0) {
            bytes = slice_of(bytes.data + written, bytes.size - (size_t)written);
        } else if (errno == EAGAIN) {
            struct pollfd item = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&item, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
        if (is_interrupted != 0 && bytes.size != 0) {
            errno = EINTR;
            return false;
        }
    }
    return true;
}

static void warn(const char *text)
{
    fprintf(stderr, "hearsay: %s\n", text);
}

int app_write_failed(void)
{
    if (errno != EPIPE && errno != EINTR)
        fprintf(stderr, "hearsay: cannot write to standard output: %s; what was sent is done\n",
                strerror(errno));
    return outcome_exit(OUTCOME_FULL);
}

void app_store(app_t *self)
{
    err_t err;

    if (self->keep == NULL || keep_store(self->keep, self->session, &err) == 0)
        return;
    warn(err.text);
    keep_close(&self->keep);
}

/* What fills a column of arguments up; "…" is three bytes and one character wide. */
static int padding(const char *text)
{
    enum { COLUMN = 34 };
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width < COLUMN ? COLUMN - width : 0;
}

bool app_help(buf_t *out, const char *command, err_t *err)
{
    size_t count;
    const hearsay_command_t *all = hearsay_commands(&count);

    if (command == NULL) {
        for (size_t i = 0; i < count; i++)
            buf_printf(out, "  %-8s %s%*s %s\n", all[i].name, all[i].arguments,
                       padding(all[i].arguments), "", all[i].summary);
        return true;
    }
    const hearsay_command_t *one = hearsay_command_find(command);
    if (one != NULL) {
        buf_printf(out, "%s %s\n  %s\nExamples:\n  %s\n  %s\n", one->name, one->arguments,
                   one->summary, one->examples[0], one->examples[1]);
        return true;
    }
    const char *near = hearsay_command_nearest(command);
    if (near != NULL)
        err_set(err, OUTCOME_USAGE, "unknown command \"%.48s\": did you mean %s?", command, near);
    else
        err_set(err, OUTCOME_USAGE, "unknown command \"%.48s\": see hearsay help", command);
    return false;
}

/* ---- ends ---- */

static int fail(bool as_json, const err_t *err)
{
    if (as_json) {
        buf_t out = {0};
        output_error(&out, OUTPUT_JSON, outcome_name(err->outcome), err->text);
        app_write(buf_slice(&out));
        buf_free(&out);
    } else {
        warn(err->text);
    }
    return outcome_exit(err->outcome);
}

/* ---- one command ---- */

static bool is_answer_no(const char *command, const hearsay_value_t *value)
{
    hearsay_type_t type = hearsay_value_type(value);
    return type == HEARSAY_NIL || (type == HEARSAY_INTEGER && hearsay_value_integer(value) == 0 &&
                                   strcmp(command, "exists") == 0);
}

static int one_shot(app_t *self, const char *const *arguments, size_t count)
{
    hearsay_word_t *words = mem_zero(count, sizeof(*words));
    buf_t out = {0};

    for (size_t i = 0; i < count; i++)
        words[i] = (hearsay_word_t){arguments[i], strlen(arguments[i])};
    hearsay_reply_t *reply = hearsay_call(self->session, words, count, self->timeout_ms);
    free(words);
    int code = hearsay_reply_exit(reply);
    if (hearsay_reply_replica(reply) >= 0)
        app_store(self); /* before it is shown: who has seen it has it */
    if (code == 0 || self->style == OUTPUT_JSON) {
        output_reply(&out, self->style, reply, hearsay_token(self->session));
        if (!app_write(buf_slice(&out)))
            code = app_write_failed();
        buf_free(&out);
    } else {
        fprintf(stderr, "hearsay: %s: %s\n", hearsay_reply_outcome(reply),
                hearsay_reply_text(reply));
    }
    if (code == 0 && is_answer_no(arguments[0], hearsay_reply_value(reply)))
        code = EXIT_NO;
    hearsay_reply_free(&reply);
    return code;
}

/* ---- start ---- */

typedef struct notes {
    bool as_json;
    log_level_t level;
} notes_t;

static void write_note(void *arg, const char *text)
{
    const notes_t *notes = arg;
    struct timespec at;
    buf_t line = {0};

    if (notes->level < LOG_LEVEL_INFO)
        return;
    clock_gettime(CLOCK_REALTIME, &at);
    log_record_t record =
        log_begin(&line, notes->as_json, (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000,
                  LOG_LEVEL_INFO, "client", text);
    log_end(&record);
    fwrite(line.data, 1, line.size, stderr);
    buf_free(&line);
}

/* The kept session, or a new one when there is none or it cannot be used. */
static void open_session(app_t *self, const options_t *options)
{
    const char *name = options_text(options, "session");
    int replica = (int)options_int(options, "replica");
    const char *token = NULL;
    err_t err;

    if (!options_flag(options, "no-session")) {
        self->keep =
            keep_open(options_text(options, "cluster"), name != NULL ? name : "default", &err);
        token = self->keep != NULL ? keep_token(self->keep, &err) : NULL;
        if (err.text[0] != '\0')
            warn(err.text);
    }
    self->session = hearsay_session_open(self->hearsay, token, replica);
    if (self->session != NULL)
        return;
    warn("the session file is damaged and will be replaced");
    self->session = hearsay_session_open(self->hearsay, NULL, replica);
}

static int open_connection(app_t *self, const options_t *options, err_t *err)
{
    const char *broker = options_text(options, "broker");
    const hearsay_options_t settings = {
        .cluster = options_text(options, "cluster"),
        .interface_name = options_text(options, "interface"),
        .beacon_port = (int)options_int(options, "beacon-port"),
        .brokers = &broker,
        .broker_count = broker != NULL,
        .insecure = options_flag(options, "insecure"),
        .window = self->window,
    };
    err->outcome = OUTCOME_USAGE;
    int code = hearsay_open(&self->hearsay, &settings, err->text);
    if (code != 0 && code != outcome_exit(OUTCOME_USAGE))
        err->outcome = OUTCOME_FULL;
    return code;
}

static output_style_t style_of(bool as_json, bool is_pipe)
{
    if (as_json)
        return OUTPUT_JSON;
    if (is_pipe)
        return OUTPUT_LINE;
    return isatty(STDOUT_FILENO) != 0 ? OUTPUT_TERMINAL : OUTPUT_VALUE;
}

static int run(const options_t *options)
{
    size_t count;
    const char *const *words = options_words(options, &count);
    bool as_json = options_flag(options, "json");
    bool is_prompt = count == 0 && isatty(STDIN_FILENO) != 0;
    notes_t notes = {.as_json = as_json, .level = LOG_LEVEL_INFO};
    app_t app = {
        .style = style_of(as_json, count == 0 && !is_prompt),
        .timeout_ms = (int)options_ms(options, "timeout"),
        .window = (unsigned)options_int(options, "window"),
    };
    err_t err;

    log_level_parse(options_text(options, "log-level"), &notes.level);
    if (open_connection(&app, options, &err) != 0)
        return fail(as_json, &err);
    hearsay_set_note(app.hearsay, write_note, &notes);
    open_session(&app, options);
    int code = count != 0 ? one_shot(&app, words, count) : app_pipe(&app, is_prompt);
    keep_close(&app.keep);
    hearsay_close(&app.hearsay);
    return code;
}

static int show_commands(bool as_json, const char *command)
{
    buf_t out = {0};
    err_t err;
    bool is_known = app_help(&out, command, &err);

    int code = EXIT_DONE;
    if (!is_known)
        code = fail(as_json, &err);
    else if (!app_write(buf_slice(&out)))
        code = app_write_failed();
    buf_free(&out);
    return code;
}

static int show_usage(const options_t *options)
{
    buf_t out = {0};

    buf_append_text(
        &out,
        "usage: hearsay [OPTIONS] COMMAND [ARGUMENTS]   one command\n"
        "       hearsay [OPTIONS] < FILE                one command a line, one reply a line\n"
        "       hearsay [OPTIONS]                       a prompt, on a terminal\n"
        "       hearsay help [COMMAND]\n\n"
        "Commands:\n");
    app_help(&out, NULL, NULL);
    buf_append_text(&out, "\nOptions:\n");
    options_help(options, &out);
    buf_append_text(&out, "\nExamples:\n"
                          "  hearsay set greeting \"hello world\"\n"
                          "  hearsay get greeting\n"
                          "  hearsay --json hgetall airport:ORD\n"
                          "  printf 'incr visits\\nget visits\\n' | hearsay --window 16\n"
                          "\nExit codes: 0 done, 1 absent, 2 wrong usage, 3 not reached, 4 may "
                          "have been applied,\n5 refused, 130 interrupted.\n");
    int code = app_write(buf_slice(&out)) ? EXIT_DONE : app_write_failed();
    buf_free(&out);
    return code;
}

/* Before the options are known: an error of theirs is to be in JSON as well. */
static bool wants_json(int argc, char *const argv[])
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int main(int argc, char *argv[])
{
    const struct sigaction interrupt = {.sa_handler = on_interrupt};
    options_t *options = options_new(OPTION_CLIENT);
    size_t count;
    err_t err;
    int code = EXIT_DONE;

    sigaction(SIGINT, &interrupt, NULL);
    if (options_parse(options, argc, argv, getenv, &err) != 0) {
        code = fail(wants_json(argc, argv), &err);
        options_destroy(&options);
        return code;
    }
    const char *const *words = options_words(options, &count);
    if (options_flag(options, "help"))
        code = show_usage(options);
    else if (options_flag(options, "version"))
        printf("hearsay %s\n", HEARSAY_VERSION);
    else if (count != 0 && strcmp(words[0], "help") == 0)
        code = show_commands(options_flag(options, "json"), count > 1 ? words[1] : NULL);
    else
        code = run(options);
    options_destroy(&options);
    return code;
}
