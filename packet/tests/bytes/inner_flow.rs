//! The flow inside MPLS over GRE, against the parser's way to it.

use packet::encap::{Encapsulation, Fields, TunnelSpec, inner_flow, is_mpls_over_gre, pop};
use packet::hash::FlowHasher;
use packet::{Facts, L4Checksum, Label, parse};
use proptest::prelude::*;

use crate::support::*;
use crate::tunnels::{any_fields, any_spec, by_hand};

const HASHER: FlowHasher = FlowHasher::new(7);

/// The hash by way of the whole parser; `None` for what is not spread.
fn slow(frame: &[u8]) -> Option<u64> {
    let outer = parse::ethernet(frame).ok()?;
    let tunnel = pop(frame, &outer, L4Checksum::Unknown)?.ok()?;
    let inner = tunnel.parse_inner(frame).ok()?;
    let plain = !outer.facts.intersects(Facts::VLAN | Facts::OPTIONS);
    let spread = plain && tunnel.encapsulation == Encapsulation::MplsOverGre;
    (spread && !inner.facts.contains(Facts::FRAGMENT)).then(|| HASHER.packet(&inner, 0))
}

/// `inner` in MPLS over GRE over IPv4, with one label.
fn carried(inner: &[u8]) -> Vec<u8> {
    let gre = [&[0, 0, 0x88, 0x47, 0, 1, 1, 64], inner].concat();
    ethernet(&ip(GRE, &ENDS4, &gre))
}

proptest! {
    #[test]
    fn any_packet_in_any_tunnel_has_the_hash_that_the_parser_leads_to(
        (spec, ends) in any_spec(), fields in any_fields(), (_, _, inner) in any_packet(),
    ) {
        let label = Label(fields.label.0.max(16));
        let fields = Fields { inner_v6: inner[0] >> 4 == 6, inner_ttl: fields.inner_ttl.max(1), label, ..fields };
        let frame = by_hand(&spec, &ends, &fields, &inner);
        let flow = inner_flow(&frame, &HASHER);
        prop_assert_eq!(flow, slow(&frame));
        let gre = spec.encapsulation == Encapsulation::MplsOverGre && spec.vlan.is_none();
        prop_assert_eq!((flow.is_some(), is_mpls_over_gre(&frame)), (gre, gre));
    }

    #[test]
    fn bytes_that_end_anywhere_have_a_hash_or_none(
        (spec, ends) in any_spec(), fields in any_fields(), (_, _, inner) in any_packet(), cut: prop::sample::Index,
    ) {
        let spec = TunnelSpec { encapsulation: Encapsulation::MplsOverGre, vlan: None, ..spec };
        let frame = by_hand(&spec, &ends, &fields, &inner);
        let frame = &frame[..cut.index(frame.len())];
        let _ = inner_flow(frame, &HASHER);
        prop_assert!(frame.len() >= 38 || !is_mpls_over_gre(frame));
    }
}

#[test]
fn options_and_extension_headers_do_not_take_a_packet_out_of_its_flow() {
    let plain = inner_flow(&carried(&packet(UDP, &ENDS6, &[1; 9])), &HASHER);
    let optional = ipv6_with(60, &[UDP, 0, 1, 4, 0, 0, 0, 0], &segment(UDP, &ENDS6, &[1; 9]), &ENDS6);
    assert_eq!(inner_flow(&carried(&optional), &HASHER), plain);
    assert!(plain.is_some());

    let plain = inner_flow(&carried(&packet(TCP, &ENDS4, &[1; 9])), &HASHER);
    let mut optional = packet(TCP, &ENDS4, &[1; 9]);
    optional[0] = 0x46;
    optional.splice(20..20, [1, 1, 1, 0]);
    let length = (optional.len() as u16).to_be_bytes();
    optional[2..4].copy_from_slice(&length);
    seal_ipv4(&mut optional);
    assert_eq!(inner_flow(&carried(&optional), &HASHER), plain);
    assert!(plain.is_some());
}

#[test]
fn fragments_have_no_flow_of_their_own() {
    for (place, more) in [(0, true), (8, true), (64, false)] {
        let mut inner = packet(UDP, &ENDS4, &[0; 64]);
        fragment_ipv4(&mut inner, place, more, 7);
        assert_eq!(inner_flow(&carried(&inner), &HASHER), None);
        let header = fragment_header(UDP, place, more, 7);
        let inner = ipv6_with(44, &header, &segment(UDP, &ENDS6, &[0; 64]), &ENDS6);
        assert_eq!(inner_flow(&carried(&inner), &HASHER), None);

        let mut outer = carried(&packet(UDP, &ENDS4, &[0; 64]));
        fragment_ipv4(&mut outer[14..], place, more, 7);
        assert_eq!(inner_flow(&outer, &HASHER), None);
    }
}

#[test]
fn a_key_or_a_stack_of_three_is_looked_behind_and_more_are_not() {
    let inner = packet(UDP, &ENDS4, &[]);
    let expected = inner_flow(&carried(&inner), &HASHER);
    let gre = |header: &[u8]| ethernet(&ip(GRE, &ENDS4, &[header, &inner].concat()));
    let keyed = gre(&[0x20, 0, 0x88, 0x47, 9, 9, 9, 9, 0, 1, 1, 64]);
    assert_eq!(inner_flow(&keyed, &HASHER), expected);
    let (next, last) = ([0, 1, 0, 64], [0, 1, 1, 64]);
    let three = [&[0, 0, 0x88, 0x47][..], &next, &next, &last].concat();
    assert_eq!(inner_flow(&gre(&three), &HASHER), expected);
    let four = [&[0, 0, 0x88, 0x47][..], &next, &next, &next, &last].concat();
    assert_eq!(inner_flow(&gre(&four), &HASHER), None);
    let not_mpls = gre(&[0, 0, 8, 0, 0, 1, 1, 64]);
    assert_eq!((inner_flow(&not_mpls, &HASHER), is_mpls_over_gre(&not_mpls)), (None, false));
}
