//! A routing table.

use agent_api::v1;
use packet::VrfId;

use super::{Field, ObjectKey, at_most, check_name, distinct, number};
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
    at_most("network_policies", "policies", message.network_policies.len(), MAX_POLICIES)?;
    distinct("network_policies", &message.network_policies, |field, &id| match id {
        0 => Err(Invalid::new(field, "0 is no network policy")),
        id => Ok(id),
    })?;
    Ok(VrfSpec { id, most_routes, message })
}

/// Most policies of one network.
const MAX_POLICIES: usize = 256;

impl VrfSpec {
    /// The policies of the network, in their order.
    pub(crate) fn policies(&self) -> &[u32] {
        &self.message.network_policies
    }

    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        for (index, &policy) in self.policies().iter().enumerate() {
            visit(ObjectKey::NetworkPolicy(policy), Field::Item("network_policies", index));
        }
    }
}

/// Reads a VRF's id.
pub(super) fn id(field: &str, value: u32) -> Result<VrfId, Invalid> {
    number(field, value, 0..=65_535).map(VrfId)
}
