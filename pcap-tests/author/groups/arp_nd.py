"""ARP and neighbour discovery: who is answered, with what, and who is not."""

from scapy.layers.inet6 import (
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, in6_getnsma, in6_getnsmac,
)
from scapy.layers.l2 import ARP
from scapy.pton_ntop import inet_ntop, inet_pton
import socket

from golden import *

BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"


def who_has(mac, src, target):
    """An ARP request as a host broadcasts it."""
    return Ether(src=mac, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=src, hwdst=NOBODY, pdst=target)


def is_at(mac, address, to_mac, to):
    """The ARP reply: `address` is at `mac`."""
    return Ether(src=mac, dst=to_mac) / ARP(op=2, hwsrc=mac, psrc=address, hwdst=to_mac, pdst=to)


def solicit(mac, src, target, unicast_to=None, options=True, **fields):
    """A neighbour solicitation, to the target's solicited-node group (RFC 4861 §4.3)."""
    group = inet_ntop(socket.AF_INET6, in6_getnsma(inet_pton(socket.AF_INET6, target)))
    dst_mac = in6_getnsmac(in6_getnsma(inet_pton(socket.AF_INET6, target)))
    if unicast_to:
        group, dst_mac = target, unicast_to
    packet = Ether(src=mac, dst=dst_mac) / ip(src, group, ttl=fields.pop("ttl", 255), fl=0) / ICMPv6ND_NS(tgt=target, **fields)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=mac) if options else packet


def advertise(mac, src, target, to_mac, to, router=1, solicited=1, override=1):
    """A neighbour advertisement (RFC 4861 §4.4)."""
    return (Ether(src=mac, dst=to_mac) / ip(src, to, ttl=255, fl=0)
            / ICMPv6ND_NA(R=router, S=solicited, O=override, tgt=target) / ICMPv6NDOptDstLLAddr(lladdr=mac))


def scene(c, **fields):
    return c.vm("vm1", VM[4], VM[6], **fields)


def answered(c, port, reply):
    c.counted(consumed=1)
    c.expect(port, reply, originated=True)


ELSEWHERE = {"gateways": ["10.1.1.2", "2001:db8:1::2"]}  # the gateway has another address


@case()
def arp_for_the_gateway(c):
    """The gateway's address is answered with the gateway's MAC."""
    vm = scene(c)
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.1"))
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def arp_to_the_gateways_mac(c):
    """A unicast request (a host that confirms its entry) is answered too."""
    vm = scene(c)
    request = who_has(vm.mac, VM[4], "10.1.1.1")
    request.dst = GATEWAY_MAC
    c.send(vm, request)
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def arp_with_another_gateway_mac(c):
    """`gateway_mac` is what a workload hears, in the answer and as the source of its frames."""
    mac = "02:00:00:aa:aa:aa"
    vm, other = scene(c, gateway_mac=mac), c.vm("vm2", VM2[4])
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.1"))
    answered(c, vm, is_at(mac, "10.1.1.1", vm.mac, VM[4]))
    packet = udp(VM2[4], VM[4])
    c.send(other, packet)
    c.expect(vm, Ether(src=mac, dst=vm.mac) / hop(packet))
    c.mutant(put=[changed(vm, gateway_mac=None)])


@case()
def arp_for_a_routed_address(c):
    """An address that the VRF routes is answered as proxy: local or remote, the gateway takes the packets."""
    vm, other = scene(c), c.vm("vm2", VM2[4])
    route = c.route("10.1.1.200/32", c.tunnel(MPLS_UDP, PEER), label=40)
    for target in (VM2[4], "10.1.1.200"):
        c.send(vm, who_has(vm.mac, VM[4], target))
        answered(c, vm, is_at(GATEWAY_MAC, target, vm.mac, VM[4]))
    c.mutant(delete=[route])


@case()
def arp_for_nobody(c):
    """No route, no answer: the address is free."""
    vm = scene(c)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.77"))
    c.dropped("arp_not_ours")
    c.mutant(put=[{"route": {"vrf": 1, "prefix": "10.1.1.77/32", "next_hop": tunnel.id, "label": 40}}])


@case()
def arp_for_a_discarded_address(c):
    """A discard route does not forward, so it is not answered for; the longer route inside it is."""
    vm, other = scene(c), c.vm("vm2", VM2[4])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    blackhole = c.route("10.1.1.0/24", c.next_hop(discard={}))
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.77"))
    c.dropped("arp_not_ours")
    c.send(vm, who_has(vm.mac, VM[4], VM2[4]))
    answered(c, vm, is_at(GATEWAY_MAC, VM2[4], vm.mac, VM[4]))
    c.mutant(put=[changed(blackhole, next_hop=tunnel.id, label=40)])


