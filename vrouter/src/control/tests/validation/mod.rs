//! Every wrong field is refused by code, object and path, and nothing changes.

mod forwarding;
mod interfaces;
mod policies;
mod translations;

use super::*;

/// What is put, what it is refused for: code, field.
type Bad = (&'static str, u32, &'static str);

#[test]
fn every_bad_field_is_refused_by_code_object_and_path_and_changes_nothing() {
    let mut bench = Bench::node();
    let before = bench.image();
    let bad = [interfaces::BAD, forwarding::BAD, policies::BAD, translations::BAD];
    for &(text, code, field) in bad.into_iter().flatten() {
        // A good object in front shows that nothing of the batch stays.
        let batch = format!("- vrf: {{id: 100, name: fine}}\n- {text}\n");
        let result = bench.try_put(&batch);
        let objects = agent_api::yaml::parse(&batch).unwrap();
        let (refused, object, path) = refusal(&result);
        // Once its owner is known, a route is named with its origin.
        let object = object.trim_end_matches("/controller");
        let key = agent_api::key_of(&objects[1]).to_string();
        assert_eq!((refused, object, path), (code, key.as_str(), field), "{text}: {}", result.message);
        assert!(result.message.contains(field), "{text}: {}", result.message);
        assert_eq!(bench.image(), before, "{text}");
    }
    assert_eq!(bench.control.ports().attached(), 4, "no device was left open");
}

#[test]
fn a_key_that_nobody_can_have_is_refused_too() {
    let mut bench = Bench::node();
    for (text, field) in [
        ("- vrf: {id: 65536, name: x}", "vrf"),
        ("- route: {vrf: 1, prefix: '10.0.0.1/8'}", "prefix"),
        ("- next_hop: {id: 16711681, receive: {}}", "next_hop"),
    ] {
        let result = bench.try_delete(text);
        assert_eq!((result.code, result.field.as_str()), (3, field), "{text}");
    }
    for operation in [
        v1::Operation { operation: None },
        operation(v1::operation::Operation::Put(v1::Object::default())),
        operation(v1::operation::Operation::Delete(v1::Key::default())),
    ] {
        let result =
            bench.apply_as("controller", v1::Batch { operations: vec![operation], ..v1::Batch::default() });
        assert_eq!(refusal(&result), (3, String::new(), "operations[0]"));
    }
}
