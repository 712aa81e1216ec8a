/*
 * Outcomes: every way in which a request, a command or a program can end.
 *
 * One table gives the number on the wire, the name that people and JSON see, the exit code of a
 * program that ends with it, and whether the update may have been applied. docs/consistency.md says
 * what to do about each.
 */
#ifndef HEARSAY_BUS_BASE_OUTCOME_H
#define HEARSAY_BUS_BASE_OUTCOME_H

#include <stdbool.h>

/*  name          wire  exit  may have been applied */
#define OUTCOME_TABLE(X)                                                                           \
    X(OK, 0, 0, false)                                                                             \
    X(USAGE, 1, 2, false)                                                                          \
    X(NOT_REACHED, 2, 3, false)                                                                    \
    X(WRONGTYPE, 3, 5, false)                                                                      \
    X(NOT_A_NUMBER, 4, 5, false)                                                                   \
    X(OVERFLOW, 5, 5, false)                                                                       \
    X(TOO_LARGE, 6, 5, false)                                                                      \
    X(BUSY, 7, 5, false)                                                                           \
    X(BEHIND, 8, 5, false)                                                                         \
    X(MISSING, 9, 5, false)                                                                        \
    X(LOST, 10, 5, false)                                                                          \
    X(CLOCK, 11, 5, false)                                                                         \
    X(CLASH, 12, 5, false)                                                                         \
    X(DENIED, 13, 5, false)                                                                        \
    X(READ_ONLY, 14, 5, false)                                                                     \
    X(FULL, 15, 5, false)                                                                          \
    X(UNKNOWN, 16, 4, true)                                                                        \
    X(TOO_OLD, 17, 4, true)                                                                        \
    X(RETAG, 18, 5, false)                                                                         \
    X(MOVED, 19, 5, false)                                                                         \
    X(CANCELLED, 20, 5, false)

/*
 * RETAG and MOVED never reach a user: they turn a request back to the library, which sends it again
 * (RETAG: with a new tag; MOVED: this replica serves no more, open the session elsewhere).
 */
typedef enum outcome {
#define OUTCOME_ENUM(name, wire, code, applied) OUTCOME_##name = wire,
    OUTCOME_TABLE(OUTCOME_ENUM)
#undef OUTCOME_ENUM
} outcome_t;

enum { OUTCOME_COUNT = OUTCOME_CANCELLED + 1 };

/* Exit codes that belong to no outcome. */
enum { EXIT_DONE = 0, EXIT_NO = 1, EXIT_INTERRUPTED = 130 };

/* "WRONGTYPE" and so on; never NULL, "UNKNOWN" for a number that is none of ours. Static text. */
const char *outcome_name(outcome_t outcome);

/* The exit code of a program that ends with it. */
int outcome_exit(outcome_t outcome);

/* True when an update that ended so may have been applied all the same. */
bool outcome_may_be_applied(outcome_t outcome);

/*
 * A number from the wire; UNKNOWN for one that is none of ours (a newer peer: nothing is promised).
 */
outcome_t outcome_from_wire(unsigned wire);

#endif
