//! What the stages need to know about a packet: one cache line, filled by the parser.

use bitflags::bitflags;

/// An IPv4 address in the first four bytes (the rest zero), or an IPv6 address.
pub type Address = [u8; 16];

/// Widens an IPv4 address to an [`Address`].
#[inline]
#[must_use]
pub const fn v4(octets: [u8; 4]) -> Address {
    [octets[0], octets[1], octets[2], octets[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

bitflags! {
    /// Facts about a packet that are either so or not.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Facts: u16 {
        /// The network header is IPv4.
        const IPV4 = 1 << 0;
        /// The network header is IPv6.
        const IPV6 = 1 << 1;
        /// A fragment, the first one included.
        const FRAGMENT = 1 << 2;
        /// A fragment without transport header (offset > 0).
        const LATER_FRAGMENT = 1 << 3;
        /// The ports (or the ICMP identifier and class) are in `Meta`.
        const L4 = 1 << 4;
        /// An ICMP or ICMPv6 error: it belongs to the flow that it quotes.
        const ICMP_ERROR = 1 << 5;
        /// IPv4 "do not fragment", or IPv6.
        const DF = 1 << 6;
        /// IPv4 options or IPv6 extension headers are there.
        const OPTIONS = 1 << 7;
        /// Destination is multicast or limited broadcast.
        const MULTICAST = 1 << 8;
        /// The Ethernet header carries one VLAN tag.
        const VLAN = 1 << 9;
        /// Came out of a tunnel (set by the classifier).
        const DECAPSULATED = 1 << 10;
        /// A neighbour discovery message (ICMPv6 133..=137).
        const NEIGHBOUR_DISCOVERY = 1 << 11;
    }
}

/// A packet's facts. Offsets count from the first byte of `PacketBuf::data()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Meta {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Source port; ICMP echo: identifier; other ICMP: 0.
    pub src_port: u16,
    /// Destination port; ICMP: the type class, see [`icmp_class`].
    pub dst_port: u16,
    /// Network header.
    pub l3: u16,
    /// Transport header (meaningful unless `LATER_FRAGMENT`).
    pub l4: u16,
    /// One past the last byte of the network packet: Ethernet padding is behind it.
    pub end: u16,
    /// Facts that are either so or not.
    pub facts: Facts,
    /// Ethertype, host order.
    pub ether_type: u16,
    /// Tag control information of the VLAN tag, if any.
    pub vlan: u16,
    /// IP protocol of the transport header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// TCP flags; ICMP: type.
    pub l4_flags: u8,
    /// Flow hash once computed, seeded per boot.
    pub hash: u32,
    /// Reserved for later work (mirror and QoS bits); zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Meta>() == 64);

impl Meta {
    /// Whether the network header is IPv4.
    #[inline]
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.facts.contains(Facts::IPV4)
    }
    /// Whether the network header is IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.facts.contains(Facts::IPV6)
    }
    /// The source as an IPv4 number, host order.
    #[inline]
    #[must_use]
    pub const fn src_v4(&self) -> u32 {
        u32::from_be_bytes([self.src[0], self.src[1], self.src[2], self.src[3]])
    }
    /// The destination as an IPv4 number, host order.
    #[inline]
    #[must_use]
    pub const fn dst_v4(&self) -> u32 {
        u32::from_be_bytes([self.dst[0], self.dst[1], self.dst[2], self.dst[3]])
    }
}

/// Both directions of an ICMP conversation share one class: an echo request and its reply are class 0;
/// any other type is its own class, `type + 1`, and has no identifier.
#[inline]
#[must_use]
pub const fn icmp_class(protocol: u8, icmp_type: u8) -> u16 {
    match (protocol, icmp_type) {
        (1, 0 | 8) | (58, 128 | 129) => 0,
        _ => icmp_type as u16 + 1,
    }
}
