//! Weights, and what moves when a member comes or goes (SEMANTICS 8).

use std::collections::BTreeMap;

use super::{neighbours, node, put, send, tunnel, udp, workload};
use vrouter::simulator::Simulator;

const PEERS: [&str; 5] = ["10.1.0.101", "10.1.0.102", "10.1.0.103", "10.1.0.104", "10.1.0.105"];

/// A node whose 10.9.0.0/16 goes to tunnels 101..=105 by a group.
fn spread(sessions: u32, policy: bool, weights: &[u32]) -> Simulator {
    let mut objects = workload(2, "10.1.1.3", "");
    if !policy {
        objects = objects.replace("policy: true", "policy: false");
    }
    for (n, peer) in PEERS.iter().enumerate() {
        let id = 101 + n;
        objects += &format!(
            "- next_hop: {{id: {id}, tunnel: {{encapsulation: MPLS_OVER_UDP, destination: \"{peer}\", label: {id}}}}}\n"
        );
    }
    objects += &group(weights);
    objects += "- route: {vrf: 1, prefix: \"10.9.0.0/16\", next_hop: 100}\n";
    let mut node = node(sessions, &objects);
    neighbours(&mut node, &PEERS);
    node
}

/// The group with these weights; 0 leaves a member out.
fn group(weights: &[u32]) -> String {
    let member = |(n, weight): (usize, &u32)| format!("{{next_hop: {}, weight: {weight}}}", 101 + n);
    let members: Vec<_> = weights.iter().enumerate().filter(|(_, weight)| **weight > 0).map(member).collect();
    format!("- next_hop: {{id: 100, ecmp: {{members: [{}]}}}}\n", members.join(", "))
}

/// Sends one packet per flow; the peer each took.
fn places(node: &mut Simulator, flows: u32) -> BTreeMap<(u32, u16), [u8; 4]> {
    let mut places = BTreeMap::new();
    for block in 0..flows.div_ceil(50_000) {
        let destination = [10, 9, 1, block as u8];
        let count = (flows - block * 50_000).min(50_000) as u16;
        let frames: Vec<_> =
            (0..count).map(|n| udp(2, [10, 1, 1, 3], destination, (10_000 + n, 5000))).collect();
        for (_, frame) in send(node, 2, &frames) {
            let (peer, port) = tunnel(&frame);
            places.insert((block, port), peer);
        }
    }
    assert_eq!(places.len(), flows as usize, "every packet left");
    places
}

fn moved(before: &BTreeMap<(u32, u16), [u8; 4]>, after: &BTreeMap<(u32, u16), [u8; 4]>) -> Vec<[u8; 4]> {
    before.iter().filter(|(flow, peer)| after[flow] != **peer).map(|(_, peer)| *peer).collect()
}

#[test]
fn weights_of_three_to_one_are_met_within_two_percent_over_a_hundred_thousand_flows() {
    for policy in [true, false] {
        let mut node = spread(110_000, policy, &[3, 1]);
        let places = places(&mut node, 100_000);
        let first = places.values().filter(|peer| **peer == [10, 1, 0, 101]).count();
        assert!((73_000..=77_000).contains(&first), "{first} of 100000 with policy {policy}");
    }
}

#[test]
fn a_lost_member_moves_only_its_own_flows_and_a_new_one_moves_none() {
    let mut node = spread(20_000, true, &[1, 1, 1, 1]);
    let before = places(&mut node, 10_000);
    put(&mut node, &group(&[1, 1, 1, 1, 1]));
    let more = places(&mut node, 10_000);
    assert_eq!(moved(&before, &more), Vec::<[u8; 4]>::new(), "a member was added");
    put(&mut node, &group(&[1, 1, 0, 1, 1]));
    let less = places(&mut node, 10_000);
    let moved = moved(&more, &less);
    assert!(!moved.is_empty() && moved.iter().all(|peer| *peer == [10, 1, 0, 103]), "a member went");
    assert!(less.values().all(|peer| *peer != [10, 1, 0, 103]));
}

#[test]
fn a_drained_member_keeps_its_flows_and_takes_no_new_ones() {
    let mut node = spread(20_000, true, &[1, 1]);
    let before = places(&mut node, 5_000);
    put(
        &mut node,
        "- next_hop: {id: 100, ecmp: {members: [{next_hop: 101, weight: 1}, {next_hop: 102, weight: 0}]}}",
    );
    let after = places(&mut node, 10_000);
    for (flow, peer) in &after {
        assert_eq!(*peer, before.get(flow).copied().unwrap_or([10, 1, 0, 101]), "{flow:?}");
    }
}

#[test]
fn in_packet_mode_a_lost_member_moves_at_most_its_share_and_one_percent() {
    let mut node = spread(1_000, false, &[1, 1, 1, 1]);
    let before = places(&mut node, 20_000);
    put(&mut node, &group(&[1, 0, 1, 1]));
    let after = places(&mut node, 20_000);
    let moved = moved(&before, &after).len();
    assert!((1..=5_200).contains(&moved), "{moved} of 20000 moved, a quarter and one percent may");
}
