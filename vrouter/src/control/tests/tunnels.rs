//! What tunnels stand on (SEMANTICS 21).

use packet::DropReason;

use super::*;
use crate::tables::NeighbourState;

const MAC: [u8; 6] = [2, 0, 10, 1, 0, 0xc2];

fn requests(bench: &mut Bench) -> Vec<u16> {
    bench.control.take_frames().into_iter().map(|(interface, _)| interface.0).collect()
}

/// An ARP answer of `ip` as the fabric interface receives it.
fn arp_reply(ip: [u8; 4], mac: [u8; 6]) -> Vec<u8> {
    let asked = packet::arp::Arp::request([2, 0, 10, 1, 0, 0x42], [10, 1, 0, 66].into(), ip.into());
    [&[2, 0, 10, 1, 0, 0x42][..], &mac, &[8, 6], &asked.reply(mac).to_bytes()].concat()
}

#[test]
fn a_tunnel_asks_for_its_neighbour_and_is_complete_when_it_answers() {
    let mut bench = Bench::node();
    assert_eq!(requests(&mut bench), [1, 1], "both tunnels' destinations are asked for at once");
    let member = &bench.tunnel(20).members[0];
    assert_eq!((member.interface, member.resolved), (InterfaceId(1), false));
    assert_eq!(member.neighbour, (false, packet::meta::v4([10, 1, 0, 194])));
    assert_eq!(member.inner_mtu, 1500 - 32);
    let epoch = bench.tables().epoch;

    bench.control.hear(InterfaceId(1), &arp_reply([10, 1, 0, 194], MAC));
    bench.control.publish();
    let member = &bench.tunnel(20).members[0];
    assert!(member.resolved);
    assert_eq!(
        member.template.outer_addresses(),
        (packet::meta::v4([10, 1, 0, 66]), packet::meta::v4([10, 1, 0, 194]))
    );
    assert!(!bench.tunnel(21).members[0].resolved);
    assert_eq!(bench.tables().epoch, epoch, "no flow has to be decided again");
    let known = bench.tables().neighbours.get(InterfaceId(1), false, &packet::meta::v4([10, 1, 0, 194]));
    assert_eq!(known, Some(NeighbourState::Resolved(MAC)));
}

#[test]
fn a_moved_neighbour_is_followed_in_the_next_generation() {
    let mut bench = Bench::node();
    bench.control.hear(InterfaceId(1), &arp_reply([10, 1, 0, 194], MAC));
    bench.control.publish();
    let old = bench.tunnel(20).members[0].template;
    let other = [2, 0, 0, 0, 0, 77];
    let gratuitous = packet::arp::Arp::announcement(other, [10, 1, 0, 194].into()).to_bytes();
    let frame = [&[0xff; 6][..], &other, &[8, 6], &gratuitous].concat();
    let generation = bench.control.generation();
    bench.control.hear(InterfaceId(1), &frame);
    bench.control.publish();
    assert_eq!(bench.control.generation(), generation + 1);
    assert_ne!(bench.tunnel(20).members[0].template, old);
    // Our own address and unknown neighbours are nobody's to move.
    for ip in [[10, 1, 0, 66], [10, 1, 0, 77]] {
        let frame =
            [&[0xff; 6][..], &other, &[8, 6], &packet::arp::Arp::announcement(other, ip.into()).to_bytes()]
                .concat();
        bench.control.hear(InterfaceId(1), &frame);
    }
    assert_eq!(bench.control.neighbours(None).len(), 2);
}

