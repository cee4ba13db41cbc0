"""Several ways to one destination. Weight 0 ("drains: no new flows") makes the pick of a new flow certain
without knowing the hash, so each case can say which member it must be."""

from golden import *

from .nat import SERVICE, service


def group(*members, **fields):
    """An ecmp next hop of (next hop, label, weight)."""
    listed = []
    for to, label, weight in members:
        member = {"next_hop": to if isinstance(to, int) else to.next_hop if isinstance(to, Port) else to.id}
        listed.append({**member, **({"label": label} if label else {}), "weight": weight})
    return {"ecmp": {"members": listed, **fields}}


def scene(c, a=1, b=0, **fields):
    """A service network behind two nodes: A with label 39, B with label 32."""
    vm = c.vm("vm1", VM[4], VM[6], label=25, **fields)
    to_a, to_b = c.tunnel(MPLS_UDP, PEER), c.tunnel(MPLS_GRE, PEER_B)
    number = c.next_hop(**group((to_a, 39, a), (to_b, 32, b)))
    route = c.route(REMOTE_NET[4], number)
    return vm, to_a, to_b, number, route


def again(number, *members, **fields):
    """The same next hop with other members."""
    return {"next_hop": {"id": number, **group(*members, **fields)}}


def nobody(c, vm, packet):
    """The sender is told that nobody is there: port unreachable, as from a server without this service."""
    f = 4 if isinstance(packet, IP) else 6
    c.dropped("ecmp_empty")
    c.expect(vm, icmp_error(vm.gateway(f), packet, "unreachable", 3 if f == 4 else 4), originated=True)


@case([7])
def member_label(c):
    """A member's label is pushed, over the tunnel's own; without one of its own the tunnel's is."""
    vm = c.vm("vm1", VM[4])
    to_a = c.tunnel(MPLS_UDP, PEER, label=7000)
    number = c.next_hop(**group((to_a, 39, 1)))
    bare = c.next_hop(**group((to_a, None, 1)))
    c.route(REMOTE_NET[4], number)
    c.route("10.1.3.0/24", bare)
    packet, other = udp(VM[4], REMOTE[4]), udp(VM[4], "10.1.3.1")
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.send(vm, other)
    c.expect(c.fabric, to_a.to_peer(hop(other), 7000))
    c.mutant(put=[again(number, (to_a, 38, 1))])


@case([7])
def route_label_over_member_label(c):
    """The route's label counts before the member's."""
    vm = c.vm("vm1", VM[4])
    to_a = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], c.next_hop(**group((to_a, 39, 1))), label=40)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=None)])


@case([8])
def packet_mode_leaves_out_drained_members(c):
    """Without policy there are no flows: members with weight 0 are not in the table, whatever the packet."""
    vm, to_a, to_b, number, _ = scene(c, 0, 1)
    for i in range(8):
        packet = udp(VM[4], REMOTE[4], sport=41000 + i)
        c.send(vm, packet)
        c.expect(c.fabric, to_b.to_peer(hop(packet), 32))
    c.mutant(put=[again(number, (to_a, 39, 1), (to_b, 32, 0))])


@case([8])
def flow_stays_while_its_member_drains(c):
    """A member's weight goes to 0: its flows stay, new ones go to the other."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    old, new = udp(VM[4], REMOTE[4]), udp(VM[4], REMOTE[4], sport=40001)
    c.send(vm, old)
    c.expect(c.fabric, to_a.to_peer(hop(old), 39), entropy="a")
    c.change(put=[again(number, (to_a, 39, 0), (to_b, 32, 1))])
    c.send(vm, old)
    c.expect(c.fabric, to_a.to_peer(hop(old), 39), entropy="a")
    c.send(vm, new)
    c.expect(c.fabric, to_b.to_peer(hop(new), 32))
    c.mutant(put=[again(number, (to_a, 39, 0), (to_b, 32, 1))])


@case([8])
def flow_moves_when_its_member_goes(c):
    """A member is taken out: its flow moves to what is left."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.change(put=[again(number, (to_b, 32, 1))])
    c.send(vm, packet)
    c.expect(c.fabric, to_b.to_peer(hop(packet), 32))
    c.mutant(put=[again(number, (to_b, 32, 1))])


