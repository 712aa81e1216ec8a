#!/usr/bin/env bats
# hearsayctl check: that all nodes show the same, while they are written to.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

field() { jq -e "$1" <<<"$output"; }

@test "check: equal, while it is being written to" {
    cluster 3
    for i in $(seq 300); do
        echo "set key:$i value-$i"
        echo "hset hash:$((i % 7)) field-$i $i"
        echo "incr counter:$((i % 5))"
    done | hearsay >/dev/null
    start_program load timeout 30 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session \
        bench --duration 20s --requests 1000000 --sessions 2 --keys 500
    wait_until 10 busy
    run -0 ctl check --json --timeout 20s
    field '.ok and .nodes == [0, 1, 2] and .differing == 0 and .buckets > 1'
    end_program load TERM
    run -0 ctl check
    [[ $output =~ ^nodes\ 0,\ 1\ and\ 2,\ [0-9]+\ keys:\ equal$ ]]
}
busy() { [ "$(ctl --json nodes | jq '[.nodes[].counts.updates] | add')" -gt 2000 ]; }

@test "check: a node that shows something else is found, and the first key that differs named" {
    cluster 2
    for i in $(seq 200); do echo "set key:$i value-$i"; done | hearsay >/dev/null
    hearsay set other same
    ctl wait --nodes 2 --timeout 10s
    run -0 ctl check
    end_program node_1 TERM
    [ "$("$BUILD/tests/forge" "$folder"/replica_1/log-*.seg value-77 VALUE-77)" = 1 ]
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    run -1 ctl check --timeout 20s
    [[ $output =~ 1\ differ,\ the\ first\ is\ \"key:77\":\ register\ at\ node\ 0,\ register\ at\ node\ 1,\ of\ another\ value ]]
    run -1 ctl check --json --timeout 20s
    field '.ok == false and .differing == 1 and .first.key == "key:77" and
        (.first.shown | map(.id)) == [0, 1]'
}

@test "check: what is remembered of deleted keys hides no difference" {
    node 0 --retry-horizon 60s
    node 1 --retry-horizon 60s
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    { seq -f 'set gone:%g x' 6000; seq -f 'del gone:%g' 6000; } | hearsay >/dev/null
    hearsay set key value-1
    run -0 ctl check
    [[ $output == *", 1 keys: equal" ]]
    end_program node_1 TERM
    [ "$("$BUILD/tests/forge" "$folder"/replica_1/log-*.seg value-1 VALUE-1)" = 1 ]
    node 1 --retry-horizon 60s
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ "$(ctl --json nodes | jq '[.nodes[].counts.entries] | min')" -gt 4096 ]
    run -1 ctl check --timeout 20s
    [[ $output =~ 1\ differ,\ the\ first\ is\ \"key\": ]]
}

@test "check: who cannot be compared is named, and one node alone is not equal to itself" {
    cluster 2
    hearsay set key value
    ctl wait --nodes 2 --timeout 10s
    node 2
    ctl wait --nodes 3 --timeout 20s
    end_program node_2 TERM
    run -3 ctl check
    [[ $output == *"nodes 0 and 1,"*equal* ]]
    [[ $output == *"not compared: node 2 does not answer"* ]]
    run -3 ctl check --json
    field '.ok == false and .differing == 0 and .left_out == [{"id": 2, "why": "does not answer"}]'
    end_program node_1 TERM
    run -3 ctl check
    [[ $output == *"no two nodes to compare"*"node 1 does not answer"* ]]
}
