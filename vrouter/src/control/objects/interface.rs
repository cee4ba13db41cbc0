//! Interfaces.

use std::{net::IpAddr, ops::RangeInclusive, sync::Arc};

use agent_api::v1;
use ahash::AHashSet;
use nexthop::Prefix;
use packet::{InterfaceId, TagId, VrfId};

use super::{
    Field, ObjectKey, Rules, at_most, check_name, device, distinct, next_hop::ROUTER_MAC, number, read_tags,
    services, vrf,
};
use crate::{
    control::{
        fault::Invalid,
        names::Names,
        text::{Ip, parse_mac, parse_prefix_or_host, parse_station},
    },
    tables::{AddressPair, HostServices, Role, Rpf},
};

/// L3 MTUs that are accepted (RFC 791 §3.2 to jumbo frames).
pub(super) const MTU: RangeInclusive<u32> = 576..=9216;
const DEFAULT_MTU: u16 = 1500;
const DEFAULT_ICMP_ERRORS: u32 = 100;
/// Most addresses, pairs, gateways or groups of one interface.
const MAX_LIST: usize = 1024;

/// A checked interface.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InterfaceSpec {
    pub(crate) message: v1::Interface,
    pub(crate) id: InterfaceId,
    pub(crate) role: Role,
    pub(crate) vrf: VrfId,
    /// `None` = the device's own.
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) gateway_mac: [u8; 6],
    pub(crate) addresses: Vec<FabricAddress>,
    /// With the interface's own MAC already in place.
    pub(crate) pairs: Vec<AddressPair>,
    pub(crate) gateways: Vec<Ip>,
    pub(crate) mtu: u16,
    /// Sorted, each once.
    pub(crate) groups: Vec<u32>,
    pub(crate) rpf: Rpf,
    pub(crate) icmp_errors_per_second: u32,
    /// HOST: the fabric interface.
    pub(crate) twin_of: Option<InterfaceId>,
    /// Sorted, each once.
    pub(crate) tags: Box<[TagId]>,
    pub(crate) services: Option<Arc<HostServices>>,
}

/// An address with the length of its subnet; the host's own length where none is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FabricAddress {
    pub(crate) ip: Ip,
    pub(crate) length: u8,
}

impl FabricAddress {
    /// The subnet that is reached directly; `None` for a host address or a link-local one.
    pub(crate) fn connected(self) -> Option<Prefix> {
        let network = self.ip.network(self.length);
        (!network.is_host() && !self.ip.is_v6_link_local()).then_some(network)
    }
}

pub(super) fn read(
    message: v1::Interface,
    rules: &Rules,
    names: &mut Names,
) -> Result<InterfaceSpec, Invalid> {
    let id = id("id", message.id)?;
    check_name(&message.name)?;
    let role = match v1::Role::try_from(message.role) {
        Ok(v1::Role::Fabric) => Role::Fabric,
        Ok(v1::Role::Virtual) => Role::Virtual,
        Ok(v1::Role::Host) => Role::Host,
        _ => return Err(Invalid::new("role", "FABRIC, VIRTUAL or HOST is needed")),
    };
    device::check(message.device.as_ref(), rules)?;
    let vrf = vrf::id("vrf", message.vrf)?;
    let mac = mac("mac", &message.mac)?;
    if role == Role::Virtual && mac.is_none() {
        return Err(Invalid::new("mac", "the workload's MAC is needed"));
    }
    for (field, length) in [
        ("addresses", message.addresses.len()),
        ("allowed_address_pairs", message.allowed_address_pairs.len()),
        ("gateways", message.gateways.len()),
        ("security_groups", message.security_groups.len()),
    ] {
        at_most(field, "entries", length, MAX_LIST)?;
    }
    let addresses = read_addresses(&message, role)?;
    let pairs = read_pairs(&message, mac)?;
    let gateways = read_gateways(&message, role)?;
    let mtu = if message.mtu == 0 { DEFAULT_MTU } else { number("mtu", message.mtu, MTU)? };
    if message.label != 0 {
        number::<u32>("label", message.label, super::label::MIN_LABEL..=super::label::MAX_LABEL)?;
    }
    let groups = read_groups(&message, role)?;
    let rpf = match v1::Rpf::try_from(message.rpf) {
        Ok(v1::Rpf::Default | v1::Rpf::Strict) => Rpf::Strict,
        Ok(v1::Rpf::Loose) => Rpf::Loose,
        Ok(v1::Rpf::Off) => Rpf::Off,
        Err(_) => return Err(Invalid::new("rpf", format!("{} is no RPF mode", message.rpf))),
    };
    let twin_of = read_twin(&message, role)?;
    if role != Role::Virtual && !message.tags.is_empty() {
        return Err(Invalid::new("tags", "only a VIRTUAL interface has tags"));
    }
    let tags = read_tags("tags", &message.tags, names)?;
    let services = read_services(&message, role, &addresses)?;
    Ok(InterfaceSpec {
        id,
        role,
        vrf,
        mac,
        gateway_mac: self::mac("gateway_mac", &message.gateway_mac)?.unwrap_or(ROUTER_MAC),
        addresses,
        pairs,
        gateways,
        mtu,
        groups,
        rpf,
        icmp_errors_per_second: match message.icmp_errors_per_second {
            0 => DEFAULT_ICMP_ERRORS,
            rate => rate,
        },
        twin_of,
        tags,
        services,
        message,
    })
}

