#!/usr/bin/env bats
# A disk that fills up and is freed again: a small tmpfs of the test's own for the data of one node.

load helpers

setup() {
    cluster_setup
    mkdir "$folder/small"
    mount -t tmpfs -o size=32M,mode=700 tmpfs "$folder/small" 2>/dev/null ||
        skip "needs root, to mount a tmpfs of 32 MiB"
}
teardown() {
    local file
    for file in "$folder"/*.pid; do
        [ -e "$file" ] && kill -KILL "$(cat "$file")" 2>/dev/null
    done
    umount -l "$folder/small" 2>/dev/null || true
    cluster_teardown
}

# small_node ID [ARGUMENTS...]: a node whose data lies there.
small_node() {
    ln -s "$folder/small" "$folder/replica_$1"
    node "$@"
}

# once COMMAND...: the client, in time, as a session of its own.
once() { timeout 10 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session "$@"; }

free_kib() { df --output=avail -k "$folder/small" | tail -n 1; }
fill_to_kib() {
    local kib=$(($(free_kib) - $1))
    [ "$kib" -le 0 ] || dd if=/dev/zero of="$folder/small/filler" bs=1K count="$kib" status=none \
        oflag=append conv=notrunc 2>/dev/null || true
}
is_refused() { once "$@" 2>&1 | grep -q READ_ONLY; }
is_alive() { kill -0 "$(pid_of "$1")"; }
value_of() { once --replica "$1" get "$2"; }
has_value() { [ "$(value_of "$1" "$2")" = "$3" ]; }

@test "a disk that fills up: updates are refused and why, reads go on; freed, all is as before" {
    small_node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(once incr n)" = 1 ]
    fill_to_kib 4096
    wait_until 10 is_refused incr other
    run once incr n
    [ "$status" -eq 5 ]
    [[ "$output" == *"takes no updates"*"free space there"* ]]
    [ "$(value_of 0 n)" = 1 ]
    log_has node_0 'read only'
    rm "$folder/small/filler"
    wait_until 10 log_has node_0 'updates are taken again'
    [ "$(once incr n)" = 2 ]
    is_alive node_0
}

# One line for each increment: a number, or an error. The counter is between the acknowledged ones
# and those with the ones of unknown outcome.
@test "full and freed again and again under load: no acknowledged update lost, counters exact" {
    small_node 0
    node 1
    broker
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    (for _ in $(seq 30000); do echo 'incr n'; done) | XDG_STATE_HOME="$folder/state" timeout 120 \
        "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session --replica 0 --timeout 20s \
        >"$folder/out" 2>>"$folder/pipe.log" 3>&- &
    local load=$! round
    wait_until 20 has_lines "$folder/out" 100
    for round in 1 2 3; do
        fill_to_kib 0
        wait_until 20 is_refused incr other --replica 0
        is_alive node_0
        rm -f "$folder/small/filler"
        wait_until 20 once --replica 0 incr "round:$round"
    done
    wait "$load" || true
    local done_count unknown_count value
    done_count=$(grep -c '^[0-9]*$' "$folder/out")
    unknown_count=$(grep -c '^ERROR UNKNOWN' "$folder/out" || true)
    [ "$(lines_of "$folder/out")" -eq 30000 ]
    value=$(value_of 0 n)
    echo "done $done_count, unknown $unknown_count, value $value"
    [ "$value" -ge "$done_count" ]
    [ "$value" -le $((done_count + unknown_count)) ]
    wait_until 20 has_value 1 n "$value"
    # And it is all in the log.
    end_program node_0 KILL
    node 0
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ "$(value_of 0 n)" = "$value" ]
}

@test "more than the reserve at once: nothing is said of it before it is written, then all goes on" {
    small_node 0 --max-value 12MiB
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    head -c 7000000 /dev/zero | tr '\0' x >"$folder/big"
    local deadline=$((SECONDS + 40))
    # Between two looks of the node at its disk, so that it does not know.
    until log_has node_0 'this node serves nothing'; do
        [ "$SECONDS" -lt "$deadline" ]
        wait_until 10 once set small 1
        fill_to_kib 0
        timeout 3 "$BUILD/hearsay" --beacon-port "$beacon_port" --no-session --timeout 2s \
            set big --stdin <"$folder/big" >"$folder/said" 2>&1 || true
        log_has node_0 'this node serves nothing' || rm -f "$folder/small/filler"
    done
    ! grep -q OK "$folder/said"
    is_alive node_0
    ctl --json nodes | grep -q '"id":0'
    rm -f "$folder/small/filler"
    wait_until 10 log_has node_0 'this node serves again'
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    wait_until 10 once get big
    [ "$(value_of 0 big | wc -c)" -eq 7000001 ]
    end_program node_0 TERM
    [ "$status" -eq 0 ]
}

@test "a sync that fails: read-only and why until a start, and then all is there" {
    sanitized && skip "a sanitizer wants to be loaded first"
    cat >"$folder/broken.c" <<'C'
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
int fdatasync(int fd)
{
    (void)fd;
    if (access(getenv("BROKEN"), F_OK) != 0)
        return 0;
    errno = EIO;
    return -1;
}
C
    $CC -shared -fPIC -o "$folder/broken.so" "$folder/broken.c"
    export BROKEN=$folder/broken
    LD_PRELOAD="$folder/broken.so" small_node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(once incr n)" = 1 ]
    touch "$BROKEN"
    wait_until 10 is_refused incr other
    run once incr n
    [[ "$output" == *"cannot sync the log"*"start the node again"* ]]
    [ "$(value_of 0 n)" = 1 ]
    ctl nodes | grep -q 'read-only'
    rm "$BROKEN"
    # It does not believe the disk again by itself.
    is_refused incr n
    end_program node_0 TERM
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(once incr n)" = 2 ]
}
