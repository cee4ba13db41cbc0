//! What the parser says about packets that are in order.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use packet::meta::v4;
use packet::{Facts, Meta, fragment, parse};
use proptest::prelude::*;

use crate::support::*;

/// Ends as etherparse reads them.
fn by_etherparse(frame: &[u8]) -> ([u8; 16], [u8; 16], u16, u16, u8, u8) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let (src, dst, ttl, class) = match sliced.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let class = header.dcp().value() << 2 | header.ecn().value();
            (v4(header.source()), v4(header.destination()), header.ttl(), class)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            (header.source(), header.destination(), header.hop_limit(), header.traffic_class())
        }
        NetSlice::Arp(_) => unreachable!(),
    };
    let (src_port, dst_port) = match sliced.transport {
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
        _ => (0, 0),
    };
    (src, dst, src_port, dst_port, ttl, class)
}

proptest! {
    #[test]
    fn a_packet_in_order_yields_its_ends((ends, protocol, packet) in any_packet(), vlan in any::<Option<u16>>()) {
        let frame = vlan.map_or_else(|| ethernet(&packet), |tag| tagged(&packet, tag));
        let meta = parse::ethernet(&frame).unwrap();
        let l3 = if vlan.is_some() { 18 } else { 14 };
        let header = if ends.ipv6 { 40 } else { 20 };
        prop_assert_eq!((meta.src, meta.dst), (ends.src, ends.dst));
        prop_assert_eq!(meta.protocol, protocol);
        prop_assert_eq!(meta.src_port, ends.src_port);
        let icmp = matches!(protocol, ICMP | ICMPV6);
        prop_assert_eq!(meta.dst_port, if icmp { 0 } else { ends.dst_port });
        prop_assert_eq!((meta.l3, meta.l4), (l3, l3 + header));
        prop_assert_eq!(usize::from(meta.end), frame.len());
        prop_assert_eq!(meta.vlan, vlan.unwrap_or(0));
        prop_assert_eq!(meta.ether_type, if ends.ipv6 { 0x86dd } else { 0x0800 });
        let family = if ends.ipv6 { Facts::IPV6 } else { Facts::IPV4 };
        let tag = if vlan.is_some() { Facts::VLAN } else { Facts::empty() };
        prop_assert_eq!(meta.facts, family | tag | Facts::L4 | Facts::DF);
    }

    #[test]
    fn etherparse_reads_the_same((_, protocol, mut packet) in any_packet(), ttl in any::<u8>(), class in any::<u8>()) {
        if packet[0] >> 4 == 6 {
            packet[7] = ttl;
            packet[0] = 0x60 | class >> 4;
            packet[1] = class << 4;
        } else {
            packet[8] = ttl;
            packet[1] = class;
            seal_ipv4(&mut packet);
        }
        let frame = ethernet(&packet);
        let meta = parse::ethernet(&frame).unwrap();
        let (src, dst, src_port, dst_port, ttl, class) = by_etherparse(&frame);
        prop_assert_eq!((meta.src, meta.dst, meta.ttl, meta.traffic_class), (src, dst, ttl, class));
        if matches!(protocol, TCP | UDP) {
            prop_assert_eq!((meta.src_port, meta.dst_port), (src_port, dst_port));
        }
    }

    #[test]
    fn an_inner_packet_reads_like_one_in_a_frame((_, _, packet) in any_packet(), offset in 0_usize..70) {
        let framed = parse::ethernet(&ethernet(&packet)).unwrap();
        let data = [vec![0xee; offset], packet].concat();
        let inner = parse::ip(&data, offset).unwrap();
        let shift = |place: u16| place - 14 + offset as u16;
        let expected = Meta { l3: shift(framed.l3), l4: shift(framed.l4), end: shift(framed.end), ..framed };
        prop_assert_eq!(inner, expected);
    }

    #[test]
    fn padding_is_behind_the_end((_, _, packet) in any_packet(), padding in 1_usize..50) {
        let frame = ethernet(&packet);
        let padded = [frame.clone(), vec![0xff; padding]].concat();
        prop_assert_eq!(parse::ethernet(&padded), parse::ethernet(&frame));
    }
}

#[test]
fn what_a_place_held_before_is_forgotten() {
    let (arp, udp) = ([&MAC_B[..], &MAC_A, &[8, 6], &[0; 28]].concat(), ethernet(&packet(UDP, &ENDS6, b"x")));
    let mut meta = parse::ethernet(&tagged(&packet(TCP, &ENDS4, b"x"), 9)).unwrap();
    for frame in [arp, udp] {
        parse::ethernet_into(&frame, &mut meta).unwrap();
        assert_eq!(meta, parse::ethernet(&frame).unwrap());
    }
    assert_eq!(parse::ethernet_into(&[], &mut meta), Err(packet::DropReason::Truncated));
}

