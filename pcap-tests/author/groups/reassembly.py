"""Tunnel packets that the underlay has cut are put together before they are opened (SEMANTICS 14)."""

from scapy.layers.inet6 import IPv6ExtHdrFragment

from golden import *

from .host import scene as host_scene
from .mtu import fragments

SIZE = 600


def scene(c, kind=MPLS_UDP, outer=4):
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    named = c.vni(25, to=vm) if kind == VXLAN_L3 else c.label(25, to=vm)
    c.mutant(delete=[named])
    return vm, tunnel


def big(f=4, length=1400):
    return udp(REMOTE[f], VM[f], ttl=63, data=payload(length))


def cut(frame, size=SIZE):
    """A frame of the underlay in fragments that carry at most `size` bytes of its packet's payload."""
    packet = frame.payload.copy()
    link = Ether(src=frame.src, dst=frame.dst)
    if isinstance(packet, IP):
        packet.flags, packet.id = 0, 0x4242
        return [link / piece for piece in fragments(packet, size + 20)]
    body, pieces = bytes(packet.payload), []
    kind = bytes(packet)[6]
    for at in range(0, len(body), size):
        header = IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim, tc=packet.tc, fl=packet.fl)
        more = 1 if at + size < len(body) else 0
        pieces.append(link / header / IPv6ExtHdrFragment(nh=kind, offset=at // 8, m=more, id=0x1234) / Raw(body[at : at + size]))
    return pieces


ORDERS = {"in_order": (0, 1, 2), "backwards": (2, 1, 0), "first_last": (1, 2, 0), "middle_last": (0, 2, 1)}
for kind in (MPLS_UDP, MPLS_GRE, VXLAN_L3):
    for outer in (4, 6):
        for title, order in ORDERS.items():
            if title != "in_order" and (kind, outer) not in ((MPLS_UDP, 4), (MPLS_GRE, 6)):
                continue

            @case([14, 15], name=f"{title}_{SHORT[kind]}_over_ipv{outer}", kind=kind, outer=outer, order=order)
            def joined(c, kind, outer, order):
                """A tunnel packet that comes in three pieces is opened when the last of them is here."""
                vm, tunnel = scene(c, kind, outer)
                pieces = cut(tunnel.to_node(big(), 25))
                assert len(pieces) == 3
                for n in order:
                    c.send(c.fabric, pieces[n], broken=True)
                c.expect(vm, big())
                c.counted(consumed=2)


@case([13, 14])
def checksum_over_the_whole(c):
    """The outer UDP checksum is verified over the whole: a right one passes, after one that is wrong in the last piece."""
    vm, tunnel = scene(c)
    frame = tunnel.to_node(big(), 25, checksum=None)
    pieces = cut(Ether(bytes(frame)))
    for piece in pieces[:-1]:
        c.send(c.fabric, piece, broken=True)
    wrong = bytes(pieces[-1])
    c.send(c.fabric, wrong[:-1] + bytes([wrong[-1] ^ 1]), broken=True)
    c.dropped("tunnel_checksum")
    c.counted(consumed=4)
    for piece in pieces:
        c.send(c.fabric, piece, broken=True)
    c.expect(vm, big())


@case([14])
def congestion_on_one_piece(c):
    """A router marks congestion on one piece: the workload's packet, which knows ECN, carries the mark (RFC 3168 §5.3)."""
    vm, tunnel = scene(c)
    packet = big()
    packet.tos = 2
    pieces = cut(tunnel.to_node(packet, 25))
    pieces[1][IP].tos |= 3
    for piece in pieces:
        c.send(c.fabric, piece, broken=True)
    seen = packet.copy()
    seen.tos = 3
    c.expect(vm, seen)
    c.counted(consumed=2)


@case([14, 15])
def a_piece_that_never_comes(c):
    """Without its last piece the packet is given up after a second; pieces that come later find nothing."""
    vm, tunnel = scene(c)
    pieces = cut(tunnel.to_node(big(), 25))
    c.send(c.fabric, pieces[0], broken=True)
    c.send(c.fabric, pieces[1], broken=True)
    c.wait(2.5)
    c.dropped("outer_fragment", count=2)
    c.send(c.fabric, tunnel.to_node(big(), 25))
    c.expect(vm, big())


@case([14, 15])
def overlapping_pieces(c):
    """Pieces that overlap condemn the packet: those that are here and those that come are dropped (RFC 5722)."""
    vm, tunnel = scene(c)
    first, second, third = cut(tunnel.to_node(big(), 25))
    shifted = second.copy()
    shifted[IP].frag -= 1
    c.send(c.fabric, first, broken=True)
    c.send(c.fabric, shifted, broken=True)
    c.send(c.fabric, third, broken=True)
    c.dropped("fragment_overlap", count=3)
    c.send(c.fabric, tunnel.to_node(big(), 25))
    c.expect(vm, big())


@case([14, 15])
def more_pieces_than_anybody_needs(c):
    """Seventeen pieces of one packet are more than are remembered (16): the packet is dropped by name."""
    vm, tunnel = scene(c)
    pieces = cut(tunnel.to_node(big(length=1000), 25), 48)[:17]
    for piece in pieces:
        c.send(c.fabric, piece, broken=True)
    c.dropped("fragment_limit", count=17)
    c.send(c.fabric, tunnel.to_node(big(), 25))
    c.expect(vm, big())


@case([14, 22])
def of_the_nodes_own_packets(c):
    """Fragments of what is no tunnel's go to the HOST twin untouched: those that came before their first, behind it."""
    host, vm, tunnel = host_scene(c)
    pieces = cut(plain_to_node(udp(PEER.v4, NODE[4], data=payload(1400)), PEER))
    c.send(c.fabric, pieces[2], broken=True)
    c.send(c.fabric, pieces[0], broken=True)
    c.expect(host, pieces[0])
    c.expect(host, pieces[2])
    c.send(c.fabric, pieces[1], broken=True)
    c.expect(host, pieces[1])
    c.mutant(delete=[{"interface": {"id": 2}}])


@case([14, 22])
def of_nobody_knows_what(c):
    """A later fragment whose first never comes goes to the HOST twin after a second: its kernel decides."""
    host, vm, tunnel = host_scene(c)
    pieces = cut(plain_to_node(udp(PEER.v4, NODE[4], data=payload(1400)), PEER))
    c.send(c.fabric, pieces[1], broken=True)
    c.wait(2.5)
    c.expect(host, pieces[1])
    c.mutant(delete=[{"interface": {"id": 2}}])
