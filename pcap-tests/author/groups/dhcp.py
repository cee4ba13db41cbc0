"""DHCPv4: the vRouter leases the interface's own address, before any policy; what it does not serve it lets pass."""

import socket

from scapy.layers.dhcp import BOOTP
from scapy.layers.dns import DNS, DNSQR

from golden import *

SERVICE, GATEWAY4 = "10.1.1.2", "10.1.1.1"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
SUBNET = {"prefix": "10.1.1.0/24", "gateway": GATEWAY4, "service": SERVICE}
SERVICES = {"host_name": "web", "domain": "red.example.com", "lease_seconds": 7200, "subnets": [SUBNET]}


def option(code, *values):
    """An option: addresses as text, numbers as (value, bytes), text as bytes."""
    data = b"".join(
        socket.inet_aton(v) if isinstance(v, str) else v[0].to_bytes(v[1], "big") if isinstance(v, tuple) else v
        for v in values
    )
    return bytes([code, len(data)]) + data


def message(op, mac, *options, **fields):
    """A DHCP message with options as bytes, padded to the 300 bytes of BOOTP."""
    fixed = BOOTP(op=op, chaddr=bytes.fromhex(mac.replace(":", "")), xid=0x2A, options=b"\x63\x82\x53\x63", **fields)
    return (bytes(fixed) + b"".join(options) + b"\xff").ljust(300, b"\0")


def asks(vm, *options, src="0.0.0.0", dst="255.255.255.255", **fields):
    """What the workload says: to everybody, or to the one that leased to it."""
    body = Raw(message(1, vm.mac, *options, **fields))
    mac = EVERYBODY if dst == "255.255.255.255" else GATEWAY_MAC
    return Ether(src=vm.mac, dst=mac) / udp(src, dst, sport=68, dport=67, data=body)


def tells(vm, *options, to=VM[4], mac=None, **fields):
    """What the vRouter answers: from the service address, never fragmented."""
    body = Raw(message(2, vm.mac, *options, **fields))
    return Ether(src=GATEWAY_MAC, dst=mac or vm.mac) / udp(SERVICE, to, sport=67, dport=68, data=body, id=0)


def kind(number):
    return option(53, (number, 1))


def lease(number, *options):
    """The options of an offer or acknowledgement that nobody has to ask for, and others, in order of their codes."""
    always = (
        option(1, "255.255.255.0"), option(26, (1400, 2)), option(51, (7200, 4)), kind(number), option(54, SERVICE),
        option(58, (3600, 4)), option(59, (6300, 4)),
    )
    return sorted(always + options)


def scene(c, **fields):
    return c.vm("vm1", VM[4], **{"mtu": 1400, "services": SERVICES, **fields})


def served(c, vm, request, answer):
    c.send(vm, request)
    c.counted(punted=1)
    c.expect(vm, answer, originated=True)


ELSEWHERE = {"services": {**SERVICES, "lease_seconds": 3600}}


