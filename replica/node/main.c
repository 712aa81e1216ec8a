/* hearsay-node: a replica. */
#include "bus/base/memory.h"
#include "bus/net/program.h"
#include "replica/node/node.h"

static int read_settings(void **settings, const options_t *options, err_t *err)
{
    *settings = mem_zero(1, sizeof(settings_t));
    return settings_read(*settings, options, err);
}

static int run(const void *settings, err_t *err)
{
    return node_run(settings, err);
}

int main(int argc, char *argv[])
{
    static const program_t program = {
        .option = OPTION_NODE,
        .name = "hearsay-node",
        .component = "node",
        .usage =
            "usage: hearsay-node [OPTIONS] ID [STATUS]\n\n"
            "Runs the replica with this id (0 to 255) until Ctrl-C. STATUS is active, overloaded,\n"
            "draining or offline and stays until hearsayctl changes it; without it the node sets "
            "its own.\n\n",
        .examples = "  hearsay-node 0                      the first replica, found by beacon\n"
                    "  hearsay-node 1 overloaded           another one, with a status given\n"
                    "  hearsay-node 2 --data /srv/hearsay --peer tcp://127.0.0.1:7710\n"
                    "                                      data elsewhere, a peer named\n",
        .read = read_settings,
        .run = run,
    };
    return program_main(&program, argc, argv);
}
