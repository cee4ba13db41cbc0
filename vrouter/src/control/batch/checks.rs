//! What only the whole can tell: names that are taken, references that lead nowhere, objects that do not
//! fit together. Every refusal names both ends.

use ahash::AHashSet;

use super::{Staged, View};
use crate::{
    control::{
        fault::Fault,
        objects::{
            FloatingIpSpec, InterfaceSpec, MAX_LABEL, MAX_RULES, NextHopKind, NextHopSpec, ObjectKey,
            SourceNatSpec, Spec, VrfSpec,
        },
        store::{Store, unique_name},
        text::mac_text,
    },
    tables::Role,
};

/// Names are unique in their kind.
pub(super) fn names(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    let mut given = AHashSet::new();
    for change in &staged.objects {
        let Some(name) = change.after.as_ref().and_then(|record| unique_name(&record.spec)) else { continue };
        let kind = change.key.kind();
        let held_by = store
            .named(kind, name)
            .filter(|&holder| holder != change.key && view.get(holder).and_then(unique_name) == Some(name));
        if let Some(holder) = held_by {
            let text = format!("{name:?} is the name of {} already", view.name(holder));
            return Err(view.refuse(change.key, "name", text));
        }
        if !given.insert((kind, name)) {
            let text = format!("{name:?} is given to another {} of the batch", kind.name());
            return Err(view.refuse(change.key, "name", text));
        }
    }
    Ok(())
}

/// Whatever is named exists, and nothing goes that is named.
pub(super) fn references(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    for change in &staged.objects {
        match &change.after {
            Some(after) => {
                let mut missing = None;
                after.spec.references(|target, field| {
                    if missing.is_none() && !view.exists(target) {
                        missing = Some((target, field));
                    }
                });
                if let Some((target, field)) = missing {
                    let text = format!("{} does not exist", view.name(target));
                    return Err(view.refuse(change.key, field, text));
                }
            }
            None => {
                // Objects of the batch have been looked at above: they name only what will exist.
                let user = store.referrers(change.key).find(|&user| view.change(user).is_none());
                if let Some(user) = user {
                    let text = format!("is in use by {}", view.name(user));
                    return Err(view.refuse(change.key, "", text));
                }
            }
        }
    }
    Ok(())
}

/// Objects that name each other fit together, seen from both ends.
pub(super) fn joints(store: &Store, staged: &Staged) -> Result<(), Fault> {
    let view = View::new(store, staged);
    for change in &staged.objects {
        let Some(after) = &change.after else { continue };
        joint(&view, change.key, &after.spec)?;
        if !matches!(
            change.key,
            ObjectKey::Interface(_) | ObjectKey::NextHop(_) | ObjectKey::NetworkPolicy(_)
        ) {
            continue;
        }
        for user in store.referrers(change.key).filter(|&user| view.change(user).is_none()) {
            if let Some(spec) = view.get(user) {
                joint(&view, user, spec)?;
            }
        }
    }
    Ok(())
}

fn joint(view: &View<'_>, key: ObjectKey, spec: &Spec) -> Result<(), Fault> {
    match spec {
        Spec::Interface(spec) => interface(view, key, spec),
        Spec::NextHop(spec) => next_hop(view, key, spec),
        Spec::FloatingIp(spec) => floating_ip(view, key, spec),
        Spec::SourceNat(spec) => source_nat(view, key, spec),
        Spec::Vrf(spec) => vrf(view, key, spec),
        _ => Ok(()),
    }
}

/// The rules of all policies of a network are one list.
fn vrf(view: &View<'_>, key: ObjectKey, spec: &VrfSpec) -> Result<(), Fault> {
    let rules = |&id: &u32| match view.get(ObjectKey::NetworkPolicy(id)) {
        Some(Spec::NetworkPolicy(spec)) => spec.policy.rules.len(),
        _ => 0,
    };
    let rules: usize = spec.policies().iter().map(rules).sum();
    if rules > MAX_RULES {
        let text = format!("{rules} rules in all; at most {MAX_RULES} are allowed");
        return Err(view.refuse(key, "network_policies", text));
    }
    Ok(())
}

fn interface_of<'a>(view: &View<'a>, id: packet::InterfaceId) -> Option<&'a InterfaceSpec> {
    match view.get(ObjectKey::Interface(id))? {
        Spec::Interface(spec) => Some(spec),
        _ => None,
    }
}

fn interface(view: &View<'_>, key: ObjectKey, spec: &InterfaceSpec) -> Result<(), Fault> {
    if let Some(change) = view.change(key)
        && let Some(Spec::Interface(before)) = change.before.as_ref().map(|record| &record.spec)
        && before.message.device != spec.message.device
    {
        let text = "the device of an interface cannot be changed: delete the interface in a batch before";
        return Err(view.refuse(key, "device", text));
    }
    let Some(fabric) = spec.twin_of else { return agrees_with_its_twin(view, key, spec) };
    let Some(other) = interface_of(view, fabric) else { return Ok(()) };
    let refuse = |text: String| Err(view.refuse(key, "twin_of", text));
    if other.role != Role::Fabric {
        return refuse(format!("interface {fabric} ({}) is no FABRIC interface", other.name()));
    }
    if let Err((field, text)) = agree(spec, other) {
        let field = if field == "vrf" { "twin_of" } else { field };
        return Err(view.refuse(key, field, text));
    }
    Ok(())
}

