"""Who may send what: source binding of workloads, reverse path of the fabric, impossible addresses."""

from golden import *

OTHER = {4: "10.1.1.99", 6: "2001:db8:1::99"}
PAIR_NET = {4: "10.1.1.96/28", 6: "2001:db8:1::90/124"}


def scene(c, **fields):
    vm = c.vm("vm1", VM[4], VM[6], policy=True, label=25, **fields)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    for f in (4, 6):
        c.route(REMOTE_NET[f], tunnel, label=40)
    return vm, tunnel


def passes(c, vm, tunnel, packet, frame=None):
    c.send(vm, frame or packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))


for f in (4, 6):

    @case([9], name=f"foreign_address_ipv{f}", f=f)
    def foreign_address(c, f):
        """A workload sends from an address that is not its own."""
        vm, tunnel = scene(c)
        c.send(vm, udp(OTHER[f], REMOTE[f]))
        c.dropped("invalid_source")
        passes(c, vm, tunnel, udp(VM[f], REMOTE[f]))
        c.mutant(put=[changed(vm, allowed_address_pairs=[{"prefix": OTHER[f]}])])

    @case([9], name=f"foreign_mac_ipv{f}", f=f)
    def foreign_mac(c, f):
        """A workload sends its own address from a MAC that is not its own."""
        vm, tunnel = scene(c)
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, Ether(src="02:00:00:00:99:99", dst=GATEWAY_MAC) / packet)
        c.dropped("invalid_source")
        passes(c, vm, tunnel, packet)
        c.mutant(put=[changed(vm, allowed_address_pairs=[{"prefix": VM[f], "mac": "02:00:00:00:99:99"}])])

    @case(name=f"allowed_pair_ipv{f}", f=f)
    def allowed_pair(c, f):
        """An allowed address pair is a prefix of further sources; the address next to it is not in it."""
        vm, tunnel = scene(c, allowed_address_pairs=[{"prefix": PAIR_NET[f]}])
        passes(c, vm, tunnel, udp(OTHER[f], REMOTE[f]))
        beyond = {4: "10.1.1.112", 6: "2001:db8:1::a0"}[f]
        c.send(vm, udp(beyond, REMOTE[f]))
        c.dropped("invalid_source")
        c.mutant(put=[changed(vm, allowed_address_pairs=None)])

    @case([9], name=f"rpf_strict_ipv{f}", f=f)
    def rpf_strict(c, f):
        """A packet from the fabric whose outer source is not where the route back leads."""
        vm, tunnel = scene(c)
        stranger = c.tunnel(MPLS_UDP, PEER_B)
        packet = udp(REMOTE[f], VM[f], ttl=63)
        c.send(c.fabric, stranger.to_node(packet, 25))
        c.dropped("invalid_source")
        c.send(c.fabric, tunnel.to_node(packet, 25))
        c.expect(vm, packet)
        c.mutant(put=[changed(vm, rpf="OFF")])

    @case([9], name=f"rpf_off_ipv{f}", f=f)
    def rpf_off(c, f):
        """The check is off: any node may be the sender."""
        vm, _ = scene(c, rpf="OFF")
        unknown = Tunnel(0, MPLS_UDP, PEER_C, 4, None)
        packet = udp(REMOTE[f], VM[f], ttl=63)
        c.send(c.fabric, unknown.to_node(packet, 25))
        c.expect(vm, packet)
        c.mutant(put=[changed(vm, rpf="STRICT")])


@case([9])
def allowed_pair_with_a_mac(c):
    """A pair with a MAC: that address comes from that MAC only, not from the interface's own."""
    mac = "00:00:5e:00:01:33"
    vm, tunnel = scene(c, allowed_address_pairs=[{"prefix": OTHER[4], "mac": mac}])
    packet = udp(OTHER[4], REMOTE[4])
    c.send(vm, packet)
    c.dropped("invalid_source")
    passes(c, vm, tunnel, packet, Ether(src=mac, dst=GATEWAY_MAC) / packet)
    c.mutant(put=[changed(vm, allowed_address_pairs=[{"prefix": OTHER[4]}])])


