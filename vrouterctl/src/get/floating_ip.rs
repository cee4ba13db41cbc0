//! The table of floating IPs.

use std::io::Write;

use agent_api::v1::{Entry, NatDirection, Object, PortMap, object};

use crate::{connect::Client, describe::Places, error::Error, table::Grid, text};

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::names(client).await?;
    let heads = [
        "ID>",
        "ADDRESS",
        "VRF>",
        "+VRF NAME",
        "INTERFACES",
        "FIXED ADDRESS",
        "DIRECTION",
        "PORTS",
        "+OWNER",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::FloatingIp(floating)) }) = &entry.object else {
            continue;
        };
        let interfaces: Vec<_> = floating.interfaces.iter().map(|&id| places.interface(id)).collect();
        let ports = floating.port_maps.iter();
        let ports = ports.map(port_map);
        let direction = match floating.direction() {
            NatDirection::Both => "both",
            NatDirection::NatIngress => "ingress",
            NatDirection::NatEgress => "egress",
        };
        grid.row([
            floating.id.to_string(),
            floating.address.clone(),
            floating.vrf.to_string(),
            places.vrf(floating.vrf),
            interfaces.join(","),
            floating.fixed_address.clone(),
            direction.into(),
            if floating.port_maps.is_empty() { "all".into() } else { ports.collect::<Vec<_>>().join(",") },
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    grid.print(out, "No floating IPs.")
}

/// "http:tcp/8888→80", "tcp/8000-8009→9000".
fn port_map(map: &PortMap) -> String {
    let name = if map.name.is_empty() { String::new() } else { format!("{}:", map.name) };
    let last = if map.last == 0 { String::new() } else { format!("-{}", map.last) };
    format!("{name}{}/{}{last}→{}", text::protocol(map.protocol), map.port, map.to_port)
}
