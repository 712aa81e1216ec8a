#!/usr/bin/env bats
# hearsayctl backup and restore: one node's state while it serves, and a cluster anew from it.

bats_require_minimum_version 1.5.0
load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

fill() {
    for i in $(seq "$1"); do
        echo "set key:$i value-$i"
        echo "hset hash:$((i % 7)) field-$i $i"
        echo "sadd set:$((i % 5)) element-$i"
        echo "incr counter:$((i % 3))"
    done | hearsay >/dev/null
    hearsay set gone 1
    hearsay del gone
    hearsay set short-lived 1
    hearsay expire short-lived 10000
}

end_cluster() {
    local name
    for name in broker_0 "$@"; do end_program "$name" TERM; done
}

@test "backup, restore: what was there is there again, under a new lineage, and others join empty" {
    cluster 2
    fill 300
    old_token=$(hearsay --json get key:1 | jq -r .token)
    ctl wait --nodes 2 --timeout 10s
    run -0 ctl backup 1 "$folder/backup"
    # One more for what was deleted and is not forgotten yet.
    [[ $output =~ ^node\ 1:\ 31[67]\ entries,\ deleted\ keys\ .*\ in\ [0-9]+\ bytes$ ]]
    [ "$(stat -c %a "$folder/backup")" = 600 ]
    hearsay set after-it 1
    end_cluster node_0 node_1
    run -2 ctl restore "$folder/backup" "$folder/replica_0"
    [[ $output == *"is there already"* ]]
    mv "$folder/replica_0" "$folder/old_0"
    rm -r "$folder/replica_1"
    run -0 ctl restore "$folder/backup" "$folder/replica_0" --json
    jq -e '.ok and .entries >= 316 and .id == 1 and (.time | test("^20..-"))' <<<"$output"
    [ ! -e "$folder/replica_0.partial" ]
    run -0 ctl verify "$folder/replica_0"
    rm -r "$folder/state"
    cluster 2
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    for replica in 0 1; do
        [ "$(hearsay --replica "$replica" get key:7)" = value-7 ]
        [ "$(hearsay --replica "$replica" get counter:0)" = 100 ]
        [ "$(hearsay --replica "$replica" hget hash:3 field-3)" = 3 ]
        [ "$(hearsay --replica "$replica" sismember set:1 element-1)" = 1 ]
        run -1 hearsay --replica "$replica" get gone
        run -1 hearsay --replica "$replica" get after-it
    done
    run -0 hearsay ttl short-lived
    [ "$output" -gt 9000 ]
    run -0 hearsay incr counter:0
    [ "$output" = 101 ]
    run -0 hearsay set new value
    run -0 ctl check
    # What comes from before it is refused, with a line.
    run hearsay --no-session --token "$old_token" get key:1
    [ "$status" -ne 0 ]
    end_program node_1 TERM
    rm -r "$folder/replica_1"
    mv "$folder/old_0" "$folder/replica_1"
    node 1
    wait_until 10 log_has node_1 lineage
}

busy() { [ "$(ctl --json nodes | jq '.nodes[0].counts.updates')" -gt 2000 ]; }

# Each update sets both keys to one number: a cut through the middle of one would show.
@test "backup: a consistent cut while it is being written to, through a pipe" {
    cluster 1
    fill 50
    start_program load timeout 30 bash -c 'for ((i = 1; i < 1000000; i++)); do
        echo "mset left $i right $i"; done | XDG_STATE_HOME='"$folder"'/load '"$BUILD"'/hearsay \
        --beacon-port '"$beacon_port"
    wait_until 20 busy
    for i in 1 2 3; do
        ctl backup 0 - 2>"$folder/said" | gzip >"$folder/backup.gz"
        grep -q "^node 0: " "$folder/said"
        gzip -d <"$folder/backup.gz" | ctl restore - "$folder/copy_$i"
    done
    end_program load TERM
    end_cluster node_0
    for i in 1 2 3; do
        rm -rf "$folder/replica_0" "$folder/state"
        mv "$folder/copy_$i" "$folder/replica_0"
        cluster 1
        run -0 hearsay --json mget left right
        jq -e '.value[0] == .value[1] and (.value[0] | tonumber) > 0' <<<"$output"
        end_cluster node_0
    done
}

@test "backup, restore: what is wrong is said, and nothing is left" {
    cluster 1
    run -5 ctl backup 0 "$folder/backup"
    [[ $output == *"no data yet"* ]]
    hearsay set key value
    run -2 ctl backup 0 "$folder/no/such/folder"
    [[ $output == *"cannot create"* ]]
    run -3 ctl backup 7 "$folder/backup" --timeout 2s
    [ ! -e "$folder/backup" ]
    run -0 ctl backup 0 "$folder/backup"
    # One that was broken off does not stand in the way of the next.
    timeout 20 bash -c "'$BUILD/hearsayctl' --beacon-port $beacon_port backup 0 - 2>/dev/null" | head -c 1 >/dev/null
    run -0 ctl backup 0 "$folder/backup"
    head -c 100 "$folder/backup" >"$folder/short"
    run -5 ctl restore "$folder/short" "$folder/copy"
    [[ $output == *"cut short"* ]]
    cp "$folder/backup" "$folder/bad"
    printf X | dd of="$folder/bad" bs=1 seek=60 conv=notrunc 2>/dev/null
    run -5 ctl restore "$folder/bad" "$folder/copy" --json
    jq -e '.ok == false and (.error.message | test("damaged at byte"))' <<<"$output"
    run -2 ctl restore /etc/hostname "$folder/copy"
    [[ $output == *"is no backup"* ]]
    run -2 ctl restore "$folder/nothing" "$folder/copy"
    run -2 ctl restore "$folder/backup" "$folder/no/such/folder"
    [ -z "$(ls -d "$folder"/copy* "$folder"/*.partial 2>/dev/null)" ]
}
