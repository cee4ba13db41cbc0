//! The table of source NAT pools.

use std::io::Write;

use agent_api::v1::{Entry, Object, SourceNatMapping, object};

use crate::{connect::Client, describe::Places, error::Error, table::Grid};

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::names(client).await?;
    let heads = [
        "ID>",
        "NAME",
        "VRF>",
        "+VRF NAME",
        "ADDRESSES",
        "PORTS",
        "MAPPING",
        "USED BY",
        "TAKEN>",
        "+OWNER",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::SourceNat(nat)) }) = &entry.object else { continue };
        let mapping = match nat.mapping() {
            SourceNatMapping::EndpointIndependent => "endpoint-independent",
            SourceNatMapping::PerDestination => "per destination",
        };
        let vrfs = nat.vrfs.iter().map(|&id| format!("vrf {}", places.vrf(id)));
        let users: Vec<_> = nat.interfaces.iter().map(|&id| places.interface(id)).chain(vrfs).collect();
        let ports =
            nat.ports.map_or("1024-65535".to_owned(), |ports| format!("{}-{}", ports.first, ports.last));
        grid.row([
            nat.id.to_string(),
            nat.name.clone(),
            nat.vrf.to_string(),
            places.vrf(nat.vrf),
            nat.addresses.join(","),
            ports,
            mapping.into(),
            users.join(","),
            entry.source_nat.map_or(0, |state| state.ports_taken).to_string(),
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    grid.print(out, "No source NAT.")
}
