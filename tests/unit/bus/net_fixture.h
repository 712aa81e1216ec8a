/*
 * The fixture of a group of tests over what needs net_start(). A socket that some test left open
 * ends the program with 1.
 *
 *     return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
 */
#ifndef HEARSAY_TESTS_UNIT_BUS_NET_FIXTURE_H
#define HEARSAY_TESTS_UNIT_BUS_NET_FIXTURE_H

#include "bus/net/runtime.h"

static inline int net_fixture_start(void **state)
{
    (void)state;
    return net_start(NULL);
}

static inline int net_fixture_stop(void **state)
{
    (void)state;
    net_stop(1);
    return 0;
}

#endif
