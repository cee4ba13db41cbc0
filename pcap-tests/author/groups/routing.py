"""Where a workload's packet goes: local delivery, longest match, preference, VRFs, and the ends of the road."""

from golden import *

for f in (4, 6):

    @case([10], name=f"vm_to_vm_ipv{f}", f=f)
    def vm_to_vm(c, f):
        """Two workloads of one node and VRF: one hop, and back."""
        a, b = c.vm("vm1", VM[4], VM[6]), c.vm("vm2", VM2[4], VM2[6])
        there, back = udp(VM[f], VM2[f]), udp(VM2[f], VM[f], sport=5000, dport=40000)
        c.send(a, there)
        c.expect(b, hop(there))
        c.send(b, back)
        c.expect(a, hop(back))
        c.mutant(delete=[b.routes[(4, 6).index(f)]])

    @case([1, 10], name=f"vm_to_vm_with_policy_ipv{f}", f=f)
    def vm_to_vm_with_policy(c, f):
        """The same through the flow stage: one session for both workloads."""
        a, b = c.vm("vm1", VM[4], VM[6], policy=True), c.vm("vm2", VM2[4], VM2[6], policy=True)
        there, back = tcp(VM[f], VM2[f]), tcp(VM2[f], VM[f], 80, 40000, "SA", 9000, 1001)
        c.send(a, there)
        c.expect(b, hop(there))
        c.send(b, back)
        c.expect(a, hop(back))
        c.mutant(delete=[b.routes[(4, 6).index(f)]])

    @case(name=f"no_route_ipv{f}", f=f)
    def no_route(c, f):
        """A destination that no prefix of the VRF covers; another VRF's route does not help."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        c.route(REMOTE_NET[f], tunnel, label=40, vrf=3)
        c.send(vm, udp(VM[f], REMOTE[f]))
        c.dropped("no_route")
        c.mutant(put=[{"route": {"vrf": 1, "prefix": REMOTE_NET[f], "next_hop": tunnel.id, "label": 40}}])

    @case(name=f"discard_ipv{f}", f=f)
    def discard(c, f):
        """A discard next hop is silent; a longer prefix inside it still forwards."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        blackhole = c.route(REMOTE_NET[f], c.next_hop(discard={}))
        c.route(f"{REMOTE[f]}/{HOST[f]}", tunnel, label=40)
        c.send(vm, udp(VM[f], REMOTE2[f]))
        c.dropped("discard")
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(blackhole, next_hop=tunnel.id, label=40)])

    @case([10], name=f"reject_ipv{f}", f=f)
    def reject(c, f):
        """A reject next hop tells the sender: administratively prohibited, from its gateway."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        route = c.route(REMOTE_NET[f], c.next_hop(reject={}))
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.dropped("reject")
        code = 13 if f == 4 else 1
        c.expect(vm, icmp_error(vm.gateway(f), packet, "unreachable", code), originated=True)
        c.mutant(put=[changed(route, next_hop=tunnel.id, label=40)])

    @case(name=f"longest_match_ipv{f}", f=f)
    def longest_match(c, f):
        """Of four prefixes that cover the destination the longest forwards, in each of four depths."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        prefixes = {
            4: (("0.0.0.0/0", "9.9.9.9"), ("10.0.0.0/9", "10.64.0.1"), ("10.1.2.0/25", "10.1.2.126"), ("10.1.2.7/32", "10.1.2.7")),
            6: (("::/0", "2001:4860::1"), ("2001:db8::/32", "2001:db8:77::1"), ("2001:db8:2::/65", "2001:db8:2::ffff"), ("2001:db8:2::7/128", "2001:db8:2::7")),
        }[f]
        routes = [c.route(prefix, tunnel, label=100 + i) for i, (prefix, _) in enumerate(prefixes)]
        for i, (_, address) in enumerate(prefixes):
            packet = udp(VM[f], address)
            c.send(vm, packet)
            c.expect(c.fabric, tunnel.to_peer(hop(packet), 100 + i))
        c.mutant(delete=[routes[2]])

    @case([27], name=f"multicast_ipv{f}", f=f)
    def multicast(c, f):
        """Multicast from a routed interface without a replication next hop."""
        vm = c.vm("vm1", VM[4], VM[6])
        peer_vm = c.vm("vm2", VM2[4], VM2[6])
        group, mac = {4: ("224.0.0.251", "01:00:5e:00:00:fb"), 6: ("ff02::fb", "33:33:00:00:00:fb")}[f]
        c.send(vm, udp(VM[f], group, ttl=255), dst=mac)
        c.dropped("multicast_no_route")
        packet = udp(VM[f], VM2[f])
        c.send(vm, packet)
        c.expect(peer_vm, hop(packet))
        c.mutant(delete=[peer_vm.routes[(4, 6).index(f)]])

    @case(name=f"other_vrf_ipv{f}", f=f)
    def other_vrf(c, f):
        """A `vrf` next hop: the destination is looked up again in another VRF, and it is still one hop."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        c.vrf(3)
        c.route(REMOTE_NET[f], c.next_hop(vrf={"vrf": 3}))
        inner = c.route(REMOTE_NET[f], tunnel, label=40, vrf=3)
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(inner, label=99)])


@case([27])
def broadcast(c):
    """The limited broadcast address is not routed."""
    vm, b = c.vm("vm1", VM[4]), c.vm("vm2", VM2[4])
    c.send(vm, udp(VM[4], "255.255.255.255"), dst="ff:ff:ff:ff:ff:ff")
    c.dropped("multicast_no_route")
    packet = udp(VM[4], VM2[4])
    c.send(vm, packet)
    c.expect(b, hop(packet))
    c.mutant(delete=b.routes)


@case()
def isolated_vrfs(c):
    """Two workloads of one node in two VRFs do not reach each other."""
    a, b = c.vm("vm1", VM[4]), c.vm("vm2", "10.1.9.9", vrf=3)
    c.send(a, udp(VM[4], "10.1.9.9"))
    c.dropped("no_route")
    c.send(b, udp("10.1.9.9", VM[4]))
    c.dropped("no_route")
    c.mutant(put=[{"route": {"vrf": 1, "prefix": "10.1.9.9/32", "next_hop": b.next_hop}}])


@case()
def leaked_route(c):
    """A route of another VRF's workload (leaked by policy) delivers to it directly."""
    a, b = c.vm("vm1", VM[4]), c.vm("vm2", "10.1.9.9", vrf=3)
    leak = c.route("10.1.9.9/32", b, vrf=1)
    back = c.route(f"{VM[4]}/32", a, vrf=3)
    there, reply = udp(VM[4], "10.1.9.9"), udp("10.1.9.9", VM[4], 5000, 40000)
    c.send(a, there)
    c.expect(b, hop(there))
    c.send(b, reply)
    c.expect(a, hop(reply))
    c.mutant(delete=[leak, back])


