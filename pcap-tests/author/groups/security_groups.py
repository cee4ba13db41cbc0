"""Security groups: each kind of rule, each family, the allowed and the denied side."""

from scapy.layers.inet6 import ICMPv6Unknown

from golden import *

ETHER = {4: "IPV4", 6: "IPV6"}
NUMBER = {"tcp": {4: 6, 6: 6}, "udp": {4: 17, 6: 17}, "icmp": {4: 1, 6: 58}, "sctp": {4: 132, 6: 132}, "other": {4: 89, 6: 89}}
WEB, ADMIN, OFFICE = 7, 8, 9


def rule(direction, f=None, protocol=None, first=None, last=None, **fields):
    """A rule; what is not said matches anything."""
    out = {"direction": direction}
    if f:
        out["ether_type"] = ETHER[f]
    if protocol:
        out["protocol"] = NUMBER[protocol][f or 4]
    if first is not None:
        out["ports"] = {"first": first, "last": last or first}
    return {**out, **fields}


INGRESS_ALL, EGRESS_ALL = rule("INGRESS"), rule("EGRESS")


def scene(c, *rules, groups=None, remote_groups=()):
    """vm1 under group 7, a remote network behind a tunnel."""
    group = c.security_group(WEB, *rules)
    vm = c.vm("vm1", VM[4], VM[6], groups=groups or [WEB], label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    for f in (4, 6):
        c.route(REMOTE_NET[f], tunnel, label=40, groups=remote_groups)
    return vm, tunnel, group


def comes_in(c, vm, tunnel, packet, denied=False):
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.dropped("security_group") if denied else c.expect(vm, packet)


def goes_out(c, vm, tunnel, packet, denied=False):
    c.send(vm, packet)
    c.dropped("security_group") if denied else c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))


def packet_of(protocol, src, dst, ttl=63, port=80, sport=40000):
    """A first packet of the protocol; `port` is the ICMP type for ICMP."""
    f = family(src)
    if protocol == "tcp":
        return tcp(src, dst, sport, port, ttl=ttl)
    if protocol == "udp":
        return udp(src, dst, sport, port, ttl=ttl)
    if protocol == "sctp":
        return sctp(src, dst, sport, port, ttl=ttl)
    if protocol == "icmp" and f == 4:
        return ip(src, dst, ttl=ttl) / ICMP(type=port, id=7, seq=1) / payload(12)
    if protocol == "icmp":
        return ip(src, dst, ttl=ttl) / ICMPv6Unknown(type=port, msgbody=b"\0\7\0\1" + bytes(payload(12)))
    return ip(src, dst, ttl=ttl, **({"proto": 89} if f == 4 else {"nh": 89})) / payload()


ALLOWED_PORT = {"tcp": 80, "udp": 80, "sctp": 80, "icmp": {4: 8, 6: 128}}
DENIED_PORT = {"tcp": 81, "udp": 81, "sctp": 81, "icmp": {4: 15, 6: 200}}


def port_of(table, protocol, f):
    value = table[protocol]
    return value[f] if isinstance(value, dict) else value


