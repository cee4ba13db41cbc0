//! Packets that are not in order: the reason is named, and nothing panics.

use packet::DropReason::{self, *};
use packet::meta::v4;
use packet::{
    L4Checksum, MemoryBuf, PacketBuf, arp, checksum, encap, fragment, icmp, nd, parse, quoted, rewrite,
};
use proptest::prelude::*;

use crate::support::*;

fn reason(packet: &[u8]) -> DropReason {
    parse_ip(packet).unwrap_err()
}

/// One packet of each shape that the parser tells apart.
fn shapes() -> Vec<Vec<u8>> {
    let mut shapes = Vec::new();
    for protocol in [TCP, UDP, UDP_LITE, SCTP, ICMP, GRE] {
        shapes.push(packet(protocol, &ENDS4, b"payload"));
    }
    for protocol in [TCP, UDP, UDP_LITE, SCTP, ICMPV6, GRE] {
        shapes.push(packet(protocol, &ENDS6, b"payload"));
    }
    let chain =
        [&[60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0][..], &fragment_header(UDP, 0, true, 3)].concat();
    shapes.push(ipv6_with(0, &chain, &segment(UDP, &ENDS6, &[0; 8]), &ENDS6));
    let mut options = packet(UDP, &ENDS4, b"abc");
    options.splice(20..20, [7, 8, 4, 0, 0, 0, 0, 0]);
    options[0] = 0x47;
    options[3] += 8;
    seal_ipv4(&mut options);
    shapes.push(options);
    shapes
}

#[test]
fn every_truncation_of_every_shape_is_truncated_and_no_more() {
    for packet in shapes() {
        for frame in [ethernet(&packet), tagged(&packet, 5)] {
            parse::ethernet(&frame).unwrap();
            for length in 0..frame.len() {
                assert_eq!(parse::ethernet(&frame[..length]), Err(Truncated), "at {length}");
            }
        }
        for length in 0..packet.len() {
            assert_eq!(parse_ip(&packet[..length]), Err(Truncated), "at {length}");
        }
    }
    assert_eq!(parse::ip(&[0x45], 1), Err(Truncated));
    assert_eq!(parse::ip(&[0x45], usize::MAX - 1), Err(Truncated));
}

#[test]
fn the_version_must_be_the_announced_one() {
    assert_eq!(reason(&[0x50; 40]), InvalidIpVersion);
    let mut frame = ethernet(&packet(UDP, &ENDS4, b"and enough bytes for either family"));
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    assert_eq!(parse::ethernet(&frame), Err(InvalidIpVersion));
    let mut frame = ethernet(&packet(UDP, &ENDS6, b""));
    frame[12..14].copy_from_slice(&[8, 0]);
    assert_eq!(parse::ethernet(&frame), Err(InvalidIpVersion));
}

#[test]
fn ipv4_lengths_must_agree() {
    let good = packet(UDP, &ENDS4, b"abcd");
    for (header_words, total) in [(4, 32), (0, 32), (5, 19), (6, 23), (5, 0)] {
        let mut packet = good.clone();
        packet[0] = 0x40 | header_words;
        packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        if header_words >= 5 {
            seal_ipv4(&mut packet);
        }
        assert_eq!(reason(&packet), InvalidIpHeader);
    }
    let mut packet = good.clone();
    packet[3] += 1;
    seal_ipv4(&mut packet);
    assert_eq!(reason(&packet), Truncated);
}

#[test]
fn any_flipped_bit_of_an_ipv4_header_is_noticed() {
    for packet in [packet(UDP, &ENDS4, b"abcd"), shapes().pop().unwrap()] {
        let header = usize::from(packet[0] & 0xf) * 4;
        for bit in 0..header * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(parse_ip(&damaged).is_err(), "bit {bit}");
            if bit / 8 > 3 {
                assert_eq!(reason(&damaged), InvalidIpChecksum, "bit {bit}");
            }
        }
    }
}

