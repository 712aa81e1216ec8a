#include "client/tool/app.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/json.h"
#include "bus/base/memory.h"

/* ---- signals ---- */

/* Set by app_catch_signals(): the first signal is only noted. */
static volatile sig_atomic_t is_catching;
static volatile sig_atomic_t is_lasting;     /* a prompt: no SIGINT ends it */
static volatile sig_atomic_t interrupted_by; /* a signal's number */

static void on_interrupt(int number)
{
    bool is_second = interrupted_by != 0 && !(is_lasting != 0 && number == SIGINT);

    if (is_catching == 0 || is_second)
        _exit(EXIT_INTERRUPTED); /* files are changed by a rename: nothing is left half done */
    if (interrupted_by == 0 || number != SIGINT)
        interrupted_by = number;
}

/* One that is ignored stays so: who started us with nohup means it. */
static void catch_signal(int number)
{
    const struct sigaction interrupt = {.sa_handler = on_interrupt};
    struct sigaction before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &interrupt, NULL);
}

void app_end_on_interrupt(void)
{
    catch_signal(SIGINT);
}

void app_catch_signals(bool is_prompt)
{
    is_lasting = is_prompt;
    is_catching = 1;
    catch_signal(SIGTERM);
    catch_signal(SIGHUP);
    signal(SIGPIPE, SIG_IGN);
}

bool app_interrupted(void)
{
    return interrupted_by != 0;
}

bool app_take_interrupt(void)
{
    if (interrupted_by != SIGINT)
        return false;
    interrupted_by = 0;
    return true;
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
        if (interrupted_by != 0 && bytes.size != 0) {
            errno = EINTR;
            return false;
        }
    }
    return true;
}

void app_warn(const char *text)
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
    app_warn(err.text);
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

void app_help_line(buf_t *out, const char *name, const char *arguments, const char *summary)
{
    buf_printf(out, "  %-8s %s%*s %s\n", name, arguments, padding(arguments), "", summary);
}

