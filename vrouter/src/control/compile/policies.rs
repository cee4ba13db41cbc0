//! Compiled security groups: one per set of groups, shared by the interfaces that are bound to that set.

use std::sync::Arc;

use ahash::AHashMap;
use flow::policy::{CompiledPolicy, RuleSet, SecurityGroup};
use nexthop::Paged;

use super::rule_slots::{Numbered, Slots};
use crate::tables::RuleRow;

/// Security groups with the numbers of their rules, and what they compile to.
#[derive(Debug, Default)]
pub(super) struct Policies {
    groups: AHashMap<u32, SecurityGroup>,
    compiled: AHashMap<Box<[u32]>, Arc<CompiledPolicy>>,
    /// How many compiled sets there were when unused ones were last dropped.
    tidied: usize,
}

impl Policies {
    /// Replaces a group, or takes it away. Rules that stay keep their counters.
    pub(super) fn write(
        &mut self,
        id: u32,
        mut group: Option<SecurityGroup>,
        slots: &mut Slots,
        rows: &mut Paged<RuleRow>,
    ) {
        let before = self.groups.remove(&id).map_or_else(Vec::new, |group| group.rules);
        let before = before.iter().map(|rule| (rule.id, rule.slot));
        let after = group.iter_mut().flat_map(|group| &mut group.rules);
        let after = after.map(|rule| Numbered { id: rule.id, log: false, slot: &mut rule.slot });
        slots.renew(RuleSet::SecurityGroup(id), before, after, rows);
        self.groups.extend(group.map(|group| (id, group)));
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
    use flow::policy::{Direction, Family, Remote, Rule, RuleSlot};

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
        let (mut policies, mut slots, mut rows) = (Policies::default(), Slots::default(), Paged::default());
        policies.write(7, Some(group(7, &[1])), &mut slots, &mut rows);
        policies.write(8, Some(group(8, &[1])), &mut slots, &mut rows);
        let (a, b) = (policies.of(&[7, 8]), policies.of(&[8]));
        assert!(Arc::ptr_eq(&a, &policies.of(&[7, 8])));
        policies.write(7, Some(group(7, &[1, 2])), &mut slots, &mut rows);
        assert!(!Arc::ptr_eq(&a, &policies.of(&[7, 8])));
        assert!(Arc::ptr_eq(&b, &policies.of(&[8])), "the other set is as it was");
    }

    #[test]
    fn a_rule_keeps_its_counter_while_it_is_there_and_another_rule_gets_another() {
        let (mut policies, mut slots, mut rows) = (Policies::default(), Slots::default(), Paged::default());
        policies.write(7, Some(group(7, &[1, 2])), &mut slots, &mut rows);
        let numbers = |policies: &Policies| -> Vec<_> {
            policies.groups[&7].rules.iter().map(|rule| (rule.id, rule.slot.number().unwrap())).collect()
        };
        assert_eq!(numbers(&policies), [(1, 0), (2, 1)]);
        policies.write(7, Some(group(7, &[2, 3])), &mut slots, &mut rows);
        assert_eq!(numbers(&policies), [(2, 1), (3, 2)]);
        assert!(rows.get(0).is_none());
        assert_eq!(rows.get(2).map(|row| row.name.to_string()), Some("security_group 7 rule 3".to_owned()));
        policies.write(7, None, &mut slots, &mut rows);
        assert!(rows.get(1).is_none() && rows.get(2).is_none());
    }
}
