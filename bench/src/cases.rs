//! What is measured: which flows, what comes in where, and what must leave.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use packet::{InterfaceId, PacketBuf};
use vrouter::datapath::BURST;

use crate::frames::{Encapsulation, Mac, Numbered, Template};
use crate::node::{Node, Ring};
use crate::order::Order;

/// Frames of one direction.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where they come in.
    pub interface: InterfaceId,
    /// As they come in.
    pub received: Template,
    /// As they leave.
    pub expected: Template,
}

/// One row of the results.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short, for `--case`.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Conversations.
    pub flows: u32,
    /// The first packets of the conversations, where sessions are wanted.
    pub opening: Option<Way>,
    /// What is measured.
    pub measured: Way,
    /// Every packet opens a session.
    pub new: bool,
}

const VM2: Mac = [2, 0, 0, 0, 0, 2];
const VM3: Mac = [2, 0, 0, 0, 0, 3];
const VM4: Mac = [2, 0, 0, 0, 0, 4];
const VM5: Mac = [2, 0, 0, 0, 0, 5];
/// The vRouter, towards workloads.
const GATEWAY: Mac = [0, 0, 0x5e, 0, 1, 0];
const NODE: Mac = [2, 0, 0x0a, 1, 0, 0x42];
/// The remote router, in VXLAN.
const ROUTER: Mac = [2, 0, 0, 0, 0xaa, 1];
const NODE_ADDRESS: [u8; 4] = [10, 1, 0, 66];
const FLOATING: [u8; 4] = [101, 101, 101, 2];
const FABRIC: InterfaceId = InterfaceId(1);

fn peer(host: u8) -> (Mac, [u8; 4]) {
    ([2, 0, 10, 1, 0, host], [10, 1, 0, host])
}

fn v6(prefix: u16, host: u16) -> IpAddr {
    IpAddr::from([0xfd00, prefix, 0, 0, 0, 0, 0, host])
}

/// From vm2, by its floating IP, into a tunnel.
fn out(inside: IpAddr, outside: IpAddr, to: IpAddr, tunnel: Encapsulation, host: u8) -> Way {
    let (mac, address) = peer(host);
    Way {
        interface: InterfaceId(2),
        received: Template::udp(inside, to, 64, Numbered::Destination).between(VM2, GATEWAY),
        expected: Template::udp(outside, to, 63, Numbered::Destination)
            .inside(tunnel, NODE_ADDRESS, address)
            .between(NODE, mac),
    }
}

/// The answers to that.
fn back(inside: IpAddr, outside: IpAddr, from: IpAddr, tunnel: Encapsulation, host: u8) -> Way {
    let (mac, address) = peer(host);
    Way {
        interface: FABRIC,
        received: Template::udp(from, outside, 63, Numbered::Source)
            .inside(tunnel, address, NODE_ADDRESS)
            .between(mac, NODE),
        expected: Template::udp(from, inside, 63, Numbered::Source).between(GATEWAY, VM2),
    }
}

fn by_floating_ip(subnet: u8, tunnel: Encapsulation, host: u8) -> Way {
    out(IpAddr::from([10, 1, 1, 2]), IpAddr::from(FLOATING), IpAddr::from([172, subnet, 0, 0]), tunnel, host)
}

fn to_floating_ip(subnet: u8, tunnel: Encapsulation, host: u8) -> Way {
    back(IpAddr::from([10, 1, 1, 2]), IpAddr::from(FLOATING), IpAddr::from([172, subnet, 0, 0]), tunnel, host)
}

