//! Tunnel headers of the packet that nearly every received packet is: an outer header without options, in one piece,
//! one label. Recognised in a straight line; anything else is `None` here and goes through [`super::pop`], which
//! gives the same answers for these too.

use crate::bytes;
use crate::checksum::Sum;
use crate::ids::Label;
use crate::meta::{Address, v4};
use crate::protocol::{ether_type, ip, udp};

/// What is in front of the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Outer source and destination as they lie in the header; IPv4: in the first word.
    pub outer: [u64; 4],
    /// Whether the outer header is IPv6.
    pub outer_v6: bool,
    /// The ECN bits of the outer header.
    pub outer_ecn: u8,
    /// The label or VNI.
    pub label: Label,
    /// Whether it is a VNI, and an Ethernet header was in front of the inner packet.
    pub inner_is_ethernet: bool,
    /// Where the inner network header begins.
    pub l3: u16,
    /// One past the last byte that the tunnel carried.
    pub end: u16,
}

impl Opened {
    /// Outer source and destination.
    #[must_use]
    pub fn outer_addresses(&self) -> (Address, Address) {
        let [a, b, c, d] = self.outer.map(u64::to_ne_bytes);
        if self.outer_v6 {
            return (join(a, b), join(c, d));
        }
        let [s0, s1, s2, s3, d0, d1, d2, d3] = a;
        (v4([s0, s1, s2, s3]), v4([d0, d1, d2, d3]))
    }
}

fn join(high: [u8; 8], low: [u8; 8]) -> Address {
    let mut address = [0; 16];
    address[..8].copy_from_slice(&high);
    address[8..].copy_from_slice(&low);
    address
}

const ETHERNET: usize = 14;

/// The tunnel headers of a frame. `checked` tells that the device has verified the outer UDP checksum; `inner` is the
/// ethertype that the inner packet is to have behind a VNI (a label does not tell).
#[inline(always)]
#[must_use]
pub fn open(data: &[u8], checked: bool, inner: u16) -> Option<Opened> {
    let kind = u16::from_be_bytes(*bytes::chunk(data, 12)?);
    if kind == ether_type::IPV4 {
        const L4: usize = ETHERNET + 20;
        let header = bytes::chunk::<20>(data, ETHERNET)?;
        let &[version, class, t0, t1, _, _, f0, f1, _, protocol, ..] = header;
        let end = ETHERNET + usize::from(u16::from_be_bytes([t0, t1]));
        let whole = version == 0x45 && u16::from_be_bytes([f0, f1]) & 0x3fff == 0 && end <= data.len();
        if !whole || !Sum::of_ipv4(header).is_intact() {
            return None;
        }
        let behind = behind::<L4>(data, protocol, end, checked, inner)?;
        let ends = u64::from_ne_bytes(*bytes::chunk(header, 12)?);
        return behind.opened([ends, 0, 0, 0], false, class);
    }
    if kind != ether_type::IPV6 {
        return None;
    }
    const L4: usize = ETHERNET + 40;
    let header = bytes::chunk::<40>(data, ETHERNET)?;
    let &[c0, c1, _, _, p0, p1, protocol, ..] = header;
    let end = L4 + usize::from(u16::from_be_bytes([p0, p1]));
    if c0 >> 4 != 6 || end > data.len() {
        return None;
    }
    let behind = behind::<L4>(data, protocol, end, checked, inner)?;
    let mut ends = [0; 4];
    for (word, bytes) in ends.iter_mut().zip(header[8..].as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    behind.opened(ends, true, c1 >> 4)
}

/// What is behind the outer network header.
struct Behind {
    label: Label,
    inner_is_ethernet: bool,
    l3: usize,
    end: usize,
}

impl Behind {
    #[inline(always)]
    fn opened(self, outer: [u64; 4], outer_v6: bool, class: u8) -> Option<Opened> {
        let Self { label, inner_is_ethernet, l3, end } = self;
        let opened = Opened {
            outer,
            outer_v6,
            outer_ecn: class & 3,
            label,
            inner_is_ethernet,
            l3: l3 as u16,
            end: end as u16,
        };
        (l3 < end).then_some(opened)
    }
}

#[inline(always)]
fn behind<const L4: usize>(
    data: &[u8],
    protocol: u8,
    end: usize,
    checked: bool,
    inner: u16,
) -> Option<Behind> {
    // A tunnel packet that carries a packet has at least so much.
    let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, _] = bytes::chunk::<16>(data, L4)?;
    if end > usize::from(u16::MAX) {
        return None;
    }
    if protocol == ip::GRE {
        let plain = [a, b] == [0, 0] && u16::from_be_bytes([c, d]) == ether_type::MPLS;
        let label = only_label([e, f, g, h]).filter(|_| plain)?;
        return Some(Behind { label, inner_is_ethernet: false, l3: L4 + 8, end });
    }
    let length = usize::from(u16::from_be_bytes([e, f]));
    let intact = length >= 12 && L4 + length <= end && (checked || [g, h] == [0, 0]);
    if protocol != ip::UDP || !intact {
        return None;
    }
    let end = L4 + length;
    match u16::from_be_bytes([c, d]) {
        udp::MPLS => {
            let label = only_label([i, j, k, l])?;
            Some(Behind { label, inner_is_ethernet: false, l3: L4 + 12, end })
        }
        udp::VXLAN => {
            let l3 = L4 + 16 + ETHERNET;
            let kind = u16::from_be_bytes(*bytes::chunk(data, l3 - 2)?);
            let label = Label(u32::from_be_bytes([0, m, n, o]));
            // "The I flag MUST be set" (RFC 7348 §5).
            (i & 8 != 0 && kind == inner).then_some(Behind { label, inner_is_ethernet: true, l3, end })
        }
        _ => None,
    }
}

/// The label of a stack of one that is not special and has not expired.
#[inline(always)]
fn only_label(entry: [u8; 4]) -> Option<Label> {
    let entry = u32::from_be_bytes(entry);
    (entry & 0x100 != 0 && entry & 0xff != 0 && entry >> 16 != 0).then_some(Label(entry >> 12))
}

/// Whether [`super::ecn_decapsulate`] has to do anything.
#[inline(always)]
#[must_use]
pub const fn marks_congestion(outer_ecn: u8, inner_traffic_class: u8) -> bool {
    outer_ecn == 3 || (outer_ecn == 1 && inner_traffic_class & 3 == 2)
}
