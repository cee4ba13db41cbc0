//! Whatever batches come in whatever order, the tables are those that one batch of all living objects makes from
//! nothing; and a refused batch leaves no trace.

use std::fmt::Write as _;

use agent_api::v1::{object::Object as O, operation::Operation};
use flow::policy::network::{self, End};
use flow::policy::{Direction, Query};
use packet::TagId;
use proptest::prelude::*;

use super::*;
use crate::tables::{EcmpLeaf, Membership, NextHop};

/// What there is to begin with, so that most of what follows is accepted.
const WORLD: &str = r#"
- vrf: {id: 0, name: vrf0}
- vrf: {id: 1, name: vrf1}
- vrf: {id: 2, name: vrf2}
- security_group: {id: 1}
- security_group: {id: 2}
- network_policy: {id: 1}
- network_policy: {id: 2}
- interface: {id: 1, name: if1, role: FABRIC, mac: "02:00:00:00:00:01", addresses: ["10.1.0.1/24"], device: {"null": {}}}
- interface: {id: 2, name: if2, role: FABRIC, mac: "02:00:00:00:00:02", addresses: ["10.2.0.2/24"], device: {"null": {}}}
- interface: {id: 3, name: if3, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:00:03", addresses: ["10.1.1.1"], device: {"null": {}}}
- next_hop: {id: 1, interface: {interface: 1, address: 10.1.0.9}}
- next_hop: {id: 2, interface: {interface: 3}}
- next_hop: {id: 3, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.9.1.1}}
"#;

/// Objects of a small world, so that they meet: most references lead somewhere, some do not.
fn object() -> impl Strategy<Value = v1::Object> {
    let vrf = 0..4_u32;
    let groups = prop::collection::vec(1..4_u32, 0..3);
    let interface_id = 1..5_u32;
    let next_hop_id = 1..8_u32;
    prop_oneof![
        3 => (vrf.clone(), 0..5_u32, prop::collection::btree_set(1..4_u32, 0..3)).prop_map(|(id, name, policies)| {
            let network_policies = policies.into_iter().collect();
            O::Vrf(v1::Vrf { id, name: format!("vrf{name}"), network_policies, ..Default::default() })
        }),
        4 => (interface_id.clone(), any::<bool>(), vrf.clone(), 1..4_u8, groups.clone()).prop_map(interface),
        6 => (next_hop_id.clone(), kind(), 0..3_u32).prop_map(|(id, kind, mtu)| O::NextHop(v1::NextHop {
            id, kind: Some(kind), mtu: [0, 1400, 9000][mtu as usize]
        })),
        8 => (vrf.clone(), 0..4_u8, 0..3_u32, 0..8_u32, 0..3_u32, groups).prop_map(
            |(vrf, net, origin, next_hop, label, security_groups)| O::Route(v1::Route {
                vrf,
                prefix: ["0.0.0.0/0", "10.9.0.0/16", "10.9.1.0/24", "10.9.1.1/32"][usize::from(net)].into(),
                origin: ["", "a", "b"][origin as usize].into(),
                next_hop,
                label: [0, 40, 41][label as usize],
                preference: 100 + origin * 7 % 5,
                security_groups,
                network: origin * u32::from(net),
                tags: if label == 1 { vec!["tier=web".into()] } else { Vec::new() },
            })
        ),
        1 => (16..19_u32, next_hop_id.clone()).prop_map(|(label, id)| O::MplsLabel(v1::MplsLabel {
            label, target: Some(v1::mpls_label::Target::NextHop(id))
        })),
        1 => (1..4_u32, vrf.clone()).prop_map(|(vni, id)| O::Vni(v1::Vni {
            vni, target: Some(v1::vni::Target::Vrf(id))
        })),
        2 => (1..4_u32, 0..4_u32, 80..82_u32).prop_map(|(id, remote, port)| O::SecurityGroup(v1::SecurityGroup {
            id,
            name: String::new(),
            rules: vec![v1::SecurityGroupRule {
                id: 1,
                direction: v1::Direction::Ingress.into(),
                protocol: 6,
                ports: Some(v1::PortRange { first: port, last: port }),
                remote: (remote > 0).then_some(v1::security_group_rule::Remote::Group(remote)),
                ..Default::default()
            }],
        })),
        2 => (1..4_u32, 0..4_u32, any::<bool>(), 1..4_i32).prop_map(|(id, network, mirror, action)| {
            let end = match network {
                0 => v1::PolicyEnd { tags: vec!["tier=web".into()], end: None },
                id => v1::PolicyEnd { end: Some(v1::policy_end::End::Network(id)), tags: Vec::new() },
            };
            let rule = v1::NetworkPolicyRule {
                id: 1, source: Some(end), action, bidirectional: mirror, ..Default::default()
            };
            O::NetworkPolicy(v1::NetworkPolicy { id, name: String::new(), rules: vec![rule] })
        }),
        2 => (1..4_u32, vrf, prop::collection::vec(interface_id.clone(), 0..3)).prop_map(
            |(id, vrf, interfaces)| O::FloatingIp(v1::FloatingIp {
                id, address: format!("10.40.0.{id}"), vrf, interfaces, ..Default::default()
            })
        ),
        1 => (interface_id, 0..2_u32, 1..3_i32).prop_map(|(interface, port, action)| O::Flow(v1::Flow {
            interface,
            direction: v1::Direction::Egress.into(),
            source: "10.1.1.1".into(),
            destination: "10.9.1.1".into(),
            protocol: 17,
            source_port: port,
            destination_port: 53,
            action,
        })),
    ]
    .prop_map(|object| v1::Object { object: Some(object) })
}

