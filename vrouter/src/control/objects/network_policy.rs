//! Network policies: ordered rules between networks.

use agent_api::v1::{self, network_policy_rule::Action as Wanted, policy_end};
use flow::policy::RuleSlot;
use flow::policy::network::{Action, EndMatch, NetworkPolicy, NetworkRule};

use super::security_group::{read_icmp, read_ports};
use super::{check_optional_name, number, read_rules, read_tags, vrf};
use crate::control::{fault::Invalid, names::Names, text::parse_prefix_or_host};

/// A checked policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NetworkPolicySpec {
    pub(crate) message: v1::NetworkPolicy,
    /// As the data path takes it; its rules have no counters yet.
    pub(crate) policy: NetworkPolicy,
}

/// Most rules of all policies of a network, and so of one policy.
pub(crate) const MAX_RULES: usize = 4096;

pub(super) fn read(message: v1::NetworkPolicy, names: &mut Names) -> Result<NetworkPolicySpec, Invalid> {
    let id = number("id", message.id, 1..=u32::MAX)?;
    check_optional_name(&message.name)?;
    let rules = read_rules(&message.rules, MAX_RULES, |rule| rule.id, |rule| read_rule(rule, names))?;
    Ok(NetworkPolicySpec { policy: NetworkPolicy { id, rules }, message })
}

fn read_rule(rule: &v1::NetworkPolicyRule, names: &mut Names) -> Result<NetworkRule, Invalid> {
    let action = match Wanted::try_from(rule.action) {
        Ok(Wanted::Pass) => Action::Pass,
        Ok(Wanted::Deny) => Action::Deny,
        Ok(Wanted::Reject) => Action::Reject,
        Ok(Wanted::Unspecified) | Err(_) => {
            return Err(Invalid::new("action", "PASS, DENY or REJECT is needed"));
        }
    };
    let protocol = number("protocol", rule.protocol, 0..=255)?;
    let ports = |field, ports: Option<v1::PortRange>| {
        ports.map(|ports| read_ports(field, ports, protocol)).transpose()
    };
    let source_ports = ports("source_ports", rule.source_ports)?;
    let destination_ports = ports("destination_ports", rule.destination_ports)?;
    let icmp = rule.icmp.map(|icmp| read_icmp(icmp, protocol)).transpose()?;
    if icmp.is_some() && (source_ports.is_some() || destination_ports.is_some()) {
        return Err(Invalid::new("icmp", "a packet has either ports or an ICMP type"));
    }
    let source = read_end("source", rule.source.as_ref(), names)?;
    let destination = read_end("destination", rule.destination.as_ref(), names)?;
    if let (EndMatch::Prefix { v6: one, .. }, EndMatch::Prefix { v6: other, .. }) = (&source, &destination)
        && one != other
    {
        return Err(Invalid::new("destination.prefix", "is not of the family of source.prefix"));
    }
    let (log, bidirectional) = (rule.log, rule.bidirectional);
    Ok(NetworkRule {
        id: rule.id,
        slot: RuleSlot::NONE,
        source,
        destination,
        protocol,
        source_ports,
        destination_ports,
        icmp,
        action,
        log,
        bidirectional,
    })
}

fn read_end(field: &str, end: Option<&v1::PolicyEnd>, names: &mut Names) -> Result<EndMatch, Invalid> {
    let Some(end) = end else { return Ok(EndMatch::Any) };
    match &end.end {
        Some(_) if !end.tags.is_empty() => {
            Err(Invalid::new(format!("{field}.tags"), "an end is a network, a prefix or tags"))
        }
        Some(policy_end::End::Network(id)) => {
            vrf::id(&format!("{field}.network"), *id).map(EndMatch::Network)
        }
        Some(policy_end::End::Prefix(text)) => {
            let prefix = parse_prefix_or_host(text)
                .map_err(|message| Invalid::new(format!("{field}.prefix"), message))?;
            let (address, length, v6) = (prefix.address(), prefix.length(), prefix.is_v6());
            Ok(EndMatch::Prefix { address, length, v6 })
        }
        None if end.tags.is_empty() => Ok(EndMatch::Any),
        None => read_tags(&format!("{field}.tags"), &end.tags, names).map(EndMatch::Tags),
    }
}
