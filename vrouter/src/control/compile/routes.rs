//! Routes into the FIB: of all paths of a prefix, the best.

use ahash::AHashSet;
use nexthop::FibResult;
use packet::GroupSetId;

use super::{Compiler, Context, Dirty, next_hops::label};
use crate::control::{
    batch::RouteChange,
    objects::{ObjectKey, Path},
};

impl Compiler {
    /// Writes the changed prefixes. The store holds the new paths already.
    pub(super) fn routes(&mut self, cx: &mut Context<'_>, changes: &[RouteChange], dirty: &mut Dirty) {
        let mut regrouped: AHashSet<(GroupSetId, GroupSetId)> = AHashSet::new();
        for run in changes.chunk_by(|a, b| a.key.same_prefix(&b.key)) {
            let Some(key) = run.first().map(|change| change.key) else { continue };
            let old = cx.tables.vrfs.get_exact(key.vrf, key.network);
            let new = cx.store.best(key.vrf, key.network).map(|(_, path)| result(path));
            if old == new {
                continue;
            }
            match new {
                Some(new) => cx.tables.vrfs.insert(key.vrf, key.network, new),
                None => cx.tables.vrfs.remove(key.vrf, key.network),
            };
            dirty.vrfs.insert(key.vrf);
            self.tunnels.covered_by(key.vrf, key.network, &mut dirty.tunnels);
            let groups = |result: Option<FibResult>| result.map_or(GroupSetId(0), FibResult::groups);
            if groups(old) != groups(new) {
                regrouped.insert((groups(old), groups(new)));
            }
        }
        for (old, new) in regrouped {
            raise_members(cx, old, new, dirty);
        }
    }
}

fn result(path: Path) -> FibResult {
    FibResult::new(path.next_hop, label(path.label), path.membership)
}

/// Routes that change from one set of groups to another void the decisions of interfaces whose rules
/// name a group that came or went.
fn raise_members(cx: &Context<'_>, old: GroupSetId, new: GroupSetId, dirty: &mut Dirty) {
    // The old set may have left the store with its last route; the tables hold it until they are written.
    let (old, new) = (cx.tables.group_set(old), &*cx.store.memberships.get(new).groups);
    let came = new.iter().filter(|group| !old.contains(group));
    let went = old.iter().filter(|group| !new.contains(group));
    for &group in came.chain(went) {
        let naming = cx.store.referrers(ObjectKey::SecurityGroup(group));
        let naming = naming.filter_map(ObjectKey::security_group);
        let itself = cx.store.security_group(group).filter(|spec| spec.names_itself());
        for id in naming.chain(itself.map(|spec| spec.group.id)) {
            let bound = cx.store.referrers(ObjectKey::SecurityGroup(id));
            dirty.raised.extend(bound.filter_map(ObjectKey::interface));
        }
    }
}
