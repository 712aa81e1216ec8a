#include "bus/net/program.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/config/config.h"
#include "bus/net/logger.h"
#include "bus/net/runtime.h"

static void print_help(const program_t *program, const options_t *options)
{
    buf_t text = {0};
    buf_append_text(&text, program->usage);
    buf_append_text(&text, "Options:\n");
    options_help(options, &text);
    buf_append_text(&text, "\nExamples:\n");
    buf_append_text(&text, program->examples);
    fwrite(text.data, 1, text.size, stdout);
    buf_free(&text);
}

static void print_config(const options_t *options)
{
    buf_t text = {0};
    options_print(options, &text);
    fwrite(text.data, 1, text.size, stdout);
    buf_free(&text);
}

static int fail(const program_t *program, const err_t *err)
{
    fprintf(stderr, "%s: %s\n", program->name, err->text);
    return outcome_exit(err->outcome);
}

static int serve(const program_t *program, const options_t *options)
{
    void *settings = NULL;
    log_level_t level = LOG_LEVEL_INFO;
    err_t err;

    if (program->read(&settings, options, &err) != 0 || net_start(&err) != 0) {
        free(settings);
        return fail(program, &err);
    }
    log_level_parse(options_text(options, "log-level"), &level);
    logger_open(program->component, level, options_flag(options, "json"));
    int code = program->run(settings, &err);
    if (code < 0)
        code = fail(program, &err);
    free(settings);
    net_stop(code);
    return code;
}

int program_main(const program_t *program, int argc, char *const argv[])
{
    options_t *options = options_new(program->option);
    err_t err;
    int code = EXIT_DONE;

    if (config_parse(options, argc, argv, &err) != 0)
        code = fail(program, &err);
    else if (options_flag(options, "help"))
        print_help(program, options);
    else if (options_flag(options, "version"))
        printf("%s %s\n", program->name, HEARSAY_VERSION);
    else if (options_flag(options, "print-config"))
        print_config(options);
    else
        code = serve(program, options);
    options_destroy(&options);
    return code;
}
