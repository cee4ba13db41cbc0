//! What only one object may have: an address of source NAT in a VRF, the twin of a fabric interface. Who has what is
//! collected once per batch: a replay brings a thousand pools among a million other objects.

use ahash::AHashMap;
use packet::{InterfaceId, VrfId};

use super::{Staged, View};
use crate::control::{
    fault::Fault,
    objects::{InterfaceSpec, ObjectKey, SourceNatSpec, Spec},
    store::Store,
    text::Ip,
};

pub(super) fn check(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    pools(&view)?;
    twins(&view)
}

/// An address belongs to one pool of its VRF.
fn pools(view: &View<'_>) -> Result<(), Fault> {
    let mut staged = staged_pools(view).peekable();
    if staged.peek().is_none() {
        return Ok(());
    }
    let mut holders: AHashMap<(VrfId, Ip), u16> = AHashMap::new();
    let kept = view.store.source_nats().filter(|pool| view.change(ObjectKey::SourceNat(pool.id)).is_none());
    for pool in kept {
        holders.extend(pool.addresses.iter().map(|&address| ((pool.vrf, address), pool.id)));
    }
    for pool in staged {
        for (index, &address) in pool.addresses.iter().enumerate() {
            if let Some(holder) = holders.insert((pool.vrf, address), pool.id) {
                let text = format!("{address} is an address of source_nat {holder} already");
                return Err(view.refuse(ObjectKey::SourceNat(pool.id), format!("addresses[{index}]"), text));
            }
        }
    }
    Ok(())
}

/// A fabric interface has one twin.
fn twins(view: &View<'_>) -> Result<(), Fault> {
    let mut given: AHashMap<InterfaceId, &InterfaceSpec> = AHashMap::new();
    for twin in staged_twins(view) {
        let Some(fabric) = twin.twin_of else { continue };
        let users = view.store.referrers(ObjectKey::Interface(fabric));
        let mut kept = users.filter(|&user| view.change(user).is_none()).filter_map(|user| {
            let interface = view.store.interface(user.interface()?)?;
            (interface.twin_of == Some(fabric)).then_some(&**interface)
        });
        if let Some(other) = given.insert(fabric, twin).or_else(|| kept.next()) {
            let text = format!("interface {} ({}) is its twin already", other.id, other.name());
            return Err(view.refuse(ObjectKey::Interface(twin.id), "twin_of", text));
        }
    }
    Ok(())
}

fn staged_pools<'a>(view: &View<'a>) -> impl Iterator<Item = &'a SourceNatSpec> {
    view.changes.iter().filter_map(|change| match &change.after.as_ref()?.spec {
        Spec::SourceNat(pool) => Some(&**pool),
        _ => None,
    })
}

fn staged_twins<'a>(view: &View<'a>) -> impl Iterator<Item = &'a InterfaceSpec> {
    view.changes.iter().filter_map(|change| match &change.after.as_ref()?.spec {
        Spec::Interface(interface) if interface.twin_of.is_some() => Some(&**interface),
        _ => None,
    })
}
