"""Outer headers: what is sent, what is tolerated on receipt, what is refused; packets without a tunnel."""

from golden import *


def scene(c, kind=MPLS_UDP, outer=4, **fields):
    """vm1 (label or VNI 25) and a peer that reaches it."""
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer, **fields)
    named = c.vni(25, to=vm) if kind == VXLAN_L3 else c.label(25, to=vm)
    c.mutant(delete=[named])
    return vm, tunnel


PACKET = udp(REMOTE[4], VM[4], ttl=63)


def accepted(c, kind=MPLS_UDP, outer=4, **fields):
    vm, tunnel = scene(c, kind, outer)
    c.send(c.fabric, tunnel.to_node(PACKET, 25, **fields))
    c.expect(vm, PACKET)


for title, name, fields in (
    ("The old MPLS-over-UDP port is accepted.", "old_mpls_port", {"dport": MPLS_PORT_OLD}),
    ("A correct outer UDP checksum is accepted over IPv4.", "udp_checksum_over_ipv4", {"checksum": None}),
    ("A correct outer UDP checksum is accepted over IPv6.", "udp_checksum_over_ipv6", {"checksum": None, "outer": 6}),
    ("A correct outer UDP checksum is accepted in VXLAN.", "vxlan_udp_checksum", {"checksum": None, "kind": VXLAN_L3}),
    ("The outer TTL ends here whatever it is: 1 is enough.", "outer_ttl_one", {"ttl": 1}),
    ("The outer packet may be without DF.", "outer_without_df", {"df": False}),
    ("A tunnel's source port may be any.", "any_source_port", {"sport": 1024}),
    ("GRE with a correct checksum.", "gre_checksum", {"kind": MPLS_GRE, "gre": {"chksum_present": 1}}),
    ("GRE with a key: tolerated, not looked at.", "gre_key", {"kind": MPLS_GRE, "gre": {"key_present": 1, "key": 77}}),
    ("GRE with a sequence number: tolerated.", "gre_sequence", {"kind": MPLS_GRE, "gre": {"seqnum_present": 1, "seqence_number": 5}}),
    ("GRE with checksum, key and sequence number.", "gre_all_fields",
     {"kind": MPLS_GRE, "gre": {"chksum_present": 1, "key_present": 1, "key": 77, "seqnum_present": 1, "seqence_number": 5}}),
    ("GRE over IPv6 with a key.", "gre_key_over_ipv6", {"kind": MPLS_GRE, "outer": 6, "gre": {"key_present": 1, "key": 77}}),
):
    case([11], name=name, intent=title, **fields)(accepted)


def refused(c, reason, kind=MPLS_UDP, outer=4, fields=None, damage=None):
    """A damaged packet is dropped by name; the same packet intact passes."""
    vm, tunnel = scene(c, kind, outer)
    bad = tunnel.to_node(PACKET, 25, **(fields or {}))
    c.send(c.fabric, damage(bytes(bad)) if damage else bytes(bad), broken=True)
    c.dropped(reason)
    c.send(c.fabric, tunnel.to_node(PACKET, 25))
    c.expect(vm, PACKET)


def flip(offset, value):
    """Sets the bits of `value` in one byte of the frame."""
    return lambda frame: edit(frame, offset, [frame[offset] ^ value])


OUTER_L4 = 14 + 20
for title, name, reason, fields in (
    ("A wrong outer UDP checksum.", "wrong_udp_checksum", "tunnel_checksum", {"fields": {"checksum": 0xBEEF}}),
    ("A wrong outer UDP checksum over IPv6.", "wrong_udp_checksum_over_ipv6", "tunnel_checksum", {"fields": {"checksum": 0xBEEF}, "outer": 6}),
    ("A wrong GRE checksum.", "wrong_gre_checksum", "tunnel_checksum",
     {"kind": MPLS_GRE, "fields": {"gre": {"chksum_present": 1, "chksum": 0xBEEF}}}),
    ("GRE version 1 is PPTP, not ours.", "gre_version", "invalid_tunnel", {"kind": MPLS_GRE, "damage": flip(OUTER_L4 + 1, 1)}),
    ("GRE with the routing bit of RFC 1701 (RFC 2784 §2.3: discard).", "gre_routing", "invalid_tunnel",
     {"kind": MPLS_GRE, "damage": flip(OUTER_L4, 0x40)}),
    ("VXLAN without the I flag (RFC 7348 §5).", "vxlan_without_vni", "invalid_tunnel", {"kind": VXLAN_L3, "damage": flip(OUTER_L4 + 8, 0x08)}),
):
    case([11], name=name, intent=f"{title} Dropped by name; the same packet intact passes.", reason=reason, **fields)(refused)


