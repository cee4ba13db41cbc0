//! A change voids the decisions that it may alter, and no others (SEMANTICS 17).

use super::*;

/// Interfaces and VRFs whose epochs a batch raised.
fn raised(bench: &mut Bench, text: &str) -> (Vec<u16>, Vec<u16>) {
    let before = bench.tables().clone();
    bench.put(text);
    changed(&before, bench)
}

fn deleted(bench: &mut Bench, text: &str) -> (Vec<u16>, Vec<u16>) {
    let before = bench.tables().clone();
    bench.delete(text);
    changed(&before, bench)
}

fn changed(before: &Tables, bench: &Bench) -> (Vec<u16>, Vec<u16>) {
    let now = bench.tables();
    let epoch = |tables: &Tables, id: u16| tables.interface(InterfaceId(id)).map(|row| row.epoch);
    let interfaces: Vec<u16> =
        (1..20).filter(|&id| epoch(now, id).is_some() && epoch(now, id) != epoch(before, id)).collect();
    let vrfs: Vec<u16> =
        (0..10).filter(|&id| now.vrf_epoch(VrfId(id)) != before.vrf_epoch(VrfId(id))).collect();
    let raised = !interfaces.is_empty() || !vrfs.is_empty();
    assert_eq!(now.epoch != before.epoch, raised, "the tables' epoch is the newest of all");
    for &id in &interfaces {
        assert_eq!(u64::from(now.interface(InterfaceId(id)).unwrap().epoch), now.generation);
    }
    (interfaces, vrfs)
}

#[test]
fn a_route_raises_its_vrf() {
    let mut bench = Bench::node();
    let route = "- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20}";
    assert_eq!(raised(&mut bench, route), (vec![], vec![1]));
    assert_eq!(
        raised(&mut bench, "- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20, label: 50}"),
        (vec![], vec![1])
    );
    assert_eq!(
        raised(&mut bench, "- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 21, origin: z}"),
        (vec![], vec![])
    );
    assert_eq!(deleted(&mut bench, route), (vec![], vec![1]));
}

#[test]
fn a_rule_raises_the_interfaces_that_are_bound_to_its_group() {
    let mut bench = Bench::node();
    let web = "- security_group: {id: 7, name: web, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 80, last: 81}}]}";
    assert_eq!(raised(&mut bench, web), (vec![2, 4], vec![]));
    let db = "- security_group: {id: 8, name: db, rules: [{id: 2, direction: EGRESS}]}";
    assert_eq!(raised(&mut bench, db), (vec![3], vec![]));
    assert_eq!(
        raised(&mut bench, "- security_group: {id: 70, rules: [{id: 1, direction: EGRESS}]}"),
        (vec![], vec![])
    );
}

#[test]
fn an_interface_raises_itself() {
    let mut bench = Bench::node();
    let vm2 = "- interface: {id: 3, name: vm2, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:01:03', addresses: ['10.1.1.4'], policy: true, security_groups: [7, 8], device: {ring: {name: vm2}}}";
    assert_eq!(raised(&mut bench, vm2), (vec![3], vec![]));
    assert!(bench.interface(3).security.decide(&query(Some(7))).allowed);
}

fn query(group: Option<u32>) -> flow::policy::Query<'static> {
    flow::policy::Query {
        direction: flow::policy::Direction::Ingress,
        v6: false,
        remote: [9; 16],
        remote_groups: if group.is_some() { &[7] } else { &[] },
        protocol: 17,
        dst_port: 53,
        icmp_type: 0,
        icmp_code: 0,
    }
}

#[test]
fn groups_that_a_route_gains_or_loses_raise_those_whose_rules_name_them() {
    let mut bench = Bench::node();
    // Only db has a rule that names a group, web; vm2 is bound to db.
    let route = |groups: &str| {
        format!("- route: {{vrf: 1, prefix: '10.9.0.0/16', next_hop: 20, security_groups: {groups}}}")
    };
    assert_eq!(raised(&mut bench, &route("[8]")), (vec![], vec![1]));
    assert_eq!(raised(&mut bench, &route("[7, 8]")), (vec![3], vec![1]));
    assert_eq!(raised(&mut bench, &route("[7]")), (vec![], vec![1]), "nobody's rule names group 8");
    assert_eq!(raised(&mut bench, &route("[]")), (vec![3], vec![1]));
    // A group whose rule names itself.
    bench.put("- security_group: {id: 8, name: db, rules: [{id: 1, direction: INGRESS, group: 8}]}");
    assert_eq!(raised(&mut bench, &route("[8]")), (vec![3], vec![1]));
    assert_eq!(deleted(&mut bench, &route("[]")), (vec![3], vec![1]));
}