/// A fabric interface that changes stays like its twin.
fn agrees_with_its_twin(view: &View<'_>, key: ObjectKey, spec: &InterfaceSpec) -> Result<(), Fault> {
    let twins = view.store.referrers(key).filter_map(|user| match view.get(user) {
        Some(Spec::Interface(twin)) if twin.twin_of == Some(spec.id) => Some(twin),
        _ => None,
    });
    for twin in twins {
        agree(spec, twin).map_err(|(field, text)| view.refuse(key, field, text))?;
    }
    Ok(())
}

/// What one of two twins must have because the other has it: the field, and why not.
fn agree(one: &InterfaceSpec, other: &InterfaceSpec) -> Result<(), (&'static str, String)> {
    let (id, name) = (other.id, other.name());
    if other.vrf != one.vrf {
        return Err(("vrf", format!("interface {id} ({name}) is in vrf {}, not {}", other.vrf, one.vrf)));
    }
    if other.mtu != one.mtu {
        return Err(("mtu", format!("interface {id} ({name}) has {}: twins have one MTU", other.mtu)));
    }
    if let (Some(theirs), Some(ours)) = (other.mac, one.mac)
        && theirs != ours
    {
        return Err(("mac", format!("interface {id} ({name}) has {}: twins have one MAC", mac_text(theirs))));
    }
    Ok(())
}

fn next_hop(view: &View<'_>, key: ObjectKey, spec: &NextHopSpec) -> Result<(), Fault> {
    match &spec.kind {
        NextHopKind::Resolve(id) => match interface_of(view, *id) {
            Some(out) if out.role != Role::Fabric => {
                let text = format!("interface {id} ({}) is no FABRIC interface", out.name());
                Err(view.refuse(key, "resolve.interface", text))
            }
            _ => Ok(()),
        },
        NextHopKind::Interface(id, neighbour) => match interface_of(view, *id) {
            Some(out) if out.role == Role::Fabric && neighbour.is_none() => {
                let text =
                    format!("interface {id} ({}) is a FABRIC interface: a neighbour is needed", out.name());
                Err(view.refuse(key, "interface.address", text))
            }
            Some(out) if out.role == Role::Virtual && neighbour.is_some() => {
                let text = format!("interface {id} ({}) is a VIRTUAL interface: leave it out", out.name());
                Err(view.refuse(key, "interface.address", text))
            }
            _ => Ok(()),
        },
        NextHopKind::Ecmp(_) => members(view, key, spec),
        _ => Ok(()),
    }
}

fn members(view: &View<'_>, key: ObjectKey, spec: &NextHopSpec) -> Result<(), Fault> {
    for (index, member) in spec.members().iter().enumerate() {
        let Some(Spec::NextHop(other)) = view.get(ObjectKey::NextHop(member.next_hop)) else { continue };
        let refuse =
            |field: &str, text: String| Err(view.refuse(key, format!("ecmp.members[{index}].{field}"), text));
        match &other.kind {
            NextHopKind::Ecmp(_) => {
                return refuse("next_hop", format!("next_hop {} is ecmp itself: list its members", other.id));
            }
            NextHopKind::Vrf(_) | NextHopKind::Receive | NextHopKind::SourceNat(_) => {
                return refuse("next_hop", format!("next_hop {} leads to no single end", other.id));
            }
            _ if other.is_mpls() && member.label > MAX_LABEL => {
                let text = format!("{} is no MPLS label: 16 to 1048575 are", member.label);
                return refuse("label", text);
            }
            _ => {}
        }
    }
    Ok(())
}

fn floating_ip(view: &View<'_>, key: ObjectKey, spec: &FloatingIpSpec) -> Result<(), Fault> {
    if let Some(id) = spec.node_port
        && let Some(Spec::NextHop(next_hop)) = view.get(ObjectKey::NextHop(id))
        && !matches!(next_hop.kind, NextHopKind::Ecmp(_) | NextHopKind::Interface(_, None))
    {
        let text = format!("next_hop {id} picks no workload: an interface or ecmp next hop does");
        return Err(view.refuse(key, "next_hop", text));
    }
    for (index, &id) in spec.interfaces.iter().enumerate() {
        let Some(interface) = interface_of(view, id) else { continue };
        if interface.role != Role::Virtual {
            let text = format!("interface {id} ({}) is no VIRTUAL interface", interface.name());
            return Err(view.refuse(key, format!("interfaces[{index}]"), text));
        }
        let stands = match spec.fixed {
            Some(fixed) => interface.has_address(fixed),
            None => interface.first_address(spec.address.v6).is_some(),
        };
        if !stands {
            let family = if spec.address.v6 { "IPv6" } else { "IPv4" };
            let text = match spec.fixed {
                Some(fixed) => format!("{fixed} is no address of interface {id} ({})", interface.name()),
                None => format!("interface {id} ({}) has no {family} address", interface.name()),
            };
            let field = if spec.fixed.is_some() {
                "fixed_address".to_owned()
            } else {
                format!("interfaces[{index}]")
            };
            return Err(view.refuse(key, field, text));
        }
    }
    Ok(())
}

fn source_nat(view: &View<'_>, key: ObjectKey, spec: &SourceNatSpec) -> Result<(), Fault> {
    for (index, &id) in spec.interfaces.iter().enumerate() {
        let Some(interface) = interface_of(view, id) else { continue };
        let refuse = |text: String| Err(view.refuse(key, format!("interfaces[{index}]"), text));
        if interface.role != Role::Virtual {
            return refuse(format!("interface {id} ({}) is no VIRTUAL interface", interface.name()));
        }
        if interface.vrf == spec.vrf {
            return refuse(format!(
                "interface {id} ({}) is outside itself, in vrf {}",
                interface.name(),
                spec.vrf
            ));
        }
    }
    Ok(())
}
