//! From a destination to the leaf that forwards it: FIB, VRF translation, ECMP.

use nexthop::{FibResult, client_hash};
use packet::{Address, DropReason, InterfaceId, Label, Meta, NextHopId, VrfId};

use super::burst::{Leaf, Origin, Slot};
use super::routes::{MAX_STEPS, Routes};
use crate::tables::{Affinity, Ecmp, EcmpLeaf, NextHop, PeerId, Role, Rpf};

/// How a member of an ECMP group is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pick {
    /// For a new session: by weight.
    New(u32),
    /// For a session that has chosen before: the same member while it is in the group, else by weight.
    Pinned(Leaf, u32),
    /// Without a session: the resilient table. Stops at a service, whose flows are always pinned.
    Stateless(u32),
}

/// Where the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At a local workload.
    Local(InterfaceId),
    /// At a tunnel or a fabric interface.
    Out(Leaf),
    /// At an address of the vRouter itself.
    Receive,
    /// At a service or a pool of source NAT ([`Pick::Stateless`]).
    Service(NextHopId),
    /// At an address of a pool of source NAT.
    SourceNat(u16),
}

/// The result of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) end: End,
    /// The VRF of the last look-up.
    pub(super) vrf: VrfId,
    /// The route that was found there; `None` if a label named the next hop.
    pub(super) route: Option<FibResult>,
    /// The group that picked, and the member: an index.
    pub(super) picked: Option<(NextHopId, usize)>,
}

/// Where a walk begins: at a destination, or at the next hop that a label named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    pub(super) vrf: VrfId,
    pub(super) direct: NextHopId,
    pub(super) source: &'a Address,
    pub(super) origin: Origin,
}

impl<'a> Start<'a> {
    /// At a packet of the burst.
    pub(super) const fn at(meta: &'a Meta, slot: &Slot) -> Self {
        Self { vrf: slot.vrf, direct: slot.direct, source: &meta.src, origin: slot.origin }
    }
}

/// Walks from a destination to a leaf.
#[inline]
pub(super) fn walk(to: &mut Routes<'_>, start: Start<'_>, pick: Pick) -> Result<Walk, DropReason> {
    let tables = to.tables;
    let mut vrf = start.vrf;
    let mut route = None;
    let mut label = Label::NONE;
    let mut picked = None;
    let mut id = start.direct;
    if id.0 == 0 {
        let found = to.in_vrf(vrf).ok_or(DropReason::NoRoute)?;
        id = found.next_hop();
        label = found.label();
        route = Some(found);
    }
    for _ in 0..MAX_STEPS {
        let next_hop = tables.next_hop(id);
        let next_hop = match next_hop {
            Some(next_hop) => next_hop,
            None if id.0 == 0 => return Err(DropReason::Discard),
            None => return Err(DropReason::NextHopUnknown),
        };
        let end = match next_hop {
            NextHop::Discard => return Err(DropReason::Discard),
            NextHop::Reject => return Err(DropReason::Reject),
            NextHop::Receive => to_node(to, vrf),
            NextHop::Resolve(_) => End::Out(Leaf::next_hop(id, label)),
            NextHop::Interface(delivery) => match tables.interface(delivery.interface) {
                Some(interface) if interface.role == Role::Virtual => End::Local(interface.id),
                Some(_) => End::Out(Leaf::next_hop(id, label)),
                None => return Err(DropReason::InterfaceDown),
            },
            NextHop::Tunnel(_) => End::Out(Leaf::next_hop(id, label)),
            NextHop::Vrf(other) => {
                vrf = *other;
                let found = to.in_vrf(vrf).ok_or(DropReason::NoRoute)?;
                id = found.next_hop();
                label = found.label();
                route = Some(found);
                continue;
            }
            NextHop::SourceNat(_) if matches!(pick, Pick::Stateless(_)) => End::Service(id),
            NextHop::SourceNat(pool) => End::SourceNat(*pool),
            NextHop::Ecmp(ecmp) if ecmp.service && matches!(pick, Pick::Stateless(_)) => End::Service(id),
            NextHop::Ecmp(ecmp) => {
                let slot = choose(ecmp, label, &start, pick)?;
                picked = Some((id, slot));
                let member = &ecmp.group.members()[slot];
                if let EcmpLeaf::Local(interface) = ecmp.leaves[slot] {
                    End::Local(interface)
                } else {
                    End::Out(Leaf::next_hop(member.next_hop, effective(label, member.label)))
                }
            }
        };
        return Ok(Walk { end, vrf, route, picked });
    }
    Err(DropReason::LookupLoop)
}

/// An address of the vRouter itself, or of the node's own stack where that listens behind a HOST interface.
fn to_node(to: &Routes<'_>, vrf: VrfId) -> End {
    to.tables.node_at(vrf, to.v6, &to.address).map_or(End::Receive, End::Local)
}

