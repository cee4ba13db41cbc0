//! Security groups as large tenants have them, and packets for them: the mix of rules that figures are asked for.
//!
//! Rules are in 256 groups. 40 % are for members of one of these groups, 40 % for a prefix of /8 to /32, a tenth of those
//! inside another rule's prefix, and 20 % for anybody; 50 % for one port, 25 % for a range, 25 % for any. A rule for anybody
//! and any port is for some other protocol than TCP and UDP, or it would decide everything.

use agent_api::v1::{self, Object, object, security_group_rule};
use agent_api::yaml;
use anyhow::{Context as _, Result};
use flow::policy::{
    CompiledPolicy, Direction, Family, Query, Remote, Rule, RuleSlot, SecurityGroup, decide_linearly,
};
use packet::Address;
use packet::meta::v4;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::node::OBJECTS;

/// Security groups.
pub const GROUPS: u32 = 256;
/// The first of them.
const FIRST: u32 = 1_001;
/// The group whose only rule allows everything, behind all others.
const REST: u32 = 2_000;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The groups with `count` rules of one direction, the same in every run.
#[must_use]
pub fn groups(count: usize, direction: Direction) -> Vec<SecurityGroup> {
    let mut random = StdRng::seed_from_u64(23);
    let mut groups: Vec<_> =
        (FIRST..FIRST + GROUPS).map(|id| SecurityGroup { id, rules: Vec::new() }).collect();
    let mut taken: Vec<(u32, u8)> = Vec::new();
    for number in 0..count as u32 {
        let remote = match random.random_range(0..10) {
            0..4 => Remote::Group(random.random_range(FIRST..FIRST + GROUPS)),
            4..8 => {
                let (first, length) = prefix(&mut random, &taken);
                taken.push((first, length));
                Remote::Prefix { address: v4(first.to_be_bytes()), length, v6: false }
            }
            _ => Remote::Any,
        };
        let ports = match random.random_range(0..4) {
            0 | 1 => Some(random.random_range(1..=u16::MAX)).map(|port| (port, port)),
            2 => Some(random.random_range(1..=u16::MAX - 100))
                .map(|first| (first, first + random.random_range(1..100))),
            _ => None,
        };
        let protocol = match (remote, ports) {
            (Remote::Any, None) => random.random_range(18..=254),
            _ if random.random_bool(0.5) => TCP,
            _ => UDP,
        };
        let group = &mut groups[(number % GROUPS) as usize];
        let (id, slot) = (number / GROUPS + 1, RuleSlot::new(number));
        let family = Family::V4;
        group.rules.push(Rule { id, slot, direction, family, protocol, ports, icmp: None, remote });
    }
    groups
}

/// A prefix that is apart from the others or, one time in ten, inside one of them.
fn prefix(random: &mut StdRng, taken: &[(u32, u8)]) -> (u32, u8) {
    let mask = |length: u8| u32::MAX << (32 - length);
    let inside = random.random_bool(0.1) && !taken.is_empty();
    let mut length = random.random_range(8..=32_u8);
    if inside {
        let (first, around) = taken[random.random_range(0..taken.len())];
        let length = length.max(around);
        return ((first | random.random::<u32>() & !mask(around)) & mask(length), length);
    }
    loop {
        for _ in 0..16 {
            let first = random.random_range(1 << 24..224 << 24) & mask(length);
            let apart = |(other, around): &(u32, u8)| (first ^ other) & mask(length.min(*around)) != 0;
            if taken.iter().all(apart) {
                return (first, length);
            }
        }
        // The short ones are all taken.
        if length == 32 {
            return (random.random(), 32);
        }
        length += 1;
    }
}

/// What the first packet of a conversation says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    remote: Address,
    groups: [u32; 3],
    count: u8,
    protocol: u8,
    port: u16,
    direction: Direction,
}

impl Header {
    /// As a question.
    #[inline]
    #[must_use]
    pub fn query(&self) -> Query<'_> {
        Query {
            direction: self.direction,
            v6: false,
            remote: self.remote,
            remote_groups: &self.groups[..usize::from(self.count)],
            protocol: self.protocol,
            dst_port: self.port,
            icmp_type: 0,
            icmp_code: 0,
        }
    }
}

/// Headers for rules: half are made for a rule, all rules equally often; a tenth match nothing; the rest is random.
#[derive(Debug)]
pub struct Headers<'a> {
    rules: Vec<&'a Rule>,
    compiled: &'a CompiledPolicy,
    random: StdRng,
}

impl<'a> Headers<'a> {
    /// Headers without end; another seed gives others.
    #[must_use]
    pub fn new(groups: &'a [SecurityGroup], compiled: &'a CompiledPolicy, seed: u64) -> Self {
        let rules = groups.iter().flat_map(|group| &group.rules).collect();
        Self { rules, compiled, random: StdRng::seed_from_u64(seed) }
    }

    fn anything(&mut self) -> Header {
        let mut groups: [u32; 3] = std::array::from_fn(|_| self.random.random_range(FIRST..FIRST + GROUPS));
        groups.sort_unstable();
        Header {
            remote: v4(self.random.random::<u32>().to_be_bytes()),
            groups,
            count: self.random.random_range(0..=2),
            protocol: if self.random.random_bool(0.5) { TCP } else { UDP },
            port: self.random.random(),
            direction: self.rules.first().map_or(Direction::Ingress, |rule| rule.direction),
        }
    }

