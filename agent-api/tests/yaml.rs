//! The text form of objects: what is read, what is refused, and that printing and reading are inverses.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use agent_api::{
    FILE_DESCRIPTOR_SET, key_of,
    v1::{
        Accounting, Affinity, Device, Ecmp, EcmpMember, Interface, NextHop, NullDevice, Object, RingDevice,
        Role, Route, Rpf, SecurityGroupRule, Vrf, device, next_hop, object, security_group_rule::Remote,
    },
    yaml,
};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

fn refused(text: &str) -> String {
    yaml::parse(text).unwrap_err().to_string()
}

fn keys(text: &str) -> Vec<String> {
    yaml::parse(text).unwrap().iter().map(|object| key_of(object).to_string()).collect()
}

#[test]
fn a_list_a_single_object_and_a_stream_of_documents_are_all_read() {
    assert_eq!(keys("- vrf: {id: 1}\n- vrf: {id: 2}\n"), ["vrf 1", "vrf 2"]);
    assert_eq!(keys("vrf: {id: 3}\n"), ["vrf 3"]);
    let stream = "---\nvrf: {id: 1}\n---\n# nothing here\n---\n- next_hop: {id: 5, discard: {}}\n---\n- vni: {vni: 9}\n";
    assert_eq!(keys(stream), ["vrf 1", "next_hop 5", "vni 9"]);
    assert_eq!(keys(""), Vec::<String>::new());
    assert_eq!(keys("# only a comment\n"), Vec::<String>::new());
}

#[test]
fn every_shape_of_field_is_read() {
    let text = r#"
- interface:
    id: 2
    name: vm1
    role: VIRTUAL
    vrf: 1
    mac: 02:00:00:00:00:01
    addresses: [10.1.1.3, "2001:db8::3"]
    allowed_address_pairs: [{prefix: 10.1.1.0/28}]
    policy: true
    security_groups: [7, "8"]
    rpf: 3
    device: {ring: {name: vm1}, queues: 2}
    label:
"#;
    let expected = Interface {
        id: 2,
        name: "vm1".into(),
        role: Role::Virtual.into(),
        vrf: 1,
        mac: "02:00:00:00:00:01".into(),
        addresses: vec!["10.1.1.3".into(), "2001:db8::3".into()],
        allowed_address_pairs: vec![agent_api::v1::AddressPair {
            prefix: "10.1.1.0/28".into(),
            mac: String::new(),
        }],
        policy: true,
        security_groups: vec![7, 8],
        rpf: Rpf::Off.into(),
        device: Some(Device { queues: 2, kind: Some(device::Kind::Ring(RingDevice { name: "vm1".into() })) }),
        ..Interface::default()
    };
    assert_eq!(yaml::parse(text).unwrap(), [Object::from(expected)]);
}

#[test]
fn presence_is_kept_where_it_means_something() {
    let text = "security_group: {id: 1, rules: [{icmp: {type: 8, code: 0}}, {icmp: {type: 8}}, {group: 0}]}";
    let objects = yaml::parse(text).unwrap();
    let Some(object::Object::SecurityGroup(group)) = &objects[0].object else { panic!("{objects:?}") };
    let codes: Vec<_> = group.rules[..2].iter().map(|rule| rule.icmp.unwrap().code).collect();
    assert_eq!(codes, [Some(0), None]);
    assert!(matches!(group.rules[2], SecurityGroupRule { remote: Some(Remote::Group(0)), .. }));
    // An object with defaults only is an object all the same.
    assert_eq!(yaml::parse("vrf: {}").unwrap(), [Object::from(Vrf::default())]);
}

#[test]
fn a_misspelt_field_is_refused_with_its_place_and_the_allowed_names() {
    assert_eq!(
        refused("- vrf: {id: 1}\n- vrf: {id: 2, nam: red}\n"),
        "document 1, item 2, vrf.nam: no such field; allowed: id, name, vni, limits, network_policies"
    );
    assert_eq!(
        refused("vrf: {id: 1}\n---\nsecurity_group: {id: 7, rules: [{}, {ports: {first: 1, lats: 2}}]}"),
        "document 2, security_group.rules[1].ports.lats: no such field; allowed: first, last"
    );
    // One vocabulary: the other spelling of JSON's mapping is none.
    assert!(
        refused("vrf: {id: 1}\n---\nnextHop: {id: 7}")
            .starts_with("document 2, nextHop: no such field; allowed: vrf,")
    );
}

