"""Headers that lie, at every layer. Each case also sends the same packet intact, which passes: so nothing but
the damage is the reason of the drop."""

from scapy.layers.inet import IPOption_RR
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.utils import checksum

from golden import *


def from_vm(c, bad, reason, good=None):
    """`bad` (an IP packet or a whole frame in bytes) is dropped by name; `good` goes on to the peer."""
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    good = good or udp(VM[4], REMOTE[4])
    f = 4 if IP in good else 6
    route = c.route(REMOTE_NET[f], tunnel, label=40)
    frame = bad if isinstance(bad, bytes) else bytes(vm.says(bad))
    c.send(vm, frame, broken=True)
    c.dropped(reason)
    c.send(vm, good)
    c.expect(c.fabric, tunnel.to_peer(hop(good), 40))
    c.mutant(put=[changed(route, label=41)])


def from_fabric(c, reason, cut=None, inner=None, kind=MPLS_UDP, outer=4, f=4, damage=None):
    """A tunnel packet, cut short or with a damaged payload, is dropped by name; intact it arrives."""
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    named = c.vni(25, to=vm) if kind == VXLAN_L3 else c.label(25, to=vm)
    good = udp(REMOTE[f], VM[f], ttl=63)
    frame = tunnel.to_node(good if inner is None else inner, 25)
    frame = damage(frame) if damage else frame
    c.send(c.fabric, bytes(frame)[:cut], broken=True)
    c.dropped(reason)
    c.send(c.fabric, tunnel.to_node(good, 25))
    c.expect(vm, good)
    c.mutant(delete=[named])


V4, V6 = (VM[4], REMOTE[4]), (VM[6], REMOTE[6])
MAC = bytes(Ether(src="02:00:00:00:01:02", dst=GATEWAY_MAC, type=0x0800))
TCP4, UDP6 = tcp(*V4), udp(*V6)
LONG_OPTIONS = bytearray(bytes(udp(*V4, ihl=15, len=40, chksum=0)))
LONG_OPTIONS[10:12] = checksum(bytes(LONG_OPTIONS)).to_bytes(2, "big")  # over all its 60 bytes: only the lengths are wrong
LONG_OPTIONS = MAC + bytes(LONG_OPTIONS)
EXTENSION = 0  # hop-by-hop options


def ipv6_with(header, next_header, **fields):
    """An IPv6 packet with the bytes of an extension header in front of UDP."""
    return ip(*V6, nh=next_header, **fields) / Raw(header) / Raw(bytes(UDP(sport=1, dport=2) / payload(8)))


for title, name, reason, bad, good in (
    ("A frame shorter than an Ethernet header", "runt", "truncated", MAC[:10], None),
    ("An Ethernet header and nothing behind it", "no_ip_header", "truncated", MAC, None),
    ("An IPv4 header cut in the middle", "ipv4_cut", "truncated", MAC + bytes(udp(*V4))[:12], None),
    ("IPv4 whose total length is longer than the frame", "ipv4_longer_than_the_frame", "truncated", udp(*V4, len=200), None),
    ("IPv4 with a header length of 16", "ipv4_header_length", "invalid_ip_header", udp(*V4, ihl=4), None),
    ("IPv4 whose total length is shorter than its header", "ipv4_total_length", "invalid_ip_header", udp(*V4, len=16), None),
    ("IPv4 options that reach behind the total length", "ipv4_options_length", "invalid_ip_header", LONG_OPTIONS, None),
    ("IPv4 with a wrong header checksum", "ipv4_checksum", "invalid_ip_checksum", udp(*V4, chksum=0x1234), None),
    ("Version 5", "version_5", "invalid_ip_version", udp(*V4, version=5), None),
    ("Ethernet says IPv4, the packet says 6", "version_6_in_ipv4_frame", "invalid_ip_version", MAC + bytes(UDP6), None),
    ("Ethernet says IPv6, the packet says 4", "version_4_in_ipv6_frame", "invalid_ip_version", edit(MAC, 12, b"\x86\xdd") + bytes(udp(*V4)), None),
    ("An IPv6 header cut in the middle", "ipv6_cut", "truncated", edit(MAC, 12, b"\x86\xdd") + bytes(UDP6)[:30], UDP6),
    ("IPv6 whose payload length is longer than the frame", "ipv6_longer_than_the_frame", "truncated", udp(*V6, plen=900), UDP6),
    ("An IPv6 extension header that is longer than the frame", "ipv6_extension_cut", "truncated", ipv6_with(bytes([17, 200, 1, 4, 0, 0, 0, 0]), EXTENSION), UDP6),
    ("An IPv6 extension header that is longer than the packet, though the frame goes on", "ipv6_extension_behind_the_end", "invalid_ip_header",
     edit(MAC, 12, b"\x86\xdd") + bytes(ip(*V6, nh=EXTENSION, plen=8) / Raw(bytes([17, 1, 1, 12] + [0] * 12))), UDP6),
    ("TCP with a data offset of 16 bytes", "tcp_data_offset", "invalid_l4", ip(*V4) / TCP(sport=1, dport=2, dataofs=4), TCP4),
    ("TCP whose options reach behind the packet", "tcp_options_behind_the_end", "invalid_l4", ip(*V4) / TCP(sport=1, dport=2, dataofs=15), TCP4),
    ("UDP with a length of 7", "udp_length_7", "invalid_l4", ip(*V4) / UDP(sport=1, dport=2, len=7) / payload(), None),
    ("UDP with a length that is longer than the packet", "udp_longer_than_the_packet", "invalid_l4", ip(*V4) / UDP(sport=1, dport=2, len=100) / payload(), None),
    ("UDP over IPv6 with a length of 7", "udp_length_7_ipv6", "invalid_l4", ip(*V6) / UDP(sport=1, dport=2, len=7) / payload(), UDP6),
    ("A UDP header cut in the middle", "udp_cut", "truncated", ip(*V4, proto=17) / payload(4), None),
    ("A TCP header cut in the middle", "tcp_cut", "truncated", ip(*V4, proto=6) / payload(16), TCP4),
    ("A TCP header over IPv6 cut in the middle", "tcp_cut_ipv6", "truncated", ip(*V6, nh=6) / payload(16), tcp(*V6)),
    ("An ICMP header cut in the middle", "icmp_cut", "truncated", ip(*V4, proto=1) / payload(3), ping(*V4)),
    ("LLDP on an interface without a twin", "unsupported_ethertype", "unsupported_ethertype", edit(MAC, 12, b"\x88\xcc") + bytes(payload(46)), None),
    ("A VLAN tag that no interface takes", "vlan", "unsupported_vlan", edit(MAC, 12, b"\x81\x00") + b"\x00\x64\x08\x00" + bytes(udp(*V4)), None),
):
    case(name=name, intent=f"{title}: dropped by name; the intact packet passes.", bad=bad, reason=reason, good=good,
         requires=["short_frames"] if name == "runt" else ())(from_vm)

