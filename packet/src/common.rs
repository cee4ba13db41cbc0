//! The packet that nearly every packet is: IPv4 without options or IPv6 without extension headers, in one piece,
//! UDP or a TCP segment that neither opens nor closes a connection. It is recognised in a straight line and
//! translated in place; whatever is not like that is `None` here and goes through [`crate::parse`], which gives the
//! same answers for the common packet too.

use crate::bytes;
use crate::checksum::{Delta, Sum};
use crate::protocol::{ether_type, ip, tcp};

/// What is known of a common packet. `A` is both its addresses in the order of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Common<A> {
    /// Source and destination, as they lie in the header.
    pub addresses: A,
    /// Source port in the upper half, destination port in the lower.
    pub ports: u32,
    /// TCP: the acknowledgement number.
    pub acknowledgement: u32,
    /// Bytes of the network packet.
    pub length: u16,
    /// TCP or UDP.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

impl<A> Common<A> {
    /// Whether it is TCP; else UDP.
    #[inline(always)]
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        self.protocol == ip::TCP
    }
}

/// What a translation writes, worked out beforehand. One that changes nothing writes what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace<A> {
    /// Source and destination, as they are to lie in the header.
    pub addresses: A,
    /// Source port in the upper half, destination port in the lower.
    pub ports: u32,
    /// What the addresses change in the IPv4 header's checksum.
    pub delta_addr: Delta,
    /// What addresses and ports change in the transport's checksum.
    pub delta_l4: Delta,
}

/// IPv4 or IPv6.
pub trait Family {
    /// Both addresses, as they lie in the header.
    type Addresses: Copy + Default;
    /// Whether it is IPv6.
    const V6: bool;
    /// Its ethertype, host order.
    const ETHER_TYPE: u16;

    /// The packet whose network header begins at `l3` and which ends within `data`, if it is a common one.
    /// Addresses are not judged: a session with them exists only where they have been.
    fn read(data: &[u8], l3: usize) -> Option<Common<Self::Addresses>>;

    /// Writes the translation into the packet at `l3`, and takes one from its TTL where this node is a `hop`. The
    /// packet must be as [`Family::read`] found it: TCP or UDP.
    fn translate(data: &mut [u8], l3: usize, tcp: bool, to: &InPlace<Self::Addresses>, hop: bool);

    /// Takes one from the TTL of the packet at `l3`, which is more than 0.
    fn hop(data: &mut [u8], l3: usize);

    /// Whether `source` is the first of the addresses.
    fn is_from(addresses: &Self::Addresses, source: &crate::Address) -> bool;
}

/// See [`Family`].
#[derive(Clone, Copy, Debug)]
pub struct Ipv4;

/// See [`Family`].
#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

impl Family for Ipv4 {
    type Addresses = u64;
    const V6: bool = false;
    const ETHER_TYPE: u16 = ether_type::IPV4;

    #[inline(always)]
    fn read(data: &[u8], l3: usize) -> Option<Common<u64>> {
        const HEADER: usize = 20;
        // Every common packet has the header and a UDP header at least.
        let header = bytes::chunk::<{ HEADER + 8 }>(data, l3)?;
        let &[version, traffic_class, t0, t1, _, _, f0, f1, ttl, protocol, ..] = header;
        let total = usize::from(u16::from_be_bytes([t0, t1]));
        let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
        let whole = version == 0x45 && fragment == 0 && l3 + total <= data.len();
        if !whole || !Sum::of_ipv4(header.first_chunk::<HEADER>()?).is_intact() {
            return None;
        }
        let (ports, acknowledgement) = transport(data, l3 + HEADER, protocol, total.wrapping_sub(HEADER))?;
        let addresses = u64::from_ne_bytes(*bytes::chunk(header, 12)?);
        Some(Common { addresses, ports, acknowledgement, length: total as u16, protocol, ttl, traffic_class })
    }

