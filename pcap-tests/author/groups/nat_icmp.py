"""ICMP errors about translated sessions: the outer header, the quoted header and the quoted ports follow the
translation, in every checksum (SEMANTICS 13)."""

from golden import *

from .nat import FIP, FIP_B, pair, scene

ROUTER = {4: "172.16.9.9", 6: "2001:db8:9::9"}


def error(src, dst, what, quoted, ttl=58, mtu=0):
    """An ICMP(v6) error from a router or host that is not ours. `what`: time-exceeded, unreachable (port), too-big."""
    if family(src) == 4:
        kind, code = {"time-exceeded": (11, 0), "unreachable": (3, 3), "too-big": (3, 4)}[what]
        message = ICMP(type=kind, code=code)
        if mtu:
            message.nexthopmtu = mtu
    else:
        message = {"time-exceeded": ICMPv6TimeExceeded, "unreachable": ICMPv6DestUnreach, "too-big": ICMPv6PacketTooBig}[what]()
        if what == "unreachable":
            message.code = 4
        if mtu:
            message.mtu = mtu
    return ip(src, dst, ttl=ttl) / message / Raw(quoted)


for f in (4, 6):
    for what, mtu in (("time-exceeded", 0), ("unreachable", 0), ("too-big", 1300)):

        @case([13], name=f"{what.replace('-', '_')}_from_outside_ipv{f}", f=f, what=what, mtu=mtu)
        def from_outside(c, f, what, mtu):
            """A router outside complains about a session that the workload opened: the workload reads its own address."""
            vm, gateway, address = scene(c, f)
            packet = udp(VM[f], OUTSIDE[f])
            left = rewrite(hop(packet), src=FIP[f])
            c.send(vm, packet)
            c.expect(c.fabric, gateway.to_peer(left, 39))
            c.send(c.fabric, gateway.to_node(error(ROUTER[f], FIP[f], what, bytes(hop(left, 3)), mtu=mtu), 47))
            c.expect(vm, error(ROUTER[f], VM[f], what, bytes(hop(packet, 4)), mtu=mtu))
            c.mutant(delete=[address])

    @case([13], name=f"from_the_workload_ipv{f}", f=f)
    def from_the_workload(c, f):
        """The workload complains about a packet to its floating IP: outside reads the floating IP, in both headers."""
        vm, gateway, address = scene(c, f)
        packet = udp(OUTSIDE[f], FIP[f], ttl=60)
        c.send(c.fabric, gateway.to_node(packet, 47))
        c.expect(vm, rewrite(packet, dst=VM[f]))
        c.send(vm, error(VM[f], OUTSIDE[f], "unreachable", bytes(rewrite(packet, dst=VM[f])), ttl=64))
        c.expect(c.fabric, gateway.to_peer(error(FIP[f], OUTSIDE[f], "unreachable", bytes(packet), ttl=63), 39))
        c.mutant(delete=[address])

    @case([6, 13], name=f"hairpin_ipv{f}", f=f)
    def hairpin(c, f):
        """Both ends are translated: B complains to A's floating IP; A reads B's floating IP and its own address."""
        a, b, address = pair(c, f)
        packet = udp(VM[f], FIP_B[f])
        seen = rewrite(hop(packet), src=FIP[f], dst=VM2[f])
        c.send(a, packet)
        c.expect(b, seen)
        c.send(b, error(VM2[f], FIP[f], "unreachable", bytes(seen), ttl=64))
        c.expect(a, error(FIP_B[f], VM[f], "unreachable", bytes(hop(packet)), ttl=63))
        c.mutant(delete=[address])


@case([13])
def quoting_only_eight_bytes(c):
    """The least that RFC 792 quotes: 8 bytes behind the header; of TCP that is without its checksum."""
    vm, gateway, address = scene(c)
    packet = tcp(VM[4], OUTSIDE[4])
    left = rewrite(hop(packet), src=FIP[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(left, 39))
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "time-exceeded", bytes(hop(left, 3))[:28]), 47))
    c.expect(vm, error(ROUTER[4], VM[4], "time-exceeded", bytes(hop(packet, 4))[:28]))
    c.mutant(delete=[address])


