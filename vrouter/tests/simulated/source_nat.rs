//! Workloads that share outside addresses port by port (SEMANTICS 5, 24, 27).

use std::collections::HashSet;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use packet::InterfaceId;
use vrouter::simulator::{Simulator, Size};

use super::{arp_request, drops, neighbours, put, send, syn, udp, workload};

const FABRIC: u16 = 1;
const NODE: [u8; 4] = [10, 1, 0, 66];
const POOL: [u8; 4] = [203, 0, 113, 5];
const WORLD: [u8; 4] = [8, 8, 8, 8];
const A: [u8; 4] = [10, 1, 1, 3];
const B: [u8; 4] = [10, 1, 1, 4];

/// Two workloads whose routes lead into the fabric's VRF, with this pool.
fn start(pool: &str) -> Simulator {
    let mut node = Simulator::new(1, Size { sessions: 10_000, buffers: 1 << 20, ..Size::default() }).unwrap();
    lay_out(&mut node, pool);
    node
}

fn lay_out(node: &mut Simulator, pool: &str) {
    let objects = workload(2, "10.1.1.3", "")
        + &workload(3, "10.1.1.4", "")
        + &format!(
            r#"
- next_hop: {{id: 100, vrf: {{vrf: 0}}}}
- next_hop: {{id: 101, interface: {{interface: 1, address: "10.1.0.1"}}}}
- route: {{vrf: 1, prefix: "0.0.0.0/0", next_hop: 100}}
- route: {{vrf: 1, prefix: "::/0", next_hop: 100}}
- route: {{vrf: 0, prefix: "0.0.0.0/0", next_hop: 101}}
- route: {{vrf: 0, prefix: "::/0", next_hop: 101}}
- source_nat: {{id: 1, vrf: 0, vrfs: [1], {pool}}}
"#
        );
    put(node, super::FABRIC);
    put(node, &objects);
    neighbours(node, &["10.1.0.1"]);
}

/// Source, destination and ports, all checksums being right.
fn seen(frame: &[u8]) -> ([u8; 4], [u8; 4], u16, u16) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4") };
    assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
    let (source, destination) = (ip.header().source(), ip.header().destination());
    let (from, to) = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            let sum = header.calc_checksum_ipv4_raw(source, destination, udp.payload()).unwrap();
            assert_eq!(header.checksum, sum);
            (header.source_port, header.destination_port)
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let header = tcp.to_header();
            let sum = header.calc_checksum_ipv4_raw(source, destination, tcp.payload()).unwrap();
            assert_eq!(header.checksum, sum);
            (header.source_port, header.destination_port)
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            assert!(icmp.header().icmp_type.calc_checksum(icmp.payload()) == icmp.header().checksum);
            let bytes = icmp.header().icmp_type.header_len();
            assert_eq!(bytes, 8);
            (u16::from_be_bytes([icmp.slice()[4], icmp.slice()[5]]), 0)
        }
        _ => panic!("no transport"),
    };
    (source, destination, from, to)
}

fn from_fabric() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0xff, 0, 1], [2, 0, 0x0a, 1, 0, 0x42])
}

fn udp_from_fabric(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let step = from_fabric().ipv4(source, destination, 60).udp(ports.0, ports.1);
    step.write(&mut frame, &[7; 8]).unwrap();
    frame
}

/// The port with which one packet leaves.
fn leaves(node: &mut Simulator, interface: u16, frame: Vec<u8>) -> ([u8; 4], u16) {
    let left = send(node, interface, &[frame]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!(*out, InterfaceId(FABRIC));
    let (source, _, port, _) = seen(frame);
    (source, port)
}

#[test]
fn a_workload_leaves_with_the_nodes_own_address_and_gets_its_answers() {
    let mut node = start("addresses: [10.1.0.66], ports: {first: 40000, last: 40063}");
    let (source, port) = leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    assert_eq!(source, NODE);
    assert!((40_000..=40_063).contains(&port));
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))), (NODE, port), "the session keeps it");
    let left = send(&mut node, FABRIC, &[udp_from_fabric(WORLD, NODE, (53, port))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, seen(frame)), (InterfaceId(2), (WORLD, A, 53, 5000)));
}