@case()
def wrong_mac(c):
    """A frame on the fabric that is addressed to another station's MAC."""
    vm, tunnel = scene(c)
    frame = tunnel.to_node(PACKET, 25)
    c.send(c.fabric, Ether(src=PEER.mac, dst=PEER_B.mac) / frame.payload)
    c.dropped("wrong_mac")
    c.send(c.fabric, frame)
    c.expect(vm, PACKET)


@case()
def tunnel_for_another_node(c):
    """A tunnel packet for another node is not opened: it is routed like any IP packet."""
    vm, tunnel = scene(c)
    c.neighbour(PEER_B.v4, PEER_B.mac)
    frame = tunnel.to_node(PACKET, 25)
    frame[IP].dst = PEER_B.v4
    c.send(c.fabric, frame)
    c.expect(c.fabric, plain_to_peer(hop(frame[IP].copy()), PEER_B))
    c.send(c.fabric, tunnel.to_node(PACKET, 25))
    c.expect(vm, PACKET)


@case()
def padding_is_cut_into_a_tunnel(c):
    """Ethernet padding behind a short packet does not travel through a tunnel."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4], data=payload(2))
    c.send(vm, bytes(vm.says(packet)) + bytes(16))
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


@case()
def padding_of_the_outer_frame_is_cut(c):
    """Bytes behind the outer packet are not delivered."""
    vm, tunnel = scene(c, MPLS_GRE)
    packet = udp(REMOTE[4], VM[4], ttl=63, data=payload(0))
    c.send(c.fabric, bytes(tunnel.to_node(packet, 25)) + bytes(6))
    c.expect(vm, packet)


@case([12])
def udp_checksum_when_asked_for(c):
    """A tunnel over IPv6 with `udp_checksum` carries a valid outer UDP checksum."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, 6, udp_checksum=True)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40, checksum=None))
    c.mutant(put=[tunnel.but(udp_checksum=False)])


@case()
def clear_df(c):
    """A tunnel with `clear_df` sends its outer packets without DF; their identification is anything."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, clear_df=True)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40, df=False))
    c.mutant(put=[tunnel.but(clear_df=False)])


@case()
def vxlan_source_router_mac(c):
    """The inner source MAC of VXLAN is the tunnel's `source_router_mac` where it names one."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(VXLAN_L3, PEER, source_router_mac="02:00:0a:ff:00:42")
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40, inner_macs=("02:00:0a:ff:00:42", ROUTER_MAC)))
    c.mutant(put=[tunnel.but(source_router_mac=None)])


REMOTE_GATEWAY = Peer("100.123.18.1", "2001:db8:b::1", GATEWAY.mac)  # behind the fabric's gateway


@case([21])
def tunnel_behind_a_gateway(c):
    """A tunnel's destination is resolved recursively: it lies behind the gateway, so the frame goes there."""
    vm = c.vm("vm1", VM[4])
    c.neighbour(GATEWAY.v4, GATEWAY.mac)
    tunnel = c.tunnel(MPLS_GRE, REMOTE_GATEWAY, neighbour=False)
    default = c.route(ANY[4], c.next_hop(interface={"interface": 1, "address": GATEWAY.v4}), vrf=0)
    c.route(REMOTE_NET[4], tunnel, label=39)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 39))
    c.mutant(delete=[default])


@case([21])
def tunnel_source_is_the_ports_first_address(c):
    """A port with two addresses of a family: the first one is the source of tunnels; both receive."""
    c.fabric.put["interface"]["addresses"].insert(1, "10.1.0.67/24")
    vm = c.vm("vm1", VM[4], label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    frame = tunnel.to_node(PACKET, 25)
    frame[IP].dst = "10.1.0.67"
    c.send(c.fabric, frame)
    c.expect(vm, PACKET)
    c.mutant(put=[changed(c.fabric.put, addresses=["10.1.0.67/24", "10.1.0.66/24"])])


@case([21])
def tunnel_with_its_own_source(c):
    """A tunnel that names its source address uses it."""
    c.fabric.put["interface"]["addresses"].insert(1, "10.1.0.67/24")
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, source="10.1.0.67")
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    frame = tunnel.to_peer(hop(packet), 40)
    frame[IP].src = "10.1.0.67"
    c.expect(c.fabric, frame)
    c.mutant(put=[tunnel.but(source=None)])


