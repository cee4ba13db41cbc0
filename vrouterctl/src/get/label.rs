//! The tables of MPLS labels and VNIs: what `mpls --dump` and `vxlan --dump` tell.

use std::io::Write;

use agent_api::v1::{Entry, Kind, Object, mpls_label, object, vni};

use crate::{connect::Client, describe::Places, error::Error, table::Grid};

enum Target {
    NextHop(u32),
    Vrf(u32),
    None,
}

pub(super) async fn table(
    client: &mut Client,
    kind: Kind,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::ask(client).await?;
    let (head, nothing) =
        if kind == Kind::Vni { ("VNI>", "No VNIs.") } else { ("LABEL>", "No MPLS labels.") };
    let mut grid = Grid::new(wide, &[head, "NH>", "NEXT HOP", "VRF>", "+VRF NAME", "+OWNER", "+GENERATION>"]);
    for entry in entries {
        let Some((value, target)) = row(entry) else { continue };
        let (id, next_hop, vrf, vrf_name) = match target {
            Target::NextHop(id) => (id.to_string(), places.next_hop(id), String::new(), String::new()),
            Target::Vrf(id) => (String::new(), String::new(), id.to_string(), places.vrf(id)),
            Target::None => Default::default(),
        };
        let (owner, generation) = (entry.owner.clone(), entry.generation.to_string());
        grid.row([value.to_string(), id, next_hop, vrf, vrf_name, owner, generation]);
    }
    grid.print(out, nothing)
}

fn row(entry: &Entry) -> Option<(u32, Target)> {
    match &entry.object {
        Some(Object { object: Some(object::Object::MplsLabel(label)) }) => {
            let target = match label.target {
                Some(mpls_label::Target::NextHop(id)) => Target::NextHop(id),
                Some(mpls_label::Target::Vrf(id)) => Target::Vrf(id),
                None => Target::None,
            };
            Some((label.label, target))
        }
        Some(Object { object: Some(object::Object::Vni(vni)) }) => {
            let target = match vni.target {
                Some(vni::Target::NextHop(id)) => Target::NextHop(id),
                Some(vni::Target::Vrf(id)) => Target::Vrf(id),
                None => Target::None,
            };
            Some((vni.vni, target))
        }
        _ => None,
    }
}
