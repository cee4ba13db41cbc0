//! Segmentation: a TCP super-frame, as a guest hands it to a device that is to cut it, becomes the packets that its
//! sender means.

use crate::buf::{L4Checksum, PacketBuf};
use crate::bytes;
use crate::checksum::{self, Sum};
use crate::drop::DropReason;
use crate::extension;
use crate::meta::{Address, Facts, Meta, v4};
use crate::protocol::{ether_type, ip, tcp};

/// The longest headers that a super-frame may have: Ethernet with a tag, IPv6 with extensions, TCP with options.
const MAX_HEADERS: usize = 256;
/// The least payload that a segment may be asked to carry: no path is so narrow (RFC 791: 68 bytes), and a frame is
/// not to become thousands of packets.
const LEAST: usize = 28;

/// The segments of one super-frame, in order.
#[derive(Debug)]
pub struct Segments<'f, I> {
    /// Everything in front of the payload.
    headers: [u8; MAX_HEADERS],
    length: usize,
    /// Of the first segment but for its end.
    meta: Meta,
    payload: Payload<'f, I>,
    /// Payload of each segment but the last.
    size: usize,
    /// Payload that is still to come.
    remaining: usize,
    /// Segments that were written.
    number: u16,
}

/// Bytes that lie in several parts.
#[derive(Debug)]
struct Payload<'f, I> {
    here: &'f [u8],
    parts: I,
}

/// Reads the headers of a super-frame. Its transport checksum is not looked at: the device was to complete it.
///
/// # Errors
/// `SuperFrame` for what is no TCP over IPv4 or IPv6 in one piece, whose headers are not all in the frame's first part,
/// or that does not say how it is to be cut; `MultiSegment` for a frame in several parts that is no super-frame;
/// `Truncated`, `InvalidIpVersion`, `InvalidIpHeader` and `InvalidIpChecksum` as in [`crate::parse`].
pub fn segments<'f, B: PacketBuf>(
    frame: &'f B,
) -> Result<Segments<'f, impl Iterator<Item = &'f [u8]>>, DropReason> {
    let size = usize::from(frame.segment_size());
    if size == 0 {
        return Err(DropReason::MultiSegment);
    }
    let mut parts = frame.parts();
    let first = parts.next().ok_or(DropReason::Truncated)?;
    let meta = network(first)?;
    let l4 = usize::from(meta.l4);
    let header = bytes::chunk::<20>(first, l4).ok_or(DropReason::SuperFrame)?;
    let length = l4 + usize::from(header[12] >> 4) * 4;
    let opens = header[13] & (tcp::SYN | tcp::RST) != 0;
    if length < l4 + 20 || length > first.len().min(MAX_HEADERS) || opens || size < LEAST {
        return Err(DropReason::SuperFrame);
    }
    let total: usize = frame.parts().map(<[u8]>::len).sum();
    let end = usize::from(meta.l3) + packet_length(first, &meta);
    if end > total {
        return Err(DropReason::Truncated);
    }
    let remaining = end.checked_sub(length).filter(|payload| *payload > 0).ok_or(DropReason::SuperFrame)?;
    let mut headers = [0; MAX_HEADERS];
    headers[..length].copy_from_slice(&first[..length]);
    let payload = Payload { here: &first[length..], parts };
    Ok(Segments { headers, length, meta, payload, size, remaining, number: 0 })
}

impl<'f, I: Iterator<Item = &'f [u8]>> Segments<'f, I> {
    /// How many segments are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining.div_ceil(self.size)
    }

    /// Writes the next segment into the empty buffer `out`, whole and with its checksums. `false` if none is left, or
    /// if `out` has no room for it.
    #[must_use]
    pub fn next_into<B: PacketBuf>(&mut self, out: &mut B) -> bool {
        let carried = self.size.min(self.remaining);
        if carried == 0 || !out.is_empty() || !out.grow_back(self.length + carried) {
            return false;
        }
        let data = out.data_mut();
        let Some((headers, payload)) = data.split_at_mut_checked(self.length) else { return false };
        headers.copy_from_slice(&self.headers[..self.length]);
        if !self.payload.read(payload) {
            return false;
        }
        self.remaining -= carried;
        self.patch(data);
        let meta = Meta { end: data.len() as u16, ..self.meta };
        checksum::fill(data, &meta);
        out.set_l4_checksum(L4Checksum::Verified);
        self.advance(carried);
        true
    }

    /// What this segment alone says: its length, and what is said in the first or the last one only.
    fn patch(&self, data: &mut [u8]) {
        let (l3, l4) = (usize::from(self.meta.l3), usize::from(self.meta.l4));
        let length = (data.len() - l3) as u16;
        if self.meta.is_ipv4() {
            bytes::put(data, l3 + 2, length.to_be_bytes());
            bytes::put(data, l3 + 10, [0, 0]);
            let sum = data.get(l3..l4).map_or(0, checksum::internet);
            bytes::put(data, l3 + 10, sum.to_be_bytes());
        } else {
            bytes::put(data, l3 + 4, (length - 40).to_be_bytes());
        }
        if let Some(flags) = data.get_mut(l4 + 13) {
            let only_last = if self.remaining > 0 { tcp::FIN | tcp::PSH } else { 0 };
            let only_first = if self.number > 0 { tcp::CWR } else { 0 };
            *flags &= !(only_last | only_first);
        }
    }

    /// The headers of the segment behind one that carried so many bytes.
    fn advance(&mut self, carried: usize) {
        let (l3, l4) = (usize::from(self.meta.l3), usize::from(self.meta.l4));
        let sequence = bytes::u32_at(&self.headers, l4 + 4).unwrap_or(0).wrapping_add(carried as u32);
        bytes::put(&mut self.headers, l4 + 4, sequence.to_be_bytes());
        if self.meta.is_ipv4() {
            let identification = bytes::u16_at(&self.headers, l3 + 4).unwrap_or(0).wrapping_add(1);
            bytes::put(&mut self.headers, l3 + 4, identification.to_be_bytes());
        }
        self.number = self.number.saturating_add(1);
    }
}

