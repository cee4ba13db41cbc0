//! ARP and neighbour discovery.

use std::net::Ipv4Addr;

use etherparse::{ArpOperation, ArpPacketSlice};
use packet::arp::{self, Arp, Operation};
use packet::nd::{self, Advertise, Message};
use packet::{DropReason, L4Checksum, MemoryBuf, PacketBuf, parse};
use proptest::prelude::*;

use crate::support::*;

const ASKER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 3);
const ASKED: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
const TARGET: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
const SOLICITED: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 2, 3, 4];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn arp_frame(arp: &[u8]) -> Vec<u8> {
    [&[0xff; 6][..], &MAC_A, &[8, 6], arp].concat()
}

fn read(frame: &[u8]) -> Result<Arp, DropReason> {
    arp::parse(frame, &parse::ethernet(frame).unwrap())
}

proptest! {
    #[test]
    fn arp_is_written_as_rfc_826_has_it_and_read_back(
        macs in any::<([u8; 6], [u8; 6])>(), sender in 1_u32..0x7f00_0000, target in any::<u32>(), reply in any::<bool>(),
    ) {
        let mut sender_mac = macs.0;
        sender_mac[0] = sender_mac[0] & 0xfe | 2;
        let operation = if reply { Operation::Reply } else { Operation::Request };
        let arp = Arp { operation, sender_mac, sender: sender.into(), target_mac: macs.1, target: target.into() };
        let bytes = arp.to_bytes();
        let slice = ArpPacketSlice::from_slice(&bytes).unwrap();
        prop_assert_eq!(slice.operation(), ArpOperation(if reply { 2 } else { 1 }));
        prop_assert_eq!((slice.hw_addr_type().0, slice.proto_addr_type().0), (1, 0x0800));
        prop_assert_eq!((slice.hw_addr_size(), slice.proto_addr_size()), (6, 4));
        prop_assert_eq!(slice.sender_hw_addr(), sender_mac);
        prop_assert_eq!(slice.sender_protocol_addr(), sender.to_be_bytes());
        prop_assert_eq!(slice.target_hw_addr(), macs.1);
        prop_assert_eq!(slice.target_protocol_addr(), target.to_be_bytes());
        prop_assert_eq!(read(&arp_frame(&bytes)), Ok(arp));
    }
}

#[test]
fn a_request_is_answered_in_its_own_frame() {
    let request = Arp::request(MAC_A, ASKER, ASKED);
    assert_eq!((request.operation, request.target_mac), (Operation::Request, [0; 6]));
    let reply = request.reply(MAC_B);
    let expected = Arp {
        operation: Operation::Reply,
        sender_mac: MAC_B,
        sender: ASKED,
        target_mac: MAC_A,
        target: ASKER,
    };
    assert_eq!(reply, expected);
    let padded = [arp_frame(&request.to_bytes()), vec![0; 18]].concat();
    let tagged = [&[0xff; 6][..], &MAC_A, &[0x81, 0, 0, 5, 8, 6], &request.to_bytes()].concat();
    for frame in [padded, tagged] {
        let meta = parse::ethernet(&frame).unwrap();
        let mut buf = MemoryBuf::new(&frame);
        arp::answer(&mut buf, &meta, &reply).unwrap();
        assert_eq!(buf.data()[..12], [MAC_A, MAC_B].concat());
        assert_eq!(buf.data()[12..usize::from(meta.l3)], frame[12..usize::from(meta.l3)]);
        assert_eq!(buf.data()[usize::from(meta.l3)..], expected.to_bytes());
    }
    let mut short = MemoryBuf::with_room(&[0; 20], 0, 0);
    let meta = parse::ethernet(&arp_frame(&request.to_bytes())).unwrap();
    assert_eq!(arp::answer(&mut short, &meta, &reply), Err(DropReason::InvalidArp));
    assert_eq!(short.data(), [0; 20]);
}

