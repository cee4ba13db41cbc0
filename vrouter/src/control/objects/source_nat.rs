//! Pools of source NAT.

use std::ops::RangeInclusive;

use agent_api::v1;
use flow::nat::Mapping;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{Field, ObjectKey, check_optional_name, distinct, interface, number, vrf};
use crate::control::{fault::Invalid, text::Ip};

/// The next hops of pools: this number and the pool's id.
const NEXT_HOPS: u32 = super::FIRST_INTERNAL;
/// Most addresses of one pool.
const MAX_ADDRESSES: usize = 16;
/// Ports where none are named: all that are not for servers of the system.
const PORTS: RangeInclusive<u16> = 1024..=65_535;

/// A checked pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceNatSpec {
    pub(crate) message: v1::SourceNat,
    pub(crate) id: u16,
    pub(crate) vrf: VrfId,
    pub(crate) addresses: Vec<Ip>,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) mapping: Mapping,
    pub(crate) interfaces: Vec<InterfaceId>,
    pub(crate) vrfs: Vec<VrfId>,
}

/// Reads the id of a pool.
pub(super) fn id(field: &str, value: u32) -> Result<u16, Invalid> {
    number(field, value, 1..=65_535)
}

pub(super) fn read(message: v1::SourceNat) -> Result<SourceNatSpec, Invalid> {
    let id = id("id", message.id)?;
    check_optional_name(&message.name)?;
    let vrf = vrf::id("vrf", message.vrf)?;
    let ports = read_ports(message.ports.as_ref())?;
    let mapping = match v1::SourceNatMapping::try_from(message.mapping) {
        Ok(v1::SourceNatMapping::EndpointIndependent) => Mapping::EndpointIndependent,
        Ok(v1::SourceNatMapping::PerDestination) => Mapping::PerDestination,
        Err(_) => return Err(Invalid::new("mapping", format!("{} is no mapping", message.mapping))),
    };
    let addresses = distinct("addresses", &message.addresses, |field, text| {
        Ip::parse_unicast(text).map_err(|text| Invalid::new(field, text))
    })?;
    if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
        let text = format!("{} addresses: a pool has 1 to {MAX_ADDRESSES}", addresses.len());
        return Err(Invalid::new("addresses", text));
    }
    let interfaces = distinct("interfaces", &message.interfaces, |field, &id| interface::id(field, id))?;
    let vrfs = distinct("vrfs", &message.vrfs, |field, &id| vrf::id(field, id))?;
    if let Some(index) = vrfs.iter().position(|&inside| inside == vrf) {
        let text = format!("vrf {vrf} is the outside itself");
        return Err(Invalid::new(format!("vrfs[{index}]"), text));
    }
    Ok(SourceNatSpec { id, vrf, addresses, ports, mapping, interfaces, vrfs, message })
}

fn read_ports(range: Option<&v1::PortRange>) -> Result<RangeInclusive<u16>, Invalid> {
    let Some(range) = range else { return Ok(PORTS) };
    let first: u16 = number("ports.first", range.first, 1..=65_535)?;
    let last: u16 = number("ports.last", range.last, 1..=65_535)?;
    if last < first {
        return Err(Invalid::new("ports.last", format!("{last} is below the first port, {first}")));
    }
    Ok(first..=last)
}

impl SourceNatSpec {
    /// The next hop of the routes to its addresses.
    pub(crate) const fn next_hop(&self) -> NextHopId {
        next_hop_of(self.id)
    }

    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        visit(ObjectKey::Vrf(self.vrf), Field::Plain("vrf"));
        for (index, &interface) in self.interfaces.iter().enumerate() {
            visit(ObjectKey::Interface(interface), Field::Item("interfaces", index));
        }
        for (index, &vrf) in self.vrfs.iter().enumerate() {
            visit(ObjectKey::Vrf(vrf), Field::Item("vrfs", index));
        }
    }
}

/// The next hop of the routes to a pool's addresses.
pub(crate) const fn next_hop_of(id: u16) -> NextHopId {
    NextHopId(NEXT_HOPS | id as u32)
}
