//! Counters of dropped packets: what `dropstats` tells.

use std::{collections::BTreeMap, io::Write};

use agent_api::v1::{DropStats, StatsRequest};

use super::{GetArgs, print_values};
use crate::{ask, connect::Client, error::Error, output::Format, table::Grid};

pub(super) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    let interface = match &args.interface {
        Some(text) => Some(ask::interface_id(client, text).await?),
        None => None,
    };
    let request = StatsRequest { drops: true, ..StatsRequest::default() };
    let mut drops = ask::stats(client, request).await?.drops;
    if let Some(reason) = &args.id
        && !drops.iter().any(|drop| drop.reason == *reason)
    {
        return Err(Error::Failed(format!("{reason} has no counter")));
    }
    drops.retain(|drop| {
        interface.is_none_or(|id| drop.interface == id)
            && args.id.as_ref().is_none_or(|id| drop.reason == *id)
    });
    if print_values(out, args.output.output, &drops)? {
        return Ok(());
    }
    if args.output.output == Format::Wide {
        by_interface(client, &drops, out).await
    } else {
        by_reason(&drops, out)
    }
}

/// Every reason that counted, with all interfaces in one number.
fn by_reason(drops: &[DropStats], out: &mut dyn Write) -> Result<(), Error> {
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for drop in drops {
        let (packets, help) = reasons.entry(&drop.reason).or_default();
        *packets += drop.packets;
        *help = &drop.help;
    }
    let mut grid = Grid::new(false, &["REASON", "PACKETS>", "MEANING"]);
    for (reason, (packets, help)) in reasons.into_iter().filter(|(_, (packets, _))| *packets > 0) {
        grid.row([reason.into(), packets.to_string(), help.into()]);
    }
    grid.print(out, "No packet was dropped.")
}

/// Every counter, zeros included.
async fn by_interface(client: &mut Client, drops: &[DropStats], out: &mut dyn Write) -> Result<(), Error> {
    let names = ask::interface_names(client).await?;
    let mut grid = Grid::new(true, &["REASON", "INTERFACE", "PACKETS>", "MEANING"]);
    for drop in drops {
        let interface = match drop.interface {
            0 => String::new(),
            id => names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        };
        grid.row([drop.reason.clone(), interface, drop.packets.to_string(), drop.help.clone()]);
    }
    grid.print(out, "No packet was dropped.")
}
