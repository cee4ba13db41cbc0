//! Workloads and the node they run on: its own IP stack behind a HOST interface (SEMANTICS 22), and services outside
//! under addresses of the workloads' networks.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use packet::InterfaceId;
use vrouter::simulator::Simulator;

use super::{arp_request, drops, neighbours, node, put, send, udp, workload};

const FABRIC: u16 = 1;
const HOST: u16 = 9;
const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
const NODE: [u8; 4] = [10, 1, 0, 66];
const A: [u8; 4] = [10, 1, 1, 3];
const METADATA: [u8; 4] = [169, 254, 169, 254];

/// A workload whose network and the fabric's lead into each other, and the node's stack.
fn start(more: &str) -> Simulator {
    let objects = workload(2, "10.1.1.3", "")
        + r#"
- interface: {id: 9, name: host, role: HOST, vrf: 0, twin_of: 1, device: {null: {}}}
- next_hop: {id: 100, vrf: {vrf: 0}}
- next_hop: {id: 101, interface: {interface: 1, address: "10.1.0.1"}}
- route: {vrf: 1, prefix: "0.0.0.0/0", next_hop: 100}
- route: {vrf: 0, prefix: "0.0.0.0/0", next_hop: 101}
- route: {vrf: 0, prefix: "10.1.1.3/32", next_hop: 2}
"# + more;
    let mut node = node(1000, &objects);
    neighbours(&mut node, &["10.1.0.1"]);
    node
}

fn ends(frame: &[u8]) -> ([u8; 4], [u8; 4], u16, u16, u8) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
        panic!("no UDP over IPv4")
    };
    let (source, destination) = (ip.header().source(), ip.header().destination());
    let header = udp.to_header();
    assert_eq!(header.checksum, header.calc_checksum_ipv4_raw(source, destination, udp.payload()).unwrap());
    (source, destination, header.source_port, header.destination_port, ip.header().ttl())
}

/// A UDP packet of the node's stack to this MAC.
fn from_node(mac: [u8; 6], source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let step = PacketBuilder::ethernet2([2, 0, 0x0a, 1, 0, 0x42], mac).ipv4(source, destination, 64);
    step.udp(ports.0, ports.1).write(&mut frame, &[5; 8]).unwrap();
    frame
}

fn ask(target: [u8; 4]) -> Vec<u8> {
    arp_request([2, 0, 0x0a, 1, 0, 0x42], NODE, target)
}

