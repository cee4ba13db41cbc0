# Compute nodes, gateways and pods as network namespaces. Needs common.sh and namespaces.sh.
# shellcheck shell=bash

# underlay NODE...: one wire, a bridge in namespace "fabric"; each node is on it with its interface "fabric".
underlay() {
    local name
    new_ns fabric
    in_ns fabric ip link add wire type bridge mcast_snooping 0
    in_ns fabric ip link set wire up
    quiet fabric:wire
    for name in "$@"; do
        new_ns "$name"
        plug "$name:fabric" "fabric:$name"
        quiet "$name:fabric"
        quiet "fabric:$name"
        in_ns fabric ip link set "$name" master wire
    done
}

# host NAME ADDRESS...: a host of the underlay that is no node, with its own IP stack on the wire.
host() {
    local name=$1 address
    shift
    new_ns "$name"
    plug "$name:eth0" "fabric:$name"
    quiet "fabric:$name"
    in_ns fabric ip link set "$name" master wire
    for address in "$@"; do
        in_ns "$name" ip address add "$address" dev eth0
    done
}

# pod NAME NODE MAC GATEWAY ADDRESS...: a namespace with one cable to its node's vRouter. GATEWAY is the next hop of
# its IPv4 default route; the address that ends in ::1 of its first IPv6 network is that of the other one.
pod() {
    local name=$1 node=$2 mac=$3 gateway=$4 address
    shift 4
    new_ns "$name"
    plug "$name:eth0" "$node:$name"
    quiet "$node:$name"
    in_ns "$name" ip link set eth0 address "$mac"
    for address in "$@"; do
        in_ns "$name" ip address add "$address" dev eth0
        case $address in *:*) in_ns "$name" ip -6 route add default via "${address%%::*}::1" ;; esac
    done
    in_ns "$name" ip route add default via "$gateway"
}

# capture INTERFACE...: writes into $WIRE what passes these interfaces of the fabric, until end_capture.
capture() {
    local interface options=()
    for interface in "$@"; do options+=(-i "$interface"); done
    # Not by in_ns, which would be a shell of its own around it.
    ip netns exec "${PREFIX}fabric" dumpcap -q "${options[@]}" -w "$WIRE" >"$WORK/dumpcap.log" 2>&1 &
    sniffer=$!
    wait_for 10 "the capture to start" test -s "$WIRE"
}

# Ends the capture: the file is complete.
end_capture() {
    kill -TERM "$sniffer"
    wait "$sniffer" || true
}
