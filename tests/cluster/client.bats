#!/usr/bin/env bats
# The client against real nodes and a real broker on loopback.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# fails_with CODE PATTERN ARGUMENTS...: what hearsay ends with, and one line of it.
fails_with() {
    local code=$1 pattern=$2
    shift 2
    run hearsay "$@"
    echo "$output"
    [ "$status" -eq "$code" ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == $pattern ]]
}

@test "values, numbers and hashes go round" {
    cluster 3
    [ "$(hearsay set greeting 'hello world')" = OK ]
    [ "$(hearsay get greeting)" = "hello world" ]
    [ "$(hearsay incr visits)" = 1 ]
    [ "$(hearsay decr visits 3)" = -2 ]
    [ "$(hearsay get visits)" = -2 ]
    [ "$(hearsay hset user:7 name Ada lang en)" = OK ]
    [ "$(hearsay hget user:7 name)" = Ada ]
    [ "$(hearsay hincr user:7 logins 5)" = 5 ]
    [ "$(hearsay hgetall user:7 | sort | tr '\t\n' '= ')" = "lang=en logins=5 name=Ada " ]
    [ "$(hearsay mset a 1 b 2)" = OK ]
    [ "$(hearsay mget a nope b | tr '\n' ' ')" = "1 (nil) 2 " ]
    [ "$(hearsay hdel user:7 lang nope)" = 1 ]
    [ "$(hearsay exists a b nope)" = 2 ]
    [ "$(hearsay del a nope)" = 1 ]
}

@test "JSON: value or error, who answered, token, copies, time" {
    cluster 1
    hearsay --json set k v | grep -Eq '^\{"ok":true,"value":true,"replica":0,"token":"[A-Za-z0-9_-]+","copies":1,"sends":1,"us":[0-9]+\}$'
    hearsay --json get k | grep -q '^{"ok":true,"value":"v","replica":0,'
    hearsay --json incr n | grep -q '^{"ok":true,"value":1,'
    hearsay --json mget k nope n | grep -q '"value":\["v",null,"1"\]'
    hearsay --json hset h f 1 >"$folder/out"
    hearsay --json hgetall h | grep -q '"value":{"f":"1"}'
    run hearsay --json get nope
    [ "$status" -eq 1 ]
    [[ "$output" == '{"ok":true,"value":null,'* ]]
    run hearsay --json incr k
    [ "$status" -eq 5 ]
    [[ "$output" == '{"ok":false,"error":{"code":"NOT_A_NUMBER","message":'* ]]
    run hearsay --json bogus
    [ "$status" -eq 2 ]
    [[ "$output" == '{"ok":false,"error":{"code":"USAGE",'* ]]
}

@test "bad input: one line, the right exit code, nothing done" {
    cluster 1
    hearsay set k v
    hearsay hset h f v
    fails_with 2 '*unknown command "gte": did you mean get?' gte k
    fails_with 2 '*unknown command "frobnicate"*' frobnicate
    fails_with 2 '*usage: set KEY VALUE' set k
    fails_with 2 '*usage: hset KEY FIELD VALUE*' hset h f
    fails_with 2 '*"abc" is no amount*' incr n abc
    fails_with 2 '*--widnow is no option: did you mean --window?*' --widnow 3 get k
    fails_with 2 '*--timeout*' --timeout soon get k
    fails_with 5 '*WRONGTYPE*' get h
    fails_with 5 '*WRONGTYPE*' hget k f
    fails_with 5 '*NOT_A_NUMBER*' incr k
    fails_with 5 '*TOO_LARGE*1024*' set "$(printf 'k%.0s' {1..1025})" v
    fails_with 1 '(nil)' get nope
    [ "$(hearsay get k)" = v ]
    [ "$(hearsay exists n || true)" = 0 ]
}

@test "a value too long is refused, and the next command goes on" {
    cluster 1
    {
        printf 'set long '
        head -c 1100000 /dev/zero | tr '\0' v
        printf '\nset k v\nexists long\n'
    } >"$folder/in"
    run hearsay <"$folder/in"
    [ "$status" -eq 5 ]
    [[ "${lines[0]}" == "ERROR TOO_LARGE "* ]]
    [ "${lines[1]}" = OK ]
    [ "${lines[2]}" = 0 ]
}

@test "pipe: one line for each command, errors in the middle, quotes and escapes" {
    cluster 1
    printf '%s\n' 'set a "x \"y\"\n\x00\\"' '# a comment' '' 'get a' 'bogus' 'get "open' \
        'incr a' 'get' 'set b ""' 'get b' 'get nope' 'mget b nope' 'SET c d' 'get c' >"$folder/in"
    run hearsay <"$folder/in"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 12 ]
    [ "${lines[0]}" = OK ]
    [ "${lines[1]}" = '"x \"y\"\n\x00\\"' ]
    [[ "${lines[2]}" == 'ERROR USAGE unknown command "bogus"'* ]]
    [[ "${lines[3]}" == 'ERROR USAGE a quote is not closed'* ]]
    [[ "${lines[4]}" == 'ERROR NOT_A_NUMBER '* ]]
    [[ "${lines[5]}" == 'ERROR USAGE wrong number of arguments; usage: get KEY' ]]
    [ "${lines[7]}" = '""' ]
    [ "${lines[8]}" = '(nil)' ]
    [ "${lines[9]}" = '["",null]' ]
    [ "${lines[11]}" = d ]
    run hearsay <<<'get nope'
    [ "$status" -eq 0 ]
}

