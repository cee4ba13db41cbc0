"""Limits, and flows that a controller pins."""

from golden import *


def scene(c, **fields):
    vm = c.vm("vm1", VM[4], VM[6], policy=True, label=25, **fields)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    return vm, tunnel


def out(c, vm, tunnel, packet):
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))


@case()
def flow_limit(c):
    """An interface has as many established sessions as it may: its next is refused by name, the others live on,
    and another interface does not notice."""
    vm, tunnel = scene(c, flow_limit=2)
    other = c.vm("vm2", VM2[4], policy=True)
    for sport in (40000, 40001):
        out(c, vm, tunnel, udp(VM[4], REMOTE[4], sport))
        reply = udp(REMOTE[4], VM[4], 5000, sport, ttl=63)
        c.send(c.fabric, tunnel.to_node(reply, 25))
        c.expect(vm, reply)
    c.send(vm, udp(VM[4], REMOTE[4], 40002))
    c.dropped("flow_limit_interface")
    out(c, vm, tunnel, udp(VM[4], REMOTE[4], 40000))
    out(c, other, tunnel, udp(VM2[4], REMOTE[4], 40002))
    c.mutant(put=[changed(vm, flow_limit=3)])


def pinned(vm, action, direction="EGRESS", **fields):
    key = {"source": VM[4], "destination": REMOTE[4], "protocol": 17, "source_port": 40000, "destination_port": 5000, **fields}
    return {"interface": vm.id, "direction": direction, **key, "action": action}


@case()
def pinned_flow_denies(c):
    """A flow that a controller pinned as denied is dropped by name, though no rule denies it; its neighbour passes."""
    vm, tunnel = scene(c)
    flow = c.put("flow", **pinned(vm, "DENY"))
    c.send(vm, udp(VM[4], REMOTE[4], 40000))
    c.dropped("flow_denied")
    out(c, vm, tunnel, udp(VM[4], REMOTE[4], 40001))
    c.mutant(delete=[flow])


@case()
def pinned_flow_denies_inbound(c):
    """The same towards the workload."""
    vm, tunnel = scene(c)
    flow = c.put("flow", **pinned(vm, "DENY", "INGRESS", source=REMOTE[4], destination=VM[4]))
    c.send(c.fabric, tunnel.to_node(udp(REMOTE[4], VM[4], 40000, ttl=63), 25))
    c.dropped("flow_denied")
    packet = udp(REMOTE[4], VM[4], 40001, ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(delete=[flow])


@case()
def pinned_flow_allows(c):
    """A flow that a controller pinned as forwarded passes, though no rule allows it; its neighbour does not."""
    c.security_group(7)
    vm = c.vm("vm1", VM[4], groups=[7])
    tunnel = c.tunnel(MPLS_UDP, PEER)
    c.route(REMOTE_NET[4], tunnel, label=40)
    flow = c.put("flow", **pinned(vm, "FORWARD"))
    out(c, vm, tunnel, udp(VM[4], REMOTE[4], 40000))
    c.send(vm, udp(VM[4], REMOTE[4], 40001))
    c.dropped("security_group")
    c.mutant(delete=[flow])
