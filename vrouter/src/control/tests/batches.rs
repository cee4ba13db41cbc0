//! Batches are atomic, ordered and idempotent, and respect who owns what.

use super::*;

#[test]
fn references_inside_a_batch_may_point_forward() {
    let mut bench = Bench::empty();
    let backwards: Vec<_> = {
        let mut objects = agent_api::yaml::parse(NODE).unwrap();
        objects.reverse();
        objects.into_iter().map(|object| operation(v1::operation::Operation::Put(object))).collect()
    };
    let result = bench.apply_as("controller", v1::Batch { operations: backwards, ..Default::default() });
    assert_eq!((result.code, result.changed, result.generation), (0, 18, 1));
    assert_eq!(bench.route(1, "10.1.1.3/32"), Some((10, 0xff_ffff, &[7][..])));
}

#[test]
fn the_same_batch_again_changes_nothing_and_makes_no_generation() {
    let mut bench = Bench::node();
    let before = bench.image();
    let mut batch = puts(NODE);
    batch.report_unchanged = true;
    batch.id = 5;
    let result = bench.apply_as("controller", batch);
    assert_eq!((result.code, result.id, result.changed, result.generation), (0, 5, 0, 1));
    assert_eq!(result.unchanged, (0..18).collect::<Vec<_>>());
    assert_eq!(bench.image(), before);
    assert_eq!(bench.delete("- vrf: {id: 99, name: x}").changed, 0, "what is not there is deleted already");
}

#[test]
fn the_last_word_about_an_object_counts() {
    let mut bench = Bench::node();
    let mut batch = puts(
        "- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20}
- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 21, label: 40}
- vrf: {id: 9, name: gone}
- vrf: {id: 1, name: red}",
    );
    batch.operations.extend(deletes("- vrf: {id: 9, name: gone}").operations);
    batch.report_unchanged = true;
    let result = bench.apply_as("controller", batch);
    assert_eq!((result.code, result.changed, result.unchanged), (0, 1, vec![0, 2, 3, 4]));
    assert_eq!(bench.route(1, "10.9.0.0/16"), Some((21, 40, &[][..])));
    assert!(!bench.tables().vrfs.contains(VrfId(9)));
}

#[test]
fn what_is_in_use_cannot_be_deleted_and_both_are_named() {
    let mut bench = Bench::node();
    let before = bench.image();
    for (text, object, user) in [
        ("- vrf: {id: 2, name: blue}", "vrf 2", "interface 4"),
        ("- security_group: {id: 7}", "security_group 7", "security_group 8"),
        ("- interface: {id: 2, name: vm1}", "interface 2", "next_hop 10"),
        ("- next_hop: {id: 20}", "next_hop 20", "route 1/10.1.2.0/24/controller"),
    ] {
        let result = bench.try_delete(text);
        assert_eq!(refusal(&result), (9, object.to_owned(), ""));
        assert!(result.message.contains(&format!("in use by {user}")), "{}", result.message);
        assert_eq!(bench.image(), before);
    }
    // With their users they can.
    bench.delete("- {next_hop: {id: 20}}\n- {route: {vrf: 1, prefix: '10.1.2.0/24'}}");
    assert_eq!(
        (bench.route(1, "10.1.2.0/24"), bench.tables().next_hop(NextHopId(20)).is_some()),
        (None, false)
    );
}

#[test]
fn a_group_that_only_routes_carry_is_in_use_until_the_last_of_them_goes() {
    let mut bench = Bench::node();
    bench.put("- security_group: {id: 9}\n- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20, security_groups: [9, 7]}\n- route: {vrf: 1, prefix: '10.8.0.0/16', next_hop: 20, security_groups: [9, 7]}");
    let refused = bench.try_delete("- security_group: {id: 9}\n- route: {vrf: 1, prefix: '10.8.0.0/16'}");
    assert_eq!(refused.code, 9);
    assert!(refused.message.contains("route 1/10.9.0.0/16"), "{}", refused.message);
    bench.delete("- route: {vrf: 1, prefix: '10.8.0.0/16'}");
    bench.delete("- security_group: {id: 9}\n- route: {vrf: 1, prefix: '10.9.0.0/16'}");
}

#[test]
fn another_owners_object_is_written_with_takeover_only_and_configuration_never() {
    let mut bench = Bench::node();
    let mut configured = puts("- vrf: {id: 50, name: boot}");
    assert_eq!(bench.apply_as("config", configured.clone()).code, 0);
    let before = bench.image();

    let mut batch = puts("- vrf: {id: 1, name: crimson}");
    let refused = bench.apply_as("other", batch.clone());
    assert_eq!(refusal(&refused), (7, "vrf 1".to_owned(), ""));
    assert!(refused.message.contains("belongs to controller"), "{}", refused.message);
    assert_eq!(
        bench.apply_as("other", deletes("- route: {vrf: 1, prefix: '10.1.2.0/24', origin: controller}")).code,
        7
    );
    assert_eq!(bench.apply_as("other", puts("- vrf: {id: 1, name: red}")).code, 7, "nor as it is");
    assert_eq!(bench.image(), before);

    batch.takeover = true;
    assert_eq!(bench.apply_as("other", batch).changed, 1);
    assert_eq!(
        bench.apply_as("controller", puts("- vrf: {id: 1, name: red}")).code,
        7,
        "it is the other's now"
    );

    configured.takeover = true;
    let refused = bench.apply_as("other", configured);
    assert_eq!(refusal(&refused), (7, "vrf 50".to_owned(), ""));
    assert!(refused.message.contains("read-only"), "{}", refused.message);
}