OUTER = 14 + 20
for title, name, reason, fields in (
    ("An outer UDP header cut in the middle", "tunnel_udp_cut", "truncated", {"cut": OUTER + 4}),
    ("A tunnel packet cut inside its payload", "tunnel_payload_cut", "truncated", {"cut": -5}),
    ("An outer IPv6 header cut in the middle", "tunnel_ipv6_cut", "truncated", {"cut": 14 + 30, "outer": 6}),
    ("An inner IPv4 header with a wrong checksum", "inner_checksum", "invalid_ip_checksum", {"inner": udp(REMOTE[4], VM[4], chksum=0x1234)}),
    ("An inner packet of version 7", "inner_version", "invalid_ip_version", {"inner": udp(REMOTE[4], VM[4], version=7)}),
    ("An inner packet that is longer than its tunnel", "inner_longer_than_the_tunnel", "truncated", {"inner": udp(REMOTE[4], VM[4], len=300)}),
    ("An inner IPv6 packet that is longer than its tunnel", "inner_ipv6_longer_than_the_tunnel", "truncated",
     {"inner": udp(REMOTE[6], VM[6], plen=300), "f": 6}),
    ("An inner UDP length of 7", "inner_udp_length", "invalid_l4", {"inner": ip(REMOTE[4], VM[4]) / UDP(sport=1, dport=2, len=7) / payload()}),
    ("An inner IPv4 packet in VXLAN that Ethernet calls IPv6", "vxlan_inner_version", "invalid_ip_version",
     {"kind": VXLAN_L3, "damage": lambda frame: edit(frame, OUTER + 16 + 12, b"\x86\xdd")}),
    ("VXLAN with an inner Ethernet type that is not IP", "vxlan_inner_ethertype", "unsupported_ethertype",
     {"kind": VXLAN_L3, "damage": lambda frame: edit(frame, OUTER + 16 + 12, b"\x88\xcc")}),
    ("A GRE packet that ends behind its GRE header", "gre_without_label", "truncated", {"kind": MPLS_GRE, "damage": lambda frame: shorten(frame, 4)}),
    ("An MPLS packet that ends behind the label", "mpls_without_payload", "truncated", {"damage": lambda frame: shorten(frame, 8 + 4, udp_length=12)}),
    ("A label stack that never ends", "label_stack_without_end", "truncated",
     {"damage": lambda frame: shorten(frame, 8 + 8, udp_length=16, clear_bottom=True)}),
    ("VXLAN that ends inside the inner Ethernet header", "vxlan_inner_ethernet_cut", "truncated",
     {"kind": VXLAN_L3, "damage": lambda frame: shorten(frame, 8 + 8 + 10, udp_length=26)}),
    ("VXLAN that ends behind its UDP header", "vxlan_header_cut", "truncated", {"kind": VXLAN_L3, "damage": lambda frame: shorten(frame, 8 + 4, udp_length=12)}),
):
    case(name=name, intent=f"{title}: dropped by name; the intact packet arrives.", reason=reason, **fields)(from_fabric)


def shorten(frame, keep, udp_length=None, clear_bottom=False):
    """The outer packet with `keep` bytes behind its IPv4 header, and lengths that agree with it."""
    body = bytearray(bytes(frame[IP].payload)[:keep])
    if udp_length:
        body[4:6] = udp_length.to_bytes(2, "big")
    if clear_bottom:  # two entries, neither of them the last
        body[12:16] = body[8:12]
        for at in (10, 14):
            body[at] &= 0xFE
    return with_body(frame, body)


@case()
def ipv4_options_are_fine(c):
    """IPv4 options are carried along; the ports behind them are found (a flow is made)."""
    vm = c.vm("vm1", VM[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(*V4, options=[IPOption_RR(routers=["1.2.3.4", "0.0.0.0"], pointer=8)])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


@case()
def ipv6_extensions_are_fine(c):
    """IPv6 hop-by-hop and destination options are carried along, and rules see the ports behind them."""
    group = c.security_group(7, {"direction": "EGRESS", "ether_type": "IPV6", "protocol": 17, "ports": {"first": 5000, "last": 5000}})
    vm = c.vm("vm1", VM[6], groups=[7])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[6], tunnel, label=40)
    packet = ip(*V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=40000, dport=5000) / payload()
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.send(vm, ip(*V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=40000, dport=5001) / payload())
    c.dropped("security_group")
    c.mutant(put=[changed(group, rules=[])])
