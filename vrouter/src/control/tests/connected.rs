//! The vRouter's own addresses have routes of their own.

use super::*;
use crate::control::objects::FIRST_INTERNAL;

const RECEIVE: u32 = FIRST_INTERNAL;

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
    let mut batch = puts("- route: {vrf: 0, prefix: '10.1.0.0/24', origin: local, next_hop: 0}");
    batch.takeover = true;
    assert_eq!(bench.apply_as("controller", batch).code, 7);
    bench.put("- route: {vrf: 0, prefix: '10.1.0.0/24', next_hop: 0}");
    assert_eq!(via(&bench, "10.1.0.0/24"), Some(RECEIVE + 1), "our own goes first");
    bench.delete("- route: {vrf: 0, prefix: '10.1.0.0/24'}");
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
