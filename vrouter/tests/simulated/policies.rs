//! Network policies between a red and a blue network (SEMANTICS 4, 17, 29).

use etherparse::{Icmpv4Type, NetSlice, SlicedPacket, TransportSlice, icmpv4::DestUnreachableHeader};
use flow::policy::RuleSet;
use packet::InterfaceId;
use vrouter::simulator::Simulator;

use super::{delete, drops, ends, ethernet, from_node, neighbours, node, packet, put, send, syn, udp};

const RED: [u8; 4] = [100, 0, 0, 3];
const BLUE: [u8; 4] = [2, 0, 0, 252];

/// A workload in a VRF of its network, with its route there.
fn member(id: u32, vrf: u32, address: &str, more: &str) -> String {
    format!(
        r#"
- interface: {{id: {id}, name: vm{id}, role: VIRTUAL, vrf: {vrf}, mac: "02:00:00:00:00:{id:02x}", addresses: ["{address}"], gateways: ["{address}1"], device: {{null: {{}}}}{more}}}
- next_hop: {{id: {id}, interface: {{interface: {id}}}}}
- route: {{vrf: {vrf}, prefix: "{address}/32", next_hop: {id}{more}}}
"#
    )
    // The gateway of 100.0.0.3 is 100.0.0.1.
    .replace("100.0.0.31", "100.0.0.1")
    .replace("2.0.0.2521", "2.0.0.1")
}

/// Red 100.0.0.3 is interface 2, blue 2.0.0.252 is interface 3; their routes are leaked into each other's VRF.
fn scene() -> Simulator {
    let mut node = node(1000, "- vrf: {id: 2, name: blue}");
    put(&mut node, &(member(2, 1, "100.0.0.3", "") + &member(3, 2, "2.0.0.252", "")));
    put(&mut node, LEAKS);
    node
}

const LEAKS: &str = "
- route: {vrf: 1, prefix: 2.0.0.252/32, next_hop: 3, network: 2}
- route: {vrf: 2, prefix: 100.0.0.3/32, next_hop: 2, network: 1}
";

/// A policy of these rules, bound to both networks.
fn policy(rules: &str) -> String {
    format!(
        "
- network_policy: {{id: 5, name: red-blue, rules: [{rules}]}}
- vrf: {{id: 1, name: red, network_policies: [5]}}
- vrf: {{id: 2, name: blue, network_policies: [5]}}
"
    )
}

const JOINED: &str =
    "{id: 1, source: {network: 1}, destination: {network: 2}, bidirectional: true, action: PASS}";
const UNBOUND: &str = "\n- vrf: {id: 1, name: red}\n- vrf: {id: 2, name: blue}\n";

fn red_calls(node: &mut Simulator) -> usize {
    send(node, 2, &[udp(2, RED, BLUE, (4000, 5000))]).len()
}

fn blue_answers(node: &mut Simulator) -> usize {
    send(node, 3, &[udp(3, BLUE, RED, (5000, 4000))]).len()
}

#[test]
fn networks_without_policies_are_bound_by_routes_alone() {
    let mut node = scene();
    assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (1, 1));
    assert_eq!(node.flows().len(), 0, "nobody needs the flow stage");
    delete(&mut node, LEAKS);
    assert_eq!(red_calls(&mut node), 0);
    assert_eq!(drops(&node, "no_route"), 1);
}

#[test]
fn either_end_whose_network_has_policies_asks_for_a_rule() {
    let other = "{id: 1, source: {network: 7}, destination: {network: 8}, action: PASS}";
    for bound in [1, 2] {
        let mut node = scene();
        put(&mut node, &format!("- network_policy: {{id: 5, rules: [{other}]}}"));
        let name = ["red", "blue"][bound - 1];
        put(&mut node, &format!("- vrf: {{id: {bound}, name: {name}, network_policies: [5]}}"));
        assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (0, 0), "{name} has a policy");
        assert_eq!(drops(&node, "policy_denied"), 2);
    }
}

#[test]
fn a_policy_that_comes_and_goes_is_obeyed_by_the_very_next_packet_of_both_directions() {
    let mut node = scene();
    put(&mut node, &policy(JOINED));
    for round in 0..100 {
        assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (1, 1), "joined, round {round}");
        put(&mut node, &policy(""));
        assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (0, 0), "parted, round {round}");
        put(&mut node, &policy(JOINED));
    }
    assert_eq!(drops(&node, "policy_denied"), 200);
    assert_eq!(node.counters().flow_created.get(), 1, "the conversation went on each time");
}

#[test]
fn routes_and_policy_go_in_one_batch() {
    let mut node = scene();
    let joined = policy(JOINED) + LEAKS;
    for _ in 0..20 {
        put(&mut node, &joined);
        assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (1, 1));
        put(&mut node, UNBOUND);
        delete(&mut node, LEAKS);
        assert_eq!((red_calls(&mut node), blue_answers(&mut node)), (0, 0));
    }
    assert_eq!(drops(&node, "no_route"), 40);
}

