//! Which conversations security groups and network policies allow. Asked once per session; replies belong to the
//! session and need no rule.

mod compiled;
mod linear;
pub mod network;
mod prefixes;
mod rule;
mod staircase;

pub use compiled::CompiledPolicy;
pub use linear::decide_linearly;
pub use rule::{
    Decision, Direction, Family, IcmpMatch, Query, Remote, Rule, RuleRef, RuleSet, RuleSlot, SecurityGroup,
};