@case()
def arp_for_ones_own_address(c):
    """A workload that announces its own address (gratuitous ARP) hears nothing, or it would see a duplicate."""
    vm = scene(c)
    c.send(vm, who_has(vm.mac, VM[4], VM[4]))
    c.counted(consumed=1)
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.1"))
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def arp_probe(c):
    """A probe (RFC 5227: sender 0.0.0.0): unanswered for the workload's own address, answered for the gateway's."""
    vm = scene(c)
    c.send(vm, who_has(vm.mac, "0.0.0.0", VM[4]))
    c.dropped("arp_not_ours")
    c.send(vm, who_has(vm.mac, "0.0.0.0", "10.1.1.1"))
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, "0.0.0.0"))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


def bad_arp(c, request):
    vm = scene(c)
    c.send(vm, bytes(request), broken=True)
    c.dropped("invalid_arp")
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.1"))
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


REQUEST = who_has("02:00:00:00:01:02", VM[4], "10.1.1.1")
for title, name, request in (
    ("An ARP request with hardware type 6", "arp_hardware_type", edit(REQUEST, 14, b"\x00\x06")),
    ("An ARP request with protocol type IPv6", "arp_protocol_type", edit(REQUEST, 16, b"\x86\xdd")),
    ("An ARP request with 5-byte hardware addresses", "arp_hardware_length", edit(REQUEST, 18, b"\x05")),
    ("An ARP request with 16-byte protocol addresses", "arp_protocol_length", edit(REQUEST, 19, b"\x10")),
    ("ARP with operation 9", "arp_operation", edit(REQUEST, 20, b"\x00\x09")),
    ("ARP from an address that is not the workload's", "arp_foreign_address", who_has("02:00:00:00:01:02", "10.1.1.99", "10.1.1.1")),
    ("ARP whose sender MAC is not the workload's", "arp_foreign_mac", edit(REQUEST, 22, b"\x02\x00\x00\x00\x99\x99")),
):
    case(name=name, intent=f"{title}: dropped by name; a proper request is answered.", request=request)(bad_arp)


@case()
def arp_cut(c):
    """An ARP request cut in the middle."""
    vm = scene(c)
    c.send(vm, bytes(REQUEST)[:30], broken=True)
    c.dropped("truncated")
    c.send(vm, REQUEST)
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case([21])
def arp_on_the_fabric(c):
    """The node's own address is answered on the fabric with the port's MAC; a neighbour's is not our business."""
    c.send(c.fabric, who_has(PEER.mac, PEER.v4, NODE[4]))
    answered(c, c.fabric, is_at(FABRIC_MAC, NODE[4], PEER.mac, PEER.v4))
    c.send(c.fabric, who_has(PEER.mac, PEER.v4, PEER_B.v4))
    c.dropped("arp_not_ours")
    c.mutant(put=[changed(c.fabric, addresses=["10.1.0.67/24"])])


@case([21])
def padded_arp_on_the_fabric(c):
    """A request padded to the 60 bytes of Ethernet is answered like one without."""
    c.send(c.fabric, bytes(who_has(PEER.mac, PEER.v4, NODE[4])) + bytes(18))
    answered(c, c.fabric, is_at(FABRIC_MAC, NODE[4], PEER.mac, PEER.v4))
    c.mutant(put=[changed(c.fabric, addresses=["10.1.0.67/24"])])


GATEWAY6 = "2001:db8:1::1"


@case()
def nd_for_the_gateway(c):
    """The gateway's IPv6 address: solicited advertisement from a router, to be believed."""
    vm = scene(c)
    c.send(vm, solicit(vm.mac, VM[6], GATEWAY6))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, vm.mac, VM[6]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def nd_unicast_probe(c):
    """A host that confirms its entry (RFC 4861 §7.3.3) solicits by unicast and needs no link-layer option."""
    vm = scene(c)
    c.send(vm, solicit(vm.mac, VM[6], GATEWAY6, unicast_to=GATEWAY_MAC, options=False))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, vm.mac, VM[6]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def nd_for_a_routed_address(c):
    """An address that the VRF routes is answered as proxy: from the gateway, without override (RFC 4861 §7.2.8)."""
    vm, other = scene(c), c.vm("vm2", VM2[6])
    route = c.route("2001:db8:1::200/128", c.tunnel(MPLS_UDP, PEER), label=40)
    for target in (VM2[6], "2001:db8:1::200"):
        c.send(vm, solicit(vm.mac, VM[6], target))
        answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, target, vm.mac, VM[6], override=0))
    c.mutant(delete=[route])


