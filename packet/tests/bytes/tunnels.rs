//! Tunnel headers against headers put together by hand, both ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::encap::{
    Encapsulation, EthernetHeader, Fields, Template, Tunnel, TunnelSpec, ecn_decapsulate, pop, push,
    push_ethernet,
};
use packet::meta::v4;
use packet::{DropReason, L4Checksum, Label, MemoryBuf, PacketBuf, encap, parse};
use proptest::prelude::*;

use crate::support::*;

const OUTER4: Ends =
    Ends { src: v4([10, 1, 0, 66]), dst: v4([10, 1, 0, 194]), src_port: 50000, dst_port: 6635, ipv6: false };
const OUTER6: Ends = Ends { src: A6, dst: B6, src_port: 50000, dst_port: 6635, ipv6: true };
const ROUTER: [u8; 6] = [2, 0, 0, 0, 1, 1];
const MY_ROUTER: [u8; 6] = [2, 0, 0, 0, 1, 2];
const KINDS: [Encapsulation; 3] =
    [Encapsulation::MplsOverUdp, Encapsulation::MplsOverGre, Encapsulation::Vxlan];

fn spec(encapsulation: Encapsulation, ends: &Ends) -> TunnelSpec {
    let address = |address: [u8; 16]| {
        if ends.ipv6 {
            IpAddr::V6(Ipv6Addr::from(address))
        } else {
            IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3]))
        }
    };
    TunnelSpec {
        encapsulation,
        source: address(ends.src),
        destination: address(ends.dst),
        source_mac: MAC_A,
        destination_mac: MAC_B,
        vlan: None,
        source_router_mac: MY_ROUTER,
        router_mac: ROUTER,
        clear_df: false,
        dscp: None,
        udp_checksum: false,
        outer_labels: [Label::NONE; 2],
    }
}

/// The frame that the specification and the fields ask for.
pub(crate) fn by_hand(spec: &TunnelSpec, ends: &Ends, fields: &Fields, inner: &[u8]) -> Vec<u8> {
    let label = fields.label.0;
    let entry = |label: u32, last: u8| {
        let class = fields.inner_traffic_class >> 5 << 1;
        [(label >> 12) as u8, (label >> 4) as u8, (label << 4) as u8 | class | last, fields.inner_ttl]
    };
    let on_top = spec.outer_labels.iter().filter(|label| label.is_some());
    let stack: Vec<u8> = on_top.flat_map(|label| entry(label.0, 0)).chain(entry(label, 1)).collect();
    let outer = Ends { src_port: fields.entropy_port, ..*ends };
    let (protocol, transport) = match spec.encapsulation {
        Encapsulation::MplsOverUdp => (UDP, segment(UDP, &outer, &[&stack[..], inner].concat())),
        Encapsulation::MplsOverGre => (GRE, [&[0, 0, 0x88, 0x47][..], &stack, inner].concat()),
        Encapsulation::Vxlan => {
            let vni = [(label >> 16) as u8, (label >> 8) as u8, label as u8];
            let kind: [u8; 2] = if fields.inner_v6 { [0x86, 0xdd] } else { [8, 0] };
            let payload =
                [&[8, 0, 0, 0][..], &vni, &[0], &spec.router_mac, &spec.source_router_mac, &kind, inner]
                    .concat();
            (UDP, segment(UDP, &Ends { dst_port: 4789, ..outer }, &payload))
        }
    };
    let mut packet = ip(protocol, ends, &transport);
    let class =
        spec.dscp.map_or(fields.inner_traffic_class, |dscp| dscp << 2 | fields.inner_traffic_class & 3);
    if ends.ipv6 {
        packet[0] |= class >> 4;
        packet[1] = class << 4;
    } else {
        packet[1] = class;
        packet[4..6].copy_from_slice(&fields.identification.to_be_bytes());
        packet[6] = if spec.clear_df { 0 } else { 0x40 };
        seal_ipv4(&mut packet);
    }
    if protocol == UDP && !(spec.udp_checksum && ends.ipv6) {
        let field = if ends.ipv6 { 46 } else { 26 };
        packet[field..field + 2].fill(0);
    }
    spec.vlan.map_or_else(|| ethernet(&packet), |tag| tagged(&packet, tag))
}