#[test]
fn a_port_of_the_slice_is_kept_where_it_is_free() {
    let mut node = start("addresses: [203.0.113.5]");
    let kept = (1024..=11_000_u16)
        .step_by(7)
        .filter(|&port| leaves(&mut node, 2, udp(2, A, WORLD, (port, 53))) == (POOL, port));
    assert_eq!(kept.count(), 1426);
    let (_, other) = leaves(&mut node, 3, udp(3, B, WORLD, (1031, 53)));
    assert_ne!(other, 1031, "that one is taken");
}

#[test]
fn nobody_outside_opens_a_session() {
    let mut node = start("addresses: [203.0.113.5]");
    let (_, port) = leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    assert_eq!(port, 5000);
    let strangers = [
        udp_from_fabric([9, 9, 9, 9], POOL, (53, 5000)),
        udp_from_fabric(WORLD, POOL, (54, 5000)),
        udp_from_fabric(WORLD, POOL, (53, 5001)),
    ];
    assert_eq!(send(&mut node, FABRIC, &strangers), []);
    assert_eq!(drops(&node, "snat_unsolicited"), 3);
}

#[test]
fn what_no_session_knows_on_the_nodes_own_address_is_the_nodes() {
    let mut node = start("addresses: [10.1.0.66]");
    leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    assert_eq!(send(&mut node, FABRIC, &[udp_from_fabric(WORLD, NODE, (53, 5001))]), []);
    assert_eq!((node.accounting().punted, drops(&node, "snat_unsolicited")), (1, 0));
    let mut ping = Vec::new();
    from_fabric().ipv4(WORLD, NODE, 60).icmpv4_echo_request(5000, 1).write(&mut ping, &[1; 8]).unwrap();
    let left = send(&mut node, FABRIC, &[ping]);
    assert_eq!(left.len(), 1, "the node answers ping");
    assert_eq!(seen(&left[0].1).1, WORLD);
}

#[test]
fn when_all_ports_are_taken_the_next_packet_is_dropped_by_name() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1063}");
    let ports: HashSet<u16> =
        (0..64).map(|n| leaves(&mut node, 2, udp(2, A, WORLD, (2000 + n, 53))).1).collect();
    assert_eq!(ports, (1000..=1063).collect());
    assert_eq!(send(&mut node, 3, &[udp(3, B, WORLD, (2000, 53))]), []);
    assert_eq!(drops(&node, "snat_exhausted"), 1);
    leaves(&mut node, 3, syn(3, B, WORLD, (2000, 53)));
    leaves(&mut node, 2, udp(2, A, WORLD, (2001, 53)));
}

#[test]
fn all_ports_of_an_address_can_be_in_use_and_then_none_is_left() {
    let mut node = Simulator::new(1, Size { sessions: 70_000, buffers: 1 << 20, ..Size::default() }).unwrap();
    lay_out(&mut node, "addresses: [203.0.113.5]");
    let frames: Vec<_> = (1024..=65_535).map(|port| udp(2, A, WORLD, (port, 53))).collect();
    let kept = send(&mut node, 2, &frames).iter().filter(|(_, frame)| seen(frame).2 >= 1024).count();
    assert_eq!(kept, 64_512);
    for n in 1..=100 {
        assert_eq!(send(&mut node, 3, &[udp(3, B, WORLD, (n * 600, 53))]), []);
        assert_eq!(drops(&node, "snat_exhausted"), u64::from(n));
    }
}