    /// A header that this rule allows.
    fn allowed_by(&mut self, rule: &Rule) -> Header {
        let mut header = self.anything();
        header.protocol = rule.protocol;
        if let Some((first, last)) = rule.ports {
            header.port = self.random.random_range(first..=last);
        }
        match rule.remote {
            Remote::Any => {}
            Remote::Group(group) => {
                header.groups[0] = group;
                header.count = header.count.max(1);
                header.groups[..usize::from(header.count)].sort_unstable();
            }
            Remote::Prefix { address: [a, b, c, d, ..], length, .. } => {
                let below = self.random.random::<u32>() & !(u32::MAX << (32 - length));
                header.remote = v4((u32::from_be_bytes([a, b, c, d]) | below).to_be_bytes());
            }
        }
        header
    }
}

impl Iterator for Headers<'_> {
    type Item = Header;

    fn next(&mut self) -> Option<Header> {
        Some(match self.random.random_range(0..10) {
            0..5 if !self.rules.is_empty() => {
                let rule = self.rules[self.random.random_range(0..self.rules.len())];
                self.allowed_by(rule)
            }
            9 => loop {
                let mut header = self.anything();
                header.count = 0;
                if !self.compiled.decide(&header.query()).allowed {
                    break header;
                }
            },
            _ => self.anything(),
        })
    }
}

/// What the classifier and the linear search said of some headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Headers that were asked about.
    pub asked: u64,
    /// Of them, allowed.
    pub allowed: u64,
    /// Different answers.
    pub differ: u64,
}

/// Asks both about `count` headers.
#[must_use]
pub fn agree(groups: &[SecurityGroup], compiled: &CompiledPolicy, seed: u64, count: u64) -> Agreement {
    let all: Vec<_> = groups.iter().collect();
    let mut agreement = Agreement::default();
    for header in Headers::new(groups, compiled, seed).take(count as usize) {
        let (ours, linear) = (compiled.decide(&header.query()), decide_linearly(&all, &header.query()));
        agreement.asked += 1;
        agreement.allowed += u64::from(ours.allowed);
        agreement.differ += u64::from(ours != linear);
    }
    agreement
}

/// The same rules for what vm8 opens, as objects; behind them a rule that allows everything.
///
/// # Errors
/// The node has no vm8.
pub fn objects(count: usize) -> Result<Vec<Object>> {
    let mut groups: Vec<_> = groups(count, Direction::Egress).iter().map(group).collect();
    let rule = v1::SecurityGroupRule { id: 1, direction: v1::Direction::Egress.into(), ..Default::default() };
    groups.push(v1::SecurityGroup { id: REST, name: "rest".to_owned(), rules: vec![rule] });
    let mut interface = yaml::parse(OBJECTS)?
        .into_iter()
        .find_map(|object| match object.object {
            Some(object::Object::Interface(interface)) if interface.name == "vm8" => Some(interface),
            _ => None,
        })
        .context("vm8")?;
    interface.security_groups = groups.iter().map(|group| group.id).collect();
    let objects = groups.into_iter().map(object::Object::SecurityGroup);
    let objects = objects.chain([object::Object::Interface(interface)]);
    Ok(objects.map(|object| Object { object: Some(object) }).collect())
}

fn group(group: &SecurityGroup) -> v1::SecurityGroup {
    let rule = |rule: &Rule| v1::SecurityGroupRule {
        id: rule.id,
        direction: v1::Direction::Egress.into(),
        protocol: rule.protocol.into(),
        ports: rule.ports.map(|(first, last)| v1::PortRange { first: first.into(), last: last.into() }),
        remote: match rule.remote {
            Remote::Any => None,
            Remote::Group(group) => Some(security_group_rule::Remote::Group(group)),
            Remote::Prefix { address: [a, b, c, d, ..], length, .. } => {
                Some(security_group_rule::Remote::Prefix(format!("{a}.{b}.{c}.{d}/{length}")))
            }
        },
        ..Default::default()
    };
    v1::SecurityGroup {
        id: group.id,
        name: format!("group {}", group.id),
        rules: group.rules.iter().map(rule).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_headers_are_mixed_as_they_are_said_to_be() {
        let groups = groups(10_000, Direction::Ingress);
        assert_eq!(groups.len(), GROUPS as usize);
        let rules: Vec<_> = groups.iter().flat_map(|group| &group.rules).collect();
        let share = |of: &dyn Fn(&Rule) -> bool| rules.iter().filter(|rule| of(rule)).count() / 100;
        let shares = [
            share(&|rule| matches!(rule.remote, Remote::Group(_))),
            share(&|rule| matches!(rule.remote, Remote::Prefix { .. })),
            share(&|rule| rule.ports.is_some_and(|(first, last)| first == last)),
            share(&|rule| rule.ports.is_none()),
        ];
        for (share, expected) in shares.into_iter().zip([40_usize, 40, 50, 25]) {
            assert!(share.abs_diff(expected) <= 2, "{shares:?}");
        }
        let compiled = CompiledPolicy::compile(&groups.iter().collect::<Vec<_>>());
        let agreement = agree(&groups, &compiled, 1, 4_000);
        assert_eq!(agreement.differ, 0);
        let allowed = agreement.allowed * 100 / agreement.asked;
        assert!((50..=90).contains(&allowed), "{allowed} % are allowed");
    }
}