pub(crate) fn any_spec() -> impl Strategy<Value = (TunnelSpec, Ends)> {
    let choices = (0..3_usize, any::<bool>(), any::<Option<u16>>(), any::<bool>(), any::<bool>());
    let label = || prop_oneof![Just(Label::NONE), (16_u32..1 << 20).prop_map(Label)];
    let more = (proptest::option::of(0_u8..64), [label(), label()]);
    (choices, more).prop_map(|((kind, v6, vlan, clear_df, udp_checksum), (dscp, outer_labels))| {
        let ends = if v6 { OUTER6 } else { OUTER4 };
        (TunnelSpec { vlan, clear_df, udp_checksum, dscp, outer_labels, ..spec(KINDS[kind], &ends) }, ends)
    })
}

pub(crate) fn any_fields() -> impl Strategy<Value = Fields> {
    (0_u32..1 << 20, 49152_u16.., any::<u16>(), any::<u8>(), any::<u8>(), any::<bool>()).prop_map(
        |(label, entropy_port, identification, inner_ttl, inner_traffic_class, inner_v6)| Fields {
            label: Label(label),
            entropy_port,
            identification,
            inner_ttl,
            inner_traffic_class,
            inner_v6,
        },
    )
}

/// A buffer that begins with `inner` and has `headroom` bytes in front, full of old bytes.
fn buffer(inner: &[u8], headroom: usize) -> MemoryBuf {
    let mut buf = MemoryBuf::with_room(inner, headroom, 0);
    assert!(buf.grow_front(headroom));
    buf.data_mut()[..headroom].fill(0xa5);
    assert!(buf.shrink_front(headroom));
    buf
}

fn fields(label: u32) -> Fields {
    Fields {
        label: Label(label),
        entropy_port: 50000,
        identification: 0,
        inner_ttl: 63,
        inner_traffic_class: 0,
        inner_v6: false,
    }
}

