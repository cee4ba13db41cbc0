"""What the flow stage knows about TCP."""

from golden import *


def scene(c, **fields):
    vm = c.vm("vm1", VM[4], VM[6], policy=True, label=25, **fields)
    tunnel = c.tunnel(MPLS_UDP, PEER)
    route = c.route(REMOTE_NET[4], tunnel, label=40)
    return vm, tunnel, route


def out(c, vm, tunnel, packet):
    c.send(vm, packet)
    c.expect(c.fabric, tunnel.to_peer(hop(packet), 40))


def back(c, vm, tunnel, packet):
    c.send(c.fabric, tunnel.to_node(packet, 25))
    c.expect(vm, packet)


def handshake(c, vm, tunnel):
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4]))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "SA", 9000, 1001, ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=1001, ack=9001))


@case([24])
def a_whole_connection(c):
    """Handshake, data, and a close from both ends pass."""
    vm, tunnel, route = scene(c)
    handshake(c, vm, tunnel)
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="PA", seq=1001, ack=9001, data=payload(20)))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "PA", 9001, 1021, data=payload(30), ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="FA", seq=1021, ack=9031))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "FA", 9031, 1022, ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=1022, ack=9032))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def reset_in_the_window(c):
    """A reset with the sequence number that the other end expects is passed on."""
    vm, tunnel, route = scene(c)
    handshake(c, vm, tunnel)
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "R", 9001, 0, ttl=63))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def reset_outside_the_window(c):
    """A blind reset, far from the sequence number that is expected (RFC 5961 §3), is dropped; the connection lives."""
    vm, tunnel, route = scene(c)
    handshake(c, vm, tunnel)
    c.send(c.fabric, tunnel.to_node(tcp(REMOTE[4], VM[4], 80, 40000, "R", 9001 + (1 << 30), 0, ttl=63), 25))
    c.dropped("tcp_invalid")
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "A", 9001, 1001, ttl=63))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def mid_stream_pick_up(c):
    """A TCP packet of no known flow, allowed by policy, makes one."""
    vm, tunnel, route = scene(c)
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=1001, ack=9001))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "A", 9001, 1001, ttl=63))
    c.mutant(put=[changed(vm, no_tcp_pickup=True)])


@case([24])
def no_pick_up(c):
    """An interface that picks nothing up: a flow begins with a SYN."""
    vm, tunnel, route = scene(c, no_tcp_pickup=True)
    c.send(vm, tcp(VM[4], REMOTE[4], 40001, flags="A", seq=1001, ack=9001))
    c.dropped("tcp_no_syn")
    c.send(c.fabric, tunnel.to_node(tcp(REMOTE[4], VM[4], 80, 40002, "A", 9001, 1001, ttl=63), 25))
    c.dropped("tcp_no_syn")
    handshake(c, vm, tunnel)
    c.mutant(put=[changed(vm, no_tcp_pickup=None)])


for name, flags in (("syn_fin", "SF"), ("syn_reset", "SR"), ("none", ""), ("fin_without_ack", "F"), ("christmas_tree", "FPU")):

    @case([24], name=f"flags_{name}", flags=flags)
    def impossible_flags(c, flags):
        """A combination of flags that no TCP sends: dropped by name; a SYN passes."""
        vm, tunnel, route = scene(c)
        c.send(vm, tcp(VM[4], REMOTE[4], flags=flags), broken=True)
        c.dropped("tcp_invalid")
        out(c, vm, tunnel, tcp(VM[4], REMOTE[4]))
        c.mutant(put=[changed(route, label=41)])


@case([24])
def refused_connection(c):
    """A closed port answers a SYN with a reset whose sequence number is 0: it acknowledges the SYN (RFC 9293 §3.5.3)."""
    vm, tunnel, route = scene(c)
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4]))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "RA", 0, 1001, ttl=63))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def refused_by_the_workload(c):
    """The same in the other direction: the workload refuses."""
    vm, tunnel, route = scene(c)
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], 80, 40000, "RA", 0, 1001))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def reset_by_the_workload(c):
    """The workload aborts its connection."""
    vm, tunnel, route = scene(c)
    handshake(c, vm, tunnel)
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="RA", seq=1001, ack=9001))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def ports_are_used_again(c):
    """Right after a close, a new SYN with the same ports opens a new connection, though time-wait is not over."""
    vm, tunnel, route = scene(c)
    handshake(c, vm, tunnel)
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="FA", seq=1001, ack=9001))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "FA", 9001, 1002, ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=1002, ack=9002))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], seq=700000))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "SA", 50, 700001, ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=700001, ack=51))
    c.mutant(put=[changed(route, label=41)])


@case([24])
def sequence_numbers_wrap(c):
    """Sequence numbers run over 2^32: a reset on the far side of it is where it belongs."""
    vm, tunnel, route = scene(c)
    start = (1 << 32) - 1
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], seq=start))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "SA", start, 0, ttl=63))
    out(c, vm, tunnel, tcp(VM[4], REMOTE[4], flags="A", seq=0, ack=0))
    back(c, vm, tunnel, tcp(REMOTE[4], VM[4], 80, 40000, "R", 0, 0, ttl=63))
    c.mutant(put=[changed(route, label=41)])