#[test]
fn probes_and_announcements_are_told_apart() {
    let announcement = Arp::announcement(MAC_A, ASKED);
    assert!(announcement.is_gratuitous() && !announcement.is_probe());
    assert_eq!((announcement.sender, announcement.target), (ASKED, ASKED));
    let probe = Arp::request(MAC_A, Ipv4Addr::UNSPECIFIED, ASKED);
    assert!(probe.is_probe() && !probe.is_gratuitous());
    let nothing = Arp::request(MAC_A, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    assert!(!nothing.is_gratuitous());
    let request = Arp::request(MAC_A, ASKER, ASKED);
    assert!(!request.is_probe() && !request.is_gratuitous());
    assert_eq!(read(&arp_frame(&probe.to_bytes())), Ok(probe));
}

#[test]
fn arp_that_cannot_be_is_refused() {
    let good = Arp::request(MAC_A, ASKER, ASKED).to_bytes();
    assert!(read(&arp_frame(&good)).is_ok());
    for length in 0..28 {
        assert_eq!(read(&arp_frame(&good[..length])), Err(DropReason::Truncated), "length {length}");
    }
    for (at, value) in
        [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 0), (7, 3), (8, 1), (8, 3), (14, 224), (14, 127)]
    {
        let mut bad = good;
        bad[at] = value;
        assert_eq!(read(&arp_frame(&bad)), Err(DropReason::InvalidArp), "byte {at}");
    }
    let mut nobody = good;
    nobody[8..14].fill(0);
    assert_eq!(read(&arp_frame(&nobody)), Err(DropReason::InvalidArp));
    let mut everybody = good;
    everybody[14..18].fill(0xff);
    assert_eq!(read(&arp_frame(&everybody)), Err(DropReason::InvalidArp));
}

/// A neighbour discovery packet by hand.
fn nd_packet(src: [u8; 16], dst: [u8; 16], hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let ends = Ends { src, dst, ..ENDS6 };
    let mut message = message.to_vec();
    seal(ICMPV6, &ends, &mut message);
    let mut packet = ip(ICMPV6, &ends, &message);
    packet[7] = hop_limit;
    packet
}

fn message(kind: u8, flags: u8, target: [u8; 16], options: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, flags, 0, 0, 0][..], &target, options].concat()
}

const SOURCE_MAC: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 0xa];
const TARGET_MAC: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 0xb];
/// What Linux adds to its duplicate address probes (RFC 7527).
const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];

fn understood(packet: &[u8]) -> Result<Message, DropReason> {
    nd::parse(packet, &parse_ip(packet).unwrap())
}

#[test]
fn solicitations_are_read() {
    let packet = nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &SOURCE_MAC));
    assert_eq!(understood(&packet), Ok(Message::Solicitation { target: TARGET, source_mac: Some(MAC_A) }));
    assert!(!nd::is_duplicate_probe(&parse_ip(&packet).unwrap()));
    let unicast = nd_packet(LINK_LOCAL, TARGET, 255, &message(135, 0, TARGET, &[]));
    assert_eq!(understood(&unicast), Ok(Message::Solicitation { target: TARGET, source_mac: None }));
    let probe = nd_packet([0; 16], SOLICITED, 255, &message(135, 0, TARGET, &NONCE));
    assert_eq!(understood(&probe), Ok(Message::Solicitation { target: TARGET, source_mac: None }));
    assert!(nd::is_duplicate_probe(&parse_ip(&probe).unwrap()));
    let both = [NONCE, SOURCE_MAC].concat();
    let packet = nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &both));
    assert_eq!(understood(&packet), Ok(Message::Solicitation { target: TARGET, source_mac: Some(MAC_A) }));
}

#[test]
fn advertisements_are_read_with_each_flag() {
    for flags in 0..8_u8 {
        let packet = nd_packet(TARGET, LINK_LOCAL, 255, &message(136, flags << 5, TARGET, &TARGET_MAC));
        let expected = Message::Advertisement {
            target: TARGET,
            target_mac: Some(MAC_B),
            router: flags & 4 != 0,
            solicited: flags & 2 != 0,
            overrides: flags & 1 != 0,
        };
        assert_eq!(understood(&packet), Ok(expected));
        let group = nd_packet(TARGET, ALL_NODES, 255, &message(136, flags << 5, TARGET, &TARGET_MAC));
        let expected = if flags & 2 != 0 { Err(DropReason::InvalidNd) } else { Ok(expected) };
        assert_eq!(understood(&group), expected, "a solicited answer to a group");
    }
}