for f in (4, 6):
    for protocol in ("tcp", "udp", "sctp", "icmp"):
        match = {"icmp": {"type": port_of(ALLOWED_PORT, "icmp", f)}} if protocol == "icmp" else {"first": 80}

        @case([4], name=f"ingress_{protocol}_ipv{f}", f=f, protocol=protocol, match=match)
        def ingress(c, f, protocol, match):
            """A workload's ingress rule lets one port (ICMP: type) of one protocol in, and nothing else."""
            vm, tunnel, group = scene(c, rule("INGRESS", f, protocol, **match))
            comes_in(c, vm, tunnel, packet_of(protocol, REMOTE[f], VM[f], port=port_of(ALLOWED_PORT, protocol, f)))
            comes_in(c, vm, tunnel, packet_of(protocol, REMOTE[f], VM[f], port=port_of(DENIED_PORT, protocol, f)), denied=True)
            other = "udp" if protocol != "udp" else "tcp"
            comes_in(c, vm, tunnel, packet_of(other, REMOTE[f], VM[f]), denied=True)
            c.mutant(put=[changed(group, rules=[])])

        @case([4], name=f"egress_{protocol}_ipv{f}", f=f, protocol=protocol, match=match)
        def egress(c, f, protocol, match):
            """A workload's egress rule lets one port (ICMP: type) of one protocol out, and nothing else."""
            vm, tunnel, group = scene(c, rule("EGRESS", f, protocol, **match))
            goes_out(c, vm, tunnel, packet_of(protocol, VM[f], REMOTE[f], 64, port_of(ALLOWED_PORT, protocol, f)))
            goes_out(c, vm, tunnel, packet_of(protocol, VM[f], REMOTE[f], 64, port_of(DENIED_PORT, protocol, f)), denied=True)
            other = "udp" if protocol != "udp" else "tcp"
            goes_out(c, vm, tunnel, packet_of(other, VM[f], REMOTE[f], 64), denied=True)
            c.mutant(put=[changed(group, rules=[])])

    @case([4], name=f"port_range_ipv{f}", f=f)
    def port_range(c, f):
        """A port range is inclusive at both ends; the ports beside it are out."""
        vm, tunnel, group = scene(c, rule("INGRESS", f, "udp", 5000, 5003))
        for port, denied in ((4999, True), (5000, False), (5003, False), (5004, True)):
            comes_in(c, vm, tunnel, udp(REMOTE[f], VM[f], dport=port, ttl=63), denied)
        c.mutant(put=[changed(group, rules=[{"id": 1, **rule("INGRESS", f, "udp", 5000, 5004)}])])

    @case([4], name=f"icmp_code_ipv{f}", f=f)
    def icmp_code(c, f):
        """A rule with an ICMP code allows that code only."""
        kind = {4: 8, 6: 128}[f]
        vm, tunnel, group = scene(c, rule("INGRESS", f, "icmp", icmp={"type": kind, "code": 0}))
        good, bad = ping(REMOTE[f], VM[f], 7, ttl=63), ping(REMOTE[f], VM[f], 8, ttl=63)
        bad[ICMP if f == 4 else ICMPv6EchoRequest].code = 1
        comes_in(c, vm, tunnel, good)
        comes_in(c, vm, tunnel, bad, denied=True)
        c.mutant(put=[changed(group, rules=[{"id": 1, **rule("INGRESS", f, "icmp", icmp={"type": kind})}])])

    @case([4], name=f"remote_prefix_ipv{f}", f=f)
    def remote_prefix(c, f):
        """Ingress from a prefix, egress to a prefix: the address beside it is refused."""
        prefix = f"{REMOTE[f]}/{HOST[f]}"
        vm, tunnel, group = scene(c, rule("INGRESS", f, prefix=prefix), rule("EGRESS", f, prefix=prefix))
        comes_in(c, vm, tunnel, udp(REMOTE[f], VM[f], 1, 2, ttl=63))
        comes_in(c, vm, tunnel, udp(REMOTE2[f], VM[f], 1, 2, ttl=63), denied=True)
        goes_out(c, vm, tunnel, udp(VM[f], REMOTE[f], 3, 4))
        goes_out(c, vm, tunnel, udp(VM[f], REMOTE2[f], 3, 4), denied=True)
        c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS"}, {"id": 2, "direction": "EGRESS"}])])

    @case([4], name=f"remote_group_ipv{f}", f=f)
    def remote_group(c, f):
        """Ingress from a group: the route of the other end says which groups it is in."""
        vm, tunnel, group = scene(c, rule("INGRESS", f, "tcp", 22, group=ADMIN))
        admin = c.route(f"{REMOTE[f]}/{HOST[f]}", tunnel, label=40, groups=[OFFICE, ADMIN])
        c.security_group(ADMIN)
        c.security_group(OFFICE)
        comes_in(c, vm, tunnel, tcp(REMOTE[f], VM[f], dport=22, ttl=63))
        comes_in(c, vm, tunnel, tcp(REMOTE2[f], VM[f], dport=22, ttl=63), denied=True)
        c.mutant(put=[changed(admin, security_groups=[OFFICE])])

    @case([4], name=f"remote_group_egress_ipv{f}", f=f)
    def remote_group_egress(c, f):
        """Egress to a group."""
        vm, tunnel, group = scene(c, rule("EGRESS", f, "tcp", 5432, group=ADMIN))
        admin = c.route(f"{REMOTE[f]}/{HOST[f]}", tunnel, label=40, groups=[ADMIN])
        c.security_group(ADMIN)
        goes_out(c, vm, tunnel, tcp(VM[f], REMOTE[f], dport=5432))
        goes_out(c, vm, tunnel, tcp(VM[f], REMOTE2[f], dport=5432), denied=True)
        c.mutant(put=[changed(admin, security_groups=None)])

    @case([4], name=f"remote_group_on_this_node_ipv{f}", f=f)
    def remote_group_on_this_node(c, f):
        """The other end is a workload of this node: the groups of its route count, both ends are asked."""
        db = c.security_group(WEB, rule("INGRESS", f, "tcp", 5432, group=ADMIN))
        c.security_group(ADMIN, EGRESS_ALL)
        c.security_group(OFFICE, EGRESS_ALL)
        vm = c.vm("vm1", VM[4], VM[6], groups=[WEB])
        web, office = c.vm("vm2", VM2[4], VM2[6], groups=[ADMIN]), c.vm("vm3", "10.1.1.5", "2001:db8:1::5", groups=[OFFICE])
        packet = tcp(web.address(f), VM[f], dport=5432)
        c.send(web, packet)
        c.expect(vm, hop(packet))
        c.send(office, tcp(office.address(f), VM[f], dport=5432))
        c.dropped("security_group")
        c.mutant(put=[changed(db, rules=[{"id": 1, **rule("INGRESS", f, "tcp", 5432, group=OFFICE)}])])

    @case([4], name=f"default_deny_ipv{f}", f=f)
    def default_deny(c, f):
        """A group without rules denies everything, in and out."""
        vm, tunnel, group = scene(c)
        for protocol in ("tcp", "udp", "other"):
            comes_in(c, vm, tunnel, packet_of(protocol, REMOTE[f], VM[f]), denied=True)
            goes_out(c, vm, tunnel, packet_of(protocol, VM[f], REMOTE2[f], 64), denied=True)
        c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])

    @case([4], name=f"ethertype_ipv{f}", f=f)
    def ethertype(c, f):
        """A rule for one family does not speak for the other."""
        g = 10 - f
        vm, tunnel, group = scene(c, rule("INGRESS", f), rule("EGRESS", f))
        comes_in(c, vm, tunnel, udp(REMOTE[f], VM[f], ttl=63))
        comes_in(c, vm, tunnel, udp(REMOTE[g], VM[g], ttl=63), denied=True)
        goes_out(c, vm, tunnel, udp(VM[f], REMOTE2[f]))
        goes_out(c, vm, tunnel, udp(VM[g], REMOTE2[g]), denied=True)
        c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS"}, {"id": 2, "direction": "EGRESS"}])])

    for protocol in ("tcp", "udp", "icmp"):

        @case([1, 4], name=f"answer_{protocol}_ipv{f}", f=f, protocol=protocol)
        def answer(c, f, protocol):
            """Answers to the workload's own session come in without an ingress rule, by the label of the workload and of
            the VRF; a new session from the same remote end does not."""
            vm, tunnel, group = scene(c, EGRESS_ALL)
            c.label(100, vrf=1)
            first, reply, fresh = {
                "tcp": (tcp(VM[f], REMOTE[f]), tcp(REMOTE[f], VM[f], 80, 40000, "SA", 9000, 1001, ttl=63), tcp(REMOTE[f], VM[f], 80, 40001, ttl=63)),
                "udp": (udp(VM[f], REMOTE[f]), udp(REMOTE[f], VM[f], 5000, 40000, ttl=63), udp(REMOTE[f], VM[f], 5000, 40001, ttl=63)),
                "icmp": (ping(VM[f], REMOTE[f]), pong(REMOTE[f], VM[f], ttl=63), ping(REMOTE[f], VM[f], 8, ttl=63)),
            }[protocol]
            goes_out(c, vm, tunnel, first)
            for label in (25, 100):
                c.send(c.fabric, tunnel.to_node(reply, label))
                c.expect(vm, reply)
            comes_in(c, vm, tunnel, fresh, denied=True)
            c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}, {"id": 2, "direction": "INGRESS"}])])

    @case([4], name=f"answer_to_a_client_ipv{f}", f=f)
    def answer_to_a_client(c, f):
        """A server without egress rule answers its clients, and can call nobody."""
        vm, tunnel, group = scene(c, rule("INGRESS", f, "tcp", 80))
        comes_in(c, vm, tunnel, tcp(REMOTE[f], VM[f], ttl=63))
        goes_out(c, vm, tunnel, tcp(VM[f], REMOTE[f], 80, 40000, "SA", 9000, 1001))
        goes_out(c, vm, tunnel, tcp(VM[f], REMOTE[f], 40007, 80), denied=True)
        c.mutant(put=[changed(group, rules=[{"id": 1, **rule("INGRESS", f, "tcp", 81)}])])


