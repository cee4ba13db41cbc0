"""Source NAT: workloads share outside addresses port by port; link-local services; workloads and the node they run on.

The workloads' VRF leads into the fabric's, and that to the gateway as plain IP. Ports stay what they are wherever the
pool has them free, so that the frames are known beforehand.
"""

from golden import *

from .arp_nd import is_at, who_has
from .fragments import pieces_of
from .network_policy import bind, reset_of, rule, with_rules

POOL = {4: "203.0.113.5", 6: "2001:db8:aa::5"}
METADATA = "169.254.169.254"


def ways(c, *families):
    """From the workloads' VRF into the fabric's, and on to the gateway."""
    into = c.next_hop(vrf={"vrf": 0})
    for f in families or (4, 6):
        gateway = c.next_hop(interface={"interface": 1, "address": GATEWAY.address(f)})
        c.neighbour(GATEWAY.address(f), GATEWAY.mac)
        c.route(ANY[f], into)
        c.route(ANY[f], gateway, vrf=0)


def pool(c, *addresses, **fields):
    return c.put("source_nat", id=1, vrf=0, addresses=list(addresses), vrfs=[1], **fields)


def behind_a_pool(c, f):
    """A workload that has the pool's address outside: its port, and the pool."""
    vm = c.vm("vm1", VM[f], policy=True)
    ways(c, f)
    return vm, pool(c, POOL[f])


def exchange(protocol, a, b):
    """A first packet from `a` to `b`, and what `b` answers."""
    if protocol == "tcp":
        return tcp(a, b), tcp(b, a, 80, 40000, "SA", 9000, 1001)
    if protocol == "udp":
        return udp(a, b), udp(b, a, 5000, 40000)
    if protocol == "sctp":
        return sctp(a, b), sctp(b, a, 80, 40000)
    return ping(a, b, ident=2000), pong(b, a, ident=2000)


for f in (4, 6):
    for protocol in ("tcp", "udp", "icmp", "sctp"):

        @case([5, 10], name=f"shared_address_{protocol}_ipv{f}", f=f, protocol=protocol)
        def shared_address(c, f, protocol):
            """A workload leaves with the pool's address and its own port, which is free there, and gets the answer."""
            vm = c.vm("vm1", VM[4], VM[6], policy=True)
            ways(c)
            nat = pool(c, POOL[f])
            asked, answer = exchange(protocol, VM[f], OUTSIDE[f])
            c.send(vm, asked)
            c.expect(c.fabric, plain_to_peer(rewrite(hop(asked), src=POOL[f]), GATEWAY))
            c.send(c.fabric, plain_to_node(rewrite(answer, dst=POOL[f]), GATEWAY))
            c.expect(vm, hop(answer))
            c.mutant(delete=[nat])

    @case([5], name=f"out_of_ports_ipv{f}", f=f)
    def out_of_ports(c, f):
        """The pool has one port, and it is taken: the next session is refused by name; what goes on goes on."""
        a = c.vm("vm1", VM[f], policy=True)
        b = c.vm("vm2", VM2[f], policy=True)
        ways(c, f)
        nat = pool(c, POOL[f], ports={"first": 40000, "last": 40000})
        first = udp(VM[f], OUTSIDE[f])
        c.send(a, first)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(first), src=POOL[f]), GATEWAY))
        c.send(b, udp(VM2[f], OUTSIDE[f]))
        c.dropped("snat_exhausted")
        c.send(a, first)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(first), src=POOL[f]), GATEWAY))
        c.mutant(put=[changed(nat, ports=None)])

    @case([5, 6], name=f"unsolicited_ipv{f}", f=f)
    def unsolicited(c, f):
        """Nobody outside opens a session to a pool, not even to a port that a workload has for another destination."""
        vm, nat = behind_a_pool(c, f)
        first = udp(VM[f], OUTSIDE[f])
        c.send(vm, first)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(first), src=POOL[f]), GATEWAY))
        other = udp(PEER.address(f), POOL[f], 5000, 40000)
        c.send(c.fabric, plain_to_node(other, PEER))
        c.dropped("snat_unsolicited")
        c.mutant(delete=[nat])

    @case([5, 13], name=f"error_about_a_shared_address_ipv{f}", f=f)
    def error_about_a_shared_address(c, f):
        """A router outside complains about a packet that left with the pool's address: the workload reads its own."""
        vm, nat = behind_a_pool(c, f)
        first = udp(VM[f], OUTSIDE[f], ttl=2)
        left = rewrite(hop(first), src=POOL[f])
        c.send(vm, first)
        c.expect(c.fabric, plain_to_peer(left, GATEWAY))
        c.send(c.fabric, plain_to_node(icmp_error(GATEWAY.address(f), left, "time-exceeded"), GATEWAY))
        c.expect(vm, hop(icmp_error(GATEWAY.address(f), hop(first), "time-exceeded")))
        c.mutant(delete=[nat])

    @case([5, 14], name=f"fragments_with_a_shared_address_ipv{f}", f=f)
    def fragments_with_a_shared_address(c, f):
        """All fragments of a datagram leave with the pool's address, and those of the answer find the workload."""
        vm, nat = behind_a_pool(c, f)
        size = {"flags": 0} if f == 4 else {}
        asked = udp(VM[f], OUTSIDE[f], data=payload(1000), **size)
        answer = udp(OUTSIDE[f], POOL[f], 5000, 40000, data=payload(1000), **size)
        for piece, left in zip(pieces_of(asked), pieces_of(rewrite(hop(asked), src=POOL[f]))):
            c.send(vm, piece)
            c.expect(c.fabric, plain_to_peer(left, GATEWAY))
        for piece, seen in zip(pieces_of(answer), pieces_of(rewrite(hop(answer), dst=VM[f]))):
            c.send(c.fabric, plain_to_node(piece, GATEWAY))
            c.expect(vm, seen)
        c.mutant(delete=[nat])


