#include "bus/wire/command.h"

#include <string.h>

#define KIND_READ   false
#define KIND_UPDATE true

static const command_t commands[] = {
#define COMMAND_ROW(id, name, code, kind, least, most, each, arguments, summary, first, second)    \
    {#name, code, KIND_##kind, least, most, each, arguments, summary, {first, second}},
    COMMAND_TABLE(COMMAND_ROW)
#undef COMMAND_ROW
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

const command_t *command_all(size_t *count)
{
    *count = COMMANDS;
    return commands;
}

const command_t *command_by_name(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

const command_t *command_by_code(unsigned code)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].code == code)
            return &commands[i];
    return NULL;
}

bool command_takes(const command_t *command, size_t arguments)
{
    if (arguments < command->least || arguments > command->most)
        return false;
    return command->each == 0 || (arguments - command->least) % command->each == 0;
}