proptest! {
    #[test]
    fn a_pushed_header_is_the_one_put_together_by_hand(
        (spec, ends) in any_spec(), fields in any_fields(), inner in proptest::collection::vec(any::<u8>(), 1..200),
        extra in 0_usize..40,
    ) {
        let template = Template::new(&spec).unwrap();
        let expected = by_hand(&spec, &ends, &fields, &inner);
        prop_assert_eq!(template.length(), expected.len() - inner.len());
        // With room for the wide copy, and with hardly enough for the header.
        for headroom in [128, template.length() + extra] {
            let mut buf = buffer(&inner, headroom);
            push(&mut buf, &template, &fields).unwrap();
            prop_assert_eq!(buf.data(), &expected);
        }
        let mut tight = buffer(&inner, template.length() - 1);
        prop_assert_eq!(push(&mut tight, &template, &fields), Err(DropReason::Headroom));
        prop_assert_eq!(tight.data(), &inner);
    }

    #[test]
    fn what_was_pushed_is_popped(
        (spec, ends) in any_spec(), fields in any_fields(), (_, _, inner) in any_packet(), padding in 0_usize..20,
    ) {
        prop_assume!(fields.inner_ttl != 0);
        let fields = Fields { inner_v6: inner[0] >> 4 == 6, label: Label(fields.label.0.max(16)), ..fields };
        let mut frame = by_hand(&spec, &ends, &fields, &inner);
        frame.extend(vec![0xff; padding]);
        let outer = parse::ethernet(&frame).unwrap();
        let tunnel = pop(&frame, &outer, L4Checksum::Unknown).unwrap().unwrap();
        prop_assert_eq!(tunnel.encapsulation, spec.encapsulation);
        prop_assert_eq!(tunnel.label, fields.label);
        prop_assert_eq!(tunnel.outer_src, ends.src);
        prop_assert_eq!(tunnel.outer_ecn, fields.inner_traffic_class & 3);
        prop_assert_eq!(usize::from(tunnel.inner_end), frame.len() - padding);
        let vxlan = spec.encapsulation == Encapsulation::Vxlan;
        prop_assert_eq!(tunnel.inner_is_ethernet(), vxlan);
        prop_assert_eq!(tunnel.label_ttl, if vxlan { 0 } else { fields.inner_ttl });
        let l3 = usize::from(tunnel.inner) + if vxlan { 14 } else { 0 };
        prop_assert_eq!(&frame[l3..usize::from(tunnel.inner_end)], &inner);
        let meta = tunnel.parse_inner(&frame).unwrap();
        prop_assert_eq!(usize::from(meta.l3), l3);
        prop_assert_eq!(meta, parse::ip(&frame[..usize::from(tunnel.inner_end)], l3).unwrap());
    }

    #[test]
    fn a_damaged_outer_checksum_is_noticed_unless_somebody_verified_it(
        bit in 0_usize..8 * 40, v6 in any::<bool>(), vxlan in any::<bool>(),
    ) {
        let ends = Ends { dst_port: if vxlan { 4789 } else { 6635 }, ..if v6 { OUTER6 } else { OUTER4 } };
        let mut frame = ethernet(&packet(UDP, &ends, &[0x08; 60]));
        let l4 = if v6 { 54 } else { 34 };
        frame[l4 + 8 + bit / 8] ^= 1 << (bit % 8);
        let outer = parse::ethernet(&frame).unwrap();
        let reason = |known| pop(&frame, &outer, known).unwrap().err();
        prop_assert_eq!(reason(L4Checksum::Unknown), Some(DropReason::TunnelChecksum));
        prop_assert_ne!(reason(L4Checksum::Verified), Some(DropReason::TunnelChecksum));
        prop_assert_ne!(reason(L4Checksum::Partial), Some(DropReason::TunnelChecksum));
    }
}

#[test]
fn fields_are_taken_from_the_inner_packet() {
    for ends in [ENDS4, ENDS6] {
        let mut meta = parse_ip(&packet(UDP, &ends, b"")).unwrap();
        meta.ttl = 17;
        meta.traffic_class = 0xb9;
        let expected = Fields {
            label: Label(40),
            entropy_port: 50001,
            identification: 7,
            inner_ttl: 17,
            inner_traffic_class: 0xb9,
            inner_v6: ends.ipv6,
        };
        assert_eq!(Fields::new(&meta, Label(40), 50001, 7), expected);
    }
}

#[test]
fn a_template_knows_what_it_is() {
    for kind in KINDS {
        for ends in [OUTER4, OUTER6] {
            let template = Template::new(&TunnelSpec { vlan: Some(5), ..spec(kind, &ends) }).unwrap();
            assert_eq!(template.encapsulation(), kind);
            assert_eq!(template.outer_v6(), ends.ipv6);
            assert_eq!(template.outer_addresses(), (ends.src, ends.dst));
            assert_eq!(template.length(), 18 + kind.overhead(ends.ipv6));
            assert_eq!(template.overhead(), kind.overhead(ends.ipv6));
            let outer_labels = [Label(16), Label(17)];
            let stacked = Template::new(&TunnelSpec { outer_labels, ..spec(kind, &ends) }).unwrap();
            let more = if kind == Encapsulation::Vxlan { 0 } else { 8 };
            assert_eq!(stacked.overhead(), kind.overhead(ends.ipv6) + more);
            assert_eq!(stacked.outer_addresses(), (ends.src, ends.dst));
            assert!(template.dont_fragment());
            let cleared = Template::new(&TunnelSpec { clear_df: true, ..spec(kind, &ends) }).unwrap();
            assert_eq!(cleared.dont_fragment(), ends.ipv6);
        }
        let mixed = TunnelSpec { source: spec(kind, &OUTER6).source, ..spec(kind, &OUTER4) };
        assert_eq!(Template::new(&mixed), None);
        let mixed = TunnelSpec { destination: spec(kind, &OUTER6).destination, ..spec(kind, &OUTER4) };
        assert_eq!(Template::new(&mixed), None);
    }
}

