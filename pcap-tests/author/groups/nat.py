"""Floating IPs: both directions, each protocol, restrictions, port maps, hairpin, a workload calling itself.

The gateway reaches 101.101.101.2 over GRE with label 47, which names the workload; what leaves with the
floating IP goes to the gateway with label 39. Label 100 names the public VRF.
"""

from golden import *

FIP = {4: "101.101.101.2", 6: "2001:db8:f::2"}
FIP_B = {4: "101.101.101.3", 6: "2001:db8:f::3"}


def public(c, *families):
    """The public VRF: a default route to the gateway."""
    tunnel = c.tunnel(MPLS_GRE, GATEWAY)
    for f in families or (4,):
        c.route(ANY[f], tunnel, label=39, vrf=2)
    c.label(100, vrf=2)
    return tunnel


def floating(c, vm, number=1, address=None, f=4, vrf=2, **fields):
    """A floating IP of `vm` and its route in the public VRF."""
    address = address or FIP[f]
    c.route(f"{address}/{HOST[f]}", vm, vrf=vrf)
    return c.put("floating_ip", id=number, address=address, vrf=vrf, interfaces=[vm.id], **fields)


def scene(c, f=4, **fields):
    vm = c.vm("vm1", VM[4], VM[6], policy=True, label=47)
    gateway = public(c, 4, 6)
    return vm, gateway, floating(c, vm, f=f, **fields)


def exchange(protocol, a, b):
    """A first packet from `a` to `b`, and what `b` answers."""
    if protocol == "tcp":
        return tcp(a, b), tcp(b, a, 80, 40000, "SA", 9000, 1001)
    if protocol == "udp":
        return udp(a, b), udp(b, a, 5000, 40000)
    return ping(a, b), pong(b, a)


for f in (4, 6):
    for protocol in ("tcp", "udp", "icmp"):

        @case([1, 5, 10], name=f"inbound_{protocol}_ipv{f}", f=f, protocol=protocol)
        def inbound(c, f, protocol):
            """From outside to the floating IP: the workload sees its own address; the answer leaves as the floating IP."""
            vm, gateway, address = scene(c, f)
            outside, _ = exchange(protocol, OUTSIDE[f], FIP[f])
            seen, answer = exchange(protocol, OUTSIDE[f], VM[f])
            c.send(c.fabric, gateway.to_node(outside, 47))
            c.expect(vm, seen)
            c.send(vm, answer)
            c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[f]), 39))
            c.mutant(delete=[address])

        @case([1, 5, 10], name=f"outbound_{protocol}_ipv{f}", f=f, protocol=protocol)
        def outbound(c, f, protocol):
            """A workload opens a session to the outside as its floating IP; the answer, by the VRF's label, finds it."""
            vm, gateway, address = scene(c, f)
            asked, answer = exchange(protocol, VM[f], OUTSIDE[f])
            answer = hop(rewrite(answer, dst=FIP[f]))
            c.send(vm, asked)
            c.expect(c.fabric, gateway.to_peer(rewrite(hop(asked), src=FIP[f]), 39))
            c.send(c.fabric, gateway.to_node(answer, 100))
            c.expect(vm, rewrite(answer, dst=VM[f]))
            c.mutant(delete=[address])


@case([1])
def inbound_by_the_vrfs_label(c):
    """The label names the public VRF: the route of the floating IP finds the workload, translation follows."""
    vm, gateway, address = scene(c)
    packet = udp(OUTSIDE[4], FIP[4], ttl=60)
    c.send(c.fabric, gateway.to_node(packet, 100))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    c.mutant(delete=[address])


@case([1])
def inbound_without_policy(c):
    """A floating IP is enough for the flow stage; policy need not be on."""
    vm = c.vm("vm1", VM[4], label=47)
    gateway = public(c)
    address = floating(c, vm)
    packet, answer = exchange("udp", OUTSIDE[4], FIP[4])
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    answer = udp(VM[4], OUTSIDE[4], 5000, 40000)
    c.send(vm, answer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[4]), 39))
    c.mutant(delete=[address])