#[test]
fn a_second_address_serves_where_the_first_is_full() {
    let mut node = start("addresses: [203.0.113.5, 203.0.113.6], ports: {first: 1000, last: 1009}");
    let outside: HashSet<([u8; 4], u16)> =
        (0..20).map(|n| leaves(&mut node, 2, udp(2, A, WORLD, (2000 + n, 53)))).collect();
    assert_eq!(outside.len(), 20);
    let first: HashSet<[u8; 4]> = outside.iter().map(|(address, _)| *address).collect();
    assert_eq!(first.len(), 2);
    assert_eq!(send(&mut node, 2, &[udp(2, A, WORLD, (3000, 53))]), []);
}

#[test]
fn one_inside_port_has_one_outside_port_for_a_thousand_destinations() {
    let mut node = start("addresses: [203.0.113.5, 203.0.113.6], ports: {first: 1000, last: 1999}");
    let ports: HashSet<([u8; 4], u16)> = (0..1000_u16)
        .map(|n| leaves(&mut node, 2, udp(2, A, [9, 9, (n >> 8) as u8, n as u8], (5000, 53))))
        .collect();
    assert_eq!(ports.len(), 1);
}

#[test]
fn per_destination_one_port_serves_several_destinations() {
    let pool = "addresses: [203.0.113.5], ports: {first: 1000, last: 1000}, mapping: PER_DESTINATION";
    let mut node = start(pool);
    let mut served = 0;
    for n in 0..20 {
        let left = send(&mut node, 2, &[udp(2, A, [9, 9, 9, n], (5000, 53))]);
        if let [(_, frame)] = &left[..] {
            assert_eq!(seen(frame).2, 1000);
            served += 1;
            let back = send(&mut node, FABRIC, &[udp_from_fabric([9, 9, 9, n], POOL, (53, 1000))]);
            assert_eq!(seen(&back[0].1), ([9, 9, 9, n], A, 53, 5000));
        }
    }
    assert!(served > 8, "{served}");
    assert_eq!(drops(&node, "snat_exhausted"), 20 - served);
}

#[test]
fn an_echo_has_its_identifier_translated_and_its_reply_comes_back() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1063}");
    let echo = |id: u8, source| {
        let mut frame = Vec::new();
        let step = super::ethernet(id).ipv4(source, WORLD, 64).icmpv4_echo_request(77, 1);
        step.write(&mut frame, &[3; 16]).unwrap();
        frame
    };
    let (_, first) = leaves(&mut node, 2, echo(2, A));
    let (_, second) = leaves(&mut node, 3, echo(3, B));
    assert_ne!(first, second);
    for (identifier, out, address) in [(first, 2, A), (second, 3, B)] {
        let mut reply = Vec::new();
        let step = from_fabric().ipv4(WORLD, POOL, 60).icmpv4_echo_reply(identifier, 1);
        step.write(&mut reply, &[3; 16]).unwrap();
        let left = send(&mut node, FABRIC, &[reply]);
        assert_eq!((left[0].0, seen(&left[0].1)), (InterfaceId(out), (WORLD, address, 77, 0)));
    }
}

#[test]
fn an_error_about_a_translated_packet_reaches_the_workload_that_sent_it() {
    let mut node = start("addresses: [10.1.0.66], ports: {first: 1000, last: 1063}");
    let sent = send(&mut node, 2, &[udp(2, A, WORLD, (5000, 53))]);
    let quoted = &sent[0].1[14..];
    let mut error = Vec::new();
    let unreachable = etherparse::icmpv4::DestUnreachableHeader::Port;
    let step = from_fabric()
        .ipv4([9, 9, 9, 9], NODE, 60)
        .icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(unreachable));
    step.write(&mut error, quoted).unwrap();
    let left = send(&mut node, FABRIC, &[error]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!(*out, InterfaceId(2));
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!() };
    assert_eq!(ip.header().destination(), A);
    let inner = SlicedPacket::from_ip(&frame[14 + 20 + 8..]).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &inner.net else { panic!() };
    let Some(TransportSlice::Udp(udp)) = &inner.transport else { panic!() };
    assert_eq!((ip.header().source(), udp.source_port()), (A, 5000));
}