#[test]
fn a_floating_ip_raises_its_interfaces() {
    let mut bench = Bench::node();
    let floating = |interfaces: &str| {
        format!("- floating_ip: {{id: 1, address: 10.40.0.3, vrf: 2, interfaces: {interfaces}}}")
    };
    assert_eq!(raised(&mut bench, &floating("[2]")), (vec![2], vec![]));
    assert_eq!(raised(&mut bench, &floating("[3]")), (vec![2, 3], vec![]));
    assert!(bench.interface(2).floating_ips.is_empty());
    let fip = &bench.interface(3).floating_ips[0];
    assert_eq!((fip.id, fip.fixed, fip.vrf), (1, packet::meta::v4([10, 1, 1, 4]), VrfId(2)));
    // What is decided in vrf 1 looks into vrf 2 now.
    assert_eq!(
        raised(&mut bench, "- route: {vrf: 2, prefix: '0.0.0.0/0', next_hop: 20}"),
        (vec![], vec![1, 2])
    );
    assert_eq!(deleted(&mut bench, &floating("[3]")), (vec![3], vec![]));
    assert_eq!(raised(&mut bench, "- route: {vrf: 2, prefix: '0.0.0.0/0', next_hop: 21}"), (vec![], vec![2]));
}

#[test]
fn a_route_to_a_link_local_service_raises_the_vrfs_that_have_it() {
    let mut bench = Bench::node();
    let service = "- link_local_service: {id: 1, address: 169.254.169.254, protocol: 6, port: 80, to_address: 10.9.9.9, to_port: 80, to_vrf: 2, vrfs: [1]}";
    assert_eq!(raised(&mut bench, service), (vec![2, 3], vec![]));
    let route = |id: u32| format!("- route: {{vrf: 2, prefix: '10.9.9.9/32', next_hop: {id}}}");
    assert_eq!(raised(&mut bench, &route(20)), (vec![], vec![1, 2]));
    assert_eq!(deleted(&mut bench, service), (vec![2, 3], vec![]));
    assert_eq!(raised(&mut bench, &route(21)), (vec![], vec![2]));
}

#[test]
fn a_group_behind_a_port_of_the_node_raises_the_interfaces_that_it_leads_to() {
    let mut bench = Bench::node();
    let group = |members: &str| format!("- next_hop: {{id: 30, ecmp: {{members: [{members}]}}}}\n");
    bench.put(&(group("{next_hop: 10, weight: 1}, {next_hop: 11, weight: 1}")
        + "- floating_ip: {id: 1, address: 10.1.0.66, interfaces: [2, 3], next_hop: 30, port_maps: [{protocol: 6, port: 30640, to_port: 80}]}"));
    assert_eq!(raised(&mut bench, &group("{next_hop: 10, weight: 1}")), (vec![2, 3], vec![]));
}

#[test]
fn a_pinned_flow_raises_its_interface() {
    let mut bench = Bench::node();
    let flow = "- flow: {interface: 2, direction: EGRESS, source: 10.1.1.3, destination: 10.1.2.3, protocol: 6, source_port: 4000, destination_port: 80, action: DENY}";
    assert_eq!(raised(&mut bench, flow), (vec![2], vec![]));
    let pin = bench.interface(2).pins[0];
    assert!(pin.deny && pin.key.from_workload && bench.interface(2).pin(&pin.key).is_some());
    assert_eq!(bench.try_delete("- interface: {id: 2, name: vm1}\n- next_hop: {id: 10}\n- route: {vrf: 1, prefix: '10.1.1.3/32'}").code, 9);
    assert_eq!(deleted(&mut bench, flow), (vec![2], vec![]));
    assert!(bench.interface(2).pins.is_empty());
}

#[test]
fn what_a_tunnel_is_made_of_raises_nothing() {
    let mut bench = Bench::node();
    bench.put("- next_hop: {id: 30, ecmp: {members: [{next_hop: 20, weight: 1}]}}\n- route: {vrf: 2, prefix: '::/0', next_hop: 30}");
    let tunnel =
        "- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_GRE, destination: 10.1.0.200, label: 99}}";
    assert_eq!(raised(&mut bench, tunnel), (vec![], vec![]));
    assert_eq!(bench.tunnel(20).label.0, 99);
    assert_eq!(raised(&mut bench, "- mpls_label: {label: 40, next_hop: 10}"), (vec![], vec![]));
    bench.control.install_neighbour(InterfaceId(1), "10.1.0.200".parse().unwrap(), [2; 6]).unwrap();
    let epoch = bench.tables().epoch;
    bench.control.publish();
    assert_eq!(bench.tables().epoch, epoch);
}

