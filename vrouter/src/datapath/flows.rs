//! Every packet's session: scopes and keys of the whole burst, one look-up for all, then the hits.

use flow::tcp::Progress;
use flow::{EndReason, FlowKey, HalfId, Scope, Verdict as FlowVerdict};
use packet::hash::entropy_port;
use packet::{DropReason, Facts, Meta, PacketBuf};

use super::burst::{BURST, Bits, Leaf, Origin, Verdict};
use super::routes::Routes;
use super::walk::{self, End, Pick, Start};
use super::{Context, Datapath};
use crate::tables::PeerId;

/// What the flow stage keeps between its steps.
#[derive(Debug)]
pub(super) struct Staged {
    keys: [FlowKey; BURST],
    at: [u8; BURST],
    found: [Option<HalfId>; BURST],
    count: usize,
    /// Packets without a session yet.
    pub(super) misses: u64,
}

impl Default for Staged {
    fn default() -> Self {
        Self { keys: [FlowKey::default(); BURST], at: [0; BURST], found: [None; BURST], count: 0, misses: 0 }
    }
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn find_flows(&mut self, cx: &Context<'_>) {
        self.staged.count = 0;
        self.staged.misses = 0;
        for i in self.burst.live() {
            match self.scope(cx, i) {
                Ok(None) => {}
                Ok(Some(scope)) => {
                    self.burst.slot[i].scope = scope;
                    self.stage(cx, i, scope);
                }
                Err(reason) => self.refuse(cx, i, reason, 0),
            }
        }
        let count = self.staged.count;
        let staged = &mut self.staged;
        cx.flows.lookup_burst(&staged.keys[..count], &mut staged.found[..count]);
        for n in 0..count {
            let i = usize::from(self.staged.at[n]) & (BURST - 1);
            match self.staged.found[n] {
                Some(half) => self.hit(cx, i, half),
                None => self.staged.misses |= 1 << i,
            }
        }
    }

    /// The key that the first packet of the burst was looked up by, if it was.
    pub(super) fn staged_key(&self) -> Option<FlowKey> {
        (self.staged.count > 0).then_some(self.staged.keys[0])
    }

    /// Whose conversation a packet is part of (SEMANTICS 1 and 3); `None` if neither end needs to know,
    /// and then the packet is routed already.
    fn scope(&mut self, cx: &Context<'_>, i: usize) -> Result<Option<Scope>, DropReason> {
        let meta = &mut self.burst.meta[i];
        let slot = &mut self.burst.slot[i];
        let hash = self.hasher.packet(meta, 0);
        meta.hash = (hash >> 32) as u32;
        slot.entropy = entropy_port(hash);
        let Some(arrival) = cx.tables.interface(slot.arrival) else {
            return Err(DropReason::InterfaceDown);
        };
        if slot.origin == Origin::Workload {
            if arrival.needs_flow() {
                return Ok(Some(Scope::from_workload(arrival.id)));
            }
            if arrival.gateways(meta.is_ipv6()).contains(&meta.dst) {
                slot.leaf = Leaf::RECEIVE;
                return Ok(None);
            }
        } else if slot.origin == Origin::Plain
            && slot.direct.0 == 0
            && arrival.addresses(meta.is_ipv6()).contains(&meta.dst)
            && arrival.shares(meta.is_ipv6(), &meta.dst).is_none()
        {
            slot.leaf = Leaf::RECEIVE;
            return Ok(None);
        }
        let mut to = Routes::to(cx.tables, meta.is_ipv6(), &meta.dst);
        let walked = walk::walk(&mut to, Start::at(meta, slot), Pick::Stateless(meta.hash))?;
        slot.vrf = walked.vrf;
        match walked.end {
            End::Service(id) => return Ok(Some(Scope::service(id))),
            // Only sessions know more about a pool's address; a stateless walk ends there as at a service.
            End::SourceNat(_) => return Err(DropReason::SnatUnsolicited),
            End::Receive => slot.leaf = Leaf::RECEIVE,
            End::Out(leaf) => slot.leaf = leaf,
            End::Local(id) => match cx.tables.interface(id) {
                Some(interface) if interface.needs_flow() => return Ok(Some(Scope::to_workload(id))),
                _ => slot.leaf = Leaf::local(id),
            },
        }
        Ok(None)
    }

    /// Queues a packet for the common look-up, or finds its session another way.
    fn stage(&mut self, cx: &Context<'_>, i: usize, scope: Scope) {
        if self.burst.meta[i].facts.contains(Facts::FRAGMENT) {
            match self.fragment(cx, i, scope) {
                Ok(true) => {}
                Ok(false) => return,
                Err(reason) => return self.burst.end(i, Verdict::Dropped(reason)),
            }
        }
        let meta = &self.burst.meta[i];
        let Some(buf) = &self.burst.bufs[i] else { return };
        let mut key = FlowKey::from(meta, scope);
        if meta.facts.contains(Facts::ICMP_ERROR) {
            let Some(quoted) = quoted_key(buf.data(), meta, scope) else {
                return self.burst.end(i, Verdict::Dropped(DropReason::IcmpErrorNoFlow));
            };
            key = quoted;
        }
        let n = self.staged.count & (BURST - 1);
        self.staged.keys[n] = key;
        self.staged.at[n] = i as u8;
        self.staged.count = n + 1;
    }

