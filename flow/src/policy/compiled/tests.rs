//! The compiled form against the obvious one.

use packet::meta::v4;
use proptest::prelude::*;

use super::*;
use crate::policy::{IcmpMatch, RuleSlot, decide_linearly};

fn rule(id: u32) -> Rule {
    Rule {
        id,
        slot: RuleSlot::new(id),
        direction: Direction::Ingress,
        family: Family::Any,
        protocol: 0,
        ports: None,
        icmp: None,
        remote: Remote::Any,
    }
}

fn tcp_from(remote: Address) -> Query<'static> {
    Query {
        direction: Direction::Ingress,
        v6: false,
        remote,
        remote_groups: &[],
        protocol: 6,
        dst_port: 22,
        icmp_type: 0,
        icmp_code: 0,
    }
}

/// The answer, on which both forms agree.
fn decide(groups: &[SecurityGroup], query: &Query<'_>) -> Decision {
    let groups: Vec<_> = groups.iter().collect();
    let decision = CompiledPolicy::compile(&groups).decide(query);
    assert_eq!(decision, decide_linearly(&groups, query));
    decision
}

#[test]
fn without_a_group_everything_may_pass_and_with_an_empty_one_nothing() {
    let query = tcp_from(v4([10, 0, 0, 1]));
    assert_eq!(decide(&[], &query), Decision { allowed: true, rule: None });
    assert!(!CompiledPolicy::compile(&[]).is_bound());
    let empty = SecurityGroup { id: 1, rules: Vec::new() };
    assert_eq!(decide(std::slice::from_ref(&empty), &query), Decision { allowed: false, rule: None });
    assert!(CompiledPolicy::compile(&[&empty]).is_bound());
}

#[test]
fn the_first_rule_in_the_order_of_groups_and_rules_is_named() {
    let narrow = Rule { ports: Some((22, 22)), protocol: 6, ..rule(7) };
    let first =
        SecurityGroup { id: 10, rules: vec![Rule { direction: Direction::Egress, ..rule(1) }, narrow] };
    let second = SecurityGroup { id: 5, rules: vec![rule(3), rule(2)] };
    let query = tcp_from(v4([10, 0, 0, 1]));
    let named = |decision: Decision| decision.rule.map(|rule| (rule.set, rule.rule, rule.slot.number()));
    assert_eq!(
        named(decide(&[first.clone(), second.clone()], &query)),
        Some((RuleSet::SecurityGroup(10), 7, Some(7)))
    );
    assert_eq!(
        named(decide(&[second.clone(), first.clone()], &query)),
        Some((RuleSet::SecurityGroup(5), 3, Some(3)))
    );
    let other_port = Query { dst_port: 23, ..query };
    assert_eq!(named(decide(&[first, second], &other_port)), Some((RuleSet::SecurityGroup(5), 3, Some(3))));
}

#[test]
fn a_remote_group_rule_asks_for_membership() {
    let rules = vec![Rule { remote: Remote::Group(7), ..rule(1) }];
    let group = [SecurityGroup { id: 1, rules }];
    let query = tcp_from(v4([10, 0, 0, 1]));
    assert!(!decide(&group, &query).allowed);
    assert!(!decide(&group, &Query { remote_groups: &[6, 8], ..query }).allowed);
    assert!(decide(&group, &Query { remote_groups: &[6, 7, 8], ..query }).allowed);
}

#[test]
fn a_rule_with_ports_for_any_protocol_is_for_those_that_have_ports() {
    let group = [SecurityGroup { id: 1, rules: vec![Rule { ports: Some((0, 65535)), ..rule(1) }] }];
    let query = tcp_from(v4([10, 0, 0, 1]));
    for (protocol, allowed) in [(6, true), (17, true), (132, true), (1, false), (47, false), (58, false)] {
        assert_eq!(decide(&group, &Query { protocol, ..query }).allowed, allowed, "protocol {protocol}");
    }
}

#[test]
fn an_icmp_rule_is_for_the_icmp_of_its_family() {
    let echo = IcmpMatch { kind: 8, code: None };
    let group = [SecurityGroup { id: 1, rules: vec![Rule { icmp: Some(echo), ..rule(1) }] }];
    let query = Query { protocol: 1, icmp_type: 8, icmp_code: 3, ..tcp_from(v4([10, 0, 0, 1])) };
    assert!(decide(&group, &query).allowed);
    assert!(!decide(&group, &Query { icmp_type: 9, ..query }).allowed);
    assert!(!decide(&group, &Query { protocol: 58, ..query }).allowed);
    assert!(decide(&group, &Query { protocol: 58, v6: true, ..query }).allowed);
    assert!(!decide(&group, &Query { protocol: 1, v6: true, ..query }).allowed);
    assert!(!decide(&group, &Query { protocol: 6, dst_port: 8 << 8, ..query }).allowed);
}

