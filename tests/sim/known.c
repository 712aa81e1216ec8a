#include "tests/sim/known.h"

static const struct {
    const char *name;
    const char *field;
} keys[KEYS] = {{"r0", ""},  {"r1", ""},  {"r2", ""}, {"r3", ""}, {"p", ""},
                {"h1", "f"}, {"h1", "g"}, {"t0", ""}, {"t1", ""}, {"c0", ""},
                {"c1", ""},  {"h0", "n"}, {"s0", ""}};

void known_merge(known_t *into, const known_t *from)
{
    for (uint32_t k = 0; k < KEY_TEXTS; k++)
        into->tag[k] = tag_max(into->tag[k], from->tag[k]);
    for (uint32_t k = 0; k < TIMED; k++)
        into->deadline[k] = tag_max(into->deadline[k], from->deadline[k]);
    for (uint32_t k = 0; k < COUNTERS; k++)
        if (into->count[k] < from->count[k])
            into->count[k] = from->count[k];
    into->added |= from->added;
    into->removed |= from->removed;
    into->clock = hlc_max(into->clock, from->clock);
}

bool known_covers(const known_t *has, const known_t *of)
{
    bool is_good = (of->added & ~has->added) == 0 && (of->removed & ~has->removed) == 0;
    for (uint32_t k = 0; k < KEY_TEXTS; k++)
        is_good &= tag_compare(of->tag[k], has->tag[k]) <= 0;
    for (uint32_t k = 0; k < TIMED; k++)
        is_good &= tag_compare(of->deadline[k], has->deadline[k]) <= 0;
    return is_good;
}

const char *known_key(uint32_t key, const char **field)
{
    *field = keys[key].field;
    return keys[key].name;
}
