//! Whose cached decisions are void (SEMANTICS 17).

use std::{collections::BTreeSet, iter, sync::Arc};

use agent_api::v1::Kind;
use ahash::AHashMap;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{
    Compiler, Context, Dirty, groups_of,
    interfaces::{epoch, floating_ips_in, link_local_in},
};
use crate::control::{
    batch::Staged,
    objects::{NextHopKind, ObjectKey},
    store::Store,
};

/// Which VRFs look into which others by a floating IP of an interface or a link-local service.
/// Found when first asked for, and again after anything that could change it.
#[derive(Debug, Default)]
pub(super) struct VrfLinks {
    lookers: AHashMap<VrfId, Vec<VrfId>>,
}

impl VrfLinks {
    /// Forgets what a batch may have changed.
    pub(super) fn batch(&mut self, staged: &Staged) {
        let kinds = [Kind::Interface, Kind::FloatingIp, Kind::LinkLocalService];
        if staged.objects.iter().any(|change| kinds.contains(&change.key.kind())) {
            self.lookers.clear();
        }
    }

    /// The VRFs of interfaces with a floating IP in this one, and those with a service here.
    fn lookers(&mut self, store: &Store, vrf: VrfId) -> &[VrfId] {
        self.lookers.entry(vrf).or_insert_with(|| {
            let interfaces = floating_ips_in(store, vrf).flat_map(|spec| &spec.interfaces);
            let vrfs = interfaces.filter_map(|&id| store.interface(id)).map(|spec| spec.vrf);
            let services = link_local_in(store, vrf).filter(|spec| spec.service.vrf == vrf);
            let served = services.flat_map(|spec| spec.vrfs.iter().copied());
            vrfs.chain(served).collect::<BTreeSet<_>>().into_iter().collect()
        })
    }
}

/// A next hop and the groups that it is a member of.
fn with_groups(store: &Store, id: NextHopId) -> impl Iterator<Item = NextHopId> + '_ {
    iter::once(id).chain(groups_of(store, id))
}

/// The VRFs whose routes lead through a next hop, directly or as an ecmp member.
fn through(store: &Store, id: NextHopId) -> impl Iterator<Item = VrfId> + '_ {
    with_groups(store, id).flat_map(|id| store.route_uses(id)).map(|(vrf, _)| vrf)
}

/// The interfaces that ports of the node lead to through a next hop, without any route.
fn by_node_port(store: &Store, id: NextHopId) -> impl Iterator<Item = InterfaceId> + '_ {
    let users = with_groups(store, id).flat_map(|id| store.referrers(ObjectKey::NextHop(id)));
    users
        .filter_map(|user| store.floating_ip(user.floating_ip()?))
        .flat_map(|spec| spec.interfaces.iter().copied())
}

impl Compiler {
    /// Writes the epochs of everything that a batch made void.
    pub(super) fn raise(&mut self, cx: &mut Context<'_>, mut dirty: Dirty) {
        let mut found: BTreeSet<VrfId> = std::mem::take(&mut dirty.vrfs).into_iter().collect();
        for &id in &dirty.moved {
            found.extend(through(cx.store, id));
            dirty.raised.extend(by_node_port(cx.store, id));
        }
        // A decision may have looked through several VRFs: who looks into a changed one is void too.
        let mut open: Vec<VrfId> = found.iter().copied().collect();
        while let Some(vrf) = open.pop() {
            let mut more = self.links.lookers(cx.store, vrf).to_vec();
            for user in cx.store.referrers(ObjectKey::Vrf(vrf)) {
                if let Some(id) = user.next_hop()
                    && cx.store.next_hop(id).is_some_and(|spec| matches!(spec.kind, NextHopKind::Vrf(_)))
                {
                    more.extend(through(cx.store, id));
                }
            }
            open.extend(more.into_iter().filter(|&vrf| found.insert(vrf)));
        }
        let now = epoch(cx.generation);
        for &vrf in &found {
            cx.tables.vrfs.set_epoch(vrf, now);
        }
        for &id in dirty.raised.difference(&dirty.interfaces) {
            if let Some(row) = cx.tables.interfaces.get(id.0.into()) {
                let mut row = (**row).clone();
                row.epoch = now;
                cx.tables.interfaces.set(id.0.into(), Arc::new(row));
            }
        }
        if !found.is_empty() || !dirty.raised.is_empty() || !dirty.interfaces.is_empty() {
            cx.tables.epoch = now;
        }
    }
}
