//! Security groups: lists of allow rules.

use agent_api::v1::{self, EtherType};
use flow::policy::{Direction, Family, IcmpMatch, Remote, Rule, RuleSlot, SecurityGroup};

use super::{Field, ObjectKey, check_optional_name, number, port_protocol, read_rules};
use crate::control::{fault::Invalid, text::parse_prefix_or_host};

/// A checked group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SecurityGroupSpec {
    pub(crate) message: v1::SecurityGroup,
    /// As the data path takes it; its rules have no counters yet.
    pub(crate) group: SecurityGroup,
}

/// Most rules of one group.
const MAX_RULES: usize = 65_535;

pub(super) fn read(message: v1::SecurityGroup) -> Result<SecurityGroupSpec, Invalid> {
    let id = number("id", message.id, 1..=u32::MAX)?;
    check_optional_name(&message.name)?;
    let rules = read_rules(&message.rules, MAX_RULES, |rule| rule.id, read_rule)?;
    Ok(SecurityGroupSpec { group: SecurityGroup { id, rules }, message })
}

fn read_rule(rule: &v1::SecurityGroupRule) -> Result<Rule, Invalid> {
    let direction = match v1::Direction::try_from(rule.direction) {
        Ok(v1::Direction::Ingress) => Direction::Ingress,
        Ok(v1::Direction::Egress) => Direction::Egress,
        _ => return Err(Invalid::new("direction", "INGRESS or EGRESS is needed")),
    };
    let family = match EtherType::try_from(rule.ether_type) {
        Ok(EtherType::Any) => Family::Any,
        Ok(EtherType::Ipv4) => Family::V4,
        Ok(EtherType::Ipv6) => Family::V6,
        Err(_) => return Err(Invalid::new("ether_type", format!("{} is no ether type", rule.ether_type))),
    };
    let protocol = number("protocol", rule.protocol, 0..=255)?;
    let ports = rule.ports.map(|ports| read_ports("ports", ports, protocol)).transpose()?;
    let icmp = rule.icmp.map(|icmp| read_icmp(icmp, protocol)).transpose()?;
    if ports.is_some() && icmp.is_some() {
        return Err(Invalid::new("icmp", "a packet has either ports or an ICMP type"));
    }
    let remote = match &rule.remote {
        None => Remote::Any,
        Some(v1::security_group_rule::Remote::Group(group)) => {
            Remote::Group(number("group", *group, 1..=u32::MAX)?)
        }
        Some(v1::security_group_rule::Remote::Prefix(prefix)) => read_prefix(prefix, family)?,
    };
    Ok(Rule { id: rule.id, slot: RuleSlot::NONE, direction, family, protocol, ports, icmp, remote })
}

fn read_prefix(text: &str, family: Family) -> Result<Remote, Invalid> {
    let prefix = parse_prefix_or_host(text).map_err(|message| Invalid::new("prefix", message))?;
    let v6 = prefix.is_v6();
    if matches!((family, v6), (Family::V4, true) | (Family::V6, false)) {
        return Err(Invalid::new("prefix", format!("{text} is not of the rule's ether_type")));
    }
    Ok(Remote::Prefix { address: prefix.address(), length: prefix.length(), v6 })
}

pub(super) fn read_ports(field: &str, ports: v1::PortRange, protocol: u8) -> Result<(u16, u16), Invalid> {
    if protocol != 0 {
        port_protocol(field, protocol.into())?;
    }
    let first = number(&format!("{field}.first"), ports.first, 0..=65_535)?;
    let last = number(&format!("{field}.last"), ports.last, 0..=65_535)?;
    if first > last {
        return Err(Invalid::new(format!("{field}.first"), format!("{first} is above {field}.last {last}")));
    }
    Ok((first, last))
}

pub(super) fn read_icmp(icmp: v1::IcmpMatch, protocol: u8) -> Result<IcmpMatch, Invalid> {
    if !matches!(protocol, 0 | 1 | 58) {
        return Err(Invalid::new("icmp", format!("protocol {protocol} has no ICMP type: 1 and 58 have")));
    }
    let code = icmp.code.map(|code| number("icmp.code", code, 0..=255)).transpose()?;
    Ok(IcmpMatch { kind: number("icmp.type", icmp.r#type, 0..=255)?, code })
}

impl SecurityGroupSpec {
    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        for (index, rule) in self.group.rules.iter().enumerate() {
            if let Remote::Group(group) = rule.remote
                // A group may name itself: its members reach each other.
                && group != self.group.id
            {
                visit(ObjectKey::SecurityGroup(group), Field::Inside("rules", index, "group"));
            }
        }
    }

    /// Whether one of its rules is for members of the group itself.
    pub(crate) fn names_itself(&self) -> bool {
        self.group.rules.iter().any(|rule| rule.remote == Remote::Group(self.group.id))
    }
}
