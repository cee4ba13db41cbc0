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