#[test]
fn within_a_network_everything_passes_unless_a_rule_says_otherwise() {
    let mut node = scene();
    put(&mut node, &member(4, 1, "100.0.0.4", ""));
    put(&mut node, &policy(JOINED));
    let packet = [udp(4, [100, 0, 0, 4], RED, (1, 2))];
    assert_eq!(send(&mut node, 4, &packet).len(), 1);
    let deny = "{id: 9, source: {prefix: 100.0.0.4/32}, action: DENY}";
    put(&mut node, &policy(&format!("{deny}, {JOINED}")));
    assert_eq!(send(&mut node, 4, &packet).len(), 0);
    assert_eq!(red_calls(&mut node), 1);
    assert_eq!(drops(&node, "policy_denied"), 1);
}

#[test]
fn security_groups_and_policies_must_both_allow() {
    let mut node = scene();
    put(&mut node, &policy(JOINED));
    let group = |rules: &str| {
        format!(
            "- security_group: {{id: 7, name: g, rules: [{rules}]}}
- interface: {{id: 2, name: vm2, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:02', addresses: [100.0.0.3], policy: true, security_groups: [7], device: {{'null': {{}}}}}}"
        )
    };
    put(&mut node, &group("{id: 1, direction: EGRESS, protocol: 17}"));
    assert_eq!(red_calls(&mut node), 1);
    put(&mut node, &group(""));
    assert_eq!(red_calls(&mut node), 0);
    assert_eq!(drops(&node, "security_group"), 1);
    put(&mut node, &group("{id: 1, direction: EGRESS, protocol: 17}"));
    put(&mut node, &policy(""));
    assert_eq!(red_calls(&mut node), 0);
    assert_eq!(drops(&node, "policy_denied"), 1);
}

/// What a workload is told instead of an answer.
fn told(node: &mut Simulator, frame: Vec<u8>) -> Option<(InterfaceId, Vec<u8>)> {
    let mut left = send(node, 2, &[frame]);
    assert!(left.len() <= 1);
    left.pop()
}

#[test]
fn reject_resets_tcp_and_answers_the_rest_with_administratively_prohibited() {
    let mut node = scene();
    let reject = "{id: 3, source: {network: 1}, action: REJECT}";
    put(&mut node, &policy(reject));
    // The first packet and one of the refused session that it leaves behind.
    for _ in 0..2 {
        let (interface, frame) = told(&mut node, syn(2, RED, BLUE, (4000, 80))).unwrap();
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4") };
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("no TCP") };
        assert_eq!((interface, ip.header().source(), ip.header().destination()), (InterfaceId(2), BLUE, RED));
        assert_eq!((tcp.source_port(), tcp.destination_port()), (80, 4000));
        assert!(tcp.rst() && tcp.ack() && tcp.acknowledgment_number() == 1001);
        assert_eq!(
            tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()),
            Ok(tcp.checksum())
        );
    }
    let (_, frame) = told(&mut node, udp(2, RED, BLUE, (4000, 53))).unwrap();
    let packet = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4") };
    let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else { panic!("no ICMP") };
    assert_eq!(ip.header().source(), [100, 0, 0, 1], "the gateway tells");
    assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited));
    assert_eq!(drops(&node, "policy_rejected"), 3);
}

#[test]
fn a_running_connection_is_reset_at_both_ends() {
    let mut node = scene();
    put(&mut node, &policy(JOINED));
    let segment = |id: u8, ends: ([u8; 4], [u8; 4]), ports: (u16, u16), flags: &str| {
        let mut frame = Vec::new();
        let step = ethernet(id).ipv4(ends.0, ends.1, 64).tcp(ports.0, ports.1, 1000, 64_240);
        let step = match flags {
            "syn" => step.syn(),
            "syn ack" => step.syn().ack(1001),
            _ => step.ack(1001),
        };
        step.write(&mut frame, &[]).unwrap();
        frame
    };
    assert_eq!(send(&mut node, 2, &[segment(2, (RED, BLUE), (4000, 80), "syn")]).len(), 1);
    assert_eq!(send(&mut node, 3, &[segment(3, (BLUE, RED), (80, 4000), "syn ack")]).len(), 1);
    assert_eq!(send(&mut node, 2, &[segment(2, (RED, BLUE), (4000, 80), "ack")]).len(), 1);
    put(&mut node, &policy("{id: 2, action: REJECT}"));
    for (id, ends, ports) in [(2, (RED, BLUE), (4000, 80)), (3, (BLUE, RED), (80, 4000))] {
        let left = send(&mut node, id.into(), &[segment(id, ends, ports, "ack")]);
        let [(interface, frame)] = &left[..] else { panic!("{id} is told") };
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("no TCP") };
        assert_eq!(*interface, InterfaceId(id.into()));
        assert!(tcp.rst() && tcp.sequence_number() == 1001);
    }
}

