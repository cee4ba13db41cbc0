//! Absent neighbours do not hold up anybody (SEMANTICS 21).

use super::{drops, neighbours, node, send, udp, workload};

#[test]
fn packets_to_absent_neighbours_wait_apart_from_all_others() {
    let objects = workload(2, "10.1.1.3", "")
        + r#"
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}
- next_hop: {id: 102, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.102", label: 102}}
- route: {vrf: 1, prefix: "10.9.1.0/24", next_hop: 101}
- route: {vrf: 1, prefix: "10.9.2.0/24", next_hop: 102}
"#;
    let mut node = node(40_000, &objects);
    neighbours(&mut node, &["10.1.0.101"]);
    for n in 0..10_000_u16 {
        let absent = udp(2, [10, 1, 1, 3], [10, 9, 2, 1], (1000 + n, 5000));
        let present = udp(2, [10, 1, 1, 3], [10, 9, 1, 1], (1000 + n, 5000));
        assert_eq!(send(&mut node, 2, &[absent, present]).len(), 1, "the other packet leaves at once");
    }
    assert_eq!(node.accounting().held, 16);
    assert_eq!(drops(&node, "neighbour_queue"), 10_000 - 16, "the oldest make room");
    // It appears: those that still wait leave, in the order in which they came.
    node.install_neighbour(packet::InterfaceId(1), "10.1.0.102".parse().unwrap(), [2, 0, 0, 0xff, 0, 9]);
    let ports: Vec<u16> = node.take_output().iter().map(|(_, frame)| super::tunnel(frame).1).collect();
    assert_eq!(ports, (0..16).map(|n| 1000 + 10_000 - 16 + n).collect::<Vec<u16>>());
    assert_eq!(node.accounting().held, 0);
}