    /// A packet of a known session.
    pub(super) fn hit(&mut self, cx: &Context<'_>, i: usize, id: HalfId) {
        let half = cx.flows.half(id);
        // SEMANTICS 17: one comparison while nothing changed.
        if is_older(half.validated_at(), cx.tables.epoch) && !self.still_holds(cx, id) {
            return self.staged_miss(i);
        }
        let meta = self.burst.meta[i];
        if let FlowVerdict::Drop(reason) = half.verdict() {
            half.account(cx.now.tick(), u32::from(meta.end - meta.l3));
            self.open_if_first(cx, i, id);
            return self.refuse(cx, i, reason, 0);
        }
        let slot = self.burst.slot[i];
        if slot.origin == Origin::Workload {
            self.burst.slot[i].entropy = half.entropy_or_peer();
        } else if (half.entropy_or_peer() != slot.peer.0
            || slot.origin == Origin::Tunnel && slot.peer == PeerId::UNKNOWN)
            && !meta.facts.contains(Facts::ICMP_ERROR)
            && !self.follows_peer(cx, i, id)
        {
            return self.burst.end(i, Verdict::Dropped(DropReason::InvalidSource));
        }
        if meta.protocol == packet::protocol::ip::TCP && meta.facts.contains(Facts::L4) {
            match self.track_tcp(cx, i, id) {
                Ok(Progress::Going | Progress::Reopened) => {}
                // The other side opens a new connection on the ports of one that has ended.
                Ok(Progress::Renew) => {
                    self.end_session(cx, id, EndReason::Replaced);
                    return self.staged_miss(i);
                }
                Err(reason) => return self.burst.end(i, Verdict::Dropped(reason)),
            }
        }
        half.account(cx.now.tick(), u32::from(meta.end - meta.l3));
        let slot = &mut self.burst.slot[i];
        slot.half = Some(id);
        slot.leaf = Leaf::cached(half.route());
        self.open_if_first(cx, i, id);
    }

    /// A datagram's first fragment tells the others where they belong, refused ones too.
    pub(super) fn open_if_first(&mut self, cx: &Context<'_>, i: usize, id: HalfId) {
        let facts = self.burst.meta[i].facts;
        if facts.contains(Facts::FRAGMENT) && !facts.contains(Facts::LATER_FRAGMENT) {
            self.open_datagram(cx, i, id);
        }
    }

    /// The packets still to be decided about, once.
    pub(super) fn take_misses(&mut self) -> Bits {
        Bits(std::mem::take(&mut self.staged.misses) & self.burst.live)
    }

    fn staged_miss(&mut self, i: usize) {
        self.staged.misses |= 1 << i;
    }

    /// A packet of an established session came through another tunnel than the last one (SEMANTICS 8, 9):
    /// if the route back goes there too, replies follow it.
    fn follows_peer(&mut self, cx: &Context<'_>, i: usize, id: HalfId) -> bool {
        let slot = self.burst.slot[i];
        let half = cx.flows.half(id);
        let Some(receiver) = Leaf::cached(half.route()).interface().and_then(|id| cx.tables.interface(id))
        else {
            return false;
        };
        let meta = &self.burst.meta[i];
        let vrf = super::moved::back_vrf(receiver, &half, slot);
        let mut to = Routes::to(cx.tables, meta.is_ipv6(), &meta.src);
        if !walk::rpf(&mut to, receiver.rpf, vrf, slot.origin, slot.peer) {
            return false;
        }
        half.set_entropy_or_peer(slot.peer.0);
        if let Some(back) = walk::back(&mut to, vrf, slot.origin, slot.peer).filter(|b| b.through) {
            let other = cx.flows.half(id.other());
            if other.route() != back.leaf.0 {
                other.set_route(back.leaf.instead_of(other.route()));
                self.counters.ecmp_repin.add(1);
            }
        }
        true
    }
}

/// An error belongs to the conversation that caused it: it looks like a reply to it.
pub(super) fn quoted_key(data: &[u8], meta: &Meta, scope: Scope) -> Option<FlowKey> {
    let quoted = packet::quoted(data, meta).filter(|quoted| quoted.l4_present)?;
    let reply = quoted.reply();
    Some(FlowKey {
        src: reply.src,
        dst: reply.dst,
        src_port: reply.src_port,
        dst_port: reply.dst_port,
        protocol: quoted.protocol,
        ..FlowKey::from(meta, scope)
    })
}

/// Whether `then` is before `now` on a counter that wraps.
#[inline]
pub(super) const fn is_older(then: u32, now: u32) -> bool {
    (now.wrapping_sub(then) as i32) > 0
}

/// The ICMP type and code of a packet; zeros for other protocols.
pub(super) fn icmp_type_code(data: &[u8], meta: &Meta) -> (u8, u8) {
    let is_icmp = matches!(meta.protocol, 1 | 58) && !meta.facts.contains(Facts::LATER_FRAGMENT);
    let at = usize::from(meta.l4);
    match data.get(at..at + 2) {
        Some([icmp_type, code]) if is_icmp => (*icmp_type, *code),
        _ => (0, 0),
    }
}

/// The peer of a packet that came as plain IP is nobody.
pub(super) const fn peer_of(origin: Origin, peer: PeerId) -> PeerId {
    match origin {
        Origin::Tunnel => peer,
        Origin::Workload | Origin::Plain => PeerId::UNKNOWN,
    }
}
