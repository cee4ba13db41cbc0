//! Source NAT of the miss path: how a decision comes to an outside address and port, and how they are given back.

use flow::nat::{Inside, Remote, has_ports};
use flow::{EndReason, FlowKey, Scope, SessionSink, SessionView, Traffic};
use packet::{Facts, InterfaceId, Meta, PacketBuf};

use super::decide::Tuple;
use super::fragment::key_of;
use super::{Context, Datapath};
use crate::tables::{Interface, Outside, SourceNat, Tables};

/// How a decision comes to an outside address and port.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bind {
    /// They are taken for a new session; the hash of its first packet says where to look.
    Claim(u32),
    /// An explanation only looks.
    Foresee(u32),
    /// A session that is decided again keeps what it has.
    Keep(Outside),
}

/// What a decision has bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    nat: u16,
    v6: bool,
    inside: Inside,
    remote: Remote,
    outside: Outside,
}

impl Bind {
    /// Binds a workload's packet to an outside address and port of a pool; `None` if all are taken.
    pub(super) fn bind(
        self,
        nat: &SourceNat,
        sender: InterfaceId,
        tuple: &Tuple,
    ) -> Option<(Bound, Outside)> {
        let v6 = tuple.v6;
        let (inside, remote) = ends(sender, tuple);
        let outside = match self {
            Self::Claim(hash) => nat.claim(v6, &inside, &remote, hash)?,
            Self::Foresee(hash) => nat.foresee(v6, &inside, &remote, hash)?,
            Self::Keep(outside) => {
                Some(outside).filter(|&outside| nat.still_has(v6, has_ports(tuple.protocol), outside))?
            }
        };
        Some((Bound { nat: nat.id, v6, inside, remote, outside }, outside))
    }
}

impl Bound {
    /// Gives back what was claimed for a session that did not come to be.
    pub(super) fn release(&self, tables: &Tables) {
        if let Some(nat) = tables.source_nat(self.nat) {
            nat.release(self.v6, &self.inside, &self.remote, self.outside);
        }
    }
}

/// Both ends of a workload's packet as pools know them.
fn ends(sender: InterfaceId, tuple: &Tuple) -> (Inside, Remote) {
    let Tuple { src, dst, src_port, dst_port, protocol, .. } = *tuple;
    let inside = Inside { interface: sender, address: src, port: src_port, protocol };
    (inside, Remote { address: dst, port: dst_port })
}

/// Tells pools of the sessions that end and rules of what they have decided, before it tells anybody else.
pub(crate) struct Releasing<'a, S> {
    pub(crate) tables: &'a Tables,
    pub(crate) inner: &'a mut S,
}

impl<S: SessionSink> SessionSink for Releasing<'_, S> {
    fn traffic(&mut self, traffic: &Traffic) {
        self.tables.count(traffic);
        self.inner.traffic(traffic);
    }

    fn ended(&mut self, session: &SessionView, reason: EndReason) {
        release(self.tables, session);
        self.inner.ended(session, reason);
    }

    fn is_wanted(&mut self, forward: Scope, reverse: Scope) -> bool {
        self.inner.is_wanted(forward, reverse)
    }
}

/// Gives back the port of a session that has ended.
fn release(tables: &Tables, session: &SessionView) {
    let (key, new) = (&session.forward.key, &session.forward.translation);
    let outside = (new.src, new.src_port);
    if outside == (key.src, key.src_port) || session.reverse.is_none() {
        return;
    }
    let Some(sender) = key.scope.interface() else { return };
    let (inside, remote) = ends(sender, &Tuple::of_key(key));
    for (_, nat) in tables.source_nats.iter() {
        nat.release(key.v6, &inside, &remote, outside);
    }
}

/// The key by which a whole packet to an address that the node shares with workloads is looked up.
pub(super) fn shared_key<B: PacketBuf>(arrival: &Interface, buf: &B, meta: &Meta) -> Option<FlowKey> {
    let scope = arrival.shares(meta.is_ipv6(), &meta.dst)?;
    if meta.facts.contains(Facts::ICMP_ERROR) {
        return super::flows::quoted_key(buf.data(), meta, scope);
    }
    Some(FlowKey::from(meta, scope)).filter(|_| !meta.facts.contains(Facts::LATER_FRAGMENT))
}

impl<B: PacketBuf> Datapath<B> {
    /// Whether a packet to an address that the node shares with workloads is a reply to one of them.
    pub(super) fn is_for_workload(&self, cx: &Context<'_>, arrival: &Interface, i: usize) -> bool {
        let (Some(buf), meta) = (&self.burst.bufs[i], &self.burst.meta[i]) else { return false };
        if let Some(key) = shared_key(arrival, buf, meta) {
            return cx.flows.lookup(&key).is_some();
        }
        // A later fragment goes where its datagram's first went.
        let datagram = arrival
            .shares(meta.is_ipv6(), &meta.dst)
            .and_then(|scope| key_of(cx, buf, meta, scope))
            .and_then(|(key, _)| self.fragments.recall(&key, self.seed));
        datagram.is_some_and(|datagram| datagram.session().is_some())
    }
}