#[test]
fn tcp_shows_its_flags_and_icmp_its_type() {
    let meta = parse_ip(&packet(TCP, &ENDS4, b"x")).unwrap();
    assert_eq!(meta.l4_flags, 0x18);
    let meta = parse_ip(&packet(ICMP, &ENDS4, b"x")).unwrap();
    assert_eq!((meta.l4_flags, meta.src_port, meta.dst_port), (8, 40000, 0));
    let meta = parse_ip(&packet(ICMPV6, &ENDS6, b"x")).unwrap();
    assert_eq!((meta.l4_flags, meta.src_port, meta.dst_port), (128, 40000, 0));
    let meta = parse_ip(&packet(UDP, &ENDS6, b"x")).unwrap();
    assert_eq!(meta.l4_flags, 0);
}

#[test]
fn icmp_that_is_no_echo_has_its_class_and_no_identifier() {
    for (protocol, ends, kind, error) in [
        (ICMP, ENDS4, 3, true),
        (ICMP, ENDS4, 4, true),
        (ICMP, ENDS4, 5, true),
        (ICMP, ENDS4, 11, true),
        (ICMP, ENDS4, 12, true),
        (ICMP, ENDS4, 13, false),
        (ICMP, ENDS4, 9, false),
        (ICMPV6, ENDS6, 1, true),
        (ICMPV6, ENDS6, 4, true),
        (ICMPV6, ENDS6, 127, true),
        (ICMPV6, ENDS6, 130, false),
    ] {
        let mut message = segment(protocol, &ends, b"quoted");
        message[0] = kind;
        let meta = parse_ip(&ip(protocol, &ends, &message)).unwrap();
        assert_eq!((meta.src_port, meta.dst_port), (0, u16::from(kind) + 1));
        assert_eq!(meta.facts.contains(Facts::ICMP_ERROR), error, "type {kind}");
        assert!(!meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY));
    }
}

#[test]
fn neighbour_discovery_is_types_133_to_137_of_icmpv6() {
    for kind in 128..=140 {
        let mut message = segment(ICMPV6, &ENDS6, b"");
        message[0] = kind;
        let meta = parse_ip(&ip(ICMPV6, &ENDS6, &message)).unwrap();
        assert_eq!(meta.facts.contains(Facts::NEIGHBOUR_DISCOVERY), (133..=137).contains(&kind));
    }
    let mut message = segment(ICMP, &ENDS4, b"");
    message[0] = 135;
    assert!(!parse_ip(&ip(ICMP, &ENDS4, &message)).unwrap().facts.contains(Facts::NEIGHBOUR_DISCOVERY));
}

#[test]
fn icmp_of_the_other_family_is_an_unknown_protocol() {
    for (protocol, ends) in [(ICMPV6, ENDS4), (ICMP, ENDS6), (GRE, ENDS4), (50, ENDS6)] {
        let meta = parse_ip(&ip(protocol, &ends, &[8; 30])).unwrap();
        assert_eq!((meta.protocol, meta.src_port, meta.dst_port), (protocol, 0, 0));
        assert!(!meta.facts.contains(Facts::L4));
    }
    assert!(parse_ip(&ip(59, &ENDS6, &[])).is_ok(), "no next header");
}

#[test]
fn groups_and_broadcast_are_multicast() {
    for dst in [[224, 0, 0, 1], [239, 255, 255, 255], [255; 4]] {
        let meta = parse_ip(&packet(UDP, &Ends { dst: v4(dst), ..ENDS4 }, b"")).unwrap();
        assert!(meta.facts.contains(Facts::MULTICAST));
    }
    for dst in [[223, 255, 255, 255], [240, 0, 0, 1], [255, 255, 255, 254]] {
        let meta = parse_ip(&packet(UDP, &Ends { dst: v4(dst), ..ENDS4 }, b"")).unwrap();
        assert!(!meta.facts.contains(Facts::MULTICAST));
    }
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert!(
        parse_ip(&packet(UDP, &Ends { dst: group, ..ENDS6 }, b"")).unwrap().facts.contains(Facts::MULTICAST)
    );
}

#[test]
fn dont_fragment_is_the_bit_of_ipv4_and_every_ipv6() {
    let mut packet4 = packet(UDP, &ENDS4, b"");
    packet4[6] = 0;
    seal_ipv4(&mut packet4);
    assert!(!parse_ip(&packet4).unwrap().facts.contains(Facts::DF));
    packet4[6] = 0x80; // the reserved bit says nothing
    seal_ipv4(&mut packet4);
    assert_eq!(parse_ip(&packet4).unwrap().facts, Facts::IPV4 | Facts::L4);
}

