#!/usr/bin/env bats
# The data folder of real nodes on loopback.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# unsynced: bytes of the log of the only node that are not synced.
unsynced() { ctl --json nodes | json_field log_unsynced_bytes; }
was_synced() { [ "$(unsynced)" -lt "$(ctl --json nodes | json_field log_bytes)" ]; }
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
    hearsay set key first
    wait_until 10 was_synced # who the members are
    head -c 100000 /dev/zero | tr '\0' x | hearsay --stdin set big
    hearsay set key never
    [ "$(unsynced)" -gt 100000 ]
    end_program node_0 TERM
    [ "$status" -eq 0 ]
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(hearsay get key)" = never ]
}

@test "--sync never: a checkpoint is written all the same, what it stands on synced before" {
    one_node --sync never --log-max 16MiB
    head -c 1000000 /dev/zero | tr '\0' x >"$folder/value"
    for i in $(seq 18); do
        hearsay set "big:$i" --value-file "$folder/value"
    done
    wait_until 20 log_has node_0 "checkpoint written"
}

@test "--sync never: who comes late waits for no more than it takes to sync who the members are" {
    one_node --sync never
    for i in 1 2 3; do hearsay set "key:$i" "$i"; done
    node 1 --sync never
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ "$(hearsay --no-session --replica 1 get key:3)" = 3 ]
}

few_unsynced() { [ "$(unsynced)" -lt 100000 ]; }

@test "--sync never: what is to be forgotten is synced after the retry horizon" {
    one_node --sync never --retry-horizon 2s
    hearsay incr counter
    wait_until 10 was_synced # who the members are
    head -c 100000 /dev/zero | tr '\0' x | hearsay --stdin set big
    hearsay incr counter
    wait_until 20 few_unsynced
}

@test "--sync with a word that is none of them: what there is" {
    run timeout 10 "$BUILD/hearsay-node" 0 --sync sometimes --data "$folder/replica_0"
    [ "$status" -eq 2 ]
    [[ "$output" == *sometimes*always*interval*never* ]]
}

is_full() { hearsay --no-session set more 1 2>&1 | grep -q FULL; }
is_taken() { hearsay --no-session set more 1; }
memory() { ctl --json nodes | jq '.nodes[0].memory_bytes'; }
is_below() { [ "$(memory)" -lt "$1" ]; }

@test "--max-memory: at it only deletes are taken, and what they free is used again" {
    sanitized && skip "a sanitizer has its own heap"
    one_node --max-memory 64MiB --retry-horizon 1s
    head -c 1000000 /dev/zero | tr '\0' x >"$folder/value"
    for i in $(seq 100); do
        hearsay --no-session set "big:$i" --value-file "$folder/value" >/dev/null 2>&1 || break
    done
    [ "$i" -gt 40 ]
    [ "$i" -lt 80 ]
    wait_until 10 is_full
    # Not much beyond it.
    [ "$(memory)" -lt $((72 * 1024 * 1024)) ]
    [ "$(hearsay --no-session get big:1 | wc -c)" -eq 1000001 ]
    for i in $(seq 100); do hearsay --no-session del "big:$i" >/dev/null || break; done
    wait_until 20 is_below $((32 * 1024 * 1024))
    wait_until 10 is_taken
    log_has node_0 'memory has room again'
}
