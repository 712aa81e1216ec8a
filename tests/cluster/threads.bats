#!/usr/bin/env bats
# libhearsay in loops and threads of others. tests/run has this file run once more with API set to a
# program built for TSan.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

@test "a foreign event loop is woken for everything, and sleeps when there is nothing" {
    cluster 2
    run api loop "$beacon_port" 20000
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" =~ ^sum\ 20000\ timeouts\ ([0-9]+)\ wakes\ ([0-9]+)\ pending\ 0$ ]]
    # A wake-up that is lost would cost a time-out of up to 250 ms.
    [ "${BASH_REMATCH[1]}" -lt 5 ]
    [ "${BASH_REMATCH[2]}" -lt 10 ]
}

@test "two connections in two threads" {
    cluster 2
    [ "$(api threads "$beacon_port" 3000)" = "sum 6000" ]
}