@case([5])
def per_destination(c):
    """Per destination, one port serves two workloads that call different destinations."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    ways(c, 4)
    nat = pool(c, POOL[4], ports={"first": 40000, "last": 40000}, mapping="PER_DESTINATION")
    for vm, own, other in ((a, VM[4], OUTSIDE[4]), (b, VM2[4], "172.16.0.101")):
        packet = udp(own, other)
        c.send(vm, packet)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(packet), src=POOL[4]), GATEWAY))
        answer = udp(other, POOL[4], 5000, 40000)
        c.send(c.fabric, plain_to_node(answer, GATEWAY))
        c.expect(vm, rewrite(hop(answer), dst=own))
    c.mutant(delete=[nat])


@case([5, 6])
def hairpin(c):
    """A workload that calls another at its outside port reaches it, and is known to it by its own outside port."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    ways(c, 4)
    nat = pool(c, POOL[4])
    for vm, own, port in ((a, VM[4], 40001), (b, VM2[4], 40002)):
        packet = udp(own, OUTSIDE[4], port)
        c.send(vm, packet)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(packet), src=POOL[4]), GATEWAY))
    call = udp(VM[4], POOL[4], 40001, 40002)
    c.send(a, call)
    c.expect(b, rewrite(hop(call), src=POOL[4], dst=VM2[4]))
    answer = udp(VM2[4], POOL[4], 40002, 40001)
    c.send(b, answer)
    c.expect(a, rewrite(hop(answer), src=POOL[4], dst=VM[4]))
    c.mutant(put=[changed(nat, mapping="PER_DESTINATION")])


@case([6])
def calls_itself(c):
    """A workload that calls its own outside port is known to itself by its outside address."""
    vm, nat = behind_a_pool(c, 4)
    for port in (40001, 40002):
        packet = udp(VM[4], OUTSIDE[4], port)
        c.send(vm, packet)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(packet), src=POOL[4]), GATEWAY))
    for ports in ((40001, 40002), (40002, 40001)):
        call = udp(VM[4], POOL[4], *ports)
        c.send(vm, call)
        c.expect(vm, rewrite(hop(call), src=POOL[4], dst=VM[4]))
    c.mutant(put=[changed(nat, mapping="PER_DESTINATION")])


