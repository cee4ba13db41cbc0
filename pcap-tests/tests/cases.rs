//! The cases are consistent in themselves: before any datapath is asked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use agent_api::{
    key_of,
    v1::{Object, object},
};
use packet::drop::DropReason;
use pcap_tests::case::{Case, Event, load_all, root};

fn cases() -> Vec<Case> {
    load_all(&root()).unwrap()
}

fn interfaces(case: &Case) -> BTreeSet<String> {
    case.tables
        .iter()
        .filter_map(|object| match &object.object {
            Some(object::Object::Interface(interface)) => Some(interface.name.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn there_are_at_least_sixty_and_each_says_what_it_is_about() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for case in &cases {
        assert!(case.about.intent.ends_with('.'), "{}: {:?}", case.id(), case.about.intent);
        assert!(case.steps.iter().any(|step| matches!(step.event, Event::Packet { .. })), "{}", case.id());
    }
}

#[test]
fn frames_come_and_go_by_interfaces_of_the_tables() {
    for case in cases() {
        let known = interfaces(&case);
        for step in &case.steps {
            if let Event::Packet { interface, .. } = &step.event {
                assert!(known.contains(interface), "{}: {interface}", case.id());
            }
        }
        for interface in case.expected.keys().chain(case.about.entropy.keys()) {
            assert!(known.contains(interface), "{}: {interface}", case.id());
        }
        for neighbour in &case.about.neighbours {
            assert!(known.contains(&neighbour.interface), "{}: {neighbour:?}", case.id());
        }
    }
}

#[test]
fn counters_exist_and_balance() {
    const OF_INTERFACE: [&str; 5] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "dropped"];
    const OF_ACCOUNTING: [&str; 8] =
        ["received", "originated", "copied", "sent", "consumed", "punted", "held", "dropped"];
    let reasons: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    for case in cases() {
        let known = interfaces(&case);
        for (path, _) in case.counters.iter() {
            let fine = match path.split('.').collect::<Vec<_>>().as_slice() {
                ["interfaces", interface, name] => known.contains(*interface) && OF_INTERFACE.contains(name),
                ["drops", reason] => reasons.contains(reason),
                ["accounting", name] => OF_ACCOUNTING.contains(name),
                _ => false,
            };
            assert!(fine, "{}: {path}", case.id());
        }
        assert_eq!(case.counters.imbalance(), None, "{}", case.id());
    }
}

#[test]
fn keys_are_written_once_and_a_mutant_differs_from_the_tables() {
    for case in cases() {
        let mut tables: BTreeMap<String, &Object> = BTreeMap::new();
        for object in &case.tables {
            let twice = tables.insert(key_of(object).to_string(), object);
            assert!(twice.is_none(), "{}: {} twice", case.id(), key_of(object));
        }
        let same = |object: &&Object| tables.get(&key_of(object).to_string()) == Some(object);
        let puts = case.mutant.put.iter().filter(|object| !same(object)).count();
        assert_eq!(puts, case.mutant.put.len(), "{}: a put of the mutant changes nothing", case.id());
        for object in &case.mutant.delete {
            assert!(
                tables.contains_key(&key_of(object).to_string()),
                "{}: deletes what is not there",
                case.id()
            );
        }
        assert!(puts + case.mutant.delete.len() > 0, "{}: no mutant", case.id());
    }
}

#[test]
fn every_drop_reason_has_a_case_or_its_excuse() {
    let coverage =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("author/COVERAGE.md")).unwrap();
    let reached: BTreeSet<_> = cases()
        .iter()
        .flat_map(|case| case.counters.iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>())
        .filter_map(|path| path.strip_prefix("drops.").map(str::to_owned))
        .collect();
    for reason in DropReason::ALL {
        let excused = coverage.contains(&format!("| `{reason}` |"));
        assert!(
            reached.contains(reason.name()) != excused,
            "{reason}: has a case: {}, is in COVERAGE.md's table: {excused}",
            !excused
        );
    }
}