#[test]
fn overheads_are_those_of_the_mtu_arithmetic() {
    let overheads = KINDS.map(|kind| (kind.overhead(false), kind.overhead(true)));
    assert_eq!(overheads, [(32, 52), (28, 48), (50, 70)]);
}

#[test]
fn what_no_length_field_can_say_is_too_big() {
    let template = Template::new(&spec(Encapsulation::MplsOverUdp, &OUTER4)).unwrap();
    let mut buf = MemoryBuf::with_room(&vec![0; 65439], 128, 0);
    assert_eq!(push(&mut buf, &template, &fields(40)), Ok(()));
    let mut buf = MemoryBuf::with_room(&vec![0; 65440], 128, 0);
    assert_eq!(push(&mut buf, &template, &fields(40)), Err(DropReason::TooBig));
    assert_eq!(buf.len(), 65440);
}

#[test]
fn an_ethernet_header_goes_in_front() {
    let header = EthernetHeader { destination: MAC_B, source: MAC_A, vlan: None };
    let inner = packet(UDP, &ENDS4, b"data");
    let mut buf = MemoryBuf::new(&inner);
    push_ethernet(&mut buf, &header, 0x0800).unwrap();
    assert_eq!(buf.data(), ethernet(&inner));
    let mut buf = MemoryBuf::new(&inner);
    push_ethernet(&mut buf, &EthernetHeader { vlan: Some(0x6005), ..header }, 0x0800).unwrap();
    assert_eq!(buf.data(), tagged(&inner, 0x6005));
    let mut buf = MemoryBuf::with_room(&inner, 13, 0);
    assert_eq!(push_ethernet(&mut buf, &header, 0x0800), Err(DropReason::Headroom));
    assert_eq!(buf.data(), inner);
}

/// A tunnel packet over UDP without checksum, or over GRE, with this payload.
fn carried(protocol: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let ends = Ends { dst_port: port, ..OUTER4 };
    let mut packet = packet(protocol, &ends, payload);
    if protocol == UDP {
        packet[26..28].fill(0);
    }
    ethernet(&packet)
}

fn popped(frame: &[u8]) -> Option<Result<Tunnel, DropReason>> {
    pop(frame, &parse::ethernet(frame).unwrap(), L4Checksum::Unknown)
}

fn entry(label: u32, bottom: bool, ttl: u8) -> [u8; 4] {
    (label << 12 | u32::from(bottom) << 8 | u32::from(ttl)).to_be_bytes()
}

#[test]
fn only_the_tunnel_ports_are_tunnels() {
    let payload = [&entry(16, true, 1)[..], &packet(UDP, &ENDS4, b"")].concat();
    for port in [6635, 51234] {
        let tunnel = popped(&carried(UDP, port, &payload)).unwrap().unwrap();
        assert_eq!((tunnel.label, tunnel.label_ttl), (Label(16), 1));
    }
    for port in [6634, 6636, 4788, 4790, 53] {
        assert_eq!(popped(&carried(UDP, port, &payload)), None);
    }
    assert_eq!(popped(&carried(TCP, 6635, &payload)), None);
    assert_eq!(popped(&carried(UDP_LITE, 6635, &payload)), None);
}

#[test]
fn up_to_three_labels_of_which_the_last_decides() {
    let inner = packet(UDP, &ENDS4, b"");
    let stacked = |stack: &[[u8; 4]]| carried(UDP, 6635, &[&stack.concat()[..], &inner].concat());
    let three = [entry(700, false, 9), entry(0, false, 8), entry(25, true, 7)];
    let tunnel = popped(&stacked(&three)).unwrap().unwrap();
    assert_eq!((tunnel.label, tunnel.label_ttl, tunnel.inner), (Label(25), 7, 42 + 12));
    let four = [entry(1, false, 9), entry(2, false, 9), entry(3, false, 9), entry(4, true, 9)];
    assert_eq!(popped(&stacked(&four)), Some(Err(DropReason::InvalidTunnel)));
    for zero in 0..3 {
        let mut stack = three;
        stack[zero][3] = 0;
        assert_eq!(popped(&stacked(&stack)), Some(Err(DropReason::MplsTtl)), "label {zero}");
    }
    assert_eq!(popped(&stacked(&[entry(0xf_ffff, true, 255)])).unwrap().unwrap().label, Label(0xf_ffff));
}

