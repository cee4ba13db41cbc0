//! Host services of an interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use agent_api::v1;
use ipnet::IpNet;

use super::at_most;
use crate::{
    control::{
        fault::Invalid,
        text::{Ip, parse_prefix},
    },
    services::resolver,
    tables::{HostServices, Subnet},
};

/// Most subnets of one interface, and most routes of one subnet: what a DHCP message holds.
const MAX_SUBNETS: usize = 16;
const MAX_ROUTES: usize = 16;
/// Most servers of one kind that a workload is told.
const MAX_SERVERS: usize = 8;
/// Most resolvers that are tried in turn: a resolver library tries no more (MAXNS of resolv.conf).
const MAX_RESOLVERS: usize = 3;
const DEFAULT_LEASE: u32 = 86_400;
/// A client that renews at half its lease asks no more often than twice a minute.
const SHORTEST_LEASE: u32 = 60;
/// RFC 1035 §3.1: a name of 253 characters, labels of 63.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Reads the services of an interface whose workload has these addresses.
pub(super) fn read(message: &v1::HostServices, own: &[IpAddr]) -> Result<HostServices, Invalid> {
    if message.subnets.is_empty() {
        return Err(Invalid::new("services.subnets", "at least one subnet is needed"));
    }
    for (field, length, most) in [
        ("subnets", message.subnets.len(), MAX_SUBNETS),
        ("dns_servers", message.dns_servers.len(), MAX_SERVERS),
        ("ntp_servers", message.ntp_servers.len(), MAX_SERVERS),
        ("resolvers", message.resolvers.len(), MAX_RESOLVERS),
    ] {
        at_most(&format!("services.{field}"), "entries", length, most)?;
    }
    let mut subnets: Vec<Subnet> = Vec::with_capacity(message.subnets.len());
    for (index, subnet) in message.subnets.iter().enumerate() {
        let read = read_subnet(subnet, index, own)?;
        if let Some(other) = subnets.iter().find(|other| overlap(&other.prefix, &read.prefix)) {
            let text = format!("{} overlaps with {}", read.prefix, other.prefix);
            return Err(Invalid::new(format!("services.subnets[{index}].prefix"), text));
        }
        subnets.push(read);
    }
    let host_name = message.host_name.clone();
    if !host_name.is_empty() && !is_label(&host_name) {
        let text = format!("{host_name:?} is no label of a host name: letters, digits and hyphens are");
        return Err(Invalid::new("services.host_name", text));
    }
    let domain = message.domain.clone();
    let is_name = domain.len() <= MAX_NAME && domain.split('.').all(is_label);
    if !(domain.is_empty() || is_name) {
        return Err(Invalid::new("services.domain", format!("{domain:?} is no domain name")));
    }
    let mut dns_servers = addresses("dns_servers", &message.dns_servers)?;
    if dns_servers.is_empty() {
        dns_servers = subnets.iter().filter_map(|subnet| subnet.service).take(MAX_SERVERS).collect();
    }
    let lease_seconds = match message.lease_seconds {
        0 => DEFAULT_LEASE,
        short @ 1..SHORTEST_LEASE => {
            let text = format!("{short} s is too short: at least {SHORTEST_LEASE} s are needed");
            return Err(Invalid::new("services.lease_seconds", text));
        }
        seconds => seconds,
    };
    Ok(HostServices {
        subnets,
        host_name,
        domain,
        dns_servers,
        ntp_servers: read_ntp(&message.ntp_servers)?,
        lease_seconds,
        resolvers: read_resolvers(&message.resolvers)?,
    })
}

