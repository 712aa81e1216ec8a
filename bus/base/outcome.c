#include "bus/base/outcome.h"

#include <stddef.h>

typedef struct row {
    const char *name;
    int code;
    bool applied;
} row_t;

static const row_t rows[OUTCOME_COUNT] = {
#define OUTCOME_ROW(name, wire, code, applied) [wire] = {#name, code, applied},
    OUTCOME_TABLE(OUTCOME_ROW)
#undef OUTCOME_ROW
};

outcome_t outcome_from_wire(unsigned wire)
{
    return wire < OUTCOME_COUNT ? (outcome_t)wire : OUTCOME_UNKNOWN;
}

const char *outcome_name(outcome_t outcome)
{
    return rows[outcome_from_wire((unsigned)outcome)].name;
}

int outcome_exit(outcome_t outcome)
{
    return rows[outcome_from_wire((unsigned)outcome)].code;
}

bool outcome_may_be_applied(outcome_t outcome)
{
    return rows[outcome_from_wire((unsigned)outcome)].applied;
}
