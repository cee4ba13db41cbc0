//! The definition of the answer: every rule, one after the other. The compiled form must agree with it; so
//! do explanations.

use super::rule::{Decision, Query, RuleRef, RuleSet, SecurityGroup};

/// What [`super::CompiledPolicy::decide`] answers, found the obvious way.
#[must_use]
pub fn decide_linearly(groups: &[&SecurityGroup], query: &Query<'_>) -> Decision {
    if groups.is_empty() {
        return Decision::UNBOUND;
    }
    let rules = groups.iter().flat_map(|group| group.rules.iter().map(|rule| (group.id, rule)));
    rules
        .filter(|(_, rule)| rule.matches(query))
        .map(|(group, rule)| Decision {
            allowed: true,
            rule: Some(RuleRef { set: RuleSet::SecurityGroup(group), rule: rule.id, slot: rule.slot }),
        })
        .next()
        .unwrap_or(Decision::DENIED)
}
