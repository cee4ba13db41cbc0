//! Rewrites of a packet's own headers: address translation, TTL, the MSS option, and the packet that an
//! ICMP error quotes. Every checksum follows by its difference (RFC 1624), none is recomputed: a packet
//! that was broken when it came is as broken when it leaves.

use crate::buf::{L4Checksum, PacketBuf};
use crate::bytes;
use crate::checksum::{Delta, Sum, field_offset};
use crate::crc32c;
use crate::drop::DropReason;
use crate::meta::{Address, Facts, Meta};
use crate::protocol::{ip, tcp};
use crate::quoted;

/// The ends of a packet: what a translation starts from or leads to. For ICMP, `src_port` is the echo
/// identifier in both directions and `dst_port` the type class, as in [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Source port, or ICMP identifier.
    pub src_port: u16,
    /// Destination port, or ICMP class.
    pub dst_port: u16,
}

impl From<&Meta> for Tuple {
    fn from(meta: &Meta) -> Self {
        Self { src: meta.src, dst: meta.dst, src_port: meta.src_port, dst_port: meta.dst_port }
    }
}

impl Tuple {
    /// What the addresses add to a checksum.
    fn addresses(&self) -> Sum {
        Sum::of(&self.src).plus(Sum::of(&self.dst))
    }

    /// What addresses and ports add to a checksum.
    fn all(&self) -> Sum {
        self.addresses().plus(Sum::word(self.src_port)).plus(Sum::word(self.dst_port))
    }
}

/// One direction's address translation, worked out when the flow is decided: a worker only copies and adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The source address that leaves.
    pub src: Address,
    /// The destination address that leaves.
    pub dst: Address,
    /// The source port (ICMP: identifier) that leaves.
    pub src_port: u16,
    /// The destination port that leaves. ICMP: the class, which is on no wire and never changes.
    pub dst_port: u16,
    /// What the addresses change: for the IPv4 header and for partial transport checksums.
    pub delta_addr: Delta,
    /// What addresses and ports change together: for transport checksums with a pseudo header.
    pub delta_l4: Delta,
}

impl Translation {
    /// The translation that makes `new` out of `original`. Both have the same family; IPv4 and IPv6 need no
    /// distinction here, since an IPv4 [`Address`] is zero-extended.
    #[must_use]
    pub fn new(original: &Tuple, new: &Tuple) -> Self {
        Self {
            src: new.src,
            dst: new.dst,
            src_port: new.src_port,
            dst_port: new.dst_port,
            delta_addr: Delta::between(original.addresses(), new.addresses()),
            delta_l4: Delta::between(original.all(), new.all()),
        }
    }

    /// The translation of the answers, which leads to `back`: every sum changes by as much as here, the other way round.
    #[must_use]
    pub const fn of_answers(&self, back: &Tuple) -> Self {
        Self {
            src: back.src,
            dst: back.dst,
            src_port: back.src_port,
            dst_port: back.dst_port,
            delta_addr: Delta::NONE.minus(self.delta_addr),
            delta_l4: Delta::NONE.minus(self.delta_l4),
        }
    }

    /// What the ports alone change: all that an ICMPv4 checksum, which has no pseudo header, sees.
    #[inline]
    #[must_use]
    pub const fn delta_ports(&self) -> Delta {
        self.delta_l4.minus(self.delta_addr)
    }
}

/// Translates the packet that `meta` describes, and `meta` with it. Later fragments have addresses only; the
/// first one carries the whole datagram's checksum and takes the whole difference. A *partial* checksum takes
/// the difference of the addresses only, since it covers no port yet.
///
/// SCTP's CRC32c has no pseudo header, so addresses do not touch it; for ports its difference is advanced over
/// the length of the packet, in a few hundred steps and without reading it. A first fragment does not tell
/// that length: port translation of fragmented SCTP cannot be repaired and is not.
#[inline]
pub fn apply<B: PacketBuf>(buf: &mut B, meta: &mut Meta, translation: &Translation) {
    let partial = buf.l4_checksum() == L4Checksum::Partial;
    let data = buf.data_mut();
    write_addresses(data, meta, &translation.src, &translation.dst, translation.delta_addr);
    if !meta.facts.contains(Facts::L4) {
        return;
    }
    let l4 = usize::from(meta.l4);
    let ports = (u32::from(translation.src_port) << 16) | u32::from(translation.dst_port);
    let with_pseudo = if partial { translation.delta_addr } else { translation.delta_l4 };
    match meta.protocol {
        ip::TCP => {
            bytes::put(data, l4, ports.to_be_bytes());
            update(data, l4 + 16, with_pseudo, partial);
        }
        ip::UDP | ip::UDP_LITE => {
            bytes::put(data, l4, ports.to_be_bytes());
            update_udp(data, l4 + 6, with_pseudo, partial);
        }
        ip::SCTP => sctp(data, meta, ports.to_be_bytes(), partial),
        _ => {
            icmp(data, l4, meta.protocol, meta.dst_port == 0, translation, partial);
            meta.src_port = if meta.dst_port == 0 { translation.src_port } else { 0 };
            return;
        }
    }
    meta.src_port = translation.src_port;
    meta.dst_port = translation.dst_port;
}