@case([5])
def through_a_tunnel(c):
    """The outside may be a VRF of its own behind a tunnel: the answer comes with the label of that VRF."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_GRE, GATEWAY)
    c.route(ANY[4], c.next_hop(vrf={"vrf": 2}))
    c.route(ANY[4], tunnel, label=39, vrf=2)
    c.label(100, vrf=2)
    nat = c.put("source_nat", id=1, vrf=2, addresses=[POOL[4]], interfaces=[vm.id])
    asked, answer = exchange("tcp", VM[4], OUTSIDE[4])
    c.send(vm, asked)
    c.expect(c.fabric, tunnel.to_peer(rewrite(hop(asked), src=POOL[4]), 39))
    answer = hop(answer)
    c.send(c.fabric, tunnel.to_node(rewrite(answer, dst=POOL[4]), 100))
    c.expect(vm, answer)
    c.mutant(delete=[nat])


@case([5, 24])
def connection_of_unknown_past(c):
    """A TCP segment in mid-stream gets no port of a pool, since the far end would not know it, but a reset. A SYN gets one."""
    vm, nat = behind_a_pool(c, 4)
    lost = tcp(VM[4], OUTSIDE[4], flags="A", seq=5000, ack=7000)
    c.send(vm, lost)
    c.dropped("snat_midstream")
    c.expect(vm, reset_of(lost, 7000, 0, "R"), originated=True)
    syn = tcp(VM[4], OUTSIDE[4])
    c.send(vm, syn)
    c.expect(c.fabric, plain_to_peer(rewrite(hop(syn), src=POOL[4]), GATEWAY))
    c.mutant(delete=[nat])


@case([27])
def arp_for_a_pool(c):
    """The vRouter answers for an address of a pool that lies in the fabric's subnet."""
    c.vm("vm1", VM[4], policy=True)
    ways(c, 4)
    nat = pool(c, "10.1.0.200")
    c.send(c.fabric, who_has(PEER.mac, PEER.v4, "10.1.0.200"))
    c.counted(consumed=1)
    c.expect(c.fabric, is_at(FABRIC_MAC, "10.1.0.200", PEER.mac, PEER.v4), originated=True)
    c.mutant(delete=[nat])


# The node's own address and its IP stack.


def with_node(c, **fields):
    host = Port(c.put("interface", id=2, name="host", role="HOST", vrf=0, mac=FABRIC_MAC, twin_of=1))
    vm = c.vm("vm1", VM[4], policy=True, **fields)
    ways(c, 4)
    return host, vm


def to_host(packet):
    """As the gateway hands a packet to the node's stack."""
    return Ether(src=GATEWAY_MAC, dst=FABRIC_MAC) / packet


def of_host(packet):
    """As the node's stack hands a packet to the gateway."""
    return Ether(src=FABRIC_MAC, dst=GATEWAY_MAC) / packet


@case([22, 27])
def shared_with_the_node(c):
    """Workloads leave with the node's own address: what a session knows is theirs, all else is the node's."""
    host, vm = with_node(c)
    nat = pool(c, NODE[4])
    asked, answer = exchange("udp", VM[4], OUTSIDE[4])
    c.send(vm, asked)
    c.expect(c.fabric, plain_to_peer(rewrite(hop(asked), src=NODE[4]), GATEWAY))
    c.send(c.fabric, plain_to_node(rewrite(answer, dst=NODE[4]), GATEWAY))
    c.expect(vm, hop(answer))
    for other in (udp(OUTSIDE[4], NODE[4], 5000, 40001), tcp(PEER.v4, NODE[4], dport=22), ping(PEER.v4, NODE[4])):
        frame = plain_to_node(other, PEER)
        c.send(c.fabric, frame)
        c.expect(host, frame)
    c.mutant(delete=[nat])