#[test]
fn what_comes_out_of_a_tunnel_is_judged_by_the_receivers_network() {
    let mut node = scene();
    neighbours(&mut node, &["10.1.0.101"]);
    put(
        &mut node,
        "
- next_hop: {id: 101, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.1.0.101, label: 101}}
- mpls_label: {label: 16, next_hop: 3}
- route: {vrf: 2, prefix: 100.0.0.0/24, next_hop: 101, network: 1}
",
    );
    let from_fabric = |source: [u8; 4]| [from_node(101, 16, &packet(source, BLUE, (4000, 5000)))];
    let red = [100, 0, 0, 9];
    put(&mut node, &policy(JOINED));
    assert_eq!(send(&mut node, 1, &from_fabric(red)).len(), 1);
    put(&mut node, &policy(""));
    assert_eq!(send(&mut node, 1, &from_fabric(red)).len(), 0);
    put(&mut node, "- route: {vrf: 2, prefix: 100.0.0.0/24, next_hop: 101}");
    assert_eq!(send(&mut node, 1, &from_fabric(red)).len(), 1, "now it is of the blue network");
    assert_eq!(drops(&node, "policy_denied"), 1);
}

#[test]
fn a_floating_ip_takes_part_with_its_public_network() {
    let mut node = scene();
    put(&mut node, "- vrf: {id: 3, name: public}");
    put(
        &mut node,
        "
- floating_ip: {id: 1, address: 101.1.1.1, vrf: 3, interfaces: [2]}
- route: {vrf: 3, prefix: 101.1.1.1/32, next_hop: 2}
- route: {vrf: 3, prefix: 9.9.9.9/32, next_hop: 4}
- interface: {id: 4, name: vm4, role: VIRTUAL, vrf: 3, mac: '02:00:00:00:00:04', addresses: [9.9.9.9], device: {'null': {}}}
- next_hop: {id: 4, interface: {interface: 4}}
",
    );
    let call = [udp(2, RED, [9, 9, 9, 9], (4000, 5000))];
    put(&mut node, &policy(""));
    assert_eq!(send(&mut node, 2, &call).len(), 1, "red's policies are not asked: it is in public");
    // Within the public network, unless a rule there says otherwise: about the address as the workload knows it.
    let bound = |rule: &str| {
        format!(
            "- network_policy: {{id: 6, rules: [{rule}]}}\n- vrf: {{id: 3, name: public, network_policies: [6]}}"
        )
    };
    put(
        &mut node,
        &bound("{id: 1, source: {prefix: 100.0.0.3/32}, destination: {network: 3}, action: DENY}"),
    );
    assert_eq!(send(&mut node, 2, &call).len(), 0);
    put(&mut node, &bound("{id: 1, source: {network: 1}, action: DENY}"));
    assert_eq!(send(&mut node, 2, &call).len(), 1, "network 1 is not what others see");
    let back = [udp(4, [9, 9, 9, 9], [101, 1, 1, 1], (7, 8))];
    assert_eq!(send(&mut node, 4, &back).len(), 1);
    put(&mut node, &bound("{id: 1, destination: {prefix: 100.0.0.3/32}, action: DENY}"));
    assert_eq!(send(&mut node, 4, &back).len(), 0, "the receiver's own address is its private one");
}

#[test]
fn tags_say_who_is_meant_in_whatever_network() {
    let mut node = node(1000, "- vrf: {id: 2, name: blue}");
    put(
        &mut node,
        &(member(2, 1, "100.0.0.3", ", tags: [tier=web]") + &member(3, 2, "2.0.0.252", ", tags: [tier=db]")),
    );
    put(&mut node, &member(4, 1, "100.0.0.4", ""));
    put(
        &mut node,
        "
- route: {vrf: 1, prefix: 2.0.0.252/32, next_hop: 3, network: 2, tags: [tier=db]}
- route: {vrf: 2, prefix: 100.0.0.3/32, next_hop: 2, network: 1, tags: [tier=web]}
- route: {vrf: 2, prefix: 100.0.0.4/32, next_hop: 4, network: 1}
",
    );
    let rule = "{id: 1, source: {tags: [tier=web]}, destination: {tags: [tier=db]}, action: PASS}";
    put(&mut node, &policy(rule));
    assert_eq!(red_calls(&mut node), 1);
    assert_eq!(send(&mut node, 4, &[udp(4, [100, 0, 0, 4], BLUE, (1, 2))]).len(), 0, "no tag");
    assert_eq!(send(&mut node, 3, &[udp(3, BLUE, RED, (1, 2))]).len(), 0, "the other way round");
    put(&mut node, &member(2, 1, "100.0.0.3", ", tags: [tier=app]"));
    assert_eq!(red_calls(&mut node), 0, "another tag now");
    assert_eq!(drops(&node, "policy_denied"), 3);
}