@case([21])
def tunnel_in_another_transport_vrf(c):
    """A tunnel's destination is resolved in its transport VRF, not in VRF 0."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, transport_vrf=3)
    c.route(REMOTE_NET[4], tunnel, label=40)
    transport = c.route(UNDERLAY[4], 1, vrf=3)
    for route in list(c.underlay):
        c.tables.remove(route)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(delete=[transport])


@case([21])
def tunnel_that_cannot_be_resolved(c):
    """No route to the tunnel's destination in its transport VRF."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_GRE, REMOTE_GATEWAY, neighbour=False)
    c.route(REMOTE_NET[4], tunnel, label=39)
    c.neighbour(GATEWAY.v4, GATEWAY.mac)
    gateway = c.next_hop(interface={"interface": 1, "address": GATEWAY.v4})
    c.send(vm, udp(VM[4], REMOTE[4]))
    c.dropped("next_hop_unresolved")
    c.mutant(put=[{"route": {"vrf": 0, "prefix": ANY[4], "next_hop": gateway}}])


@case([21])
def no_label(c):
    """Neither the route nor the tunnel says which label the far end wants: none is made up."""
    vm = c.vm("vm1", VM[4])
    route = c.route(REMOTE_NET[4], c.tunnel(MPLS_UDP, PEER))
    c.send(vm, udp(VM[4], REMOTE[4]))
    c.dropped("no_label")
    c.mutant(put=[changed(route, label=40)])


@case([21])
def no_source_address(c):
    """A tunnel over IPv6 on a node that has no IPv6 address."""
    c.fabric.put["interface"]["addresses"] = ["10.1.0.66/24"]
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, 6)
    c.route(REMOTE_NET[4], tunnel, label=40)
    c.send(vm, udp(VM[4], REMOTE[4]))
    c.dropped("no_source_address")
    c.mutant(put=[changed(c.fabric.put, addresses=["10.1.0.66/24", "2001:db8:a::42/64"])])


# Without a tunnel (full IP fabric): the pod's address is routed in the fabric's VRF itself.


for f in (4, 6):

    @case([10], name=f"plain_out_ipv{f}", f=f)
    def plain_out(c, f):
        """A workload in the fabric's VRF: its packet leaves as plain IP towards the neighbour."""
        vm = c.vm("vm1", VM[4], VM[6], vrf=0)
        c.neighbour(PEER.address(f), PEER.mac)
        c.neighbour(PEER_B.address(f), PEER_B.mac)
        by = c.next_hop(interface={"interface": 1, "address": PEER.address(f)})
        other = c.next_hop(interface={"interface": 1, "address": PEER_B.address(f)})
        route = c.route(REMOTE_NET[f], by, vrf=0)
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, plain_to_peer(hop(packet), PEER))
        c.mutant(put=[changed(route, next_hop=other)])

    @case([10], name=f"plain_in_ipv{f}", f=f)
    def plain_in(c, f):
        """Plain IP from the fabric to a workload: this node is a hop, so the hop limit counts down."""
        vm = c.vm("vm1", VM[4], VM[6], vrf=0)
        index = (4, 6).index(f)
        packet = udp(REMOTE[f], VM[f], ttl=62)
        c.send(c.fabric, plain_to_node(packet, PEER))
        c.expect(vm, hop(packet))
        c.mutant(delete=[vm.routes[index]])

    @case([21], name=f"plain_on_link_ipv{f}", f=f)
    def plain_on_link(c, f):
        """A connected subnet: the destination itself is the neighbour."""
        vm = c.vm("vm1", VM[4], VM[6], vrf=0)
        c.neighbour(PEER.address(f), PEER.mac)
        packet = udp(VM[f], PEER.address(f))
        c.send(vm, packet)
        c.expect(c.fabric, plain_to_peer(hop(packet), PEER))
        c.mutant(put=[{"route": {"vrf": 0, "prefix": f"{PEER.address(f)}/{HOST[f]}"}}])


@case([21, 22])
def ipv4_by_an_ipv6_neighbour(c):
    """IPv4 whose next hop is an IPv6 link-local address (RFC 8950): the neighbour's MAC is all it takes."""
    vm = c.vm("vm1", VM[4], vrf=0)
    c.neighbour("fe80::1", PEER.mac)
    by = c.next_hop(interface={"interface": 1, "address": "fe80::1"})
    route = c.route(ANY[4], by, vrf=0)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, plain_to_peer(hop(packet), PEER))
    c.mutant(delete=[route])


@case([10])
def plain_through(c):
    """Plain IP that is neither for this node nor for a workload is routed on."""
    c.neighbour(PEER_B.v4, PEER_B.mac)
    by = c.next_hop(interface={"interface": 1, "address": PEER_B.v4})
    route = c.route(REMOTE_NET[4], by, vrf=0)
    packet = udp("10.1.5.5", REMOTE[4], ttl=9)
    c.send(c.fabric, plain_to_node(packet, PEER))
    c.expect(c.fabric, plain_to_peer(hop(packet), PEER_B))
    c.mutant(delete=[route])
