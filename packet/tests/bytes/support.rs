//! Packets put together the long way, with checksums computed the slow way.

use packet::meta::{Address, v4};
use packet::{DropReason, Facts, Meta, parse};
use proptest::prelude::*;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const GRE: u8 = 47;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;
pub(crate) const UDP_LITE: u8 = 136;

pub(crate) const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
pub(crate) const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

pub(crate) const A4: Address = v4([10, 1, 1, 3]);
pub(crate) const B4: Address = v4([10, 1, 2, 4]);
pub(crate) const A6: Address = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
pub(crate) const B6: Address = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4];

/// RFC 1071 as it reads: add 16-bit words, add the carries back, complement.
pub(crate) fn slow_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let word = u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum += word;
        if sum > 0xffff {
            sum = (sum & 0xffff) + 1;
        }
    }
    sum as u16
}

/// CRC32c bit by bit, as RFC 9260 appendix A defines it.
pub(crate) fn slow_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// The pseudo header of RFC 9293 §3.1 or RFC 8200 §8.1.
pub(crate) fn pseudo_header(
    src: &Address,
    dst: &Address,
    protocol: u8,
    length: usize,
    ipv6: bool,
) -> Vec<u8> {
    let width = if ipv6 { 16 } else { 4 };
    let mut bytes = [&src[..width], &dst[..width]].concat();
    if ipv6 {
        bytes.extend((length as u32).to_be_bytes());
        bytes.extend([0, 0, 0, protocol]);
    } else {
        bytes.extend([0, protocol]);
        bytes.extend((length as u16).to_be_bytes());
    }
    bytes
}

/// One end to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub src: Address,
    pub dst: Address,
    pub src_port: u16,
    pub dst_port: u16,
    pub ipv6: bool,
}

pub(crate) const ENDS4: Ends = Ends { src: A4, dst: B4, src_port: 40000, dst_port: 80, ipv6: false };
pub(crate) const ENDS6: Ends = Ends { src: A6, dst: B6, src_port: 40000, dst_port: 80, ipv6: true };

/// Where the checksum is in the transport header, and how many bytes it has.
fn checksum_field(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP | UDP_LITE => Some(6),
        ICMP | ICMPV6 => Some(2),
        _ => None,
    }
}

/// The transport checksum that `segment` should carry, computed the slow way over a copy with a zero field.
pub(crate) fn transport_checksum(protocol: u8, ends: &Ends, segment: &[u8]) -> u16 {
    let field = checksum_field(protocol).unwrap();
    let mut copy = segment.to_vec();
    copy[field..field + 2].fill(0);
    let length = if protocol == UDP { usize::from(be16(segment, 4)) } else { segment.len() };
    let covered = match protocol {
        UDP => length,
        UDP_LITE if be16(segment, 4) != 0 => usize::from(be16(segment, 4)),
        _ => segment.len(),
    };
    let mut all = pseudo_header(&ends.src, &ends.dst, protocol, length, ends.ipv6);
    if protocol == ICMP {
        all.clear();
    }
    all.extend(&copy[..covered]);
    match !slow_sum(&all) {
        0 if matches!(protocol, UDP | UDP_LITE) => 0xffff,
        checksum => checksum,
    }
}

