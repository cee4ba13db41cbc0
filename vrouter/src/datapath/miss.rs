//! Packets without a session: found again at another scope, decided and inserted, or refused; and sessions
//! that are decided again because something changed.

use arrayvec::ArrayVec;
use flow::policy::RuleSlot;
use flow::tcp::{self, HalfState, Progress, Segment};
use flow::{
    EndReason, FlowKey, Half, HalfId, InsertError, NewHalf, NewSession, RULES, Scope, ScopeKind,
    Verdict as FlowVerdict,
};
use packet::protocol::ip;
use packet::rewrite::Translation;
use packet::{DropReason, Facts, Meta, NextHopId, PacketBuf, VrfId};

use super::burst::{Leaf, Origin, Slot};
use super::decide::{Decision, Opening, Silent, Tuple, decide};
use super::flows::{icmp_type_code, is_older, peer_of};
use super::moved::{mirrored, prefetch_mirrored};
use super::routes::Routes;
use super::rules::refused_by_rules;
use super::source_nat::Bind;
use super::walk::Pick;
use super::{Context, Datapath, NOBODY};
use crate::tables::{NextHop, PeerId, Tables};

/// So many packets are decided about before the first one's session is inserted: what their inserts will touch is on its
/// way from memory meanwhile.
const GROUP: usize = 8;

/// A packet that was decided about, and has no session yet.
struct Opener {
    packet: usize,
    opening: Opening,
    decision: Decision,
}

impl<B: PacketBuf> Datapath<B> {
    pub(super) fn miss(&mut self, cx: &Context<'_>) {
        // Again for those whose session was found at another scope, and cannot go on from there.
        for _ in 0..2 {
            let misses = self.take_misses();
            if misses.0 == 0 {
                return;
            }
            for i in misses {
                prefetch_mirrored(cx, &self.burst.meta[i], self.burst.slot[i]);
            }
            let mut openers = ArrayVec::<Opener, GROUP>::new();
            for i in misses {
                match self.opener(cx, i) {
                    Ok(Some(opener)) => {
                        cx.flows.prefetch_insert(&self.slots, &opener.decision.reply(), openers.len());
                        openers.push(opener);
                    }
                    Ok(None) => {}
                    Err(reason) => self.refuse(cx, i, reason, 0),
                }
                if openers.is_full() {
                    self.open(cx, &mut openers);
                }
            }
            self.open(cx, &mut openers);
        }
    }

    /// Opens the sessions of packets that were decided about.
    fn open(&mut self, cx: &Context<'_>, openers: &mut ArrayVec<Opener, GROUP>) {
        for Opener { packet, opening, decision } in openers.drain(..) {
            let established = self.establish(cx, packet, &opening, &decision);
            if let Some(bound) = &decision.bound
                && self.worker != NOBODY
                && established != Ok(Established::Now)
            {
                bound.release(cx.tables);
            }
            if let Err(reason) = established {
                self.refuse(cx, packet, reason, 0);
            }
        }
    }

    /// What is to become of packet `i`; nothing if it has a session after all, or why it cannot have one.
    fn opener(&mut self, cx: &Context<'_>, i: usize) -> Result<Option<Opener>, DropReason> {
        let meta = self.burst.meta[i];
        let slot = self.burst.slot[i];
        if meta.facts.contains(Facts::ICMP_ERROR) {
            return Err(DropReason::IcmpErrorNoFlow);
        }
        let mut to = Routes::to(cx.tables, meta.is_ipv6(), &meta.dst);
        if let Some((id, moved)) = mirrored(cx, &mut to, &meta, slot) {
            self.counters.flow_rekeyed.add(u64::from(moved));
            self.hit(cx, i, id);
            return Ok(None);
        }
        let opening = opening_of(&meta, slot, self.burst.bufs[i].as_ref());
        let bind = if self.worker == NOBODY { Bind::Foresee(meta.hash) } else { Bind::Claim(meta.hash) };
        let decision = decide(&mut to, &opening, Pick::New(meta.hash), bind, &mut Silent);
        Ok(Some(Opener { packet: i, opening, decision }))
    }

