"""Which label is pushed, and what a label or VNI names on receipt."""

from golden import *


def scene(c):
    vm = c.vm("vm1", VM[4], VM[6], label=25)
    return vm, c.tunnel(MPLS_UDP, PEER)


for f in (4, 6):

    @case([1, 10], name=f"label_names_a_vrf_ipv{f}", family=f)
    def label_names_a_vrf(c, family):
        """A label that names a VRF: the inner destination is looked up there, and the hop limit stays."""
        vm, tunnel = scene(c)
        label = c.label(100, vrf=1)
        packet = udp(REMOTE[family], VM[family], ttl=63)
        c.send(c.fabric, tunnel.to_node(packet, 100))
        c.expect(vm, packet)
        c.mutant(delete=[label])

    @case([1, 10], name=f"vni_names_a_vrf_ipv{f}", family=f)
    def vni_names_a_vrf(c, family):
        """A VNI that names a VRF: the inner destination is looked up there, and the hop limit stays."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(VXLAN_L3, PEER)
        c.vrf(3)
        c.vni(5000, vrf=1)
        packet = udp(REMOTE[family], VM[family], ttl=63)
        c.send(c.fabric, tunnel.to_node(packet, 5000))
        c.expect(vm, packet)
        c.mutant(put=[{"vni": {"vni": 5000, "vrf": 3}}])


@case([10])
def same_address_in_two_vrfs(c):
    """Two workloads have one address in two VRFs: the label tells them apart."""
    red = c.vm("vm1", VM[4])
    blue = c.vm("vm2", VM[4], vrf=3)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.label(100, vrf=1)
    label = c.label(101, vrf=3)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 100))
    c.expect(red, packet)
    c.send(c.fabric, tunnel.to_node(packet, 101))
    c.expect(blue, packet)
    c.mutant(put=[changed(label, vrf=1)])


def last_of(c, stack):
    vm, tunnel = scene(c)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25, stack=stack))
    c.expect(vm, packet)
    c.mutant(delete=[vm.label])


case([27], name="two_labels", intent="Two labels: only the last one decides; the first need not be known.", stack=[700])(last_of)
case([27], name="three_labels", intent="Three labels: only the last one decides.", stack=[700, 701])(last_of)
case([27], name="explicit_null_on_top", intent="An explicit null above another label says nothing (RFC 4182).", stack=[0])(last_of)


@case([27])
def four_labels(c):
    """Four labels are one more than is accepted; three of the same are fine."""
    vm, tunnel = scene(c)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25, stack=[700, 701, 702]))
    c.dropped("invalid_tunnel")
    c.send(c.fabric, tunnel.to_node(packet, 25, stack=[700, 701]))
    c.expect(vm, packet)
    c.mutant(delete=[vm.label])


@case([27])
def unknown_label(c):
    """A label that no object names is dropped by name."""
    vm, tunnel = scene(c)
    c.send(c.fabric, tunnel.to_node(udp(REMOTE[4], VM[4], ttl=63), 26))
    c.dropped("invalid_label")
    c.mutant(put=[changed(vm.label, label=26)])


@case([27])
def unknown_vni(c):
    """A VNI that no object names is dropped by name."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(VXLAN_L3, PEER)
    c.vni(5000, vrf=1)
    c.send(c.fabric, tunnel.to_node(udp(REMOTE[4], VM[4], ttl=63), 5001))
    c.dropped("invalid_vni")
    c.mutant(put=[{"vni": {"vni": 5001, "vrf": 1}}])


@case([10])
def label_ttl_zero(c):
    """A label with TTL 0 may not be processed further."""
    vm, tunnel = scene(c)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25, shim={"ttl": 0}))
    c.dropped("mpls_ttl")
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(delete=[vm.label])


@case([10])
def label_ttl_one(c):
    """A label with TTL 1 is accepted where the last label is popped; the inner TTL stays its own."""
    vm, tunnel = scene(c)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25, shim={"ttl": 1}))
    c.expect(vm, packet)
    c.mutant(delete=[vm.label])


@case()
def tunnel_label_where_the_route_has_none(c):
    """The tunnel's own label is pushed when the route names none."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_GRE, PEER, label=32)
    route = c.route(REMOTE_NET[4], tunnel)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 32))
    c.mutant(put=[changed(route, label=33)])


@case()
def route_label_before_the_tunnels(c):
    """The route's label is pushed though the tunnel has one of its own."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, label=32)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=None)])


@case()
def biggest_label(c):
    """All 20 bits of a label, both ways."""
    vm = c.vm("vm1", VM[4], label=1048575)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=1048574)
    packet, back = udp(VM[4], REMOTE[4]), udp(REMOTE[4], VM[4], ttl=63)
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 1048574))
    c.send(c.fabric, tunnel.to_node(back, 1048575))
    c.expect(vm, back)
    c.mutant(put=[changed(route, label=1048575)])


@case()
def biggest_vni(c):
    """All 24 bits of a VNI, both ways; 0xffffff is a VNI like any other."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(VXLAN_L3, PEER)
    c.vni(16777215, to=vm)
    route = c.route(REMOTE_NET[4], tunnel, label=16777214)
    packet, back = udp(VM[4], REMOTE[4]), udp(REMOTE[4], VM[4], ttl=63)
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 16777214))
    c.send(c.fabric, tunnel.to_node(back, 16777215))
    c.expect(vm, back)
    c.mutant(put=[changed(route, label=55)])


@case([10])
def transit(c):
    """A VRF label whose lookup ends at another tunnel: routed out again, which costs a hop."""
    c.vrf(1)
    tunnel, onward = c.tunnel(MPLS_UDP, PEER), c.tunnel(MPLS_GRE, PEER_B)
    c.label(100, vrf=1)
    route = c.route(REMOTE_NET[4], onward, label=41)
    packet = udp("10.1.5.5", REMOTE[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 100))
    c.expect(c.fabric, onward.to_peer(hop(packet), 41))
    c.mutant(put=[changed(route, label=42)])


def stacks(c, kind, inner, outer, above):
    """Labels of the tunnel itself on top of the route's."""
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer, outer_labels=above)
    c.route(REMOTE_NET[inner], tunnel, label=40)
    packet = udp(VM[inner], REMOTE[inner], tos=0xb8)
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40, stack=above))
    c.mutant(put=[tunnel.but(outer_labels=above[:-1] + [99])])


for kind, inner, outer_family, above in (
    (MPLS_UDP, 4, 4, [700]),
    (MPLS_UDP, 6, 6, [700, 701]),
    (MPLS_GRE, 4, 4, [700, 701]),
    (MPLS_GRE, 6, 6, [700]),
):
    case([10, 12], name=f"stack_of_{len(above) + 1}_{SHORT[kind]}_ipv{inner}",
         intent=f"{len(above)} labels of the tunnel on top of the route's: the same class and TTL, S on the last only.",
         kind=kind, inner=inner, outer=outer_family, above=above)(stacks)
