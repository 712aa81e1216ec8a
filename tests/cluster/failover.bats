#!/usr/bin/env bats
# Sessions under load while nodes are drained and restarted, killed or frozen.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# writer N: asks at some 500 requests a second, all of one session, until $folder/stop is there:
# increments, and sets that the next line reads back. How many rounds, in $folder/rounds_N.
writer() {
    local i=0 k
    while [ ! -e "$folder/stop" ]; do
        for k in 1 2 3 4; do
            i=$((i + 1))
            printf 'incr total\nset own_%d %d\nget own_%d\n' "$1" "$i" "$1"
        done
        sleep 0.02 # the pace of the load
    done
    echo "$i" >"$folder/rounds_$1"
}

# open_load N: that many sessions under load, each by a program of its own.
open_load() {
    local i
    sessions=$1
    for ((i = 0; i < sessions; i++)); do
        writer "$i" 3>&- | timeout 100 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session \
            --json --timeout 5s >"$folder/load_$i" 2>>"$folder/load.log" 3>&- &
        load_pid[i]=$!
    done
    for ((i = 0; i < sessions; i++)); do wait_until 10 has_lines "$folder/load_$i" 50; done
}

# close_load: ends it and holds that each request was answered and none failed, that every session
# read what it had written, and that the counter is exact.
close_load() {
    local i rounds total=0
    touch "$folder/stop"
    for ((i = 0; i < sessions; i++)); do
        wait "${load_pid[i]}"
        rounds=$(cat "$folder/rounds_$i")
        total=$((total + rounds))
        if grep -v '^{"ok":true,' "$folder/load_$i"; then return 1; fi
        [ "$(lines_of "$folder/load_$i")" -eq $((3 * rounds)) ]
        [ "$(awk 'NR % 3 == 0' "$folder/load_$i" | json_field value)" = "$(seq "$rounds")" ]
    done
    [ "$(hearsay --no-session --timeout 5s incr total 0)" = "$total" ]
    echo "$total increments, $((3 * total)) requests"
}

@test "rolling restart with draining: no request fails, and every counter is exact" {
    cluster 3
    open_pipe --json --timeout 5s # idle all the while
    echo 'incr idle' >&9
    wait_until 10 has_lines "$folder/out" 1
    open_load 4
    local id
    for id in 0 1 2; do
        ctl status "$id" draining --timeout 10s
        end_program "node_$id" TERM
        [ "$status" -eq 0 ]
        node "$id"
        ctl wait --nodes 3 --brokers 1 --timeout 20s
    done
    close_load
    echo 'incr idle' >&9
    wait_until 10 has_lines "$folder/out" 2
    end_pipe
    [ "$(json_field value <"$folder/out" | tr '\n' ' ')" = "1 2 " ]
    ctl --json brokers | grep -q '"handed_over":[1-9]'
    ctl --json brokers | grep -q '"routes_lost":0,'
}

@test "SIGTERM drains by itself; a second signal does not wait" {
    cluster 3
    open_load 2
    local id
    for id in 0 1 2; do
        end_program "node_$id" TERM
        [ "$status" -eq 0 ]
        log_has "node_$id" "status=draining"
        node "$id"
        ctl wait --nodes 3 --brokers 1 --timeout 20s
    done
    close_load
    # A frozen broker confirms nothing.
    kill -STOP "$(pid_of broker_0)"
    kill -TERM "$(pid_of node_0)"
    wait_until 5 log_has node_0 "status=draining was=active.*"
    end_program node_0 TERM
    [ "$status" -eq 0 ]
}

@test "draining says how many sessions are left, and active or auto takes it back" {
    cluster 2
    open_pipe --json --replica 1 --timeout 20s
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    # Its broker cannot hand the session over.
    kill -STOP "$(pid_of broker_0)"
    run ctl status 1 draining --timeout 700ms
    [ "$status" -eq 3 ]
    [[ "$output" == *"not each of 1 brokers has confirmed"* ]]
    kill -CONT "$(pid_of broker_0)"
    wait_until 10 ctl status 1 draining --timeout 1s
    # Pinned: it waits for that one and no other.
    echo 'incr n' >&9
    run hearsay --no-session --replica 1 --timeout 500ms get n
    [ "$status" -eq 3 ]
    [[ "$output" == *draining* ]]
    [ "$(hearsay --no-session --timeout 5s --json get n | json_field replica)" = 0 ]
    # It still gossips.
    [ "$(hearsay --timeout 5s set k v)" = OK ]
    ctl wait --nodes 2 --brokers 1 --timeout 10s
    [[ "$(ctl nodes)" == *draining* ]]
    ctl status 1 active
    wait_until 10 has_lines "$folder/out" 2
    end_pipe
    [ "$(tail -n 1 "$folder/out" | json_field value)" = 2 ]
    ctl status 1 draining
    ctl status 1 auto
    is_active() { ctl nodes | grep -qE '^1 +active +auto load'; }
    wait_until 10 is_active
}

