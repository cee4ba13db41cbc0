"""The compute node that every case runs on, and its neighbours.

    vm1, vm2 … ── vRouter ── fabric ── peers (compute nodes, gateway)

The node is 10.1.0.66 / 2001:db8:a::42 on the fabric subnet; peers are on the same subnet and their
MACs are static neighbours unless a case is about resolving them.
"""

from dataclasses import dataclass, field

from .wire import (
    ENTROPY, GATEWAY_MAC, GRE, MPLS, MPLS_GRE, MPLS_PORT, MPLS_UDP, UDP, VXLAN, VXLAN_L3, VXLAN_PORT,
    Ether, family, label_of, outer,
)

FABRIC_MAC = "02:00:0a:01:00:42"
NODE = {4: "10.1.0.66", 6: "2001:db8:a::42"}
UNDERLAY = {4: "10.1.0.0/24", 6: "2001:db8:a::/64"}
ROUTER_MAC = "02:00:0a:ff:00:c2"  # a peer's router MAC in VXLAN


@dataclass(frozen=True)
class Peer:
    """Another node of the fabric."""

    v4: str
    v6: str
    mac: str

    def address(self, outer_family):
        return self.v4 if outer_family == 4 else self.v6


PEER = Peer("10.1.0.194", "2001:db8:a::c2", "02:00:0a:01:00:c2")
PEER_B = Peer("10.1.0.195", "2001:db8:a::c3", "02:00:0a:01:00:c3")
PEER_C = Peer("10.1.0.196", "2001:db8:a::c4", "02:00:0a:01:00:c4")
GATEWAY = Peer("10.1.0.1", "2001:db8:a::1", "02:00:0a:01:00:01")


@dataclass
class Port:
    """An interface of the vRouter; `put` is its API object, which a case may change before it is built."""

    put: dict
    next_hop: int = 0  # VIRTUAL: the next hop that delivers to it
    routes: list = field(default_factory=list)

    @property
    def id(self):
        return self.put["interface"]["id"]

    @property
    def name(self):
        return self.put["interface"]["name"]

    @property
    def mac(self):
        return self.put["interface"]["mac"]

    def address(self, ip_family):
        return next(a for a in self.put["interface"]["addresses"] if family(a) == ip_family)

    def gateway(self, ip_family):
        return next(a for a in self.put["interface"]["gateways"] if family(a) == ip_family)

    def says(self, packet, dst=GATEWAY_MAC):
        """The frame in which the workload hands `packet` to the vRouter."""
        return Ether(src=self.mac, dst=dst) / packet

    def hears(self, packet):
        """The frame in which the vRouter delivers `packet` to the workload."""
        return Ether(src=GATEWAY_MAC, dst=self.mac) / packet


def encapsulate(kind, src, dst, inner, label, *, ether, sport=ENTROPY, dport=MPLS_PORT, checksum=0, stack=None,
                dscp=None, df=True, ttl=None, inner_macs=(GATEWAY_MAC, ROUTER_MAC), gre=None, shim=None):
    """`inner` in a tunnel packet. `ether`: (source, destination) MAC; `stack`: labels in front of `label`;
    `shim`: fields of the label stack entry that differ; `gre`: optional GRE fields; `checksum`: None = compute."""
    header = Ether(src=ether[0], dst=ether[1]) / outer(src, dst, inner, dscp, df)
    if ttl is not None:
        setattr(header.payload, "ttl" if family(src) == 4 else "hlim", ttl)
    if kind not in (MPLS_UDP, MPLS_GRE):
        ethernet = Ether(src=inner_macs[0], dst=inner_macs[1]) / inner
        return header / UDP(sport=sport, dport=VXLAN_PORT, chksum=checksum) / VXLAN(flags=8, vni=label) / ethernet
    labels = None
    for value in stack or ():
        entry = label_of(value, inner, s=0)
        labels = entry if labels is None else labels / entry
    last = label_of(label, inner, **(shim or {}))
    labels = last if labels is None else labels / last
    if kind == MPLS_UDP:
        return header / UDP(sport=sport, dport=dport, chksum=checksum) / labels / inner
    return header / GRE(proto=0x8847, **(gre or {})) / labels / inner


@dataclass
class Tunnel:
    """A tunnel next hop towards a peer."""

    id: int
    kind: str
    peer: Peer
    outer: int
    put: dict

    def but(self, **fields):
        """The API object with other fields in its tunnel; None takes one away."""
        (_, old), = self.put.items()
        tunnel = {k: v for k, v in {**old["tunnel"], **fields}.items() if v is not None}
        return {"next_hop": {**old, "tunnel": tunnel}}

    def to_peer(self, inner, label, **fields):
        """The frame in which the vRouter sends `inner` to the peer."""
        return encapsulate(self.kind, NODE[self.outer], self.peer.address(self.outer), inner, label,
                           ether=(FABRIC_MAC, self.peer.mac), **fields)

    def to_node(self, inner, label, **fields):
        """The frame in which the peer sends `inner` to the vRouter."""
        fields = {"ttl": 63, "sport": 51966, "inner_macs": (ROUTER_MAC, GATEWAY_MAC), **fields}
        return encapsulate(self.kind, self.peer.address(self.outer), NODE[self.outer], inner, label,
                           ether=(self.peer.mac, FABRIC_MAC), **fields)


def plain_to_peer(packet, peer):
    """An IP packet as the vRouter routes it on the fabric, without tunnel."""
    return Ether(src=FABRIC_MAC, dst=peer.mac) / packet


def plain_to_node(packet, peer):
    """An IP packet that a peer hands to the vRouter without tunnel."""
    return Ether(src=peer.mac, dst=FABRIC_MAC) / packet


# The tenant's world: addresses by family.
VM = {4: "10.1.1.3", 6: "2001:db8:1::3"}
VM2 = {4: "10.1.1.4", 6: "2001:db8:1::4"}
REMOTE = {4: "10.1.2.7", 6: "2001:db8:2::7"}
REMOTE2 = {4: "10.1.2.8", 6: "2001:db8:2::8"}
REMOTE_NET = {4: "10.1.2.0/24", 6: "2001:db8:2::/64"}
OUTSIDE = {4: "172.16.0.100", 6: "2001:db8:c::100"}
ANY = {4: "0.0.0.0/0", 6: "::/0"}
HOST = {4: 32, 6: 128}
SHORT = {MPLS_UDP: "mpls_udp", MPLS_GRE: "mpls_gre", VXLAN_L3: "vxlan"}
