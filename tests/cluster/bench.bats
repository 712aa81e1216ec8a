#!/usr/bin/env bats
# hearsay bench: what it says it did is what it did. How fast is not tested here.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# bench ARGUMENTS...: as JSON, in $folder/json; $status.
bench() {
    status=0
    timeout 60 "$BUILD/hearsay" --beacon-port "$beacon_port" --json bench "$@" \
        >"$folder/json" 2>"$folder/bench.log" || status=$?
    cat "$folder/json"
}

# holds EXPRESSION: of jq, over what bench said.
holds() { jq -e "$1" "$folder/json" >/dev/null || { echo "not so: $1"; return 1; }; }

@test "closed loop: as many as were asked for, each of them done" {
    cluster 2
    bench --mix incr:1 --keys 1 --warm-up 0 --requests 5000 --sessions 20 --pipeline 8
    [ "$status" -eq 0 ]
    holds '.ok and .all.requests == 5000 and .commands.incr.requests == 5000 and .failed == {}'
    holds '.all.us.p50 > 0 and .all.us.p50 <= .all.us.p99 and .all.us.p99 <= .all.us.max'
    # What was under way when the last one that counts was issued came on top.
    local sum
    sum=$(hearsay --replica 0 get bench:incr:0)
    [ "$sum" -ge 5000 ]
    [ "$sum" -lt $((5000 + 20 * 8)) ]
}

@test "a mix, several connections, several processes" {
    cluster 2
    bench --mix set:60,get:30,hset:10 --requests 6000 --connections 600 --warm-up 0 --value-size 1KiB
    [ "$status" -eq 0 ]
    holds '.ok and .all.requests == 6000 and .connections == 600 and .sessions == 600'
    holds '.commands.set.requests | . > 3000 and . < 4200'
    holds '.commands.hset.requests | . > 300 and . < 900'
    [ "$(hearsay --replica 0 get bench:set:nope || true)" = "(nil)" ]
}

@test "open loop: what is due is issued, a stall is seen by all that it holds up" {
    cluster 1
    bench --rate 1000 --duration 2s --warm-up 0 --mix get:1
    [ "$status" -eq 0 ]
    holds '.ok and .all.requests >= 1990 and .all.requests <= 2001'
    # The broker stands still for a while in the middle: a closed loop would have one slow answer each.
    rm -f "$folder/json"
    bench --rate 1000 --duration 3s --warm-up 0 --mix get:1 --sessions 1 &
    local pid=$!
    wait_until 5 test -e "$folder/json"
    sleep 1
    kill -STOP "$(pid_of broker_0)"
    sleep 0.6
    kill -CONT "$(pid_of broker_0)"
    wait "$pid"
    holds '.all.requests >= 2990 and .all.us.max > 500000 and .all.us.p90 > 100000'
}

@test "a bench that is pinned asks that replica alone" {
    cluster 2
    bench --replica 1 --requests 1000 --warm-up 0 --sessions 5
    [ "$status" -eq 0 ]
    log_has node_1 "session opened"
    if log_has node_0 "session opened"; then
        return 1
    fi
}

@test "a replica killed in the middle: a bench without a failure" {
    cluster 3
    bench --mix incr:1 --keys 1 --warm-up 0 --requests 100000000 --duration 3s --timeout 20s &
    local pid=$!
    wait_until 10 log_has node_0 "session opened"
    end_program node_0 KILL
    wait "$pid"
    holds '.ok and .failed == {} and .all.requests > 1000'
}

@test "5,000 connections to one broker, and none of them waits for the others" {
    sanitized && skip "sanitized processes are too large"
    [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 8192 ] ||
        skip "needs 8,192 descriptors a process"
    cluster 2
    bench --connections 5000 --rate 1000 --duration 3s --warm-up 500ms --timeout 20s
    [ "$status" -eq 0 ]
    holds '.ok and .connections == 5000 and .failed == {} and .all.requests > 2900'
    # They are a few milliseconds here; a second would be a broker that is busy with itself.
    holds '.all.us.p50 < 250000'
}

@test "visible: at every replica" {
    cluster 3
    bench --visible --duration 1s --warm-up 100ms
    [ "$status" -eq 0 ]
    holds '.ok and .replicas == 3 and .failures == 0 and .visible.requests > 50'
    holds '.visible.us.p50 > 0 and .acknowledged.requests == .visible.requests'
    run timeout 60 "$BUILD/hearsay" --beacon-port "$beacon_port" bench --visible --duration 200ms
    [ "$status" -eq 0 ]
    [[ "$output" == *"visible at all replicas"*█* ]]
}

@test "wrong plans and no broker: said, in time" {
    bench --mix set:50,got:50
    [ "$status" -eq 2 ]
    holds '.error.code == "USAGE" and (.error.message | contains("got:50"))'
    bench --connections 10 --sessions 5
    [ "$status" -eq 2 ]
    bench --timeout 300ms
    [ "$status" -eq 3 ]
    bench --timeout 300ms --connections 600
    [ "$status" -eq 3 ]
    cluster 1
    bench --value-size 2MiB --mix set:1 --requests 10 --sessions 2 --warm-up 0
    [ "$status" -eq 5 ]
    holds '.ok == false and .failed.TOO_LARGE == 10'
    bench --value-size 16MiB --keys 1 --requests 10 --sessions 1 --mix get:1 --warm-up 0
    [ "$status" -eq 0 ]
}