# open_gaps SESSIONS: tests/cluster/gaps.c, its input file descriptor 9, its output 8.
open_gaps() {
    coproc GAPS { exec timeout 100 "$BUILD/tests/gaps" "$beacon_port" "$1" s 2>>"$folder/gaps.log" 3>&-; }
    gaps_pid=$!
    exec 8<&"${GAPS[0]}" 9>&"${GAPS[1]}"
    eval "exec ${GAPS[0]}<&- ${GAPS[1]}>&-"
}

# gaps COMMAND: its answer in $answer.
gaps() {
    echo "$1" >&9
    read -r -t 30 answer <&8
}

# close_gaps: ends it, and prints and bounds what the sessions saw.
close_gaps() {
    local max
    exec 9>&-
    wait_until 10 eval '! kill -0 "$gaps_pid"'
    cat <&8 >"$folder/gaps.out"
    wait "$gaps_pid"
    max=$(awk '/^gaps/ { print int($8) }' "$folder/gaps.out")
    echo "# $BATS_TEST_DESCRIPTION: $(head -n 1 "$folder/gaps.out") ms" >&3
    [ "$max" -lt 5000 ]
}

@test "a replica is killed again and again: no write is lost, no session sees the past" {
    cluster 3
    open_gaps 24
    local victim i
    for i in $(seq 21); do
        gaps mark
        victim=${answer#most }
        end_program "node_$victim" KILL
        gaps served
        [ "$(cut -d' ' -f2 <<<"$answer")" -ge 1 ]
        node "$victim"
        wait_until 20 eval "[ \$(grep -c 'replica joined id=$victim' '$folder/broker_0.log') -gt \
            \$(grep -c 'replica lost id=$victim' '$folder/broker_0.log') ]"
    done
    # Those that had moved stay where they are; new ones make up for it.
    gaps where
    [[ "$answer" != *" $victim:"* ]]
    start_program bench "$BUILD/hearsay" --beacon-port "$beacon_port" bench --sessions 6 \
        --connections 6 --duration 60s --rate 100
    wait_until 10 eval "ctl brokers | grep -q '$victim:active([23456])'"
    gaps where
    [[ "$answer" != *" $victim:"* ]]
    close_gaps
}

@test "a broker is killed again and again: its clients reconnect, nothing else" {
    cluster 2
    broker 1
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    open_gaps 12
    local i victim=0 least=0
    for i in $(seq 8); do
        gaps mark
        end_program "broker_$victim" KILL
        gaps served
        [ "$(cut -d' ' -f2 <<<"$answer")" -ge "$least" ]
        least=12 # from now on all are at the other one
        broker "$victim"
        ctl wait --nodes 2 --brokers 2 --timeout 20s
        victim=$((1 - victim))
    done
    close_gaps
}

@test "a replica and a broker freeze and wake up: both are passed over, and serve again" {
    cluster 2
    broker 1
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    open_gaps 12
    local victim frozen
    gaps mark
    victim=${answer#most }
    kill -STOP "$(pid_of "node_$victim")"
    gaps served
    echo "# a replica is stopped: $answer ms" >&3
    [[ "$answer" =~ ^moved\ ([0-9]+)\ ([0-9]+)\ others\ ([0-9]+)$ ]]
    [ "${BASH_REMATCH[1]}" -ge 1 ]
    [ "${BASH_REMATCH[3]}" -lt 800 ] # the moved ones wait for 1,000 ms at least
    kill -CONT "$(pid_of "node_$victim")"
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    gaps where
    [ "$answer" = "at $((1 - victim)):12" ] # they stay
    for frozen in 0 1; do
        gaps mark
        kill -STOP "$(pid_of "broker_$frozen")"
        gaps served
        kill -CONT "$(pid_of "broker_$frozen")"
        ctl wait --nodes 2 --brokers 2 --timeout 20s
    done
    [ "$(cut -d' ' -f2 <<<"$answer")" -eq 12 ]
    close_gaps
}
