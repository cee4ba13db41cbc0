//! The assigned numbers that the data path knows by name (IANA registries).

/// Ethertypes, host order.
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// Service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// MPLS (RFC 3032), unicast, and what RFC 5332 made of the multicast number.
    pub const MPLS: u16 = 0x8847;
    /// MPLS with an upstream-assigned label (RFC 5332).
    pub const MPLS_UPSTREAM: u16 = 0x8848;
}

/// IP protocol numbers.
pub mod ip {
    /// IPv6 hop-by-hop options (RFC 8200).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// IPv6 routing header (RFC 8200).
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header (RFC 8200).
    pub const FRAGMENT: u8 = 44;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options (RFC 8200).
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP (RFC 9260).
    pub const SCTP: u8 = 132;
    /// UDP-Lite (RFC 3828).
    pub const UDP_LITE: u8 = 136;
}

/// UDP ports.
pub mod udp {
    /// DHCP server (RFC 2131).
    pub const DHCP_SERVER: u16 = 67;
    /// DHCP client (RFC 2131).
    pub const DHCP_CLIENT: u16 = 68;
    /// VXLAN (RFC 7348).
    pub const VXLAN: u16 = 4789;
    /// MPLS-over-UDP (RFC 7510).
    pub const MPLS: u16 = 6635;
    /// MPLS-over-UDP as deployed before RFC 7510 had its number; accepted, never sent.
    pub const MPLS_LEGACY: u16 = 51234;
}

/// TCP flags as in [`crate::Meta::l4_flags`].
pub mod tcp {
    /// The sender has finished.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers: opens a connection.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// What was sent so far is to be handed to the reader.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number means something.
    pub const ACK: u8 = 0x10;
    /// The congestion window was reduced (RFC 3168 §6.1.2).
    pub const CWR: u8 = 0x80;
}
