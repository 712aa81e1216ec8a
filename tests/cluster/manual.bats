#!/usr/bin/env bats
# Manuals, completions and units: that they say what the programs take, and that systemd hears of us.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

programs="hearsay hearsayctl hearsay-node hearsay-broker"

# options_of PROGRAM: as its table has them.
options_of() { "$BUILD/$1" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort; }
commands_of() {
    "$BUILD/$1" --help | awk '/^Commands:|^By the tool itself:/ { on = 1; next } /^Options:/ { on = 0 }
        on && /^  [a-z]/ { print $1 }' | sort
}
manual_of() { echo "$BUILD/share/man/$1".[18]; }

# complete_words PROGRAM WORD...: what bash offers for the last word.
complete_words() {
    local program=$1 COMP_WORDS COMP_CWORD COMPREPLY=()
    # shellcheck disable=SC1090
    source "$BUILD/share/bash/$program"
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    "_${program//-/_}"
    printf '%s\n' "${COMPREPLY[@]}" | sort
}

@test "each option and command is in the manual and the completions, and no other" {
    local p
    for p in $programs; do
        options_of "$p" >"$folder/options"
        [ "$(wc -l <"$folder/options")" -gt 10 ]
        sed -n 's/^\\fB\\-\\-\([a-z\\-]*\)\\fR.*/--\1/p' "$(manual_of "$p")" | tr -d '\\' | sort |
            diff "$folder/options" -
        complete_words "$p" -- | diff "$folder/options" -
        sed -n "s/^    '\(--[a-z-]*\)\[.*/\1/p" "$BUILD/share/zsh/_$p" | sort | diff "$folder/options" -
    done
    for p in hearsay hearsayctl; do
        commands_of "$p" >"$folder/commands"
        [ "$(wc -l <"$folder/commands")" -ge 6 ]
        complete_words "$p" '' | diff "$folder/commands" -
        sed -n '/^.SH COMMANDS/,/^.SH OPTIONS/{ s/\\-/-/g; s/^\\fB\([a-z-]*\).*/\1/p; }' \
            "$(manual_of "$p")" | sort | diff "$folder/commands" -
    done
}

@test "completion of values and prefixes" {
    [ "$(complete_words hearsay-node --sync '' | tr '\n' ' ')" = "always interval never " ]
    [ "$(complete_words hearsay-node --sync ne)" = never ]
    [ "$(complete_words hearsayctl fo)" = forget ]
    [ "$(complete_words hearsay-node 0 off)" = offline ]
    [ -z "$(complete_words hearsay-node --cluster '')" ]
}

@test "the manuals are good roff" {
    command -v man >/dev/null || skip "needs man"
    local p
    for p in $programs; do
        run man --warnings -E UTF-8 -l -Tutf8 -Z "$(manual_of "$p")"
        [ "$status" -eq 0 ]
        [[ "$output" != *warning* ]]
        man -l "$(manual_of "$p")" | cat | grep -q -- '--log-level'
    done
}

@test "the zsh completions are good zsh" {
    command -v zsh >/dev/null || skip "needs zsh"
    local p
    for p in $programs; do zsh -n "$BUILD/share/zsh/_$p"; done
}

@test "the units are good units" {
    command -v systemd-analyze >/dev/null || skip "needs systemd-analyze"
    local unit
    make -s -C "$root" BUILD="$BUILD" CC="$CC" DESTDIR="$folder/root" PREFIX=/usr install
    for unit in hearsay-node@ hearsay-broker; do
        grep -q '^ExecStart=/usr/bin/hearsay-' "$folder/root/usr/lib/systemd/system/$unit.service"
        grep -q '^ProtectSystem=strict' "$folder/root/usr/lib/systemd/system/$unit.service"
        sed "s|/usr/bin/hearsay|$BUILD/hearsay|" "$folder/root/usr/lib/systemd/system/$unit.service" \
            >"$folder/${unit/@/@0}.service"
        run systemd-analyze verify --man=no "$folder/${unit/@/@0}.service"
        [[ "$output" != *"$unit"* ]]
    done
    make -s -C "$root" BUILD="$BUILD" CC="$CC" DESTDIR="$folder/root" PREFIX=/usr uninstall
    [ -z "$(find "$folder/root" -type f)" ]
}

@test "a service manager hears ready, alive and stopping" {
    nm -D "$BUILD/hearsay-node" | grep -q sd_notify || skip "built without libsystemd"
    local p
    start_program manager python3 -u -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(4096).decode().strip())
' "$folder/notify"
    wait_until 5 test -S "$folder/notify"
    export NOTIFY_SOCKET=$folder/notify WATCHDOG_USEC=300000
    node 0
    wait_until 10 grep -q READY=1 "$folder/manager.out"
    grep -q '"ready id=0\| ready ' "$folder/node_0.log"
    wait_until 5 has_lines "$folder/manager.out" 6
    [ "$(grep -c WATCHDOG=1 "$folder/manager.out")" -ge 4 ]
    end_program node_0 TERM
    [ "$status" -eq 0 ]
    wait_until 5 grep -q STOPPING=1 "$folder/manager.out"
    : >"$folder/manager.out"
    broker
    wait_until 10 grep -q READY=1 "$folder/manager.out"
    end_program broker_0 TERM
    wait_until 5 grep -q STOPPING=1 "$folder/manager.out"
}