#[test]
fn a_stack_without_end_or_without_packet_is_cut() {
    for payload in [
        &[][..],
        &entry(16, true, 1)[..3],
        &entry(16, true, 1),
        &entry(16, false, 1),
        &[&entry(16, false, 1)[..], &[0; 3]].concat(),
    ] {
        assert_eq!(popped(&carried(UDP, 6635, payload)), Some(Err(DropReason::Truncated)), "{payload:?}");
        let gre = [&[0, 0, 0x88, 0x47][..], payload].concat();
        assert_eq!(popped(&carried(GRE, 0, &gre)), Some(Err(DropReason::Truncated)), "{payload:?}");
    }
    assert!(popped(&carried(UDP, 6635, &[&entry(16, true, 1)[..], &[0x45]].concat())).unwrap().is_ok());
}

#[test]
fn explicit_null_announces_the_family() {
    for (label, ends, good) in [
        (0, ENDS4, true),
        (0, ENDS6, false),
        (2, ENDS6, true),
        (2, ENDS4, false),
        (1, ENDS4, true),
        (16, ENDS6, true),
    ] {
        let frame = carried(UDP, 6635, &[&entry(label, true, 1)[..], &packet(UDP, &ends, b"")].concat());
        let tunnel = popped(&frame).unwrap().unwrap();
        assert_eq!(tunnel.label, Label(label));
        let inner = tunnel.parse_inner(&frame);
        assert_eq!(inner.err(), (!good).then_some(DropReason::InvalidTunnel), "label {label}");
    }
}

#[test]
fn an_inner_packet_may_not_reach_into_the_padding() {
    let mut inner = packet(UDP, &ENDS4, b"data");
    inner.pop();
    let mut frame = carried(UDP, 6635, &[&entry(16, true, 1)[..], &inner].concat());
    frame.push(b'a');
    let tunnel = popped(&frame).unwrap().unwrap();
    assert_eq!(tunnel.parse_inner(&frame), Err(DropReason::Truncated));
}

#[test]
fn gre_options_are_tolerated_and_stepped_over() {
    let inner = packet(UDP, &ENDS4, b"data");
    for options in 0..8_u8 {
        let flags = (options & 4) << 5 | (options & 3) << 4;
        let words = options.count_ones() as usize;
        for proto in [0x47, 0x48] {
            let mut gre =
                [&[flags, 0, 0x88, proto][..], &vec![0; words * 4], &entry(16, true, 1), &inner].concat();
            for word in 0..words {
                gre[4 + word * 4 + 2] = 0x5a; // reserved, key and sequence number may be anything
            }
            if flags & 0x80 != 0 {
                gre[6] = 0;
                let checksum = !slow_sum(&gre);
                gre[4..6].copy_from_slice(&checksum.to_be_bytes());
            }
            let frame = carried(GRE, 0, &gre);
            let tunnel = popped(&frame).unwrap().unwrap();
            assert_eq!(tunnel.label, Label(16));
            assert_eq!(usize::from(tunnel.inner), 34 + 4 + words * 4 + 4);
            assert_eq!(tunnel.parse_inner(&frame).unwrap().dst, B4);
            if flags & 0x80 != 0 {
                let mut wrong = frame.clone();
                wrong[38] ^= 1;
                assert_eq!(popped(&wrong), Some(Err(DropReason::TunnelChecksum)));
                let outer = parse::ethernet(&wrong).unwrap();
                assert!(pop(&wrong, &outer, L4Checksum::Verified).unwrap().is_ok());
            }
        }
    }
}

