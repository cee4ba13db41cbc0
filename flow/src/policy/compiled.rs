//! Security groups in a form that answers in a time that hardly depends on the number of rules.
//!
//! Rules are numbered in the order of groups and rules, and the lowest number that matches is the answer. A
//! question first chooses a *class* by direction, family and protocol. What remains of a rule is a range of
//! ports (or of ICMP type and code) and a remote. Per kind of remote the class has an index that leads to
//! staircases of ports: one for "any", one per group, one per prefix.

use std::collections::BTreeMap;

use packet::Address;
use packet::protocol::ip;

use super::prefixes::{Bits, Prefixes};
use super::rule::{
    Decision, Direction, Family, Query, Remote, Rule, RuleRef, RuleSet, SecurityGroup, has_ports, is_icmp,
};
use super::staircase::{NOBODY, Staircase};

/// What the interfaces with the same groups share. Immutable.
#[derive(Clone, Debug, Default)]
pub struct CompiledPolicy {
    /// The rules by number; `None` where no group is bound.
    rules: Option<Box<[RuleRef]>>,
    /// Per direction and family.
    sides: [Side; 4],
}

/// The rules of one direction and family.
#[derive(Clone, Debug)]
struct Side {
    /// Per protocol the number of its class. Class 0 is that of the protocols that no rule speaks of.
    class_of: [u8; 256],
    classes: Box<[Class]>,
}

impl Default for Side {
    fn default() -> Self {
        Self { class_of: [0; 256], classes: Box::default() }
    }
}

/// The rules of one protocol.
#[derive(Clone, Debug, Default)]
struct Class {
    anybody: Staircase,
    /// Group ids, ascending; then the ports of each.
    groups: Box<[u32]>,
    group_ports: Box<[Staircase]>,
    /// Of one family only; the other set is empty.
    prefixes_v4: Option<Prefixes<u32, Within>>,
    prefixes_v6: Option<Prefixes<u128, Within>>,
}

/// What is allowed to the addresses of a prefix.
#[derive(Clone, Debug)]
struct Within {
    ports: Staircase,
    /// The lowest number here and in all prefixes around.
    lowest: u32,
}

/// A rule's range of ports or of ICMP types and codes, its remote and its number.
type Part<'a> = (u16, u16, &'a Remote, u32);

/// Ranges of ports with a number each, by prefix.
type ByPrefix<A> = BTreeMap<(A, u8), Vec<(u16, u16, u32)>>;

impl CompiledPolicy {
    /// Compiles the groups of an interface, in their order. Without any group, everything is allowed.
    #[must_use]
    pub fn compile(groups: &[&SecurityGroup]) -> Self {
        if groups.is_empty() {
            return Self::default();
        }
        let all = || groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group.id, rule)));
        let name = |(group, rule): (u32, &Rule)| RuleRef {
            set: RuleSet::SecurityGroup(group),
            rule: rule.id,
            slot: rule.slot,
        };
        let rules = all().map(name).collect();
        let sides = [
            (Direction::Ingress, false),
            (Direction::Ingress, true),
            (Direction::Egress, false),
            (Direction::Egress, true),
        ]
        .map(|(direction, v6)| {
            let of_side = (0..).zip(all()).filter(|(_, (_, rule))| {
                rule.direction == direction
                    && match rule.family {
                        Family::Any => true,
                        Family::V4 => !v6,
                        Family::V6 => v6,
                    }
            });
            Side::new(&of_side.map(|(number, (_, rule))| (number, rule)).collect::<Vec<_>>(), v6)
        });
        Self { rules: Some(rules), sides }
    }

    /// Whether any group is bound.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.rules.is_some()
    }

    /// Answers.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        let Some(rules) = &self.rules else { return Decision::UNBOUND };
        let side = usize::from(query.direction == Direction::Egress) * 2 + usize::from(query.v6);
        let number = self.sides[side].class(query.protocol).map_or(NOBODY, |class| class.first(query));
        match rules.get(number as usize) {
            Some(rule) => Decision { allowed: true, rule: Some(*rule) },
            None => Decision::DENIED,
        }
    }
}

impl Side {
    fn new(rules: &[(u32, &Rule)], v6: bool) -> Self {
        let mut protocols: Vec<u8> =
            rules.iter().map(|(_, rule)| rule.protocol).filter(|p| *p != 0).collect();
        // A rule for any protocol that speaks of ports or ICMP is a rule for each of theirs.
        if rules.iter().any(|(_, rule)| rule.ports.is_some()) {
            protocols.extend([ip::TCP, ip::UDP, ip::SCTP]);
        }
        if rules.iter().any(|(_, rule)| rule.icmp.is_some()) {
            protocols.push(if v6 { ip::ICMPV6 } else { ip::ICMP });
        }
        protocols.sort_unstable();
        protocols.dedup();
        // No rule is for protocol 0 alone, so its class is that of all the others.
        let classes = [0].iter().chain(&protocols).map(|protocol| {
            Class::new(rules.iter().filter_map(|(number, rule)| part(rule, *number, *protocol, v6)))
        });
        let mut side = Self { classes: classes.collect(), ..Self::default() };
        for (before, protocol) in protocols.into_iter().enumerate() {
            side.class_of[usize::from(protocol)] = before as u8 + 1;
        }
        side
    }

