//! What the rules of one local end say about a new session: those of its security groups and those of its network's
//! policies. Both must allow it.

use flow::RULES;
use flow::policy::network::{self, Action, End};
use flow::policy::{Direction, Query, RuleRef};
use nexthop::FibResult;
use packet::{DropReason, VrfId};

use super::decide::{Narrate, Tuple};
use crate::tables::{Interface, Membership, PinKey, Tables};

/// What a route tells about the far end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'t> {
    /// The network that it belongs to.
    pub(super) network: VrfId,
    /// Its groups and tags.
    pub(super) membership: Option<&'t Membership>,
}

impl<'t> Known<'t> {
    /// By a route that was found in `vrf`.
    pub(super) fn by(tables: &'t Tables, vrf: VrfId, route: Option<FibResult>) -> Self {
        let membership = route.and_then(|route| tables.membership(route.groups()));
        Self { network: membership.and_then(|membership| membership.network).unwrap_or(vrf), membership }
    }
}

/// One local end of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'t> {
    /// Whose rules are asked.
    pub(super) interface: &'t Interface,
    /// The network that it takes part with: its own, or that of the floating IP it is translated by (SEMANTICS 4).
    pub(super) network: VrfId,
    /// Whether it opens the session or receives it.
    pub(super) direction: Direction,
    /// What is known about the other end.
    pub(super) known: Known<'t>,
}

impl Side<'_> {
    /// Asks all rules about the packet as this end's workload sees it, and notes in `decided` which of them decided.
    pub(super) fn ask<N: Narrate>(
        &self,
        tables: &Tables,
        seen: &Tuple,
        icmp: (u8, u8),
        decided: &mut [Option<RuleRef>; RULES],
        say: &mut N,
    ) -> Result<(), DropReason> {
        let [group_of_sender, policy_of_sender, group_of_receiver, policy_of_receiver] = decided;
        let (group, policy) = match self.direction {
            Direction::Egress => (group_of_sender, policy_of_sender),
            Direction::Ingress => (group_of_receiver, policy_of_receiver),
        };
        if let Some(pinned) = self.pinned(seen, say) {
            return pinned;
        }
        if self.interface.policy {
            self.security_groups(seen, icmp, group, say)?;
        }
        match tables.network_policy(self.network) {
            Some(compiled) => self.network_policies(compiled, seen, icmp, policy, say),
            None => Ok(()),
        }
    }

    fn name(&self) -> &'static str {
        if self.direction == Direction::Egress { "egress" } else { "ingress" }
    }

    /// What a controller has pinned for this flow: then no rule is asked.
    fn pinned<N: Narrate>(&self, seen: &Tuple, say: &mut N) -> Option<Result<(), DropReason>> {
        if self.interface.pins.is_empty() {
            return None;
        }
        let key = PinKey {
            from_workload: self.direction == Direction::Egress,
            v6: seen.v6,
            protocol: seen.protocol,
            source: seen.src,
            destination: seen.dst,
            source_port: seen.src_port,
            destination_port: seen.service_port(),
        };
        let pin = self.interface.pin(&key)?;
        say.tell("flow", || {
            format!("a controller pinned this flow to {}", if pin.deny { "deny" } else { "forward" })
        });
        Some(if pin.deny { Err(DropReason::FlowDenied) } else { Ok(()) })
    }

    fn security_groups<N: Narrate>(
        &self,
        seen: &Tuple,
        icmp: (u8, u8),
        decided: &mut Option<RuleRef>,
        say: &mut N,
    ) -> Result<(), DropReason> {
        let query = Query {
            direction: self.direction,
            v6: seen.v6,
            remote: if self.direction == Direction::Egress { seen.dst } else { seen.src },
            remote_groups: self.known.membership.map_or(&[], |membership| &membership.groups),
            protocol: seen.protocol,
            dst_port: seen.service_port(),
            icmp_type: icmp.0,
            icmp_code: icmp.1,
        };
        let answer = self.interface.security.decide(&query);
        *decided = answer.rule;
        say.tell("security_group", || {
            let (name, side) = (&self.interface.name, self.name());
            match (answer.allowed, answer.rule) {
                (true, Some(rule)) => format!("{name} {side}: {rule} allows"),
                (true, None) => format!("{name} {side}: no security group is bound"),
                (false, _) => format!("{name} {side}: no rule allows"),
            }
        });
        if answer.allowed { Ok(()) } else { Err(DropReason::SecurityGroup) }
    }

    fn network_policies<N: Narrate>(
        &self,
        policy: &network::CompiledNetworkPolicy,
        seen: &Tuple,
        icmp: (u8, u8),
        decided: &mut Option<RuleRef>,
        say: &mut N,
    ) -> Result<(), DropReason> {
        let opens = self.direction == Direction::Egress;
        let (own, other) = if opens { (seen.src, seen.dst) } else { (seen.dst, seen.src) };
        let here = End { address: own, network: self.network, tags: &self.interface.tags };
        let tags = self.known.membership.map_or(&[][..], |membership| &membership.tags);
        let there = End { address: other, network: self.known.network, tags };
        let query = network::Query {
            v6: seen.v6,
            source: if opens { here } else { there },
            destination: if opens { there } else { here },
            protocol: seen.protocol,
            source_port: seen.src_port,
            destination_port: seen.service_port(),
            icmp_type: icmp.0,
            icmp_code: icmp.1,
        };
        let answer = policy.decide(&query);
        *decided = answer.rule;
        say.tell("network_policy", || {
            let (name, side) = (&self.interface.name, self.name());
            let (from, to) = (query.source.network, query.destination.network);
            let way =
                if from == to { format!("within network {from}") } else { format!("network {from} > {to}") };
            let action = answer.action.name();
            match answer.rule {
                Some(rule) => format!("{name} {side}: {way}: {rule} says {action}"),
                None => format!("{name} {side}: {way}: no rule of network {}, so {action}", self.network),
            }
        });
        match answer.action {
            Action::Pass => Ok(()),
            Action::Deny => Err(DropReason::PolicyDenied),
            Action::Reject => Err(DropReason::PolicyRejected),
        }
    }
}

/// Whether rules refused it: only such sessions are remembered, as anything else is as cheap to find out again.
pub(super) const fn refused_by_rules(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::SecurityGroup
            | DropReason::FlowDenied
            | DropReason::PolicyDenied
            | DropReason::PolicyRejected
    )
}
