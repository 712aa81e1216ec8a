#!/usr/bin/env bats
# What goes wrong, for real: programs that freeze, are away for a while, come late, or are sent
# what is no message.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# value_at REPLICA KEY VALUE: true when this replica alone, asked by a new session, says so.
value_at() { [ "$(hearsay --no-session --timeout 5s --replica "$1" get "$2")" = "$3" ]; }

is_asleep() { [[ "$(cat "/proc/$(pid_of "$1")/stat")" == *" (hearsay) S "* ]]; }

@test "Ctrl-C while a command waits: 130" {
    broker
    wait_until 5 log_has broker_0 " ready "
    start_program client env --default-signal=INT XDG_STATE_HOME="$folder/state" \
        "$BUILD/hearsay" --beacon-port "$beacon_port" --timeout 60s get k
    wait_until 5 is_asleep client
    end_program client INT
    [ "$status" -eq 130 ]
}

@test "SIGTERM while a pipe has commands under way: 130" {
    cluster 1
    open_pipe --no-session
    echo 'set k v' >&9
    wait_until 10 has_lines "$folder/out" 1
    kill -STOP "$(pid_of node_0)"
    for _ in $(seq 50); do echo 'incr n'; done >&9
    echo 'nonsense' >&9
    end_program pipe TERM
    [ "$status" -eq 130 ]
    exec 9>&-
}

@test "everything freezes in mid-update: UNKNOWN, 4, and then it counts once or not at all" {
    cluster 1
    open_pipe --timeout 2s
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    kill -STOP "$(pid_of node_0)" "$(pid_of broker_0)"
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 2
    end_pipe
    [ "$status" -eq 4 ]
    [[ "$(tail -n 1 "$folder/out")" == "ERROR UNKNOWN "* ]]
    kill -CONT "$(pid_of node_0)" "$(pid_of broker_0)"
    # Behind what was under way, since the same session says it.
    [[ "$(hearsay --timeout 20s incr n)" == [23] ]]
}

@test "a replica freezes under load: its session moves, one reply each; awake it catches up" {
    cluster 3
    open_pipe --json --timeout 60s
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    local sticky
    sticky=$(json_field replica <"$folder/out")
    for _ in $(seq 5000); do echo 'incr n'; done >&9 3>&- &
    local writer=$!
    wait_until 20 has_lines "$folder/out" 500
    kill -STOP "$(pid_of "node_$sticky")"
    wait "$writer"
    end_pipe
    [ "$status" -eq 0 ]
    [ "$(json_field value <"$folder/out" | sort -n | tail -n 1)" = 5001 ]
    [ "$(grep -c '^{"ok":true,"value":[0-9]*,' "$folder/out")" -eq 5001 ]
    [ "$(json_field value <"$folder/out" | sort -n | uniq | wc -l)" -eq 5001 ]
    [ "$(tail -n 1 "$folder/out" | json_field replica)" != "$sticky" ]
    kill -CONT "$(pid_of "node_$sticky")"
    wait_until 30 value_at "$sticky" n 5001
}

@test "a node that was offline during writes has them when it is active again" {
    cluster 3
    ctl status 2 offline
    for _ in $(seq 200); do echo 'incr n'; done >"$folder/commands"
    hearsay --json <"$folder/commands" >"$folder/out"
    [ "$(tail -n 1 "$folder/out" | json_field value)" = 200 ]
    [ "$(json_field replica <"$folder/out" | sort -u | grep -c 2)" -eq 0 ]
    ctl status 2 active
    wait_until 20 value_at 2 n 200
}

# conflicts_are A B: what nodes 0 and 1 have counted.
conflicts_are() {
    [ "$(ctl --json nodes | jq -c '[.nodes[] | .counts.conflicts]')" = "[$1,$2]" ]
}

@test "one key set on two sides that cannot know of each other: counted once, where it was won" {
    cluster 2
    hearsay --no-session --replica 0 set k before
    wait_until 10 value_at 1 k before
    hearsay --no-session --replica 1 set k seen
    wait_until 10 value_at 0 k seen
    # Each side is up while the other is not.
    end_program node_1 KILL
    hearsay --no-session --replica 0 set k left
    hearsay --no-session --replica 0 incr n
    end_program node_0 KILL
    node 1 --http "127.0.0.1:$((first_port + 80))"
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    hearsay --no-session --timeout 20s --replica 1 set k right
    hearsay --no-session --replica 1 incr n
    node 0
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    wait_until 10 value_at 0 k right
    wait_until 10 value_at 1 n 2
    conflicts_are 0 1
    curl -sS --max-time 10 "http://127.0.0.1:$((first_port + 80))/metrics" |
        grep -qx 'hearsay_node_conflicts_total 1'
    run ctl events --json
    jq -es 'map(select(.event == "conflict")) | length == 1 and .[0].id == 1 and
        (.[0].text | test("count=1 op=set id=[0?] .* key=\"k\""))' <<<"$output"
    log_has node_1 'key=k event=conflict'
}