impl<'f, I: Iterator<Item = &'f [u8]>> Payload<'f, I> {
    /// Fills `to` with the next bytes; `false` if there are not so many.
    fn read(&mut self, mut to: &mut [u8]) -> bool {
        while !to.is_empty() {
            if self.here.is_empty() {
                let Some(next) = self.parts.next() else { return false };
                self.here = next;
                continue;
            }
            let (from, left) = self.here.split_at(to.len().min(self.here.len()));
            let (now, later) = to.split_at_mut(from.len());
            now.copy_from_slice(from);
            (self.here, to) = (left, later);
        }
        true
    }
}

/// Where the network and the transport header of a whole TCP packet begin, and its addresses.
fn network(frame: &[u8]) -> Result<Meta, DropReason> {
    const ETHERNET: usize = 14;
    const TAG: usize = 4;
    let mut l3 = ETHERNET;
    let mut kind = bytes::u16_at(frame, 12).ok_or(DropReason::Truncated)?;
    if kind == ether_type::VLAN {
        kind = bytes::u16_at(frame, 16).ok_or(DropReason::Truncated)?;
        l3 += TAG;
    }
    let mut meta = match kind {
        ether_type::IPV4 => ipv4(frame, l3),
        ether_type::IPV6 => ipv6(frame, l3),
        _ => Err(DropReason::SuperFrame),
    }?;
    (meta.ether_type, meta.l3) = (kind, l3 as u16);
    if meta.protocol == ip::TCP { Ok(meta) } else { Err(DropReason::SuperFrame) }
}

fn ipv4(frame: &[u8], l3: usize) -> Result<Meta, DropReason> {
    let header = bytes::chunk::<20>(frame, l3).ok_or(DropReason::Truncated)?;
    let length = usize::from(header[0] & 15) * 4;
    let whole = frame.get(l3..l3 + length).filter(|_| length >= 20).ok_or(DropReason::InvalidIpHeader)?;
    if header[0] >> 4 != 4 {
        return Err(DropReason::InvalidIpVersion);
    }
    if !Sum::of(whole).is_intact() {
        return Err(DropReason::InvalidIpChecksum);
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(DropReason::SuperFrame);
    }
    Ok(Meta {
        src: v4([header[12], header[13], header[14], header[15]]),
        dst: v4([header[16], header[17], header[18], header[19]]),
        l4: (l3 + length) as u16,
        protocol: header[9],
        facts: Facts::IPV4 | Facts::L4,
        ..Meta::default()
    })
}

fn ipv6(frame: &[u8], l3: usize) -> Result<Meta, DropReason> {
    let header = bytes::chunk::<40>(frame, l3).ok_or(DropReason::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(DropReason::InvalidIpVersion);
    }
    let headers = frame.get(..frame.len().min(MAX_HEADERS)).unwrap_or(frame);
    let chain = extension::walk(headers, header[6], l3 + 40).map_err(|_| DropReason::SuperFrame)?;
    if chain.fragment.is_some() {
        return Err(DropReason::SuperFrame);
    }
    let address = |at: usize| bytes::chunk(header, at).copied().unwrap_or([0; 16]);
    let (src, dst): (Address, Address) = (address(8), address(24));
    Ok(Meta {
        src,
        dst,
        l4: chain.transport as u16,
        protocol: chain.protocol,
        facts: Facts::IPV6 | Facts::DF | Facts::L4,
        ..Meta::default()
    })
}

/// Bytes of the network packet, as its header says.
fn packet_length(frame: &[u8], meta: &Meta) -> usize {
    let (at, header) = if meta.is_ipv4() { (2, 0) } else { (4, 40) };
    let field = bytes::u16_at(frame, usize::from(meta.l3) + at).unwrap_or(0);
    header + usize::from(field)
}
