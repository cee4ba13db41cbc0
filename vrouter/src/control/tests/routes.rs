//! Several sources of one route (SEMANTICS 19).

use super::*;

#[test]
fn the_highest_preference_forwards_and_withdrawing_it_falls_back_in_the_same_generation() {
    let mut bench = Bench::node();
    let route = |origin: &str, preference: u32, next_hop: u32| {
        format!(
            "- route: {{vrf: 1, prefix: '10.9.0.0/16', origin: {origin}, preference: {preference}, next_hop: {next_hop}}}\n"
        )
    };
    bench.put(&[route("b", 100, 10), route("a", 100, 11), route("c", 50, 20)].concat());
    assert_eq!(bench.route(1, "10.9.0.0/16").map(|r| r.0), Some(11), "ties: the lowest origin");
    bench.put(&route("c", 200, 20));
    assert_eq!(bench.route(1, "10.9.0.0/16").map(|r| r.0), Some(20));
    let result = bench.delete(&route("c", 0, 0));
    assert_eq!(
        (bench.route(1, "10.9.0.0/16").map(|r| r.0), result.generation),
        (Some(11), bench.tables().generation)
    );
    let epoch = bench.tables().vrf_epoch(VrfId(1));
    bench.delete(&route("b", 0, 0));
    assert_eq!(bench.tables().vrf_epoch(VrfId(1)), epoch, "a path that waited changes nothing");
    bench.delete(&route("a", 0, 0));
    assert_eq!(bench.route(1, "10.9.0.0/16"), None);
}

#[test]
fn a_route_without_origin_is_its_owners() {
    let mut bench = Bench::node();
    let text = "- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20}";
    bench.put(text);
    assert_eq!(bench.apply_as("other", puts(text)).changed, 1, "a second path, not the first one's");
    assert_eq!(bench.apply_as("other", deletes(text)).changed, 1);
    assert!(bench.route(1, "10.9.0.0/16").is_some());
    bench.delete("- route: {vrf: 1, prefix: '10.9.0.0/16', origin: controller}");
    assert_eq!(bench.route(1, "10.9.0.0/16"), None);
}

#[test]
fn labels_and_vnis_name_their_targets_until_they_go() {
    use nexthop::Target;
    use packet::Label;
    let mut bench = Bench::node();
    bench.put("- mpls_label: {label: 40, next_hop: 10}\n- mpls_label: {label: 41, vrf: 2}\n- vni: {vni: 40, vrf: 1}");
    assert_eq!(bench.tables().labels.get(Label(40)), Some(Target::NextHop(NextHopId(10))));
    assert_eq!(bench.tables().labels.get(Label(41)), Some(Target::Vrf(VrfId(2))));
    assert_eq!(bench.tables().vnis.get(Label(40)), Some(Target::Vrf(VrfId(1))));
    bench.put("- mpls_label: {label: 40, vrf: 1}");
    assert_eq!(bench.tables().labels.get(Label(40)), Some(Target::Vrf(VrfId(1))));
    bench.delete("- mpls_label: {label: 40}\n- vni: {vni: 40}");
    assert_eq!((bench.tables().labels.get(Label(40)), bench.tables().vnis.get(Label(40))), (None, None));
}

#[test]
fn a_label_that_mpls_cannot_carry_is_refused_from_both_ends() {
    let mut bench = Bench::node();
    let tunnel = |id: u32, encapsulation: &str| {
        let router_mac = "router_mac: '02:00:00:00:00:01'";
        format!(
            "- next_hop: {{id: {id}, tunnel: {{encapsulation: {encapsulation}, destination: 10.1.0.196, {router_mac}}}}}\n"
        )
    };
    let group = |id: u32, members: &[u32]| {
        let members: Vec<_> = members.iter().map(|id| format!("{{next_hop: {id}, weight: 1}}")).collect();
        format!("- next_hop: {{id: {id}, ecmp: {{members: [{}]}}}}\n", members.join(", "))
    };
    let route = |next_hop: u32| {
        format!("- route: {{vrf: 1, prefix: '10.9.{next_hop}.0/24', next_hop: {next_hop}, label: 1193046}}\n")
    };
    bench.put(
        &[tunnel(30, "VXLAN"), tunnel(31, "VXLAN"), group(40, &[20, 21]), group(41, &[30, 31])].concat(),
    );
    // The route is the new one.
    let route_40 = (3, "route 1/10.9.40.0/24/controller".to_owned(), "label");
    assert_eq!(refusal(&bench.try_put(&route(40))), route_40);
    bench.put(&[route(30), route(41)].concat());
    // The next hop is.
    let next_hop = |id: u32, field| (9, format!("next_hop {id}"), field);
    let encapsulation = "tunnel.encapsulation";
    assert_eq!(refusal(&bench.try_put(&tunnel(30, "MPLS_OVER_UDP"))), next_hop(30, encapsulation));
    let result = bench.try_put(&tunnel(31, "MPLS_OVER_UDP"));
    assert_eq!(refusal(&result), next_hop(31, encapsulation), "through the group");
    assert!(result.message.contains("route 1/10.9.41.0/24/controller has the label 1193046"), "{result:?}");
    let member = "ecmp.members[1].next_hop";
    assert_eq!(refusal(&bench.try_put(&group(41, &[30, 20]))), next_hop(41, member));
    // Whoever takes the routes along may.
    let moved = route(41).replace("1193046", "77");
    bench.put(&[tunnel(31, "MPLS_OVER_UDP"), moved].concat());
    assert_eq!(refusal(&bench.try_put(&route(41))).0, 3);
    bench.delete(&route(30));
    bench.put(&tunnel(30, "MPLS_OVER_UDP"));
}
