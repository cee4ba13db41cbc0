//! The table of network policies: a line for each rule, in the order in which they are asked.

use std::io::Write;

use agent_api::v1::{
    Entry, NetworkPolicyRule, Object, PolicyEnd, PortRange, network_policy_rule::Action, object,
    policy_end::End,
};

use super::security_group::ports_or_type;
use crate::{connect::Client, describe::Places, error::Error, table::Grid, text};

pub(super) async fn table(
    client: &mut Client,
    entries: &[Entry],
    wide: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let places = Places::names(client).await?;
    let heads = [
        "POLICY>",
        "NAME",
        "RULE>",
        "ACTION",
        "PROTOCOL",
        "SOURCE",
        "PORTS",
        "WAY",
        "DESTINATION",
        "PORTS",
        "FLOWS>",
        "PACKETS>",
        "BYTES>",
        "+LOG",
        "+OWNER",
        "+GENERATION>",
    ];
    let mut grid = Grid::new(wide, &heads);
    for entry in entries {
        let Some(Object { object: Some(object::Object::NetworkPolicy(policy)) }) = &entry.object else {
            continue;
        };
        let mut line = |[id, action, protocol, source, from, way, destination, to, log]: [String; 9],
                        [flows, packets, bytes]: [String; 3]| {
            let (number, name) = (policy.id.to_string(), policy.name.clone());
            let (owner, generation) = (entry.owner.clone(), entry.generation.to_string());
            grid.row([
                number,
                name,
                id,
                action,
                protocol,
                source,
                from,
                way,
                destination,
                to,
                flows,
                packets,
                bytes,
                log,
                owner,
                generation,
            ]);
        };
        if policy.rules.is_empty() {
            let mut nothing = [const { String::new() }; 9];
            nothing[1] = "no rules".into();
            line(nothing, [const { String::new() }; 3]);
        }
        for rule in &policy.rules {
            let hits = entry.rules.iter().find(|stats| stats.rule == rule.id).copied().unwrap_or_default();
            line(cells(rule, &places), [hits.flows, hits.packets, hits.bytes].map(|count| count.to_string()));
        }
    }
    grid.print(out, "No network policies.")
}

fn cells(rule: &NetworkPolicyRule, places: &Places) -> [String; 9] {
    let action = match rule.action() {
        Action::Unspecified => "?",
        Action::Pass => "pass",
        Action::Deny => "deny",
        Action::Reject => "reject",
    };
    let ports = |ports: Option<PortRange>| ports_or_type(ports, None);
    [
        rule.id.to_string(),
        action.into(),
        if rule.protocol == 0 { "any".into() } else { text::protocol(rule.protocol) },
        end(rule.source.as_ref(), places),
        ports(rule.source_ports),
        if rule.bidirectional { "<>" } else { ">" }.into(),
        end(rule.destination.as_ref(), places),
        ports_or_type(rule.destination_ports, rule.icmp),
        if rule.log { "log" } else { "" }.into(),
    ]
}

fn end(end: Option<&PolicyEnd>, places: &Places) -> String {
    match end {
        Some(PolicyEnd { end: Some(End::Network(id)), .. }) => format!("network {}", places.vrf(*id)),
        Some(PolicyEnd { end: Some(End::Prefix(prefix)), .. }) => prefix.clone(),
        Some(PolicyEnd { tags, .. }) if !tags.is_empty() => tags.join(" "),
        _ => "any".into(),
    }
}
