/* hearsay: one command, a prompt, or a pipe of commands, over libhearsay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/base/options.h"
#include "client/tool/app.h"
#include "client/tool/bench.h"
#include "client/tool/value.h"

/* ---- one command ---- */

/* Absent, or a question that was answered with 0. */
static bool is_answer_no(const char *command, const hearsay_value_t *value)
{
    hearsay_type_t type = hearsay_value_type(value);
    bool is_question = strcmp(command, "exists") == 0 || strcmp(command, "sismember") == 0;

    return type == HEARSAY_NIL ||
           (is_question && type == HEARSAY_INTEGER && hearsay_value_integer(value) == 0);
}

/* The last argument, when it is not on the command line: 1, 0 when there is none, -1 with err. */
static int read_value(const options_t *options, bool is_command, buf_t *value, err_t *err)
{
    const char *path = options_text(options, "value-file");
    bool is_stdin = options_flag(options, "stdin");

    if (path == NULL && !is_stdin)
        return 0;
    if (path != NULL && is_stdin)
        return err_set(err, OUTCOME_USAGE, "--stdin or --value-file: give one of them");
    if (!is_command)
        return err_set(err, OUTCOME_USAGE,
                       "--stdin and --value-file are for one command, as in: hearsay set KEY "
                       "--stdin < FILE");
    return value_read(value, path, err) == 0 ? 1 : -1;
}

/* value: one more argument, or NULL. */
static int one_shot(app_t *self, const char *const *arguments, size_t count, const buf_t *value)
{
    hearsay_word_t *words = mem_zero(count + 1, sizeof(*words));
    buf_t out = {0};

    for (size_t i = 0; i < count; i++)
        words[i] = (hearsay_word_t){arguments[i], strlen(arguments[i])};
    if (value != NULL)
        words[count++] = (hearsay_word_t){value->data, value->size};
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

static int run(const options_t *options)
{
    size_t count;
    const char *const *words = options_words(options, &count);
    bool is_terminal = isatty(STDOUT_FILENO) != 0;
    int code;
    buf_t value = {0};
    app_t app;
    err_t err;

    int values = read_value(options, count != 0, &value, &err);
    if (values < 0 || app_open(&app, options, &err) != 0) {
        buf_free(&value);
        return app_fail(options_flag(options, "json"), &err);
    }
    if (app.as_json)
        app.style = OUTPUT_JSON;
    else if (is_terminal)
        app.style = OUTPUT_TERMINAL;
    else
        app.style = count != 0 ? OUTPUT_VALUE : OUTPUT_LINE;
    if (count != 0)
        code = one_shot(&app, words, count, values != 0 ? &value : NULL);
    else if (is_terminal && isatty(STDIN_FILENO) != 0 && !app.as_json)
        code = app_prompt(&app, options_text(options, "history"));
    else
        code = app_pipe(&app);
    app_close(&app);
    buf_free(&value);
    return code;
}

static int show_commands(bool as_json, const char *command)
{
    buf_t out = {0};
    err_t err;
    bool is_known = app_help(&out, as_json, command, &err);

    int code = EXIT_DONE;
    if (!is_known)
        code = app_fail(as_json, &err);
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
        "       hearsay bench [OPTIONS]                 load, and how fast it is answered\n"
        "       hearsay help [COMMAND]\n\n"
        "Commands:\n");
    app_help(&out, false, NULL, NULL);
    buf_append_text(&out, "\nOptions:\n");
    options_help(options, &out);
    buf_append_text(&out, "\nExamples:\n"
                          "  hearsay set greeting \"hello world\"\n"
                          "  hearsay get greeting\n"
                          "  hearsay --json hgetall airport:ORD\n"
                          "  hearsay set photo --stdin < photo.jpg\n"
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
    options_t *options = options_new(OPTION_CLIENT);
    size_t count;
    err_t err;
    int code = EXIT_DONE;

    app_end_on_interrupt();
    if (options_parse(options, argc, argv, getenv, &err) != 0) {
        code = app_fail(wants_json(argc, argv), &err);
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
    else if (count != 0 && strcmp(words[0], "bench") == 0)
        code = bench_run(options);
    else
        code = run(options);
    options_destroy(&options);
    return code;
}
