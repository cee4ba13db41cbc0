//! Connections that end, and those that take their place.

use super::{drops, ethernet, node, put, send, workload};

const SERVER: [u8; 4] = [10, 1, 1, 3];
const CLIENT: [u8; 4] = [10, 9, 1, 1];
const FIRST: [u8; 4] = [101, 1, 1, 1];
const SECOND: [u8; 4] = [101, 1, 1, 2];

#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    fin: bool,
    ack: Option<u32>,
}

/// A segment from workload `id`.
fn segment(id: u8, ends: ([u8; 4], [u8; 4]), ports: (u16, u16), seq: u32, flags: Flags) -> Vec<u8> {
    let mut step = ethernet(id).ipv4(ends.0, ends.1, 64).tcp(ports.0, ports.1, seq, 64_240);
    if flags.syn {
        step = step.syn();
    }
    if flags.fin {
        step = step.fin();
    }
    if let Some(number) = flags.ack {
        step = step.ack(number);
    }
    let mut frame = Vec::new();
    step.write(&mut frame, &[]).unwrap();
    frame
}

#[test]
fn a_port_is_free_for_another_address_of_the_same_server_as_soon_as_its_connection_is_over() {
    let objects = workload(2, "10.1.1.3", "")
        + r#"
- vrf: {id: 2, name: public}
- interface: {id: 3, name: vm3, role: VIRTUAL, vrf: 2, mac: "02:00:00:00:00:03", addresses: ["10.9.1.1"], policy: true, device: {null: {}}}
- next_hop: {id: 3, interface: {interface: 3}}
- route: {vrf: 2, prefix: "10.9.1.1/32", next_hop: 3}
- floating_ip: {id: 1, address: 101.1.1.1, vrf: 2, interfaces: [2]}
- floating_ip: {id: 2, address: 101.1.1.2, vrf: 2, interfaces: [2], direction: NAT_INGRESS}
- route: {vrf: 2, prefix: "101.1.1.1/32", next_hop: 2}
- route: {vrf: 2, prefix: "101.1.1.2/32", next_hop: 2}
"#;
    let mut node = node(100, "");
    put(&mut node, &objects);
    let client = |to, seq, flags| segment(3, (CLIENT, to), (5000, 80), seq, flags);
    let server = |seq, flags| segment(2, (SERVER, CLIENT), (80, 5000), seq, flags);
    let says = |ack| Flags { ack: Some(ack), ..Flags::default() };
    let opens = Flags { syn: true, ..Flags::default() };

    assert_eq!(send(&mut node, 3, &[client(FIRST, 100, opens)]).len(), 1);
    assert_eq!(send(&mut node, 2, &[server(300, Flags { syn: true, ..says(101) })]).len(), 1);
    assert_eq!(send(&mut node, 3, &[client(FIRST, 101, says(301))]).len(), 1);
    // While it lives the other address is taken.
    assert!(send(&mut node, 3, &[client(SECOND, 900, opens)]).is_empty());
    assert_eq!(drops(&node, "flow_collision"), 1);

    assert_eq!(send(&mut node, 2, &[server(301, Flags { fin: true, ..says(101) })]).len(), 1);
    // The client finishes before it has seen that, and acknowledges it right behind, in the same burst.
    let last = [client(FIRST, 101, Flags { fin: true, ..says(301) }), client(FIRST, 102, says(302))];
    assert_eq!(send(&mut node, 3, &last).len(), 2);
    assert_eq!(send(&mut node, 2, &[server(302, says(102))]).len(), 1);

    assert_eq!(send(&mut node, 3, &[client(SECOND, 900, opens)]).len(), 1);
    assert_eq!(send(&mut node, 2, &[server(700, Flags { syn: true, ..says(901) })]).len(), 1);
    assert_eq!((drops(&node, "flow_collision"), node.flows().len()), (1, 1));
}
