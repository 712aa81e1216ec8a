#!/usr/bin/env bats
# Nodes and hearsayctl as people start them: real processes on loopback.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

three_nodes() {
    node 0
    node 1
    node 2
    ctl wait --nodes 3 --timeout 20s
}

# status_of ID: from the table.
status_of() { ctl nodes | awk -v id="$1" '$1 == id { print $2 }'; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }

@test "three nodes find each other by beacon" {
    three_nodes
    run ctl nodes
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 4 ]
    [[ "${lines[0]}" == ID*STATUS*ADDRESS*LAG*VECTOR ]]
    [[ "${lines[1]}" == "0 "*active*"auto load"*"127.0.0.1:$(node_port 0)"* ]]
    log_has node_1 "ready id=1 incarnation=[0-9a-f]\{16\} address=127.0.0.1 port=$(node_port 1)"
}

@test "nodes --json is one object with every node and its peers" {
    three_nodes
    ctl --json nodes >"$folder/nodes.json"
    [ "$(wc -l <"$folder/nodes.json")" -eq 1 ]
    [ "$(jq '[.nodes[].peers[] | select(.connected)] | length' "$folder/nodes.json")" -eq 6 ]
    grep -q '^{"ok":true,"nodes":\[{"id":0,"gone":false,"status":"active",' "$folder/nodes.json"
}

@test "a node named with --peer is found without a beacon" {
    node 0
    wait_until 10 log_has node_0 " ready "
    other_beacon=$((beacon_port + 1))
    start_program node_1 "$BUILD/hearsay-node" 1 --beacon-port "$other_beacon" \
        --peer "tcp://127.0.0.1:$(node_port 0)" --data "$folder/replica_1" \
        --listen "tcp://127.0.0.1:$(node_port 1)"
    wait_until 10 log_has node_0 "peer joined id=1"
    wait_until 10 log_has node_1 "peer joined id=0"
    run "$BUILD/hearsayctl" --peer "tcp://127.0.0.1:$(node_port 1)" wait --nodes 2 --timeout 10s
    [ "$status" -eq 0 ]
}

@test "a status is set, kept and given back" {
    node 0
    node 1 overloaded
    ctl wait --nodes 2 --timeout 20s
    has_status 1 overloaded
    run ctl status 0 offline
    [ "$status" -eq 0 ]
    has_status 0 offline
    ctl nodes | grep -q '^0  *offline  *manual'
    ctl --json status 0 active | grep -q '^{"ok":true,"id":0,"value":"active"}$'
    ctl status 0 auto
    ctl nodes | grep -q '^0  *active  *auto load'
}

@test "by chance: offline with certainty after a gossip round" {
    node 0 --auto random:0,0,100
    wait_until 20 has_status 0 offline
}

@test "a node killed and started at once under its id is welcome" {
    three_nodes
    end_program node_1 KILL
    wait_until 10 has_status 1 off
    node 1
    run ctl wait --nodes 3 --timeout 20s
    [ "$status" -eq 0 ]
    end_program node_1 KILL
    node 1
    run ctl wait --nodes 3 --timeout 20s
    [ "$status" -eq 0 ]
    kill -0 "$(pid_of node_1)"
}

@test "an id that is taken" {
    three_nodes
    run timeout 10 "$BUILD/hearsay-node" 1 --beacon-port "$beacon_port" --data "$folder/other" \
        --listen "tcp://127.0.0.1:$(node_port 5)"
    [ "$status" -eq 2 ]
    [[ "$output" == *"error node id 1 is taken: "*"port $(node_port 1)"* ]]
    run ctl wait --nodes 3 --timeout 10s
    [ "$status" -eq 0 ]
}

@test "a port in use" {
    node 0
    wait_until 10 log_has node_0 " ready "
    run timeout 10 "$BUILD/hearsay-node" 1 --beacon-port "$beacon_port" --data "$folder/other" \
        --listen "tcp://127.0.0.1:$(node_port 0)"
    [ "$status" -eq 3 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == "hearsay-node: cannot listen on 127.0.0.1 port $(node_port 0): "* ]]
}

@test "a data folder in use" {
    node 0
    wait_until 10 log_has node_0 " ready "
    run timeout 10 "$BUILD/hearsay-node" 0 --beacon-port "$beacon_port" \
        --data "$folder/replica_0" --listen "tcp://127.0.0.1:$(node_port 1)"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == "hearsay-node: "*"replica_0"* ]]
    # and one of another id
    run timeout 10 "$BUILD/hearsay-node" 3 --beacon-port "$beacon_port" \
        --data "$folder/replica_0" --listen "tcp://127.0.0.1:$(node_port 1)"
    [ "$status" -eq 2 ]
}