/// All of them, with at most so many flows.
#[must_use]
pub fn all(most: u32) -> Vec<Case> {
    let udp_out = by_floating_ip(16, Encapsulation::MplsOverUdp(39, 63), 194);
    let udp_back = to_floating_ip(16, Encapsulation::MplsOverUdp(32, 63), 194);
    let gre_out = by_floating_ip(17, Encapsulation::MplsOverGre(41, 63), 195);
    let gre_back = to_floating_ip(17, Encapsulation::MplsOverGre(32, 63), 195);
    let vxlan_out = by_floating_ip(18, Encapsulation::Vxlan(43, GATEWAY, ROUTER), 196);
    let vxlan_back = to_floating_ip(18, Encapsulation::Vxlan(36, ROUTER, GATEWAY), 196);
    let (inside, outside, remote) = (v6(1, 2), v6(0x101, 2), v6(0xc, 0));
    let v6_out = out(inside, outside, remote, Encapsulation::MplsOverUdp(39, 63), 194);
    let v6_back = back(inside, outside, remote, Encapsulation::MplsOverUdp(32, 63), 194);
    // vm3 knows its correspondents by port only.
    let local = Way {
        interface: InterfaceId(2),
        received: Template::udp([10, 1, 1, 2].into(), [10, 1, 1, 3].into(), 64, Numbered::Source)
            .between(VM2, GATEWAY),
        expected: Template::udp([10, 1, 1, 2].into(), [10, 1, 1, 3].into(), 63, Numbered::Source)
            .between(GATEWAY, VM3),
    };
    let hop = Way {
        interface: InterfaceId(5),
        received: Template::udp([10, 1, 1, 5].into(), [10, 4, 0, 0].into(), 64, Numbered::Destination)
            .between(VM5, GATEWAY),
        expected: Template::udp([10, 1, 1, 5].into(), [10, 4, 0, 0].into(), 63, Numbered::Destination)
            .between(GATEWAY, VM4),
    };
    let (peer_mac, peer_address) = peer(194);
    let stateless_out = Way {
        interface: InterfaceId(5),
        received: Template::udp([10, 1, 1, 5].into(), [10, 2, 0, 0].into(), 64, Numbered::Destination)
            .between(VM5, GATEWAY),
        expected: Template::udp([10, 1, 1, 5].into(), [10, 2, 0, 0].into(), 63, Numbered::Destination)
            .inside(Encapsulation::MplsOverUdp(40, 63), NODE_ADDRESS, peer_address)
            .between(NODE, peer_mac),
    };
    let mut cases = Vec::new();
    let mut established = |name, about, flows, opening: &Way, measured: &Way| {
        let (opening, measured) = (Some(opening.clone()), measured.clone());
        cases.push(Case { name, about, flows, opening, measured, new: false });
    };
    let full = "workload to fabric: rules, floating IP, MPLSoUDP";
    let full_back = "fabric to workload: MPLSoUDP, floating IP, rules";
    established("out-1k", full, 1_000, &udp_out, &udp_out);
    established("out-100k", full, 100_000, &udp_out, &udp_out);
    established("out-1m", full, 1_000_000, &udp_out, &udp_out);
    established("in-1k", full_back, 1_000, &udp_out, &udp_back);
    established("in-100k", full_back, 100_000, &udp_out, &udp_back);
    established("in-1m", full_back, 1_000_000, &udp_out, &udp_back);
    established("out-gre", "the same with MPLSoGRE", 1_000, &gre_out, &gre_out);
    established("in-gre", "the same with MPLSoGRE", 1_000, &gre_out, &gre_back);
    established("out-vxlan", "the same with VXLAN", 1_000, &vxlan_out, &vxlan_out);
    established("in-vxlan", "the same with VXLAN", 1_000, &vxlan_out, &vxlan_back);
    established("out-v6", "the same with IPv6 in MPLSoUDP", 1_000, &v6_out, &v6_out);
    established("in-v6", "the same with IPv6 in MPLSoUDP", 1_000, &v6_out, &v6_back);
    established("out-v6-1m", "the same with IPv6 in MPLSoUDP", 1_000_000, &v6_out, &v6_out);
    established("local", "workload to workload: rules of both", 1_000, &local, &local);
    let stateless =
        |name, about, flows, measured| Case { name, about, flows, opening: None, measured, new: false };
    cases.push(stateless("hop", "workload to workload, no session: routed by a prefix", 1_000, hop));
    cases.push(stateless(
        "hop-tunnel",
        "workload to fabric, no session: prefix, MPLSoUDP",
        1_000,
        stateless_out,
    ));
    cases.push(Case {
        name: "new",
        about: "every packet opens a session: rules, floating IP, MPLSoUDP",
        flows: 500_000,
        opening: None,
        measured: udp_out,
        new: true,
    });
    cases.retain(|case| case.flows <= most);
    cases
}

