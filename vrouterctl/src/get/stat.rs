//! Where all packets went, the interfaces' counters, and how full the tables are.

use std::io::Write;

use agent_api::v1::{Accounting, InterfaceStats, ServiceStats, StatsRequest, StatsResponse, TableStats};

use super::{GetArgs, print_values};
use crate::{ask, connect::Client, error::Error, output::Format, table::Grid};

pub(super) async fn run(client: &mut Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), Error> {
    let stats = ask::stats(client, StatsRequest::default()).await?;
    let format = args.output.output;
    if print_values(out, format, std::slice::from_ref(&stats))? {
        return Ok(());
    }
    table(&stats, format == Format::Wide, out)
}

fn table(stats: &StatsResponse, wide: bool, out: &mut dyn Write) -> Result<(), Error> {
    writeln!(out, "Generation {}\n", stats.generation)?;
    accounting(&stats.accounting.unwrap_or_default(), out)?;
    writeln!(out)?;
    interfaces(&stats.interfaces, out)?;
    writeln!(out)?;
    tables(&stats.tables, wide, out)?;
    if stats.services.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    services(&stats.services, out)
}

/// What became of what workloads asked of DHCP, router advertisements and DNS.
fn services(services: &[ServiceStats], out: &mut dyn Write) -> Result<(), Error> {
    let mut grid = Grid::new(false, &["SERVICE", "PACKETS>", "MEANING"]);
    for stats in services {
        grid.row([stats.outcome.clone(), stats.packets.to_string(), stats.help.clone()]);
    }
    grid.print(out, "Nothing was asked.")
}

/// Every packet that came in or was made ends in exactly one way: the two sums are equal when the vRouter is
/// idle, and may differ by packets in flight otherwise.
fn accounting(accounting: &Accounting, out: &mut dyn Write) -> Result<(), Error> {
    let a = accounting;
    let came = [("received", a.received), ("originated", a.originated), ("copied", a.copied)];
    let went = [
        ("sent", a.sent),
        ("consumed", a.consumed),
        ("punted", a.punted),
        ("held", a.held),
        ("dropped", a.dropped),
    ];
    let mut grid = Grid::new(false, &["CAME", "PACKETS>", "WENT", "PACKETS>"]);
    let cell = |side: &[(&str, u64)], index: usize| {
        let blank = || (" ".to_owned(), " ".to_owned());
        side.get(index).map_or_else(blank, |(name, count)| ((*name).to_owned(), count.to_string()))
    };
    for index in 0..came.len().max(went.len()) {
        let ((came, came_packets), (went, went_packets)) = (cell(&came, index), cell(&went, index));
        grid.row([came, came_packets, went, went_packets]);
    }
    grid.print(out, "")?;
    let sum = |side: &[(&str, u64)]| side.iter().map(|(_, count)| u128::from(*count)).sum::<u128>();
    let (came, went) = (sum(&came), sum(&went));
    if came == went {
        writeln!(out, "Balanced: {came} came, {went} went")?;
    } else {
        writeln!(
            out,
            "Not balanced: {came} came, {went} went (packets in flight, unless it stays so when idle)"
        )?;
    }
    Ok(())
}

fn interfaces(interfaces: &[InterfaceStats], out: &mut dyn Write) -> Result<(), Error> {
    let heads =
        ["INTERFACE>", "NAME", "RX PACKETS>", "RX BYTES>", "TX PACKETS>", "TX BYTES>", "DROPS>", "FLOWS>"];
    let mut grid = Grid::new(false, &heads);
    for stats in interfaces {
        grid.row([
            stats.interface.to_string(),
            stats.name.clone(),
            stats.rx_packets.to_string(),
            stats.rx_bytes.to_string(),
            stats.tx_packets.to_string(),
            stats.tx_bytes.to_string(),
            stats.dropped.to_string(),
            stats.flows.to_string(),
        ]);
    }
    grid.print(out, "No interfaces.")
}

fn tables(tables: &[TableStats], wide: bool, out: &mut dyn Write) -> Result<(), Error> {
    let mut grid = Grid::new(wide, &["TABLE", "ENTRIES>", "CAPACITY>", "USED>"]);
    for stats in tables {
        grid.row([
            stats.table.clone(),
            stats.entries.to_string(),
            if stats.capacity == 0 { String::new() } else { stats.capacity.to_string() },
            percent(stats.entries, stats.capacity),
        ]);
    }
    grid.print(out, "No tables.")
}

/// A share in per cent with one digit after the point; nothing of nothing is nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let permille = u128::from(part) * 1000 / u128::from(whole);
    format!("{}.{}%", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(balance: Accounting) -> String {
        let mut out = Vec::new();
        accounting(&balance, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_packet_that_is_missing_is_seen() {
        let balanced = Accounting {
            received: 100,
            originated: 20,
            copied: 3,
            sent: 50,
            consumed: 40,
            punted: 30,
            held: 2,
            dropped: 1,
        };
        assert_eq!(last_line(balanced), "Balanced: 123 came, 123 went");
        for broken in [
            Accounting { received: 101, ..balanced },
            Accounting { copied: 2, ..balanced },
            Accounting { held: 1, ..balanced },
            Accounting { dropped: 0, ..balanced },
        ] {
            assert!(last_line(broken).starts_with("Not balanced: "));
        }
        // Sums of counters do not overflow.
        assert!(
            last_line(Accounting { received: u64::MAX, copied: 1, ..balanced }).starts_with("Not balanced: ")
        );
    }

    #[test]
    fn shares_are_per_cent() {
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(0, 3), "0.0%");
        assert_eq!(percent(3, 3), "100.0%");
        assert_eq!(percent(0, 0), "");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0%");
    }
}
