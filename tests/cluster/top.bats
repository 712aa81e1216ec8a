#!/usr/bin/env bats
# hearsayctl top, and the drill of docs/operating.md as it stands there.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() {
    local space
    for space in ops left right; do
        ip netns delete "hs$$-$space" 2>/dev/null || true
    done
    cluster_teardown
}

@test "top --once: nodes, lag of each by each, brokers, events" {
    cluster 2
    hearsay set k 1
    ctl wait --nodes 2 --timeout 10s
    run -0 ctl top --once
    [[ ${lines[0]} == "hearsay  cluster hearsay  20"*"Z  sorted by id" ]]
    [[ ${lines[1]} == "NODE  STATUS  AGE "*" REQ/S "*" LAG "*" CONFLICTS "*"HELD BACK BY" ]]
    [[ ${lines[2]} =~ ^0\ +active ]]
    [[ ${lines[3]} =~ ^1\ +active ]]
    [[ $output =~ LACKS\ OF\ \ 0\ \ 1$'\n'node\ 0\ +-\ \ 0$'\n'node\ 1\ +0\ \ - ]]
    [[ $output == *"BROKER "*"127.0.0.1:$(broker_port)"* ]]
    [[ $output == *"LATEST EVENTS"*" join "* ]]
}

@test "top --once: lag and rates while a node is offline; sorted" {
    cluster 2
    ctl status 1 offline
    for i in 1 2 3; do hearsay incr count; done
    run -0 ctl top --once --sort lag
    [[ ${lines[2]} =~ ^1\ +offline ]]
    [[ $output =~ node\ 1\ +-\ \ 3 ]]
    start_program load timeout 60 env XDG_STATE_HOME="$folder/state" "$BUILD/hearsay" \
        --beacon-port "$beacon_port" --no-session bench --sessions 5 --requests 1000000000 \
        --rate 200 --duration 60s
    # Columns 5 and 6: requests and updates a second.
    busy() { ctl top --once --sort requests | awk 'NR == 3 { exit !($1 == 0 && $5 > 50 && $6 > 20) }'; }
    wait_until 20 busy
    ctl status 1 active
    even() { ctl top --once | grep -Eq '^1 +active'; }
    wait_until 20 even
    end_program node_1 KILL
    off() { ctl top --once | grep -qx 'node 1 does not answer'; }
    wait_until 10 off
    # Who is not coming back is missed no more.
    ctl forget 1 --yes
    run -0 ctl top --once
    [[ $output != *"does not answer"* ]]
}

@test "top on a terminal: drawn, sorted by keys, ended by q" {
    cluster 1
    printf '%s\n' 'expect sorted by id' 'expect active' 'send s' 'expect requests' 'send q' 'code 0' |
        TERM=xterm timeout 60 "$BATS_TEST_DIRNAME/terminal.py" "$BUILD/hearsayctl" \
            --beacon-port "$beacon_port" top
    run -2 ctl top </dev/null
    [[ $output == *"hearsayctl top --once needs none"* ]]
    run -2 ctl top --json
}

@test "the drill: cut a link, see the lag, read on both sides, heal" {
    ip netns add "hs$$-ops" 2>/dev/null || skip "network namespaces need root and ip netns"
    ip netns exec "hs$$-ops" true 2>/dev/null || skip "ip netns exec does not work here"
    ip -n "hs$$-ops" link add probe type bridge 2>/dev/null || skip "this kernel makes no bridge"
    ip netns delete "hs$$-ops"
    # The commands of the page in their order, in spaces of this test's own.
    sed -n '/^```sh drill$/,/^```$/{/^```/!p}' "$root/docs/operating.md" |
        sed "s/hs-/hs$$-/g" >"$folder/drill"
    [ "$(wc -l <"$folder/drill")" -gt 30 ]
    cd "$folder"
    PATH=$BUILD:$PATH run -0 timeout 200 bash -e drill
    # What the page says of it.
    [ "$(grep -c '^LACKS OF' <<<"$output")" -eq 2 ]
    [[ $output =~ node\ 0\ +-\ \ 8$'\n'node\ 1\ +6\ \ - ]]
    [[ $output =~ node\ 0\ +-\ \ 0$'\n'node\ 1\ +0\ \ - ]]
    [[ $output == *$'\n50\n7\nwritten on the left\n'* ]]
    [[ $output == *$'\n57\n57\nwritten on the right\n'* ]]
    [[ $output == *" suspect "*" partition "* ]]
    # Conflicts are column 12 of the nodes: none yet in the first table, then one, at node 1 alone.
    counted() { awk '/^NODE /, /^$/ { if ($1 ~ /^[01]$/) printf "%s ", $12 }' <<<"$output"; }
    [ "$(counted)" = "0 0 0 1 " ]
    [[ $output == *" conflict "*" count=1 op=set id=0 "*' key="place"'* ]]
}
