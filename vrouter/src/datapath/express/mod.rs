//! The way of common packets: of established sessions, nothing about them to be decided. They go from bytes to the
//! out interface's output in three loops over the burst, each of which asks the cache for what the next one needs.
//! Everything that is not plain sailing is left untouched for the stages behind ([`super::pipeline`]), which treat
//! every packet, common ones too, and with the same result: golden cases and property tests run both ways.

mod arrive;
mod ways;

use flow::{Probe, Wire, WireKey};
use packet::common::{Common, Ipv4, Ipv6};
use packet::encap::{self, Fields};
use packet::{L4Checksum, PacketBuf};

use super::burst::{BURST, Bits, Leaf};
use super::forward::next_identification;
use super::{Context, Datapath};
use crate::tables::{Interface, Role};
use arrive::{FromFabric, FromWorkload, Receive};
use ways::{Way, Ways};

/// What the stage hands on to the end of the pipeline.
#[derive(Debug)]
pub(super) struct Express {
    /// Whether it is used at all; an explanation looks at every stage.
    enabled: bool,
    /// Bit i: packet i is finished and waits for its turn to leave.
    pub(super) done: u64,
    /// The output of each finished packet.
    pub(super) output: [u8; BURST],
}

impl Express {
    pub(super) const fn new(enabled: bool) -> Self {
        Self { enabled, done: 0, output: [0; BURST] }
    }
}

/// A packet between the loops.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// TCP: the acknowledgement number.
    acknowledgement: u32,
    /// Bytes of the network packet.
    length: u16,
    /// Where its network header begins.
    l3: u16,
    /// The tunnel it came through.
    peer: u16,
    ttl: u8,
    traffic_class: u8,
    tcp: bool,
}

impl Lane {
    #[inline(always)]
    const fn new<A>(common: &Common<A>, l3: u16, peer: u16) -> Self {
        let &Common { acknowledgement, length, ttl, traffic_class, .. } = common;
        Self { acknowledgement, length, l3, peer, ttl, traffic_class, tcp: common.is_tcp() }
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Sees to the common packets of a burst.
    #[inline]
    pub(super) fn express(&mut self, cx: &Context<'_>, arrival: &Interface) {
        self.express.done = 0;
        if !self.express.enabled {
            return;
        }
        match arrival.role {
            Role::Virtual if arrival.needs_flow() => {
                self.express_family::<Ipv4, _>(cx, &mut FromWorkload::new(arrival, false));
                self.express_family::<Ipv6, _>(cx, &mut FromWorkload::new(arrival, true));
            }
            Role::Fabric => {
                self.express_family::<Ipv4, _>(cx, &mut FromFabric::new(cx.tables, arrival));
                self.express_family::<Ipv6, _>(cx, &mut FromFabric::new(cx.tables, arrival));
            }
            Role::Virtual | Role::Host => {}
        }
    }

    /// The packets of one family. The other's are passed over at their ethertype.
    #[inline(always)]
    fn express_family<F: Wire, R: Receive>(&mut self, cx: &Context<'_>, receive: &mut R) {
        if self.burst.live == 0 {
            return;
        }
        let mut lanes = [Lane::default(); BURST];
        let mut keys = [WireKey::<F::Addresses>::default(); BURST];
        let mut probes = [Probe::default(); BURST];
        let mut numbers = [0_u32; BURST];

        let mut found = 0_u64;
        for i in self.burst.live() {
            let Some(buf) = &self.burst.bufs[i] else { continue };
            // A sender that left its checksum to the device is rare on a wire, and so is a chain.
            if !buf.is_whole() || buf.l4_checksum() == L4Checksum::Partial {
                continue;
            }
            let Some((lane, key)) = receive.receive::<F, B>(buf) else { continue };
            keys[i] = key;
            lanes[i] = lane;
            probes[i] = cx.flows.probe::<F>(&keys[i]);
            found |= 1 << i;
        }
        for i in Bits(found) {
            numbers[i] = cx.flows.candidate::<F>(probes[i]);
        }
        let (mut ways, now) = (Ways::new(), cx.now.tick());
        let mut done = 0_u64;
        // Halves about which a packet of this burst is not at one with the session, by their last bits.
        let mut contested = 0_u64;
        for i in Bits(found) {
            let lane = lanes[i];
            let Some((id, half)) = cx.flows.confirm::<F>(&keys[i], probes[i], numbers[i]) else { continue };
            let Some(mark) = half.passes(cx.tables.epoch, lane.tcp) else { continue };
            if R::TUNNEL && mark != lane.peer {
                // It may take the session along to its tunnel: those behind it wait for the answer.
                contested |= 1 << (id.number() % 64);
                continue;
            }
            if contested >> (id.number() % 64) & 1 == 1 {
                continue;
            }
            let leaf = Leaf::cached(half.route());
            let Some(way) = ways.find(cx.tables, &mut self.outputs, leaf, F::V6) else { continue };
            // This vRouter is a hop unless it only delivers what a tunnel brought (SEMANTICS 10).
            let hop = !R::TUNNEL || !matches!(way, Way::Workload { .. });
            let Some(buf) = &mut self.burst.bufs[i] else { continue };
            if (hop && lane.ttl <= 1) || buf.headroom() + usize::from(lane.l3) < encap::WIDEST {
                continue;
            }
            let (l3, length) = (usize::from(lane.l3), lane.length);
            let end = l3 + usize::from(length);
            let output = match *way {
                Way::Workload { output, mtu, ref header } => {
                    if length > mtu {
                        continue;
                    }
                    F::translate(buf.data_mut(), l3, lane.tcp, &F::translation(&half), hop);
                    let Some(front) = buf.reframe::<14>(l3, end, 14) else { continue };
                    *front = *header;
                    output
                }
                Way::Tunnel { output, member, label: own } => {
                    // Out of one tunnel and into another: no workload's session has an entropy port for that.
                    if R::TUNNEL || length > member.inner_mtu {
                        continue;
                    }
                    F::translate(buf.data_mut(), l3, lane.tcp, &F::translation(&half), hop);
                    let identification = if member.template.dont_fragment() {
                        0
                    } else {
                        next_identification(&mut self.identification)
                    };
                    let label = if leaf.label().is_some() { leaf.label() } else { own };
                    let fields = Fields {
                        label,
                        entropy_port: mark,
                        identification,
                        inner_ttl: lane.ttl - 1,
                        inner_traffic_class: lane.traffic_class,
                        inner_v6: F::V6,
                    };
                    if !encap::push_over(buf, l3, end, &member.template, &fields) {
                        continue;
                    }
                    output
                }
            };
            if R::TUNNEL {
                // What the device said about checksums spoke of the outer packet (SEMANTICS 13).
                buf.set_l4_checksum(L4Checksum::Unknown);
            }
            half.account_common(now, u32::from(length), lane.tcp.then_some(lane.acknowledgement));
            self.express.output[i] = output;
            done |= 1 << i;
        }
        self.express.done |= done;
        self.burst.live &= !done;
    }
}
