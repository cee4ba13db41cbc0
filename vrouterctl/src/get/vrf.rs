//! The table of VRFs.

use std::io::Write;

use agent_api::v1::{Entry, Object, object};

use crate::{error::Error, table::Grid, text};

pub(super) fn table(entries: &[Entry], wide: bool, out: &mut dyn Write) -> Result<(), Error> {
    let heads = [
        "ID>",
        "NAME",
        "IPV4>",
        "IPV6>",
        "INTERFACES>",
        "VNI>",
        "POLICIES",
        "+ROUTE LIMIT>",
        "+OWNER",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::Vrf(vrf)) }) = &entry.object else { continue };
        let count = |count: fn(&agent_api::v1::VrfState) -> u32| {
            entry.vrf.as_ref().map(|state| count(state).to_string()).unwrap_or_default()
        };
        grid.row([
            vrf.id.to_string(),
            vrf.name.clone(),
            count(|state| state.ipv4_prefixes),
            count(|state| state.ipv6_prefixes),
            count(|state| state.interfaces),
            text::nonzero(vrf.vni),
            text::numbers(&vrf.network_policies),
            vrf.limits.map(|limits| text::nonzero(limits.routes)).unwrap_or_default(),
            entry.owner.clone(),
            entry.generation.to_string(),
        ]);
    }
    grid.print(out, "No VRFs.")
}