    /// Makes the session that was decided about, and lets its first packet go on.
    fn establish(
        &mut self,
        cx: &Context<'_>,
        i: usize,
        opening: &Opening,
        decision: &Decision,
    ) -> Result<Established, DropReason> {
        let (meta, slot) = (self.burst.meta[i], self.burst.slot[i]);
        if decision.receive && decision.refused.is_none() {
            self.burst.slot[i].leaf = Leaf::RECEIVE;
            return Ok(Established::No);
        }
        let tcp =
            self.begin_tcp(&meta, i, picks_up(cx.tables, opening, decision)).map_err(
                |reason| match reason {
                    // The far end knows nothing of a port that a pool has only just given.
                    DropReason::TcpNoSyn if decision.bound.is_some() => DropReason::SnatMidstream,
                    reason => reason,
                },
            )?;
        if let Some(reason) = decision.refused.filter(|&reason| !refused_by_rules(reason)) {
            return Err(reason);
        }
        let session = session(&SessionPlan {
            tables: cx.tables,
            opening,
            decision,
            key: FlowKey::from(&meta, slot.scope),
            tcp,
            entropy: slot.entropy,
            limits: limits(cx.tables, [slot.scope, decision.reverse_scope]),
            reply_peer: tunnel_peer(cx.tables, decision.leaf),
        });
        let mut inserted = cx.flows.insert(&mut self.slots, &session, cx.now.tick());
        if let Err(InsertError::ReverseTaken(other)) = inserted
            && gives_way(cx, other)
        {
            self.end_session(cx, other, EndReason::Replaced);
            inserted = cx.flows.insert(&mut self.slots, &session, cx.now.tick());
        }
        match inserted {
            Ok(reference) => {
                self.counters.flow_created.add(1);
                let id = reference.session.forward();
                cx.flows.half(id).account(cx.now.tick(), u32::from(meta.end - meta.l3));
                self.open_if_first(cx, i, id);
                if let Some(reason) = decision.refused {
                    return Err(reason);
                }
                let slot = &mut self.burst.slot[i];
                slot.half = Some(id);
                slot.leaf = decision.leaf;
                Ok(Established::Now)
            }
            // The same conversation was opened a moment ago, by this burst or by another worker.
            Err(InsertError::Exists(id)) => {
                self.hit(cx, i, id);
                Ok(Established::No)
            }
            Err(error) => Err(decision.refused.unwrap_or_else(|| reason_of(&error))),
        }
    }

    /// What a TCP session begins with: state and acknowledgement of both halves.
    fn begin_tcp(
        &mut self,
        meta: &Meta,
        i: usize,
        picks_up: bool,
    ) -> Result<[(HalfState, u32); 2], DropReason> {
        if meta.protocol != ip::TCP || meta.facts.contains(Facts::LATER_FRAGMENT) {
            return Ok([(HalfState::NONE, 0); 2]);
        }
        let segment = self.segment(i, meta).ok_or(DropReason::InvalidL4)?;
        let begun = tcp::open(&segment, picks_up)?;
        self.counters.tcp_pickup.add(u64::from(segment.flags & packet::protocol::tcp::SYN == 0));
        Ok(begun)
    }

    /// A segment of a known TCP session.
    pub(super) fn track_tcp(&self, cx: &Context<'_>, i: usize, id: HalfId) -> Result<Progress, DropReason> {
        let segment = self.segment(i, &self.burst.meta[i]).ok_or(DropReason::InvalidL4)?;
        tcp::on_segment(&cx.flows.half(id), &cx.flows.half(id.other()), &segment, id.is_reverse())
    }

