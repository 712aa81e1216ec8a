/* hearsay-node: a replica. Options, then the node until it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "bus/net/logger.h"
#include "bus/net/runtime.h"
#include "replica/node/node.h"

static void print_help(const options_t *options)
{
    buf_t text = {0};
    buf_append_text(
        &text,
        "usage: hearsay-node [OPTIONS] ID [STATUS]\n\n"
        "Runs the replica with this id (0 to 255) until Ctrl-C. STATUS is active, overloaded or\n"
        "offline and stays until hearsayctl changes it; without it the node sets its own.\n\n"
        "Options:\n");
    options_help(options, &text);
    buf_append_text(&text,
                    "\nExamples:\n"
                    "  hearsay-node 0                      the first replica, found by beacon\n"
                    "  hearsay-node 1 overloaded           another one, with a status given\n"
                    "  hearsay-node 2 --data /srv/hearsay --peer tcp://127.0.0.1:7710\n"
                    "                                      data elsewhere, a peer named\n");
    fwrite(text.data, 1, text.size, stdout);
    buf_free(&text);
}

static int fail(const err_t *err)
{
    fprintf(stderr, "hearsay-node: %s\n", err->text);
    return outcome_exit(err->outcome);
}

static int run(const options_t *options)
{
    settings_t settings;
    log_level_t level = LOG_LEVEL_INFO;
    err_t err;

    if (settings_read(&settings, options, &err) != 0)
        return fail(&err);
    log_level_parse(options_text(options, "log-level"), &level);
    if (net_start(&err) != 0)
        return fail(&err);
    logger_open("node", level, options_flag(options, "json"));
    int code = node_run(&settings, &err);
    if (code < 0)
        code = fail(&err);
    net_stop(code);
    return code;
}

int main(int argc, char *argv[])
{
    options_t *options = options_new(OPTION_NODE);
    err_t err;
    int code = EXIT_DONE;

    if (options_parse(options, argc, argv, getenv, &err) != 0)
        code = fail(&err);
    else if (options_flag(options, "help"))
        print_help(options);
    else if (options_flag(options, "version"))
        printf("hearsay-node %s\n", HEARSAY_VERSION);
    else
        code = run(options);
    options_destroy(&options);
    return code;
}
