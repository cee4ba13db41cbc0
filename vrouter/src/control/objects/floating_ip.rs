//! Floating IPs.

use agent_api::v1;
use ahash::AHashSet;
use packet::{InterfaceId, VrfId};

use super::{Field, ObjectKey, interface, number, vrf};
use crate::{
    control::{fault::Invalid, text::Ip},
    tables::{NatDirection, PortMap},
};

/// A checked floating IP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FloatingIpSpec {
    pub(crate) message: v1::FloatingIp,
    pub(crate) id: u32,
    pub(crate) address: Ip,
    pub(crate) vrf: VrfId,
    pub(crate) interfaces: Vec<InterfaceId>,
    pub(crate) direction: NatDirection,
    pub(crate) port_maps: Vec<PortMap>,
    /// Which of the workload's addresses; `None` = the first of the family.
    pub(crate) fixed: Option<Ip>,
}

pub(super) fn read(message: v1::FloatingIp) -> Result<FloatingIpSpec, Invalid> {
    let id = number("id", message.id, 1..=u32::MAX)?;
    let address = Ip::parse_unicast(&message.address).map_err(|text| Invalid::new("address", text))?;
    let vrf = vrf::id("vrf", message.vrf)?;
    let mut interfaces = Vec::with_capacity(message.interfaces.len());
    let mut seen = AHashSet::new();
    for (index, &value) in message.interfaces.iter().enumerate() {
        let field = format!("interfaces[{index}]");
        let interface = interface::id(&field, value)?;
        if !seen.insert(interface) {
            return Err(Invalid::new(field, format!("interface {interface} is there twice")));
        }
        interfaces.push(interface);
    }
    let direction = match v1::NatDirection::try_from(message.direction) {
        Ok(v1::NatDirection::Both) => NatDirection::Both,
        Ok(v1::NatDirection::NatIngress) => NatDirection::Ingress,
        Ok(v1::NatDirection::NatEgress) => NatDirection::Egress,
        Err(_) => return Err(Invalid::new("direction", format!("{} is no direction", message.direction))),
    };
    let port_maps = read_port_maps(&message.port_maps)?;
    let fixed = match message.fixed_address.as_str() {
        "" => None,
        text => {
            let ip = Ip::parse_unicast(text).map_err(|text| Invalid::new("fixed_address", text))?;
            if ip.v6 != address.v6 {
                return Err(Invalid::new("fixed_address", format!("{ip} is not of the family of {address}")));
            }
            Some(ip)
        }
    };
    Ok(FloatingIpSpec { id, address, vrf, interfaces, direction, port_maps, fixed, message })
}

fn read_port_maps(messages: &[v1::PortMap]) -> Result<Vec<PortMap>, Invalid> {
    let (mut outside, mut inside) = (AHashSet::new(), AHashSet::new());
    let mut maps = Vec::with_capacity(messages.len());
    for (index, map) in messages.iter().enumerate() {
        let field = |name: &str| format!("port_maps[{index}].{name}");
        if !matches!(map.protocol, 6 | 17 | 132) {
            let message = format!("protocol {} has no ports: 6, 17 and 132 have", map.protocol);
            return Err(Invalid::new(field("protocol"), message));
        }
        let map = PortMap {
            protocol: number(&field("protocol"), map.protocol, 0..=255)?,
            port: number(&field("port"), map.port, 1..=65_535)?,
            to_port: number(&field("to_port"), map.to_port, 1..=65_535)?,
        };
        if !outside.insert((map.protocol, map.port)) {
            return Err(Invalid::new(field("port"), format!("port {} is mapped twice", map.port)));
        }
        if !inside.insert((map.protocol, map.to_port)) {
            let message = format!("port {} is reached twice: replies could not be told apart", map.to_port);
            return Err(Invalid::new(field("to_port"), message));
        }
        maps.push(map);
    }
    Ok(maps)
}

impl FloatingIpSpec {
    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        visit(ObjectKey::Vrf(self.vrf), Field::Plain("vrf"));
        for (index, &interface) in self.interfaces.iter().enumerate() {
            visit(ObjectKey::Interface(interface), Field::Item("interfaces", index));
        }
    }
}
