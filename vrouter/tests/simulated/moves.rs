//! A conversation goes on when one of its ends moves between this node and another (SEMANTICS 2).

use packet::InterfaceId;
use vrouter::simulator::Simulator;

use super::{Ends, delete, ends, from_node, inside, neighbours, node, packet, put, send, udp, workload};

const A: [u8; 4] = [10, 1, 1, 3];
const X: [u8; 4] = [10, 9, 1, 1];
const FLOATING: [u8; 4] = [101, 1, 1, 1];

#[derive(Clone, Copy, Debug)]
struct Scene {
    /// Workload A is known to X by a floating IP only.
    floating: bool,
    /// Who sent the first packet.
    a_opens: bool,
    /// Where X lives at first.
    local: bool,
    /// Who sends first after the move.
    a_first: bool,
}

/// X as a workload of this node, and as one of another.
fn place(scene: Scene, local: bool) -> String {
    let (vrf, next_hop) = (if scene.floating { 2 } else { 1 }, if local { 3 } else { 101 });
    format!("- route: {{vrf: {vrf}, prefix: '10.9.1.1/32', origin: bgp, next_hop: {next_hop}}}\n")
}

fn start(scene: Scene) -> Simulator {
    let vrf = if scene.floating { 2 } else { 1 };
    let mut objects = workload(2, "10.1.1.3", "")
        + &format!(
            r#"
- vrf: {{id: 2, name: public}}
- interface: {{id: 3, name: vm3, role: VIRTUAL, vrf: {vrf}, mac: "02:00:00:00:00:03", addresses: ["10.9.1.1"], policy: true, device: {{null: {{}}}}}}
- next_hop: {{id: 3, interface: {{interface: 3}}}}
- next_hop: {{id: 101, tunnel: {{encapsulation: MPLS_OVER_UDP, destination: "10.1.0.101", label: 101}}}}
- mpls_label: {{label: 16, next_hop: 2}}
"#
        );
    if scene.floating {
        objects += "
- floating_ip: {id: 1, address: 101.1.1.1, vrf: 2, interfaces: [2]}
- route: {vrf: 2, prefix: '101.1.1.1/32', next_hop: 2}
";
    }
    let mut node = node(100, &objects);
    put(&mut node, &place(scene, scene.local));
    neighbours(&mut node, &["10.1.0.101"]);
    node
}

/// The ends of the packet inside, wherever it is.
fn innermost(interface: InterfaceId, frame: &[u8]) -> Ends {
    if interface == InterfaceId(1) { inside(frame) } else { ends(frame) }
}

/// A sends to X, which lives here or there.
fn a_sends(node: &mut Simulator, scene: Scene, local: bool) {
    let left = send(node, 2, &[udp(2, A, X, (1000, 2000))]);
    let seen = if scene.floating { FLOATING } else { A };
    let [(interface, frame)] = &left[..] else { panic!("{scene:?}: A's packet was lost") };
    assert_eq!(*interface, InterfaceId(if local { 3 } else { 1 }), "{scene:?}");
    assert_eq!(innermost(*interface, frame), (seen, X, 1000, 2000), "{scene:?}");
}

/// X sends to A from where it lives.
fn x_sends(node: &mut Simulator, scene: Scene, local: bool) {
    let to = if scene.floating { FLOATING } else { A };
    let left = if local {
        send(node, 3, &[udp(3, X, to, (2000, 1000))])
    } else {
        send(node, 1, &[from_node(101, 16, &packet(X, to, (2000, 1000)))])
    };
    let [(interface, frame)] = &left[..] else { panic!("{scene:?}: X's packet was lost") };
    assert_eq!((*interface, innermost(*interface, frame)), (InterfaceId(2), (X, A, 2000, 1000)), "{scene:?}");
}

fn both_send(node: &mut Simulator, scene: Scene, local: bool, a_first: bool) {
    if a_first {
        a_sends(node, scene, local);
        x_sends(node, scene, local);
    } else {
        x_sends(node, scene, local);
        a_sends(node, scene, local);
    }
}

#[test]
fn the_session_moves_with_its_end_and_is_never_made_twice() {
    for bits in 0..16_u8 {
        let bit = |n: u8| bits >> n & 1 == 1;
        let scene = Scene { floating: bit(0), a_opens: bit(1), local: bit(2), a_first: bit(3) };
        let mut node = start(scene);
        both_send(&mut node, scene, scene.local, scene.a_opens);
        // There and back again.
        for (moves, local) in [(1, !scene.local), (2, scene.local)] {
            put(&mut node, &place(scene, local));
            for _ in 0..2 {
                both_send(&mut node, scene, local, scene.a_first);
            }
            assert_eq!(node.counters().flow_rekeyed.get(), moves, "{scene:?}");
        }
        assert_eq!(node.counters().flow_created.get(), 1, "{scene:?}");
        assert_eq!(node.flows().len(), 1, "{scene:?}");
        assert!(node.drops().next().is_none(), "{scene:?}");
    }
}

#[test]
fn a_workload_that_leaves_for_another_node_is_followed_when_its_interface_is_deleted() {
    for floating in [false, true] {
        let scene = Scene { floating, a_opens: false, local: true, a_first: true };
        let mut node = start(scene);
        both_send(&mut node, scene, true, false);
        put(&mut node, &place(scene, false));
        delete(&mut node, "- next_hop: {id: 3}\n- interface: {id: 3}");
        both_send(&mut node, scene, false, true);
        assert_eq!(node.counters().flow_created.get(), 1, "{scene:?}");
    }
}

#[test]
fn a_stranger_on_the_same_ports_is_not_taken_for_the_one_that_moved() {
    let scene = Scene { floating: true, a_opens: true, local: false, a_first: false };
    let mut node = start(scene);
    both_send(&mut node, scene, false, true);
    put(
        &mut node,
        "- floating_ip: {id: 2, address: 101.1.1.2, vrf: 2, interfaces: [2], direction: NAT_INGRESS}\n- route: {vrf: 2, prefix: '101.1.1.2/32', next_hop: 2}",
    );
    put(&mut node, &place(scene, true));
    // X is local now, and calls A by another of its addresses: another conversation.
    let left = send(&mut node, 3, &[udp(3, X, [101, 1, 1, 2], (2000, 1000))]);
    assert!(left.is_empty(), "the reply's key is the other session's");
    assert_eq!(super::drops(&node, "flow_collision"), 1);
    assert_eq!(node.counters().flow_rekeyed.get(), 0);
}

#[test]
fn a_moved_end_whose_session_is_over_opens_another_one() {
    let scene = Scene { floating: false, a_opens: true, local: false, a_first: false };
    let mut node = start(scene);
    both_send(&mut node, scene, false, true);
    // X is local now, and A would call it from a floating IP: the session that X answers on cannot go on.
    put(
        &mut node,
        "
- floating_ip: {id: 1, address: 101.1.1.1, vrf: 2, interfaces: [2]}
- route: {vrf: 2, prefix: '10.9.1.1/32', next_hop: 3}
- route: {vrf: 1, prefix: '10.9.1.0/24', next_hop: 3}
",
    );
    delete(&mut node, "- route: {vrf: 1, prefix: '10.9.1.1/32', origin: bgp}");
    x_sends(&mut node, scene, true);
    assert_eq!(node.counters().flow_created.get(), 2);
    assert_eq!(node.flows().len(), 1);
}
