//! Translations against packets built anew with the other ends.

use packet::checksum::{self, Delta, Verification};
use packet::meta::v4;
use packet::rewrite::{self, Translation, Tuple};
use packet::{DropReason, Facts, L4Checksum, MemoryBuf, Meta, PacketBuf, quoted};
use proptest::prelude::*;

use crate::support::*;

fn tuple(ends: &Ends, protocol: u8) -> Tuple {
    let dst_port = if matches!(protocol, ICMP | ICMPV6) { 0 } else { ends.dst_port };
    Tuple { src: ends.src, dst: ends.dst, src_port: ends.src_port, dst_port }
}

/// The ends of an answer.
fn answered(ends: &Ends, protocol: u8) -> Tuple {
    let Tuple { src, dst, src_port, dst_port } = tuple(ends, protocol);
    let icmp = matches!(protocol, ICMP | ICMPV6);
    let (src_port, dst_port) = if icmp { (src_port, dst_port) } else { (dst_port, src_port) };
    Tuple { src: dst, dst: src, src_port, dst_port }
}

/// The translation of the half that goes the other way.
fn backwards(from: &Ends, to: &Ends, protocol: u8) -> Translation {
    Translation::new(&answered(from, protocol), &answered(to, protocol))
}

fn translation(old: &Ends, new: &Ends, protocol: u8) -> Translation {
    Translation::new(&tuple(old, protocol), &tuple(new, protocol))
}

/// A packet, other ends of its family, and the packet built anew with them.
fn any_translation() -> impl Strategy<Value = (Ends, Ends, u8, Vec<u8>, Vec<u8>)> {
    (any_ends(), any_ends(), proptest::collection::vec(any::<u8>(), 0..90))
        .prop_filter("one family", |(old, new, _)| old.ipv6 == new.ipv6)
        .prop_flat_map(|(old, new, payload)| (Just(old), Just(new), any_protocol(old.ipv6), Just(payload)))
        .prop_map(|(old, new, protocol, payload)| {
            (old, new, protocol, packet(protocol, &old, &payload), packet(protocol, &new, &payload))
        })
}

fn apply(packet: &[u8], translation: &Translation) -> (MemoryBuf, Meta) {
    let mut buf = MemoryBuf::new(packet);
    let mut meta = parse_ip(packet).unwrap();
    rewrite::apply(&mut buf, &mut meta, translation);
    (buf, meta)
}

