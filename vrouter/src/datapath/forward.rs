//! From a decision to bytes on an out interface: TTL, MTU, translation, encapsulation, Ethernet.

use packet::encap::{self, EthernetHeader, Fields};
use packet::protocol::{ether_type, ip, tcp};
use packet::{DropReason, Facts, L4Checksum, Label, Meta, PacketBuf, checksum, rewrite};

use super::burst::{Bits, Leaf, Origin, Verdict};
use super::hold::Wanted;
use super::routes::Routes;
use super::{Context, Datapath, Ports, walk};
use crate::tables::{Delivery, Interface, NeighbourState, NextHop, Role, Tables, Tunnel, TunnelMember};

/// The way out, with everything that is known before the packet is touched.
#[derive(Clone, Copy)]
pub(super) enum Exit<'t> {
    /// To a local workload.
    Workload(&'t Interface),
    /// As plain IP, out of a fabric interface, to a gateway or to the destination itself.
    Plain(&'t Interface, Delivery),
    /// Into a tunnel.
    Tunnel(&'t TunnelMember, Label),
}

/// A packet that is ready to leave.
#[derive(Clone, Copy)]
pub(super) enum Sent<'t> {
    /// By this interface.
    Out(&'t Interface),
    /// As soon as its neighbour is known.
    Wait(Wanted),
}

impl Exit<'_> {
    /// Largest network packet that fits; 0 = no limit.
    pub(super) fn mtu(&self) -> u16 {
        match self {
            Self::Workload(interface) => interface.mtu,
            Self::Plain(interface, to) if to.mtu == 0 => interface.mtu,
            Self::Plain(_, to) => to.mtu,
            Self::Tunnel(member, _) => member.inner_mtu,
        }
    }
}

/// The way out that a leaf stands for in this generation.
pub(super) fn exit(tables: &Tables, leaf: Leaf, entropy: u16) -> Result<Exit<'_>, DropReason> {
    if let Some(id) = leaf.interface() {
        return tables.interface(id).map(Exit::Workload).ok_or(DropReason::InterfaceDown);
    }
    match tables.next_hop(leaf.id()) {
        Some(NextHop::Tunnel(tunnel)) => {
            let label = if leaf.label().is_some() { leaf.label() } else { tunnel.label };
            Ok(Exit::Tunnel(uplink(tunnel, entropy)?, label))
        }
        Some(NextHop::Interface(to) | NextHop::Resolve(to)) => {
            let interface = tables.interface(to.interface).ok_or(DropReason::InterfaceDown)?;
            Ok(if interface.role == Role::Virtual {
                Exit::Workload(interface)
            } else {
                Exit::Plain(interface, *to)
            })
        }
        Some(NextHop::Discard) => Err(DropReason::Discard),
        Some(NextHop::Reject) => Err(DropReason::Reject),
        // A leaf whose kind has changed since: the next packet is decided again.
        Some(NextHop::Receive | NextHop::Ecmp(_) | NextHop::Vrf(_) | NextHop::SourceNat(_)) | None => {
            Err(DropReason::NextHopUnknown)
        }
    }
}

