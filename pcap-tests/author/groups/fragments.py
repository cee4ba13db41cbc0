"""IP fragments through the flow stage, without reassembly (SEMANTICS 14)."""

from scapy.layers.inet6 import IPv6ExtHdrFragment

from golden import *

from .mtu import fragments
from .nat import FIP, scene as nat_scene


def pieces_of(packet, size=576):
    """An IPv4 or IPv6 packet in fragments that carry at most `size` bytes of it."""
    if IP in packet:
        return fragments(packet, size + 20)
    body, cut = bytes(packet[IPv6].payload), []
    kind = packet[IPv6].payload.overload_fields[IPv6]["nh"]
    for at in range(0, len(body), size):
        header = IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim, tc=packet.tc, fl=packet.fl)
        more = 1 if at + size < len(body) else 0
        cut.append(header / IPv6ExtHdrFragment(nh=kind, offset=at // 8, m=more, id=0x1234) / Raw(body[at : at + size]))
    return cut


def datagram(src, dst, length=1400, **fields):
    return udp(src, dst, data=payload(length), **({"flags": 0} if family(src) == 4 else {}), **fields)


def scene(c, *groups):
    vm = c.vm("vm1", VM[4], VM[6], groups=groups, policy=True, label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    routes = {f: c.route(REMOTE_NET[f], tunnel, label=40) for f in (4, 6)}
    return vm, tunnel, routes


for f in (4, 6):

    @case([14], name=f"follow_their_first_ipv{f}", f=f)
    def follow_their_first(c, f):
        """Later fragments take the first one's verdict, way and source port; rules see the ports of the first."""
        c.security_group(7, {"direction": "EGRESS", "protocol": 17, "ports": {"first": 5000, "last": 5000}})
        vm, tunnel, routes = scene(c, 7)
        for piece in pieces_of(datagram(VM[f], REMOTE[f])):
            c.send(vm, piece)
            c.expect(c.fabric, tunnel.to_peer(hop(piece), 40), entropy="a")
        c.mutant(put=[changed(routes[f], label=41)])

    @case([14], name=f"translated_ipv{f}", f=f)
    def translated(c, f):
        """A fragmented datagram to a floating IP: every fragment is translated, the checksum in the first."""
        vm, gateway, address = nat_scene(c, f)
        whole = datagram(OUTSIDE[f], FIP[f], ttl=60)
        for piece, seen in zip(pieces_of(whole), pieces_of(rewrite(whole, dst=VM[f]))):
            c.send(c.fabric, gateway.to_node(piece, 47))
            c.expect(vm, seen)
        c.mutant(delete=[address])

    @case([14, 15], name=f"before_their_first_ipv{f}", f=f)
    def before_their_first(c, f):
        """Fragments that come before their first wait for it, and follow it in the order in which they came."""
        vm, tunnel, routes = scene(c)
        first, second, third = pieces_of(datagram(VM[f], REMOTE[f]))
        for piece in (third, second, first):
            c.send(vm, piece)
        for piece in (first, third, second):
            c.expect(c.fabric, tunnel.to_peer(hop(piece), 40), entropy="a")
        c.mutant(put=[changed(routes[f], label=41)])

    @case([14], name=f"denied_with_their_first_ipv{f}", f=f)
    def denied_with_their_first(c, f):
        """The first fragment is denied by a rule: no context is made, and the rest never gets by without one."""
        group = c.security_group(7, {"direction": "EGRESS", "protocol": 17, "ports": {"first": 5001, "last": 5001}})
        vm, tunnel, routes = scene(c, 7)
        c.send(vm, pieces_of(datagram(VM[f], REMOTE[f]))[0])
        c.dropped("security_group")
        c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])

    @case([14], name=f"without_their_first_ipv{f}", f=f)
    def without_their_first(c, f):
        """A later fragment whose first never comes is held for a second, then dropped by name."""
        vm, tunnel, routes = scene(c)
        c.send(vm, pieces_of(datagram(VM[f], REMOTE[f]))[1])
        c.wait(2.5)
        c.dropped("fragment_no_first")
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(routes[f], label=41)])

    @case([14], name=f"overlap_ipv{f}", f=f)
    def overlap(c, f):
        """A fragment that overlaps one that passed condemns its datagram (RFC 5722)."""
        vm, tunnel, routes = scene(c)
        whole = datagram(VM[f], REMOTE[f])
        first, _, third = pieces_of(whole)
        shifted = pieces_of(whole)[1]
        if f == 4:
            shifted.frag -= 1
        else:
            shifted[IPv6ExtHdrFragment].offset -= 1
        c.send(vm, first)
        c.expect(c.fabric, tunnel.to_peer(hop(first), 40))
        c.send(vm, shifted, broken=True)
        c.dropped("fragment_overlap")
        c.send(vm, third)
        c.dropped("fragment_overlap")
        c.mutant(put=[changed(routes[f], label=41)])

    @case([14], name=f"tiny_first_ipv{f}", f=f)
    def tiny_first(c, f):
        """A first fragment without the whole TCP header hides the flags from rules: dropped by name."""
        vm, tunnel, routes = scene(c)
        segment = bytes(tcp(VM[f], REMOTE[f])[TCP])
        if f == 4:
            tiny = ip(VM[4], REMOTE[4], flags="MF", id=5, proto=6) / Raw(segment[:8])
        else:
            tiny = ip(VM[6], REMOTE[6]) / IPv6ExtHdrFragment(nh=6, offset=0, m=1, id=5) / Raw(segment[:8])
        c.send(vm, tiny, broken=True)
        c.dropped("fragment_tiny")
        packet = tcp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        c.mutant(put=[changed(routes[f], label=41)])


@case([14])
def more_than_eight_wait(c):
    """At most eight fragments of a datagram wait for their first: the ninth is refused; the eight follow."""
    vm, tunnel, routes = scene(c)
    first, *rest = pieces_of(datagram(VM[4], REMOTE[4], 1400), 128)
    rest = rest[:9]
    for piece in rest:
        c.send(vm, piece)
    c.dropped("fragment_limit")
    c.send(vm, first)
    for piece in [first, *rest[:8]]:
        c.expect(c.fabric, tunnel.to_peer(hop(piece), 40))
    c.mutant(put=[changed(routes[4], label=41)])


@case([14])
def atomic_ipv6_fragment(c):
    """An IPv6 fragment header with offset 0 and nothing more (RFC 6946) is a whole packet."""
    group = c.security_group(7, {"direction": "EGRESS", "protocol": 17, "ports": {"first": 5000, "last": 5000}})
    vm, tunnel, routes = scene(c, 7)
    packet = ip(VM[6], REMOTE[6]) / IPv6ExtHdrFragment(offset=0, m=0, id=9) / UDP(sport=40000, dport=5000) / payload()
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(group, rules=[])])


@case([3])
def fragments_in_packet_mode(c):
    """Without policy fragments need no first: each is routed by its addresses."""
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    routes = {f: c.route(REMOTE_NET[f], tunnel, label=40) for f in (4, 6)}
    for f in (4, 6):
        for piece in reversed(pieces_of(datagram(VM[f], REMOTE[f]))):
            c.send(vm, piece)
            c.expect(c.fabric, tunnel.to_peer(hop(piece), 40))
    c.mutant(put=[changed(routes[6], label=41)])
