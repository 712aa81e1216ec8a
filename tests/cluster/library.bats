#!/usr/bin/env bats
# libhearsay as other projects get it: installed, its header, its symbols, programs built with it.

load helpers

setup() { cluster_setup; }
teardown() { cluster_teardown; }

@test "the header is C99 and C++17 without a warning" {
    local strict="-Wall -Wextra -Wpedantic -Werror -fsyntax-only"
    printf '#include "%s"\nint main(void) { return HEARSAY_NIL; }\n' \
        "$root/client/lib/hearsay.h" >"$folder/use.c"
    cp "$folder/use.c" "$folder/use.cc"
    local tried=0 compiler
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        "$compiler" -std=c99 $strict -Wstrict-prototypes "$folder/use.c"
        tried=$((tried + 1))
    done
    [ "$tried" -gt 0 ]
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        "$compiler" -std=c++17 $strict "$folder/use.cc"
        tried=$((tried + 1))
    done
    [ "$tried" -gt 1 ]
}

@test "both libraries show what the header declares, and nothing else" {
    sanitized && skip "sanitizers add symbols of their own"
    sed -n 's/.*[ *]\(hearsay_[a-z_]*\)(.*/\1/p' "$root/client/lib/hearsay.h" | grep -v '_fn$' |
        sort -u >"$folder/declared"
    [ "$(lines_of "$folder/declared")" -gt 30 ]
    nm -D --defined-only "$BUILD/libhearsay.so.0" | awk '{ print $3 }' | sort >"$folder/shared"
    nm -g --defined-only "$BUILD/libhearsay.a" | awk 'NF > 2 { print $3 }' | sort >"$folder/static"
    diff "$folder/declared" "$folder/shared"
    diff "$folder/declared" "$folder/static"
    readelf -d "$BUILD/libhearsay.so.0" | grep -q 'SONAME.*\[libhearsay\.so\.0\]'
}

@test "installed: programs, both libraries, header; a program links each; uninstalled: nothing" {
    sanitized && skip "a sanitized library wants a sanitized program"
    install_library
    cat >"$folder/version.c" <<'PROGRAM'
#include <hearsay.h>
#include <stdio.h>
#include <string.h>

/* A name of the library's inside: it must not meet this one. */
int buf_append(void);
int buf_append(void)
{
    return 7;
}

int main(void)
{
    const char *brokers[] = {"nonsense"};
    const hearsay_options_t options = {.brokers = brokers, .broker_count = 1};
    char error[HEARSAY_ERROR_SIZE];
    hearsay_t *h;
    int code = hearsay_open(&h, &options, error);
    printf("%d %d %s\n", code, buf_append(), strstr(error, "tcp://HOST:PORT") != NULL ? "said" : error);
    return h != NULL;
}
PROGRAM
    $CC $(pkg-config --cflags hearsay) -o "$folder/shared" "$folder/version.c" \
        $(pkg-config --libs hearsay)
    [ "$("$folder/shared")" = "2 7 said" ]
    readelf -d "$folder/shared" | grep -q 'NEEDED.*libhearsay\.so\.0'
    rm "$LD_LIBRARY_PATH"/libhearsay.so*
    # Not --static: that would ask for static libraries of everything that ZeroMQ uses.
    $CC $(pkg-config --cflags hearsay) -o "$folder/static" "$folder/version.c" \
        $(pkg-config --libs hearsay $(pkg-config --print-requires-private hearsay)) -pthread
    [ "$("$folder/static")" = "2 7 said" ]
    [ "$("$folder/root/opt/hearsay/bin/hearsay" --version)" = "$("$BUILD/hearsay" --version)" ]
    make -s -C "$root" BUILD="$BUILD" DESTDIR="$folder/root" PREFIX=/opt/hearsay uninstall
    [ -z "$(find "$folder/root" ! -type d)" ]
}

@test "requests given up: before they go out, a read, an update under way" {
    cluster 2
    run api cancel "$beacon_port" "$(pid_of broker_0)"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "tokens: exported, imported, merged" {
    cluster 2
    [ "$(api tokens "$beacon_port")" = "carried over" ]
}

@test "a program that ends without closing its connection just ends" {
    cluster 1
    run api leave "$beacon_port"
    [ "$status" -eq 7 ]
    [ -z "$output" ]
}

@test "kill -9 of the broker in use under load: a reconnection, nothing lost, nothing twice" {
    cluster 2
    broker 1
    ctl wait --nodes 2 --brokers 2 --timeout 20s
    start_program api timeout 100 "$BUILD/tests/api" failover 200000 \
        "tcp://127.0.0.1:$(broker_port 0)" "tcp://127.0.0.1:$(broker_port 1)"
    wait_until 20 grep -q '^at' "$folder/api.out"
    local used=0
    grep -q "^broker tcp://127.0.0.1:$(broker_port 0)$" "$folder/api.out" || used=1
    end_program "broker_$used" KILL
    status=0
    wait "$(pid_of api)" || status=$?
    rm "$folder/api.pid"
    cat "$folder/api.out" "$folder/api.log" | grep -v '^at '
    [ "$status" -eq 0 ]
    tail -n 1 "$folder/api.out" |
        grep -q "^sum 200000 sends [0-9]* broker tcp://127.0.0.1:$(broker_port $((1 - used)))$"
    [ "$(grep -c 'note: broker lost' "$folder/api.log")" -ge 1 ]
    local i
    for i in 0 1; do
        [ "$(hearsay --broker "tcp://127.0.0.1:$(broker_port $((1 - used)))" --replica $i get n)" = 200000 ]
    done
}
