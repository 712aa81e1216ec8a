#!/usr/bin/env bats
# --curve: a cluster with keys works, and whoever has none, others or the wrong ones is turned away,
# soon, in one plain line.

load helpers

setup() {
    cluster_setup
    keys=$folder/keys
    "$BUILD/hearsayctl" keygen "$keys" >"$folder/keygen"
    export HEARSAY_CURVE=$keys
}
teardown() { cluster_teardown; }

# without_keys COMMAND...: as if none had been given.
without_keys() { (
    unset HEARSAY_CURVE
    "$@"
); }

# refused CODE PATTERN COMMAND...: ends with that code, soon, and its last line is like the pattern.
# 3 where it cannot be told from an end that was killed; [35] where it depends on who is faster.
refused() {
    local code=$1 pattern=$2 begin
    shift 2
    begin=$(date +%s%3N)
    run timeout 20 bash -c "$(declare -f ctl hearsay without_keys); BUILD=$BUILD folder=$folder \
        beacon_port=$beacon_port; \"\$@\"" - "$@"
    echo "$output"
    # shellcheck disable=SC2053
    [[ $status == $code ]]
    [ $(($(date +%s%3N) - begin)) -lt 4000 ]
    # shellcheck disable=SC2053
    [[ "${lines[-1]}" == $pattern ]]
}

# denied_at NAME: how many that program has turned away.
denied_at() {
    local kind=brokers
    [[ $1 != node_* ]] || kind=nodes
    ctl --json "$kind" | jq "[.. | .counts? // empty | .denied] | add"
}

