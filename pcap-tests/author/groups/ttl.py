"""TTL and hop limit: who counts down, and what happens at the end."""

from golden import *


def scene(c, **fields):
    vm = c.vm("vm1", VM[4], VM[6], label=25, **fields)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    routes = {f: c.route(REMOTE_NET[f], tunnel, label=40) for f in (4, 6)}
    return vm, tunnel, routes


for f in (4, 6):

    @case([10], name=f"last_hop_into_the_overlay_ipv{f}", f=f)
    def last_hop_into_the_overlay(c, f):
        """TTL 2 from a workload: 1 is left, in the packet and in the label."""
        vm, tunnel, routes = scene(c)
        packet = udp(VM[f], REMOTE[f], ttl=2)
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(routes[f], label=41)])

    @case([10], name=f"expires_towards_the_overlay_ipv{f}", f=f)
    def expires_towards_the_overlay(c, f):
        """TTL 1 from a workload to a remote one: time exceeded, from the gateway."""
        vm, tunnel, routes = scene(c)
        packet = udp(VM[f], REMOTE[f], ttl=1)
        c.send(vm, packet)
        c.dropped("ttl_exceeded")
        c.expect(vm, icmp_error(vm.gateway(f), packet, "time-exceeded"), originated=True)
        c.mutant(delete=[routes[f]])

    @case([10], name=f"expires_in_the_flow_stage_ipv{f}", f=f)
    def expires_in_the_flow_stage(c, f):
        """The same where the packet has a flow."""
        vm, tunnel, routes = scene(c, policy=True)
        good, packet = udp(VM[f], REMOTE[f]), udp(VM[f], REMOTE[f], ttl=1)
        c.send(vm, good)
        c.expect(c.fabric, tunnel.to_peer(hop(good), 40))
        c.send(vm, packet)
        c.dropped("ttl_exceeded")
        c.expect(vm, icmp_error(vm.gateway(f), packet, "time-exceeded"), originated=True)
        c.mutant(delete=[routes[f]])

    @case([10], name=f"expires_between_two_workloads_ipv{f}", f=f)
    def expires_between_two_workloads(c, f):
        """TTL 1 to a workload of this node is routed, too: time exceeded. TTL 2 arrives with 1."""
        vm, _, _ = scene(c)
        other = c.vm("vm2", VM2[4], VM2[6])
        packet, enough = udp(VM[f], VM2[f], ttl=1), udp(VM[f], VM2[f], ttl=2)
        c.send(vm, packet)
        c.dropped("ttl_exceeded")
        c.expect(vm, icmp_error(vm.gateway(f), packet, "time-exceeded"), originated=True)
        c.send(vm, enough)
        c.expect(other, hop(enough))
        c.mutant(delete=[other.routes[(4, 6).index(f)]])

    @case([10], name=f"one_is_delivered_after_decapsulation_ipv{f}", f=f)
    def one_is_delivered_after_decapsulation(c, f):
        """TTL 1 out of a tunnel is delivered as it is, whether the label names the workload or the VRF."""
        vm, tunnel, _ = scene(c)
        c.label(100, vrf=1)
        packet = udp(REMOTE[f], VM[f], ttl=1)
        for label in (25, 100):
            c.send(c.fabric, tunnel.to_node(packet, label, shim={"ttl": 9}))
            c.expect(vm, packet)
        c.mutant(delete=[vm.label])

    @case([10], name=f"one_to_the_gateway_ipv{f}", f=f)
    def one_to_the_gateway(c, f):
        """TTL 1 to the gateway itself is not routed: it is answered."""
        vm, _, _ = scene(c)
        c.send(vm, ping(VM[f], vm.gateway(f), ttl=1, **({"id": 0} if f == 4 else {"fl": 0})))
        c.counted(consumed=1)
        c.expect(vm, pong(vm.gateway(f), VM[f], **({"id": 0} if f == 4 else {"fl": 0})), originated=True)
        c.mutant(put=[changed(vm, gateways=["10.1.1.2", "2001:db8:1::2"])])

    @case([10], name=f"plain_ip_expires_ipv{f}", f=f)
    def plain_ip_expires(c, f):
        """Plain IP with TTL 1 that this node would route: time exceeded, from the node's fabric address."""
        vm = c.vm("vm1", VM[4], VM[6], vrf=0)
        c.neighbour(PEER.address(f), PEER.mac)
        packet = udp(PEER.address(f), VM[f], ttl=1)
        c.send(c.fabric, plain_to_node(packet, PEER))
        c.dropped("ttl_exceeded")
        c.expect(c.fabric, plain_to_peer(icmp_error(NODE[f], packet, "time-exceeded"), PEER), originated=True)
        c.mutant(put=[changed(c.fabric, addresses=["10.1.0.67/24", "2001:db8:a::43/64"])])


