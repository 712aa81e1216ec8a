#!/usr/bin/env bats
# The programs of examples/, built against the installed library as anybody would, in real clusters.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# build_example NAME: $folder/NAME.
build_example() {
    sanitized && skip "a sanitized library wants a sanitized program"
    install_library
    $CC -Wall -Wextra -Werror $(pkg-config --cflags hearsay) -o "$folder/$1" \
        "$root/examples/$1.c" $(pkg-config --libs hearsay)
}

# serving_node: the id of the one that opened a session last.
serving_node() {
    local i newest=
    for i in 0 1 2; do
        grep 'session opened' "$folder/node_$i.log" | sed "s/ .*/ $i/"
    done | sort | tail -n 1 | cut -d ' ' -f 2
}

total_of() { sed -n "s|^total $2 ||p" "$folder/$1"; }

@test "counter_service: visits counted once while a replica is killed, and the token goes on" {
    build_example counter_service
    cluster 3
    mkfifo "$folder/in"
    timeout 100 "$folder/counter_service" "$beacon_port" <"$folder/in" >"$folder/out" 3>&- &
    local pid=$!
    echo "$pid" >"$folder/counter.pid"
    exec 9>"$folder/in"
    { yes $'/home\n/shop' | head -n 20000; } >&9 3>&- &
    local writer=$!
    wait_until 20 has_lines "$folder/out" 2000
    end_program "node_$(serving_node)" KILL
    wait "$writer"
    exec 9>&-
    wait "$pid"
    rm "$folder/counter.pid"
    [ "$(total_of out /home)" = 10000 ]
    [ "$(total_of out /shop)" = 10000 ]
    [ "$(grep -c '^/home ' "$folder/out")" = 10000 ]
    [ "$(sed -n 's|^/shop ||p' "$folder/out" | sort -un | wc -l)" = 10000 ]
    local token
    token=$(sed -n 's/^token //p' "$folder/out")
    printf '/home\n/about' | timeout 60 "$folder/counter_service" "$beacon_port" "$token" >"$folder/next"
    [ "$(total_of next /home)" = 10001 ]
    [ "$(total_of next /about)" = 1 ]
    run timeout 60 "$folder/counter_service" "$beacon_port" 'no token' </dev/null
    [ "$status" -eq 2 ]
}

# store ARGUMENTS...: session_store; its lines in $output, the cookie to go on with in $cookie.
store() {
    run timeout 60 "$folder/session_store" "$beacon_port" "$@"
    echo "$output"
    cookie=$(sed -n 's/^cookie //p' <<<"$output")
}

@test "session_store: what one worker puts the next one gets, by the cookie alone" {
    build_example session_store
    cluster 3
    store new
    [ "$status" -eq 0 ]
    store put "$cookie" cart 'two apples'
    [ "$status" -eq 0 ]
    [[ "$cookie" =~ ^sid=[0-9a-f]{16}\;\ seen=[A-Za-z0-9_-]+$ ]]
    end_program "node_$(serving_node)" KILL
    store get "$cookie" cart
    [ "${lines[0]}" = "value two apples" ]
    store touch "$cookie"
    [ "$status" -eq 0 ]
    store get "$cookie" seen
    [[ "${lines[0]}" =~ ^value\ [0-9]{10}$ ]]
    store get "$cookie" basket
    [ "${lines[0]}" = none ]
    store get 'sid=xyz' cart
    [ "$status" -eq 1 ]
}

@test "hearsay_client.py: the protocol from its page, without the library" {
    local python=
    for python in python3 /usr/bin/python3 ''; do
        [ -n "$python" ] && "$python" -c 'import zmq, msgpack' 2>/dev/null && break
    done
    [ -n "$python" ] || skip "no python3 with pyzmq and msgpack"
    cluster 2
    timeout 60 "$python" "$root/examples/python/hearsay_client.py" \
        "tcp://127.0.0.1:$(broker_port)" >"$folder/out"
    cat "$folder/out"
    diff "$folder/out" - <<'EXPECTED'
set greeting -> True
get greeting -> hello from Python
incr visits 41 -> 41
incr visits -> 42
the same, sent again -> 42
get visits -> 42
incr greeting -> refused, outcome 4: the value there is not a decimal 64-bit integer
another session, by the token -> 42
EXPECTED
    [ "$(hearsay --replica 0 get visits)" = 42 ]
    [ "$(hearsay --replica 1 get visits)" = 42 ]
}
