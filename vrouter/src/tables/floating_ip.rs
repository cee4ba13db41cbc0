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

/// Ports of the floating IP and where they lead at the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMap {
    /// 6, 17 or 132.
    pub protocol: u8,
    /// The first on the floating IP.
    pub port: u16,
    /// The last there.
    pub last: u16,
    /// What the first is at the workload; the others follow it.
    pub to_port: u16,
    /// For explanations; may be empty.
    pub name: Box<str>,
}

impl PortMap {
    fn is_outside(&self, protocol: u8, port: u16) -> bool {
        self.protocol == protocol && (self.port..=self.last).contains(&port)
    }

    fn is_inside(&self, protocol: u8, port: u16) -> bool {
        self.protocol == protocol && (self.to_port..=self.to_last()).contains(&port)
    }

    /// The last port at the workload.
    #[must_use]
    pub const fn to_last(&self) -> u16 {
        self.to_port.saturating_add(self.last.saturating_sub(self.port))
    }

    /// Whether a port of the floating IP is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.port <= other.last && other.port <= self.last
    }

    /// Whether a port of the workload is in both.
    #[must_use]
    pub fn overlaps_inside(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.to_port <= other.to_last() && other.to_port <= self.to_last()
    }
}

/// "port 80", "ports 8000 to 8009 (media)".
impl std::fmt::Display for PortMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.port, self.last) {
            (port, last) if port == last => write!(f, "port {port}")?,
            (port, last) => write!(f, "ports {port} to {last}")?,
        }
        if self.name.is_empty() { Ok(()) } else { write!(f, " ({})", self.name) }
    }
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
        let map = self.map_of(protocol, port)?;
        Some(map.to_port.saturating_add(port - map.port))
    }

    /// The port map that a port of the floating IP is in.
    #[must_use]
    pub fn map_of(&self, protocol: u8, port: u16) -> Option<&PortMap> {
        self.port_maps.iter().find(|map| map.is_outside(protocol, port))
    }

    /// With which source port a packet of the workload leaves; `None` if this port is not mapped.
    #[must_use]
    pub fn outside_port(&self, protocol: u8, port: u16) -> Option<u16> {
        if self.port_maps.is_empty() {
            return Some(port);
        }
        let map = self.port_maps.iter().find(|map| map.is_inside(protocol, port))?;
        Some(map.port.saturating_add(port - map.to_port))
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
