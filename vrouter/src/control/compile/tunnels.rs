//! What a tunnel stands on: its destination is looked up in its transport VRF and followed, through ecmp
//! and vrf next hops, to neighbours on fabric interfaces; for each there is a template. Whatever was
//! looked at on the way is remembered, so that a change of it leads back to the tunnel (SEMANTICS 21).

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use nexthop::{FibResult, Hop, Uplink, resolve};
use packet::{
    DropReason, NextHopId, VrfId,
    encap::{self, Template},
};

use super::{Compiler, Context, Wanted, grounds::Trail};
use crate::{
    control::{
        objects::{InterfaceSpec, NextHopKind, TunnelSpec},
        text::Ip,
    },
    tables::{NeighbourState, NextHop, Role, TunnelMember, v4_number},
};

/// Most uplinks of one tunnel.
const MAX_MEMBERS: usize = 64;

impl Compiler {
    /// Resolves tunnels again. Returns the neighbours they need and nobody has asked for.
    pub(super) fn tunnels(&mut self, cx: &mut Context<'_>, ids: &BTreeSet<NextHopId>) -> Wanted {
        let mut wanted = Wanted::new();
        for &id in ids {
            let Some(spec) = cx.store.next_hop(id).cloned() else { continue };
            let NextHopKind::Tunnel(tunnel) = &spec.kind else { continue };
            let mut trail = trail(cx, tunnel.transport_vrf, tunnel.destination);
            let mut unresolved = DropReason::NextHopUnresolved;
            let learned = self.path_mtus.of(tunnel);
            let mtu = OuterMtu { asked: spec.mtu, learned };
            let members = members(cx, tunnel, mtu, &mut trail, &mut wanted, &mut unresolved);
            self.tunnels.remember(id, trail);
            if let Some(NextHop::Tunnel(row)) = cx.tables.next_hops.get(id.0) {
                let mut row = (**row).clone();
                row.members = members;
                row.unresolved = unresolved;
                cx.tables.next_hops.set(id.0, NextHop::Tunnel(Arc::new(row)));
            }
        }
        wanted
    }
}

/// Follows a destination to its neighbours and remembers what was looked at.
fn trail(cx: &Context<'_>, vrf: VrfId, destination: Ip) -> Trail {
    let trail = RefCell::new(Trail::default());
    let lookup = |vrf, _| {
        trail.borrow_mut().look_up(vrf, destination);
        let found = if destination.v6 {
            cx.tables.vrfs.lookup6(vrf, u128::from_be_bytes(destination.address))
        } else {
            cx.tables.vrfs.lookup4(vrf, v4_number(&destination.address))
        };
        found.map(FibResult::next_hop)
    };
    let next_hop = |id| {
        trail.borrow_mut().next_hop(id);
        Some(hop(&cx.store.next_hop(id)?.kind))
    };
    // Why a destination does not resolve is for whoever explains it; here it has no way out.
    let uplinks = resolve(vrf, destination.std(), lookup, next_hop).unwrap_or_default();
    let mut trail = trail.into_inner();
    for Uplink { interface, neighbour } in uplinks.into_iter().take(MAX_MEMBERS) {
        trail.end(interface, neighbour.into());
    }
    trail
}

fn hop(kind: &NextHopKind) -> Hop {
    match kind {
        NextHopKind::Resolve(interface) => Hop::Resolve { interface: *interface },
        NextHopKind::Interface(interface, Some(neighbour)) => {
            Hop::Interface { interface: *interface, gateway: Some(neighbour.std()) }
        }
        NextHopKind::Vrf(vrf) => Hop::Vrf(*vrf),
        NextHopKind::Ecmp(ecmp) => {
            let weighty = ecmp.members.iter().filter(|member| member.weight > 0);
            Hop::Ecmp(weighty.map(|member| member.next_hop).collect())
        }
        // A tunnel in a tunnel is not made; workloads and the node itself are no underlay.
        NextHopKind::Interface(_, None)
        | NextHopKind::Tunnel(_)
        | NextHopKind::Discard
        | NextHopKind::Reject
        | NextHopKind::Receive
        | NextHopKind::SourceNat(_) => Hop::Other,
    }
}

