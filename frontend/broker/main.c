/* hearsay-broker: a front end. */
#include "bus/base/memory.h"
#include "bus/net/program.h"
#include "frontend/broker/broker.h"

static int read_settings(void **settings, const options_t *options, err_t *err)
{
    *settings = mem_zero(1, sizeof(broker_settings_t));
    return broker_settings_read(*settings, options, err);
}

static int run(const void *settings, err_t *err)
{
    return broker_run(settings, err);
}

int main(int argc, char *argv[])
{
    static const program_t program = {
        .option = OPTION_BROKER,
        .name = "hearsay-broker",
        .component = "broker",
        .usage = "usage: hearsay-broker [OPTIONS]\n\n"
                 "Runs a front end until Ctrl-C: gives each session of a client a replica "
                 "and stays with it.\nAny number of brokers may run.\n\n",
        .examples = "  hearsay-broker                      finds nodes and is found by beacon\n"
                    "  hearsay-broker --listen tcp://127.0.0.1:7800\n"
                    "                                      another one beside it\n"
                    "  hearsay-broker --peer tcp://127.0.0.1:7710\n"
                    "                                      a node named, beside beacons\n",
        .read = read_settings,
        .run = run,
    };
    return program_main(&program, argc, argv);
}