@case()
def same_address_local(c):
    """Overlapping addresses: each workload reaches the neighbour of its own VRF."""
    a, b = c.vm("vm1", VM[4]), c.vm("vm2", VM2[4])
    x, y = c.vm("vm3", VM[4], vrf=3), c.vm("vm4", VM2[4], vrf=3)
    packet = udp(VM[4], VM2[4])
    c.send(a, packet)
    c.expect(b, hop(packet))
    c.send(x, packet)
    c.expect(y, hop(packet))
    c.mutant(put=[changed(y.routes[0], next_hop=b.next_hop)])


@case()
def lookup_loop(c):
    """VRFs that point at each other end by name, not by hanging."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.vrf(3)
    c.route(REMOTE_NET[4], c.next_hop(vrf={"vrf": 3}))
    back = c.route(REMOTE_NET[4], c.next_hop(vrf={"vrf": 1}), vrf=3)
    c.send(vm, udp(VM[4], REMOTE[4]))
    c.dropped("lookup_loop")
    c.mutant(put=[changed(back, next_hop=tunnel.id, label=40)])


@case([19])
def preference(c):
    """Two origins of one prefix: the higher preference forwards; when it is withdrawn the other takes over."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40, origin="bgp")
    best = c.route(REMOTE_NET[4], tunnel, label=41, origin="static", preference=200)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 41))
    c.change(delete=[best])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(best, preference=50)])


