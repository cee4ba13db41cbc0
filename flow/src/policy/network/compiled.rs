//! Network policies in a form that answers in a time that hardly depends on the number of rules.
//!
//! Rules are numbered in the order of policies and rules, mirror images behind what they mirror. Each property of a
//! conversation (its ends, its protocol, its ports) leads to a row with a bit for every rule that it satisfies; the
//! lowest bit that is set in all of these rows is the rule that decides.

use packet::protocol::ip;

use super::ends::Ends;
use super::rows::{Row, Rows, RowsBuilder, both, lowest};
use super::rule::{Answer, EndMatch, NetworkPolicy, NetworkRule, Query};
use super::steps::Steps;
use crate::policy::rule::{RuleRef, RuleSet, has_ports, is_icmp};

/// The policies of one network, in their order. Immutable.
#[derive(Clone, Debug, Default)]
pub struct CompiledNetworkPolicy {
    /// What each number says.
    answers: Box<[Answer]>,
    rows: Rows,
    source_ports: Steps,
    destination_ports: Steps,
    /// ICMP type and code in one number.
    icmp: Steps,
    /// IPv4 and IPv6.
    families: [Family; 2],
}

/// What depends on the address family.
#[derive(Clone, Debug)]
struct Family {
    /// The rules that speak of a protocol.
    protocols: Box<[Row; 256]>,
    sources: Ends,
    destinations: Ends,
}

impl Default for Family {
    fn default() -> Self {
        Self {
            protocols: Box::new([Row::default(); 256]),
            sources: Ends::default(),
            destinations: Ends::default(),
        }
    }
}

/// A rule, or its mirror image.
#[derive(Clone, Copy)]
struct Image<'a> {
    rule: &'a NetworkRule,
    mirrored: bool,
}

impl<'a> Image<'a> {
    const fn source(self) -> &'a EndMatch {
        if self.mirrored { &self.rule.destination } else { &self.rule.source }
    }

    const fn destination(self) -> &'a EndMatch {
        if self.mirrored { &self.rule.source } else { &self.rule.destination }
    }

    const fn ports(self) -> [Option<(u16, u16)>; 2] {
        let NetworkRule { source_ports, destination_ports, .. } = self.rule;
        if self.mirrored { [*destination_ports, *source_ports] } else { [*source_ports, *destination_ports] }
    }

    fn icmp(self) -> Option<(u16, u16)> {
        let icmp = self.rule.icmp?;
        let (low, high) = icmp.code.map_or((0, u8::MAX), |code| (code, code));
        Some((u16::from_be_bytes([icmp.kind, low]), u16::from_be_bytes([icmp.kind, high])))
    }

    fn speaks_of(self, protocol: u8, v6: bool) -> bool {
        (self.rule.protocol == 0 || self.rule.protocol == protocol)
            && (self.ports() == [None, None] || has_ports(protocol))
            && (self.rule.icmp.is_none() || is_icmp(protocol, v6))
    }
}

impl CompiledNetworkPolicy {
    /// Compiles the policies of a network, in their order.
    #[must_use]
    pub fn compile(policies: &[&NetworkPolicy]) -> Self {
        let rules =
            || policies.iter().flat_map(|policy| policy.rules.iter().map(move |rule| (policy.id, rule)));
        let images: Vec<(u32, Image<'_>)> = rules()
            .flat_map(|(policy, rule)| {
                let image = |mirrored| (policy, Image { rule, mirrored });
                [Some(image(false)), rule.bidirectional.then(|| image(true))]
            })
            .flatten()
            .collect();
        let all = || images.iter().map(|(_, image)| *image);
        let mut rows = RowsBuilder::new(images.len());
        let source_ports = Steps::new(all().map(|image| image.ports()[0]), &mut rows);
        let destination_ports = Steps::new(all().map(|image| image.ports()[1]), &mut rows);
        let icmp = Steps::new(all().map(Image::icmp), &mut rows);
        // Protocols that no rule names, and that have neither ports nor ICMP types, satisfy the same rules.
        let named: Vec<u8> = [ip::TCP, ip::UDP, ip::SCTP, ip::ICMP, ip::ICMPV6]
            .into_iter()
            .chain(all().map(|i| i.rule.protocol))
            .collect();
        let families = [false, true].map(|v6| {
            let mut speaking = |protocol| {
                let numbers = (0..).zip(all()).filter(|(_, image)| image.speaks_of(protocol, v6));
                rows.row_of(numbers.map(|(number, _)| number))
            };
            let mut protocols = Box::new([speaking(0); 256]);
            for &protocol in &named {
                if protocol != 0 {
                    protocols[usize::from(protocol)] = speaking(protocol);
                }
            }
            Family {
                protocols,
                sources: Ends::new(all().map(Image::source), v6, &mut rows),
                destinations: Ends::new(all().map(Image::destination), v6, &mut rows),
            }
        });
        let answers = images.iter().map(|(policy, Image { rule, .. })| Answer {
            action: rule.action,
            rule: Some(RuleRef { set: RuleSet::NetworkPolicy(*policy), rule: rule.id, slot: rule.slot }),
        });
        Self {
            answers: answers.collect(),
            rows: rows.finish(),
            source_ports,
            destination_ports,
            icmp,
            families,
        }
    }

    /// Answers.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Answer {
        let [v4, v6] = &self.families;
        let family = if query.v6 { v6 } else { v4 };
        let of_protocol = family.protocols[usize::from(query.protocol)];
        let ports = if has_ports(query.protocol) {
            [self.source_ports.at(query.source_port), self.destination_ports.at(query.destination_port)]
        } else if is_icmp(query.protocol, query.v6) {
            [of_protocol, self.icmp.at(u16::from_be_bytes([query.icmp_type, query.icmp_code]))]
        } else {
            [of_protocol; 2]
        };
        let source = family.sources.find(&query.source);
        let destination = family.destinations.find(&query.destination);
        for block in 0..self.rows.blocks() {
            let mut bits = self.rows.block(of_protocol, block);
            for row in ports {
                bits = both(bits, self.rows.block(row, block));
            }
            bits = both(bits, source.block(&self.rows, block));
            bits = both(bits, destination.block(&self.rows, block));
            if let Some(answer) = lowest(bits, block).and_then(|number| self.answers.get(number)) {
                return *answer;
            }
        }
        query.without_rule()
    }
}

#[cfg(test)]
mod tests;
