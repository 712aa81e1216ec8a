#!/bin/sh
# Runs the finder's test over czmq's zbeacon on a bridge in a network namespace of its own.
# Usage: [BUILD=build] tests/cluster/zbeacon_netns.sh; exit 77 where that is not allowed.
set -eu
BUILD=${BUILD:-build}
program=$BUILD/tests/unit/bus/test_net_beacon
space=hearsay-zbeacon-$$

[ -x "$program" ] || { echo "zbeacon_netns: $program is missing: make unit" >&2; exit 1; }
if ! ip netns add "$space" 2>/dev/null; then
    echo "zbeacon_netns: skipped: network namespaces need root and ip netns" >&2
    exit 77
fi
trap 'ip netns delete "$space"' EXIT
trap 'exit 130' INT TERM HUP
inside() { ip netns exec "$space" "$@"; }

if ! inside true 2>/dev/null; then
    echo "zbeacon_netns: skipped: ip netns exec does not work here" >&2
    exit 77
fi
inside ip link set lo up
if ! inside ip link add br0 type bridge 2>/dev/null; then
    echo "zbeacon_netns: skipped: this kernel makes no bridge" >&2
    exit 77
fi
inside ip address add 10.98.0.1/24 brd + dev br0
inside ip link set br0 up
inside env HEARSAY_ZBEACON_INTERFACE=br0 HEARSAY_ZBEACON_ADDRESS=10.98.0.1 "$program"
