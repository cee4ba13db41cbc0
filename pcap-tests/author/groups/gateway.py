"""Ping: the gateway, the node, addresses that are the vRouter's own."""

from golden import *


def still(f):
    """Header fields that an answer has as well, however it is made."""
    return {"id": 0} if f == 4 else {"fl": 0}


for f in (4, 6):

    @case(name=f"ping_gateway_ipv{f}", f=f)
    def ping_gateway(c, f):
        """A workload pings its gateway: identifier, sequence and payload come back."""
        vm = c.vm("vm1", VM[4], VM[6])
        c.send(vm, ping(VM[f], vm.gateway(f), 77, 3, **still(f)))
        c.counted(consumed=1)
        c.expect(vm, pong(vm.gateway(f), VM[f], 77, 3, **still(f)), originated=True)
        c.mutant(put=[changed(vm, gateways=["10.1.1.2", "2001:db8:1::2"])])

    @case(name=f"ping_receive_ipv{f}", f=f)
    def ping_receive(c, f):
        """A route to a `receive` next hop: the vRouter's own address in this VRF answers ping."""
        vm = c.vm("vm1", VM[4], VM[6])
        address = {4: "10.1.1.254", 6: "2001:db8:1::fe"}[f]
        route = c.route(f"{address}/{HOST[f]}", c.next_hop(receive={}))
        c.send(vm, ping(VM[f], address, **still(f)))
        c.counted(consumed=1)
        c.expect(vm, pong(address, VM[f], **still(f)), originated=True)
        c.mutant(delete=[route])

    @case(name=f"ping_node_ipv{f}", f=f)
    def ping_node(c, f):
        """A peer pings the node's fabric address; there is no twin, so the vRouter answers."""
        c.neighbour(PEER.address(f), PEER.mac)
        c.send(c.fabric, plain_to_node(ping(PEER.address(f), NODE[f], **still(f)), PEER))
        c.counted(consumed=1)
        c.expect(c.fabric, plain_to_peer(pong(NODE[f], PEER.address(f), **still(f)), PEER), originated=True)
        c.mutant(put=[changed(c.fabric, addresses=["10.1.0.67/24", "2001:db8:a::43/64"])])

    @case(name=f"ping_between_workloads_ipv{f}", f=f)
    def ping_between_workloads(c, f):
        """An echo request and its reply are one session, with policy on both ends."""
        group = c.security_group(7, {"direction": "INGRESS", "protocol": {4: 1, 6: 58}[f]})
        c.security_group(8, {"direction": "EGRESS"})
        a, b = c.vm("vm1", VM[4], VM[6], groups=[8]), c.vm("vm2", VM2[4], VM2[6], groups=[7])
        there, back = ping(VM[f], VM2[f]), pong(VM2[f], VM[f])
        c.send(a, there)
        c.expect(b, hop(there))
        c.send(b, back)
        c.expect(a, hop(back))
        c.mutant(put=[changed(group, rules=[])])

    @case([4], name=f"ping_gateway_under_policy_ipv{f}", f=f)
    def ping_gateway_under_policy(c, f):
        """A ping to the gateway is subject to egress rules like everything but ARP, ND and DHCP."""
        group = c.security_group(7, {"direction": "EGRESS", "protocol": 17})
        vm = c.vm("vm1", VM[4], VM[6], groups=[7])
        c.send(vm, ping(VM[f], vm.gateway(f), **still(f)))
        c.dropped("security_group")
        c.mutant(put=[changed(group, rules=[{"id": 1, "direction": "EGRESS"}])])