#[test]
fn routes_of_the_transport_vrf_carry_tunnels_over_gateways_and_several_uplinks() {
    let mut bench = Bench::empty();
    bench.put(
        "- vrf: {id: 0, name: fabric}
- interface: {id: 1, name: up1, role: FABRIC, addresses: ['10.1.0.66/24'], device: {'null': {}}}
- interface: {id: 2, name: up2, role: FABRIC, addresses: ['10.2.0.66/24'], mtu: 9000, device: {'null': {}}}
- next_hop: {id: 1, interface: {interface: 1, address: 10.1.0.1}}
- next_hop: {id: 2, interface: {interface: 2, address: 'fe80::1'}}
- next_hop: {id: 3, ecmp: {members: [{next_hop: 1, weight: 1}, {next_hop: 2, weight: 1}]}}
- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 2.2.2.2}}",
    );
    assert!(bench.tunnel(20).members.is_empty(), "no route");
    bench.put("- route: {vrf: 0, prefix: '2.2.2.0/24', next_hop: 3}");
    let ways = |bench: &Bench| -> Vec<(u16, bool)> {
        bench.tunnel(20).members.iter().map(|member| (member.interface.0, member.neighbour.0)).collect()
    };
    assert_eq!(ways(&bench), [(1, false), (2, true)]);
    assert_eq!(bench.tunnel(20).members[1].inner_mtu, 9000 - 32);
    bench.put("- route: {vrf: 0, prefix: '2.2.2.2/32', next_hop: 1}");
    assert_eq!(ways(&bench), [(1, false)], "a longer prefix takes it");
    bench.delete("- route: {vrf: 0, prefix: '2.2.2.2/32'}");
    bench.put("- next_hop: {id: 3, ecmp: {members: [{next_hop: 1, weight: 0}, {next_hop: 2, weight: 1}]}}");
    assert_eq!(ways(&bench), [(2, true)], "a drained uplink is left");
    bench.put("- next_hop: {id: 2, interface: {interface: 2, address: 10.2.0.9}}");
    assert_eq!(ways(&bench), [(2, false)]);
    bench.put("- route: {vrf: 0, prefix: '2.2.3.0/24', next_hop: 1}");
    assert_eq!(ways(&bench), [(2, false)], "another prefix is not its");
    bench.delete("- route: {vrf: 0, prefix: '2.2.2.0/24'}");
    assert!(bench.tunnel(20).members.is_empty());
}

#[test]
fn a_failed_uplink_is_left_while_another_is_there() {
    let mut bench = Bench::empty();
    bench.put(
        "- vrf: {id: 0, name: fabric}
- interface: {id: 1, name: up1, role: FABRIC, addresses: ['10.1.0.66/24'], device: {'null': {}}}
- interface: {id: 2, name: up2, role: FABRIC, addresses: ['10.2.0.66/24'], device: {'null': {}}}
- next_hop: {id: 1, interface: {interface: 1, address: 10.1.0.1}}
- next_hop: {id: 2, interface: {interface: 2, address: 10.2.0.1}}
- next_hop: {id: 3, ecmp: {members: [{next_hop: 1, weight: 1}, {next_hop: 2, weight: 1}]}}
- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 2.2.2.2}}
- route: {vrf: 0, prefix: '0.0.0.0/0', next_hop: 3}",
    );
    let ways = |bench: &mut Bench| -> Vec<u16> {
        bench.control.publish();
        bench.tunnel(20).members.iter().map(|member| member.interface.0).collect()
    };
    assert_eq!(ways(&mut bench), [1, 2], "none has answered: packets wait for both");
    bench.control.hear(InterfaceId(2), &arp_reply([10, 2, 0, 1], MAC));
    assert_eq!(ways(&mut bench), [2], "the other has not answered yet");
    for now in [1_000, 2_000, 3_000] {
        bench.control.advance(now);
    }
    assert_eq!(ways(&mut bench), [2]);
    // The dead one is asked again, and taken back when it answers.
    bench.control.take_frames();
    bench.control.advance(8_000);
    assert_eq!((ways(&mut bench), requests(&mut bench)), (vec![2], vec![1]), "asked, not yet back");
    bench.control.hear(InterfaceId(1), &arp_reply([10, 1, 0, 1], MAC));
    assert_eq!(ways(&mut bench), [1, 2]);
}

#[test]
fn a_tunnel_over_unnumbered_uplinks_borrows_an_address() {
    let mut bench = Bench::empty();
    bench.put(
        "- vrf: {id: 0, name: fabric}
- interface: {id: 1, name: up1, role: FABRIC, addresses: ['fe80::66/64'], device: {'null': {}}}
- next_hop: {id: 1, interface: {interface: 1, address: 'fe80::1'}}
- route: {vrf: 0, prefix: '2.2.2.2/32', next_hop: 1}
- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 2.2.2.2}}",
    );
    assert!(bench.tunnel(20).members.is_empty(), "no source of the family");
    assert_eq!(bench.tunnel(20).unresolved, DropReason::NoSourceAddress);
    let source = |bench: &Bench| bench.tunnel(20).members[0].template.outer_addresses().0;
    let lender = |id: u8, address: u8| {
        format!(
            "- interface: {{id: {id}, name: up{id}, role: FABRIC, addresses: ['1.1.1.{address}'], device: {{'null': {{}}}}}}"
        )
    };
    // Whoever lends comes, changes and goes in batches that name neither the tunnel nor its uplink.
    bench.put(&lender(3, 3));
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 3]));
    bench.put(&lender(2, 2));
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 2]), "the lowest interface lends");
    bench.put(&lender(2, 9));
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 9]));
    bench.delete(&lender(2, 9));
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 3]));
    bench.delete(&lender(3, 3));
    assert!(bench.tunnel(20).members.is_empty());
    bench.put("- interface: {id: 1, name: up1, role: FABRIC, addresses: ['fe80::66/64', '1.1.1.1'], device: {'null': {}}}");
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 1]));
    bench.put(&lender(2, 2));
    assert_eq!(source(&bench), packet::meta::v4([1, 1, 1, 1]), "its own goes first");
}

