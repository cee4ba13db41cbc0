"""A case: tables, what comes in, what must come out, which counters move, and a table that must make it fail."""

import inspect
import ipaddress
import pathlib

from . import files
from .topology import FABRIC_MAC, NODE, ROUTER_MAC, UNDERLAY, Peer, Port, Tunnel
from .wire import GATEWAY_MAC, VXLAN_L3, family

KINDS = ("network_policy", "vrf", "security_group", "interface", "next_hop", "mpls_label", "vni", "route", "floating_ip", "source_nat", "link_local_service", "flow")
VRFS = {0: "fabric", 1: "red", 2: "public", 3: "blue"}
REGISTRY = []


def case(semantics=(), requires=(), name=None, intent=None, **arguments):
    """Registers a function that builds a case. Its module is the group, its name the case, its docstring
    the intent. `requires`: what a backend must have (`control`: the control thread and its timers;
    `short_frames`: a wire that carries less than an Ethernet header).
    `arguments` go to the function, for cases that differ by a parameter."""

    def register(function):
        group = pathlib.Path(inspect.getfile(function)).stem
        text = " ".join((intent or inspect.getdoc(function)).split())
        REGISTRY.append((group, name or function.__name__, text, semantics, requires, function, arguments))
        return function

    return register


def key_of(item):
    """An object with its key fields only: what `delete:` names."""
    (kind, fields), = item.items()
    keys = {
        "route": ("vrf", "prefix", "origin"), "mpls_label": ("label",), "vni": ("vni",),
        "flow": tuple(k for k in fields if k != "action"),
    }.get(kind, ("id",))
    return {kind: {k: fields[k] for k in keys if k in fields}}


def changed(item, **fields):
    """`item` with other fields; a field set to None is left out."""
    (kind, old), = (item.put if hasattr(item, "put") else item).items()
    return {kind: {k: v for k, v in {**old, **fields}.items() if v is not None}}