static void put_help_json(buf_t *out, const hearsay_command_t *list, size_t count)
{
    json_t json = json_open(out);

    json_object(&json, NULL);
    json_bool(&json, "ok", true);
    json_array(&json, "value");
    for (size_t i = 0; i < count; i++) {
        json_object(&json, NULL);
        json_text(&json, "command", list[i].name);
        json_text(&json, "arguments", list[i].arguments);
        json_text(&json, "summary", list[i].summary);
        json_bool(&json, "update", list[i].is_update != 0);
        json_array(&json, "examples");
        for (size_t k = 0; k < 2; k++)
            json_text(&json, NULL, list[i].examples[k]);
        json_end(&json);
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

static void put_help(buf_t *out, const hearsay_command_t *one)
{
    buf_printf(out, "%s %s\n  %s\nExamples:\n", one->name, one->arguments, one->summary);
    for (size_t k = 0; k < 2; k++)
        buf_printf(out, "  %s\n", one->examples[k]);
}

bool app_help(buf_t *out, bool as_json, const char *command, err_t *err)
{
    size_t count = 1;
    const hearsay_command_t *list =
        command != NULL ? hearsay_command_find(command) : hearsay_commands(&count);

    if (list == NULL) {
        const char *near = hearsay_command_nearest(command);
        if (near != NULL)
            err_set(err, OUTCOME_USAGE, "unknown command \"%.48s\": did you mean %s?", command,
                    near);
        else
            err_set(err, OUTCOME_USAGE, "unknown command \"%.48s\": see hearsay help", command);
        return false;
    }
    if (as_json)
        put_help_json(out, list, count);
    else if (command != NULL)
        put_help(out, list);
    else
        for (size_t i = 0; i < count; i++)
            app_help_line(out, list[i].name, list[i].arguments, list[i].summary);
    return true;
}

int app_fail(bool as_json, const err_t *err)
{
    if (as_json) {
        buf_t out = {0};
        output_error(&out, OUTPUT_JSON, outcome_name(err->outcome), err->text, NULL);
        app_write(buf_slice(&out));
        buf_free(&out);
    } else {
        app_warn(err->text);
    }
    return outcome_exit(err->outcome);
}

/* ---- the connection and its session ---- */

static void write_note(void *arg, const char *text)
{
    const app_t *self = arg;
    struct timespec at;
    buf_t line = {0};

    if (self->log_level < LOG_LEVEL_INFO)
        return;
    clock_gettime(CLOCK_REALTIME, &at);
    log_record_t record =
        log_begin(&line, self->as_json, (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000,
                  LOG_LEVEL_INFO, "client", text);
    log_end(&record);
    fwrite(line.data, 1, line.size, stderr);
    buf_free(&line);
}

/* The kept session, or a new one when there is none or it cannot be used. */
static void open_session(app_t *self)
{
    const char *token = NULL;
    err_t err;

    if (self->session_name != NULL) {
        self->keep = keep_open(self->cluster, self->session_name, &err);
        token = self->keep != NULL ? keep_token(self->keep, &err) : NULL;
        if (err.text[0] != '\0')
            app_warn(err.text);
    }
    self->session = hearsay_session_open(self->hearsay, token, self->replica);
    if (self->session == NULL) {
        app_warn("the session file is damaged and will be replaced");
        self->session = hearsay_session_open(self->hearsay, NULL, self->replica);
    }
    hearsay_session_relax(self->session, self->relaxes);
}

static int open_connection(app_t *self, const options_t *options, err_t *err)
{
    hearsay_options_t settings = {
        .cluster = self->cluster,
        .interface_name = options_text(options, "interface"),
        .beacon_port = (int)options_int(options, "beacon-port"),
        .insecure = options_flag(options, "insecure"),
        .window = self->window,
    };
    settings.brokers = options_list(options, "broker", &settings.broker_count);
    int code = hearsay_open_with_keys(&self->hearsay, &settings, options_text(options, "curve"),
                                      options_text(options, "curve-key"), err->text);
    err->outcome = code == outcome_exit(OUTCOME_USAGE) ? OUTCOME_USAGE : OUTCOME_FULL;
    return code == 0 ? 0 : -1;
}

int app_open(app_t *self, const options_t *options, err_t *err)
{
    const char *name = options_text(options, "session");

    *self = (app_t){
        .cluster = options_text(options, "cluster"),
        .replica = (int)options_int(options, "replica"),
        .relaxes = options_flag(options, "relax"),
        .last_replica = -1,
        .as_json = options_flag(options, "json"),
        .log_level = LOG_LEVEL_INFO,
        .timeout_ms = (int)options_ms(options, "timeout"),
        .window = (unsigned)options_int(options, "window"),
    };
    if (!options_flag(options, "no-session"))
        self->session_name = mem_text(name, strlen(name));
    log_level_parse(options_text(options, "log-level"), &self->log_level);
    if (open_connection(self, options, err) != 0) {
        free(self->session_name);
        return -1;
    }
    hearsay_set_note(self->hearsay, write_note, self);
    open_session(self);
    return 0;
}

void app_close(app_t *self)
{
    keep_close(&self->keep);
    hearsay_close(&self->hearsay);
    free(self->session_name);
}

void app_switch_session(app_t *self, const char *name)
{
    hearsay_session_t *old = self->session;

    app_store(self);
    keep_close(&self->keep);
    free(self->session_name);
    self->session_name = mem_text(name, strlen(name));
    open_session(self);
    hearsay_session_close(old);
}

void app_pin_replica(app_t *self, int replica)
{
    hearsay_session_t *old = self->session;

    app_store(self);
    self->replica = replica;
    self->session = hearsay_session_open(self->hearsay, hearsay_token(old), replica);
    assert(self->session != NULL); /* the token is the library's own */
    hearsay_session_close(old);
}