    fn class(&self, protocol: u8) -> Option<&Class> {
        self.classes.get(usize::from(self.class_of[usize::from(protocol)]))
    }
}

/// What of a rule concerns packets of a protocol.
fn part(rule: &Rule, number: u32, protocol: u8, v6: bool) -> Option<Part<'_>> {
    if rule.protocol != 0 && rule.protocol != protocol {
        return None;
    }
    let (first, last) = match (rule.ports, rule.icmp) {
        (None, None) => (0, u16::MAX),
        (Some((first, last)), None) if has_ports(protocol) => (first, last),
        (None, Some(icmp)) if is_icmp(protocol, v6) => {
            let (low, high) = icmp.code.map_or((0, u8::MAX), |code| (code, code));
            (u16::from_be_bytes([icmp.kind, low]), u16::from_be_bytes([icmp.kind, high]))
        }
        _ => return None,
    };
    Some((first, last, &rule.remote, number)).filter(|(.., remote, _)| match remote {
        Remote::Prefix { v6: of_v6, .. } => *of_v6 == v6,
        Remote::Any | Remote::Group(_) => true,
    })
}

impl Class {
    fn new<'a>(parts: impl Iterator<Item = Part<'a>>) -> Self {
        let mut anybody = Vec::new();
        let mut groups: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        let mut of_v4: ByPrefix<u32> = BTreeMap::new();
        let mut of_v6: ByPrefix<u128> = BTreeMap::new();
        for (first, last, remote, number) in parts {
            match *remote {
                Remote::Any => &mut anybody,
                Remote::Group(group) => groups.entry(group).or_default(),
                Remote::Prefix { address, length, v6: false } => {
                    let length = length.min(32);
                    let first = v4_number(&address) & !u32::MAX.checked_shr(length.into()).unwrap_or(0);
                    of_v4.entry((first, length)).or_default()
                }
                Remote::Prefix { address, length, v6: true } => {
                    let length = length.min(128);
                    let first =
                        u128::from_be_bytes(address) & !u128::MAX.checked_shr(length.into()).unwrap_or(0);
                    of_v6.entry((first, length)).or_default()
                }
            }
            .push((first, last, number));
        }
        let (groups, group_ports): (Vec<u32>, Vec<Staircase>) =
            groups.into_iter().map(|(group, ranges)| (group, Staircase::new(ranges))).unzip();
        Self {
            anybody: Staircase::new(anybody),
            groups: groups.into(),
            group_ports: group_ports.into(),
            prefixes_v4: within(of_v4),
            prefixes_v6: within(of_v6),
        }
    }

    /// The lowest number that matches, or [`NOBODY`].
    fn first(&self, query: &Query<'_>) -> u32 {
        let port = if has_ports(query.protocol) {
            query.dst_port
        } else {
            u16::from_be_bytes([query.icmp_type, query.icmp_code])
        };
        let mut first = self.anybody.at(port);
        if !self.groups.is_empty() {
            for group in query.remote_groups {
                if let Ok(at) = self.groups.binary_search(group) {
                    first = first.min(self.group_ports.get(at).map_or(NOBODY, |ports| ports.at(port)));
                }
            }
        }
        if let Some(prefixes) = &self.prefixes_v4 {
            first = first_within(prefixes.around(v4_number(&query.remote)), port, first);
        }
        if let Some(prefixes) = &self.prefixes_v6 {
            first = first_within(prefixes.around(u128::from_be_bytes(query.remote)), port, first);
        }
        first
    }
}

/// The lowest number at `port` in any of these prefixes, if lower than `first`.
fn first_within<'a>(around: impl Iterator<Item = &'a Within>, port: u16, mut first: u32) -> u32 {
    for within in around {
        if within.lowest >= first {
            break;
        }
        first = first.min(within.ports.at(port));
    }
    first
}

/// The prefixes with their ports, if there are any.
fn within<A: Bits>(prefixes: ByPrefix<A>) -> Option<Prefixes<A, Within>> {
    if prefixes.is_empty() {
        return None;
    }
    let with_ports = prefixes.into_iter().map(|(prefix, ranges)| {
        let ports = Staircase::new(ranges);
        (prefix, Within { lowest: ports.lowest(), ports })
    });
    let mut all = Prefixes::new(with_ports.collect());
    all.update(|within, around| {
        within.lowest = within.lowest.min(around.map_or(NOBODY, |around| around.lowest));
    });
    Some(all)
}

/// An IPv4 address as a number.
pub(super) fn v4_number(address: &Address) -> u32 {
    let [a, b, c, d, ..] = *address;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
