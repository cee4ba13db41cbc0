//! The authoritative objects, and what is known about who refers to whom.

use std::{collections::BTreeSet, sync::Arc};

use agent_api::v1::Kind;
use ahash::AHashMap;
use nexthop::Prefix;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{
    batch::{ObjectChange, RouteChange, Staged},
    memberships::Memberships,
    names::{NameId, Names},
    objects::{
        FloatingIpSpec, InterfaceSpec, LinkLocalSpec, NetworkPolicySpec, NextHopSpec, ObjectKey, Path,
        RouteKey, SecurityGroupSpec, SourceNatSpec, Spec, VrfSpec,
    },
    sorted::SortedPages,
    text::Ip,
};
use crate::tables::Role;

/// One object with what belongs to every object.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) spec: Spec,
    pub(crate) owner: NameId,
    /// The owner's replay in which it was last written.
    pub(crate) mark: u32,
    /// When it took effect.
    pub(crate) generation: u64,
}

/// The authoritative objects. Only `commit` changes them, and it cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) names: Arc<Names>,
    pub(crate) objects: SortedPages<ObjectKey, Record>,
    pub(crate) routes: SortedPages<RouteKey, Path>,
    pub(crate) memberships: Memberships,
    /// By object: the objects that refer to it. Routes are counted in `route_uses` instead.
    referrers: AHashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// How many routes of a VRF name a next hop.
    pub(crate) route_uses: RouteUses,
    /// Different prefixes of each VRF: IPv4, IPv6.
    pub(crate) prefixes: AHashMap<VrfId, [u32; 2]>,
    /// VRFs and interfaces by name.
    by_name: AHashMap<(Kind, Arc<str>), ObjectKey>,
    counts: AHashMap<Kind, usize>,
}

impl Store {
    /// How many objects of a kind there are.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        if kind == Kind::Route { self.routes.len() } else { self.counts.get(&kind).copied().unwrap_or(0) }
    }

    /// How many different prefixes a VRF has: IPv4, IPv6.
    pub(crate) fn prefixes(&self, vrf: VrfId) -> [u32; 2] {
        self.prefixes.get(&vrf).copied().unwrap_or_default()
    }

    /// Who has this name among the objects of a kind.
    pub(crate) fn named(&self, kind: Kind, name: &str) -> Option<ObjectKey> {
        self.by_name.get(&(kind, Arc::from(name))).copied()
    }

    /// The objects (no routes) that refer to this one.
    pub(crate) fn referrers(&self, target: ObjectKey) -> impl Iterator<Item = ObjectKey> + '_ {
        self.referrers.get(&target).into_iter().flatten().copied()
    }

    /// The VRFs whose routes name a next hop, with the number of those routes.
    pub(crate) fn route_uses(&self, id: NextHopId) -> impl Iterator<Item = (VrfId, u32)> + '_ {
        uses_of(&self.route_uses, id)
    }

    /// The paths of one prefix.
    pub(crate) fn paths(&self, vrf: VrfId, network: Prefix) -> impl Iterator<Item = (RouteKey, Path)> + '_ {
        let first = RouteKey::first_of(vrf, network);
        self.routes
            .from(&first)
            .take_while(move |(key, _)| key.same_prefix(&first))
            .map(|(&key, &path)| (key, path))
    }

    /// The path of a prefix that forwards: highest preference, then lowest origin.
    pub(crate) fn best(&self, vrf: VrfId, network: Prefix) -> Option<(RouteKey, Path)> {
        best_of(&self.names, self.paths(vrf, network))
    }

    /// All interfaces.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Arc<InterfaceSpec>> {
        let first = ObjectKey::Interface(InterfaceId(0));
        let records = self.objects.from(&first).take_while(|(key, _)| key.kind() == Kind::Interface);
        records.filter_map(|(_, record)| match &record.spec {
            Spec::Interface(spec) => Some(spec),
            _ => None,
        })
    }

    /// The interfaces of a VRF.
    pub(crate) fn interfaces_in(&self, vrf: VrfId) -> impl Iterator<Item = &Arc<InterfaceSpec>> {
        self.referrers(ObjectKey::Vrf(vrf)).filter_map(|user| self.interface(user.interface()?))
    }

    /// The fabric interfaces of a VRF.
    pub(crate) fn fabric_interfaces_in(&self, vrf: VrfId) -> impl Iterator<Item = &Arc<InterfaceSpec>> {
        self.interfaces_in(vrf).filter(|spec| spec.role == Role::Fabric)
    }

    /// The address that a fabric interface without one of this family (unnumbered) borrows from another of its VRF.
    pub(crate) fn lent_address(&self, vrf: VrfId, v6: bool) -> Option<Ip> {
        self.fabric_interfaces_in(vrf).find_map(|spec| spec.routable_address(v6))
    }

    /// All pools of source NAT.
    pub(crate) fn source_nats(&self) -> impl Iterator<Item = &Arc<SourceNatSpec>> {
        let records = self.objects.from(&ObjectKey::SourceNat(0)).map(|(_, record)| &record.spec);
        records.map_while(|spec| match spec {
            Spec::SourceNat(spec) => Some(spec),
            _ => None,
        })
    }

    /// Takes over what was staged and checked.
    pub(crate) fn commit(&mut self, staged: &Staged) {
        for &(key, mark) in &staged.marked_objects {
            if let Some(record) = self.objects.get_mut(&key) {
                record.mark = mark;
            }
        }
        for &(key, mark) in &staged.marked_routes {
            if let Some(path) = self.routes.get_mut(&key) {
                path.mark = mark;
            }
        }
        for change in &staged.objects {
            self.forget(change);
        }
        for change in &staged.objects {
            self.remember(change);
        }
        self.commit_routes(&staged.routes);
    }

    fn forget(&mut self, change: &ObjectChange) {
        let Some(before) = &change.before else { return };
        before.spec.references(|target, _| {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(&change.key);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        });
        if let Some(name) = unique_name(&before.spec) {
            self.by_name.remove(&(change.key.kind(), Arc::from(name)));
        }
        if change.after.is_none() {
            self.objects.remove(&change.key);
            if let Some(count) = self.counts.get_mut(&change.key.kind()) {
                *count -= 1;
            }
        }
    }

    fn remember(&mut self, change: &ObjectChange) {
        let Some(after) = &change.after else { return };
        after.spec.references(|target, _| {
            self.referrers.entry(target).or_default().insert(change.key);
        });
        if let Some(name) = unique_name(&after.spec) {
            self.by_name.insert((change.key.kind(), Arc::from(name)), change.key);
        }
        if self.objects.insert(change.key, after.clone()).is_none() {
            *self.counts.entry(change.key.kind()).or_default() += 1;
        }
    }

    fn commit_routes(&mut self, changes: &[RouteChange]) {
        // Neighbouring changes mostly name the same next hop: one look-up for a run of them.
        let mut uses: AHashMap<(NextHopId, VrfId), i64> = AHashMap::new();
        for change in changes {
            let RouteKey { vrf, network, .. } = change.key;
            let had_prefix = change.before.is_some() || self.paths(vrf, network).next().is_some();
            match change.after {
                Some(path) => {
                    self.routes.insert(change.key, path);
                    *uses.entry((path.next_hop, vrf)).or_default() += 1;
                }
                None => {
                    self.routes.remove(&change.key);
                }
            }
            if let Some(path) = change.before {
                *uses.entry((path.next_hop, vrf)).or_default() -= 1;
                self.memberships.release(path.membership);
            }
            let has_prefix = change.after.is_some() || self.paths(vrf, network).next().is_some();
            match (had_prefix, has_prefix) {
                (false, true) => self.prefixes.entry(vrf).or_default()[usize::from(network.is_v6())] += 1,
                (true, false) => {
                    if let Some(counts) = self.prefixes.get_mut(&vrf) {
                        counts[usize::from(network.is_v6())] -= 1;
                        if *counts == [0, 0] {
                            self.prefixes.remove(&vrf);
                        }
                    }
                }
                _ => {}
            }
        }
        for (key, difference) in uses {
            let routes = self.route_uses.get(&key).copied().unwrap_or(0);
            match u32::try_from(i64::from(routes) + difference).unwrap_or(0) {
                0 => drop(self.route_uses.remove(&key)),
                routes => drop(self.route_uses.insert(key, routes)),
            }
        }
    }
}