@test "keygen makes a folder, adds to it, and overwrites nothing" {
    grep -q 'node.key_secret' "$folder/keygen"
    [ "$(stat -c %a "$keys")" = 700 ]
    local name
    for name in node broker client admin; do
        [ "$(stat -c %a "$keys/$name.key_secret")" = 600 ]
        ! grep -q secret-key "$keys/$name.key"
        grep -q "role = \"$name\"" "$keys/$name.key"
    done
    [ "$(stat -c %a "$keys/cluster.key_secret")" = 600 ]
    [ "$(ls "$keys" | wc -l)" -eq 9 ]
    md5sum "$keys"/* >"$folder/sums"
    run "$BUILD/hearsayctl" keygen "$keys"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == *"not an empty folder"* ]]
    run "$BUILD/hearsayctl" --json keygen "$keys" client admin
    [ "$status" -eq 2 ]
    [ "$(echo "$output" | jq -r .error.code)" = USAGE ]
    md5sum --quiet -c "$folder/sums"
    run "$BUILD/hearsayctl" --json keygen "$keys" ann admin
    [ "$status" -eq 0 ]
    [ "$(echo "$output" | jq -r '.keys[0] | .name + .role')" = annadmin ]
    [ "$(stat -c %a "$keys/ann.key_secret")" = 600 ]
    run "$BUILD/hearsayctl" keygen "$keys" ann client
    [ "$status" -eq 2 ]
    run "$BUILD/hearsayctl" keygen "$keys" x node
    [ "$status" -eq 2 ]
    [[ "$output" == *"client or admin"* ]]
    run "$BUILD/hearsayctl" keygen "$keys" ../x client
    [ "$status" -eq 2 ]
    run "$BUILD/hearsayctl" keygen "$keys" x
    [ "$status" -eq 2 ]
    md5sum --quiet -c "$folder/sums"
}

@test "a whole cluster with keys: clients, gossip, hearsayctl, the library" {
    cluster 2
    [ "$(hearsay set a 1)" = OK ]
    [ "$(hearsay incr n 5)" = 5 ]
    shows() { [ "$(hearsay --no-session --replica "$1" get "$2")" = "$3" ]; }
    wait_until 5 shows 0 n 5
    wait_until 5 shows 1 n 5
    [ "$(ctl --json nodes | jq -s '[.. | objects | select(has("vector") and has("mode"))] | length')" -eq 2 ]
    ctl brokers | grep -q active
    ctl events | grep -q lineage
    ctl key n | grep -q '^1  *register'
    ctl check
    start_program trace "$BUILD/hearsayctl" --beacon-port "$beacon_port" trace --what requests
    wait_until 10 log_has trace 'broker'
    wait_until 10 log_has trace 'node 1'
    told() {
        hearsay --no-session set traced 1
        grep -q traced "$folder/trace.out"
    }
    wait_until 10 told
    [ "$(HEARSAY_CURVE_KEY=admin hearsay get a)" = 1 ]
    [ "$(denied_at node_0)" -eq 0 ]
    [ "$(denied_at broker_0)" -eq 0 ]
    # Addresses instead of beacons need no cluster's secret, a client nothing of nodes.
    mkdir -m 700 "$folder/mine"
    cp "$keys"/broker.key "$keys"/client.key_secret "$folder/mine"
    [ "$(hearsay --curve "$folder/mine" --broker "tcp://127.0.0.1:$(broker_port)" get a)" = 1 ]
    refused 2 '*no beacons without the cluster*cluster.key_secret*' hearsay --curve "$folder/mine" get a
    cp -r "$keys" "$folder/admins"
    rm "$folder/admins/cluster.key_secret"
    "$BUILD/hearsayctl" --curve "$folder/admins" --peer "tcp://127.0.0.1:$(node_port 0)" \
        --broker "tcp://127.0.0.1:$(broker_port)" nodes | grep -q active
    # A node that ends and comes back is found and served by gossip again.
    end_program node_1 TERM
    [ "$(hearsay --no-session incr n 2)" = 7 ]
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    wait_until 5 shows 1 n 7
}

@test "a program with the library" {
    cluster 1
    api threads "$beacon_port" 500
    [ "$(hearsay get n)" = 1000 ]
    export HEARSAY_CURVE=$folder/none
    run api tokens "$beacon_port"
    [ "$status" -eq 1 ]
    [[ "$output" == *"cannot read $folder/none"*keygen* ]]
}

@test "every port speaks with keys alone" {
    cluster 1
    local port
    for port in $(seq "$(node_port 0)" $(($(node_port 0) + 4))) \
        $(seq "$(broker_port)" $(($(broker_port) + 2))); do
        timeout 10 python3 - "$port" <<'PYTHON'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
s.settimeout(5)
s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00") # a version, upon which it says its mechanism
greeting = b""
while len(greeting) < 64:
    part = s.recv(64 - len(greeting))
    if not part:
        break
    greeting += part
assert greeting[12:32].rstrip(b"\0") == b"CURVE", (sys.argv[1], greeting)
s.sendall(b"NULL".ljust(20, b"\0") + bytes(32))
while s.recv(100):
    pass
PYTHON
    done
    wait_until 5 log_has node_0 'somebody speaks without keys.*event=denied'
}

@test "without keys, with those of others, with the wrong one: turned away in a plain line" {
    cluster 1
    hearsay set a 1 >/dev/null
    local node broker other=$folder/other
    node=tcp://127.0.0.1:$(node_port 0)
    broker=tcp://127.0.0.1:$(broker_port)
    "$BUILD/hearsayctl" keygen "$other" >"$folder/keygen"

    refused 5 '*DENIED*with keys alone*--curve*' without_keys hearsay --timeout 2s get a
    refused '[35]' '*keys*--curve*' without_keys hearsay --timeout 2s --broker "$broker" get a
    refused 5 '*with keys alone*--curve*' without_keys ctl nodes
    refused '[35]' '*keys*--curve*' without_keys "$BUILD/hearsayctl" --peer "$node" nodes
    refused 5 '*"code":"DENIED"*' without_keys ctl --json nodes

    refused 5 '*another secret*' hearsay --timeout 2s --curve "$other" get a
    refused 3 '*another key than*' hearsay --timeout 2s --curve "$other" --broker "$broker" get a
    refused 5 '*another secret*' ctl --curve "$other" nodes
    refused 3 '*another key than*' "$BUILD/hearsayctl" --curve "$other" --peer "$node" nodes

    # With our servers' keys and a client's key that says that it is an admin.
    cp -r "$keys" "$folder/forged"
    sed -i 's/"client"/"admin"/' "$folder/forged/client.key_secret"
    refused 2 '*of role client*role admin is needed*' ctl --curve-key client nodes
    refused 5 '*does not take our key*' ctl --curve "$folder/forged" --curve-key client nodes
    log_has node_0 'its key client is of role client, and this port is for admin.*event=denied'
    # And with a key that nobody knows.
    "$BUILD/hearsayctl" keygen "$folder/forged" eve admin >"$folder/keygen"
    refused 5 '*does not take our key*' ctl --curve "$folder/forged" --curve-key eve nodes
    refused 5 '*does not take our key*' hearsay --timeout 2s --curve "$folder/forged" --curve-key eve get a
    log_has broker_0 'is not among ours.*event=denied'

    [ "$(denied_at node_0)" -gt 3 ]
    [ "$(denied_at broker_0)" -gt 3 ]
    ctl events | grep -q denied
    [ "$(hearsay get a)" = 1 ]
    # At a limited rate, and no secret in it.
    [ "$(grep -c event=denied "$folder/broker_0.log")" -lt 20 ]
    local secret
    for secret in "$keys"/*.key_secret "$other"/*.key_secret; do
        ! grep -qF -- "$(sed -n 's/.*secret-key = "\(.*\)"/\1/p' "$secret")" "$folder"/*.log "$folder"/*.out
    done
}

@test "a key comes and goes without a restart, and who was refused gets in by himself" {
    cluster 1
    cp -r "$keys" "$folder/mine"
    "$BUILD/hearsayctl" keygen "$folder/mine" ann client >"$folder/keygen"
    # The pipe is refused at first, goes on trying, and is let in once the key is there.
    open_pipe --curve "$folder/mine" --curve-key ann --no-session --timeout 20s
    echo "set let in" >&9
    wait_until 10 log_has pipe 'does not take our key'
    [ ! -s "$folder/out" ]
    cp "$folder/mine/ann.key" "$keys"
    wait_until 10 grep -q OK "$folder/out"
    rm "$keys/ann.key"
    # What is connected goes on; its next connection is refused.
    echo "get let" >&9
    wait_until 10 grep -q in "$folder/out"
    refused 5 '*does not take our key*' hearsay --timeout 2s --curve "$folder/mine" --curve-key ann get let
    end_pipe
    [ "$status" -eq 0 ]
    [ "$(hearsay get let)" = in ]
}

@test "a node without keys, or with others, is no part of the cluster, and both say so" {
    node 0
    without_keys node 1
    (HEARSAY_CURVE=$folder/other && "$BUILD/hearsayctl" keygen "$HEARSAY_CURVE" && node 2) >"$folder/keygen"
    wait_until 10 log_has node_0 'speaks without keys.*event=denied'
    wait_until 10 log_has node_0 'another secret.*event=denied'
    wait_until 10 log_has node_1 'with keys alone.*event=denied'
    wait_until 10 log_has node_2 'another secret.*event=denied'
    ctl wait --nodes 1 --timeout 10s
    run ctl --json nodes
    [ "$(echo "$output" | grep -o '"id":' | wc -l)" -ge 1 ]
    ! log_has node_0 'event=join'
    ! log_has node_1 'event=join'
    ! log_has node_2 'event=join'
    # Named, they do not get further, try again with time between, and say why.
    without_keys node 3 --peer "tcp://127.0.0.1:$(node_port 0)"
    wait_until 10 log_has node_3 'keys.*--curve.*event=denied'
    ! log_has node_0 'event=join'
}

@test "secrets that others can read, folders that others can write, files that are not there" {
    local program
    chmod 640 "$keys/node.key_secret" "$keys/broker.key_secret" "$keys/client.key_secret" \
        "$keys/admin.key_secret"
    for program in "hearsay-node 0 --data $folder/replica_9" hearsay-broker "hearsay get a" "hearsayctl nodes"; do
        # shellcheck disable=SC2086
        refused 2 '*key_secret can be read by others (mode 640)*chmod 600*' $BUILD/$program
        [ "${#lines[@]}" -eq 1 ]
    done
    chmod 600 "$keys"/*_secret
    chmod 777 "$keys"
    refused 2 '*others can write*' ctl nodes
    chmod 700 "$keys"
    refused 2 '*cannot read *nobody.key_secret*keygen*' ctl --curve-key nobody nodes
    refused 2 '*cannot read *' ctl --curve "$folder/none" nodes
    rm "$keys/cluster.key_secret"
    refused 2 '*cluster.key_secret*' "$BUILD/hearsay-broker" --beacon-port "$beacon_port" \
        --listen "tcp://127.0.0.1:$(broker_port)"
    run "$BUILD/hearsay-node" 0 --print-config
    [[ "$output" == *"curve = \"$keys\""* ]]
    ! grep -q secret <<<"$output"
}

@test "other machines are served with keys or --insecure, and HTTP with --insecure alone" {
    refused 2 '*--curve DIR*--insecure*' without_keys "$BUILD/hearsay-node" 0 --interface eth9
    refused 2 '*--curve DIR*--insecure*' without_keys "$BUILD/hearsay-broker" --listen tcp://0.0.0.0:7700
    refused 2 '*--curve DIR*--insecure*' without_keys "$BUILD/hearsayctl" --interface eth9 nodes
    refused 2 '*--curve DIR*--insecure*' without_keys "$BUILD/hearsay" --interface eth9 get a
    refused 2 '*interface*eth9*' "$BUILD/hearsay-node" 0 --interface eth9
    refused 2 '*interface*eth9*' "$BUILD/hearsayctl" --interface eth9 nodes
    refused 2 '*HTTP has no keys*--insecure*' "$BUILD/hearsay-node" 0 --http 0.0.0.0:9710
}

@test "a node that was refused by one of its peers gets in, its subscription too" {
    cp -r "$keys" "$folder/first"
    slow_node() {
        start_program "node_$1" "$BUILD/hearsay-node" "$@" --beacon-port "$beacon_port" \
            --listen "tcp://127.0.0.1:$(node_port "$1")" --data "$folder/replica_$1" --gossip-interval 1h
    }
    slow_node 0 --curve "$folder/first"
    wait_until 10 log_has node_0 'ready'
    mv "$folder/first/node.key" "$folder/away"
    slow_node 1
    wait_until 10 log_has node_0 'is not among ours.*event=denied'
    wait_until 10 log_has node_1 'does not take our key.*event=denied'
    mv "$folder/away" "$folder/first/node.key"
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    # Rounds are an hour apart: what comes, comes by the stream.
    hearsay --no-session --replica 0 set streamed yes >/dev/null
    shows() { [ "$(hearsay --no-session --replica 1 get streamed)" = yes ]; }
    wait_until 10 shows
}

# hear_beacon FILE: the next beacon of anybody; say_beacon FILE: sends it once more.
hear_beacon() {
    timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("127.255.255.255", int(sys.argv[1])))
open(sys.argv[2], "wb").write(s.recv(1000))' "$beacon_port" "$1"
}
say_beacon() {
    python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(open(sys.argv[2], "rb").read(), ("127.255.255.255", int(sys.argv[1])))' "$beacon_port" "$1"
}

@test "an old beacon that somebody sends again is dropped, and counted" {
    node 0
    wait_until 10 log_has node_0 'ready'
    hear_beacon "$folder/beacon"
    broker
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    stale() { [ "$(ctl --json "$1" | jq '[.. | .counts? // empty | .stale_beacons] | max')" -ge 1 ]; }
    replayed() { say_beacon "$folder/beacon" && stale brokers && stale nodes; }
    wait_until 10 replayed
}

@test "a broker and a replica die: a session goes on, as without keys" {
    cluster 2
    broker 1
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    open_pipe --no-session --timeout 20s
    echo "incr piped" >&9
    wait_until 10 has_lines "$folder/out" 1
    end_program broker_0 KILL
    end_program node_0 KILL
    echo "incr piped" >&9
    wait_until 15 has_lines "$folder/out" 2
    [ "$(tail -n 1 "$folder/out")" = 2 ]
    end_pipe
    [ "$status" -eq 0 ]
    node 0
    broker 0
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    [ "$(hearsay --no-session --replica 0 get piped)" = 2 ]
}
