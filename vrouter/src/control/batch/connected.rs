//! Routes of the vRouter's own addresses: a fabric interface with 10.1.0.66/24 makes the routes
//! 10.1.0.0/24 (resolve on the interface) and 10.1.0.66/32 (receive) in its VRF. They are ordinary
//! objects of the owner `vrouter`, added to the batch that brings or changes the interface.

use std::{collections::BTreeSet, sync::Arc};

use ahash::AHashMap;
use nexthop::Prefix;
use packet::{GroupSetId, InterfaceId, NextHopId, VrfId};

use super::{ObjectChange, RouteChange, Staged};
use crate::{
    control::{
        fault::{Code, Fault},
        names::NameId,
        objects::{FIRST_INTERNAL, InterfaceSpec, NextHopKind, NextHopSpec, ObjectKey, Path, RouteKey, Spec},
        owner,
        store::{Record, Store},
    },
    tables::Role,
};

/// The next hop of the vRouter's own addresses.
pub(crate) const RECEIVE: NextHopId = NextHopId(FIRST_INTERNAL);

/// The next hop of subnets connected to an interface. Interfaces start at 1, so none is [`RECEIVE`].
const fn resolve(interface: InterfaceId) -> NextHopId {
    NextHopId(FIRST_INTERNAL | interface.0 as u32)
}

/// The vRouter's own paths go first.
const PREFERENCE: u32 = u32::MAX;

/// Who has an address in each subnet, and who has each address.
type Connected = AHashMap<(VrfId, Prefix), BTreeSet<InterfaceId>>;

/// Adds what follows from the fabric interfaces of the batch.
pub(super) fn stage(store: &mut Store, generation: u64, staged: &mut Staged) -> Result<(), Fault> {
    let affected = affected(staged);
    if affected.is_empty() {
        return Ok(());
    }
    let names = Arc::make_mut(&mut store.names);
    let (Some(owner), Some(origin)) = (names.intern(owner::INTERNAL), names.intern(owner::LOCAL)) else {
        return Err(Fault::general(Code::ResourceExhausted, "65536 different owners are known already"));
    };
    let after = connected_after(store, staged, &affected);
    let mut next_hops: BTreeSet<NextHopId> = BTreeSet::new();
    for &(vrf, network) in &affected {
        let next_hop = after
            .get(&(vrf, network))
            .and_then(|interfaces| interfaces.first())
            .map(|&interface| if network.is_host() { RECEIVE } else { resolve(interface) });
        let key = RouteKey { vrf, network, origin };
        let before = store.routes.get(&key).copied();
        if let Some(path) = before.filter(|path| path.owner != owner) {
            let text = format!("belongs to {}", store.names.get(path.owner));
            return Err(Fault::of(
                Code::FailedPrecondition,
                ObjectKey::Route(key).to_api(&store.names),
                "",
                text,
            ));
        }
        next_hops.extend(next_hop);
        next_hops.extend(before.map(|path| path.next_hop));
        stage_route(key, before, next_hop, owner, generation, staged);
    }
    stage_next_hops(store, next_hops, owner, generation, staged);
    Ok(())
}

/// Every prefix that an interface of the batch has or had.
fn affected(staged: &Staged) -> BTreeSet<(VrfId, Prefix)> {
    let mut affected = BTreeSet::new();
    for change in &staged.objects {
        for record in [&change.before, &change.after].into_iter().flatten() {
            if let Spec::Interface(spec) = &record.spec {
                prefixes_of(spec, |network| affected.extend([(spec.vrf, network)]));
            }
        }
    }
    affected
}

/// The subnets and the addresses of a fabric interface.
fn prefixes_of(spec: &InterfaceSpec, mut visit: impl FnMut(Prefix)) {
    if spec.role == Role::Fabric {
        for address in &spec.addresses {
            visit(address.ip.host());
            if let Some(network) = address.connected() {
                visit(network);
            }
        }
    }
}

/// Who will have the affected prefixes when the batch is committed.
fn connected_after(store: &Store, staged: &Staged, affected: &BTreeSet<(VrfId, Prefix)>) -> Connected {
    let mut connected = Connected::new();
    let mut add = |spec: &InterfaceSpec| {
        prefixes_of(spec, |network| {
            if affected.contains(&(spec.vrf, network)) {
                connected.entry((spec.vrf, network)).or_default().insert(spec.id);
            }
        });
    };
    let staged_keys: BTreeSet<_> = staged.objects.iter().map(|change| change.key).collect();
    for interface in store.interfaces() {
        if !staged_keys.contains(&ObjectKey::Interface(interface.id)) {
            add(interface);
        }
    }
    for change in &staged.objects {
        if let Some(Spec::Interface(spec)) = change.after.as_ref().map(|record| &record.spec) {
            add(spec);
        }
    }
    connected
}

fn stage_route(
    key: RouteKey,
    before: Option<Path>,
    next_hop: Option<NextHopId>,
    owner: NameId,
    generation: u64,
    staged: &mut Staged,
) {
    if before.map(|path| path.next_hop) == next_hop {
        return;
    }
    let after = next_hop.map(|next_hop| Path {
        next_hop,
        label: 0,
        preference: PREFERENCE,
        groups: GroupSetId(0),
        owner,
        mark: 0,
        generation,
    });
    // A controller's wish for the same key was refused, or the path did not exist before.
    staged.routes.retain(|change| change.key != key);
    staged.routes.push(RouteChange { key, before, after });
}

/// The next hops that the staged routes need, and away with those that none needs any more.
fn stage_next_hops(
    store: &Store,
    next_hops: BTreeSet<NextHopId>,
    owner: NameId,
    generation: u64,
    staged: &mut Staged,
) {
    for id in next_hops {
        let used: i64 = store.route_uses(id).map(|(_, routes)| i64::from(routes)).sum();
        let names = |path: Option<Path>| i64::from(path.is_some_and(|path| path.next_hop == id));
        let staged_uses = staged.routes.iter().map(|change| names(change.after) - names(change.before));
        let needed = used + staged_uses.sum::<i64>() > 0;
        let key = ObjectKey::NextHop(id);
        let before = store.objects.get(&key);
        if needed == before.is_some() {
            continue;
        }
        let kind = match id {
            RECEIVE => NextHopKind::Receive,
            id => NextHopKind::Resolve(InterfaceId(u16::try_from(id.0 & 0xffff).unwrap_or(0))),
        };
        let after = needed.then(|| Record {
            spec: Spec::NextHop(Arc::new(NextHopSpec::internal(id, kind))),
            owner,
            mark: 0,
            generation,
        });
        staged.objects.push(ObjectChange { key, before: before.cloned(), after });
    }
}
