//! Staging of routes: the same steps as for other objects, without an allocation per route.

use ahash::AHashMap;
use packet::{NextHopId, VrfId};

use super::{RouteChange, Staged, View, Writer, labels, may_write};
use crate::control::{
    fault::{Code, Fault},
    names::NameId,
    objects::{ObjectKey, Path, RouteKey, RouteSpec},
    store::Store,
};

/// The changes that a batch makes to routes. Memberships are taken for every path that is to come.
pub(super) fn stage(
    store: &mut Store,
    writer: Writer<'_>,
    owner: NameId,
    wishes: AHashMap<RouteKey, Option<RouteSpec>>,
    staged: &mut Staged,
) -> Result<(), Fault> {
    staged.routes.reserve(wishes.len());
    for (key, wish) in wishes {
        let before = store.routes.get(&key).copied();
        if let Some(before) = before {
            let may = may_write(store, writer, owner, before.owner);
            may.map_err(|text| refuse(store, Code::PermissionDenied, key, "", text))?;
        }
        match (before, wish) {
            (None, None) => {}
            (Some(before), Some(spec)) if before.owner == owner && same(store, &before, &spec) => {
                staged.marked_routes.push((key, writer.mark));
            }
            (before, None) => staged.routes.push(RouteChange { key, before, after: None }),
            (before, Some(spec)) => {
                let membership = store.memberships.take(&spec.membership).ok_or_else(|| {
                    let text = "65535 different sets of groups, network and tags are in use already";
                    refuse(store, Code::ResourceExhausted, key, "security_groups", text)
                })?;
                let RouteSpec { next_hop, label, preference, .. } = spec;
                let (mark, generation) = (writer.mark, writer.generation);
                let after = Path { next_hop, label, preference, membership, owner, mark, generation };
                staged.routes.push(RouteChange { key, before, after: Some(after) });
            }
        }
    }
    Ok(())
}

/// Whether writing a route again would change nothing.
fn same(store: &Store, path: &Path, spec: &RouteSpec) -> bool {
    path.next_hop == spec.next_hop
        && path.label == spec.label
        && path.preference == spec.preference
        && *store.memberships.get(path.membership) == spec.membership
}

/// Everything a route names must exist.
pub(super) fn references(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    // Routes of a batch mostly name the same few objects.
    let (mut vrf, mut next_hop, mut groups) = (None, None, None);
    for change in &staged.routes {
        let Some(path) = change.after else { continue };
        let key = ObjectKey::Route(change.key);
        if vrf != Some(change.key.vrf) {
            need(&view, key, "vrf", ObjectKey::Vrf(change.key.vrf))?;
            vrf = Some(change.key.vrf);
        }
        if next_hop != Some((path.next_hop, path.label)) {
            need(&view, key, "next_hop", ObjectKey::NextHop(path.next_hop))?;
            labels::fits(&view, key, path.next_hop, path.label)?;
            next_hop = Some((path.next_hop, path.label));
        }
        if groups != Some(path.membership) {
            for &group in &store.memberships.get(path.membership).groups {
                need(&view, key, "security_groups", ObjectKey::SecurityGroup(group))?;
            }
            groups = Some(path.membership);
        }
    }
    labels::still_fit(&view, staged)?;
    deleted(&view, staged)
}

fn need(view: &View<'_>, key: ObjectKey, field: &str, target: ObjectKey) -> Result<(), Fault> {
    if view.exists(target) {
        return Ok(());
    }
    Err(view.refuse(key, field, format!("{} does not exist", view.name(target))))
}

/// Nothing that a route names may go.
fn deleted(view: &View<'_>, staged: &Staged) -> Result<(), Fault> {
    let mut released = None;
    for change in staged.objects.iter().filter(|change| change.after.is_none()) {
        match change.key {
            ObjectKey::Vrf(vrf) => vrf_is_empty(view, staged, vrf)?,
            ObjectKey::NextHop(id) => {
                let released = released.get_or_insert_with(|| released_next_hops(staged));
                next_hop_is_free(view, staged, id, released.get(&id).copied().unwrap_or(0))?;
            }
            ObjectKey::SecurityGroup(group) => group_is_free(view, staged, group)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_staged(staged: &Staged, key: &RouteKey) -> bool {
    staged.routes.binary_search_by_key(key, |change| change.key).is_ok()
}

fn vrf_is_empty(view: &View<'_>, staged: &Staged, vrf: VrfId) -> Result<(), Fault> {
    let first = RouteKey::first_of_vrf(vrf);
    let mut routes = view.store.routes.from(&first).map(|(key, _)| *key).take_while(|key| key.vrf == vrf);
    // A staged route of a VRF that goes is a deleted one, or `need` has refused it.
    match routes.find(|key| !is_staged(staged, key)) {
        None => Ok(()),
        Some(route) => Err(in_use(view, ObjectKey::Vrf(vrf), route)),
    }
}

/// How many routes of the batch named each next hop before.
fn released_next_hops(staged: &Staged) -> AHashMap<NextHopId, u64> {
    let mut released = AHashMap::new();
    for path in staged.routes.iter().filter_map(|change| change.before) {
        *released.entry(path.next_hop).or_default() += 1;
    }
    released
}

fn next_hop_is_free(view: &View<'_>, staged: &Staged, id: NextHopId, released: u64) -> Result<(), Fault> {
    let used: u64 = view.store.route_uses(id).map(|(_, routes)| u64::from(routes)).sum();
    if released == used {
        return Ok(());
    }
    match untouched(view, staged, id).next() {
        None => Ok(()),
        Some((route, _)) => Err(in_use(view, ObjectKey::NextHop(id), route)),
    }
}

/// The routes that name a next hop and that the batch leaves alone.
pub(super) fn untouched<'a>(
    view: &View<'a>,
    staged: &'a Staged,
    id: NextHopId,
) -> impl Iterator<Item = (RouteKey, Path)> + 'a {
    let store = view.store;
    store.route_uses(id).flat_map(move |(vrf, _)| {
        let first = RouteKey::first_of_vrf(vrf);
        let routes = store.routes.from(&first).take_while(move |(key, _)| key.vrf == vrf);
        let naming = routes.filter(move |(_, path)| path.next_hop == id);
        naming.filter(|(key, _)| !is_staged(staged, key)).map(|(&key, &path)| (key, path))
    })
}

fn group_is_free(view: &View<'_>, staged: &Staged, group: u32) -> Result<(), Fault> {
    let released = |set| {
        let olds = staged.routes.iter().filter_map(|change| change.before);
        olds.filter(|path| path.membership == set).count()
    };
    let set = view.store.memberships.holding(group).find(|&(set, routes)| released(set) < routes as usize);
    let Some((set, _)) = set else { return Ok(()) };
    let naming = view.store.routes.iter().filter(|(_, path)| path.membership == set).map(|(key, _)| *key);
    match naming.into_iter().find(|key| !is_staged(staged, key)) {
        None => Ok(()),
        Some(route) => Err(in_use(view, ObjectKey::SecurityGroup(group), route)),
    }
}

fn in_use(view: &View<'_>, key: ObjectKey, route: RouteKey) -> Fault {
    view.refuse(key, "", format!("is in use by {}", view.name(ObjectKey::Route(route))))
}

fn refuse(store: &Store, code: Code, key: RouteKey, field: &str, text: impl Into<String>) -> Fault {
    Fault::of(code, ObjectKey::Route(key).to_api(&store.names), field, text)
}
