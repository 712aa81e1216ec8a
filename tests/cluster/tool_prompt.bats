#!/usr/bin/env bats
# The prompt, on a terminal of its own (terminal.py).

load helpers

setup() {
    command -v python3 >/dev/null || skip "no python3 here"
    cluster_setup
    export XDG_STATE_HOME="$folder/state" TERM=xterm LC_ALL=C.UTF-8
    unset NO_COLOR
    # In a sanitized build: libedit never frees the name and help of an added function.
    echo leak:wcsdup >"$folder/leaks"
    export LSAN_OPTIONS="suppressions=$folder/leaks:print_suppressions=0"
}
teardown() { cluster_teardown; }

# talk [OPTIONS...]: hearsay on a terminal, taken through the steps of standard input.
talk() {
    run timeout 100 "$BATS_TEST_DIRNAME/terminal.py" "$BUILD/hearsay" \
        --beacon-port "$beacon_port" "$@"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "prompt: commands, replies, who answered, errors, the end" {
    cluster 1
    talk <<'STEPS'
expect hearsay> 
send set greeting "hello, world"\r
expect OK
expect \x1b[2m(
expect ms, replica 0, copies 1)
send get greeting\r
expect hello, world
expect ms, replica 0)
send hgetall nothing\r
expect (empty)
send incr greeting\r
expect \x1b[31mERROR NOT_A_NUMBER
expect hearsay> 
send get\r
expect ERROR USAGE wrong number of arguments; usage: get KEY
send get "open\r
expect ERROR USAGE a quote is not closed
send gte a\r
expect did you mean get?
send :frobnicate\r
expect see :help
send :relpica\r
expect did you mean :replica?
send # no command\r
expect hearsay> 
send help hset\r
expect KEY FIELD VALUE
expect Examples:
expect hset user:7 name Ada lang en
expect hset airport:ORD city
send :help\r
expect hincr
expect :session
expect hearsay> 
send set k \xc3\xa4\x7f\xc3\xb6\r
expect OK
send get k\r
expect \xc3\xb6\r\n
send \x04
code 0
STEPS
}

@test "prompt: multi over several lines, with its own prompt, discard and exec" {
    cluster 1
    talk <<'STEPS'
expect hearsay> 
send multi\r
expect OK
expect multi> 
send set a 1\r
expect QUEUED
send :replica\r
expect multi> 
send dis\t\r
expect OK
expect hearsay> 
send multi\r
expect multi> 
send incr b 41\r
expect QUEUED
send set c\r
expect ERROR USAGE wrong number of arguments; usage: set KEY VALUE
send exec\r
expect nothing was done
expect hearsay> 
send multi\r
expect multi> 
send incr b 42\r
expect QUEUED
send set c x\r
expect QUEUED
send exec\r
expect 42\r\nOK
expect copies 1)
expect hearsay> 
send get a\r
expect (nil)
send \x04
code 0
STEPS
}

@test "prompt: Tab completes commands and keys, and shows the usage" {
    cluster 1
    hearsay --session other set nobody:typed:this z
    talk <<'STEPS'
expect hearsay> 
send hse\tuser:7 name Ada\r
expect OK
send set user:8 x\r
expect OK
send set "a key" y\r
expect OK
expect hearsay> 
send get us\t
expect er:
send \t
expect usage: get KEY
expect user:7
expect user:8
send 8\r
expect x\r\n
expect hearsay> 
send get a\t\r
expect "a key"
expect y\r\n
expect hearsay> 
send set user:8 \t
expect usage: set KEY VALUE
send \x15get nob\t\r
expect z\r\n
send :to\t\r
expect ken 
expect hearsay> 
send :qu\t\r
code 0
STEPS
}

@test "prompt: Ctrl-C clears the line, and gives a command up" {
    cluster 1
    talk <<STEPS
expect hearsay> 
send set k v
expect set k v
send \x03
expect ^C
send incr n\r
expect 1\r\n
send :replica 7\r
expect pinned to replica 7
send incr n\r
expect incr n\r\n
send \x03
expect ERROR CANCELLED
send :replica any\r
expect any replica
send incr n\r
expect 2\r\n
run kill -STOP $(pid_of node_0)
send incr n\r
expect incr n\r\n
send \x03
expect  cancelled 
run kill -CONT $(pid_of node_0)
send exists k\r
expect 0\r\n
send :quit\r
code 0
STEPS
}

@test "prompt: replica, token, session" {
    cluster 2
    local token
    token=$(hearsay --session other --json set k v | json_field token)
    talk <<STEPS
expect hearsay> 
send :replica\r
expect any replica
send :replica 1\r
expect pinned to replica 1
send get k\r
expect replica 1)
send :replica\r
expect pinned to replica 1; the last answer came from 1
send :replica x\r
expect is no replica: give an id from 0 to 255, or any
send :token nonsense\r
expect this is no token of this cluster
send :token $token\r
expect hearsay> 
send get k\r
expect v\r
expect replica 1)
send :session\r
expect session default
send :session other\r
expect session other
send incr n\r
expect 1\r
send :session a b\r
expect too many words; usage: :session [NAME]
send :quit\r
code 0
STEPS
    [ -s "$folder/state/hearsay/hearsay-other.session" ]
    [ "$(hearsay --session other get n)" = 1 ]
}

