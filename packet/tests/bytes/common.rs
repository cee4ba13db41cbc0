//! The short way of common packets against the long way of all packets.

use packet::checksum::{Delta, Sum};
use packet::common::{Common, Family, InPlace, Ipv4, Ipv6};
use packet::encap::{self, Fields, Template, marks_congestion};
use packet::rewrite::{self, Translation, Tuple};
use packet::{Address, Facts, L4Checksum, MemoryBuf, Meta, PacketBuf, parse};
use proptest::prelude::*;

use crate::support::*;
use crate::tunnels::{any_fields, any_spec, by_hand};

const L3: usize = 14;

/// What the long way finds, if the packet is a common one.
fn long_way(frame: &[u8]) -> Option<Meta> {
    let meta = parse::ethernet(frame).ok()?;
    let odd = Facts::FRAGMENT | Facts::OPTIONS | Facts::VLAN | Facts::ICMP_ERROR;
    // FIN, SYN and RST open and close; ACK is in all others.
    let runs = meta.protocol == UDP || (meta.protocol == TCP && meta.l4_flags & 0x17 == 0x10);
    (runs && meta.facts.contains(Facts::L4) && !meta.facts.intersects(odd)).then_some(meta)
}

fn words(address: &Address) -> [u64; 2] {
    [0, 8].map(|at| u64::from_ne_bytes(address[at..at + 8].try_into().unwrap()))
}

fn v4_word(src: &Address, dst: &Address) -> u64 {
    u64::from_ne_bytes([&src[..4], &dst[..4]].concat().try_into().unwrap())
}

fn v6_words(src: &Address, dst: &Address) -> [u64; 4] {
    let ([a, b], [c, d]) = (words(src), words(dst));
    [a, b, c, d]
}

fn acknowledgement(frame: &[u8], meta: &Meta) -> u32 {
    let at = usize::from(meta.l4) + 8;
    if meta.protocol == TCP { u32::from_be_bytes(frame[at..at + 4].try_into().unwrap()) } else { 0 }
}

fn expected<A>(frame: &[u8], meta: &Meta, addresses: A) -> Common<A> {
    Common {
        addresses,
        ports: u32::from(meta.src_port) << 16 | u32::from(meta.dst_port),
        acknowledgement: acknowledgement(frame, meta),
        length: meta.end - meta.l3,
        protocol: meta.protocol,
        ttl: meta.ttl,
        traffic_class: meta.traffic_class,
    }
}

/// Both ways of looking at a frame agree, wherever the long way lets it pass.
fn agree(frame: &[u8]) {
    let four = Ipv4::read(frame, L3).filter(|_| frame.get(12..14) == Some(&[8, 0]));
    let six = Ipv6::read(frame, L3).filter(|_| frame.get(12..14) == Some(&[0x86, 0xdd]));
    match long_way(frame) {
        Some(meta) if meta.is_ipv4() => {
            assert_eq!(four, Some(expected(frame, &meta, v4_word(&meta.src, &meta.dst))));
            assert_eq!(four.map(|common| common.is_tcp()), Some(meta.protocol == TCP));
        }
        Some(meta) => assert_eq!(six, Some(expected(frame, &meta, v6_words(&meta.src, &meta.dst)))),
        None => {
            // What only the long way refuses are addresses, of which no session is.
            let passes = parse::ethernet(frame).is_ok();
            assert!(!passes || (four.is_none() && six.is_none()), "not a common packet: {four:?} {six:?}");
        }
    }
}

fn any_translation() -> impl Strategy<Value = (Ends, Ends, u8, Vec<u8>)> {
    (any_ends(), any_ends(), prop_oneof![Just(TCP), Just(UDP)], proptest::collection::vec(any::<u8>(), 0..90))
        .prop_map(|(old, new, protocol, payload)| {
            let new = if new.ipv6 == old.ipv6 { new } else { Ends { src: old.dst, dst: old.src, ..old } };
            (old, new, protocol, packet(protocol, &old, &payload))
        })
}