fn mac(field: &str, text: &str) -> Result<Option<[u8; 6]>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_mac(text).map(Some).map_err(|message| Invalid::new(field, message))
}

fn read_addresses(message: &v1::Interface, role: Role) -> Result<Vec<FabricAddress>, Invalid> {
    let mut seen = AHashSet::new();
    let mut addresses = Vec::with_capacity(message.addresses.len());
    for (index, text) in message.addresses.iter().enumerate() {
        let invalid = |message: String| Invalid::new(format!("addresses[{index}]"), message);
        let (ip, length) = parse_station(text).map_err(invalid)?;
        if role == Role::Virtual && length != ip.host().length() {
            return Err(invalid(format!("{text}: a workload has addresses, not subnets: {ip} is meant")));
        }
        if !seen.insert(ip) {
            return Err(invalid(format!("{ip} is there twice")));
        }
        addresses.push(FabricAddress { ip, length });
    }
    Ok(addresses)
}

fn read_pairs(message: &v1::Interface, own: Option<[u8; 6]>) -> Result<Vec<AddressPair>, Invalid> {
    let mut pairs = Vec::with_capacity(message.allowed_address_pairs.len());
    for (index, pair) in message.allowed_address_pairs.iter().enumerate() {
        let field = |name: &str| format!("allowed_address_pairs[{index}].{name}");
        let prefix =
            parse_prefix_or_host(&pair.prefix).map_err(|text| Invalid::new(field("prefix"), text))?;
        let mac = mac(&field("mac"), &pair.mac)?.or(own).unwrap_or_default();
        pairs.push(AddressPair {
            network: prefix.address(),
            length: prefix.length(),
            v6: prefix.is_v6(),
            mac,
        });
    }
    Ok(pairs)
}

fn read_gateways(message: &v1::Interface, role: Role) -> Result<Vec<Ip>, Invalid> {
    if role != Role::Virtual && !message.gateways.is_empty() {
        return Err(Invalid::new("gateways", "only a VIRTUAL interface has gateways"));
    }
    distinct("gateways", &message.gateways, |field, text| {
        Ip::parse_unicast(text).map_err(|text| Invalid::new(field, text))
    })
}

fn read_groups(message: &v1::Interface, role: Role) -> Result<Vec<u32>, Invalid> {
    if role != Role::Virtual {
        if !message.security_groups.is_empty() {
            return Err(Invalid::new("security_groups", "only a VIRTUAL interface has security groups"));
        }
        if message.policy {
            return Err(Invalid::new("policy", "only a VIRTUAL interface has policy"));
        }
    }
    let mut groups = message.security_groups.clone();
    if let Some(index) = groups.iter().position(|&group| group == 0) {
        return Err(Invalid::new(format!("security_groups[{index}]"), "0 is no security group"));
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

fn read_twin(message: &v1::Interface, role: Role) -> Result<Option<InterfaceId>, Invalid> {
    match (role, message.twin_of) {
        (Role::Host, twin) => id("twin_of", twin).map(Some),
        (_, 0) => Ok(None),
        _ => Err(Invalid::new("twin_of", "only a HOST interface is a twin")),
    }
}

fn read_services(
    message: &v1::Interface,
    role: Role,
    addresses: &[FabricAddress],
) -> Result<Option<Arc<HostServices>>, Invalid> {
    let Some(services) = &message.services else { return Ok(None) };
    if role != Role::Virtual {
        return Err(Invalid::new("services", "only a VIRTUAL interface is served"));
    }
    let own: Vec<IpAddr> = addresses.iter().map(|address| address.ip.std()).collect();
    services::read(services, &own).map(|services| Some(Arc::new(services)))
}

/// Reads an interface's id.
pub(super) fn id(field: &str, value: u32) -> Result<InterfaceId, Invalid> {
    number(field, value, 1..=65_535).map(InterfaceId)
}

impl InterfaceSpec {
    /// The operator's name.
    pub(crate) fn name(&self) -> &str {
        &self.message.name
    }

    /// Its first address of one family.
    pub(crate) fn first_address(&self, v6: bool) -> Option<Ip> {
        self.addresses.iter().map(|address| address.ip).find(|ip| ip.v6 == v6)
    }

    /// Its first address of one family that other nodes can answer to: a link-local one reaches its own link only.
    pub(crate) fn routable_address(&self, v6: bool) -> Option<Ip> {
        self.addresses.iter().map(|address| address.ip).find(|ip| ip.v6 == v6 && !ip.is_v6_link_local())
    }

    /// Whether this is one of its addresses.
    pub(crate) fn has_address(&self, ip: Ip) -> bool {
        self.addresses.iter().any(|address| address.ip == ip)
    }

    pub(super) fn references(&self, visit: &mut impl FnMut(ObjectKey, Field)) {
        visit(ObjectKey::Vrf(self.vrf), Field::Plain("vrf"));
        for (index, &group) in self.message.security_groups.iter().enumerate() {
            visit(ObjectKey::SecurityGroup(group), Field::Item("security_groups", index));
        }
        if let Some(fabric) = self.twin_of {
            visit(ObjectKey::Interface(fabric), Field::Plain("twin_of"));
        }
    }
}