/// Objects by id.
macro_rules! getters {
    ($($name:ident $kind:ident $id:ty => $spec:ty),* $(,)?) => {
        impl Store {
            $(pub(crate) fn $name(&self, id: $id) -> Option<&Arc<$spec>> {
                match &self.objects.get(&ObjectKey::$kind(id))?.spec {
                    Spec::$kind(spec) => Some(spec),
                    _ => None,
                }
            })*
        }
    };
}

getters! {
    vrf Vrf VrfId => VrfSpec,
    interface Interface InterfaceId => InterfaceSpec,
    next_hop NextHop NextHopId => NextHopSpec,
    security_group SecurityGroup u32 => SecurityGroupSpec,
    link_local LinkLocalService u16 => LinkLocalSpec,
    source_nat SourceNat u16 => SourceNatSpec,
    network_policy NetworkPolicy u32 => NetworkPolicySpec,
    floating_ip FloatingIp u32 => FloatingIpSpec,
}

/// How many routes of a VRF name a next hop.
pub(crate) type RouteUses = SortedPages<(NextHopId, VrfId), u32>;

/// The VRFs whose routes name a next hop, with the number of those routes.
pub(crate) fn uses_of(uses: &RouteUses, id: NextHopId) -> impl Iterator<Item = (VrfId, u32)> + '_ {
    let of_id = uses.from(&(id, VrfId(0))).take_while(move |((other, _), _)| *other == id);
    of_id.map(|(&(_, vrf), &routes)| (vrf, routes))
}

/// The path that forwards: highest preference, then lowest origin by name.
pub(crate) fn best_of(
    names: &Names,
    paths: impl Iterator<Item = (RouteKey, Path)>,
) -> Option<(RouteKey, Path)> {
    paths.reduce(|best, other| {
        let by_preference = other.1.preference.cmp(&best.1.preference);
        let wins = by_preference.then_with(|| names.get(best.0.origin).cmp(names.get(other.0.origin)));
        if wins.is_gt() { other } else { best }
    })
}

/// The name that no other object of the kind may have.
pub(crate) fn unique_name(spec: &Spec) -> Option<&str> {
    match spec {
        Spec::Vrf(spec) => Some(&spec.message.name),
        Spec::Interface(spec) => Some(spec.name()),
        _ => None,
    }
}