#[test]
fn impossible_addresses_of_ipv4() {
    let bad_sources = [
        [224, 0, 0, 1],
        [239, 1, 1, 1],
        [255; 4],
        [127, 0, 0, 1],
        [127, 9, 9, 9],
        [0, 0, 0, 0],
        [0, 1, 2, 3],
    ];
    for src in bad_sources {
        assert_eq!(reason(&packet(UDP, &Ends { src: v4(src), ..ENDS4 }, b"")), InvalidAddress, "{src:?}");
    }
    for dst in [[127, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]] {
        assert_eq!(reason(&packet(UDP, &Ends { dst: v4(dst), ..ENDS4 }, b"")), InvalidAddress, "{dst:?}");
    }
    for first in [1, 126, 128, 223] {
        assert!(parse_ip(&packet(UDP, &Ends { src: v4([first, 0, 0, 0]), ..ENDS4 }, b"")).is_ok());
        assert!(parse_ip(&packet(UDP, &Ends { dst: v4([first, 0, 0, 0]), ..ENDS4 }, b"")).is_ok());
    }
    assert!(parse_ip(&packet(UDP, &Ends { src: v4([240, 0, 0, 0]), ..ENDS4 }, b"")).is_ok());
}

#[test]
fn only_a_dhcp_client_sends_from_no_address() {
    let client = Ends { src: v4([0; 4]), dst: v4([255; 4]), src_port: 68, dst_port: 67, ipv6: false };
    assert_eq!(reason(&packet(UDP, &Ends { src_port: 67, ..client }, b"")), InvalidAddress);
    assert_eq!(reason(&packet(UDP, &Ends { dst_port: 68, ..client }, b"")), InvalidAddress);
    assert_eq!(reason(&packet(UDP, &Ends { src: v4([0, 0, 0, 1]), ..client }, b"")), InvalidAddress);
    assert_eq!(reason(&packet(TCP, &client, b"")), InvalidAddress);
}

#[test]
fn impossible_addresses_of_ipv6() {
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for src in [[0; 16], loopback, group] {
        assert_eq!(reason(&packet(UDP, &Ends { src, ..ENDS6 }, b"")), InvalidAddress);
    }
    for dst in [[0; 16], loopback] {
        assert_eq!(reason(&packet(UDP, &Ends { dst, ..ENDS6 }, b"")), InvalidAddress);
    }
    loopback[15] = 2;
    assert!(parse_ip(&packet(UDP, &Ends { src: loopback, dst: loopback, ..ENDS6 }, b"")).is_ok());
    for kind in [128, 134, 136, 137] {
        let ends = Ends { src: [0; 16], ..ENDS6 };
        let mut message = segment(ICMPV6, &ends, &[0; 16]);
        message[0] = kind;
        assert_eq!(reason(&ip(ICMPV6, &ends, &message)), InvalidAddress, "type {kind}");
    }
}

#[test]
fn a_transport_header_must_be_whole() {
    for (protocol, header) in [(TCP, 20), (UDP, 8), (UDP_LITE, 8), (SCTP, 12), (ICMP, 8)] {
        let whole = segment(protocol, &ENDS4, &[0; 8]);
        for length in 0..header {
            assert_eq!(reason(&ip(protocol, &ENDS4, &whole[..length])), Truncated);
            let mut first = ip(protocol, &ENDS4, &whole[..length / 8 * 8]);
            fragment_ipv4(&mut first, 0, true, 1);
            let expected = if length / 8 == 0 { InvalidIpHeader } else { FragmentTiny };
            assert_eq!(reason(&first), expected, "{protocol} {length}");
        }
    }
    assert_eq!(reason(&ip(ICMPV6, &ENDS6, &[128, 0, 0, 0, 0, 0, 0])), Truncated);
}

#[test]
fn a_tcp_data_offset_lies_between_five_words_and_the_segment() {
    let mut tcp = segment(TCP, &ENDS4, &[0; 4]);
    for (offset, result) in [
        (0, Some(InvalidL4)),
        (4, Some(InvalidL4)),
        (5, None),
        (6, None),
        (7, Some(InvalidL4)),
        (15, Some(InvalidL4)),
    ] {
        tcp[12] = offset << 4;
        assert_eq!(parse_ip(&ip(TCP, &ENDS4, &tcp)).err(), result, "offset {offset}");
        let mut first = ip(TCP, &ENDS4, &tcp);
        fragment_ipv4(&mut first, 0, true, 1);
        let result = if offset > 6 { Some(FragmentTiny) } else { result };
        assert_eq!(parse_ip(&first).err(), result, "offset {offset} of a first fragment");
    }
}

#[test]
fn a_udp_length_lies_between_its_header_and_the_packet() {
    let mut udp = segment(UDP, &ENDS4, &[0; 8]);
    for (length, result) in
        [(0_u16, Some(InvalidL4)), (7, Some(InvalidL4)), (8, None), (16, None), (17, Some(InvalidL4))]
    {
        udp[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse_ip(&ip(UDP, &ENDS4, &udp)).err(), result, "length {length}");
    }
    udp[4..6].copy_from_slice(&7_u16.to_be_bytes());
    let mut first = ip(UDP, &ENDS4, &udp);
    fragment_ipv4(&mut first, 0, true, 1);
    assert_eq!(reason(&first), InvalidL4);
}

