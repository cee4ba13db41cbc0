"""Too big: what is told, what is cut, and what is clamped before it happens (SEMANTICS 12)."""

from scapy.layers.inet import IPOption_RR

from golden import *

LINK = 1500
PLACES = [(kind, f, outer_family) for kind in ENCAPSULATIONS for f, outer_family in ((4, 4), (6, 6))] + [(MPLS_UDP, 6, 4), (MPLS_UDP, 4, 6)]


def sized(length, src, dst, **fields):
    """A UDP packet whose IP packet is `length` bytes long."""
    header = 28 if family(src) == 4 else 48
    return udp(src, dst, data=payload(length - header), **fields)


def fragments(packet, mtu):
    """IPv4 `packet` cut for `mtu` as RFC 791 §3.2 does: options that are not to be copied stay in the first."""
    whole, pieces, at = bytes(packet), [], 0
    header = (whole[0] & 15) * 4
    body = whole[header:]
    while at < len(body):
        first = at == 0
        room = (mtu - (header if first else 20)) // 8 * 8
        piece = body[at : at + room]
        last = at + len(piece) == len(body)
        more = 0 if last and not packet.flags.MF else 1
        cut = IP(src=packet.src, dst=packet.dst, ttl=packet.ttl, tos=packet.tos, id=packet.id, proto=whole[9],
                 flags=more, frag=packet.frag + at // 8, options=packet.options if first else [])
        pieces.append(cut / Raw(piece))
        at += len(piece)
    return pieces


for kind, f, outer_family in PLACES:

    @case([12], name=f"too_big_{SHORT[kind]}_ipv{f}_over_ipv{outer_family}", kind=kind, f=f, outer=outer_family)
    def too_big(c, kind, f, outer):
        """One byte more than fits is answered with the MTU that fits; exactly that passes."""
        vm = c.vm("vm1", VM[4], VM[6])
        tunnel = c.tunnel(kind, PEER, outer)
        c.route(REMOTE_NET[f], tunnel, label=40)
        fits = LINK - OVERHEAD[kind, outer]
        packet = sized(fits + 1, VM[f], REMOTE[f])
        c.send(vm, packet)
        c.dropped("too_big")
        c.expect(vm, icmp_error(vm.gateway(f), packet, "too-big", mtu=fits), originated=True)
        packet = sized(fits, VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(tunnel.put, mtu=1400)])


@case([12])
def next_hop_with_its_own_mtu(c):
    """The next hop's own MTU counts before the port's."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, mtu=1400)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = sized(1369, VM[4], REMOTE[4])
    c.send(vm, packet)
    c.dropped("too_big")
    c.expect(vm, icmp_error(vm.gateway(4), packet, "too-big", mtu=1368), originated=True)
    c.mutant(put=[changed(tunnel.put, mtu=1401)])


@case([12])
def jumbo_fabric(c):
    """A fabric port with a bigger MTU takes a full inner packet."""
    c.fabric.put["interface"]["mtu"] = 1600
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = sized(1500, VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(c.fabric, mtu=1500)])


for f in (4, 6):

    @case([12], name=f"too_big_for_a_workload_ipv{f}", f=f)
    def too_big_for_a_workload(c, f):
        """A workload with a small MTU: the sender on this node is told that MTU."""
        vm, small = c.vm("vm1", VM[4], VM[6]), c.vm("vm2", VM2[4], VM2[6], mtu=1400)
        packet = sized(1401, VM[f], VM2[f])
        c.send(vm, packet)
        c.dropped("too_big")
        c.expect(vm, icmp_error(vm.gateway(f), packet, "too-big", mtu=1400), originated=True)
        packet = sized(1400, VM[f], VM2[f])
        c.send(vm, packet)
        c.expect(small, hop(packet))
        c.mutant(put=[changed(small, mtu=1390)])


@case([10, 12])
def too_big_is_quoted_as_sent(c):
    """The error quotes the packet as its sender knows it: before translation, before the hop."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_GRE, GATEWAY)
    c.route("101.101.101.2/32", vm, vrf=2)
    c.route(ANY[4], tunnel, label=39, vrf=2)
    floating = c.put("floating_ip", id=1, address="101.101.101.2", vrf=2, interfaces=[vm.id])
    packet = sized(1473, VM[4], OUTSIDE[4])
    c.send(vm, packet)
    c.dropped("too_big")
    c.expect(vm, icmp_error(vm.gateway(4), packet, "too-big", mtu=1472), originated=True)
    c.mutant(delete=[floating])


