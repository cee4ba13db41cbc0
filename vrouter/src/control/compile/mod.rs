//! From objects to tables. What changed in a batch is followed to what depends on it, and only that is
//! built again; then the epochs of whatever may alter a cached flow decision are raised (SEMANTICS 17).

mod epochs;
mod grounds;
mod interfaces;
mod network_policies;
mod next_hops;
mod path_mtu;
mod peers;
mod policies;
mod routes;
mod rule_slots;
mod source_nats;
mod tunnels;

use std::collections::BTreeSet;

use ahash::{AHashMap, AHashSet};
use packet::{InterfaceId, Label, NextHopId, VrfId};

use super::{
    batch::Staged,
    neighbours::Use,
    objects::{NextHopKind, ObjectKey, Spec, Target},
    ports::Attachment,
    store::Store,
    text::Ip,
};
use crate::tables::{Role, Tables};
use rule_slots::Slots;

/// Ports behind interfaces.
pub(crate) type Attachments = AHashMap<InterfaceId, Attachment>;

/// What the compiler remembers between batches.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    slots: Slots,
    policies: policies::Policies,
    network_policies: network_policies::NetworkPolicies,
    peers: peers::PeerIds,
    tunnels: grounds::Tunnels,
    path_mtus: path_mtu::PathMtus,
    links: epochs::VrfLinks,
    port_pools: source_nats::PortPools,
}

/// What the compiler reads and writes.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) attachments: &'a Attachments,
    pub(crate) tables: &'a mut Tables,
    /// The generation being built.
    pub(crate) generation: u64,
}

/// What has to be built again, and whose decisions are void.
#[derive(Debug, Default)]
struct Dirty {
    /// Rows to build again; their epochs are raised.
    interfaces: BTreeSet<InterfaceId>,
    /// Epochs to raise, rows as they are.
    raised: BTreeSet<InterfaceId>,
    next_hops: BTreeSet<NextHopId>,
    /// Next hops that lead elsewhere now.
    moved: BTreeSet<NextHopId>,
    /// VRFs whose routes changed or lead elsewhere.
    vrfs: AHashSet<VrfId>,
    tunnels: BTreeSet<NextHopId>,
    source_nats: BTreeSet<u16>,
    wanted: Wanted,
}

/// Neighbours that tunnels and gateways stand on and that have no MAC yet.
pub(crate) type Wanted = Vec<(InterfaceId, Ip)>;

impl Compiler {
    /// Follows a committed batch into the tables.
    pub(crate) fn batch(&mut self, cx: &mut Context<'_>, staged: &Staged) -> Wanted {
        let mut dirty = Dirty::default();
        self.links.batch(staged);
        for change in &staged.objects {
            self.follow(cx, change.key, &mut dirty);
            for record in [&change.before, &change.after].into_iter().flatten() {
                self.follow_content(cx, &record.spec, &mut dirty);
            }
            if let ObjectKey::SecurityGroup(id) = change.key {
                let group = cx.store.security_group(id).map(|spec| spec.group.clone());
                self.policies.write(id, group, &mut self.slots, &mut cx.tables.rules);
            }
            demultiplex(cx, change.key, change.after.as_ref().map(|record| &record.spec));
        }
        self.network_policies(cx, staged, &mut dirty);
        self.next_hops(cx, &mut dirty);
        self.routes(cx, &staged.routes, &mut dirty);
        for (id, membership) in cx.store.memberships.take_changes() {
            match membership {
                Some(membership) => drop(cx.tables.memberships.set(id.0.into(), membership)),
                None => drop(cx.tables.memberships.remove(id.0.into())),
            }
        }
        self.source_nats(cx, &dirty.source_nats);
        self.interfaces(cx, &dirty.interfaces);
        let mut wanted = self.tunnels(cx, &dirty.tunnels);
        wanted.append(&mut dirty.wanted);
        self.raise(cx, dirty);
        wanted
    }

    /// A neighbour became known, moved or was lost: what stands on it is built again.
    pub(crate) fn neighbour(&mut self, cx: &mut Context<'_>, interface: InterfaceId, ip: Ip) {
        let tunnels = self.tunnels.through_neighbour(interface, ip);
        // Who is asked for is known already: this is about an answer.
        let _wanted = self.tunnels(cx, &tunnels);
    }

    /// A port went up or down: tunnels leave it or come back. Whether there are any.
    pub(crate) fn link(&mut self, cx: &mut Context<'_>, interface: InterfaceId) -> (Wanted, bool) {
        let tunnels = self.tunnels.through_interface(interface);
        (self.tunnels(cx, &tunnels), !tunnels.is_empty())
    }

    /// What stands on this neighbour.
    pub(crate) fn use_of(&self, store: &Store, interface: InterfaceId, ip: Ip) -> Use {
        if self.tunnels.stand_on(interface, ip) {
            return Use::Needed;
        }
        let mut found = Use::None;
        let users = store.referrers(ObjectKey::Interface(interface));
        for next_hop in users.filter_map(|user| store.next_hop(user.next_hop()?)) {
            match next_hop.kind {
                NextHopKind::Interface(_, Some(gateway)) if gateway == ip => return Use::Needed,
                // No route leads to a link-local address: it is named as a gateway or not at all.
                NextHopKind::Resolve(_) if !ip.is_v6_link_local() => found = Use::Resolved,
                _ => {}
            }
        }
        found
    }

