//! Services outside the workloads' networks that they reach under an address of their own.

use agent_api::v1;
use packet::VrfId;

use super::{Field, ObjectKey, check_optional_name, distinct, number, port_protocol, vrf};
use crate::{
    control::{fault::Invalid, text::Ip},
    tables::LinkLocalService,
};

/// A checked link-local service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkLocalSpec {
    pub(crate) message: v1::LinkLocalService,
    pub(crate) id: u16,
    pub(crate) service: LinkLocalService,
    pub(crate) vrfs: Vec<VrfId>,
}

pub(super) fn read(message: v1::LinkLocalService) -> Result<LinkLocalSpec, Invalid> {
    let id: u16 = number("id", message.id, 1..=65_535)?;
    check_optional_name(&message.name)?;
    let address = Ip::parse_unicast(&message.address).map_err(|text| Invalid::new("address", text))?;
    let to = Ip::parse_unicast(&message.to_address).map_err(|text| Invalid::new("to_address", text))?;
    if to.v6 != address.v6 {
        return Err(Invalid::new("to_address", format!("{to} is not of the family of {address}")));
    }
    let service = LinkLocalService {
        id,
        v6: address.v6,
        address: address.address,
        protocol: port_protocol("protocol", message.protocol)?,
        port: number("port", message.port, 1..=65_535)?,
        to_address: to.address,
        to_port: number("to_port", message.to_port, 1..=65_535)?,
        vrf: vrf::id("to_vrf", message.to_vrf)?,
    };
    let vrfs = distinct("vrfs", &message.vrfs, |field, &id| vrf::id(field, id))?;
    if vrfs.is_empty() {
        return Err(Invalid::new("vrfs", "nobody would have it: name the VRFs of the networks"));
    }
    Ok(LinkLocalSpec { id, service, vrfs, message })
}

impl LinkLocalSpec {
    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        visit(ObjectKey::Vrf(self.service.vrf), Field::Plain("to_vrf"));
        for (index, &vrf) in self.vrfs.iter().enumerate() {
            visit(ObjectKey::Vrf(vrf), Field::Item("vrfs", index));
        }
    }
}
