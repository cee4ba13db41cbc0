//! Floating IPs.

use agent_api::v1;
use packet::{InterfaceId, NextHopId, VrfId};

use super::{Field, ObjectKey, at_most, distinct, interface, next_hop, number, port_protocol, vrf};
use crate::{
    control::{fault::Invalid, text::Ip},
    tables::{NatDirection, PortMap},
};

/// Most port maps of a floating IP: a new flow looks at each.
const MAX_PORT_MAPS: usize = 1024;
/// Most bytes of a port map's name.
const MAX_NAME: usize = 63;

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
    /// Who picks for the mapped ports of an address of the node.
    pub(crate) node_port: Option<NextHopId>,
}

pub(super) fn read(message: v1::FloatingIp) -> Result<FloatingIpSpec, Invalid> {
    let id = number("id", message.id, 1..=u32::MAX)?;
    let address = Ip::parse_unicast(&message.address).map_err(|text| Invalid::new("address", text))?;
    let vrf = vrf::id("vrf", message.vrf)?;
    let interfaces = distinct("interfaces", &message.interfaces, |field, &id| interface::id(field, id))?;
    let direction = match v1::NatDirection::try_from(message.direction) {
        Ok(v1::NatDirection::Both) => NatDirection::Both,
        Ok(v1::NatDirection::NatIngress) => NatDirection::Ingress,
        Ok(v1::NatDirection::NatEgress) => NatDirection::Egress,
        Err(_) => return Err(Invalid::new("direction", format!("{} is no direction", message.direction))),
    };
    let port_maps = read_port_maps(&message.port_maps, direction)?;
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
    let node_port = match message.next_hop {
        0 => None,
        _ if port_maps.is_empty() => {
            let text = "an address of the node is shared port by port: port_maps are needed";
            return Err(Invalid::new("next_hop", text));
        }
        value => Some(next_hop::reference("next_hop", value)?),
    };
    Ok(FloatingIpSpec { id, address, vrf, interfaces, direction, port_maps, fixed, node_port, message })
}

fn read_port_maps(messages: &[v1::PortMap], direction: NatDirection) -> Result<Vec<PortMap>, Invalid> {
    at_most("port_maps", "port maps", messages.len(), MAX_PORT_MAPS)?;
    let mut maps: Vec<PortMap> = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let field = |name: &str| format!("port_maps[{index}].{name}");
        let map = read_port_map(message, &field)?;
        if let Some(other) = maps.iter().find(|other| other.overlaps(&map)) {
            let text = format!("overlaps {other}");
            return Err(Invalid::new(field("port"), text));
        }
        // Only a session that the workload opens has to find its port outside.
        if direction != NatDirection::Ingress
            && let Some(other) = maps.iter().find(|other| other.overlaps_inside(&map))
        {
            let text = format!(
                "{other} leads there too, and the workload could not tell which is its own: only with NAT_INGRESS"
            );
            return Err(Invalid::new(field("to_port"), text));
        }
        maps.push(map);
    }
    Ok(maps)
}

fn read_port_map(message: &v1::PortMap, field: &dyn Fn(&str) -> String) -> Result<PortMap, Invalid> {
    let protocol = port_protocol(&field("protocol"), message.protocol)?;
    let port: u16 = number(&field("port"), message.port, 1..=65_535)?;
    let last = match message.last {
        0 => port,
        last => number(&field("last"), last, port.into()..=65_535)?,
    };
    let to_port: u16 = number(&field("to_port"), message.to_port, 1..=65_535)?;
    if to_port.checked_add(last - port).is_none() {
        let text = format!("{} ports from {to_port} on are more than there are", last - port + 1);
        return Err(Invalid::new(field("last"), text));
    }
    if message.name.len() > MAX_NAME {
        return Err(Invalid::new(field("name"), format!("longer than {MAX_NAME} bytes")));
    }
    Ok(PortMap { protocol, port, last, to_port, name: message.name.as_str().into() })
}

impl FloatingIpSpec {
    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        visit(ObjectKey::Vrf(self.vrf), Field::Plain("vrf"));
        for (index, &interface) in self.interfaces.iter().enumerate() {
            visit(ObjectKey::Interface(interface), Field::Item("interfaces", index));
        }
        if let Some(id) = self.node_port {
            visit(ObjectKey::NextHop(id), Field::Plain("next_hop"));
        }
    }
}
