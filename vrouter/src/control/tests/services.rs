//! What an interface serves: what is refused, and what becomes of the rest.

use std::net::IpAddr;

use super::*;
use crate::control::text::Ip;
use crate::tables::HostServices;

/// An interface with these services, whose workload has 10.0.0.3 and 2001:db8::3.
fn served(services: &str) -> String {
    format!(
        "interface: {{id: 9, name: x, role: VIRTUAL, mac: '02:00:00:00:00:09', addresses: ['10.0.0.3', '2001:db8::3'],
        gateways: ['10.0.0.254', '10.0.0.1'], device: {{'null': {{}}}}, services: {{{services}}}}}"
    )
}

/// The same with one subnet, 10.0.0.0/24 or 2001:db8::/64, with these fields.
fn v4(fields: &str) -> String {
    served(&format!("subnets: [{{prefix: 10.0.0.0/24, {fields}}}]"))
}

fn v6(fields: &str) -> String {
    served(&format!("subnets: [{{prefix: '2001:db8::/64', {fields}}}]"))
}

fn general(fields: &str) -> String {
    served(&format!("{fields}, subnets: [{{prefix: 10.0.0.0/24, gateway: 10.0.0.1}}]"))
}

fn many(count: usize, item: &str) -> String {
    vec![item; count].join(", ")
}

#[test]
fn every_bad_field_is_refused_by_name_and_changes_nothing() {
    let long = "abcdefghi.".repeat(26) + "com";
    let bad = [
        (served(""), "subnets"),
        (served("subnets: [{}]"), "subnets[0].prefix"),
        (served("subnets: [{prefix: 10.0.0.1/24, gateway: 10.0.0.1}]"), "subnets[0].prefix"),
        (served("subnets: [{prefix: 10.9.0.0/24, gateway: 10.9.0.1}]"), "subnets[0].prefix"),
        (
            served(
                "subnets: [{prefix: 10.0.0.0/24, gateway: 10.0.0.1}, {prefix: 10.0.0.0/16, gateway: 10.0.1.1}]",
            ),
            "subnets[1].prefix",
        ),
        (served(&format!("subnets: [{}]", many(17, "{prefix: 10.0.0.0/24}"))), "subnets"),
        // An offer needs a server to come from.
        (v4(""), "subnets[0].gateway"),
        (v4("gateway: 10.0.1.1"), "subnets[0].gateway"),
        (v4("gateway: '2001:db8::1'"), "subnets[0].gateway"),
        (v4("gateway: 10.0.0.3"), "subnets[0].gateway"),
        (v4("gateway: 10.0.0.0"), "subnets[0].gateway"),
        (v4("gateway: x"), "subnets[0].gateway"),
        (v4("gateway: 10.0.0.1, service: 10.0.0.1"), "subnets[0].service"),
        (v4("service: 10.0.0.255"), "subnets[0].service"),
        (v4("gateway: 10.0.0.1, slaac: true"), "subnets[0].slaac"),
        (served("subnets: [{prefix: '2001:db8::/65', slaac: true}]"), "subnets[0].slaac"),
        (
            v4(&format!("gateway: 10.0.0.1, routes: [{}]", many(17, "{prefix: 10.9.0.0/24}"))),
            "subnets[0].routes",
        ),
        (v4("gateway: 10.0.0.1, routes: [{prefix: 10.9.0.1/24}]"), "subnets[0].routes[0].prefix"),
        (v4("gateway: 10.0.0.1, routes: [{prefix: '2001:db8::/48'}]"), "subnets[0].routes[0].prefix"),
        (v4("service: 10.0.0.2, routes: [{prefix: 10.9.0.0/24}]"), "subnets[0].routes[0].via"),
        (v4("gateway: 10.0.0.1, routes: [{prefix: 10.9.0.0/24, via: 10.1.0.1}]"), "subnets[0].routes[0].via"),
        (
            v6("gateway: '2001:db8::1', routes: [{prefix: '2001:db8:f::/48', via: '2001:db8::9'}]"),
            "subnets[0].routes[0].via",
        ),
        (general("host_name: a.b"), "host_name"),
        (general("host_name: -a"), "host_name"),
        (general(&format!("host_name: {}", "a".repeat(64))), "host_name"),
        (general("domain: a..b"), "domain"),
        (general("domain: 'a b'"), "domain"),
        (general(&format!("domain: {long}")), "domain"),
        (general("dns_servers: [10.0.0.1, x]"), "dns_servers[1]"),
        (general("dns_servers: [224.0.0.1]"), "dns_servers[0]"),
        (general(&format!("dns_servers: [{}]", many(9, "10.0.0.1"))), "dns_servers"),
        (general("ntp_servers: ['2001:db8::1']"), "ntp_servers[0]"),
        (general(&format!("ntp_servers: [{}]", many(9, "10.0.0.1"))), "ntp_servers"),
        (general("lease_seconds: 59"), "lease_seconds"),
        (general("resolvers: [localhost]"), "resolvers[0]"),
        (general("resolvers: [192.0.2.1, '192.0.2.1:0']"), "resolvers[1]"),
        (general("resolvers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4]"), "resolvers"),
    ];
    let mut bench = Bench::node();
    let before = bench.image();
    for (text, field) in bad {
        let result = bench.try_put(&text);
        let (code, object, path) = refusal(&result);
        assert_eq!(
            (code, object.as_str(), path),
            (3, "interface 9", format!("services.{field}").as_str()),
            "{text}"
        );
        assert_eq!(bench.image(), before, "{text}");
    }
    let fabric = served("subnets: []")
        .replace("VIRTUAL", "FABRIC")
        .replace("gateways: ['10.0.0.254', '10.0.0.1'],", "");
    assert_eq!(refusal(&bench.try_put(&fabric)), (3, "interface 9".to_owned(), "services"));
}

fn services(bench: &Bench) -> HostServices {
    bench.interface(9).services.as_deref().cloned().unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let mut bench = Bench::node();
    bench.put(&served(
        "subnets: [{prefix: 10.0.0.0/24, gateway: 10.0.0.1, service: 10.0.0.2, routes: [{prefix: 10.9.0.0/24}]},
        {prefix: '2001:db8::/64', service: '2001:db8::2', slaac: true}]",
    ));
    let services = services(&bench);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(services.dns_servers, [ip("10.0.0.2"), ip("2001:db8::2")]);
    assert_eq!(services.lease_seconds, 86_400);
    assert_eq!(services.subnets[0].routes, [("10.9.0.0/24".parse().unwrap(), ip("10.0.0.1"))]);
    assert!(
        services.subnets[0].dhcp && !services.subnets[1].dhcp,
        "who makes its own address is leased none"
    );
    assert!(services.resolvers.is_empty());
}

#[test]
fn gateways_service_addresses_and_the_routers_own_are_answered_for_each_once() {
    let mut bench = Bench::node();
    bench.put(&served(
        "subnets: [{prefix: 10.0.0.0/24, gateway: 10.0.0.1, service: 10.0.0.2},
        {prefix: '2001:db8::/64', gateway: '2001:db8::1'}]",
    ));
    let texts = |v6: bool| -> Vec<String> {
        let text = |address: &packet::Address| Ip { v6, address: *address }.to_string();
        bench.interface(9).gateways(v6).iter().map(text).collect()
    };
    assert_eq!(texts(false), ["10.0.0.254", "10.0.0.1", "10.0.0.2"]);
    assert_eq!(texts(true), ["2001:db8::1", "fe80::200:5eff:fe00:100"]);
}
