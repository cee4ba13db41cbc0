//! The table of security groups, a line for each rule.

use std::io::Write;

use agent_api::v1::{
    Direction, Entry, EtherType, IcmpMatch, Object, PortRange, SecurityGroupRule, object,
    security_group_rule::Remote,
};

use crate::{error::Error, table::Grid, text};

pub(super) fn table(entries: &[Entry], wide: bool, out: &mut dyn Write) -> Result<(), Error> {
    let heads = [
        "GROUP>",
        "NAME",
        "RULE>",
        "DIRECTION",
        "FAMILY",
        "PROTOCOL",
        "PORTS",
        "REMOTE",
        "+FLOWS>",
        "+PACKETS>",
        "+BYTES>",
        "+OWNER",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::SecurityGroup(group)) }) = &entry.object else {
            continue;
        };
        let mut line = |rule: [String; 6], [flows, packets, bytes]: [String; 3]| {
            let [id, direction, family, protocol, ports, remote] = rule;
            grid.row([
                group.id.to_string(),
                group.name.clone(),
                id,
                direction,
                family,
                protocol,
                ports,
                remote,
                flows,
                packets,
                bytes,
                entry.owner.clone(),
                entry.generation.to_string(),
            ]);
        };
        if group.rules.is_empty() {
            let nothing = String::new;
            let rule = [nothing(), nothing(), nothing(), nothing(), nothing(), "allows nothing".into()];
            line(rule, [nothing(), nothing(), nothing()]);
        }
        for rule in &group.rules {
            let hits = entry.rules.iter().find(|stats| stats.rule == rule.id).copied().unwrap_or_default();
            line(cells(rule), [hits.flows, hits.packets, hits.bytes].map(|count| count.to_string()));
        }
    }
    grid.print(out, "No security groups.")
}

fn cells(rule: &SecurityGroupRule) -> [String; 6] {
    let direction = match rule.direction() {
        Direction::Unspecified => "?",
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let family = match rule.ether_type() {
        EtherType::Any => "any",
        EtherType::Ipv4 => "ipv4",
        EtherType::Ipv6 => "ipv6",
    };
    let ports = ports_or_type(rule.ports, rule.icmp);
    let remote = match &rule.remote {
        None => "any".into(),
        Some(Remote::Prefix(prefix)) => prefix.clone(),
        Some(Remote::Group(group)) => format!("group {group}"),
    };
    let protocol = if rule.protocol == 0 { "any".into() } else { text::protocol(rule.protocol) };
    [rule.id.to_string(), direction.into(), family.into(), protocol, ports, remote]
}

/// `80`, `8000-8999`, `type 8 code 0` or `any`.
pub(super) fn ports_or_type(ports: Option<PortRange>, icmp: Option<IcmpMatch>) -> String {
    match (ports, icmp) {
        (Some(ports), _) if ports.first == ports.last => ports.first.to_string(),
        (Some(ports), _) => format!("{}-{}", ports.first, ports.last),
        (None, Some(icmp)) => match icmp.code {
            Some(code) => format!("type {} code {code}", icmp.r#type),
            None => format!("type {}", icmp.r#type),
        },
        (None, None) => "any".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_what_it_allows() {
        let any = SecurityGroupRule { id: 1, direction: Direction::Ingress.into(), ..Default::default() };
        assert_eq!(cells(&any), ["1", "ingress", "any", "any", "any", "any"]);
        let ssh = SecurityGroupRule {
            id: 2,
            direction: Direction::Egress.into(),
            ether_type: EtherType::Ipv4.into(),
            protocol: 6,
            ports: Some(PortRange { first: 22, last: 22 }),
            remote: Some(Remote::Group(7)),
            ..Default::default()
        };
        assert_eq!(cells(&ssh), ["2", "egress", "ipv4", "tcp", "22", "group 7"]);
        let range = SecurityGroupRule { ports: Some(PortRange { first: 1, last: 9 }), ..ssh };
        assert_eq!(cells(&range)[4], "1-9");
        let icmp = |code| SecurityGroupRule {
            ether_type: EtherType::Ipv6.into(),
            icmp: Some(IcmpMatch { r#type: 128, code }),
            remote: Some(Remote::Prefix("2001:db8::/32".into())),
            ..Default::default()
        };
        assert_eq!(cells(&icmp(None)), ["0", "?", "ipv6", "any", "type 128", "2001:db8::/32"]);
        assert_eq!(cells(&icmp(Some(0)))[4], "type 128 code 0");
    }
}
