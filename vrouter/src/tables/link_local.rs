//! A link-local service as the miss path reads it.

use packet::{Address, VrfId};

/// A service outside the workloads' networks, and how they call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLocalService {
    /// The controller's id.
    pub id: u16,
    /// Whether both addresses are IPv6.
    pub v6: bool,
    /// As workloads call it.
    pub address: Address,
    /// 6, 17 or 132.
    pub protocol: u8,
    /// As workloads call it.
    pub port: u16,
    /// Where it is.
    pub to_address: Address,
    /// Where it is.
    pub to_port: u16,
    /// Where that is looked up.
    pub vrf: VrfId,
}
