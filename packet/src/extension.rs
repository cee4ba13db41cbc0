//! The chain of IPv6 extension headers (RFC 8200 §4), walked to a fixed depth, and the fragment facts of
//! either family.

use crate::bytes;
use crate::drop::DropReason;
use crate::meta::{Facts, Meta};
use crate::protocol::ip;

/// More headers than any sender has a use for; the walk must end (RFC 8504 §5.3 asks for a limit).
const MAX_HEADERS: usize = 8;

/// What the walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The protocol behind the last header walked.
    pub(crate) protocol: u8,
    /// Where that protocol's header (or the fragment's payload) begins.
    pub(crate) transport: usize,
    /// The fragment header, if there is one.
    pub(crate) fragment: Option<FragmentHeader>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentHeader {
    /// Offset of the fragment's payload in the frame.
    pub(crate) payload: usize,
    /// Place of that payload in the datagram, in bytes.
    pub(crate) place: usize,
    pub(crate) more: bool,
    pub(crate) identification: u32,
    pub(crate) protocol: u8,
}

/// Whether the number names a header that the walk steps over.
#[inline]
pub(crate) const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::AUTHENTICATION | ip::DESTINATION_OPTIONS
    )
}

/// Walks the chain that begins with a header of kind `protocol` at `at`, up to the end of `packet`. Stops at
/// the payload of a later fragment, which is no header.
///
/// # Errors
/// `Truncated` for a chain that leaves the packet; `InvalidIpHeader` for one that is too deep, has its
/// hop-by-hop header elsewhere than first, two fragment headers, or asks to be source-routed by the
/// deprecated type 0 (RFC 5095); `FragmentTiny` if a first fragment does not hold it all (RFC 7112).
pub(crate) fn walk(packet: &[u8], mut protocol: u8, mut at: usize) -> Result<Chain, DropReason> {
    let mut fragment: Option<FragmentHeader> = None;
    for depth in 0..=MAX_HEADERS {
        if !is_extension(protocol) {
            return Ok(Chain { protocol, transport: at, fragment });
        }
        let cut = if fragment.is_some() { DropReason::FragmentTiny } else { DropReason::Truncated };
        let header = bytes::chunk::<8>(packet, at).ok_or(cut)?;
        let length = match protocol {
            ip::FRAGMENT if fragment.is_some() => return Err(DropReason::InvalidIpHeader),
            ip::HOP_BY_HOP if depth != 0 => return Err(DropReason::InvalidIpHeader),
            ip::ROUTING if header[2] == 0 && header[3] != 0 => return Err(DropReason::InvalidIpHeader),
            ip::FRAGMENT => 8,
            ip::AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if protocol == ip::FRAGMENT {
            let field = u16::from_be_bytes([header[2], header[3]]);
            let place = usize::from(field & !7);
            fragment = Some(FragmentHeader {
                payload: at + 8,
                place,
                more: field & 1 != 0,
                identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                protocol: header[0],
            });
            if place != 0 {
                return Ok(Chain { protocol: header[0], transport: at + 8, fragment });
            }
        }
        protocol = header[0];
        at += length;
        if at > packet.len() {
            return Err(cut);
        }
    }
    Err(DropReason::InvalidIpHeader)
}

/// Where a fragment belongs. `(addresses, protocol, identification)` names its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// The datagram's identification; 16 bits for IPv4.
    pub identification: u32,
    /// The protocol that the fragment header (IPv4: the header) names: the same in every fragment, which
    /// `Meta::protocol` is not when extension headers follow the fragment header.
    pub protocol: u8,
    /// Place of the payload in the datagram, in bytes.
    pub place: u16,
    /// Bytes of payload.
    pub length: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// The fragment facts of a packet that [`crate::parse`] found to be one; `None` for whole packets.
#[must_use]
pub fn fragment(data: &[u8], meta: &Meta) -> Option<Fragment> {
    if !meta.facts.contains(Facts::FRAGMENT) {
        return None;
    }
    let (l3, end) = (usize::from(meta.l3), usize::from(meta.end));
    if meta.is_ipv4() {
        let field = bytes::u16_at(data, l3 + 6)?;
        return Some(Fragment {
            identification: u32::from(bytes::u16_at(data, l3 + 4)?),
            protocol: meta.protocol,
            place: (field & 0x1fff) * 8,
            length: meta.end.saturating_sub(meta.l4),
            more: field & 0x2000 != 0,
        });
    }
    let chain = walk(data.get(..end)?, *data.get(l3 + 6)?, l3 + 40).ok()?;
    let header = chain.fragment?;
    Some(Fragment {
        identification: header.identification,
        protocol: header.protocol,
        place: header.place as u16,
        length: end.saturating_sub(header.payload) as u16,
        more: header.more,
    })
}