    #[inline(always)]
    fn translate(data: &mut [u8], l3: usize, tcp: bool, to: &InPlace<u64>, hop: bool) {
        let Some(header) = bytes::chunk_mut::<28>(data, l3) else { return };
        let lived = if hop { Delta::TTL_DECREMENT } else { Delta::NONE };
        let checksum = u16::from_be_bytes([header[10], header[11]]);
        let checksum = to.delta_addr.apply_with(lived, checksum);
        header[8] -= u8::from(hop && header[8] != 0);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header[12..20].copy_from_slice(&to.addresses.to_ne_bytes());
        header[20..24].copy_from_slice(&to.ports.to_be_bytes());
        if tcp {
            tcp_checksum(data, l3 + 20, to.delta_l4);
        } else {
            let checksum = to.delta_l4.apply_udp(u16::from_be_bytes([header[26], header[27]]));
            header[26..28].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    #[inline(always)]
    fn hop(data: &mut [u8], l3: usize) {
        let Some(header) = bytes::chunk_mut::<20>(data, l3) else { return };
        let checksum = Delta::TTL_DECREMENT.apply(u16::from_be_bytes([header[10], header[11]]));
        header[8] = header[8].saturating_sub(1);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    #[inline(always)]
    fn is_from(addresses: &u64, source: &crate::Address) -> bool {
        let [s0, s1, s2, s3, ..] = *source;
        let [a, b, c, d, ..] = addresses.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d]) == u32::from_ne_bytes([s0, s1, s2, s3])
    }
}

impl Family for Ipv6 {
    type Addresses = [u64; 4];
    const V6: bool = true;
    const ETHER_TYPE: u16 = ether_type::IPV6;

    #[inline(always)]
    fn read(data: &[u8], l3: usize) -> Option<Common<[u64; 4]>> {
        const HEADER: usize = 40;
        let header = bytes::chunk::<{ HEADER + 8 }>(data, l3)?;
        let &[c0, c1, _, _, p0, p1, protocol, ttl, ..] = header;
        let payload = usize::from(u16::from_be_bytes([p0, p1]));
        if c0 >> 4 != 6 || l3 + HEADER + payload > data.len() {
            return None;
        }
        let (ports, acknowledgement) = transport(data, l3 + HEADER, protocol, payload)?;
        let mut addresses = [0; 4];
        for (word, bytes) in addresses.iter_mut().zip(header[8..40].as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let (length, traffic_class) = (u16::try_from(HEADER + payload).ok()?, c0 << 4 | c1 >> 4);
        Some(Common { addresses, ports, acknowledgement, length, protocol, ttl, traffic_class })
    }

    #[inline(always)]
    fn translate(data: &mut [u8], l3: usize, tcp: bool, to: &InPlace<[u64; 4]>, hop: bool) {
        let Some(header) = bytes::chunk_mut::<48>(data, l3) else { return };
        header[7] -= u8::from(hop && header[7] != 0);
        for (bytes, word) in header[8..40].as_chunks_mut().0.iter_mut().zip(to.addresses) {
            *bytes = word.to_ne_bytes();
        }
        header[40..44].copy_from_slice(&to.ports.to_be_bytes());
        if tcp {
            tcp_checksum(data, l3 + 40, to.delta_l4);
        } else {
            let checksum = to.delta_l4.apply_udp(u16::from_be_bytes([header[46], header[47]]));
            header[46..48].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    #[inline(always)]
    fn hop(data: &mut [u8], l3: usize) {
        if let Some(header) = bytes::chunk_mut::<8>(data, l3) {
            header[7] = header[7].saturating_sub(1);
        }
    }

    #[inline(always)]
    fn is_from(addresses: &[u64; 4], source: &crate::Address) -> bool {
        let ([high, low], _) = source.as_chunks() else { return false };
        (addresses[0] ^ u64::from_ne_bytes(*high)) | (addresses[1] ^ u64::from_ne_bytes(*low)) == 0
    }
}

/// Ports and acknowledgement number of a transport header with `length` bytes from there to the packet's end.
#[inline(always)]
fn transport(data: &[u8], l4: usize, protocol: u8, length: usize) -> Option<(u32, u32)> {
    if protocol == ip::UDP {
        let header = bytes::chunk::<8>(data, l4)?;
        let &[a, b, c, d, l0, l1, _, _] = header;
        let datagram = usize::from(u16::from_be_bytes([l0, l1]));
        return (datagram >= 8 && datagram <= length && length <= usize::from(u16::MAX))
            .then_some((u32::from_be_bytes([a, b, c, d]), 0));
    }
    const SEGMENT: u8 = tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK;
    let header = bytes::chunk::<20>(data, l4)?;
    let &[a, b, c, d, _, _, _, _, a0, a1, a2, a3, offset, flags, ..] = header;
    let headers = usize::from(offset >> 4) * 4;
    let plain = protocol == ip::TCP
        && flags & SEGMENT == tcp::ACK
        && headers >= 20
        && headers <= length
        && length <= usize::from(u16::MAX);
    plain.then_some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([a0, a1, a2, a3])))
}

#[inline(always)]
fn tcp_checksum(data: &mut [u8], l4: usize, delta: Delta) {
    if let Some(field) = bytes::chunk_mut::<2>(data, l4 + 16) {
        *field = delta.apply(u16::from_be_bytes(*field)).to_be_bytes();
    }
}