#[test]
fn a_next_hop_that_leads_elsewhere_raises_the_vrfs_that_go_through_it() {
    let mut bench = Bench::node();
    // vrf 1 names tunnel 20; vrf 2 goes through group 30, whose member it is; vrf 3 looks into vrf 2.
    bench.put(
        "- vrf: {id: 3, name: green}
- next_hop: {id: 30, ecmp: {members: [{next_hop: 20, weight: 1}, {next_hop: 21, weight: 1}]}}
- next_hop: {id: 31, vrf: {vrf: 2}}
- route: {vrf: 2, prefix: '0.0.0.0/0', next_hop: 30}
- route: {vrf: 3, prefix: '0.0.0.0/0', next_hop: 31}",
    );
    assert_eq!(raised(&mut bench, "- next_hop: {id: 20, discard: {}}"), (vec![], vec![1, 2, 3]));
    let back =
        "- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.1.0.194, label: 32}}";
    assert_eq!(raised(&mut bench, back), (vec![], vec![1, 2, 3]));
    let group = |members: &str| format!("- next_hop: {{id: 30, ecmp: {{members: [{members}]}}}}");
    let reweighted = group("{next_hop: 20, weight: 5}, {next_hop: 21, weight: 0}");
    assert_eq!(raised(&mut bench, &reweighted), (vec![], vec![]), "weights are for new flows");
    assert_eq!(raised(&mut bench, &group("{next_hop: 20, weight: 5}")), (vec![], vec![2, 3]));
    assert_eq!(raised(&mut bench, "- next_hop: {id: 31, discard: {}}"), (vec![], vec![3]));
    assert_eq!(raised(&mut bench, "- next_hop: {id: 10, interface: {interface: 3}}").1, vec![1]);
}

#[test]
fn the_next_hop_that_delivers_to_a_workload_is_known_and_a_new_one_raises_it() {
    let mut bench = Bench::node();
    assert_eq!(bench.interface(2).delivery, NextHopId(10));
    assert_eq!(raised(&mut bench, "- next_hop: {id: 9, interface: {interface: 2}}"), (vec![2], vec![]));
    assert_eq!(bench.interface(2).delivery, NextHopId(9));
    assert_eq!(raised(&mut bench, "- next_hop: {id: 15, interface: {interface: 2}}"), (vec![], vec![]));
    deleted(&mut bench, "- next_hop: {id: 9}\n- next_hop: {id: 15}");
    assert_eq!(bench.interface(2).delivery, NextHopId(10));
}

#[test]
fn an_interface_or_vrf_that_comes_again_is_new() {
    let mut bench = Bench::node();
    let vm3 = "- interface: {id: 4, name: vm3, role: VIRTUAL, vrf: 2, mac: '02:00:00:00:01:04', addresses: ['10.1.1.3'], policy: true, security_groups: [7], device: {ring: {name: vm3}}}\n";
    let rest = "- next_hop: {id: 12, interface: {interface: 4}}\n- vrf: {id: 2, name: blue}\n- route: {vrf: 2, prefix: '10.1.1.3/32', next_hop: 12, security_groups: [7]}\n";
    let both = [vm3, rest].concat();
    bench.delete(&both);
    // Interface 3 has a rule for members of group 7, and a route to one came.
    assert_eq!(raised(&mut bench, &both), (vec![3, 4], vec![2]));
    assert_eq!(u64::from(bench.tables().vrf_epoch(VrfId(2))), bench.tables().generation);
}

#[test]
fn a_network_policy_raises_the_networks_that_are_bound_to_it() {
    let mut bench = Bench::node();
    let policy = |action: &str| format!("- network_policy: {{id: 5, rules: [{{id: 1, action: {action}}}]}}");
    assert_eq!(raised(&mut bench, &policy("PASS")), (vec![], vec![]), "nobody is bound");
    bench.put("- interface: {id: 9, name: vm9, role: VIRTUAL, vrf: 2, mac: '02:00:00:00:01:09', device: {'null': {}}}");
    assert!(!bench.interface(9).needs_flow());
    let bound = "- vrf: {id: 2, name: blue, network_policies: [5]}";
    assert_eq!(raised(&mut bench, bound), (vec![4, 9], vec![2]), "its workloads need the flow stage now");
    assert!(bench.interface(9).needs_flow() && !bench.interface(1).needs_flow());
    assert_eq!(raised(&mut bench, &policy("DENY")), (vec![], vec![2]));
    assert_eq!(raised(&mut bench, "- vrf: {id: 2, name: azure, network_policies: [5]}"), (vec![], vec![]));
    assert_eq!(raised(&mut bench, "- vrf: {id: 2, name: azure}"), (vec![4, 9], vec![2]));
    assert!(!bench.interface(9).needs_flow());
}

#[test]
fn tags_and_the_network_of_a_route_raise_its_vrf() {
    let mut bench = Bench::node();
    let route = |more: &str| format!("- route: {{vrf: 1, prefix: '10.9.0.0/16', next_hop: 20{more}}}");
    bench.put(&route(""));
    assert_eq!(raised(&mut bench, &route(", network: 1")), (vec![], vec![]), "it is in that network");
    assert_eq!(raised(&mut bench, &route(", network: 2")), (vec![], vec![1]));
    assert_eq!(raised(&mut bench, &route(", network: 2, tags: [tier=web]")), (vec![], vec![1]));
    assert_eq!(raised(&mut bench, &route(", network: 2, tags: [tier=db]")), (vec![], vec![1]));
}