    fn segment(&self, i: usize, meta: &Meta) -> Option<Segment> {
        let header = self.burst.bufs[i].as_ref()?.data().get(usize::from(meta.l4)..usize::from(meta.end))?;
        let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags] = *header.first_chunk()?;
        Some(Segment {
            flags,
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            len: (header.len() as u32).saturating_sub(u32::from(offset >> 4) * 4),
        })
    }

    /// Whether a session decided before the last change still holds; if it does, it is good for this epoch.
    /// A session that goes another way now has ended when this returns `false`.
    pub(super) fn still_holds(&mut self, cx: &Context<'_>, id: HalfId) -> bool {
        if is_outlived(cx, id) {
            self.end_session(cx, id, EndReason::Replaced);
            return false;
        }
        let half = cx.flows.half(id);
        if half.is_pinned() {
            return true;
        }
        let forward = cx.flows.half(id.session().forward());
        let reverse = cx.flows.half(id.session().reverse());
        let binding = VrfId(cx.flows.binding(id.session()));
        let opening = opening_again(cx.tables, &forward, &reverse, binding);
        if !is_older(half.validated_at(), changed_at(cx.tables, &opening, &forward, binding)) {
            half.set_validated_at(cx.tables.epoch);
            return true;
        }
        self.counters.flow_redecided.add(1);
        let opening = match self.follow_opener(cx, id, binding) {
            Some(()) => opening_again(cx.tables, &forward, &reverse, binding),
            None => opening,
        };
        let hash = forward.key().hash(&self.hasher) as u32;
        let pin = Leaf::cached(forward.route());
        let had = forward.translation();
        let mut to = Routes::to(cx.tables, opening.tuple.v6, &opening.tuple.dst);
        let bind = Bind::Keep((had.src, had.src_port));
        let decision = decide(&mut to, &opening, Pick::Pinned(pin, hash), bind, &mut Silent);
        match decision.refused {
            Some(reason) if refused_by_rules(reason) => {
                if let Some(session) = cx.flows.reference(id) {
                    cx.flows.set_rules(session, rule_slots(&decision));
                }
                // Both directions: a reply must not open the conversation again from the other side.
                forward.set_verdict(FlowVerdict::Drop(reason), cx.tables.epoch);
                reverse.set_verdict(FlowVerdict::Drop(reason), cx.tables.epoch);
                return true;
            }
            Some(_) => {}
            None => {
                let reply = decision.translated.reversed();
                let same_wire = !decision.receive
                    && Tuple::of_key(&reverse.key()) == reply
                    && self.follow_replies(cx, id, decision.reverse_scope, decision.leaf);
                if same_wire {
                    let far = far_end(forward.scope(), &decision);
                    forward.set_route(decision.leaf.instead_of(forward.route()) | far);
                    if decision.reverse_leaf != Leaf::default() {
                        reverse.set_route(decision.reverse_leaf.instead_of(reverse.route()));
                    }
                    if let Some(session) = cx.flows.reference(id) {
                        cx.flows.set_rules(session, rule_slots(&decision));
                    }
                    forward.set_verdict(FlowVerdict::Forward, cx.tables.epoch);
                    reverse.set_verdict(FlowVerdict::Forward, cx.tables.epoch);
                    return true;
                }
            }
        }
        self.end_session(cx, id, EndReason::Replaced);
        false
    }
}

/// Whether an interface of a session was deleted since, and another one has its id now: the sweep has not been
/// there yet, but whoever has the id starts without a past.
pub(super) fn is_outlived(cx: &Context<'_>, id: HalfId) -> bool {
    let (half, other) = (cx.flows.half(id), cx.flows.half(id.other()));
    // What rules refuse has one half only.
    let halves = [Some(&half), Some(&other).filter(|_| half.forwards())];
    let halves = || halves.into_iter().flatten();
    // A half that is new at its place was never validated there.
    let validated = halves().map(Half::validated_at).reduce(|a, b| if is_older(a, b) { b } else { a });
    let interfaces = halves().filter_map(|half| cx.tables.interface(half.scope().interface()?));
    let mut births = interfaces.map(|row| row.born);
    births.any(|born| {
        // A birth long past says nothing on a counter that wraps.
        let recent = cx.tables.epoch.wrapping_sub(born) < flow::OLDEST_EPOCH;
        recent && validated.is_some_and(|validated| is_older(validated, born))
    })
}

/// Whether a session ends when another one needs the key of its replies: a connection that is over does.
fn gives_way(cx: &Context<'_>, id: HalfId) -> bool {
    let (half, other) = (cx.flows.half(id), cx.flows.half(id.other()));
    is_outlived(cx, id) || tcp::connection(half.tcp(), other.tcp()).is_over()
}

/// Whether a packet without a session has one now that did not exist before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Established {
    Now,
    No,
}