fn interface((id, fabric, vrf, address, mut security_groups): (u32, bool, u32, u8, Vec<u32>)) -> O {
    let device = v1::Device { kind: Some(v1::device::Kind::Null(v1::NullDevice {})), queues: 0 };
    // One more thing that varies.
    let mtu = if security_groups.len() == 1 { 1400 } else { 0 };
    if fabric {
        security_groups.clear();
    }
    O::Interface(v1::Interface {
        id,
        name: format!("if{id}"),
        role: if fabric { v1::Role::Fabric } else { v1::Role::Virtual }.into(),
        device: Some(device),
        vrf,
        mac: format!("02:00:00:00:00:0{id}"),
        addresses: vec![if fabric { format!("10.{address}.0.{id}/24") } else { format!("10.1.1.{address}") }],
        policy: !fabric,
        mtu,
        security_groups,
        ..Default::default()
    })
}

fn kind() -> impl Strategy<Value = v1::next_hop::Kind> {
    use v1::next_hop::Kind as K;
    let member = (1..8_u32, 0..3_u32, 0..2_u32).prop_map(|(next_hop, weight, label)| v1::EcmpMember {
        next_hop,
        weight,
        label: [0, 50][label as usize],
    });
    prop_oneof![
        Just(K::Discard(v1::Discard {})),
        (1..5_u32).prop_map(|interface| K::Resolve(v1::Resolve { interface })),
        (1..5_u32, any::<bool>()).prop_map(|(interface, gateway)| K::Interface(v1::InterfaceNextHop {
            interface,
            address: if gateway { "10.1.0.9".into() } else { String::new() },
        })),
        (1..4_u32, 0..4_u32).prop_map(|(net, transport_vrf)| K::Tunnel(v1::Tunnel {
            encapsulation: v1::Encapsulation::MplsOverUdp.into(),
            destination: ["10.1.0.200", "10.9.1.1", "10.2.0.7"][net as usize - 1].into(),
            transport_vrf,
            ..Default::default()
        })),
        prop::collection::vec(member, 0..4)
            .prop_map(|members| K::Ecmp(v1::Ecmp { members, ..Default::default() })),
        (0..4_u32).prop_map(|vrf| K::Vrf(v1::VrfNextHop { vrf })),
    ]
}

