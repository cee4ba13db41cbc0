//! What the control side prepares for each tunnel and neighbour.

use std::net::IpAddr;

use super::{Mac, mpls_over_gre, mpls_over_udp, vxlan};
use crate::checksum::{Sum, fold, pseudo_header};
use crate::header;
use crate::ids::Label;
use crate::meta::{Address, v4};
use crate::protocol::{ether_type, ip};

/// Room for the deepest stack: Ethernet with a tag, IPv6, UDP, VXLAN, Ethernet (88 bytes), rounded up.
pub(super) const CAPACITY: usize = 96;

/// Most labels on top of the packet's own: as many in all as are accepted on receipt.
pub const MAX_OUTER_LABELS: usize = 2;

/// How a packet is carried over the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// One label behind a UDP header whose source port is entropy (RFC 7510).
    MplsOverUdp,
    /// One label behind a bare GRE header (RFC 4023).
    MplsOverGre,
    /// A VNI and an Ethernet header between router MACs (RFC 7348).
    Vxlan,
}

impl Encapsulation {
    /// Bytes that the tunnel adds in front of an inner IP packet, without the outer Ethernet header and with one
    /// label (SEMANTICS: MTU arithmetic).
    #[must_use]
    pub const fn overhead(self, outer_v6: bool) -> usize {
        let transport = match self {
            Self::MplsOverUdp => mpls_over_udp::LENGTH,
            Self::MplsOverGre => mpls_over_gre::LENGTH,
            Self::Vxlan => vxlan::LENGTH,
        };
        transport + if outer_v6 { 40 } else { 20 }
    }
}

/// All that a tunnel through one neighbour needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSpec {
    /// How packets are carried.
    pub encapsulation: Encapsulation,
    /// Outer source, of the family of `destination`.
    pub source: IpAddr,
    /// Outer destination: the tunnel's other end.
    pub destination: IpAddr,
    /// The out port's MAC.
    pub source_mac: Mac,
    /// The neighbour's MAC.
    pub destination_mac: Mac,
    /// VLAN of the out port, if it is tagged: the 16-bit tag control information.
    pub vlan: Option<u16>,
    /// VXLAN: source of the inner Ethernet header.
    pub source_router_mac: Mac,
    /// VXLAN: destination of the inner Ethernet header.
    pub router_mac: Mac,
    /// Outer IPv4 without "do not fragment"; then packets need distinct identifications.
    pub clear_df: bool,
    /// Outer DSCP (0..=63) instead of the copied inner one.
    pub dscp: Option<u8>,
    /// UDP over IPv6: compute the checksum, rather than send zero as RFC 6935 lets tunnels do.
    pub udp_checksum: bool,
    /// MPLS: labels on top of the one that each packet names, from the outermost inwards; [`Label::NONE`] = none.
    /// VXLAN has no use for them.
    pub outer_labels: [Label; MAX_OUTER_LABELS],
}

impl TunnelSpec {
    fn outer_labels(&self) -> impl DoubleEndedIterator<Item = Label> {
        let used = self.encapsulation != Encapsulation::Vxlan;
        self.outer_labels.into_iter().filter(move |label| used && label.is_some())
    }
}

/// Prebuilt bytes in front of a packet, with what is needed to patch them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Template {
    /// The headers, at the end of the array.
    pub(super) bytes: [u8; CAPACITY],
    /// How many of those bytes are headers.
    pub(super) length: u8,
    pub(super) encapsulation: Encapsulation,
    pub(super) outer_v6: bool,
    pub(super) udp_checksum: bool,
    pub(super) dont_fragment: bool,
    /// Labels on top of the packet's own.
    pub(super) outer_labels: u8,
    /// Outer traffic class = inner & mask | bits.
    pub(super) class_mask: u8,
    pub(super) class_bits: u8,
    /// IPv4: sum of the header with total length, identification and traffic class zero. IPv6 with UDP
    /// checksum: sum of the pseudo header without length.
    pub(super) base: Sum,
    /// That sum, folded.
    folded: u16,
}

