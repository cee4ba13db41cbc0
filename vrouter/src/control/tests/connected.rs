//! The vRouter's own addresses have routes of their own.

use super::*;
use crate::control::batch::RECEIVE_NEXT_HOP;
use crate::tables::SourceNat;

const RECEIVE: u32 = RECEIVE_NEXT_HOP.0;

fn via(bench: &Bench, prefix: &str) -> Option<u32> {
    bench.route(0, prefix).map(|route| route.0)
}

#[test]
fn an_address_of_a_fabric_interface_is_received_and_its_subnet_resolved() {
    let mut bench = Bench::node();
    assert_eq!(via(&bench, "10.1.0.0/24"), Some(RECEIVE + 1));
    assert_eq!(via(&bench, "10.1.0.66/32"), Some(RECEIVE));
    assert_eq!(via(&bench, "2001:db8:a::42/128"), Some(RECEIVE));
    let tables = bench.tables();
    assert!(matches!(tables.next_hop(NextHopId(RECEIVE)), Some(NextHop::Receive)));
    let resolve = tables.next_hop(NextHopId(RECEIVE + 1));
    assert!(matches!(resolve, Some(NextHop::Resolve(delivery)) if delivery.interface == InterfaceId(1)));

    bench.put("- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:0a:01:00:42', addresses: ['10.1.0.67/24', 'fe80::1/64'], device: {ring: {name: fabric}}}");
    assert_eq!((via(&bench, "10.1.0.66/32"), via(&bench, "10.1.0.67/32")), (None, Some(RECEIVE)));
    assert_eq!((via(&bench, "fe80::/64"), via(&bench, "fe80::1/128")), (None, Some(RECEIVE)));
    assert_eq!(via(&bench, "2001:db8:a::/64"), None);
}

#[test]
fn they_go_with_the_interface_and_cannot_be_written_by_others() {
    let mut bench = Bench::empty();
    bench.put("- vrf: {id: 0, name: fabric}\n- interface: {id: 1, name: fabric, role: FABRIC, addresses: ['10.1.0.66/24'], device: {ring: {name: f}}}");
    let local = "- route: {vrf: 0, prefix: '10.1.0.0/24', origin: local, next_hop: 0}";
    let mut batches = [puts(local), deletes(local)];
    batches.iter_mut().for_each(|batch| batch.takeover = true);
    assert_eq!(batches.map(|batch| bench.apply_as("controller", batch).code), [3, 7]);
    bench.put("- route: {vrf: 0, prefix: '10.1.0.0/24', next_hop: 0, origin: a, preference: 4294967294}");
    assert_eq!(via(&bench, "10.1.0.0/24"), Some(RECEIVE + 1), "our own goes first");
    bench.delete("- route: {vrf: 0, prefix: '10.1.0.0/24', origin: a}");
    bench.delete("- interface: {id: 1, name: fabric}\n- vrf: {id: 0, name: fabric}");
    assert_eq!(bench.tables().next_hops.iter().count(), 0);
    assert_eq!((bench.control.store.routes.len(), bench.control.store.objects.len()), (0, 0));
}

#[test]
fn two_uplinks_may_share_an_address_and_a_subnet() {
    let mut bench = Bench::empty();
    let uplink = |id: u8| {
        format!(
            "- interface: {{id: {id}, name: up{id}, role: FABRIC, addresses: ['1.1.1.1', '10.1.0.{id}/24'], device: {{ring: {{name: up{id}}}}}}}\n"
        )
    };
    bench.put(&["- vrf: {id: 0, name: fabric}\n", &uplink(1), &uplink(2)].concat());
    assert_eq!((via(&bench, "1.1.1.1/32"), via(&bench, "10.1.0.0/24")), (Some(RECEIVE), Some(RECEIVE + 1)));
    bench.delete(&uplink(1));
    assert_eq!((via(&bench, "1.1.1.1/32"), via(&bench, "10.1.0.0/24")), (Some(RECEIVE), Some(RECEIVE + 2)));
    assert!(bench.tables().next_hop(NextHopId(RECEIVE + 1)).is_none());
    bench.delete(&uplink(2));
    assert_eq!((via(&bench, "1.1.1.1/32"), bench.tables().next_hops.iter().count()), (None, 0));
}

#[test]
fn an_address_of_a_pool_leads_to_the_pool_also_where_it_is_the_nodes_own() {
    let mut bench = Bench::node();
    let pool = "- source_nat: {id: 3, vrf: 0, addresses: ['10.1.0.66', '203.0.113.5'], vrfs: [1]}";
    bench.put(pool);
    let pools = crate::control::objects::source_nat_next_hop(3).0;
    assert_eq!((via(&bench, "10.1.0.66/32"), via(&bench, "203.0.113.5/32")), (Some(pools), Some(pools)));
    assert_eq!(via(&bench, "10.1.0.0/24"), Some(RECEIVE + 1));
    let own = |bench: &Bench| {
        let of = |nat: &SourceNat| nat.addresses.iter().map(|outside| outside.own).collect::<Vec<_>>();
        let own = of(bench.tables().source_nat(3).unwrap());
        assert_eq!(of(&bench.interface(2).source_nats[0]), own, "who uses it has the same");
        own
    };
    assert_eq!(own(&bench), [true, false]);
    bench.put("- interface: {id: 1, name: fabric, role: FABRIC, vrf: 0, mac: '02:00:0a:01:00:42', addresses: ['203.0.113.5/24'], device: {ring: {name: fabric}}}");
    assert_eq!(own(&bench), [false, true]);
    assert_eq!((via(&bench, "10.1.0.66/32"), via(&bench, "203.0.113.5/32")), (Some(pools), Some(pools)));
    bench.delete(pool);
    assert_eq!((via(&bench, "10.1.0.66/32"), via(&bench, "203.0.113.5/32")), (None, Some(RECEIVE)));
    assert!(bench.tables().source_nats.iter().next().is_none());
    assert!(bench.tables().next_hop(NextHopId(pools)).is_none());
}

#[test]
fn what_a_pool_has_given_out_stays_given_when_the_pool_is_written_again() {
    use flow::nat::{Inside, Remote};

    let mut bench = Bench::node();
    let inside = Inside { interface: InterfaceId(2), address: [1; 16], port: 4000, protocol: 6 };
    let remote = Remote { address: [2; 16], port: 80 };
    let put = |bench: &mut Bench, more: &str| {
        bench.put(&format!("- source_nat: {{id: 3, vrf: 0, addresses: ['203.0.113.5'], vrfs: [1]{more}}}"));
    };
    let taken = |bench: &Bench| bench.tables().source_nat(3).unwrap().addresses[0].pool.taken();
    put(&mut bench, "");
    assert!(bench.tables().source_nat(3).unwrap().claim(false, &inside, &remote, 0).is_some());
    put(&mut bench, ", ports: {first: 5000, last: 6000}");
    assert_eq!(taken(&bench), 1);
    put(&mut bench, ", mapping: PER_DESTINATION");
    assert_eq!(taken(&bench), 0, "another kind of pool");
}

#[test]
fn an_address_belongs_to_one_pool_of_its_vrf() {
    let mut bench = Bench::node();
    bench.put("- source_nat: {id: 3, vrf: 0, addresses: ['203.0.113.5']}");
    let result = bench.apply_as(
        "controller",
        puts("- source_nat: {id: 4, vrf: 0, addresses: ['203.0.113.6', '203.0.113.5']}"),
    );
    assert_eq!((result.code, result.field.as_str()), (9, "addresses[1]"));
    bench.put("- source_nat: {id: 4, vrf: 1, addresses: ['203.0.113.5']}");
}