@case([12, 15])
def cut_without_df(c):
    """Without DF the inner packet is cut: both fragments in their own tunnel packet, on one path."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = sized(1500, VM[4], REMOTE[4], flags=0)
    c.send(vm, packet)
    for piece in fragments(hop(packet), 1468):
        c.expect(c.fabric, tunnel.to_peer(piece, 40), entropy="a")
    c.counted(copied=1)
    c.mutant(put=[changed(route, label=41)])


@case([12, 15])
def cut_in_the_flow_stage(c):
    """The same for a packet with a flow; the whole packet before it shares the source port."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    small, packet = udp(VM[4], REMOTE[4]), sized(1500, VM[4], REMOTE[4], flags=0)
    c.send(vm, small)
    c.expect(c.fabric, tunnel.to_peer(hop(small), 40), entropy="a")
    c.send(vm, packet)
    for piece in fragments(hop(packet), 1468):
        c.expect(c.fabric, tunnel.to_peer(piece, 40), entropy="a")
    c.counted(copied=1)
    c.mutant(put=[changed(route, label=41)])


@case([12, 15])
def cut_into_three(c):
    """A small next-hop MTU: three fragments, offsets in units of eight bytes."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_GRE, PEER, mtu=600)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = sized(1400, VM[4], REMOTE[4], flags=0)
    pieces = fragments(hop(packet), 572)
    assert len(pieces) == 3
    c.send(vm, packet)
    for piece in pieces:
        c.expect(c.fabric, tunnel.to_peer(piece, 40))
    c.counted(copied=2)
    c.mutant(put=[changed(route, label=41)])


@case([12, 15])
def cut_a_fragment(c):
    """A fragment that is itself too big: its offset is the base, and its "more" stays on the last piece."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = ip(VM[4], REMOTE[4], proto=17, flags="MF", frag=100, id=7) / payload(1480)
    c.send(vm, packet)
    for piece in fragments(hop(packet), 1468):
        c.expect(c.fabric, tunnel.to_peer(piece, 40))
    c.counted(copied=1)
    c.mutant(put=[changed(route, label=41)])