@case()
def nd_for_nobody(c):
    """No route, no answer."""
    vm = scene(c)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.send(vm, solicit(vm.mac, VM[6], "2001:db8:1::77"))
    c.dropped("arp_not_ours")
    c.mutant(put=[{"route": {"vrf": 1, "prefix": "2001:db8:1::77/128", "next_hop": tunnel.id, "label": 40}}])


@case()
def nd_duplicate_address_detection(c):
    """DAD of the workload's own address is not answered, or it could never use it (RFC 4862 §5.4)."""
    vm = scene(c)
    c.send(vm, solicit(vm.mac, "::", VM[6], options=False))
    c.dropped("arp_not_ours")
    c.send(vm, solicit(vm.mac, VM[6], GATEWAY6))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, vm.mac, VM[6]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case()
def nd_duplicate_address_of_the_gateway(c):
    """DAD of the gateway's address is defended, to all nodes and unsolicited (RFC 4861 §7.2.4)."""
    vm = scene(c)
    c.send(vm, solicit(vm.mac, "::", GATEWAY6, options=False))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, "33:33:00:00:00:01", "ff02::1", solicited=0))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


def bad_nd(c, request):
    vm = scene(c)
    c.send(vm, bytes(request), broken=True)
    c.dropped("invalid_nd")
    c.send(vm, solicit(vm.mac, VM[6], GATEWAY6))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, vm.mac, VM[6]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


MAC = "02:00:00:00:01:02"
for title, name, request in (
    ("A solicitation that was routed (hop limit 254)", "nd_hop_limit", solicit(MAC, VM[6], GATEWAY6, ttl=254)),
    ("A solicitation with code 1", "nd_code", solicit(MAC, VM[6], GATEWAY6, code=1)),
    ("A solicitation with a wrong checksum", "nd_checksum", solicit(MAC, VM[6], GATEWAY6, cksum=0x1234)),
    ("A solicitation of a multicast target", "nd_multicast_target",
     Ether(src=MAC, dst="33:33:ff:00:00:01") / ip(VM[6], "ff02::1:ff00:1", ttl=255, fl=0)
     / ICMPv6ND_NS(tgt="ff02::1") / ICMPv6NDOptSrcLLAddr(lladdr=MAC)),
    ("A solicitation with an option of length 0", "nd_option_length", solicit(MAC, VM[6], GATEWAY6, options=False) / ICMPv6NDOptSrcLLAddr(lladdr=MAC, len=0)),
    ("DAD with a source link-layer option", "nd_unspecified_with_option", solicit(MAC, "::", GATEWAY6)),
    ("A solicitation from the unspecified address to a unicast one", "nd_unspecified_to_unicast",
     solicit(MAC, "::", GATEWAY6, unicast_to=GATEWAY_MAC, options=False)),
):
    case(name=name, intent=f"{title} is invalid (RFC 4861 §7.1.1); a proper one is answered.", request=request)(bad_nd)