@case([19])
def preference_tie(c):
    """Equal preferences: the lowest origin forwards."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=41, origin="b")
    lowest = c.route(REMOTE_NET[4], tunnel, label=40, origin="a")
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(delete=[lowest])


@case([17, 18])
def repointed_next_hop(c):
    """A next hop is repointed between two packets of one flow: the next packet goes the new way."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.neighbour(PEER_B.v4, PEER_B.mac)
    c.route(REMOTE_NET[4], tunnel, label=40)
    moved = Tunnel(tunnel.id, MPLS_GRE, PEER_B, 4, None)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.change(put=[changed(tunnel.put, tunnel={"encapsulation": MPLS_GRE, "destination": PEER_B.v4})])
    c.send(vm, packet)
    c.expect(c.fabric, moved.to_peer(hop(packet), 40))
    c.mutant(put=[changed(tunnel.put, tunnel={"encapsulation": MPLS_GRE, "destination": PEER.v4})])


@case([17, 18])
def route_withdrawn(c):
    """A route is withdrawn between two packets of one flow: the next packet has no route."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.change(delete=[route])
    c.send(vm, packet)
    c.dropped("no_route")
    c.mutant(put=[{"route": {"vrf": 1, "prefix": ANY[4], "next_hop": tunnel.id, "label": 41}}])


@case([2])
def destination_moves_here(c):
    """A flow's remote destination becomes a local workload: the session goes on there, both ways."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    away = changed(b.routes[0], next_hop=tunnel.id, label=40)
    c.tables[c.tables.index(b.routes[0])] = away
    there, back = udp(VM[4], VM2[4]), udp(VM2[4], VM[4], 5000, 40000)
    c.send(a, there)
    c.expect(c.fabric, tunnel.to_peer(hop(there), 40))
    c.change(put=[b.routes[0]])
    c.send(a, there)
    c.expect(b, hop(there))
    c.send(b, back)
    c.expect(a, hop(back))
    c.mutant(put=[changed(away, label=41)])


for f in (4, 6):

    @case([10], name=f"no_route_behind_a_label_ipv{f}", f=f)
    def no_route_behind_a_label(c, f):
        """A VRF label, and nothing in that VRF covers the inner destination; multicast neither."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(MPLS_UDP, PEER)
        c.label(100, vrf=1)
        c.send(c.fabric, tunnel.to_node(udp(REMOTE[f], VM2[f], ttl=63), 100))
        c.dropped("no_route")
        c.send(c.fabric, tunnel.to_node(udp(REMOTE[f], {4: "239.1.1.1", 6: "ff0e::1"}[f], ttl=63), 100))
        c.dropped("multicast_no_route")
        packet = udp(REMOTE[f], VM[f], ttl=63)
        c.send(c.fabric, tunnel.to_node(packet, 100))
        c.expect(vm, packet)
        c.mutant(delete=[vm.routes[(4, 6).index(f)]])


@case()
def discard_behind_a_label(c):
    """The node's own block is a discard: a pod that is not there does not loop back up a default route."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.label(100, vrf=1)
    c.route(ANY[4], tunnel, label=40)
    blackhole = c.route("10.1.1.0/26", c.next_hop(discard={}))
    c.send(c.fabric, tunnel.to_node(udp(REMOTE[4], VM2[4], ttl=63), 100))
    c.dropped("discard")
    c.mutant(delete=[blackhole])