class Case:
    """Collects one case. Time goes on by 1 ms with every packet and every change of the tables."""

    def __init__(self, group, name, intent, semantics=(), requires=()):
        self.group, self.name, self.intent = group, name, intent
        self.semantics, self.requires = sorted(semantics), sorted(requires)
        self.tables, self.changes, self.mutants = [], {}, ([], [])
        self.neighbours, self.inputs, self.outputs = [], {}, {}
        self.drops, self.interface_drops = {}, {}
        self.account = dict.fromkeys(("originated", "copied", "consumed", "punted", "held"), 0)
        self.entropy, self.odd = {}, {}
        self.now, self.settle, self.last = 0, 0, None
        self._next_hop = 9
        self.vrf(0)
        self.fabric = Port(self.put("interface", id=1, name="fabric", role="FABRIC", vrf=0, mac=FABRIC_MAC,
                                    addresses=[f"{NODE[4]}/24", f"{NODE[6]}/64"]))
        self.on_link = self.put("next_hop", id=1, resolve={"interface": 1})
        self.underlay = [self.put("route", vrf=0, prefix=p, next_hop=1) for p in UNDERLAY.values()]

    # tables

    def put(self, kind, **fields):
        """Adds an object to the tables and returns it; None leaves a field out."""
        item = {kind: {k: v for k, v in fields.items() if v is not None}}
        self.tables.append(item)
        return item

    def vrf(self, number):
        if not any(t.get("vrf", {}).get("id") == number for t in self.tables):
            self.put("vrf", id=number, name=VRFS[number])

    def next_hop(self, **kind):
        """A next hop of any kind; returns its id."""
        self._next_hop += 1
        self.put("next_hop", id=self._next_hop, **kind)
        return self._next_hop

    def vm(self, name, *addresses, vrf=1, groups=(), policy=False, label=None, next_hop_fields=None, **fields):
        """A workload, its gateway, the next hop that delivers to it and the routes of its addresses.
        `label`: an MPLS label that names it. With groups, policy is on."""
        self.vrf(vrf)
        number = 1 + sum("interface" in t for t in self.tables)
        gateways = sorted({str(ipaddress.ip_interface(f"{a}/{24 if family(a) == 4 else 64}").network[1]) for a in addresses})
        put = self.put("interface", id=number, name=name, role="VIRTUAL", vrf=vrf, mac=f"02:00:00:00:01:{number:02x}",
                       addresses=list(addresses), gateways=gateways,
                       policy=True if groups or policy else None,
                       security_groups=list(groups) or None, **fields)
        port = Port(put, self.next_hop(interface={"interface": number}, **(next_hop_fields or {})))
        for address in addresses:
            prefix = f"{address}/{32 if family(address) == 4 else 128}"
            port.routes.append(self.route(prefix, port.next_hop, vrf=vrf, groups=groups))
        if label:
            port.label = self.put("mpls_label", label=label, next_hop=port.next_hop)
        return port

    def tunnel(self, kind, peer: Peer, outer=4, neighbour=True, mtu=None, **fields):
        """A tunnel next hop towards `peer`, whose MAC is known."""
        if kind == VXLAN_L3:
            fields.setdefault("router_mac", ROUTER_MAC)
        number = self.next_hop(tunnel={"encapsulation": kind, "destination": peer.address(outer), **fields}, mtu=mtu)
        if neighbour:
            self.neighbour(peer.address(outer), peer.mac)
        return Tunnel(number, kind, peer, outer, self.tables[-1])

    def neighbour(self, address, mac):
        entry = {"interface": "fabric", "address": address, "mac": mac}
        if entry not in self.neighbours:
            self.neighbours.append(entry)

    def route(self, prefix, to, label=None, vrf=1, groups=(), **fields):
        """A route to a next hop (an id, a `Tunnel` or a `Port`)."""
        self.vrf(vrf)
        number = to if isinstance(to, int) else to.next_hop if isinstance(to, Port) else to.id
        return self.put("route", vrf=vrf, prefix=prefix, next_hop=number, label=label,
                        security_groups=list(groups) or None, **fields)

    def label(self, value, to=None, vrf=None):
        """What an MPLS label stands for: a next hop, or a VRF to look up in."""
        return self._named("mpls_label", "label", value, to, vrf)

    def vni(self, value, to=None, vrf=None):
        """What a VNI stands for."""
        return self._named("vni", "vni", value, to, vrf)

    def _named(self, kind, key, value, to, vrf):
        if vrf is not None:
            self.vrf(vrf)
        return self.put(kind, **{key: value}, next_hop=to and to.next_hop, vrf=vrf)

    def security_group(self, number, *rules):
        """A security group; its rules are numbered from 1."""
        return self.put("security_group", id=number, name=f"sg{number}",
                        rules=[{"id": i, **rule} for i, rule in enumerate(rules, 1)])

    # time

    def change(self, put=(), delete=()):
        """Changes the tables now, between two packets."""
        self.now += 1
        self.changes[self.now] = files.change(*_edits(put, delete))

    def wait(self, seconds):
        """Lets time pass: after the last packet too."""
        self.now += int(seconds * 1000)
        self.settle = self.now

    def mutant(self, put=(), delete=()):
        """The change of the tables that must make the case fail."""
        puts, deletes = _edits(put, delete)
        self.mutants[0].extend(puts)
        self.mutants[1].extend(deletes)

    # packets

    def send(self, port, packet, broken=False, dst=None):
        """A frame comes in: on a VIRTUAL port an IP packet is put into the workload's Ethernet frame.
        `broken`: it is malformed on purpose."""
        self.now += 1
        self.last = port
        if not isinstance(packet, bytes):
            packet = bytes(packet if packet.name == "Ethernet" else port.says(packet, dst or GATEWAY_MAC))
        if broken:
            self.odd.setdefault(f"in.{port.name}", []).append(len(self.inputs.get(port.name, [])))
        self.inputs.setdefault(port.name, []).append((self.now, packet))

    def expect(self, port, packet, originated=False, entropy=None, bad_checksum=False):
        """A frame must go out. `originated`: the vRouter made it. `entropy`: the same letter, the same
        source port; another letter, another port. `bad_checksum`: wrong on arrival, and still as wrong."""
        if not isinstance(packet, bytes):
            packet = bytes(packet if packet.name == "Ethernet" else port.hears(packet))
        index = len(self.outputs.setdefault(port.name, []))
        self.outputs[port.name].append((self.now, packet))
        self.account["originated"] += originated
        if bad_checksum:
            self.odd.setdefault(f"out.{port.name}", []).append(index)
        if entropy:
            letters = self.entropy.setdefault(port.name, [])
            letters.extend([None] * (index - len(letters)))
            letters.append(entropy)

    def dropped(self, reason, port=None, count=1):
        """The last packet (or `count` of them) is dropped, counted on the interface it came in by."""
        name = (port or self.last).name
        self.drops[reason] = self.drops.get(reason, 0) + count
        self.interface_drops[name] = self.interface_drops.get(name, 0) + count

    def counted(self, **counts):
        """What else moved in the accounting: consumed, punted, held, copied, originated."""
        for name, count in counts.items():
            self.account[name] += count

    # files

    def counters(self):
        """Every counter that moves: what the frames imply, and the accounting equation (SEMANTICS 15)."""
        interfaces = {}
        for frames, way in ((self.inputs, "rx"), (self.outputs, "tx")):
            for name, list_ in frames.items():
                counts = interfaces.setdefault(name, {})
                counts[f"{way}_packets"] = len(list_)
                counts[f"{way}_bytes"] = sum(len(frame) for _, frame in list_)
        for name, count in self.interface_drops.items():
            interfaces[name]["dropped"] = count
        account = {
            "received": sum(map(len, self.inputs.values())), "originated": self.account["originated"],
            "copied": self.account["copied"], "sent": sum(map(len, self.outputs.values())),
            "consumed": self.account["consumed"], "punted": self.account["punted"], "held": self.account["held"],
            "dropped": sum(self.drops.values()),
        }
        arrived = account["received"] + account["originated"] + account["copied"]
        ended = sum(account[k] for k in ("sent", "consumed", "punted", "held", "dropped"))
        assert arrived == ended, f"{self.group}/{self.name}: the accounting does not balance: {account}"
        return {
            "interfaces": dict(sorted(interfaces.items())), "drops": dict(sorted(self.drops.items())),
            "accounting": {k: v for k, v in account.items() if v},
        }

    def about(self):
        """The content of case.yaml."""
        text = {"intent": self.intent, "semantics": self.semantics, "seed": 1}
        optional = {"requires": self.requires, "settle_ms": self.settle, "entropy": self.entropy, "odd": self.odd}
        text.update({k: v for k, v in optional.items() if v})
        body = files.mapping(text)
        if self.neighbours:
            body += "neighbours:\n" + "".join(f"- {files.flow(n)}\n" for n in self.neighbours)
        return body

    def write(self, root):
        """Writes the case's directory."""
        assert any(self.mutants), f"{self.group}/{self.name} has no mutant"
        directory = root / self.group / self.name
        directory.mkdir(parents=True)
        ordered = sorted(self.tables, key=lambda t: KINDS.index(next(iter(t))))
        expect = {k: v for k, v in self.counters().items() if v}
        texts = {
            "case": self.about(), "tables": files.objects(ordered), "mutant": files.change(*self.mutants),
            "expect": "".join(_block(k, v) for k, v in expect.items()),
            **{f"change.{time}": text for time, text in self.changes.items()},
        }
        for name, text in texts.items():
            (directory / f"{name}.yaml").write_text(text)
        for way, all_frames in (("in", self.inputs), ("out", self.outputs)):
            for name, frames in all_frames.items():
                files.write_pcap(directory / f"{way}.{name}.pcap", frames)


def _edits(put, delete):
    plain = [item.put if hasattr(item, "put") and not isinstance(item, dict) else item for item in put]
    return plain, [key_of(item.put if hasattr(item, "put") and not isinstance(item, dict) else item) for item in delete]


def _block(key, value):
    return f"{key}:\n" + "".join(f"  {name}: {files.flow(item)}\n" for name, item in value.items())