#[test]
fn a_udp_lite_coverage_is_everything_or_at_least_the_header() {
    let mut lite = segment(UDP_LITE, &ENDS4, &[0; 8]);
    for (coverage, result) in [
        (0_u16, None),
        (1, Some(InvalidL4)),
        (7, Some(InvalidL4)),
        (8, None),
        (16, None),
        (17, Some(InvalidL4)),
    ] {
        lite[4..6].copy_from_slice(&coverage.to_be_bytes());
        assert_eq!(parse_ip(&ip(UDP_LITE, &ENDS4, &lite)).err(), result, "coverage {coverage}");
    }
}

#[test]
fn impossible_fragments_of_ipv4() {
    let mut odd = ip(UDP, &ENDS4, &[0; 41]);
    fragment_ipv4(&mut odd, 0, true, 1);
    assert_eq!(reason(&odd), InvalidIpHeader);
    fragment_ipv4(&mut odd, 8, true, 1);
    assert_eq!(reason(&odd), InvalidIpHeader);
    fragment_ipv4(&mut odd, 8, false, 1);
    assert!(parse_ip(&odd).is_ok());
    let mut empty = ip(UDP, &ENDS4, &[]);
    fragment_ipv4(&mut empty, 8, false, 1);
    assert_eq!(reason(&empty), InvalidIpHeader);
    // "Ping of death": 20 + 65512 + 3 is the longest packet there is.
    for (length, result) in [(3, None), (4, Some(InvalidIpHeader))] {
        let mut last = ip(UDP, &ENDS4, &vec![0; length]);
        fragment_ipv4(&mut last, 65512, false, 1);
        assert_eq!(parse_ip(&last).err(), result);
    }
}

#[test]
fn impossible_fragments_of_ipv6() {
    let with = |header: Vec<u8>, length: usize| ipv6_with(44, &header, &vec![0; length], &ENDS6);
    assert_eq!(reason(&with(fragment_header(UDP, 8, true, 1), 9)), InvalidIpHeader);
    assert_eq!(reason(&with(fragment_header(UDP, 8, false, 1), 0)), InvalidIpHeader);
    assert!(parse_ip(&with(fragment_header(UDP, 65528, false, 1), 7)).is_ok());
    assert_eq!(reason(&with(fragment_header(UDP, 65528, false, 1), 8)), InvalidIpHeader);
    // The unfragmentable part counts: it is repeated in the reassembled packet.
    let chain = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment_header(UDP, 65520, false, 1)].concat();
    assert!(parse_ip(&ipv6_with(60, &chain, &[0; 7], &ENDS6)).is_ok());
    assert_eq!(reason(&ipv6_with(60, &chain, &[0; 8], &ENDS6)), InvalidIpHeader);
}

