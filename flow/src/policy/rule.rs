//! Security groups as a controller states them, and the questions that they answer.

use packet::Address;
use packet::protocol::ip;

/// Which way a conversation is opened, seen from the workload that has the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the workload.
    Ingress,
    /// By the workload.
    Egress,
}

/// The address families that a rule is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Who may be at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Remote {
    /// Anybody.
    #[default]
    Any,
    /// An address of this prefix. It says nothing about the other family: that is [`Rule::family`]'s, and a
    /// prefix matches addresses of its own family only.
    Prefix {
        /// The prefix; bits beyond `length` do not count.
        address: Address,
        /// 0..=32 or 0..=128; anything longer counts as that.
        length: u8,
        /// Whether it is IPv6.
        v6: bool,
    },
    /// Whoever is a member of this security group, which the route to it tells.
    Group(u32),
}

/// ICMP or ICMPv6 messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpMatch {
    /// The type.
    pub kind: u8,
    /// The code; `None` = any.
    pub code: Option<u8>,
}

/// The number of the counter that a rule has: dense, 24 bits, given by the control side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct RuleSlot(u32);

impl RuleSlot {
    /// No rule.
    pub const NONE: Self = Self(0xff_ffff);

    /// The slot of this number; what does not fit in 24 bits has no counter.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        if number < Self::NONE.0 { Self(number) } else { Self::NONE }
    }

    /// The number, if there is a rule.
    #[must_use]
    pub const fn number(self) -> Option<u32> {
        if self.0 == Self::NONE.0 { None } else { Some(self.0) }
    }

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw & 0xff_ffff)
    }
}

impl Default for RuleSlot {
    fn default() -> Self {
        Self::NONE
    }
}

/// Something that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique in its group.
    pub id: u32,
    /// Its counter.
    pub slot: RuleSlot,
    /// Which way.
    pub direction: Direction,
    /// Which families.
    pub family: Family,
    /// IP protocol, 0 = any.
    pub protocol: u8,
    /// First and last destination port. Such a rule matches TCP, UDP and SCTP only.
    pub ports: Option<(u16, u16)>,
    /// Such a rule matches ICMP (IPv4) and ICMPv6 (IPv6) only.
    pub icmp: Option<IcmpMatch>,
    /// The other end.
    pub remote: Remote,
}

/// Whether a protocol has the ports that rules speak of.
pub(super) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, ip::TCP | ip::UDP | ip::SCTP)
}

/// Whether a protocol is the ICMP of its family.
pub(super) const fn is_icmp(protocol: u8, v6: bool) -> bool {
    protocol == if v6 { ip::ICMPV6 } else { ip::ICMP }
}

impl Rule {
    /// Whether the rule allows what is asked, one condition after the other.
    #[must_use]
    pub fn matches(&self, query: &Query<'_>) -> bool {
        self.direction == query.direction
            && match self.family {
                Family::Any => true,
                Family::V4 => !query.v6,
                Family::V6 => query.v6,
            }
            && (self.protocol == 0 || self.protocol == query.protocol)
            && self.ports.is_none_or(|(first, last)| {
                has_ports(query.protocol) && (first..=last).contains(&query.dst_port)
            })
            && self.icmp.is_none_or(|icmp| {
                is_icmp(query.protocol, query.v6)
                    && icmp.kind == query.icmp_type
                    && icmp.code.is_none_or(|code| code == query.icmp_code)
            })
            && match self.remote {
                Remote::Any => true,
                Remote::Prefix { address, length, v6 } => {
                    v6 == query.v6
                        && shares_prefix(&address, &query.remote, length.min(if v6 { 128 } else { 32 }))
                }
                Remote::Group(group) => query.remote_groups.contains(&group),
            }
    }
}

/// Whether two addresses of one family begin with the same `length` bits.
pub(super) fn shares_prefix(one: &Address, other: &Address, length: u8) -> bool {
    let differing = u128::from_be_bytes(*one) ^ u128::from_be_bytes(*other);
    differing.leading_zeros() >= u32::from(length)
}

/// A security group: what its members are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityGroup {
    /// The controller's number.
    pub id: u32,
    /// Its rules, in the controller's order.
    pub rules: Vec<Rule>,
}

/// A conversation that somebody wants to open, seen by the workload that has the groups.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Towards or by the workload.
    pub direction: Direction,
    /// Whether it is IPv6.
    pub v6: bool,
    /// The other end, as on the workload's own wire (SEMANTICS 4).
    pub remote: Address,
    /// The groups of the other end, ascending.
    pub remote_groups: &'a [u32],
    /// IP protocol.
    pub protocol: u8,
    /// Destination port.
    pub dst_port: u16,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleSet {
    /// In the security group with this id.
    SecurityGroup(u32),
    /// In the network policy with this id.
    NetworkPolicy(u32),
}

impl std::fmt::Display for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SecurityGroup(id) => write!(f, "security_group {id}"),
            Self::NetworkPolicy(id) => write!(f, "network_policy {id}"),
        }
    }
}

/// Names a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef {
    /// What it is a rule of.
    pub set: RuleSet,
    /// The rule's id there.
    pub rule: u32,
    /// Its counter.
    pub slot: RuleSlot,
}

impl std::fmt::Display for RuleRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rule {}", self.set, self.rule)
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the conversation may be opened.
    pub allowed: bool,
    /// The rule that allows it: of several, the first in the order of groups and rules. None allows where no
    /// group is bound; none denies.
    pub rule: Option<RuleRef>,
}

impl Decision {
    /// No group is bound: everything may pass.
    pub const UNBOUND: Self = Self { allowed: true, rule: None };
    /// No rule allows it.
    pub const DENIED: Self = Self { allowed: false, rule: None };

    /// The counter of the rule.
    #[must_use]
    pub fn slot(&self) -> RuleSlot {
        self.rule.map_or(RuleSlot::NONE, |rule| rule.slot)
    }
}
