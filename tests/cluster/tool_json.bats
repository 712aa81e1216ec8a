#!/usr/bin/env bats
# --json: the fields of every command's reply and of every error, against golden files.
#
# What differs from run to run is made equal first: token, us, sends, the replica's id. After a
# change that is meant: UPDATE_GOLDEN=1 bats tests/cluster/tool_json.bats, and read the difference.

load helpers

golden=$BATS_TEST_DIRNAME/golden

setup() {
    cluster_setup
    unset HEARSAY_JSON
}
teardown() { cluster_teardown; }

# normal < REPLIES: a reply whose fields have other names or types stays as it is, and differs.
normal() {
    jq -cS '
        if (.token | type) == "string" and (.token | test("^[A-Za-z0-9_-]+$"))
        then .token = "TOKEN" else . end
        | if (.sends | type) == "number" and .sends > 0 then .sends = "SENDS" else . end
        | if (.us | type) == "number" and .us >= 0 then .us = "US" else . end
        | if (.replica | type) == "number" then .replica = "REPLICA" else . end'
}

# matches NAME FILE: the replies in FILE against golden/NAME.json.
matches() {
    normal <"$2" >"$folder/$1.normal"
    if [ -n "${UPDATE_GOLDEN:-}" ]; then
        cp "$folder/$1.normal" "$golden/$1.json"
    fi
    diff -u "$golden/$1.json" "$folder/$1.normal"
}

commands_of() { grep -v '^#' "$golden/$1"; }

@test "json: every command of the table is in the golden file" {
    hearsay --json help >"$folder/help"
    [ "$(jq '.value | length' "$folder/help")" -gt 10 ]
    jq -r '.value[].command' "$folder/help" | while read -r name; do
        commands_of commands | grep -q "^$name " || {
            echo "add a line with $name to tests/cluster/golden/commands"
            exit 1
        }
    done
    [ "$(jq '[.value[] | select((.examples | length) != 2)] | length' "$folder/help")" -eq 0 ]
    [ "$(hearsay --json help get | jq -r '.value[0].arguments')" = KEY ]
    [ "$(hearsay --json help gte | jq -r .error.code)" = USAGE ]
}

@test "json: in a pipe, replies of every command and what is refused" {
    cluster 1
    commands_of commands >"$folder/in"
    hearsay --json <"$folder/in" >"$folder/out"
    matches commands "$folder/out"
    commands_of refused >"$folder/in"
    run hearsay --json <"$folder/in"
    [ "$status" -eq 2 ]
    printf '%s\n' "${lines[@]}" >"$folder/out"
    matches refused "$folder/out"
}

@test "json: one command at a time gives the same, with exit codes" {
    cluster 1
    local line code expected
    : >"$folder/out"
    : >"$folder/codes"
    # \xHH is of pipe and prompt: those lines go through a pipe.
    while read -r line; do
        code=0
        if [[ $line == *\\x* ]]; then
            hearsay --json <<<"$line" >>"$folder/out" || code=$?
        else
            eval "hearsay --json -- $line" >>"$folder/out" || code=$?
        fi
        echo "$code" >>"$folder/codes"
    done < <(commands_of commands)
    diff -u "$golden/commands.json" <(normal <"$folder/out")
    # Absent, and a question answered with no: 1.
    paste -d ' ' "$folder/codes" <(commands_of commands) | grep -v '^0' >"$folder/noes"
    diff -u - "$folder/noes" <<'NOES'
1 get absent
1 exists absent
1 hget hash absent
1 sismember set bob
NOES
}

@test "json: errors of the cluster and of the command line" {
    cluster 1
    : >"$folder/out"
    fails() {
        local code=$1
        shift
        run hearsay --json "$@"
        [ "$status" -eq "$code" ]
        printf '%s\n' "${lines[@]}" >>"$folder/out"
    }
    fails 2 --widnow 3 get k
    fails 2 get k --timeout soon
    fails 2 --stdin --value-file x set k
    fails 2 --stdin
    fails 2 --value-file /nowhere/file set k
    fails 5 set "$(printf 'k%.0s' {1..1025})" v
    fails 3 --replica 9 --timeout 300ms get k
    fails 5 --value-file /dev/zero set k
    head -c 2000000 /dev/zero >"$folder/long"
    fails 5 --value-file "$folder/long" set k
    hearsay set k v
    # A session goes on: the update is sent, then its replica stops.
    mkfifo "$folder/in"
    exec 9<>"$folder/in"
    start_program pipe env XDG_STATE_HOME="$folder/state" bash -c 'exec "${@:2}" <"$1"' bash \
        "$folder/in" "$BUILD/hearsay" --json --beacon-port "$beacon_port" --timeout 2s
    echo 'set k w' >&9
    wait_until 5 has_lines "$folder/pipe.out" 1
    kill -STOP "$(pid_of node_0)"
    printf 'incr n\nget n\n' >&9
    wait_until 10 has_lines "$folder/pipe.out" 3
    exec 9>&-
    kill -CONT "$(pid_of node_0)"
    tail -n 2 "$folder/pipe.out" >>"$folder/out"
    matches errors "$folder/out"
}

@test "a value from standard input or a file, every byte of it" {
    cluster 1
    head -c 300000 /dev/urandom >"$folder/bytes"
    [ "$(hearsay set k --stdin <"$folder/bytes")" = OK ]
    hearsay get k | head -c 300000 | cmp - "$folder/bytes"
    [ "$(hearsay --value-file "$folder/bytes" hset h f)" = OK ]
    hearsay --json hget h f | jq -r .value_b64 | base64 -d | cmp - "$folder/bytes"
    [ "$(hearsay set empty --stdin </dev/null)" = OK ]
    [ "$(hearsay --json get empty | jq -r .value)" = "" ]
    # The same in a pipe, by escapes.
    {
        printf 'set k "'
        od -An -v -tx1 "$folder/bytes" | sed 's/ /\\x/g' | tr -d '\n'
        printf '"\n'
    } >"$folder/in"
    [ "$(hearsay <"$folder/in")" = OK ]
    hearsay get k | head -c 300000 | cmp - "$folder/bytes"
}

@test "json: a session that saw what is lost" {
    cluster 1
    hearsay set k v
    end_program node_0 KILL
    rm -r "$folder/replica_0"
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    hearsay --no-session set other v
    run hearsay --json --timeout 2s get k
    echo "$output"
    [ "$status" -eq 5 ]
    jq -e '.ok == false and .error.code == "MISSING" and .replica == 0' <<<"$output"
    run hearsay --json --relax --timeout 2s get k
    echo "$output"
    [ "$status" -eq 1 ]
    jq -e '.ok and .relaxed and .value == null' <<<"$(grep '^{"ok' <<<"$output")"
    # What was given up does not come back with the session file.
    hearsay --timeout 2s set k again
    [ "$(hearsay get k)" = again ]
}
