"""A HOST twin of the fabric port: the node's own IP stack beside the vRouter (SEMANTICS 22)."""

from scapy.layers.inet6 import ICMPv6MLReport2, ICMPv6ND_RA

from golden import *

from .arp_nd import is_at, solicit, who_has


def lldp(mac):
    """An LLDP frame: chassis id (MAC), port id, TTL 120, end; padded to Ethernet's minimum."""
    chassis, port = b"\x02\x07\x04" + bytes.fromhex(mac.replace(":", "")), b"\x04\x05\x05eth0"
    return Ether(src=mac, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw((chassis + port + b"\x06\x02\x00\x78\x00\x00").ljust(46, b"\0"))


def scene(c):
    host = Port(c.put("interface", id=2, name="host", role="HOST", vrf=0, mac=FABRIC_MAC, twin_of=1))
    vm = c.vm("vm1", VM[4], VM[6], label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    return host, vm, tunnel


def untouched(c, title, frame):
    host, vm, tunnel = scene(c)
    c.send(c.fabric, frame)
    c.expect(host, frame)
    packet = udp(REMOTE[4], VM[4], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(delete=[{"interface": {"id": 2}}])


TO_NODE = {4: (PEER.v4, NODE[4]), 6: (PEER.v6, NODE[6])}
for title, name, frame in (
    ("BGP to the node", "bgp_ipv4", plain_to_node(tcp(*TO_NODE[4], dport=179, ttl=1), PEER)),
    ("BGP to the node over IPv6", "bgp_ipv6", plain_to_node(tcp(*TO_NODE[6], dport=179, ttl=1), PEER)),
    ("A ping to the node", "ping", plain_to_node(ping(*TO_NODE[4]), PEER)),
    ("BFD to the node", "bfd", plain_to_node(udp(*TO_NODE[4], dport=3784, ttl=255), PEER)),
    ("An ARP request for the node", "arp_request", who_has(PEER.mac, PEER.v4, NODE[4])),
    ("A neighbour solicitation for the node", "nd_solicitation", solicit(PEER.mac, PEER.v6, NODE[6])),
    ("LLDP", "lldp", lldp(PEER.mac)),
    ("A router advertisement to all nodes", "router_advertisement",
     Ether(src=PEER.mac, dst="33:33:00:00:00:01") / ip("fe80::1", "ff02::1", ttl=255) / ICMPv6ND_RA()),
    ("An IGMP query of a switch without address", "igmp_query",
     Ether(src=PEER.mac, dst="01:00:5e:00:00:01") / ip("0.0.0.0", "224.0.0.1", ttl=1, proto=2) / Raw(b"\x11\x64\xee\x9b" + bytes(4))),
    ("An MLD report of who has no address yet", "mld_report",
     Ether(src=PEER.mac, dst="33:33:00:00:00:16") / ip("::", "ff02::16", ttl=1) / ICMPv6MLReport2()),
    ("A packet to a link-local address of the node", "link_local", plain_to_node(udp("fe80::1", "fe80::42", ttl=1), PEER)),
):
    case([10, 22], name=f"to_the_twin_{name}", title=title, frame=frame,
         intent=f"{title} goes to the twin untouched, TTL included; tunnel packets do not.")(untouched)


@case([15, 22])
def arp_reply_goes_to_both(c):
    """An ARP reply teaches the vRouter and, as a copy, the kernel."""
    host, vm, tunnel = scene(c)
    frame = is_at(PEER.mac, PEER.v4, FABRIC_MAC, NODE[4])
    c.send(c.fabric, frame)
    c.expect(host, frame)
    c.counted(copied=1, punted=1)
    c.mutant(delete=[{"interface": {"id": 2}}])


@case([22])
def from_the_twin(c):
    """What the kernel sends leaves by the fabric port untouched: IP, ARP, LLDP."""
    host, vm, tunnel = scene(c)
    c.put("interface", id=9, name="fabric2", role="FABRIC", vrf=0, mac="02:00:0a:01:00:43", addresses=["10.7.0.66/24"])
    for frame in (
        plain_to_peer(tcp(NODE[4], PEER.v4, sport=179, ttl=1), PEER),
        who_has(FABRIC_MAC, NODE[4], PEER.v4),
        lldp(FABRIC_MAC),
    ):
        c.send(host, frame)
        c.expect(c.fabric, frame)
    c.mutant(put=[changed(host, twin_of=9, mac=None)])
