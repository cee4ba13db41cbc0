//! A change concerns the sessions that rest on it, at their next packet, and costs the others nothing (SEMANTICS 17).

use vrouter::simulator::Simulator;

use super::{from_node, neighbours, node, packet, put, send, tunnel, udp, workload};

const WORKLOAD: [u8; 4] = [10, 1, 1, 3];
const REMOTE: [u8; 4] = [10, 9, 1, 1];

/// What a node says to the workload, with the label of the VRF that its network is leaked into.
fn from_fabric(node: u8) -> Vec<u8> {
    from_node(node, 20, &packet(REMOTE, WORKLOAD, (2000, 1000)))
}

#[test]
fn a_session_of_another_vrf_than_its_workloads_hears_of_that_vrfs_changes() {
    let objects = workload(2, "10.1.1.3", ", rpf: LOOSE")
        + r#"
- vrf: {id: 2, name: blue}
- mpls_label: {label: 20, vrf: 2}
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- next_hop: {id: 102, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.102", label: 102}}
- route: {vrf: 2, prefix: "10.1.1.3/32", next_hop: 2}
- route: {vrf: 2, prefix: "10.9.1.1/32", next_hop: 101}
"#;
    let mut node = node(100, &objects);
    neighbours(&mut node, &["10.1.0.101", "10.1.0.102"]);
    assert_eq!(send(&mut node, 1, &[from_fabric(101)]).len(), 1);
    let reply = [udp(2, WORKLOAD, REMOTE, (1000, 2000))];
    for _ in 0..2 {
        assert_eq!(tunnel(&send(&mut node, 2, &reply)[0].1), ([10, 1, 0, 101], 1000));
    }
    assert!(node.counters().express.get() > 0, "replies take the short way");
    put(&mut node, r#"- route: {vrf: 2, prefix: "10.9.1.1/32", next_hop: 102}"#);
    assert_eq!(tunnel(&send(&mut node, 2, &reply)[0].1), ([10, 1, 0, 102], 1000));
}

#[test]
fn a_session_by_label_hears_when_the_next_hop_leads_elsewhere() {
    let objects = workload(2, "10.1.1.3", ", rpf: LOOSE")
        + &workload(3, "10.1.1.4", ", rpf: LOOSE")
        + r#"
- next_hop: {id: 20, interface: {interface: 2}}
- next_hop: {id: 21, ecmp: {members: [{next_hop: 2, weight: 1}]}}
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- mpls_label: {label: 20, next_hop: 20}
- mpls_label: {label: 21, next_hop: 21}
"#;
    let mut node = node(100, &objects);
    neighbours(&mut node, &["10.1.0.101"]);
    let by_label = |label, port| [from_node(101, label, &packet(REMOTE, WORKLOAD, (port, 1000)))];
    let packets = [by_label(20, 2000), by_label(21, 2001)];
    let receivers = |node: &mut Simulator| packets.each_ref().map(|packet| send(node, 1, packet)[0].0.0);
    assert_eq!([receivers(&mut node), receivers(&mut node)], [[2, 2], [2, 2]]);
    put(&mut node, "- next_hop: {id: 20, interface: {interface: 3}}");
    put(&mut node, "- next_hop: {id: 21, ecmp: {members: [{next_hop: 3, weight: 1}]}}");
    assert_eq!(receivers(&mut node), [3, 3]);
}

#[test]
fn packets_stay_on_the_short_way_while_others_change() {
    let objects = workload(2, "10.1.1.3", "")
        + &workload(3, "10.1.1.4", "")
        + r#"
- vrf: {id: 2, name: blue}
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- route: {vrf: 1, prefix: "10.9.1.1/32", next_hop: 101}
"#;
    let mut node = node(100, &objects);
    neighbours(&mut node, &["10.1.0.101"]);
    for destination in [REMOTE, [10, 1, 1, 4]] {
        let packet = [udp(2, WORKLOAD, destination, (1000, 2000))];
        assert_eq!(send(&mut node, 2, &packet).len(), 1, "opens the session");
        for n in 0..10 {
            put(&mut node, &format!("- route: {{vrf: 2, prefix: 10.2.{n}.0/24, next_hop: 101}}"));
            let before = node.counters().express.get();
            assert_eq!(send(&mut node, 2, &packet).len(), 1);
            assert_eq!(node.counters().express.get(), before + 1);
        }
        let [.., last] = destination;
        put(&mut node, &format!("- route: {{vrf: 1, prefix: 10.8.{last}.0/24, next_hop: 101}}"));
        let before = node.counters().express.get();
        assert_eq!(send(&mut node, 2, &packet).len(), 1);
        assert_eq!(node.counters().express.get(), before, "a route of its own VRF may concern it");
    }
}

#[test]
fn packets_behind_the_first_one_of_their_flow_in_a_burst_are_of_its_session() {
    let objects = workload(2, "10.1.1.3", "")
        + r#"
- vrf: {id: 2, name: blue}
- mpls_label: {label: 20, next_hop: 2}
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- route: {vrf: 1, prefix: "10.9.1.1/32", next_hop: 101}
"#;
    for (interface, frame) in [(1, from_fabric(101)), (2, udp(2, WORKLOAD, REMOTE, (1000, 2000)))] {
        let mut node = node(100, &objects);
        neighbours(&mut node, &["10.1.0.101"]);
        assert_eq!(send(&mut node, interface, &vec![frame.clone(); 5]).len(), 5);
        let counters = node.counters();
        let counts = [&counters.flow_created, &counters.flow_rekeyed, &counters.flow_redecided];
        assert_eq!(counts.map(|counter| counter.get()), [1, 0, 0], "interface {interface}");
        // Nor does the session carry anything on that would keep it from the short way.
        put(&mut node, "- route: {vrf: 2, prefix: 10.2.0.0/24, next_hop: 101}");
        let before = node.counters().express.get();
        assert_eq!(send(&mut node, interface, &[frame]).len(), 1);
        assert_eq!(node.counters().express.get(), before + 1, "interface {interface}");
    }
}
