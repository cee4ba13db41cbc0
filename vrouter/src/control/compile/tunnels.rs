//! What a tunnel stands on: its destination is looked up in its transport VRF and followed, through ecmp
//! and vrf next hops, to neighbours on fabric interfaces; for each there is a template. Whatever was
//! looked at on the way is remembered, so that a change of it leads back to the tunnel (SEMANTICS 21).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ahash::AHashMap;
use nexthop::{FibResult, Hop, Prefix, Uplink, resolve};
use packet::{
    DropReason, InterfaceId, NextHopId, VrfId,
    encap::{self, Template},
};

use super::{Compiler, Context, Wanted};
use crate::{
    control::{
        objects::{InterfaceSpec, NextHopKind, TunnelSpec},
        text::Ip,
    },
    tables::{NeighbourState, NextHop, Role, TunnelMember, v4_number},
};

/// Most uplinks of one tunnel.
const MAX_MEMBERS: usize = 64;

/// Something that was looked at to resolve a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Ground {
    NextHop(NextHopId),
    Interface(InterfaceId),
    Neighbour(InterfaceId, Ip),
}

/// Which tunnels stand on what.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    by_ground: AHashMap<Ground, BTreeSet<NextHopId>>,
    /// Destinations that were looked up, in order of address: a changed prefix finds those it covers.
    by_lookup: BTreeMap<(VrfId, Ip), BTreeSet<NextHopId>>,
    grounds: AHashMap<NextHopId, Trail>,
}

/// What resolving one tunnel looked at.
#[derive(Clone, Debug, Default)]
struct Trail {
    grounds: BTreeSet<Ground>,
    lookups: BTreeSet<(VrfId, Ip)>,
    /// The ways out, in the order they were found.
    ends: Vec<(InterfaceId, Ip)>,
}

impl Tunnels {
    fn on(&self, ground: Ground) -> BTreeSet<NextHopId> {
        self.by_ground.get(&ground).cloned().unwrap_or_default()
    }

    pub(super) fn through_next_hop(&self, id: NextHopId) -> BTreeSet<NextHopId> {
        self.on(Ground::NextHop(id))
    }

    pub(super) fn through_interface(&self, id: InterfaceId) -> BTreeSet<NextHopId> {
        self.on(Ground::Interface(id))
    }

    pub(super) fn through_neighbour(&self, interface: InterfaceId, ip: Ip) -> BTreeSet<NextHopId> {
        self.on(Ground::Neighbour(interface, ip))
    }

    /// Tunnels to this destination, whatever their transport VRF.
    pub(super) fn to(&self, destination: Ip) -> BTreeSet<NextHopId> {
        let to_it = self.by_lookup.iter().filter(|((_, ip), _)| *ip == destination);
        to_it.flat_map(|(_, ids)| ids).copied().collect()
    }

    pub(super) fn stand_on(&self, interface: InterfaceId, ip: Ip) -> bool {
        self.by_ground.contains_key(&Ground::Neighbour(interface, ip))
    }

    /// Adds the tunnels whose way was looked up under a prefix.
    pub(super) fn covered_by(&self, vrf: VrfId, network: Prefix, tunnels: &mut BTreeSet<NextHopId>) {
        if self.by_lookup.is_empty() {
            return;
        }
        let first = Ip { v6: network.is_v6(), address: network.address() };
        let under = self.by_lookup.range((vrf, first)..).take_while(|((other, ip), _)| {
            *other == vrf && ip.v6 == network.is_v6() && network.contains(ip.address)
        });
        under.for_each(|(_, ids)| tunnels.extend(ids));
    }

    /// Forgets what a tunnel stood on.
    pub(super) fn forget(&mut self, id: NextHopId) {
        let Some(trail) = self.grounds.remove(&id) else { return };
        for ground in trail.grounds {
            if let Some(tunnels) = self.by_ground.get_mut(&ground) {
                tunnels.remove(&id);
                if tunnels.is_empty() {
                    self.by_ground.remove(&ground);
                }
            }
        }
        for lookup in trail.lookups {
            if let Some(tunnels) = self.by_lookup.get_mut(&lookup) {
                tunnels.remove(&id);
                if tunnels.is_empty() {
                    self.by_lookup.remove(&lookup);
                }
            }
        }
    }

    fn remember(&mut self, id: NextHopId, trail: Trail) {
        self.forget(id);
        for &ground in &trail.grounds {
            self.by_ground.entry(ground).or_default().insert(id);
        }
        for &lookup in &trail.lookups {
            self.by_lookup.entry(lookup).or_default().insert(id);
        }
        self.grounds.insert(id, trail);
    }
}

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
        trail.borrow_mut().lookups.insert((vrf, destination));
        let found = if destination.v6 {
            cx.tables.vrfs.lookup6(vrf, u128::from_be_bytes(destination.address))
        } else {
            cx.tables.vrfs.lookup4(vrf, v4_number(&destination.address))
        };
        found.map(FibResult::next_hop)
    };
    let next_hop = |id| {
        trail.borrow_mut().grounds.insert(Ground::NextHop(id));
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

impl Trail {
    fn end(&mut self, interface: InterfaceId, neighbour: Ip) {
        self.grounds.insert(Ground::Interface(interface));
        self.grounds.insert(Ground::Neighbour(interface, neighbour));
        self.ends.push((interface, neighbour));
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
    for (id, neighbour) in trail.ends.clone() {
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

/// The source of a tunnel that names none: an address of the out interface, else (unnumbered uplinks)
/// of another fabric interface of the VRF. A link-local address reaches no other node.
fn source(cx: &Context<'_>, out: &InterfaceSpec, v6: bool, trail: &mut Trail) -> Option<Ip> {
    let first = |spec: &InterfaceSpec| {
        spec.addresses.iter().map(|address| address.ip).find(|ip| ip.v6 == v6 && !ip.is_v6_link_local())
    };
    first(out).or_else(|| {
        let others = cx.store.interfaces().filter(|spec| spec.role == Role::Fabric && spec.vrf == out.vrf);
        others
            .filter_map(|spec| {
                trail.grounds.insert(Ground::Interface(spec.id));
                first(spec)
            })
            .next()
    })
}