@case([8])
def group_is_reordered(c):
    """The members swap places: a pin is the member's identity, not its slot."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.change(put=[again(number, (to_b, 32, 1), (to_a, 39, 0))])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.mutant(put=[again(number, (to_b, 32, 1), (to_a, 39, 0))])


@case([8])
def group_is_replaced(c):
    """The route names another group that still has the member: the flow stays with it."""
    vm, to_a, to_b, number, route = scene(c, policy=True)
    other = c.next_hop(**group((to_b, 32, 1), (to_a, 39, 0)))
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.change(put=[changed(route, next_hop=other)])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.mutant(put=[changed(route, next_hop=other)])


@case([8])
def same_tunnel_other_label(c):
    """Two members share one tunnel and differ by label: taking one label out moves only its flow."""
    vm = c.vm("vm1", VM[4], policy=True)
    to_a = c.tunnel(MPLS_UDP, PEER)
    number = c.next_hop(**group((to_a, 39, 1), (to_a, 38, 0)))
    c.route(REMOTE_NET[4], number)
    packet, other = udp(VM[4], REMOTE[4]), udp(VM[4], REMOTE[4], sport=40001)
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39))
    c.change(put=[again(number, (to_a, 39, 0), (to_a, 38, 1))])
    c.send(vm, other)
    c.expect(c.fabric, to_a.to_peer(hop(other), 38))
    c.change(put=[again(number, (to_a, 38, 1))])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 38))
    c.mutant(put=[again(number, (to_a, 39, 0), (to_a, 38, 1))])


@case([8, 9])
def answer_goes_the_way_it_came(c):
    """A session from the fabric came by B; the pick for a new flow would be A; the answer goes to B."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    there, back = tcp(REMOTE[4], VM[4], ttl=63), tcp(VM[4], REMOTE[4], 80, 40000, "SA", 9000, 1001)
    c.send(c.fabric, to_b.to_node(there, 25))
    c.expect(vm, there)
    c.send(vm, back)
    c.expect(c.fabric, to_b.to_peer(hop(back), 32))
    c.mutant(put=[again(number, (to_a, 39, 1))])


@case([8, 9])
def answer_follows_the_sender(c):
    """Later packets come by another valid member: the answer follows. From a node that is none they are refused."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    stranger = c.tunnel(MPLS_UDP, PEER_C)
    there, back = udp(REMOTE[4], VM[4], ttl=63), udp(VM[4], REMOTE[4], 5000, 40000)
    for tunnel, label in ((to_b, 32), (to_a, 39)):
        c.send(c.fabric, tunnel.to_node(there, 25))
        c.expect(vm, there)
        c.send(vm, back)
        c.expect(c.fabric, tunnel.to_peer(hop(back), label))
    c.send(c.fabric, stranger.to_node(there, 25))
    c.dropped("invalid_source")
    c.mutant(put=[again(number, (to_b, 32, 1))])


@case()
def nobody_has_weight(c):
    """All members drained: a new flow has nowhere to go, and its sender is told."""
    vm, to_a, to_b, number, _ = scene(c, 0, 0, policy=True)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    nobody(c, vm, packet)
    c.mutant(put=[again(number, (to_a, 39, 1))])


@case()
def nobody_has_weight_in_packet_mode(c):
    """The same without flows."""
    vm, to_a, to_b, number, _ = scene(c, 0, 0)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    nobody(c, vm, packet)
    c.mutant(put=[again(number, (to_a, 39, 1))])


def cluster(c, local=1, remote=1, **fields):
    """A service with a backend here (vm2) and one on another node; vm1 is a client."""
    client, backend = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True, label=26)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    service(c, backend, to_port=8080)
    number = c.next_hop(**group((backend, None, local), (tunnel, 39, remote), **fields))
    c.route(f"{SERVICE}/32", number)
    c.label(100, vrf=1)
    return client, backend, tunnel, number


@case([7])
def service_picks_the_local_backend(c):
    """The pick is the local backend: translated here."""
    client, backend, tunnel, number = cluster(c, 1, 0)
    syn, answer = tcp(VM[4], SERVICE), tcp(VM2[4], VM[4], 8080, 40000, "SA", 9000, 1001)
    c.send(client, syn)
    c.expect(backend, rewrite(hop(syn), dst=VM2[4], dport=8080))
    c.send(backend, answer)
    c.expect(client, rewrite(hop(answer), src=SERVICE, sport=80))
    c.mutant(put=[again(number, (backend, None, 0), (tunnel, 39, 1))])


@case([7])
def service_picks_the_remote_backend(c):
    """The pick is the remote backend: the packet leaves for the service address, translation is its node's."""
    client, backend, tunnel, number = cluster(c, 0, 1)
    syn = tcp(VM[4], SERVICE)
    c.send(client, syn)
    c.expect(c.fabric, tunnel.to_peer(hop(syn), 39))
    c.mutant(put=[again(number, (backend, None, 1), (tunnel, 39, 0))])