#[test]
fn a_prefix_never_matches_the_other_family() {
    let all = |v6| Remote::Prefix { address: [0; 16], length: 0, v6 };
    let group = |v6| [SecurityGroup { id: 1, rules: vec![Rule { remote: all(v6), ..rule(1) }] }];
    let query = tcp_from(v4([10, 0, 0, 1]));
    assert!(decide(&group(false), &query).allowed);
    assert!(!decide(&group(true), &query).allowed);
    assert!(decide(&group(true), &Query { v6: true, ..query }).allowed);
    assert!(!decide(&group(false), &Query { v6: true, ..query }).allowed);
}

#[test]
fn a_counter_slot_is_a_number_of_24_bits_or_none() {
    assert_eq!(RuleSlot::new(0).number(), Some(0));
    assert_eq!(RuleSlot::new(0xff_fffe).number(), Some(0xff_fffe));
    assert_eq!(RuleSlot::new(0xff_ffff).number(), None);
    assert_eq!((RuleSlot::new(u32::MAX), RuleSlot::default()), (RuleSlot::NONE, RuleSlot::NONE));
    assert_eq!(Decision::DENIED.slot(), RuleSlot::NONE);
}

#[test]
fn every_protocol_may_have_rules_of_its_own() {
    let rules = (0..=255).map(|protocol| Rule { protocol, ..rule(u32::from(protocol)) }).rev().collect();
    let group = [SecurityGroup { id: 1, rules }];
    for protocol in 1..=255 {
        let decision = decide(&group, &Query { protocol, ..tcp_from(v4([10, 0, 0, 1])) });
        assert_eq!(decision.rule.map(|rule| rule.rule), Some(u32::from(protocol)));
        assert_eq!(decision.slot().number(), Some(u32::from(protocol)));
    }
}

#[test]
fn a_length_beyond_the_address_is_the_whole_address() {
    let remote = Remote::Prefix { address: v4([10, 0, 0, 1]), length: 255, v6: false };
    let group = [SecurityGroup { id: 1, rules: vec![Rule { remote, ..rule(1) }] }];
    assert!(decide(&group, &tcp_from(v4([10, 0, 0, 1]))).allowed);
    assert!(!decide(&group, &tcp_from(v4([10, 0, 0, 2]))).allowed);
}

/// Addresses that share prefixes of all lengths.
fn address(v6: bool) -> impl Strategy<Value = Address> {
    (0_u8..3, 0_u8..3, any::<bool>()).prop_map(move |(a, b, last)| {
        let mut address = if v6 { [0; 16] } else { v4([10, 0, 0, 0]) };
        (address[0], address[1]) = (a, b << 6);
        address[if v6 { 15 } else { 3 }] = u8::from(last);
        address
    })
}

fn protocol() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0_u8, 1, 6, 17, 47, 58, 132])
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let remote = prop_oneof![
        Just(Remote::Any),
        (0_u32..5).prop_map(Remote::Group),
        (address(false), prop::sample::select(vec![0_u8, 1, 8, 9, 16, 31, 32, 40]))
            .prop_map(|(address, length)| Remote::Prefix { address, length, v6: false }),
        (address(true), prop::sample::select(vec![0_u8, 1, 8, 9, 64, 127, 128, 200]))
            .prop_map(|(address, length)| Remote::Prefix { address, length, v6: true }),
    ];
    let ports = prop::option::of((0_u16..12, 0_u16..12));
    let icmp = prop::option::weighted(0.3, (0_u8..3, prop::option::of(0_u8..3)));
    let direction = prop::sample::select(vec![Direction::Ingress, Direction::Egress]);
    let family = prop::sample::select(vec![Family::Any, Family::V4, Family::V6]);
    (any::<u32>(), direction, family, protocol(), ports, icmp, remote).prop_map(
        |(id, direction, family, protocol, ports, icmp, remote)| Rule {
            icmp: icmp.map(|(kind, code)| IcmpMatch { kind, code }),
            slot: RuleSlot::new(id),
            ..Rule { id, direction, family, protocol, ports, remote, ..rule(0) }
        },
    )
}

fn any_groups() -> impl Strategy<Value = Vec<SecurityGroup>> {
    let group = (any::<u32>(), prop::collection::vec(any_rule(), 0..40));
    prop::collection::vec(group.prop_map(|(id, rules)| SecurityGroup { id, rules }), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_compiled_form_answers_like_the_list_of_rules(
        groups in any_groups(),
        asked in prop::collection::vec(
            (any::<bool>(), any::<bool>(), address(false), address(true),
             prop::collection::btree_set(0_u32..6, 0..3), protocol(), 0_u16..14, 0_u8..4, 0_u8..4),
            20,
        ),
    ) {
        let groups: Vec<_> = groups.iter().collect();
        let policy = CompiledPolicy::compile(&groups);
        for (ingress, v6, of_v4, of_v6, remote_groups, protocol, dst_port, icmp_type, icmp_code) in asked {
            let remote_groups: Vec<u32> = remote_groups.into_iter().collect();
            let query = Query {
                direction: if ingress { Direction::Ingress } else { Direction::Egress },
                v6,
                remote: if v6 { of_v6 } else { of_v4 },
                remote_groups: &remote_groups,
                protocol,
                dst_port,
                icmp_type,
                icmp_code,
            };
            prop_assert_eq!(policy.decide(&query), decide_linearly(&groups, &query));
        }
    }
}
