//! The table of routes: what `rt --dump` tells, with all paths of a prefix.

use std::{cmp::Reverse, io::Write, net::IpAddr};

use agent_api::v1::{Entry, Object, Route, object};

use crate::{
    connect::Client,
    describe::Places,
    error::Error,
    table::{Flag, Grid, legend, signs},
    text,
};

struct Row<'a> {
    route: &'a Route,
    active: bool,
    entry: &'a Entry,
}

const fn flags<'a>() -> [Flag<Row<'a>>; 5] {
    [
        Flag { sign: "A", meaning: "active: this path forwards", set: |row| row.active },
        Flag { sign: "L", meaning: "pushes a label of its own", set: |row| row.route.label != 0 },
        Flag {
            sign: "Sg",
            meaning: "carries security groups",
            set: |row| !row.route.security_groups.is_empty(),
        },
        Flag { sign: "N", meaning: "leaked from another network", set: |row| row.route.network != 0 },
        Flag { sign: "T", meaning: "carries tags", set: |row| !row.route.tags.is_empty() },
    ]
}

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::ask(client).await?;
    let mut rows: Vec<_> = entries.iter().filter_map(row).collect();
    rows.sort_by_cached_key(|row| {
        (
            row.route.vrf,
            order(&row.route.prefix),
            !row.active,
            Reverse(preference(row.route)),
            row.route.origin.clone(),
        )
    });

    let heads = [
        "VRF>",
        "+VRF NAME",
        "PREFIX",
        "NH>",
        "NEXT HOP",
        "LABEL>",
        "FLAGS",
        "PREF>",
        "ORIGIN",
        "+GROUPS",
        "+NETWORK",
        "+TAGS",
        "+OWNER",
        "+GENERATION>",
    ];
    let flags = flags();
    let mut grid = Grid::new(wide, &heads);
    for row in &rows {
        grid.row([
            row.route.vrf.to_string(),
            places.vrf(row.route.vrf),
            row.route.prefix.clone(),
            row.route.next_hop.to_string(),
            places.next_hop(row.route.next_hop),
            text::nonzero(row.route.label),
            signs(&flags, row),
            preference(row.route).to_string(),
            row.route.origin.clone(),
            text::numbers(&row.route.security_groups),
            if row.route.network == 0 { String::new() } else { places.vrf(row.route.network) },
            row.route.tags.join(","),
            row.entry.owner.clone(),
            row.entry.generation.to_string(),
        ]);
    }
    if wide {
        writeln!(out, "{}", legend(&flags))?;
    }
    grid.print(out, "No routes.")
}

fn row(entry: &Entry) -> Option<Row<'_>> {
    match &entry.object {
        Some(Object { object: Some(object::Object::Route(route)) }) => {
            Some(Row { route, active: entry.route.is_some_and(|state| state.active), entry })
        }
        _ => None,
    }
}

/// 0 stands for the default.
const fn preference(route: &Route) -> u32 {
    if route.preference == 0 { 100 } else { route.preference }
}

/// IPv4 before IPv6, then by address and length.
fn order(prefix: &str) -> (Option<IpAddr>, Option<u8>) {
    match prefix.split_once('/') {
        Some((address, length)) => (address.parse().ok(), length.parse().ok()),
        None => (prefix.parse().ok(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_sorted_as_addresses_not_as_text() {
        let mut prefixes = ["2001:db8::/32", "10.0.0.0/24", "9.0.0.0/8", "10.0.0.0/8", "::/0", "0.0.0.0/0"];
        prefixes.sort_by_key(|prefix| order(prefix));
        assert_eq!(
            prefixes,
            ["0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/24", "::/0", "2001:db8::/32"]
        );
    }
}
