//! Services: who picks which backend, what stays when one goes, ports in ranges (SEMANTICS 7 and 8).

use std::collections::{BTreeMap, BTreeSet};

use etherparse::{Icmpv4Type, PacketBuilder, SlicedPacket, TransportSlice};
use packet::InterfaceId;
use vrouter::simulator::Simulator;

use super::{drops, ends, neighbours, node, put, send, syn, tunnel, udp, workload};

const VIP: [u8; 4] = [10, 96, 21, 23];
/// The workloads behind the service that live here.
const LOCAL: [u16; 2] = [3, 4];
/// The tunnels to those that live elsewhere.
const REMOTE: [(u16, &str); 2] = [(101, "10.1.0.101"), (102, "10.1.0.102")];

/// What a flow came to: an interface, or a tunnel's number.
type Places = BTreeMap<(u8, u16), u16>;

/// Workload 2, which has 10.1.2.0/24 as well, and a service of two workloads here and two behind tunnels.
fn start(weights: [u32; 4], more: &str) -> Simulator {
    let pairs = ", allowed_address_pairs: [{prefix: \"10.1.2.0/24\"}]";
    let mut objects =
        workload(2, "10.1.1.3", pairs) + &workload(3, "10.1.1.4", "") + &workload(4, "10.1.1.5", "");
    for (id, peer) in REMOTE {
        objects += &format!(
            "- next_hop: {{id: {id}, tunnel: {{encapsulation: MPLS_OVER_UDP, destination: \"{peer}\", label: {id}}}}}\n"
        );
    }
    objects += &group(weights, more);
    objects += r#"
- route: {vrf: 1, prefix: "10.96.21.23/32", next_hop: 100}
- route: {vrf: 1, prefix: "10.9.0.0/16", next_hop: 101}
- mpls_label: {label: 77, next_hop: 100}
- floating_ip:
    id: 1
    address: "10.96.21.23"
    vrf: 1
    interfaces: [3, 4]
    direction: NAT_INGRESS
    port_maps:
    - {protocol: 17, port: 53, to_port: 53}
    - {protocol: 17, port: 8000, last: 8009, to_port: 9000, name: media}
    - {protocol: 17, port: 5353, to_port: 53}
"#;
    let mut node = node(60_000, &objects);
    neighbours(&mut node, &REMOTE.map(|(_, peer)| peer));
    node
}

/// The group with the weights of interfaces 3 and 4 and of tunnels 101 and 102.
fn group(weights: [u32; 4], more: &str) -> String {
    let ids = [3, 4, 101, 102];
    let members: Vec<_> =
        ids.iter().zip(weights).map(|(id, weight)| format!("{{next_hop: {id}, weight: {weight}}}")).collect();
    format!("- next_hop: {{id: 100, ecmp: {{members: [{}]{more}}}}}\n", members.join(", "))
}

/// The group without one of its members.
fn without(id: u16, more: &str) -> String {
    group([1; 4], more)
        .replace(&format!("{{next_hop: {id}, weight: 1}}, "), "")
        .replace(&format!(", {{next_hop: {id}, weight: 1}}"), "")
}

/// Where each flow of each client goes: clients 10.1.2.N, so many flows each from port `first` on.
fn places(node: &mut Simulator, clients: u8, first: u16, flows: u16) -> Places {
    let mut places = Places::new();
    for client in 1..=clients {
        let from: Vec<u16> = (first..first + flows).collect();
        let frames: Vec<_> = from.iter().map(|from| udp(2, [10, 1, 2, client], VIP, (*from, 53))).collect();
        for (out, frame) in send(node, 2, &frames) {
            let (place, source) = if out == InterfaceId(1) {
                let (peer, source) = tunnel(&frame);
                (peer[3].into(), source)
            } else {
                (out.0, ends(&frame).2)
            };
            places.insert((client, source), place);
        }
    }
    assert_eq!(places.len(), usize::from(clients) * usize::from(flows), "every packet left");
    places
}

fn used(places: &Places) -> BTreeSet<u16> {
    places.values().copied().collect()
}

/// The member of each client; fails if it has more than one.
fn by_client(places: &Places) -> BTreeMap<u8, u16> {
    let mut clients = BTreeMap::new();
    for ((client, _), place) in places {
        assert_eq!(clients.entry(*client).or_insert(*place), place, "client {client}");
    }
    clients
}