@case([4])
def protocol_without_ports(c):
    """A rule by protocol number alone: OSPF's 89 passes, and it is one session both ways."""
    vm, tunnel, group = scene(c, {"direction": "INGRESS", "protocol": 89})
    comes_in(c, vm, tunnel, packet_of("other", REMOTE[4], VM[4]))
    goes_out(c, vm, tunnel, packet_of("other", VM[4], REMOTE[4], 64))
    comes_in(c, vm, tunnel, udp(REMOTE[4], VM[4], ttl=63), denied=True)
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS", "protocol": 17}])])


@case([4])
def several_groups(c):
    """Two groups on one interface: what either allows passes."""
    second = c.security_group(ADMIN, rule("INGRESS", 4, "tcp", 22))
    vm, tunnel, _ = scene(c, rule("INGRESS", 4, "tcp", 80), groups=[WEB, ADMIN])
    comes_in(c, vm, tunnel, tcp(REMOTE[4], VM[4], dport=80, ttl=63))
    comes_in(c, vm, tunnel, tcp(REMOTE[4], VM[4], dport=22, ttl=63))
    comes_in(c, vm, tunnel, tcp(REMOTE[4], VM[4], dport=23, ttl=63), denied=True)
    c.mutant(put=[changed(second, rules=[])])


