#!/usr/bin/env bats
# Members that go: shown, forgotten; and data folders looked through.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# status_of ID: as in the table.
status_of() { ctl nodes | awk -v id="$1" '$1 == id { print $2 }'; }
is_off() { [ "$(status_of "$1")" = off ]; }
is_known() { ctl nodes | awk -v id="$1" '$1 == id { found = 1 } END { exit !found }'; }
is_unknown() { ! is_known "$1"; }

@test "a member that is off is listed with since when; forgotten, it is not; started again it joins" {
    cluster 3
    hearsay set a 1
    end_program node_2 KILL
    wait_until 10 is_off 2
    ctl --json nodes >"$folder/nodes.json"
    [ "$(jq '.nodes[] | select(.id == 2) | .gone' "$folder/nodes.json")" = true ]
    [ "$(jq -r '.nodes[] | select(.id == 2) | .state' "$folder/nodes.json")" = in ]
    [ "$(jq '.nodes[] | select(.id == 2) | .silent_ms' "$folder/nodes.json")" -ge 0 ]
    [ "$(jq '.nodes[] | select(.id == 0) | .members | length' "$folder/nodes.json")" = 3 ]
    # Members are kept over a start, although nobody met node 2 since then.
    end_program node_0 TERM
    end_program node_1 TERM
    node 0
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    wait_until 10 is_off 2
    run ctl forget 2 </dev/null
    [ "$status" -eq 2 ]
    [[ "$output" == *--yes* ]]
    run ctl forget 2 --yes
    [ "$status" -eq 0 ]
    [[ "$output" == "node 2: forgotten by node "* ]]
    wait_until 10 is_unknown 2
    run ctl forget 2 --yes
    [ "$status" -eq 2 ]
    [[ "$output" == *"no member"* ]]
    node 2
    wait_until 20 ctl wait --nodes 3 --brokers 1 --timeout 10s
    [ "$(hearsay --no-session --replica 2 get a)" = 1 ]
}

@test "left out by those that are gone: it waits and says so, and a cluster begins anew with its backup" {
    cluster 2
    hearsay set a 1
    wait_until 10 is_there 1 a 1
    ctl forget 1 --yes
    wait_until 10 log_has node_1 'taken out of the cluster'
    end_program node_0 KILL
    end_program node_1 TERM
    node 1
    wait_until 20 log_has node_1 'waiting for another member'
    log_has node_1 'hearsayctl backup and restore'
    run hearsay --no-session --timeout 500ms get a
    [ "$status" -eq 3 ]
    ctl backup 1 "$folder/backup"
    end_program node_1 TERM
    ctl restore "$folder/backup" "$folder/replica_5"
    node 5
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    [ "$(hearsay --no-session get a)" = 1 ]
}

nobody_holds_it_back() { ctl --json nodes | jq -e '.nodes[0].horizon_ms | . >= 0 and . < 30000' >/dev/null; }

@test "all but one are gone for good: what only they had is MISSING, they are forgotten, it goes on" {
    cluster 3
    hearsay set a 1
    wait_until 10 is_there 0 a 1
    end_program node_0 TERM
    hearsay set only 1 # node 0 never sees it
    end_program node_1 KILL
    end_program node_2 KILL
    rm -r "$folder/replica_1" "$folder/replica_2"
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    run hearsay --timeout 1s get a
    [ "$status" -eq 5 ]
    [[ "$output" == *MISSING* ]]
    [ "$(hearsay --relax get a)" = 1 ]
    run hearsay get only
    [ "$status" -eq 1 ]
    ctl forget 1 --yes
    ctl forget 2 --yes
    [ "$(hearsay incr counter)" = 1 ]
    wait_until 40 nobody_holds_it_back
    node 1
    ctl wait --nodes 2 --brokers 1 --timeout 20s
    [ "$(hearsay --replica 1 get counter)" = 1 ]
}

@test "all members are killed and started again: nothing is lost, sessions go on" {
    local i
    cluster 3
    for i in $(seq 50); do echo "incr counter"; done | hearsay >/dev/null
    for i in 0 1 2; do end_program "node_$i" KILL; done
    for i in 0 1 2; do node "$i"; done
    ctl wait --nodes 3 --brokers 1 --timeout 20s
    [ "$(hearsay get counter)" = 50 ]
    [ "$(hearsay incr counter)" = 51 ]
    for i in 0 1 2; do wait_until 10 is_there "$i" counter 51; done
}

@test "forget: wrong ids, and nobody to ask" {
    run ctl forget 900 --yes
    [ "$status" -eq 2 ]
    run timeout 10 "$BUILD/hearsayctl" --beacon-port "$beacon_port" --timeout 1s forget 1 --yes
    [ "$status" -eq 3 ]
    node 0
    wait_until 10 log_has node_0 ready
    run ctl --timeout 2s forget 0 --yes
    [ "$status" -eq 3 ]
}

@test "verify: a good folder, a damaged one, none, one in use" {
    node 0
    broker
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    for i in 1 2 3 4 5; do echo "set key:$i $i"; done | hearsay >/dev/null
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_0"
    [ "$status" -eq 2 ]
    [[ "$output" == *"in use"* ]]
    end_program node_0 TERM
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_0"
    [ "$status" -eq 0 ]
    [[ "$output" == *"no damage"* ]]
    local segment
    segment=$(ls "$folder"/replica_0/log-*.seg | head -n 1)
    printf 'X' | dd of="$segment" bs=1 seek=100 conv=notrunc status=none
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/replica_0"
    [ "$status" -eq 1 ]
    [[ "$output" == "damage: "*"1 damaged" ]]
    timeout 10 "$BUILD/hearsayctl" --json verify "$folder/replica_0" >"$folder/verify.json" || true
    [ "$(jq '.ok' "$folder/verify.json")" = false ]
    [ "$(jq '.findings | map(select(.weight == "damage")) | length' "$folder/verify.json")" = 1 ]
    run timeout 10 "$BUILD/hearsayctl" verify "$folder/nothing"
    [ "$status" -eq 2 ]
}

# on_terminal ANSWER COMMAND...: what it shows and its exit code, when people answer so at [y/N].
on_terminal() {
    timeout 20 python3 -c '
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
out = b""
asked = False
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    out += data
    if b"[y/N]" in out and not asked:
        asked = True
        os.write(fd, sys.argv[1].encode() + b"\n")
print(out.decode(), "code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
' "$@"
}

@test "forget and accept-clock ask on a terminal: no is no, yes goes on" {
    node 0
    wait_until 10 log_has node_0 ready
    run on_terminal n "$BUILD/hearsayctl" --beacon-port "$beacon_port" forget 1
    [[ "$output" == *"no member any more"*"nothing was done"*"code 1" ]]
    run on_terminal '' "$BUILD/hearsayctl" --beacon-port "$beacon_port" forget 1
    [[ "$output" == *"code 1" ]]
    run on_terminal y "$BUILD/hearsayctl" --beacon-port "$beacon_port" forget 1
    [[ "$output" == *"no member: see hearsayctl nodes"*"code 2" ]]
    run on_terminal n "$BUILD/hearsayctl" --beacon-port "$beacon_port" accept-clock 1
    [[ "$output" == *"cannot be undone"*"nothing was done"*"code 1" ]]
    run on_terminal y "$BUILD/hearsayctl" --beacon-port "$beacon_port" accept-clock 1
    [[ "$output" == *"node 0: does not refuse the clock of node 1"*"code 1" ]]
}
