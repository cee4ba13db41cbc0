//! Tunnel headers of a received packet.

use super::template::Encapsulation;
use super::{mpls_over_gre, vxlan};
use crate::buf::L4Checksum;
use crate::bytes;
use crate::checksum::{self, Verification};
use crate::drop::DropReason;
use crate::ids::Label;
use crate::meta::{Address, Facts, Meta};
use crate::parse;
use crate::protocol::{ip, udp};
use crate::rewrite::set_traffic_class;

/// A label stack of more is nobody's here.
const MAX_LABELS: usize = 3;

/// The two ECN bits (RFC 3168).
const ECN: u8 = 0x03;
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// A tunnel packet to this node, understood up to its inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// How it was carried.
    pub encapsulation: Encapsulation,
    /// The last label of the stack, or the VNI. Explicit null (0, 2) says no more than the family.
    pub label: Label,
    /// TTL of the last label; 0 for VXLAN, which has none.
    pub label_ttl: u8,
    /// Where the inner packet begins, counted from the start of the frame.
    pub inner: u16,
    /// One past the last byte that the tunnel carried.
    pub inner_end: u16,
    /// Outer source address, for RPF.
    pub outer_src: Address,
    /// The ECN bits of the outer header.
    pub outer_ecn: u8,
}

impl Tunnel {
    /// Whether the inner packet begins with an Ethernet header.
    #[inline]
    #[must_use]
    pub const fn inner_is_ethernet(&self) -> bool {
        matches!(self.encapsulation, Encapsulation::Vxlan)
    }

    /// Parses the inner packet; offsets still count from the start of the frame.
    ///
    /// # Errors
    /// Those of [`parse::ethernet`] and [`parse::ip`]; `InvalidTunnel` if an explicit null announces the
    /// other family (RFC 3032 §2.1).
    #[inline]
    pub fn parse_inner(&self, data: &[u8]) -> Result<Meta, DropReason> {
        let carried = data.get(..usize::from(self.inner_end)).ok_or(DropReason::Truncated)?;
        let inner = usize::from(self.inner);
        if self.inner_is_ethernet() {
            return parse::ethernet_at(carried, inner);
        }
        let meta = parse::ip(carried, inner)?;
        match self.label {
            Label::IPV4_EXPLICIT_NULL if !meta.is_ipv4() => Err(DropReason::InvalidTunnel),
            Label::IPV6_EXPLICIT_NULL if !meta.is_ipv6() => Err(DropReason::InvalidTunnel),
            _ => Ok(meta),
        }
    }
}

/// Looks for tunnel headers behind the outer header that `outer` describes. `None`: not a tunnel that this
/// node ends, so a packet for its host. `known` is what is known about the outer UDP checksum; only
/// `Unknown` is verified here.
///
/// A fragment is `None`: see [`begins_tunnel`].
///
/// # Errors
/// `TunnelChecksum`, `InvalidTunnel`, `Truncated`, `MplsTtl`.
#[inline]
#[must_use]
pub fn pop(data: &[u8], outer: &Meta, known: L4Checksum) -> Option<Result<Tunnel, DropReason>> {
    if outer.facts.contains(Facts::FRAGMENT) {
        return None;
    }
    let checked = known != L4Checksum::Unknown;
    match outer.protocol {
        ip::UDP if outer.facts.contains(Facts::L4) => match outer.dst_port {
            udp::MPLS | udp::MPLS_LEGACY => Some(over_udp(data, outer, checked, Encapsulation::MplsOverUdp)),
            udp::VXLAN => Some(over_udp(data, outer, checked, Encapsulation::Vxlan)),
            _ => None,
        },
        ip::GRE => over_gre(data, outer, checked),
        _ => None,
    }
}

/// Whether the first fragment of a packet to this node is of a tunnel that ends here: then its packet is joined before
/// [`pop`] sees it. Later fragments do not show it.
#[must_use]
pub fn begins_tunnel(data: &[u8], outer: &Meta) -> bool {
    match outer.protocol {
        ip::UDP if outer.facts.contains(Facts::L4) => {
            matches!(outer.dst_port, udp::MPLS | udp::MPLS_LEGACY | udp::VXLAN)
        }
        ip::GRE if !outer.facts.contains(Facts::LATER_FRAGMENT) => {
            let packet = data.get(usize::from(outer.l4)..usize::from(outer.end));
            // What its checksum covers is not all here.
            packet.is_some_and(|packet| mpls_over_gre::labels(packet, true).is_some())
        }
        _ => false,
    }
}

