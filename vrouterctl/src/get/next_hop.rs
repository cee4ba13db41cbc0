//! The table of next hops: what `nh --list` tells.

use std::io::Write;

use agent_api::v1::{Entry, NextHop, Object, Tunnel, next_hop, object};

use crate::{
    connect::Client,
    describe::{self, Places},
    error::Error,
    table::{Flag, Grid, legend, signs},
    text,
};

struct Row<'a> {
    next_hop: &'a NextHop,
    resolved: bool,
}

impl Row<'_> {
    fn tunnel(&self) -> Option<&Tunnel> {
        match &self.next_hop.kind {
            Some(next_hop::Kind::Tunnel(tunnel)) => Some(tunnel),
            _ => None,
        }
    }
}

const fn flags<'a>() -> [Flag<Row<'a>>; 4] {
    [
        Flag { sign: "V", meaning: "valid: resolved down to a port", set: |row| row.resolved },
        Flag {
            sign: "Df",
            meaning: "outer DF cleared",
            set: |row| row.tunnel().is_some_and(|tunnel| tunnel.clear_df),
        },
        Flag {
            sign: "Ds",
            meaning: "outer DSCP set",
            set: |row| row.tunnel().is_some_and(|tunnel| tunnel.dscp != 0),
        },
        Flag {
            sign: "Uc",
            meaning: "outer UDP checksum",
            set: |row| row.tunnel().is_some_and(|tunnel| tunnel.udp_checksum),
        },
    ]
}

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::ask(client).await?;
    let heads = [
        "ID>",
        "TYPE",
        "TO",
        "OUT",
        "NEIGHBOUR",
        "FLAGS",
        "ROUTES>",
        "+MTU>",
        "+TRANSPORT VRF>",
        "+ROUTER MAC",
        "+OWNER",
        "+GENERATION>",
    ];
    let flags = flags();
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::NextHop(next_hop)) }) = &entry.object else {
            continue;
        };
        let state = entry.next_hop.clone().unwrap_or_default();
        let row = Row { next_hop, resolved: state.resolved };
        grid.row([
            next_hop.id.to_string(),
            describe::kind(next_hop).into(),
            places.detail(next_hop),
            if state.interface == 0 { String::new() } else { places.interface(state.interface) },
            state.mac,
            signs(&flags, &row),
            state.routes.to_string(),
            text::nonzero(next_hop.mtu),
            row.tunnel().map(|tunnel| tunnel.transport_vrf.to_string()).unwrap_or_default(),
            row.tunnel().map(|tunnel| tunnel.router_mac.clone()).unwrap_or_default(),
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    if wide {
        writeln!(out, "{}", legend(&flags))?;
    }
    grid.print(out, "No next hops.")
}
