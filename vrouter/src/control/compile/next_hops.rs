//! Rows of the next-hop table.

use std::sync::Arc;

use nexthop::EcmpGroup;
use packet::{DropReason, InterfaceId, Label, NextHopId};

use super::{Compiler, Context, Dirty};
use crate::{
    control::{
        objects::{EcmpSpec, NextHopKind, NextHopSpec},
        store::Store,
        text::Ip,
    },
    tables::{Delivery, Ecmp, EcmpLeaf, NextHop, PeerId, Role, Tables, Tunnel},
};

impl Compiler {
    /// Builds a row again, or takes it away.
    pub(super) fn next_hop(&mut self, cx: &mut Context<'_>, id: NextHopId, dirty: &mut Dirty) {
        let before = cx.tables.next_hop(id).cloned();
        let after = cx.store.next_hop(id).cloned().map(|spec| self.next_hop_row(cx, &spec, before.as_ref()));
        if let Some(NextHop::Tunnel(tunnel)) = &before {
            self.peers.release(tunnel.destination, &mut cx.tables.peers);
        }
        self.tunnels.forget(id);
        if matches!(after, Some(NextHop::Tunnel(_))) {
            dirty.tunnels.insert(id);
        }
        if let Some(NextHop::Interface(Delivery { interface, neighbour: Some((v6, address)), .. })) = after {
            dirty.wanted.push((interface, Ip { v6, address }));
        }
        if leads_elsewhere(before.as_ref(), after.as_ref()) {
            dirty.moved.insert(id);
            // Labels may lead here without any route.
            if before.is_some() {
                dirty.raised.extend([&before, &after].into_iter().flatten().flat_map(local_ends));
            }
        }
        match after {
            Some(row) => drop(cx.tables.next_hops.set(id.0, row)),
            None => drop(cx.tables.next_hops.remove(id.0)),
        }
    }

    fn next_hop_row(
        &mut self,
        cx: &mut Context<'_>,
        spec: &NextHopSpec,
        before: Option<&NextHop>,
    ) -> NextHop {
        let delivery = |interface, neighbour| Delivery { interface, neighbour, mtu: spec.mtu };
        match &spec.kind {
            NextHopKind::Discard => NextHop::Discard,
            NextHopKind::Reject => NextHop::Reject,
            NextHopKind::Receive => NextHop::Receive,
            NextHopKind::Resolve(interface) => NextHop::Resolve(delivery(*interface, None)),
            NextHopKind::Interface(interface, neighbour) => {
                NextHop::Interface(delivery(*interface, neighbour.map(|ip| (ip.v6, ip.address))))
            }
            NextHopKind::Vrf(vrf) => NextHop::Vrf(*vrf),
            NextHopKind::SourceNat(id) => NextHop::SourceNat(*id),
            NextHopKind::Ecmp(spec) => ecmp(cx, spec, before),
            NextHopKind::Tunnel(tunnel) => NextHop::Tunnel(Arc::new(Tunnel {
                peer: self.peers.take(tunnel.destination.address, &mut cx.tables.peers),
                destination: tunnel.destination.address,
                v6: tunnel.destination.v6,
                label: label(tunnel.label),
                // Resolved when the routes of the batch are in place.
                unresolved: DropReason::NextHopUnresolved,
                members: Arc::new([]),
            })),
        }
    }
}

/// A label as the tables hold it: 0 stands for none in the API.
pub(super) const fn label(value: u32) -> Label {
    if value == 0 { Label::NONE } else { Label(value) }
}