/// The entropy port is the flow's for life, so the flow keeps its uplink while that is there.
fn uplink(tunnel: &Tunnel, entropy: u16) -> Result<&TunnelMember, DropReason> {
    match &tunnel.members[..] {
        [] => Err(tunnel.unresolved),
        [one] => Ok(one),
        several => {
            // All 14 bits of entropy, multiplied and shifted: no division.
            let share = usize::from(entropy & 0x3fff) * several.len();
            Ok(&several[share >> 14])
        }
    }
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn forward<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        // In the order in which they came, whichever way they took: a flow's packets do not overtake each other.
        for i in Bits(self.burst.live | self.express.done) {
            if self.express.done >> i & 1 == 1 {
                if let Some(buf) = self.burst.bufs[i].take() {
                    self.outputs.push_to(self.express.output[i], buf);
                }
                continue;
            }
            let slot = self.burst.slot[i];
            if slot.leaf == Leaf::RECEIVE {
                self.receive(cx, i);
                continue;
            }
            let exit = match exit(cx.tables, slot.leaf, slot.entropy) {
                Ok(exit) => exit,
                Err(reason) => {
                    self.refuse(cx, i, reason, 0);
                    continue;
                }
            };
            // This vRouter is a hop unless it only delivers what a tunnel brought (SEMANTICS 10).
            let is_hop = slot.origin != Origin::Tunnel || !matches!(exit, Exit::Workload(_));
            let meta = &self.burst.meta[i];
            if is_hop && meta.ttl <= 1 {
                self.refuse(cx, i, DropReason::TtlExceeded, 0);
                continue;
            }
            let mtu = exit.mtu();
            if mtu != 0 && meta.end - meta.l3 > mtu {
                self.too_big(cx, i, exit, is_hop, ports);
                continue;
            }
            if let Err(reason) = self.rewrite(cx, i, &exit, is_hop) {
                self.refuse(cx, i, reason, 0);
                continue;
            }
            self.leave(cx, i, exit);
        }
    }

    /// Dresses packet `i` for its way out and ends it.
    pub(super) fn leave(&mut self, cx: &Context<'_>, i: usize, exit: Exit<'_>) {
        let Some(mut buf) = self.burst.bufs[i].take() else { return };
        let meta = self.burst.meta[i];
        match self.dress(cx, exit, &mut buf, &meta, self.burst.slot[i].entropy) {
            Ok(Sent::Out(interface)) => {
                self.burst.end(i, Verdict::Queued);
                self.outputs.push(interface, buf);
            }
            Ok(Sent::Wait(wanted)) => {
                self.burst.end(i, Verdict::Held);
                self.park(cx, self.burst.slot[i].arrival, wanted, buf);
            }
            Err(reason) => {
                self.burst.bufs[i] = Some(buf);
                self.burst.end(i, Verdict::Dropped(reason));
            }
        }
    }

    /// Puts the headers of the way out in front of a network packet that is otherwise finished.
    pub(super) fn dress<'t>(
        &mut self,
        cx: &Context<'t>,
        exit: Exit<'t>,
        buf: &mut B,
        meta: &Meta,
        entropy: u16,
    ) -> Result<Sent<'t>, DropReason> {
        // A checksum that a guest left to the device is completed before the packet leaves.
        if buf.l4_checksum() == L4Checksum::Partial && checksum::complete(buf.data_mut(), meta) {
            buf.set_l4_checksum(L4Checksum::Verified);
        }
        // Ethernet padding and the old link-layer or tunnel header stay behind.
        buf.truncate(usize::from(meta.end));
        if !buf.shrink_front(usize::from(meta.l3)) {
            return Err(DropReason::Truncated);
        }
        match exit {
            Exit::Workload(interface) => {
                ethernet(buf, meta, interface.mac, interface.gateway_mac)?;
                Ok(Sent::Out(interface))
            }
            Exit::Plain(interface, to) => {
                let (v6, address) = to.neighbour.unwrap_or((meta.is_ipv6(), meta.dst));
                match cx.tables.neighbours.get(interface.id, v6, &address) {
                    Some(NeighbourState::Resolved(mac)) => {
                        ethernet(buf, meta, mac, interface.mac)?;
                        Ok(Sent::Out(interface))
                    }
                    Some(NeighbourState::Failed) => Err(DropReason::NeighbourFailed),
                    None => {
                        ethernet(buf, meta, [0; 6], interface.mac)?;
                        Ok(Sent::Wait(Wanted { interface: interface.id, v6, address }))
                    }
                }
            }
            Exit::Tunnel(_, label) if !label.is_some() => Err(DropReason::NoLabel),
            Exit::Tunnel(member, label) => {
                let interface = cx.tables.interface(member.interface).ok_or(DropReason::TxDown)?;
                let identification =
                    if member.template.dont_fragment() { 0 } else { self.next_identification() };
                encap::push(buf, &member.template, &Fields::new(meta, label, entropy, identification))?;
                if member.resolved {
                    return Ok(Sent::Out(interface));
                }
                let (v6, address) = member.neighbour;
                Ok(Sent::Wait(Wanted { interface: member.interface, v6, address }))
            }
        }
    }

    pub(super) fn next_identification(&mut self) -> u16 {
        next_identification(&mut self.identification)
    }

    /// The session's translation, the TTL where this vRouter is a hop, the MSS that fits.
    pub(super) fn rewrite(
        &mut self,
        cx: &Context<'_>,
        i: usize,
        exit: &Exit<'_>,
        is_hop: bool,
    ) -> Result<(), DropReason> {
        let mss = self.mss(cx, i, exit);
        let burst = &mut self.burst;
        let (Some(buf), meta) = (&mut burst.bufs[i], &mut burst.meta[i]) else {
            return Err(DropReason::NoBuffer);
        };
        if is_hop {
            rewrite::decrement_ttl(buf, meta)?;
        }
        if let Some(limit) = mss {
            rewrite::clamp_mss(buf, meta, limit);
        }
        let Some(half) = burst.slot[i].half else { return Ok(()) };
        let half = cx.flows.half(half);
        if !half.is_translated() {
            return Ok(());
        }
        let translation = half.translation();
        if !meta.facts.contains(Facts::ICMP_ERROR) {
            rewrite::apply(buf, meta, &translation);
        } else if !rewrite::translate_icmp_error(buf, meta, &translation) {
            return Err(DropReason::IcmpErrorNoFlow);
        }
        Ok(())
    }

    /// The largest TCP segment that fits through the tunnel on this packet's way or on its answer's
    /// (SEMANTICS 12); only SYN packets ask.
    fn mss(&self, cx: &Context<'_>, i: usize, exit: &Exit<'_>) -> Option<u16> {
        let meta = &self.burst.meta[i];
        if meta.protocol != ip::TCP || meta.l4_flags & tcp::SYN == 0 || !meta.facts.contains(Facts::L4) {
            return None;
        }
        let slot = &self.burst.slot[i];
        let headers = if meta.is_ipv6() { 60 } else { 40 };
        let back = match exit {
            Exit::Tunnel(member, _) => return Some(member.inner_mtu.saturating_sub(headers)),
            _ if slot.origin != Origin::Tunnel => return None,
            _ => match slot.half {
                Some(half) => Leaf::cached(cx.flows.half(half.other()).route()),
                None => {
                    let vrf = cx.tables.interface(slot.leaf.interface()?)?.vrf;
                    let mut to = Routes::to(cx.tables, meta.is_ipv6(), &meta.src);
                    walk::back(&mut to, vrf, slot.origin, slot.peer)?.leaf
                }
            },
        };
        match self::exit(cx.tables, back, slot.entropy) {
            Ok(Exit::Tunnel(member, _)) => Some(member.inner_mtu.saturating_sub(headers)),
            _ => None,
        }
    }
}

/// Each worker has its own part of the identification space (SEMANTICS 27).
pub(super) fn next_identification(last: &mut u16) -> u16 {
    *last = (*last & 0xf000) | (last.wrapping_add(1) & 0x0fff);
    *last
}

/// Puts an Ethernet header in front of the network header.
pub(super) fn ethernet<B: PacketBuf>(
    buf: &mut B,
    meta: &Meta,
    to: [u8; 6],
    from: [u8; 6],
) -> Result<(), DropReason> {
    let ether_type = if meta.is_ipv6() { ether_type::IPV6 } else { ether_type::IPV4 };
    encap::push_ethernet(buf, &EthernetHeader { destination: to, source: from, vlan: None }, ether_type)
}
