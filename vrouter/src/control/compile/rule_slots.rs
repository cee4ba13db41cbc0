//! Which rule counts under which number. A rule keeps its number, and with it its counters, for as long as it keeps
//! its id.

use std::sync::Arc;

use ahash::AHashMap;
use flow::policy::{RuleRef, RuleSet, RuleSlot};
use nexthop::Paged;

use crate::tables::{RuleCounters, RuleRow};

/// One rule of a set that is written.
pub(super) struct Numbered<'a> {
    pub(super) id: u32,
    pub(super) log: bool,
    /// What it gets.
    pub(super) slot: &'a mut RuleSlot,
}

/// Numbers of counters. They go round, so that a new rule does not soon count where an old one did.
#[derive(Debug, Default)]
pub(super) struct Slots {
    used: Vec<bool>,
    next: usize,
}

/// Fewer slots than this are never searched for free ones.
const SLOTS_AT_LEAST: usize = 1 << 16;

impl Slots {
    fn take(&mut self) -> RuleSlot {
        let full = self.next == self.used.len();
        if full
            && (self.used.len() < SLOTS_AT_LEAST
                || self.used.iter().filter(|used| **used).count() * 2 > self.next)
        {
            self.used.push(false);
        } else if full {
            self.next = 0;
        }
        while self.used.get(self.next) == Some(&true) {
            self.next += 1;
        }
        if self.next == self.used.len() {
            self.used.push(false);
        }
        self.used[self.next] = true;
        self.next += 1;
        RuleSlot::new(u32::try_from(self.next - 1).unwrap_or(u32::MAX))
    }

    fn release(&mut self, slot: RuleSlot) {
        if let Some(number) = slot.number()
            && let Some(used) = self.used.get_mut(number as usize)
        {
            *used = false;
        }
    }

    /// Gives numbers to the rules of a set that is written again, and takes those of rules that went.
    pub(super) fn renew<'a>(
        &mut self,
        set: RuleSet,
        before: impl Iterator<Item = (u32, RuleSlot)>,
        after: impl Iterator<Item = Numbered<'a>>,
        rows: &mut Paged<RuleRow>,
    ) {
        let mut old: AHashMap<u32, RuleSlot> = before.collect();
        for Numbered { id, log, slot } in after {
            let kept = old.remove(&id);
            *slot = kept.unwrap_or_else(|| self.take());
            let Some(number) = slot.number() else { continue };
            let name = RuleRef { set, rule: id, slot: *slot };
            let counters = match (kept, rows.get(number)) {
                (Some(_), Some(row)) if row.log == log => continue,
                (Some(_), Some(row)) => Arc::clone(&row.counters),
                _ => Arc::new(RuleCounters::default()),
            };
            rows.set(number, RuleRow { name, log, counters });
        }
        for slot in old.into_values() {
            self.release(slot);
            if let Some(number) = slot.number() {
                rows.remove(number);
            }
        }
    }
}
