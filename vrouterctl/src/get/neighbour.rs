//! Neighbours: ARP and ND.

use std::io::Write;

use agent_api::v1::{ListNeighboursRequest, NeighbourState};

use super::{GetArgs, print_values};
use crate::{ask, connect::Client, error::Error, table::Grid, text};

pub(super) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    let interface = match &args.interface {
        Some(text) => Some(ask::interface_id(client, text).await?),
        None => None,
    };
    let stream = client.list_neighbours(ListNeighboursRequest { interface }).await?.into_inner();
    let neighbours: Vec<_> =
        ask::gather(stream).await?.into_iter().flat_map(|response| response.neighbours).collect();
    if print_values(out, args.output.output, &neighbours)? {
        return Ok(());
    }
    let names = ask::interface_names(client).await?;
    let mut grid = Grid::new(false, &["INTERFACE", "ADDRESS", "MAC", "STATE", "AGE>"]);
    for neighbour in &neighbours {
        grid.row([
            names.get(&neighbour.interface).cloned().unwrap_or_else(|| neighbour.interface.to_string()),
            neighbour.address.clone(),
            neighbour.mac.clone(),
            state(neighbour.state()).into(),
            text::age(neighbour.age_ms),
        ]);
    }
    grid.print(out, "No neighbours.")
}

/// The state by the name that RFC 4861 gives it.
pub(crate) const fn state(state: NeighbourState) -> &'static str {
    match state {
        NeighbourState::Unspecified => "?",
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Permanent => "permanent",
    }
}
