//! ICMP that the node originates.

use packet::icmp::{self, IcmpError};
use packet::meta::v4;
use packet::{DropReason, Facts, L4Checksum, MemoryBuf, Meta, PacketBuf, parse, quoted};
use proptest::prelude::*;

use crate::support::*;

const GATEWAY4: [u8; 16] = v4([10, 1, 1, 1]);
const GATEWAY6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn gateway(ends: &Ends) -> [u8; 16] {
    if ends.ipv6 { GATEWAY6 } else { GATEWAY4 }
}

/// The error by hand: RFC 792 or RFC 4443 with a sealed message.
fn by_hand(ends: &Ends, header: [u8; 8], quote: &[u8]) -> Vec<u8> {
    let back = Ends { src: gateway(ends), dst: ends.src, ..*ends };
    let protocol = if ends.ipv6 { ICMPV6 } else { ICMP };
    let mut message = [&header[..], quote].concat();
    seal(protocol, &back, &mut message);
    let mut packet = ip(protocol, &back, &message);
    if !ends.ipv6 {
        packet[1] = 0xc0;
        seal_ipv4(&mut packet);
    }
    packet
}

fn answered(frame: &[u8], error: IcmpError, from: &[u8; 16]) -> (Vec<u8>, Meta) {
    let mut buf = MemoryBuf::new(frame);
    let meta = parse::ethernet(frame).unwrap();
    let answer = icmp::error(&mut buf, &meta, error, from).unwrap();
    assert_eq!(buf.l4_checksum(), L4Checksum::Verified);
    (buf.data().to_vec(), answer)
}

#[test]
fn each_error_has_its_type_and_code() {
    use IcmpError::*;
    for (error, ipv4, ipv6) in [
        (TimeExceeded, [11, 0], [3, 0]),
        (NetworkUnreachable, [3, 0], [1, 0]),
        (HostUnreachable, [3, 1], [1, 3]),
        (PortUnreachable, [3, 3], [1, 4]),
        (AdministrativelyProhibited, [3, 13], [1, 1]),
        (TooBig { mtu: 1468 }, [3, 4], [2, 0]),
    ] {
        for (ends, kind) in [(ENDS4, ipv4), (ENDS6, ipv6)] {
            let about = packet(UDP, &ends, b"data");
            let mtu = if kind == ipv4 && kind[1] == 4 || kind == [2, 0] { [5, 0xbc] } else { [0, 0] };
            let header = [kind[0], kind[1], 0, 0, 0, 0, mtu[0], mtu[1]];
            for frame in [ethernet(&about), tagged(&about, 7)] {
                let (answer, meta) = answered(&frame, error, &gateway(&ends));
                assert_eq!(answer, by_hand(&ends, header, &about), "{error:?}");
                assert_eq!(meta, parse_ip(&answer).unwrap());
                assert!(meta.facts.contains(Facts::ICMP_ERROR));
                let quoted = quoted(&answer, &meta).unwrap();
                assert_eq!((quoted.tuple.src, quoted.tuple.dst_port), (ends.src, 80));
            }
        }
    }
}