proptest! {
    #[test]
    fn a_translated_packet_is_the_packet_built_anew((old, new, protocol, before, after) in any_translation()) {
        let (buf, meta) = apply(&before, &translation(&old, &new, protocol));
        prop_assert_eq!(buf.data(), &after);
        prop_assert_eq!(meta, parse_ip(&after).unwrap());
        // And back again.
        let (buf, meta) = apply(&after, &translation(&new, &old, protocol));
        prop_assert_eq!(buf.data(), &before);
        prop_assert_eq!(meta, parse_ip(&before).unwrap());
        // And that of the answers.
        let there = translation(&old, &new, protocol);
        prop_assert_eq!(there.of_answers(&answered(&old, protocol)), backwards(&new, &old, protocol));
    }

    #[test]
    fn the_identity_leaves_every_byte((old, _, protocol, mut packet, _) in any_translation(), sums in any::<(u16, u16)>()) {
        let meta = parse_ip(&packet).unwrap();
        if let Some(field) = checksum::field_offset(protocol) {
            let field = usize::from(meta.l4) + field;
            packet[field..field + 2].copy_from_slice(&sums.0.to_be_bytes());
        }
        let (buf, after) = apply(&packet, &translation(&old, &old, protocol));
        prop_assert_eq!(buf.data(), &packet);
        prop_assert_eq!(after, meta);
    }

    #[test]
    fn a_wrong_checksum_is_still_wrong_afterwards((old, new, protocol, mut packet, _) in any_translation(), error in 1_u8..) {
        let meta = parse_ip(&packet).unwrap();
        let at = usize::from(meta.l4) + checksum::field_offset(protocol).unwrap_or(8);
        packet[at] ^= error;
        prop_assume!(checksum::verify(&packet, &meta) == Verification::Wrong);
        let (buf, meta) = apply(&packet, &translation(&old, &new, protocol));
        prop_assert_eq!(checksum::verify(buf.data(), &meta), Verification::Wrong);
    }

    #[test]
    fn a_partial_checksum_takes_the_addresses_only((old, new, protocol, before, after) in any_translation()) {
        prop_assume!(!matches!(protocol, ICMP | SCTP));
        let mut meta = parse_ip(&before).unwrap();
        let l4 = usize::from(meta.l4);
        let field = l4 + checksum::field_offset(protocol).unwrap();
        let partial = |packet: &[u8], ends: &Ends| {
            let pseudo = pseudo_header(&ends.src, &ends.dst, protocol, packet.len() - l4, ends.ipv6);
            let mut packet = packet.to_vec();
            packet[field..field + 2].copy_from_slice(&slow_sum(&pseudo).to_be_bytes());
            packet
        };
        let mut buf = MemoryBuf::new(&partial(&before, &old));
        buf.set_l4_checksum(L4Checksum::Partial);
        rewrite::apply(&mut buf, &mut meta, &translation(&old, &new, protocol));
        prop_assert_eq!(buf.data(), partial(&after, &new));
        prop_assert_eq!(buf.l4_checksum(), L4Checksum::Partial);
        prop_assert!(checksum::complete(buf.data_mut(), &meta));
        prop_assert_eq!(buf.data(), &after);
    }

    #[test]
    fn translated_fragments_make_the_translated_datagram((old, new, protocol, before, after) in any_translation()) {
        prop_assume!(protocol != SCTP);
        let header = if old.ipv6 { 40 } else { 20 };
        let cut = header + 24;
        prop_assume!(before.len() > cut);
        let translation = translation(&old, &new, protocol);
        let mut pieces: Vec<u8> = Vec::new();
        for (place, range, more) in [(0, header..cut, true), (24, cut..before.len(), false)] {
            let payload = &before[range];
            let fragment = if old.ipv6 {
                ipv6_with(44, &fragment_header(protocol, place, more, 1), payload, &old)
            } else {
                let mut fragment = ip(protocol, &old, payload);
                fragment_ipv4(&mut fragment, place, more, 1);
                fragment
            };
            let (buf, meta) = apply(&fragment, &translation);
            prop_assert_eq!((meta.src, meta.dst), (new.src, new.dst));
            prop_assert_eq!(parse_ip(buf.data()).unwrap(), meta);
            pieces.extend(&buf.data()[usize::from(meta.l4)..]);
        }
        prop_assert_eq!(pieces, &after[header..]);
    }

    #[test]
    fn an_error_about_a_translated_packet_reads_like_one_about_the_original(
        (old, new, protocol, before, after) in any_translation(),
        words in 4_usize..60, from_end in any::<bool>(), router in any_ends(),
    ) {
        prop_assume!(router.ipv6 == old.ipv6 && router.src != new.dst);
        let header = if old.ipv6 { 40 } else { 20 };
        let quote = |packet: &[u8]| packet[..packet.len().min(header + words * 2)].to_vec();
        let mut expected_quote = quote(&before);
        if protocol == SCTP {
            // Its CRC cannot be verified in a quotation, and is left as it was.
            let end = expected_quote.len().min(header + 12);
            expected_quote[header + 8..end].copy_from_slice(&after[header + 8..end]);
        }
        let from = |ends: &Ends| if from_end { ends.dst } else { router.src };
        let error = |source, destination, quote: &[u8]| {
            let ends = Ends { src: source, dst: destination, ..old };
            icmp_error(&ends, quote)
        };
        let received = error(from(&new), new.src, &quote(&after));
        let expected = error(from(&old), old.src, &expected_quote);
        let mut buf = MemoryBuf::new(&received);
        let mut meta = parse_ip(&received).unwrap();
        prop_assert!(rewrite::translate_icmp_error(&mut buf, &mut meta, &backwards(&new, &old, protocol)));
        prop_assert_eq!(buf.data(), &expected);
        prop_assert_eq!(meta, parse_ip(&expected).unwrap());
    }

    #[test]
    fn a_quotation_tells_the_key_of_its_flow((ends, protocol, packet) in any_packet(), shown in 0_usize..120) {
        let header = if ends.ipv6 { 40 } else { 20 };
        let quote = &packet[..packet.len().min(header + shown)];
        let error = icmp_error(&Ends { src: ends.dst, dst: ends.src, ..ends }, quote);
        let meta = parse_ip(&error).unwrap();
        let found = quoted(&error, &meta).unwrap();
        let whole = tuple(&ends, protocol);
        let expected = if shown >= 8 { whole } else { Tuple { src_port: 0, dst_port: 0, ..whole } };
        prop_assert_eq!(found.tuple, expected);
        prop_assert_eq!((found.protocol, found.ipv6, found.l4_present), (protocol, ends.ipv6, shown >= 8));
        prop_assert_eq!(usize::from(found.l3), header + 8);
        prop_assert_eq!(usize::from(found.l4), header + 8 + header);
        prop_assert_eq!(usize::from(found.end), error.len());
    }
}

