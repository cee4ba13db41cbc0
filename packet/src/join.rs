//! Reassembly: the fragments of an IPv4 or IPv6 packet become one packet again (RFC 791 §3.2, RFC 8200 §4.5).

use crate::buf::PacketBuf;
use crate::bytes;
use crate::checksum;
use crate::drop::DropReason;
use crate::extension::{Fragment, fragment};
use crate::meta::Meta;
use crate::rewrite::set_traffic_class;

/// The two ECN bits, both set: congestion experienced.
const CE: u8 = 0x03;
/// "Do not fragment" of the IPv4 fragment field.
const DF: u16 = 0x4000;
/// The IPv6 fragment header.
const FRAGMENT_HEADER: usize = 8;

/// The payload of a fragment, and the fragment's place in its packet; `None` for what is no fragment.
#[must_use]
pub fn payload<'f>(frame: &'f [u8], meta: &Meta) -> Option<(Fragment, &'f [u8])> {
    let fragment = fragment(frame, meta)?;
    let end = usize::from(meta.end);
    let start = end.checked_sub(usize::from(fragment.length))?;
    Some((fragment, frame.get(start..end)?))
}

/// Writes the packet whose first fragment is `first`, a frame with these facts, and whose further payload is `rest`,
/// into the empty buffer `out`: the first fragment's headers, link layer included, then all payload in order. An IPv6
/// packet keeps its fragment header, as that of an atomic fragment (RFC 6946). A mark of congestion on any fragment,
/// as `marked` tells, is one on the whole (RFC 3168 §5.3).
///
/// # Errors
/// `InvalidIpHeader` if `first` is no fragment or the whole would be longer than an IP packet can be, `MultiSegment`
/// if `out` has no room for it.
pub fn join<'f, B: PacketBuf>(
    out: &mut B,
    first: (&[u8], &Meta),
    rest: impl Iterator<Item = &'f [u8]>,
    marked: bool,
) -> Result<(), DropReason> {
    let (frame, meta) = first;
    let (fragment, _) = payload(frame, meta).ok_or(DropReason::InvalidIpHeader)?;
    let head = frame.get(..usize::from(meta.end)).ok_or(DropReason::Truncated)?;
    let headers = head.len() - usize::from(fragment.length);
    append(out, head)?;
    for payload in rest {
        append(out, payload)?;
    }
    let (l3, length) = (usize::from(meta.l3), out.len() - usize::from(meta.l3));
    let data = out.data_mut();
    if meta.is_ipv4() {
        let total = u16::try_from(length).map_err(|_| DropReason::InvalidIpHeader)?;
        let field = bytes::u16_at(data, l3 + 6).unwrap_or(0) & DF;
        bytes::put(data, l3 + 2, total.to_be_bytes());
        bytes::put(data, l3 + 6, field.to_be_bytes());
        bytes::put(data, l3 + 10, [0, 0]);
        let sum = checksum::internet(data.get(l3..headers).ok_or(DropReason::Truncated)?);
        bytes::put(data, l3 + 10, sum.to_be_bytes());
    } else {
        const HEADER: usize = 40;
        let carried = u16::try_from(length - HEADER).map_err(|_| DropReason::InvalidIpHeader)?;
        bytes::put(data, l3 + 4, carried.to_be_bytes());
        bytes::put(data, headers - FRAGMENT_HEADER + 2, [0, 0]);
    }
    if marked {
        set_traffic_class(data, &mut { *meta }, meta.traffic_class | CE);
    }
    Ok(())
}

/// Whether a router has marked congestion on the packet.
#[must_use]
pub const fn is_marked(meta: &Meta) -> bool {
    meta.traffic_class & CE == CE
}

fn append<B: PacketBuf>(out: &mut B, bytes: &[u8]) -> Result<(), DropReason> {
    let at = out.len();
    if !out.grow_back(bytes.len()) {
        return Err(DropReason::MultiSegment);
    }
    out.data_mut()[at..].copy_from_slice(bytes);
    Ok(())
}