#[test]
fn ipv4_options_are_stepped_over() {
    for words in 1_usize..=10 {
        let mut packet = packet(UDP, &ENDS4, b"abc");
        packet.splice(20..20, vec![1; words * 4]);
        packet[0] = 0x45 + words as u8;
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        seal_ipv4(&mut packet);
        let meta = parse_ip(&packet).unwrap();
        assert_eq!(usize::from(meta.l4), 20 + words * 4);
        assert_eq!((meta.src_port, meta.dst_port), (40000, 80));
        assert!(meta.facts.contains(Facts::OPTIONS));
    }
    assert!(!parse_ip(&packet(UDP, &ENDS4, b"")).unwrap().facts.contains(Facts::OPTIONS));
}

#[test]
fn tcp_options_belong_to_the_header() {
    let mut tcp = segment(TCP, &ENDS4, &[1; 40]);
    tcp[12] = 0xf0;
    assert!(parse_ip(&ip(TCP, &ENDS4, &tcp)).is_ok());
}

#[test]
fn extension_headers_are_stepped_over() {
    let udp = segment(UDP, &ENDS6, b"data");
    for (first, chain) in [
        (0, vec![17, 0, 5, 2, 0, 0, 1, 0]),
        (43, vec![17, 0, 0, 0, 0, 0, 0, 0]),
        (43, vec![17, 0, 4, 1, 0, 0, 0, 0]),
        (60, [&[17, 1], &[1_u8; 14][..]].concat()),
        (51, [&[17, 4], &[0_u8; 22][..]].concat()),
        (0, vec![60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0]),
    ] {
        let meta = parse_ip(&ipv6_with(first, &chain, &udp, &ENDS6)).unwrap();
        assert_eq!((meta.protocol, meta.src_port, meta.dst_port), (UDP, 40000, 80));
        assert_eq!(usize::from(meta.l4), 40 + chain.len());
        assert_eq!(meta.facts, Facts::IPV6 | Facts::DF | Facts::OPTIONS | Facts::L4);
    }
}

#[test]
fn eight_extension_headers_pass() {
    let mut chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(8);
    chain[56] = UDP;
    let meta = parse_ip(&ipv6_with(60, &chain, &segment(UDP, &ENDS6, b""), &ENDS6)).unwrap();
    assert_eq!(usize::from(meta.l4), 40 + 64);
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let header = fragment_header(UDP, 0, false, 7);
    let packet = ipv6_with(44, &header, &segment(UDP, &ENDS6, b"data"), &ENDS6);
    let meta = parse_ip(&packet).unwrap();
    assert_eq!(meta.facts, Facts::IPV6 | Facts::DF | Facts::OPTIONS | Facts::L4);
    assert_eq!(fragment(&packet, &meta), None);
}

#[test]
fn fragments_of_ipv4_tell_their_place() {
    let mut first = packet(UDP, &ENDS4, &[7; 32]);
    fragment_ipv4(&mut first, 0, true, 0xabcd);
    let meta = parse_ip(&first).unwrap();
    assert_eq!(meta.facts, Facts::IPV4 | Facts::FRAGMENT | Facts::L4);
    let facts = fragment(&first, &meta).unwrap();
    assert_eq!(
        (facts.identification, facts.protocol, facts.place, facts.length, facts.more),
        (0xabcd, UDP, 0, 40, true)
    );

    let mut last = ip(UDP, &ENDS4, &[7; 13]);
    fragment_ipv4(&mut last, 40, false, 0xabcd);
    let meta = parse_ip(&last).unwrap();
    assert_eq!(meta.facts, Facts::IPV4 | Facts::FRAGMENT | Facts::LATER_FRAGMENT);
    assert_eq!((meta.src_port, meta.dst_port), (0, 0));
    let facts = fragment(&last, &meta).unwrap();
    assert_eq!((facts.identification, facts.place, facts.length, facts.more), (0xabcd, 40, 13, false));
}

#[test]
fn the_first_fragment_of_a_long_udp_datagram_is_shorter_than_its_length_field() {
    for (protocol, at) in [(UDP, 4), (UDP_LITE, 4)] {
        let mut datagram = segment(protocol, &ENDS4, &[7; 32]);
        datagram[at..at + 2].copy_from_slice(&3000_u16.to_be_bytes());
        let mut first = ip(protocol, &ENDS4, &datagram);
        fragment_ipv4(&mut first, 0, true, 1);
        assert!(parse_ip(&first).unwrap().facts.contains(Facts::L4));
    }
}