#[inline]
fn over_udp(
    data: &[u8],
    outer: &Meta,
    checked: bool,
    encapsulation: Encapsulation,
) -> Result<Tunnel, DropReason> {
    let l4 = usize::from(outer.l4);
    let header = bytes::chunk::<8>(data, l4).ok_or(DropReason::Truncated)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // Zero is "none", over IPv6 too for these ports (RFC 6935 §5).
    let present = header[6] != 0 || header[7] != 0;
    if present && !checked && checksum::verify(data, outer) != Verification::Correct {
        return Err(DropReason::TunnelChecksum);
    }
    let payload = data.get(l4 + 8..l4 + length).ok_or(DropReason::InvalidTunnel)?;
    let place = Place { start: l4 + 8, end: l4 + length };
    if encapsulation == Encapsulation::Vxlan {
        let (label, length) = vxlan::header(payload)?;
        return place.tunnel(outer, encapsulation, Stack { label, ttl: 0, length });
    }
    place.tunnel(outer, encapsulation, stack(payload)?)
}

fn over_gre(data: &[u8], outer: &Meta, checked: bool) -> Option<Result<Tunnel, DropReason>> {
    let (start, end) = (usize::from(outer.l4), usize::from(outer.end));
    let packet = data.get(start..end)?;
    let labels = match mpls_over_gre::labels(packet, checked)? {
        Ok(labels) => labels,
        Err(reason) => return Some(Err(reason)),
    };
    let place = Place { start: start + labels, end };
    let stack = packet.get(labels..).ok_or(DropReason::Truncated).and_then(stack);
    Some(stack.and_then(|stack| place.tunnel(outer, Encapsulation::MplsOverGre, stack)))
}

/// A label stack, or what stands for it.
struct Stack {
    label: Label,
    ttl: u8,
    /// Bytes that it takes.
    length: usize,
}

/// Where the tunnel's payload lies in the frame.
struct Place {
    start: usize,
    end: usize,
}

impl Place {
    fn tunnel(&self, outer: &Meta, encapsulation: Encapsulation, stack: Stack) -> Result<Tunnel, DropReason> {
        let inner = self.start + stack.length;
        if inner >= self.end {
            return Err(DropReason::Truncated);
        }
        Ok(Tunnel {
            encapsulation,
            label: stack.label,
            label_ttl: stack.ttl,
            inner: inner as u16,
            inner_end: self.end as u16,
            outer_src: outer.src,
            outer_ecn: outer.traffic_class & ECN,
        })
    }
}

/// Reads labels down to the one with the S bit. A label that arrives with TTL 0 was forwarded by somebody
/// who should not have (RFC 3032 §2.4); TTL 1 is fine where the stack ends here.
fn stack(payload: &[u8]) -> Result<Stack, DropReason> {
    for depth in 0..MAX_LABELS {
        let entry = bytes::u32_at(payload, depth * 4).ok_or(DropReason::Truncated)?;
        if entry & 0xff == 0 {
            return Err(DropReason::MplsTtl);
        }
        if entry & 0x100 != 0 {
            return Ok(Stack { label: Label(entry >> 12), ttl: entry as u8, length: (depth + 1) * 4 });
        }
    }
    Err(DropReason::InvalidTunnel)
}

/// Carries congestion marks of the tunnel over to the inner packet (RFC 6040 figure 4).
///
/// # Errors
/// `EcnDecap` if the underlay marked congestion on a packet whose ends do not speak ECN: dropping is the only
/// signal that they understand.
#[inline]
pub fn ecn_decapsulate(outer_ecn: u8, data: &mut [u8], inner: &mut Meta) -> Result<(), DropReason> {
    let outgoing = match (inner.traffic_class & ECN, outer_ecn & ECN) {
        (NOT_ECT, CE) => return Err(DropReason::EcnDecap),
        (ECT_0 | ECT_1, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        _ => return Ok(()),
    };
    let class = (inner.traffic_class & !ECN) | outgoing;
    set_traffic_class(data, inner, class);
    Ok(())
}