@case([12, 15])
def cut_with_options(c):
    """A record-route option is not copied into later fragments (RFC 791 §3.1)."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4], data=payload(1464), flags=0, options=[IPOption_RR(routers=["0.0.0.0"], pointer=4), b"\0"])
    c.send(vm, packet)
    for piece in fragments(hop(packet), 1468):
        c.expect(c.fabric, tunnel.to_peer(piece, 40))
    c.counted(copied=1)
    c.mutant(put=[changed(route, label=41)])


@case([12, 15])
def cut_towards_a_workload(c):
    """Out of a tunnel towards a workload with a small MTU: cut, and no hop counted."""
    vm = c.vm("vm1", VM[4], label=25, mtu=1000)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    packet = sized(1400, REMOTE[4], VM[4], flags=0, ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25))
    for piece in fragments(packet, 1000):
        c.expect(vm, piece)
    c.counted(copied=1)
    c.mutant(put=[changed(vm, mtu=1500)])


@case([12])
def ipv6_minimum_in_outer_fragments(c):
    """The underlay leaves less than 1280 for IPv6: a 1280-byte packet crosses in outer fragments; telling a
    smaller MTU would be a lie that no IPv6 host may believe (RFC 8200 §5)."""
    vm = c.vm("vm1", VM[6])
    tunnel = c.tunnel(MPLS_UDP, PEER, mtu=1300)
    route = c.route(REMOTE_NET[6], tunnel, label=40)
    packet = sized(1280, VM[6], REMOTE[6])
    c.send(vm, packet)
    frame = tunnel.to_peer(hop(packet), 40, df=False)
    for piece in fragments(frame[IP], 1300):
        c.expect(c.fabric, plain_to_peer(piece, PEER))
    c.counted(copied=1)
    c.mutant(put=[changed(route, label=41)])


@case([12])
def ipv6_above_the_minimum(c):
    """On the same path a bigger packet is told 1280, never less."""
    vm = c.vm("vm1", VM[6])
    tunnel = c.tunnel(MPLS_UDP, PEER, mtu=1300)
    route = c.route(REMOTE_NET[6], tunnel, label=40)
    packet = sized(1281, VM[6], REMOTE[6])
    c.send(vm, packet)
    c.dropped("too_big")
    c.expect(vm, icmp_error(vm.gateway(6), packet, "too-big", mtu=1280), originated=True)
    c.mutant(delete=[route])


# MSS


def with_mss(value, *, before=()):
    return [*before, ("MSS", value)]


def clamped(c, kind, f, policy):
    vm = c.vm("vm1", VM[4], VM[6], policy=policy)
    tunnel = c.tunnel(kind, PEER)
    route = c.route(REMOTE_NET[f], tunnel, label=40)
    limit = LINK - OVERHEAD[kind, 4] - (40 if f == 4 else 60)
    for offered in (limit + 1, 8960, limit, limit - 1, 536):
        sport = 40000 + offered
        c.send(vm, tcp(VM[f], REMOTE[f], sport=sport, options=with_mss(offered)))
        c.expect(c.fabric, tunnel.to_peer(tcp(VM[f], REMOTE[f], sport=sport, options=with_mss(min(offered, limit)), ttl=63), 40))
    c.mutant(put=[changed(tunnel.put, mtu=1400)])


for kind, f, policy in ((MPLS_UDP, 4, False), (MPLS_UDP, 6, True), (MPLS_GRE, 4, True), (VXLAN_L3, 4, True)):
    case([12], name=f"mss_{SHORT[kind]}_ipv{f}", kind=kind, f=f, policy=policy,
         intent="The MSS of a SYN is lowered to what fits through the tunnel, never raised.")(clamped)


@case([12])
def mss_at_an_odd_offset(c):
    """An MSS option behind a single NOP: its value straddles the checksum's words."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    options = lambda mss: [("NOP", None), ("MSS", mss), ("NOP", None), ("NOP", None), ("NOP", None)]
    c.send(vm, tcp(VM[4], REMOTE[4], options=options(1460)))
    c.expect(c.fabric, tunnel.to_peer(tcp(VM[4], REMOTE[4], options=options(1428), ttl=63), 40))
    c.mutant(put=[changed(tunnel.put, mtu=1499)])


@case([12])
def mss_both_directions(c):
    """SYN from the fabric and SYN-ACK from the workload: both ends learn what fits."""
    vm = c.vm("vm1", VM[4], policy=True, label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    syn = lambda mss: tcp(REMOTE[4], VM[4], options=with_mss(mss), ttl=63)
    synack = lambda mss, ttl: tcp(VM[4], REMOTE[4], 80, 40000, "SA", 9000, 1001, options=with_mss(mss), ttl=ttl)
    c.send(c.fabric, tunnel.to_node(syn(1460), 25))
    c.expect(vm, syn(1428))
    c.send(vm, synack(1460, 64))
    c.expect(c.fabric, tunnel.to_peer(synack(1428, 63), 40))
    c.mutant(put=[changed(tunnel.put, mtu=1400)])


@case([12])
def mss_only_on_syn(c):
    """An MSS option on a segment without SYN is none of our business; nor is a SYN without the option."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    for packet in (tcp(VM[4], REMOTE[4], flags="A", options=with_mss(1460)), tcp(VM[4], REMOTE[4], options=[("WScale", 7)])):
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])
