//! The table of flows that a controller pinned.

use std::io::Write;

use agent_api::v1::{Direction, Entry, FlowAction, Object, object};

use crate::{ask, connect::Client, error::Error, table::Grid, text};

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let names = ask::interface_names(client).await?;
    let heads =
        ["INTERFACE", "DIRECTION", "PROTOCOL", "SOURCE", "DESTINATION", "ACTION", "+OWNER", "+GENERATION>"];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::Flow(flow)) }) = &entry.object else { continue };
        let direction = match flow.direction() {
            Direction::Unspecified => "?",
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        let action = match flow.action() {
            FlowAction::Unspecified => "?",
            FlowAction::Forward => "forward",
            FlowAction::Deny => "deny",
        };
        grid.row([
            names.get(&flow.interface).cloned().unwrap_or_else(|| flow.interface.to_string()),
            direction.into(),
            text::protocol(flow.protocol),
            text::endpoint(&flow.source, flow.source_port),
            text::endpoint(&flow.destination, flow.destination_port),
            action.into(),
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    grid.print(out, "No pinned flows.")
}