@case([9])
def rpf_loose(c):
    """Loose: any tunnel peer that this node knows, but no stranger."""
    vm, _ = scene(c, rpf="LOOSE")
    known, unknown = c.tunnel(MPLS_UDP, PEER_B), Tunnel(0, MPLS_UDP, PEER_C, 4, None)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, unknown.to_node(packet, 25))
    c.dropped("invalid_source")
    c.send(c.fabric, known.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(put=[changed(vm, rpf="STRICT")])


@case([9])
def rpf_without_a_route_back(c):
    """No route back at all: strict refuses."""
    vm, tunnel = scene(c)
    c.send(c.fabric, tunnel.to_node(udp("10.77.0.1", VM[4], ttl=63), 25))
    c.dropped("invalid_source")
    c.mutant(put=[{"route": {"vrf": 1, "prefix": "10.77.0.0/16", "next_hop": tunnel.id, "label": 40}}])


@case([9])
def rpf_over_ipv6(c):
    """Reverse path with an IPv6 underlay."""
    vm = c.vm("vm1", VM[4], policy=True, label=25)
    tunnel, stranger = c.tunnel(MPLS_UDP, PEER, 6), c.tunnel(MPLS_UDP, PEER_B, 6)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, stranger.to_node(packet, 25))
    c.dropped("invalid_source")
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(put=[changed(vm, rpf="OFF")])


@case([9])
def rpf_vxlan(c):
    """Reverse path with VXLAN."""
    vm = c.vm("vm1", VM[4], policy=True)
    c.vni(5000, vrf=1)
    tunnel, stranger = c.tunnel(VXLAN_L3, PEER), c.tunnel(VXLAN_L3, PEER_B)
    c.route(REMOTE_NET[4], tunnel, label=5000)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, stranger.to_node(packet, 5000))
    c.dropped("invalid_source")
    c.send(c.fabric, tunnel.to_node(packet, 5000))
    c.expect(vm, packet)
    c.mutant(put=[changed(vm, rpf="OFF")])


@case([9, 17])
def rpf_follows_the_route(c):
    """A session's peer changes: refused while the route leads to the old one, accepted when it leads to the new one."""
    vm, old = scene(c)
    new = c.tunnel(MPLS_UDP, PEER_B)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, old.to_node(packet, 25))
    c.expect(vm, packet)
    c.send(c.fabric, new.to_node(packet, 25))
    c.dropped("invalid_source")
    c.change(put=[{"route": {"vrf": 1, "prefix": REMOTE_NET[4], "next_hop": new.id, "label": 40}}])
    c.send(c.fabric, new.to_node(packet, 25))
    c.expect(vm, packet)
    c.send(c.fabric, old.to_node(packet, 25))
    c.dropped("invalid_source")
    c.mutant(put=[changed(vm, rpf="OFF")])


def impossible(c, src, dst):
    """An address that no packet on a wire may have; the next packet, with real ones, passes."""
    vm, tunnel = scene(c)
    c.send(vm, udp(src, dst), broken=True)
    c.dropped("invalid_address")
    f = family(src)
    packet = udp(VM[f], REMOTE[f])
    passes(c, vm, tunnel, packet)
    c.mutant(put=[{"route": {"vrf": 1, "prefix": REMOTE_NET[f], "next_hop": tunnel.id, "label": 41}}])


for name, src, dst in (
    ("multicast_source_ipv4", "224.0.0.5", REMOTE[4]), ("broadcast_source", "255.255.255.255", REMOTE[4]),
    ("unspecified_source_ipv4", "0.0.0.0", REMOTE[4]), ("loopback_source_ipv4", "127.0.0.1", REMOTE[4]),
    ("loopback_destination_ipv4", VM[4], "127.0.0.1"), ("multicast_source_ipv6", "ff02::5", REMOTE[6]),
    ("unspecified_source_ipv6", "::", REMOTE[6]), ("loopback_source_ipv6", "::1", REMOTE[6]),
    ("loopback_destination_ipv6", VM[6], "::1"),
):
    case(name=name, intent=f"A packet from {src} to {dst} has an address that may not be on a wire; real ones pass.", src=src, dst=dst)(impossible)


@case()
def loopback_source_in_a_tunnel(c):
    """The same out of a tunnel: the inner addresses are looked at as well."""
    vm, tunnel = scene(c)
    c.send(c.fabric, tunnel.to_node(udp("127.0.0.1", VM[4], ttl=63), 25), broken=True)
    c.dropped("invalid_address")
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(delete=[vm.label])
