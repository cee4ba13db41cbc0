//! A change is in effect when it is answered (SEMANTICS 17, 18).

use super::{delete, drops, node, put, send, udp, workload};

const OPEN: &str = "- security_group: {id: 7, name: g, rules: [{id: 1, direction: EGRESS, protocol: 17}]}";
const SHUT: &str = "- security_group: {id: 7, name: g, rules: []}";

#[test]
fn a_rule_that_is_toggled_a_thousand_times_is_obeyed_by_the_very_next_packet() {
    let objects = OPEN.to_owned()
        + &workload(2, "10.1.1.3", ", security_groups: [7]").replace("- interface", "\n- interface")
        + &workload(3, "10.1.1.4", "").replace("policy: true", "policy: false");
    let mut node = node(1000, &objects);
    let packet = [udp(2, [10, 1, 1, 3], [10, 1, 1, 4], (4000, 5000))];
    for n in 0..500 {
        assert_eq!(send(&mut node, 2, &packet).len(), 1, "allowed, round {n}");
        put(&mut node, SHUT);
        assert_eq!(send(&mut node, 2, &packet).len(), 0, "denied, round {n}");
        put(&mut node, OPEN);
    }
    assert_eq!(drops(&node, "security_group"), 500);
}

#[test]
fn another_tenants_change_decides_nothing_again() {
    let objects = OPEN.to_owned()
        + &workload(2, "10.1.1.3", ", security_groups: [7]").replace("- interface", "\n- interface")
        + &workload(3, "10.1.1.4", "")
        + "
- vrf: {id: 2, name: blue}
- security_group: {id: 8, name: other, rules: [{id: 1, direction: EGRESS}]}
- interface: {id: 9, name: vm9, role: VIRTUAL, vrf: 2, mac: \"02:00:00:00:00:09\", addresses: [10.2.0.9], policy: true, security_groups: [8], device: {null: {}}}
- next_hop: {id: 9, interface: {interface: 9}}
";
    let mut node = node(1000, &objects);
    let packet = [udp(2, [10, 1, 1, 3], [10, 1, 1, 4], (4000, 5000))];
    assert_eq!(send(&mut node, 2, &packet).len(), 1);
    let before = node.counters().flow_redecided.get();
    for n in 0..50 {
        put(&mut node, "- security_group: {id: 8, name: other, rules: []}");
        put(&mut node, "- route: {vrf: 2, prefix: 10.2.7.0/24, next_hop: 9}");
        assert_eq!(send(&mut node, 2, &packet).len(), 1, "round {n}");
        delete(&mut node, "- route: {vrf: 2, prefix: 10.2.7.0/24}");
        put(&mut node, "- security_group: {id: 8, name: other, rules: [{id: 1, direction: EGRESS}]}");
    }
    assert_eq!(node.counters().flow_redecided.get(), before);
    put(&mut node, "- security_group: {id: 7, name: g, rules: [{id: 2, direction: EGRESS, protocol: 17}]}");
    assert_eq!(send(&mut node, 2, &packet).len(), 1);
    assert_eq!(node.counters().flow_redecided.get(), before + 1, "its own group's change does");
}
