//! TCP resets that this node originates, in the name of the end that a segment was sent to.

use crate::answer::Answer;
use crate::buf::PacketBuf;
use crate::bytes;
use crate::drop::DropReason;
use crate::meta::{Facts, Meta};
use crate::protocol::{ip, tcp};

/// A TCP header without options.
const HEADER: usize = 20;
/// The bits of the traffic class that are DSCP: a reset is not ECN-capable (RFC 3168 §6.1.4).
const DSCP: u8 = 0xfc;

/// Turns a TCP segment into the reset that its receiver would send if the connection did not exist (RFC 9293
/// §3.5.2): from the segment's destination to its source, in the same buffer, which then begins with the IP header.
/// Returns the reset's own facts.
///
/// # Errors
/// `InvalidL4` if it is no whole TCP segment, or itself a reset; `Headroom` without room for the headers.
pub fn tcp_reset<B: PacketBuf>(buf: &mut B, meta: &Meta) -> Result<Meta, DropReason> {
    let (l4, end) = (usize::from(meta.l4), usize::from(meta.end));
    let header = buf.data().get(l4..end).and_then(|segment| segment.first_chunk::<HEADER>()).copied();
    let whole = meta.protocol == ip::TCP
        && meta.facts.contains(Facts::L4)
        && !meta.facts.intersects(Facts::FRAGMENT.union(Facts::MULTICAST))
        && meta.l4_flags & tcp::RST == 0;
    let Some(header) = header.filter(|_| whole) else { return Err(DropReason::InvalidL4) };
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..] = header;
    let (sequence, flags) = if flags & tcp::ACK == 0 {
        // It acknowledges all that the segment occupies, SYN and FIN included.
        let data = (end - l4).saturating_sub(usize::from(offset >> 4) * 4) as u32;
        let controls = u32::from(flags & tcp::SYN != 0) + u32::from(flags & tcp::FIN != 0);
        let next = u32::from_be_bytes([q0, q1, q2, q3]).wrapping_add(data + controls).to_be_bytes();
        ([[0; 4], next], tcp::RST | tcp::ACK)
    } else {
        ([[a0, a1, a2, a3], [0; 4]], tcp::RST)
    };
    let [[q0, q1, q2, q3], [a0, a1, a2, a3]] = sequence;
    buf.truncate(l4 + HEADER);
    if !buf.shrink_front(l4) {
        return Err(DropReason::Truncated);
    }
    let reset = [d0, d1, s0, s1, q0, q1, q2, q3, a0, a1, a2, a3, 0x50, flags, 0, 0, 0, 0, 0, 0];
    bytes::put(buf.data_mut(), 0, reset);
    let class = meta.traffic_class & DSCP;
    Answer { protocol: ip::TCP, from: &meta.dst, to: &meta.src, class, identification: None }
        .send(buf, meta.is_ipv4())
}