@case([10])
def no_error_about_an_error(c):
    """An ICMP error that expires is not answered with another (RFC 1122 §3.2.2); an echo is."""
    vm, _, routes = scene(c)
    about = udp(REMOTE[4], VM[4], ttl=5)
    c.send(vm, ip(VM[4], REMOTE[4], ttl=1) / ICMP(type=3, code=3) / Raw(bytes(about)))
    c.dropped("ttl_exceeded")
    echo = ping(VM[4], REMOTE[4], ttl=1)
    c.send(vm, echo)
    c.dropped("ttl_exceeded")
    c.expect(vm, icmp_error(vm.gateway(4), echo, "time-exceeded"), originated=True)
    c.mutant(delete=[routes[4]])


@case([10])
def no_error_about_an_error_ipv6(c):
    """An ICMPv6 error that expires is not answered with another (RFC 4443 §2.4e); an echo is."""
    vm, _, routes = scene(c)
    about = udp(REMOTE[6], VM[6], ttl=5)
    c.send(vm, ip(VM[6], REMOTE[6], ttl=1) / ICMPv6DestUnreach(code=4) / Raw(bytes(about)))
    c.dropped("ttl_exceeded")
    echo = ping(VM[6], REMOTE[6], ttl=1)
    c.send(vm, echo)
    c.dropped("ttl_exceeded")
    c.expect(vm, icmp_error(vm.gateway(6), echo, "time-exceeded"), originated=True)
    c.mutant(delete=[routes[6]])


@case([10])
def no_error_about_a_later_fragment(c):
    """A fragment that is not the first is not answered when it expires (RFC 1812 §4.3.2.7); the first is."""
    vm, _, routes = scene(c)
    first = ip(VM[4], REMOTE[4], ttl=1, flags="MF", id=9, proto=17) / Raw(bytes(UDP(sport=1, dport=2, len=40, chksum=0) / payload(16)))
    later = ip(VM[4], REMOTE[4], ttl=1, flags=0, id=9, frag=3, proto=17) / payload(16)
    c.send(vm, first)
    c.dropped("ttl_exceeded")
    c.expect(vm, icmp_error(vm.gateway(4), first, "time-exceeded"), originated=True)
    c.send(vm, later)
    c.dropped("ttl_exceeded")
    c.mutant(delete=[routes[4]])


@case([10])
def errors_are_limited(c):
    """An interface that allows one ICMP error a second gets one for three expired packets; two drops are silent."""
    vm, _, _ = scene(c, icmp_errors_per_second=1)
    packet = udp(VM[4], REMOTE[4], ttl=1)
    c.send(vm, packet)
    c.expect(vm, icmp_error(vm.gateway(4), packet, "time-exceeded"), originated=True)
    c.send(vm, packet)
    c.send(vm, packet)
    c.dropped("ttl_exceeded", count=3)
    c.mutant(put=[changed(vm, icmp_errors_per_second=None)])


@case([10])
def traceroute(c):
    """A workload's traceroute to a remote one: first the gateway, then the workload itself."""
    vm, tunnel, routes = scene(c)
    probes = [udp(VM[4], REMOTE[4], 33000, 33434 + i, ttl=1 + i) for i in range(2)]
    c.send(vm, probes[0])
    c.dropped("ttl_exceeded")
    c.expect(vm, icmp_error(vm.gateway(4), probes[0], "time-exceeded"), originated=True)
    c.send(vm, probes[1])
    c.expect(c.fabric, tunnel.to_peer(hop(probes[1]), 40))
    answer = ip(REMOTE[4], VM[4], ttl=63, tos=0xC0) / ICMP(type=3, code=3) / Raw(bytes(hop(probes[1])))
    c.send(c.fabric, tunnel.to_node(answer, 25))
    c.expect(vm, answer)
    c.mutant(delete=[routes[4]])


@case([10])
def sixty_three_on_one_node_and_on_two(c):
    """A packet sent with TTL 64 shows 63 to a workload of this node, and 63 to one behind the overlay."""
    vm, tunnel, routes = scene(c)
    other = c.vm("vm2", VM2[4])
    near, far = ping(VM[4], VM2[4]), ping(VM[4], REMOTE[4])
    c.send(vm, near)
    c.expect(other, ping(VM[4], VM2[4], ttl=63))
    c.send(vm, far)
    c.expect(c.fabric, tunnel.to_peer(ping(VM[4], REMOTE[4], ttl=63), 40))
    back = pong(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(back, 25))
    c.expect(vm, back)
    c.mutant(put=[changed(routes[4], label=41)])