/// ICMP: an echo's identifier is its port; everything else has addresses only. ICMPv4 has no pseudo header.
fn icmp(data: &mut [u8], l4: usize, protocol: u8, echo: bool, translation: &Translation, partial: bool) {
    if echo {
        bytes::put(data, l4 + 4, translation.src_port.to_be_bytes());
    }
    let delta = match (protocol, echo && !partial) {
        (ip::ICMP, true) => translation.delta_ports(),
        (ip::ICMP, false) => Delta::NONE,
        (_, true) => translation.delta_l4,
        (_, false) => translation.delta_addr,
    };
    update(data, l4 + 2, delta, partial);
}

fn sctp(data: &mut [u8], meta: &Meta, ports: [u8; 4], partial: bool) {
    let Some(segment) = data.get_mut(usize::from(meta.l4)..usize::from(meta.end)) else { return };
    let Some(field) = segment.first_chunk_mut::<4>() else { return };
    let old = std::mem::replace(field, ports);
    if old != ports && !partial && !meta.facts.contains(Facts::FRAGMENT) {
        crc32c::sctp_ports_changed(segment, old);
    }
}

/// Addresses and, for IPv4, the header checksum.
#[inline]
fn write_addresses(data: &mut [u8], meta: &mut Meta, src: &Address, dst: &Address, delta: Delta) {
    let l3 = usize::from(meta.l3);
    if meta.is_ipv4() {
        let Some(header) = bytes::chunk_mut::<20>(data, l3) else { return };
        let checksum = delta.apply(u16::from_be_bytes([header[10], header[11]])).to_be_bytes();
        [header[10], header[11]] = checksum;
        header[12..16].copy_from_slice(&src[..4]);
        header[16..20].copy_from_slice(&dst[..4]);
    } else {
        let Some(header) = bytes::chunk_mut::<40>(data, l3) else { return };
        header[8..24].copy_from_slice(src);
        header[24..40].copy_from_slice(dst);
    }
    meta.src = *src;
    meta.dst = *dst;
}

#[inline]
fn update(data: &mut [u8], at: usize, delta: Delta, partial: bool) {
    if let Some(field) = bytes::chunk_mut::<2>(data, at) {
        let old = u16::from_be_bytes(*field);
        *field = if partial { delta.apply_partial(old) } else { delta.apply(old) }.to_be_bytes();
    }
}

#[inline]
fn update_udp(data: &mut [u8], at: usize, delta: Delta, partial: bool) {
    if let Some(field) = bytes::chunk_mut::<2>(data, at) {
        let old = u16::from_be_bytes(*field);
        *field = if partial { delta.apply_partial(old) } else { delta.apply_udp(old) }.to_be_bytes();
    }
}

/// Takes one from TTL or hop limit, in the packet and in `meta`.
///
/// # Errors
/// `TtlExceeded`, and nothing changed, if none would be left: the packet may not be routed on (RFC 1812
/// §5.3.1).
#[inline]
pub fn decrement_ttl<B: PacketBuf>(buf: &mut B, meta: &mut Meta) -> Result<(), DropReason> {
    if meta.ttl <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    meta.ttl -= 1;
    let l3 = usize::from(meta.l3);
    if meta.is_ipv4() {
        if let Some(header) = bytes::chunk_mut::<12>(buf.data_mut(), l3) {
            header[8] = meta.ttl;
            let checksum = Delta::TTL_DECREMENT.apply(u16::from_be_bytes([header[10], header[11]]));
            [header[10], header[11]] = checksum.to_be_bytes();
        }
    } else {
        bytes::put(buf.data_mut(), l3 + 7, [meta.ttl]);
    }
    Ok(())
}

/// Writes the traffic class (DSCP and ECN) of the packet, and of `meta`.
#[inline]
pub fn set_traffic_class(data: &mut [u8], meta: &mut Meta, traffic_class: u8) {
    let l3 = usize::from(meta.l3);
    let Some(first) = bytes::chunk_mut::<2>(data, l3) else { return };
    let old = *first;
    if meta.is_ipv4() {
        first[1] = traffic_class;
    } else {
        *first = [(old[0] & 0xf0) | (traffic_class >> 4), (old[1] & 0x0f) | (traffic_class << 4)];
    }
    let new = *first;
    meta.traffic_class = traffic_class;
    if meta.is_ipv4() {
        update(data, l3 + 10, Delta::between(Sum::of(&old), Sum::of(&new)), false);
    }
}