#[test]
fn impossible_chains_of_extension_headers() {
    let udp = segment(UDP, &ENDS6, &[0; 16]);
    let with = |first: u8, chain: &[u8]| reason(&ipv6_with(first, chain, &udp, &ENDS6));
    assert_eq!(with(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(9)), InvalidIpHeader, "too deep");
    assert_eq!(
        with(60, &[0, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0]),
        InvalidIpHeader,
        "hop-by-hop not first"
    );
    assert_eq!(with(43, &[UDP, 0, 0, 1, 0, 0, 0, 0]), InvalidIpHeader, "source routing");
    let twice = [fragment_header(44, 0, false, 1), fragment_header(UDP, 0, false, 1)].concat();
    assert_eq!(with(44, &twice), InvalidIpHeader, "two fragment headers");
    let beyond = [fragment_header(60, 0, true, 1), vec![UDP, 9, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(with(44, &beyond), FragmentTiny, "a first fragment without the whole chain");
    assert_eq!(reason(&ip(44, &ENDS6, &fragment_header(60, 0, true, 1))), FragmentTiny);
}

#[test]
fn an_extension_header_that_leaves_the_packet_is_cut_or_lies() {
    let longer = ipv6_with(60, &[UDP, 9, 0, 0, 0, 0, 0, 0], &segment(UDP, &ENDS6, &[0; 16]), &ENDS6);
    let half = ip(60, &ENDS6, &[UDP, 0, 1]);
    for packet in [longer, half] {
        assert_eq!(reason(&packet), Truncated, "the frame ends with the packet");
        assert_eq!(reason(&[packet, vec![0; 60]].concat()), InvalidIpHeader, "the frame goes on behind it");
    }
}

#[test]
fn other_ethertypes_and_tags_are_nobodys() {
    let frame = |ether_type: &[u8]| [&MAC_B[..], &MAC_A, ether_type, &[0x45; 60]].concat();
    for unknown in [[0x88, 0xcc], [0x88, 0x47], [0x00, 0x26], [0x91, 0x00]] {
        assert_eq!(parse::ethernet(&frame(&unknown)), Err(UnsupportedEtherType));
        assert_eq!(
            parse::ethernet(&frame(&[0x81, 0, 0, 5, unknown[0], unknown[1]])),
            Err(UnsupportedEtherType)
        );
    }
    assert_eq!(parse::ethernet(&frame(&[0x88, 0xa8, 0, 5, 8, 0])), Err(UnsupportedVlan));
    assert_eq!(parse::ethernet(&frame(&[0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0])), Err(UnsupportedVlan));
    assert_eq!(parse::ethernet(&frame(&[0x81, 0, 0, 5, 0x88, 0xa8, 0, 6, 8, 0])), Err(UnsupportedVlan));
}

#[test]
fn a_frame_longer_than_any_buffer_is_named_too() {
    let payload = vec![0; 65000];
    let long = packet(UDP, &ENDS4, &payload);
    assert!(parse_ip(&long).is_ok());
    let data = [vec![0; 1000], long].concat();
    assert_eq!(parse::ip(&data, 1000), Err(MultiSegment));
    let long6 = packet(UDP, &ENDS6, &payload);
    let data = [vec![0; 1000], long6].concat();
    assert_eq!(parse::ip(&data, 1000), Err(MultiSegment));
}

/// Everything that takes bytes from outside, on one frame.
fn throw_at_everything(frame: &[u8]) {
    let Ok(mut meta) = parse::ethernet(frame) else { return };
    assert!(usize::from(meta.l3) <= frame.len() && usize::from(meta.end) <= frame.len());
    if meta.ether_type == 0x0806 {
        let _ = arp::parse(frame, &meta);
        return;
    }
    assert!(meta.l3 < meta.l4 && meta.l4 <= meta.end);
    let mut buf = MemoryBuf::new(frame);
    let _ = fragment(frame, &meta);
    let _ = quoted(frame, &meta);
    let _ = nd::parse(frame, &meta);
    let _ = checksum::verify(frame, &meta);
    if let Some(Ok(tunnel)) = encap::pop(frame, &meta, L4Checksum::Verified) {
        let _ = tunnel.parse_inner(frame);
    }
    let tuple = rewrite::Tuple::from(&meta);
    let translation = rewrite::Translation::new(&tuple, &rewrite::Tuple { src_port: 9, ..tuple });
    rewrite::clamp_mss(&mut buf, &meta, 1);
    rewrite::translate_icmp_error(&mut buf, &mut meta, &translation);
    rewrite::apply(&mut buf, &mut meta, &translation);
    let _ = rewrite::decrement_ttl(&mut buf, &mut meta);
    checksum::complete(buf.data_mut(), &meta);
    let _ = icmp::echo_reply(&mut buf.clone(), &meta);
    let _ = icmp::error(&mut buf, &meta, icmp::IcmpError::TimeExceeded, &A4);
}

proptest! {
    #[test]
    fn no_bytes_make_anything_panic(frame in proptest::collection::vec(any::<u8>(), 0..160)) {
        throw_at_everything(&frame);
    }

    #[test]
    fn no_damage_to_a_packet_makes_anything_panic(
        shape in 0_usize..14, damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<proptest::sample::Index>(), kind in any::<u8>(),
    ) {
        let mut frame = ethernet(&shapes()[shape]);
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        // ICMP of any type, so that quoting and discovery are reached.
        if frame[12] == 8 && frame[23] == ICMP {
            frame[34] = kind;
        }
        if frame[14] >> 4 == 4 && frame[14] & 0xf >= 5 && frame.len() >= 14 + usize::from(frame[14] & 0xf) * 4 {
            seal_ipv4(&mut frame[14..]);
        }
        throw_at_everything(&frame);
        frame.truncate(cut.index(frame.len()));
        throw_at_everything(&frame);
    }
}