@case([22])
def workload_calls_the_node(c):
    """A workload without a rule that lets anybody in calls the node; the answer comes, a call of the node does not."""
    c.security_group(7, {"direction": "EGRESS"})
    host, vm = with_node(c, groups=(7,))
    back = c.route(f"{VM[4]}/32", vm, vrf=0)
    call = udp(NODE[4], VM[4], 6000, 7000)
    c.send(host, of_host(call))
    c.dropped("security_group")
    asked, answer = exchange("tcp", VM[4], NODE[4])
    c.send(vm, asked)
    c.expect(host, to_host(hop(asked)))
    c.send(host, of_host(answer))
    c.expect(vm, hop(answer))
    c.mutant(delete=[back])


@case([22])
def node_calls_a_workload(c):
    """The node asks who has a workload's address, is answered by the gateway, and calls; what it says to others is not touched."""
    host, vm = with_node(c)
    back = c.route(f"{VM[4]}/32", vm, vrf=0)
    c.send(host, who_has(FABRIC_MAC, NODE[4], VM[4]))
    c.counted(consumed=1)
    c.expect(host, is_at(GATEWAY_MAC, VM[4], FABRIC_MAC, NODE[4]), originated=True)
    asked, answer = exchange("tcp", NODE[4], VM[4])
    c.send(host, of_host(asked))
    c.expect(vm, hop(asked))
    c.send(vm, answer)
    c.expect(host, to_host(hop(answer)))
    for frame in (who_has(FABRIC_MAC, NODE[4], PEER.v4), plain_to_peer(udp(NODE[4], OUTSIDE[4]), GATEWAY)):
        c.send(host, frame)
        c.expect(c.fabric, frame)
    c.mutant(delete=[back])


@case([9, 22])
def stranger_with_the_nodes_address(c):
    """A packet from outside that claims to come from the node does not pass for the node's."""
    host, vm = with_node(c)
    back = c.route(f"{VM[4]}/32", vm, vrf=0)
    packet = udp(NODE[4], VM[4])
    c.send(c.fabric, plain_to_node(packet, PEER))
    c.dropped("invalid_source")
    c.send(host, of_host(packet))
    c.expect(vm, hop(packet))
    c.mutant(delete=[back])


def service(c, to, port):
    return c.put("link_local_service", id=1, name="metadata", address=METADATA, protocol=6, port=80,
                 to_address=to, to_port=port, vrfs=[1])


@case([5, 27])
def link_local_service(c):
    """A workload calls 169.254.169.254:80 and reaches a host of the underlay, which sees the node's address."""
    vm = c.vm("vm1", VM[4], policy=True)
    ways(c, 4)
    pool(c, NODE[4])
    metadata = service(c, GATEWAY.v4, 8775)
    asked, answer = exchange("tcp", VM[4], METADATA)
    c.send(vm, asked)
    c.expect(c.fabric, plain_to_peer(rewrite(hop(asked), src=NODE[4], dst=GATEWAY.v4, dport=8775), GATEWAY))
    c.send(c.fabric, plain_to_node(rewrite(answer, src=GATEWAY.v4, dst=NODE[4], sport=8775), GATEWAY))
    c.expect(vm, hop(answer))
    c.mutant(delete=[metadata])


@case([27, 29])
def link_local_service_by_policy(c):
    """The policies of the workload's own network say who may call the service, by the address that it calls."""
    vm = c.vm("vm1", VM[4])
    ways(c, 4)
    pool(c, NODE[4])
    service(c, GATEWAY.v4, 8775)
    policy = bind(c, rule("PASS", destination=f"{METADATA}/32"), to=(1,))
    asked = tcp(VM[4], METADATA)
    c.send(vm, asked)
    c.expect(c.fabric, plain_to_peer(rewrite(hop(asked), src=NODE[4], dst=GATEWAY.v4, dport=8775), GATEWAY))
    c.mutant(put=[with_rules(policy, rule("PASS", destination=f"{GATEWAY.v4}/32"))])