@case()
def second_fixed_address(c):
    """`fixed_address` says which of a workload's addresses the floating IP stands for."""
    vm = c.vm("vm1", VM[4], "10.1.1.13", policy=True, label=47)
    gateway = public(c)
    address = floating(c, vm, fixed_address="10.1.1.13")
    packet = udp(OUTSIDE[4], FIP[4], ttl=60)
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst="10.1.1.13"))
    c.mutant(put=[changed(address, fixed_address=VM[4])])


@case()
def same_private_address_twice(c):
    """Two workloads with one private address in two VRFs, each behind its own floating IP."""
    a = c.vm("vm1", VM[4], policy=True, label=47)
    b = c.vm("vm2", VM[4], vrf=3, policy=True, label=48)
    gateway = public(c)
    floating(c, a)
    second = floating(c, b, 2, FIP_B[4])
    for vm, fip in ((a, FIP[4]), (b, FIP_B[4])):
        packet = udp(OUTSIDE[4], fip, ttl=60)
        c.send(c.fabric, gateway.to_node(packet, 100))
        c.expect(vm, rewrite(packet, dst=VM[4]))
        answer = udp(VM[4], OUTSIDE[4], 5000, 40000)
        c.send(vm, answer)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=fip), 39))
    c.mutant(put=[changed(second, interfaces=[a.id])])


# Which address a new flow leaves with (SEMANTICS 5).


@case([5])
def strictly_longer_match_wins(c):
    """Translation only where the public VRF knows the destination better than the workload's own VRF."""
    vm, gateway, address = scene(c)
    own = c.tunnel(MPLS_UDP, PEER)
    c.route("10.8.0.0/16", own, label=40)
    c.route("10.9.0.0/16", own, label=40)
    c.route("10.8.0.0/16", gateway, label=39, vrf=2)
    c.route("10.9.1.0/24", gateway, label=39, vrf=2)
    equal, longer, shorter = (udp(VM[4], dst) for dst in ("10.8.1.1", "10.9.1.1", "10.9.2.2"))
    c.send(vm, equal)
    c.expect(c.fabric, own.to_peer(hop(equal), 40))
    c.send(vm, longer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(longer), src=FIP[4]), 39))
    c.send(vm, shorter)
    c.expect(c.fabric, own.to_peer(hop(shorter), 40))
    c.mutant(delete=[address])


@case([5])
def discard_is_no_match(c):
    """The workload's VRF only has a discard for the destination: any match of the public VRF counts."""
    vm, gateway, address = scene(c)
    c.route("172.16.0.0/16", c.next_hop(discard={}))
    packet = udp(VM[4], OUTSIDE[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39))
    c.mutant(delete=[address])


@case([5])
def reject_is_no_match(c):
    """The same with reject: nothing is refused, the packet leaves as the floating IP."""
    vm, gateway, address = scene(c)
    c.route("172.16.0.0/16", c.next_hop(reject={}))
    packet = udp(VM[4], OUTSIDE[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39))
    c.mutant(delete=[address])


@case([5])
def of_two_floating_ips(c):
    """Two floating IPs in two public VRFs: the longer match wins; in a tie the lower id."""
    vm = c.vm("vm1", VM[4], policy=True)
    gateway = public(c)
    c.route(ANY[4], gateway, label=38, vrf=3)
    c.route("172.16.0.0/24", gateway, label=38, vrf=3)
    floating(c, vm, 1)
    second = floating(c, vm, 2, FIP_B[4], vrf=3)
    longer, tie = udp(VM[4], OUTSIDE[4]), udp(VM[4], "9.9.9.9")
    c.send(vm, longer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(longer), src=FIP_B[4]), 38))
    c.send(vm, tie)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(tie), src=FIP[4]), 39))
    c.mutant(delete=[second])


# Directions and port maps.


