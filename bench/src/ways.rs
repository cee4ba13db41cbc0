//! The directions that are measured: what comes in where, and what must leave.

use std::net::IpAddr;

use packet::InterfaceId;

use crate::frames::{Encapsulation, Mac, Numbered, SMALLEST, Template};

/// A frame of a flow.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// As it comes in.
    pub received: Template,
    /// As it leaves; where flows are spread, in one of these ways.
    pub expected: Vec<Template>,
}

/// Frames of one direction.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where they come in.
    pub interface: InterfaceId,
    /// Flow `n` has the frame of this number, from the start again when they are at their end.
    pub frames: Vec<Exchange>,
}

impl Way {
    fn one(interface: u16, received: Template, expected: Template) -> Self {
        Self::several(interface, vec![Exchange { received, expected: vec![expected] }])
    }

    const fn several(interface: u16, frames: Vec<Exchange>) -> Self {
        Self { interface: InterfaceId(interface), frames }
    }

    /// The frame of a flow.
    #[inline]
    #[must_use]
    pub fn of(&self, flow: u64) -> &Exchange {
        match &*self.frames {
            [only] => only,
            frames => &frames[flow as usize % frames.len()],
        }
    }
}

/// Bytes of IP packets, flow by flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// 64-byte frames.
    Smallest,
    /// Frames of 64, 570 and 1 518 bytes, 7 to 4 to 1.
    Imix,
    /// 1 518-byte frames: IP packets of 1 500 bytes.
    Largest,
}

impl Sizes {
    const fn lengths(self) -> &'static [usize] {
        const S: usize = SMALLEST;
        match self {
            Self::Smallest => &[S],
            Self::Imix => &[S, 552, S, S, 552, S, 1500, S, 552, S, 552, S],
            Self::Largest => &[1500],
        }
    }
}

/// The tunnels of the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// To one of two nodes.
    Udp,
    /// To one node.
    Gre,
    /// To one node.
    Vxlan,
}

/// The vRouter, towards workloads.
const GATEWAY: Mac = [0, 0, 0x5e, 0, 1, 0];
const NODE: Mac = [2, 0, 0x0a, 1, 0, 0x42];
/// The remote router, in VXLAN.
const ROUTER: Mac = [2, 0, 0, 0, 0xaa, 1];
const NODE_ADDRESS: [u8; 4] = [10, 1, 0, 66];
const FABRIC: u16 = 1;

const fn workload(number: u8) -> (Mac, [u8; 4]) {
    ([2, 0, 0, 0, 0, number], [10, 1, 1, number])
}

const fn peer(host: u8) -> (Mac, [u8; 4]) {
    ([2, 0, 10, 1, 0, host], [10, 1, 0, host])
}

fn v6(prefix: u16, host: u16) -> IpAddr {
    IpAddr::from([0xfd00, prefix, 0, 0, 0, 0, 0, host])
}

impl Tunnel {
    /// The outer header towards the outside, the subnet there and the nodes that it leads to.
    const fn out(self) -> (Encapsulation, u8, &'static [u8]) {
        match self {
            Self::Udp => (Encapsulation::MplsOverUdp(39, 63), 16, &[194, 197]),
            Self::Gre => (Encapsulation::MplsOverGre(41, 63), 17, &[195]),
            Self::Vxlan => (Encapsulation::Vxlan(43, GATEWAY, ROUTER), 18, &[196]),
        }
    }

    /// The outer header of what comes for vm2.
    const fn back(self) -> Encapsulation {
        match self {
            Self::Udp => Encapsulation::MplsOverUdp(32, 63),
            Self::Gre => Encapsulation::MplsOverGre(32, 63),
            Self::Vxlan => Encapsulation::Vxlan(36, ROUTER, GATEWAY),
        }
    }
}

/// A workload's address, its floating IP, and the first address of the outside.
fn ends(vm: u8, tunnel: Tunnel, six: bool) -> [IpAddr; 3] {
    let (_, subnet, _) = tunnel.out();
    if six {
        [v6(1, vm.into()), v6(0x101, vm.into()), v6(0xc, 0)]
    } else {
        [workload(vm).1.into(), [101, 101, 101, vm].into(), [172, subnet, 0, 0].into()]
    }
}

