#!/usr/bin/env bats
# hearsayctl trace: sockets, requests and updates of all programs in one stream.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# trace NAME COUNT ARGUMENTS...: follows under that name until so many programs are followed.
trace() {
    local name=$1 count=$2
    shift 2
    start_program "$name" timeout 60 "$BUILD/hearsayctl" --beacon-port "$beacon_port" trace "$@"
    wait_until 10 follows "$name" "$count"
}
follows() { [ "$(grep -c following "$folder/$1.log")" -ge "$2" ]; }

has_what() { jq -es "any(.[]; $2)" "$folder/$1.out"; }

@test "a request and its update, from the broker to where it is applied" {
    cluster 2
    trace all 3 --json
    hearsay set visits 41
    run -0 hearsay --json incr visits
    at=$(json_field replica <<<"$output")
    other=$((1 - at))
    wait_until 10 eval '[ "$(grep -c "\"what\":\"applied\"" "$folder/all.out")" -eq 2 ]'
    end_program all INT
    [ "$status" -eq 130 ]
    log_has all "0 lost on the way, 0 dropped"
    # Each step of the incr, found by its request and its update, in the order of their times.
    run -0 jq -rs '
        (map(select(.what == "received" and .text == "incr")) | first) as $request |
        (map(select(.what == "accepted" and .session == $request.session)) | first) as $update |
        map(select((.session == $request.session and .seq == $request.seq) or
                   (.update != null and .update == $update.update))) |
        map("\(.name | sub(" :.*"; "")) \(.what)") | .[]' "$folder/all.out"
    for step in "broker forwarded" "node $at received" "node $at accepted" "node $at logged" \
        "node $at published" "node $other applied" "node $other logged" "node $at replied" \
        "broker returned"; do
        [ "$(grep -cx "$step" <<<"$output")" -eq 1 ] || { echo "not once: $step"; false; }
    done
    [ "${lines[0]}" = "broker forwarded" ]
    [ "${lines[1]}" = "node $at received" ]
    [ "${lines[2]}" = "node $at accepted" ]
    # By time, and each line is an object with these.
    jq -es 'map(.us) | . == sort' "$folder/all.out"
    jq -es 'all(.[]; has("time") and has("area") and has("what") and has("name"))' "$folder/all.out"
}

@test "the key, the node and what are filters" {
    cluster 2
    trace key 3 --json --key visits
    trace requests 3 --json --what requests
    trace node 1 --json --node 1
    hearsay set other 1
    hearsay set visits 2
    wait_until 10 has_what key '.what == "applied"'
    wait_until 10 eval '[ "$(grep -c "\"what\":\"returned\"" "$folder/requests.out")" -eq 2 ]'
    wait_until 10 has_what node '.area == "gossip"'
    jq -es 'all(.[]; .key == null or .key == "visits")' "$folder/key.out"
    has_what key '.what == "returned"'
    has_what key '.what == "published"'
    [ "$(jq -s 'map(select(.what == "logged")) | length' "$folder/key.out")" -le 2 ]
    jq -es 'all(.[]; .area == "requests")' "$folder/requests.out"
    jq -es 'all(.[]; .name == "node 1")' "$folder/node.out"
}

@test "sockets: libzmq's names, on both sides, when a node dies and comes back" {
    cluster 2
    trace sockets 3 --json --what sockets
    end_program node_1 KILL
    wait_until 10 has_what sockets \
        '.name == "node 0" and .what == "DISCONNECTED" and (.text | startswith("dealer tcp://"))'
    wait_until 10 has_what sockets '(.name | startswith("broker")) and .what == "DISCONNECTED"'
    node 1
    wait_until 10 has_what sockets '.name == "node 0" and .what == "ACCEPTED"'
    wait_until 10 has_what sockets '.name == "node 0" and .what == "HANDSHAKE_SUCCEEDED"'
    # Its new start is followed without being asked for.
    wait_until 10 follows sockets 4
}

@test "lines for people; --for ends it; nothing is coloured in a pipe" {
    cluster 1
    run -0 --separate-stderr ctl trace --for 1s
    [[ $stderr == *"following node 0"* ]]
    [[ $stderr == *" shown, 0 lost on the way, 0 dropped"* ]]
    trace lines 2
    hearsay set visits 1
    wait_until 10 grep -Eq ' node 0 +accepted +0:1 key=visits session=[0-9a-f]{16} seq=1$' \
        "$folder/lines.out"
    ! grep -q $'\e' "$folder/lines.out"
}

@test "perfetto: slices in every program, and each arrow has two ends" {
    cluster 2
    trace perfetto 3 --perfetto "$folder/trace.json"
    hearsay set visits 1
    hearsay incr visits
    hearsay get visits
    # What it has seen is written in the end; the session's replies came, the updates follow soon.
    run -0 ctl wait --nodes 2 --timeout 10s
    end_program perfetto INT
    [ "$status" -eq 130 ]
    [ ! -s "$folder/perfetto.out" ]
    jq -e '.traceEvents | all(.[]; has("ph") and has("pid") and has("tid") and has("ts"))' \
        "$folder/trace.json"
    jq -e '[.traceEvents[] | select(.name == "process_name") | .args.name] | length == 3' \
        "$folder/trace.json"
    # A request is a slice at the broker and one at the node, each with a length.
    jq -e '[.traceEvents[] | select(.ph == "X" and .args.request != null and .tid >= 10)] |
        all(.[]; .dur >= 0) and
        (group_by(.args.request) | length >= 3 and all(.[]; map(.pid) | unique | length == 2))' \
        "$folder/trace.json"
    # Slices of one row do not overlap.
    jq -e '[.traceEvents[] | select(.ph == "X")] | group_by([.pid, .tid]) | all(.[];
        sort_by(.ts) | [.[:-1], .[1:]] | transpose | all(.[]; .[0].ts + .[0].dur <= .[1].ts + 0.001))' \
        "$folder/trace.json"
    # Arrows: as many beginnings as ends, by the same ids, from one process to another.
    jq -e '.traceEvents | (map(select(.ph == "s") | .id) | sort) as $s |
        (map(select(.ph == "f") | .id) | sort) as $f | ($s | length) >= 4 and $s == $f' \
        "$folder/trace.json"
    jq -e '[.traceEvents[] | select((.ph == "s" or .ph == "f") and .name == "update")] |
        group_by(.id) | any(.[]; .[0].pid != .[1].pid)' "$folder/trace.json"
}

@test "wrong words and nobody there" {
    run -2 ctl trace --what socket
    [[ $output == *"did you mean sockets?"* ]]
    run -2 ctl trace --perfetto /nonexistent/file
    run -3 --separate-stderr ctl --timeout 2s trace
    [[ $stderr == *"nobody to follow"* ]]
}