fn read_subnet(message: &v1::Subnet, index: usize, own: &[IpAddr]) -> Result<Subnet, Invalid> {
    let field = |name: &str| format!("services.subnets[{index}].{name}");
    let prefix = net(&field("prefix"), &message.prefix)?;
    if !own.iter().any(|address| prefix.contains(address)) {
        let text = format!("none of the interface's addresses is in {prefix}");
        return Err(Invalid::new(field("prefix"), text));
    }
    let router = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => station(&field(name), text, &prefix, own).map(Some),
    };
    let gateway = router("gateway", &message.gateway)?;
    let service = router("service", &message.service)?;
    if gateway.is_some() && gateway == service {
        return Err(Invalid::new(field("service"), format!("{} is the gateway already", message.service)));
    }
    let dhcp = !message.no_dhcp && !message.slaac;
    if dhcp && !is_v6(&prefix) && gateway.is_none() && service.is_none() {
        // RFC 2131 §4.3.1: an offer names its server.
        let text = "leases need a gateway or a service address to come from";
        return Err(Invalid::new(field("gateway"), text));
    }
    if message.slaac && (matches!(prefix, IpNet::V4(_)) || prefix.prefix_len() != 64) {
        // RFC 4862 §5.5.3: prefix and interface identifier are 128 bits together, and Ethernet's is of 64.
        let text = format!("{prefix} is no IPv6 /64: workloads can make addresses in such only");
        return Err(Invalid::new(field("slaac"), text));
    }
    at_most(&field("routes"), "entries", message.routes.len(), MAX_ROUTES)?;
    let mut routes = Vec::with_capacity(message.routes.len());
    for (number, route) in message.routes.iter().enumerate() {
        let field = |name: &str| field(&format!("routes[{number}].{name}"));
        let destination = net(&field("prefix"), &route.prefix)?;
        if is_v6(&destination) != is_v6(&prefix) {
            let text = format!("{destination} is not of the family of {prefix}");
            return Err(Invalid::new(field("prefix"), text));
        }
        let via = if route.via.is_empty() {
            gateway.ok_or_else(|| Invalid::new(field("via"), "the subnet has no gateway: name a router"))?
        } else {
            station(&field("via"), &route.via, &prefix, own)?
        };
        if is_v6(&prefix) && Some(via) != gateway {
            let text = format!("{via} is not the gateway: a router advertisement speaks for its sender");
            return Err(Invalid::new(field("via"), text));
        }
        routes.push((destination, via));
    }
    Ok(Subnet { prefix, gateway, service, routes, slaac: message.slaac, dhcp })
}

/// An address in a subnet that is not the workload's own and not the network's or the broadcast address.
fn station(field: &str, text: &str, prefix: &IpNet, own: &[IpAddr]) -> Result<IpAddr, Invalid> {
    let ip = Ip::parse_unicast(text).map_err(|text| Invalid::new(field, text))?.std();
    if !prefix.contains(&ip) {
        return Err(Invalid::new(field, format!("{ip} is not in {prefix}")));
    }
    if own.contains(&ip) {
        return Err(Invalid::new(field, format!("{ip} is the workload's own")));
    }
    let special = prefix.prefix_len() < 31 && (ip == prefix.network() || ip == prefix.broadcast());
    if special && ip.is_ipv4() {
        return Err(Invalid::new(field, format!("{ip} is no station's address in {prefix}")));
    }
    Ok(ip)
}

fn net(field: &str, text: &str) -> Result<IpNet, Invalid> {
    let prefix = parse_prefix(text).map_err(|text| Invalid::new(field, text))?;
    let address = Ip { v6: prefix.is_v6(), address: prefix.address() }.std();
    IpNet::new(address, prefix.length()).map_err(|error| Invalid::new(field, error.to_string()))
}

const fn is_v6(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V6(_))
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

fn is_label(text: &str) -> bool {
    let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    sound && (1..=MAX_LABEL).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

fn addresses(name: &str, texts: &[String]) -> Result<Vec<IpAddr>, Invalid> {
    let read = |(index, text): (usize, &String)| {
        let ip = Ip::parse_unicast(text);
        ip.map(Ip::std).map_err(|text| Invalid::new(format!("services.{name}[{index}]"), text))
    };
    texts.iter().enumerate().map(read).collect()
}

fn read_ntp(texts: &[String]) -> Result<Vec<Ipv4Addr>, Invalid> {
    let read = |(index, ip)| match ip {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(v6) => {
            let text = format!("{v6} is no IPv4 address");
            Err(Invalid::new(format!("services.ntp_servers[{index}]"), text))
        }
    };
    addresses("ntp_servers", texts)?.into_iter().enumerate().map(read).collect()
}

fn read_resolvers(texts: &[String]) -> Result<Vec<SocketAddr>, Invalid> {
    let read = |(index, text): (usize, &String)| {
        resolver(text).map_err(|text| Invalid::new(format!("services.resolvers[{index}]"), text))
    };
    texts.iter().enumerate().map(read).collect()
}
