use packet::{Address, TagId, VrfId};
use proptest::prelude::*;

use super::super::{Action, Answer, End, decide_linearly};
use super::*;
use crate::policy::{IcmpMatch, RuleSlot};

fn v4(last: u8) -> Address {
    packet::meta::v4([10, 0, 0, last])
}

fn rule(id: u32, action: Action) -> NetworkRule {
    NetworkRule {
        id,
        slot: RuleSlot::new(id),
        source: EndMatch::Any,
        destination: EndMatch::Any,
        protocol: 0,
        source_ports: None,
        destination_ports: None,
        icmp: None,
        action,
        log: false,
        bidirectional: false,
    }
}

fn policy(id: u32, rules: Vec<NetworkRule>) -> NetworkPolicy {
    NetworkPolicy { id, rules }
}

fn end(network: u16, last: u8, tags: &[TagId]) -> End<'_> {
    End { address: v4(last), network: VrfId(network), tags }
}

fn tcp<'a>(source: End<'a>, destination: End<'a>, ports: (u16, u16)) -> Query<'a> {
    Query {
        v6: false,
        source,
        destination,
        protocol: 6,
        source_port: ports.0,
        destination_port: ports.1,
        icmp_type: 0,
        icmp_code: 0,
    }
}

fn decide(policies: &[&NetworkPolicy], query: &Query<'_>) -> (Action, Option<String>) {
    let compiled = CompiledNetworkPolicy::compile(policies).decide(query);
    assert_eq!(compiled, decide_linearly(policies, query));
    (compiled.action, compiled.rule.map(|rule| rule.to_string()))
}

#[test]
fn without_a_matching_rule_a_network_is_open_in_itself_and_closed_to_others() {
    let none = policy(1, Vec::new());
    assert_eq!(decide(&[&none], &tcp(end(1, 1, &[]), end(1, 2, &[]), (1, 2))), (Action::Pass, None));
    assert_eq!(decide(&[&none], &tcp(end(1, 1, &[]), end(2, 2, &[]), (1, 2))), (Action::Deny, None));
}

#[test]
fn the_first_rule_of_the_first_policy_decides() {
    let web = NetworkRule { destination_ports: Some((80, 80)), ..rule(1, Action::Reject) };
    let first = policy(7, vec![web, rule(2, Action::Pass)]);
    let second = policy(3, vec![rule(1, Action::Deny)]);
    let (a, b) = (end(1, 1, &[]), end(2, 2, &[]));
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(
        decide(&[&first, &second], &tcp(a, b, (9, 80))),
        (Action::Reject, named("network_policy 7 rule 1"))
    );
    assert_eq!(
        decide(&[&first, &second], &tcp(a, b, (9, 81))),
        (Action::Pass, named("network_policy 7 rule 2"))
    );
    assert_eq!(
        decide(&[&second, &first], &tcp(a, b, (9, 80))),
        (Action::Deny, named("network_policy 3 rule 1"))
    );
}

#[test]
fn a_mirror_image_exchanges_ends_and_ports() {
    let red = NetworkRule {
        source: EndMatch::Network(VrfId(1)),
        destination: EndMatch::Network(VrfId(2)),
        protocol: 6,
        destination_ports: Some((80, 80)),
        bidirectional: true,
        ..rule(1, Action::Pass)
    };
    let one_way = NetworkRule { bidirectional: false, ..red.clone() };
    let (red, one_way) = (policy(1, vec![red]), policy(1, vec![one_way]));
    let (a, b) = (end(1, 1, &[]), end(2, 2, &[]));
    let passes =
        |policy: &NetworkPolicy, from, to, ports| decide(&[policy], &tcp(from, to, ports)).0 == Action::Pass;
    assert!(passes(&red, a, b, (9, 80)) && passes(&red, b, a, (80, 9)));
    assert!(!passes(&red, b, a, (9, 80)) && !passes(&red, a, b, (80, 9)));
    assert!(passes(&one_way, a, b, (9, 80)) && !passes(&one_way, b, a, (80, 9)));
}

#[test]
fn tags_must_all_be_there() {
    let tags = |tags: &[u16]| EndMatch::Tags(tags.iter().map(|tag| TagId(*tag)).collect());
    let both = NetworkRule { source: tags(&[1, 2]), destination: tags(&[3]), ..rule(1, Action::Pass) };
    let policy = policy(1, vec![both]);
    let ask = |source: &[TagId], destination: &[TagId]| {
        decide(&[&policy], &tcp(end(1, 1, source), end(2, 2, destination), (9, 80))).0
    };
    let [one, two, three] = [1, 2, 3].map(TagId);
    assert_eq!(ask(&[one, two], &[three]), Action::Pass);
    assert_eq!(ask(&[one, two, three], &[one, three]), Action::Pass);
    assert_eq!(ask(&[one], &[three]), Action::Deny);
    assert_eq!(ask(&[two, three], &[three]), Action::Deny);
    assert_eq!(ask(&[one, two], &[two]), Action::Deny);
}

