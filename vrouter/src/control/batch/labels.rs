//! Labels of routes fit what their next hops push: an MPLS tunnel carries labels of 20 bits, only VXLAN carries VNIs of
//! 24. The label of a route goes before that of an ecmp member, so groups are looked through. Both ends are looked at:
//! routes that come, and next hops that begin to push MPLS under routes that are there already.

use packet::NextHopId;

use super::{Staged, View, routes};
use crate::control::{
    fault::{Code, Fault},
    objects::{MAX_LABEL, NextHopSpec, ObjectKey, RouteKey, Spec},
};

/// The label of a route of the batch fits its next hop.
pub(super) fn fits(view: &View<'_>, key: ObjectKey, next_hop: NextHopId, label: u32) -> Result<(), Fault> {
    if label <= MAX_LABEL {
        return Ok(());
    }
    let Some(tunnel) =
        next_hop_after(view, next_hop).and_then(|spec| mpls(spec, |id| next_hop_after(view, id)))
    else {
        return Ok(());
    };
    let through = if tunnel == next_hop { String::new() } else { format!(" through next_hop {tunnel}") };
    let text = format!("{label} is no MPLS label: next_hop {next_hop} takes 16 to 1048575{through}");
    Err(Fault { code: Code::InvalidArgument, ..view.refuse(key, "label", text) })
}

/// The labels of routes that the batch leaves alone fit their next hops as the batch makes them.
pub(super) fn still_fit(view: &View<'_>, staged: &Staged) -> Result<(), Fault> {
    for change in &staged.objects {
        let (ObjectKey::NextHop(id), Some(_), Some(_)) = (change.key, &change.before, &change.after) else {
            continue;
        };
        keeps_labels(view, staged, change.key, id)?;
        // Groups of the batch have their own turn.
        let groups = view.store.referrers(change.key).filter(|&user| view.change(user).is_none());
        for group in groups.filter_map(ObjectKey::next_hop) {
            keeps_labels(view, staged, change.key, group)?;
        }
    }
    Ok(())
}

/// A next hop that did not push MPLS before is not under routes with labels of more than 20 bits.
fn keeps_labels(view: &View<'_>, staged: &Staged, changed: ObjectKey, id: NextHopId) -> Result<(), Fault> {
    let store = view.store;
    let before = |id: NextHopId| store.next_hop(id).map(|spec| &**spec);
    if before(id).is_none_or(|spec| mpls(spec, before).is_some()) {
        return Ok(());
    }
    let Some(tunnel) = next_hop_after(view, id).and_then(|spec| mpls(spec, |id| next_hop_after(view, id)))
    else {
        return Ok(());
    };
    let Some((route, label)) = route_above(view, staged, id) else { return Ok(()) };
    let field = match next_hop_after(view, id) {
        Some(spec) if changed == ObjectKey::NextHop(id) && tunnel != id => {
            let index = spec.members().iter().position(|member| member.next_hop == tunnel).unwrap_or(0);
            format!("ecmp.members[{index}].next_hop")
        }
        _ => "tunnel.encapsulation".to_owned(),
    };
    let route = view.name(ObjectKey::Route(route));
    Err(view.refuse(changed, field, format!("{route} has the label {label}: MPLS takes 16 to 1048575")))
}

fn next_hop_after<'a>(view: &View<'a>, id: NextHopId) -> Option<&'a NextHopSpec> {
    match view.get(ObjectKey::NextHop(id))? {
        Spec::NextHop(spec) => Some(spec),
        _ => None,
    }
}

/// The MPLS tunnel that a route's label comes to by this next hop: itself, or the first of a group's members.
fn mpls<'a>(
    spec: &'a NextHopSpec,
    look_up: impl Fn(NextHopId) -> Option<&'a NextHopSpec>,
) -> Option<NextHopId> {
    let members = spec.members().iter().map(|member| member.next_hop);
    let member = members.filter_map(look_up).find(|member| member.is_mpls());
    if spec.is_mpls() { Some(spec.id) } else { member.map(|member| member.id) }
}

/// A route of the store, untouched by the batch, whose label no MPLS tunnel carries.
fn route_above(view: &View<'_>, staged: &Staged, id: NextHopId) -> Option<(RouteKey, u32)> {
    let mut naming = routes::untouched(view, staged, id);
    naming.find(|(_, path)| path.label > MAX_LABEL).map(|(key, path)| (key, path.label))
}
