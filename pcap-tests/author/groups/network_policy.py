"""Network policies: who may talk between the red network (VRF 1) and the blue one (VRF 3)."""

from golden import *

RED, BLUE = 1, 3
OTHER = {4: "10.1.1.9", 6: "2001:db8:1::9"}


def rule(action, source=None, destination=None, **fields):
    """A rule; an end is a network, a prefix or a list of tags."""
    def end(value):
        kind = {int: "network", str: "prefix", list: "tags"}[type(value)]
        return {kind: value}
    out = {"action": action, **fields}
    if source is not None:
        out["source"] = end(source)
    if destination is not None:
        out["destination"] = end(destination)
    return out


JOINED = rule("PASS", RED, BLUE, bidirectional=True)


def bind(c, *rules, to=(RED, BLUE)):
    """A policy of these rules, numbered from 1, and the networks that are bound to it."""
    policy = c.put("network_policy", id=5, name="red-blue", rules=[{"id": i, **r} for i, r in enumerate(rules, 1)])
    for table in c.tables:
        if table.get("vrf", {}).get("id") in to:
            table["vrf"]["network_policies"] = [5]
    return policy


def with_rules(policy, *rules):
    """The policy with other rules: for mutants and changes."""
    return changed(policy, rules=[{"id": i, **r} for i, r in enumerate(rules, 1)])


def pair(c, tags=((), ())):
    """A red and a blue workload on one node; their routes are leaked into each other's VRF."""
    kinds = [{"tags": list(t)} if t else {} for t in tags]
    red = c.vm("vm1", VM[4], VM[6], vrf=RED, **kinds[0])
    blue = c.vm("vm2", REMOTE[4], REMOTE[6], vrf=BLUE, **kinds[1])
    for port, kind in ((red, kinds[0]), (blue, kinds[1])):
        for route in port.routes:
            route["route"].update(kind)
    for f in (4, 6):
        c.route(f"{REMOTE[f]}/{HOST[f]}", blue, vrf=RED, network=BLUE, **kinds[1])
        c.route(f"{VM[f]}/{HOST[f]}", red, vrf=BLUE, network=RED, **kinds[0])
    return red, blue


def passes(c, port, packet, other):
    """A packet from one workload of the node reaches another."""
    c.send(port, packet)
    c.expect(other, hop(packet))


def refused(c, port, packet):
    """No rule lets the packet pass."""
    c.send(port, packet)
    c.dropped("policy_denied")


def reset_of(packet, seq, ack, flags):
    """The reset that the other end would send (RFC 9293 §3.5.2)."""
    f = family(packet.src)
    header = ip(packet.dst, packet.src, **({"flags": "DF", "id": 0} if f == 4 else {"fl": 0}))
    return header / TCP(sport=packet.dport, dport=packet.sport, flags=flags, seq=seq, ack=ack, window=0)


