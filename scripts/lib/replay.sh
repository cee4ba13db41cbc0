# A capture file replayed through the demo's nodes, and through a vRouter of its own for rates.
# shellcheck shell=bash

# Fewer than the rings of the kernel interfaces hold: the file is read faster than they are emptied.
REPLAYED=400

replay() {
    title "A capture file replayed from node 1 to node 2"
    "$ROOT/scripts/lib/make-pcap" "$WORK/in.pcap" "$REPLAYED" 02:00:00:00:01:09 10.47.255.9 10.47.255.10
    check "every one of $REPLAYED packets arrives with ttl 63" replay_packets
    # Not inside a check, whose subshell would forget the daemon.
    new_ns rate
    start_vrouterd rate
    title "Rates on this machine (shared by everything that runs here)"
    check "64-byte packets, 1000 flows, security groups, floating IP, MPLSoUDP, one worker" rate
}

replay_packets() {
    cat >"$WORK/replay2.yaml" <<YAML
- interface:
    {id: 92, name: replayed, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:0a", addresses: ["10.47.255.10"],
     device: {pcap: {tx_file: $WORK/out.pcap}}}
- next_hop: {id: 92, interface: {interface: 92}}
- mpls_label: {label: 209, next_hop: 92}
- route: {vrf: 1, prefix: "10.47.255.10/32", next_hop: 92}
- next_hop: {id: 93, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.66", label: 109}}
- route: {vrf: 1, prefix: "10.47.255.9/32", next_hop: 93}
YAML
    # The device is part of the batch: no packet is read before all of it is in effect.
    cat >"$WORK/replay1.yaml" <<YAML
- next_hop: {id: 93, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.194", label: 209}}
- route: {vrf: 1, prefix: "10.47.255.10/32", next_hop: 93}
- interface:
    {id: 91, name: replay, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:09", addresses: ["10.47.255.9"],
     device: {pcap: {rx_file: $WORK/in.pcap}}}
YAML
    ctl node2 apply -f "$WORK/replay2.yaml" >&2
    ctl node1 apply -f "$WORK/replay1.yaml" >&2
    wait_for 10 "the replayed packets" replay_arrived || true
    local arrived
    # Deleting the interface closes the file.
    ctl node2 delete -f "$WORK/replay2.yaml" >&2
    arrived=$(tshark -n -r "$WORK/out.pcap" -Y 'ip.ttl == 63 && ip.dst == 10.47.255.10' -T fields -e frame.number \
        2>/dev/null | wc -l)
    echo "$arrived arrived"
    [ "$arrived" -eq "$REPLAYED" ]
}

replay_arrived() {
    [ "$(ctl node2 get interface replayed -o json | jq '[.. | .tx_packets? // empty | tonumber] | add // 0')" -ge "$REPLAYED" ]
}

# The same service as on node 1, from memory to a device that swallows everything.
rate() {
    "$ROOT/scripts/lib/make-pcap" "$WORK/rate.pcap" 1000 02:00:00:00:01:01 10.47.255.248 172.16.0.100
    cat >"$WORK/rate.yaml" <<YAML
- vrf: {id: 0, name: fabric}
- interface: {id: 1, name: fabric, role: FABRIC, addresses: ["10.1.0.66/24"], mac: "02:00:00:00:00:66", device: {"null": {}}}
- security_group: {id: 7, name: web, rules: [{id: 1, direction: EGRESS}]}
- vrf: {id: 1, name: pods}
- vrf: {id: 3, name: external}
- next_hop: {id: 11, interface: {interface: 11}}
- next_hop: {id: 31, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.1", label: 47}}
- route: {vrf: 3, prefix: "172.16.0.0/24", next_hop: 31}
- route: {vrf: 3, prefix: "10.40.0.4/32", next_hop: 11}
- floating_ip: {id: 4, address: "10.40.0.4", vrf: 3, interfaces: [11]}
- interface:
    {id: 11, name: web1, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:01", addresses: ["10.47.255.248"], policy: true,
     security_groups: [7], device: {pcap: {rx_file: $WORK/rate.pcap, infinite_rx: true}}}
YAML
    ctl rate apply -f "$WORK/rate.yaml" >&2
    # The neighbour 10.1.0.1 answers the request that the first packet caused.
    local reply=02000000006602000000000108060001080006040002
    reply+=0200000000010a0100010200000000660a010042
    wait_for 10 "the neighbour" rate_neighbour "$reply"
    local packets cycles start
    start=$(date +%s%N)
    read -r packets cycles < <(rate_counters)
    # However slow the machine is: a rate is never asserted.
    wait_for 300 "ten million packets" rate_passed $((packets + 10000000))
    local after after_cycles
    read -r after after_cycles < <(rate_counters)
    awk -v packets=$((after - packets)) -v cycles=$((after_cycles - cycles)) -v ns=$(($(date +%s%N) - start)) \
        'BEGIN {printf "%.2f M packets/s, %.0f cycles per packet, input and output included\n", packets * 1000 / ns, cycles / packets}'
}

rate_neighbour() {
    ctl rate packet-out --interface fabric --ingress --hex "$1"
    ctl rate get neighbour -o json | jq -e 'any(.[]; .state == "REACHABLE")'
}

rate_counters() {
    ctl rate get worker -o json | jq -r '.[0] | "\(.accounting.sent // 0) \(.work_cycles // 0)"'
}

rate_passed() {
    local packets _
    read -r packets _ < <(rate_counters)
    [ "$packets" -ge "$1" ]
}