#[test]
fn router_solicitations_are_read() {
    let with = |src: [u8; 16], options: &[u8]| {
        let message = [&[133, 0, 0, 0, 0, 0, 0, 0][..], options].concat();
        understood(&nd_packet(src, [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], 255, &message))
    };
    assert_eq!(with(LINK_LOCAL, &SOURCE_MAC), Ok(Message::RouterSolicitation { source_mac: Some(MAC_A) }));
    assert_eq!(with(LINK_LOCAL, &[]), Ok(Message::RouterSolicitation { source_mac: None }));
    assert_eq!(with([0; 16], &[]), Ok(Message::RouterSolicitation { source_mac: None }));
    assert_eq!(with([0; 16], &SOURCE_MAC), Err(DropReason::InvalidNd));
}

#[test]
fn router_advertisements_and_redirects_are_the_hosts() {
    for kind in [134, 137] {
        let packet = nd_packet(LINK_LOCAL, ALL_NODES, 255, &message(kind, 0, TARGET, &[]));
        assert_eq!(understood(&packet), Ok(Message::Other));
    }
}

#[test]
fn each_check_of_rfc_4861_refuses() {
    let good = message(135, 0, TARGET, &SOURCE_MAC);
    let refused =
        |packet: &[u8], why: &str| assert_eq!(understood(packet), Err(DropReason::InvalidNd), "{why}");
    refused(&nd_packet(LINK_LOCAL, SOLICITED, 254, &good), "hop limit");
    let mut checksum = nd_packet(LINK_LOCAL, SOLICITED, 255, &good);
    checksum[42] ^= 1;
    refused(&checksum, "checksum");
    let mut code = good.clone();
    code[1] = 1;
    refused(&nd_packet(LINK_LOCAL, SOLICITED, 255, &code), "code");
    refused(&nd_packet(LINK_LOCAL, SOLICITED, 255, &good[..23]), "length");
    refused(&nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, ALL_NODES, &[])), "multicast target");
    refused(&nd_packet(LINK_LOCAL, LINK_LOCAL, 255, &message(136, 0, ALL_NODES, &[])), "multicast target");
    refused(
        &nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &[1, 0, 0, 0, 0, 0, 0, 0])),
        "empty option",
    );
    refused(
        &nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &[1, 2, 0, 0, 0, 0, 0, 0])),
        "cut option",
    );
    refused(&nd_packet([0; 16], SOLICITED, 255, &good), "an option from nobody");
    refused(
        &nd_packet([0; 16], ALL_NODES, 255, &message(135, 0, TARGET, &[])),
        "not to the solicited-node group",
    );
    refused(
        &nd_packet([0; 16], TARGET, 255, &message(135, 0, TARGET, &[])),
        "not to the solicited-node group",
    );
    refused(&packet(ICMPV6, &ENDS6, b"an echo, not discovery"), "another message");
    let ends = Ends { src: LINK_LOCAL, dst: SOLICITED, ..ENDS6 };
    let mut fragmented = good.clone();
    seal(ICMPV6, &ends, &mut fragmented);
    let mut fragmented = ipv6_with(44, &fragment_header(ICMPV6, 0, true, 1), &fragmented, &ends);
    fragmented[7] = 255;
    refused(&fragmented, "a fragment (RFC 6980)");
}

#[test]
fn addresses_of_groups() {
    assert_eq!(nd::solicited_node(&TARGET), SOLICITED);
    assert_eq!(nd::multicast_mac(&SOLICITED), [0x33, 0x33, 0xff, 2, 3, 4]);
}

