#!/usr/bin/env bats
# A machine whose clock is far ahead: its node is refused, shown, and accepted by people.

load helpers

setup() {
    cluster_setup
    "$CC" -shared -fPIC -O1 -o "$folder/clock_ahead.so" "$BATS_TEST_DIRNAME/preload/clock_ahead.c" ||
        skip "no shared library can be built to shift a clock"
}
teardown() { cluster_teardown; }

# node_ahead SECONDS ID [ARGUMENTS...]: a node on a machine whose clock is so far ahead.
node_ahead() {
    local ahead=$1 id=$2
    shift 2
    start_program "node_$id" env "CLOCK_AHEAD_S=$ahead" "LD_PRELOAD=$folder/clock_ahead.so" \
        ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
        "$BUILD/hearsay-node" "$id" --beacon-port "$beacon_port" \
        --listen "tcp://127.0.0.1:$(node_port "$id")" --data "$folder/replica_$id" \
        --gossip-interval 1s "$@"
}

status_of() { ctl nodes | awk -v id="$1" '$1 == id { $1 = ""; print }'; }
is_ahead() { [[ $(status_of "$1") == *"clock "*"s ahead"* ]]; }
refused_by() { ctl --json nodes | jq -r ".nodes[] | select(.id == $1) | .refused[].id" | sort | tr '\n' ' '; }
is_refused_by() { [ "$(refused_by "$1")" = "$2 " ]; }
clock_s() { ctl --json nodes | jq ".nodes[] | select(.id == $1) | .clock_ms / 1000 | floor"; }

@test "a node an hour ahead is refused and shown; accepted, it is taken in by all, and stays so" {
    node 0
    node 1
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    hearsay set a 1
    node_ahead 3600 2
    wait_until 20 is_refused_by 0 2
    wait_until 20 is_refused_by 1 2
    is_ahead 2
    run is_ahead 0
    [ "$status" -eq 1 ]
    ahead=$(ctl --json nodes | jq '.nodes[] | select(.id == 0) | .refused[0].clock_ahead_ms')
    [ "$ahead" -gt 3590000 ] && [ "$ahead" -lt 3610000 ]
    ctl events >"$folder/events"
    grep -q 'clock .*accept-clock' "$folder/events"
    # Both sides go on.
    hearsay set a 2
    wait_until 20 hearsay --no-session --replica 2 set b 1
    run ctl wait --nodes 3 --brokers 1 --timeout 1s
    [ "$status" -eq 1 ]

    # It is to be said that it is meant, and who is not refused is not accepted.
    run ctl accept-clock 2 </dev/null
    [ "$status" -eq 2 ]
    [[ "$output" == *"cannot be undone"*--yes* ]]
    run ctl accept-clock 1 --yes
    [ "$status" -eq 1 ]
    [[ "$output" == *"node 0: does not refuse the clock of node 1"* ]]
    run ctl accept-clock 900 --yes
    [ "$status" -eq 2 ]
    is_refused_by 0 2

    ctl --json accept-clock 2 --yes >"$folder/accepted.json"
    [ "$(jq .ok "$folder/accepted.json")" = true ]
    [ "$(jq -c '[.nodes[] | select(.accepted) | .id]' "$folder/accepted.json")" = "[0,1]" ]
    [ "$(jq '.nodes[0].moved_ms' "$folder/accepted.json")" -gt 3590000 ]
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    wait_until 10 is_there 2 a 2
    wait_until 10 is_there 0 b 1
    [ -z "$(refused_by 0)" ]
    [ "$(clock_s 0)" -gt $(($(date +%s) + 3500)) ]

    # After a start the node has its clock again, and is with the others.
    end_program node_0 KILL
    node 0
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    [ "$(clock_s 0)" -gt $(($(date +%s) + 3500)) ]
    hearsay set a 3
    wait_until 10 is_there 0 a 3
    wait_until 10 is_there 2 a 3
}

refuses_both() { [ "$(refused_by 1)" = "0 2 " ]; }

@test "a node that accepts a clock is refused by the others until they accept it too" {
    node 0
    node 1
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    hearsay set a 1
    node_ahead 3600 2
    wait_until 20 is_refused_by 0 2
    wait_until 20 is_refused_by 1 2
    run ctl accept-clock 2 --yes --node 0
    [ "$status" -eq 0 ]
    [[ "$output" == "node 0: accepted the clock of node 2, its own moved by 3"*" s" ]]
    wait_until 20 refuses_both
    run ctl accept-clock 2 --yes --node 1
    [ "$status" -eq 0 ]
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    [ "$(clock_s 1)" -gt $(($(date +%s) + 3500)) ]
}

@test "a clock that was wrong is set right: the node is taken in without a word" {
    node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    hearsay set a 1
    node_ahead 3600 1
    wait_until 20 is_refused_by 0 1
    end_program node_1 TERM
    node_ahead 0 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ -z "$(refused_by 0)" ]
    run is_ahead 1
    [ "$status" -eq 1 ]
    [ "$(clock_s 0)" -lt $(($(date +%s) + 60)) ]
}

@test "a node that took updates under a wrong clock keeps that clock, and is accepted with it" {
    node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    hearsay set a 1
    node_ahead 3600 1
    wait_until 20 hearsay --no-session --replica 1 set b 1
    end_program node_1 TERM
    node_ahead 0 1
    wait_until 20 is_refused_by 0 1
    ctl accept-clock 1 --yes
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    wait_until 10 is_there 0 b 1
    wait_until 10 is_there 1 a 1
}