@case([5])
def ingress_only_inbound(c):
    """An ingress-only floating IP: sessions from outside work, answers included."""
    vm, gateway, address = scene(c, direction="NAT_INGRESS")
    packet, answer = udp(OUTSIDE[4], FIP[4], ttl=60), udp(VM[4], OUTSIDE[4], 5000, 40000)
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    c.send(vm, answer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[4]), 39))
    c.mutant(put=[changed(address, direction="NAT_EGRESS")])


@case([5])
def ingress_only_outbound(c):
    """An ingress-only floating IP does not lend itself to new sessions: the workload has no way out."""
    vm, gateway, address = scene(c, direction="NAT_INGRESS")
    c.send(vm, udp(VM[4], OUTSIDE[4]))
    c.dropped("no_route")
    c.mutant(put=[changed(address, direction="BOTH")])


@case([5])
def egress_only_outbound(c):
    """An egress-only floating IP: the workload's sessions work, answers included."""
    vm, gateway, address = scene(c, direction="NAT_EGRESS")
    packet, answer = udp(VM[4], OUTSIDE[4]), udp(OUTSIDE[4], FIP[4], 5000, 40000, ttl=60)
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39))
    c.send(c.fabric, gateway.to_node(answer, 47))
    c.expect(vm, rewrite(answer, dst=VM[4]))
    c.mutant(put=[changed(address, direction="NAT_INGRESS")])


@case([5])
def egress_only_inbound(c):
    """An egress-only floating IP refuses sessions from outside, by name."""
    vm, gateway, address = scene(c, direction="NAT_EGRESS")
    c.send(c.fabric, gateway.to_node(udp(OUTSIDE[4], FIP[4], ttl=60), 47))
    c.dropped("nat_direction")
    c.mutant(put=[changed(address, direction="BOTH")])


for f in (4, 6):

    @case(name=f"port_map_ipv{f}", f=f)
    def port_map(c, f):
        """Port 8888 of the floating IP is port 80 of the workload; the answer comes from 8888."""
        vm, gateway, address = scene(c, f, port_maps=[{"protocol": 6, "port": 8888, "to_port": 80}])
        syn = tcp(OUTSIDE[f], FIP[f], dport=8888, ttl=60)
        c.send(c.fabric, gateway.to_node(syn, 47))
        c.expect(vm, rewrite(syn, dst=VM[f], dport=80))
        answer = tcp(VM[f], OUTSIDE[f], 80, 40000, "SA", 9000, 1001)
        c.send(vm, answer)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[f], sport=8888), 39))
        c.mutant(put=[changed(address, port_maps=[{"protocol": 6, "port": 8888, "to_port": 81}])])


@case([1])
def one_port_by_two_addresses(c):
    """A client calls two floating IPs of one workload from one port: the second session would have the first one's replies
    and is refused by name; from another port it is a session like any other."""
    vm, gateway, _ = scene(c)
    second = floating(c, vm, number=2, address=FIP_B[4])
    packet = udp(OUTSIDE[4], FIP[4], ttl=60)
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    c.send(c.fabric, gateway.to_node(rewrite(packet, dst=FIP_B[4]), 47))
    c.dropped("flow_collision")
    packet = rewrite(packet, dst=FIP_B[4], sport=40001)
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    c.mutant(delete=[second])


@case()
def port_map_range(c):
    """Ports 8000 to 8009 are 9000 to 9009 of the workload; 7999 and 8010 are nothing; the answer comes from 8009."""
    media = [{"protocol": 17, "port": 8000, "last": 8009, "to_port": 9000, "name": "media"}]
    vm, gateway, address = scene(c, port_maps=media)
    for port in (8000, 8009):
        packet = udp(OUTSIDE[4], FIP[4], dport=port, ttl=60)
        c.send(c.fabric, gateway.to_node(packet, 47))
        c.expect(vm, rewrite(packet, dst=VM[4], dport=port + 1000))
    answer = udp(VM[4], OUTSIDE[4], 9009, 40000)
    c.send(vm, answer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[4], sport=8009), 39))
    for port in (7999, 8010):
        c.send(c.fabric, gateway.to_node(udp(OUTSIDE[4], FIP[4], dport=port, ttl=60), 47))
        c.dropped("nat_port")
    c.mutant(put=[changed(address, port_maps=[{**media[0], "to_port": 9001}])])