/// Time exceeded about `quote`, sent along `ends`.
fn icmp_error(ends: &Ends, quote: &[u8]) -> Vec<u8> {
    let (protocol, kind) = if ends.ipv6 { (ICMPV6, 3) } else { (ICMP, 11) };
    let mut message = [&[kind, 0, 0, 0, 0, 0, 0, 0], quote].concat();
    seal(protocol, ends, &mut message);
    ip(protocol, ends, &message)
}

const OTHER4: Ends =
    Ends { src: v4([192, 0, 2, 9]), dst: v4([198, 51, 100, 7]), src_port: 5, dst_port: 6, ipv6: false };
const OTHER6: Ends = Ends { src: B6, dst: A6, src_port: 5, dst_port: 6, ipv6: true };

#[test]
fn udp_without_checksum_stays_without() {
    for (old, new, field) in [(ENDS4, OTHER4, 26), (ENDS6, OTHER6, 46)] {
        let mut packet = packet(UDP, &old, b"data");
        packet[field..field + 2].fill(0);
        let (buf, meta) = apply(&packet, &translation(&old, &new, UDP));
        assert_eq!(buf.data()[field..field + 2], [0, 0]);
        assert_eq!((meta.src, meta.src_port), (new.src, new.src_port));
    }
}

#[test]
fn a_protocol_without_ports_has_addresses_only() {
    for (old, new) in [(ENDS4, OTHER4), (ENDS6, OTHER6)] {
        let (buf, meta) = apply(&ip(GRE, &old, &[9; 24]), &translation(&old, &new, GRE));
        assert_eq!(buf.data(), ip(GRE, &new, &[9; 24]));
        assert_eq!((meta.src_port, meta.dst_port), (0, 0));
    }
}

#[test]
fn icmp_that_is_no_echo_has_addresses_only() {
    for (protocol, old, new, kind) in [(ICMP, ENDS4, OTHER4, 13), (ICMPV6, ENDS6, OTHER6, 130)] {
        let message = |ends: &Ends| {
            let mut message = segment(protocol, ends, &[4; 16]);
            message[0] = kind;
            message[4..6].copy_from_slice(&[0xab, 0xcd]);
            seal(protocol, ends, &mut message);
            ip(protocol, ends, &message)
        };
        let class = u16::from(kind) + 1;
        let key = |ends: &Ends| Tuple { src: ends.src, dst: ends.dst, src_port: 0, dst_port: class };
        let (buf, meta) = apply(&message(&old), &Translation::new(&key(&old), &key(&new)));
        assert_eq!(buf.data(), message(&new));
        assert_eq!((meta.src_port, meta.dst_port), (0, class));
    }
}

#[test]
fn a_partial_sctp_or_icmp_checksum_waits_for_its_completion() {
    for (protocol, field, length) in [(SCTP, 28, 4), (ICMP, 22, 2)] {
        let mut before = packet(protocol, &ENDS4, b"data");
        before[field..field + length].fill(0);
        let mut buf = MemoryBuf::new(&before);
        buf.set_l4_checksum(L4Checksum::Partial);
        let mut meta = parse_ip(&before).unwrap();
        rewrite::apply(&mut buf, &mut meta, &translation(&ENDS4, &OTHER4, protocol));
        assert_eq!(buf.data()[field..field + length], [0; 4][..length]);
        assert!(checksum::complete(buf.data_mut(), &meta));
        assert_eq!(buf.data(), packet(protocol, &OTHER4, b"data"));
    }
}

