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

# p99_us: of a trickle of requests by sessions of their own, in microseconds.
p99_us() {
    hearsay --json bench --sessions 8 --connections 8 --rate 400 --duration 2s --keys 100 |
        sed -n 's/.*"all":.*"p99":\([0-9]*\).*/\1/p'
}

# holds WHAT BEFORE DURING: prints the ratio; a bound that only a broker that waits would break.
holds() {
    echo "# p99 of the others: $2 us before, $3 us while $1, ratio $(($3 * 100 / $2))%" >&3
    [ "$3" -lt $(($2 * 20 + 300000)) ]
}

broker_count() { ctl --json brokers | json_field "$1"; }

@test "a client that does not read: others do not notice" {
    cluster 3
    local before
    head -c 1000000 /dev/zero | tr '\0' x | hearsay --no-session --stdin set big >/dev/null
    before=$(p99_us)
    open_pipe --no-session --window 64 --timeout 60s
    for _ in $(seq 64); do echo 'get big'; done >&9
    wait_until 10 eval '[ -s "$folder/out" ]'
    kill -STOP "$(pid_of pipe)"
    wait_until 10 eval '[ "$(broker_count unread)" -gt 20000000 ]'
    holds "a client does not read" "$before" "$(p99_us)"
    kill -CONT "$(pid_of pipe)"
    wait_until 20 has_lines "$folder/out" 64
    end_pipe
}

@test "more connections than a broker takes: BUSY, counted, and the others are served" {
    node 0
    start_program broker_0 prlimit --nofile=160:160 "$BUILD/hearsay-broker" \
        --beacon-port "$beacon_port" --listen "tcp://127.0.0.1:$(broker_port)"
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    log_has broker_0 ' files=160'
    open_pipe --no-session --timeout 20s
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    start_program crowd "$BUILD/hearsay" --beacon-port "$beacon_port" bench --sessions 135 \
        --connections 135 --rate 200 --duration 60s --timeout 1s
    wait_until 20 eval '[ "$(broker_count busy_connections)" -gt 0 ]'
    [ "$(broker_count clients)" -le 120 ]
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 2
    end_pipe
    [ "$status" -eq 0 ]
}