@case()
def port_maps_to_one_port(c):
    """Two ports of a service lead to one port of the workload: each answer comes from the port that was asked."""
    maps = [{"protocol": 6, "port": port, "to_port": 80} for port in (80, 8888)]
    vm, gateway, address = scene(c, direction="NAT_INGRESS", port_maps=maps)
    for sport, port in ((40000, 80), (40001, 8888)):
        syn = tcp(OUTSIDE[4], FIP[4], sport, port, ttl=60)
        c.send(c.fabric, gateway.to_node(syn, 47))
        c.expect(vm, rewrite(syn, dst=VM[4], dport=80))
        answer = tcp(VM[4], OUTSIDE[4], 80, sport, "SA", 9000, 1001)
        c.send(vm, answer)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[4], sport=port), 39))
    c.mutant(put=[changed(address, port_maps=[maps[0], {**maps[1], "to_port": 81}])])


@case()
def port_map_tells_a_workload(c):
    """A workload that asks a service for a port that it does not map is told at once: port unreachable."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    address = service(c, b)
    c.route(f"{SERVICE}/32", c.next_hop(ecmp={"members": [{"next_hop": b.next_hop, "weight": 1}]}))
    asked = tcp(VM[4], SERVICE, dport=81)
    c.send(a, asked)
    c.dropped("nat_port")
    c.expect(a, icmp_error(a.gateway(4), asked, "unreachable", 3), originated=True)
    c.mutant(put=[changed(address, port_maps=[{"protocol": 6, "port": 81, "to_port": 80}])])


@case()
def port_map_refuses_others(c):
    """A floating IP with port maps is nothing but those: another port, another protocol, a ping are refused."""
    vm, gateway, address = scene(c, port_maps=[{"protocol": 6, "port": 8888, "to_port": 80}])
    for packet in (tcp(OUTSIDE[4], FIP[4], dport=80, ttl=60), udp(OUTSIDE[4], FIP[4], dport=8888, ttl=60), ping(OUTSIDE[4], FIP[4], ttl=60)):
        c.send(c.fabric, gateway.to_node(packet, 47))
        c.dropped("nat_port")
    c.mutant(put=[changed(address, port_maps=None)])


@case([4])
def rules_see_the_workloads_port(c):
    """B's ingress rule sees the port behind the map (80), not the one in front of it (8888)."""
    group = c.security_group(7, {"direction": "INGRESS", "protocol": 6, "ports": {"first": 80, "last": 80}, "prefix": f"{OUTSIDE[4]}/32"})
    vm = c.vm("vm1", VM[4], groups=[7], label=47)
    gateway = public(c)
    floating(c, vm, port_maps=[{"protocol": 6, "port": p, "to_port": q} for p, q in ((8888, 80), (80, 8080))])
    allowed, denied = tcp(OUTSIDE[4], FIP[4], dport=8888, ttl=60), tcp(OUTSIDE[4], FIP[4], 40001, dport=80, ttl=60)
    c.send(c.fabric, gateway.to_node(allowed, 47))
    c.expect(vm, rewrite(allowed, dst=VM[4], dport=80))
    c.send(c.fabric, gateway.to_node(denied, 47))
    c.dropped("security_group")
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS", "protocol": 6, "ports": {"first": 8888, "last": 8888}}])])


@case([4])
def rules_see_the_remote_end(c):
    """A's egress rule towards the outside sees the outside's address and its own private one."""
    group = c.security_group(7, {"direction": "EGRESS", "protocol": 17, "prefix": f"{OUTSIDE[4]}/32"})
    vm = c.vm("vm1", VM[4], groups=[7], label=47)
    gateway = public(c)
    floating(c, vm)
    allowed, denied = udp(VM[4], OUTSIDE[4]), udp(VM[4], "172.16.0.101")
    c.send(vm, allowed)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(allowed), src=FIP[4]), 39))
    c.send(vm, denied)
    c.dropped("security_group")
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])


