//! Headers in front of a packet.

use super::template::{CAPACITY, Encapsulation, Template};
use super::{Mac, mpls_over_gre, mpls_over_udp, vxlan};
use crate::buf::PacketBuf;
use crate::bytes;
use crate::checksum::Sum;
use crate::drop::DropReason;
use crate::ids::Label;
use crate::meta::Meta;
use crate::protocol::ether_type;

/// What differs from packet to packet of one tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The label, or the VNI.
    pub label: Label,
    /// Source port of the tunnel's UDP header, see [`crate::hash::entropy_port`]; GRE has no place for it.
    pub entropy_port: u16,
    /// Identification of the outer IPv4 header: 0 with "do not fragment" (RFC 6864 §4.1), else distinct.
    pub identification: u16,
    /// TTL or hop limit of the inner packet as it enters the tunnel (after decrement); the label copies it
    /// (RFC 3443 §3, uniform model).
    pub inner_ttl: u8,
    /// DSCP and ECN of the inner packet.
    pub inner_traffic_class: u8,
    /// Whether the inner packet is IPv6.
    pub inner_v6: bool,
}

impl Fields {
    /// The fields for the packet that `meta` describes.
    #[inline]
    #[must_use]
    pub const fn new(meta: &Meta, label: Label, entropy_port: u16, identification: u16) -> Self {
        Self {
            label,
            entropy_port,
            identification,
            inner_ttl: meta.ttl,
            inner_traffic_class: meta.traffic_class,
            inner_v6: meta.is_ipv6(),
        }
    }

    /// The label stack entry with the S bit: one label, the last. Its traffic class is the class selector,
    /// the top three bits of the inner DSCP (RFC 3270 §3.1 leaves the mapping to configuration).
    #[inline]
    pub(super) const fn label_entry(&self) -> [u8; 4] {
        (((self.label.0 & 0xf_ffff) << 12) | (1 << 8) | self.class_and_ttl()).to_be_bytes()
    }

    /// The same class and TTL for every label of the stack.
    #[inline]
    const fn class_and_ttl(&self) -> u32 {
        let class = (self.inner_traffic_class >> 5) as u32;
        (class << 9) | self.inner_ttl as u32
    }
}

/// Puts the tunnel's headers in front of `buf`, which begins with the inner IP packet.
///
/// A *partial* transport checksum of the inner packet must have been completed before: nobody completes it
/// behind a tunnel header.
///
/// # Errors
/// `Headroom` without room in front; `TooBig` if the outer length field cannot say how long it is. The
/// buffer is unchanged then.
#[inline]
pub fn push<B: PacketBuf>(buf: &mut B, template: &Template, fields: &Fields) -> Result<(), DropReason> {
    if template.length() <= 64 {
        push_wide::<64, B>(buf, template, fields)
    } else {
        push_wide::<CAPACITY, B>(buf, template, fields)
    }
}

/// Bytes in front of the network header that [`push_over`] may write.
pub const WIDEST: usize = CAPACITY;

/// Puts the tunnel's headers in place of whatever is in front of byte `at` of the frame, and lets it end at byte
/// `end`: [`push`] for a packet whose old link-layer header is still there. `false`, and nothing changed, if there
/// are not [`WIDEST`] bytes in front of `at`, or the tunnel's checksum covers the payload.
#[inline(always)]
#[must_use]
pub fn push_over<B: PacketBuf>(
    buf: &mut B,
    at: usize,
    end: usize,
    template: &Template,
    fields: &Fields,
) -> bool {
    if template.udp_checksum || end.saturating_sub(at) + CAPACITY > usize::from(u16::MAX) {
        return false;
    }
    if template.length() <= 64 {
        write_wide::<64, B>(buf, at, end, template, fields)
    } else {
        write_wide::<CAPACITY, B>(buf, at, end, template, fields)
    }
}