#[test]
fn the_crc_of_fragmented_sctp_is_left() {
    let mut first = packet(SCTP, &ENDS4, &[7; 20]);
    fragment_ipv4(&mut first, 0, true, 1);
    let (buf, _) = apply(&first, &translation(&ENDS4, &OTHER4, SCTP));
    assert_eq!(buf.data()[20..24], [0, 5, 0, 6]);
    assert_eq!(buf.data()[28..32], first[28..32]);
}

#[test]
fn a_delta_for_ports_is_what_addresses_leave() {
    let translation = translation(&ENDS4, &OTHER4, TCP);
    let ports_only = Ends { src_port: 5, dst_port: 6, ..ENDS4 };
    assert_eq!(
        translation.delta_ports(),
        Translation::new(&tuple(&ENDS4, TCP), &tuple(&ports_only, TCP)).delta_l4
    );
    assert_eq!(Translation::new(&tuple(&ENDS4, TCP), &tuple(&ports_only, TCP)).delta_addr, Delta::NONE);
}

#[test]
fn ttl_falls_by_one_and_ends_at_one() {
    for ends in [ENDS4, ENDS6] {
        for ttl in 0..=255_u8 {
            let with_ttl = |ttl: u8| {
                let mut packet = packet(UDP, &ends, b"data");
                packet[if ends.ipv6 { 7 } else { 8 }] = ttl;
                if !ends.ipv6 {
                    seal_ipv4(&mut packet);
                }
                packet
            };
            let before = with_ttl(ttl);
            let mut buf = MemoryBuf::new(&before);
            let mut meta = parse_ip(&before).unwrap();
            let result = rewrite::decrement_ttl(&mut buf, &mut meta);
            if ttl > 1 {
                assert_eq!(result, Ok(()));
                assert_eq!(buf.data(), with_ttl(ttl - 1));
            } else {
                assert_eq!(result, Err(DropReason::TtlExceeded));
                assert_eq!(buf.data(), before);
            }
            assert_eq!(meta, parse_ip(buf.data()).unwrap());
        }
    }
}

#[test]
fn every_traffic_class_can_become_every_other() {
    for ends in [ENDS4, ENDS6] {
        for (old, new) in [(0, 0xff), (0xff, 0), (0xb8, 0x03), (0x12, 0x12), (1, 0x80)] {
            let with_class = |class: u8| {
                let mut packet = packet(UDP, &ends, b"data");
                if ends.ipv6 {
                    packet[0] = 0x60 | class >> 4;
                    packet[1] = class << 4 | 0x0a; // of the flow label
                } else {
                    packet[1] = class;
                    seal_ipv4(&mut packet);
                }
                packet
            };
            let mut data = with_class(old);
            let mut meta = parse_ip(&data).unwrap();
            rewrite::set_traffic_class(&mut data, &mut meta, new);
            assert_eq!(data, with_class(new));
            assert_eq!(meta, parse_ip(&data).unwrap());
        }
    }
}

/// A SYN with these options.
fn syn(ends: &Ends, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut tcp = segment(TCP, ends, options);
    tcp[12] = (5 + options.len() as u8 / 4) << 4;
    tcp[13] = flags;
    seal(TCP, ends, &mut tcp);
    ip(TCP, ends, &tcp)
}

fn clamp(packet: &[u8], limit: u16, state: L4Checksum) -> (bool, Vec<u8>) {
    let mut buf = MemoryBuf::new(packet);
    buf.set_l4_checksum(state);
    let changed = rewrite::clamp_mss(&mut buf, &parse_ip(packet).unwrap(), limit);
    (changed, buf.data().to_vec())
}

