#!/usr/bin/env bats
# More than a node or broker can take: what turns overloaded, what is refused, and who does not notice.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

has_status() { ctl nodes | grep -qE "^$1 +$2 "; }

@test "--auto load: what is asked too much turns overloaded, new sessions go elsewhere, and back" {
    cluster 2
    seq -f 'set key%g v' 20000 | hearsay --no-session >/dev/null
    local heavy i
    # By sessions node 0 would be the next one.
    echo 'get key1' >"$folder/first"
    for i in 1 2 3; do
        start_program "idle_$i" bash -c "tail -n +1 -f --pid=$$ '$folder/first' |
            '$BUILD/hearsay' --beacon-port $beacon_port --no-session --replica 1"
        wait_until 10 has_lines "$folder/idle_$i.out" 1
    done
    # A page of the keys that none of 20,000 belongs on costs the node much and nobody else.
    yes 'scan 0 nomatch 1000' 3>&- | timeout 60 "$BUILD/hearsay" --beacon-port "$beacon_port" \
        --no-session --replica 0 --window 256 >/dev/null 2>>"$folder/heavy.log" 3>&- &
    heavy=$!
    wait_until 20 has_status 0 overloaded
    has_status 1 active
    for i in 1 2 3 4; do
        [ "$(hearsay --no-session --json --timeout 5s get key1 | json_field replica)" = 1 ]
    done
    kill "$heavy"
    wait_until 20 has_status 0 active
    [ "$(hearsay --no-session --json --timeout 5s get key1 | json_field replica)" = 0 ]
    log_has node_0 "status=overloaded was=active by=load"
}

@test "--auto load: a node with little to do on a busy machine stays active" {
    cluster 2
    local i burners=() rounds
    for i in 1 2 3 4; do
        timeout 30 sh -c 'while :; do :; done' 3>&- &
        burners+=($!)
    done
    rounds() { grep -c 'gossip round' "$folder/node_0.log"; }
    wait_until 30 eval '[ "$(rounds)" -ge 5 ]'
    # A trickle of requests is little, too.
    hearsay bench --sessions 2 --rate 20 --duration 3s >/dev/null
    kill "${burners[@]}"
    [ "$(cat "$folder"/node_*.log | grep -c 'by=load')" -eq 0 ]
}
