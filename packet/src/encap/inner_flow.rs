//! The flow that an MPLS-over-GRE packet carries, for software that spreads what receive-side scaling cannot: a NIC
//! sees two outer addresses and no port, so everything one gateway sends arrives in one queue.

use super::mpls_over_gre;
use crate::bytes;
use crate::hash::FlowHasher;
use crate::meta::Facts;
use crate::parse;
use crate::protocol::{ether_type, ip};

const ETHERNET: usize = 14;
/// More labels are [`super::pop`]'s to refuse.
const MAX_LABELS: usize = 3;

/// Whether a frame looks like MPLS over GRE, as far as its outer header tells: no VLAN tag, options or fragment.
#[inline]
#[must_use]
pub fn is_mpls_over_gre(data: &[u8]) -> bool {
    gre(data).is_some()
}

/// The hash of the inner packet's addresses, protocol and ports, the same as [`FlowHasher::packet`] has for it in no
/// scope. `None` for anything but MPLS over GRE with an IP packet that is understood and whole: the fragments of a
/// datagram do not show its ports, and an outer fragment does not show what it carries.
///
/// What is malformed is not found out here: it has some hash or none.
#[inline]
#[must_use]
pub fn inner_flow(data: &[u8], hasher: &FlowHasher) -> Option<u64> {
    let gre = gre(data)?;
    let mut at = gre + mpls_over_gre::labels(data.get(gre..)?, true)?.ok()?;
    for _ in 0..MAX_LABELS {
        let entry = bytes::u32_at(data, at)?;
        at += 4;
        if entry & 0x100 != 0 {
            return common(data, at, hasher).or_else(|| parsed(data, at, hasher));
        }
    }
    None
}

/// Where the GRE header of MPLS over GRE begins.
#[inline]
fn gre(data: &[u8]) -> Option<usize> {
    let at = match bytes::u16_at(data, 12)? {
        ether_type::IPV4 => {
            let header = bytes::chunk::<20>(data, ETHERNET)?;
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
            (header[0] == 0x45 && !fragment && header[9] == ip::GRE).then_some(ETHERNET + 20)?
        }
        ether_type::IPV6 => (*data.get(ETHERNET + 6)? == ip::GRE).then_some(ETHERNET + 40)?,
        _ => return None,
    };
    matches!(bytes::u16_at(data, at + 2)?, ether_type::MPLS | ether_type::MPLS_UPSTREAM).then_some(at)
}

/// Nearly every packet: UDP or TCP without options or extension headers, in one piece.
#[inline]
fn common(data: &[u8], l3: usize, hasher: &FlowHasher) -> Option<u64> {
    let ports =
        |protocol, l4| matches!(protocol, ip::UDP | ip::TCP).then(|| bytes::u32_at(data, l4)).flatten();
    match *data.get(l3)? {
        0x45 => {
            let header = bytes::chunk::<20>(data, l3)?;
            let &[_, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
            if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
                return None;
            }
            let ports = ports(protocol, l3 + 20)?;
            let (src, dst) = ([s0, s1, s2, s3], [d0, d1, d2, d3]);
            Some(hasher.ipv4(u32::from_be_bytes(src), u32::from_be_bytes(dst), ports, protocol, 0))
        }
        version if version >> 4 == 6 => {
            let protocol = *data.get(l3 + 6)?;
            let ports = ports(protocol, l3 + 40)?;
            let (src, dst) = (bytes::chunk(data, l3 + 8)?, bytes::chunk(data, l3 + 24)?);
            Some(hasher.ipv6(src, dst, ports, protocol, 0))
        }
        _ => None,
    }
}

/// Any other.
#[cold]
fn parsed(data: &[u8], l3: usize, hasher: &FlowHasher) -> Option<u64> {
    let meta = parse::ip(data, l3).ok()?;
    (!meta.facts.contains(Facts::FRAGMENT)).then(|| hasher.packet(&meta, 0))
}