/// Everything that forwards, as text: without the numbers that history gives out.
fn image(tables: &Tables) -> String {
    let mut text = String::new();
    for (vrf, policy) in tables.network_policies.iter() {
        let answers = (0..16_u16).map(|n| {
            let tags: &[TagId] = if n & 8 == 0 { &[] } else { &[TagId(0)] };
            let end = |network| End { address: [9; 16], network: VrfId(network), tags };
            let answer = policy.decide(&network::Query {
                v6: false,
                source: end(n & 3),
                destination: end(n >> 1 & 2),
                protocol: 6,
                source_port: 1,
                destination_port: 2,
                icmp_type: 0,
                icmp_code: 0,
            });
            (answer.action, answer.rule.map(|rule| rule.to_string()))
        });
        let _ = writeln!(text, "policies of {vrf}: {:?}", answers.collect::<Vec<_>>());
    }
    for (_, row) in tables.interfaces.iter() {
        let passes = [80, 81].map(|dst_port| {
            [&[][..], &[1], &[2], &[3]].map(|remote_groups| {
                let direction = Direction::Ingress;
                let query = Query {
                    direction,
                    v6: false,
                    remote: [9; 16],
                    remote_groups,
                    protocol: 6,
                    dst_port,
                    icmp_type: 0,
                    icmp_code: 0,
                };
                row.security.decide(&query).allowed
            })
        });
        let _ = writeln!(
            text,
            "{} {:?} {} {:?} {:?} {:?} {:?} {:?} {} {}",
            row.id,
            row.role,
            row.vrf,
            row.mac,
            row.addresses_v4,
            row.floating_ips,
            row.pins,
            passes,
            row.delivery,
            row.needs_flow
        );
    }
    for (id, row) in tables.next_hops.iter() {
        let leaf = |leaf: &EcmpLeaf| match leaf {
            EcmpLeaf::Tunnel(_) => "tunnel".to_owned(),
            leaf => format!("{leaf:?}"),
        };
        let _ = match row {
            NextHop::Tunnel(tunnel) => {
                assert_eq!(tables.peers.get(&tunnel.destination), tunnel.peer);
                let members: Vec<_> = tunnel
                    .members
                    .iter()
                    .map(|m| (m.interface, m.neighbour, m.inner_mtu, m.template))
                    .collect();
                writeln!(text, "{id} {:?} {members:?}", tunnel.destination)
            }
            NextHop::Ecmp(group) => {
                let leaves: Vec<_> = group.leaves.iter().map(leaf).collect();
                writeln!(text, "{id} {:?} {leaves:?} {}", group.group.members(), group.service)
            }
            row => writeln!(text, "{id} {row:?}"),
        };
    }
    for vrf in 0..4 {
        let vrf = VrfId(vrf);
        let _ = write!(text, "vrf {vrf} {} {}:", tables.vrfs.contains(vrf), tables.vrfs.routes(vrf));
        for address in ["10.1.0.9", "10.9.1.1", "10.9.1.2", "10.9.2.1", "10.2.0.1", "10.40.0.1"] {
            let ip: std::net::Ipv4Addr = address.parse().unwrap();
            let found = tables.vrfs.lookup4(vrf, ip.to_bits());
            let found = found.map(|found| {
                (found.next_hop(), found.label(), tables.membership(found.groups()).map(tagged))
            });
            let _ = write!(text, " {found:?}");
        }
        text.push('\n');
    }
    let labels: Vec<_> = tables.labels.iter_from(packet::Label(0)).collect();
    let vnis: Vec<_> = tables.vnis.iter_from(packet::Label(0)).collect();
    let _ = writeln!(text, "{labels:?} {vnis:?}");
    text
}

/// There is one tag, and so it has one number.
fn tagged(membership: &Membership) -> (&[u32], Option<VrfId>, usize) {
    (&membership.groups, membership.network, membership.tags.len())
}

/// All living objects of the controller.
fn living(bench: &Bench) -> Vec<v1::Operation> {
    let mut objects = Vec::new();
    for kind in v1::Kind::ALL {
        let request = v1::ListRequest { kind: kind.into(), owner: "controller".into(), ..Default::default() };
        let filter = crate::control::Filter::of(request).unwrap();
        let snapshot = bench.control.snapshot(kind);
        objects.extend(snapshot.entries(&filter, None).map(|(_, entry)| entry.object.unwrap()));
    }
    objects.into_iter().map(|object| operation(Operation::Put(object))).collect()
}

fn everything(operations: Vec<v1::Operation>) -> v1::Batch {
    v1::Batch { operations, ..v1::Batch::default() }
}

/// Makes the tables from nothing and compares.
fn twin(bench: &Bench) -> Result<(), TestCaseError> {
    let mut fresh = Bench::empty();
    let result = fresh.apply_as("controller", everything(living(bench)));
    prop_assert_eq!(result.code, 0, "{}", result.message);
    prop_assert_eq!(image(bench.tables()), image(fresh.tables()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn incremental_tables_are_those_made_from_nothing(
        batches in prop::collection::vec(
            prop::collection::vec((prop::bool::weighted(0.8), object()), 1..4),
            1..150,
        ),
    ) {
        let mut bench = Bench::empty();
        bench.put(WORLD);
        let (mut accepted, mut devices) = (0, 3);
        for batch in batches {
            let operations = batch.into_iter().map(|(put, object)| operation(if put {
                Operation::Put(object)
            } else {
                Operation::Delete(agent_api::key_of(&object))
            }));
            let before = (image(bench.tables()), bench.image());
            let result = bench.apply_as("controller", everything(operations.collect()));
            if result.code != 0 {
                prop_assert_eq!(&before, &(image(bench.tables()), bench.image()), "{}", result.message);
                prop_assert!(!result.message.is_empty());
                continue;
            }
            devices = bench.tables().interfaces.iter().count();
            accepted += 1;
            if accepted % 4 == 0 {
                twin(&bench)?;
            }
        }
        prop_assert_eq!(bench.control.ports().attached(), devices);
        twin(&bench)?;
    }
}