@test "prompt: the history is kept for its user alone; no place is one warning" {
    cluster 1
    talk <<'STEPS'
expect hearsay> 
send set k 1\r
expect OK
expect hearsay> 
send  set secret 2\r
expect OK
send :quit\r
code 0
STEPS
    [ "$(cat "$folder/state/hearsay/history")" = $'set k 1\n:quit' ]
    [ "$(stat -c %a "$folder/state/hearsay" "$folder/state/hearsay/history" | tr '\n' ' ')" = \
        "700 600 " ]
    # Ctrl-P twice: behind :quit stands what was typed before.
    talk <<'STEPS'
expect hearsay> 
send \x10\x10\r
expect OK
send \x04
code 0
STEPS
    talk --history "$folder/mine" <<'STEPS'
expect hearsay> 
send get k\r
expect 1\r
send \x04
code 0
STEPS
    [ "$(cat "$folder/mine")" = "get k" ]
    talk --history "$folder" <<'STEPS'
expect hearsay: no history is kept: cannot write
expect hearsay> 
send get k\r
expect 1\r
send get k\r
expect 1\r
send \x04
code 0
STEPS
    [ "$(grep -c 'no history' <<<"$output")" -eq 1 ]
}

@test "prompt: no colours with NO_COLOR or a dumb terminal" {
    cluster 1
    local setting
    for setting in NO_COLOR=1 TERM=dumb; do
        export "${setting?}"
        talk <<'STEPS'
expect hearsay> 
send incr n\r
expect ms, replica 0, copies 1)
send get\r
expect ERROR USAGE
send \x04
code 0
absent \x1b[2m
absent \x1b[31m
STEPS
        unset NO_COLOR
    done
}

@test "prompt: a broker that is lost is replaced while somebody types" {
    cluster 1
    broker 1
    ctl wait --nodes 1 --brokers 2 --timeout 20s
    mkfifo "$folder/steps"
    start_program talk timeout 100 "$BATS_TEST_DIRNAME/terminal.py" "$BUILD/hearsay" \
        --beacon-port "$beacon_port" --timeout 20s < <(exec cat "$folder/steps")
    exec 9>"$folder/steps"
    printf '%s\n' 'expect hearsay> ' 'send incr n\r' 'expect 1\r' 'expect hearsay> ' \
        'send incr ' 'expect incr ' >&9
    hearsay --timeout 5s incr other >/dev/null
    end_program broker_0 KILL
    broker 0
    printf '%s\n' 'send n\r' 'expect 2\r' 'send \x04' 'code 0' >&9
    exec 9>&-
    wait "$(pid_of talk)"
    rm "$folder/talk.pid"
}