for f in (4, 6):
    @case([29], name=f"joined_networks_ipv{f}", f=f)
    def joined(c, f):
        """A rule with its mirror image joins two networks on one node; the other way round is a session of its own."""
        red, blue = pair(c)
        policy = bind(c, JOINED)
        there, back = tcp(VM[f], REMOTE[f]), udp(REMOTE[f], VM[f])
        passes(c, red, there, blue)
        passes(c, blue, back, red)
        c.mutant(put=[with_rules(policy, rule("PASS", RED, BLUE))])

    @case([29], name=f"strangers_ipv{f}", f=f)
    def strangers(c, f):
        """Without a rule about them, networks of which one has policies are closed to each other, and open within."""
        red, blue = pair(c)
        friend = c.vm("vm3", OTHER[4], OTHER[6], vrf=RED)
        policy = bind(c, rule("PASS", RED, 7), to=(RED,))
        refused(c, red, udp(VM[f], REMOTE[f]))
        inside = udp(VM[f], OTHER[f])
        passes(c, red, inside, friend)
        c.mutant(put=[with_rules(policy, rule("PASS", RED))])

    @case([29], name=f"first_match_ipv{f}", f=f)
    def first_match(c, f):
        """Of rules by prefix, protocol and port the first that matches decides."""
        red, blue = pair(c)
        web = {"protocol": 6, "destination_ports": {"first": 80, "last": 89}}
        rules = [
            rule("DENY", VM[f] + f"/{HOST[f]}", protocol=6, destination_ports={"first": 81, "last": 81}),
            rule("PASS", RED, BLUE, **web),
            rule("DENY", RED, BLUE),
            rule("PASS"),
        ]
        policy = bind(c, *rules)
        for port, allowed in ((80, True), (81, False), (82, True), (90, False)):
            packet = tcp(VM[f], REMOTE[f], 40000 + port, port)
            passes(c, red, packet, blue) if allowed else refused(c, red, packet)
        c.mutant(put=[with_rules(policy, *rules[1:], rules[0])])

    @case([29], name=f"icmp_rule_ipv{f}", f=f)
    def icmp_rule(c, f):
        """A rule about echo requests passes a ping, and its reply without a rule."""
        red, blue = pair(c)
        echo = rule("PASS", RED, BLUE, protocol={4: 1, 6: 58}[f], icmp={"type": {4: 8, 6: 128}[f]})
        policy = bind(c, echo)
        request, reply = ping(VM[f], REMOTE[f]), pong(REMOTE[f], VM[f])
        passes(c, red, request, blue)
        passes(c, blue, reply, red)
        refused(c, red, udp(VM[f], REMOTE[f]))
        c.mutant(put=[with_rules(policy, {**echo, "icmp": {"type": 9}})])

    @case([29], name=f"tags_ipv{f}", f=f)
    def tags(c, f):
        """Web may call the database by tags of both ends; the database may not call web."""
        red, blue = pair(c, tags=(["tier=web", "app=shop"], ["tier=db"]))
        policy = bind(c, rule("PASS", ["tier=web"], ["tier=db"]))
        there, back = tcp(VM[f], REMOTE[f], dport=5432), tcp(REMOTE[f], VM[f], 41000, 80)
        passes(c, red, there, blue)
        refused(c, blue, back)
        c.mutant(put=[with_rules(policy, rule("PASS", ["tier=web", "app=blog"], ["tier=db"]))])

    @case([30], name=f"reject_tcp_ipv{f}", f=f)
    def reject_tcp(c, f):
        """A rejected SYN is reset in the name of the other end, each time; a segment in mid-stream by its own number."""
        red, blue = pair(c)
        policy = bind(c, rule("REJECT", RED, BLUE))
        syn = tcp(VM[f], REMOTE[f], seq=1000)
        for _ in range(2):
            c.send(red, syn)
            c.dropped("policy_rejected")
            c.expect(red, reset_of(syn, 0, 1001, "RA"), originated=True)
        data = tcp(VM[f], REMOTE[f], 40001, flags="PA", seq=5, ack=77, data=payload(9))
        c.send(red, data)
        c.dropped("policy_rejected")
        c.expect(red, reset_of(data, 77, 0, "R"), originated=True)
        c.mutant(put=[with_rules(policy, rule("DENY", RED, BLUE))])

    @case([30], name=f"reject_udp_ipv{f}", f=f)
    def reject_udp(c, f):
        """Whatever else is rejected is answered by the gateway: administratively prohibited."""
        red, blue = pair(c)
        policy = bind(c, rule("REJECT", RED, BLUE))
        for packet in (udp(VM[f], REMOTE[f]), ping(VM[f], REMOTE[f])):
            c.send(red, packet)
            c.dropped("policy_rejected")
            c.expect(red, icmp_error(red.gateway(f), packet, "unreachable", {4: 13, 6: 1}[f]), originated=True)
        c.mutant(put=[with_rules(policy, rule("DENY", RED, BLUE))])

    @case([29], name=f"from_another_node_ipv{f}", f=f)
    def from_another_node(c, f):
        """The receiver's network asks its own policies about what comes out of a tunnel: by the route back."""
        blue = c.vm("vm1", REMOTE[4], REMOTE[6], vrf=BLUE, label=25)
        tunnel = c.tunnel(MPLS_UDP, PEER)
        leaked = c.route(f"{VM[f]}/{HOST[f]}", tunnel, label=40, vrf=BLUE, network=RED)
        c.route(f"{OTHER[f]}/{HOST[f]}", tunnel, label=41, vrf=BLUE, network=2)
        bind(c, JOINED, to=(BLUE,))
        known, stranger = udp(VM[f], REMOTE[f], ttl=63), udp(OTHER[f], REMOTE[f], ttl=63)
        c.send(c.fabric, tunnel.to_node(known, 25))
        c.expect(blue, known)
        c.send(c.fabric, tunnel.to_node(stranger, 25))
        c.dropped("policy_denied")
        c.mutant(put=[changed(leaked, network=2)])

    @case([17, 29], name=f"cut_and_resumed_ipv{f}", f=f)
    def cut_and_resumed(c, f):
        """A running conversation is cut in both directions by a change of the policy, and goes on when it is back."""
        red, blue = pair(c)
        policy = bind(c, JOINED)
        there, back = udp(VM[f], REMOTE[f], 4000, 5000), udp(REMOTE[f], VM[f], 5000, 4000)
        for allowed in (True, False, True):
            c.change(put=[policy if allowed else with_rules(policy, rule("DENY"))])
            for port, packet, other in ((red, there, blue), (blue, back, red)):
                passes(c, port, packet, other) if allowed else refused(c, port, packet)
        c.mutant(put=[changed({"vrf": {"id": RED, "name": "red"}}), changed({"vrf": {"id": BLUE, "name": "blue"}})])