fn tuple(ends: &Ends) -> Tuple {
    Tuple { src: ends.src, dst: ends.dst, src_port: ends.src_port, dst_port: ends.dst_port }
}

fn in_place<A>(translation: &Translation, addresses: A) -> InPlace<A> {
    InPlace {
        addresses,
        ports: u32::from(translation.src_port) << 16 | u32::from(translation.dst_port),
        delta_addr: translation.delta_addr,
        delta_l4: translation.delta_l4,
    }
}

proptest! {
    #[test]
    fn whole_packets_are_read_alike(
        (ends, _, packet) in any_packet(), padding in 0_usize..9, class in any::<u8>(), ttl in any::<u8>(),
    ) {
        let mut frame = ethernet(&packet);
        if ends.ipv6 {
            frame[L3..L3 + 2].copy_from_slice(&[0x60 | class >> 4, class << 4]);
            frame[L3 + 7] = ttl;
        } else {
            (frame[L3 + 1], frame[L3 + 8]) = (class, ttl);
            seal_ipv4(&mut frame[L3..]);
        }
        frame.extend(vec![0x5a; padding]);
        agree(&frame);
    }

    #[test]
    fn damaged_packets_are_read_alike(
        (_, _, packet) in any_packet(), at in 0_usize..60, value in any::<u8>(), cut in 0_usize..90, mend in any::<bool>(),
    ) {
        let mut frame = ethernet(&packet);
        let place = at % frame.len();
        frame[place] = value;
        if mend && frame.len() >= L3 + 20 && frame[12..14] == [8, 0] && frame[14] == 0x45 {
            seal_ipv4(&mut frame[L3..]);
        }
        agree(&frame);
        frame.truncate(cut);
        agree(&frame);
    }

    #[test]
    fn every_flag_of_tcp_counts(ends in any_ends(), flags in any::<u8>(), offset in 0_u8..16) {
        let mut bytes = segment(TCP, &ends, &[0; 30]);
        bytes[12] = offset << 4;
        bytes[13] = flags;
        agree(&ethernet(&ip(TCP, &ends, &bytes)));
    }

    #[test]
    fn every_length_of_udp_counts(ends in any_ends(), length in 0_u16..60) {
        let mut bytes = segment(UDP, &ends, &[0; 30]);
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        agree(&ethernet(&ip(UDP, &ends, &bytes)));
    }

    #[test]
    fn a_packet_translated_in_place_is_the_packet_translated(
        (old, new, protocol, packet) in any_translation(), hop in any::<bool>(), no_checksum in any::<bool>(),
    ) {
        let mut frame = ethernet(&packet);
        if no_checksum && protocol == UDP {
            let field = L3 + if old.ipv6 { 46 } else { 26 };
            frame[field..field + 2].fill(0);
        }
        let translation = Translation::new(&tuple(&old), &tuple(&new));
        let mut slow = MemoryBuf::new(&frame);
        let mut meta = parse::ethernet(&frame).unwrap();
        if hop {
            rewrite::decrement_ttl(&mut slow, &mut meta).unwrap();
        }
        let mut hopped = frame.clone();
        if old.ipv6 { Ipv6::hop(&mut hopped, L3) } else { Ipv4::hop(&mut hopped, L3) }
        if hop {
            prop_assert_eq!(slow.data(), &hopped);
        }
        rewrite::apply(&mut slow, &mut meta, &translation);
        let tcp = protocol == TCP;
        if old.ipv6 {
            let to = in_place(&translation, v6_words(&new.src, &new.dst));
            Ipv6::translate(&mut frame, L3, tcp, &to, hop);
        } else {
            let to = in_place(&translation, v4_word(&new.src, &new.dst));
            Ipv4::translate(&mut frame, L3, tcp, &to, hop);
        }
        prop_assert_eq!(slow.data(), &frame);
    }

    #[test]
    fn a_source_is_told_from_every_other(ends in any_ends(), byte in 0_usize..16, bit in 0_u8..8) {
        let mut other = ends.src;
        let byte = if ends.ipv6 { byte } else { byte % 4 };
        other[byte] ^= 1 << bit;
        let (four, six) = (v4_word(&ends.src, &ends.dst), v6_words(&ends.src, &ends.dst));
        if ends.ipv6 {
            prop_assert!(Ipv6::is_from(&six, &ends.src) && !Ipv6::is_from(&six, &other));
        } else {
            prop_assert!(Ipv4::is_from(&four, &ends.src) && !Ipv4::is_from(&four, &other));
        }
    }

    #[test]
    fn sums_in_one_step_are_those_in_several(header in any::<[u8; 20]>(), a in any::<u16>(), b in any::<u16>(), c in any::<u16>()) {
        prop_assert_eq!(Sum::of_ipv4(&header).fold(), Sum::of(&header).fold());
        let (a, b) = (Delta::from_raw(a), Delta::from_raw(b));
        prop_assert_eq!(Delta::from_stored(a.raw()), a);
        // A checksum of 0xffff stands for 0 in one's complement: then either zero may come out.
        let (one, two) = (a.apply_with(b, c), a.plus(b).apply(c));
        prop_assert!(one == two || (one ^ two) == 0xffff && c == 0xffff, "{one:04x} {two:04x}");
    }

    #[test]
    fn a_tunnel_is_opened_as_it_is_popped(
        (spec, ends) in any_spec(), fields in any_fields(), (_, _, inner) in any_packet(), padding in 0_usize..20,
    ) {
        let fields = Fields { inner_v6: inner[0] >> 4 == 6, ..fields };
        let mut frame = by_hand(&spec, &ends, &fields, &inner);
        frame.extend(vec![0xff; padding]);
        let kind = if fields.inner_v6 { Ipv6::ETHER_TYPE } else { Ipv4::ETHER_TYPE };
        let popped = parse::ethernet(&frame).ok().and_then(|outer| encap::pop(&frame, &outer, L4Checksum::Unknown));
        for checked in [false, true] {
            let opened = encap::open(&frame, checked, kind);
            let vxlan = spec.encapsulation == encap::Encapsulation::Vxlan;
            let stacked = !vxlan && spec.outer_labels.iter().any(|label| label.is_some());
            let summed = spec.udp_checksum && ends.ipv6 && spec.encapsulation != encap::Encapsulation::MplsOverGre;
            let odd = spec.vlan.is_some()
                || stacked
                || (summed && !checked)
                || (!vxlan && (fields.inner_ttl == 0 || fields.label.0 < 16));
            prop_assert_eq!(opened.is_none(), odd);
            let Some(opened) = opened else { continue };
            let tunnel = popped.unwrap().unwrap();
            let inner_l3 = tunnel.inner + if vxlan { 14 } else { 0 };
            prop_assert_eq!((opened.label, opened.inner_is_ethernet), (tunnel.label, vxlan));
            prop_assert_eq!((opened.l3, opened.end), (inner_l3, tunnel.inner_end));
            prop_assert_eq!((opened.outer_ecn, opened.outer_v6), (tunnel.outer_ecn, ends.ipv6));
            prop_assert_eq!(opened.outer_addresses(), (ends.src, ends.dst));
        }
    }

    #[test]
    fn what_is_opened_could_be_popped(
        (spec, ends) in any_spec(), fields in any_fields(), (_, _, inner) in any_packet(),
        at in 12_usize..90, value in any::<u8>(), cut in 0_usize..120,
    ) {
        let fields = Fields { inner_v6: inner[0] >> 4 == 6, ..fields };
        let mut frame = by_hand(&spec, &ends, &fields, &inner);
        let place = at % frame.len();
        frame[place] = value;
        let kind = if fields.inner_v6 { Ipv6::ETHER_TYPE } else { Ipv4::ETHER_TYPE };
        for length in [frame.len(), cut.min(frame.len())] {
            let frame = &frame[..length];
            let Some(opened) = encap::open(frame, false, kind) else { continue };
            // The parser may refuse addresses, of which no peer is.
            let Ok(outer) = parse::ethernet(frame) else { continue };
            let tunnel = encap::pop(frame, &outer, L4Checksum::Unknown).unwrap().unwrap();
            prop_assert_eq!((opened.label, opened.end), (tunnel.label, tunnel.inner_end));
        }
    }

    #[test]
    fn headers_are_pushed_over_what_was_there(
        (spec, _) in any_spec(), fields in any_fields(), inner in proptest::collection::vec(any::<u8>(), 1..200),
        front in 14_usize..50, padding in 0_usize..9, headroom in 0_usize..130,
    ) {
        let template = Template::new(&spec).unwrap();
        prop_assert_eq!(template.covers_payload(), spec.udp_checksum && template.outer_v6() && spec.encapsulation != encap::Encapsulation::MplsOverGre);
        let frame = [&vec![0x77; front][..], &inner, &vec![0x88; padding]].concat();
        let mut buf = MemoryBuf::with_room(&frame, headroom, 0);
        let wide = if template.length() <= 64 { 64 } else { encap::WIDEST };
        let done = encap::push_over(&mut buf, front, front + inner.len(), &template, &fields);
        prop_assert_eq!(done, headroom + front >= wide && !template.covers_payload());
        let mut plain = MemoryBuf::with_room(&inner, 128, 0);
        encap::push(&mut plain, &template, &fields).unwrap();
        prop_assert_eq!(buf.data(), if done { plain.data() } else { &frame[..] });
    }
}