#[test]
fn the_last_of_a_thousand_rules_is_found() {
    let rules = (1..=1000_u16).map(|port| NetworkRule {
        destination_ports: Some((port, port)),
        protocol: 6,
        ..rule(port.into(), Action::Pass)
    });
    let policy = policy(1, rules.collect());
    for port in [1, 256, 257, 1000] {
        let name = Some(format!("network_policy 1 rule {port}"));
        assert_eq!(decide(&[&policy], &tcp(end(1, 1, &[]), end(2, 2, &[]), (9, port))), (Action::Pass, name));
    }
    assert_eq!(decide(&[&policy], &tcp(end(1, 1, &[]), end(2, 2, &[]), (9, 1001))).0, Action::Deny);
}

fn any_end() -> impl Strategy<Value = EndMatch> {
    prop_oneof![
        Just(EndMatch::Any),
        (0_u16..3).prop_map(|network| EndMatch::Network(VrfId(network))),
        (0_u8..4, prop_oneof![0_u8..=33, Just(128)], any::<bool>())
            .prop_map(|(last, length, v6)| EndMatch::Prefix { address: v4(last), length, v6 }),
        prop::collection::vec((0_u16..4).prop_map(TagId), 0..3).prop_map(|tags| EndMatch::Tags(tags.into())),
    ]
}

fn any_ports() -> impl Strategy<Value = Option<(u16, u16)>> {
    prop::option::of((0_u16..6, 0_u16..6))
}

fn any_rule() -> impl Strategy<Value = NetworkRule> {
    let icmp = prop::option::of(
        (0_u8..3, prop::option::of(0_u8..3)).prop_map(|(kind, code)| IcmpMatch { kind, code }),
    );
    let protocol = prop_oneof![Just(0_u8), Just(1), Just(6), Just(17), Just(58), Just(89)];
    let action = prop_oneof![Just(Action::Pass), Just(Action::Deny), Just(Action::Reject)];
    ((any_end(), any_end()), protocol, (any_ports(), any_ports()), icmp, action, any::<bool>()).prop_map(
        |(
            (source, destination),
            protocol,
            (source_ports, destination_ports),
            icmp,
            action,
            bidirectional,
        )| {
            NetworkRule {
                source,
                destination,
                protocol,
                source_ports,
                destination_ports,
                icmp,
                bidirectional,
                ..rule(0, action)
            }
        },
    )
}

/// Last byte of the address, network and tags of an end.
type AnyEnd = (u8, u16, Vec<TagId>);

fn any_query() -> impl Strategy<Value = (bool, [AnyEnd; 2], u8, [u16; 2], [u8; 2])> {
    let tags = || prop::collection::btree_set((0_u16..4).prop_map(TagId), 0..4);
    let end = || {
        (0_u8..4, 0_u16..3, tags())
            .prop_map(|(last, network, tags)| (last, network, tags.into_iter().collect()))
    };
    let protocol = prop_oneof![Just(1_u8), Just(6), Just(17), Just(58), Just(89), Just(132), Just(47)];
    (any::<bool>(), [end(), end()], protocol, [0_u16..7, 0_u16..7], [0_u8..3, 0_u8..3])
}

proptest! {
    #[test]
    fn the_compiled_form_answers_as_the_rules_one_by_one(
        policies in prop::collection::vec(prop::collection::vec(any_rule(), 0..8), 0..4),
        (v6, [a, b], protocol, ports, icmp) in any_query()
    ) {
        let mut policies: Vec<NetworkPolicy> =
            (1..).zip(policies).map(|(id, rules)| NetworkPolicy { id, rules }).collect();
        for policy in &mut policies {
            (1..).zip(&mut policy.rules).for_each(|(id, rule)| rule.id = id);
        }
        let policies: Vec<&NetworkPolicy> = policies.iter().collect();
        let query = Query { v6, protocol, icmp_type: icmp[0], icmp_code: icmp[1], ..tcp(end(a.1, a.0, &a.2), end(b.1, b.0, &b.2), (ports[0], ports[1])) };
        let answer: Answer = CompiledNetworkPolicy::compile(&policies).decide(&query);
        prop_assert_eq!(answer, decide_linearly(&policies, &query));
    }
}
