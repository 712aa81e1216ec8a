/* hearsay-broker: a front end. Options, then the broker until it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "bus/net/logger.h"
#include "bus/net/runtime.h"
#include "frontend/broker/broker.h"

static void print_help(const options_t *options)
{
    buf_t text = {0};
    buf_append_text(&text,
                    "usage: hearsay-broker [OPTIONS]\n\n"
                    "Runs a front end until Ctrl-C: gives each session of a client a replica "
                    "and stays with it.\nAny number of brokers may run.\n\n"
                    "Options:\n");
    options_help(options, &text);
    buf_append_text(&text,
                    "\nExamples:\n"
                    "  hearsay-broker                      finds nodes and is found by beacon\n"
                    "  hearsay-broker --listen tcp://127.0.0.1:7800\n"
                    "                                      another one beside it\n"
                    "  hearsay-broker --peer tcp://127.0.0.1:7710\n"
                    "                                      a node named, beside beacons\n");
    fwrite(text.data, 1, text.size, stdout);
    buf_free(&text);
}

static int fail(const err_t *err)
{
    fprintf(stderr, "hearsay-broker: %s\n", err->text);
    return outcome_exit(err->outcome);
}

static int run(const options_t *options)
{
    broker_settings_t settings;
    log_level_t level = LOG_LEVEL_INFO;
    err_t err;

    if (broker_settings_read(&settings, options, &err) != 0)
        return fail(&err);
    log_level_parse(options_text(options, "log-level"), &level);
    if (net_start(&err) != 0)
        return fail(&err);
    logger_open("broker", level, options_flag(options, "json"));
    int code = broker_run(&settings, &err);
    if (code < 0)
        code = fail(&err);
    net_stop(code);
    return code;
}

int main(int argc, char *argv[])
{
    options_t *options = options_new(OPTION_BROKER);
    err_t err;
    int code = EXIT_DONE;

    if (options_parse(options, argc, argv, getenv, &err) != 0)
        code = fail(&err);
    else if (options_flag(options, "help"))
        print_help(options);
    else if (options_flag(options, "version"))
        printf("hearsay-broker %s\n", HEARSAY_VERSION);
    else
        code = run(options);
    options_destroy(&options);
    return code;
}
