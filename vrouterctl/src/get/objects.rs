//! Objects of every kind: selection and output; the columns of each kind are in a file of its own.

use std::{collections::HashSet, io::Write};

use agent_api::{
    v1::{Entry, Kind, ListRequest, Object, key, object},
    yaml,
};

use super::{
    GetArgs, floating_ip, interface, label, link_local_service, network_policy, next_hop, pinned_flow, route,
    security_group, source_nat, vrf,
};
use crate::{
    ask,
    connect::Client,
    error::Error,
    output::{self, Format},
};

/// Shows the objects of these kinds.
pub(crate) async fn run(
    client: &mut Client,
    kinds: &[Kind],
    args: &GetArgs,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let vrf = match &args.vrf {
        Some(text) => Some(ask::vrf_id(client, text).await?),
        None => None,
    };
    let mut lists = Vec::new();
    for &kind in kinds {
        let request = ListRequest {
            kind: kind.into(),
            vrf,
            owner: args.owner.clone().unwrap_or_default(),
            id: args.id.as_ref().and_then(|id| id.parse().ok()).filter(|_| kind != Kind::Route),
            prefix: args.id.clone().filter(|_| kind == Kind::Route).unwrap_or_default(),
        };
        let mut entries = ask::entries(client, request).await?;
        if let Some(id) = &args.id {
            entries.retain(|entry| names(entry, id));
            if entries.is_empty() {
                return Err(Error::Failed(format!("there is no {} {id}", kind.name())));
            }
        }
        entries.sort_by_key(id);
        lists.push((kind, entries));
    }
    match args.output.output {
        Format::Json => {
            output::json(out, &yaml::Value::Sequence(entries_of(&lists).map(entry_value).collect()))
        }
        Format::Yaml => {
            let mut seen = HashSet::new();
            let objects = entries_of(&lists).filter_map(|entry| entry.object.as_ref());
            let objects = objects.filter(|object| seen.insert(agent_api::key_of(object)));
            output::yaml(out, &yaml::Value::Sequence(objects.map(yaml::object_value).collect()))
        }
        Format::Table => tables(client, &lists, false, out).await,
        Format::Wide => tables(client, &lists, true, out).await,
    }
}

/// Whether an entry answers to what was written as its id. Routes were selected by the vRouter.
fn names(entry: &Entry, id: &str) -> bool {
    let is = |number: u32, name: &str| id.parse() == Ok(number) || id == name;
    match entry.object.as_ref().and_then(|Object { object }| object.as_ref()) {
        Some(object::Object::Vrf(vrf)) => is(vrf.id, &vrf.name),
        Some(object::Object::Interface(interface)) => is(interface.id, &interface.name),
        Some(object::Object::NextHop(next_hop)) => is(next_hop.id, ""),
        Some(object::Object::MplsLabel(label)) => is(label.label, ""),
        Some(object::Object::Vni(vni)) => is(vni.vni, ""),
        Some(object::Object::SecurityGroup(group)) => is(group.id, &group.name),
        Some(object::Object::NetworkPolicy(policy)) => is(policy.id, &policy.name),
        Some(object::Object::FloatingIp(floating)) => is(floating.id, &floating.address),
        Some(object::Object::SourceNat(nat)) => is(nat.id, &nat.name),
        Some(object::Object::LinkLocalService(service)) => is(service.id, &service.name),
        Some(object::Object::Route(_) | object::Object::Flow(_)) => true,
        None => false,
    }
}

/// What objects that have a number are sorted by; the others stay as the vRouter sent them.
fn id(entry: &Entry) -> u32 {
    match entry.object.as_ref().map(agent_api::key_of).and_then(|key| key.key) {
        Some(
            key::Key::Vrf(id)
            | key::Key::Interface(id)
            | key::Key::NextHop(id)
            | key::Key::MplsLabel(id)
            | key::Key::Vni(id)
            | key::Key::SecurityGroup(id)
            | key::Key::FloatingIp(id)
            | key::Key::SourceNat(id)
            | key::Key::LinkLocalService(id)
            | key::Key::NetworkPolicy(id),
        ) => id,
        Some(key::Key::Route(_) | key::Key::Flow(_)) | None => 0,
    }
}

fn entries_of(lists: &[(Kind, Vec<Entry>)]) -> impl Iterator<Item = &Entry> {
    lists.iter().flat_map(|(_, entries)| entries)
}

/// An entry with all that the vRouter tells of it; its object as a file would have it.
fn entry_value(entry: &Entry) -> yaml::Value {
    let mut value = yaml::value_of(entry);
    if let Some(object) = &entry.object
        && let Some(place) = value.get_mut("object")
    {
        *place = yaml::object_value(object);
    }
    value
}

async fn tables(
    client: &mut Client,
    lists: &[(Kind, Vec<Entry>)],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    for (index, (kind, entries)) in lists.iter().enumerate() {
        if lists.len() > 1 {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(out, "{gap}{} ({})", kind.name(), entries.len())?;
            if entries.is_empty() {
                continue;
            }
        }
        match kind {
            Kind::Vrf => vrf::table(entries, wide, out)?,
            Kind::Interface => interface::table(client, entries, wide, out).await?,
            Kind::NextHop => next_hop::table(client, entries, wide, out).await?,
            Kind::Route => route::table(client, entries, wide, out).await?,
            Kind::MplsLabel | Kind::Vni => label::table(client, *kind, entries, wide, out).await?,
            Kind::SecurityGroup => security_group::table(entries, wide, out)?,
            Kind::NetworkPolicy => network_policy::table(client, entries, wide, out).await?,
            Kind::FloatingIp => floating_ip::table(client, entries, wide, out).await?,
            Kind::SourceNat => source_nat::table(client, entries, wide, out).await?,
            Kind::LinkLocalService => link_local_service::table(client, entries, wide, out).await?,
            Kind::Flow => pinned_flow::table(client, entries, wide, out).await?,
            Kind::Unspecified => {}
        }
    }
    Ok(())
}
