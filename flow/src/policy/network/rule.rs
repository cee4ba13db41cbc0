//! Network policies as a controller states them, and the questions that they answer.

use packet::{Address, TagId, VrfId};

use crate::policy::rule::{IcmpMatch, RuleRef, RuleSlot, has_ports, is_icmp, shares_prefix};

/// Who may be at one end of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EndMatch {
    /// Anybody.
    #[default]
    Any,
    /// A workload of this network.
    Network(VrfId),
    /// An address of this prefix, in whatever network.
    Prefix {
        /// The prefix; bits beyond `length` do not count.
        address: Address,
        /// 0..=32 or 0..=128; anything longer counts as that.
        length: u8,
        /// Whether it is IPv6. A prefix matches addresses of its own family only.
        v6: bool,
    },
    /// A workload that carries all of these tags, in whatever network.
    Tags(Box<[TagId]>),
}

/// What happens to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It may be opened.
    Pass,
    /// Its packets are dropped.
    Deny,
    /// Its packets are dropped, and whoever sent them is told.
    Reject,
}

impl Action {
    /// The name as operators write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Deny => "deny",
            Self::Reject => "reject",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// Unique in its policy.
    pub id: u32,
    /// Its counter.
    pub slot: RuleSlot,
    /// Who opens the conversation.
    pub source: EndMatch,
    /// To whom.
    pub destination: EndMatch,
    /// IP protocol, 0 = any.
    pub protocol: u8,
    /// First and last source port. Such a rule matches TCP, UDP and SCTP only.
    pub source_ports: Option<(u16, u16)>,
    /// First and last destination port. Such a rule matches TCP, UDP and SCTP only.
    pub destination_ports: Option<(u16, u16)>,
    /// Such a rule matches ICMP (IPv4) and ICMPv6 (IPv6) only.
    pub icmp: Option<IcmpMatch>,
    /// What happens to what it matches.
    pub action: Action,
    /// Whether conversations that it decides are logged.
    pub log: bool,
    /// Whether its mirror image is meant too: source and destination exchanged, ports with them.
    pub bidirectional: bool,
}

/// A network policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// The controller's number.
    pub id: u32,
    /// Its rules, in the controller's order.
    pub rules: Vec<NetworkRule>,
}

/// One end of a conversation, as the workload that is asked for sees it (SEMANTICS 4).
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Its address.
    pub address: Address,
    /// Its network.
    pub network: VrfId,
    /// Its tags, ascending.
    pub tags: &'a [TagId],
}

/// A conversation that somebody wants to open.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Whether it is IPv6.
    pub v6: bool,
    /// Who opens it.
    pub source: End<'a>,
    /// To whom.
    pub destination: End<'a>,
    /// IP protocol.
    pub protocol: u8,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What happens.
    pub action: Action,
    /// The rule that says so, and whether it wants that logged; `None` where no rule matches.
    pub rule: Option<RuleRef>,
}

impl EndMatch {
    /// Whether an end of a conversation of this family is meant.
    #[must_use]
    pub fn matches(&self, end: &End<'_>, of_v6: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Network(network) => *network == end.network,
            Self::Prefix { address, length, v6 } => {
                *v6 == of_v6
                    && shares_prefix(address, &end.address, (*length).min(if of_v6 { 128 } else { 32 }))
            }
            Self::Tags(tags) => tags.iter().all(|tag| end.tags.contains(tag)),
        }
    }
}

impl NetworkRule {
    /// Whether the rule is about this conversation, one condition after the other.
    #[must_use]
    pub fn matches(&self, query: &Query<'_>) -> bool {
        self.matches_one_way(query) || self.bidirectional && self.matches_one_way(&query.mirrored())
    }

    fn matches_one_way(&self, query: &Query<'_>) -> bool {
        let within = |ports: Option<(u16, u16)>, port: u16| {
            ports.is_none_or(|(first, last)| has_ports(query.protocol) && (first..=last).contains(&port))
        };
        (self.protocol == 0 || self.protocol == query.protocol)
            && within(self.source_ports, query.source_port)
            && within(self.destination_ports, query.destination_port)
            && self.icmp.is_none_or(|icmp| {
                is_icmp(query.protocol, query.v6)
                    && icmp.kind == query.icmp_type
                    && icmp.code.is_none_or(|code| code == query.icmp_code)
            })
            && self.source.matches(&query.source, query.v6)
            && self.destination.matches(&query.destination, query.v6)
    }
}

impl<'a> Query<'a> {
    /// The conversation in the mirror.
    fn mirrored(&self) -> Query<'a> {
        let Self { source, destination, source_port, destination_port, .. } = *self;
        Query {
            source: destination,
            destination: source,
            source_port: destination_port,
            destination_port: source_port,
            ..*self
        }
    }

    /// What holds where rules are bound and none matches: within a network everything, between networks nothing.
    pub(super) fn without_rule(&self) -> Answer {
        let within = self.source.network == self.destination.network;
        Answer { action: if within { Action::Pass } else { Action::Deny }, rule: None }
    }
}
