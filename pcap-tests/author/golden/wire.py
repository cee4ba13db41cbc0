"""Packets: short constructors over scapy, and what a router does to a packet.

Everything is explicit (identification, TTL, flow label), because a default that changes with scapy's
version would change the committed files. Checksums are left to scapy, the independent author.
"""

import logging

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import GRE, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

GATEWAY_MAC = "00:00:5e:00:01:00"  # the default of every VIRTUAL interface
ENTROPY = 49152  # stands for any source port 49152..65535 of a tunnel packet
MPLS_PORT, MPLS_PORT_OLD, VXLAN_PORT = 6635, 51234, 4789

MPLS_UDP, MPLS_GRE, VXLAN_L3 = "MPLS_OVER_UDP", "MPLS_OVER_GRE", "VXLAN"
ENCAPSULATIONS = (MPLS_UDP, MPLS_GRE, VXLAN_L3)

# What an L3 payload costs, by encapsulation and outer family (SEMANTICS 12).
OVERHEAD = {
    (MPLS_UDP, 4): 32, (MPLS_UDP, 6): 52,
    (MPLS_GRE, 4): 28, (MPLS_GRE, 6): 48,
    (VXLAN_L3, 4): 50, (VXLAN_L3, 6): 70,
}


def family(address):
    return 6 if ":" in address else 4


def payload(length=32):
    """Bytes that are recognised at a glance and differ at every offset."""
    return Raw(bytes((0x41 + i % 26) for i in range(length)))


def ip(src, dst, ttl=64, tos=0, **fields):
    """An IP header of the addresses' family. `tos` is the traffic class, `ttl` the hop limit."""
    if family(src) == 4:
        return IP(src=src, dst=dst, ttl=ttl, tos=tos, **{"id": 0x1234, "flags": "DF", **fields})
    return IPv6(src=src, dst=dst, hlim=ttl, tc=tos, **{"fl": 0x54321, **fields})


def udp(src, dst, sport=40000, dport=5000, data=None, **fields):
    return ip(src, dst, **fields) / UDP(sport=sport, dport=dport) / (payload() if data is None else data)


def tcp(src, dst, sport=40000, dport=80, flags="S", seq=1000, ack=0, data=None, options=(), **fields):
    segment = TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=8192, options=list(options))
    packet = ip(src, dst, **fields) / segment
    return packet if data is None else packet / data


def sctp(src, dst, sport=40000, dport=80, **fields):
    """An INIT; its checksum (CRC-32c) covers the ports, but no address (RFC 9260 §6.8)."""
    number = {"proto": 132} if family(src) == 4 else {"nh": 132}
    return ip(src, dst, **number, **fields) / SCTP(sport=sport, dport=dport, tag=0) / SCTPChunkInit(init_tag=1)


def ping(src, dst, ident=7, seq=1, **fields):
    """An echo request of the family."""
    header = ip(src, dst, **fields)
    if family(src) == 4:
        return header / ICMP(type=8, id=ident, seq=seq) / payload()
    return header / ICMPv6EchoRequest(id=ident, seq=seq, data=bytes(payload()))


def pong(src, dst, ident=7, seq=1, **fields):
    """The echo reply to `ping(dst, src)`."""
    header = ip(src, dst, **fields)
    if family(src) == 4:
        return header / ICMP(type=0, id=ident, seq=seq) / payload()
    return header / ICMPv6EchoReply(id=ident, seq=seq, data=bytes(payload()))


def hop(packet, count=1):
    """`packet` after `count` routers: TTL or hop limit, and with it the IPv4 header checksum."""
    packet = packet.copy()
    if IP in packet:
        packet[IP].ttl -= count
    else:
        packet[IPv6].hlim -= count
    return packet


def rewrite(packet, src=None, dst=None, sport=None, dport=None):
    """`packet` with other addresses and ports; scapy computes the checksums anew."""
    packet = packet.copy()
    header = packet[IP] if IP in packet else packet[IPv6]
    header.src, header.dst = src or header.src, dst or header.dst
    for kind in (UDP, TCP, SCTP):
        if kind in packet:
            packet[kind].sport = sport or packet[kind].sport
            packet[kind].dport = dport or packet[kind].dport
    return packet


def traffic_class(packet):
    return packet.tos if isinstance(packet, IP) else packet.tc


def time_to_live(packet):
    return packet.ttl if isinstance(packet, IP) else packet.hlim


def outer(src, dst, inner, dscp=None, df=True):
    """The header in front of a tunnel: TTL 64; DSCP and ECN of the inner packet; IPv4: DF with
    identification 0 (RFC 6864: an atomic datagram needs none)."""
    tos = traffic_class(inner)
    if dscp is not None:
        tos = dscp << 2 | tos & 3
    if family(src) == 4:
        return IP(src=src, dst=dst, ttl=64, tos=tos, id=0, flags="DF" if df else 0)
    return IPv6(src=src, dst=dst, hlim=64, tc=tos, fl=0)


def label_of(value, inner, s=1, ttl=None, cos=None):
    """A label stack entry: TTL of the inner packet, traffic class from the top three bits of its DSCP."""
    if ttl is None:
        ttl = time_to_live(inner)
    if cos is None:
        cos = traffic_class(inner) >> 5
    return MPLS(label=value, cos=cos, s=s, ttl=ttl)


def icmp_error(source, about, kind, code=0, mtu=0):
    """An ICMP(v6) error that the vRouter originates about the packet `about`, to its sender.

    It quotes as much as the family allows: 576 bytes in all (RFC 1812 §4.3.2.3), 1280 for IPv6
    (RFC 4443 §2.4c). IPv4 precedence is internetwork control (RFC 1812 §4.3.2.5).
    """
    quoted = bytes(about)
    if isinstance(about, IP):
        header = IP(src=source, dst=about.src, ttl=64, tos=0xC0, id=0, flags="DF")
        types = {"unreachable": 3, "time-exceeded": 11, "too-big": 3}
        icmp = ICMP(type=types[kind], code=4 if kind == "too-big" else code)
        if kind == "too-big":
            icmp.nexthopmtu = mtu
        return header / icmp / Raw(quoted[: 576 - 20 - 8])
    header = IPv6(src=source, dst=about.src, hlim=64, tc=0, fl=0)
    icmp = {
        "unreachable": lambda: ICMPv6DestUnreach(code=code),
        "time-exceeded": lambda: ICMPv6TimeExceeded(code=code),
        "too-big": lambda: ICMPv6PacketTooBig(mtu=mtu),
    }[kind]()
    return header / icmp / Raw(quoted[: 1280 - 40 - 8])


def edit(packet, offset, value):
    """The bytes of `packet` with `value` written over them at `offset`: damage."""
    frame = bytearray(bytes(packet))
    frame[offset : offset + len(value)] = value
    return bytes(frame)


def with_body(frame, body, **fields):
    """The Ethernet and IPv4 headers of `frame` with other bytes behind them; lengths and checksum agree."""
    header = IP(bytes(frame[IP])[:20])
    del header.len, header.chksum
    for name, value in fields.items():
        setattr(header, name, value)
    return bytes(Ether(src=frame.src, dst=frame.dst) / header / Raw(bytes(body)))
