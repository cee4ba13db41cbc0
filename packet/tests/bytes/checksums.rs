//! Sums, differences and CRCs against the slow twins.

use packet::Facts;
use packet::checksum::{self, Delta, Sum, Verification};
use proptest::prelude::*;

use crate::support::*;

/// What RFC 1624 calls equation 3, in the arithmetic of the integers modulo 0xffff.
fn is_same_sum(a: u16, b: u16) -> bool {
    u32::from(a) % 0xffff == u32::from(b) % 0xffff
}

proptest! {
    #[test]
    fn the_fast_sum_is_the_slow_sum(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(Sum::of(&bytes).fold(), slow_sum(&bytes));
        prop_assert_eq!(checksum::internet(&bytes), !slow_sum(&bytes));
    }

    #[test]
    fn parts_add_up_in_any_order(bytes in proptest::collection::vec(any::<u8>(), 2..400), at in any::<proptest::sample::Index>()) {
        let (left, right) = bytes.split_at(at.index(bytes.len()) & !1);
        prop_assert_eq!(Sum::of(right).plus(Sum::of(left)).fold(), slow_sum(&bytes));
    }

    #[test]
    fn the_pseudo_header_needs_no_two_versions(ends in any_ends(), protocol in any::<u8>(), length in 0_u16..) {
        let slow = slow_sum(&pseudo_header(&ends.src, &ends.dst, protocol, usize::from(length), ends.ipv6));
        prop_assert_eq!(checksum::pseudo_header(&ends.src, &ends.dst, protocol, u32::from(length)).fold(), slow);
    }

    #[test]
    fn an_updated_checksum_is_the_one_computed_anew(
        mut header in any::<[u8; 20]>(), field in 0_usize..9, new in any::<u16>(),
    ) {
        header[18..20].fill(0);
        header[0] |= 1; // some word is not zero
        let old = [header[field * 2], header[field * 2 + 1]];
        let before = checksum::internet(&header);
        let delta = Delta::between(Sum::of(&old), Sum::word(new));
        header[field * 2..field * 2 + 2].copy_from_slice(&new.to_be_bytes());
        prop_assume!(slow_sum(&header) != 0);
        prop_assert_eq!(delta.apply(before), !slow_sum(&header));
        prop_assert_eq!(delta.apply_partial(!before), slow_sum(&header));
    }

    #[test]
    fn differences_add_subtract_and_store(a in any::<(u32, u32)>(), b in any::<(u32, u32)>(), checksum in any::<u16>()) {
        let delta = |(old, new)| Delta::between(Sum::double_word(old), Sum::double_word(new));
        let both = delta(a).plus(delta(b));
        prop_assert!(is_same_sum(!both.apply(checksum), !delta(b).apply(delta(a).apply(checksum))));
        prop_assert_eq!(both.minus(delta(b)), delta(a));
        prop_assert_eq!(Delta::from_raw(both.raw()), both);
        prop_assert_ne!(both.raw(), 0xffff);
    }

    #[test]
    fn a_wrong_checksum_stays_wrong(checksum in any::<u16>(), error in 1_u16..0xffff, old in any::<u32>(), new in any::<u32>()) {
        let delta = Delta::between(Sum::double_word(old), Sum::double_word(new));
        let wrong = Delta::from_raw(error).apply(checksum);
        prop_assert!(!is_same_sum(!delta.apply(checksum), !delta.apply(wrong)));
    }

    #[test]
    fn verification_finds_any_flipped_bit((ends, protocol, packet) in any_packet(), bit in any::<proptest::sample::Index>()) {
        let meta = parse_ip(&packet).unwrap();
        prop_assume!(protocol != UDP_LITE);
        prop_assert_eq!(checksum::verify(&packet, &meta), Verification::Correct);
        let mut damaged = packet;
        let l4 = usize::from(meta.l4);
        let bit = bit.index((damaged.len() - l4) * 8);
        damaged[l4 + bit / 8] ^= 0x80 >> (bit % 8);
        // UDP lengths are checked by the parser; a UDP checksum that became zero is none.
        prop_assume!(parse_ip(&damaged).is_ok() && !(protocol == UDP && !ends.ipv6 && be16(&damaged, l4 + 6) == 0));
        prop_assert_eq!(checksum::verify(&damaged, &parse_ip(&damaged).unwrap()), Verification::Wrong);
    }

    #[test]
    fn completing_and_filling_give_the_slow_checksum((ends, protocol, packet) in any_packet()) {
        let meta = parse_ip(&packet).unwrap();
        let l4 = usize::from(meta.l4);
        let mut partial = packet.clone();
        match protocol {
            SCTP => partial[l4 + 8..l4 + 12].fill(0x77),
            _ => {
                let field = l4 + checksum::field_offset(protocol).unwrap();
                let length = packet.len() - l4;
                let pseudo = if protocol == ICMP { 0 } else { slow_sum(&pseudo_header(&ends.src, &ends.dst, protocol, length, ends.ipv6)) };
                partial[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
            }
        }
        let told = matches!(protocol, TCP | UDP);
        prop_assert_eq!(checksum::is_partial(&partial, &meta), told);
        prop_assert!(checksum::complete(&mut partial, &meta));
        prop_assert_eq!(&partial, &packet);
        prop_assert_eq!(checksum::verify(&partial, &meta), Verification::Correct);
        if protocol != SCTP {
            let field = l4 + checksum::field_offset(protocol).unwrap();
            partial[field..field + 2].copy_from_slice(&[0xde, 0xad]);
        }
        checksum::fill(&mut partial, &meta);
        prop_assert_eq!(&partial, &packet);
    }
}

#[test]
fn the_sum_of_the_longest_packet_does_not_overflow() {
    assert_eq!(Sum::of(&[0xff; 65535]).fold(), slow_sum(&[0xff; 65535]));
    assert_eq!(Sum::of(&[]).fold(), 0);
    assert_eq!(Sum::of(&[0; 40]).fold(), 0);
}

#[test]
fn a_sum_longer_than_any_packet_carries_to_the_end() {
    // Folded once, this is 0x1ffff: the next carry brings another.
    let mut bytes = vec![0xff; 65537 * 4];
    bytes.extend(0x0001_0000_u32.to_ne_bytes());
    assert_eq!(Sum::of(&bytes).fold(), slow_sum(&bytes));
}

#[test]
fn rfc_1624_example_gives_zero_and_not_its_other_form() {
    // RFC 1624 §4: C = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000.
    let delta = Delta::between(Sum::word(0x5555), Sum::word(0x3285));
    assert_eq!(delta.apply(0xdd2f), 0x0000);
    assert_eq!(delta.apply_udp(0xdd2f), 0xffff);
}

#[test]
fn no_change_changes_no_checksum_at_all() {
    let same = Delta::between(Sum::word(0x1234), Sum::word(0x1234));
    assert_eq!(same, Delta::NONE);
    assert_eq!(Delta::between(Sum::word(0), Sum::word(0xffff)), Delta::NONE, "both are zero");
    for checksum in [0, 1, 0x7fff, 0xfffe, 0xffff] {
        assert_eq!(same.apply(checksum), checksum);
        assert_eq!(same.apply_udp(checksum), checksum);
        assert_eq!(same.apply_partial(checksum), checksum);
    }
    assert_eq!(Delta::from_raw(0xffff), Delta::NONE);
}

#[test]
fn a_udp_checksum_of_zero_is_none_and_stays() {
    for raw in [1, 0x1234, 0xfffe] {
        assert_eq!(Delta::from_raw(raw).apply_udp(0), 0);
    }
    assert_eq!(Delta::from_raw(0x10).apply_udp(0x10), 0xffff, "a computed zero");
    assert_eq!(Delta::from_raw(1).apply_udp(0xffff), 0xfffe);
    assert_eq!(Sum::word(0xffff).udp_checksum(), 0xffff);
    assert_eq!(Sum::word(0xffff).checksum(), 0);
    assert_eq!(Sum::word(0x00ff).udp_checksum(), 0xff00);
}

/// The other zero of one's complement. Linux sends it in TCP, once in 65 536 packets, where it completes checksums in
/// software (`CSUM_MANGLED_0`); whoever computes writes zero.
#[test]
fn tcp_s_other_zero_is_right_and_never_made_here() {
    for ends in [ENDS4, ENDS6] {
        let found = (0..=u16::MAX)
            .map(|port| Ends { src_port: port, ..ends })
            .find(|ends| be16(&segment(TCP, ends, b""), 16) == 0);
        let ends = found.expect("some port makes the checksum zero");
        let mut packet = packet(TCP, &ends, b"");
        let meta = parse_ip(&packet).unwrap();
        let field = usize::from(meta.l4) + 16;
        packet[field..field + 2].fill(0xff);
        assert_eq!(checksum::verify(&packet, &meta), Verification::Correct);
        assert!(!checksum::is_partial(&packet, &meta));
        checksum::fill(&mut packet, &meta);
        assert_eq!(packet[field..field + 2], [0, 0]);
    }
    for raw in 1..0xffff {
        let change = Delta::from_raw(raw);
        assert_eq!(change.apply(0xffff), change.apply(0), "translated, it is like zero");
        assert_ne!(change.apply(raw), 0xffff, "where the sum becomes zero");
    }
}

#[test]
fn a_ttl_less_by_one_is_a_constant_difference() {
    for (ttl, protocol) in [(64, TCP), (2, 0), (255, 255), (1, 255)] {
        let old = Sum::word(u16::from_be_bytes([ttl, protocol]));
        let new = Sum::word(u16::from_be_bytes([ttl - 1, protocol]));
        assert_eq!(Delta::between(old, new), Delta::TTL_DECREMENT);
    }
}

#[test]
fn verification_tells_absent_from_wrong() {
    let mut none = packet(UDP, &ENDS4, b"data");
    none[26..28].fill(0);
    assert_eq!(checksum::verify(&none, &parse_ip(&none).unwrap()), Verification::Absent);
    let mut none = packet(UDP, &ENDS6, b"data");
    none[46..48].fill(0);
    assert_eq!(checksum::verify(&none, &parse_ip(&none).unwrap()), Verification::Wrong);
    let mut none = packet(UDP_LITE, &ENDS4, b"data");
    none[26..28].fill(0);
    assert_eq!(checksum::verify(&none, &parse_ip(&none).unwrap()), Verification::Wrong);
    let other = ip(GRE, &ENDS4, &[0; 8]);
    assert_eq!(checksum::verify(&other, &parse_ip(&other).unwrap()), Verification::Absent);
    let mut first = packet(TCP, &ENDS4, &[7; 12]);
    fragment_ipv4(&mut first, 0, true, 1);
    let meta = parse_ip(&first).unwrap();
    assert_eq!(checksum::verify(&first, &meta), Verification::Absent);
    assert!(!checksum::complete(&mut first, &meta));
}

#[test]
fn a_udp_checksum_that_sums_to_zero_in_form_only_is_wrong() {
    // A zero that would have to be all ones: sums up right, says "none".
    let mut ends = ENDS6;
    let mut found = false;
    for port in 0..=u16::MAX {
        ends.src_port = port;
        let udp = segment(UDP, &ends, b"");
        if be16(&udp, 6) == 0xffff {
            let mut packet = ip(UDP, &ends, &udp);
            assert_eq!(checksum::verify(&packet, &parse_ip(&packet).unwrap()), Verification::Correct);
            packet[46..48].fill(0);
            let meta = parse_ip(&packet).unwrap();
            assert_eq!(checksum::verify(&packet, &meta), Verification::Wrong);
            checksum::fill(&mut packet, &meta);
            assert_eq!(packet[46..48], [0xff, 0xff]);
            found = true;
            break;
        }
    }
    assert!(found);
}

#[test]
fn a_udp_lite_checksum_covers_what_it_says() {
    for coverage in [0_u16, 8, 10] {
        let mut lite = segment(UDP_LITE, &ENDS4, b"abcdef");
        lite[4..6].copy_from_slice(&coverage.to_be_bytes());
        seal(UDP_LITE, &ENDS4, &mut lite);
        let mut packet = ip(UDP_LITE, &ENDS4, &lite);
        let meta = parse_ip(&packet).unwrap();
        assert_eq!(checksum::verify(&packet, &meta), Verification::Correct);
        let last = packet.len() - 1;
        packet[last] ^= 1;
        let expected = if coverage == 0 { Verification::Wrong } else { Verification::Correct };
        assert_eq!(checksum::verify(&packet, &meta), expected, "coverage {coverage}");
        packet[20] ^= 1;
        assert_eq!(checksum::verify(&packet, &meta), Verification::Wrong);
    }
}

#[test]
fn data_behind_a_udp_length_is_not_covered() {
    let mut udp = segment(UDP, &ENDS4, b"abcd");
    udp.extend(b"surplus");
    let packet = ip(UDP, &ENDS4, &udp);
    assert_eq!(checksum::verify(&packet, &parse_ip(&packet).unwrap()), Verification::Correct);
}

#[test]
fn a_packet_of_a_protocol_without_checksum_cannot_be_completed() {
    let mut other = ip(GRE, &ENDS4, &[3; 30]);
    let before = other.clone();
    let mut meta = parse_ip(&other).unwrap();
    assert!(!checksum::complete(&mut other, &meta));
    meta.facts |= Facts::L4;
    assert!(!checksum::complete(&mut other, &meta));
    checksum::fill(&mut other, &meta);
    assert_eq!(other, before);
}

#[test]
fn crc32c_of_the_check_string() {
    // The catalogue's check value for CRC-32/ISCSI.
    assert_eq!(slow_crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn checksum_fields_are_where_the_headers_have_them() {
    let fields = [TCP, UDP, UDP_LITE, ICMP, ICMPV6, SCTP, GRE].map(checksum::field_offset);
    assert_eq!(fields, [Some(16), Some(6), Some(6), Some(2), Some(2), None, None]);
}