/// What limits the tunnel's own packets.
#[derive(Clone, Copy)]
struct OuterMtu {
    /// By the next hop; 0 = the out interface's.
    asked: u16,
    /// What the underlay has told (SEMANTICS 11).
    learned: Option<u16>,
}

impl OuterMtu {
    fn over(self, interface: u16) -> u16 {
        let configured = if self.asked == 0 { interface } else { self.asked };
        self.learned.map_or(configured, |learned| learned.min(configured))
    }
}

/// The ways out that can be used: those whose neighbour has answered; while none has, those whose neighbour may yet
/// (packets wait for it), and last those that did not. A dead neighbour that is asked again is no way out before it
/// answers.
fn members(
    cx: &Context<'_>,
    tunnel: &TunnelSpec,
    mtu: OuterMtu,
    trail: &mut Trail,
    wanted: &mut Wanted,
    unresolved: &mut DropReason,
) -> Arc<[TunnelMember]> {
    let (mut resolved, mut waiting, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, neighbour) in trail.ends().to_vec() {
        let Some(interface) = cx.store.interface(id).filter(|spec| spec.role == Role::Fabric) else {
            continue;
        };
        let Some(attachment) = cx.attachments.get(&id).filter(|attachment| attachment.link.up) else {
            continue;
        };
        let state = cx.tables.neighbours.get(id, neighbour.v6, &neighbour.address);
        if !matches!(state, Some(NeighbourState::Resolved(_))) {
            wanted.push((id, neighbour));
        }
        let mac = match state {
            Some(NeighbourState::Resolved(mac)) => Some(mac),
            _ => None,
        };
        let Some(source) = tunnel.source.or_else(|| source(cx, interface, tunnel.destination.v6, trail))
        else {
            *unresolved = DropReason::NoSourceAddress;
            continue;
        };
        let spec = encap::TunnelSpec {
            encapsulation: tunnel.encapsulation,
            source: source.std(),
            destination: tunnel.destination.std(),
            source_mac: attachment.port.mac,
            destination_mac: mac.unwrap_or_default(),
            vlan: None,
            source_router_mac: tunnel.source_router_mac,
            router_mac: tunnel.router_mac,
            clear_df: tunnel.clear_df,
            dscp: (tunnel.dscp != 0).then_some(tunnel.dscp),
            udp_checksum: tunnel.udp_checksum,
            outer_labels: tunnel.outer_labels,
        };
        let Some(template) = Template::new(&spec) else { continue };
        let outer_mtu = mtu.over(interface.mtu);
        let member = TunnelMember {
            interface: id,
            neighbour: (neighbour.v6, neighbour.address),
            resolved: mac.is_some(),
            inner_mtu: outer_mtu.saturating_sub(u16::try_from(template.overhead()).unwrap_or(u16::MAX)),
            template,
        };
        let list = match state {
            Some(NeighbourState::Resolved(_)) => &mut resolved,
            Some(NeighbourState::Failed) => &mut failed,
            None => &mut waiting,
        };
        list.push(member);
    }
    let best = [resolved, waiting, failed].into_iter().find(|list| !list.is_empty());
    best.unwrap_or_default().into()
}

/// The source of a tunnel that names none: an address of the out interface, else a lent one. Whoever looks for a lender
/// looks at all fabric interfaces of the VRF.
fn source(cx: &Context<'_>, out: &InterfaceSpec, v6: bool, trail: &mut Trail) -> Option<Ip> {
    out.routable_address(v6).or_else(|| {
        trail.borrow_from(out.vrf);
        cx.store.lent_address(out.vrf, v6)
    })
}
