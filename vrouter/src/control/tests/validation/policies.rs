//! What may pass: security groups, network policies, pinned flows.

use super::super::*;
use super::Bad;

pub(super) const BAD: &[Bad] = &[
    // security group
    ("security_group: {id: 0}", 3, "id"),
    ("security_group: {id: 9, rules: [{id: 1}]}", 3, "rules[0].direction"),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS}, {id: 1, direction: EGRESS}]}",
        3,
        "rules[1].id",
    ),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 256}]}", 3, "rules[0].protocol"),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, ports: {first: 1, last: 2}}]}",
        3,
        "rules[0].ports",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 65536, last: 65536}}]}",
        3,
        "rules[0].ports.first",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 2, last: 1}}]}",
        3,
        "rules[0].ports.first",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 6, icmp: {type: 8}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, icmp: {type: 256}}]}",
        3,
        "rules[0].icmp.type",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, protocol: 1, icmp: {type: 8, code: 256}}]}",
        3,
        "rules[0].icmp.code",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, ether_type: IPV6, prefix: '10.0.0.0/8'}]}",
        3,
        "rules[0].prefix",
    ),
    (
        "security_group: {id: 9, rules: [{id: 1, direction: INGRESS, prefix: '10.0.0.1/8'}]}",
        3,
        "rules[0].prefix",
    ),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, group: 0}]}", 3, "rules[0].group"),
    ("security_group: {id: 9, rules: [{id: 1, direction: INGRESS, group: 77}]}", 9, "rules[0].group"),
    // network policy
    ("network_policy: {id: 0}", 3, "id"),
    ("network_policy: {id: 9, rules: [{id: 1}]}", 3, "rules[0].action"),
    ("network_policy: {id: 9, rules: [{id: 1, action: PASS}, {id: 1, action: DENY}]}", 3, "rules[1].id"),
    ("network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 256}]}", 3, "rules[0].protocol"),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 1, source_ports: {first: 1, last: 2}}]}",
        3,
        "rules[0].source_ports",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination_ports: {first: 2, last: 1}}]}",
        3,
        "rules[0].destination_ports.first",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination_ports: {first: 1, last: 65536}}]}",
        3,
        "rules[0].destination_ports.last",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, protocol: 6, icmp: {type: 8}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, icmp: {type: 8}, source_ports: {first: 1, last: 1}}]}",
        3,
        "rules[0].icmp",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {network: 65536}}]}",
        3,
        "rules[0].source.network",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, destination: {prefix: '10.0.0.1/8'}}]}",
        3,
        "rules[0].destination.prefix",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {prefix: '10.0.0.0/8'}, destination: {prefix: '::/0'}}]}",
        3,
        "rules[0].destination.prefix",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {tags: ['tier=web', 'web']}}]}",
        3,
        "rules[0].source.tags[1]",
    ),
    (
        "network_policy: {id: 9, rules: [{id: 1, action: PASS, source: {tags: ['tier=web'], network: 1}}]}",
        3,
        "rules[0].source.tags",
    ),
    // flow
    (
        "flow: {interface: 0, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}",
        3,
        "interface",
    ),
    (
        "flow: {interface: 77, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}",
        9,
        "interface",
    ),
    ("flow: {interface: 2, source: '10.0.0.1', destination: '10.0.0.2', action: DENY}", 3, "direction"),
    ("flow: {interface: 2, direction: EGRESS, destination: '10.0.0.2', action: DENY}", 3, "source"),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '::2', action: DENY}",
        3,
        "destination",
    ),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', protocol: 256, action: DENY}",
        3,
        "protocol",
    ),
    (
        "flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2', source_port: 65536, action: DENY}",
        3,
        "source_port",
    ),
    ("flow: {interface: 2, direction: EGRESS, source: '10.0.0.1', destination: '10.0.0.2'}", 3, "action"),
];

#[test]
fn the_rules_of_all_policies_of_a_network_are_one_list_of_limited_length() {
    let mut bench = Bench::node();
    let policy = |id: u32, rules: u32| {
        let rules: Vec<_> = (1..=rules).map(|rule| format!("{{id: {rule}, action: PASS}}")).collect();
        format!("- network_policy: {{id: {id}, rules: [{}]}}\n", rules.join(", "))
    };
    bench.put(&(policy(1, 4096) + &policy(2, 0) + "- vrf: {id: 1, name: red, network_policies: [1, 2]}"));
    let result = bench.try_put(&policy(2, 1));
    assert_eq!(refusal(&result), (9, "vrf 1".to_owned(), "network_policies"), "{}", result.message);
    let result = bench.try_put(&policy(3, 4097));
    assert_eq!(refusal(&result), (3, "network_policy 3".to_owned(), "rules"));
    let result = bench.try_delete("- network_policy: {id: 2}");
    assert_eq!(refusal(&result), (9, "network_policy 2".to_owned(), ""), "it is bound");
    bench.put("- vrf: {id: 1, name: red}");
    bench.delete("- network_policy: {id: 2}\n- network_policy: {id: 1}");
}