@test "a node that comes late gets everything" {
    cluster 2
    {
        for _ in $(seq 200); do echo 'incr n'; done
        echo 'hset h f v'
        echo 'set gone x'
        echo 'del gone'
    } >"$folder/commands"
    hearsay <"$folder/commands" >"$folder/out"
    node 2
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    wait_until 20 value_at 2 n 200
    [ "$(hearsay --replica 2 hget h f)" = v ]
    [ "$(hearsay --replica 2 exists gone || true)" = 0 ]
}

@test "--replica: that one and no other, also when it is not there" {
    cluster 3
    for _ in $(seq 50); do echo 'incr n'; done >"$folder/commands"
    hearsay --json --replica 1 <"$folder/commands" >"$folder/out"
    [ "$(json_field replica <"$folder/out" | sort -u)" = 1 ]
    end_program node_1 KILL
    run hearsay --replica 1 --timeout 2s get n
    [ "$status" -eq 3 ]
    [[ "$output" == *NOT_REACHED* ]]
    [ "$(hearsay --replica 2 --timeout 20s get n)" = 50 ]
}

@test "two clusters on one beacon port do not see each other" {
    node 0 --cluster red
    node 1 --cluster blue
    broker 0 --cluster red
    broker 1 --cluster blue
    ctl --cluster red wait --nodes 1 --brokers 1 --timeout 20s
    ctl --cluster blue wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(hearsay --cluster red set k red)" = OK ]
    [ "$(hearsay --cluster blue exists k || true)" = 0 ]
    [ "$(hearsay --cluster blue set k blue)" = OK ]
    [ "$(hearsay --cluster red get k)" = red ]
    [ "$(hearsay --json --cluster red get k | json_field replica)" = 0 ]
    [ "$(hearsay --json --cluster blue get k | json_field replica)" = 1 ]
    run ctl --cluster red wait --nodes 2 --timeout 2s
    [ "$status" -eq 1 ]
    run ctl --cluster red --json nodes
    [ "$(grep -o '"id":[0-9]*' <<<"$output" | sort -u)" = '"id":0' ]
}

# junk PORT FORMAT BYTES: connects, writes the text and then random bytes, hangs up.
junk() {
    # Who is hung up on while writing is told so: no failure here.
    (
        exec 8<>"/dev/tcp/127.0.0.1/$1" || exit 1
        # shellcheck disable=SC2059 # the text is the format
        { printf "$2"; head -c "$3" /dev/urandom; } >&8
        exec 8>&-
    ) 2>/dev/null || true
}

@test "junk and half greetings at every port: it still serves" {
    cluster 2
    [ "$(hearsay incr n)" = 1 ]
    local greeting='\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f'
    local rest='\x03\x00NULL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
    local ready='\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER'
    local zeros
    zeros=$(printf '\\x00%.0s' {1..31})
    local first port
    for first in "$(node_port 0)" "$(broker_port 0)"; do
        for ((port = first; port < first + 5; port++)); do
            junk "$port" '' 0
            junk "$port" '' 1000
            junk "$port" "$greeting" 0
            junk "$port" "$greeting" 500
            junk "$port" "$greeting$rest$zeros" 0
            junk "$port" "$greeting$rest$zeros$ready" 300
            junk "$port" "$greeting$rest$zeros$ready"'\x00\x40HP\x01' 4
            junk "$port" "$greeting$rest$zeros$ready"'\x02\xff\xff\xff\xff\xff\xff\xff\xff' 100
            junk "$port" "$greeting$rest$zeros$ready"'\x00\x20' 3200
        done
    done
    # Some of it got as far as the decoders.
    ctl --json nodes | grep -q '"malformed":[1-9]'
    local i
    for i in 0 1; do kill -0 "$(pid_of "node_$i")"; done
    kill -0 "$(pid_of broker_0)"
    [ "$(hearsay --timeout 20s --replica 0 incr n)" = 2 ]
    [ "$(hearsay --timeout 20s --replica 1 incr n)" = 3 ]
    ctl wait --nodes 2 --brokers 1 --timeout 20s
}