# Two ends on one node (SEMANTICS 6).


def pair(c, f=4, own=True):
    a, b = c.vm("vm1", VM[4], VM[6], policy=True), c.vm("vm2", VM2[4], VM2[6], policy=True)
    public(c, 4, 6)
    if own:
        floating(c, a, 1, f=f)
    return a, b, floating(c, b, 2, FIP_B[f], f)


for f in (4, 6):

    @case([5, 6, 10], name=f"hairpin_ipv{f}", f=f)
    def hairpin(c, f):
        """A calls B's floating IP on the same node: A appears as its own floating IP; one hop; and back."""
        a, b, address = pair(c, f)
        asked, answer = tcp(VM[f], FIP_B[f]), tcp(VM2[f], FIP[f], 80, 40000, "SA", 9000, 1001)
        c.send(a, asked)
        c.expect(b, rewrite(hop(asked), src=FIP[f], dst=VM2[f]))
        c.send(b, answer)
        c.expect(a, rewrite(hop(answer), src=FIP_B[f], dst=VM[f]))
        c.mutant(delete=[address])


@case([4, 6])
def hairpin_rules(c):
    """A's egress rule sees B's floating IP; B's ingress rule sees A's floating IP and its own private port."""
    c.security_group(7, {"direction": "EGRESS", "protocol": 6, "ports": {"first": 8888, "last": 8889}, "prefix": f"{FIP_B[4]}/32"})
    group = c.security_group(8, {"direction": "INGRESS", "protocol": 6, "ports": {"first": 80, "last": 80}, "prefix": f"{FIP[4]}/32"})
    a, b = c.vm("vm1", VM[4], groups=[7]), c.vm("vm2", VM2[4], groups=[8])
    public(c)
    floating(c, a, 1)
    floating(c, b, 2, FIP_B[4], port_maps=[{"protocol": 6, "port": p, "to_port": q} for p, q in ((8888, 80), (8889, 81))])
    syn, other = tcp(VM[4], FIP_B[4], dport=8888), tcp(VM[4], FIP_B[4], 40001, 8889)
    c.send(a, syn)
    c.expect(b, rewrite(hop(syn), src=FIP[4], dst=VM2[4], dport=80))
    c.send(a, other)
    c.dropped("security_group")
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS", "protocol": 6, "prefix": f"{VM[4]}/32"}])])


@case([5, 6])
def hairpin_without_an_own_floating_ip(c):
    """A has no floating IP; a route leads to the public VRF: only B's side is translated."""
    a, b, address = pair(c, own=False)
    c.route("101.101.101.0/24", c.next_hop(vrf={"vrf": 2}))
    c.route(f"{VM[4]}/32", a, vrf=2)
    asked, answer = tcp(VM[4], FIP_B[4]), tcp(VM2[4], VM[4], 80, 40000, "SA", 9000, 1001)
    c.send(a, asked)
    c.expect(b, rewrite(hop(asked), dst=VM2[4]))
    c.send(b, answer)
    c.expect(a, rewrite(hop(answer), src=FIP_B[4]))
    c.mutant(delete=[address])


SERVICE = "10.96.21.23"


def service(c, *vms, number=9, port=80, to_port=80):
    return c.put("floating_ip", id=number, address=SERVICE, vrf=1, interfaces=[vm.id for vm in vms],
                 port_maps=[{"protocol": 6, "port": port, "to_port": to_port}])