@case([4])
def policy_without_groups(c):
    """Policy on and no group bound: nothing is denied."""
    group = c.security_group(WEB)
    vm = c.vm("vm1", VM[4], policy=True, label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    comes_in(c, vm, tunnel, udp(REMOTE[4], VM[4], 1, 2, ttl=63))
    goes_out(c, vm, tunnel, udp(VM[4], REMOTE[4], 3, 4))
    c.mutant(put=[changed(vm, security_groups=[WEB])])


@case([3])
def sender_without_policy(c):
    """A packet of a policy-off workload to one with policy goes through the receiver's rules."""
    group = c.security_group(WEB, rule("INGRESS", 4, "tcp", 80))
    a, b = c.vm("vm1", VM[4]), c.vm("vm2", VM2[4], groups=[WEB])
    allowed, denied = tcp(VM[4], VM2[4]), tcp(VM[4], VM2[4], dport=81)
    c.send(a, allowed)
    c.expect(b, hop(allowed))
    back = tcp(VM2[4], VM[4], 80, 40000, "SA", 9000, 1001)
    c.send(b, back)
    c.expect(a, hop(back))
    c.send(a, denied)
    c.dropped("security_group")
    c.mutant(put=[changed(b, policy=False, security_groups=None)])


@case([1, 4])
def both_ends_are_asked(c):
    """Two workloads of one node: the sender's egress rules and the receiver's ingress rules must both allow."""
    c.security_group(WEB, rule("EGRESS", 4, "tcp", 80, 81))
    receiver = c.security_group(ADMIN, rule("INGRESS", 4, "tcp", 80), rule("INGRESS", 4, "tcp", 82))
    a, b = c.vm("vm1", VM[4], groups=[WEB]), c.vm("vm2", VM2[4], groups=[ADMIN])
    for port, allowed in ((80, True), (81, False), (82, False)):
        packet = tcp(VM[4], VM2[4], dport=port)
        c.send(a, packet)
        c.expect(b, hop(packet)) if allowed else c.dropped("security_group")
    c.mutant(put=[changed(receiver, rules=[{"id": 1, "direction": "INGRESS"}])])


# Live changes: the answer to the change and the next packet agree (SEMANTICS 17, 18).


@case([17, 18])
def rule_taken_away(c):
    """A rule goes while its session runs: the next packet is refused, in both directions."""
    vm, tunnel, group = scene(c, rule("INGRESS", 4, "udp", 5000))
    there, back = udp(REMOTE[4], VM[4], ttl=63), udp(VM[4], REMOTE[4], 5000, 40000)
    comes_in(c, vm, tunnel, there)
    goes_out(c, vm, tunnel, back)
    c.change(put=[changed(group, rules=[])])
    comes_in(c, vm, tunnel, there, denied=True)
    goes_out(c, vm, tunnel, back, denied=True)
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])


