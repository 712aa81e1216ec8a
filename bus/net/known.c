#include "bus/net/known.h"

bool known_add(known_t *self, uint64_t incarnation)
{
    for (uint32_t i = 0; i < KNOWN_MAX; i++)
        if (self->incarnations[i] == incarnation)
            return false;
    self->incarnations[self->next] = incarnation;
    self->next = (self->next + 1) % KNOWN_MAX;
    return true;
}