/// A route's own label goes before that of the group's member.
fn effective(route: Label, member: Label) -> Label {
    if route.is_some() { route } else { member }
}

/// Picks a member: an index into `group.members()` and `leaves`.
fn choose(ecmp: &Ecmp, label: Label, start: &Start<'_>, pick: Pick) -> Result<usize, DropReason> {
    // SEMANTICS 7: what came through a tunnel, or to a port of the node, has chosen this node already, and never goes back
    // to the fabric.
    let from_tunnel = start.origin == Origin::Tunnel || start.direct.0 != 0;
    if let Pick::Pinned(leaf, _) = pick {
        let pinned = ecmp.group.members().iter().zip(&ecmp.leaves).position(|(member, end)| match end {
            EcmpLeaf::Dead => false,
            EcmpLeaf::Tunnel(_) if from_tunnel => false,
            EcmpLeaf::Local(interface) => leaf == Leaf::local(*interface),
            _ => leaf == Leaf::next_hop(member.next_hop, effective(label, member.label)),
        });
        if let Some(slot) = pinned {
            return Ok(slot);
        }
    }
    let hash = match (ecmp.affinity, pick) {
        (Affinity::Client, _) => client_hash(start.source),
        (Affinity::Flow, Pick::New(hash) | Pick::Pinned(_, hash) | Pick::Stateless(hash)) => hash,
    };
    let all = ecmp.untunneled.as_ref().filter(|_| from_tunnel).unwrap_or(&ecmp.group);
    let local = ecmp.local.as_ref().and_then(|local| local.pick(hash));
    let none = if from_tunnel { DropReason::NoLocalMember } else { DropReason::EcmpEmpty };
    local.or_else(|| all.pick(hash)).ok_or(none)
}

/// What the route back to a source says about the tunnel a packet came through (SEMANTICS 9).
pub(super) fn rpf(to: &mut Routes<'_>, mode: Rpf, vrf: VrfId, origin: Origin, peer: PeerId) -> bool {
    match mode {
        Rpf::Off => return true,
        Rpf::Loose if origin == Origin::Tunnel => return peer != PeerId::UNKNOWN,
        Rpf::Loose | Rpf::Strict => {}
    }
    match back(to, vrf, origin, peer) {
        Some(Back { through: true, .. }) => true,
        // A workload's packet was bound to its interface already.
        _ => origin == Origin::Workload,
    }
}

/// The route back to a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    /// The leaf towards the source: of an ECMP group, the member the packet came through (SEMANTICS 8).
    pub(super) leaf: Leaf,
    /// Whether the packet came the way the route back goes.
    pub(super) through: bool,
}

/// Finds the route back to a source, given how the packet came.
pub(super) fn back(to: &mut Routes<'_>, vrf: VrfId, origin: Origin, peer: PeerId) -> Option<Back> {
    let tables = to.tables;
    let mut vrf = vrf;
    for _ in 0..MAX_STEPS {
        let route = to.in_vrf(vrf)?;
        let id = route.next_hop();
        let leaf = Leaf::next_hop(id, route.label());
        return Some(match tables.next_hop(id)? {
            NextHop::Vrf(other) => {
                vrf = *other;
                continue;
            }
            NextHop::Tunnel(tunnel) => {
                Back { leaf, through: origin == Origin::Tunnel && tunnel.peer == peer }
            }
            NextHop::Resolve(_) => Back { leaf, through: origin == Origin::Plain },
            NextHop::Interface(delivery) => {
                let interface = tables.interface(delivery.interface)?;
                if interface.role == Role::Virtual {
                    Back { leaf: Leaf::local(interface.id), through: false }
                } else {
                    Back { leaf, through: origin == Origin::Plain }
                }
            }
            NextHop::Ecmp(ecmp) => {
                let came = ecmp.leaves.iter().position(|member| match member {
                    EcmpLeaf::Tunnel(other) => origin == Origin::Tunnel && *other == peer,
                    EcmpLeaf::Plain(_) => origin == Origin::Plain,
                    EcmpLeaf::Local(_) | EcmpLeaf::Dead => false,
                });
                let slot = came.or_else(|| ecmp.group.pick(0))?;
                let member = ecmp.group.members().get(slot)?;
                let leaf = match ecmp.leaves.get(slot)? {
                    EcmpLeaf::Local(interface) => Leaf::local(*interface),
                    _ => Leaf::next_hop(member.next_hop, effective(route.label(), member.label)),
                };
                Back { leaf, through: came.is_some() }
            }
            NextHop::Receive | NextHop::SourceNat(_) => {
                // The node's stack is known by its interface: nobody else is believed to be it.
                Back { leaf: Leaf::local(tables.node_at(vrf, to.v6, &to.address)?), through: false }
            }
            NextHop::Discard | NextHop::Reject => return None,
        });
    }
    None
}
