//! An interface is deleted and another one takes its id before the sweep has been there.

use super::{delete, drops, node, put, send, udp, workload};

const GROUP: &str = "\n- security_group: {id: 7, name: g, rules: [{id: 1, direction: EGRESS}]}\n";

#[test]
fn whoever_takes_a_deleted_interfaces_id_starts_without_its_sessions() {
    let first = workload(2, "10.1.1.3", ", security_groups: [7]");
    let other = workload(3, "10.1.1.4", "").replace("policy: true", "policy: false");
    let mut node = node(1000, &[GROUP, &first, &other].concat());
    let question = [udp(2, [10, 1, 1, 3], [10, 1, 1, 4], (4000, 5000))];
    let answer = [udp(3, [10, 1, 1, 4], [10, 1, 1, 3], (5000, 4000))];
    assert_eq!(send(&mut node, 2, &question).len(), 1);
    assert_eq!(send(&mut node, 3, &answer).len(), 1, "an answer needs no rule");

    delete(&mut node, &first);
    put(&mut node, &first);
    assert_eq!(send(&mut node, 3, &answer).len(), 0, "nobody has asked");
    assert_eq!(drops(&node, "security_group"), 1);
    assert_eq!(send(&mut node, 2, &question).len(), 1, "and the question can be asked again");
    assert_eq!(send(&mut node, 3, &answer).len(), 1);
}

#[test]
fn a_session_of_a_deleted_interface_does_not_keep_a_reply_key_from_its_successor() {
    // The same floating IP in front of two workloads, one after the other, and another port behind it: the reply
    // of the new session has the key of the old one's.
    let workload = workload(2, "10.1.1.3", "");
    let outside = super::workload(3, "10.1.1.4", "").replace("vrf: 1", "vrf: 9");
    let floating = |port| {
        format!(
            "\n- floating_ip: {{id: 5, address: 198.51.100.9, vrf: 9, interfaces: [2], \
             port_maps: [{{protocol: 17, port: {port}, to_port: 80}}]}}\n\
             - route: {{vrf: 9, prefix: 198.51.100.9/32, next_hop: 2}}\n"
        )
    };
    let public = "\n- vrf: {id: 9, name: public}\n";
    let mut node = node(1000, &[public, &workload, &outside, &floating(8080)].concat());
    let to = |port| [udp(3, [10, 1, 1, 4], [198, 51, 100, 9], (40_000, port))];
    assert_eq!(send(&mut node, 3, &to(8080)).len(), 1);
    delete(&mut node, &[&workload[..], &floating(8080)].concat());
    put(&mut node, &[&workload[..], &floating(8888)].concat());
    assert_eq!(send(&mut node, 3, &to(8888)).len(), 1, "{:?}", node.drops().collect::<Vec<_>>());
}