/// Writes the headers in front of byte `at`: one copy of `WIDTH` bytes, of which the template uses the last ones.
/// `false`, and nothing changed, without so many bytes there.
#[inline(always)]
fn write_wide<const WIDTH: usize, B: PacketBuf>(
    buf: &mut B,
    at: usize,
    end: usize,
    template: &Template,
    fields: &Fields,
) -> bool {
    let Some(header) = buf.reframe::<WIDTH>(at, end, template.length()) else { return false };
    if let Some(bytes) = template.bytes.last_chunk::<WIDTH>() {
        *header = *bytes;
    }
    patch::<WIDTH>(header, template, fields, end.saturating_sub(at));
    true
}

#[inline]
fn push_wide<const WIDTH: usize, B: PacketBuf>(
    buf: &mut B,
    template: &Template,
    fields: &Fields,
) -> Result<(), DropReason> {
    let payload = buf.len();
    if payload + CAPACITY > usize::from(u16::MAX) {
        return Err(DropReason::TooBig);
    }
    if !write_wide::<WIDTH, B>(buf, 0, payload, template, fields) {
        push_exact::<WIDTH, B>(buf, template, fields)?;
    }
    if template.udp_checksum {
        fill_udp_checksum(buf.data_mut(), template);
    }
    Ok(())
}

/// The same where the headroom is too small for the wide copy: assembled aside, then copied.
#[cold]
fn push_exact<const WIDTH: usize, B: PacketBuf>(
    buf: &mut B,
    template: &Template,
    fields: &Fields,
) -> Result<(), DropReason> {
    let payload = buf.len();
    if !buf.grow_front(template.length()) {
        return Err(DropReason::Headroom);
    }
    let mut header = [0; WIDTH];
    for (to, from) in header.iter_mut().rev().zip(template.bytes.iter().rev()) {
        *to = *from;
    }
    patch::<WIDTH>(&mut header, template, fields, payload);
    for (to, from) in buf.data_mut().iter_mut().zip(header.iter().skip(WIDTH - template.length())) {
        *to = *from;
    }
    Ok(())
}

/// Patches lengths, identification, checksum, ports, class and label at the places that the layouts name,
/// counted from the end.
#[inline(always)]
fn patch<const WIDTH: usize>(header: &mut [u8; WIDTH], template: &Template, fields: &Fields, payload: usize) {
    match (template.encapsulation, template.outer_labels) {
        (Encapsulation::MplsOverUdp, 0) => {
            over_udp::<WIDTH, { mpls_over_udp::LENGTH }>(header, template, fields, payload);
        }
        (Encapsulation::MplsOverGre, 0) => {
            over_gre::<WIDTH, { mpls_over_gre::LENGTH }>(header, template, fields, payload);
        }
        (Encapsulation::Vxlan, _) => {
            outer_ip::<WIDTH, { vxlan::LENGTH }>(header, template, fields, payload);
            vxlan::patch(header, fields, payload);
        }
        (_, labels) => patch_stack(header, template, fields, payload, labels),
    }
}

/// The same with labels on top of the packet's own.
#[cold]
fn patch_stack<const WIDTH: usize>(
    header: &mut [u8; WIDTH],
    template: &Template,
    fields: &Fields,
    payload: usize,
    labels: u8,
) {
    const UDP: usize = mpls_over_udp::LENGTH;
    const GRE: usize = mpls_over_gre::LENGTH;
    match (template.encapsulation == Encapsulation::MplsOverUdp, labels) {
        (true, 1) => over_udp::<WIDTH, { UDP + 4 }>(header, template, fields, payload),
        (true, _) => over_udp::<WIDTH, { UDP + 8 }>(header, template, fields, payload),
        (false, 1) => over_gre::<WIDTH, { GRE + 4 }>(header, template, fields, payload),
        (false, _) => over_gre::<WIDTH, { GRE + 8 }>(header, template, fields, payload),
    }
    for entry in 1..=usize::from(labels) {
        let at = WIDTH - 4 - 4 * entry;
        if let Some(label) = bytes::u32_at(header, at) {
            bytes::put(header, at, (label | fields.class_and_ttl()).to_be_bytes());
        }
    }
}