@case([17, 18])
def rule_added(c):
    """A refused session (remembered) is let in by the first packet after the rule comes."""
    vm, tunnel, group = scene(c)
    there = udp(REMOTE[4], VM[4], ttl=63)
    comes_in(c, vm, tunnel, there, denied=True)
    c.change(put=[changed(group, rules=[{"id": 1, **rule("INGRESS", 4, "udp", 5000)}])])
    comes_in(c, vm, tunnel, there)
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS"}])])


@case([17, 18])
def rule_restored(c):
    """Taken away and restored: a running TCP connection resumes in mid-stream."""
    vm, tunnel, group = scene(c, rule("INGRESS", 4, "tcp", 80))
    comes_in(c, vm, tunnel, tcp(REMOTE[4], VM[4], ttl=63))
    goes_out(c, vm, tunnel, tcp(VM[4], REMOTE[4], 80, 40000, "SA", 9000, 1001))
    ack = tcp(REMOTE[4], VM[4], flags="A", seq=1001, ack=9001, ttl=63)
    comes_in(c, vm, tunnel, ack)
    c.change(put=[changed(group, rules=[])])
    comes_in(c, vm, tunnel, ack, denied=True)
    c.change(put=[group])
    comes_in(c, vm, tunnel, ack)
    c.mutant(put=[changed(group, rules=[{"id": 1, **rule("INGRESS", 4, "tcp", 81)}])])


@case([17, 18])
def membership_changes(c):
    """The remote end leaves the group that a rule names: its session is cut; it comes back: resumed."""
    vm, tunnel, group = scene(c, rule("INGRESS", 4, "udp", 5000, group=ADMIN))
    c.security_group(ADMIN)
    route = c.route(f"{REMOTE[4]}/32", tunnel, label=40, groups=[ADMIN])
    packet = udp(REMOTE[4], VM[4], ttl=63)
    comes_in(c, vm, tunnel, packet)
    c.change(put=[changed(route, security_groups=None)])
    comes_in(c, vm, tunnel, packet, denied=True)
    c.change(put=[route])
    comes_in(c, vm, tunnel, packet)
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "INGRESS"}])])


@case([17, 18])
def group_bound_later(c):
    """A group is bound to an interface under a running session: default deny from the next packet on."""
    c.security_group(WEB)
    vm = c.vm("vm1", VM[4], policy=True, label=25)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    packet = udp(VM[4], REMOTE[4])
    goes_out(c, vm, tunnel, packet)
    c.change(put=[changed(vm, security_groups=[WEB])])
    goes_out(c, vm, tunnel, packet, denied=True)
    c.mutant(put=[{"security_group": {"id": WEB, "name": "sg7", "rules": [{"id": 1, "direction": "EGRESS"}]}}])


@case([4])
def arp_and_nd_before_policy(c):
    """Default deny does not stop a workload from finding its gateway; it may not ping it, though."""
    from .arp_nd import advertise, answered, is_at, solicit, who_has

    vm, tunnel, group = scene(c)
    c.send(vm, who_has(vm.mac, VM[4], "10.1.1.1"))
    answered(c, vm, is_at(GATEWAY_MAC, "10.1.1.1", vm.mac, VM[4]))
    c.send(vm, solicit(vm.mac, VM[6], "2001:db8:1::1"))
    answered(c, vm, advertise(GATEWAY_MAC, "2001:db8:1::1", "2001:db8:1::1", vm.mac, VM[6]))
    c.send(vm, ping(VM[4], "10.1.1.1"))
    c.dropped("security_group")
    c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])
