//! Addresses that stand for others: floating IPs, ports of the node, pools of source NAT, link-local services.

use super::super::*;
use super::Bad;

pub(super) const BAD: &[Bad] = &[
    // floating ip
    ("floating_ip: {id: 0, address: '10.40.0.3'}", 3, "id"),
    ("floating_ip: {id: 9}", 3, "address"),
    ("floating_ip: {id: 9, address: '10.40.0.3', vrf: 77}", 9, "vrf"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [77]}", 9, "interfaces[0]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2, 2]}", 3, "interfaces[1]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [1]}", 9, "interfaces[0]"),
    ("floating_ip: {id: 9, address: '2001:db8::3', interfaces: [2, 3]}", 9, "interfaces[1]"),
    ("floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2], fixed_address: '::3'}", 3, "fixed_address"),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', interfaces: [2], fixed_address: '10.9.9.9'}",
        9,
        "fixed_address",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 1, port: 1, to_port: 1}]}",
        3,
        "port_maps[0].protocol",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 0, to_port: 1}]}",
        3,
        "port_maps[0].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 65536}]}",
        3,
        "port_maps[0].to_port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 1}, {protocol: 6, port: 1, to_port: 2}]}",
        3,
        "port_maps[1].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, to_port: 1}, {protocol: 6, port: 2, to_port: 1}]}",
        3,
        "port_maps[1].to_port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 9, to_port: 1}]}",
        3,
        "port_maps[0].last",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 1, last: 10, to_port: 65530}]}",
        3,
        "port_maps[0].last",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 20, to_port: 10}, {protocol: 6, port: 20, to_port: 1}]}",
        3,
        "port_maps[1].port",
    ),
    (
        "floating_ip: {id: 9, address: '10.40.0.3', port_maps: [{protocol: 6, port: 10, last: 20, to_port: 10}, {protocol: 6, port: 21, to_port: 20}]}",
        3,
        "port_maps[1].to_port",
    ),
    // node port
    ("floating_ip: {id: 9, address: '10.1.0.66', next_hop: 5}", 3, "next_hop"),
    (
        "floating_ip: {id: 9, address: '10.1.0.66', next_hop: 77, port_maps: [{protocol: 6, port: 30640, to_port: 80}]}",
        9,
        "next_hop",
    ),
    (
        "floating_ip: {id: 9, address: '10.1.0.66', next_hop: 16711680, port_maps: [{protocol: 6, port: 30640, to_port: 80}]}",
        9,
        "next_hop",
    ),
    // source nat
    ("source_nat: {id: 0, vrf: 0, addresses: ['203.0.113.5']}", 3, "id"),
    ("source_nat: {id: 65536, vrf: 0, addresses: ['203.0.113.5']}", 3, "id"),
    ("source_nat: {id: 9, vrf: 0}", 3, "addresses"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5', '224.0.0.5']}", 3, "addresses[1]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5', '203.0.113.5']}", 3, "addresses[1]"),
    ("source_nat: {id: 9, vrf: 77, addresses: ['203.0.113.5']}", 9, "vrf"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {}}", 3, "ports.first"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {first: 5, last: 4}}", 3, "ports.last"),
    (
        "source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], ports: {first: 5, last: 65536}}",
        3,
        "ports.last",
    ),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [77]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [2, 2]}", 3, "interfaces[1]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], interfaces: [1]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 1, addresses: ['203.0.113.5'], interfaces: [2]}", 9, "interfaces[0]"),
    ("source_nat: {id: 9, vrf: 0, addresses: ['203.0.113.5'], vrfs: [77]}", 9, "vrfs[0]"),
    ("source_nat: {id: 9, vrf: 1, addresses: ['203.0.113.5'], vrfs: [2, 1]}", 3, "vrfs[1]"),
    // link-local service
    ("link_local_service: {id: 0, address: '169.254.169.254'}", 3, "id"),
    ("link_local_service: {id: 9, address: '169.254.169'}", 3, "address"),
    ("link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80}", 3, "to_address"),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '::5', to_port: 80, vrfs: [1]}",
        3,
        "to_address",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 1, port: 80, to_address: '10.0.0.1', to_port: 80, vrfs: [1]}",
        3,
        "protocol",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, to_address: '10.0.0.1', to_port: 80, vrfs: [1]}",
        3,
        "port",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80}",
        3,
        "vrfs",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80, vrfs: [1, 77]}",
        9,
        "vrfs[1]",
    ),
    (
        "link_local_service: {id: 9, address: '169.254.169.254', protocol: 6, port: 80, to_address: '10.0.0.1', to_port: 80, to_vrf: 77, vrfs: [1]}",
        9,
        "to_vrf",
    ),
];

#[test]
fn two_floating_ips_with_one_address_may_share_an_interface_but_not_a_port() {
    let service = |id: u32, map: &str| {
        format!(
            "- floating_ip: {{id: {id}, address: '10.40.0.3', vrf: 1, interfaces: [2], port_maps: [{map}]}}\n"
        )
    };
    let (web, more) =
        ("{protocol: 6, port: 80, last: 89, to_port: 80}", "{protocol: 6, port: 90, to_port: 90}");
    let same = "{protocol: 6, port: 89, to_port: 9}";
    let overlap = |result: &v1::BatchResult, id: u32| {
        assert_eq!(
            refusal(result),
            (9, format!("floating_ip {id}"), "port_maps[0].port"),
            "{}",
            result.message
        );
    };
    let mut bench = Bench::node();
    // Inside a batch, and beside what is there already.
    overlap(&bench.try_put(&(service(901, web) + &service(902, same))), 902);
    bench.put(&(service(901, web) + &service(902, more)));
    overlap(&bench.try_put(&service(903, same)), 903);
    overlap(&bench.try_put(&service(902, same)), 902);
    // A batch may move a port from one to the other; another protocol, interface or address is another port.
    bench.put(&(service(901, more) + &service(902, same)));
    bench.put(&service(903, "{protocol: 17, port: 89, to_port: 9}"));
    bench.put(&service(904, same).replace("10.40.0.3", "10.40.0.4"));
}
