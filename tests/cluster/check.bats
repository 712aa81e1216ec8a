#!/usr/bin/env bats
# hearsayctl check: that all nodes show the same, while they are written to.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

field() { jq -e "$1" <<<"$output"; }

@test "check: equal, while it is being written to" {
    cluster 3
    for i in $(seq 300); do
        echo "set key:$i value-$i"
        echo "hset hash:$((i % 7)) field-$i $i"
        echo "incr counter:$((i % 5))"
    done | hearsay >/dev/null
    start_program load timeout 30 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session \
        bench --duration 20s --requests 1000000 --sessions 2 --keys 500
    wait_until 10 busy
    run -0 ctl check --json --timeout 20s
    field '.ok and .nodes == [0, 1, 2] and .differing == 0 and .buckets > 1'
    end_program load TERM
    run -0 ctl check
    [[ ${lines[0]} =~ ^nodes\ 0,\ 1\ and\ 2,\ [0-9]+\ keys:\ equal$ ]]
    [[ ${lines[1]} =~ ^files\ of\ nodes\ 0,\ 1\ and\ 2,\ [0-9.]+\ MiB:\ whole$ ]]
    [ "${#lines[@]}" -eq 2 ]
    run -0 ctl check --no-files
    [[ $output =~ ^nodes\ 0,\ 1\ and\ 2,\ [0-9]+\ keys:\ equal$ ]]
}
busy() { [ "$(ctl --json nodes | jq '[.nodes[].counts.updates] | add')" -gt 2000 ]; }