@test "SIGTERM and SIGINT end a node with 0, whatever its peers do" {
    three_nodes
    kill -STOP "$(pid_of node_2)"
    started=$(date +%s%3N)
    end_program node_0 TERM
    [ "$status" -eq 0 ]
    [ $(($(date +%s%3N) - started)) -lt 2000 ]
    # Programs in the background of a shell ignore SIGINT unless they ask for it, as these do.
    started=$(date +%s%3N)
    end_program node_1 INT
    [ "$status" -eq 0 ]
    [ $(($(date +%s%3N) - started)) -lt 2000 ]
}

@test "a frozen node holds hearsayctl up no longer than --timeout" {
    three_nodes
    kill -STOP "$(pid_of node_2)"
    started=$(date +%s%3N)
    run ctl status 2 offline --timeout 2s
    [ "$status" -eq 3 ] || [ "$status" -eq 4 ]
    [ $(($(date +%s%3N) - started)) -lt 2500 ]
    run ctl nodes
    [ "$status" -eq 0 ]
    kill -CONT "$(pid_of node_2)"
    run ctl wait --nodes 3 --timeout 20s
    [ "$status" -eq 0 ]
}

@test "wait says what is missing" {
    node 0
    wait_until 10 log_has node_0 " ready "
    run ctl wait --nodes 2 --timeout 600ms
    [ "$status" -eq 1 ]
    [[ "$output" == *"1 of 2 nodes answer" ]]
    run ctl --json wait --nodes 1 --brokers 1 --timeout 600ms
    [ "$status" -eq 1 ]
    [[ "$output" == '{"ok":false,"error":{"code":"NO","message":'*"0 of 1 brokers answer"* ]]
}

@test "nobody there" {
    run ctl nodes
    [ "$status" -eq 3 ]
    [[ "$output" == "hearsayctl: no node of cluster \"hearsay\" answers"* ]]
    run ctl status 0 active --json
    [ "$status" -eq 3 ]
    [[ "$output" == '{"ok":false,"error":{"code":"NOT_REACHED",'* ]]
}

# refused PATTERN COMMAND...: exit code 2 and one line on stderr.
refused() {
    local pattern=$1
    shift
    run timeout 10 "$@"
    echo "$output"
    [ "$status" -eq 2 ] && [ "${#lines[@]}" -eq 1 ] && [[ "$output" == $pattern ]]
}

@test "wrong command lines" {
    cd "$folder"
    refused 'hearsay-node: *give its id*' "$BUILD/hearsay-node"
    refused 'hearsay-node: "x" is no node id*' "$BUILD/hearsay-node" x
    refused 'hearsay-node: "256" is no node id*' "$BUILD/hearsay-node" 256
    refused 'hearsay-node: *did you mean offline*' "$BUILD/hearsay-node" 0 ofline
    refused 'hearsay-node: *--listen*' "$BUILD/hearsay-node" 0 --lisen tcp://127.0.0.1:1
    refused 'hearsay-node: *--insecure*' "$BUILD/hearsay-node" 0 --interface eth9
    refused 'hearsay-node: *--insecure*' "$BUILD/hearsay-node" 0 --listen tcp://0.0.0.0:7710
    refused 'hearsay-node: *is no address*' "$BUILD/hearsay-node" 0 --peer localhost
    refused 'hearsay-node: *--auto*' "$BUILD/hearsay-node" 0 --auto lod
    refused 'hearsay-node: *sum to 1*' "$BUILD/hearsay-node" 0 --auto random:0.5,0.4,0.2
    refused 'hearsay-node: *sum to 1*' "$BUILD/hearsay-node" 0 --auto random:50%,50%
    refused 'hearsayctl: *did you mean nodes*' "$BUILD/hearsayctl" node
    refused 'hearsayctl: *did you mean offline*' "$BUILD/hearsayctl" status 0 ofline
    refused 'hearsayctl: *takes 2 words*' "$BUILD/hearsayctl" status 0
    refused 'hearsayctl: *--nodes*' "$BUILD/hearsayctl" wait
    refused '{"ok":false,"error":{"code":"USAGE"*' "$BUILD/hearsayctl" --json nods
    [ -z "$(ls -d replica_* 2>/dev/null)" ]
}

@test "help and version" {
    for program in hearsay-node hearsayctl; do
        run "$BUILD/$program" --help
        [ "$status" -eq 0 ]
        [[ "$output" == "usage: $program "*"Examples:"* ]]
        run "$BUILD/$program" --version
        [ "$status" -eq 0 ]
        [[ "$output" == "$program "[0-9]* ]]
    done
}
