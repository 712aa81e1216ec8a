/* hearsay: one command, a prompt, or a pipe of commands, over libhearsay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/base/options.h"
#include "bus/config/config.h"
#include "client/tool/app.h"
#include "client/tool/bench.h"
#include "client/tool/transfer.h"
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

/* What the tool does by itself, with a connection: hearsay NAME WORDS. */
typedef int action_fn(app_t *app, const options_t *options, const char *word);

typedef struct action {
    const char *name;
    const char *arguments;
    const char *summary;
    const char *examples[2];
    action_fn *fn; /* NULL: it connects by itself */
} action_t;

static transfer_t read_transfer(const options_t *options, const char *file)
{
    const char *format = options_text(options, "format");
    const char *prefix = options_text(options, "prefix");
    const char *end = file != NULL ? strrchr(file, '.') : NULL;

    if (format == NULL)
        format = end != NULL && strcmp(end, ".jsonl") == 0 ? "jsonl" : "csv";
    return (transfer_t){
        .format = strcmp(format, "csv") == 0 ? ROWS_CSV : ROWS_JSONL,
        .key_field = options_text(options, "key-field"),
        .prefix = prefix != NULL ? prefix : "",
        .fields = options_text(options, "fields"),
        .is_restart = options_flag(options, "restart"),
    };
}

static int run_import(app_t *app, const options_t *options, const char *file)
{
    const transfer_t config = read_transfer(options, file);
    return transfer_import(app, file, &config);
}

static int run_export(app_t *app, const options_t *options, const char *prefix)
{
    transfer_t config = read_transfer(options, NULL);
    config.prefix = strcmp(prefix, "-") == 0 ? "" : prefix;
    return transfer_export(app, &config);
}

static const action_t actions[] = {
    {"import",
     "FILE|-",
     "rows of CSV or JSON lines into hashes",
     {"import --key-field iata --prefix airport: airports.csv",
      "import --format jsonl - < rows.jsonl"},
     run_import},
    {"export",
     "PREFIX|-",
     "hashes whose keys begin with PREFIX into rows",
     {"export airport: --key-field iata > airports.csv", "export user: --format jsonl"},
     run_export},
    {"bench",
     "",
     "load on the cluster, and how fast it is answered",
     {"bench --sessions 10 --requests 10000", "bench --rate 2000 --duration 5s"},
     NULL},
};

enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

/* 1 with *action when the words are one; 0, or -1 with err when they are nearly one. */
static int find_action(const char *const *words, size_t count, const action_t **action, err_t *err)
{
    for (size_t i = 0; i < ACTIONS && count != 0; i++) {
        if (actions[i].fn == NULL || strcmp(words[0], actions[i].name) != 0)
            continue;
        *action = &actions[i];
        if (count == 2)
            return 1;
        return err_set(err, OUTCOME_USAGE, "wrong number of words; usage: hearsay %s %s",
                       actions[i].name, actions[i].arguments);
    }
    return 0;
}

static output_style_t style_of(const app_t *app, bool is_command)
{
    if (app->as_json)
        return OUTPUT_JSON;
    if (isatty(STDOUT_FILENO) != 0)
        return OUTPUT_TERMINAL;
    return is_command ? OUTPUT_VALUE : OUTPUT_LINE;
}

static int run(const options_t *options)
{
    size_t count;
    const char *const *words = options_words(options, &count);
    const action_t *action = NULL;
    buf_t value = {0};
    int values = 0;
    app_t app;
    err_t err;

    int code = find_action(words, count, &action, &err);
    if (code == 0)
        values = read_value(options, count != 0, &value, &err);
    if (code < 0 || values < 0 || app_open(&app, options, &err) != 0) {
        buf_free(&value);
        return app_fail(options_flag(options, "json"), &err);
    }
    app.style = style_of(&app, count != 0);
    if (action != NULL)
        code = action->fn(&app, options, words[1]);
    else if (count != 0)
        code = one_shot(&app, words, count, values != 0 ? &value : NULL);
    else if (app.style == OUTPUT_TERMINAL && isatty(STDIN_FILENO) != 0)
        code = app_prompt(&app, options_text(options, "history"));
    else
        code = app_pipe(&app);
    app_close(&app);
    buf_free(&value);
    return code;
}

/* ---- help ---- */

static void put_actions(buf_t *out)
{
    buf_append_text(out, "\nBy the tool itself:\n");
    for (size_t i = 0; i < ACTIONS; i++)
        app_help_line(out, actions[i].name, actions[i].arguments, actions[i].summary);
    app_help_line(out, "help", "[COMMAND]", "this list, or one command with examples");
}

/* False when there is no action of this name. */
static bool put_action(buf_t *out, const char *name)
{
    for (size_t i = 0; i < ACTIONS; i++) {
        const action_t *one = &actions[i];
        if (strcmp(name, one->name) != 0)
            continue;
        buf_printf(out, "%s %s\n  %s\nExamples:\n  hearsay %s\n  hearsay %s\n", one->name,
                   one->arguments, one->summary, one->examples[0], one->examples[1]);
        return true;
    }
    return false;
}

static int show_commands(bool as_json, const char *command)
{
    buf_t out = {0};
    err_t err;
    bool is_action = !as_json && command != NULL && put_action(&out, command);
    bool is_known = is_action || app_help(&out, as_json, command, &err);

    int code = EXIT_DONE;
    if (is_known && !as_json && command == NULL)
        put_actions(&out);
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
    put_actions(&out);
    buf_append_text(&out, "\nOptions:\n");
    options_help(options, &out);
    buf_append_text(&out, "\nExamples:\n"
                          "  hearsay set greeting \"hello world\"\n"
                          "  hearsay get greeting\n"
                          "  hearsay --json hgetall airport:ORD\n"
                          "  hearsay set photo --stdin < photo.jpg\n"
                          "  hearsay import --key-field iata --prefix airport: airports.csv\n"
                          "  hearsay export airport: > airports.csv\n"
                          "  printf 'incr visits\\nget visits\\n' | hearsay --window 16\n"
                          "\nExit codes: 0 done, 1 absent, 2 wrong usage, 3 not reached, 4 may "
                          "have been applied,\n5 refused, 130 interrupted.\n");
    int code = app_write(buf_slice(&out)) ? EXIT_DONE : app_write_failed();
    buf_free(&out);
    return code;
}

static int show_config(const options_t *options)
{
    buf_t out = {0};

    options_print(options, &out);
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
    if (config_parse(options, argc, argv, &err) != 0) {
        code = app_fail(wants_json(argc, argv), &err);
        options_destroy(&options);
        return code;
    }
    const char *const *words = options_words(options, &count);
    if (options_flag(options, "help"))
        code = show_usage(options);
    else if (options_flag(options, "version"))
        printf("hearsay %s\n", HEARSAY_VERSION);
    else if (options_flag(options, "print-config"))
        code = show_config(options);
    else if (count != 0 && strcmp(words[0], "help") == 0)
        code = show_commands(options_flag(options, "json"), count > 1 ? words[1] : NULL);
    else if (count != 0 && strcmp(words[0], "bench") == 0)
        code = bench_run(options);
    else
        code = run(options);
    options_destroy(&options);
    return code;
}