#[test]
fn a_solicitation_goes_to_the_group_or_to_a_known_neighbour() {
    let (mac, packet) = nd::solicitation(MAC_A, &LINK_LOCAL, &TARGET, None);
    assert_eq!(mac, [0x33, 0x33, 0xff, 2, 3, 4]);
    assert_eq!(packet.to_vec(), nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &SOURCE_MAC)));
    let (mac, packet) = nd::solicitation(MAC_A, &LINK_LOCAL, &TARGET, Some(MAC_B));
    assert_eq!(mac, MAC_B);
    assert_eq!(packet.to_vec(), nd_packet(LINK_LOCAL, TARGET, 255, &message(135, 0, TARGET, &SOURCE_MAC)));
}

#[test]
fn a_solicitation_is_answered_in_its_own_frame() {
    for (router, overrides, flags) in
        [(true, true, 0xe0), (false, false, 0x40), (true, false, 0xc0), (false, true, 0x60)]
    {
        let advertise = Advertise { target: TARGET, source: TARGET, mac: MAC_B, router, overrides };
        // Longer, shorter and as long as the answer.
        for options in [&[][..], &SOURCE_MAC, &[SOURCE_MAC, NONCE].concat()] {
            let ask = nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, options));
            let expected = nd_packet(TARGET, LINK_LOCAL, 255, &message(136, flags, TARGET, &TARGET_MAC));
            for frame in [ethernet(&ask), tagged(&ask, 5)] {
                let meta = parse::ethernet(&frame).unwrap();
                let mut buf = MemoryBuf::new(&frame);
                nd::answer(&mut buf, &meta, &advertise).unwrap();
                let l3 = usize::from(meta.l3);
                assert_eq!(buf.data()[..12], [MAC_A, MAC_B].concat());
                assert_eq!(buf.data()[12..l3], frame[12..l3]);
                assert_eq!(buf.data()[l3..], expected);
                assert_eq!(buf.l4_checksum(), L4Checksum::Verified);
            }
        }
    }
}

#[test]
fn a_duplicate_probe_is_answered_to_all_nodes() {
    let probe = ethernet(&nd_packet([0; 16], SOLICITED, 255, &message(135, 0, TARGET, &[])));
    let mut buf = MemoryBuf::new(&probe);
    let advertise = Advertise { target: TARGET, source: TARGET, mac: MAC_B, router: true, overrides: true };
    nd::answer(&mut buf, &parse::ethernet(&probe).unwrap(), &advertise).unwrap();
    assert_eq!(buf.data()[..12], [[0x33, 0x33, 0, 0, 0, 1], MAC_B].concat());
    let expected = nd_packet(TARGET, ALL_NODES, 255, &message(136, 0xa0, TARGET, &TARGET_MAC));
    assert_eq!(buf.data()[14..], expected);
    assert_eq!(advertise.unsolicited(), ([0x33, 0x33, 0, 0, 0, 1], expected.try_into().unwrap()));
}

#[test]
fn a_proxy_speaks_from_its_own_address() {
    let ask = ethernet(&nd_packet(LINK_LOCAL, SOLICITED, 255, &message(135, 0, TARGET, &SOURCE_MAC)));
    let mut buf = MemoryBuf::new(&ask);
    let advertise = Advertise { target: TARGET, source: A6, mac: MAC_B, router: true, overrides: false };
    nd::answer(&mut buf, &parse::ethernet(&ask).unwrap(), &advertise).unwrap();
    assert_eq!(buf.data()[14..], nd_packet(A6, LINK_LOCAL, 255, &message(136, 0xc0, TARGET, &TARGET_MAC)));
    let unsolicited = nd_packet(A6, ALL_NODES, 255, &message(136, 0x80, TARGET, &TARGET_MAC));
    assert_eq!(advertise.unsolicited().1.to_vec(), unsolicited);
}

#[test]
fn an_answer_without_room_is_named() {
    let probe = ethernet(&nd_packet([0; 16], SOLICITED, 255, &message(135, 0, TARGET, &[])));
    let mut buf = MemoryBuf::with_tailroom(&probe, 7);
    let advertise = Advertise { target: TARGET, source: TARGET, mac: MAC_B, router: true, overrides: true };
    let meta = parse::ethernet(&probe).unwrap();
    assert_eq!(nd::answer(&mut buf, &meta, &advertise), Err(DropReason::MultiSegment));
    assert_eq!(buf.data(), probe);
}
