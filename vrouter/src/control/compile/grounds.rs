//! Which tunnels stand on what: whatever was looked at to resolve one leads back to it when it changes.

use std::collections::{BTreeMap, BTreeSet};

use ahash::AHashMap;
use nexthop::Prefix;
use packet::{InterfaceId, NextHopId, VrfId};

use crate::control::text::Ip;

/// Something that was looked at to resolve a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Ground {
    NextHop(NextHopId),
    Interface(InterfaceId),
    Neighbour(InterfaceId, Ip),
    /// All fabric interfaces of a VRF: one of them was to lend its address.
    Lenders(VrfId),
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
pub(super) struct Trail {
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

    /// Tunnels that were without an address of their out interface in this VRF.
    pub(super) fn borrowing_in(&self, vrf: VrfId) -> BTreeSet<NextHopId> {
        self.on(Ground::Lenders(vrf))
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

    pub(super) fn remember(&mut self, id: NextHopId, trail: Trail) {
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

impl Trail {
    pub(super) fn look_up(&mut self, vrf: VrfId, destination: Ip) {
        self.lookups.insert((vrf, destination));
    }

    pub(super) fn next_hop(&mut self, id: NextHopId) {
        self.grounds.insert(Ground::NextHop(id));
    }

    pub(super) fn borrow_from(&mut self, vrf: VrfId) {
        self.grounds.insert(Ground::Lenders(vrf));
    }

    pub(super) fn end(&mut self, interface: InterfaceId, neighbour: Ip) {
        self.grounds.insert(Ground::Interface(interface));
        self.grounds.insert(Ground::Neighbour(interface, neighbour));
        self.ends.push((interface, neighbour));
    }

    /// The ways out, in the order they were found.
    pub(super) fn ends(&self) -> &[(InterfaceId, Ip)] {
        &self.ends
    }
}