/// A UDP packet of an outside client through the tunnel from 10.1.0.101 with the service's label.
fn tunneled(source: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut inner = Vec::new();
    PacketBuilder::ipv4(source, VIP, 60).udp(ports.0, ports.1).write(&mut inner, &[0; 8]).unwrap();
    let mut payload = (77_u32 << 12 | 1 << 8 | 60).to_be_bytes().to_vec();
    payload.extend(inner);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0xff, 0, 1], [2, 0, 0x0a, 1, 0, 0x42])
        .ipv4([10, 1, 0, 101], [10, 1, 0, 66], 60)
        .udp(50_000, 6635)
        .write(&mut frame, &payload)
        .unwrap();
    frame
}

/// The local member that each outside client's flow comes to.
fn places_from_fabric(node: &mut Simulator, first: u16) -> BTreeMap<u16, u16> {
    let frames: Vec<_> =
        (0..2_000).map(|n: u16| tunneled([10, 9, (n >> 8) as u8, n as u8], (first, 53))).collect();
    let mut places = BTreeMap::new();
    for (out, frame) in send(node, 1, &frames) {
        let ([_, _, high, low], ..) = ends(&frame);
        places.insert(u16::from_be_bytes([high, low]), out.0);
    }
    assert_eq!(places.len(), 2_000);
    places
}

#[test]
fn with_affinity_all_flows_of_a_client_go_to_one_member_and_clients_are_spread() {
    let mut node = start([1; 4], ", affinity: CLIENT_ADDRESS");
    let places = places(&mut node, 200, 10_000, 20);
    let clients = by_client(&places);
    for member in [3, 4, 101, 102] {
        let share = clients.values().filter(|place| **place == member).count();
        assert!((30..=75).contains(&share), "{share} of 200 clients go to {member}");
    }
    let mut node = start([1; 4], "");
    assert_eq!(used(&self::places(&mut node, 1, 10_000, 200)).len(), 4, "without it a client is spread too");
}

#[test]
fn with_affinity_the_loss_of_a_member_moves_only_its_clients() {
    let more = ", affinity: CLIENT_ADDRESS";
    for gone in [3, 101] {
        let mut node = start([1; 4], more);
        let before = by_client(&places(&mut node, 200, 10_000, 2));
        put(&mut node, &without(gone, more));
        // New connections of the same clients.
        let after = by_client(&places(&mut node, 200, 20_000, 2));
        for (client, place) in &before {
            assert!(*place == gone || after[client] == *place, "client {client} left {place}");
            assert!(after[client] != gone);
        }
    }
}

#[test]
fn from_the_fabric_too_the_loss_of_a_member_moves_only_its_clients() {
    let more = ", affinity: CLIENT_ADDRESS";
    let mut node = start([1, 1, 5, 5], more);
    put(
        &mut node,
        "- interface: {id: 5, name: vm5, role: VIRTUAL, vrf: 1, mac: \"02:00:00:00:00:05\", addresses: [\"10.1.1.6\"], policy: true, device: {null: {}}}\n- next_hop: {id: 5, interface: {interface: 5}}",
    );
    let three = |weights: [u32; 3]| {
        let [a, b, c] = weights;
        format!(
            "- next_hop: {{id: 100, ecmp: {{members: [{{next_hop: 3, weight: {a}}}, {{next_hop: 4, weight: {b}}}, {{next_hop: 5, weight: {c}}}, {{next_hop: 101, weight: 5}}]{more}}}}}"
        )
    };
    put(
        &mut node,
        "- floating_ip: {id: 1, address: \"10.96.21.23\", vrf: 1, interfaces: [3, 4, 5], direction: NAT_INGRESS}",
    );
    put(&mut node, &three([1, 1, 1]));
    let before = places_from_fabric(&mut node, 10_000);
    assert_eq!(before.values().copied().collect::<BTreeSet<_>>(), [3, 4, 5].into());
    put(&mut node, &three([1, 0, 1]));
    let after = places_from_fabric(&mut node, 20_000);
    for (client, place) in &before {
        assert!(*place == 4 || after[client] == *place, "client {client} left {place}");
        assert!(after[client] != 4);
    }
}

