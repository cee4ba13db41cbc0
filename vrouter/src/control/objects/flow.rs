//! Flows pinned by a controller.

use agent_api::v1::{self, Direction, FlowAction};
use packet::InterfaceId;

use super::{interface, number};
use crate::control::{fault::Invalid, text::Ip};

/// Which packets of which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowKey {
    pub(crate) interface: InterfaceId,
    /// Packets the workload sends.
    pub(crate) egress: bool,
    pub(crate) protocol: u8,
    pub(crate) source: Ip,
    pub(crate) destination: Ip,
    /// ICMP echo: the identifier.
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// A checked pinned flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowSpec {
    pub(crate) key: FlowKey,
    pub(crate) deny: bool,
}

pub(super) fn read(message: &v1::Flow) -> Result<FlowSpec, Invalid> {
    let key = read_key(message)?;
    let deny = match FlowAction::try_from(message.action) {
        Ok(FlowAction::Forward) => false,
        Ok(FlowAction::Deny) => true,
        _ => return Err(Invalid::new("action", "FORWARD or DENY is needed")),
    };
    Ok(FlowSpec { key, deny })
}

pub(super) fn read_key(message: &v1::Flow) -> Result<FlowKey, Invalid> {
    let interface = interface::id("interface", message.interface)?;
    let egress = match Direction::try_from(message.direction) {
        Ok(Direction::Ingress) => false,
        Ok(Direction::Egress) => true,
        _ => return Err(Invalid::new("direction", "INGRESS or EGRESS is needed")),
    };
    let source = Ip::parse(&message.source).map_err(|text| Invalid::new("source", text))?;
    let destination = Ip::parse(&message.destination).map_err(|text| Invalid::new("destination", text))?;
    if source.v6 != destination.v6 {
        return Err(Invalid::new("destination", format!("{destination} is not of the family of {source}")));
    }
    Ok(FlowKey {
        interface,
        egress,
        protocol: number("protocol", message.protocol, 0..=255)?,
        source,
        destination,
        source_port: number("source_port", message.source_port, 0..=65_535)?,
        destination_port: number("destination_port", message.destination_port, 0..=65_535)?,
    })
}

impl FlowKey {
    /// Not above any key.
    pub(crate) const LOWEST: Self = Self {
        interface: InterfaceId(0),
        egress: false,
        protocol: 0,
        source: Ip::LOWEST,
        destination: Ip::LOWEST,
        source_port: 0,
        destination_port: 0,
    };

    pub(super) fn to_api(self) -> v1::Flow {
        v1::Flow {
            interface: self.interface.0.into(),
            direction: if self.egress { Direction::Egress } else { Direction::Ingress }.into(),
            source: self.source.to_string(),
            destination: self.destination.to_string(),
            protocol: self.protocol.into(),
            source_port: self.source_port.into(),
            destination_port: self.destination_port.into(),
            action: 0,
        }
    }
}

impl FlowSpec {
    pub(super) fn to_api(self) -> v1::Flow {
        let action = if self.deny { FlowAction::Deny } else { FlowAction::Forward };
        v1::Flow { action: action.into(), ..self.key.to_api() }
    }
}