@case([5, 22, 27])
def link_local_service_of_the_node(c):
    """The service is on the node itself: its stack sees an address that is not its own, and answers through the gateway."""
    host, vm = with_node(c)
    c.put("source_nat", id=2, vrf=0, addresses=["169.254.0.3"], vrfs=[1])
    metadata = service(c, NODE[4], 8775)
    asked, answer = exchange("tcp", VM[4], METADATA)
    c.send(vm, asked)
    c.expect(host, to_host(rewrite(hop(asked), src="169.254.0.3", dst=NODE[4], dport=8775)))
    c.send(host, of_host(rewrite(answer, src=NODE[4], dst="169.254.0.3", sport=8775)))
    c.expect(vm, hop(answer))
    c.mutant(delete=[metadata])


# Ports of the node's own address that lead to workloads (Kubernetes: NodePort).


def node_port(c, to, *vms, f=4, number=5):
    return c.put("floating_ip", id=number, address=NODE[f], vrf=0, interfaces=[vm.id for vm in vms], direction="NAT_INGRESS",
                 port_maps=[{"protocol": 6, "port": 30640, "to_port": 80}], next_hop=to)


for f in (4, 6):

    @case([7, 22], name=f"node_port_ipv{f}", f=f)
    def node_port_alone(c, f):
        """A port of the node is a workload's; the answer leaves as that port. Other ports, and TCP's number in UDP, are the node's."""
        host = Port(c.put("interface", id=2, name="host", role="HOST", vrf=0, mac=FABRIC_MAC, twin_of=1))
        vm = c.vm("vm1", VM[4], VM[6], policy=True)
        ways(c)
        port = node_port(c, vm.next_hop, vm, f=f)
        asked = tcp(OUTSIDE[f], NODE[f], dport=30640, ttl=60)
        answer = tcp(VM[f], OUTSIDE[f], 80, 40000, "SA", 9000, 1001)
        c.send(c.fabric, plain_to_node(asked, GATEWAY))
        c.expect(vm, rewrite(hop(asked), dst=VM[f], dport=80))
        c.send(vm, answer)
        c.expect(c.fabric, plain_to_peer(rewrite(hop(answer), src=NODE[f], sport=30640), GATEWAY))
        for other in (tcp(OUTSIDE[f], NODE[f], dport=30641), udp(OUTSIDE[f], NODE[f], dport=30640)):
            frame = plain_to_node(other, GATEWAY)
            c.send(c.fabric, frame)
            c.expect(host, frame)
        c.mutant(put=[changed(port, next_hop=None)])


@case([7])
def node_port_of_a_service(c):
    """The group that picks lists a workload here and one elsewhere: what came to this node stays here."""
    vm = c.vm("vm1", VM[4], policy=True)
    ways(c, 4)
    tunnel = c.tunnel(MPLS_UDP, PEER, label=32)
    group = c.next_hop(ecmp={"members": [{"next_hop": vm.next_hop, "weight": 1}, {"next_hop": tunnel.id, "weight": 1}]})
    port = node_port(c, group, vm)
    for client in range(1, 9):
        asked = tcp(f"172.16.0.{client}", NODE[4], dport=30640, ttl=60)
        c.send(c.fabric, plain_to_node(asked, GATEWAY))
        c.expect(vm, rewrite(hop(asked), dst=VM[4], dport=80))
    c.mutant(put=[changed(port, next_hop=None)])


@case([7])
def node_port_without_a_workload_here(c):
    """Nobody behind the port is here: dropped by name, not sent to the other node."""
    c.vm("vm1", VM[4], policy=True)
    ways(c, 4)
    tunnel = c.tunnel(MPLS_UDP, PEER, label=32)
    group = c.next_hop(ecmp={"members": [{"next_hop": tunnel.id, "weight": 1}]})
    port = node_port(c, group)
    c.send(c.fabric, plain_to_node(tcp(OUTSIDE[4], NODE[4], dport=30640, ttl=60), GATEWAY))
    c.dropped("no_local_member")
    c.mutant(put=[changed(port, next_hop=None)])
