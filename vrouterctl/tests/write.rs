//! `apply`, `delete` and `sync`: what is sent, what is printed, and what a refusal looks like.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod mock;

use std::fmt::Write as _;

use mock::{Mock, golden, text};

const RED: &str = "
- route: {vrf: 1, prefix: 10.0.0.0/24, next_hop: 5}
- next_hop: {id: 5, discard: {}}
- vrf: {id: 1, name: red}
";

fn routes(count: usize, next_hop: u32) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let (high, low) = (n / 256, n % 256);
        writeln!(text, "- route: {{vrf: 1, prefix: 10.{high}.{low}.0/24, next_hop: {next_hop}}}").unwrap();
        text
    })
}

fn sizes(mock: &Mock) -> Vec<usize> {
    mock.state().batches.iter().map(|batch| batch.operations.len()).collect()
}

#[test]
fn what_changed_and_what_did_not_is_told_object_by_object() {
    let mock = Mock::empty();
    let file = mock.file("red.yaml", RED);
    assert_eq!(
        mock.ok(&["apply", "-f", &file]),
        "vrf 1 applied\nnext_hop 5 applied\nroute 1/10.0.0.0/24 applied\n3 applied, 0 unchanged; generation 1\n"
    );
    let file = mock.file("red.yaml", &RED.replace("discard", "reject"));
    assert_eq!(
        mock.ok(&["apply", "-f", &file]),
        "vrf 1 unchanged\nnext_hop 5 applied\nroute 1/10.0.0.0/24 unchanged\n1 applied, 2 unchanged; generation 2\n"
    );
    assert_eq!(mock.ok(&["apply", "--quiet", "-f", &file]), "0 applied, 3 unchanged; generation 2\n");
    assert!(mock.state().batches.iter().all(|batch| !batch.takeover));
    mock.ok(&["apply", "--takeover", "-f", &file]);
    assert!(mock.state().batches.last().unwrap().takeover);
}