@case([7])
def service_prefers_local_backends(c):
    """Local backends come first, though the remote one has all but a little of the weight; drained, they do not."""
    client, backend, tunnel, number = cluster(c, 1, 60000, prefer_local=True)
    for sport in range(40001, 40009):
        packet = tcp(VM[4], SERVICE, sport)
        c.send(client, packet)
        c.expect(backend, rewrite(hop(packet), dst=VM2[4], dport=8080))
    c.change(put=[again(number, (backend, None, 0), (tunnel, 39, 1), prefer_local=True)])
    packet = tcp(VM[4], SERVICE, 40009)
    c.send(client, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 39))
    c.mutant(put=[again(number, (backend, None, 1), (tunnel, 39, 60000))])


for f in (4, 6):

    @case([7], name=f"service_without_backends_ipv{f}", f=f)
    def service_without_backends(c, f):
        """A service that has no backend at all refuses by name and tells the sender; with one it answers again."""
        client, backend = c.vm("vm1", VM[4], VM[6], policy=True), c.vm("vm2", VM2[4], VM2[6], policy=True)
        address = {4: SERVICE, 6: "2001:db8:60::17"}[f]
        number = c.next_hop(**group())
        c.route(f"{address}/{HOST[f]}", number)
        c.put("floating_ip", id=9, address=address, vrf=1, interfaces=[backend.id])
        syn = tcp(VM[f], address)
        c.send(client, syn)
        nobody(c, client, syn)
        c.change(put=[again(number, (backend, None, 1))])
        c.send(client, syn)
        c.expect(backend, rewrite(hop(syn), dst=VM2[f]))
        c.mutant(put=[again(number, (backend, None, 1))])


@case([7])
def service_from_the_fabric_stays_here(c):
    """From the fabric only local backends are picked from, though the remote one has all the weight of new flows."""
    client, backend, tunnel, number = cluster(c, 1, 1000)
    syn = tcp(REMOTE[4], SERVICE, ttl=63)
    c.send(c.fabric, tunnel.to_node(syn, 100))
    c.expect(backend, rewrite(syn, dst=VM2[4], dport=8080))
    answer = tcp(VM2[4], REMOTE[4], 8080, 40000, "SA", 9000, 1001)
    c.send(backend, answer)
    c.expect(c.fabric, tunnel.to_peer(rewrite(hop(answer), src=SERVICE, sport=80), 40))
    c.mutant(put=[again(number, (tunnel, 39, 1))])


@case([7])
def service_by_the_backends_label(c):
    """A label that names the backend has chosen already; the translation is made all the same."""
    client, backend, tunnel, number = cluster(c)
    syn = tcp(REMOTE[4], SERVICE, ttl=63)
    c.send(c.fabric, tunnel.to_node(syn, 26))
    c.expect(backend, rewrite(syn, dst=VM2[4], dport=8080))
    c.mutant(delete=[backend.label])


@case([7])
def no_local_backend(c):
    """From the fabric, and no backend is here: dropped by name, never back to the fabric."""
    client, backend, tunnel, number = cluster(c)
    c.next_hop(**group((tunnel, 39, 1)))
    only_remote = c.tables[-1]["next_hop"]["id"]
    route = c.route("10.96.21.24/32", only_remote)
    c.send(c.fabric, tunnel.to_node(tcp(REMOTE[4], "10.96.21.24", ttl=63), 100))
    c.dropped("no_local_member")
    c.mutant(put=[changed(route, next_hop=number)])


