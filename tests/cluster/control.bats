#!/usr/bin/env bats
# What hearsayctl shows of a cluster beside its nodes: events, keys, sessions.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

saw() { jq -es "any(.[]; $2)" "$folder/$1.out"; }

@test "events: kept by each, merged by time, counted, and followed" {
    cluster 2
    run -0 ctl events --json
    jq -es 'any(.[]; .name == "node 0" and .event == "join" and (.text | test("id=1")))' <<<"$output"
    jq -es 'any(.[]; .program == "broker" and .event == "join")' <<<"$output"
    jq -es 'map(.us) | . == sort' <<<"$output"
    run -0 ctl events --json --node 1
    jq -es 'length > 0 and all(.[]; .id == 1)' <<<"$output"
    start_program follow timeout 60 "$BUILD/hearsayctl" --beacon-port "$beacon_port" \
        events --follow --json
    wait_until 10 saw follow '.event == "join"'
    ctl status 1 offline
    wait_until 10 saw follow '.name == "node 1" and .event == "status" and
        (.text | test("status=offline was=active by=hearsayctl"))'
    end_program node_1 KILL
    wait_until 10 saw follow '.name == "node 0" and .event == "leave"'
    # Half of two members is out of reach.
    wait_until 10 saw follow '.name == "node 0" and .event == "partition"'
    end_program follow INT
    [ "$status" -eq 130 ]
    # Each once, though the kept and the followed overlap.
    jq -es '(map([.incarnation, .number]) | unique | length) == length' "$folder/follow.out"
    run -0 ctl nodes --json
    jq -e '.nodes[] | select(.id == 0) | .counts.event_leave == 1 and .counts.event_join >= 1' \
        <<<"$output"
    log_has node_0 "peer lost id=1 .* event=leave"
}

@test "events: lines for people, and nobody there" {
    cluster 1
    run -0 ctl events
    [[ $output =~ Z\ node\ 0\ +broker-join\ +broker\ joined\ incarnation= ]]
    run -3 ctl events --node 7
    end_program node_0 TERM
    end_program broker_0 TERM
    run -3 ctl --timeout 2s events
}

@test "key: how it is at each replica" {
    cluster 2
    hearsay hset user:7 name Ada lang en
    hearsay set counter 41
    hearsay incr counter
    hearsay set short text
    hearsay expire short 1000
    ctl wait --nodes 2 --timeout 10s
    run -0 ctl key user:7 --json
    jq -e '.ok and .key == "user:7" and (.replicas | map(.id)) == [0, 1] and
        all(.replicas[]; .there and .type == "hash" and .size == 2 and .expires_ms == null and
            .updates_waiting == 0 and .requests_waiting == 0 and (.updates | length) == 1)' \
        <<<"$output"
    run -0 ctl key counter --json
    jq -e 'all(.replicas[]; .type == "register" and .size == 2)' <<<"$output"
    run -0 ctl key short --json
    jq -e 'all(.replicas[]; .size == 4 and .expires_ms > .tag_ms)' <<<"$output"
    run -0 ctl key short
    [[ ${lines[0]} == "NODE  TYPE      SIZE  TTL "* ]]
    [[ ${lines[1]} =~ \ 99[0-9]s\  ]]
    run -1 ctl key absent --json
    jq -e 'all(.replicas[]; (.there | not) and .type == "none" and .size == 0)' <<<"$output"
    run -2 ctl key ""
    run -2 ctl key
}

@test "key: a request that waits for it" {
    cluster 2
    # The token of a session that has seen an update which only node 0, stopped then, has.
    ctl status 1 offline
    hearsay set seen 1
    end_program node_0 KILL
    ctl status 1 active
    start_program waiting timeout 30 env XDG_STATE_HOME="$folder/state" "$BUILD/hearsay" \
        --beacon-port "$beacon_port" --timeout 20s get seen
    waits() { ctl key seen --json | jq -e '.replicas[0].requests_waiting == 1'; }
    wait_until 15 waits
    node 0
    wait_until 15 grep -qx 1 "$folder/waiting.out"
}

@test "sessions: by connection and replica" {
    cluster 2
    start_program load timeout 60 env XDG_STATE_HOME="$folder/state" "$BUILD/hearsay" \
        --beacon-port "$beacon_port" --no-session bench --sessions 20 --connections 2 \
        --requests 1000000000 --rate 100 --duration 60s
    all() { ctl sessions --json | jq -e '.brokers[0] | .sessions >= 20 and
        ([.list[].sessions] | add) == .sessions and (.list | length) == .routes and
        ([.list[].connection] | unique | length) >= 2'; }
    wait_until 15 all
    run -0 ctl sessions
    [[ ${lines[0]} == "BROKER "*"CONNECTION  REPLICA  SESSIONS  IN FLIGHT" ]]
}