@case([31], requires=["control"])
def discover(c):
    """An offer of the interface's address with what the client wants to know, and the MTU."""
    vm = scene(c)
    wants = option(55, bytes([1, 3, 6, 12, 15]))
    told = option(3, GATEWAY4), option(6, SERVICE), option(12, b"web"), option(15, b"red.example.com")
    served(c, vm, asks(vm, kind(DISCOVER), wants), tells(vm, *lease(OFFER, *told), yiaddr=VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case([31], requires=["control"])
def discover_by_broadcast(c):
    """A client that cannot take unicast yet says so in its flags, and hears the offer as everybody does."""
    vm = scene(c)
    wants = option(55, bytes([1]))
    answer = tells(vm, *lease(OFFER), to="255.255.255.255", mac=EVERYBODY, yiaddr=VM[4], flags=0x8000)
    served(c, vm, asks(vm, kind(DISCOVER), wants, flags=0x8000), answer)
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case([31], requires=["control"])
def request_and_renew(c):
    """The offered address is leased; its holder renews it with the server, and is answered where it is."""
    vm = scene(c)
    wants = option(55, bytes([121]))
    routes = option(121, b"\x0c\xac\x10", "10.1.1.9", b"\0", GATEWAY4)
    vm.put["interface"]["services"] = {**SERVICES, "subnets": [{**SUBNET, "routes": [{"prefix": "172.16.0.0/12", "via": "10.1.1.9"}]}]}
    request = asks(vm, option(50, VM[4]), kind(REQUEST), option(54, SERVICE), wants)
    served(c, vm, request, tells(vm, *lease(ACK, routes), yiaddr=VM[4]))
    renewal = asks(vm, kind(REQUEST), wants, src=VM[4], dst=SERVICE, ciaddr=VM[4])
    served(c, vm, renewal, tells(vm, *lease(ACK, routes), yiaddr=VM[4], ciaddr=VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


@case([31], requires=["control"])
def request_for_another_address(c):
    """Whoever wants another address than its own is told no, as everybody is."""
    vm = scene(c)
    request = asks(vm, option(50, "10.1.1.77"), kind(REQUEST))
    served(c, vm, request, tells(vm, kind(NAK), option(54, SERVICE), to="255.255.255.255", mac=EVERYBODY, flags=0x8000))
    c.mutant(put=[changed(vm, addresses=["10.1.1.77"])])


@case([4, 31], requires=["control"])
def before_policy(c):
    """Where rules allow nothing, an address is leased all the same; a name is not resolved."""
    c.security_group(7)
    vm = scene(c, groups=[7])
    served(c, vm, asks(vm, kind(DISCOVER), option(55, b"\x01")), tells(vm, *lease(OFFER), yiaddr=VM[4]))
    c.send(vm, udp(VM[4], SERVICE, dport=53, data=DNS(rd=1, qd=DNSQR(qname="red.example.com"))))
    c.dropped("security_group")
    c.mutant(put=[changed(vm, **ELSEWHERE)])


def ignored(c, request, broken=False):
    vm = scene(c)
    c.send(vm, request(vm), broken=broken)
    c.counted(punted=1)
    served(c, vm, asks(vm, kind(DISCOVER), option(55, b"\x01")), tells(vm, *lease(OFFER), yiaddr=VM[4]))
    c.mutant(put=[changed(vm, **ELSEWHERE)])


def cut(vm):
    """Its last option announces more than there is."""
    body = message(1, vm.mac, kind(DISCOVER), b"\x32\xff\x0a")
    return Ether(src=vm.mac, dst=EVERYBODY) / udp("0.0.0.0", "255.255.255.255", sport=68, dport=67, data=Raw(body[:250]))


for title, name, request in (
    ("A request for another server's offer", "for_another_server",
     lambda vm: asks(vm, option(50, VM[4]), kind(REQUEST), option(54, "10.1.1.250"))),
    ("A request that a relay passed on", "relayed", lambda vm: asks(vm, kind(DISCOVER), giaddr="10.1.1.9")),
    ("A request of other hardware", "foreign_hardware", lambda vm: asks(vm, kind(DISCOVER), hlen=16)),
    ("A request with an option that is cut off", "cut_option", cut),
    ("What only a server says", "from_a_server", lambda vm: asks(vm, kind(OFFER))),
):
    case([31], requires=["control"], name=name, request=request, broken=request is cut,
         intent=f"{title} is not answered; a proper one is, after it.")(ignored)


@case([31], requires=["control"])
def nothing_configured(c):
    """Without services the request goes to who listens for it, and nobody answers; a neighbour with services is."""
    vm = c.vm("vm2", VM2[4])
    other = scene(c)
    c.send(vm, asks(vm, kind(DISCOVER)))
    c.counted(punted=1)
    served(c, other, asks(other, kind(DISCOVER), option(55, b"\x01")), tells(other, *lease(OFFER), yiaddr=VM[4]))
    c.mutant(put=[changed(other, **ELSEWHERE)])


@case([31])
def to_a_server_elsewhere(c):
    """A workload that has an address may ask another server than the vRouter: a packet like any other."""
    vm = scene(c)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = asks(vm, kind(REQUEST), src=VM[4], dst=REMOTE[4], ciaddr=VM[4])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet[IP]), 40))
    c.mutant(put=[changed(vm, gateways=[REMOTE[4]])])


@case([4, 31])
def names_are_asked_under_policy(c):
    """The service address answers ping like the gateway; what is asked there obeys the rules."""
    c.security_group(7, {"direction": "EGRESS", "protocol": 1})
    vm = scene(c, groups=[7])
    c.send(vm, ping(VM[4], SERVICE))
    c.counted(consumed=1)
    c.expect(vm, pong(SERVICE, VM[4], id=0), originated=True)
    c.send(vm, udp(VM[4], SERVICE, dport=53, data=DNS(rd=1, qd=DNSQR(qname="red.example.com"))))
    c.dropped("security_group")
    c.mutant(put=[changed(vm, services=None)])
