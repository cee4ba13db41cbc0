//! MPLS-over-UDP (RFC 7510): UDP header, one label.

use super::push::Fields;
use super::template::Writer;
use crate::bytes;
use crate::protocol::{ip, udp};

/// UDP header and label.
pub(super) const LENGTH: usize = 8 + 4;

pub(super) fn write(writer: &mut Writer) -> u8 {
    writer.front(&[0; 4]);
    writer.front(&udp::MPLS.to_be_bytes());
    writer.front(&[0; 2]);
    ip::UDP
}

/// `LENGTH` counts the labels on top too.
#[inline]
pub(super) fn patch<const WIDTH: usize, const LENGTH: usize>(
    header: &mut [u8; WIDTH],
    fields: &Fields,
    payload: usize,
) {
    let at = WIDTH - LENGTH;
    bytes::put(header, at, fields.entropy_port.to_be_bytes());
    bytes::put(header, at + 4, ((LENGTH + payload) as u16).to_be_bytes());
    bytes::put(header, WIDTH - 4, fields.label_entry());
}