#[test]
fn one_workload_calls_another_at_its_outside_port() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1063}");
    let (_, a) = leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    let (_, b) = leaves(&mut node, 3, udp(3, B, WORLD, (5000, 53)));
    let left = send(&mut node, 2, &[udp(2, A, POOL, (5000, b))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, seen(frame)), (InterfaceId(3), (POOL, B, a, 5000)));
    let back = send(&mut node, 3, &[udp(3, B, POOL, (5000, a))]);
    let [(out, frame)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((*out, seen(frame)), (InterfaceId(2), (POOL, A, b, 5000)));
    assert_eq!(send(&mut node, 2, &[udp(2, A, POOL, (5000, 1001 + (b - 1000) % 62))]).len(), 0);
}

#[test]
fn a_workload_that_calls_its_own_outside_port_does_not_hear_itself() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1063}");
    let (_, server) = leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    let (_, client) = leaves(&mut node, 2, udp(2, A, WORLD, (6000, 53)));
    let left = send(&mut node, 2, &[udp(2, A, POOL, (6000, server))]);
    let [(out, frame)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((*out, seen(frame)), (InterfaceId(2), (POOL, A, client, 5000)));
    let back = send(&mut node, 2, &[udp(2, A, POOL, (5000, client))]);
    let [(out, frame)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((*out, seen(frame)), (InterfaceId(2), (POOL, A, server, 6000)));
}

#[test]
fn a_tcp_connection_of_unknown_past_gets_no_port() {
    let mut node = start("addresses: [203.0.113.5]");
    let mut frame = Vec::new();
    let step = super::ethernet(2).ipv4(A, WORLD, 64).tcp(5000, 80, 1000, 64_240).ack(7);
    step.write(&mut frame, &[1; 8]).unwrap();
    let told = send(&mut node, 2, &[frame]);
    let [(out, reset)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*out, seen(reset)), (InterfaceId(2), (WORLD, A, 80, 5000)));
    let packet = SlicedPacket::from_ethernet(reset).unwrap();
    assert!(
        matches!(&packet.transport, Some(TransportSlice::Tcp(tcp)) if tcp.rst() && tcp.sequence_number() == 7)
    );
    assert_eq!(drops(&node, "snat_midstream"), 1);
    assert_eq!(leaves(&mut node, 2, syn(2, A, WORLD, (5000, 80))), (POOL, 5000), "none was lost by that");
}

#[test]
fn a_session_keeps_its_port_through_changes_that_leave_it_be() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1063}");
    let (_, port) = leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53)));
    put(&mut node, "- route: {vrf: 1, prefix: '192.0.2.0/24', next_hop: 100}");
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))).1, port);
    let wider = "addresses: [203.0.113.5, 203.0.113.6], ports: {first: 1000, last: 2000}";
    put(&mut node, &format!("- source_nat: {{id: 1, vrf: 0, vrfs: [1], {wider}}}"));
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))), (POOL, port));
    let other = "addresses: [203.0.113.7], ports: {first: 1000, last: 2000}";
    put(&mut node, &format!("- source_nat: {{id: 1, vrf: 0, vrfs: [1], {other}}}"));
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))).0, [203, 0, 113, 7]);
}

#[test]
fn without_the_pool_a_session_goes_on_as_the_route_says() {
    let mut node = start("addresses: [203.0.113.5]");
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))).0, POOL);
    super::delete(&mut node, "- source_nat: {id: 1}");
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))).0, A);
    let left = send(&mut node, FABRIC, &[udp_from_fabric(WORLD, POOL, (53, 5000))]);
    assert!(left.iter().all(|(out, _)| *out == InterfaceId(FABRIC)), "{left:?}");
}

