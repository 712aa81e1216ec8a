#!/usr/bin/env bats
# The data folder of real nodes on loopback.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# unsynced: bytes of the log of the only node that are not synced.
unsynced() { ctl --json nodes | json_field log_unsynced_bytes; }
is_synced() { [ "$(unsynced)" = 0 ]; }

# one_node ARGUMENTS...: and a broker.
one_node() {
    node 0 "$@"
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
}

@test "--sync always, interval: what was written is synced; never: not before the end" {
    local mode
    for mode in always interval; do
        one_node --sync "$mode"
        hearsay set key "$mode"
        wait_until 10 is_synced
        end_program broker_0 TERM
        end_program node_0 TERM
        [ "$status" -eq 0 ]
    done
    one_node --sync never
    hearsay set key never
    [ "$(unsynced)" -gt 0 ]
    end_program node_0 TERM
    [ "$status" -eq 0 ]
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(hearsay get key)" = never ]
}

@test "--sync with a word that is none of them: what there is" {
    run timeout 10 "$BUILD/hearsay-node" 0 --sync sometimes --data "$folder/replica_0"
    [ "$status" -eq 2 ]
    [[ "$output" == *sometimes*always*interval*never* ]]
}