/// All that a new session is made of.
struct SessionPlan<'p> {
    tables: &'p Tables,
    opening: &'p Opening,
    decision: &'p Decision,
    key: FlowKey,
    tcp: [(HalfState, u32); 2],
    entropy: u16,
    limits: [u32; 2],
    /// The tunnel that it goes into: replies through the same one need no closer look.
    reply_peer: PeerId,
}

fn session(plan: &SessionPlan<'_>) -> NewSession {
    let SessionPlan { tables, opening, decision, key, tcp, entropy, limits, reply_peer } = *plan;
    let original = opening.tuple;
    let translated = decision.translated;
    let there = Translation::new(&original.plain(), &translated.plain());
    let verdict = decision.refused.map_or(FlowVerdict::Forward, FlowVerdict::Drop);
    let direct = if opening.direct.0 != 0 { Leaf::DIRECT } else { 0 };
    let elsewhere = |scope: Scope| {
        let own = scope.interface().and_then(|id| tables.interface(id)).map(|interface| interface.vrf);
        // Where a label names the workload no VRF has been asked.
        let known = own.is_some() && opening.direct.0 != 0 || own == Some(opening.vrf);
        if known { 0 } else { Leaf::ELSEWHERE }
    };
    let from_fabric = opening.workload.is_none();
    let far = if from_fabric { far_end(key.scope, decision) } else { 0 };
    let forward = NewHalf {
        key,
        translation: there,
        verdict,
        tcp: tcp[0].0,
        tcp_ack: tcp[0].1,
        entropy_or_peer: if from_fabric { peer_of(opening.origin, opening.peer).0 } else { entropy },
        validated_at: tables.epoch,
        route: decision.leaf.0 | direct | elsewhere(key.scope) | far,
    };
    // The reply of a local workload leaves this node if the opener is elsewhere; the reply from the fabric
    // comes through the tunnel that the session goes into.
    let reply_from_workload = decision.destination.is_some();
    let reverse = NewHalf {
        key: decision.reply(),
        translation: there.of_answers(&original.reversed().plain()),
        verdict,
        tcp: tcp[1].0,
        tcp_ack: tcp[1].1,
        entropy_or_peer: if reply_from_workload { entropy } else { reply_peer.0 },
        validated_at: tables.epoch,
        route: decision.reverse_leaf.0 | elsewhere(decision.reverse_scope),
    };
    NewSession {
        forward,
        // A refused conversation has no replies; the other side's own openings are decided by themselves.
        reverse: decision.refused.is_none().then_some(reverse),
        rules: rule_slots(decision),
        binding: opening.vrf.0,
        limits,
        pinned: false,
    }
}

/// The mark of a session that rests on an interface which its packets do not come from: what the fabric brings from an
/// address that a workload of this node has.
fn far_end(scope: Scope, decision: &Decision) -> u64 {
    let is_local =
        scope.kind() != Some(ScopeKind::FromWorkload) && decision.reverse_leaf.interface().is_some();
    if is_local { Leaf::ELSEWHERE } else { 0 }
}

/// The counters of the rules that decided.
fn rule_slots(decision: &Decision) -> [RuleSlot; RULES] {
    decision.rules.map(|rule| rule.map_or(RuleSlot::NONE, |rule| rule.slot))
}

/// The peer at the other end of the tunnel that a leaf stands for.
pub(super) fn tunnel_peer(tables: &Tables, leaf: Leaf) -> PeerId {
    match (leaf.interface(), tables.next_hop(leaf.id())) {
        (None, Some(NextHop::Tunnel(tunnel))) => tunnel.peer,
        _ => PeerId::UNKNOWN,
    }
}

/// Why a session was not inserted, as a packet's end.
const fn reason_of(error: &InsertError) -> DropReason {
    match error {
        InsertError::InterfaceLimit(_) => DropReason::FlowLimitInterface,
        InsertError::DeniedLimit => DropReason::FlowLimitDenied,
        // The reply's key belongs to another session: no port is free for this one.
        InsertError::ReverseTaken(_) | InsertError::SelfMirrored => DropReason::FlowCollision,
        InsertError::TableFull | InsertError::Exists(_) => DropReason::FlowTableFull,
    }
}