proptest! {
    #[test]
    fn as_much_is_quoted_as_the_family_allows(length in 0_usize..1500, padding in 0_usize..50, v6 in any::<bool>()) {
        let ends = if v6 { ENDS6 } else { ENDS4 };
        let about = packet(UDP, &ends, &vec![0x5a; length]);
        let frame = [ethernet(&about), vec![0xff; padding]].concat();
        let (answer, _) = answered(&frame, IcmpError::TimeExceeded, &gateway(&ends));
        let most = if v6 { 1280 - 48 } else { 576 - 28 };
        let header = if v6 { [3, 0, 0, 0, 0, 0, 0, 0] } else { [11, 0, 0, 0, 0, 0, 0, 0] };
        prop_assert_eq!(answer, by_hand(&ends, header, &about[..about.len().min(most)]));
    }

    #[test]
    fn an_echo_reply_is_the_request_with_its_ends_exchanged(
        ends in any_ends(), data in proptest::collection::vec(any::<u8>(), 0..600), class in any::<u8>(), df in any::<bool>(), padding in 0_usize..30,
    ) {
        let protocol = if ends.ipv6 { ICMPV6 } else { ICMP };
        let dress = |mut packet: Vec<u8>, ttl: u8, identification: u16| {
            if ends.ipv6 {
                packet[0] = 0x60 | class >> 4;
                packet[1] = class << 4;
                packet[7] = ttl;
            } else {
                packet[1] = class;
                packet[4..6].copy_from_slice(&identification.to_be_bytes());
                packet[6] = if df { 0x40 } else { 0 };
                packet[8] = ttl;
                seal_ipv4(&mut packet);
            }
            packet
        };
        let request = dress(packet(protocol, &ends, &data), 3, 0x1234);
        let mut reply = segment(protocol, &ends, &data);
        reply[0] = if ends.ipv6 { 129 } else { 0 };
        let back = Ends { src: ends.dst, dst: ends.src, ..ends };
        seal(protocol, &back, &mut reply);
        let expected = dress(ip(protocol, &back, &reply), 64, if df { 0 } else { 0x1234 });

        let frame = [ethernet(&request), vec![0xff; padding]].concat();
        let mut buf = MemoryBuf::new(&frame);
        let meta = parse::ethernet(&frame).unwrap();
        prop_assert!(icmp::is_echo_request(&meta));
        let answer = icmp::echo_reply(&mut buf, &meta).unwrap();
        prop_assert_eq!(buf.data(), &expected);
        prop_assert_eq!(answer, parse_ip(&expected).unwrap());
    }
}

#[test]
fn options_and_extension_headers_are_not_echoed() {
    let mut request = packet(ICMP, &ENDS4, b"data");
    request.splice(20..20, [1; 8]);
    request[0] = 0x47;
    request[3] += 8;
    seal_ipv4(&mut request);
    let mut buf = MemoryBuf::new(&request);
    let meta = parse_ip(&request).unwrap();
    assert_eq!(icmp::echo_reply(&mut buf, &meta).unwrap().l4, 20);
    assert_sound(buf.data(), 0);

    let request = ipv6_with(60, &[ICMPV6, 0, 1, 4, 0, 0, 0, 0], &segment(ICMPV6, &ENDS6, b"data"), &ENDS6);
    let mut buf = MemoryBuf::new(&request);
    let meta = parse_ip(&request).unwrap();
    assert_eq!(icmp::echo_reply(&mut buf, &meta).unwrap().l4, 40);
    assert!(assert_sound(buf.data(), 0));
    assert_eq!(buf.len(), request.len() - 8);
}

#[test]
fn a_damaged_echo_does_not_come_back_intact() {
    for (protocol, ends) in [(ICMP, ENDS4), (ICMPV6, ENDS6)] {
        let mut request = packet(protocol, &ends, b"data");
        *request.last_mut().unwrap() ^= 1;
        let mut buf = MemoryBuf::new(&request);
        let meta = icmp::echo_reply(&mut buf, &parse_ip(&request).unwrap()).unwrap();
        assert_eq!(packet::checksum::verify(buf.data(), &meta), packet::checksum::Verification::Wrong);
    }
}

#[test]
fn only_whole_echo_requests_are_echoed() {
    let mut reply = segment(ICMP, &ENDS4, b"");
    reply[0] = 0;
    let mut v6_type = segment(ICMP, &ENDS4, b"");
    v6_type[0] = 128;
    let mut v4_type = segment(ICMPV6, &ENDS6, b"");
    v4_type[0] = 8;
    let mut first = packet(ICMP, &ENDS4, &[0; 8]);
    fragment_ipv4(&mut first, 0, true, 1);
    let mut flags_like_an_echo = segment(TCP, &ENDS4, b"");
    flags_like_an_echo[13] = 8;
    for other in [
        ip(ICMP, &ENDS4, &reply),
        ip(ICMP, &ENDS4, &v6_type),
        ip(ICMPV6, &ENDS6, &v4_type),
        first,
        ip(TCP, &ENDS4, &flags_like_an_echo),
        packet(UDP, &ENDS6, b""),
    ] {
        let meta = parse_ip(&other).unwrap();
        assert!(!icmp::is_echo_request(&meta));
        let mut buf = MemoryBuf::new(&other);
        assert_eq!(icmp::echo_reply(&mut buf, &meta), Err(DropReason::InvalidL4));
        assert_eq!(buf.data(), other);
    }
}