/// Lowers the MSS option of a TCP SYN or SYN-ACK to `limit` bytes; it is never raised, and a SYN without the
/// option stays without. Whether it was changed.
pub fn clamp_mss<B: PacketBuf>(buf: &mut B, meta: &Meta, limit: u16) -> bool {
    if meta.protocol != ip::TCP || !meta.facts.contains(Facts::L4) || meta.l4_flags & tcp::SYN == 0 {
        return false;
    }
    let partial = buf.l4_checksum() == L4Checksum::Partial;
    let l4 = usize::from(meta.l4);
    let data = buf.data_mut();
    let Some(at) = mss_option(data, l4) else { return false };
    let Some(old) = bytes::u16_at(data, at).filter(|old| *old > limit) else { return false };
    bytes::put(data, at, limit.to_be_bytes());
    if !partial {
        // A sum of bytes at an odd place counts with its bytes swapped (RFC 1071 §2 (B)).
        let word = |mss: u16| Sum::word(if (at - l4).is_multiple_of(2) { mss } else { mss.swap_bytes() });
        update(data, l4 + 16, Delta::between(word(old), word(limit)), false);
    }
    true
}

/// Where the value of the MSS option is (RFC 9293 §3.2).
fn mss_option(data: &[u8], l4: usize) -> Option<usize> {
    let end = l4 + usize::from(*data.get(l4 + 12)? >> 4) * 4;
    let mut at = l4 + 20;
    while at < end {
        match *data.get(at)? {
            0 => return None,
            1 => at += 1,
            kind => {
                let length = usize::from(*data.get(at + 1)?);
                if length < 2 || at + length > end {
                    return None;
                }
                if kind == 2 && length == 4 {
                    return Some(at + 2);
                }
                at += length;
            }
        }
    }
    None
}

/// Translates an ICMP error together with the packet that it quotes (RFC 5508 §4, and its equal for IPv6).
///
/// `translation` is that of the flow's half which travels the error's way, i.e. whose packets go from the
/// quoted destination to the quoted source. The quoted packet is put back into the terms of the error's
/// receiver: its source becomes the half's destination and the other way round, ports too. Of the outer
/// header the destination follows where it is the flow's end, and so does the source: a router in between
/// that reported the error keeps its own address. Checksums: quoted IPv4 header, quoted transport where the
/// quotation reaches it, the ICMP message, the outer IPv4 header.
///
/// `false`, and nothing changed, if there is no quoted packet to be understood.
pub fn translate_icmp_error<B: PacketBuf>(buf: &mut B, meta: &mut Meta, translation: &Translation) -> bool {
    let Some(quote) = quoted::quoted(buf.data(), meta) else { return false };
    let old = quote.tuple;
    let new = Tuple {
        src: translation.dst,
        dst: translation.src,
        src_port: if quote.is_icmp() { translation.src_port } else { translation.dst_port },
        dst_port: if quote.is_icmp() { old.dst_port } else { translation.src_port },
    };
    let data = buf.data_mut();
    let before = message_sum(data, meta);
    rewrite_quoted(data, &quote, &new);
    let mut message = Delta::between(before, message_sum(data, meta));

    let src = if meta.src == old.dst { new.dst } else { meta.src };
    let dst = if meta.dst == old.src { new.src } else { meta.dst };
    let outer =
        Delta::between(Sum::of(&meta.src).plus(Sum::of(&meta.dst)), Sum::of(&src).plus(Sum::of(&dst)));
    if meta.is_ipv6() {
        message = message.plus(outer);
    }
    write_addresses(data, meta, &src, &dst, outer);
    update(data, usize::from(meta.l4) + 2, message, false);
    true
}

/// The sum of what the error's own checksum covers (its own field is the same before and after).
fn message_sum(data: &[u8], meta: &Meta) -> Sum {
    data.get(usize::from(meta.l4)..usize::from(meta.end)).map_or(Sum::default(), Sum::of)
}

fn rewrite_quoted(data: &mut [u8], quote: &quoted::Quoted, new: &Tuple) {
    let change = Translation::new(&quote.tuple, new);
    let mut header =
        Meta { l3: quote.l3, facts: if quote.ipv6 { Facts::IPV6 } else { Facts::IPV4 }, ..Meta::default() };
    write_addresses(data, &mut header, &new.src, &new.dst, change.delta_addr);
    if !quote.l4_present {
        return;
    }
    // What lies behind the quotation (padding, RFC 4884 extensions) is not the transport's.
    let Some(data) = data.get_mut(..usize::from(quote.end)) else { return };
    let l4 = usize::from(quote.l4);
    if quote.is_icmp() {
        icmp(data, l4, quote.protocol, quote.tuple.dst_port == 0, &change, false);
        return;
    }
    let ports = (u32::from(new.src_port) << 16) | u32::from(new.dst_port);
    bytes::put(data, l4, ports.to_be_bytes());
    match (quote.protocol, field_offset(quote.protocol)) {
        (ip::UDP | ip::UDP_LITE, Some(field)) => update_udp(data, l4 + field, change.delta_l4, false),
        (_, Some(field)) => update(data, l4 + field, change.delta_l4, false),
        // SCTP: the quotation is cut, so nobody can verify its CRC; it is left (RFC 5508 asks for no more).
        (_, None) => {}
    }
}