@case()
def nd_cut(c):
    """A solicitation without its whole target: 16 of 24 bytes (RFC 4861 §7.1.1)."""
    vm = scene(c)
    body = ip(VM[6], "ff02::1:ff00:1", ttl=255, fl=0) / ICMPv6ND_NS(tgt=GATEWAY6)
    short = ip(VM[6], "ff02::1:ff00:1", ttl=255, fl=0, nh=58) / Raw(_icmpv6_cut(body, 16))
    c.send(vm, Ether(src=vm.mac, dst="33:33:ff:00:00:01") / short, broken=True)
    c.dropped("invalid_nd")
    c.send(vm, solicit(vm.mac, VM[6], GATEWAY6))
    answered(c, vm, advertise(GATEWAY_MAC, GATEWAY6, GATEWAY6, vm.mac, VM[6]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


def _icmpv6_cut(packet, length):
    """The first bytes of an ICMPv6 message with a checksum that is right for the shorter message."""
    from scapy.layers.inet6 import in6_chksum

    message = bytearray(bytes(packet[IPv6].payload)[:length])
    message[2:4] = b"\x00\x00"
    message[2:4] = in6_chksum(58, packet[IPv6], bytes(message)).to_bytes(2, "big")
    return bytes(message)


@case([21])
def nd_on_the_fabric(c):
    """The node's own IPv6 address is answered on the fabric with the port's MAC."""
    c.send(c.fabric, solicit(PEER.mac, PEER.v6, NODE[6]))
    answered(c, c.fabric, advertise(FABRIC_MAC, NODE[6], NODE[6], PEER.mac, PEER.v6))
    c.mutant(put=[changed(c.fabric, addresses=["2001:db8:a::43/64"])])


# Resolution: the control thread's part. A tunnel asks for its neighbour when it is made, which is before the case
# begins; what no tunnel stands on is asked for by the first packet.


@case([15, 21], requires=["control"])
def first_packet_waits_for_arp(c):
    """A cold cache: the first packet waits while its tunnel's neighbour is asked for, and leaves when the answer comes."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, neighbour=False)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.send(c.fabric, is_at(PEER.mac, PEER.v4, FABRIC_MAC, NODE[4]))
    c.counted(punted=1)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


@case([15, 21], requires=["control"])
def first_packet_waits_for_nd(c):
    """The same over IPv6, by neighbour solicitation."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, 6, neighbour=False)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.send(c.fabric, advertise(PEER.mac, PEER.v6, PEER.v6, FABRIC_MAC, NODE[6], router=0))
    c.counted(punted=1)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


@case([15, 21], requires=["control"])
def first_packet_asks_on_the_link(c):
    """No tunnel stands on a destination of a connected subnet: its first packet asks for it and waits."""
    vm = c.vm("vm1", VM[4], vrf=0)
    packet = udp(VM[4], PEER.v4)
    c.send(vm, packet)
    c.expect(c.fabric, who_has(FABRIC_MAC, NODE[4], PEER.v4), originated=True)
    c.send(c.fabric, is_at(PEER.mac, PEER.v4, FABRIC_MAC, NODE[4]))
    c.counted(punted=1)
    c.expect(c.fabric, plain_to_peer(hop(packet), PEER))
    c.mutant(put=[{"route": {"vrf": 0, "prefix": f"{PEER.v4}/32"}}])


@case([15, 21], requires=["control"])
def sixteen_packets_wait(c):
    """Sixteen packets may wait for one neighbour; the seventeenth pushes the oldest out."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, neighbour=False)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packets = [udp(VM[4], REMOTE[4], data=payload(32 + i)) for i in range(17)]
    for packet in packets:
        c.send(vm, packet)
    c.dropped("neighbour_queue", vm)
    c.send(c.fabric, is_at(PEER.mac, PEER.v4, FABRIC_MAC, NODE[4]))
    c.counted(punted=1)
    for packet in packets[1:]:
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


@case([21], requires=["control"])
def gateway_changes_its_mac(c):
    """A gratuitous ARP tells the neighbour's new MAC: it is asked there, to be sure, and the next packet goes there."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, neighbour=False)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.send(c.fabric, is_at(PEER.mac, PEER.v4, FABRIC_MAC, NODE[4]))
    c.counted(punted=1)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    mac = "02:00:0a:01:77:c2"
    c.send(c.fabric, Ether(src=mac, dst=BROADCAST) / ARP(op=2, hwsrc=mac, psrc=PEER.v4, hwdst=BROADCAST, pdst=PEER.v4))
    c.counted(punted=1)
    probe = who_has(FABRIC_MAC, NODE[4], PEER.v4)
    probe.dst = mac
    c.expect(c.fabric, probe, originated=True)
    moved = tunnel.to_peer(hop(packet), 40)
    moved.dst = mac
    c.send(vm, packet)
    c.expect(c.fabric, moved)
    c.mutant(put=[changed(route, label=41)])


@case([15, 21], requires=["control"])
def neighbour_does_not_answer(c):
    """Three requests, a second apart (RFC 4861 §10), the first when the tunnel was made, and no answer: the packet that
    waits is dropped by name."""
    vm = c.vm("vm1", VM[4])
    tunnel = c.tunnel(MPLS_UDP, PEER, neighbour=False)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    c.send(vm, udp(VM[4], REMOTE[4]))
    for _ in range(2):
        c.expect(c.fabric, who_has(FABRIC_MAC, NODE[4], PEER.v4), originated=True)
    c.dropped("neighbour_failed")
    c.wait(4)
    c.mutant(delete=[route])