#[test]
fn files_directories_and_standard_input_are_read() {
    let mock = Mock::empty();
    mock.file("d/2.yml", "next_hop: {id: 5, discard: {}}");
    mock.file("d/1.yaml", "vrf: {id: 1, name: red}");
    mock.file("d/3.json", r#"[{"vni": {"vni": 9, "vrf": 1}}]"#);
    mock.file("d/notes.txt", "not for us");
    let directory = mock.directory.path().join("d");
    let single = mock.file("single.yaml", "vrf: {id: 2}\n---\nvrf: {id: 3}\n");
    assert_eq!(
        mock.ok(&["apply", "-f", directory.to_str().unwrap(), "-f", &single]),
        "vrf 1 applied\nvrf 2 applied\nvrf 3 applied\nnext_hop 5 applied\nvni 9 applied\n5 applied, 0 unchanged; generation 1\n"
    );
    let output = mock.run_with_input(&["apply", "-f", "-"], "vrf: {id: 4}");
    assert_eq!(text(&output.stdout), "vrf 4 applied\n1 applied, 0 unchanged; generation 2\n");
    assert_eq!(
        mock.ok(&["apply", "-f", &mock.file("empty.yaml", "# nothing\n")]),
        "0 applied, 0 unchanged; generation 0\n"
    );
}

#[test]
fn a_file_that_is_no_good_is_named_and_nothing_is_sent() {
    let mock = Mock::empty();
    let good = mock.file("good.yaml", RED);
    let bad = mock.file("bad.yaml", "- vrf: {id: 1}\n- route: {vrf: 1, prefx: 10.0.0.0/24}\n");
    let (code, error) = mock.refused(&["apply", "-f", &good, "-f", &bad]);
    assert_eq!(code, 1);
    assert_eq!(
        error,
        format!(
            "vrouterctl: {bad}: document 1, item 2, route.prefx: no such field; \
             allowed: vrf, prefix, origin, next_hop, label, preference, security_groups, network, tags\n"
        )
    );
    let absent = mock.directory.path().join("absent.yaml");
    let (code, error) = mock.refused(&["apply", "-f", absent.to_str().unwrap()]);
    assert!(code == 1 && error.contains("absent.yaml: No such file"), "{error}");
    std::fs::create_dir(mock.directory.path().join("e")).unwrap();
    let (code, error) = mock.refused(&["apply", "-f", mock.directory.path().join("e").to_str().unwrap()]);
    assert!(code == 1 && error.contains("no file ends in .yaml, .yml, .json"), "{error}");
    let output = mock.run_with_input(&["apply", "-f", "-"], "vrf: {nam: x}");
    assert!(text(&output.stderr).contains("standard input: document 1, vrf.nam: no such field"));
    assert_eq!(sizes(&mock), Vec::<usize>::new());
}

#[test]
fn a_refusal_names_the_object_the_field_and_the_code() {
    let mock = Mock::empty();
    let file = mock.file("a.yaml", "- vrf: {id: 1}\n- route: {vrf: 1, prefix: 10.0.0.0/24, next_hop: 6}\n");
    let output = mock.run(&["apply", "-f", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "vrouterctl: route 1/10.0.0.0/24/operator: next_hop: there is no next hop 6 (FAILED_PRECONDITION)\n\
         0 applied, 0 unchanged, 2 refused\n"
    );
    assert!(mock.state().entries.is_empty());
}

#[test]
fn many_objects_go_in_batches_of_a_thousand_or_in_one() {
    let mock = Mock::empty();
    let file = mock.file("many.yaml", &format!("{RED}{}", routes(12_345, 5)));
    let last = "12347 applied, 1 unchanged; generation 13\n";
    assert_eq!(mock.ok(&["apply", "-q", "-f", &file]), last);
    assert_eq!(sizes(&mock), [&[1_000; 12][..], &[348]].concat());

    let mock = Mock::empty();
    let file = mock.file("many.yaml", &format!("{RED}{}", routes(12_345, 5)));
    assert_eq!(mock.ok(&["apply", "-q", "--atomic", "-f", &file]), last.replace("13\n", "1\n"));
    assert_eq!(sizes(&mock), [12_348]);
}

#[test]
fn after_a_refusal_no_further_batch_is_sent() {
    let mock = Mock::empty();
    let file = mock.file("many.yaml", &format!("{RED}{}{}", routes(997, 5), routes(20_000, 6)));
    let output = mock.run(&["apply", "-q", "-f", &file]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    let error = text(&output.stderr);
    assert!(
        error.starts_with("vrouterctl: route 1/10.0.0.0/24/operator: next_hop: there is no next hop 6"),
        "{error}"
    );
    // The window was on its way already when the first refusal came.
    assert!(sizes(&mock).len() <= 10, "{:?}", sizes(&mock));
    assert!(error.contains("refused, ") && error.contains(" not tried\n"), "{error}");
}

#[test]
fn objects_are_deleted_by_key() {
    let mock = Mock::with_fixture();
    assert_eq!(
        mock.ok(&["delete", "rt", "1/10.40.0.3/32", "1/10.1.2.0/24/netlink", "1/9.9.9.0/24"]),
        "route 1/10.40.0.3/32 deleted\nroute 1/10.1.2.0/24/netlink deleted\nroute 1/9.9.9.0/24 not there\n\
         2 deleted, 1 not there; generation 2\n"
    );
    assert_eq!(mock.ok(&["delete", "nh", "6"]), "next_hop 6 deleted\n1 deleted, 0 not there; generation 3\n");
    let flow = "2/egress/6/10.1.1.3:4000/10.1.2.4:25";
    mock.ok(&["delete", "pinned-flow", flow]);
    assert!(mock.ok(&["get", "pinned-flow"]).starts_with("No pinned flows."));
}

#[test]
fn objects_are_deleted_by_file_in_the_reverse_order_of_references() {
    let mock = Mock::empty();
    let file = mock.file("red.yaml", RED);
    mock.ok(&["apply", "-f", &file]);
    assert_eq!(
        mock.ok(&["delete", "-f", &file]),
        "route 1/10.0.0.0/24 deleted\nnext_hop 5 deleted\nvrf 1 deleted\n3 deleted, 0 not there; generation 2\n"
    );
}

#[test]
fn a_key_of_another_form_and_a_delete_of_nothing_are_wrong_usage() {
    let mock = Mock::with_fixture();
    let (code, error) = mock.refused(&["delete", "route", "10.0.0.0/24"]);
    assert_eq!(code, 2);
    assert!(error.contains("\"10.0.0.0/24\" is no key of a route: write VRF/PREFIX/LENGTH"), "{error}");
    for arguments in
        [&["delete"][..], &["delete", "vrf"], &["delete", "vrf", "1", "-f", "x"], &["delete", "bridge", "1"]]
    {
        assert_eq!(mock.refused(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(sizes(&mock), Vec::<usize>::new());
}

#[test]
fn a_sync_sweeps_what_was_not_replayed_and_tells_what_changed() {
    let mock = Mock::empty();
    let text = routes(2_500, 5);
    mock.ok(&["apply", "-q", "-f", &mock.file("all.yaml", &format!("{RED}{text}"))]);
    let fewer: String = text.lines().skip(37).fold(String::new(), |all, line| all + line + "\n");
    let file = mock.file(
        "fewer.yaml",
        &format!("{}{fewer}", RED.replace("10.0.0.0", "10.0.36.0").replace("discard", "reject")),
    );
    assert_eq!(
        mock.ok(&["sync", "-f", &file]),
        "next_hop 5 applied\n1 applied, 2465 unchanged, 2466 kept, 36 swept; generation 5\n"
    );
    assert_eq!(mock.state().entries.len(), 2_466);
}

#[test]
fn a_sync_may_sweep_some_kinds_only() {
    let mock = Mock::empty();
    mock.ok(&["apply", "-f", &mock.file("a.yaml", RED)]);
    let output = mock.ok(&["sync", "--kinds", "rt,nh", "-f", &mock.file("b.yaml", "vrf: {id: 2}")]);
    assert_eq!(output, "vrf 2 applied\n1 applied, 0 unchanged, 2 kept, 2 swept; generation 3\n");
}

#[test]
fn a_refused_sync_sweeps_nothing() {
    let mock = Mock::empty();
    mock.ok(&["apply", "-f", &mock.file("a.yaml", RED)]);
    let (code, error) = mock.refused(&[
        "sync",
        "-f",
        &mock.file("b.yaml", "route: {vrf: 1, prefix: 10.9.0.0/24, next_hop: 9}"),
    ]);
    assert_eq!(code, 1);
    assert!(error.contains("there is no next hop 9") && error.contains("; nothing was swept"), "{error}");
    assert_eq!(mock.state().entries.len(), 3);
}

#[test]
fn a_sync_of_nothing_must_be_meant() {
    let mock = Mock::empty();
    mock.ok(&["apply", "-f", &mock.file("a.yaml", RED)]);
    let nothing = mock.file("nothing.yaml", "[]");
    let (code, error) = mock.refused(&["sync", "-f", &nothing]);
    assert!(code == 1 && error.contains("--allow-empty"), "{error}");
    assert_eq!(mock.state().entries.len(), 3);
    let output = mock.ok(&["sync", "--allow-empty", "-f", &nothing]);
    assert_eq!(output, "0 applied, 0 unchanged, 0 kept, 3 swept; generation 2\n");
}

#[test]
fn a_whole_node_is_applied_in_the_order_of_references() {
    let mock = Mock::empty();
    let fixture = mock.path_of_fixture();
    golden("apply-fixture", &mock.ok(&["apply", "-f", fixture.to_str().unwrap()]));
}

#[test]
fn the_examples_are_taken() {
    let mock = Mock::empty();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let output = mock.ok(&["apply", "-q", "-f", examples]);
    assert!(output.contains(" applied, 0 unchanged; generation 1\n"), "{output}");
}