#[test]
fn gre_of_another_version_or_with_routing_is_invalid() {
    let rest = [&entry(16, true, 1)[..], &packet(UDP, &ENDS4, b"")].concat();
    for flags in [[0x40, 0], [0x08, 0], [0x04, 0], [0, 1], [0, 2], [0, 4]] {
        let gre = [&flags[..], &[0x88, 0x47], &rest].concat();
        assert_eq!(popped(&carried(GRE, 0, &gre)), Some(Err(DropReason::InvalidTunnel)), "{flags:?}");
    }
    for flags in [[0x02, 0], [0x01, 0], [0, 0x80], [0, 0x08]] {
        let gre = [&flags[..], &[0x88, 0x47], &rest].concat();
        assert!(popped(&carried(GRE, 0, &gre)).unwrap().is_ok(), "bits 6-12 are ignored: {flags:?}");
    }
}

#[test]
fn gre_that_carries_something_else_is_somebody_elses() {
    for proto in [[8, 0], [0x86, 0xdd], [0x65, 0x58], [0x88, 0x46], [0x88, 0x49]] {
        assert_eq!(popped(&carried(GRE, 0, &[&[0, 0][..], &proto, &[0; 40]].concat())), None);
        assert_eq!(popped(&carried(GRE, 0, &[&[0, 1][..], &proto, &[0; 40]].concat())), None);
    }
    assert_eq!(popped(&carried(GRE, 0, &[0, 0, 0x88])), None);
}

#[test]
fn gre_options_beyond_the_packet_are_cut() {
    for flags in [0x20, 0x30] {
        let gre = [flags, 0, 0x88, 0x47, 0, 0, 0];
        assert_eq!(popped(&carried(GRE, 0, &gre)), Some(Err(DropReason::Truncated)));
    }
}

#[test]
fn vxlan_needs_its_flag_and_a_frame() {
    let inner = ethernet(&packet(UDP, &ENDS4, b"data"));
    let with =
        |flags: u8| carried(UDP, 4789, &[&[flags, 1, 2, 3, 0xab, 0xcd, 0xef, 0x99][..], &inner].concat());
    for flags in [0x08, 0xff] {
        let frame = with(flags);
        let tunnel = popped(&frame).unwrap().unwrap();
        assert_eq!((tunnel.label, tunnel.inner, tunnel.label_ttl), (Label(0xab_cdef), 50, 0));
        assert_eq!(tunnel.parse_inner(&frame).unwrap().l3, 64);
    }
    for flags in [0, 0xf7] {
        assert_eq!(popped(&with(flags)), Some(Err(DropReason::InvalidTunnel)));
    }
    assert_eq!(popped(&carried(UDP, 4789, &[8, 0, 0, 0, 0, 0, 1, 0])), Some(Err(DropReason::Truncated)));
    assert_eq!(popped(&carried(UDP, 4789, &[8, 0, 0, 0, 0, 0, 1])), Some(Err(DropReason::Truncated)));
    let frame = carried(UDP, 4789, &[8, 0, 0, 0, 0, 0, 1, 0, 9, 9, 9]);
    assert_eq!(popped(&frame).unwrap().unwrap().parse_inner(&frame), Err(DropReason::Truncated));
}

#[test]
fn a_fragment_is_no_tunnel_packet_and_the_first_one_tells_whether_it_is_of_one() {
    let begins = |protocol: u8, payload: &[u8], place: u16| {
        let mut packet = packet(protocol, &OUTER4, payload);
        fragment_ipv4(&mut packet, place, true, 1);
        let frame = ethernet(&packet);
        assert_eq!(popped(&frame), None);
        encap::begins_tunnel(&frame, &parse::ethernet(&frame).unwrap())
    };
    assert!(begins(UDP, &[0; 40], 0));
    assert!(!begins(UDP, &[0; 40], 48), "shows no port");
    let gre = |proto: u8| [&[0x80, 0, 0x88, proto][..], &[1; 36]].concat();
    assert!(begins(GRE, &gre(0x47), 0), "whatever its checksum");
    assert!(!begins(GRE, &gre(0x47), 48));
    assert!(!begins(GRE, &gre(0x46), 0));
}