/// A node in the middle of a case.
#[derive(Debug)]
pub struct World<B> {
    node: Node<B>,
    case: Case,
    order: Order,
}

impl<B: PacketBuf> World<B> {
    /// A node whose sessions are open and have been used once in the direction that is measured.
    ///
    /// # Errors
    /// No memory, or a packet that did not leave as it must.
    pub fn open(ring: Ring<B>, case: &Case) -> Result<Self> {
        let sessions = case.flows + case.flows / 8 + 1024;
        let order = if case.new { Order::ascending(case.flows) } else { Order::shuffled(case.flows) };
        let mut world = Self { node: Node::new(ring, sessions)?, case: case.clone(), order };
        if let Some(opening) = &case.opening {
            world.visit_all(opening)?;
            ensure!(world.node.flows().len() == case.flows as usize, "{} sessions", world.node.flows().len());
            world.visit_all(&case.measured)?;
            ensure!(world.node.flows().len() == case.flows as usize, "{} sessions", world.node.flows().len());
        }
        Ok(world)
    }

    fn visit_all(&mut self, way: &Way) -> Result<()> {
        let mut burst = ArrayVec::<B, BURST>::new();
        for first in (0..self.case.flows).step_by(BURST) {
            let flows = first..(first + BURST as u32).min(self.case.flows);
            for flow in flows.clone() {
                let mut buf = self.node.ring().pop().context("a buffer")?;
                way.received.restore(&mut buf, u64::from(flow));
                burst.push(buf);
            }
            self.node.run(way.interface, &mut burst);
            self.node.refill();
            // A sample of them, at every place of a burst in the end.
            let sampled = flows.start + (flows.start / BURST as u32) % flows.len() as u32;
            let behind = (flows.end - sampled) as usize;
            let frame = self.node.ring().newest(behind).next().context("a frame")?;
            ensure!(
                way.expected.matches(frame.data(), u64::from(sampled)),
                "{}: flow {sampled} left as\n{:02x?}, not as\n{:02x?}",
                self.case.name,
                frame.data(),
                way.expected.frame(u64::from(sampled))
            );
        }
        Ok(())
    }

    /// Checks a sample of what leaves.
    ///
    /// # Errors
    /// A packet that did not leave as it must, or that is not accounted for.
    pub fn check(&mut self) -> Result<()> {
        let accounting = self.node.counters().accounting();
        ensure!(accounting.holds(), "{accounting:?}");
        ensure!(accounting.sent == accounting.received, "not everything left: {accounting:?}");
        if !self.case.new {
            let measured = self.case.measured.clone();
            let flows = self.case.flows;
            self.case.flows = flows.min(4096);
            let checked = self.visit_all(&measured);
            self.case.flows = flows;
            checked?;
        }
        Ok(())
    }

    /// One burst: frames restored, the pipeline, the frames taken back.
    #[inline]
    pub fn step(&mut self) {
        let mut burst = self.restore();
        measured_burst(&mut self.node, self.case.measured.interface, &mut burst);
    }

    /// The same without the pipeline.
    #[inline]
    pub fn step_empty(&mut self) {
        let mut burst = self.restore();
        empty_burst(&mut self.node, &mut burst);
    }

    #[inline]
    fn restore(&mut self) -> ArrayVec<B, BURST> {
        let mut burst = ArrayVec::new();
        for _ in 0..BURST {
            let Some(mut buf) = self.node.ring().pop() else { break };
            self.case.measured.received.restore(&mut buf, self.order.draw());
            burst.push(buf);
        }
        burst
    }
}

/// What callgrind counts: `--toggle-collect=*measured_burst*`.
#[inline(never)]
fn measured_burst<B: PacketBuf>(node: &mut Node<B>, interface: InterfaceId, burst: &mut ArrayVec<B, BURST>) {
    node.run(interface, burst);
}

#[inline(never)]
fn empty_burst<B: PacketBuf>(node: &mut Node<B>, burst: &mut ArrayVec<B, BURST>) {
    node.ring().give(burst);
}
