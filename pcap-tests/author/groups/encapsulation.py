"""Every encapsulation, each inner family, each underlay family, both directions."""

from golden import *


def leaves(c, kind, inner, outer):
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    route = c.route(REMOTE_NET[inner], tunnel, label=40)

    packet = udp(VM[inner], REMOTE[inner])
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))
    c.mutant(put=[changed(route, label=41)])


def arrives(c, kind, inner, outer):
    vm = c.vm("vm1", VM[4], VM[6])
    tunnel = c.tunnel(kind, PEER, outer)
    named = c.vni(25, to=vm) if kind == VXLAN_L3 else c.label(25, to=vm)

    packet = udp(REMOTE[inner], VM[inner], ttl=63)
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)
    c.mutant(delete=[named])


for kind in ENCAPSULATIONS:
    for inner in (4, 6):
        for outer_family in (4, 6):
            title = f"IPv{inner} in {SHORT[kind].upper().replace('_', ' over ')} over IPv{outer_family}"
            suffix = f"{SHORT[kind]}_ipv{inner}_over_ipv{outer_family}"
            case([10, 12], name=f"leaves_{suffix}", intent=f"A workload's packet leaves as {title}, one hop further.",
                 kind=kind, inner=inner, outer=outer_family)(leaves)
            case([10], name=f"arrives_{suffix}", intent=f"{title} is unwrapped and delivered untouched to the workload that its label or VNI names.",
                 kind=kind, inner=inner, outer=outer_family)(arrives)
