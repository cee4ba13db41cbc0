//! MPLS-over-GRE (RFC 4023): a GRE header without options, one label.

use super::push::Fields;
use super::template::Writer;
use crate::bytes;
use crate::checksum::Sum;
use crate::drop::DropReason;
use crate::protocol::{ether_type, ip};

/// GRE header and label.
pub(super) const LENGTH: usize = 4 + 4;

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// "A receiver must discard a packet where any of bits 1-5 are non-zero" (RFC 2784 §2.3), of which RFC 2890
/// took two for key and sequence number.
const RESERVED: u16 = 0x4c00;
const VERSION: u16 = 0x0007;

pub(super) fn write(writer: &mut Writer) -> u8 {
    writer.front(&ether_type::MPLS.to_be_bytes());
    writer.front(&[0; 2]);
    ip::GRE
}

#[inline]
pub(super) fn patch<const WIDTH: usize>(header: &mut [u8; WIDTH], fields: &Fields) {
    bytes::put(header, WIDTH - 4, fields.label_entry());
}

/// Where the label stack begins in the GRE packet. `None` if it carries something else than MPLS: then it is
/// a tunnel of somebody else's.
pub(super) fn labels(packet: &[u8], checked: bool) -> Option<Result<usize, DropReason>> {
    let flags = bytes::u16_at(packet, 0)?;
    if !matches!(bytes::u16_at(packet, 2)?, ether_type::MPLS | ether_type::MPLS_UPSTREAM) {
        return None;
    }
    if flags & (VERSION | RESERVED) != 0 {
        return Some(Err(DropReason::InvalidTunnel));
    }
    let words = [CHECKSUM, KEY, SEQUENCE].iter().filter(|bit| flags & **bit != 0).count();
    if flags & CHECKSUM != 0 && !checked && !Sum::of(packet).is_intact() {
        return Some(Err(DropReason::TunnelChecksum));
    }
    Some(Ok(4 + words * 4))
}
