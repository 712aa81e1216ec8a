#!/usr/bin/env bats
# /metrics, /healthz, /readyz and /v1/status of real programs, asked well and badly.

load helpers

setup() {
    cluster_setup
    node_http=127.0.0.1:$((first_port + 80))
    broker_http=127.0.0.1:$((first_port + 81))
}
teardown() { cluster_teardown; }

start() {
    node 0 --http "$node_http"
    broker 0 --http "tcp://$broker_http"
    ctl wait --nodes 1 --brokers 1 --timeout 20s
}
ask() { curl -sS --max-time 10 "$@"; }
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
code_is() { [ "$(code "$2")" = "$1" ]; }

# raw TEXT: what is answered to these bytes, and nothing more is sent.
raw() {
    exec 8<>"/dev/tcp/${node_http%:*}/${node_http#*:}"
    printf '%b' "$1" >&8
    timeout 15 cat <&8 || true
    exec 8>&-
}

@test "all four paths of a node and a broker" {
    start
    hearsay set a 1
    ask "http://$node_http/metrics" >"$folder/metrics"
    grep -q '^hearsay_node_keys 1$' "$folder/metrics"
    grep -q '^hearsay_node_updates_total 1$' "$folder/metrics"
    grep -q '^hearsay_node_conflicts_total 0$' "$folder/metrics"
    ask "http://$broker_http/metrics" | grep -q '^hearsay_broker_replicas_connected 1$'
    [ "$(ask "http://$node_http/healthz")" = ok ]
    [ "$(ask "http://$node_http/readyz")" = ready ]
    [ "$(ask "http://$broker_http/readyz")" = ready ]
    # The same keys as hearsayctl has, but for what only that can know.
    ask "http://$node_http/v1/status" | jq -S keys >"$folder/http"
    ctl --json nodes | jq -S '.nodes[0] | del(.gone, .lag) | keys' >"$folder/ctl"
    diff "$folder/http" "$folder/ctl"
    ask "http://$broker_http/v1/status" | jq -S keys >"$folder/http"
    ctl --json brokers | jq -S '.brokers[0] | keys' >"$folder/ctl"
    diff "$folder/http" "$folder/ctl"
}

@test "readyz says why not" {
    start
    ctl status 0 offline
    [ "$(code "http://$node_http/readyz")" = 503 ]
    [ "$(ask "http://$node_http/readyz")" = "status offline" ]
    wait_until 10 code_is 503 "http://$broker_http/readyz"
    ctl status 0 active
    [ "$(code "http://$node_http/readyz")" = 200 ]
    end_program node_0 KILL
    wait_until 10 code_is 503 "http://$broker_http/readyz"
    [ "$(code "http://$broker_http/healthz")" = 200 ]
}

@test "hostile requests are refused, and others are answered meanwhile" {
    start
    [ "$(code -X POST -d x "http://$node_http/metrics")" = 405 ]
    [ "$(code -X DELETE "http://$node_http/healthz")" = 405 ]
    [ "$(code "http://$node_http/nothing")" = 404 ]
    [ "$(code -I "http://$node_http/metrics")" = 200 ]
    # A head that is too long, and no HTTP at all.
    head -c 100000 /dev/zero | tr '\0' x >"$folder/long"
    local answer
    answer=$(code -H "X: $(cat "$folder/long")" "http://$node_http/metrics" 2>/dev/null || true)
    [[ "$answer" == 4?? || "$answer" == 000 ]]
    run raw '\0\1\2\3 rubbish\r\n\r\n'
    [[ "$output" != *"200 OK"* ]]
    # One that goes on sending a little, but never comes to an end.
    timeout 30 python3 -c '
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.settimeout(0.5)
begin = time.monotonic()
try:
    while True:
        s.send(b"x")
        try:
            if not s.recv(1): break
        except socket.timeout: pass
except OSError: pass
print(int(time.monotonic() - begin))
' "${node_http%:*}" "${node_http#*:}" >"$folder/drip" 3>&- &
    local drip=$!
    # Connections that say nothing use up the room, and are let go.
    local i pids=()
    for i in $(seq 40); do
        timeout 20 bash -c "exec 8<>/dev/tcp/${node_http%:*}/${node_http#*:}; cat <&8" >/dev/null 2>&1 3>&- &
        pids+=($!)
    done
    [ "$(hearsay --no-session incr n)" = 1 ]
    wait_until 15 code_is 200 "http://$node_http/healthz"
    for i in "${pids[@]}"; do wait "$i" || true; done
    wait "$drip"
    [ "$(cat "$folder/drip")" -lt 15 ]
    [ "$(hearsay --no-session incr n)" = 2 ]
}

@test "other than loopback only with --insecure; no address; a port in use" {
    run timeout 10 "$BUILD/hearsay-node" 0 --http 0.0.0.0:9710 --data "$folder/replica_9"
    [ "$status" -eq 2 ]
    [[ "$output" == *--insecure* ]]
    run timeout 10 "$BUILD/hearsay-broker" --http nowhere
    [ "$status" -eq 2 ]
    [[ "$output" == *"host:port"* ]]
    start
    run timeout 10 "$BUILD/hearsay-node" 1 --http "$node_http" --data "$folder/replica_1" \
        --beacon-port "$beacon_port" --listen "tcp://127.0.0.1:$(node_port 1)"
    [ "$status" -eq 2 ]
    [[ "$output" == *"in use"* ]]
}