@case([5, 6, 7])
def service_on_the_same_node(c):
    """A calls a cluster address whose only backend is B, here: the destination is translated, A's address is not."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    address = service(c, b, to_port=8080)
    c.route(f"{SERVICE}/32", c.next_hop(ecmp={"members": [{"next_hop": b.next_hop, "weight": 1}]}))
    asked, answer = tcp(VM[4], SERVICE), tcp(VM2[4], VM[4], 8080, 40000, "SA", 9000, 1001)
    c.send(a, asked)
    c.expect(b, rewrite(hop(asked), dst=VM2[4], dport=8080))
    c.send(b, answer)
    c.expect(a, rewrite(hop(answer), src=SERVICE, sport=80))
    c.mutant(put=[changed(address, port_maps=[{"protocol": 6, "port": 80, "to_port": 81}])])


@case([6, 7])
def service_that_is_oneself(c):
    """A pod calls the service that it is the backend of: it appears as the service to itself, and back."""
    vm, _ = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4])
    address = service(c, vm, to_port=8080)
    c.route(f"{SERVICE}/32", c.next_hop(ecmp={"members": [{"next_hop": vm.next_hop, "weight": 1}]}))
    asked, answer = tcp(VM[4], SERVICE), tcp(VM[4], SERVICE, 8080, 40000, "SA", 9000, 1001)
    c.send(vm, asked)
    c.expect(vm, rewrite(hop(asked), src=SERVICE, dst=VM[4], dport=8080))
    c.send(vm, answer)
    c.expect(vm, rewrite(hop(answer), src=SERVICE, dst=VM[4], sport=80))
    c.mutant(put=[changed(address, port_maps=[{"protocol": 6, "port": 80, "to_port": 81}])])


# Checksums (SEMANTICS 13).


@case([13])
def udp_without_checksum(c):
    """UDP checksum 0 over IPv4 means none, and stays 0."""
    vm, gateway, address = scene(c)
    packet = udp(VM[4], OUTSIDE[4])
    packet[UDP].chksum = 0
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39))
    c.mutant(delete=[address])


for f in (4, 6):

    @case([13], name=f"udp_checksum_that_becomes_zero_ipv{f}", f=f)
    def udp_checksum_that_becomes_zero(c, f):
        """A UDP checksum that comes out as 0 is sent as 0xffff (RFC 768), or it would mean "none"."""
        vm, gateway, address = scene(c, f)
        without = UDP(bytes(udp(FIP[f], OUTSIDE[f], data=Raw(b"\0\0"))[UDP])).chksum
        packet = udp(VM[f], OUTSIDE[f], data=Raw(without.to_bytes(2, "big")))  # what lacks to a sum of all ones
        out = rewrite(hop(packet), src=FIP[f])
        assert UDP(bytes(out[UDP])).chksum == 0xFFFF
        c.send(vm, packet)
        c.expect(c.fabric, gateway.to_peer(out, 39))
        c.mutant(delete=[address])


def add(a, b):
    """One's complement sum of two 16-bit words."""
    total = a + b
    return (total & 0xFFFF) + (total >> 16)


@case([13])
def wrong_checksum_stays_wrong(c):
    """A wrong TCP or UDP checksum is changed by the translation only: exactly as wrong as before."""
    vm, gateway, address = scene(c)
    for packet, kind in ((tcp(VM[4], OUTSIDE[4]), TCP), (udp(VM[4], OUTSIDE[4]), UDP)):
        out = rewrite(hop(packet), src=FIP[4])
        right_before, right_after = (kind(bytes(p[kind])).chksum for p in (packet, out))
        packet[kind].chksum = add(right_before, 0x0101)
        out[kind].chksum = add(right_after, 0x0101)
        c.send(vm, packet, broken=True)
        c.expect(c.fabric, gateway.to_peer(out, 39), bad_checksum=True)
    c.mutant(delete=[address])


# Changes while a session runs.