#[test]
fn a_correct_outer_checksum_is_accepted_over_both_families() {
    for ends in [OUTER4, OUTER6] {
        let payload = [&entry(16, true, 1)[..], &packet(UDP, &ENDS4, b"data")].concat();
        assert!(popped(&ethernet(&packet(UDP, &ends, &payload))).unwrap().is_ok());
        let mut none = packet(UDP, &ends, &payload);
        let field = if ends.ipv6 { 46 } else { 26 };
        none[field..field + 2].fill(0);
        assert!(popped(&ethernet(&none)).unwrap().is_ok(), "RFC 6935");
        none[field + 1] = 1;
        assert_eq!(popped(&ethernet(&none)), Some(Err(DropReason::TunnelChecksum)));
        none[field..field + 2].copy_from_slice(&[1, 0]);
        assert_eq!(popped(&ethernet(&none)), Some(Err(DropReason::TunnelChecksum)));
    }
}

#[test]
fn congestion_marks_come_out_as_rfc_6040_figure_4_says() {
    const NOT_ECT: u8 = 0;
    const ECT1: u8 = 1;
    const ECT0: u8 = 2;
    const CE: u8 = 3;
    // Rows: arriving inner header; columns: arriving outer header, Not-ECT, ECT(0), ECT(1), CE.
    let figure = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT0, [Some(ECT0), Some(ECT0), Some(ECT1), Some(CE)]),
        (ECT1, [Some(ECT1), Some(ECT1), Some(ECT1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for ends in [ENDS4, ENDS6] {
        let with_ecn = |ecn: u8| {
            let mut packet = packet(UDP, &ends, b"data");
            packet[1] = if ends.ipv6 { (0xb8 | ecn) << 4 } else { 0xb8 | ecn };
            if ends.ipv6 {
                packet[0] |= 0x0b;
            } else {
                seal_ipv4(&mut packet);
            }
            packet
        };
        for (inner, row) in figure {
            for (outer, outgoing) in [NOT_ECT, ECT0, ECT1, CE].into_iter().zip(row) {
                let mut data = with_ecn(inner);
                let mut meta = parse_ip(&data).unwrap();
                // Whatever is above the two bits does not count.
                let result = ecn_decapsulate(outer | 0xb8, &mut data, &mut meta);
                assert_eq!(result.err(), outgoing.is_none().then_some(DropReason::EcnDecap));
                assert_eq!(data, with_ecn(outgoing.unwrap_or(inner)), "inner {inner} outer {outer}");
                assert_eq!(meta, parse_ip(&data).unwrap());
            }
        }
    }
}

#[test]
fn etherparse_sees_the_outer_headers() {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    let inner = packet(UDP, &ENDS4, b"data");
    for ends in [OUTER4, OUTER6] {
        let template =
            Template::new(&TunnelSpec { udp_checksum: true, ..spec(Encapsulation::MplsOverUdp, &ends) })
                .unwrap();
        let mut buf = MemoryBuf::new(&inner);
        push(&mut buf, &template, &fields(40)).unwrap();
        let sliced = SlicedPacket::from_ethernet(buf.data()).unwrap();
        let Some(TransportSlice::Udp(udp)) = sliced.transport else { panic!("no UDP") };
        assert_eq!((udp.source_port(), udp.destination_port()), (50000, 6635));
        assert_eq!(usize::from(udp.length()), 8 + 4 + inner.len());
        assert_eq!(udp.payload(), [&[0, 2, 0x81, 63][..], &inner].concat());
        match sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                assert_eq!(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum());
                assert!(ip.header().dont_fragment());
                assert_eq!(udp.checksum(), 0);
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = udp.to_header();
                let expected = header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap();
                assert_eq!(udp.checksum(), expected);
            }
            _ => panic!("no IP"),
        }
    }
}