#[test]
fn each_rule_counts_what_it_has_decided() {
    let mut node = scene();
    let rules = "{id: 1, protocol: 17, destination_ports: {first: 53, last: 53}, action: DENY}, {id: 2, action: PASS}";
    put(&mut node, &policy(rules));
    let hits = |node: &Simulator, rule| node.decided(RuleSet::NetworkPolicy(5), rule);
    let (pass, deny) = (udp(2, RED, BLUE, (4000, 5000)), udp(2, RED, BLUE, (4000, 53)));
    let length = 20 + 8 + 8;
    send(&mut node, 2, &[pass.clone(), pass.clone(), deny.clone(), deny.clone(), deny]);
    assert_eq!(blue_answers(&mut node), 1);
    // Both ends have asked it, about one session.
    assert_eq!(hits(&node, 2), Some([1, 3, 3 * length]));
    assert_eq!(hits(&node, 1), Some([1, 3, 3 * length]));
    assert_eq!(hits(&node, 3), None);
    put(&mut node, &policy(&format!("{rules}, {{id: 3, action: DENY}}")));
    assert_eq!(hits(&node, 1), Some([1, 3, 3 * length]), "a rule that stays keeps its counters");
    assert_eq!(hits(&node, 3), Some([0, 0, 0]));
    put(&mut node, &policy("{id: 2, action: PASS}"));
    assert_eq!(hits(&node, 1), None);
}

#[test]
fn an_explanation_names_policy_and_rule() {
    let mut node = scene();
    let explain = |node: &Simulator| {
        let story = node.explain(InterfaceId(2), &udp(2, RED, BLUE, (4000, 5000))).unwrap();
        let told = story.steps.iter().filter(|step| step.stage == "network_policy");
        (told.map(|step| step.text.clone()).collect::<Vec<_>>(), story.reason)
    };
    put(&mut node, &policy(JOINED));
    let (told, reason) = explain(&node);
    assert_eq!(
        told,
        [
            "vm2 egress: network 1 > 2: network_policy 5 rule 1 says pass",
            "vm3 ingress: network 1 > 2: network_policy 5 rule 1 says pass"
        ]
    );
    assert_eq!(reason, "");
    put(&mut node, &policy("{id: 8, source: {network: 1}, action: REJECT}"));
    let (told, reason) = explain(&node);
    assert_eq!(told, ["vm2 egress: network 1 > 2: network_policy 5 rule 8 says reject"]);
    assert_eq!(reason, "policy_rejected");
    put(&mut node, &policy(""));
    let (told, reason) = explain(&node);
    assert_eq!(told, ["vm2 egress: network 1 > 2: no rule of network 1, so deny"]);
    assert_eq!(reason, "policy_denied");
}

#[test]
fn another_networks_policy_decides_nothing_again() {
    let mut node = scene();
    put(&mut node, &policy(JOINED));
    assert_eq!(red_calls(&mut node), 1);
    let before = node.counters().flow_redecided.get();
    put(&mut node, "- network_policy: {id: 6}\n- vrf: {id: 4, name: other, network_policies: [6]}");
    put(&mut node, "- network_policy: {id: 6, rules: [{id: 1, action: DENY}]}");
    assert_eq!(red_calls(&mut node), 1);
    assert_eq!(node.counters().flow_redecided.get(), before);
}

#[test]
fn a_leaked_route_leads_to_a_floating_ip_of_the_network_that_it_names() {
    let mut node = scene();
    put(
        &mut node,
        "
- vrf: {id: 3, name: services}
- floating_ip: {id: 1, address: 10.96.21.23, vrf: 3, interfaces: [3], direction: NAT_INGRESS}
- route: {vrf: 3, prefix: 10.96.21.23/32, next_hop: 3}
- route: {vrf: 3, prefix: 100.0.0.3/32, next_hop: 2, network: 1}
- route: {vrf: 1, prefix: 10.96.21.23/32, next_hop: 3}
",
    );
    let destination = |node: &mut Simulator| {
        let left = send(node, 2, &[udp(2, RED, [10, 96, 21, 23], (4000, 53))]);
        let [(_, frame)] = &left[..] else { panic!("lost") };
        ends(frame).1
    };
    assert_eq!(destination(&mut node), [10, 96, 21, 23], "to the red network the address means nothing");
    put(&mut node, "- route: {vrf: 1, prefix: 10.96.21.23/32, next_hop: 3, network: 3}");
    assert_eq!(destination(&mut node), BLUE);
}