#[test]
fn the_mss_of_a_syn_is_lowered_and_never_raised() {
    for ends in [ENDS4, ENDS6] {
        for flags in [0x02, 0x12] {
            let with = |mss: u16| syn(&ends, flags, &[&[2, 4][..], &mss.to_be_bytes()].concat());
            for (old, limit, new) in
                [(1460, 1400, 1400), (1400, 1400, 1400), (536, 1400, 536), (0xffff, 1, 1)]
            {
                let (changed, packet) = clamp(&with(old), limit, L4Checksum::Unknown);
                assert_eq!((changed, packet), (old != new, with(new)));
            }
        }
    }
}

#[test]
fn the_mss_is_found_behind_other_options_at_any_place() {
    let with = |before: &[u8], mss: u16, after: &[u8]| {
        syn(&ENDS4, 2, &[before, &[2, 4], &mss.to_be_bytes(), after].concat())
    };
    for (before, after) in [
        (&[1][..], &[1, 1, 1][..]),
        (&[1, 1, 1], &[0]),
        (&[3, 3, 7], &[1]),
        (&[4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], &[]),
        (&[2, 3, 1], &[0]),
        (&[2, 5, 1, 1, 1], &[1, 1, 1]),
    ] {
        let (changed, packet) = clamp(&with(before, 1460, after), 1200, L4Checksum::Unknown);
        assert!(changed, "{before:?}");
        assert_eq!(packet, with(before, 1200, after));
    }
}

#[test]
fn the_mss_of_a_partial_checksum_needs_no_update() {
    let before = syn(&ENDS4, 2, &[2, 4, 0x20, 0]);
    let mut expected = before.clone();
    expected[42..44].copy_from_slice(&1200_u16.to_be_bytes());
    assert_eq!(clamp(&before, 1200, L4Checksum::Partial), (true, expected));
}

#[test]
fn what_is_no_syn_with_the_option_is_left() {
    let option = [2, 4, 0x20, 0];
    for packet in [
        syn(&ENDS4, 0x10, &option),
        syn(&ENDS4, 0x04, &option),
        syn(&ENDS4, 2, &[]),
        syn(&ENDS4, 2, &[0, 2, 4, 0x20, 0, 0, 0, 0]),
        syn(&ENDS4, 2, &[1, 1, 2, 4]),
        syn(&ENDS4, 2, &[9, 0, 2, 4, 0x20, 0, 0, 0]),
        syn(&ENDS4, 2, &[9, 1, 2, 4, 0x20, 0, 0, 0]),
        syn(&ENDS4, 2, &[9, 9, 2, 4, 0x20, 0, 0, 0]),
        syn(&ENDS4, 2, &[1, 1, 1, 2]),
        packet(UDP, &ENDS4, &[0x50, 2, 2, 2, 2, 4, 0x20, 0, 2, 4, 0x20, 0]),
    ] {
        assert_eq!(clamp(&packet, 100, L4Checksum::Unknown), (false, packet.clone()));
    }
    // Behind the header: data that looks like the option.
    let mut data = segment(TCP, &ENDS4, &option);
    data[13] = 2;
    let data = ip(TCP, &ENDS4, &data);
    assert!(!clamp(&data, 100, L4Checksum::Unknown).0);
}

#[test]
fn a_later_fragment_is_never_a_syn() {
    let mut later = ip(TCP, &ENDS4, &syn(&ENDS4, 2, &[2, 4, 0x20, 0])[20..]);
    fragment_ipv4(&mut later, 80, false, 1);
    let mut meta = parse_ip(&later).unwrap();
    meta.l4_flags = 2;
    let mut buf = MemoryBuf::new(&later);
    assert!(!rewrite::clamp_mss(&mut buf, &meta, 100));
    assert_eq!(buf.data(), later);
}

#[test]
fn the_key_that_an_error_leads_to_is_the_quoted_one_reversed() {
    for (protocol, ends) in [(TCP, ENDS4), (UDP, ENDS6)] {
        let error = icmp_error(&ends, &packet(protocol, &ends, b""));
        let reply = quoted(&error, &parse_ip(&error).unwrap()).unwrap().reply();
        assert_eq!(reply, Tuple { src: ends.dst, dst: ends.src, src_port: 80, dst_port: 40000 });
    }
    for (protocol, ends) in [(ICMP, ENDS4), (ICMPV6, ENDS6)] {
        let error = icmp_error(&ends, &packet(protocol, &ends, b""));
        let reply = quoted(&error, &parse_ip(&error).unwrap()).unwrap().reply();
        assert_eq!(reply, Tuple { src: ends.dst, dst: ends.src, src_port: 40000, dst_port: 0 });
    }
}

