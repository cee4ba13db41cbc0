"""DSCP, ECN and the label's traffic class."""

from golden import *

NOT_ECT, ECT1, ECT0, CE = range(4)

# RFC 6040 §4.2: inner ECN field by (inner, outer); None = drop.
ON_LEAVING = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


def copied(c, kind, inner, outer):
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    route = c.route(REMOTE_NET[inner], tunnel, label=40)
    for tos in (0, 46 << 2 | ECT0, 8 << 2 | ECT1, 34 << 2 | CE, 255):
        packet = udp(VM[inner], REMOTE[inner], tos=tos)
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[tunnel.but(dscp=1)])


for kind in ENCAPSULATIONS:
    for inner, outer_family in ((4, 4), (6, 6)):
        case([11], name=f"copied_{SHORT[kind]}_ipv{inner}", kind=kind, inner=inner, outer=outer_family,
             intent="DSCP and ECN are copied outwards (RFC 6040 normal mode); a label's traffic class is the DSCP's class selector.")(copied)
case([11], name="copied_mpls_udp_ipv4_over_ipv6", kind=MPLS_UDP, inner=4, outer=6,
     intent="DSCP and ECN cross the families: IPv4 in IPv6.")(copied)
case([11], name="copied_mpls_udp_ipv6_over_ipv4", kind=MPLS_UDP, inner=6, outer=4,
     intent="DSCP and ECN cross the families: IPv6 in IPv4.")(copied)


@case([11])
def tunnel_dscp(c):
    """A tunnel with its own DSCP: the outer header carries it, ECN is still copied, the label's class is the inner's."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, dscp=26)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4], tos=46 << 2 | ECT0)
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40, dscp=26))
    c.mutant(put=[tunnel.but(dscp=27)])


def leaving(c, kind, inner, outer):
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    named = c.vni(25, to=vm) if kind == VXLAN_L3 else c.label(25, to=vm)
    for inside, row in ON_LEAVING.items():
        for outside, result in row.items():
            packet = udp(REMOTE[inner], VM[inner], ttl=63, tos=10 << 2 | inside)
            frame = tunnel.to_node(packet, 25)
            header = frame.payload
            setattr(header, "tos" if outer == 4 else "tc", 46 << 2 | outside)
            c.send(c.fabric, frame)
            if result is None:
                c.dropped("ecn_decap")
            else:
                c.expect(vm, udp(REMOTE[inner], VM[inner], ttl=63, tos=10 << 2 | result))
    c.mutant(delete=[named])


for kind, inner, outer_family in ((MPLS_UDP, 4, 4), (MPLS_UDP, 6, 6), (MPLS_GRE, 4, 6), (VXLAN_L3, 6, 4)):
    case([11], name=f"ecn_on_leaving_{SHORT[kind]}_ipv{inner}_over_ipv{outer_family}", kind=kind, inner=inner, outer=outer_family,
         intent="All sixteen pairs of inner and outer ECN at decapsulation (RFC 6040 §4.2); the inner DSCP stays its own.")(leaving)