@case([17])
def translation_survives_a_policy_change(c):
    """A rule changes under a running session: it is decided again, and its translation holds."""
    group = c.security_group(7, {"direction": "INGRESS"}, {"direction": "EGRESS"})
    vm = c.vm("vm1", VM[4], groups=[7], label=47)
    gateway = public(c)
    address = floating(c, vm)
    packet, answer = udp(VM[4], OUTSIDE[4]), udp(OUTSIDE[4], FIP[4], 5000, 40000, ttl=60)
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39), entropy="a")
    c.change(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS", "protocol": 17}])])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39), entropy="a")
    c.send(c.fabric, gateway.to_node(answer, 47))
    c.expect(vm, rewrite(answer, dst=VM[4]))
    c.mutant(delete=[address])


# Other transports and paths.

for f in (4, 6):

    @case([13], name=f"sctp_ipv{f}", f=f)
    def sctp_inbound(c, f):
        """SCTP to a floating IP: its checksum knows no addresses, so it stays."""
        vm, gateway, address = scene(c, f)
        packet, answer = sctp(OUTSIDE[f], FIP[f], ttl=60), sctp(VM[f], OUTSIDE[f], 80, 40000)
        c.send(c.fabric, gateway.to_node(packet, 47))
        c.expect(vm, rewrite(packet, dst=VM[f]))
        c.send(vm, answer)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[f]), 39))
        c.mutant(delete=[address])

    @case([13], name=f"sctp_port_map_ipv{f}", f=f)
    def sctp_port_map(c, f):
        """A mapped SCTP port changes the CRC-32c, in both directions."""
        vm, gateway, address = scene(c, f, port_maps=[{"protocol": 132, "port": 8888, "to_port": 80}])
        packet, answer = sctp(OUTSIDE[f], FIP[f], dport=8888, ttl=60), sctp(VM[f], OUTSIDE[f], 80, 40000)
        c.send(c.fabric, gateway.to_node(packet, 47))
        c.expect(vm, rewrite(packet, dst=VM[f], dport=80))
        c.send(vm, answer)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[f], sport=8888), 39))
        c.mutant(put=[changed(address, port_maps=[{"protocol": 132, "port": 8888, "to_port": 81}])])


@case()
def protocol_without_ports(c):
    """OSPF (89) through a floating IP: addresses are translated, nothing else."""
    vm, gateway, address = scene(c)
    packet, answer = ip(OUTSIDE[4], FIP[4], ttl=60, proto=89) / payload(), ip(VM[4], OUTSIDE[4], proto=89) / payload()
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, rewrite(packet, dst=VM[4]))
    c.send(vm, answer)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(answer), src=FIP[4]), 39))
    c.mutant(delete=[address])


for kind, outer_family in ((MPLS_UDP, 6), (VXLAN_L3, 4), (VXLAN_L3, 6)):

    @case([5], name=f"over_{SHORT[kind]}_ipv{outer_family}", kind=kind, outer=outer_family)
    def over(c, kind, outer):
        """A floating IP works with every way to the gateway."""
        vm = c.vm("vm1", VM[4], policy=True)
        gateway = c.tunnel(kind, GATEWAY, outer)
        c.route(ANY[4], gateway, label=39, vrf=2)
        c.vni(100, vrf=2) if kind == VXLAN_L3 else c.label(100, vrf=2)
        address = floating(c, vm)
        packet, answer = tcp(VM[4], OUTSIDE[4]), tcp(OUTSIDE[4], FIP[4], 80, 40000, "SA", 9000, 1001, ttl=60)
        c.send(vm, packet)
        c.expect(c.fabric, gateway.to_peer(rewrite(hop(packet), src=FIP[4]), 39))
        c.send(c.fabric, gateway.to_node(answer, 100))
        c.expect(vm, rewrite(answer, dst=VM[4]))
        c.mutant(delete=[address])


@case([10])
def expiry_is_quoted_as_sent(c):
    """A translated packet that expires here is quoted as its sender sent it."""
    vm, gateway, address = scene(c)
    packet, enough = udp(VM[4], OUTSIDE[4], ttl=1), udp(VM[4], OUTSIDE[4], ttl=2)
    c.send(vm, packet)
    c.dropped("ttl_exceeded")
    c.expect(vm, icmp_error(vm.gateway(4), packet, "time-exceeded"), originated=True)
    c.send(vm, enough)
    c.expect(c.fabric, gateway.to_peer(rewrite(hop(enough), src=FIP[4]), 39))
    c.mutant(delete=[address])
