//! VXLAN (RFC 7348) with an Ethernet header between router MACs in front of the inner IP packet.

use super::push::Fields;
use super::template::{TunnelSpec, Writer};
use crate::bytes;
use crate::drop::DropReason;
use crate::ids::Label;
use crate::protocol::{ether_type, ip, udp};

/// UDP header, VXLAN header, inner Ethernet header.
pub(super) const LENGTH: usize = 8 + HEADER + 14;
const HEADER: usize = 8;

/// "The I flag MUST be set to 1 for a valid VXLAN Network ID" (RFC 7348 §5).
const VALID_VNI: u8 = 0x08;

pub(super) fn write(writer: &mut Writer, spec: &TunnelSpec) -> u8 {
    writer.ethernet(spec.router_mac, spec.source_router_mac, None, 0);
    writer.front(&[VALID_VNI, 0, 0, 0, 0, 0, 0, 0]);
    writer.front(&[0; 4]);
    writer.front(&udp::VXLAN.to_be_bytes());
    writer.front(&[0; 2]);
    ip::UDP
}

#[inline]
pub(super) fn patch<const WIDTH: usize>(header: &mut [u8; WIDTH], fields: &Fields, payload: usize) {
    let at = WIDTH - LENGTH;
    let inner = if fields.inner_v6 { ether_type::IPV6 } else { ether_type::IPV4 };
    bytes::put(header, at, fields.entropy_port.to_be_bytes());
    bytes::put(header, at + 4, ((LENGTH + payload) as u16).to_be_bytes());
    bytes::put(header, at + 12, (fields.label.0 << 8).to_be_bytes());
    bytes::put(header, WIDTH - 2, inner.to_be_bytes());
}

/// The VNI, and where the inner Ethernet header begins in the UDP payload.
pub(super) fn header(payload: &[u8]) -> Result<(Label, usize), DropReason> {
    let header = bytes::chunk::<HEADER>(payload, 0).ok_or(DropReason::Truncated)?;
    if header[0] & VALID_VNI == 0 {
        return Err(DropReason::InvalidTunnel);
    }
    Ok((Label(u32::from_be_bytes([0, header[4], header[5], header[6]])), HEADER))
}
