//! What can be named on the command line, under our names and under those that operators of Contrail type.

use agent_api::v1::Kind;
use clap::{ValueEnum, builder::PossibleValue};

/// A kind of object that a controller programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectKind(pub(crate) Kind);

/// Whatever `get` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Object(Kind),
    Flow,
    Drop,
    Stat,
    Worker,
    Neighbour,
    All,
}

const OBJECTS: [ObjectKind; 12] = [
    ObjectKind(Kind::Vrf),
    ObjectKind(Kind::Interface),
    ObjectKind(Kind::NextHop),
    ObjectKind(Kind::Route),
    ObjectKind(Kind::MplsLabel),
    ObjectKind(Kind::Vni),
    ObjectKind(Kind::SecurityGroup),
    ObjectKind(Kind::NetworkPolicy),
    ObjectKind(Kind::FloatingIp),
    ObjectKind(Kind::SourceNat),
    ObjectKind(Kind::LinkLocalService),
    ObjectKind(Kind::Flow),
];

const RESOURCES: [Resource; 18] = [
    Resource::Object(Kind::Vrf),
    Resource::Object(Kind::Interface),
    Resource::Object(Kind::NextHop),
    Resource::Object(Kind::Route),
    Resource::Object(Kind::MplsLabel),
    Resource::Object(Kind::Vni),
    Resource::Object(Kind::SecurityGroup),
    Resource::Object(Kind::NetworkPolicy),
    Resource::Object(Kind::FloatingIp),
    Resource::Object(Kind::SourceNat),
    Resource::Object(Kind::LinkLocalService),
    Resource::Object(Kind::Flow),
    Resource::Flow,
    Resource::Drop,
    Resource::Stat,
    Resource::Worker,
    Resource::Neighbour,
    Resource::All,
];

impl ValueEnum for ObjectKind {
    fn value_variants<'a>() -> &'a [Self] {
        &OBJECTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, aliases, help): (_, &'static [&'static str], _) = match self.0 {
            Kind::Vrf => ("vrf", &["vrfs"], "Routing tables"),
            Kind::Interface => {
                ("interface", &["interfaces", "vif", "vifs", "if"], "Interfaces and their counters (vif)")
            }
            Kind::NextHop => ("next-hop", &["next-hops", "next_hop", "nexthop", "nh"], "Next hops (nh)"),
            Kind::Route => ("route", &["routes", "rt"], "Routes: every path of every prefix (rt)"),
            Kind::MplsLabel => {
                ("mpls-label", &["mpls-labels", "mpls_label", "mpls", "label"], "MPLS labels (mpls)")
            }
            Kind::Vni => ("vni", &["vnis", "vxlan"], "VXLAN network identifiers (vxlan)"),
            Kind::SecurityGroup => (
                "security-group",
                &["security-groups", "security_group", "sg"],
                "Security groups, a line for each rule (sg)",
            ),
            Kind::NetworkPolicy => (
                "network-policy",
                &["network-policies", "network_policy", "policy", "policies", "np"],
                "Network policies, a line for each rule (policy)",
            ),
            Kind::FloatingIp => {
                ("floating-ip", &["floating-ips", "floating_ip", "fip"], "Floating IPs and services (fip)")
            }
            Kind::SourceNat => (
                "source-nat",
                &["source-nats", "source_nat", "snat"],
                "Pools of source NAT and their use (snat)",
            ),
            Kind::LinkLocalService => (
                "link-local-service",
                &["link-local-services", "link_local_service", "lls"],
                "Services outside under addresses of the workloads' networks (lls)",
            ),
            Kind::Flow => ("pinned-flow", &["pinned-flows", "pinned_flow"], "Flows that a controller pinned"),
            Kind::Unspecified => return None,
        };
        Some(PossibleValue::new(name).aliases(aliases).help(help))
    }
}

impl ValueEnum for Resource {
    fn value_variants<'a>() -> &'a [Self] {
        &RESOURCES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, aliases, help): (_, &'static [&'static str], _) = match self {
            Self::Object(kind) => return ObjectKind(*kind).to_possible_value(),
            Self::Flow => {
                ("flow", &["flows", "session", "sessions"], "The flow table: sessions, both directions")
            }
            Self::Drop => {
                ("drop", &["drops", "dropstats"], "Counters of dropped packets by reason (dropstats)")
            }
            Self::Stat => ("stat", &["stats"], "Where all packets went, interface counters, table sizes"),
            Self::Worker => ("worker", &["workers"], "Workers: cores, queues, load"),
            Self::Neighbour => (
                "neighbour",
                &["neighbours", "neighbor", "neighbors", "arp", "nd"],
                "Neighbours by ARP and ND (arp, nd)",
            ),
            Self::All => ("all", &[], "Every object"),
        };
        Some(PossibleValue::new(name).aliases(aliases).help(help))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn parse(text: &str) -> Resource {
        Resource::from_str(text, true).unwrap()
    }

    #[test]
    fn the_names_that_operators_of_contrail_type_are_understood() {
        assert_eq!(parse("vif"), Resource::Object(Kind::Interface));
        assert_eq!(parse("nh"), Resource::Object(Kind::NextHop));
        assert_eq!(parse("rt"), Resource::Object(Kind::Route));
        assert_eq!(parse("mpls"), Resource::Object(Kind::MplsLabel));
        assert_eq!(parse("vxlan"), Resource::Object(Kind::Vni));
        assert_eq!(parse("flow"), Resource::Flow);
        assert_eq!(parse("dropstats"), Resource::Drop);
    }

    #[test]
    fn every_kind_of_object_is_known_by_the_name_it_has_in_files() {
        for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Flow) {
            assert_eq!(parse(kind.name()), Resource::Object(kind));
            assert_eq!(ObjectKind::from_str(kind.name(), true).unwrap(), ObjectKind(kind));
        }
        assert_eq!(parse("pinned-flow"), Resource::Object(Kind::Flow));
    }

    #[test]
    fn no_name_means_two_things() {
        let mut seen = HashSet::new();
        for resource in Resource::value_variants() {
            let value = resource.to_possible_value().unwrap();
            for name in value.get_name_and_aliases() {
                assert!(seen.insert(name.to_owned()), "{name}");
            }
        }
    }
}
