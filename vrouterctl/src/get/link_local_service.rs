//! The table of link-local services.

use std::io::Write;

use agent_api::v1::{Entry, Object, object};

use crate::{connect::Client, describe::Places, error::Error, table::Grid, text};

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::names(client).await?;
    let heads =
        ["ID>", "NAME", "PROTOCOL", "SERVICE", "LEADS TO", "IN VRF", "USED BY", "+OWNER", "+GENERATION>"];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::LinkLocalService(service)) }) = &entry.object else {
            continue;
        };
        let users: Vec<_> = service.vrfs.iter().map(|&id| places.vrf(id)).collect();
        grid.row([
            service.id.to_string(),
            service.name.clone(),
            text::protocol(service.protocol),
            text::endpoint(&service.address, service.port),
            text::endpoint(&service.to_address, service.to_port),
            places.vrf(service.to_vrf),
            users.join(","),
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    grid.print(out, "No link-local services.")
}
