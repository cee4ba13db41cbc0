//! `get`: tables as an operator sees them, and the requests that filters make.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod mock;

use agent_api::{order, yaml};
use mock::{Mock, golden};

#[test]
fn every_table_is_as_it_was() {
    let mock = Mock::with_fixture();
    for resource in [
        "vrf",
        "interface",
        "next-hop",
        "route",
        "mpls-label",
        "vni",
        "security-group",
        "network-policy",
        "floating-ip",
        "source-nat",
        "link-local-service",
        "pinned-flow",
        "flow",
        "drop",
        "stat",
        "worker",
        "neighbour",
        "all",
    ] {
        golden(&format!("get-{resource}"), &mock.ok(&["get", resource]));
        golden(&format!("get-{resource}-wide"), &mock.ok(&["get", resource, "-o", "wide"]));
    }
}

#[test]
fn a_vrouter_without_anything_says_so() {
    let mock = Mock::empty();
    let empty: String = [
        "vrf",
        "interface",
        "next-hop",
        "route",
        "mpls-label",
        "vni",
        "security-group",
        "network-policy",
        "floating-ip",
        "source-nat",
        "link-local-service",
        "pinned-flow",
        "all",
    ]
    .iter()
    .map(|resource| format!("{resource}: {}", mock.ok(&["get", resource])))
    .collect();
    golden("get-empty", &empty);
}

#[test]
fn json_tells_everything_that_the_vrouter_told() {
    let mock = Mock::with_fixture();
    for (resource, arguments) in [
        ("vrf-1", &["get", "vrf", "red"][..]),
        ("route", &["get", "rt", "10.1.2.0/24"]),
        ("flow", &["get", "flow"]),
        ("neighbour", &["get", "arp"]),
    ] {
        let arguments = [arguments, &["-o", "json"]].concat();
        golden(&format!("get-{resource}-json"), &mock.ok(&arguments));
    }
}

#[test]
fn what_is_printed_as_yaml_can_be_applied_and_is_the_same() {
    let mock = Mock::with_fixture();
    let printed = mock.ok(&["get", "all", "-o", "yaml"]);
    golden("get-all-yaml", &printed);

    let mut objects = yaml::parse(&printed).unwrap();
    order::sort_for_put(&mut objects);
    let file = mock.file("all.yaml", &printed);
    let answer = mock.ok(&["apply", "-q", "-f", &file]);
    assert_eq!(answer, format!("0 applied, {} unchanged; generation 1\n", objects.len()));
}

#[test]
fn an_object_is_found_by_number_name_address_or_prefix() {
    let mock = Mock::with_fixture();
    for (arguments, line) in [
        (&["get", "vrf", "1"], "red"),
        (&["get", "vrf", "public"], "public"),
        (&["get", "vif", "vm2"], "10.1.1.4"),
        (&["get", "vif", "2"], "10.1.1.3"),
        (&["get", "nh", "8"], "VXLAN 10.1.0.195"),
        (&["get", "rt", "10.40.0.3/32"], "ecmp"),
        (&["get", "mpls", "33"], "33"),
        (&["get", "vxlan", "5002"], "interface vm2"),
        (&["get", "sg", "closed"], "allows nothing"),
        (&["get", "policy", "red-public"], "reject"),
        (&["get", "fip", "101.101.101.2"], "10.1.1.3"),
        (&["get", "fip", "1"], "10.40.0.3"),
    ] {
        let output = mock.ok(arguments);
        assert!(output.lines().count() == 2 && output.contains(line), "{arguments:?}\n{output}");
    }
}

#[test]
fn an_object_that_is_not_there_is_a_failure() {
    let mock = Mock::with_fixture();
    for (kind, id) in [
        ("vrf", "blue"),
        ("vif", "9"),
        ("nh", "99"),
        ("rt", "9.9.9.0/24"),
        ("mpls", "16"),
        ("fip", "9.9.9.9"),
    ] {
        let (code, error) = mock.refused(&["get", kind, id]);
        assert_eq!(code, 1);
        assert!(
            error.starts_with("vrouterctl: there is no ") && error.ends_with(&format!(" {id}\n")),
            "{error}"
        );
    }
    assert_eq!(
        mock.refused(&["get", "route", "--vrf", "blue"]),
        (1, "vrouterctl: there is no VRF of the name blue\n".into())
    );
    assert_eq!(
        mock.refused(&["get", "flow", "--interface", "vm9"]),
        (1, "vrouterctl: there is no interface of the name vm9\n".into())
    );
    assert_eq!(
        mock.refused(&["get", "dropstats", "no_such_reason"]),
        (1, "vrouterctl: no_such_reason has no counter\n".into())
    );
}

#[test]
fn filters_are_sent_to_the_vrouter() {
    let mock = Mock::with_fixture();
    let request = |arguments: &[&str]| {
        mock.state().requests.clear();
        mock.ok(arguments);
        let requests = mock.state().requests.clone();
        requests.into_iter().find(|request| !request.starts_with("ListRequest { kind: Vrf")).unwrap()
    };
    assert_eq!(
        request(&["get", "rt", "10.1.2.0/24", "--vrf", "red", "--owner", "operator", "-o", "json"]),
        r#"ListRequest { kind: Route, vrf: Some(1), owner: "operator", id: None, prefix: "10.1.2.0/24" }"#
    );
    assert_eq!(
        request(&["get", "vif", "2", "-o", "json"]),
        r#"ListRequest { kind: Interface, vrf: None, owner: "", id: Some(2), prefix: "" }"#
    );
    assert_eq!(
        request(&[
            "get",
            "flow",
            "--interface",
            "2",
            "--vrf",
            "1",
            "--address",
            "10.1.1.3",
            "--protocol",
            "udp",
            "--port",
            "53",
            "--limit",
            "9",
            "-o",
            "json",
        ]),
        r#"ListFlowsRequest { interface: Some(2), vrf: Some(1), address: "10.1.1.3", protocol: 17, port: Some(53), limit: 9 }"#
    );
    assert_eq!(
        request(&["get", "nd", "--interface", "1", "-o", "json"]),
        "ListNeighboursRequest { interface: Some(1) }"
    );
}

#[test]
fn drop_counters_are_selected_by_reason_and_interface() {
    let mock = Mock::with_fixture();
    let one = mock.ok(&["get", "dropstats", "security_group"]);
    assert!(one.contains("security_group       13") && !one.contains("no_route"), "{one}");
    let here = mock.ok(&["get", "dropstats", "--interface", "vm1"]);
    assert!(here.contains("security_group       11") && !here.contains("no_route"), "{here}");
    assert_eq!(mock.ok(&["get", "dropstats", "discard"]), "No packet was dropped.\n");
}

#[test]
fn a_filter_that_a_resource_does_not_know_is_wrong_usage() {
    let mock = Mock::with_fixture();
    for arguments in [
        &["get", "vrf", "--vrf", "1"][..],
        &["get", "route", "--port", "80"],
        &["get", "stat", "1"],
        &["get", "worker", "--interface", "1"],
        &["get", "flow", "7"],
        &["get", "flow", "--owner", "me"],
        &["get", "all", "1"],
    ] {
        let (code, error) = mock.refused(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(error.contains("selects nothing here"), "{error}");
    }
    for arguments in [
        &["get"][..],
        &["get", "bridge"],
        &["get", "flow", "--address", "here"],
        &["get", "vrf", "-o", "xml"],
    ] {
        assert_eq!(mock.refused(arguments).0, 2, "{arguments:?}");
    }
}