#[test]
fn a_floating_ip_goes_before_a_pool() {
    let mut node = start("addresses: [203.0.113.5]");
    put(
        &mut node,
        "
- vrf: {id: 2, name: public}
- route: {vrf: 2, prefix: '8.8.0.0/16', next_hop: 101}
- floating_ip: {id: 1, address: 101.1.1.1, vrf: 2, interfaces: [2]}
",
    );
    assert_eq!(leaves(&mut node, 2, udp(2, A, WORLD, (5000, 53))), ([101, 1, 1, 1], 5000));
    assert_eq!(leaves(&mut node, 2, udp(2, A, [9, 9, 9, 9], (5000, 53))), (POOL, 5000));
}

#[test]
fn an_explanation_tells_the_port_and_takes_none() {
    let mut node = start("addresses: [203.0.113.5], ports: {first: 1000, last: 1000}");
    for _ in 0..3 {
        let story = node.explain(InterfaceId(2), &udp(2, A, WORLD, (5000, 53))).unwrap();
        assert_eq!(story.verdict, "sent", "{story:?}");
        assert_eq!((seen(&story.packet).0, seen(&story.packet).2), (POOL, 1000));
        assert!(story.steps.iter().any(|step| step.stage == "source_nat"), "{story:?}");
    }
    assert_eq!(leaves(&mut node, 3, udp(3, B, WORLD, (5000, 53))), (POOL, 1000));
    let story = node.explain(InterfaceId(2), &udp(2, A, WORLD, (5000, 53))).unwrap();
    assert_eq!((story.verdict, story.reason), ("dropped", "snat_exhausted"));
}

#[test]
fn ipv6_workloads_share_addresses_too() {
    let mut node = start("addresses: ['2001:db8:ffff::1'], ports: {first: 1000, last: 1063}");
    let six =
        workload(4, "2001:db8:1::4", "").replace("/32\"", "/128\"").replace("10.1.1.1", "2001:db8:1::1");
    put(&mut node, &six);
    put(&mut node, "- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:0a:01:00:42', addresses: ['10.1.0.66/24', '2001:db8::66/64'], device: {null: {}}}
- next_hop: {id: 102, interface: {interface: 1, address: '2001:db8::1'}}
- route: {vrf: 0, prefix: '::/0', next_hop: 102}");
    node.install_neighbour(InterfaceId(1), "2001:db8::1".parse().unwrap(), [2, 0, 0, 0xff, 0, 1]);
    let [inside, outside, world] = ["2001:db8:1::4", "2001:db8:ffff::1", "2001:4860::8888"]
        .map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
    let mut frame = Vec::new();
    super::ethernet(4).ipv6(inside, world, 64).udp(5000, 53).write(&mut frame, &[0; 8]).unwrap();
    let left = send(&mut node, 4, &[frame]);
    let ends = |frame: &[u8]| {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport)
        else {
            panic!()
        };
        let (source, destination) = (ip.header().source(), ip.header().destination());
        let header = udp.to_header();
        assert_eq!(
            header.checksum,
            header.calc_checksum_ipv6_raw(source, destination, udp.payload()).unwrap()
        );
        (source, destination, header.source_port, header.destination_port)
    };
    let (source, _, port, _) = ends(&left[0].1);
    assert!(source == outside && (1000..=1063).contains(&port));
    let mut reply = Vec::new();
    from_fabric().ipv6(world, outside, 60).udp(53, port).write(&mut reply, &[9; 8]).unwrap();
    let back = send(&mut node, FABRIC, &[reply]);
    assert_eq!((back[0].0, ends(&back[0].1)), (InterfaceId(4), (world, inside, 53, 5000)));
}

#[test]
fn the_vrouter_answers_for_the_addresses_of_a_pool_on_the_fabric() {
    let mut node = start("addresses: [10.1.0.200]");
    let ask = |target| arp_request([2, 0, 0, 0xff, 0, 1], [10, 1, 0, 1], target);
    let left = send(&mut node, FABRIC, &[ask([10, 1, 0, 200])]);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1[22..32], [2, 0, 0x0a, 1, 0, 0x42, 10, 1, 0, 200]);
    assert_eq!(send(&mut node, FABRIC, &[ask([10, 1, 0, 201])]), []);
}