#[test]
fn a_batch_or_a_table_that_is_too_large_is_refused_by_the_limits_name() {
    let limits =
        Limits { operations: 20, vrfs: 3, routes: 8, next_hops: 9, tunnel_peers: 3, ..Limits::default() };
    let mut bench = Bench::with(limits);
    bench.put(NODE);
    let before = bench.image();
    let routes = |count: u8| -> String {
        (0..count).map(|n| format!("- route: {{vrf: 2, prefix: '10.{n}.0.0/16', next_hop: 12}}\n")).collect()
    };
    for (text, limit) in [
        ("- vrf: {id: 9, name: x}".to_owned(), "limit vrfs: 4"),
        (routes(2), "limit routes: 10"),
        (routes(21), "21 operations: at most 20"),
        ("- next_hop: {id: 22, discard: {}}\n- next_hop: {id: 23, discard: {}}\n- next_hop: {id: 24, discard: {}}".to_owned(), "limit next_hops: 10"),
        ("- next_hop: {id: 22, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.1.0.196}}\n- next_hop: {id: 10, tunnel: {encapsulation: MPLS_OVER_UDP, destination: 10.1.0.197}}".to_owned(), "limit tunnel_peers: 4"),
    ] {
        let result = bench.try_put(&text);
        assert_eq!(result.code, 8, "{}", result.message);
        assert!(result.message.contains(limit), "{}", result.message);
        assert_eq!(bench.image(), before);
    }
}

#[test]
fn a_vrf_holds_as_many_prefixes_as_it_says() {
    let mut bench = Bench::node();
    bench.put("- vrf: {id: 2, name: blue, limits: {routes: 2}}");
    bench.put("- route: {vrf: 2, prefix: '10.1.1.3/32', origin: other, next_hop: 0}");
    bench.put("- route: {vrf: 2, prefix: '::/0', next_hop: 0}");
    let refused = bench.try_put("- route: {vrf: 2, prefix: '10.0.0.0/8', next_hop: 0}");
    assert_eq!(refusal(&refused), (8, "vrf 2".to_owned(), "limits.routes"));
    // One goes, one comes: in one batch.
    let mut batch = deletes("- route: {vrf: 2, prefix: '::/0'}");
    batch.operations.extend(puts("- route: {vrf: 2, prefix: '10.0.0.0/8', next_hop: 0}").operations);
    assert_eq!(bench.apply_as("controller", batch).code, 0);
}

#[test]
fn names_can_be_swapped_in_one_batch_but_not_shared() {
    let mut bench = Bench::node();
    bench.put("- vrf: {id: 1, name: blue}\n- vrf: {id: 2, name: red}");
    let result = bench.try_put("- vrf: {id: 8, name: new}\n- vrf: {id: 9, name: new}");
    assert_eq!((result.code, result.field.as_str()), (9, "name"));
    bench.delete("- vrf: {id: 8, name: x}");
    bench.put("- vrf: {id: 8, name: new}");
}

#[test]
fn a_hundred_thousand_routes_in_one_batch_and_away_again() {
    let mut bench = Bench::node();
    let route = |n: u32, delete: bool| {
        let [_, b, c, d] = n.to_be_bytes();
        let route = v1::Route {
            vrf: 2,
            prefix: format!("20.{b}.{c}.{d}/32"),
            next_hop: 20,
            label: 16 + n % 1000,
            security_groups: vec![7],
            ..v1::Route::default()
        };
        let object = v1::Object::from(route);
        operation(if delete {
            v1::operation::Operation::Delete(agent_api::key_of(&object))
        } else {
            v1::operation::Operation::Put(object)
        })
    };
    let batch = |delete| v1::Batch {
        operations: (0..100_000).map(|n| route(n, delete)).collect(),
        ..v1::Batch::default()
    };
    assert_eq!(bench.apply_as("controller", batch(false)).changed, 100_000);
    assert_eq!(bench.tables().vrfs.routes(VrfId(2)), 100_001);
    assert_eq!(bench.route(2, "20.1.134.159/32"), Some((20, 16 + 99_999 % 1000, &[7][..])));
    assert_eq!(bench.apply_as("controller", batch(false)).changed, 0);
    assert_eq!(bench.apply_as("controller", batch(true)).changed, 100_000);
    assert_eq!(bench.tables().vrfs.routes(VrfId(2)), 1);
}

#[test]
fn addresses_of_pools_are_checked_within_a_batch_and_against_what_is_there() {
    let mut bench = Bench::empty();
    let mut text = "- vrf: {id: 0, name: fabric}\n".to_owned();
    let pool = |id: u32, address: u32| {
        let [_, _, high, low] = address.to_be_bytes();
        format!("- source_nat: {{id: {id}, vrf: 0, addresses: ['203.0.{high}.{low}']}}\n")
    };
    text.extend((1..=1_000).map(|id| pool(id, id)));
    bench.put(&text);
    let refused = (9, "source_nat 8".to_owned(), "addresses[0]");
    assert_eq!(refusal(&bench.try_put(&[pool(7, 2_000), pool(8, 2_000)].concat())), refused);
    assert_eq!(refusal(&bench.try_put(&pool(8, 9))), refused);
    bench.put(&[pool(8, 9), pool(9, 8)].concat());
}

#[test]
fn a_fabric_interface_has_one_twin_whether_it_is_of_the_batch_or_not() {
    let mut bench = Bench::node();
    let twin = |id: u32| {
        format!(
            "- interface: {{id: {id}, name: host{id}, role: HOST, twin_of: 1, device: {{'null': {{}}}}}}\n"
        )
    };
    let refused = (9, "interface 9".to_owned(), "twin_of");
    assert_eq!(refusal(&bench.try_put(&[twin(8), twin(9)].concat())), refused);
    bench.put(&twin(8));
    assert_eq!(refusal(&bench.try_put(&twin(9))), refused);
    bench.put(&twin(8));
}