#[test]
fn a_quoted_later_fragment_shows_no_ports() {
    let mut later = ip(UDP, &ENDS4, &[1; 32]);
    fragment_ipv4(&mut later, 64, true, 9);
    let error = icmp_error(&ENDS4, &later);
    let found = quoted(&error, &parse_ip(&error).unwrap()).unwrap();
    assert!(!found.l4_present);
    assert_eq!((found.tuple.src_port, found.tuple.dst_port), (0, 0));

    let later = ipv6_with(44, &fragment_header(UDP, 64, true, 9), &[1; 32], &ENDS6);
    let error = icmp_error(&ENDS6, &later);
    assert!(!quoted(&error, &parse_ip(&error).unwrap()).unwrap().l4_present);
    let first = ipv6_with(44, &fragment_header(UDP, 0, true, 9), &segment(UDP, &ENDS6, &[1; 32]), &ENDS6);
    let error = icmp_error(&ENDS6, &first);
    let found = quoted(&error, &parse_ip(&error).unwrap()).unwrap();
    assert!(found.l4_present);
    assert_eq!((found.tuple.dst_port, usize::from(found.l4)), (80, 48 + 48));
}

#[test]
fn a_quoted_later_fragment_is_translated_without_touching_its_data() {
    let later = |ends: &Ends| {
        let mut later = ip(UDP, ends, &[1; 32]);
        fragment_ipv4(&mut later, 64, true, 9);
        later
    };
    let error = |ends: &Ends| icmp_error(&Ends { src: ends.dst, dst: ends.src, ..*ends }, &later(ends));
    let mut buf = MemoryBuf::new(&error(&OTHER4));
    let mut meta = parse_ip(buf.data()).unwrap();
    assert!(rewrite::translate_icmp_error(&mut buf, &mut meta, &backwards(&OTHER4, &ENDS4, UDP)));
    assert_eq!(buf.data(), error(&ENDS4));
}

#[test]
fn quoted_icmp_that_is_no_echo_has_addresses_only() {
    for (protocol, old, new, kind) in [(ICMP, OTHER4, ENDS4, 13), (ICMPV6, OTHER6, ENDS6, 130)] {
        let class = u16::from(kind) + 1;
        let error = |ends: &Ends| {
            let mut message = segment(protocol, ends, &[4; 8]);
            message[0] = kind;
            message[4..6].copy_from_slice(&[0xab, 0xcd]);
            seal(protocol, ends, &mut message);
            icmp_error(&Ends { src: ends.dst, dst: ends.src, ..*ends }, &ip(protocol, ends, &message))
        };
        let key = |ends: &Ends| Tuple { src: ends.dst, dst: ends.src, src_port: 0, dst_port: class };
        let mut buf = MemoryBuf::new(&error(&old));
        let mut meta = parse_ip(buf.data()).unwrap();
        let found = quoted(buf.data(), &meta).unwrap();
        assert_eq!((found.tuple.src_port, found.tuple.dst_port), (0, class));
        assert!(rewrite::translate_icmp_error(
            &mut buf,
            &mut meta,
            &Translation::new(&key(&old), &key(&new))
        ));
        assert_eq!(buf.data(), error(&new));
    }
}