#[test]
fn peers_are_the_destinations_of_tunnels() {
    let mut bench = Bench::node();
    let peer = |bench: &Bench, ip: [u8; 4]| bench.tables().peers.get(&packet::meta::v4(ip)).0;
    assert_eq!(peer(&bench, [10, 1, 0, 194]), bench.tunnel(20).peer.0);
    assert_ne!(peer(&bench, [10, 1, 0, 194]), peer(&bench, [10, 1, 0, 195]));
    assert_eq!(peer(&bench, [10, 1, 0, 200]), 0);
    let before = peer(&bench, [10, 1, 0, 195]);
    bench.put(
        "- next_hop: {id: 21, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.1.0.195, label: 90}}",
    );
    assert_eq!(peer(&bench, [10, 1, 0, 195]), before, "another label is no other peer");
    bench.put("- next_hop: {id: 21, discard: {}}");
    assert_eq!(peer(&bench, [10, 1, 0, 195]), 0);
}

#[test]
fn groups_know_what_their_members_lead_to() {
    use crate::tables::EcmpLeaf;
    let mut bench = Bench::node();
    bench.put("- next_hop: {id: 22, discard: {}}\n- next_hop: {id: 30, ecmp: {members: [{next_hop: 10, weight: 1}, {next_hop: 20, label: 40, weight: 3}, {next_hop: 22, weight: 1}]}}");
    let group = |bench: &Bench| match bench.tables().next_hop(NextHopId(30)) {
        Some(NextHop::Ecmp(group)) => group.clone(),
        other => panic!("{other:?}"),
    };
    let found = group(&bench);
    assert_eq!(
        found.leaves,
        [EcmpLeaf::Local(InterfaceId(2)), EcmpLeaf::Tunnel(bench.tunnel(20).peer), EcmpLeaf::Dead]
    );
    assert!(found.service);
    let members: Vec<_> = found.group.members().iter().map(|m| (m.next_hop.0, m.label.0, m.weight)).collect();
    assert_eq!(members, [(10, 0xff_ffff, 1), (20, 40, 3), (22, 0xff_ffff, 0)]);
    bench.put("- next_hop: {id: 10, interface: {interface: 1, address: 10.1.0.9}}\n- route: {vrf: 1, prefix: '10.1.1.3/32', next_hop: 11, security_groups: [7]}");
    assert_eq!(group(&bench).leaves[0], EcmpLeaf::Plain(InterfaceId(1)));
    assert!(!group(&bench).service);
}

#[test]
fn a_changed_mtu_or_mac_of_the_uplink_reaches_its_tunnels() {
    let mut bench = Bench::node();
    let uplink = |mac: u8, mtu: u16| {
        format!(
            "- interface: {{id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:0a:01:00:{mac}', mtu: {mtu}, addresses: ['10.1.0.66/24', '2001:db8:a::42/64'], device: {{ring: {{name: fabric}}}}}}"
        )
    };
    bench.put(&uplink(42, 9000));
    assert_eq!(bench.tunnel(20).members[0].inner_mtu, 9000 - 32);
    let template = bench.tunnel(20).members[0].template;
    bench.put(&uplink(43, 9000));
    assert_ne!(bench.tunnel(20).members[0].template, template);
}

#[test]
fn labels_on_top_take_their_place_from_the_mtu() {
    let mut bench = Bench::node();
    bench.put("- next_hop: {id: 22, tunnel: {encapsulation: MPLS_OVER_UDP, destination: '10.1.0.194', outer_labels: [16, 17]}}");
    assert_eq!(bench.tunnel(22).members[0].inner_mtu, 1500 - 32 - 8);
}