/// A group takes over as much as it can from the one in whose place it comes.
fn ecmp(cx: &Context<'_>, spec: &EcmpSpec, before: Option<&NextHop>) -> NextHop {
    let leaves: Vec<EcmpLeaf> =
        spec.members.iter().map(|member| leaf(cx.store, cx.tables, member.next_hop)).collect();
    let before = match before {
        Some(NextHop::Ecmp(before)) => Some(&**before),
        _ => None,
    };
    // The members with the weight of those only that are to be picked from. Nothing is sent to one that leads nowhere.
    let group = |before: Option<&EcmpGroup>, among: fn(&EcmpLeaf) -> bool| {
        let members = spec.members.iter().zip(&leaves).map(|(member, leaf)| nexthop::Member {
            next_hop: member.next_hop,
            label: label(member.label),
            weight: if *leaf != EcmpLeaf::Dead && among(leaf) { member.weight } else { 0 },
        });
        // Groups with too many members were refused when they were read.
        match before {
            Some(before) => before.successor(members).ok(),
            None => EcmpGroup::new(members).ok(),
        }
    };
    let Some(all) = group(before.map(|before| &before.group), |_| true) else { return NextHop::Discard };
    let (mut untunneled, mut local) = (None, None);
    if leaves.iter().any(is_tunnel) {
        let before = before.map(|before| before.untunneled.as_ref().unwrap_or(&before.group));
        untunneled = group(before, |leaf| !is_tunnel(leaf));
    }
    let service = leaves.iter().any(is_local);
    if spec.prefer_local && service {
        let before = before.map(|before| before.local.as_ref().unwrap_or(&before.group));
        local = group(before, is_local);
    }
    NextHop::Ecmp(Arc::new(Ecmp { group: all, untunneled, local, affinity: spec.affinity, leaves, service }))
}

const fn is_tunnel(leaf: &EcmpLeaf) -> bool {
    matches!(leaf, EcmpLeaf::Tunnel(_))
}

const fn is_local(leaf: &EcmpLeaf) -> bool {
    matches!(leaf, EcmpLeaf::Local(_))
}

/// What a member leads to. Members are built before their groups.
fn leaf(store: &Store, tables: &Tables, id: NextHopId) -> EcmpLeaf {
    match tables.next_hop(id) {
        Some(NextHop::Tunnel(tunnel)) => EcmpLeaf::Tunnel(tunnel.peer),
        Some(NextHop::Interface(delivery)) => match store.interface(delivery.interface).map(|spec| spec.role)
        {
            Some(Role::Virtual) => EcmpLeaf::Local(delivery.interface),
            Some(Role::Fabric | Role::Host) => EcmpLeaf::Plain(delivery.interface),
            None => EcmpLeaf::Dead,
        },
        Some(NextHop::Resolve(delivery)) => EcmpLeaf::Plain(delivery.interface),
        _ => EcmpLeaf::Dead,
    }
}

/// The interfaces of this node that a next hop leads to.
fn local_ends(next_hop: &NextHop) -> Vec<InterfaceId> {
    let local = |leaf: &EcmpLeaf| if let EcmpLeaf::Local(interface) = leaf { Some(*interface) } else { None };
    match next_hop {
        NextHop::Interface(delivery) => vec![delivery.interface],
        NextHop::Ecmp(group) => group.leaves.iter().filter_map(local).collect(),
        _ => Vec::new(),
    }
}

/// Whether a flow decided by the one may be wrong by the other. What a tunnel is made of is no part of a decision:
/// a session holds the next hop's number and reads the rest from the tables of the day.
fn leads_elsewhere(before: Option<&NextHop>, after: Option<&NextHop>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return true };
    match (before, after) {
        (NextHop::Discard, NextHop::Discard)
        | (NextHop::Reject, NextHop::Reject)
        | (NextHop::Receive, NextHop::Receive)
        | (NextHop::Tunnel(_), NextHop::Tunnel(_)) => false,
        (NextHop::Resolve(before), NextHop::Resolve(after))
        | (NextHop::Interface(before), NextHop::Interface(after)) => before.interface != after.interface,
        (NextHop::Vrf(before), NextHop::Vrf(after)) => before != after,
        (NextHop::SourceNat(before), NextHop::SourceNat(after)) => before != after,
        (NextHop::Ecmp(before), NextHop::Ecmp(after)) => {
            let identities = |group: &Ecmp| {
                group.group.members().iter().map(|member| (member.next_hop, member.label)).collect::<Vec<_>>()
            };
            let leaf = |leaf: &EcmpLeaf| match leaf {
                EcmpLeaf::Tunnel(_) => EcmpLeaf::Tunnel(PeerId::UNKNOWN),
                leaf => *leaf,
            };
            let leaves = |group: &Ecmp| group.leaves.iter().map(leaf).collect::<Vec<_>>();
            identities(before) != identities(after) || leaves(before) != leaves(after)
        }
        _ => true,
    }
}