@test "pipe: multi and exec on lines of their own are one update, or nothing" {
    cluster 1
    hearsay set stock 12
    run hearsay <<'LINES'
multi
decr stock
hset order item 42
exec
mget stock
multi
set stock 0
set stock
exec
multi
set stock 0
discard
get stock
exec
LINES
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 14 ]
    [ "${lines[0]} ${lines[1]} ${lines[2]}" = "OK QUEUED QUEUED" ]
    [ "${lines[3]}" = "[11,true]" ]
    [ "${lines[4]}" = '["11"]' ]
    [[ "${lines[7]}" == "ERROR USAGE wrong number of arguments"* ]]
    [[ "${lines[8]}" == "ERROR USAGE a command of this multi was refused: nothing was done"* ]]
    [ "${lines[11]} ${lines[12]}" = "OK 11" ]
    [[ "${lines[13]}" == "ERROR USAGE exec without multi"* ]]
    [ "$(hearsay hget order item)" = 42 ]

    status=0
    hearsay --json <<<$'multi\nset stock 0' >"$folder/json" 2>"$folder/err" || status=$?
    [ "$status" -eq 2 ]
    [ "$(jq -r .value "$folder/json" | tr '\n' ' ')" = "OK QUEUED " ]
    grep "the input ends within a multi: nothing of it was done" "$folder/err"
    [ "$(hearsay get stock)" = 11 ]
}

@test "pipe: a line that is too long within a multi is a part of it" {
    cluster 1
    {
        printf 'multi\nset k v\nset long '
        head -c 84000000 /dev/zero | tr '\0' v
        printf '\nexec\nexists k\n'
    } >"$folder/in"
    run hearsay <"$folder/in"
    [ "$status" -eq 2 ]
    [[ "${lines[2]}" == "ERROR TOO_LARGE the line is longer"* ]]
    [[ "${lines[3]}" == "ERROR USAGE a command of this multi was refused: nothing was done"* ]]
    [ "${lines[4]}" = 0 ]
}

@test "pipe: replies do not wait for more input" {
    cluster 1
    mkfifo "$folder/in"
    hearsay <"$folder/in" >"$folder/out" 3>&- &
    local pid=$!
    echo "$pid" >"$folder/pipe.pid"
    exec 9>"$folder/in"
    local i
    for i in 1 2 3; do
        echo 'incr n' >&9
        wait_until 5 has_lines "$folder/out" "$i"
    done
    exec 9>&-
    wait "$pid"
    [ "$(tr '\n' ' ' <"$folder/out")" = "1 2 3 " ]
}

@test "a session stays with one replica, and two calls are one session" {
    cluster 3
    for _ in $(seq 300); do echo 'incr n'; done >"$folder/in"
    hearsay --json <"$folder/in" >"$folder/out"
    [ "$(lines_of "$folder/out")" -eq 300 ]
    [ "$(json_field replica <"$folder/out" | sort -u | wc -l)" -eq 1 ]
    local i
    for i in 0 1 2; do
        [ "$(hearsay --replica "$i" get n)" = 300 ]
        [ "$(hearsay --json --replica "$i" get n | json_field replica)" = "$i" ]
    done
    [ "$(stat -c %a "$folder/state/hearsay" "$folder/state/hearsay/hearsay-default.session" |
        tr '\n' ' ')" = "700 600 " ]
}

@test "--no-session writes no file, and no HOME is no failure" {
    cluster 1
    [ "$(hearsay --no-session set k v)" = OK ]
    [ ! -e "$folder/state" ]
    run env -u HOME -u XDG_STATE_HOME "$BUILD/hearsay" --beacon-port "$beacon_port" get k
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = v ]
    [[ "${lines[0]}" == *"no session is kept"* ]]
    mkdir -p "$folder/state/hearsay"
    echo 'no token!' >"$folder/state/hearsay/hearsay-default.session"
    run hearsay get k
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == *damaged* ]]
    run hearsay get k
    [ "$output" = v ]
}

