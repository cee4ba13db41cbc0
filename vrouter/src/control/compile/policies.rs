//! Compiled policy: one per set of groups, shared by the interfaces that are bound to that set.

use std::sync::Arc;

use ahash::AHashMap;
use flow::policy::{CompiledPolicy, RuleRef, RuleSlot, SecurityGroup};
use nexthop::Paged;

/// Security groups with the counters of their rules, and what they compile to.
#[derive(Debug, Default)]
pub(super) struct Policies {
    groups: AHashMap<u32, SecurityGroup>,
    compiled: AHashMap<Box<[u32]>, Arc<CompiledPolicy>>,
    /// How many compiled sets there were when unused ones were last dropped.
    tidied: usize,
    slots: Slots,
}

/// Numbers of counters. They go round, so that a new rule does not soon count where an old one did.
#[derive(Debug, Default)]
struct Slots {
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
}

impl Policies {
    /// Replaces a group, or takes it away. Rules that stay keep their counters.
    pub(super) fn write(&mut self, id: u32, group: Option<SecurityGroup>, names: &mut Paged<RuleRef>) {
        let before = self.groups.remove(&id).map_or_else(Vec::new, |group| group.rules);
        let mut old: AHashMap<u32, RuleSlot> = before.iter().map(|rule| (rule.id, rule.slot)).collect();
        if let Some(mut group) = group {
            for rule in &mut group.rules {
                rule.slot = old.remove(&rule.id).unwrap_or_else(|| {
                    let slot = self.slots.take();
                    if let Some(number) = slot.number() {
                        names.set(number, RuleRef { group: id, rule: rule.id, slot });
                    }
                    slot
                });
            }
            self.groups.insert(id, group);
        }
        for slot in old.into_values() {
            self.slots.release(slot);
            if let Some(number) = slot.number() {
                names.remove(number);
            }
        }
        self.compiled.retain(|groups, _| groups.binary_search(&id).is_err());
    }

    /// What a set of groups (sorted) allows.
    pub(super) fn of(&mut self, groups: &[u32]) -> Arc<CompiledPolicy> {
        if let Some(policy) = self.compiled.get(groups) {
            return policy.clone();
        }
        let bound: Vec<&SecurityGroup> = groups.iter().filter_map(|id| self.groups.get(id)).collect();
        let policy = Arc::new(CompiledPolicy::compile(&bound));
        self.compiled.insert(groups.into(), policy.clone());
        policy
    }

    /// Drops what no interface uses any more, once in a while.
    pub(super) fn tidy(&mut self) {
        if self.compiled.len() > 2 * self.tidied + 64 {
            self.compiled.retain(|_, policy| Arc::strong_count(policy) > 1);
            self.tidied = self.compiled.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use flow::policy::{Direction, Family, Remote, Rule};

    use super::*;

    fn group(id: u32, rules: &[u32]) -> SecurityGroup {
        let rule = |&id: &u32| Rule {
            id,
            slot: RuleSlot::NONE,
            direction: Direction::Ingress,
            family: Family::Any,
            protocol: 0,
            ports: None,
            icmp: None,
            remote: Remote::Any,
        };
        SecurityGroup { id, rules: rules.iter().map(rule).collect() }
    }

    #[test]
    fn interfaces_with_the_same_groups_share_one_policy_until_a_rule_changes() {
        let (mut policies, mut names) = (Policies::default(), Paged::default());
        policies.write(7, Some(group(7, &[1])), &mut names);
        policies.write(8, Some(group(8, &[1])), &mut names);
        let (a, b) = (policies.of(&[7, 8]), policies.of(&[8]));
        assert!(Arc::ptr_eq(&a, &policies.of(&[7, 8])));
        policies.write(7, Some(group(7, &[1, 2])), &mut names);
        assert!(!Arc::ptr_eq(&a, &policies.of(&[7, 8])));
        assert!(Arc::ptr_eq(&b, &policies.of(&[8])), "the other set is as it was");
    }

    #[test]
    fn a_rule_keeps_its_counter_while_it_is_there_and_another_rule_gets_another() {
        let (mut policies, mut names) = (Policies::default(), Paged::default());
        policies.write(7, Some(group(7, &[1, 2])), &mut names);
        let slots = |policies: &Policies| -> Vec<_> {
            policies.groups[&7].rules.iter().map(|rule| (rule.id, rule.slot.number().unwrap())).collect()
        };
        assert_eq!(slots(&policies), [(1, 0), (2, 1)]);
        policies.write(7, Some(group(7, &[2, 3])), &mut names);
        assert_eq!(slots(&policies), [(2, 1), (3, 2)]);
        assert_eq!(names.get(0), None);
        assert_eq!(names.get(2).map(|name| (name.group, name.rule)), Some((7, 3)));
        policies.write(7, None, &mut names);
        assert!(names.get(1).is_none() && names.get(2).is_none());
    }
}
