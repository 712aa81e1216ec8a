#!/usr/bin/env bats
# Data folders that were damaged: named, never served, and repaired from the other nodes.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

KEYS=200

# fill: KEYS keys, at every node.
fill() {
    for i in $(seq "$KEYS"); do echo "set key:$i value:$i"; done | hearsay --no-session >/dev/null
    echo 'incr count 7' | hearsay --no-session >/dev/null
    for i in "$@"; do wait_until 10 has_all "$i"; done
}

# values_of ID: what is there of what fill wrote.
values_of() {
    (for i in $(seq "$KEYS"); do echo "get key:$i"; done && echo 'get count') |
        timeout 30 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session --replica "$1"
}
expected() { for i in $(seq "$KEYS"); do echo "value:$i"; done && echo 7; }
has_all() { [ "$(values_of "$1")" = "$(expected)" ]; }

# flip FILE OFFSET: another byte than the one that is there.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

segment_of() { find "$folder/replica_$1" -maxdepth 1 -name 'log-*.seg' | sort | head -n 1; }
damage_log() { flip "$(segment_of "$1")" $(($(stat -c %s "$(segment_of "$1")") / 2)); }

status_of() { ctl nodes | awk -v id="$1" '$1 == id { print $2 }'; }
is_joining() { [ "$(status_of "$1")" = joining ]; }
is_whole() { run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_$1" && [ "$status" -eq 0 ]; }
places_of() { find "$folder/replica_$1" -maxdepth 1 -name 'damaged-*' | wc -l; }

# repaired ID: it said so, has everything, and its folder is good; it is ended.
repaired() {
    ctl wait --nodes 3 --brokers 1 --timeout 30s
    log_has "node_$1" 'event=repaired'
    has_all "$1"
    [ ! -e "$folder/replica_$1/repair" ]
    end_program "node_$1" TERM
    [ "$status" -eq 0 ]
    is_whole "$1"
    node "$1"
    ctl wait --nodes 3 --brokers 1 --timeout 30s
    has_all "$1"
}

@test "a byte in the middle of a log: named, set aside, repaired from the others" {
    cluster 3
    fill 0 1 2
    end_program node_2 KILL
    damage_log 2
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_2"
    [ "$status" -eq 1 ]
    node 2
    repaired 2
    log_has node_2 "replica_2/log-0000000000000000.seg is damaged at offset "
    log_has node_2 'event=damaged'
    [ "$(places_of 2)" -eq 1 ]
    # Once more, where the checkpoint covers it: nothing is lacking, and it goes with the next one.
    end_program node_2 KILL
    flip "$(segment_of 2)" 100
    rm "$folder/node_2.log"
    node 2
    ctl wait --nodes 3 --brokers 1 --timeout 30s
    log_has node_2 'is damaged before the checkpoint'
    ! log_has node_2 joining
    has_all 2
    wait_until 20 log_has node_2 'checkpoint written'
    end_program node_2 TERM
    is_whole 2
    [ "$(places_of 2)" -eq 1 ]
}

@test "a checkpoint that was overwritten, cut short or taken away: the same" {
    local how file
    cluster 3
    fill 0 1 2
    for how in 'truncate -s 5000' 'shred -n 1' 'rm'; do
        end_program node_2 KILL
        file="$folder/replica_2/checkpoint/data.mdb"
        $how "$file"
        rm -f "$folder/node_2.log"
        node 2
        repaired 2
        log_has node_2 'checkpoint/data.mdb is '
    done
    [ "$(places_of 2)" -eq 3 ]
}

@test "a log that was overwritten from its first byte on" {
    cluster 3
    fill 0 1 2
    end_program node_2 KILL
    dd if=/dev/zero of="$(segment_of 2)" bs=1 count=3000 conv=notrunc status=none
    node 2
    repaired 2
}

@test "a log that was cut short, as if it had never been longer" {
    cluster 3
    fill 0 1 2
    end_program node_2 TERM
    truncate -s 32 "$(segment_of 2)"
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_2"
    [ "$status" -eq 1 ]
    [[ "$output" == *"was on the disk up to"* ]]
    node 2
    repaired 2
    log_has node_2 'something was cut off'
}

@test "the only other one is down: it waits and says so, and is repaired when that one comes" {
    cluster 2
    fill 0 1
    end_program node_0 KILL
    end_program node_1 KILL
    damage_log 1
    node 1
    wait_until 20 log_has node_1 'waiting for another member'
    wait_until 10 is_joining 1
    ! log_has node_1 ' ready '
    run timeout 10 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session --timeout 2s get key:1
    [ "$status" -eq 3 ]
    # Also over a start in between.
    end_program node_1 KILL
    rm "$folder/node_1.log"
    node 1
    wait_until 20 log_has node_1 'waiting for another member'
    node 0
    ctl wait --nodes 2 --brokers 1 --timeout 30s
    log_has node_1 'event=repaired'
    has_all 1
    end_program node_1 TERM
    is_whole 1
}

@test "what only the damaged node had is handed in, from before and from behind the damage" {
    cluster 2
    fill 0 1
    end_program node_0 KILL
    wait_until 10 is_off 0
    for i in $(seq 20); do echo "set own:$i $i"; done | hearsay --no-session >/dev/null
    end_program node_1 KILL
    # In what both have.
    flip "$(segment_of 1)" 2000
    node 1
    node 0
    ctl wait --nodes 2 --brokers 1 --timeout 30s
    has_all 1
    for i in $(seq 20); do [ "$(hearsay --no-session --replica 0 get "own:$i")" = "$i" ]; done
    [ ! -e "$folder/replica_1/lost+found" ]
}
is_off() { [ "$(status_of "$1")" = off ]; }

@test "nothing is left to read, and it had been forgotten meanwhile: it is taken back, not a member" {
    cluster 3
    fill 0 1 2
    end_program node_2 KILL
    wait_until 10 is_off 2
    ctl forget 2 --yes
    shred -n 1 "$(segment_of 2)" "$folder/replica_2/checkpoint/data.mdb"
    node 2
    repaired 2
    cat "$folder/node_0.log" "$folder/node_1.log" | grep -q 'event=member-back'
}

@test "damage while a node runs: named, not given to others, and gone with the next checkpoint" {
    cluster 2
    fill 0 1
    end_program node_1 KILL
    wait_until 10 is_off 1
    for i in $(seq 20); do echo "set own:$i $i"; done | hearsay --no-session >/dev/null
    flip "$(segment_of 0)" $(($(stat -c %s "$(segment_of 0)") - 100))
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 30s
    log_has node_0 'log-0000000000000000.seg is damaged at offset'
    log_has node_0 'event=damaged'
    log_has node_1 'event=joined'
    has_all 1
    for i in $(seq 20); do [ "$(hearsay --no-session --replica 1 get "own:$i")" = "$i" ]; done
    wait_until 20 log_has node_0 'checkpoint written'
    hearsay --no-session --replica 0 set after 1
    end_program node_0 TERM
    is_whole 0
    rm "$folder/node_0.log"
    node 0
    ctl wait --nodes 2 --brokers 1 --timeout 30s
    ! log_has node_0 damaged
    [ "$(hearsay --no-session --replica 0 get own:20)" = 20 ]
    [ "$(hearsay --no-session --replica 0 get after)" = 1 ]
}

@test "alone: it waits, and with --salvage goes on with what is left; the rest is in lost+found" {
    node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    fill 0
    end_program node_0 KILL
    damage_log 0
    node 0
    wait_until 20 log_has node_0 'start this node with --salvage'
    end_program node_0 TERM
    [ "$status" -eq 0 ]
    node 0 --salvage
    ctl wait --nodes 1 --brokers 1 --timeout 30s
    log_has node_0 'going on with what is left'
    [ "$(hearsay --no-session get key:1)" = value:1 ]
    run hearsay --no-session get "key:$KEYS"
    [ "$status" -eq 1 ]
    grep -q "set \"key:$KEYS\" \"value:$KEYS\"" "$folder/replica_0/lost+found"
    hearsay --no-session set more 1
    end_program node_0 TERM
    is_whole 0
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 30s
    [ "$(hearsay --no-session get more)" = 1 ]
}