@case([13])
def quoting_an_echo(c):
    """An error about a translated ping: the quoted identifier finds the session."""
    vm, gateway, address = scene(c)
    packet = ping(VM[4], OUTSIDE[4])
    left = rewrite(hop(packet), src=FIP[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(left, 39))
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "time-exceeded", bytes(hop(left, 3))), 47))
    c.expect(vm, error(ROUTER[4], VM[4], "time-exceeded", bytes(hop(packet, 4))))
    c.mutant(delete=[address])


@case([13])
def quoting_a_mapped_port(c):
    """The workload complains about a packet that came through a port map: outside reads the port it used."""
    vm, gateway, address = scene(c, port_maps=[{"protocol": 17, "port": 8888, "to_port": 5001}])
    packet = udp(OUTSIDE[4], FIP[4], dport=8888, ttl=60)
    seen = rewrite(packet, dst=VM[4], dport=5001)
    c.send(c.fabric, gateway.to_node(packet, 47))
    c.expect(vm, seen)
    c.send(vm, error(VM[4], OUTSIDE[4], "unreachable", bytes(seen), ttl=64))
    c.expect(c.fabric, gateway.to_peer(error(FIP[4], OUTSIDE[4], "unreachable", bytes(packet), ttl=63), 39))
    c.mutant(delete=[address])


@case([13])
def quoting_udp_without_checksum(c):
    """A quoted UDP checksum of 0 means none, and stays 0."""
    vm, gateway, address = scene(c)
    packet = udp(VM[4], OUTSIDE[4])
    packet[UDP].chksum = 0
    left = rewrite(hop(packet), src=FIP[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(left, 39))
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "time-exceeded", bytes(hop(left, 3))), 47))
    c.expect(vm, error(ROUTER[4], VM[4], "time-exceeded", bytes(hop(packet, 4))))
    c.mutant(delete=[address])


@case()
def about_no_session(c):
    """An error that quotes a session nobody has is dropped by name; one that quotes a real one passes."""
    vm, gateway, address = scene(c)
    never = udp(FIP[4], OUTSIDE[4], 30001, 30002, ttl=60)
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "time-exceeded", bytes(never)), 47))
    c.dropped("icmp_error_no_flow")
    packet = udp(VM[4], OUTSIDE[4])
    left = rewrite(hop(packet), src=FIP[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(left, 39))
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "time-exceeded", bytes(hop(left, 3))), 47))
    c.expect(vm, error(ROUTER[4], VM[4], "time-exceeded", bytes(hop(packet, 4))))
    c.mutant(delete=[address])


@case()
def needs_no_rule(c):
    """An error belongs to the session that it quotes: no rule for ICMP is needed, untranslated sessions included."""
    group = c.security_group(7, {"direction": "EGRESS", "protocol": 17})
    vm = c.vm("vm1", VM[4], VM[6], groups=[7], label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    for f in (4, 6):
        c.route(REMOTE_NET[f], tunnel, label=40)
        packet = udp(VM[f], REMOTE[f])
        c.send(vm, packet)
        c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
        answer = error(REMOTE[f], VM[f], "unreachable", bytes(hop(packet)), ttl=63)
        c.send(c.fabric, tunnel.to_node(answer, 25))
        c.expect(vm, answer)
    c.mutant(put=[changed(group, rules=[])])


@case([1, 13])
def by_the_vrfs_label(c):
    """The error comes with the label of the public VRF instead of the workload's: the same session is found."""
    vm, gateway, address = scene(c)
    packet = udp(VM[4], OUTSIDE[4])
    left = rewrite(hop(packet), src=FIP[4])
    c.send(vm, packet)
    c.expect(c.fabric, gateway.to_peer(left, 39))
    c.send(c.fabric, gateway.to_node(error(ROUTER[4], FIP[4], "too-big", bytes(hop(left, 3)), mtu=1300), 100))
    c.expect(vm, error(ROUTER[4], VM[4], "too-big", bytes(hop(packet, 4)), mtu=1300))
    c.mutant(delete=[address])