#[test]
fn fragments_of_ipv6_tell_their_place() {
    let payload = segment(UDP, &ENDS6, &[7; 32]);
    let options = [44, 0, 1, 4, 0, 0, 0, 0];
    let first = ipv6_with(
        60,
        &[&options[..], &fragment_header(UDP, 0, true, 0xdead_beef)].concat(),
        &payload,
        &ENDS6,
    );
    let meta = parse_ip(&first).unwrap();
    assert_eq!(meta.facts, Facts::IPV6 | Facts::DF | Facts::OPTIONS | Facts::FRAGMENT | Facts::L4);
    assert_eq!((meta.l4, meta.dst_port), (56, 80));
    let facts = fragment(&first, &meta).unwrap();
    assert_eq!((facts.identification, facts.place, facts.length, facts.more), (0xdead_beef, 0, 40, true));

    let last = ipv6_with(44, &fragment_header(UDP, 40, false, 0xdead_beef), b"tail!", &ENDS6);
    let meta = parse_ip(&last).unwrap();
    assert_eq!(
        meta.facts,
        Facts::IPV6 | Facts::DF | Facts::OPTIONS | Facts::FRAGMENT | Facts::LATER_FRAGMENT
    );
    assert_eq!((meta.l4, meta.src_port), (48, 0));
    let facts = fragment(&last, &meta).unwrap();
    assert_eq!((facts.protocol, facts.place, facts.length, facts.more), (UDP, 40, 5, false));
}

#[test]
fn the_reserved_byte_of_a_fragment_header_is_no_length() {
    let mut header = fragment_header(UDP, 0, true, 9);
    header[1] = 1;
    let packet = ipv6_with(44, &header, &segment(UDP, &ENDS6, &[7; 32]), &ENDS6);
    assert_eq!(parse_ip(&packet).unwrap().l4, 48);
}

#[test]
fn all_fragments_of_a_datagram_name_one_protocol_though_options_follow() {
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let payload = [&options[..], &segment(UDP, &ENDS6, &[7; 24])].concat();
    let first = ipv6_with(44, &fragment_header(60, 0, true, 9), &payload, &ENDS6);
    let later = ipv6_with(44, &fragment_header(60, 40, false, 9), b"later", &ENDS6);
    let (first_meta, later_meta) = (parse_ip(&first).unwrap(), parse_ip(&later).unwrap());
    assert_eq!((first_meta.protocol, later_meta.protocol), (UDP, 60));
    let first = fragment(&first, &first_meta).unwrap();
    let later = fragment(&later, &later_meta).unwrap();
    assert_eq!((first.protocol, later.protocol), (60, 60));
    assert_eq!(first.length, 40);
}

#[test]
fn a_client_without_address_may_ask_for_dhcp() {
    let ends = Ends { src: v4([0; 4]), dst: v4([255; 4]), src_port: 68, dst_port: 67, ipv6: false };
    let meta = parse_ip(&packet(UDP, &ends, b"discover")).unwrap();
    assert!(meta.facts.contains(Facts::MULTICAST));
}

#[test]
fn a_node_without_address_may_solicit() {
    for kind in [133, 135] {
        let ends = Ends { src: [0; 16], ..ENDS6 };
        let mut message = segment(ICMPV6, &ends, &[0; 16]);
        message[0] = kind;
        assert!(parse_ip(&ip(ICMPV6, &ends, &message)).is_ok());
    }
}

#[test]
fn arp_has_a_network_offset_and_no_ip_facts() {
    let frame = [&MAC_B[..], &MAC_A, &[8, 6], &[0; 28]].concat();
    let meta = parse::ethernet(&frame).unwrap();
    assert_eq!(meta, Meta { ether_type: 0x0806, l3: 14, end: 42, ..Meta::default() });
    let frame = [&MAC_B[..], &MAC_A, &[0x81, 0, 0x20, 5, 8, 6], &[0; 28]].concat();
    let meta = parse::ethernet(&frame).unwrap();
    let expected =
        Meta { ether_type: 0x0806, l3: 18, end: 46, vlan: 0x2005, facts: Facts::VLAN, ..Meta::default() };
    assert_eq!(meta, expected);
}

#[test]
fn a_frame_inside_a_frame_is_found_at_its_offset() {
    let inner = ethernet(&packet(UDP, &ENDS4, b"abc"));
    let data = [vec![0; 50], inner].concat();
    let meta = parse::ethernet_at(&data, 50).unwrap();
    assert_eq!((meta.l3, meta.l4, meta.dst_port), (64, 84, 80));
}
