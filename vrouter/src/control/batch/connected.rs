//! Routes of the vRouter's own addresses: a fabric interface with 10.1.0.66/24 makes the routes
//! 10.1.0.0/24 (resolve on the interface) and 10.1.0.66/32 (receive) in its VRF; a pool of source NAT makes one
//! for each of its addresses, which goes before that of an interface with the same address. They are ordinary
//! objects of the owner `vrouter`, added to the batch that brings or changes the interface or pool.

use std::{collections::BTreeSet, sync::Arc};

use ahash::AHashMap;
use nexthop::Prefix;
use packet::{GroupSetId, InterfaceId, NextHopId, VrfId};

use super::{ObjectChange, RouteChange, Staged};
use crate::{
    control::{
        fault::{Code, Fault},
        names::NameId,
        objects::{
            FIRST_INTERNAL, InterfaceSpec, NextHopKind, NextHopSpec, OWN_PREFERENCE, ObjectKey, Path,
            RouteKey, SourceNatSpec, Spec, source_nat_next_hop,
        },
        owner,
        store::{Record, Store},
    },
    tables::Role,
};

/// The next hop of the vRouter's own addresses, behind those of the pools of source NAT.
pub(crate) const RECEIVE: NextHopId = NextHopId(FIRST_INTERNAL + 0x1_0000);

/// The next hop of subnets connected to an interface. Interfaces start at 1, so none is [`RECEIVE`].
const fn resolve(interface: InterfaceId) -> NextHopId {
    NextHopId(RECEIVE.0 | interface.0 as u32)
}

/// Who makes a route. The first of several decides where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Maker {
    SourceNat(u16),
    Interface(InterfaceId),
}

impl Maker {
    const fn next_hop(self, network: Prefix) -> NextHopId {
        match self {
            Self::SourceNat(id) => source_nat_next_hop(id),
            Self::Interface(_) if network.is_host() => RECEIVE,
            Self::Interface(interface) => resolve(interface),
        }
    }
}

/// Who has an address in each subnet, and who has each address.
type Connected = AHashMap<(VrfId, Prefix), BTreeSet<Maker>>;

/// Adds what follows from the fabric interfaces and pools of the batch.
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
        let maker = after.get(&(vrf, network)).and_then(|makers| makers.first());
        let next_hop = maker.map(|maker| maker.next_hop(network));
        // The origin is reserved, so a path under it is ours.
        let key = RouteKey { vrf, network, origin };
        let before = store.routes.get(&key).copied();
        next_hops.extend(next_hop);
        next_hops.extend(before.map(|path| path.next_hop));
        stage_route(key, before, next_hop, owner, generation, staged);
    }
    stage_next_hops(store, next_hops, owner, generation, staged);
    Ok(())
}

/// Every prefix that an interface or pool of the batch has or had.
fn affected(staged: &Staged) -> BTreeSet<(VrfId, Prefix)> {
    let mut affected = BTreeSet::new();
    for change in &staged.objects {
        for record in [&change.before, &change.after].into_iter().flatten() {
            made_by(&record.spec, |_, vrf, network| affected.extend([(vrf, network)]));
        }
    }
    affected
}

/// The routes that an object makes.
fn made_by(spec: &Spec, visit: impl FnMut(Maker, VrfId, Prefix)) {
    match spec {
        Spec::Interface(spec) => made_by_interface(spec, visit),
        Spec::SourceNat(spec) => made_by_pool(spec, visit),
        _ => {}
    }
}

/// The subnets and the addresses of a fabric interface.
fn made_by_interface(spec: &InterfaceSpec, mut visit: impl FnMut(Maker, VrfId, Prefix)) {
    if spec.role == Role::Fabric {
        for address in &spec.addresses {
            visit(Maker::Interface(spec.id), spec.vrf, address.ip.host());
            if let Some(network) = address.connected() {
                visit(Maker::Interface(spec.id), spec.vrf, network);
            }
        }
    }
}

fn made_by_pool(spec: &SourceNatSpec, mut visit: impl FnMut(Maker, VrfId, Prefix)) {
    spec.addresses.iter().for_each(|address| visit(Maker::SourceNat(spec.id), spec.vrf, address.host()));
}

/// Who will have the affected prefixes when the batch is committed.
fn connected_after(store: &Store, staged: &Staged, affected: &BTreeSet<(VrfId, Prefix)>) -> Connected {
    let mut connected = Connected::new();
    let mut add = |maker: Maker, vrf: VrfId, network: Prefix| {
        if affected.contains(&(vrf, network)) {
            connected.entry((vrf, network)).or_default().insert(maker);
        }
    };
    let staged_keys: BTreeSet<_> = staged.objects.iter().map(|change| change.key).collect();
    for interface in store.interfaces() {
        if !staged_keys.contains(&ObjectKey::Interface(interface.id)) {
            made_by_interface(interface, &mut add);
        }
    }
    for pool in store.source_nats() {
        if !staged_keys.contains(&ObjectKey::SourceNat(pool.id)) {
            made_by_pool(pool, &mut add);
        }
    }
    for change in &staged.objects {
        if let Some(after) = &change.after {
            made_by(&after.spec, &mut add);
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
        preference: OWN_PREFERENCE,
        membership: GroupSetId(0),
        owner,
        mark: 0,
        generation,
    });
    // No wish of the batch is about the same key: the origin is reserved, and what exists under it is not a writer's.
    staged.routes.push(RouteChange { key, before, after });
}

/// The id of whose next hop it is.
#[allow(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low_half(id: u32) -> u16 {
    id as u16
}

/// The next hops that the staged routes need, and away with those that none needs any more.
fn stage_next_hops(
    store: &Store,
    next_hops: BTreeSet<NextHopId>,
    owner: NameId,
    generation: u64,
    staged: &mut Staged,
) {
    // Counted in one pass: there may be a million routes and a next hop for each of a thousand pools.
    let mut difference: AHashMap<NextHopId, i64> = AHashMap::new();
    for change in &staged.routes {
        for (path, step) in [(change.after, 1), (change.before, -1)] {
            if let Some(path) = path.filter(|path| path.next_hop.0 >= FIRST_INTERNAL) {
                *difference.entry(path.next_hop).or_default() += step;
            }
        }
    }
    for id in next_hops {
        let used: i64 = store.route_uses(id).map(|(_, routes)| i64::from(routes)).sum();
        let needed = used + difference.get(&id).copied().unwrap_or(0) > 0;
        let key = ObjectKey::NextHop(id);
        let before = store.objects.get(&key);
        if needed == before.is_some() {
            continue;
        }
        let kind = match id {
            RECEIVE => NextHopKind::Receive,
            NextHopId(id) if id < RECEIVE.0 => NextHopKind::SourceNat(low_half(id)),
            NextHopId(id) => NextHopKind::Resolve(InterfaceId(low_half(id))),
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