#[test]
fn a_workload_calls_the_node_and_is_answered_whatever_may_not_reach_it_otherwise() {
    let mut node = start("");
    put(
        &mut node,
        "
- security_group: {id: 7, name: out, rules: [{id: 1, direction: EGRESS}]}
- interface: {id: 2, name: vm2, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:02', addresses: ['10.1.1.3'], gateways: ['10.1.1.1'], policy: true, security_groups: [7], device: {null: {}}}
",
    );
    let unasked = from_node(GATEWAY, NODE, A, (53, 4000));
    assert_eq!(send(&mut node, HOST, std::slice::from_ref(&unasked)), []);
    assert_eq!(drops(&node, "security_group"), 1);
    let left = send(&mut node, 2, &[udp(2, A, NODE, (4000, 53))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, ends(frame)), (InterfaceId(HOST), (A, NODE, 4000, 53, 63)));
    assert_eq!(frame[6..12], GATEWAY);
    let back = send(&mut node, HOST, &[unasked]);
    let [(out, frame)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((*out, ends(frame)), (InterfaceId(2), (NODE, A, 53, 4000, 63)));
}

#[test]
fn the_node_calls_a_workload_through_the_gateway() {
    let mut node = start("");
    let left = send(&mut node, HOST, &[from_node(GATEWAY, NODE, A, (4000, 80))]);
    assert_eq!((left[0].0, ends(&left[0].1)), (InterfaceId(2), (NODE, A, 4000, 80, 63)));
    let back = send(&mut node, 2, &[udp(2, A, NODE, (80, 4000))]);
    assert_eq!((back[0].0, ends(&back[0].1)), (InterfaceId(HOST), (A, NODE, 80, 4000, 63)));
    assert_eq!(node.flows().sessions(None).count(), 1, "one session, both ways");
}

#[test]
fn a_stranger_with_the_nodes_address_does_not_pass_for_the_node() {
    let mut node = start("");
    let mut frame = Vec::new();
    let step = PacketBuilder::ethernet2([2, 0, 0, 0xff, 0, 1], [2, 0, 0x0a, 1, 0, 0x42]);
    step.ipv4(NODE, A, 64).udp(4000, 80).write(&mut frame, &[5; 8]).unwrap();
    assert_eq!(send(&mut node, FABRIC, &[frame]), []);
    assert_eq!(drops(&node, "invalid_source"), 1);
}

#[test]
fn what_the_node_says_to_others_leaves_untouched() {
    let mut node = start("");
    let frames = [
        from_node([2, 0, 0, 0xff, 0, 1], NODE, [8, 8, 8, 8], (4000, 53)),
        from_node([2, 0, 0, 0xff, 0, 1], NODE, A, (4000, 53)),
        ask([10, 1, 0, 1]),
        ask([8, 8, 8, 8]),
        from_node([0x33, 0x33, 0xff, 0, 0, 1], NODE, [224, 0, 0, 5], (1, 2)),
    ];
    for frame in frames {
        let left = send(&mut node, HOST, std::slice::from_ref(&frame));
        assert_eq!(left, [(InterfaceId(FABRIC), frame)]);
    }
}

#[test]
fn the_gateway_answers_the_node_who_asks_for_a_workload() {
    let mut node = start("");
    let left = send(&mut node, HOST, &[ask(A)]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!(*out, InterfaceId(HOST));
    assert_eq!(frame[22..28], GATEWAY);
    assert_eq!(frame[28..32], A);
}

/// The metadata service at another host of the underlay.
const SERVICE: &str = "
- source_nat: {id: 1, vrf: 0, vrfs: [1], addresses: [10.1.0.66], ports: {first: 40000, last: 40063}}
- link_local_service: {id: 1, name: metadata, address: 169.254.169.254, protocol: 17, port: 80, to_address: 10.1.0.1, to_port: 8775, vrfs: [1]}
";

#[test]
fn a_link_local_service_is_reached_with_the_nodes_address_and_answers_as_itself() {
    let mut node = start(SERVICE);
    let left = send(&mut node, 2, &[udp(2, A, METADATA, (4000, 80))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    let (source, destination, port, to, _) = ends(frame);
    assert_eq!((*out, source, destination, to), (InterfaceId(FABRIC), NODE, [10, 1, 0, 1], 8775));
    let mut reply = Vec::new();
    let step = PacketBuilder::ethernet2([2, 0, 0, 0xff, 0, 1], [2, 0, 0x0a, 1, 0, 0x42]);
    step.ipv4([10, 1, 0, 1], NODE, 64).udp(8775, port).write(&mut reply, &[1; 8]).unwrap();
    let back = send(&mut node, FABRIC, &[reply]);
    let [(out, frame)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((*out, ends(frame)), (InterfaceId(2), (METADATA, A, 80, 4000, 63)));
    let other = send(&mut node, 2, &[udp(2, A, METADATA, (4000, 81))]);
    assert_eq!(ends(&other[0].1).1, METADATA, "another port is no service: it goes where the route says");
}

#[test]
fn a_link_local_service_on_the_node_sees_an_address_that_is_not_the_nodes() {
    let local = SERVICE.replace("to_address: 10.1.0.1", "to_address: 10.1.0.66");
    let pool = "- source_nat: {id: 2, vrf: 0, vrfs: [1], addresses: [169.254.0.3]}\n";
    let mut node = start(&(local + pool));
    let left = send(&mut node, 2, &[udp(2, A, METADATA, (4000, 80))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, ends(frame)), (InterfaceId(HOST), ([169, 254, 0, 3], NODE, 4000, 8775, 63)));
    assert_eq!(send(&mut node, HOST, &[ask([169, 254, 0, 3])]).len(), 1);
    let back = send(&mut node, HOST, &[from_node(GATEWAY, NODE, [169, 254, 0, 3], (8775, 4000))]);
    let [(out, frame)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((*out, ends(frame)), (InterfaceId(2), (METADATA, A, 80, 4000, 63)));
}

#[test]
fn without_the_service_a_session_to_it_goes_on_as_the_route_says() {
    let mut node = start(SERVICE);
    send(&mut node, 2, &[udp(2, A, METADATA, (4000, 80))]);
    super::delete(&mut node, "- link_local_service: {id: 1}");
    let left = send(&mut node, 2, &[udp(2, A, METADATA, (4000, 80))]);
    assert_eq!(ends(&left[0].1).1, METADATA);
}

#[test]
fn the_policies_of_its_own_network_say_whether_a_workload_may_call_a_link_local_service() {
    let mut node = start(SERVICE);
    let call = udp(2, A, METADATA, (4000, 80));
    let policy = |rules: &str| format!("- network_policy: {{id: 5, rules: [{rules}]}}\n");
    let pass = policy("{id: 1, action: PASS, destination: {prefix: 169.254.169.254/32}}");
    put(&mut node, &(pass + "- vrf: {id: 1, name: red, network_policies: [5]}"));
    assert_eq!(send(&mut node, 2, std::slice::from_ref(&call)).len(), 1);
    put(&mut node, &policy(""));
    assert_eq!(send(&mut node, 2, &[call]), []);
    assert_eq!(drops(&node, "policy_denied"), 1);
}

#[test]
fn a_link_local_service_may_have_the_gateways_address() {
    let mut node = start(&SERVICE.replace("169.254.169.254", "10.1.1.1"));
    let left = send(&mut node, 2, &[udp(2, A, [10, 1, 1, 1], (4000, 80))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, ends(frame).1, ends(frame).3), (InterfaceId(FABRIC), [10, 1, 0, 1], 8775));
    assert_eq!(send(&mut node, 2, &[udp(2, A, [10, 1, 1, 1], (4000, 81))]), []);
    assert_eq!(node.accounting().punted, 1, "its other ports are the gateway's own");
}
