//! Rules by the numbers that sessions keep, with what they have decided (SEMANTICS 25).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow::policy::{RuleRef, RuleSlot};
use flow::{EndReason, RULES, SessionSink, SessionView, Traffic};

use super::Tables;

/// A rule of a security group or a network policy.
#[derive(Clone, Debug)]
pub struct RuleRow {
    /// Which one.
    pub name: RuleRef,
    /// Whether what it decides is logged.
    pub log: bool,
    /// They outlive generations, and changes of the rule that keep its id.
    pub counters: Arc<RuleCounters>,
}

/// Counters of one rule. Nobody adds to them per packet: sessions are folded in by the ageing sweep, and when they
/// end.
#[derive(Debug, Default)]
pub struct RuleCounters {
    flows: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl RuleCounters {
    /// Sessions that the rule decided, with their packets and bytes of both directions.
    #[must_use]
    pub fn get(&self) -> [u64; 3] {
        [&self.flows, &self.packets, &self.bytes].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// A sink that counts what sessions report, and that is all.
#[derive(Debug)]
pub struct RuleSink<'t>(pub &'t Tables);

impl SessionSink for RuleSink<'_> {
    fn traffic(&mut self, traffic: &Traffic) {
        self.0.count(traffic);
    }

    fn ended(&mut self, _: &SessionView, _: EndReason) {}
}

impl Tables {
    /// The rules of a session, each once: both ends may have asked the same one.
    pub fn deciding<'t>(&'t self, slots: &[RuleSlot; RULES]) -> impl Iterator<Item = &'t RuleRow> {
        let slots = *slots;
        let first = move |&at: &usize| !slots[..at].contains(&slots[at]);
        (0..RULES).filter(first).filter_map(move |at| self.rules.get(slots[at].number()?))
    }

    /// Counts what a session reports at the rules that decided it.
    pub fn count(&self, traffic: &Traffic) {
        for RuleRow { counters, .. } in self.deciding(&traffic.rules) {
            counters.flows.fetch_add(traffic.first.into(), Ordering::Relaxed);
            counters.packets.fetch_add(traffic.packets, Ordering::Relaxed);
            counters.bytes.fetch_add(traffic.bytes, Ordering::Relaxed);
        }
    }
}
