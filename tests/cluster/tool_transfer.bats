#!/usr/bin/env bats
# hearsay import and export.

load helpers

airports=$BATS_TEST_DIRNAME/../demo/airports.csv

setup() { cluster_setup; }
teardown() { cluster_teardown; }

# The columns of the airports' file behind its key.
columns=name,city,state,country,latitude,longitude

# differs_not FILE FILE: the same lines in any order.
differs_not() { diff <(sort "$1") <(sort "$2"); }

@test "csv: what is imported is exported again" {
    cluster 2
    [ "$(hearsay import --key-field iata --prefix airport: "$airports")" = \
        "$(($(lines_of "$airports") - 1)) rows imported, 0 refused" ]
    [ "$(hearsay hget airport:BTR name)" = "Baton Rouge Metropolitan, Ryan" ]
    [ ! -e "$airports.hearsay-import" ]
    hearsay export airport: --key-field iata --fields "$columns" >"$folder/out.csv"
    [ "$(head -n 1 "$folder/out.csv")" = "$(head -n 1 "$airports")" ]
    differs_not "$airports" "$folder/out.csv"
    # All fields, in the order of their names.
    hearsay export airport: --key-field iata >"$folder/all.csv"
    [ "$(head -n 1 "$folder/all.csv")" = iata,city,country,latitude,longitude,name,state ]
    [ "$(lines_of "$folder/all.csv")" -eq "$(lines_of "$airports")" ]
}

@test "json lines: what is imported is exported again, and between the formats" {
    cluster 1
    cat >"$folder/in.jsonl" <<'ROWS'
{"key":"7","lang":"de, en","name":"Ada \"A\"\nKing"}
{"key":"8","empty":"","name":"grüß"}
ROWS
    [ "$(hearsay import --prefix user: "$folder/in.jsonl")" = "2 rows imported, 0 refused" ]
    [ "$(hearsay --json hget user:7 name | jq -r .value)" = $'Ada "A"\nKing' ]
    hearsay export user: --format jsonl >"$folder/out.jsonl"
    diff <(jq -cS . "$folder/in.jsonl") <(jq -cS . "$folder/out.jsonl")
    hearsay export user: >"$folder/out.csv"
    [ "$(hearsay import --prefix copy: --format csv - <"$folder/out.csv")" = \
        "2 rows imported, 0 refused" ]
    hearsay export copy: >"$folder/copy.csv"
    cmp "$folder/out.csv" "$folder/copy.csv"
    hearsay sadd user:set a
    hearsay export user: 2>"$folder/note" | cmp - "$folder/out.csv"
    grep -q '1 of 3 keys are no hashes' "$folder/note"
    hearsay export - >"$folder/everything.csv"
    [ "$(lines_of "$folder/everything.csv")" -gt "$(lines_of "$folder/copy.csv")" ]
    [ "$(hearsay export nothing:)" = key ]
}

@test "bytes of any value go through csv" {
    cluster 1
    printf '\xff\xfe,"\r\n\x01' >"$folder/bytes"
    hearsay hset b:1 raw --value-file "$folder/bytes"
    hearsay export b: >"$folder/out.csv"
    hearsay import --prefix c: "$folder/out.csv"
    hearsay --json hget c:1 raw | jq -r .value_b64 | base64 -d | cmp - "$folder/bytes"
}

@test "rows that are refused are listed, the others are done, exit 5" {
    cluster 1
    hearsay set p:text "no hash"
    {
        printf 'key,value\n1,a\n2\n,x\ntext,b\n3,"open"x\n'
        printf '%s,long\n4,d\n' "$(printf 'k%.0s' {1..1100})"
    } >"$folder/in.csv"
    run hearsay import --prefix p: "$folder/in.csv"
    echo "$output"
    [ "$status" -eq 5 ]
    [ "${#lines[@]}" -eq 6 ]
    [[ "${lines[0]}" == "$folder/in.csv:3: USAGE: it has 1 fields"* ]]
    [[ "${lines[1]}" == "$folder/in.csv:4: USAGE: the field \"key\""*empty ]]
    [[ "${lines[2]}" == "$folder/in.csv:5: WRONGTYPE: "* ]]
    [[ "${lines[3]}" == "$folder/in.csv:6: USAGE: its quotes are wrong" ]]
    [[ "${lines[4]}" == "$folder/in.csv:7: TOO_LARGE: "* ]]
    [ "${lines[5]}" = "2 rows imported, 5 refused" ]
    [ "$(hearsay hget p:4 value)" = d ]
    [ ! -e "$folder/in.csv.hearsay-import" ]
    hearsay --json import --prefix p: "$folder/in.csv" 2>/dev/null >"$folder/out" || true
    jq -e '.ok == false and .value == {"rows": 2, "refused": 5} and .error.code != null' \
        "$folder/out"
}

