//! Floating IPs that share an address and an interface: no port may lead to two places.

use ahash::AHashMap;
use packet::{Address, InterfaceId, VrfId};

use super::{Staged, View};
use crate::{
    control::{
        fault::Fault,
        objects::{FloatingIpSpec, ObjectKey, Spec},
        store::Store,
    },
    tables::NatDirection,
};

/// What two floating IPs have in common where their port maps may overlap.
type Place = (InterfaceId, VrfId, bool, Address);

/// Refuses a port map that takes a port of another floating IP with the same address on the same interface. One
/// without port maps takes what the others leave.
pub(super) fn port_maps(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    let mut batch: AHashMap<Place, Vec<&FloatingIpSpec>> = AHashMap::new();
    for change in &staged.objects {
        let Some(Spec::FloatingIp(spec)) = change.after.as_ref().map(|after| &after.spec) else { continue };
        for place in places(spec) {
            let others = batch.entry(place).or_default();
            let stored =
                store.referrers(ObjectKey::Interface(place.0)).filter(|&user| view.change(user).is_none());
            let stored = stored.filter_map(|user| match view.get(user)? {
                Spec::FloatingIp(other) => Some(&**other).filter(|other| places(other).any(|at| at == place)),
                _ => None,
            });
            for other in others.iter().copied().chain(stored) {
                refuse_overlap(&view, change.key, spec, other)?;
            }
            others.push(spec);
        }
    }
    Ok(())
}

/// The interfaces at which a floating IP has mapped ports.
fn places(spec: &FloatingIpSpec) -> impl Iterator<Item = Place> {
    let maps = !spec.port_maps.is_empty() && spec.direction != NatDirection::Egress;
    let interfaces = if maps { &spec.interfaces[..] } else { &[] };
    interfaces.iter().map(|&interface| (interface, spec.vrf, spec.address.v6, spec.address.address))
}

fn refuse_overlap(
    view: &View<'_>,
    key: ObjectKey,
    spec: &FloatingIpSpec,
    other: &FloatingIpSpec,
) -> Result<(), Fault> {
    for (index, map) in spec.port_maps.iter().enumerate() {
        if let Some(taken) = other.port_maps.iter().find(|taken| taken.overlaps(map)) {
            let text = format!(
                "overlaps {taken} of floating IP {}, which has the same address and interface",
                other.id
            );
            return Err(view.refuse(key, format!("port_maps[{index}].port"), text));
        }
    }
    Ok(())
}