/// Why a session between these keys would not be inserted now, for whoever explains a packet.
pub(super) fn foresee(cx: &Context<'_>, forward: &FlowKey, reverse: &FlowKey) -> Option<DropReason> {
    let limits = limits(cx.tables, [forward.scope, reverse.scope]);
    match cx.flows.refusal(forward, reverse, limits, cx.now.tick())? {
        InsertError::ReverseTaken(other) if gives_way(cx, other) => None,
        error => Some(reason_of(&error)),
    }
}

/// The session limits of the interfaces that the two halves count against.
fn limits(tables: &Tables, scopes: [Scope; 2]) -> [u32; 2] {
    scopes.map(|scope| {
        scope.interface().and_then(|id| tables.interface(id)).map_or(0, |interface| interface.flow_limit)
    })
}

/// Whether a TCP session may begin in mid-stream: as the workload that opens it does, else the one that receives it.
/// One that needs a new port of a pool never does (SEMANTICS 24).
fn picks_up(tables: &Tables, opening: &Opening, decision: &Decision) -> bool {
    let charged = opening.workload.or(decision.destination).and_then(|id| tables.interface(id));
    decision.bound.is_none() && charged.is_none_or(|interface| interface.tcp_pickup)
}

pub(super) fn opening_of<B: PacketBuf>(meta: &Meta, slot: Slot, buf: Option<&B>) -> Opening {
    Opening {
        origin: slot.origin,
        workload: (slot.origin == Origin::Workload).then_some(slot.arrival),
        vrf: slot.vrf,
        direct: slot.direct,
        peer: slot.peer,
        tuple: Tuple::of(meta),
        icmp: buf.map_or((0, 0), |buf| icmp_type_code(buf.data(), meta)),
    }
}

/// The packet that opened a session, from what the session remembers.
fn opening_again(tables: &Tables, forward: &Half<'_>, reverse: &Half<'_>, vrf: VrfId) -> Opening {
    let key = forward.key();
    let scope = key.scope;
    let sender = match scope.kind() {
        Some(ScopeKind::FromWorkload) => scope.interface(),
        // A workload without policy that talks to one with it.
        _ => Leaf::cached(reverse.route()).interface(),
    };
    let peer = PeerId(forward.entropy_or_peer());
    let origin = match (sender, peer) {
        (Some(_), _) => Origin::Workload,
        (None, PeerId::UNKNOWN) => Origin::Plain,
        (None, _) => Origin::Tunnel,
    };
    let direct =
        if forward.route() & Leaf::DIRECT != 0 { direct_again(tables, scope, forward) } else { NextHopId(0) };
    let echo = if key.v6 { (128, 0) } else { (8, 0) };
    let icmp = match (key.protocol, key.dst_port) {
        (1 | 58, 0) => echo,
        (1 | 58, class) => ((class - 1) as u8, 0),
        _ => (0, 0),
    };
    let peer = if origin == Origin::Workload { PeerId::UNKNOWN } else { peer };
    Opening { origin, workload: sender, vrf, direct, peer, tuple: Tuple::of_key(&key), icmp }
}

/// The next hop that a label named: the service itself, or the one that leads to the workload.
fn direct_again(tables: &Tables, scope: Scope, forward: &Half<'_>) -> NextHopId {
    match (scope.kind(), Leaf::cached(forward.route()).interface()) {
        (Some(ScopeKind::Service), _) => NextHopId(scope.id()),
        (_, Some(interface)) => {
            tables.interface(interface).map_or(NextHopId(0), |interface| interface.delivery)
        }
        _ => NextHopId(0),
    }
}

/// The epoch of the last change that concerns a session: its two ends, and the VRF that its first packet was routed in,
/// unless a label named the next hop.
fn changed_at(tables: &Tables, opening: &Opening, forward: &Half<'_>, vrf: VrfId) -> u32 {
    let receiver = Leaf::cached(forward.route()).interface();
    let ends = [opening.workload, receiver].into_iter().flatten().map(|id| tables.interface(id));
    // If an interface is gone, everything about the session is in question.
    let ends = ends.map(|row| row.map_or(tables.epoch, |row| tables.settled(row)));
    let routed = (opening.direct.0 == 0).then(|| tables.vrf_epoch(vrf));
    tables.newest(ends.chain(routed))
}