/// From a workload (2 or 8), by its floating IP, into a tunnel to one of two nodes.
#[must_use]
pub fn out(vm: u8, sizes: Sizes, tunnel: Tunnel, six: bool) -> Way {
    let [inside, outside, remote] = ends(vm, tunnel, six);
    let (encapsulation, _, hosts) = tunnel.out();
    let exchange = |&length: &usize| {
        let from = |ip, ttl| Template::udp_of(length, ip, remote, ttl, Numbered::Destination);
        let to = |&host: &u8| {
            let (mac, address) = peer(host);
            from(outside, 63).inside(encapsulation, NODE_ADDRESS, address).between(NODE, mac)
        };
        Exchange {
            received: from(inside, 64).between(workload(vm).0, GATEWAY),
            expected: hosts.iter().map(to).collect(),
        }
    };
    Way::several(vm.into(), sizes.lengths().iter().map(exchange).collect())
}

/// The answers to that: of each flow always from the same node.
#[must_use]
pub fn back(sizes: Sizes, tunnel: Tunnel, six: bool) -> Way {
    let [inside, outside, remote] = ends(2, tunnel, six);
    let (_, _, hosts) = tunnel.out();
    let exchange = |(&length, &host): (&usize, &u8)| {
        let (mac, address) = peer(host);
        let to = |ip| Template::udp_of(length, remote, ip, 63, Numbered::Source);
        Exchange {
            received: to(outside).inside(tunnel.back(), address, NODE_ADDRESS).between(mac, NODE),
            expected: vec![to(inside).between(GATEWAY, workload(2).0)],
        }
    };
    // Twelve sizes and two nodes: neighbouring flows have different ones of both.
    let lengths = sizes.lengths().iter().cycle();
    let frames = lengths.zip(hosts.iter().cycle()).map(exchange);
    Way::several(FABRIC, frames.take(sizes.lengths().len().max(hosts.len())).collect())
}

/// From one workload to the many addresses of another one in the same network.
fn between(from: u8, to: u8, subnet: u8, six: bool) -> Way {
    let ((from_mac, source), (to_mac, _)) = (workload(from), workload(to));
    let (source, destination) =
        if six { (v6(1, from.into()), v6(5, 0)) } else { (source.into(), [10, subnet, 0, 0].into()) };
    let at = |ttl| Template::udp(source, destination, ttl, Numbered::Destination);
    Way::one(from.into(), at(64).between(from_mac, GATEWAY), at(63).between(GATEWAY, to_mac))
}

/// Workload to workload, with the rules of both.
#[must_use]
pub fn local(six: bool) -> Way {
    between(2, 6, 5, six)
}

/// Workload to workload by sessions, without rules.
#[must_use]
pub fn session() -> Way {
    between(9, 10, 6, false)
}

/// Workload to workload without sessions: routed by a prefix.
#[must_use]
pub fn hop() -> Way {
    between(5, 4, 4, false)
}

/// A workload with a floating IP to one of the outside's network on this node.
#[must_use]
pub fn translated() -> Way {
    let at = |source: [u8; 4], ttl| {
        Template::udp(source.into(), [172, 19, 0, 0].into(), ttl, Numbered::Destination)
    };
    let received = at(workload(2).1, 64).between(workload(2).0, GATEWAY);
    Way::one(2, received, at([101, 101, 101, 2], 63).between(GATEWAY, workload(7).0))
}

/// From a workload into a tunnel without a floating IP: from vm2 with rules, from vm5 without sessions.
#[must_use]
pub fn tunnelled(vm: u8) -> Way {
    let (mac, source) = workload(vm);
    let (peer_mac, peer_address) = peer(194);
    let at = |ttl| Template::udp(source.into(), [10, 2, 0, 0].into(), ttl, Numbered::Destination);
    let tunnel = Encapsulation::MplsOverUdp(40, 63);
    let expected = at(63).inside(tunnel, NODE_ADDRESS, peer_address).between(NODE, peer_mac);
    Way::one(vm.into(), at(64).between(mac, GATEWAY), expected)
}