@case([8])
def one_flow_one_port(c):
    """Packets of one flow share their source port; another flow has another (seeded)."""
    vm, to_a, to_b, number, _ = scene(c, policy=True)
    for sport, letter in ((40000, "a"), (40001, "b"), (40000, "a"), (40001, "b")):
        packet = udp(VM[4], REMOTE[4], sport=sport)
        c.send(vm, packet)
        c.expect(c.fabric, to_a.to_peer(hop(packet), 39), entropy=letter)
    c.mutant(put=[again(number, (to_b, 32, 1))])


@case([27])
def port_survives_a_route_change(c):
    """The source port is chosen when the session is made, and kept when its route changes."""
    vm = c.vm("vm1", VM[4], policy=True)
    to_a, to_b = c.tunnel(MPLS_UDP, PEER), c.tunnel(MPLS_UDP, PEER_B)
    route = c.route(REMOTE_NET[4], to_a, label=39)
    packet = udp(VM[4], REMOTE[4])
    c.send(vm, packet)
    c.expect(c.fabric, to_a.to_peer(hop(packet), 39), entropy="a")
    c.change(put=[changed(route, next_hop=to_b.id, label=32)])
    c.send(vm, packet)
    c.expect(c.fabric, to_b.to_peer(hop(packet), 32), entropy="a")
    c.mutant(put=[changed(route, label=38)])


@case([8])
def packet_mode_one_flow_one_port(c):
    """Without flows the source port is the packet's own hash: the same for the same five-tuple, and another for another."""
    vm, to_a, to_b, number, _ = scene(c)
    for sport, letter in ((40000, "a"), (40001, "b"), (40000, "a")):
        packet = udp(VM[4], REMOTE[4], sport=sport)
        c.send(vm, packet)
        c.expect(c.fabric, to_a.to_peer(hop(packet), 39), entropy=letter)
    c.mutant(put=[again(number, (to_b, 32, 1))])


@case([7, 8])
def two_local_backends(c):
    """A service with two backends here: the weights say who gets a new flow, a running flow stays with its own."""
    a, b = c.vm("vm1", VM[4], policy=True), c.vm("vm2", VM2[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    service(c, a, b)
    number = c.next_hop(**group((a, None, 1), (b, None, 0)))
    c.route(f"{SERVICE}/32", number)
    c.label(100, vrf=1)
    old, new = tcp(REMOTE[4], SERVICE, ttl=63), tcp(REMOTE[4], SERVICE, 40001, ttl=63)
    c.send(c.fabric, tunnel.to_node(old, 100))
    c.expect(a, rewrite(old, dst=VM[4]))
    c.change(put=[again(number, (a, None, 0), (b, None, 1))])
    c.send(c.fabric, tunnel.to_node(old, 100))
    c.expect(a, rewrite(old, dst=VM[4]))
    c.send(c.fabric, tunnel.to_node(new, 100))
    c.expect(b, rewrite(new, dst=VM2[4]))
    for vm, sport in ((a, 40000), (b, 40001)):
        answer = tcp(vm.address(4), REMOTE[4], 80, sport, "SA", 9000, 1001)
        c.send(vm, answer)
        c.expect(c.fabric, tunnel.to_peer(rewrite(hop(answer), src=SERVICE), 40))
    c.mutant(put=[again(number, (b, None, 1))])


@case([7])
def answer_of_the_remote_backend(c):
    """The remote backend answers as the service: the client's session takes it, without an ingress rule."""
    client_group = c.security_group(7, {"direction": "EGRESS"})
    client, backend = c.vm("vm1", VM[4], groups=[7], label=25), c.vm("vm2", VM2[4], policy=True)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    service(c, backend, to_port=8080)
    c.route(f"{SERVICE}/32", c.next_hop(**group((backend, None, 0), (tunnel, 39, 1))))
    syn, answer = tcp(VM[4], SERVICE), tcp(SERVICE, VM[4], 80, 40000, "SA", 9000, 1001, ttl=63)
    c.send(client, syn)
    c.expect(c.fabric, tunnel.to_peer(hop(syn), 39))
    c.send(c.fabric, tunnel.to_node(answer, 25))
    c.expect(client, answer)
    c.mutant(put=[changed(client_group, rules=[])])
