//! Flows that a controller has pinned: the miss path asks here before any policy.

use packet::Address;

/// Which packets, as the interface's workload sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinKey {
    /// Packets the workload sends; else those it receives.
    pub from_workload: bool,
    /// Whether the addresses are IPv6.
    pub v6: bool,
    /// IP protocol number.
    pub protocol: u8,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port; ICMP echo: the identifier.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

/// A pinned flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Which packets.
    pub key: PinKey,
    /// Dropped as `flow_denied`; else forwarded whatever the security groups say.
    pub deny: bool,
}