#[test]
fn a_value_of_another_type_is_refused_with_what_was_expected() {
    for (text, expected) in [
        ("vrf: {id: red}", "vrf.id: expected a number from 0 to 4294967295, found \"red\""),
        ("vrf: {id: -1}", "vrf.id: expected a number from 0 to 4294967295, found -1"),
        ("vrf: {id: 4294967296}", "vrf.id: expected a number from 0 to 4294967295, found 4294967296"),
        ("vrf: {id: 1.5}", "vrf.id: expected a number from 0 to 4294967295, found 1.5"),
        ("vrf: {name: 5}", "vrf.name: expected a text (in quotes where it looks like a number), found 5"),
        ("vrf: {limits: 5}", "vrf.limits: expected a mapping of fields, found 5"),
        ("interface: {policy: 1}", "interface.policy: expected true or false, found 1"),
        ("interface: {addresses: 10.1.1.3}", "interface.addresses: expected a list, found \"10.1.1.3\""),
        (
            "interface: {addresses: [10.1.1.3, 7]}",
            "interface.addresses[1]: expected a text (in quotes where it looks like a number), found 7",
        ),
        (
            "interface: {role: UPLINK}",
            "interface.role: expected one of ROLE_UNSPECIFIED, FABRIC, VIRTUAL, HOST, found \"UPLINK\"",
        ),
        (
            "interface: {role: 9}",
            "interface.role: expected one of ROLE_UNSPECIFIED, FABRIC, VIRTUAL, HOST, found 9",
        ),
        ("next_hop: {id: 1, discard: {}, reject: {}}", "next_hop.reject: not together with discard"),
        ("mpls_label: {label: 16, vrf: 0, next_hop: 1}", "mpls_label.next_hop: not together with vrf"),
        ("vrf: {1: 2}", "vrf: expected a field's name, found 1"),
        ("vrf:", "the object has no fields"),
    ] {
        let separator = if text == "vrf:" { ": " } else { ", " };
        assert_eq!(refused(text), format!("document 1{separator}{expected}"), "{text}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    assert!(
        refused("red").starts_with("document 1: expected an object, found \"red\"; allowed: vrf, interface,")
    );
    assert!(refused("- [1]").starts_with("document 1, item 1: expected an object, found a list;"));
    assert!(
        refused("{vrf: {id: 1}, vni: {vni: 1}}")
            .starts_with("document 1: an object is of exactly one kind, found 2; allowed: vrf, interface,")
    );
    assert!(refused("vrf: {id: 1, id: 2}").contains("duplicate"));
    assert!(refused("vrf: {id: 1").starts_with("document 1: not YAML: "));
    assert!(refused("vrf: !tag {id: 1}").contains("found the tag !tag"));
}

#[test]
fn what_is_printed_is_short_ordered_as_in_the_contract_and_reads_back() {
    let objects: Vec<Object> = vec![
        Vrf { id: 0, name: "fabric".into(), ..Vrf::default() }.into(),
        NextHop {
            id: 6,
            kind: Some(next_hop::Kind::Ecmp(Ecmp {
                members: vec![
                    EcmpMember { next_hop: 5, label: 40, weight: 3 },
                    EcmpMember { next_hop: 4, label: 0, weight: 0 },
                ],
                affinity: Affinity::ClientAddress.into(),
                prefer_local: true,
            })),
            mtu: 1400,
        }
        .into(),
        Route { vrf: 0, prefix: "10.1.2.0/24".into(), next_hop: 6, ..Route::default() }.into(),
        Interface { id: 2, role: Role::Fabric.into(), ..Interface::default() }.into(),
    ];
    let text = yaml::to_string(&objects);
    assert_eq!(
        text,
        "\
- vrf:
    id: 0
    name: fabric
- next_hop:
    id: 6
    ecmp:
      members:
      - next_hop: 5
        label: 40
        weight: 3
      - next_hop: 4
      affinity: CLIENT_ADDRESS
      prefer_local: true
    mtu: 1400
- route:
    vrf: 0
    prefix: 10.1.2.0/24
    next_hop: 6
- interface:
    id: 2
    role: FABRIC
"
    );
    assert_eq!(yaml::parse(&text).unwrap(), objects);
}

#[test]
fn any_message_has_a_value_and_large_counters_stay_numbers() {
    let accounting = Accounting { received: u64::MAX, sent: 1, ..Accounting::default() };
    let text = serde_json::to_string(&yaml::value_of(&accounting)).unwrap();
    assert_eq!(text, r#"{"received":18446744073709551615,"sent":1}"#);
}

#[test]
fn objects_are_found_in_a_value_too() {
    let value: yaml::Value = serde_yaml_ng::from_str("[{vrf: {id: 1}}, {vni: {vn: 2}}]").unwrap();
    assert_eq!(
        yaml::objects_from_value(value[0].clone()).unwrap(),
        [Object::from(Vrf { id: 1, ..Vrf::default() })]
    );
    let error = yaml::objects_from_value(value).unwrap_err();
    assert_eq!((error.item, error.path.as_str()), (Some(2), "vni.vn"));
}

#[test]
fn every_field_of_every_object_can_be_written_as_text() {
    fn check(message: &MessageDescriptor) {
        for field in message.fields() {
            assert!(!field.is_map(), "{}", field.full_name());
            match field.kind() {
                Kind::Message(inner) => check(&inner),
                Kind::Enum(_) | Kind::Uint32 | Kind::Bool | Kind::String => {}
                other => panic!("{}: {other:?}", field.full_name()),
            }
        }
    }
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    check(&pool.get_message_by_name("vrouter.v1.Object").unwrap());
}

#[test]
fn the_null_device_needs_no_quotes() {
    for key in ["null", "\"null\"", "~"] {
        let text = format!("interface: {{id: 2, name: sink, role: VIRTUAL, device: {{{key}: {{}}}}}}");
        let objects = yaml::parse(&text).unwrap();
        let Some(object::Object::Interface(interface)) = &objects[0].object else { panic!("an interface") };
        let device = interface.device.as_ref().unwrap();
        assert_eq!(device.kind, Some(device::Kind::Null(NullDevice {})), "{key}");
    }
}