impl Template {
    /// Builds the bytes. `None` if source and destination are of different families.
    #[must_use]
    pub fn new(spec: &TunnelSpec) -> Option<Self> {
        let mut writer = Writer { bytes: [0; CAPACITY], len: 0 };
        // From the inside out, since the array is filled from its end.
        if spec.encapsulation != Encapsulation::Vxlan {
            // The packet's own label, then those on top of it.
            writer.front(&[0; 4]);
            spec.outer_labels().rev().for_each(|label| writer.front(&(label.0 << 12).to_be_bytes()));
        }
        let protocol = match spec.encapsulation {
            Encapsulation::MplsOverUdp => mpls_over_udp::write(&mut writer),
            Encapsulation::MplsOverGre => mpls_over_gre::write(&mut writer),
            Encapsulation::Vxlan => vxlan::write(&mut writer, spec),
        };
        let udp_checksum = spec.udp_checksum && protocol == ip::UDP;
        let (outer_v6, base) = match (spec.source, spec.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = header::ipv4(protocol, !spec.clear_df, source.octets(), destination.octets());
                writer.front(&header);
                (false, Sum::of(&header))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                writer.front(&header::ipv6(protocol, source, destination));
                (true, pseudo_header(&source, &destination, protocol, 0))
            }
            _ => return None,
        };
        let ether_type = if outer_v6 { ether_type::IPV6 } else { ether_type::IPV4 };
        writer.ethernet(spec.destination_mac, spec.source_mac, spec.vlan, ether_type);
        let (class_mask, class_bits) = spec.dscp.map_or((0xff, 0), |dscp| (0x03, dscp << 2));
        Some(Self {
            bytes: writer.bytes,
            length: writer.len as u8,
            encapsulation: spec.encapsulation,
            outer_labels: spec.outer_labels().count() as u8,
            outer_v6,
            udp_checksum: udp_checksum && outer_v6,
            dont_fragment: outer_v6 || !spec.clear_df,
            class_mask,
            class_bits,
            base,
            folded: base.fold(),
        })
    }

    /// How packets are carried.
    #[inline]
    #[must_use]
    pub const fn encapsulation(&self) -> Encapsulation {
        self.encapsulation
    }

    /// Whether the outer header is IPv6.
    #[inline]
    #[must_use]
    pub const fn outer_v6(&self) -> bool {
        self.outer_v6
    }

    /// Bytes put in front of the inner packet, the outer Ethernet header included.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Whether outer packets carry "do not fragment"; IPv6 ones always do.
    #[inline]
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// The checksum of the outer IPv4 header with these fields.
    #[inline(always)]
    pub(super) const fn checksum(&self, class: u8, length: u16, identification: u16) -> u16 {
        !fold(self.folded as u32 + class as u32 + length as u32 + identification as u32)
    }

    /// Whether the tunnel's own checksum covers the payload.
    #[inline]
    #[must_use]
    pub const fn covers_payload(&self) -> bool {
        self.udp_checksum
    }

    /// Outer source and destination.
    #[must_use]
    pub fn outer_addresses(&self) -> (Address, Address) {
        let end = CAPACITY - self.l4_distance();
        if self.outer_v6 {
            let mut pair = [Address::default(); 2];
            for (address, from) in pair.iter_mut().flatten().zip(&self.bytes[end - 32..end]) {
                *address = *from;
            }
            return (pair[0], pair[1]);
        }
        let octets =
            |at: usize| v4([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]]);
        (octets(end - 8), octets(end - 4))
    }

    /// Bytes that the tunnel adds in front of an inner IP packet, without the outer Ethernet header
    /// (SEMANTICS: MTU arithmetic).
    #[inline]
    #[must_use]
    pub const fn overhead(&self) -> usize {
        self.l4_distance() + if self.outer_v6 { 40 } else { 20 }
    }

    /// Distance of the header behind IP from the end of the bytes.
    pub(super) const fn l4_distance(&self) -> usize {
        self.encapsulation.overhead(false) - 20 + 4 * self.outer_labels as usize
    }
}

/// Fills the array from its end towards its start.
pub(super) struct Writer {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Writer {
    /// Puts `header` in front of what is there. The deepest stack fits, so nothing is ever cut.
    pub(super) fn front(&mut self, header: &[u8]) {
        let end = CAPACITY - self.len;
        let start = end.saturating_sub(header.len());
        for (to, from) in self.bytes[start..end].iter_mut().zip(header) {
            *to = *from;
        }
        self.len = CAPACITY - start;
    }

    pub(super) fn ethernet(&mut self, destination: Mac, source: Mac, vlan: Option<u16>, ether_type: u16) {
        self.front(&ether_type.to_be_bytes());
        if let Some(tag) = vlan {
            self.front(&tag.to_be_bytes());
            self.front(&ether_type::VLAN.to_be_bytes());
        }
        self.front(&source);
        self.front(&destination);
    }
}