#[test]
fn a_partial_checksum_is_completed_before_it_is_quoted() {
    let whole = packet(TCP, &ENDS4, b"data");
    let mut partial = whole.clone();
    let pseudo = slow_sum(&pseudo_header(&A4, &B4, TCP, 24, false));
    partial[36..38].copy_from_slice(&pseudo.to_be_bytes());
    let mut buf = MemoryBuf::new(&partial);
    buf.set_l4_checksum(L4Checksum::Partial);
    let meta = parse_ip(&partial).unwrap();
    icmp::error(&mut buf, &meta, IcmpError::PortUnreachable, &GATEWAY4).unwrap();
    assert_eq!(buf.data(), by_hand(&ENDS4, [3, 3, 0, 0, 0, 0, 0, 0], &whole));
}

#[test]
fn without_headroom_there_is_no_error() {
    let about = packet(UDP, &ENDS4, b"data");
    let meta = parse_ip(&about).unwrap();
    for headroom in 0..28 {
        let mut buf = MemoryBuf::with_room(&about, headroom, 0);
        assert_eq!(
            icmp::error(&mut buf, &meta, IcmpError::TimeExceeded, &GATEWAY4),
            Err(DropReason::Headroom)
        );
    }
    let mut buf = MemoryBuf::with_room(&about, 28, 0);
    assert!(icmp::error(&mut buf, &meta, IcmpError::TimeExceeded, &GATEWAY4).is_ok());
}

#[test]
fn what_rfc_1812_and_rfc_4443_forbid_is_not_answered() {
    let may = |packet: &[u8]| icmp::may_answer(&parse_ip(packet).unwrap());
    assert!(may(&packet(UDP, &ENDS4, b"")));
    assert!(may(&packet(ICMP, &ENDS4, b"")), "an echo is no error");
    assert!(may(&packet(ICMPV6, &ENDS6, b"")));
    let icmp_of = |protocol: u8, ends: &Ends, kind: u8| {
        let mut message = segment(protocol, ends, &[0; 40]);
        message[0] = kind;
        ip(protocol, ends, &message)
    };
    for kind in [3, 4, 5, 11, 12] {
        assert!(!may(&icmp_of(ICMP, &ENDS4, kind)), "type {kind}");
    }
    for kind in [1, 2, 3, 4, 100, 137] {
        assert!(!may(&icmp_of(ICMPV6, &ENDS6, kind)), "type {kind}");
    }
    assert!(may(&icmp_of(ICMPV6, &ENDS6, 135)));
    assert!(!may(&packet(UDP, &Ends { dst: v4([224, 0, 0, 5]), ..ENDS4 }, b"")));
    assert!(!may(&packet(UDP, &Ends { dst: v4([255; 4]), ..ENDS4 }, b"")));
    let nobody = Ends { src: v4([0; 4]), src_port: 68, dst_port: 67, ..ENDS4 };
    assert!(!may(&packet(UDP, &nobody, b"")));
    let mut later = ip(UDP, &ENDS4, b"later");
    fragment_ipv4(&mut later, 8, false, 1);
    assert!(!may(&later));
    let mut first = packet(UDP, &ENDS4, &[0; 8]);
    fragment_ipv4(&mut first, 0, true, 1);
    assert!(may(&first));
    // 137 among the flags of a TCP header is no redirect.
    let mut tcp = segment(TCP, &ENDS6, b"");
    tcp[13] = 137;
    assert!(may(&ip(TCP, &ENDS6, &tcp)));
}

