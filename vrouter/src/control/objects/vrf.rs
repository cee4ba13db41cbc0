//! A routing table.

use agent_api::v1;
use packet::VrfId;

use super::{check_name, number};
use crate::control::fault::Invalid;

/// A checked VRF.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VrfSpec {
    pub(crate) message: v1::Vrf,
    pub(crate) id: VrfId,
    /// Most prefixes; 0 = no limit.
    pub(crate) most_routes: u32,
}

pub(super) fn read(message: v1::Vrf) -> Result<VrfSpec, Invalid> {
    let id = id("id", message.id)?;
    check_name(&message.name)?;
    if message.vni != 0 {
        number::<u32>("vni", message.vni, 1..=super::label::MAX_VNI)?;
    }
    let most_routes = message.limits.map_or(0, |limits| limits.routes);
    Ok(VrfSpec { id, most_routes, message })
}

/// Reads a VRF's id.
pub(super) fn id(field: &str, value: u32) -> Result<VrfId, Invalid> {
    number(field, value, 0..=65_535).map(VrfId)
}