#[test]
fn each_thing_that_makes_a_header_uncommon_is_enough() {
    let packet = packet(UDP, &ENDS4, b"payload");
    let changed = |at: usize, value: [u8; 2]| {
        let mut packet = packet.clone();
        packet[at..at + 2].copy_from_slice(&value);
        seal_ipv4(&mut packet);
        ethernet(&packet)
    };
    assert!(Ipv4::read(&ethernet(&packet), L3).is_some());
    let total = be16(&packet, 2);
    for (at, value) in [
        (0, [0x55, 0]),
        (0, [0x46, 0]),
        (2, (total + 1).to_be_bytes()),
        (6, [0x20, 0]),
        (6, [0, 1]),
        (8, [64, SCTP]),
    ] {
        assert_eq!(Ipv4::read(&changed(at, value), L3), None, "{at} {value:?}");
    }
    assert!(Ipv4::read(&changed(6, [0x40, 0]), L3).is_some(), "not to be fragmented");

    let packet = super::support::packet(UDP, &ENDS6, b"payload");
    let payload = be16(&packet, 4);
    for (at, value) in [(0, [0x50, 0]), (4, (payload + 1).to_be_bytes()), (6, [SCTP, 64])] {
        let mut frame = ethernet(&packet);
        frame[L3 + at..L3 + at + 2].copy_from_slice(&value);
        assert_eq!(Ipv6::read(&frame, L3), None, "{at} {value:?}");
    }
    assert!(Ipv6::read(&ethernet(&packet), L3).is_some());
}

#[test]
fn congestion_marks_are_noticed_wherever_they_change_anything() {
    for outer in 0..4 {
        for class in 0..=255 {
            let inner = packet(UDP, &ENDS4, b"");
            let mut bytes = inner.clone();
            bytes[1] = class;
            seal_ipv4(&mut bytes);
            let mut meta = parse_ip(&bytes).unwrap();
            let before = bytes.clone();
            let result = encap::ecn_decapsulate(outer, &mut bytes, &mut meta);
            let changes = result.is_err() || bytes != before;
            // CE on CE changes nothing, and is looked at all the same.
            assert!(marks_congestion(outer, class) || !changes, "{outer} {class}");
            assert!(changes || !marks_congestion(outer, class) || outer == 3, "{outer} {class}");
        }
    }
}