@test "without a broker, a node or that replica: 3, in time" {
    fails_with 3 '*NOT_REACHED*' --timeout 500ms get k
    broker
    wait_until 5 log_has broker_0 " ready "
    fails_with 3 '*NOT_REACHED*' --timeout 500ms set k v
    run hearsay --timeout 300ms <<<$'get a\nset b c'
    [ "$status" -eq 3 ]
    [ "${#lines[@]}" -eq 2 ]
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    fails_with 3 '*NOT_REACHED*' --replica 9 --timeout 500ms get k
    [ "$(hearsay set k v)" = OK ]
    [ "$(hearsay --broker "tcp://127.0.0.1:$(broker_port)" get k)" = v ]
}

@test "a broker with --peer needs no beacon, and takes the node that comes back there" {
    node 0
    wait_until 10 log_has node_0 " ready "
    start_program broker_0 "$BUILD/hearsay-broker" --beacon-port $((beacon_port + 1)) \
        --listen "tcp://127.0.0.1:$(broker_port)" --peer "tcp://127.0.0.1:$(node_port 0)"
    wait_until 10 log_has broker_0 "replica joined id=0"
    local at="tcp://127.0.0.1:$(broker_port)"
    [ "$(hearsay --broker "$at" set k v)" = OK ]
    end_program node_0 KILL
    node 0
    [ "$(hearsay --timeout 20s --broker "$at" get k)" = v ]
}

@test "a broker that ends: the client goes to the other one" {
    cluster 1
    broker 1
    ctl wait --nodes 1 --brokers 2 --timeout 20s
    mkfifo "$folder/in"
    hearsay --timeout 20s <"$folder/in" >"$folder/out" 3>&- &
    local pid=$!
    echo "$pid" >"$folder/pipe.pid"
    exec 9>"$folder/in"
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    end_program broker_0 TERM
    [ "$status" -eq 0 ]
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 2
    end_program broker_1 KILL
    broker 0
    echo 'incr n' >&9
    exec 9>&-
    wait "$pid"
    [ "$(tr '\n' ' ' <"$folder/out")" = "1 2 3 " ]
}

@test "kill -9 of the replica in mid-pipe: each command one reply, nothing lost, nothing twice" {
    cluster 3
    mkfifo "$folder/in"
    hearsay --json --timeout 30s <"$folder/in" >"$folder/out" 3>&- &
    local pid=$!
    echo "$pid" >"$folder/pipe.pid"
    exec 9>"$folder/in"
    echo 'incr n' >&9
    wait_until 10 has_lines "$folder/out" 1
    local sticky
    sticky=$(json_field replica <"$folder/out")
    for _ in $(seq 20000); do echo 'incr n'; done >&9 3>&- &
    local writer=$!
    wait_until 20 has_lines "$folder/out" 2000
    end_program "node_$sticky" KILL
    node "$sticky"
    wait "$writer"
    echo 'get n' >&9
    exec 9>&-
    wait "$pid"
    [ "$(lines_of "$folder/out")" -eq 20002 ]
    local acknowledged
    acknowledged=$(grep -c '^{"ok":true,"value":[0-9]*,' "$folder/out")
    echo "acknowledged $acknowledged"
    [ "$acknowledged" -eq 20001 ]
    [ "$(tail -n 1 "$folder/out" | json_field value)" = 20001 ]
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    local i
    for i in 0 1 2; do
        [ "$(hearsay --replica "$i" get n)" = 20001 ]
    done
}

@test "help, version, the nearest command" {
    run hearsay help
    [ "$status" -eq 0 ]
    [[ "$output" == *"hincr"* ]]
    run hearsay help hset
    [ "$status" -eq 0 ]
    fails_with 2 '*did you mean hset?' help hste
    run hearsay --version
    [[ "$output" == "hearsay "* ]]
    run hearsay --help
    [[ "$output" == *Examples:* ]]
}

@test "output that cannot be written, input that cannot be read: said, and no 0" {
    cluster 1
    [ "$(hearsay set k v)" = OK ]
    hearsay_to_full() { hearsay "$@" >/dev/full; }
    run hearsay_to_full get k
    [ "$status" -eq 5 ]
    [[ "$output" == *"cannot write to standard output"* ]]
    printf 'get k\nget k\n' >"$folder/in"
    run hearsay_to_full <"$folder/in"
    [ "$status" -eq 5 ]
    [ "${#lines[@]}" -eq 1 ]
    run hearsay <"$folder"
    [ "$status" -eq 2 ]
    [[ "$output" == *"cannot read"* ]]
    ctl_to_full() { ctl "$@" >/dev/full; }
    run ctl_to_full nodes
    [ "$status" -eq 5 ]
}

@test "a pipe that is interrupted, or whose reader leaves, keeps its session" {
    cluster 1
    local signal
    for signal in INT TERM; do
        mkfifo "$folder/in"
        exec 9<>"$folder/in" # both ends: neither side waits for the other to be opened
        # A job in the background ignores SIGINT unless told otherwise.
        start_program pipe env --default-signal=INT XDG_STATE_HOME="$folder/state" \
            bash -c 'exec "${@:2}" <"$1"' bash "$folder/in" \
            "$BUILD/hearsay" --beacon-port "$beacon_port" --session "$signal"
        echo 'incr n' >&9
        wait_until 5 has_lines "$folder/pipe.out" 1
        end_program pipe "$signal"
        exec 9>&-
        [ "$status" -eq 130 ]
        [ -s "$folder/state/hearsay/hearsay-$signal.session" ]
        rm "$folder/in" "$folder/pipe.out"
    done
    run bash -c 'yes "incr n" | head -n 20000 | XDG_STATE_HOME="$0" "$@" | head -n 1' \
        "$folder/state" "$BUILD/hearsay" --beacon-port "$beacon_port" --session left
    [ "$output" = 3 ]
    [ -s "$folder/state/hearsay/hearsay-left.session" ]
}