    /// What a changed object takes with it by its key: those who name it.
    fn follow(&self, cx: &mut Context<'_>, key: ObjectKey, dirty: &mut Dirty) {
        match key {
            ObjectKey::Interface(id) => {
                dirty.interfaces.insert(id);
                dirty.tunnels.extend(self.tunnels.through_interface(id));
            }
            ObjectKey::NextHop(id) => {
                dirty.next_hops.insert(id);
                dirty.tunnels.extend(self.tunnels.through_next_hop(id));
            }
            ObjectKey::SecurityGroup(_) => {}
            ObjectKey::Vrf(id) => {
                if cx.store.vrf(id).is_none() {
                    cx.tables.vrfs.delete(id);
                } else if cx.tables.vrfs.add(id) {
                    dirty.vrfs.insert(id);
                }
                return;
            }
            _ => return,
        }
        for user in cx.store.referrers(key) {
            match (key, user) {
                // A group that names the changed one as remote matches by number: nothing to build again.
                (ObjectKey::SecurityGroup(_), ObjectKey::Interface(id)) => dirty.interfaces.extend([id]),
                (ObjectKey::Interface(_), ObjectKey::Interface(twin)) => dirty.interfaces.extend([twin]),
                (ObjectKey::Interface(_), ObjectKey::NextHop(id)) => {
                    dirty.next_hops.insert(id);
                    dirty.next_hops.extend(groups_of(cx.store, id));
                }
                (ObjectKey::NextHop(_), ObjectKey::NextHop(id)) => dirty.next_hops.extend([id]),
                _ => {}
            }
        }
    }

    /// What a changed object takes with it by its content, before and after: those whom it names.
    fn follow_content(&self, cx: &Context<'_>, spec: &Spec, dirty: &mut Dirty) {
        match spec {
            Spec::Interface(spec) => {
                dirty.interfaces.extend(spec.twin_of);
                source_nats::follow_interface(cx.store, spec, dirty);
                if spec.role == Role::Fabric {
                    dirty.tunnels.extend(self.tunnels.borrowing_in(spec.vrf));
                }
            }
            Spec::SourceNat(spec) => source_nats::follow(cx.store, spec, dirty),
            Spec::LinkLocalService(spec) => {
                let users = spec.vrfs.iter().flat_map(|&vrf| cx.store.interfaces_in(vrf));
                dirty.interfaces.extend(users.map(|spec| spec.id));
            }
            Spec::FloatingIp(spec) => {
                dirty.interfaces.extend(&spec.interfaces);
                if spec.node_port.is_some() {
                    dirty.interfaces.extend(cx.store.fabric_interfaces_in(spec.vrf).map(|spec| spec.id));
                }
            }
            Spec::Flow(spec) => dirty.interfaces.extend([spec.key.interface]),
            Spec::NextHop(spec) => {
                if let NextHopKind::Interface(id, None) = spec.kind
                    && cx
                        .tables
                        .interface(id)
                        .is_some_and(|row| row.delivery != interfaces::delivery(cx.store, id))
                {
                    dirty.interfaces.insert(id);
                }
            }
            _ => {}
        }
    }

    fn next_hops(&mut self, cx: &mut Context<'_>, dirty: &mut Dirty) {
        let ids = std::mem::take(&mut dirty.next_hops);
        // Groups ask their members what they lead to, so members come first.
        let is_group = |id: &NextHopId| cx.store.next_hop(*id).is_some_and(|spec| !spec.members().is_empty());
        let (groups, members): (Vec<_>, Vec<_>) = ids.into_iter().partition(is_group);
        for id in members.into_iter().chain(groups) {
            self.next_hop(cx, id, dirty);
        }
    }
}

/// Ecmp groups that have this next hop as member.
fn groups_of(store: &Store, id: NextHopId) -> impl Iterator<Item = NextHopId> + '_ {
    store.referrers(ObjectKey::NextHop(id)).filter_map(ObjectKey::next_hop)
}

/// Labels and VNIs: one entry each. Their ranges were checked when they were read.
fn demultiplex(cx: &mut Context<'_>, key: ObjectKey, after: Option<&Spec>) {
    let target = |target: Target| match target {
        Target::NextHop(id) => nexthop::Target::NextHop(id),
        Target::Vrf(id) => nexthop::Target::Vrf(id),
    };
    match (key, after) {
        (ObjectKey::MplsLabel(_), Some(Spec::MplsLabel(spec))) => {
            let _bound = cx.tables.labels.set(Label(spec.label), target(spec.target));
        }
        (ObjectKey::MplsLabel(label), _) => drop(cx.tables.labels.remove(Label(label))),
        (ObjectKey::Vni(_), Some(Spec::Vni(spec))) => {
            let _bound = cx.tables.vnis.set(Label(spec.vni), target(spec.target));
        }
        (ObjectKey::Vni(vni), _) => drop(cx.tables.vnis.remove(Label(vni))),
        _ => {}
    }
}
