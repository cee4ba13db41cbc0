//! The definition of the answer: every rule, one after the other. The compiled form must agree with it.

use super::rule::{Answer, NetworkPolicy, Query};
use crate::policy::rule::{RuleRef, RuleSet};

/// What [`super::CompiledNetworkPolicy::decide`] answers, found the obvious way.
#[must_use]
pub fn decide_linearly(policies: &[&NetworkPolicy], query: &Query<'_>) -> Answer {
    let rules = policies.iter().flat_map(|policy| policy.rules.iter().map(|rule| (policy.id, rule)));
    for (policy, rule) in rules {
        if rule.matches(query) {
            let name = RuleRef { set: RuleSet::NetworkPolicy(policy), rule: rule.id, slot: rule.slot };
            return Answer { action: rule.action, rule: Some(name) };
        }
    }
    query.without_rule()
}
