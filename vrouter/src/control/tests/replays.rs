//! Replay: what an owner does not write again is swept, and nothing else.

use agent_api::v1::Kind;

use super::*;

fn owner() -> Owner {
    Owner::peer("controller").unwrap()
}

#[test]
fn what_is_not_written_again_is_swept_in_the_order_of_references() {
    let mut bench = Bench::node();
    let replay = bench.control.open_replay(&owner(), &[]).unwrap();
    // Everything again, but vm3 and all that hangs on it.
    let text: String = NODE
        .lines()
        .filter(|l| !["id: 4,", "id: 12,", "vrf: 2,"].iter().any(|gone| l.contains(gone)))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(bench.put(&text).changed, 0);
    let swept = bench.control.close_replay(&replay).unwrap();
    assert_eq!((swept.swept, swept.kept), (3, 15));
    bench.control.publish();
    bench.control.settle();
    assert!(bench.tables().interface(InterfaceId(4)).is_none());
    assert_eq!(bench.route(2, "10.1.1.3/32"), None);
    assert_eq!(bench.control.ports().attached(), 3);
}

#[test]
fn a_replay_that_is_not_closed_sweeps_nothing_and_the_next_one_sweeps_for_both() {
    let mut bench = Bench::node();
    let abandoned = bench.control.open_replay(&owner(), &[]).unwrap();
    bench.put("- vrf: {id: 5, name: new}");
    drop(abandoned);
    let replay = bench.control.open_replay(&owner(), &[]).unwrap();
    bench.put(NODE);
    let swept = bench.control.close_replay(&replay).unwrap();
    assert_eq!((swept.swept, swept.kept), (1, 18));
}

#[test]
fn only_the_named_kinds_and_only_the_owners_objects_are_swept() {
    let mut bench = Bench::node();
    bench.apply_as("other", puts("- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 20}"));
    let replay = bench.control.open_replay(&owner(), &[Kind::Route]).unwrap();
    bench.put("- route: {vrf: 1, prefix: '10.1.2.0/24', next_hop: 20}");
    let swept = bench.control.close_replay(&replay).unwrap();
    assert_eq!((swept.swept, swept.kept), (3, 1));
    bench.control.publish();
    assert!(bench.route(1, "10.9.0.0/16").is_some() && bench.route(1, "10.1.2.0/24").is_some());
    assert!(bench.tables().interface(InterfaceId(4)).is_some());
}

#[test]
fn what_others_stand_on_is_kept_with_all_that_it_stands_on() {
    let mut bench = Bench::node();
    bench.apply_as(
        "other",
        puts("- route: {vrf: 2, prefix: '10.9.0.0/16', next_hop: 12, security_groups: [8]}"),
    );
    let replay = bench.control.open_replay(&owner(), &[]).unwrap();
    let swept = bench.control.close_replay(&replay).unwrap();
    // Stay: vrf 2, next hop 12, its interface 4, groups 8 and 7.
    assert_eq!(swept.kept, 5);
    assert_eq!(swept.swept, 18 - 5);
    bench.control.publish();
    assert!(bench.tables().interface(InterfaceId(4)).is_some());
    assert!(bench.tables().interface(InterfaceId(2)).is_none());
}

#[test]
fn of_ten_thousand_objects_exactly_those_not_replayed_go() {
    let mut bench = Bench::node();
    let text = |skip: bool| -> String {
        let gone = |n: u32| skip && n % 270 == 3;
        (0..9_990_u32)
            .filter(|&n| !gone(n))
            .map(|n| {
                format!("- route: {{vrf: 2, prefix: '20.{}.{}.0/24', next_hop: 20}}\n", n / 256, n % 256)
            })
            .collect()
    };
    bench.put(&text(false));
    let replay = bench.control.open_replay(&owner(), &[]).unwrap();
    bench.put(NODE);
    bench.put(&text(true));
    let swept = bench.control.close_replay(&replay).unwrap();
    assert_eq!(swept.swept, 37);
    bench.control.publish();
    assert_eq!(bench.route(2, "20.0.3.0/24"), None);
    assert!(bench.route(2, "20.0.4.0/24").is_some());
}