#[test]
fn what_quotes_no_packet_is_left() {
    let quote = packet(UDP, &ENDS4, b"");
    let mut strange = quote.clone();
    strange[0] = 0x65;
    let mut short_header = quote.clone();
    short_header[0] = 0x44;
    let mut cut_options = quote.clone();
    cut_options[0] = 0x4f;
    let mut quote6 = packet(UDP, &ENDS6, b"");
    quote6[0] = 0x40;
    let echo = packet(ICMP, &ENDS4, &quote);
    let half_chain = ip(60, &ENDS6, &[UDP, 5, 0, 0, 0, 0, 0, 0]);
    for message in [
        icmp_error(&ENDS4, &quote[..19]),
        icmp_error(&ENDS4, &strange),
        icmp_error(&ENDS4, &short_header),
        icmp_error(&ENDS4, &cut_options),
        icmp_error(&ENDS4, &packet(UDP, &ENDS6, b"")),
        icmp_error(&ENDS6, &quote6),
        icmp_error(&ENDS6, &packet(UDP, &ENDS6, b"")[..39]),
        icmp_error(&ENDS6, &half_chain),
        echo,
        packet(TCP, &ENDS4, &quote),
    ] {
        let mut buf = MemoryBuf::new(&message);
        let mut meta = parse_ip(&message).unwrap();
        assert_eq!(quoted(&message, &meta), None);
        let before = meta;
        assert!(!rewrite::translate_icmp_error(&mut buf, &mut meta, &translation(&ENDS4, &OTHER4, UDP)));
        assert_eq!((buf.data(), meta), (&message[..], before));
    }
}

#[test]
fn extensions_behind_the_quoted_packet_are_not_its_data() {
    // RFC 4884: the quotation is padded, structures follow. A quoted UDP of 8 bytes ends where it says.
    let error = |ends: &Ends| {
        let mut quote = packet(UDP, ends, b"");
        quote.extend([0x77; 40]);
        icmp_error(&Ends { src: ends.dst, dst: ends.src, ..*ends }, &quote)
    };
    let mut buf = MemoryBuf::new(&error(&OTHER4));
    let mut meta = parse_ip(buf.data()).unwrap();
    assert_eq!(usize::from(quoted(buf.data(), &meta).unwrap().end), 28 + 28);
    assert!(rewrite::translate_icmp_error(&mut buf, &mut meta, &backwards(&OTHER4, &ENDS4, UDP)));
    assert_eq!(buf.data(), error(&ENDS4));
}

#[test]
fn a_quoted_tcp_header_that_is_cut_before_its_checksum_keeps_the_bytes_behind() {
    // A quotation of 12 transport bytes, in a packet whose length says so; then other data of the message.
    let error = |ends: &Ends| {
        let mut quote = packet(TCP, ends, b"");
        quote.truncate(32);
        quote[2..4].copy_from_slice(&32_u16.to_be_bytes());
        seal_ipv4(&mut quote);
        quote.extend([0x55; 20]);
        icmp_error(&Ends { src: ends.dst, dst: ends.src, ..*ends }, &quote)
    };
    let mut buf = MemoryBuf::new(&error(&OTHER4));
    let mut meta = parse_ip(buf.data()).unwrap();
    assert!(rewrite::translate_icmp_error(&mut buf, &mut meta, &backwards(&OTHER4, &ENDS4, TCP)));
    assert_eq!(buf.data(), error(&ENDS4));
}

#[test]
fn a_meta_of_another_packet_harms_nothing() {
    let meta = parse_ip(&packet(TCP, &ENDS4, &[0; 100])).unwrap();
    for length in 0..60 {
        let mut buf = MemoryBuf::with_tailroom(&vec![0; length], 0);
        let mut meta = Meta { facts: meta.facts | Facts::ICMP_ERROR, ..meta };
        rewrite::apply(&mut buf, &mut meta, &translation(&ENDS4, &OTHER4, TCP));
        let _ = rewrite::decrement_ttl(&mut buf, &mut meta);
        rewrite::clamp_mss(&mut buf, &meta, 1);
        rewrite::set_traffic_class(buf.data_mut(), &mut meta, 3);
        assert!(!rewrite::translate_icmp_error(&mut buf, &mut meta, &translation(&ENDS4, &OTHER4, TCP)));
    }
}

#[test]
fn the_crc_of_sctp_follows_its_ports_at_every_length() {
    for length in (0..300).chain([1400, 8952, 9000, 65503]) {
        let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let (buf, _) = apply(&packet(SCTP, &ENDS4, &payload), &translation(&ENDS4, &OTHER4, SCTP));
        assert!(assert_sound(buf.data(), 0), "length {length}");
    }
}
