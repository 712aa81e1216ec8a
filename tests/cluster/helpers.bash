# What the cluster tests share: ports, programs started and ended by process id, and waiting.
#
# A test file says "load helpers" and calls cluster_setup in setup and cluster_teardown in teardown.
# Each test has a folder ($folder) and ports of its own; whatever it started is ended in the end.

BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/$BUILD ;;
esac

root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CC=${CC:-cc}

# free_ports N: the first of N TCP and UDP ports in a row that nobody uses now. Each test looks in
# another part of the range, so that tests side by side do not choose the same.
free_ports() {
    local n=$1 used first port try
    used=" $( (cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6) 2>/dev/null |
        awk '$2 ~ /:/ { sub(/.*:/, "", $2); print $2 }' |
        while read -r port; do echo $((16#$port)); done | sort -u | tr '\n' ' ')"
    for try in $(seq 1 200); do
        first=$((10000 + (($$ * 131 + RANDOM + try * 97) % 20000)))
        for ((port = first; port < first + n; port++)); do
            [[ $used == *" $port "* ]] && continue 2
        done
        echo "$first"
        return 0
    done
    return 1
}

cluster_setup() {
    folder=$(mktemp -d "${BATS_TMPDIR:-/tmp}/hearsay-XXXXXX")
    first_port=$(free_ports 100)
    beacon_port=$first_port
}

# Ends what start_program started, stopped (SIGSTOP) or not, and removes the folder.
cluster_teardown() {
    local file pid
    for file in "$folder"/*.pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        # What runs under timeout(1) is of its group, and does not hear of its end.
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    # Shown by bats when the test failed.
    for file in "$folder"/*.log; do
        [ -e "$file" ] && echo "--- ${file##*/}" && tail -n 30 "$file"
    done
    rm -rf "$folder"
}

# start_program NAME COMMAND...: in the background, its stderr in $folder/NAME.log, added to.
start_program() {
    local name=$1
    shift
    # 3 is of bats, 9 the pipe of a test: whose end is waited for must not be held open.
    "$@" >>"$folder/$name.out" 2>>"$folder/$name.log" 3>&- 9>&- &
    echo $! >"$folder/$name.pid"
}

pid_of() { cat "$folder/$1.pid"; }

# shellcheck disable=SC2034 # status is for the tests
# end_program NAME SIGNAL: sends it and waits until the process has ended; its exit code in $status.
end_program() {
    local pid
    pid=$(pid_of "$1")
    kill "-$2" "$pid" 2>/dev/null || true
    status=0
    wait "$pid" 2>/dev/null || status=$?
    rm -f "$folder/$1.pid"
}

# wait_until SECONDS COMMAND...: until the command succeeds; 1 when the time is up.
wait_until() {
    local deadline=$(($(date +%s%3N) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s%3N)" -lt "$deadline" ] || {
            echo "in vain: $*"
            return 1
        }
        # Only how often to look, not how long it takes.
        sleep 0.05
    done
}

log_has() { grep -q -- "$2" "$folder/$1.log"; }

node_port() { echo $((first_port + 10 + 10 * $1)); }

# node ID [ARGUMENTS...]: starts a node under the name node_ID.
node() {
    local id=$1
    shift
    start_program "node_$id" "$BUILD/hearsay-node" "$id" "$@" --beacon-port "$beacon_port" \
        --listen "tcp://127.0.0.1:$(node_port "$id")" --data "$folder/replica_$id" \
        --gossip-interval 1s
}

# ctl ARGUMENTS...: hearsayctl for this test's cluster.
ctl() { "$BUILD/hearsayctl" --beacon-port "$beacon_port" "$@"; }

broker_port() { echo $((first_port + 50 + 5 * ${1:-0})); }

# broker [N [ARGUMENTS...]]: starts a broker under the name broker_N (0).
broker() {
    local n=${1:-0}
    [ $# -eq 0 ] || shift
    start_program "broker_$n" "$BUILD/hearsay-broker" --beacon-port "$beacon_port" \
        --listen "tcp://127.0.0.1:$(broker_port "$n")" "$@"
}

# hearsay ARGUMENTS...: the client for this test's cluster, its session in the test's folder.
hearsay() {
    XDG_STATE_HOME="$folder/state" "$BUILD/hearsay" --beacon-port "$beacon_port" "$@"
}

# is_there REPLICA KEY VALUE: that replica shows it.
is_there() { [ "$(hearsay --no-session --replica "$1" get "$2")" = "$3" ]; }

# json_field NAME: of each object of one line; numbers and plain texts.
json_field() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p"; }

# cluster N: that many nodes and a broker.
cluster() {
    local i
    for ((i = 0; i < $1; i++)); do node "$i"; done
    broker
    ctl wait --nodes "$1" --brokers 1 --timeout 20s
}

lines_of() { wc -l <"$1"; }
has_lines() { [ "$(lines_of "$1")" -ge "$2" ]; }

# open_pipe ARGUMENTS...: a client in pipe mode under the name pipe, its input file descriptor 9.
open_pipe() {
    mkfifo "$folder/in"
    XDG_STATE_HOME="$folder/state" "$BUILD/hearsay" --beacon-port "$beacon_port" "$@" \
        <"$folder/in" >"$folder/out" 2>>"$folder/pipe.log" 3>&- &
    echo $! >"$folder/pipe.pid"
    exec 9>"$folder/in"
}

# end_pipe: closes its input and waits until it has ended; its exit code in $status.
end_pipe() {
    exec 9>&-
    status=0
    wait "$(pid_of pipe)" || status=$?
    rm -f "$folder/pipe.pid"
}

# api ARGUMENTS...: the program of tests/cluster/api.c.
api() { timeout 100 "${API:-$BUILD/tests/api}" "$@"; }

# A sanitized library shows more symbols, and wants a sanitized program.
sanitized() { nm "$BUILD/hearsay" | grep -qE ' (__asan_init|__tsan_init)$'; }

# install_library: under $folder/root, with pkg-config told where that is.
install_library() {
    make -s -C "$root" BUILD="$BUILD" CC="$CC" DESTDIR="$folder/root" PREFIX=/opt/hearsay install
    export PKG_CONFIG_PATH="$folder/root/opt/hearsay/lib/pkgconfig"
    export PKG_CONFIG_SYSROOT_DIR="$folder/root"
    export LD_LIBRARY_PATH="$folder/root/opt/hearsay/lib"
}
