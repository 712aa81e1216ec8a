#!/bin/bash
# Three hosts of their own (network namespaces on a bridge): two nodes and a broker that find one
# another by czmq's zbeacon on a real interface, no address typed, with keys and so without
# --insecure. Then the link of one node is cut: both sides go on; it is healed: both are equal.
# Usage: [BUILD=build] tests/cluster/netns_nodes.sh; exit 77 where that is not allowed.
set -eu
BUILD=$(cd "${BUILD:-build}" && pwd)
tag=hs$$
spaces=("$tag-net" "$tag-a" "$tag-b" "$tag-c")
folder=$(mktemp -d "${TMPDIR:-/tmp}/hearsay-netns-XXXXXX")
pids=()

for name in hearsay-node hearsay-broker hearsay hearsayctl; do
    [ -x "$BUILD/$name" ] || { echo "netns_nodes: $BUILD/$name is missing: make" >&2; exit 1; }
done
if ! ip netns add "${spaces[0]}" 2>/dev/null; then
    rmdir "$folder"
    echo "netns_nodes: skipped: network namespaces need root and ip netns" >&2
    exit 77
fi

# shellcheck disable=SC2317 # called by trap
clean_up() {
    local code=$? pid space
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    for space in "${spaces[@]}"; do ip netns delete "$space" 2>/dev/null || true; done
    [ "$code" = 0 ] || [ "$code" = 77 ] || tail -n 20 "$folder"/*.log >&2
    rm -rf "$folder"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

fail() {
    echo "netns_nodes: $*" >&2
    exit 1
}

in_space() {
    local space=$1
    shift
    ip netns exec "$tag-$space" env -i PATH="$PATH" "$@"
}

if ! in_space net true 2>/dev/null; then
    echo "netns_nodes: skipped: ip netns exec does not work here" >&2
    exit 77
fi

# A bridge in a space of its own, and three hosts on it: 10.98.0.1 a, 10.98.0.2 b, 10.98.0.3 c.
if ! in_space net ip link add br0 type bridge 2>/dev/null; then
    echo "netns_nodes: skipped: this kernel makes no bridge" >&2
    exit 77
fi
in_space net ip link set br0 up
n=0
for host in a b c; do
    n=$((n + 1))
    ip netns add "$tag-$host"
    ip link add "$tag$host" netns "$tag-net" type veth peer name e0 netns "$tag-$host"
    in_space net ip link set "$tag$host" master br0 up
    in_space "$host" ip link set lo up
    in_space "$host" ip address add 10.98.0.$n/24 brd + dev e0
    in_space "$host" ip link set e0 up
done

start() {
    local space=$1 name=$2 program=$3
    shift 3
    # Not in_space: in the background that would be a shell, and its end not the program's.
    ip netns exec "$tag-$space" env -i PATH="$PATH" "$BUILD/$program" "$@" --interface e0 \
        --curve "$folder/keys" >"$folder/$name.out" 2>"$folder/$name.log" &
    pids+=($!)
}
ctl() { in_space c "$BUILD/hearsayctl" --interface e0 --curve "$folder/keys" "$@"; }
at() {
    local id=$1
    shift
    in_space c "$BUILD/hearsay" --interface e0 --curve "$folder/keys" --no-session --replica "$id" "$@"
}
# until_true SECONDS COMMAND…
until_true() {
    local deadline=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "in vain: $*"
    done
}

"$BUILD/hearsayctl" keygen "$folder/keys" >"$folder/keygen"
start a node0 hearsay-node 0 --data "$folder/replica_0"
start b node1 hearsay-node 1 --data "$folder/replica_1"
start c broker hearsay-broker
ctl wait --nodes 2 --brokers 1 --timeout 20 || fail "the nodes did not find one another"

at 0 set place "host a" >"$folder/reply"
shows() { [ "$(at "$1" get "$2")" = "$3" ]; }
until_true 10 shows 1 place "host a"

# The cable of node 1's host is pulled; a second broker beside it keeps its side served.
start b broker1 hearsay-broker
ctl wait --nodes 2 --brokers 2 --timeout 20 || fail "the second broker was not found"
in_space net ip link set "${tag}b" down
at 0 incr count 5 >"$folder/reply"
in_space b "$BUILD/hearsay" --interface e0 --curve "$folder/keys" --no-session --timeout 10 incr count 7 \
    >"$folder/reply" || fail "the side that was cut off did not go on"
in_space net ip link set "${tag}b" up
both_show() { shows 0 "$1" "$2" && shows 1 "$1" "$2"; }
until_true 30 both_show count 12
echo "netns_nodes: two nodes and two brokers on three hosts found one another, were cut, and healed"
