//! What the vRouter itself serves to one workload: DHCP, router advertisements, DNS. Workers only see that there
//! is a service; the services thread reads the rest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// The services of one interface, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostServices {
    /// The subnets of the workload's addresses; none overlaps another.
    pub subnets: Vec<Subnet>,
    /// One label, or empty.
    pub host_name: String,
    /// The workload's domain, or empty.
    pub domain: String,
    /// Name servers that the workload is told, the subnets' service addresses if nothing else is configured.
    pub dns_servers: Vec<IpAddr>,
    /// Time servers that the workload is told.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// How long an address is leased, in seconds; `u32::MAX` = for ever.
    pub lease_seconds: u32,
    /// Where queries to service addresses are forwarded; empty = to the node's own resolvers.
    pub resolvers: Vec<SocketAddr>,
}

/// A subnet of a workload's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its prefix.
    pub prefix: IpNet,
    /// The default router, of the prefix's family.
    pub gateway: Option<IpAddr>,
    /// The address that answers DNS, of the prefix's family.
    pub service: Option<IpAddr>,
    /// Further routes: destination and router.
    pub routes: Vec<(IpNet, IpAddr)>,
    /// The workload makes its own IPv6 address (RFC 4862).
    pub slaac: bool,
    /// Its addresses are leased.
    pub dhcp: bool,
}

impl HostServices {
    /// The subnet that an address is in.
    #[must_use]
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.prefix.contains(&address))
    }

    /// Subnets of one family.
    pub fn family(&self, v6: bool) -> impl Iterator<Item = &Subnet> {
        self.subnets.iter().filter(move |subnet| v6 == matches!(subnet.prefix, IpNet::V6(_)))
    }

    /// Whether the workload may ask names at this address.
    #[must_use]
    pub fn resolves_at(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.service == Some(address))
    }

    /// Every address that the vRouter answers for because of these services. The last is the link-local one that
    /// router advertisements come from, if there is an IPv6 subnet.
    pub fn own_addresses(&self, gateway_mac: [u8; 6]) -> impl Iterator<Item = IpAddr> + '_ {
        let own = self.subnets.iter().flat_map(|subnet| subnet.gateway.into_iter().chain(subnet.service));
        let router = self.family(true).next().map(|_| IpAddr::V6(link_local(gateway_mac)));
        own.chain(router)
    }
}

/// The link-local address that a MAC makes (RFC 4291, appendix A).
#[must_use]
pub const fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    Ipv6Addr::from_octets(octets)
}