#[inline(always)]
fn over_udp<const WIDTH: usize, const LENGTH: usize>(
    header: &mut [u8; WIDTH],
    template: &Template,
    fields: &Fields,
    payload: usize,
) {
    outer_ip::<WIDTH, LENGTH>(header, template, fields, payload);
    mpls_over_udp::patch::<WIDTH, LENGTH>(header, fields, payload);
}

#[inline(always)]
fn over_gre<const WIDTH: usize, const LENGTH: usize>(
    header: &mut [u8; WIDTH],
    template: &Template,
    fields: &Fields,
    payload: usize,
) {
    outer_ip::<WIDTH, LENGTH>(header, template, fields, payload);
    mpls_over_gre::patch(header, fields);
}

/// The outer IP header ends `BEHIND` bytes before the end of the headers.
#[inline(always)]
fn outer_ip<const WIDTH: usize, const BEHIND: usize>(
    header: &mut [u8; WIDTH],
    template: &Template,
    fields: &Fields,
    payload: usize,
) {
    let class = (fields.inner_traffic_class & template.class_mask) | template.class_bits;
    if template.outer_v6 {
        let at = WIDTH - BEHIND - 40;
        let length = (BEHIND + payload) as u16;
        bytes::put(header, at, [0x60 | (class >> 4), class << 4]);
        bytes::put(header, at + 4, length.to_be_bytes());
    } else {
        let at = WIDTH - BEHIND - 20;
        let length = (20 + BEHIND + payload) as u16;
        bytes::put(header, at + 1, [class]);
        bytes::put(header, at + 2, length.to_be_bytes());
        bytes::put(header, at + 4, fields.identification.to_be_bytes());
        bytes::put(header, at + 10, template.checksum(class, length, fields.identification).to_be_bytes());
    }
}

/// RFC 768 over the whole tunnel packet, where the tunnel asks for it.
#[cold]
fn fill_udp_checksum(data: &mut [u8], template: &Template) {
    let at = template.length() - template.l4_distance();
    let Some(datagram) = data.get_mut(at..) else { return };
    let length = Sum::double_word(datagram.len() as u32);
    let checksum = template.base.plus(length).plus(Sum::of(datagram)).udp_checksum();
    bytes::put(datagram, 6, checksum.to_be_bytes());
}

/// A link-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Destination MAC.
    pub destination: Mac,
    /// Source MAC.
    pub source: Mac,
    /// Tag control information, if the link is tagged.
    pub vlan: Option<u16>,
}

/// Puts an Ethernet header in front of the IP packet that `buf` begins with.
///
/// # Errors
/// `Headroom` without room in front; the buffer is unchanged then.
#[inline]
pub fn push_ethernet<B: PacketBuf>(
    buf: &mut B,
    header: &EthernetHeader,
    ether_type: u16,
) -> Result<(), DropReason> {
    let [d0, d1, d2, d3, d4, d5] = header.destination;
    let [s0, s1, s2, s3, s4, s5] = header.source;
    let [t0, t1] = ether_type.to_be_bytes();
    if let Some(tag) = header.vlan {
        let [p0, p1] = ether_type::VLAN.to_be_bytes();
        let [v0, v1] = tag.to_be_bytes();
        return front(buf, [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, p0, p1, v0, v1, t0, t1]);
    }
    front(buf, [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1])
}

#[inline]
fn front<const N: usize, B: PacketBuf>(buf: &mut B, bytes: [u8; N]) -> Result<(), DropReason> {
    if !buf.grow_front(N) {
        return Err(DropReason::Headroom);
    }
    bytes::put(buf.data_mut(), 0, bytes);
    Ok(())
}
