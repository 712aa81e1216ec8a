#!/usr/bin/env bats
# --config and --print-config of all programs, and several brokers by address.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# all_programs ARGUMENTS...: each of them, in turn.
all_programs() {
    local program
    for program in hearsay-node hearsay-broker hearsay hearsayctl; do
        "$BUILD/$program" "$@" || return
    done
}

@test "one file for all programs" {
    cat >"$folder/lab.conf" <<END
# A whole cluster.
cluster = "lab # 1"
beacon-port = $beacon_port

hearsay-node
    gossip-interval = 250ms
    data = "$folder/replica"
    listen = tcp://127.0.0.1:$(node_port 0)
hearsay-broker
    listen = tcp://127.0.0.1:$(broker_port)
hearsay
    session = mine
END
    start_program node "$BUILD/hearsay-node" 0 --config "$folder/lab.conf"
    start_program broker "$BUILD/hearsay-broker" --config "$folder/lab.conf"
    export HEARSAY_CONFIG="$folder/lab.conf" XDG_STATE_HOME="$folder/state"
    "$BUILD/hearsayctl" wait --nodes 1 --brokers 1 --timeout 20s
    [ "$("$BUILD/hearsay" set k v)" = OK ]
    [ -s "$folder/state/hearsay/lab%20%23%201-mine.session" ]
    [ -d "$folder/replica" ]
    # A flag wins: of another cluster nobody is there.
    run "$BUILD/hearsay" --cluster other --timeout 300ms get k
    [ "$status" -eq 3 ]
}

@test "what is printed is read back, and says where it is from" {
    printf 'cluster = lab\nwindow = 7\nmax-value = 2MiB\n' >"$folder/lab.conf"
    HEARSAY_BEACON_PORT=7999 "$BUILD/hearsay" --config "$folder/lab.conf" --json --print-config \
        >"$folder/out"
    cat "$folder/out"
    [ "$(grep -B 1 '^cluster = "lab"$' "$folder/out" | head -n 1)" = "# $folder/lab.conf:1" ]
    [ "$(grep -B 1 '^beacon-port = "7999"$' "$folder/out" | head -n 1)" = "# HEARSAY_BEACON_PORT" ]
    [ "$(grep -B 1 '^json = "1"$' "$folder/out" | head -n 1)" = "# --json" ]
    [ "$(grep -B 1 '^interface = "lo"$' "$folder/out" | head -n 1)" = "# default" ]
    grep -q '^# not given: broker$' "$folder/out"
    grep -q '^window = "7"$' "$folder/out"
    "$BUILD/hearsay" --config "$folder/out" --print-config | grep -v '^#' >"$folder/again"
    diff "$folder/again" <(grep -v '^#' "$folder/out")
    all_programs --config "$folder/lab.conf" --print-config >"$folder/all"
    [ "$(grep -c '^cluster = "lab"$' "$folder/all")" -eq 4 ]
    [ "$(grep -c '^max-value = "2MiB"$' "$folder/all")" -eq 1 ]
}

@test "a file that is wrong: one line, 2, nothing started" {
    local program
    for program in hearsay-node hearsay-broker hearsay hearsayctl; do
        printf '\nclutser = lab\n' >"$folder/lab.conf"
        run "$BUILD/$program" --config "$folder/lab.conf" get k
        echo "$output"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == *"lab.conf:2: clutser is no option: did you mean cluster?" ]]
        printf 'cluster = lab\ncluster = "open\n' >"$folder/lab.conf"
        run "$BUILD/$program" --config "$folder/lab.conf" get k
        echo "$output"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == *'line (2) missing "' ]]
    done
    run hearsay --json --config "$folder/lab.conf" get k
    [ "$status" -eq 2 ]
    jq -e '.ok == false and .error.code == "USAGE"' <<<"$output"
}

@test "several --broker: the one that answers serves, and hearsayctl shows those" {
    cluster 1
    broker 1
    ctl wait --nodes 1 --brokers 2 --timeout 20s
    local dead="tcp://127.0.0.1:$((first_port + 90))"
    local first second
    first="tcp://127.0.0.1:$(broker_port 0)"
    second="tcp://127.0.0.1:$(broker_port 1)"
    [ "$(hearsay --broker "$dead" --broker "$first" --broker "$second" set k v)" = OK ]
    end_program broker_0 KILL
    [ "$(hearsay --broker "$first" --broker "$second" get k)" = v ]
    broker 0
    # By address alone, no beacon.
    run "$BUILD/hearsayctl" wait --broker "$first" --broker "$second" --brokers 2 --nodes 1 \
        --timeout 20s
    echo "$output"
    [ "$status" -eq 0 ]
}