#[test]
fn local_members_come_first_where_that_is_wanted_and_others_when_they_are_gone() {
    let more = ", prefer_local: true";
    let mut node = start([1, 3, 9, 9], more);
    let here = places(&mut node, 1, 10_000, 4_000);
    assert_eq!(used(&here), LOCAL.into());
    let share = here.values().filter(|place| **place == 4).count();
    assert!((2_850..=3_150).contains(&share), "weights count among them: {share} of 4000");
    // Drained, they keep what they have and take nothing new.
    put(&mut node, &group([0, 0, 1, 1], more));
    assert_eq!(places(&mut node, 1, 10_000, 4_000), here);
    assert_eq!(used(&places(&mut node, 1, 20_000, 500)), [101, 102].into());
    put(&mut node, &group([1, 3, 9, 9], ""));
    assert_eq!(used(&places(&mut node, 1, 30_000, 500)), [3, 4, 101, 102].into());
}

#[test]
fn a_service_without_members_says_so_instead_of_swallowing() {
    for group in ["- next_hop: {id: 100, ecmp: {members: []}}".to_owned(), group([0; 4], "")] {
        let mut node = start([1; 4], "");
        put(&mut node, &group);
        let left = send(&mut node, 2, &[syn(2, [10, 1, 1, 3], VIP, (10_000, 80))]);
        let [(InterfaceId(2), answer)] = &left[..] else { panic!("{left:?}") };
        let packet = SlicedPacket::from_ethernet(answer).unwrap();
        let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else { panic!("no ICMP") };
        let unreachable = etherparse::icmpv4::DestUnreachableHeader::Port;
        assert_eq!(icmp.header().icmp_type, Icmpv4Type::DestinationUnreachable(unreachable));
        assert_eq!(drops(&node, "ecmp_empty"), 1);
    }
}

#[test]
fn a_range_of_ports_leads_to_as_many_at_the_workload_and_two_ports_may_lead_to_one() {
    let mut node = start([1, 0, 0, 0], "");
    for (asked, comes) in [(8000, 9000), (8009, 9009), (5353, 53), (53, 53)] {
        let left = send(&mut node, 2, &[udp(2, [10, 1, 1, 3], VIP, (10_000 + asked, asked))]);
        let [(InterfaceId(3), frame)] = &left[..] else { panic!("port {asked}: {left:?}") };
        assert_eq!(ends(frame).3, comes);
    }
    for asked in [7999, 8010, 9000] {
        let left = send(&mut node, 2, &[udp(2, [10, 1, 1, 3], VIP, (10_000, asked))]);
        assert!(left.iter().all(|(out, _)| *out == InterfaceId(2)), "port {asked}: {left:?}");
    }
    assert_eq!(drops(&node, "nat_port"), 3);
}

#[test]
fn explain_tells_the_pick_and_the_port_map() {
    let mut node = start([1, 0, 0, 0], ", affinity: CLIENT_ADDRESS, prefer_local: true");
    let frame = udp(2, [10, 1, 1, 3], VIP, (10_000, 8001));
    let story = node.explain(InterfaceId(2), &frame).unwrap();
    let said: Vec<_> = story.steps.iter().map(|step| format!("{}: {}", step.stage, step.text)).collect();
    let pick = "ecmp: group 100 of 4, by source address, local members first: next hop 3 weight 1";
    assert!(said.iter().any(|text| text == pick), "{said:#?}");
    let map = "floating_ip: destination translated by floating IP 1, ports 8000 to 8009 (media)";
    assert!(said.iter().any(|text| text == map), "{said:#?}");
    assert_eq!(send(&mut node, 2, &[frame])[0].0, InterfaceId(3));
}

#[test]
fn a_floating_ip_without_port_maps_has_the_ports_that_others_leave() {
    let objects = workload(2, "10.1.1.3", "")
        + &workload(3, "10.1.1.4", "")
        + "
- route: {vrf: 1, prefix: '10.96.21.23/32', next_hop: 3}
- floating_ip: {id: 1, address: '10.96.21.23', vrf: 1, interfaces: [3]}
- floating_ip: {id: 2, address: '10.96.21.23', vrf: 1, interfaces: [3], port_maps: [{protocol: 17, port: 53, to_port: 5353}]}
";
    let mut node = node(1000, &objects);
    for (called, inside) in [(53, 5353), (54, 54)] {
        let left = send(&mut node, 2, &[udp(2, [10, 1, 1, 3], VIP, (4000, called))]);
        assert_eq!(ends(&left[0].1).3, inside);
    }
}