#[test]
fn etherparse_reads_what_we_say() {
    use etherparse::icmpv4::DestUnreachableHeader;
    use etherparse::{Icmpv4Type, Icmpv6Type, SlicedPacket, TransportSlice};
    let (answer, _) =
        answered(&ethernet(&packet(UDP, &ENDS4, b"data")), IcmpError::TooBig { mtu: 1400 }, &GATEWAY4);
    let Some(TransportSlice::Icmpv4(icmp)) = SlicedPacket::from_ip(&answer).unwrap().transport else {
        panic!()
    };
    let expected = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(expected));
    let (answer, _) =
        answered(&ethernet(&packet(UDP, &ENDS6, b"data")), IcmpError::TooBig { mtu: 1400 }, &GATEWAY6);
    let Some(TransportSlice::Icmpv6(icmp)) = SlicedPacket::from_ip(&answer).unwrap().transport else {
        panic!()
    };
    assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1400 });
    assert!(icmp.is_checksum_valid(GATEWAY6, A6));
}

/// A TCP segment with these flags, sequence and acknowledgement numbers.
fn tcp(ends: &Ends, flags: u8, sequence: u32, acknowledgement: u32, payload: &[u8]) -> Vec<u8> {
    let mut all = segment(TCP, ends, payload);
    all[4..8].copy_from_slice(&sequence.to_be_bytes());
    all[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
    all[13] = flags;
    seal(TCP, ends, &mut all);
    ip(TCP, ends, &all)
}

#[test]
fn a_segment_is_reset_as_by_its_receiver() {
    const MAX: u32 = u32::MAX;
    // Flags, sequence, acknowledgement and length of the segment; flags, sequence, acknowledgement of the reset.
    for (flags, sequence, acknowledgement, length, reset) in [
        (0x02, 1000, 0, 0, (0x14, 0, 1001)),
        (0x02, MAX, 0, 4, (0x14, 0, 4)),
        (0x01, 1000, 0, 0, (0x14, 0, 1001)),
        (0x00, 1000, 7, 5, (0x14, 0, 1005)),
        (0x10, 1000, 77, 5, (0x04, 77, 0)),
        (0x12, 1000, 77, 0, (0x04, 77, 0)),
        (0x11, 1000, MAX, 9, (0x04, MAX, 0)),
    ] {
        for ends in [ENDS4, ENDS6] {
            let frame = ethernet(&tcp(&ends, flags, sequence, acknowledgement, &[9; 9][..length]));
            let mut buf = MemoryBuf::new(&frame);
            let meta = parse::ethernet(&frame).unwrap();
            packet::tcp_reset(&mut buf, &meta).unwrap();
            let Ends { src, dst, src_port, dst_port, ipv6 } = ends;
            let back = Ends { src: dst, dst: src, src_port: dst_port, dst_port: src_port, ipv6 };
            let mut expected = tcp(&back, reset.0, reset.1, reset.2, &[]);
            // A reset offers no window.
            let l4 = expected.len() - 20;
            expected[l4 + 14..l4 + 16].fill(0);
            seal(TCP, &back, &mut expected[l4..]);
            assert_eq!(buf.data(), expected, "flags {flags:#x}");
        }
    }
}

#[test]
fn a_reset_is_not_ecn_capable() {
    let mut packet = tcp(&ENDS4, 2, 1, 0, &[]);
    packet[1] = 0xba;
    seal_ipv4(&mut packet);
    let frame = ethernet(&packet);
    let mut buf = MemoryBuf::new(&frame);
    packet::tcp_reset(&mut buf, &parse::ethernet(&frame).unwrap()).unwrap();
    assert_eq!(buf.data()[1], 0xb8);
}

#[test]
fn nothing_but_a_whole_segment_is_reset_and_a_reset_is_not() {
    let refused = |packet: &[u8]| {
        let frame = ethernet(packet);
        let mut buf = MemoryBuf::new(&frame);
        let meta = parse::ethernet(&frame).unwrap();
        assert_eq!(packet::tcp_reset(&mut buf, &meta), Err(DropReason::InvalidL4));
        assert_eq!(buf.data(), frame);
    };
    refused(&tcp(&ENDS4, 0x04, 1, 2, &[]));
    refused(&tcp(&ENDS6, 0x14, 1, 2, &[]));
    refused(&packet(UDP, &ENDS4, &[1, 2, 3]));
    let mut first = tcp(&ENDS4, 0x10, 1, 2, &[0; 12]);
    fragment_ipv4(&mut first, 0, true, 7);
    refused(&first);
}
