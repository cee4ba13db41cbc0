//! The counters of a vRouter as a case sees them: names and numbers.

use std::collections::BTreeMap;

use agent_api::v1::{Accounting, StatsResponse};
use serde::Deserialize;

/// Counters by path: `interfaces.vm1.rx_packets`, `drops.no_route`, `accounting.sent`. What is 0 is absent.
///
/// Gauges (sessions, table sizes) and the workers' cycle counts are none of a case's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

/// The content of `expect.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expectation {
    interfaces: BTreeMap<String, BTreeMap<String, u64>>,
    drops: BTreeMap<String, u64>,
    accounting: BTreeMap<String, u64>,
}

impl From<Expectation> for Counters {
    fn from(expectation: Expectation) -> Self {
        let mut counters = Self::default();
        for (interface, counts) in expectation.interfaces {
            for (name, count) in counts {
                counters.add(&format!("interfaces.{interface}.{name}"), count);
            }
        }
        for (section, counts) in [("drops", expectation.drops), ("accounting", expectation.accounting)] {
            for (name, count) in counts {
                counters.add(&format!("{section}.{name}"), count);
            }
        }
        counters
    }
}

impl Counters {
    /// Adds to a counter.
    pub fn add(&mut self, path: &str, count: u64) {
        if count != 0 {
            *self.0.entry(path.to_owned()).or_default() += count;
        }
    }

    /// The counters with their paths, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(path, count)| (path.as_str(), *count))
    }

    /// A counter, 0 where it has never moved.
    #[must_use]
    pub fn get(&self, path: &str) -> u64 {
        self.0.get(path).copied().unwrap_or(0)
    }

    /// The counters of an answer to the `Stats` call.
    #[must_use]
    pub fn from_stats(stats: &StatsResponse) -> Self {
        let mut counters = Self::default();
        for interface in &stats.interfaces {
            for (name, count) in [
                ("rx_packets", interface.rx_packets),
                ("rx_bytes", interface.rx_bytes),
                ("tx_packets", interface.tx_packets),
                ("tx_bytes", interface.tx_bytes),
                ("dropped", interface.dropped),
            ] {
                counters.add(&format!("interfaces.{}.{name}", interface.name), count);
            }
        }
        for drop in &stats.drops {
            counters.add(&format!("drops.{}", drop.reason), drop.packets);
        }
        counters.add_accounting(&stats.accounting.unwrap_or_default());
        counters
    }

    pub fn add_accounting(&mut self, accounting: &Accounting) {
        for (name, count) in [
            ("received", accounting.received),
            ("originated", accounting.originated),
            ("copied", accounting.copied),
            ("sent", accounting.sent),
            ("consumed", accounting.consumed),
            ("punted", accounting.punted),
            ("held", accounting.held),
            ("dropped", accounting.dropped),
        ] {
            self.add(&format!("accounting.{name}"), count);
        }
    }

    /// How far each counter moved since `before`, modulo 2^64.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut moved = Self::default();
        for path in self.0.keys().chain(before.0.keys()) {
            if !moved.0.contains_key(path) {
                moved.add(path, self.get(path).wrapping_sub(before.get(path)));
            }
        }
        moved
    }

    /// One line for each counter that moved otherwise than `expected`.
    #[must_use]
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut paths: Vec<_> = self.0.keys().chain(expected.0.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
            .into_iter()
            .filter(|path| self.get(path) != expected.get(path))
            .map(|path| format!("{path}: expected {}, got {}", expected.get(path), self.get(path)))
            .collect()
    }

    /// What is wrong with the accounting equation (SEMANTICS 15), if anything.
    #[must_use]
    pub fn imbalance(&self) -> Option<String> {
        let sum =
            |names: &[&str]| names.iter().map(|name| self.get(&format!("accounting.{name}"))).sum::<u64>();
        let came = sum(&["received", "originated", "copied"]);
        let ended = sum(&["sent", "consumed", "punted", "held", "dropped"]);
        (came != ended)
            .then(|| format!("accounting: {came} packets came, were made or copied, but {ended} ended"))
    }
}

#[cfg(test)]
mod tests {
    use agent_api::v1::{DropStats, InterfaceStats};

    use super::*;

    fn counters(list: &[(&str, u64)]) -> Counters {
        let mut counters = Counters::default();
        for (path, count) in list {
            counters.add(path, *count);
        }
        counters
    }

    #[test]
    fn only_what_moved_is_left_after_subtraction() {
        let before = counters(&[("a", 3), ("b", 1)]);
        let after = counters(&[("a", 5), ("b", 1), ("c", 7)]);
        assert_eq!(after.since(&before), counters(&[("a", 2), ("c", 7)]));
    }

    #[test]
    fn a_counter_that_moved_though_it_is_not_listed_is_a_difference() {
        let moved = counters(&[("drops.no_route", 1), ("accounting.sent", 2)]);
        let expected = counters(&[("accounting.sent", 1)]);
        assert_eq!(
            moved.differences(&expected),
            ["accounting.sent: expected 1, got 2", "drops.no_route: expected 0, got 1"]
        );
        assert!(expected.differences(&expected).is_empty());
    }

    #[test]
    fn a_listed_counter_that_did_not_move_is_a_difference() {
        let expected = counters(&[("drops.reject", 1)]);
        assert_eq!(Counters::default().differences(&expected), ["drops.reject: expected 1, got 0"]);
    }

    #[test]
    fn an_answer_to_stats_becomes_paths() {
        let stats = StatsResponse {
            accounting: Some(Accounting { received: 2, sent: 1, dropped: 1, ..Default::default() }),
            interfaces: vec![InterfaceStats {
                name: "vm1".into(),
                rx_packets: 2,
                rx_bytes: 120,
                tx_packets: 1,
                tx_bytes: 60,
                dropped: 1,
                flows: 9,
                ..Default::default()
            }],
            drops: vec![
                DropStats { reason: "no_route".into(), packets: 1, interface: 2, ..Default::default() },
                DropStats { reason: "no_route".into(), packets: 2, interface: 3, ..Default::default() },
            ],
            ..Default::default()
        };
        let expected = counters(&[
            ("accounting.received", 2),
            ("accounting.sent", 1),
            ("accounting.dropped", 1),
            ("interfaces.vm1.rx_packets", 2),
            ("interfaces.vm1.rx_bytes", 120),
            ("interfaces.vm1.tx_packets", 1),
            ("interfaces.vm1.tx_bytes", 60),
            ("interfaces.vm1.dropped", 1),
            ("drops.no_route", 3),
        ]);
        assert_eq!(Counters::from_stats(&stats), expected);
        assert_eq!(expected.imbalance(), None);
    }

    #[test]
    fn every_packet_must_end_somewhere() {
        let lost = counters(&[("accounting.received", 3), ("accounting.copied", 1), ("accounting.sent", 3)]);
        assert_eq!(
            lost.imbalance().as_deref(),
            Some("accounting: 4 packets came, were made or copied, but 3 ended")
        );
        for side in ["sent", "consumed", "punted", "held", "dropped"] {
            let mut whole = lost.clone();
            whole.add(&format!("accounting.{side}"), 1);
            assert_eq!(whole.imbalance(), None, "{side}");
        }
        let mut made = lost;
        made.add("accounting.originated", 1);
        assert!(made.imbalance().is_some());
    }
}