@test "check: a node that shows something else is found, and the first key that differs named" {
    cluster 2
    for i in $(seq 200); do echo "set key:$i value-$i"; done | hearsay >/dev/null
    hearsay set other same
    ctl wait --nodes 2 --timeout 10s
    run -0 ctl check
    end_program node_1 TERM
    [ "$("$BUILD/tests/forge" "$folder"/replica_1/log-*.seg value-77 VALUE-77)" = 1 ]
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    run -1 ctl check --timeout 20s
    [[ $output =~ 1\ differ,\ the\ first\ is\ \"key:77\":\ register\ at\ node\ 0,\ register\ at\ node\ 1,\ of\ another\ value ]]
    run -1 ctl check --json --timeout 20s
    field '.ok == false and .differing == 1 and .first.key == "key:77" and
        (.first.shown | map(.id)) == [0, 1]'
}

@test "check: what is remembered of deleted keys hides no difference" {
    node 0 --retry-horizon 60s
    node 1 --retry-horizon 60s
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    { seq -f 'set gone:%g x' 6000; seq -f 'del gone:%g' 6000; } | hearsay >/dev/null
    hearsay set key value-1
    run -0 ctl check
    [[ ${lines[0]} == *", 1 keys: equal" ]]
    end_program node_1 TERM
    [ "$("$BUILD/tests/forge" "$folder"/replica_1/log-*.seg value-1 VALUE-1)" = 1 ]
    node 1 --retry-horizon 60s
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ "$(ctl --json nodes | jq '[.nodes[].counts.entries] | min')" -gt 4096 ]
    run -1 ctl check --timeout 20s
    [[ $output =~ 1\ differ,\ the\ first\ is\ \"key\": ]]
}

@test "check: who cannot be compared is named, and one node alone is not equal to itself" {
    cluster 2
    hearsay set key value
    ctl wait --nodes 2 --timeout 10s
    node 2
    ctl wait --nodes 3 --timeout 20s
    end_program node_2 TERM
    run -3 ctl check
    [[ $output == *"nodes 0 and 1,"*equal* ]]
    [[ $output == *"not compared: node 2 does not answer"* ]]
    run -3 ctl check --json
    field '.ok == false and .differing == 0 and .left_out == [{"id": 2, "why": "does not answer"}] and
        (.files | map(.state)) == ["whole", "whole"]'
    end_program node_1 TERM
    run -3 ctl check
    [[ $output == *"no two nodes to compare (its files are whole)"*"node 1 does not answer"* ]]
}

# ---- files ----

# flip FILE OFFSET: another byte than the one that is there.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
segment_of() { find "$folder/replica_$1" -maxdepth 1 -name 'log-*.seg' | sort | head -n 1; }
# places_of FILE TEXT: the offsets of the text.
places_of() { grep -abo -- "$2" "$1" | cut -d : -f 1; }
place_of() { places_of "$1" "$2" | head -n 1; }
fill() {
    for i in $(seq 300); do echo "set key:$i value-$i"; done | hearsay --no-session >/dev/null
    ctl wait --nodes "$1" --brokers 1 --timeout 20s
}
has_all() {
    [ "$(seq -f 'get key:%g' 300 | hearsay --no-session --replica "$1" | tail -n 1)" = value-300 ] &&
        [ "$(seq -f 'get key:%g' 300 | hearsay --no-session --replica "$1" | grep -c ^value-)" = 300 ]
}
# whole_after_kill ID: killed and started again it has all, and nothing was damaged.
whole_after_kill() {
    end_program "node_$1" KILL
    run -0 "$BUILD/hearsayctl" verify "$folder/replica_$1"
    rm "$folder/node_$1.log"
    node "$1"
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    ! log_has "node_$1" damaged
    has_all "$1"
}

@test "check: a byte in the log of a running node is named, made good, and the next check is clean" {
    local segment
    cluster 2
    fill 2
    segment=$(segment_of 1)
    flip "$segment" "$(place_of "$segment" value-77)"
    run -1 ctl check --timeout 20s
    [[ ${lines[0]} == "nodes 0 and 1, 300 keys: equal" ]]
    [[ ${lines[1]} == "files of node 0,"*": whole" ]]
    [[ ${lines[2]} =~ ^damage:\ node\ 1:\ .*/replica_1/${segment##*/}:\ [0-9]+\ bytes\ at\ offset\ [0-9]+\ .*\ are\ damaged$ ]]
    [[ ${lines[3]} == "node 1 made that good"* ]]
    log_has node_1 "${segment##*/}: "
    log_has node_1 'event=damaged'
    log_has node_1 'event=repaired'
    [ ! -e "$segment" ]
    run -0 ctl check --json
    field '.ok and (.files | map(.state)) == ["whole", "whole"]'
    [ "$(ctl --json nodes | jq '.nodes[] | select(.id == 1).counts |
        [.files_damaged, .files_repaired] == [1, 1]')" = true ]
    whole_after_kill 1
}

@test "check: a damaged checkpoint is written anew, in another file" {
    local file place inode
    cluster 2
    fill 2
    end_program node_1 TERM # so that it has one
    flip "$(segment_of 1)" 40
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 30s
    wait_until 20 log_has node_1 'checkpoint written'
    file="$folder/replica_1/checkpoint/data.mdb"
    # LMDB leaves older copies of pages behind.
    for place in $(places_of "$file" value-77); do flip "$file" "$place"; done
    inode=$(stat -c %i "$file")
    run -1 ctl check --json --timeout 20s
    field '.ok == false and .differing == 0 and .files[0].state == "whole" and
        (.files[1] | .state == "damaged" and .damaged == 1 and .repaired and
            (.findings | length) == 1 and .findings[0].file == "checkpoint/data.mdb" and
            .findings[0].offset > 0 and .findings[0].weight == "damage")'
    [ "$(stat -c %i "$file")" != "$inode" ]
    run -0 ctl check
    whole_after_kill 1
}

@test "check: files cut short or taken away from under a running node" {
    local segment
    cluster 2
    fill 2
    segment=$(segment_of 0)
    truncate -s 5000 "$segment"
    run -1 ctl check --timeout 20s
    # What has been appended since made it long again, with zeros in between.
    [[ $output == *"damage: node 0: "*"${segment##*/}"* ]]
    [[ $output == *"node 0 made that good"* ]]
    rm -r "$folder/replica_0/checkpoint" "$(segment_of 0)"
    run -1 ctl check --timeout 20s
    [[ $output == *"damage: node 0: "*"checkpoint/data.mdb is missing"* ]]
    [[ $output == *"damage: node 0: cannot read "*".seg: No such file"* ]]
    run -0 ctl check
    whole_after_kill 0
}

@test "check: a node alone names what is damaged, and has it all after a crash" {
    node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    fill 1
    flip "$(segment_of 0)" "$(place_of "$(segment_of 0)" value-5)"
    run -1 ctl check --timeout 20s
    [[ $output == "damage: node 0: "*"are damaged"*"node 0 made that good"* ]]
    run -3 ctl check
    end_program node_0 KILL
    rm "$folder/node_0.log"
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    ! log_has node_0 damaged
    has_all 0
}