@test "help: what the tool does by itself, with two examples each" {
    local name
    for name in import export bench; do
        hearsay help | grep -q "^  $name "
        [ "$(hearsay help "$name" | grep -c "^  hearsay $name ")" -eq 2 ]
    done
}

@test "wrong calls and files: 2, nothing sent" {
    printf 'a,b\n1,2\n' >"$folder/in.csv"
    fails() {
        run hearsay "$@"
        echo "$output"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
    }
    fails import
    fails import a b
    fails export
    fails import "$folder/none.csv"
    fails import "$folder"
    fails import "$folder/in.csv"
    [[ "$output" == *'no field is named "key"'*'which one is the key' ]]
    [ ! -e "$folder/in.csv.hearsay-import" ]
    fails import "$folder/in.csv" --format xml
    fails export p: --fields '"a'
}

@test "an import that is interrupted goes on, and one that finds nobody says so" {
    cluster 1
    awk 'BEGIN { print "key,n"; for (i = 1; i <= 150000; i++) print i "," i }' >"$folder/in.csv"
    start_import() {
        start_program import env --default-signal=INT XDG_STATE_HOME="$folder/state" \
            "$BUILD/hearsay" --beacon-port "$beacon_port" "$@" import --prefix n: "$folder/in.csv"
    }
    local state=$folder/in.csv.hearsay-import
    start_import --window 4
    wait_until 20 test -e "$state"
    end_program import INT
    cat "$folder/import.log" "$state"
    [ "$status" -eq 130 ]
    local done_rows
    done_rows=$(sed -n '2s/^[0-9]* \([0-9]*\) .*/\1/p' "$state")
    [ "$done_rows" -gt 0 ]
    [ "$done_rows" -lt 150000 ]
    # Nobody there: it stops and keeps what is done.
    end_program node_0 TERM
    run hearsay import --prefix n: --timeout 500ms "$folder/in.csv"
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"the same command goes on from here"* ]]
    node 0
    ctl wait --nodes 1 --brokers 1 --timeout 20s
    run hearsay import --prefix n: "$folder/in.csv"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == *"going on behind the $done_rows rows that are done" ]]
    [ "${lines[-1]}" = "150000 rows imported, 0 refused" ]
    [ ! -e "$state" ]
    [ "$(hearsay export n: | awk -F, 'NR > 1 && $1 == $2 { n++ } END { print n }')" = 150000 ]
}

@test "a state of another file or other options is no state" {
    cluster 1
    printf 'key,v\n1,a\n2,b\n' >"$folder/in.csv"
    echo 'hearsay-import 1 0 0 csv "hearsay" "key" ""' >"$folder/in.csv.hearsay-import"
    echo '9 1 0' >>"$folder/in.csv.hearsay-import"
    run hearsay import "$folder/in.csv"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == *"is of another file or other options: import from the start" ]]
    [ "${lines[1]}" = "2 rows imported, 0 refused" ]
    # One that fits, and --restart.
    local size mtime
    size=$(stat -c %s "$folder/in.csv")
    mtime=$(date -r "$folder/in.csv" +%s)
    fits() {
        printf 'hearsay-import 1 %s %s csv "hearsay" "key" ""\n10 1 0\n' "$size" "$mtime" \
            >"$folder/in.csv.hearsay-import"
    }
    fits
    hearsay del 1 2
    run hearsay import "$folder/in.csv"
    echo "$output"
    [ "${lines[1]}" = "2 rows imported, 0 refused" ]
    [ "$(hearsay exists 1 2)" = 1 ]
    fits
    run hearsay import "$folder/in.csv" --restart
    [ "$output" = "2 rows imported, 0 refused" ]
    [ "$(hearsay exists 1 2)" = 2 ]
}

@test "a bar on a terminal" {
    command -v python3 >/dev/null || skip "no python3 here"
    cluster 1
    awk 'BEGIN { print "key,n"; for (i = 1; i <= 60000; i++) print i "," i }' >"$folder/in.csv"
    run timeout 100 "$BATS_TEST_DIRNAME/terminal.py" env XDG_STATE_HOME="$folder/state" \
        "$BUILD/hearsay" --beacon-port "$beacon_port" --window 4 import "$folder/in.csv" <<'STEPS'
expect [#
expect  %  
expect  rows, 
expect /s
expect 60000 rows imported
code 0
STEPS
    echo "$output" | tail -n 3
    [ "$status" -eq 0 ]
}
