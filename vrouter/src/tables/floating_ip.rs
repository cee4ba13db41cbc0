//! A floating IP as the miss path reads it.

use packet::{Address, VrfId};

/// Which side may open sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatDirection {
    /// Both.
    #[default]
    Both,
    /// Only from outside.
    Ingress,
    /// Only the workload.
    Egress,
}

/// One port of the floating IP and where it leads at the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMap {
    /// 6, 17 or 132.
    pub protocol: u8,
    /// On the floating IP.
    pub port: u16,
    /// At the workload.
    pub to_port: u16,
}

/// A floating IP in front of one interface: what it translates to is that interface's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingIp {
    /// The controller's id.
    pub id: u32,
    /// The public address.
    pub address: Address,
    /// Whether it is IPv6.
    pub v6: bool,
    /// The public VRF.
    pub vrf: VrfId,
    /// The workload's address that stands behind it.
    pub fixed: Address,
    /// Which side may open sessions.
    pub direction: NatDirection,
    /// Empty = every protocol and port.
    pub port_maps: Vec<PortMap>,
}

impl FloatingIp {
    /// Where a packet to the floating IP goes at the workload; `None` if this port is not mapped.
    #[must_use]
    pub fn inside_port(&self, protocol: u8, port: u16) -> Option<u16> {
        if self.port_maps.is_empty() {
            return Some(port);
        }
        self.port_maps.iter().find(|map| map.protocol == protocol && map.port == port).map(|map| map.to_port)
    }

    /// With which source port a packet of the workload leaves; `None` if this port is not mapped.
    #[must_use]
    pub fn outside_port(&self, protocol: u8, port: u16) -> Option<u16> {
        if self.port_maps.is_empty() {
            return Some(port);
        }
        self.port_maps.iter().find(|map| map.protocol == protocol && map.to_port == port).map(|map| map.port)
    }

    /// Whether sessions may be opened from outside.
    #[must_use]
    pub fn allows_ingress(&self) -> bool {
        self.direction != NatDirection::Egress
    }

    /// Whether the workload may open sessions.
    #[must_use]
    pub fn allows_egress(&self) -> bool {
        self.direction != NatDirection::Ingress
    }
}