/// Writes the right checksum into `segment`.
pub(crate) fn seal(protocol: u8, ends: &Ends, segment: &mut [u8]) {
    if protocol == SCTP {
        segment[8..12].fill(0);
        let crc = slow_crc32c(segment).to_le_bytes();
        segment[8..12].copy_from_slice(&crc);
    } else if checksum_field(protocol).is_some() {
        let checksum = transport_checksum(protocol, ends, segment);
        let field = checksum_field(protocol).unwrap();
        segment[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// A transport header with `payload`, sealed. ICMP is an echo request whose identifier is the source port.
pub(crate) fn segment(protocol: u8, ends: &Ends, payload: &[u8]) -> Vec<u8> {
    let ports = [ends.src_port.to_be_bytes(), ends.dst_port.to_be_bytes()].concat();
    let mut segment = match protocol {
        TCP => [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]].concat(),
        UDP => [&ports[..], &((8 + payload.len()) as u16).to_be_bytes(), &[0, 0]].concat(),
        UDP_LITE => [&ports[..], &[0, 8, 0, 0]].concat(),
        SCTP => [&ports[..], &[1, 2, 3, 4, 0, 0, 0, 0]].concat(),
        ICMP => vec![8, 0, 0, 0, ports[0], ports[1], 0, 1],
        ICMPV6 => vec![128, 0, 0, 0, ports[0], ports[1], 0, 1],
        _ => Vec::new(),
    };
    segment.extend(payload);
    seal(protocol, ends, &mut segment);
    segment
}

/// Sets the header checksum of the IPv4 packet.
pub(crate) fn seal_ipv4(packet: &mut [u8]) {
    let length = usize::from(packet[0] & 0xf) * 4;
    packet[10..12].fill(0);
    let checksum = !slow_sum(&packet[..length]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// An IP header (TTL 64, DF, traffic class 0) in front of `payload`.
pub(crate) fn ip(protocol: u8, ends: &Ends, payload: &[u8]) -> Vec<u8> {
    if ends.ipv6 {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((payload.len() as u16).to_be_bytes());
        packet.extend([protocol, 64]);
        packet.extend(ends.src);
        packet.extend(ends.dst);
        packet.extend(payload);
        return packet;
    }
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(&ends.src[..4]);
    packet.extend(&ends.dst[..4]);
    seal_ipv4(&mut packet);
    packet.extend(payload);
    packet
}

/// A whole IP packet.
pub(crate) fn packet(protocol: u8, ends: &Ends, payload: &[u8]) -> Vec<u8> {
    ip(protocol, ends, &segment(protocol, ends, payload))
}

/// The packet in an Ethernet frame.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
    [&MAC_B[..], &MAC_A, &kind, packet].concat()
}

/// The packet in a tagged Ethernet frame.
pub(crate) fn tagged(packet: &[u8], tag: u16) -> Vec<u8> {
    let frame = ethernet(packet);
    [&frame[..12], &[0x81, 0], &tag.to_be_bytes(), &frame[12..]].concat()
}

/// IPv6 with extension headers `chain` in front of `payload`; the first one is of kind `first`.
pub(crate) fn ipv6_with(first: u8, chain: &[u8], payload: &[u8], ends: &Ends) -> Vec<u8> {
    ip(first, ends, &[chain, payload].concat())
}

/// An IPv6 fragment header.
pub(crate) fn fragment_header(next: u8, place: u16, more: bool, identification: u32) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((place | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    header
}

/// Makes the IPv4 packet a fragment.
pub(crate) fn fragment_ipv4(packet: &mut [u8], place: u16, more: bool, identification: u16) {
    let field = (place / 8) | if more { 0x2000 } else { 0 };
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    seal_ipv4(packet);
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Parses or tells the reason, from the IP header on.
pub(crate) fn parse_ip(packet: &[u8]) -> Result<Meta, DropReason> {
    parse::ip(packet, 0)
}

/// Every checksum in the packet at `l3` is right, by the slow twins alone. `true` if there was one to check
/// behind the IP header.
pub(crate) fn assert_sound(frame: &[u8], l3: usize) -> bool {
    let meta = parse::ip(frame, l3).unwrap();
    let ipv6 = frame[l3] >> 4 == 6;
    if !ipv6 {
        let length = usize::from(frame[l3] & 0xf) * 4;
        assert_eq!(slow_sum(&frame[l3..l3 + length]), 0xffff, "IPv4 header checksum");
    }
    if !meta.facts.contains(Facts::L4) || meta.facts.contains(Facts::FRAGMENT) {
        return false;
    }
    let ends = Ends { src: meta.src, dst: meta.dst, src_port: 0, dst_port: 0, ipv6 };
    let segment = &frame[usize::from(meta.l4)..usize::from(meta.end)];
    if meta.protocol == SCTP {
        let mut copy = segment.to_vec();
        copy[8..12].fill(0);
        assert_eq!(slow_crc32c(&copy).to_le_bytes(), segment[8..12], "CRC32c");
        return true;
    }
    let field = checksum_field(meta.protocol).unwrap();
    let found = be16(segment, field);
    if meta.protocol == UDP && found == 0 {
        return false;
    }
    assert_eq!(found, transport_checksum(meta.protocol, &ends, segment), "transport checksum");
    true
}

/// Unicast addresses of one family, any ports.
pub(crate) fn any_ends() -> impl Strategy<Value = Ends> {
    let address = (any::<[u8; 16]>(), 1_u8..=223).prop_map(|(mut bytes, first)| {
        bytes[0] = if first == 127 { 126 } else { first };
        bytes
    });
    let addresses = (address.clone(), address);
    (any::<bool>(), addresses, any::<u16>(), any::<u16>()).prop_map(
        |(ipv6, (src, dst), src_port, dst_port)| {
            let fit = |address: Address| {
                if ipv6 { address } else { v4([address[0], address[1], address[2], address[3]]) }
            };
            Ends { src: fit(src), dst: fit(dst), src_port, dst_port, ipv6 }
        },
    )
}

/// A protocol that has ports (or an identifier), fit for the family.
pub(crate) fn any_protocol(ipv6: bool) -> impl Strategy<Value = u8> {
    prop_oneof![Just(TCP), Just(UDP), Just(UDP_LITE), Just(SCTP), Just(if ipv6 { ICMPV6 } else { ICMP })]
}

/// A whole, right packet: its ends, protocol and bytes.
pub(crate) fn any_packet() -> impl Strategy<Value = (Ends, u8, Vec<u8>)> {
    any_ends()
        .prop_flat_map(|ends| {
            (Just(ends), any_protocol(ends.ipv6), proptest::collection::vec(any::<u8>(), 0..120))
        })
        .prop_map(|(ends, protocol, payload)| (ends, protocol, packet(protocol, &ends, &payload)))
}
